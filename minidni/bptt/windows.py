"""Full back-propagation through time, and truncated: over a stream in windows, the gradient cut between them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..arrays import Array
from ..arrays.checks import expect_array, expect_positive
from .checks import expect_loss, expect_stream, share_of
from .states import norms


@dataclass(frozen=True, eq=False, repr=False)
class Window:
    """What one forward and backward over the steps start .. stop - 1 left behind; the gradients are in `net.grads`.

    Attributes:
        start: its first step.
        stop: the step after its last one.
        y: outputs (stop - start, B, N).
        s0: the state it began with (B, S), None for zeros.
        sT: the state it ended with (B, S).
        ds0: gradient of its loss by s0 (B, S): what back-propagation would send on to the steps before.
        loss: the loss.
        labels: those of its steps.
        share: the factor on the loss and its gradient, 1 unless `mean_over` was given.
    """

    start: int
    stop: int
    y: Array
    s0: Array | None
    sT: Array
    ds0: Array
    loss: Any
    labels: Array
    share: float

    @cached_property
    def value(self) -> float:
        """The loss, a number. Computed when it is first asked for, since on a GPU that waits for the result."""
        return self.share * self.loss.value(self.y, self.labels)

    @cached_property
    def lost(self) -> Array:
        """The norm of ds0 for each sequence (B,): what is thrown away where the gradient is cut at `start`."""
        return norms(self.ds0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(start={self.start}, stop={self.stop})"


def full(
    net: Any,
    loss: Any,
    x: Array,
    labels: Array,
    s0: Array | None = None,
    dsT: Array | None = None,
    *,
    mean_over: int | None = None,
) -> Window:
    """Back-propagation through all steps of x: forward, loss, backward. Adds to `net.grads`.

    Args:
        net: a recurrent net.
        loss: `value(y, labels)` and `gradient(y, labels)`, means over the steps and sequences they are given.
        x: inputs (T, B, ...).
        labels: (T, B, ...), one for each step.
        s0: the state to begin with (B, S), or None for zeros.
        dsT: the gradient by the final state (B, S) of losses that come later, or None for zeros.
        mean_over: as in `truncated`.

    Returns:
        A `Window` of all steps: `value`, `y`, `sT`, `ds0`.
    """
    T, _ = expect_stream("bptt.full", net, x, labels=labels)
    expect_loss("bptt.full", loss)
    return _window(net, loss, x, labels, 0, T, s0, dsT, share_of("bptt.full", T, mean_over))[0]


def truncated(
    net: Any,
    loss: Any,
    x: Array,
    labels: Array,
    window: int,
    s0: Array | None = None,
    ds: Array | None = None,
    *,
    mean_over: int | None = None,
    recycle: bool = False,
) -> Iterator[Window]:
    """Truncated back-propagation through time: the state is carried from window to window, the gradient is cut.

        for w in bptt.truncated(net, loss, x, labels, window=20, s0=s):
            clip_norm(net, 1.0)
            optimiser.step(net)
            net.zero_grads()
        s = w.sT                                # a longer stream goes on from here

    The scale: each window's loss is the mean over its own steps, so an update is no smaller after a short window than
    after a long one. The loss of the whole stream is the sum of the windows', each weighted by its share of the steps.
    `mean_over=T` puts these weights on; then, with the net's weights held fixed, the values of all windows add up to
    that of `full`, and the gradients too, but for what is lost at the cuts.

    Nothing is lost if the true gradient is handed in at each cut. `ds=state_gradients(net, x, dy)` with the dy of the
    whole stream and `mean_over=T` gives `full` exactly.

    Args:
        net: a recurrent net.
        loss: `value(y, labels)` and `gradient(y, labels)`, means over the steps and sequences they are given.
        x: inputs (T, B, ...).
        labels: (T, B, ...), one for each step.
        window: steps in a window; the last one is shorter where T is no multiple.
        s0: the state to begin with (B, S), or None for zeros.
        ds: gradients (T + 1, B, S) to hand in at the windows' ends, row t at the end of step t - 1; None for zeros,
            which is the truncation.
        mean_over: the number of steps the loss is a mean over; None for the window's own.
        recycle: let each window reuse the memory of the one before, its y included, which saves time on a CPU. Copy
            what you keep of y. The loss is then computed for every window, asked for or not.

    Yields:
        A `Window` after its backward. `net.grads` is yours then: the next window adds to what you leave there.
    """
    where = "bptt.truncated"
    T, B = expect_stream(where, net, x, labels=labels)
    expect_loss(where, loss)
    (window,) = expect_positive(where, window=window)
    if ds is not None:
        expect_array(where, "ds", ds, (T + 1, B, net.n_state))
    return _windows(net, loss, x, labels, window, s0, ds, mean_over, recycle)


def _windows(
    net: Any, loss: Any, x: Any, labels: Any, window: int, s0: Any, ds: Any, mean_over: int | None, recycle: bool
) -> Iterator[Window]:
    """What `truncated` yields; it has checked its arguments before the first window is asked for."""
    T, where = len(x), "bptt.truncated"
    s, cache = s0, None
    for start in range(0, T, window):
        stop = min(start + window, T)
        share = share_of(where, stop - start, mean_over)
        w, cache = _window(net, loss, x, labels, start, stop, s, None if ds is None else ds[stop], share, cache)
        if not recycle:
            cache = None
        yield w
        if recycle and stop < T:
            _ = w.value  # now, since the next window overwrites y
        s = w.sT


def _window(
    net: Any, loss: Any, x: Any, labels: Any, start: int, stop: int, s0: Any, dsT: Any, share: float, old: Any = None
) -> tuple[Window, Any]:
    """Forward, loss, backward over the steps start .. stop - 1; the window, and its cache."""
    y, sT, cache = net.forward(x[start:stop], s0, **({} if old is None else {"cache": old}))
    dy = share * loss.gradient(y, labels[start:stop])
    _, ds0 = net.backward(dy, cache, dsT)
    return Window(start, stop, y, s0, sT.copy(), ds0.copy(), loss, labels[start:stop], share), cache
