"""Does `forward` compute in float64 throughout? A cast to float32 inside leaves a staircase, which has no slope."""

import numpy as np

from .report import Finding
from .subject import Subject

FINE, COARSE = 2.0**-34, 2.0**-16  # steps below and above the spacing of float32, relative to the array's largest entry
TRIALS = 3


def few_digits(subject: Subject) -> list[Finding]:
    """A finding if along random directions the slope over a fine step is not that over a coarse one, nor noise."""
    rng = np.random.default_rng(6)
    arrays = {n: a for n, a in subject.arrays().items() if a.size}
    names = [n for n, a in arrays.items() if all(_staircase(subject, a, rng) for _ in range(TRIALS))]
    if not names:
        return []
    text = f"forward computes with fewer digits than float64: changes of 1e-10 in {', '.join(names)} are rounded away"
    return [Finding("digits", names[0], f"{text} (a cast to float32 inside?), so nothing can be measured well.")]


def _staircase(subject: Subject, array: np.ndarray, rng: np.random.Generator) -> bool:
    line = subject.line(array, None, rng.standard_normal(array.shape) * np.max(np.abs(array)))
    coarse, fine = line.difference(COARSE, -COARSE), line.difference(FINE, -FINE)
    measurable = 40 * line.rounding / FINE < 0.1 * abs(coarse)
    return bool(measurable and abs(fine - coarse) > 0.5 * abs(coarse))
