"""Masks of sequences that have no step at some times."""

from ..arrays import Array, array_module
from .cache import Cache


def masked(a: Array, mask: Array | None, cache: Cache, name: str) -> Array:
    """a (T, B, ...) with zeros where the mask (T, B) is False, in the cache's buffer of this name.

    What stands there may be anything, NaN too. Without a mask, or if it holds tokens, it is a itself.
    """
    if mask is None or a.dtype.kind not in "fc":
        return a
    out = cache.buffer(name, a.shape, like=a)
    out[...] = 0
    array_module(a).copyto(out, a, where=mask.reshape(mask.shape + (1,) * (a.ndim - 2)))
    return out
