"""Seeded toy sets whose classes can be drawn on paper: spirals and blobs."""

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.checks import expect_float_dtype, expect_not_negative, expect_number, expect_positive
from .dataset import Dataset, balanced_labels, split_sizes


def spirals(
    n: int = 600,
    classes: int = 3,
    noise: float = 0.1,
    seed: int = 0,
    *,
    turns: float = 0.75,
    test_fraction: float = 0.2,
    dtype: DTypeLike = np.float32,
) -> Dataset:
    """Points on intertwined spiral arms, one arm a class: what no straight line separates.

    An arm starts at the origin and reaches radius 1 after `turns` turns; the arms are spread evenly around
    the circle. Points are drawn uniformly along the radius.

    Args:
        n: how many points, for training and test together.
        classes: how many arms.
        noise: standard deviation of the points' offset from their arm, in both coordinates.
        seed: a whole number; the same seed gives the same points.
        turns: how far an arm winds.
        test_fraction: part of the points that is for test, at least 0 and below 1.
        dtype: float32 or float64.

    Returns:
        `x_train (0.8 n, 2)`, `y_train (0.8 n,)`, `x_test (0.2 n, 2)`, `y_test (0.2 n,)`; in each part the
        classes' counts differ by at most one.

    Raises:
        TypeError, ValueError: if an argument is not as described.
    """
    where = "spirals"
    n, classes = expect_positive(where, n=n, classes=classes)
    (seed,) = expect_not_negative(where, seed=seed)
    noise, turns = expect_number(where, "noise", noise), expect_number(where, "turns", turns)
    real = expect_float_dtype(where, dtype)
    rng = np.random.default_rng(seed)
    y, n_train = _labels(where, rng, n, classes, test_fraction)
    radius = rng.random(n)
    angle = 2 * np.pi * (turns * radius + y / classes)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + noise * rng.standard_normal((n, 2))
    return _dataset("spirals", x.astype(real), y, n_train, classes, seed)


def blobs(
    n: int = 600,
    classes: int = 3,
    spread: float = 1.0,
    seed: int = 0,
    *,
    features: int = 2,
    test_fraction: float = 0.2,
    dtype: DTypeLike = np.float32,
) -> Dataset:
    """Round clouds of points, one cloud a class: what a linear layer can do, and quickly.

    The clouds' centres are drawn uniformly from -10 to 10 in every coordinate; they may come close to each
    other.

    Args:
        n: how many points, for training and test together.
        classes: how many clouds.
        spread: standard deviation of a cloud in every coordinate.
        seed: a whole number; the same seed gives the same centres and points.
        features: how many coordinates a point has.
        test_fraction: part of the points that is for test, at least 0 and below 1.
        dtype: float32 or float64.

    Returns:
        `x_train (0.8 n, features)`, `y_train (0.8 n,)`, `x_test (0.2 n, features)`, `y_test (0.2 n,)`; in
        each part the classes' counts differ by at most one.

    Raises:
        TypeError, ValueError: if an argument is not as described.
    """
    where = "blobs"
    n, classes, features = expect_positive(where, n=n, classes=classes, features=features)
    (seed,) = expect_not_negative(where, seed=seed)
    spread = expect_number(where, "spread", spread)
    real = expect_float_dtype(where, dtype)
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-10, 10, size=(classes, features))
    y, n_train = _labels(where, rng, n, classes, test_fraction)
    x = centres[y] + spread * rng.standard_normal((n, features))
    return _dataset("blobs", x.astype(real), y, n_train, classes, seed)


def _labels(where: str, rng: np.random.Generator, n: int, classes: int, test_fraction: float) -> tuple[np.ndarray, int]:
    fraction = expect_number(where, "test_fraction", test_fraction, 0.0, 1.0)
    n_train, n_test = split_sizes(where, n, fraction, classes)
    return np.concatenate([balanced_labels(rng, part, classes) for part in (n_train, n_test)]), n_train


def _dataset(name: str, x: np.ndarray, y: np.ndarray, n_train: int, classes: int, seed: int) -> Dataset:
    return Dataset(
        name=name,
        x_train=x[:n_train],
        y_train=y[:n_train],
        x_test=x[n_train:],
        y_test=y[n_train:],
        class_names=tuple(map(str, range(classes))),
        image_shape=x.shape[1:],
        source=f"generated from seed {seed}",
    )
