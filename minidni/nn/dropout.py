"""Dropout."""

import numpy as np

from ..arrays import Array, array_module, device_of, to_device
from ..arrays.checks import expect_generator, expect_number
from .cache import Cache
from .layer import Layer


class Dropout(Layer):
    """Sets each entry to 0 with probability p and divides the others by 1 - p, so the mean stays (Srivastava 2014).

    Any shape. While `training` is False, y is a copy of x. The mask is drawn on the host in the order of the passes, so
    NumPy and CuPy drop the same entries.

    Args:
        p: from 0 up to, not including, 1.
        rng: a numpy Generator or a seed.
    """

    _shown = ("p",)

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | int | None = None):
        self.p = expect_number("Dropout", "p", p, 0, 1)
        self.rng = expect_generator("Dropout", rng)
        super().__init__()

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (...) -> y (...), cache. Keeps the mask: 0 or 1 / (1 - p)."""
        self._expect_x(x, "...")
        xp, cache = array_module(x), Cache.open(self, cache)
        mask = cache.buffer("mask", x.shape, like=x)
        mask[...] = 1
        if self.training:
            mask *= to_device(self.rng.random(x.shape) >= self.p, device_of(x))
            mask /= 1 - self.p
        y = xp.multiply(x, mask, out=cache.buffer("y", x.shape, like=x))
        cache.finish(y, mask=mask)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array:
        """dy (...) -> dx (...)."""
        self._expect_dy(dy, cache)
        return array_module(dy).multiply(dy, cache.mask, out=cache.buffer("dx", dy.shape, like=dy))
