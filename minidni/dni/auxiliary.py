"""AuxiliaryHead: the state at a boundary is asked to foretell the gradient at the next one."""

from typing import Any

from ..arrays import Array, device_of
from ..arrays.checks import expect_array, expect_number
from ..nn import Layer, Optimiser
from .checks import expect_layer, expect_optimiser, start_at_zero, where_mask


class AuxiliaryHead:
    """From the state at the start of a window it predicts the synthetic gradient at its end.

    What the state must hold for this comes back as a gradient by that state, so that a state learns to carry what will
    matter after the window that follows (Jaderberg et al. 2017, section 3.1, where it is the auxiliary task):

        dsT = synthesizer.predict(sT)
        dx, ds0 = net.backward(dy, cache, dsT)
        if before is not None:
            ds0 = ds0 + head.gradient(before, dsT)       # before is s0: one more loss of this window, by its state
            synthesizer.fit(before, ds0)

    The window that made the state is over by then. So the gradient reaches it as everything from beyond a boundary
    does: the synthesizer learns it as a part of its target.

    Args:
        net: a feed-forward layer, from the state (B, S) to a message (B, S). Its last layer is set to zero, weight and
            bias, as a synthesizer's is: otherwise its first gradients are many times the true ones.
        optimizer: its own.
        weight: of its loss, in the gradient that comes back.
        zero_start: False to leave the network as it is, one that was trained before.
    """

    def __init__(self, net: Layer, optimizer: Optimiser, weight: float = 1.0, *, zero_start: bool = True):
        expect_layer("AuxiliaryHead", "net", net)
        expect_optimiser("AuxiliaryHead", optimizer)
        self.net, self.optimizer = net, optimizer
        self.weight = expect_number("AuxiliaryHead", "weight", weight)
        self._cache: Any = None
        if zero_start:
            start_at_zero("AuxiliaryHead", net)

    def gradient(self, s: Array, message: Array, *, mask: Array | None = None) -> Array:
        """The gradient by s (B, S) of weight / 2 |net(s) - B message|^2, mean over the rows; the head takes its step.

        Args:
            s: the state at the boundary, (B, S).
            message: the synthetic gradient at the next boundary (B, S), in the units of a mean over the batch.
            mask: (B,), False where a sequence has no such boundary: nothing comes back there.
        """
        where = "AuxiliaryHead.gradient"
        expect_array(where, "s", s, ("B", "S"))
        if mask is not None:
            s = where_mask(where, mask, s)
        y, self._cache = self.net.forward(s, cache=self._cache)
        expect_array(where, "message", message, y.shape, dtype=y.dtype, device=device_of(y))
        off = y / len(s) - message  # the head's own units are those of one example, as the synthesizer's
        if mask is not None:
            off = where_mask(where, mask, off)
        self.net.zero_grads()
        ds = self.net.backward(off, self._cache)
        self.optimizer.step(self.net)
        return self.weight * ds
