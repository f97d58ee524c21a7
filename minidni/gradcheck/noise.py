"""How much of each entry of a gradient is rounding: backward runs again where everything is shaken by one digit."""

import numpy as np

from .adapters import Arrays, is_float
from .differences import EPS
from .subject import Subject

RUNS = 3
TIMES = 100.0  # allowed, against the largest change that a few runs have shown
MOST = 1e-10  # of the array's largest entry: a shake that breaks a tie (a maximum's) is no measure of rounding


def shaken_by_rounding(subject: Subject, gradients: Arrays) -> Arrays:
    """For each gradient an array of its shape, what rounding is allowed in every entry; zeros where none was seen."""
    rng = np.random.default_rng(5)
    seen = {n: np.zeros(g.shape) for n, g in gradients.items()}
    params, kept = list(subject.params().values()), (subject.inputs, [p.copy() for p in subject.params().values()])

    def shake(x: np.ndarray) -> np.ndarray:
        return x * (1 + EPS * rng.choice([-1.0, 1.0], x.shape))

    for _ in range(RUNS):
        try:
            subject.inputs = [shake(x) if is_float(x) else x for x in kept[0]]
            for p, values in zip(params, kept[1], strict=True):
                p[...] = shake(values)
            found = subject.run([None if d is None else shake(d) for d in subject.cotangents]).gradients(subject)
        except Exception:  # labels that are no longer whole numbers, say: then nothing is known, and nothing allowed
            continue
        finally:
            subject.inputs = kept[0]
            for p, values in zip(params, kept[1], strict=True):
                p[...] = values
        for n, g in gradients.items():
            again = np.asarray(found.get(n, np.nan), dtype=float)
            if again.shape == g.shape:
                seen[n] = np.fmax(seen[n], np.abs(again - g))
    return {n: np.fmin(TIMES * s, MOST * _largest(gradients[n])) for n, s in seen.items()}


def _largest(g: np.ndarray) -> float:
    return float(np.max(np.abs(g[np.isfinite(g)]), initial=0.0))
