"""Pictures read step by step: any classification set as sequences, and the 8x8 digits and MNIST among them."""

import os

import numpy as np
from numpy.typing import DTypeLike

from ..arrays import Array
from ..arrays.checks import expect_array, expect_positive
from .batches import Batches, batches
from .dataset import Dataset, listed
from .digits import load_digits
from .mnist import load_mnist


class SequenceBatches(Batches):
    """What `Sequences.batches` makes: `Batches` whose first array is brought into steps."""

    def __init__(self, rows: Batches, sequences: "Sequences"):
        self.__dict__.update(vars(rows))
        self._sequences = sequences

    def __next__(self) -> tuple[Array, ...]:
        x, labels = super().__next__()
        return self._sequences.in_steps(x), labels


class Sequences:
    """A classification set whose examples arrive `per_step` numbers at a time; the class is asked at the end.

        digits = sequential_digits()
        for x, labels in digits.batches(size=50, seed=0, epoch=3):     # x (64, 50, 1), labels (50,)
            y, sT, cache = net.forward(x)                               # new sequences: from a zero state
            loss.value(y[-1], labels)

    Args:
        dataset: the set.
        per_step: D, numbers in a step; T = features / D steps. For a picture, its width gives a row a step.

    Attributes:
        dataset, per_step: as given.
        steps: T.
        chance: the loss in nats of who knows how frequent each class is in the training part, and no more.
        chance_accuracy: the share of right answers, in the test part, of naming the most frequent class.
        n_in, n_out: D, and the number of classes.
    """

    def __init__(self, dataset: Dataset, per_step: int = 1):
        if not isinstance(dataset, Dataset):
            raise TypeError(f"Sequences: dataset is of type {type(dataset).__name__}, expected a Dataset")
        (per_step,) = expect_positive("Sequences", per_step=per_step)
        if dataset.features % per_step:
            raise ValueError(
                f"Sequences: per_step is {per_step}, expected a divisor of {dataset.features}, the numbers "
                "in an example"
            )
        self.dataset, self.per_step, self.steps = dataset, per_step, dataset.features // per_step
        self.n_in, self.n_out = per_step, dataset.n_classes
        counts = np.bincount(dataset.y_train, minlength=dataset.n_classes)
        shares = counts[counts > 0] / counts.sum()
        self.chance = float(-(shares * np.log(shares)).sum())
        self.chance_accuracy = (
            float((dataset.y_test == counts.argmax()).mean()) if len(dataset.y_test) else float("nan")
        )

    def in_steps(self, x: Array) -> Array:
        """Examples as rows, x (n, features) -> the same as sequences, (T, n, D)."""
        expect_array(f"{self!r}.in_steps", "x", x, ("n", self.dataset.features))
        return x.reshape(len(x), self.steps, self.per_step).transpose(1, 0, 2)

    def batches(
        self,
        part: str = "train",
        *,
        size: int,
        seed: int = 0,
        epoch: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        skip: int = 0,
    ) -> Batches:
        """One epoch of x (T, B, D) and labels (B,): each sequence of the part once. The arguments are `batches`'."""
        if part not in ("train", "test"):
            raise ValueError(f"{self!r}.batches: part is {part!r}, expected {listed(['train', 'test'])}")
        arrays = getattr(self.dataset, f"x_{part}"), getattr(self.dataset, f"y_{part}")
        rows = batches(*arrays, size=size, seed=seed, epoch=epoch, shuffle=shuffle, drop_last=drop_last, skip=skip)
        return SequenceBatches(rows, self)

    def __repr__(self) -> str:
        return f"Sequences({self.dataset.name}, per_step={self.per_step})"


def sequential_digits(per_step: int = 1, *, dtype: DTypeLike = np.float32) -> Sequences:
    """The 8x8 digits of `load_digits` as 64 steps of one pixel, or with `per_step=8` as 8 steps of a row."""
    return Sequences(load_digits(dtype=dtype), per_step)


def sequential_mnist(
    per_step: int = 1,
    download: bool = False,
    folder: str | os.PathLike[str] | None = None,
    *,
    dtype: DTypeLike = np.float32,
) -> Sequences:
    """MNIST, as `load_mnist` finds it, as 784 steps of one pixel, or with `per_step=28` as 28 steps of a row."""
    return Sequences(load_mnist(download, folder, dtype=dtype), per_step)
