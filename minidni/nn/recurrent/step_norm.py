"""Layer norm inside a recurrent layer: one array a step (Ba, Kiros and Hinton 2016, arXiv 1607.06450)."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays import Array, array_module
from ..cache import Cache
from ..normalisation import standardise, standardise_backward

if TYPE_CHECKING:
    from .base import Recurrent


class StepNorm:
    """gamma times the rows of one array a step, brought to mean 0 and variance 1, plus beta where there is a beta.

    It is the identity where the layer is without layer norm, so a walk reads the same with layer norm and without. What
    backward needs, the normalised rows n (T, B, N) and 1 / deviation (T, B, 1), is in the layer's cache.

    Args:
        layer: with layer norm it has gamma_NAME (N,), and beta_NAME (N,) where there is a shift.
        name: which array is normalised: "x" for x Wx, "h" for h Wh, "c" for the cell.
        cache: the layer's.
        like: in forward only, an array of shape (T, B, N).
    """

    def __init__(self, layer: "Recurrent", name: str, cache: Cache, like: Array | None = None):
        self.on = layer.layer_norm
        if not self.on:
            return
        self.gamma, self.beta = layer.params[f"gamma_{name}"], layer.params.get(f"beta_{name}")
        if like is not None:
            n = cache.buffer(f"n_{name}", like.shape, like)
            cache.keep(**{f"n_{name}": n, f"rstd_{name}": cache.buffer(f"rstd_{name}", (*n.shape[:2], 1), like)})
        else:
            self.dgamma, self.dbeta = layer.grads[f"gamma_{name}"], layer.grads.get(f"beta_{name}")
            self.da = cache.buffer(f"da_{name}", cache[f"n_{name}"].shape, like=cache[f"n_{name}"])
        self.n, self.rstd = cache[f"n_{name}"], cache[f"rstd_{name}"]

    def forward(self, t: Any, a: Array, out: Array | None = None) -> Array:
        """a (B, N) of step t -> y (B, N), into `out`. With ... for t all steps at once, a (T, B, N)."""
        if not self.on:
            return a
        _, _, self.rstd[t] = standardise(a, (-1,), out=self.n[t])
        return self.output(t, a, out)

    def output(self, t: Any, a: Array, out: Array | None = None) -> Array:
        """What forward gave for a at step t, once more."""
        if not self.on:
            return a
        y = array_module(a).multiply(self.n[t], self.gamma, out=out)
        if self.beta is not None:
            y += self.beta
        return y

    def backward(self, t: Any, dy: Array) -> Array:
        """dy (B, N) of step t -> da (B, N); adds to the gradients of gamma and beta."""
        if not self.on:
            return dy
        leading = tuple(range(dy.ndim - 1))
        self.dgamma += (dy * self.n[t]).sum(axis=leading)  # y = n gamma
        if self.dbeta is not None:
            self.dbeta += dy.sum(axis=leading)  # y += beta
        return standardise_backward(dy * self.gamma, self.n[t], self.rstd[t], (-1,), out=self.da[t])

    def all_steps(self, dy: Array) -> Array:
        """What backward returned, of all steps (T, B, N): `dy`, which it was given, where this is the identity."""
        return self.da if self.on else dy


def norm_shapes(where: str, layer_norm: bool, n_columns: int, n_cell: int = 0) -> dict[str, tuple[int, ...]]:
    """The parameters that layer norm adds: gamma_x and gamma_h, and for a cell gamma_c and beta_c."""
    if not isinstance(layer_norm, bool | np.bool_):
        raise TypeError(f"{where}: layer_norm is {layer_norm!r}, expected True or False")
    if not layer_norm:
        return {}
    cell = {"gamma_c": (n_cell,), "beta_c": (n_cell,)} if n_cell else {}
    return {"gamma_x": (n_columns,), "gamma_h": (n_columns,), **cell}
