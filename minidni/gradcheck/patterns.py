"""Ways in which a wrong gradient A can follow from the right one N: a factor, a transpose, a few wrong entries, ...

Each function looks at arrays alone and returns a phrase, or None. NaN marks entries that were not measured.
"""

from itertools import permutations

import numpy as np

Array = np.ndarray


def explains(model: Array, a: Array, n: Array) -> bool:
    """True if `model` predicts A in all measured entries, but for a tiny part of the error A - N and of rounding."""
    if model.shape != a.shape:
        return False
    known = np.isfinite(model) & np.isfinite(n) & np.isfinite(a)
    if not known.any():
        return False
    error, unexplained = np.max(np.abs(a - n)[known]), np.max(np.abs(a - model)[known])
    rounding = min(1e-8 * np.max(np.abs(n[known])), 1e-3 * error)
    return bool(error > 0 and unexplained <= 1e-5 * error + rounding)


def matches(a: Array | None, n: Array) -> bool:
    """Equal but for measuring errors, wherever N was measured."""
    known = np.isfinite(n)
    if a is None or np.shape(a) != n.shape or not known.any():
        return False
    return bool(np.max(np.abs(a - n)[known]) <= 1e-6 * np.max(np.abs(n[known])))


def factor(a: Array, n: Array) -> float | None:
    """r, if A = r N."""
    known = np.isfinite(a) & np.isfinite(n)
    square = float(np.sum(n[known] ** 2))
    if square == 0 or not np.isfinite(square):
        return None
    r = float(np.sum(a[known] * n[known])) / square
    return r if explains(r * n, a, n) else None


def factor_phrase(r: float) -> str:
    """A factor in words."""
    if abs(r) < 1e-9:
        return "zero"
    if same(r, -1):
        return "the negative of what it should be"
    return f"{'minus ' if r < 0 else ''}{abs(r):.6g} times what it should be"


def reason(r: float) -> str | None:
    """What a factor is likely to be, if it is a common one."""
    reasons = {-1.0: "a sign", 2.0: "a factor 2, or something counted twice", 0.5: "a factor 1/2, or a forgotten 2"}
    return next((what for value, what in reasons.items() if same(r, value)), None)


def same(r: float, value: float) -> bool:
    """Whether two factors are equal but for measuring errors."""
    return abs(r - value) <= 1e-5 * abs(value)


def collapsed(a: Array, n: Array) -> tuple[tuple[int, ...], float] | None:
    """(axes, r), if along these axes the entries of A are all equal, r times the sum of those of N."""
    if not np.isfinite(n).all() or not np.isfinite(a).all():
        return None
    for axes in [(i,) for i in range(n.ndim)] + [tuple(range(n.ndim))] * (n.ndim > 1):
        total = np.broadcast_to(n.sum(axes, keepdims=True), n.shape)
        if all(n.shape[axis] > 1 for axis in axes) and total.any():
            r = float(np.vdot(total, a) / np.vdot(total, total))
            if abs(r) > 1e-9 and explains(r * total, a, n):
                return axes, r
    return None


def rearranged(a: Array, n: Array) -> str | None:
    """A holds N's entries in another order: transposed or flipped."""
    for axes in permutations(range(n.ndim)):
        if axes != tuple(range(n.ndim)) and explains(n.transpose(axes), a, n):
            return "transposed" if n.ndim == 2 else f"transposed (its axes are in the order {axes})"
    for axes in [(i,) for i in range(n.ndim)] + ([(n.ndim - 2, n.ndim - 1)] if n.ndim >= 2 else []):
        if explains(np.flip(n, axes), a, n):
            return f"flipped along {'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"
    return None


def shifted(a: Array, n: Array) -> tuple[int, int] | None:
    """(axis, steps), if A[i + steps] = N[i] along an axis of at least three positions."""
    for axis in range(n.ndim):
        if n.shape[axis] < 3:
            continue
        early_a, late_a = _ends(a, axis)
        early_n, late_n = _ends(n, axis)
        for steps, (got, want, here) in {1: (late_a, early_n, late_n), -1: (early_a, late_n, early_n)}.items():
            if explains(want, got, here):
                return axis, steps
    return None


def blocks(a: Array, n: Array) -> str | None:
    """Blocks of the last axis (gates) that hold each other's gradient."""
    for k in (4, 3, 2):
        if a.ndim == 0 or a.shape[-1] % k or a.shape[-1] < 2 * k:
            continue
        mine, right = np.split(a, k, axis=-1), np.split(n, k, axis=-1)
        moved = [(j, i) for j in range(k) for i in range(k) if i != j and explains(right[i], mine[j], right[j])]
        if moved:
            what = " and ".join(f"block {j} holds the gradient of block {i}" for j, i in moved)
            return f"{what} (of {k} along the last axis): gates in another order"
    return None


