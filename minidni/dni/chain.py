"""Chain: segments one after another, and the ways in which they can take a step."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ..arrays import Array
from ..arrays.checks import expect_fraction, expect_not_negative
from ..bptt import Comparison, compare
from ..nn import Loss, Optimiser, Sequential
from ..nn.modes import evaluating
from .from_above import untouched
from .passes import backward
from .segment import Segment
from .synthesizer import Synthesizer

TRUE = "the true gradient"


@dataclass(frozen=True)
class Report:
    """What one segment did in one step.

    Attributes:
        segment: its name.
        updated_on: what its update was made with, or None if it took none.
        learned_from: what the signal at its upper end learned from, or None if it learned nothing.
        error: the signal's relative error before it learned (0-d array), or None.
        input_error: the relative error of the synthetic input on which it ran, or None if it ran on the true one.
    """

    segment: str
    updated_on: str | None = None
    learned_from: str | None = None
    error: Any = None
    input_error: Any = None

    def __str__(self) -> str:
        text = f"{self.segment}: " + (f"updated on {self.updated_on}" if self.updated_on else "not updated")
        text += ", at a synthetic input" if self.input_error is not None else ""
        return text + (f"; its signal learned from {self.learned_from}" if self.learned_from else "")


@dataclass(frozen=True)
class Step:
    """What `Chain`'s steps return.

    Attributes:
        h: the output of the topmost segment, from before its update.
        reports: one for each segment, from the bottom.
    """

    h: Array
    reports: tuple[Report, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.reports))


class Chain:
    """Segments one after another, the last one with the loss as its signal.

        chain.backprop(x, labels)           locked: the true gradient goes through all segments
        chain.decoupled(x, labels)          each segment updates on its signal as soon as it has run forward
        chain.mixed(x, labels, lam)         BP(lambda): backprop for lam = 1, decoupled for lam = 0
        chain.unlocked(x, labels)           forward too: each segment runs on a synthetic input
        chain.predict(x)                    the prediction; no labels, no signals

    Each but the last is one step, and returns a `Step`: the output, and for each segment what it was trained on;
    `print(chain)` says so beforehand.

    Args:
        *segments: from the bottom up.
    """

    def __init__(self, *segments: Segment):
        for i, segment in enumerate(segments):
            if not isinstance(segment, Segment):
                raise TypeError(f"Chain: segment {i} is of type {type(segment).__name__}, expected a Segment")
        if not segments:
            raise ValueError("Chain: got no segments, expected at least one")
        self.segments = segments
        #: All layers as one network, for evaluation and for saving: the segments' own, not copies.
        self.net = Sequential(*(segment.net for segment in segments))
        self._late: list[deque] = [deque() for _ in segments]

    @classmethod
    def cut(
        cls,
        net: Sequential,
        at: Sequence[int],
        *,
        signal: Callable[[Sequential], Any],
        loss: Loss,
        optimizer: Callable[[], Optimiser],
        names: Sequence[str] | None = None,
        clip: float | None = None,
    ) -> "Chain":
        """A network cut into segments: `at=(3, 5)` makes three, of layers 0 to 2, 3 and 4, and 5 to the end.

        Args:
            net: the network; its layers go into the segments, as they are.
            at: the number of the first layer of each segment but the first.
            signal: `signal(above)` makes the signal below the segments `above`, a Sequential of them.
            loss: the signal of the topmost segment.
            optimizer: makes an optimiser for each segment.
            names: of the segments; None for the layers' numbers.
            clip: largest norm of a segment's gradient, or None.
        """
        if not isinstance(net, Sequential):
            raise TypeError(f"Chain.cut: net is of type {type(net).__name__}, expected a Sequential")
        if not isinstance(at, list | tuple) or not all(isinstance(a, int) for a in at):
            raise TypeError(f"Chain.cut: at is {at!r}, expected numbers of layers, such as (3, 5)")
        if not callable(signal):
            raise TypeError(f"Chain.cut: signal is {signal!r}, expected a function that makes one from what is above")
        if not callable(optimizer):
            raise TypeError(f"Chain.cut: optimizer is {optimizer!r}, expected a function that makes one, such as Adam")
        ends = [0, *at, len(net)]
        if any(a >= b for a, b in pairwise(ends)):
            raise ValueError(f"Chain.cut: at is {tuple(at)}, expected rising numbers from 1 to {len(net) - 1}")
        nets = [Sequential(*net[a:b]) for a, b in pairwise(ends)]
        if names is None:
            names = [f"layers {a} to {b - 1}" if b - a > 1 else f"layer {a}" for a, b in pairwise(ends)]
        if len(names) != len(nets):
            raise ValueError(f"Chain.cut: names has {len(names)} entries, expected {len(nets)}, one for each segment")
        signals = [*(signal(Sequential(*nets[i + 1 :])) for i in range(len(nets) - 1)), loss]
        return cls(
            *(
                Segment(part, one, optimizer(), name=name, clip=clip)
                for part, one, name in zip(nets, signals, names, strict=True)
            )
        )

    def backprop(self, x: Array, labels: Array, *, learn: bool = False) -> Step:
        """Locked and exact. With `learn` the signals learn from the true gradients meanwhile: a warm-up."""
        return self._locked(x, labels, 1.0, learn)

    def mixed(self, x: Array, labels: Array, lam: float) -> Step:
        """BP(lambda) (Jaderberg et al. 2017, supplement A): each boundary sends down lam dx + (1 - lam) signal.

        dx is what the segment above sends back, made from the mixture at its own upper end; it is the target of the
        signal. All segments run forward first.
        """
        lam = expect_fraction("Chain.mixed", "lam", lam)
        return self._locked(x, labels, lam, True)

    def _locked(self, x: Array, labels: Array, lam: float, learn: bool) -> Step:
        hs, caches = [], []
        for segment in self.segments:
            x, cache = segment.forward(x)
            hs.append(x)
            caches.append(cache)
        below, top = len(hs) - 1, hs[-1]
        # All of them before any update: a signal that looks at the layers above must find them as they ran.
        used = self.segments[:below] if lam < 1 else ()
        sent = [segment.signal.gradient(h, labels) for segment, h in zip(used, hs, strict=False)]
        reports: list[Report] = []
        dx: Any = self.segments[-1].signal.gradient(top, labels)
        for i in reversed(range(len(hs))):
            segment, learned = self.segments[i], {}
            dh = dx
            if i < below:
                if lam < 1:
                    dh = lam * dx + (1 - lam) * sent[i]
                if learn:
                    learned = self._learn(i, hs[i], dx, labels, lam)
            reports.insert(0, Report(segment.name, self._updated_on(i, lam), **learned))
            dx = segment.update(dh, caches[i])
        return Step(top, tuple(reports))

    def decoupled(
        self,
        x: Array,
        labels: Array,
        *,
        probability: float = 1.0,
        rng: np.random.Generator | None = None,
        lag: int = 0,
    ) -> Step:
        """Each segment runs forward, updates on its signal, and hands its dx to the signal below as a target.

        Args:
            x: inputs.
            labels: for the loss, and the context of signals that take one.
            probability: with which a segment updates; one that does not runs forward only, and sends nothing down.
            rng: a numpy Generator, for a probability below 1; draws one number for each segment.
            lag: after how many further updates of the segment above a target reaches the signal below; it then learns
                from the trigger kept.

        A step that raises, for a label out of range, say, may have updated the segments below.
        """
        (lag,) = expect_not_negative("Chain.decoupled", lag=lag)
        probability = expect_fraction("Chain.decoupled", "probability", probability)
        if probability < 1 and not isinstance(rng, np.random.Generator):
            raise TypeError(f"Chain.decoupled: rng is {rng!r}, expected a numpy.random.Generator, for probability < 1")
        return self._upwards(x, labels, rng, probability, lag, synthetic=False)

    def unlocked(self, x: Array, labels: Array, *, lag: int = 0) -> Step:
        """No segment waits for another: each runs on what its `inputs` predict from x, and updates on its signal.

        The input synthesizers learn from what the segment below has put out, the gradient synthesizers as in
        `decoupled`: from the dx of the segment above, at the synthetic input for which that is the gradient. The step's
        `h` is the output on synthetic inputs; `predict` runs on true ones.
        """
        for segment in self.segments[1:]:
            if segment.inputs is None:
                raise TypeError(f"Chain.unlocked: {segment.name} has no inputs, expected a synthesizer of its input")
        (lag,) = expect_not_negative("Chain.unlocked", lag=lag)
        return self._upwards(x, labels, None, 1.0, lag, synthetic=True)

    def _upwards(self, x: Array, labels: Array, rng: Any, probability: float, lag: int, *, synthetic: bool) -> Step:
        reports: list[Report] = []
        data, h = x, x
        for i, segment in enumerate(self.segments):
            below = h
            if i and synthetic:
                assert segment.inputs is not None
                seen = data.reshape(len(data), -1)
                x = segment.inputs.predict(seen).reshape(below.shape)
                input_error = segment.inputs.fit(seen, below.reshape(len(below), -1))
            else:
                x, input_error = below, None
            h, cache = segment.forward(x)
            if probability < 1 and rng.random() >= probability:
                reports.append(Report(segment.name))
                continue
            dx = segment.update(segment.signal.gradient(h, labels), cache)
            reports.append(Report(segment.name, self._updated_on(i, 0.0), input_error=input_error))
            if i:
                late = self._late[i - 1]
                late.append((x.copy(), dx, labels.copy()) if lag else (x, dx, labels))
                while len(late) > lag:
                    h_then, dx_then, labels_then = late.popleft()
                    learned = self._learn(i - 1, h_then, dx_then, labels_then, 0.0)
                    reports[i - 1] = replace(reports[i - 1], **learned)
        return Step(h, tuple(reports))

    def _learn(self, i: int, h: Array, dx: Array | None, labels: Array, lam: float) -> dict[str, Any]:
        """Segment i's signal learns from the dx of the one above, if it learns at all."""
        signal, above = self.segments[i].signal, self.segments[i + 1]
        if not hasattr(signal, "learn"):
            return {}
        error = signal.learn(h, dx, labels)
        if error is None:
            return {}
        return {"learned_from": f"dx of {above.name}, itself updated on {self._updated_on(i + 1, lam)}", "error": error}

    def _updated_on(self, i: int, lam: float) -> str:
        """Where the gradient comes from that segment i updates on."""
        signal = self.segments[i].signal
        if i == len(self.segments) - 1:
            return f"{TRUE} of {signal!r}" if hasattr(signal, "value") else getattr(signal, "kind", repr(signal))
        if lam == 1:
            return f"{TRUE}, through {self.segments[i + 1].name}"
        kind = getattr(signal, "kind", repr(signal))
        return kind if lam == 0 else f"{lam:g} of dx of {self.segments[i + 1].name} and {1 - lam:g} of {kind}"

    def predict(self, x: Array) -> Array:
        """The output with all layers in evaluation mode, which is undone afterwards."""
        with evaluating(self.net):
            return self.net.forward(x)[0]

    def boundaries(self, x: Array, labels: Array) -> tuple[list[Array], list[Array]]:
        """What flows at each segment's upper end: h, and the true dL/dh, from the bottom. Leaves no trace."""
        hs, caches = [], []
        with untouched(self.net):
            for segment in self.segments:
                x, cache = segment.forward(x)
                hs.append(x)
                caches.append(cache)
            dhs = [self.segments[-1].signal.gradient(hs[-1], labels)]
            for segment, cache in zip(self.segments[:0:-1], caches[:0:-1], strict=True):
                dhs.insert(0, backward(segment.net, dhs[0], cache))
        return hs, dhs

    def compare(self, x: Array, labels: Array) -> list[Comparison]:
        """For each segment but the last, its signal against the true gradient; a `Greedy` one takes a step, too."""
        hs, exact = self.boundaries(x, labels)
        return [
            compare(segment.signal.gradient(h, labels), dh)
            for segment, h, dh in zip(self.segments[:-1], hs, exact, strict=False)
        ]

    def __len__(self) -> int:
        return len(self.segments)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def __getitem__(self, i: int) -> Segment:
        return self.segments[i]

    def __repr__(self) -> str:
        lines = [f"Chain of {len(self)} segments, decoupled:"]
        for i, segment in enumerate(self.segments):
            line = f"  {segment.name}: {segment.net._name()}; updates on {self._updated_on(i, 0.0)}"
            if i < len(self) - 1 and isinstance(segment.signal, Synthesizer):
                above = self.segments[i + 1].name
                line += f", which learns from dx of {above}, itself updated on {self._updated_on(i + 1, 0.0)}"
            lines.append(line)
        return "\n".join(lines)
