"""Synthesizer: predicts what will flow across a boundary from what can be seen there already."""

import math
from typing import Any, Literal

import numpy as np

from ..arrays import Array, array_module, device_of
from ..arrays.checks import expect_array, expect_number
from ..bptt import Comparison, compare
from ..nn import Layer, Optimiser
from .checks import expect_layer, expect_optimiser, hot_labels, start_at_zero, where_mask
from .signals import Signal


class Synthesizer(Signal):
    """A network that predicts the gradient still to come (Jaderberg et al. 2017, arXiv 1608.05343).

        message = synthesizer.predict(trigger, context)        # what to use now, in place of the gradient
        error = synthesizer.fit(trigger, message, context)     # later, when the gradient has arrived

    Between layers the trigger is an activation h (B, N), or images (B, C, H, W); between windows of time it is a state
    s (B, S). The message has the trigger's shape. The context is what else may be looked at: labels (B,), integers, or
    numbers (B, M). The network takes trigger and context side by side, so `Linear(N + 10, N)` is conditional on ten
    classes, and `Linear(N, N)` is unconditional: as a signal it passes labels over.

    - The network's last layer is set to zero, weight and bias: a fresh synthesizer of gradients predicts exactly 0 and
      changes nothing.
    - Losses are means over the batch, so a true gradient shrinks as the batch grows. The network learns the gradient of
      one example's loss, B times the message, by least squares, 1/2 sum over the features, mean over the rows. Neither
      what it predicts for a row nor the learning rate that suits it depends on B.
    - It predicts with `net.training` False and learns with it True: no row's message depends on its neighbours, even
      where a batch norm normalises the input.
    - No future, no gradient: where `mask` (B,) is False the message is exactly 0, and nothing is learned. What trigger
      and message hold there is not looked at; but a batch norm, or `Standardise`, counts such a row as zeros.

    Args:
        net: a feed-forward layer or network, such as `minidni.dni.networks` makes.
        optimizer: an optimiser of its own.
        scale: what the prediction is multiplied with when it is used; it does not enter the target. In time it acts as
            a discount on what is bootstrapped. It may be changed at any time.
        predicts: "gradient", or "input": then the message is an activation, which does not shrink with the batch.
        n_context: columns of the context; None for as many as the network's first layer has beyond the trigger's.
        zero_start: whether the last layer is set to zero; None for True, and for False where inputs are predicted: a
            batch norm above would divide their spread of zero, and send down gradients many times too large. False
            leaves a network that was trained before as it is.
    """

    kind = "a synthetic gradient"

    def __init__(
        self,
        net: Layer,
        optimizer: Optimiser,
        scale: float = 1.0,
        *,
        predicts: Literal["gradient", "input"] = "gradient",
        n_context: int | None = None,
        zero_start: bool | None = None,
    ):
        expect_layer("Synthesizer", "net", net)
        expect_optimiser("Synthesizer", optimizer)
        if predicts not in ("gradient", "input"):
            raise ValueError(f'Synthesizer: predicts is {predicts!r}, expected "gradient" or "input"')
        self.net, self.optimizer, self.predicts = net, optimizer, predicts
        self.scale = scale
        self._n_context = n_context
        self._cache: Any = None
        if zero_start or (zero_start is None and predicts == "gradient"):
            start_at_zero("Synthesizer", net)

    @property
    def scale(self) -> float:
        """What a prediction is multiplied with when it is used."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._scale = expect_number("Synthesizer", "scale", value, -np.inf)

    def predict(self, trigger: Array, context: Array | None = None, *, mask: Array | None = None) -> Array:
        """The message for each row of the trigger, in fresh memory; exactly 0 where `mask` (B,) is False."""
        y = self._forward("predict", trigger, context, mask, training=False)
        message = y * (self.scale / self._units(trigger))
        return message if mask is None else where_mask(f"{self!r}.predict", mask, message)

    def fit(self, trigger: Array, message: Array, context: Array | None = None, *, mask: Array | None = None) -> Array:
        """One step towards the message that has flowed back across the boundary where the trigger stood.

        It runs the network forward again from the trigger, so any number of predictions may have been made meanwhile.

        Returns:
            The relative error before the step, |predicted - message| / |message| with scale 1: a 0-d array, on the
            trigger's device; 0 if both are zero, infinity if only the message is.
        """
        off, target = self._miss(trigger, message, context, mask)
        self._descend(trigger, off)
        return relative(off, target)

    def gradient(self, h: Array, labels: Array | None = None) -> Array:
        """`predict`, as a signal: labels are the context of a conditional synthesizer, and passed over otherwise."""
        return self.predict(h, labels if self.n_context(h) else None)

    def learn(self, h: Array, message: Array, labels: Array | None = None) -> Array:
        """`fit`, as a signal."""
        return self.fit(h, message, labels if self.n_context(h) else None)

    def compare(self, trigger: Array, exact: Array, context: Array | None = None) -> Comparison:
        """Cosine, norm ratio and relative error of what would be predicted now, scale and all, against the truth."""
        return compare(self.predict(trigger, context), exact)

    def n_context(self, trigger: Array) -> int:
        """How many columns of context the network takes beside this trigger's; 0 for an unconditional one."""
        if self._n_context is not None:
            return self._n_context
        first = _first_layer(self.net)
        widths = [getattr(first, name) for name in ("n_in", "c_in", "n_features") if hasattr(first, name)]
        return max(widths[0] - trigger.shape[_features(trigger)], 0) if widths else 0

    def _forward(
        self, method: str, trigger: Array, context: Array | None, mask: Array | None, *, training: bool
    ) -> Array:
        """The network's answer, in the cache's memory."""
        expect_array(f"{self!r}.{method}", "trigger", trigger, ("...", "N"))
        if trigger.size == 0:
            raise ValueError(f"{self!r}.{method}: trigger has shape {tuple(trigger.shape)}, expected at least one row")
        if mask is not None:
            trigger = where_mask(f"{self!r}.{method}", mask, trigger)
        x = self._beside(method, trigger, context)
        self.net.training = training
        y, self._cache = self.net.forward(x, cache=self._cache)
        return y

    def _miss(self, trigger: Array, message: Array, context: Array | None, mask: Array | None) -> tuple[Array, Array]:
        """How far the prediction is off, y - target, and the target, of one example; 0 where the mask is False."""
        where, y = f"{self!r}.fit", self._forward("fit", trigger, context, mask, training=True)
        expect_array(where, "message", message, y.shape, dtype=y.dtype, device=device_of(y))
        target = message * self._units(trigger)
        off = y - target
        return (off, target) if mask is None else (where_mask(where, mask, off), where_mask(where, mask, target))

    def _descend(self, trigger: Array, off: Array) -> None:
        """A step down the gradient of the mean over the rows of 1/2 |off|^2, off = y - target."""
        first = _first_layer(self.net)
        needed, first.needs_dx = first.needs_dx, False  # nobody asks how the message depends on the trigger
        try:
            self.net.zero_grads()
            self.net.backward(off / _rows(trigger), self._cache)
        finally:
            first.needs_dx = needed
        self.optimizer.step(self.net)

    def _beside(self, method: str, trigger: Array, context: Array | None) -> Array:
        """Trigger and context in one array: columns, or planes of images."""
        n, where = self.n_context(trigger), f"{self!r}.{method}"
        if context is None:
            if n:
                raise ValueError(f"{where}: context is None, expected labels or an array with {n} columns")
            return trigger
        if not n:
            raise ValueError(f"{where}: context was given, but the network has no columns for it; expected none")
        leading = _leading(trigger)
        if hasattr(context, "dtype") and context.dtype.kind in "iu":
            expect_array(where, "context", context, leading, dtype=context.dtype)
            context = hot_labels(where, "context", context, n, like=trigger)
        expect_array(where, "context", context, (*leading, n), dtype=trigger.dtype, device=device_of(trigger))
        xp = array_module(trigger)
        if trigger.ndim == 4:
            context = xp.broadcast_to(context[:, :, None, None], (*context.shape, *trigger.shape[2:]))
        return xp.concatenate([trigger, context], axis=_features(trigger))

    def _units(self, trigger: Array) -> int:
        """What one example's gradient is divided by in a mean over the batch; 1 for what is no gradient."""
        return _rows(trigger) if self.predicts == "gradient" else 1

    def __repr__(self) -> str:
        return f"Synthesizer({self.net._name()})"


def _leading(trigger: Array) -> tuple[int, ...]:
    """The axes over which losses are means: all but the features, or the first alone of images."""
    return trigger.shape[:1] if trigger.ndim == 4 else trigger.shape[:-1]


def _rows(trigger: Array) -> int:
    return math.prod(_leading(trigger))


def _features(trigger: Array) -> int:
    return 1 if trigger.ndim == 4 else -1


def relative(off: Array, target: Array) -> Array:
    """|off| / |target|, 0 for 0 / 0, without waiting for a GPU."""
    xp = array_module(off)
    a, b = (xp.sqrt(xp.square(x, dtype=np.float64).sum()) for x in (off, target))
    return xp.where(b > 0, a / xp.where(b > 0, b, 1), xp.where(a > 0, np.inf, a))


def _first_layer(net: Layer) -> Layer:
    while children := net.children():
        net = next(iter(children.values()))
    return net