def where_wrong(name: str, wrong: Array, few: bool) -> str | None:
    """Which part of the array is wrong, if it is a part; `few` asks for at most half of some axis."""
    if not wrong.any() or wrong.ndim == 0 or wrong.size == 1:
        return None
    inside = [np.unique(i) for i in np.nonzero(wrong)]
    limits = [n // 2 if few else n - 1 for n in wrong.shape]
    if all(len(i) > limit for i, limit in zip(inside, limits, strict=True)):
        return None
    box = int(np.prod([len(i) for i in inside]))
    if wrong.sum() < 0.5 * box:
        return None
    if box == 1:
        return f"{name}[{', '.join(str(i[0]) for i in inside)}]"
    sides = list(zip(range(wrong.ndim), inside, wrong.shape, strict=True))
    parts = [_axis_name(axis, wrong.ndim, i, length) for axis, i, length in sides if len(i) < length]
    return f"{', '.join(parts)} of {name}"


def along_axis(a: Array, n: Array, x: Array, y: Array | None) -> str | None:
    """The error of an input's gradient follows a simple shape along one axis: what a normalisation forgets."""
    error = a - n
    if not np.isfinite(error).all():
        return None
    for axis in reversed(range(a.ndim)):
        if a.shape[axis] < 4:
            continue
        e, v = np.moveaxis(error, axis, -1), np.moveaxis(x, axis, -1)
        one = np.ones_like(v)
        if _fits(e, [one]):
            return f"the error is the same all along axis {axis}: the term from a mean (or sum) over it is missing"
        if y is not None and y.shape == x.shape and _fits(e, [np.moveaxis(y, axis, -1)]):
            return f"along axis {axis} the error is proportional to the output: the term with sum(dy * y) is missing"
        if _fits(e, [one, v]):
            return (
                f"along axis {axis} the error is linear in x: a term from the mean or the variance over it is missing"
            )
    return None


def elementwise(a: Array, n: Array, x: Array, y: Array, dy: Array) -> str | None:
    """For a function applied entry by entry: a well-known derivative, wrong where another one is right."""
    if not (a.shape == x.shape == y.shape == dy.shape):
        return None
    s = 1 / (1 + np.exp(-np.clip(y, -700, 700)))
    tanh = {
        "1 - x^2 (the input where the output was meant)": 1 - x**2,
        "1 - tanh(y)^2 (tanh applied twice)": 1 - np.tanh(y) ** 2,
        "1 - y (a square is missing)": 1 - y,
    }
    sigmoid = {
        "y (a factor 1 - y is missing)": y,
        "1 - y (a factor y is missing)": 1 - y,
        "x (1 - x) (the input where the output was meant)": x * (1 - x),
        "s(y) (1 - s(y)), s the sigmoid (applied twice)": s * (1 - s),
    }
    forgotten = {"1 (it is passed on as it is: the derivative, or a mask, is forgotten)": np.ones_like(x)}
    for right, wrong in ((dy * (1 - y**2), tanh), (dy * y * (1 - y), sigmoid), (n, forgotten)):
        for what, derivative in wrong.items():
            if matches(right, n) and explains(dy * derivative, a, n):
                return f"dy is multiplied by {what}"
    return None


def _fits(e: Array, basis: list[Array]) -> bool:
    """Each row of `e` (..., n) is a combination of the rows of the basis, with fewer unknowns than n - 1."""
    if e.shape[-1] < len(basis) + 2:
        return False
    columns = np.stack(basis, axis=-1)  # (..., n, k)
    weights = np.linalg.pinv(columns) @ e[..., None]
    return bool(np.max(np.abs(columns @ weights - e[..., None])) <= 1e-5 * np.max(np.abs(e)))


def _ends(v: Array, axis: int) -> tuple[Array, Array]:
    """Without the last position, and without the first."""
    v = np.moveaxis(v, axis, 0)
    return v[:-1], v[1:]


def _axis_name(axis: int, ndim: int, indices: Array, length: int) -> str:
    """Some positions of an axis in words: `row 3`, `columns 4:8 (block 1 of 4)`, `indices 0, 2 of axis 1`."""
    what = {0: "row", 1: "column"}.get(axis, "") if ndim == 2 else ""
    first, last, count = int(indices[0]), int(indices[-1]), len(indices)
    span = f"{first}:{last + 1}" if last - first + 1 == count > 1 else ", ".join(map(str, indices[:8]))
    span += ", ..." if "," in span and count > 8 else ""
    text = (
        f"{what}{'s' * (count > 1)} {span}" if what else f"{'index' if count == 1 else 'indices'} {span} of axis {axis}"
    )
    for k in (4, 3, 2):  # whole gates
        width = length // k
        which = np.unique(indices // width) if axis == ndim - 1 and length % k == 0 and width > 1 else indices[:0]
        if 0 < len(which) * width == count:
            return f"{text} (block{'s' * (len(which) > 1)} {', '.join(map(str, which))} of {k})"
    return text
