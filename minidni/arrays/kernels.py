"""The array functions that several layers share, written once for NumPy and CuPy.

All of them also take complex numbers, because the gradient checker's complex step pushes them through the forward pass;
there, comparisons look at the real part.
"""

from typing import Any

import numpy as np

from .backend import Array, array_module


def sigmoid(x: Array, out: Array | None = None) -> Array:
    """1 / (1 + exp(-x)), from exp(-|x|), which cannot overflow and keeps all digits on both sides."""
    xp = array_module(x)
    positive = x.real >= 0
    e = xp.exp(xp.where(positive, -x, x))
    return xp.divide(xp.where(positive, 1, e), 1 + e, out=out)


def softmax(x: Array) -> Array:
    """exp(x) over its sum along the last axis; shifted by the maximum, so any finite x is safe."""
    xp = array_module(x)
    e = x - x.real.max(axis=-1, keepdims=True)
    xp.exp(e, out=e)
    e /= e.sum(axis=-1, keepdims=True)
    return e


def log_sum_exp(x: Array) -> Array:
    """log(sum(exp(x))) along the last axis, shape x.shape[:-1]; safe for any finite x."""
    xp = array_module(x)
    top = x.real.max(axis=-1, keepdims=True)
    return xp.log(xp.exp(x - top).sum(axis=-1)) + top[..., 0]


def softplus(x: Array) -> Array:
    """log(1 + exp(x)); safe for any finite x."""
    xp = array_module(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


def one_hot(labels: Array, n: int, dtype: Any) -> Array:
    """Rows of the n x n identity: labels (...) of integers -> (..., n). On a GPU a label outside 0..n-1 gives NaN."""
    xp = array_module(labels)
    hot = (labels[..., None] == xp.arange(n)).astype(dtype)
    if xp is np:  # NumPy's callers have checked the labels at the door
        return hot
    return xp.where(_inside(labels, n)[..., None], hot, xp.full((), xp.nan, dtype))


def take_rows(table: Array, indices: Array) -> Array:
    """table[indices]: (n, N) and (...) -> (..., N). On a GPU an index outside 0..n-1 gives a row of NaN."""
    xp = array_module(table)
    rows = table[indices]
    if xp is np:  # NumPy's callers have checked the indices at the door
        return rows
    return xp.where(_inside(indices, len(table))[..., None], rows, xp.full((), xp.nan, table.dtype))


def _inside(indices: Array, n: int) -> Array:
    indices = indices.astype(np.int64)  # n = 256 does not fit into a byte's own type
    return (indices >= 0) & (indices < n)


def unfold(x: Array, kernel: int, stride: int, out: Array) -> Array:
    """The windows of images: x (B, C, H, W) -> out (B, C, K, K, OH, OW).

    out[b, c, i, j, p, q] = x[b, c, i + stride p, j + stride q].

    One strided copy for each of the K * K places in the window: long runs of memory instead of many small windows.
    """
    rows, cols = out.shape[-2:]
    for i in range(kernel):
        for j in range(kernel):
            out[:, :, i, j] = x[:, :, i : i + stride * rows : stride, j : j + stride * cols : stride]
    return out


def fold(windows: Array, kernel: int, stride: int, out: Array) -> Array:
    """The transpose of `unfold`: adds windows (B, C, K, K, OH, OW) into out (B, C, H, W), whence they came."""
    rows, cols = windows.shape[-2:]
    for i in range(kernel):
        for j in range(kernel):
            out[:, :, i : i + stride * rows : stride, j : j + stride * cols : stride] += windows[:, :, i, j]
    return out
