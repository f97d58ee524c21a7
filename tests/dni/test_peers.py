"""Mistakes that public implementations have made, made again: each is seen by its probe, which passes ours."""

import numpy as np
import pytest
from dni import probes
from dni.nets import LOSS, batch, chain_of, linear_synthesizers, network

from minidni import SGD, Chain, Linear, Segment, Synthesizer, dni
from minidni.dni import networks


def chain_as(kind):
    """For the probes: a network in three segments, as a chain of this kind."""

    def make(net):
        return kind(*chain_of(net, (2, 4), linear_synthesizers(), lambda: SGD(0.1)).segments)

    return make


def synthesizer(n):
    return Synthesizer(networks.linear(n, dtype=np.float64), SGD(0.1))


def segment(net):
    return Segment(net, LOSS, SGD(0.1))


def head(n):
    return dni.AuxiliaryHead(Linear(n, n, rng=0, dtype=np.float64), SGD(0.1), zero_start=False)


# -- the mistakes


class Leaky(Chain):
    """The graph is not cut: a hook adds the synthetic gradient, and the true one arrives all the same."""

    def decoupled(self, x, labels, **options):
        self.backprop(x, labels)
        return super().decoupled(x, labels, **options)


class Hoarder(Chain):
    """Each step registers a hook that nobody removes."""

    def decoupled(self, x, labels, **options):
        self.__dict__.setdefault("hooks", []).append(step := super().decoupled(x, labels, **options))
        return step


class BiasForgotten(Synthesizer):
    """The last layer's weights start at zero, its bias as it is drawn; and no units: as large for any batch."""

    def __init__(self, n):
        net = networks.linear(n, dtype=np.float64)
        net.params.W = np.zeros((n, n))
        net.params.b = np.random.default_rng(0).uniform(-(n**-0.5), n**-0.5, n)
        super().__init__(net, SGD(0.1), zero_start=False)

    def _units(self, trigger):
        return 1


class Uphill(SGD):
    """weights += alpha * gradient, as printed in a tutorial for the layers and for their synthesizers."""

    def update(self, w, g, state, lr):
        w += lr * g


class ForwardCacheKept(Synthesizer):
    """`predict` keeps its forward pass, and `fit` goes back through that of the prediction its target is for."""

    def __init__(self, n):
        super().__init__(networks.linear(n, dtype=np.float64), SGD(0.1))
        self.kept = []

    def predict(self, trigger, context=None):
        y, cache = self.net.forward(trigger)
        self.kept.append((y, cache))
        return y / len(trigger)

    def fit(self, trigger, message, context=None):
        y, cache = self.kept.pop(0) if self.kept else self.net.forward(trigger)
        off = y - len(trigger) * message
        self.net.zero_grads()
        self.net.backward(off / len(trigger), cache)
        self.optimizer.step(self.net)
        return np.linalg.norm(off) / np.linalg.norm(len(trigger) * message)


class DeadHead(dni.AuxiliaryHead):
    """The auxiliary loss is computed, and its head learns; but the gradient by the state is never used."""

    def gradient(self, s, message, *, mask=None):
        return 0 * super().gradient(s, message, mask=mask)


def uphill_synthesizer(n):
    return Synthesizer(networks.linear(n, dtype=np.float64), Uphill(0.1))


def uphill_segment(net):
    return Segment(net, LOSS, Uphill(0.1))


def dead_head(n):
    return DeadHead(Linear(n, n, rng=0, dtype=np.float64), SGD(0.1))


# name -> the probe, ours, theirs, and what the probe says of it
MISTAKES = {
    "the true gradient leaks": (probes.nothing_leaks, chain_as(Chain), chain_as(Leaky), "leaks through"),
    "every step costs more": (probes.nothing_piles_up, chain_as(Chain), chain_as(Hoarder), "it grows"),
    "the bias is not zeroed": (probes.starts_at_zero, synthesizer, BiasForgotten, "the first message has norm"),
    "a synthesizer's sign": (probes.learns, synthesizer, uphill_synthesizer, "the relative error went from 1 to"),
    "a layer's sign": (probes.updates_downhill, segment, uphill_segment, "the loss went from"),
    "the forward cache is kept": (
        probes.learns_with_the_weights_it_has, synthesizer, ForwardCacheKept, "not down the slope"
    ),
    "a dead auxiliary head": (probes.asks_something_of_the_state, head, dead_head, "sent back 0, where the slope is"),
}  # fmt: skip
every_mistake = pytest.mark.parametrize("name", MISTAKES)


@every_mistake
def test_the_probe_passes_ours(name):
    probe, ours, _, _ = MISTAKES[name]
    probe(ours)


@every_mistake
def test_the_probe_sees_the_mistake(name):
    probe, _, theirs, words = MISTAKES[name]
    with pytest.raises(AssertionError, match=words):
        probe(theirs)


SYNTHESIZER_PROBES = [probes.starts_at_zero, probes.learns, probes.learns_with_the_weights_it_has]


@pytest.mark.parametrize(
    ("theirs", "seen"),
    [
        (BiasForgotten, {"starts_at_zero"}),
        (uphill_synthesizer, {"learns"}),
        (ForwardCacheKept, {"learns_with_the_weights_it_has"}),
    ],
    ids=["bias", "sign", "cache"],
)
def test_one_probe_does_not_stand_in_for_another(theirs, seen):
    """Each mistake passes the probes for the others."""
    found = set()
    for probe in SYNTHESIZER_PROBES:
        try:
            probe(theirs)
        except AssertionError:
            found.add(probe.__name__)
    if theirs is BiasForgotten:  # it has no units either, which the slope shows too
        found -= {"learns_with_the_weights_it_has", "learns"}
    assert found == seen


# -- what the mistakes do


def test_a_forgotten_bias_makes_the_first_message_many_times_the_true_gradient():
    net = network(3)
    chain = chain_of(net, (2, 4), linear_synthesizers())
    x, labels = batch(B=64)
    (h, _, _), (exact, _, _) = chain.boundaries(x, labels)
    message = BiasForgotten(6).predict(h)
    assert np.linalg.norm(message) > 10 * np.linalg.norm(exact)
    assert not chain[0].signal.predict(h, labels).any()


def test_with_both_signs_wrong_the_error_grows_without_end():
    net = network(2)
    chain = Chain(Segment(net[0], uphill_synthesizer(6), Uphill(0.1)), Segment(net[-1], LOSS, Uphill(0.1)))
    x, labels = batch(B=16)
    losses = [LOSS.value(chain.decoupled(x, labels).h, labels) for _ in range(14)]
    assert losses[-1] > 5 * losses[0]


def test_a_forward_cache_kept_over_a_lag_leaves_a_larger_error():
    """Targets that arrive five steps late, at a rate that a slope from then does not bear."""
    errors = {}
    for kind in (synthesizer, ForwardCacheKept):
        rng = np.random.default_rng(5)
        W, one, waiting, found = rng.standard_normal((6, 6)), kind(6), [], []
        one.optimizer = SGD(0.25)
        for _ in range(300):
            h = rng.standard_normal((16, 6))
            one.predict(h)
            waiting.append(h)
            if len(waiting) > 5:
                then = waiting.pop(0)
                found.append(float(one.fit(then, then @ W / 16)))
        errors[kind] = np.mean(found[-50:])
    assert errors[synthesizer] < 1e-6
    assert errors[ForwardCacheKept] > 0.01
