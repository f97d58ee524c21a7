"""The two-lag add task: an endless stream whose loss says exactly which of two inputs was remembered."""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.checks import expect_array, expect_float_dtype, expect_not_negative, expect_positive
from .streams import Stream

BASE = 0.5  # P(y = 1) when both remembered bits are 0
WEIGHTS = (0.5, -0.25)  # what a 1 at the first and at the second lag adds to it


class TwoLag:
    """Coin flips in, and a biased coin to predict: P(y_t = 1) = 1/2 + x_{t - t1} / 2 - x_{t - t2} / 4.

        task = TwoLag(lags=(3, 5))
        for x, labels in task.windows(size=128, length=2):     # endless: carry the state
            ...

    The x_t are independent, 0 or 1 with probability 1/2; before the start they are 0. No network can predict y_t
    better than its probability given what is remembered of x, so the lowest reachable loss is known exactly, and the
    plateau a run sits on names what was learned:

    >>> {lags: round(floor, 4) for lags, floor in TwoLag(lags=(3, 5)).floors.items()}
    {(): 0.6616, (3,): 0.5192, (5,): 0.6277, (3, 5): 0.4545}

    Args:
        lags: t1 and t2, two different whole numbers of at least 0.
        dtype: of x and the labels, float32 or float64.

    Attributes:
        floors: remembered lags -> lowest loss in nats, from the definition. It holds once t >= max(lags).
        floor: the lowest loss with both remembered.
        chance: the lowest loss with nothing remembered.
        n_in, n_out: features of x and of the labels, 1 and 1.

    Source: the toy problem of R2RT, "Recurrent Neural Networks in Tensorflow I", 2016, there with lags 3 and 8.
    """

    n_in = n_out = 1

    def __init__(self, lags: tuple[int, int] = (3, 5), *, dtype: DTypeLike = np.float32):
        self.lags = _two_lags(lags)
        self.dtype = expect_float_dtype("TwoLag", dtype)
        self.floors = {kept: _conditional_entropy(self.lags, kept) for kept in _subsets(self.lags)}
        self.floor, self.chance = self.floors[self.lags], self.floors[()]

    def probability(self, x: np.ndarray) -> np.ndarray:
        """P(y = 1) at every step, given the inputs from the very start: x (T, B, 1) -> (T, B, 1)."""
        expect_array(f"{self!r}.probability", "x", x, ("T", "B", 1))
        return self._probability(np.concatenate([np.zeros_like(x, shape=(max(self.lags), *x.shape[1:])), x]))

    def _probability(self, x: np.ndarray) -> np.ndarray:
        """The same from x that begins max(lags) steps earlier: (max(lags) + T, B, 1) -> (T, B, 1)."""
        steps = len(x) - max(self.lags)
        first, second = (x[max(self.lags) - lag :][:steps] for lag in self.lags)
        return BASE + WEIGHTS[0] * first + WEIGHTS[1] * second

    def windows(self, *, size: int, length: int, seed: int = 0, skip: int = 0) -> Stream:
        """An endless stream of windows of the same sequences: x (T, B, 1) and labels (T, B, 1), 0 or 1.

        Each window goes on where the one before ended, so the state is carried. The sequences do not depend on
        `length`: windows of any length, put together, are the same.

        Args:
            size: B, how many sequences run side by side.
            length: T, steps in a window.
            seed: a whole number; the same seed and size give the same sequences.
            skip: how many windows to leave out at the start, as done already: a stream's `position`.
        """
        where = f"{self!r}.windows"
        size, length = expect_positive(where, size=size, length=length)
        seed, skip = expect_not_negative(where, seed=seed, skip=skip)
        return TwoLagWindows(self, size, length, seed, skip)

    def __repr__(self) -> str:
        return f"TwoLag(lags={self.lags})"


class TwoLagWindows(Stream):
    """What `TwoLag.windows` makes: the random numbers of a step lie side by side, so no window length changes them."""

    def __init__(self, task: TwoLag, size: int, length: int, seed: int, skip: int):
        super().__init__(self._window, skip)
        self._task, self._size, self._length = task, size, length
        reach, done = max(task.lags), skip * length
        generator = np.random.PCG64(seed)
        generator.advance(2 * size * max(done - reach, 0))  # random() takes one step of PCG64 for each number
        self._rng = np.random.Generator(generator)
        self._recent = np.zeros((reach, size, 1), task.dtype)  # the last max(lags) inputs
        if done:
            self._recent[-done:] = self._flip(min(done, reach))[0]

    def _flip(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """The next inputs, and the numbers from 0 to 1 that decide their labels, both (steps, B, 1)."""
        numbers = self._rng.random((steps, 2, self._size))
        return (numbers[:, 0, :, None] < 0.5).astype(self._task.dtype), numbers[:, 1, :, None]

    def _window(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        x, numbers = self._flip(self._length)
        seen = np.concatenate([self._recent, x])
        self._recent = seen[self._length :]
        return x, (numbers < self._task._probability(seen)).astype(self._task.dtype)


def _two_lags(lags: Any) -> tuple[int, int]:
    if not isinstance(lags, list | tuple) or len(lags) != 2:
        raise TypeError(f"TwoLag: lags is {lags!r}, expected two whole numbers")
    first, second = expect_not_negative("TwoLag", **{f"lags[{i}]": lag for i, lag in enumerate(lags)})
    if first == second:
        raise ValueError(f"TwoLag: lags is {lags!r}, expected two different numbers")
    return first, second


def _subsets(lags: tuple[int, int]) -> list[tuple[int, ...]]:
    return [(), lags[:1], lags[1:], lags]


def _conditional_entropy(lags: tuple[int, int], kept: tuple[int, ...]) -> float:
    """H(y | the bits at the lags `kept`), in nats: every pair of bits, averaged over those that are not kept."""
    given: dict[tuple[int, ...], list[float]] = {}
    for bits in product((0, 1), repeat=2):
        p = BASE + sum(weight * bit for weight, bit in zip(WEIGHTS, bits, strict=True))
        seen = tuple(bit for lag, bit in zip(lags, bits, strict=True) if lag in kept)
        given.setdefault(seen, []).append(p)
    return float(np.mean([_coin_entropy(float(np.mean(ps))) for ps in given.values()]))


def _coin_entropy(p: float) -> float:
    return -sum(q * np.log(q) for q in (p, 1 - p) if q > 0)
