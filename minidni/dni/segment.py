"""Segment: a piece of a network that learns without waiting for the rest."""

from typing import Any, NamedTuple

from ..arrays import Array
from ..arrays.checks import expect_number
from ..nn import Cache, Layer, Optimiser, clip_norm
from .checks import expect_network, expect_optimiser, expect_signal
from .passes import backward, forward
from .synthesizer import Synthesizer


class Segment:
    """A network, the signal at its upper end, and an optimiser: all that one update takes.

        h, dx = segment.step(x, labels)

    h is what the segment above sees. dx is what flows back across the boundary below: the target of the signal there.
    So a synthesizer learns from a dx that was itself made with a synthetic gradient (it bootstraps), and no code is
    needed for that. A segment knows no other, and pickles.

    Args:
        net: a layer or network. A recurrent one starts from the state zero at each step; its h is y (T, B, H).
        signal: what answers `gradient(h, labels)` at its upper end: a loss for the topmost segment, a `Synthesizer` or
            another signal below it.
        optimizer: the segment's own. Its parameters alone are updated by it.
        clip: largest norm of the segment's gradient, or None.
        name: for reports; None for what the network is.
        inputs: a `Synthesizer(..., predicts="input")` of the segment's input, for a chain without a forward lock.
    """

    def __init__(
        self,
        net: Layer,
        signal: Any,
        optimizer: Optimiser,
        *,
        clip: float | None = None,
        name: str | None = None,
        inputs: Synthesizer | None = None,
    ):
        expect_network("Segment", "net", net)
        expect_signal("Segment", "signal", signal)
        expect_optimiser("Segment", optimizer)
        if inputs is not None and getattr(inputs, "predicts", None) != "input":
            raise TypeError(f'Segment: inputs is {inputs!r}, expected a Synthesizer with predicts="input"')
        self.net, self.signal, self.optimizer, self.inputs = net, signal, optimizer, inputs
        self.clip = None if clip is None else expect_number("Segment", "clip", clip, open_low=True)
        self.name = net._name() if name is None else str(name)

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x -> h, cache; h lies in the memory of the old cache, if one is handed in."""
        return forward(self.net, x, cache)

    def backward(self, dh: Array, cache: Cache) -> Array | None:
        """From dL/dh, or what is used in its place: dx; adds to the gradients."""
        return backward(self.net, dh, cache)

    def apply(self) -> None:
        """A step of the optimiser with the gradients that are there, clipped."""
        if self.clip is not None:
            clip_norm(self.net, self.clip)
        self.optimizer.step(self.net)

    def update(self, dh: Array, cache: Cache) -> Array | None:
        """From dL/dh, or what is used in its place: backward from zero gradients, and a step; returns dx."""
        self.net.zero_grads()
        dx = self.backward(dh, cache)
        self.apply()
        return dx

    def step(self, x: Array, labels: Array | None = None) -> "Taken":
        """Forward, and an update with what the signal says."""
        h, cache = self.forward(x)
        return Taken(h, self.update(self.signal.gradient(h, labels), cache))

    def __repr__(self) -> str:
        return f"Segment({self.name}, {self.signal!r})"


class Taken(NamedTuple):
    """What a segment's step leaves to its neighbours.

    Attributes:
        h: its output, from before the update.
        dx: dL/dx, made from the signal; None where the bottom layer's `needs_dx` is False.
    """

    h: Array
    dx: Array | None
