"""Probes for any implementation with this library's methods: each fails where one known mistake was made."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from dni.nets import LOSS, Hold, batch, network, weights

from minidni import SGD, Chain, Segment, Sequential


def nothing_leaks(make_chain: Callable[[Sequential], Chain]) -> None:
    """With synthesizers that say 0 all segments but the last stay exactly as they are."""
    chain = make_chain(network(3))
    for segment in chain.segments[:-1]:
        segment.signal.scale = 0.0
    before = [weights(segment.net) for segment in chain]
    for step in range(2):
        chain.decoupled(*batch(step))
    for segment, old in zip(chain.segments[:-1], before, strict=False):
        assert np.array_equal(weights(segment.net), old), "the true gradient leaks through"


def nothing_piles_up(make_chain: Callable[[Sequential], Chain]) -> None:
    """After more steps it holds as much."""
    chain, sizes = make_chain(network(3)), []
    for _ in range(3):
        for step in range(10):
            chain.decoupled(*batch(step))
        sizes.append(len(pickle.dumps(chain.__dict__)))
    assert sizes[2] - sizes[1] < 100, f"it grows: {sizes} bytes after 10, 20, 30 steps"


def starts_at_zero(make: Callable[[int], Any]) -> None:
    """The first message, before anything was learned, is no larger than the true gradient: it is 0."""
    rng = np.random.default_rng(0)
    message = make(6).predict(rng.standard_normal((64, 6)))
    assert not message.any(), f"the first message has norm {np.linalg.norm(message):.3g}"


def learns(make: Callable[[int], Any]) -> None:
    """Shown the same trigger and message again and again, its error falls."""
    rng = np.random.default_rng(1)
    h, message = rng.standard_normal((32, 6)), rng.standard_normal((32, 6)) / 32
    synthesizer = make(6)
    errors = [float(synthesizer.fit(h, message)) for _ in range(30)]
    assert errors[-1] < errors[0], f"the relative error went from {errors[0]:.3g} to {errors[-1]:.3g}"


def learns_with_the_weights_it_has(make: Callable[[int], Any]) -> None:
    """Targets that come late: each step is down the slope at the weights of now, found by central differences."""
    rng = np.random.default_rng(2)
    triggers, messages = rng.standard_normal((4, 8, 3)), rng.standard_normal((4, 8, 3)) / 8
    synthesizer = make(3)
    synthesizer.fit(triggers[0], messages[0])
    for h in triggers:
        synthesizer.predict(h)
    synthesizer.optimizer = hold = Hold()
    for h, message in zip(triggers, messages, strict=True):
        hold.total = 0
        slopes = _slopes(synthesizer.net, h, message)
        synthesizer.fit(h, message)
        assert np.allclose(hold.total, slopes, atol=1e-6), "the step is not down the slope at the present weights"
        SGD(0.1).step(synthesizer.net)


def _slopes(net: Any, h: np.ndarray, message: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    """The derivative of the mean over the rows of 1/2 |net(h) - B message|^2 by each parameter."""
    slopes, (slab,) = np.zeros(net.n_params), net.params.slabs
    for i in range(len(slab)):
        kept, values = slab[i], []
        for step in (eps, -eps):
            slab[i] = kept + step
            values.append(((net.forward(h)[0] - len(h) * message) ** 2).sum() / (2 * len(h)))
        slab[i] = kept
        slopes[i] = (values[0] - values[1]) / (2 * eps)
    return slopes


def updates_downhill(make_segment: Callable[[Sequential], Segment]) -> None:
    """With the true gradient for its message a segment's update lowers the loss."""
    segment = make_segment(network(2))
    x, labels = batch(3)
    losses = []
    for _ in range(2):
        h, cache = segment.forward(x)
        losses.append(LOSS.value(h, labels))
        segment.update(LOSS.gradient(h, labels), cache)
    assert losses[1] < losses[0], f"the loss went from {losses[0]:.4g} to {losses[1]:.4g}"


def asks_something_of_the_state(make_head: Callable[[int], Any]) -> None:
    """What the auxiliary head sends back is the derivative of its loss by the state, along a random direction."""
    rng = np.random.default_rng(4)
    s, message, v = rng.standard_normal((3, 5, 4))
    head, eps = make_head(4), 1e-6

    def loss(state: np.ndarray) -> float:
        return float(((head.net.forward(state)[0] - 5 * message) ** 2).sum()) / 10

    slope = (loss(s + eps * v) - loss(s - eps * v)) / (2 * eps)
    sent = (copy.deepcopy(head).gradient(s, message) * v).sum()
    assert abs(sent - slope) < 1e-6 * abs(slope), f"sent back {sent:.4g}, where the slope is {slope:.4g}"
