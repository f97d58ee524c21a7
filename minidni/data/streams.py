"""What every task hands out: a stream whose items are decided by the seed and their number alone."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..arrays.checks import expect_not_negative, expect_positive


class Stream:
    """An iterator over windows or batches, as the tasks' `windows` and `batches` make it; most are endless.

    A stream that starts with `skip=k` gives from its first item on what an uninterrupted one gives after k items.

    Attributes:
        position: the number of the next item: what `skip` takes.
    """

    def __init__(self, item: Callable[[int], tuple], position: int = 0, end: int | None = None):
        self.position = position
        self._item, self._end = item, end

    def __iter__(self) -> "Stream":
        return self

    def __len__(self) -> int:
        if self._end is None:
            raise TypeError("Stream: an endless stream has no length")
        return self._end - self.position

    def __next__(self) -> tuple:
        if self._end is not None and self.position >= self._end:
            raise StopIteration
        self.position += 1
        return self._item(self.position - 1)


class EpisodeTask:
    """A task whose batches are new sequences each time: the state starts from zero.

    A subclass says in `_draw` what one batch is.

    Attributes:
        steps: T, of the longest sequence.
        n_in, n_out: features of x and of the labels.
        floor, chance: the lowest loss there is, and that of who remembers nothing.
    """

    steps: int
    n_in: int
    n_out: int
    floor: float
    chance: float

    def batches(self, *, size: int, seed: int = 0, skip: int = 0) -> Stream:
        """An endless stream of batches, each of `size` new sequences.

        Args:
            size: B, sequences in a batch.
            seed: a whole number; the same seed gives the same batches.
            skip: how many batches to leave out at the start, as done already: a stream's `position`.
        """
        where = f"{self!r}.batches"
        (size,) = expect_positive(where, size=size)
        seed, skip = expect_not_negative(where, seed=seed, skip=skip)
        return Stream(partial(self.batch, size=size, seed=seed), skip)

    def batch(self, number: int, *, size: int, seed: int = 0) -> tuple:
        """Batch `number` of the stream that `batches(size=size, seed=seed)` is."""
        where = f"{self!r}.batch"
        (size,) = expect_positive(where, size=size)
        number, seed = expect_not_negative(where, number=number, seed=seed)
        # A spawn key keeps each pair of seed and number apart from the others.
        return self._draw(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,))), size)

    def _draw(self, rng: np.random.Generator, size: int) -> tuple[Any, ...]:
        """One batch of `size` sequences."""
        raise NotImplementedError
