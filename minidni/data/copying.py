"""Copy and repeat-copy: a pattern of random bits is shown, then asked for, once or several times."""

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.checks import expect_float_dtype, expect_positive
from .streams import EpisodeTask

COUNT_SCALE = 10  # the repeat count is shown divided by this, so that it is of the size of the other inputs


class Episodes(NamedTuple):
    """A batch of sequences of different lengths, side by side.

    y, sT, cache = net.forward(x, mask=mask)
    value = loss.value(y[counted], labels[counted])
    dy = np.zeros_like(y)
    dy[counted] = loss.gradient(y[counted], labels[counted])
    """

    x: np.ndarray  # (T, B, D), 0 after a sequence's end
    labels: np.ndarray  # (T, B, N), 0 where no answer is asked for
    mask: np.ndarray  # (T, B) bool: the steps that exist; False behind a sequence's end
    counted: np.ndarray  # (T, B) bool: the steps whose answer counts


class Copying(EpisodeTask):
    """Reproduce a pattern: L steps of random bits, a delimiter, then L steps in which the pattern is the answer.

        for x, labels, mask, counted in Copying(length=5).batches(size=64):
            ...                                                 # see `Episodes`; new sequences: from a zero state

    x has a channel for each bit, 0 or 1 with probability 1/2, and one that is 1 at the delimiter alone; during the
    answer it is 0. Each sequence has a length L of its own, drawn from shortest, ..., length.

    Args:
        length: the longest pattern.
        bits: in a step of the pattern.
        shortest: the shortest pattern; `shortest=length` makes all equally long, to measure one length.
        dtype: of x and the labels, float32 or float64.

    Attributes:
        length, bits, shortest: as given.
        steps: T = 2 length + 1, of the longest sequence.
        floor: 0 nats for each counted step.
        chance: bits * ln 2 nats for each counted step, of who knows when to answer but remembers no bit.
        n_in, n_out: features of x and of the labels, bits + 1 and bits.

    Source: A. Graves, G. Wayne and I. Danihelka, "Neural Turing machines", arXiv 1410.5401, section 4.1.
    """

    floor = 0.0

    def __init__(self, length: int = 1, bits: int = 8, *, shortest: int = 1, dtype: DTypeLike = np.float32):
        self.length, self.bits, self.shortest = expect_positive("Copying", length=length, bits=bits, shortest=shortest)
        _expect_at_most("Copying", "shortest", self.shortest, "length", self.length)
        self.dtype = expect_float_dtype("Copying", dtype)
        self.steps = 2 * self.length + 1
        self.n_in, self.n_out = self.bits + 1, self.bits
        self.chance = self.bits * float(np.log(2))

    def harder(self) -> "Copying":
        """The task with patterns of up to one step more."""
        return Copying(self.length + 1, self.bits, shortest=self.shortest, dtype=self.dtype)

    def _draw(self, rng: np.random.Generator, size: int) -> Episodes:
        lengths = rng.integers(self.shortest, self.length, size, endpoint=True)
        pattern = rng.integers(0, 2, (self.length, size, self.bits))
        x, labels, mask, counted = _copies(pattern, lengths, np.ones_like(lengths), self.steps, self.dtype)
        x[lengths, np.arange(size), self.bits] = 1
        return Episodes(x, labels, mask, counted)

    def __repr__(self) -> str:
        return f"Copying(length={self.length}, bits={self.bits}, shortest={self.shortest})"


