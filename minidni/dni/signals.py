"""Signals: all that can stand in the slot `gradient(h, labels)` at a boundary. A loss stands in it as it is.

What a signal needs to see is what its segment has to wait for:

    signal                      sees                                waits for
    a loss, at the top          h and the labels                    nothing
    Zero                        nothing                             nothing: the segment stays as it was drawn
    Synthesizer                 h (and the labels)                  nothing; learns from what comes back later
    Greedy                      h and the labels                    nothing; a loss of its own
    Stale                       what came back last time            nothing
    DirectFeedbackAlignment     the error at the very end           the forward pass of all layers above
    Kickback                    that, and the next segment          the forward pass of all layers above
    FeedbackAlignment           all layers above                    their forward and backward pass
    Exact                       all layers above                    their forward and backward pass
"""

from typing import Any

from ..arrays import Array, array_module
from ..arrays.checks import expect_array
from ..nn import Layer, Optimiser
from .checks import expect_layer, expect_optimiser, expect_signal, hot_labels


class Signal:
    """What answers `gradient(h, labels)`: dL/dh, or what is used in its place.

    A signal that learns from what comes back across its boundary does so in `learn`, which does nothing here.
    """

    #: What a report calls that which it answers.
    kind = "a signal"

    def gradient(self, h: Array, labels: Array | None = None) -> Array:
        """What the segment below uses as dL/dh, the shape of h."""
        raise NotImplementedError(f"{type(self).__name__} has no gradient")

    def learn(self, h: Array, message: Array, labels: Array | None = None) -> Array | None:
        """Take notice of what came back for an h seen earlier. Returns a relative error, or None."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Zero(Signal):
    """No gradient at all: what is below stays as it was drawn. The control for every other signal."""

    kind = "no gradient"

    def gradient(self, h: Array, labels: Array | None = None) -> Array:
        """Zeros."""
        return array_module(h).zeros_like(h)


class Stale(Signal):
    """The gradient that came back last time, for whatever is there now; 0 before the first.

    With integer labels (B,) it is the mean over the last minibatch's rows of the same label, since other examples stand
    in the rows now; 0 for a label that did not occur. With other labels, or none, it is taken row by row, which suits
    a batch that is the same every time.

    Args:
        n_labels: how many classes there are, or None for row by row.
    """

    kind = "a stale gradient"

    def __init__(self, n_labels: int | None = None):
        self.n_labels = n_labels
        self._last: Array | None = None

    def gradient(self, h: Array, labels: Array | None = None) -> Array:
        """What `learn` was given last, by label or by row."""
        if self._last is None:
            return array_module(h).zeros_like(h)
        if self.n_labels is None:
            expect_array(f"{self!r}.gradient", "h", h, self._last.shape, dtype=self._last.dtype)
            return self._last.copy()
        share = self._hot(h, labels)
        return (share @ self._last).reshape(h.shape) / len(h)

    def learn(self, h: Array, message: Array, labels: Array | None = None) -> None:
        """Keep the message, or its mean for each label: of one example's gradient, which does not shrink with B."""
        if self.n_labels is None:
            self._last = message.copy()
            return
        xp, hot = array_module(message), self._hot(h, labels)
        self._last = len(h) * (hot.T @ message.reshape(len(message), -1)) / xp.maximum(hot.sum(axis=0), 1)[:, None]

    def _hot(self, h: Array, labels: Any) -> Array:
        assert self.n_labels is not None
        return hot_labels(repr(self), "labels", labels, self.n_labels, like=h)


class Greedy(Signal):
    """A loss of the segment's own: a small network on top of h that is trained, now, to answer the task by itself.

    Belilovsky et al. 2019, arXiv 1812.11446 (greedy), and Nøkland and Eidnes 2019, arXiv 1901.06656 (local losses).

    Args:
        head: a feed-forward layer, h -> what the loss takes.
        loss: `value(y, labels)` and `gradient(y, labels)`.
        optimizer: the head's own.
    """

    kind = "a loss of its own"

    def __init__(self, head: Layer, loss: Any, optimizer: Optimiser):
        expect_layer("Greedy", "head", head)
        expect_signal("Greedy", "loss", loss)
        expect_optimiser("Greedy", optimizer)
        self.head, self.loss, self.optimizer = head, loss, optimizer

    def gradient(self, h: Array, labels: Array | None = None) -> Array:
        """dL/dh of its own loss; the head takes its step on the way."""
        y, cache = self.head.forward(h)
        self.head.zero_grads()
        dh = self.head.backward(self.loss.gradient(y, labels), cache)
        self.optimizer.step(self.head)
        return dh

    def __repr__(self) -> str:
        return f"Greedy({self.head._name()})"
