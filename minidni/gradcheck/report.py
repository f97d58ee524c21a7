"""What a gradient check found."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 110


class Worst(NamedTuple):
    """The entry whose error is largest against its own tolerance."""

    name: str
    index: tuple[int, ...]  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    analytic: float  # what backward says
    numeric: float  # what forward does
    error: float
    tolerance: float

    @property
    def where(self) -> str:
        """The entry as one would write it: `W[3, 5]`."""
        return f"{self.name}[{', '.join(map(str, self.index))}]" if self.index else self.name


class Finding(NamedTuple):
    """Something wrong beside the values of a gradient: its kind, the array it concerns, one sentence."""

    kind: str
    name: str
    text: str


class Trace(NamedTuple):
    """Central differences (n,) of one entry on a ladder of steps (n,)."""

    steps: np.ndarray
    slopes: np.ndarray


@dataclass(eq=False)
class ArrayReport:
    """One array: the gradient `backward` gives against the measured one.

    `numeric` and `tolerance` have the array's shape and are NaN where an entry was not examined or is a kink.

    The masks, bool and of the array's shape: `examined` entry by entry; `kink`, the slopes on the two sides differ and
    backward's value lies between them, as every convention does; `beyond`, at a kink but not between them, which is
    wrong; `vague`, the tolerance is so wide that a wrong gradient could pass. A kink or vague entry is not judged.
    """

    name: str
    analytic: np.ndarray
    numeric: np.ndarray
    tolerance: np.ndarray
    examined: np.ndarray
    kink: np.ndarray
    projections: int = 0  # random directions along which the whole array was compared
    projections_wrong: bool = False
    witness: str = "ladder"
    precision: float | None = None  # largest error of the float32 (or device) gradient against the array's scale

    def __post_init__(self) -> None:
        """Nothing is vague or beyond a kink yet."""
        self.vague = np.zeros(self.shape, dtype=bool)
        self.beyond = np.zeros(self.shape, dtype=bool)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array and of its gradient."""
        return self.analytic.shape

    @property
    def judged(self) -> np.ndarray:
        """Bool, of the array's shape: entries with a verdict."""
        return self.examined & ~self.kink & ~self.vague

    @property
    def unjudged(self) -> bool:
        """True if entries were looked at but none could be judged, nor the array as a whole along a direction."""
        whole = self.projections > 0 and not self.projections_wrong
        return bool(self.examined.any()) and not self.judged.any() and not whole

    @property
    def error(self) -> np.ndarray:
        """|analytic - numeric|, infinite where the analytic gradient is not finite, NaN where not judged."""
        error = np.abs(self.analytic - self.numeric)
        return np.where(self.judged, np.where(np.isfinite(self.analytic), error, np.inf), np.nan)

    @property
    def ratio(self) -> np.ndarray:
        """The error in units of the entry's own tolerance: above 1 is wrong."""
        with np.errstate(all="ignore"):
            return np.where(self.error == 0, 0.0, self.error / self.tolerance)

    @property
    def wrong(self) -> np.ndarray:
        """Bool, of the array's shape: entries whose error exceeds their tolerance."""
        return self.judged & ~(self.error <= self.tolerance)

    @property
    def scale(self) -> float:
        """The largest entry of the measured gradient."""
        return float(np.max(np.abs(self.numeric[self.judged]), initial=0.0))

    @property
    def relative(self) -> float:
        """The largest error against the array's largest entry."""
        worst = float(np.max(self.error[self.judged], initial=0.0))
        return worst / self.scale if self.scale > 0 else (0.0 if worst == 0 else float("inf"))


