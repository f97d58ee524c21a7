"""Signals that look at the layers above: exact, feedback alignment, direct feedback alignment, Kickback.

Each runs what is above forward from h, and leaves no trace there: gradients, running statistics, weights and dropout's
generators are as before. So it needs nothing from the step that the segments above take, and costs their forward
pass once more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..arrays import Array, array_module, device_of, to_device
from ..arrays.checks import expect_generator, expect_positive
from ..nn import Cache, Dropout, Layer, NamedArrays
from ..nn.modes import all_layers
from .checks import expect_network, expect_signal
from .passes import backward, forward
from .signals import Signal


class FromAbove(Signal):
    """What these signals share.

    Args:
        above: all layers between this boundary and the loss.
        loss: `gradient(y, labels)`.
    """

    def __init__(self, above: Layer, loss: Any):
        expect_network(type(self).__name__, "above", above)
        expect_signal(type(self).__name__, "loss", loss)
        self.above, self.loss = above, loss

    def gradient(self, h: Array, labels: Array | None = None) -> Array:
        """See the class."""
        with untouched(self.above):
            y, cache = forward(self.above, h)
            return self._gradient(h, self.loss.gradient(y, labels), cache)

    def _gradient(self, h: Array, error: Array, cache: Cache) -> Array:
        """What stands for dL/dh, from the error dL/dy at the end."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.above._name()})"


class Exact(FromAbove):
    """Back-propagation through all layers above: what every other signal stands in for."""

    kind = "the true gradient"

    def _gradient(self, h: Array, error: Array, cache: Cache) -> Array:
        return backward(self.above, error, cache)


class FeedbackAlignment(FromAbove):
    """Back-propagation with fixed random matrices where the transposed weights stand (Lillicrap et al. 2016).

    Args:
        above: all layers between this boundary and the loss.
        loss: `gradient(y, labels)`.
        rng: a numpy Generator or a seed for the matrices.
        feedback: instead of rng, `random_feedback` of the whole network: a layer then has the same matrix for all
            boundaries below it, as in the paper.
    """

    kind = "feedback alignment"

    def __init__(
        self,
        above: Layer,
        loss: Any,
        *,
        rng: np.random.Generator | int | None = None,
        feedback: "Feedback | None" = None,
    ):
        super().__init__(above, loss)
        self.feedback = random_feedback(above, rng) if feedback is None else feedback

    def _gradient(self, h: Array, error: Array, cache: Cache) -> Array:
        with _weights(self.above, self.feedback):
            return backward(self.above, error, cache)


class DirectFeedbackAlignment(FromAbove):
    """The error at the end times one fixed random matrix, dh = e B (Nøkland 2016, arXiv 1609.01596).

    Args:
        above: all layers between this boundary and the loss.
        loss: `gradient(y, labels)`.
        n: N, the features of h.
        n_out: features of the output.
        rng: a numpy Generator or a seed for B (n_out, N), uniform within 1 / sqrt(n_out).
    """

    kind = "direct feedback alignment"

    def __init__(self, above: Layer, loss: Any, n: int, n_out: int, *, rng: np.random.Generator | int | None = None):
        super().__init__(above, loss)
        n, n_out = expect_positive("DirectFeedbackAlignment", n=n, n_out=n_out)
        limit = n_out**-0.5
        self.B = expect_generator("DirectFeedbackAlignment", rng).uniform(-limit, limit, (n_out, n))

    def _gradient(self, h: Array, error: Array, cache: Cache) -> Array:
        self.B = to_device(self.B, device_of(h)).astype(h.dtype, copy=False)
        return (error @ self.B).reshape(h.shape)


class Kickback(FromAbove):
    """The error at the end times each unit's influence on the next segment alone (Balduzzi et al. 2015, 1411.6191).

    The paper has, as we recall it, one output: every unit of the next segment takes the error there for its own
    gradient, and back-propagation goes on for one segment from that. With more outputs, unit k of the next segment
    takes the error of output k mod n_out. Where one segment is above, this is exact.

    Args:
        above: all segments between this boundary and the loss, one after another; the first is the next one.
        loss: `gradient(y, labels)`.
    """

    kind = "Kickback"

    def _gradient(self, h: Array, error: Array, cache: Cache) -> Array:
        xp, (following, *rest) = array_module(h), list(self.above.children().values()) or [self.above]
        if not rest:
            return backward(self.above, error, cache)
        after, cache = forward(following, h)
        units = xp.arange(after[0].size) % error.shape[-1]
        return backward(following, error[..., units].reshape(after.shape), cache)


@contextmanager
def untouched(net: Layer) -> Iterator[None]:
    """Gradients, running statistics and dropout's generators are as before, after the with statement."""
    arrays = [*net.grads.slabs, *net.buffers.slabs]
    generators = [layer.rng.bit_generator for layer in all_layers(net) if isinstance(layer, Dropout)]
    before, states = [a.copy() for a in arrays], [generator.state for generator in generators]
    try:
        yield
    finally:
        for a, old in zip(arrays, before, strict=True):
            a[...] = old
        for generator, state in zip(generators, states, strict=True):
            generator.state = state


#: A layer's parameters -> name -> the matrix that stands for the weights of that name on the way back.
Feedback = dict[NamedArrays, dict[str, Array]]


def random_feedback(net: Layer, rng: np.random.Generator | int | None = None) -> Feedback:
    """For each weight array of two or more axes a random one of the same mean square, drawn once."""
    rng, feedback = expect_generator("random_feedback", rng), {}
    for leaf in net.params.leaves:
        feedback[leaf] = {name: _random_like(W, rng) for name, W in leaf.items() if W.ndim > 1}
    return feedback


def _random_like(W: Array, rng: np.random.Generator) -> Array:
    B = to_device(rng.standard_normal(W.shape).astype(W.dtype), device_of(W))
    return B * array_module(W).sqrt((W * W).mean())


@contextmanager
def _weights(net: Layer, feedback: Feedback) -> Iterator[None]:
    """The network has the feedback's weights inside the with statement, and its own after it."""
    leaves = net.params.leaves
    own = [leaf.slab.copy() for leaf in leaves]
    try:
        for leaf in leaves:
            for name, B in feedback[leaf].items():
                leaf[name][...] = to_device(B, device_of(leaf.slab))
        yield
    finally:
        for leaf, slab in zip(leaves, own, strict=True):
            leaf.slab[...] = slab
