"""One slope, measured: central differences on a ladder of steps, extrapolated, with an error estimate.

A central difference at step h is off by `c2 h^2 + c4 h^4 + ...` (too large a step) plus rounding noise of about
`eps / h` (too small a step). No single step suits every entry. So we measure on a ladder of steps, each half the one
before, cancel the powers of h in turn (Richardson), and keep the value whose own error estimate is smallest (Ridders
1982, as `dfridr` in Numerical Recipes). New here: a value counts only if the finer steps do not contradict it beyond
their own noise, so neither a kink nearby nor a saturated function can lend a wrong value a small error.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

EPS = float(np.finfo(np.float64).eps)
COLUMNS = 4  # powers of h cancelled at most: h^2 .. h^8; more would only amplify the noise
FIRST_STEP = 2.0**-5  # where the short ladder starts
FINEST = -26  # the full ladder ends at h = 2^-26, about 1.5e-8
AGREES = 1e-7  # the short ladder may only acquit, and only within this relative error
SAFETY = 30.0  # tolerance = SAFETY * estimated error + floor
CONFIRMING_STEPS = (2.0**-11, 2.0**-17)
KINK_STEPS = (2.0**-14, 2.0**-18, 2.0**-22)


class Slope(NamedTuple):
    """A measured slope: its value, its estimated error, the finest step it uses."""

    value: float
    error: float
    step: float


class Judgement(NamedTuple):
    """What the ladder says of one claimed slope; `beyond`: at a kink, outside the slopes on its two sides.

    Where it is `beyond`, `numeric` is the nearer of the two slopes.
    """

    numeric: float
    tolerance: float
    kink: bool
    step: float
    beyond: bool = False

    def wrong(self, claimed: float) -> bool:
        """Whether the claimed slope is further from the measured one than the tolerance."""
        return not self.kink and not abs(claimed - self.numeric) <= self.tolerance


class Line(NamedTuple):
    """The objective along a line: `difference(a, b)` is phi(a) - phi(b) over the step really taken, for offsets a > b.

    `rounding` is the noise to expect in phi(a) - phi(b); `size` the magnitude of the coordinate that is moved.
    `sides(h)` gives the lowest and highest slope that the slopes left and right of 0 allow, each output on its own.
    """

    difference: Callable[[float, float], float]
    rounding: float
    size: float
    sides: Callable[[float], tuple[float, float]] | None = None


def best_slope(steps: np.ndarray, slopes: np.ndarray, rounding: float) -> Slope:
    """The most trustworthy extrapolation of central differences `slopes` (n,) at halving `steps` (n,)."""
    bad = np.flatnonzero(~np.isfinite(slopes))
    if bad.size:  # beyond a pole or outside the domain: only the finer steps can be used
        steps, slopes = steps[bad[-1] + 1 :], slopes[bad[-1] + 1 :]
    if len(slopes) < 3:
        return Slope(float("nan"), float("inf"), float("nan"))
    table = [slopes]
    for m in range(1, min(COLUMNS, len(slopes) - 1) + 1):
        finer, coarser = table[-1][1:], table[-1][:-1]
        table.append(finer + (finer - coarser) / (4.0**m - 1))
    once = table[1]
    scatter = np.max((np.abs(np.diff(once)) * steps[2:])[-4:]) if len(steps) > 16 else 0.0
    rounding = max(rounding, float(scatter))  # the finest steps show noise and little else
    noise = rounding / steps[1:]  # of `once`
    best = Slope(float("nan"), float("inf"), float("nan"))
    for m, values in enumerate(table[1:], 1):
        level = np.arange(len(values)) + m  # the finest step each value uses
        error = np.maximum(np.abs(values - table[m - 1][1:]), rounding / steps[level])
        contradiction = np.abs(values[:, None] - once[None, :]) - 8 * noise[None, :]
        later = np.arange(1, len(once) + 1)[None, :] > level[:, None]
        error = np.maximum(error, np.where(later, contradiction, 0.0).max(axis=1))
        i = int(np.argmin(error))
        if error[i] < best.error:
            best = Slope(float(values[i]), float(error[i]), float(steps[level[i]]))
    return best


def full_ladder(line: Line) -> tuple[np.ndarray, np.ndarray]:
    """Steps and central differences, from a quarter of the coordinate's size (at least 1/4) down to 2^-26."""
    top = int(np.ceil(np.log2(max(1.0, line.size)))) - 2
    steps = 2.0 ** np.arange(top, FINEST - 1, -1)
    return steps, np.array([line.difference(h, -h) for h in steps])