@dataclass(eq=False)
class Report:
    """The result of `check_gradients`; prints as a table, shows itself in a notebook, and is true if all is well."""

    title: str
    mode: str
    arrays: list[ArrayReport]
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cause: str | None = None
    trace: Trace | None = None

    @property
    def ok(self) -> bool:
        """True if no entry is wrong, something of every array could be judged, and nothing else was found."""
        return not self.findings and not any(a.wrong.any() for a in self.arrays)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def worst(self) -> Worst | None:
        """The entry with the largest error against its tolerance; None if nothing could be judged."""
        array = self.worst_array
        if array is None:
            return None
        i = tuple(map(int, np.unravel_index(int(np.nanargmax(_finite(array.ratio))), array.shape)))
        values = (array.analytic[i], array.numeric[i], array.error[i], array.tolerance[i])
        return Worst(array.name, i, *map(float, values))

    @property
    def worst_array(self) -> ArrayReport | None:
        """The array the worst entry belongs to."""
        judged = [a for a in self.arrays if a.judged.any()]
        return max(judged, key=lambda a: np.nanmax(_finite(a.ratio)), default=None)

    def raise_if_wrong(self) -> Self:
        """The report itself if it is ok.

        Raises:
            AssertionError: with the whole report as its message.
        """
        if not self.ok:
            raise AssertionError("\n" + str(self))
        return self

    @property
    def own_cause(self) -> str | None:
        """The cause, if it says more than the findings."""
        return self.cause if all(self.cause != f.text for f in self.findings) else None

    # -- text

    HEAD = ("array", "shape", "checked", "wrong", "kinks", "error/tol.", "error/scale", "witness")

    def rows(self) -> list[tuple[str, ...]]:
        """The table behind `str(report)`, a row an array."""
        return [
            (
                a.name,
                "x".join(map(str, a.shape)) or "scalar",
                _checked(a),
                str(int(a.wrong.sum())),
                str(int(a.kink.sum())),
                f"{np.nanmax(_finite(a.ratio)):.1e}" if a.judged.any() else "-",
                f"{a.relative:.1e}" if a.judged.any() else "-",
                a.witness + (f", own dtype {a.precision:.0e}" if a.precision is not None else ""),
            )
            for a in self.arrays
        ]

    def verdict(self) -> str:
        """One line: ok, or how many entries of which arrays are wrong; and how many were not judged."""
        judged = sum(int(a.judged.sum()) for a in self.arrays)
        examined = sum(int(a.examined.sum()) for a in self.arrays)
        left = f", {examined - judged} of {examined} not judged" if examined > judged else ""
        wrong = [f"{a.name} ({int(a.wrong.sum())} of {int(a.judged.sum())})" for a in self.arrays if a.wrong.any()]
        if self.ok:
            what = f"ok, {judged} entries judged"
        elif wrong:
            what = "WRONG, gradient wrong in " + ", ".join(wrong)
        elif not judged:
            what = "NOT OK, nothing could be judged"
        elif all(f.kind == "not judged" for f in self.findings):
            what = f"NOT OK, nothing could be judged in {', '.join(f.name for f in self.findings)}"
        else:
            what = "WRONG, the values agree, but not all is well"
        return f"{self.title}: {what}{left} ({self.mode})"

    def __str__(self) -> str:
        lines = [self.verdict()]
        table = [self.HEAD, *self.rows()]
        if self.arrays:
            widths = [max(len(row[i]) for row in table) for i in range(len(self.HEAD))]
            widths[-1] = 0
            align = ("<", "<", ">", ">", ">", ">", ">", "<")
            for row in table:
                lines.append("  ".join(f"{c:{s}{w}}" for c, s, w in zip(row, align, widths, strict=True)).rstrip())
        if self.worst is not None:
            lines.append(self.sentence())
        lines += [f"found: {f.text}" for f in self.findings]
        lines += [f"likely cause: {self.own_cause}"] if self.own_cause else []
        lines += [f"note: {n}" for n in self.notes]
        return "\n".join(_wrap(line) for line in lines)

    __repr__ = __str__

    def sentence(self) -> str:
        """The worst entry with both values."""
        w = self.worst
        if w is None:
            return "nothing was judged"
        return (
            f"worst entry {w.where}: backward says {w.analytic:.10g}, forward {w.numeric:.10g}, "
            f"error {w.error:.1e}, allowed {w.tolerance:.1e}"
        )

    # -- pictures

    def _repr_html_(self) -> str:
        from .html import to_html

        return to_html(self)

    def plot(self) -> "Figure":
        """A matplotlib figure: error against tolerance for each entry, and error against step for the worst one."""
        from ..plots import gradient_report

        return gradient_report(self)


def _finite(ratio: np.ndarray) -> np.ndarray:
    """Infinity as a large number, so that it can be compared and coloured; NaN stays."""
    return np.nan_to_num(ratio, nan=np.nan, posinf=1e300)


def _checked(a: ArrayReport) -> str:
    n = int(a.examined.sum())
    text = "all" if n == a.analytic.size else f"{n} of {a.analytic.size}"
    return text + (f" + {a.projections} proj." if a.projections else "")


def _wrap(line: str) -> str:
    """Break a long line at spaces, continuation lines indented."""
    parts = []
    while len(line) > WIDTH:
        cut = line.rfind(" ", 40, WIDTH)
        cut = cut if cut > 0 else WIDTH
        parts.append(line[:cut])
        line = "    " + line[cut:].lstrip()
    return "\n".join([*parts, line])
