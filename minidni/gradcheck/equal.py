"""Two arrays that should be equal: the check behind the exercises of the lessons."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def check_equal(
    name: str, got: Any, expected: Any, suspects: Mapping[str, Any] | None = None, *, tolerance: float = 1e-9
) -> None:
    """Stop with one sentence on how `got` differs from `expected`, if it does by more than rounding.

    The sentence names the worst entry with both values and, where one fits, the likely cause: one of the suspects, a
    transpose, a sign, or a factor that all of it is off by.

    Args:
        name: what the sentence calls `got`.
        got: a learner's number or array, on the host.
        expected: the right one.
        suspects: the results of common mistakes, by a clause that says what the mistake is.
        tolerance: the largest error that passes, relative to the largest expected entry or to 1.

    Raises:
        AssertionError: if they differ by more.
    """
    __tracebackhide__ = True
    assert got is not None, f"{name} is None: is there a return?"
    assert not np.iscomplexobj(got), f"{name} is complex, expected real numbers: take the absolute value."
    try:
        got = np.asarray(got, dtype=float)
    except (TypeError, ValueError):
        raise AssertionError(f"{name} is of type {type(got).__name__}, expected an array of numbers.") from None
    expected = np.asarray(expected, dtype=float)
    if got.shape != expected.shape:
        turned = got.shape == expected.shape[::-1] and np.allclose(got, expected.T)
        hint = " Likely: it is transposed." if turned else ""
        raise AssertionError(f"{name} has shape {got.shape}, expected {expected.shape}.{hint}")
    error = np.abs(got - expected)
    if not error.size or error.max() <= tolerance * max(1.0, np.abs(expected).max()):
        return
    worst = np.unravel_index(error.argmax(), error.shape)  # a NaN counts as the largest
    place = name + (f"[{', '.join(map(str, worst))}]" if worst else "")
    cause = _cause(got, expected, suspects or {})
    raise AssertionError(f"{place} is {got[worst]:.6g}, expected {expected[worst]:.6g}.{cause}")


def _cause(got: np.ndarray, expected: np.ndarray, suspects: Mapping[str, Any]) -> str:
    """Return the likely cause as a sentence, or nothing where nothing fits."""
    for what, wrong in suspects.items():
        if np.shape(wrong) == got.shape and np.allclose(got, wrong, rtol=1e-7, atol=1e-10):
            return f" Likely: {what}."
    if got.ndim == 2 and got.shape == got.T.shape and np.allclose(got, expected.T):
        return " Likely: it is transposed."
    if got.size < 2 or not expected.any() or not np.isfinite(got).all():  # a single number is always some multiple
        return ""
    factor = np.vdot(expected, got) / np.vdot(expected, expected)
    if not factor or not np.allclose(got, factor * expected):
        return ""
    return " Likely: the sign is wrong." if np.isclose(factor, -1) else f" All of it is {factor:.6g} times that."
