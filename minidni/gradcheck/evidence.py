"""What a guess about the cause may look at: the wrong arrays, and further runs of the layer on other numbers."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from . import patterns
from .adapters import Arrays, LossLayer, named_arrays, shaken
from .copying import copy_layer
from .differences import judge
from .measure import Gauge
from .protocol import audit
from .report import ArrayReport
from .subject import Subject

SAMPLE = 24  # wrong entries of each array that are measured again in an experiment


class Claim(NamedTuple):
    """A likely cause in one sentence, and the arrays whose error it explains."""

    text: str
    names: tuple[str, ...]


class Case:
    """The arrays whose gradient is wrong, the most wrong first, with the layer they belong to."""

    def __init__(self, subject: Subject, gradients: Arrays, wrong: list[ArrayReport]):
        self.subject, self.gradients, self.wrong = subject, gradients, wrong

    def claim(self, text: str, arrays: list[ArrayReport] | None = None) -> Claim:
        """A claim about some of the wrong arrays, about all of them if none are named."""
        return Claim(text, tuple(a.name for a in (self.wrong if arrays is None else arrays)))

    def without(self, names: tuple[str, ...]) -> "Case":
        """The same case without the arrays that are explained already."""
        rest = Case(self.subject, self.gradients, [a for a in self.wrong if a.name not in names])
        if "fresh" in self.__dict__:  # measured already
            rest.fresh = self.fresh and self.fresh.without(names)
        return rest

    @cached_property
    def fresh(self) -> "Case | None":
        """The same entries of the same arrays, measured at other inputs, parameters and cotangents.

        None if the layer gives no finite outputs there or its gradients have other shapes.
        """
        for change in (True, False):
            try:
                subject = _redrawn(self.subject, change)
                gradients, _ = audit(subject)
                if all(np.isfinite(y).all() for y in subject.outputs() if y is not None):
                    return Case(subject, gradients, [self._measured(subject, gradients, a) for a in self.wrong])
            except Exception:  # the layer refuses these numbers, in any way it likes
                continue
        return None

    @staticmethod
    def _measured(subject: Subject, gradients: Arrays, like: ArrayReport) -> ArrayReport:
        gauge = Gauge(subject, like.name, gradients[like.name], subject.rng)
        for index in np.argwhere(like.examined):
            gauge.entry(tuple(map(int, index)))
        return gauge.report

    def named(self, name: str) -> ArrayReport | None:
        """The wrong array of that name."""
        return next((a for a in self.wrong if a.name == name), None)

    # -- words

    @staticmethod
    def names(arrays: list[ArrayReport]) -> str:
        """The arrays' names, as in "x, W"."""
        return ", ".join(a.name for a in arrays)

    def axis(self, axis: int) -> str:
        """An axis of x by number and meaning."""
        ndim = np.ndim(self.subject.inputs[0])
        meaning = {2: ("batch", "features"), 3: ("time", "batch", "features")}.get(ndim, ("batch",) * (ndim == 4))
        return f"axis {axis}" + (f" ({meaning[axis]})" if axis < len(meaning) else "")

    # -- experiments

    def backward(self, cotangents: list[Any], **settings: Any) -> Arrays:
        """The gradients by name for other cotangents; `settings` are those of `Subject.run`."""
        found = self.subject.run(cotangents, **settings).gradients(self.subject)
        return {n: np.asarray(g) for n, g in found.items() if g is not None}

    def through(self, k: int, cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Claimed and measured slopes of a sample of wrong entries when `cotangent` enters alone, at output k."""
        s = self.subject
        kept = s.cotangents
        s.cotangents = [None if d is None else np.zeros_like(d) for d in kept]
        s.cotangents[k] = cotangent
        claimed, measured = [], []
        try:
            gradients = self.backward(s.cotangents)
            for a in self.wrong:
                order = np.argsort(np.where(a.wrong, -a.error, np.inf), axis=None)[: min(SAMPLE, int(a.wrong.sum()))]
                for i in order:
                    index = tuple(map(int, np.unravel_index(i, a.shape)))
                    claimed.append(float(gradients[a.name][index]))
                    line = s.line(s.arrays()[a.name], index)
                    measured.append(judge(line, claimed[-1], 1e-10 * a.scale).numeric)
        finally:
            s.cotangents = kept
        return np.array(claimed), np.array(measured)

    def resized(self, axis: int, positions: np.ndarray) -> tuple[Subject, Arrays] | None:
        """The layer on some positions of x along an axis, and its gradients; None if it refuses.

        Other inputs are taken likewise where their shape demands it.
        """
        x = self.subject.inputs[0]
        length = x.shape[axis]
        others = self.subject.inputs[1 : self.subject.given]

        def part(v: Any) -> Any:
            if not isinstance(v, np.ndarray) or v.ndim == 0:
                return v
            along = [i for i, n in enumerate(v.shape[:2]) if n == length]
            return np.take(v, positions, along[0]) if along else v

        start = np.take(x, positions, axis)
        for rest in ([part(v) for v in others], others, []):
            try:
                subject = Subject(self.subject.layer, (start, *rest), np.random.default_rng(1), self.subject.title)
                return subject, audit(subject)[0]
            except Exception:  # the layer refuses these shapes: try without the other inputs, or give up
                continue
        return None

    def factor_when_doubled(self, axis: int, name: str) -> float | None:
        """The factor by which the gradient of `name` is off if x is given twice along an axis."""
        found = self.resized(axis, np.tile(np.arange(np.shape(self.subject.inputs[0])[axis]), 2))
        if found is None or name not in found[1]:
            return None
        subject, gradient = found[0], found[1][name]
        gauge = Gauge(subject, name, gradient, subject.rng)
        for i in np.argsort(-np.abs(gradient), axis=None)[:SAMPLE]:
            gauge.entry(tuple(map(int, np.unravel_index(i, gradient.shape))))
        return patterns.factor(gauge.report.analytic, gauge.report.numeric)


def _redrawn(subject: Subject, change: bool) -> Subject:
    """The same layer with fresh cotangents and, if `change`, with other inputs and parameters."""
    rng = np.random.default_rng(subject.rng.integers(2**32))
    layer, inputs = copy_layer(subject.layer), list(subject.inputs)
    if change:
        for p in named_arrays(layer, "params").values():
            if p.dtype.kind == "f":
                p *= rng.uniform(0.6, 1.4, p.shape)
        inputs = [shaken(x, rng) for x in inputs]
    if isinstance(layer, LossLayer):
        return Subject(layer, tuple(inputs), rng, subject.title)
    return Subject(layer, tuple(inputs[: subject.given]), rng, subject.title)
