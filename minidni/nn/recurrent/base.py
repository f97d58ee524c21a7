"""What the recurrent layers share: the contract with a state, and the two products that span the whole window."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...arrays import Array, array_module, device_of
from ...arrays.checks import expect_array, expect_generator, expect_positive
from ..cache import Cache, expect_cache
from ..initialise import Initialiser, draw, fan_in_uniform, orthogonal
from ..layer import Layer


class Recurrent(Layer):
    """A layer that walks along time and hands on a state.

        y, sT, cache = layer.forward(x, s0)        # x (T, B, D), s0 (B, S) -> y (T, B, H), sT (B, S)
        dx, ds0 = layer.backward(dy, cache, dsT)   # dsT is the door through which a synthetic gradient enters

    The state is one array, so time has the same kind of boundary as depth. `None` for s0 or dsT means zeros. In all
    arrays that the cache keeps over time, row 0 of those with T + 1 rows is the start.

    Args:
        n_in: D.
        n_hidden: H.
        n_state: S.
        n_gates: how many blocks of H columns Wx, Wh and b have.
        extra: name -> shape of further parameters.
        rng: a numpy Generator or a seed: Wx uniform within 1 / sqrt(D), then each H x H block of Wh orthogonal.
        dtype: float32 or float64.
    """

    n_outputs = 2
    _shown = ("n_in", "n_hidden")

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        n_state: int,
        n_gates: int,
        extra: Mapping[str, tuple[int, ...]] | None = None,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
        init: Initialiser = orthogonal,
    ):
        D, H, G = n_in, n_hidden, n_gates
        self.n_in, self.n_hidden, self.n_state, self.n_gates = n_in, n_hidden, n_state, n_gates
        super().__init__({"Wx": (D, G * H), "Wh": (H, G * H), "b": (G * H,), **(extra or {})}, dtype=dtype)
        rng = expect_generator(type(self).__name__, rng)
        self.params.Wx = fan_in_uniform(rng, (D, G * H))
        self.params.Wh = np.hstack([draw(type(self).__name__, init, rng, (H, H)) for _ in range(G)])

    def forward(self, x: Array, s0: Array | None = None, cache: Cache | None = None) -> tuple[Array, Array, Cache]:
        """x (T, B, D), s0 (B, S) -> y (T, B, H), sT (B, S), cache."""
        raise NotImplementedError

    def backward(self, dy: Array | None, cache: Cache, dsT: Array | None = None) -> tuple[Array, Array]:
        """dy (T, B, H), dsT (B, S) -> dx (T, B, D), ds0 (B, S); adds to `grads`."""
        raise NotImplementedError

    @classmethod
    def _sizes(cls, n_in: int, n_hidden: int) -> tuple[int, ...]:
        return expect_positive(cls.__name__, n_in=n_in, n_hidden=n_hidden)

    def _open(self, x: Array, s0: Array | None, cache: Cache | None) -> tuple[Array, Cache]:
        """Check forward's arguments; returns s0, zeros if it is None, and the cache."""
        self._expect_x(x, "T", "B", self.n_in)
        where = f"{self._name()}.forward"
        if len(x) == 0:
            raise ValueError(f"{where}: x has no time steps (shape {x.shape}), expected at least one")
        cache = Cache.open(self, cache)
        if s0 is None:
            s0 = array_module(x).zeros((x.shape[1], self.n_state), x.dtype)
        expect_array(where, "s0", s0, (x.shape[1], self.n_state), dtype=x.dtype, device=device_of(x))
        return s0, cache

    def _open_backward(self, dy: Array | None, cache: Cache, dsT: Array | None) -> tuple[Array, Array]:
        """Check backward's arguments; returns dy and dsT, zeros where they are None."""
        expect_cache(self, "backward", cache)
        x, xp = cache.x, array_module(cache.x)
        if dy is None:
            dy = xp.zeros((*x.shape[:2], self.n_hidden), x.dtype)
        self._expect_dy(dy, cache)
        if dsT is None:
            dsT = xp.zeros((x.shape[1], self.n_state), x.dtype)
        expect_array(
            f"{self._name()}.backward", "dsT", dsT, (x.shape[1], self.n_state), dtype=x.dtype, device=device_of(x)
        )
        return dy, dsT

    def _project(self, x: Array, cache: Cache) -> Array:
        """a = x Wx + b for all steps in one product: (T, B, D) -> (T, B, G H)."""
        a = cache.buffer("a", (*x.shape[:2], self.params.b.size), like=x)
        array_module(x).matmul(rows(x), self.params.Wx, out=rows(a))
        a += self.params.b
        return a

    def _project_backward(self, da: Array, cache: Cache) -> Array:
        """From da (T, B, G H): adds to the gradients of Wx and b, returns dx (T, B, D)."""
        self.grads.b += da.sum(axis=(0, 1))  # a += b
        self.grads.Wx += rows(cache.x).T @ rows(da)  # a = x Wx
        dx = cache.buffer("dx", cache.x.shape, like=da)
        array_module(da).matmul(rows(da), self.params.Wx.T, out=rows(dx))  # a = x Wx
        return dx


def rows(a: Array) -> Array:
    """All steps of all sequences as rows of one matrix: (T, B, N) -> (T B, N)."""
    return a.reshape(a.shape[0] * a.shape[1], a.shape[2])
