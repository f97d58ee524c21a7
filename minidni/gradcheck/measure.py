"""Measure the gradient of one array: along random directions or entry by entry, with a second witness."""

import warnings
from typing import Any

import numpy as np

from .adapters import is_float
from .copying import copy_layer
from .differences import EPS, FINEST, FIRST_STEP, Judgement, is_kink, judge
from .report import ArrayReport
from .subject import Subject

ROUNDING = 1e-13  # what the analytic gradient's own rounding may be, against the array's largest entry
TINY_STEP = 2.0**-100  # the complex step subtracts nothing, so it can be as small as one likes
SPOT_CHECKS = 4
DIRECTIONS = 2
RETRIES = 16  # different values with a kink that are taken out of the directions
VAGUE = 0.1  # a tolerance of this part of the array's largest entry is too wide for a verdict
BELIEF = 10.0  # tolerances by which the two witnesses may differ; a forward that is not analytic is off by far more


class Gauge:
    """Measures the entries of one array whose analytic gradient is `analytic`."""

    def __init__(self, subject: Subject, name: str, analytic: np.ndarray, rng: np.random.Generator):
        self.subject, self.name, self.analytic, self.rng = subject, name, analytic, rng
        self.array = subject.arrays()[name]
        self.noise = _rounding(subject, name, analytic)
        self.floor = float(np.linalg.norm(self.noise)) + subject.backward_rounding()
        self.start = FIRST_STEP
        self.disagreed = False
        nothing = np.full(analytic.shape, np.nan)
        no = np.zeros(analytic.shape, dtype=bool)
        self.report = ArrayReport(name, analytic, nothing, nothing.copy(), no, no.copy())

    def entry(self, index: tuple[int, ...]) -> None:
        """Measure one entry and write it into the report."""
        if self.report.examined[index]:
            return
        floor = float(self.noise[index]) + self.subject.backward_rounding()
        verdict = judge(self.subject.line(self.array, index), float(self.analytic[index]), floor, self.start)
        if np.isfinite(verdict.step):  # where the ladder ended well the next entry may start
            self.start = (
                float(np.clip(verdict.step * 4, 2.0 ** (FINEST + 8), FIRST_STEP)) if not verdict.kink else self.start
            )
        beyond = verdict.beyond and self._own_kink(index)
        self.report.examined[index] = True
        self.report.beyond[index] = beyond
        self.report.kink[index] = verdict.kink and not beyond
        if beyond or not verdict.kink:
            self.report.numeric[index], self.report.tolerance[index] = verdict.numeric, verdict.tolerance

    def _own_kink(self, index: tuple[int, ...]) -> bool:
        """Whether the kink stays where it is when everything else moves a little.

        Only then is it this entry's alone. Where several units of a hidden layer have their kinks at one point (a row
        of zeros before a ReLU), the chain rule with a fair convention for each may leave the two slopes.
        """
        arrays = list(self.subject.arrays().values())
        kept, entry = [a.copy() for a in arrays], self.array[index].copy()
        try:
            for a in arrays:
                a += 1e-3 * (np.max(np.abs(a), initial=0.0) or 1.0) * self.rng.standard_normal(a.shape)
            self.array[index] = entry
            return is_kink(self.subject.line(self.array, index))
        finally:
            for a, values in zip(arrays, kept, strict=True):
                a[...] = values

    def direction(self, direction: np.ndarray) -> tuple[float, Judgement]:
        """The claimed slope along a direction, and the measured one."""
        claimed = float(np.vdot(self.analytic, direction))
        line = self.subject.line(self.array, None, direction)
        return claimed, judge(line, claimed, self.floor)

    def agrees_along_directions(self, among: np.ndarray | None = None) -> bool:
        """Compare along a few random unit vectors: a wrong entry shows in almost every one.

        `among` is bool, of the array's shape: the entries that are moved, all of them if it is left out.
        """
        self.report.projections = DIRECTIONS
        self.disagreed = False
        for _ in range(DIRECTIONS):
            v = self.rng.standard_normal(self.analytic.shape)
            v = v if among is None else np.where(among, v, 0.0)
            claimed, verdict = self.direction(v / np.linalg.norm(v))
            if verdict.kink or not abs(claimed - verdict.numeric) <= verdict.tolerance:
                self.disagreed = True
                return False
        return True

    def bisect(self, among: np.ndarray) -> tuple[int, ...]:
        """An entry that is likely wrong: keep the half whose projection disagrees more, until one entry is left."""
        chosen = np.flatnonzero(among)
        while len(chosen) > 1:
            halves = np.array_split(chosen, 2)
            chosen = max(halves, key=self._disagreement)
        return tuple(map(int, np.unravel_index(chosen[0], self.analytic.shape)))

    def _disagreement(self, entries: np.ndarray) -> float:
        v = np.zeros(self.analytic.size)
        v[entries] = self.rng.standard_normal(len(entries))
        claimed, verdict = self.direction((v / np.linalg.norm(v)).reshape(self.analytic.shape))
        return abs(claimed - verdict.numeric) / verdict.tolerance if verdict.tolerance > 0 else 0.0

    def all_entries(self) -> ArrayReport:
        """Every entry, one by one."""
        for index in np.ndindex(self.analytic.shape):
            self.entry(index)
        return self.report

    def fast(self, max_entries: int) -> ArrayReport:
        """Random directions and a few entries; if they disagree, all entries.

        An entry at a kink makes every direction disagree; such entries are looked at one by one and the directions
        drawn among the others. An array with more than `max_entries` entries that still disagrees is searched: by
        bisection for one wrong entry, whose row is examined too, and by a random sample of `max_entries` others.
        """
        size = self.analytic.size
        among = np.ones(self.analytic.shape, dtype=bool)
        agrees = self.agrees_along_directions()
        if not agrees and size <= max_entries:
            return self.all_entries()
        for _ in range(RETRIES):
            if agrees or not among.any():
                break
            found = self.bisect(among)
            self.entry(found)
            if not self.report.kink[found]:
                break
            among &= self.array != self.array[found]  # where one entry has a kink, so have others of the same value
            agrees = bool(among.any()) and self.agrees_along_directions(among)
        if not among.any():
            self.report.projections, self.disagreed = 0, False
        if agrees or not among.any():
            picks = {int(np.argmax(np.abs(self.analytic))), *map(int, self.rng.integers(size, size=SPOT_CHECKS - 1))}
            picks |= set(map(int, self.rng.permutation(np.flatnonzero(~among))[:max_entries]))
        else:
            for j in range(self.analytic.shape[-1] if self.analytic.shape[-1] <= max_entries else 0):
                self.entry((*found[:-1], j))
            picks = set(map(int, self.rng.choice(size, max_entries, replace=False)))
        for i in sorted(picks):
            self.entry(tuple(map(int, np.unravel_index(i, self.analytic.shape))))
        return self.report


