"""One small class for every classification set: arrays to train on, arrays to test on, and what they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..arrays.checks import expect_positive


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A classification set, split into training and test examples. Print it to see what it holds.

    Attributes:
        name: what the set is called.
        x_train, x_test: examples, one a row: `(n, features)`, float32 or float64.
        y_train, y_test: their classes, integers from 0 to `len(class_names) - 1`: `(n,)`.
        class_names: the name of each class.
        image_shape: the shape of one example before it was flattened to a row, so that
            `x.reshape(-1, *image_shape)` are pictures; their product is `features`.
        source: where the data comes from, and its licence.

    Raises:
        TypeError, ValueError: if the arrays do not fit this description or each other.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    image_shape: tuple[int, ...]
    source: str = ""

    def __post_init__(self) -> None:
        where = f"Dataset {self.name!r}"
        # frozen=True forbids plain assignment; lists are welcome here, tuples are what is kept
        object.__setattr__(self, "class_names", _names(where, self.class_names))
        object.__setattr__(self, "image_shape", _shape(where, self.image_shape))
        for part in ("train", "test"):
            _check_part(where, part, getattr(self, f"x_{part}"), getattr(self, f"y_{part}"), self)
        if self.x_train.dtype != self.x_test.dtype:
            raise TypeError(f"{where}: x_test is {self.x_test.dtype}, expected {self.x_train.dtype} as x_train is")

    @property
    def features(self) -> int:
        """How many numbers one example has."""
        return prod(self.image_shape)

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    def __repr__(self) -> str:
        names = self.class_names if self.n_classes <= 12 else (*self.class_names[:11], "...")
        one = "x".join(map(str, self.image_shape))
        low, high = _range(self.x_train, self.x_test)
        lines = [
            f"{self.name}: {len(self.x_train):,} training and {len(self.x_test):,} test examples of {one}, "
            f"values {low:.4g} to {high:.4g}",
            f"  x_train {_text(self.x_train)}   y_train {_text(self.y_train)}",
            f"  x_test  {_text(self.x_test)}   y_test  {_text(self.y_test)}",
            f"  {self.n_classes} classes: {', '.join(names)}",
        ]
        return "\n".join(lines + [f"  source: {self.source}"] * bool(self.source))


def listed(items: Sequence[Any]) -> str:
    """The items in a sentence: "a", "a and b", "a, b and c"."""
    *most, last = map(str, items)
    return f"{', '.join(most)} and {last}" if most else last


def split_sizes(where: str, n: int, test_fraction: float, classes: int) -> tuple[int, int]:
    """How many of n examples are for training and for test; every class must occur among the first."""
    n_test = round(n * test_fraction)
    if n - n_test < classes:
        raise ValueError(
            f"{where}: n is {n}, which leaves {n - n_test} for training, expected at least one for each of the "
            f"{classes} classes"
        )
    return n - n_test, n_test


def balanced_labels(rng: np.random.Generator, n: int, classes: int) -> np.ndarray:
    """Give n labels in random order `(n,)`, in which the classes' counts differ by at most one."""
    return rng.permutation(np.arange(n, dtype=np.int64) % classes)


def _names(where: str, names: Any) -> tuple[str, ...]:
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{where}: class_names is {names!r}, expected a tuple of strings")
    if not names:
        raise ValueError(f"{where}: class_names is empty, expected the name of each class")
    return tuple(names)


def _shape(where: str, shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list | tuple):
        raise TypeError(f"{where}: image_shape is {shape!r}, expected a tuple of whole numbers")
    return expect_positive(where, **{f"image_shape[{i}]": n for i, n in enumerate(shape)})


def _text(x: np.ndarray) -> str:
    return f"{x.shape} {x.dtype}"


def _range(*arrays: np.ndarray) -> tuple[float, float]:
    filled = [x for x in arrays if x.size]
    if not filled:
        return float("nan"), float("nan")
    return min(float(x.min()) for x in filled), max(float(x.max()) for x in filled)


def _check_part(where: str, part: str, x: np.ndarray, y: np.ndarray, dataset: Dataset) -> None:
    for name, array in ((f"x_{part}", x), (f"y_{part}", y)):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{where}: {name} is a {type(array).__name__}, expected a NumPy array")
    features = prod(dataset.image_shape)
    if x.ndim != 2 or x.shape[1] != features:
        raise ValueError(
            f"{where}: x_{part} has shape {x.shape}, expected (n, {features}), since image_shape is "
            f"{dataset.image_shape}"
        )
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"{where}: x_{part} is {x.dtype}, expected float32 or float64")
    if not np.isfinite(x).all():
        raise ValueError(f"{where}: x_{part} holds NaN or infinity, expected finite numbers")
    if y.shape != x.shape[:1]:
        raise ValueError(f"{where}: y_{part} has shape {y.shape}, expected {x.shape[:1]}, a label for each example")
    if y.dtype.kind not in "iu":
        raise TypeError(f"{where}: y_{part} is {y.dtype}, expected integers")
    if y.size and (y.min() < 0 or y.max() >= dataset.n_classes):
        wrong = int(y.min()) if y.min() < 0 else int(y.max())
        raise ValueError(f"{where}: y_{part} holds {wrong}, expected 0 to {dataset.n_classes - 1}")
