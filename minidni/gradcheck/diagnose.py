"""The likely cause, in one sentence: simple guesses in a fixed order, the first that explains the error wins."""

from typing import Any

import numpy as np

from . import patterns
from .adapters import Arrays, LossLayer
from .differences import judge
from .measure import Gauge
from .protocol import audit, close, largest
from .report import ArrayReport, Report
from .subject import Subject

SIMPLE = 5000  # entries up to which the check is repeated with a single position along the first axis
SAMPLE = 24  # wrong entries of each array that are measured again, one cotangent at a time
AXES = {1: ("features",), 2: ("batch", "features"), 3: ("time", "batch", "features")}
IMAGE = ("batch", "channels", "height", "width")


def diagnose(subject: Subject, gradients: Arrays, report: Report) -> str:
    """The first cause that fits."""
    for kind in ("modified", "argument", "missing", "shape", "non-finite", "nothing judged"):
        for finding in report.findings:
            if finding.kind == kind:
                return _shape_cause(subject, finding.name, finding.text) if kind == "shape" else finding.text
    wrong = sorted((a for a in report.arrays if a.wrong.any()), key=lambda a: -a.wrong.mean())
    if not wrong:
        return report.findings[0].text
    doctor = _Doctor(subject, gradients, wrong)
    guesses = (
        doctor.unused,
        doctor.zero,
        doctor.not_linear,
        doctor.one_cotangent,
        doctor.constant_factor,
        doctor.rearranged,
        doctor.swapped,
        doctor.parameter_turned,
        doctor.few_entries,
        doctor.derivative,
        doctor.one_position,
        doctor.incomplete_sum,
        doctor.simplest_case,
        doctor.some_entries,
    )
    for guess in guesses:
        if cause := guess():
            return cause
    return f"a term is missing from or extra in the gradient of {doctor.names(wrong)}."


