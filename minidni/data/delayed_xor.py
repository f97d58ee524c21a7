"""Delayed exclusive or: two bits far apart, neither of which tells anything about the answer on its own."""

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.checks import expect_float_dtype, expect_not_negative
from .streams import EpisodeTask


class DelayedXor(EpisodeTask):
    """Two bits, `delay` blank steps between them, and at the last step the question whether they differ.

        for x, labels in DelayedXor(delay=10).batches(size=64):     # x (12, 64, 1), labels (64, 1)
            y, sT, cache = net.forward(x)                           # new sequences: from a zero state
            SigmoidCrossEntropy().value(y[-1], labels)              # the answer counts at the last step

    x is +1 or -1, with probability 1/2, at step 0 and at step 1 + delay, and 0 elsewhere; `wait` more blank steps may
    follow. The label is 1 if the two differ, else 0. Each bit alone is independent of the label, so until both are
    remembered nothing is gained, and the loss has one plateau, ln 2.

    Args:
        delay: blank steps between the bits.
        wait: blank steps after the second bit; with 0 the answer is asked for at that bit's own step.
        dtype: of x and the labels, float32 or float64.

    Attributes:
        delay, wait: as given.
        steps: T = delay + wait + 2.
        floor: 0 nats.
        chance: ln 2 nats.
        n_in, n_out: features of x and of the labels, 1 and 1.

    There is no one task of this name in the literature; this is the definition used here.
    """

    n_in = n_out = 1
    floor, chance = 0.0, float(np.log(2))

    def __init__(self, delay: int = 10, wait: int = 0, *, dtype: DTypeLike = np.float32):
        self.delay, self.wait = expect_not_negative("DelayedXor", delay=delay, wait=wait)
        self.dtype = expect_float_dtype("DelayedXor", dtype)
        self.steps = self.delay + self.wait + 2

    def harder(self) -> "DelayedXor":
        """The task with one blank step more between the bits."""
        return DelayedXor(self.delay + 1, self.wait, dtype=self.dtype)

    def _draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        first, second = rng.integers(0, 2, (2, size))
        x = np.zeros((self.steps, size, 1), self.dtype)
        x[0, :, 0], x[1 + self.delay, :, 0] = 2 * first - 1, 2 * second - 1
        return x, (first ^ second)[:, None].astype(self.dtype)

    def __repr__(self) -> str:
        return f"DelayedXor(delay={self.delay}, wait={self.wait})"
