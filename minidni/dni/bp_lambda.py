"""Accumulate BP(lambda): a synthesizer that learns from all later windows, forwards, by eligibility traces."""

from typing import Any

from ..arrays import Array, array_module, device_of
from ..arrays.checks import expect_array, expect_fraction
from ..bptt.checks import scratch_gradients
from ..nn import Linear, Optimiser
from .checks import got, where_mask
from .synthesizer import Synthesizer, relative


class TracedSynthesizer(Synthesizer):
    """A linear synthesizer in time with an eligibility trace: accumulate BP(lambda) (Pemberton and Costa 2024,
    arXiv 2401.07044).

    At the boundary k, with state s_k, synthesizer g, discount gamma (the scale), J_k = ds_k/ds_{k-1} and theta the
    parameters of g,

        delta_k = (dL_k/ds_{k+1} + gamma g(s_{k+1})) J_{k+1} - g(s_k)         the bootstrapped error
        e_k     = gamma lambda J_k e_{k-1} + dg(s_k)/dtheta                  the trace
        theta  += lr mean over the sequences of delta_k e_k

    delta_k is `message - prediction`, with the ds0 of `backward(dy, cache, dsT)` as the message. lambda = 0 is `fit` of
    a `Synthesizer`; with lambda = 1 and scale 1 the steps of a whole sequence, with all weights held fixed, add up to
    those towards the true gradient. The trace holds B S S (S + 1) numbers.

    Args:
        net: a Linear(S, S): unconditional.
        optimizer: its own.
        scale: gamma.
        lam: lambda, from 0 to 1.
        zero_start: as in `Synthesizer`.
    """

    def __init__(
        self, net: Linear, optimizer: Optimiser, scale: float = 1.0, lam: float = 1.0, *, zero_start: bool = True
    ):
        if not isinstance(net, Linear) or net.n_in != net.n_out:
            raise TypeError(f"TracedSynthesizer: net is {got(net)}, expected a Linear(S, S)")
        super().__init__(net, optimizer, scale, zero_start=zero_start)
        self.lam = expect_fraction("TracedSynthesizer", "lam", lam)
        self._trace: Array | None = None

    def fit(
        self,
        trigger: Array,
        message: Array,
        context: Array | None = None,
        *,
        mask: Array | None = None,
        jacobian: Array | None = None,
    ) -> Array:
        """One step, from the message that has flowed back to the boundary where the trigger s_k stood.

        Args:
            trigger: s_k, (B, S).
            message: the ds0 (B, S) of the window behind it.
            context: None; there is no room for one.
            mask: (B,), False where a sequence has no such boundary; its trace is dropped.
            jacobian: ds_k/ds_{k-1} (B, S, S) of the window before it, of `window_jacobian`; None at the start of all
                sequences. For a sequence that starts anew it is zero.

        Returns:
            The relative error before the step, as in `Synthesizer`.
        """
        where, (off, target) = f"{self!r}.fit", self._miss(trigger, message, context, mask)  # off is -delta
        xp, (B, S) = array_module(off), off.shape
        if mask is not None:
            trigger = where_mask(where, mask, trigger)
        # e[b, i, j, k] = de_i/dW[j, k], row S of j the bias; dg_i/dW[j, k] is s_j where i = k.
        trace = xp.zeros((B, S, S + 1, S), off.dtype)
        if jacobian is not None and self._trace is not None:
            expect_array(where, "jacobian", jacobian, (B, S, S), dtype=off.dtype, device=device_of(off))
            expect_array(where, "trigger", trigger, (len(self._trace), S))
            xp.matmul(self.scale * self.lam * jacobian, self._trace.reshape(B, S, -1), out=trace.reshape(B, S, -1))
        i = xp.arange(S)
        trace[:, i, :S, i] += trigger
        trace[:, i, S, i] += 1
        if mask is not None:
            trace = where_mask(where, mask, trace)
        self._trace = trace
        gradient = (off.reshape(1, -1) @ trace.reshape(B * S, -1)).reshape(S + 1, S) / B
        self.net.zero_grads()
        self.net.grads.W += gradient[:S]
        self.net.grads.b += gradient[S]
        self.optimizer.step(self.net)
        return relative(off, target)

    def forget(self) -> None:
        """Drop the trace, at the start of new sequences."""
        self._trace = None


def window_jacobian(net: Any, x: Array, s0: Array | None = None) -> Array:
    """dsT/ds0 (B, S, S) through a whole window x (T, B, ...); `net.grads` stay as they are.

    Each sequence is run as S copies of itself, with a unit vector as dsT for each.
    """
    xp, S = array_module(x), net.n_state
    with scratch_gradients(net):
        _, sT, cache = net.forward(xp.repeat(x, S, axis=1), None if s0 is None else xp.repeat(s0, S, axis=0))
        _, ds0 = net.backward(None, cache, xp.tile(xp.eye(S, dtype=sT.dtype), (x.shape[1], 1)))
    return ds0.reshape(-1, S, S).copy()