def is_kink(line: Line) -> bool:
    """True where the slopes on the two sides differ and the gap does not close as the step shrinks."""
    right = [line.difference(h, 0.0) for h in KINK_STEPS]
    left = [line.difference(0.0, -h) for h in KINK_STEPS]
    gap = np.abs(np.subtract(right, left))
    noise = 40 * line.rounding / np.array(KINK_STEPS)
    scale = max(abs(right[-1]), abs(left[-1]))
    return bool(gap[-1] > noise[-1] and gap[-1] > 1e-6 * scale and gap[-1] > 0.5 * gap.max())


def _at_kink(line: Line, claimed: float, verdict: Judgement) -> Judgement:
    """At a kink any value between the slopes of the two sides is a convention; one outside is not."""
    verdict = verdict._replace(kink=True)
    if line.sides is None:
        return verdict
    low, high = line.sides(KINK_STEPS[-1])
    slack = 40 * line.rounding / KINK_STEPS[-1] + 0.01 * max(abs(low), abs(high))
    nearest = min(max(claimed, low), high)
    if not abs(claimed - nearest) > slack:
        return verdict
    return verdict._replace(numeric=nearest, tolerance=slack, beyond=True)


def _confirmed(line: Line, value: float, within: float) -> bool:
    """Do smaller steps, and both sides on their own, show the same slope?"""
    if any(not abs(line.difference(h, -h) - value) < within for h in CONFIRMING_STEPS):
        return False
    h = CONFIRMING_STEPS[-1]
    return abs(line.difference(h, 0.0) - value) < within and not is_kink(line)


def _beyond_a_kink(steps: np.ndarray, slopes: np.ndarray, slope: Slope, claimed: float) -> int | None:
    """The level from which the finest steps, three at least, side with the claim against `slope`: they see no kink."""
    with np.errstate(invalid="ignore"):
        siding = np.abs(slopes - claimed) < 0.1 * abs(slope.value - claimed)
    against = np.flatnonzero(~siding)
    first = int(against[-1]) + 1 if against.size else 0
    return first if len(steps) - first >= 3 and steps[first] < slope.step else None


def judge(line: Line, claimed: float, floor: float, start: float = FIRST_STEP) -> Judgement:
    """Compare a claimed slope with the objective along `line`.

    Three steps from `start` acquit a slope that agrees tightly, and convict one that is far off if smaller steps and
    both sides confirm it. Anything between takes the full ladder, and what still disagrees is tested for a kink.
    `floor` is the absolute error that the claimed value's own rounding may have.
    """
    steps = start * np.array([1.0, 0.5, 0.25])
    d0, d1, d2 = (line.difference(h, -h) for h in steps)
    r0, r1 = d1 + (d1 - d0) / 3, d2 + (d2 - d1) / 3
    value = r1 + (r1 - r0) / 15
    tolerance = AGREES * abs(claimed) + floor + line.rounding / steps[-1]
    if abs(value - claimed) <= tolerance:
        return Judgement(value, tolerance, False, start)
    gap = abs(value - claimed)
    if abs(value - r1) < 1e-3 * gap > tolerance and _confirmed(line, value, 0.05 * gap):
        return Judgement(value, SAFETY * abs(value - r1) + tolerance - AGREES * abs(claimed), False, start)
    ladder, slopes = full_ladder(line)
    slope = best_slope(ladder, slopes, line.rounding)
    near = _beyond_a_kink(ladder, slopes, slope, claimed)
    if near is not None:
        slope = best_slope(ladder[near:], slopes[near:], line.rounding)
    tolerance = SAFETY * slope.error + floor
    verdict = Judgement(slope.value, tolerance, False, slope.step)
    if np.isnan(slope.value):
        return verdict._replace(kink=True)
    if verdict.wrong(claimed) and np.isfinite(claimed) and is_kink(line):
        return _at_kink(line, claimed, verdict)
    return verdict