def _rounding(subject: Subject, name: str, analytic: np.ndarray) -> np.ndarray:
    """What rounding may do to each entry of a gradient, beside what it does to every one."""
    finite = np.abs(analytic[np.isfinite(analytic)])
    seen = np.broadcast_to(subject.noise.get(name, 0.0), analytic.shape)
    return ROUNDING * float(finite.max(initial=0.0)) + seen


def mark_vague(report: ArrayReport, magnitude: float) -> None:
    """Take back the verdict on entries measured so badly that a wrong gradient could have passed.

    That is where the tolerance is a tenth of the array's largest entry or more, and not small against `magnitude`.
    """
    finite = np.abs(report.analytic[np.isfinite(report.analytic)])
    scale = max(report.scale, float(finite.max(initial=0.0)))
    limit = max(VAGUE * scale, 1e-9 * magnitude)
    report.vague |= report.judged & ~report.wrong & (np.nan_to_num(report.tolerance) > limit)


class ComplexStep:
    """The second witness: `Im phi(w + ih) / h` has no subtraction, so nothing is lost to rounding.

    It needs a `forward` that computes with complex numbers and uses analytic functions only; `available` says whether
    the layer could be tried, and agreement with the ladder decides, array by array, whether it is believed.
    """

    def __init__(self, subject: Subject):
        self.available = False
        self.subject = subject
        try:
            self.twin = self._complex_twin(subject)
            self.available = self._same_outputs()
        except Exception:  # a learner's forward may refuse complex numbers in any way it likes
            return

    @staticmethod
    def _complex_twin(subject: Subject) -> Subject:
        twin = Subject.__new__(Subject)
        twin.__dict__.update(subject.__dict__)
        own = callable(getattr(subject.layer, "astype", None))
        layer = copy_layer(subject.layer, None if own else np.complex128)
        twin.layer = (layer.astype(np.complex128) or layer) if own else layer
        twin.inputs = [x.astype(np.complex128) if is_float(x) else x for x in subject.inputs]
        return twin

    def _outputs(self) -> list[Any]:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error")  # discarding an imaginary part is only a warning
            return self.twin.outputs()

    def _same_outputs(self) -> bool:
        pairs = zip(self._outputs(), self.subject.outputs(), strict=True)
        return all(
            y is None
            or np.asarray(y).dtype.kind != "f"
            or (np.iscomplexobj(z) and np.allclose(z, y, rtol=1e-9, atol=1e-12))
            for z, y in pairs
        )

    def slope(self, name: str, index: tuple[int, ...]) -> float:
        """The slope of the objective in one entry."""
        array = self.twin.arrays()[name]
        original = array[index]
        array[index] = original + 1j * TINY_STEP
        try:
            outputs = self._outputs()
        finally:
            array[index] = original
        pairs = zip(self.subject.cotangents, outputs, strict=False)
        return sum(float(np.vdot(d, np.imag(y))) for d, y in pairs if d is not None) / TINY_STEP

    def testify(self, report: ArrayReport) -> None:
        """Where this witness agrees with the ladder in every judged entry of the array, judge by it, more tightly."""
        judged = report.judged & ~report.beyond
        if not self.available or not judged.any():
            report.witness = "ladder (complex: no)"
            return
        values = np.full(report.shape, np.nan)
        try:
            for index in map(tuple, np.argwhere(judged)):
                values[index] = self.slope(report.name, index)
        except Exception:
            report.witness = "ladder (complex: no)"
            return
        largest = max(float(np.max(np.abs(a), initial=0.0)) for a in self.subject.arrays().values())
        rounding = self.subject.backward_rounding()  # of a saturated 1 - y^2, say, which a weight then multiplies
        rounding += min(256 * EPS * self.subject.magnitude, 4 * rounding * largest)
        gap = np.abs(values - report.numeric)[judged]
        if not np.all(gap <= BELIEF * report.tolerance[judged] + rounding + 256 * EPS * self.subject.magnitude):
            report.witness = "ladder (complex: disagrees)"
            return
        report.witness = f"complex (ladder {gap.max() / report.scale if report.scale else 0.0:.0e})"
        report.numeric[judged] = values[judged]
        tolerance = 1e-9 * np.abs(values) + _rounding(self.subject, report.name, report.analytic) + rounding
        report.tolerance[judged] = np.minimum(report.tolerance, tolerance)[judged] + rounding