class RepeatCopying(EpisodeTask):
    """Reproduce a pattern R times, then say that it is over: as `Copying`, with a count to read and an end to mark.

    x has two channels beside the bits, both 0 except at the delimiter, where one is 1 and the other R / 10. After
    R L steps of answer the labels' last channel, 0 until then, is 1 for one step, and the others are 0. Each sequence
    has an L and an R of its own, drawn from shortest, ..., length and fewest, ..., repeats.

    Args:
        length: the longest pattern.
        repeats: the largest count.
        bits: in a step of the pattern.
        shortest: the shortest pattern.
        fewest: the smallest count.
        dtype: of x and the labels, float32 or float64.

    Attributes:
        length, repeats, bits, shortest, fewest: as given.
        steps: T = length + 1 + length * repeats + 1, of the longest sequence.
        floor: 0 nats for each counted step.
        chance: nats for each counted step, on average, of who knows when to answer and when to end, but remembers no
            bit: bits * ln 2 at the pattern's steps and 0 at the end's.
        n_in, n_out: features of x and of the labels, bits + 2 and bits + 1.

    Source: A. Graves, G. Wayne and I. Danihelka, "Neural Turing machines", arXiv 1410.5401, section 4.2. There the
    count is normalised over its range; here it is divided by 10, so that it means the same when the range grows.
    """

    floor = 0.0

    def __init__(
        self,
        length: int = 1,
        repeats: int = 1,
        bits: int = 8,
        *,
        shortest: int = 1,
        fewest: int = 1,
        dtype: DTypeLike = np.float32,
    ):
        self.length, self.repeats, self.bits, self.shortest, self.fewest = expect_positive(
            "RepeatCopying", length=length, repeats=repeats, bits=bits, shortest=shortest, fewest=fewest
        )
        _expect_at_most("RepeatCopying", "shortest", self.shortest, "length", self.length)
        _expect_at_most("RepeatCopying", "fewest", self.fewest, "repeats", self.repeats)
        self.dtype = expect_float_dtype("RepeatCopying", dtype)
        self.steps = self.length + 1 + self.length * self.repeats + 1
        self.n_in, self.n_out = self.bits + 2, self.bits + 1
        answers = (self.shortest + self.length) / 2 * (self.fewest + self.repeats) / 2  # the mean of L R
        self.chance = self.bits * float(np.log(2)) * answers / (answers + 1)

    def harder(self) -> "RepeatCopying":
        """The task with one repeat more if there are fewer than the pattern's steps, else with one step more.

        From (length, repeats) = (1, 1) this goes on to (2, 1), (2, 2), (3, 2), (3, 3), ...
        """
        longer = self.repeats >= self.length
        return RepeatCopying(
            self.length + longer,
            self.repeats + (not longer),
            self.bits,
            shortest=self.shortest,
            fewest=self.fewest,
            dtype=self.dtype,
        )

    def _draw(self, rng: np.random.Generator, size: int) -> Episodes:
        lengths = rng.integers(self.shortest, self.length, size, endpoint=True)
        counts = rng.integers(self.fewest, self.repeats, size, endpoint=True)
        pattern = rng.integers(0, 2, (self.length, size, self.bits))
        x, labels, mask, counted = _copies(pattern, lengths, counts, self.steps, self.dtype)
        sequences, ends = np.arange(size), lengths + 1 + lengths * counts
        x = np.concatenate([x, np.zeros_like(x[:, :, :1])], axis=2)
        x[lengths, sequences, self.bits] = 1
        x[lengths, sequences, self.bits + 1] = counts / COUNT_SCALE
        labels = np.concatenate([labels, np.zeros_like(labels[:, :, :1])], axis=2)
        labels[ends, sequences, self.bits] = 1
        mask[ends, sequences] = counted[ends, sequences] = True
        return Episodes(x, labels, mask, counted)

    def __repr__(self) -> str:
        return (
            f"RepeatCopying(length={self.length}, repeats={self.repeats}, bits={self.bits}, "
            f"shortest={self.shortest}, fewest={self.fewest})"
        )


def _copies(
    pattern: np.ndarray, lengths: np.ndarray, counts: np.ndarray, steps: int, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The parts of `Episodes`, without what stands at the delimiter: pattern (L, B, bits), lengths, counts (B,)."""
    time = np.arange(steps)[:, None]  # (T, 1), against (B,)
    since = time - lengths - 1  # steps since the answer began
    shown = np.arange(len(pattern))[:, None] < lengths  # (L, B)
    mask = since < lengths * counts  # (T, B)
    counted = mask & (since >= 0)
    x = np.zeros((steps, len(lengths), pattern.shape[2] + 1), dtype)
    x[: len(pattern), :, :-1] = pattern * shown[:, :, None]
    labels = np.zeros((steps, len(lengths), pattern.shape[2]), dtype)
    t, b = np.nonzero(counted)
    labels[t, b] = pattern[since[t, b] % lengths[b], b]
    return x, labels, mask, counted


def _expect_at_most(where: str, name: str, value: int, limit_name: str, limit: int) -> None:
    if value > limit:
        raise ValueError(f"{where}: {name} is {value}, expected at most {limit_name}, which is {limit}")
