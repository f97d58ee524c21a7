"""Real-time recurrent learning: the exact gradient of a stream carried forwards, for small nets.

Memory O(n^3): S x n_params numbers for each sequence, for n units. Time O(n^4) a step. That is the price of never going
back. It is here as the truth that truncation is measured against.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..arrays import Array, array_module
from ..arrays.checks import expect_array, expect_positive
from .checks import clear, expect_loss, expect_stream, flat, gradient_arrays, scratch_gradients, share_of
from .windows import Window


@dataclass(frozen=True, eq=False, repr=False)
class Step(Window):
    """A `Window` of one step, with the influence of all steps so far.

    Attributes:
        influence: P (B, S, n_params), dsT/dparams through the whole past: carry it on together with sT.
    """

    influence: Array


def rtrl(
    net: Any,
    loss: Any,
    x: Array,
    labels: Array,
    s0: Array | None = None,
    influence: Array | None = None,
    *,
    mean_over: int | None = None,
    limit: int = 2**28,
) -> Iterator[Step]:
    """Real-time recurrent learning (Williams and Zipser 1989): each step's exact gradient, on a stream without end.

    With s_t the state after step t, P_t = ds_t/dparams through the whole past, J_t = ds_t/ds_{t-1}, and
    F_t = ds_t/dparams of step t alone,

        dL_t/dparams = (dL_t/dparams of step t alone) + dL_t/ds_{t-1} P_{t-1}
        P_t = J_t P_{t-1} + F_t

    all from the net's own backward on windows of length 1: the loss gives the first line, unit vectors for dsT give the
    rows of J_t and F_t, one at a time because `grads` sums over the sequences: B x S backward passes a step.

        s = P = None
        for x, labels in stream:                         # pieces of any length
            for step in bptt.rtrl(net, loss, x, labels, s, P):
                ...                                      # net.grads: exact, however far back the cause lies
            s, P = step.sT, step.influence

    Over a stream from its start the gradients of all steps add up to those of `full` (with `mean_over=T`), while the
    net's weights are held fixed. If they change on the way, P keeps a trace of the old ones, and is exact no more.

    Args:
        net: a recurrent net.
        loss: `value(y, labels)` and `gradient(y, labels)`, means over the steps and sequences they are given.
        x: inputs (T, B, ...).
        labels: (T, B, ...), one for each step.
        s0: the state to begin with (B, S), or None for zeros.
        influence: P (B, S, n_params) to begin with, or None for zeros: s0 does not depend on the parameters.
        mean_over: the number of steps the loss is a mean over; None for 1, each step's own loss.
        limit: the largest P, in bytes, that is not refused. While a step is taken three arrays of this size exist.

    Yields:
        A `Step`, after its gradient was added to `net.grads`. They are yours then, as with `truncated`.

    Raises:
        MemoryError: if P would be larger than the limit.
    """
    where = "bptt.rtrl"
    _, B = expect_stream(where, net, x, labels=labels)
    expect_loss(where, loss)
    share = share_of(where, 1, mean_over)
    shape, dtype = _shape(where, net, B, limit)
    if influence is not None:
        expect_array(where, "influence", influence, shape, dtype=dtype)
    return _steps(net, loss, x, labels, s0, influence, share)


def _steps(net: Any, loss: Any, x: Any, labels: Any, s0: Any, influence: Any, share: float) -> Iterator[Step]:
    """What `rtrl` yields; it has checked its arguments before the first step is asked for."""
    s, P = s0, influence
    for t in range(len(x)):
        y, sT, cache = net.forward(x[t : t + 1], s)
        _, ds0 = net.backward(share * loss.gradient(y, labels[t : t + 1]), cache)
        J, F = _step_derivatives(net, cache, like=sT)
        if P is not None:
            _add(net, ds0.reshape(-1) @ P.reshape(-1, P.shape[-1]))
            F += J @ P
        P = F
        yield Step(t, t + 1, y, s, sT, ds0, loss, labels[t : t + 1], share, P)
        s = sT


def _shape(where: str, net: Any, B: int, limit: int) -> tuple[tuple[int, int, int], Any]:
    """The shape and dtype of P; raise if there are no parameters or P is too large."""
    (limit,) = expect_positive(where, limit=limit)
    if not (grads := gradient_arrays(net)):
        raise TypeError(f"{where}: net is of type {type(net).__name__} without gradients, expected parameters to learn")
    n_params, dtype = sum(g.size for g in grads), grads[0].dtype
    if (size := B * net.n_state * n_params * dtype.itemsize) > limit:
        raise MemoryError(
            f"{where}: the influence of {n_params:,} parameters on {net.n_state:,} states of {B:,} sequences takes "
            f"{size:,} bytes, expected at most limit = {limit:,}; take a smaller net or batch, or raise the limit"
        )
    return (B, net.n_state, n_params), dtype


def _step_derivatives(net: Any, cache: Any, like: Array) -> tuple[Array, Array]:
    """J (B, S, S) and F (B, S, n_params) of the step that left this cache and a state like `like` (B, S)."""
    xp, (B, S) = array_module(like), like.shape
    with scratch_gradients(net) as grads:
        J = xp.zeros((B, S, S), like.dtype)
        F = xp.zeros((B, S, sum(g.size for g in grads)), like.dtype)
        for b in range(B):
            for i in range(S):
                unit = xp.zeros_like(like)
                unit[b, i] = 1
                _, ds0 = net.backward(None, cache, unit)
                J[b, i], F[b, i] = ds0[b], flat(grads)
                clear(grads)
    return J, F


def _add(net: Any, gradient: Array) -> None:
    """Add a flat gradient to net's own."""
    start = 0
    for g in gradient_arrays(net):
        g += gradient[start : start + g.size].reshape(g.shape)
        start += g.size
