"""MNIST-1D: ten digits as curves of 40 steps, generated, and hard enough to tell kinds of networks apart.

The recipe is that of S. Greydanus and D. Kobak, *Scaling Down Deep Learning with MNIST-1D*, ICML 2024 (arXiv
2011.14439). The ten template curves are theirs (https://github.com/greydanus/mnist1d, Apache-2.0 licence);
the program is ours. It differs from theirs in this:

- Random numbers come from one NumPy `Generator`, so that the same seed gives other examples than their
program.
- Training and test examples are each balanced over the classes; theirs are balanced together, before the
split.
- The mean and the standard deviation that the curves are normalised with are those of the training examples
alone.
- What is template and what is padding is known from the positions, not from values that differ from zero.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.checks import expect_float_dtype, expect_not_negative, expect_number, expect_positive
from .dataset import Dataset, balanced_labels, split_sizes

# Heights of each digit's pen stroke, from top to bottom (Greydanus and Kobak, Apache-2.0).
TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
PADDING = (36, 60)  # fewest and most zeros put behind the 12 points of a template
STEPS = TEMPLATES.shape[1] + PADDING[1]  # 72: the steps on which the curves are distorted
SMOOTHING = 2.0  # standard deviation, in steps, of the Gaussian that correlates the noise


class Draws(NamedTuple):
    """All the randomness of n curves, so that the curves themselves are a plain function of it."""

    padding: np.ndarray  # (n,) zeros behind the template
    scale: np.ndarray  # (n,) factor on the heights
    shift: np.ndarray  # (n,) steps to the right, around the end
    shear: np.ndarray  # (n,) fall from the first step to the last
    correlated: np.ndarray  # (n, STEPS) noise that replaces the padding, before it is smoothed
    independent: np.ndarray  # (n, STEPS) noise added everywhere


def mnist1d(
    n: int = 5000,
    seed: int = 0,
    *,
    length: int = 40,
    scale: float = 0.4,
    max_shift: int = 48,
    correlated_noise: float = 0.25,
    noise: float = 0.02,
    shear: float = 0.75,
    shuffle_steps: bool = False,
    test_fraction: float = 0.2,
    dtype: DTypeLike = np.float32,
) -> Dataset:
    """MNIST-1D: n curves of 40 steps in ten classes, generated from the seed.

    Each is one of ten template curves, padded with zeros and stretched to 72 steps, scaled, shifted around
    the end, filled up with smooth noise where the padding was, overlaid with white noise, sheared, and
    resampled to `length` steps. All together are then shifted and scaled to mean 0 and standard deviation 1.

    Args:
        n: how many curves, for training and test together.
        seed: a whole number; the same seed gives the same curves.
        length: steps of a finished curve.
        scale: width of the interval around 1 that the factor on the heights is drawn from.
        max_shift: the shift is drawn from 0, 1, ..., max_shift - 1 of the 72 steps.
        correlated_noise: standard deviation of the noise in the padding, before it is smoothed.
        noise: standard deviation of the white noise.
        shear: width of the interval around 0 that the fall along the curve is drawn from.
        shuffle_steps: whether to bring the steps into one random order, the same for all curves, which takes
            away what neighbouring steps tell (and what a convolution lives on).
        test_fraction: part of the curves that is for test, at least 0 and below 1.
        dtype: float32 or float64.

    Returns:
        `x_train (0.8 n, length)`, `y_train (0.8 n,)`, `x_test (0.2 n, length)`, `y_test (0.2 n,)`.

    Raises:
        TypeError, ValueError: if an argument is not as described.
    """
    where = "mnist1d"
    n, length, max_shift = expect_positive(where, n=n, length=length, max_shift=max_shift)
    (seed,) = expect_not_negative(where, seed=seed)
    if not isinstance(shuffle_steps, bool):
        raise TypeError(f"{where}: shuffle_steps is {shuffle_steps!r}, expected True or False")
    if max_shift > STEPS:
        raise ValueError(f"{where}: max_shift is {max_shift}, expected at most {STEPS}, the steps there are")
    real = expect_float_dtype(where, dtype)
    scale, shear, correlated_noise, noise = (
        expect_number(where, name, value)
        for name, value in (
            ("scale", scale),
            ("shear", shear),
            ("correlated_noise", correlated_noise),
            ("noise", noise),
        )
    )
    n_train, n_test = split_sizes(where, n, expect_number(where, "test_fraction", test_fraction, 0.0, 1.0), 10)

    rng = np.random.default_rng(seed)
    y = np.concatenate([balanced_labels(rng, part, 10) for part in (n_train, n_test)])
    draws = Draws(
        padding=rng.integers(PADDING[0], PADDING[1], size=n, endpoint=True),
        scale=1 + scale * (rng.random(n) - 0.5),
        shift=rng.integers(0, max_shift, size=n),
        shear=shear * (rng.random(n) - 0.5),
        correlated=correlated_noise * rng.standard_normal((n, STEPS)),
        independent=noise * rng.standard_normal((n, STEPS)),
    )
    x = curves(y, draws, length)
    if shuffle_steps:
        x = x[:, rng.permutation(length)]
    x = x - x[:n_train].mean()
    x = (x / (x[:n_train].std() or 1.0)).astype(real)  # 1: without any noise a short curve may be flat
    return Dataset(
        name="MNIST-1D",
        x_train=x[:n_train],
        y_train=y[:n_train],
        x_test=x[n_train:],
        y_test=y[n_train:],
        class_names=tuple("0123456789"),
        image_shape=(length,),
        source=f"generated from seed {seed} after arXiv 2011.14439, templates Apache-2.0",
    )


def templates() -> np.ndarray:
    """The ten template curves `(10, 12)`, of standard deviation 1/6, each from 0 to 0."""
    x = TEMPLATES / TEMPLATES.std(axis=1, keepdims=True)
    return (x - x[:, :1]) / 6


def curves(labels: np.ndarray, draws: Draws, length: int) -> np.ndarray:
    """The distorted curves `(n, length)` of these labels `(n,)` and random numbers, before normalising."""
    rows = np.arange(len(labels))[:, None]  # (n, 1)
    points = TEMPLATES.shape[1]

    # pad and stretch: step k of 72 lies at this point of the padded template, between two of its points
    padded = np.pad(templates(), ((0, 0), (0, PADDING[1])))[labels]  # (n, 72)
    at = np.linspace(0, 1, STEPS) * (points + draws.padding - 1)[:, None]  # (n, 72)
    left = np.minimum(at.astype(int), STEPS - 2)
    x = padded[rows, left] + (at - left) * (padded[rows, left + 1] - padded[rows, left])
    x = x * draws.scale[:, None]

    from_step = (np.arange(STEPS) - draws.shift[:, None]) % STEPS  # (n, 72)
    x, is_template = x[rows, from_step], (at < points)[rows, from_step]

    x = np.where(is_template, x, _smooth(draws.correlated)) + draws.independent
    x = x - draws.shear[:, None] * np.linspace(-0.5, 0.5, STEPS)

    # resample: again between two neighbouring steps, the same ones for every curve
    at = np.linspace(0, STEPS - 1, length)
    left = np.minimum(at.astype(int), STEPS - 2)
    return x[:, left] + (at - left) * (x[:, left + 1] - x[:, left])


def _smooth(x: np.ndarray) -> np.ndarray:
    """Each row through a Gaussian of SMOOTHING steps, cut at four of them, the ends continued as in a mirror."""
    reach = int(4 * SMOOTHING)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTHING) ** 2)
    mirrored = np.pad(x, ((0, 0), (reach, reach)), mode="symmetric")
    return np.lib.stride_tricks.sliding_window_view(mirrored, len(weights), axis=1) @ (weights / weights.sum())
