"""Long short-term memory (Hochreiter and Schmidhuber 1997; with forget gate, Gers et al. 2000)."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ...arrays import Array, array_module
from ...arrays.checks import expect_number
from ...arrays.kernels import sigmoid
from ..cache import Cache
from .base import Form, Recurrent, carry, rows, split_off
from .fast import lstm as fast
from .fused import lstm as fused
from .step_norm import StepNorm, norm_shapes


class LSTM(Recurrent):
    """c_t = f c_{t-1} + i g and h_t = o tanh(c_t), for i, f, o, g = sigmoid, sigmoid, sigmoid, tanh of x Wx + h Wh + b.

    The state is one array s = [h | c], so S = 2 H. Parameters Wx (D, 4H), Wh (H, 4H), b (4H,), gates in the order
    i f o g. With layer norm h_t = o tanh(norm(c_t)), with gamma_c and beta_c (H,) (Ba et al. 2016, eqs. 20-22).

    Args:
        n_in: D.
        n_hidden: H.
        rng: a numpy Generator or a seed for Wx and Wh; b starts at zero, except the forget gate's part.
        dtype: float32 or float64.
        forget_bias: where the forget gate's part of b starts; at 1 it remembers (Jozefowicz et al. 2015).
        layer_norm: normalise x Wx, h Wh and, on its way out, c.
    """

    _forms: ClassVar[Mapping[str, Form]] = {
        "features first": (fast.walk, fast.walk_back),
        "fused": (fused.walk, fused.walk_back),
    }

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
        forget_bias: float = 1.0,
        layer_norm: bool = False,
    ):
        n_in, n_hidden = self._sizes(n_in, n_hidden)
        extra = norm_shapes("LSTM", layer_norm, 4 * n_hidden, n_hidden)
        super().__init__(n_in, n_hidden, n_state=2 * n_hidden, n_gates=4, extra=extra, rng=rng, dtype=dtype)
        self.params.b[n_hidden : 2 * n_hidden] = expect_number("LSTM", "forget_bias", forget_bias, -np.inf)

    def _walk(self, x: Array, s0: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
        """x (T, B, D), s0 (B, 2H) -> y (T, B, H), sT (B, 2H). Keeps the gates, all h and all c."""
        xp, (T, B, _), H = array_module(x), x.shape, self.n_hidden
        hs = cache.buffer("hs", (T + 1, B, H), like=x)
        cs = cache.buffer("cs", (T + 1, B, H), like=x)
        hs[0], cs[0] = s0[:, :H], s0[:, H:]
        gates = self._project(x, cache)
        norm_h, norm_c = StepNorm(self, "h", cache, like=gates), StepNorm(self, "c", cache, like=cs[1:])
        for t in range(T):
            a = gates[t]
            a += norm_h.forward(t, hs[t] @ self.params.Wh)
            sigmoid(a[:, : 3 * H], out=a[:, : 3 * H])
            xp.tanh(a[:, 3 * H :], out=a[:, 3 * H :])
            i, f, o, g = _split(a, H)
            cs[t + 1] = f * cs[t] + i * g
            hs[t + 1] = o * xp.tanh(norm_c.forward(t, cs[t + 1]))
            carry(mask, t, hs, cs)
        cache.keep(gates=gates, hs=hs, cs=cs)
        sT = cache.buffer("sT", (B, 2 * H), like=x)
        sT[:, :H], sT[:, H:] = hs[T], cs[T]
        return hs[1:], sT

    def _walk_back(self, dy: Array, dsT: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
        """dy (T, B, H), dsT (B, 2H) -> dx (T, B, D), ds0 (B, 2H)."""
        xp, H, hs, cs = array_module(dy), self.n_hidden, cache.hs, cache.cs
        da = cache.buffer("da", cache.gates.shape, like=dy)
        norm_h, norm_c = StepNorm(self, "h", cache), StepNorm(self, "c", cache)
        dh, dc = dsT[:, :H], dsT[:, H:]
        for t in reversed(range(len(dy))):
            i, f, o, g = _split(cache.gates[t], H)
            di, df, do, dg = _split(da[t], H)
            tanh_c = xp.tanh(norm_c.output(t, cs[t + 1]))
            (dh, h_past), (dc, c_past) = split_off(mask, t, dh), split_off(mask, t, dc)  # masked: s[t] = s[t-1]
            dh = dh + dy[t]  # y[t] = h
            do[...] = dh * tanh_c * o * (1 - o)  # h = o tanh(norm(c))
            dc = dc + norm_c.backward(t, dh * o * (1 - tanh_c**2))  # h = o tanh(norm(c))
            df[...] = dc * cs[t] * f * (1 - f)  # c = f c[t-1] + i g
            di[...] = dc * g * i * (1 - i)  # c = f c[t-1] + i g
            dg[...] = dc * i * (1 - g**2)  # c = f c[t-1] + i g
            dc = dc * f + c_past  # c = f c[t-1] + i g
            dh = norm_h.backward(t, da[t]) @ self.params.Wh.T + h_past  # a += norm(h[t-1] Wh)
        self.grads.Wh += rows(hs[:-1]).T @ rows(norm_h.all_steps(da))  # h[t-1] Wh, all steps in one product
        ds0 = cache.buffer("ds0", dsT.shape, like=dsT)
        ds0[:, :H], ds0[:, H:] = dh, dc
        return self._project_backward(da, cache), ds0


def _split(a: Array, H: int) -> tuple[Array, Array, Array, Array]:
    """(B, 4H) -> four views (B, H), in the order i f o g."""
    return a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
