"""The checks at every layer's door. A failure is one sentence: who, which argument, what was got, what was expected."""

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from .backend import Array, device_of

FLOATS = tuple(np.dtype(name) for name in ("float32", "float64", "complex128"))


def expect_array(
    where: str,
    name: str,
    x: Array,
    shape: tuple[int | str, ...],
    *,
    dtype: Any = None,
    device: str | None = None,
) -> None:
    """Raise unless `x` is an array of this shape and dtype on the same device as `like`.

    Args:
        where: who asks, as the sentence's subject, e.g. "Linear(3, 4).forward".
        name: the argument's name.
        x: what was got.
        shape: what is expected, an axis each: a number, or a letter where any length will do; a first entry
            "..." stands for any number of leading axes.
        dtype: the expected dtype, or None for any of float32, float64 (and complex128, for the complex step).
        device: where `x` must be, as `device_of` names it, or None for anywhere.
    """
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        raise TypeError(f"{where}: {name} is of type {type(x).__name__}, expected an array of shape {_text(shape)}")
    if device is not None and device_of(x) != device:
        raise TypeError(
            f"{where}: {name} is on {device_of(x)}, expected {device}; move the array with to_device or the layer "
            "with layer.to"
        )
    wanted = FLOATS if dtype is None else (np.dtype(dtype),)
    if x.dtype not in wanted:
        names = " or ".join(str(d) for d in wanted[:2])
        raise TypeError(
            f"{where}: {name} is {x.dtype}, expected {names}; convert the array with {name}.astype or the layer with "
            "layer.astype"
        )
    tail = shape[1:] if shape[:1] == ("...",) else shape
    got = x.shape[x.ndim - len(tail) :] if len(tail) < len(shape) else x.shape
    if len(got) != len(tail) or any(isinstance(n, int) and n != m for n, m in zip(tail, got, strict=True)):
        raise ValueError(f"{where}: {name} has shape {tuple(x.shape)}, expected {_text(shape)}")


def expect_indices(where: str, name: str, x: Array, n: int) -> None:
    """Raise unless `x` holds whole numbers from 0 to n - 1.

    On a GPU the values are not looked at, since that would stall it; what uses the indices there writes NaN instead of
    wrapping them silently, as CuPy does.
    """
    if not hasattr(x, "dtype") or x.dtype.kind not in "iu":
        got = getattr(x, "dtype", type(x).__name__)
        raise TypeError(f"{where}: {name} is {got}, expected an array of integers from 0 to {n - 1}")
    if isinstance(x, np.ndarray | np.generic) and x.size and (x.min() < 0 or x.max() >= n):
        wrong = int(x.min()) if x.min() < 0 else int(x.max())
        hint = "; do they count from 1?" if x.min() == 1 and x.max() == n else ""
        raise ValueError(f"{where}: {name} holds {wrong}, expected integers from 0 to {n - 1}{hint}")


def expect_positive(where: str, **sizes: Any) -> tuple[int, ...]:
    """The sizes as ints; raise unless each is a whole number of at least 1."""
    return tuple(_whole(where, name, size, 1) for name, size in sizes.items())


def expect_not_negative(where: str, **sizes: Any) -> tuple[int, ...]:
    """The sizes as ints; raise unless each is a whole number of at least 0."""
    return tuple(_whole(where, name, size, 0) for name, size in sizes.items())


def expect_number(
    where: str, name: str, value: Any, low: float = 0.0, high: float = np.inf, *, open_low: bool = False
) -> float:
    """The value as a float; raise unless it is a real number from low (or just above it) up to, not including, high."""
    wanted = "expected a finite number"
    if low > -np.inf:
        wanted += f" {'above' if open_low else 'at least'} {low:g}"
    if high < np.inf:
        wanted += f" and below {high:g}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{where}: {name} is {value!r}, {wanted}")
    if not (low < value < high if open_low else low <= value < high):
        raise ValueError(f"{where}: {name} is {value!r}, {wanted}")
    return float(value)


def expect_fraction(where: str, name: str, value: Any) -> float:
    """The value as a float; raise unless it is a real number from 0 to 1, both included."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not real or not 0 <= value <= 1:
        raise (ValueError if real else TypeError)(f"{where}: {name} is {value!r}, expected a number from 0 to 1")
    return float(value)


def expect_generator(where: str, rng: Any) -> np.random.Generator:
    """The generator that `rng` is, or a new one from the seed that it is; unseeded for None."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is not None:
        rng = _whole(where, "rng", rng, 0, "a numpy.random.Generator or a seed, ")
    return np.random.default_rng(rng)


def expect_float_dtype(where: str, dtype: Any, *, or_complex: bool = False) -> np.dtype:
    """The dtype; raise unless it is float32 or float64, or, where the complex step passes through, complex128."""
    try:
        found = None if dtype is None else np.dtype(dtype)  # NumPy takes None for float64
    except TypeError:
        found = None
    if found is None or found not in (FLOATS if or_complex else FLOATS[:2]):
        wanted = "float32 or float64" + (" (complex128 for the complex step)" if or_complex else "")
        raise TypeError(f"{where}: dtype is {dtype!r}, expected {wanted}")
    return found


def _whole(where: str, name: str, size: Any, least: int, other: str = "") -> int:
    try:
        if isinstance(size, bool | np.bool_):
            raise TypeError
        whole = operator.index(size)
    except TypeError:
        raise TypeError(f"{where}: {name} is {size!r}, expected {other}a whole number of at least {least}") from None
    if whole < least:
        raise ValueError(f"{where}: {name} is {whole}, expected {other}a whole number of at least {least}")
    return whole


def _text(shape: Iterable[int | str]) -> str:
    entries = [str(n) for n in shape]
    return f"({', '.join(entries)}{',' if len(entries) == 1 else ''})"
