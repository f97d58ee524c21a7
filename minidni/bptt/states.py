"""Gradients by the states: what flows back across each boundary in time, and how it fades with distance."""

import operator
from typing import Any

import numpy as np

from ..arrays import Array, array_module, device_of
from ..arrays.checks import expect_array
from .checks import expect_stream, scratch_gradients


def state_gradients(
    net: Any,
    x: Array,
    dy: Array | None = None,
    s0: Array | None = None,
    dsT: Array | None = None,
    *,
    mask: Array | None = None,
) -> Array:
    """ds (T + 1, B, S), the gradient of the whole loss by every state: ds[t] = dL/ds[t]. `net.grads` stay as they are.

    ds[t] crosses the boundary in front of step t: it comes from the losses of step t and all later ones. So ds[T] is
    dsT, and ds[t] is the true gradient for a window that ends at the boundary t, the one that truncation sets to zero.
    `norms(ds)[window::window]` are the norms of what truncation loses at the cuts.

    Args:
        net: a recurrent net.
        x: inputs (T, B, ...).
        dy: dL/dy (T, B, N) for all steps, such as `loss.gradient(y, labels)`; None for zeros.
        s0: the state to begin with (B, S), or None for zeros.
        dsT: the gradient by the final state (B, S) of losses that come later, or None for zeros.
        mask: (T, B), handed on to `net.forward`.
    """
    where = "bptt.state_gradients"
    T, B = expect_stream(where, net, x, dy=dy, mask=mask)
    s: Any = s0
    caches = []
    for t in range(T):
        _, s, cache = forward_step(net, x, s, t, mask)
        caches.append(cache)
    ds = array_module(s).zeros((T + 1, B, net.n_state), s.dtype)
    if dsT is not None:
        expect_array(where, "dsT", dsT, (B, net.n_state), dtype=s.dtype, device=device_of(s))
        ds[T] = dsT
    with scratch_gradients(net):
        for t in reversed(range(T)):
            _, ds[t] = net.backward(None if dy is None else dy[t : t + 1], caches[t], ds[t + 1])
    return ds


def by_distance(
    net: Any, x: Array, dy: Array, s0: Array | None = None, *, step: int = -1, mask: Array | None = None
) -> Array:
    """The gradient of one step's loss by the states before it, nearest first: row k - 1 is dL_t/ds[t + 1 - k].

    The loss of step t has k = 1 .. t + 1 steps between itself, its own included, and the state it is differentiated
    by: row 0 belongs to the state that step t begins with, the last row to s0. Plot `norms` of it against k.

    Args:
        net: a recurrent net.
        x: inputs (T, B, ...).
        dy: dL/dy (T, B, N); only the row of the step is looked at.
        s0: the state to begin with (B, S), or None for zeros.
        step: t, the step whose loss it is; -1 for the last.
        mask: (T, B), handed on to `net.forward`.

    Returns:
        Gradients (t + 1, B, S).
    """
    where = "bptt.by_distance"
    T, _ = expect_stream(where, net, x, dy=dy, mask=mask)
    if dy is None:
        raise TypeError(f"{where}: dy is None, expected an array with {T} rows, one for each step of x")
    try:
        t = range(T)[operator.index(step)]
    except (TypeError, IndexError):
        raise ValueError(f"{where}: step is {step!r}, expected a whole number from {-T} to {T - 1}") from None
    alone = array_module(dy).zeros_like(dy[: t + 1])
    alone[t] = dy[t]
    ds = state_gradients(net, x[: t + 1], alone, s0, mask=None if mask is None else mask[: t + 1])
    return ds[t::-1]


def norms(a: Array) -> Array:
    """Euclidean norms along the last axis, (..., S) -> (...), in float64.

    In units of the largest entry, so that squares neither overflow nor vanish: a gradient of 1e-25 in float32 is small,
    not zero. With an infinite entry it is infinity.
    """
    xp = array_module(a)
    a = xp.abs(a).astype(np.float64)
    largest = xp.clip(a.max(axis=-1, keepdims=True), np.finfo(np.float64).tiny, np.finfo(np.float64).max)
    return largest[..., 0] * xp.sqrt(xp.square(a / largest).sum(axis=-1))


def forward_step(net: Any, x: Array, s: Array | None, t: int, mask: Array | None) -> Any:
    """Step t alone, as a window of length 1: y (1, B, N), the state after it, and the cache."""
    options = {} if mask is None else {"mask": mask[t : t + 1]}
    return net.forward(x[t : t + 1], s, **options)