class _Doctor:
    """Guesses about the arrays whose gradient is wrong, the most wrong first."""

    def __init__(self, subject: Subject, gradients: Arrays, wrong: list[ArrayReport]):
        self.subject, self.gradients, self.wrong = subject, gradients, wrong

    @staticmethod
    def names(arrays: list[ArrayReport]) -> str:
        return ", ".join(a.name for a in arrays)

    def axis(self, axis: int) -> str:
        """An axis of x by number and meaning."""
        ndim = np.ndim(self.subject.inputs[0])
        meaning = AXES.get(ndim, IMAGE if ndim == 4 else ())
        return f"axis {axis}" + (f" ({meaning[axis]})" if axis < len(meaning) else "")

    def lengths(self) -> dict[str, int]:
        x = np.shape(self.subject.inputs[0])
        if len(x) == 3:
            return {
                "the number of time steps (axis 0)": x[0],
                "the batch size (axis 1)": x[1],
                "time steps times batch size": x[0] * x[1],
            }
        return {"the batch size": x[0]} if x else {}

    def unused(self) -> str | None:
        for a in self.wrong:
            if a.examined.all() and not a.kink.any() and not a.numeric.any() and a.name in self.subject.params():
                return (
                    f"forward does not read params[{a.name!r}]: changing it changes nothing, "
                    "so it is unused, or not the array that forward uses."
                )
        return None

    def zero(self) -> str | None:
        zero = [a for a in self.wrong if not a.analytic.any()]
        if not zero:
            return None
        return f"the gradient of {self.names(zero)} is all zeros: backward never computes it."

    def not_linear(self) -> str | None:
        """Backward is linear in the cotangents, so minus the cotangents must give minus the gradients."""
        flipped = self._backward([None if d is None else -d for d in self.subject.cotangents])
        for name, g in self.gradients.items():
            if name in flipped and np.isfinite(g).all() and not close(flipped[name], -g, largest(g)):
                dy = self.subject.cotangent_name(0)
                return f"backward is not linear in {dy}: something depends on {dy} that should depend on x."
        return None

    def one_cotangent(self) -> str | None:
        """With several outputs: does the error come through one cotangent alone?"""
        real = [k for k, d in enumerate(self.subject.cotangents) if d is not None]
        if len(real) < 2:
            return None
        claimed, measured = {}, {}
        for k in real:
            claimed[k], measured[k] = self._through(k, self.subject.cotangents[k])
        guilty = [k for k in real if not close(claimed[k], measured[k], 1e3 * max(1.0, largest(measured[k])))]
        if len(guilty) != 1 or guilty == [0]:
            return None
        k = guilty[0]
        name = self.subject.cotangent_name(k)
        if not claimed[k].any():
            return f"{name} is ignored: the gradient that flows in through {self.subject.output_name(k)} is lost."
        r = patterns.factor(claimed[k], measured[k])
        if r is not None:
            return f"what flows in through {name} is {patterns.factor_phrase(r, {})}."
        part = self._half(k)
        return part or f"the error comes only through {name}: a term of that path is missing or extra."

    def _half(self, k: int) -> str | None:
        d = self.subject.cotangents[k]
        width = d.shape[-1] if d.ndim else 0
        if width < 2 or width % 2:
            return None
        for lo, hi in ((0, width // 2), (width // 2, width)):
            part, rest = np.zeros_like(d), d.copy()
            part[..., lo:hi] = d[..., lo:hi]
            rest[..., lo:hi] = 0
            claimed, measured = self._through(k, part)
            if close(*self._through(k, rest), 1e3 * max(1.0, largest(measured))):
                what = "is ignored" if not claimed.any() else "is used wrongly"
                return f"the part [..., {lo}:{hi}] of {self.subject.cotangent_name(k)} {what}."
        return None

    def constant_factor(self) -> str | None:
        judged = [a for a in self.wrong if a.analytic.size > 1 or len(self.wrong) == 1]
        found = [(a, r) for a in judged if (r := patterns.factor(a.analytic, a.numeric)) is not None]
        if not found:
            return None
        r = found[0][1]
        same = [a for a, other in found if abs(other - r) <= 1e-5 * abs(r)]
        return f"the gradient of {self.names(same)} is {patterns.factor_phrase(r, self.lengths())}."

    def rearranged(self) -> str | None:
        for a in self.wrong:
            if what := patterns.rearranged(a.analytic, a.numeric):
                return f"the gradient of {a.name} is {what}: a transpose or reversal is missing or extra."
            if what := patterns.blocks(a.analytic, a.numeric):
                return f"in the gradient of {a.name} {what}."
            if shift := patterns.shifted(a.analytic, a.numeric):
                axis, steps = shift
                way = "late" if steps > 0 else "early"
                return (
                    f"the gradient of {a.name} is shifted along axis {axis}: every position comes one step too {way}."
                )
        return None

    def swapped(self) -> str | None:
        arrays = {a.name: a for a in self.wrong}
        for a in self.wrong:
            for b in arrays.values():
                if a is not b and patterns.explains(b.numeric, a.analytic, a.numeric):
                    both = patterns.explains(a.numeric, b.analytic, b.numeric)
                    return (
                        f"the gradients of {a.name} and {b.name} are swapped."
                        if both
                        else (f"the gradient of {a.name} holds that of {b.name}.")
                    )
        return None

    def parameter_turned(self) -> str | None:
        """Would `backward` be right if it saw a parameter transposed, or a kernel flipped?"""
        for name, p in self.subject.params().items():
            turns = {}
            if p.ndim == 2 and p.shape[0] == p.shape[1]:
                turns["transposed"] = p.T.copy()
            if p.ndim == 4:
                turns["flipped"] = p[..., ::-1, ::-1].copy()
            for how, turned in turns.items():
                found = self.subject.run(self.subject.cotangents, swap={name: turned}).gradients(self.subject)
                if all(patterns.matches(found.get(a.name), a.numeric) for a in self.wrong):
                    return f"backward needs {name} {how}: with that, the gradient of {self.names(self.wrong)} is right."
        return None

    def few_entries(self, few: bool = True) -> str | None:
        for a in sorted(self.wrong, key=lambda a: a.wrong.sum()):
            wrong = a.wrong
            if a.examined.all() and (what := patterns.where_wrong(a.name, a.analytic, a.numeric, wrong, few)):
                return f"the gradient is {what}."
        return None

    def some_entries(self) -> str | None:
        what = self.few_entries(few=False)
        return what and f"a term is missing or extra: {what}"

    def one_position(self) -> str | None:
        """Does a gradient depend on one position of dy alone, where it should sum over all?"""
        d = self.subject.cotangents[0]
        if any(a.name in self.subject.input_names for a in self.wrong):
            return None
        for axis in range(min(2, np.ndim(d) - 1)):
            for index, which in ((-1, "last"), (0, "first")):
                alone = np.zeros_like(d)
                at = (slice(None),) * axis + (index,)
                alone[at] = d[at]
                if d.shape[axis] < 2:
                    continue
                gradients = self._backward([alone, *self.subject.cotangents[1:]])
                for a in self.wrong:
                    if close(gradients.get(a.name), a.analytic, largest(a.analytic)):
                        text = f"the sum over {self.axis(axis)} is missing in the gradient of {a.name}"
                        return f"{text}: only the {which} position counts."
        return None

    def incomplete_sum(self) -> str | None:
        """Does the error vanish when x has length 1 along an axis?"""
        x = self.subject.inputs[0]
        for axis in range(min(2, np.ndim(x) - 1)):
            if x.shape[axis] < 2:
                continue
            cut = self._cut(axis)
            if cut is None or not all(self._right(*cut, a.name) for a in self.wrong):
                continue
            inputs = [a.name for a in self.wrong if a.name in self.subject.input_names]
            if inputs:
                return (
                    f"with a single position along {self.axis(axis)} of x all is right: what flows from one position "
                    f"to another is wrong or missing (in the gradient of {self.names(self.wrong)})."
                )
            return f"the sum over {self.axis(axis)} is incomplete in the gradient of {self.names(self.wrong)}."
        return None

    def derivative(self) -> str | None:
        s = self.subject
        first = next((a for a in self.wrong if a.name == s.input_names[0]), None)
        if first is None:
            return None
        x, y, dy = s.inputs[0], s.outputs()[0], s.cotangents[0]
        if isinstance(s.layer, LossLayer) or np.shape(y) != np.shape(x):
            y = None
        elif (
            not s.params()
            and self._entry_by_entry()
            and (what := patterns.elementwise(first.analytic, first.numeric, x, y, dy))
        ):
            return f"a wrong derivative in the gradient of {first.name}: {what}."
        what = patterns.along_axis(first.analytic, first.numeric, x, y)
        return f"in the gradient of {first.name} {what}." if what else None

    def simplest_case(self) -> str | None:
        """Look again with a single time step: no error has then been passed on to other positions."""
        x = self.subject.inputs[0]
        cut = self._cut(0) if np.ndim(x) > 1 and x.shape[0] > 1 else None
        if cut is None:
            return None
        subject, gradients = cut
        if sum(g.size for g in gradients.values()) > SIMPLE:
            return None
        reports = [Gauge(subject, n, g, subject.rng).all_entries() for n, g in gradients.items()]
        wrong = [r for r in reports if r.wrong.any()]
        doctor = _Doctor(subject, gradients, wrong)
        for guess in (doctor.zero, doctor.constant_factor, doctor.rearranged, doctor.few_entries, doctor.some_entries):
            if wrong and (cause := guess()):
                return f"with a single position along {self.axis(0)} of x, {cause}"
        return None

    # -- more runs

    def _entry_by_entry(self) -> bool:
        """True if changing one entry of x changes that entry of y alone."""
        s = self.subject
        x = s.inputs[0]
        before, first = s.outputs()[0], (0,) * x.ndim
        kept = x[first]
        x[first] = kept + 0.1
        changed = s.outputs()[0] != before
        x[first] = kept
        return changed.sum() == changed[first]

    def _backward(self, cotangents: list[Any]) -> Arrays:
        found = self.subject.run(cotangents).gradients(self.subject)
        return {n: np.asarray(g) for n, g in found.items() if g is not None}

    def _through(self, k: int, cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Claimed and measured slopes of a sample of wrong entries when `cotangent` enters alone, at output k."""
        s = self.subject
        kept = s.cotangents
        s.cotangents = [None if d is None else np.zeros_like(d) for d in kept]
        s.cotangents[k] = cotangent
        claimed, measured = [], []
        try:
            gradients = self._backward(s.cotangents)
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

    def _cut(self, axis: int) -> tuple[Subject, Arrays] | None:
        """The same layer on the first position of x along an axis, and its gradients.

        Other inputs are cut where their shape demands it.
        """
        x = self.subject.inputs[0]
        length = x.shape[axis]
        others = self.subject.inputs[1 : self.subject.given]

        def first(v: Any) -> Any:
            if not isinstance(v, np.ndarray) or v.ndim == 0:
                return v
            along = [i for i, n in enumerate(v.shape[:2]) if n == length]
            return np.take(v, [0], along[0]) if along else v

        start = np.take(x, [0], axis)
        for rest in ([first(v) for v in others], others, []):
            try:
                cut = Subject(self.subject.layer, (start, *rest), np.random.default_rng(1), self.subject.title)
                return cut, audit(cut)[0]
            except Exception:  # the layer refuses these shapes: try without the other inputs, or give up
                continue
        return None

    @staticmethod
    def _right(subject: Subject, gradients: Arrays, name: str) -> bool:
        if name not in gradients:
            return False
        return Gauge(subject, name, gradients[name], np.random.default_rng(2)).agrees_along_directions()


def _shape_cause(subject: Subject, name: str, text: str) -> str:
    """Is the gradient of the wrong shape the right one transposed, or not yet summed?"""
    array = subject.arrays()[name]
    gradient = np.asarray(subject.run(subject.cotangents).gradients(subject)[name], dtype=float)
    candidates = {"only the shape differs": gradient} if gradient.squeeze().shape == array.squeeze().shape else {}
    if gradient.ndim == 2:
        candidates["it is the transpose"] = gradient.T
    for axis in range(gradient.ndim):
        candidates[f"the sum over axis {axis} of the gradient is missing"] = gradient.sum(axis)
    for what, candidate in candidates.items():
        if candidate.size == array.size and (candidate.shape == array.shape or what.startswith("only")):
            gauge = Gauge(subject, name, candidate.reshape(array.shape), np.random.default_rng(3))
            if gauge.agrees_along_directions():
                return f"{text[:-1]}: {what}."
    return text
