"""The plain recurrent network (Elman 1990)."""

from typing import Any

import numpy as np

from ...arrays import Array, array_module
from ..cache import Cache
from ..initialise import Initialiser, orthogonal
from .base import Recurrent, rows


class RNN(Recurrent):
    """h_t = tanh(x_t Wx + h_{t-1} Wh + b); the state is h, so S = H. Parameters Wx (D, H), Wh (H, H), b (H,).

    Args:
        n_in: D.
        n_hidden: H.
        rng: a numpy Generator or a seed for Wx and Wh; b starts at zero.
        dtype: float32 or float64.
        init: where Wh starts: `orthogonal`, or `identity` (Le et al. 2015).
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
        init: Initialiser = orthogonal,
    ):
        n_in, n_hidden = self._sizes(n_in, n_hidden)
        super().__init__(n_in, n_hidden, n_state=n_hidden, n_gates=1, rng=rng, dtype=dtype, init=init)

    def forward(self, x: Array, s0: Array | None = None, cache: Cache | None = None) -> tuple[Array, Array, Cache]:
        """x (T, B, D), s0 (B, H) -> y (T, B, H), sT (B, H), cache. Keeps x and all h."""
        s0, cache = self._open(x, s0, cache)
        xp, (T, B, _) = array_module(x), x.shape
        hs = cache.buffer("hs", (T + 1, B, self.n_hidden), like=x)
        hs[0] = s0
        a = self._project(x, cache)
        for t in range(T):
            a[t] += hs[t] @ self.params.Wh
            xp.tanh(a[t], out=hs[t + 1])
        cache.finish(hs[1:], x=x, hs=hs)
        sT = cache.buffer("sT", s0.shape, like=x)
        sT[...] = hs[T]
        return hs[1:], sT, cache

    def backward(self, dy: Array | None, cache: Cache, dsT: Array | None = None) -> tuple[Array, Array]:
        """dy (T, B, H), dsT (B, H) -> dx (T, B, D), ds0 (B, H)."""
        dy, dsT = self._open_backward(dy, cache, dsT)
        hs, da = cache.hs, cache.buffer("da", dy.shape, like=dy)
        dh = dsT
        for t in reversed(range(len(dy))):
            dh = dh + dy[t]  # y[t] = h
            da[t] = dh * (1 - hs[t + 1] ** 2)  # h = tanh(a)
            dh = da[t] @ self.params.Wh.T  # a += h[t-1] Wh
        self.grads.Wh += rows(hs[:-1]).T @ rows(da)  # a += h[t-1] Wh, all steps in one product
        return self._project_backward(da, cache), dh
