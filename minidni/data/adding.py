"""The adding problem: two of many numbers are marked, and their sum is asked for at the end."""

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.checks import expect_float_dtype, expect_positive
from .streams import EpisodeTask


class Adding(EpisodeTask):
    """Numbers in one channel, two marks in the other; the label is the sum of the two marked numbers.

        for x, labels in Adding(steps=50).batches(size=64):     # x (50, 64, 2), labels (64, 1)
            y, sT, cache = net.forward(x)                       # new sequences: from a zero state
            SquaredError().value(y[-1], labels)                 # the answer counts at the last step

    x[:, :, 0] are independent numbers, uniform from 0 to 1. x[:, :, 1] is 1 at two steps and 0 elsewhere: one drawn
    from the first half (T // 2 steps), one from the rest.

    Args:
        steps: T, at least 2.
        dtype: of x and the labels, float32 or float64.

    Attributes:
        steps: as given.
        floor: 0, the mean squared error of who answers rightly.
        chance: 1/6, that of who always answers 1, the mean: the variance of the sum of two uniform numbers.
        n_in, n_out: features of x and of the labels, 2 and 1.

    Source: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 1997, with the marks as in
    Q. Le, N. Jaitly and G. Hinton, arXiv 1504.00941.
    """

    n_in, n_out = 2, 1
    floor, chance = 0.0, 2 / 12

    def __init__(self, steps: int = 50, *, dtype: DTypeLike = np.float32):
        (self.steps,) = expect_positive("Adding", steps=steps)
        if self.steps < 2:
            raise ValueError(f"Adding: steps is {steps}, expected at least 2, one for each marked number")
        self.dtype = expect_float_dtype("Adding", dtype)

    def _draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        sequences, half = np.arange(size), self.steps // 2
        x = np.zeros((self.steps, size, 2), self.dtype)
        x[:, :, 0] = rng.random((self.steps, size))
        marked = np.stack([rng.integers(0, half, size), rng.integers(half, self.steps, size)])  # (2, B)
        x[marked, sequences, 1] = 1
        return x, x[marked, sequences, 0].sum(axis=0)[:, None]

    def __repr__(self) -> str:
        return f"Adding(steps={self.steps})"
