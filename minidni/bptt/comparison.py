"""How far one gradient is from another: a truncated or synthetic one from the exact one."""

from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array, array_module
from .checks import flat, gradient_arrays
from .states import norms


class Comparison(NamedTuple):
    """How an estimate stands to the exact gradient; 0-d arrays on their device, NaN where a norm of zero divides.

    Attributes:
        cosine: of the angle between them; 1 is the same direction.
        ratio: norm of the estimate / norm of the exact one; 1 is the same length.
        error: norm of the difference / norm of the exact one; 0 is the same gradient.
    """

    cosine: Array
    ratio: Array
    error: Array


def flat_gradients(net: Any) -> Array:
    """A copy of all of net's gradients in one one-dimensional array, to compare with later ones."""
    if not (arrays := gradient_arrays(net)):
        raise TypeError(f"bptt.flat_gradients: net is of type {type(net).__name__} without gradients, expected a net")
    return flat(arrays)


def compare(estimate: Array, exact: Array) -> Comparison:
    """Cosine, norm ratio and relative error of one gradient against another of the same shape, over all entries."""
    if getattr(estimate, "shape", None) != getattr(exact, "shape", ()):
        shapes = [tuple(a.shape) if hasattr(a, "shape") else type(a).__name__ for a in (estimate, exact)]
        raise ValueError(f"bptt.compare: estimate is {shapes[0]} and exact {shapes[1]}, expected arrays of one shape")
    xp = array_module(estimate, exact)
    a, b = (g.reshape(-1).astype(np.float64) for g in (estimate, exact))
    size, whole = norms(a), norms(b)
    no_size, no_whole = (xp.where(n > 0, n, xp.nan) for n in (size, whole))
    return Comparison(((a / no_size) * (b / no_whole)).sum(), size / no_whole, norms(a - b) / no_whole)
