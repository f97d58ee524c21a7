"""Long short-term memory (Hochreiter and Schmidhuber 1997; with forget gate, Gers et al. 2000)."""

from typing import Any

import numpy as np

from ...arrays import Array, array_module
from ...arrays.checks import expect_number
from ...arrays.kernels import sigmoid
from ..cache import Cache
from .base import Recurrent, rows


class LSTM(Recurrent):
    """c_t = f c_{t-1} + i g and h_t = o tanh(c_t), for i, f, o, g = sigmoid, sigmoid, sigmoid, tanh of x Wx + h Wh + b.

    The state is one array s = [h | c], so S = 2 H. Parameters Wx (D, 4H), Wh (H, 4H), b (4H,), gates in the order
    i f o g.

    Args:
        n_in: D.
        n_hidden: H.
        rng: a numpy Generator or a seed for Wx and Wh; b starts at zero, except the forget gate's part.
        dtype: float32 or float64.
        forget_bias: where the forget gate's part of b starts; at 1 it remembers (Jozefowicz et al. 2015).
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
        forget_bias: float = 1.0,
    ):
        n_in, n_hidden = self._sizes(n_in, n_hidden)
        super().__init__(n_in, n_hidden, n_state=2 * n_hidden, n_gates=4, rng=rng, dtype=dtype)
        self.params.b[n_hidden : 2 * n_hidden] = expect_number("LSTM", "forget_bias", forget_bias, -np.inf)

    def forward(self, x: Array, s0: Array | None = None, cache: Cache | None = None) -> tuple[Array, Array, Cache]:
        """x (T, B, D), s0 (B, 2H) -> y (T, B, H), sT (B, 2H), cache. Keeps x, the gates, all h and all c."""
        s0, cache = self._open(x, s0, cache)
        xp, (T, B, _), H = array_module(x), x.shape, self.n_hidden
        hs = cache.buffer("hs", (T + 1, B, H), like=x)
        cs = cache.buffer("cs", (T + 1, B, H), like=x)
        hs[0], cs[0] = s0[:, :H], s0[:, H:]
        gates = self._project(x, cache)
        for t in range(T):
            a = gates[t]
            a += hs[t] @ self.params.Wh
            sigmoid(a[:, : 3 * H], out=a[:, : 3 * H])
            xp.tanh(a[:, 3 * H :], out=a[:, 3 * H :])
            i, f, o, g = _split(a, H)
            cs[t + 1] = f * cs[t] + i * g
            hs[t + 1] = o * xp.tanh(cs[t + 1])
        cache.finish(hs[1:], x=x, gates=gates, hs=hs, cs=cs)
        sT = cache.buffer("sT", (B, 2 * H), like=x)
        sT[:, :H], sT[:, H:] = hs[T], cs[T]
        return hs[1:], sT, cache

    def backward(self, dy: Array | None, cache: Cache, dsT: Array | None = None) -> tuple[Array, Array]:
        """dy (T, B, H), dsT (B, 2H) -> dx (T, B, D), ds0 (B, 2H)."""
        dy, dsT = self._open_backward(dy, cache, dsT)
        xp, H, hs, cs = array_module(dy), self.n_hidden, cache.hs, cache.cs
        da = cache.buffer("da", cache.gates.shape, like=dy)
        dh, dc = dsT[:, :H], dsT[:, H:]
        for t in reversed(range(len(dy))):
            i, f, o, g = _split(cache.gates[t], H)
            di, df, do, dg = _split(da[t], H)
            tanh_c = xp.tanh(cs[t + 1])
            dh = dh + dy[t]  # y[t] = h
            do[...] = dh * tanh_c * o * (1 - o)  # h = o tanh(c)
            dc = dc + dh * o * (1 - tanh_c**2)  # h = o tanh(c)
            df[...] = dc * cs[t] * f * (1 - f)  # c = f c[t-1] + i g
            di[...] = dc * g * i * (1 - i)  # c = f c[t-1] + i g
            dg[...] = dc * i * (1 - g**2)  # c = f c[t-1] + i g
            dc = dc * f  # c = f c[t-1] + i g
            dh = da[t] @ self.params.Wh.T  # a += h[t-1] Wh
        self.grads.Wh += rows(hs[:-1]).T @ rows(da)  # a += h[t-1] Wh, all steps in one product
        ds0 = cache.buffer("ds0", dsT.shape, like=dsT)
        ds0[:, :H], ds0[:, H:] = dh, dc
        return self._project_backward(da, cache), ds0


def _split(a: Array, H: int) -> tuple[Array, Array, Array, Array]:
    """(B, 4H) -> four views (B, H), in the order i f o g."""
    return a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
