"""The plain recurrent network (Elman 1990)."""

from typing import Any

import numpy as np

from ...arrays import Array, array_module
from ..cache import Cache
from ..initialise import Initialiser, orthogonal
from .base import Recurrent, carry, rows, split_off
from .step_norm import StepNorm, norm_shapes


class RNN(Recurrent):
    """h_t = tanh(x_t Wx + h_{t-1} Wh + b); the state is h, so S = H. Parameters Wx (D, H), Wh (H, H), b (H,).

    Args:
        n_in: D.
        n_hidden: H.
        rng: a numpy Generator or a seed for Wx and Wh; b starts at zero.
        dtype: float32 or float64.
        init: where Wh starts: `orthogonal`, or `identity` (Le et al. 2015).
        layer_norm: normalise x Wx and h Wh, each by itself (equation 4 of Ba et al. 2016 normalises their sum).
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
        init: Initialiser = orthogonal,
        layer_norm: bool = False,
    ):
        n_in, n_hidden = self._sizes(n_in, n_hidden)
        extra = norm_shapes("RNN", layer_norm, n_hidden)
        super().__init__(n_in, n_hidden, n_state=n_hidden, n_gates=1, extra=extra, rng=rng, dtype=dtype, init=init)

    def _walk(self, x: Array, s0: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
        """x (T, B, D), s0 (B, H) -> y (T, B, H), sT (B, H). Keeps all h."""
        xp, (T, B, _) = array_module(x), x.shape
        hs = cache.buffer("hs", (T + 1, B, self.n_hidden), like=x)
        hs[0] = s0
        a = self._project(x, cache)
        norm_h = StepNorm(self, "h", cache, like=a)
        for t in range(T):
            a[t] += norm_h.forward(t, hs[t] @ self.params.Wh)
            xp.tanh(a[t], out=hs[t + 1])
            carry(mask, t, hs)
        cache.keep(hs=hs)
        sT = cache.buffer("sT", s0.shape, like=x)
        sT[...] = hs[T]
        return hs[1:], sT

    def _walk_back(self, dy: Array, dsT: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
        """dy (T, B, H), dsT (B, H) -> dx (T, B, D), ds0 (B, H)."""
        hs, da = cache.hs, cache.buffer("da", dy.shape, like=dy)
        norm_h = StepNorm(self, "h", cache)
        dh = dsT
        for t in reversed(range(len(dy))):
            dh, past = split_off(mask, t, dh)  # a masked step hands h on
            dh = dh + dy[t]  # y[t] = h
            da[t] = dh * (1 - hs[t + 1] ** 2)  # h = tanh(a)
            dh = norm_h.backward(t, da[t]) @ self.params.Wh.T + past  # a += norm(h[t-1] Wh)
        self.grads.Wh += rows(hs[:-1]).T @ rows(norm_h.all_steps(da))  # h[t-1] Wh, all steps in one product
        return self._project_backward(da, cache), dh
