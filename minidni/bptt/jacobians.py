"""The Jacobian of each step, and how large products of them get: why gradients vanish or explode."""

from typing import Any

import numpy as np

from ..arrays import Array, array_module, device_of
from ..arrays.checks import expect_array, expect_number, expect_positive
from .checks import expect_stream, scratch_gradients
from .states import forward_step


def jacobians(net: Any, x: Array, s0: Array | None = None, *, mask: Array | None = None) -> Array:
    """J (T, B, S, S), exact: J[t, b, i, j] = ds[t + 1][b, i] / ds[t][b, j]. `net.grads` stay as they are.

    States are rows in this library and gradients too, so a gradient goes back by ds[t] = ds[t + 1] @ J[t], and row i of
    J[t] is what `backward` makes of the i-th unit vector. To get all rows at once each sequence is run as S copies of
    itself, with a unit vector for each.

    Args:
        net: a recurrent net.
        x: inputs (T, B, ...).
        s0: the state to begin with (B, S), or None for zeros.
        mask: (T, B), handed on to `net.forward`; a masked step's Jacobian is the identity.
    """
    where = "bptt.jacobians"
    T, B = expect_stream(where, net, x, mask=mask)
    xp, S = array_module(x), net.n_state
    if s0 is not None:
        expect_array(where, "s0", s0, (B, S), device=device_of(x))
    x = xp.repeat(x, S, axis=1)
    mask = None if mask is None else xp.repeat(mask, S, axis=1)
    s = None if s0 is None else xp.repeat(s0, S, axis=0)
    rows = []
    with scratch_gradients(net):
        for t in range(T):
            _, s, cache = forward_step(net, x, s, t, mask)
            _, ds0 = net.backward(None, cache, xp.tile(xp.eye(S, dtype=s.dtype), (B, 1)))
            rows.append(ds0.reshape(B, S, S))
    return xp.stack(rows)


def jacobian_product_norms(J: Array) -> Array:
    """How far the last state feels each state: row k is the spectral norm of ds[T] / ds[k] = J[T - 1] ... J[k].

    The norm is the factor by which a gradient can grow at most on its way from the boundary T to the boundary k. Row T
    is 1, and the distance is T - k.

    Args:
        J: Jacobians (T, ..., S, S), of `jacobians`.

    Returns:
        Norms (T + 1, ...), in float64.
    """
    where = "bptt.jacobian_product_norms"
    expect_array(where, "J", J, ("...", "S", "S"))
    if J.ndim < 3 or J.shape[-1] != J.shape[-2]:
        raise ValueError(f"{where}: J has shape {tuple(J.shape)}, expected (T, ..., S, S), as jacobians gives it")
    xp, T = array_module(J), len(J)
    norms = xp.ones((T + 1, *J.shape[1:-2]))
    product = xp.eye(J.shape[-1])
    for k in reversed(range(T)):
        product = product @ J[k].astype(np.float64)
        norms[k] = xp.linalg.norm(product, 2, axis=(-2, -1))
    return norms


def jacobian_bound(Wh: Array, T: int, *, slope: float = 1.0) -> Array:
    """The bound on `jacobian_product_norms` for an RNN, a line on a log plot: row k is (||Wh|| sup|f'|)^(T - k).

    From Pascanu et al. 2013, arXiv 1211.5063, section 2: h = f(x Wx + h Wh + b) has the Jacobian diag(f') Wh^T, whose
    spectral norm is at most ||Wh|| sup|f'|. If that is below 1 gradients must vanish; above 1 they may explode.

    Args:
        Wh: recurrent weights (H, H).
        T: how many steps.
        slope: sup|f'|: 1 for tanh, 1/4 for the logistic sigmoid.

    Returns:
        (T + 1,), in float64.
    """
    where = "bptt.jacobian_bound"
    (T,) = expect_positive(where, T=T)
    expect_array(where, "Wh", Wh, ("H", "H"))
    expect_array(where, "Wh", Wh, (len(Wh), len(Wh)))
    slope = expect_number(where, "slope", slope, open_low=True)
    xp = array_module(Wh)
    return (slope * xp.linalg.norm(Wh.astype(np.float64), 2)) ** xp.arange(T, -1, -1)
