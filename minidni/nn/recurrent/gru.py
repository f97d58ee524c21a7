"""The gated recurrent unit (Cho et al. 2014, in the variant of cuDNN and PyTorch)."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ...arrays import Array, array_module
from ...arrays.kernels import sigmoid
from ..cache import Cache
from .base import Form, Recurrent, carry, rows, split_off
from .fast import gru as fast
from .fused import gru as fused
from .step_norm import StepNorm, norm_shapes


class GRU(Recurrent):
    """h_t = (1 - z) n + z h_{t-1}, with r, z = sigmoid(x Wx + b + h Wh + bh) and n = tanh(x Wx + b + r (h Wh + bh)).

    The state is h, so S = H. Parameters Wx (D, 3H), Wh (H, 3H), b (3H,) and bh (3H,), gates in the order r z n. The
    reset gate acts on h Wh + bh, after the product, so one product a step serves all gates.

    Args:
        n_in: D.
        n_hidden: H.
        rng: a numpy Generator or a seed for Wx and Wh; b and bh start at zero.
        dtype: float32 or float64.
        layer_norm: normalise x Wx and h Wh, each over all three gates.
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
        layer_norm: bool = False,
    ):
        n_in, n_hidden = self._sizes(n_in, n_hidden)
        extra = {"bh": (3 * n_hidden,), **norm_shapes("GRU", layer_norm, 3 * n_hidden)}
        super().__init__(n_in, n_hidden, n_state=n_hidden, n_gates=3, extra=extra, rng=rng, dtype=dtype)

    def _walk(self, x: Array, s0: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
        """x (T, B, D), s0 (B, H) -> y (T, B, H), sT (B, H). Keeps the gates, n's h Wh + bh, and all h."""
        xp, (T, B, _), H = array_module(x), x.shape, self.n_hidden
        hs = cache.buffer("hs", (T + 1, B, H), like=x)
        us = cache.buffer("us", (T, B, H), like=x)
        hs[0] = s0
        gates = self._project(x, cache)
        norm_h = StepNorm(self, "h", cache, like=gates)
        for t in range(T):
            a = gates[t]
            u = norm_h.forward(t, hs[t] @ self.params.Wh) + self.params.bh
            a[:, : 2 * H] += u[:, : 2 * H]
            sigmoid(a[:, : 2 * H], out=a[:, : 2 * H])
            us[t] = u[:, 2 * H :]
            r, z, n = _split(a, H)
            n += r * us[t]
            xp.tanh(n, out=n)
            hs[t + 1] = (1 - z) * n + z * hs[t]
            carry(mask, t, hs)
        cache.keep(gates=gates, us=us, hs=hs)
        sT = cache.buffer("sT", s0.shape, like=x)
        sT[...] = hs[T]
        return hs[1:], sT

    def _walk_back(self, dy: Array, dsT: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
        """dy (T, B, H), dsT (B, H) -> dx (T, B, D), ds0 (B, H)."""
        H, hs, us = self.n_hidden, cache.hs, cache.us
        da = cache.buffer("da", cache.gates.shape, like=dy)
        du = cache.buffer("du", cache.gates.shape, like=dy)
        norm_h = StepNorm(self, "h", cache)
        dh = dsT
        for t in reversed(range(len(dy))):
            r, z, n = _split(cache.gates[t], H)
            dr, dz, dn = _split(da[t], H)
            dh, past = split_off(mask, t, dh)  # a masked step hands h on
            dh = dh + dy[t]  # y[t] = h
            dz[...] = dh * (hs[t] - n) * z * (1 - z)  # h = (1 - z) n + z h[t-1]
            dn[...] = dh * (1 - z) * (1 - n**2)  # h = (1 - z) n + z h[t-1]
            dr[...] = dn * us[t] * r * (1 - r)  # a_n += r u_n
            du[t] = da[t]  # a_r += u_r, a_z += u_z
            du[t, :, 2 * H :] *= r  # a_n += r u_n
            dh = dh * z + norm_h.backward(t, du[t]) @ self.params.Wh.T + past  # z h[t-1], u = norm(h[t-1] Wh) + bh
        self.grads.bh += du.sum(axis=(0, 1))  # u = norm(h[t-1] Wh) + bh
        self.grads.Wh += rows(hs[:-1]).T @ rows(norm_h.all_steps(du))  # h[t-1] Wh, all steps in one product
        return self._project_backward(da, cache), dh


def _split(a: Array, H: int) -> tuple[Array, Array, Array]:
    """(B, 3H) -> three views (B, H), in the order r z n."""
    return a[:, :H], a[:, H : 2 * H], a[:, 2 * H :]
