"""What travels to another process goes on there as it would have gone on here."""

import copy
import pickle

import numpy as np
import pytest
from dni.nets import CLASSES, LOSS, batch, chain_of, linear_synthesizers, network, same, weights

from minidni import LSTM, SGD, Adam, Linear, Segment, Sequential, Synthesizer, Tanh, dni, to_device
from minidni.dni import networks
from minidni.nn import Layer


def travel(x):
    return pickle.loads(pickle.dumps(x))


def views_are_intact(net: Layer) -> bool:
    """Writing to the slabs shows in the named arrays, and what an optimiser knows is about these."""
    for leaf in [*net.params.leaves, *net.grads.leaves]:
        old = leaf.slab.copy()
        leaf.slab[...] = 3
        if not all((a == 3).all() for a in leaf.values()):
            return False
        leaf.slab[...] = old
    return True


def rows(seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((6, 4)).astype(dtype), rng.standard_normal((6, 4)).astype(dtype), rng.integers(0, 3, 6)


@pytest.mark.parametrize("fitted", [0, 3])
def test_a_synthesizer(fitted, device):
    h, message, labels = (to_device(a, device) for a in rows())
    here = Synthesizer(networks.mlp(4, 3, n_hidden=5, normalise="running", rng=0).to(device), Adam(0.1), 0.3)
    for _ in range(fitted):
        here.fit(h, message, labels)
    there = travel(here)
    assert views_are_intact(there.net)
    for _ in range(3):
        same(there.predict(h, labels), here.predict(h, labels))
        same(there.fit(h, message, labels), here.fit(h, message, labels))
    same(weights(there.net), weights(here.net))
    assert list(there.optimizer.state) == there.net.params.leaves
    assert there.scale == 0.3 and there.n_context(h) == 3


def test_a_traced_synthesizer_takes_its_trace_along():
    rng = np.random.default_rng(0)
    net = LSTM(2, 2, rng=0)
    x = rng.standard_normal((1, 6, 2)).astype(np.float32)
    s, message, _ = rows()
    here = dni.TracedSynthesizer(Linear(4, 4), Adam(0.1), 0.9, 0.8)
    here.fit(s, message)
    there = travel(here)
    J = dni.window_jacobian(net, x, s)
    for one in (here, there):
        one.fit(s, message, jacobian=J)
    same(weights(there.net), weights(here.net))


def test_an_auxiliary_head():
    s, message, _ = rows()
    here = dni.AuxiliaryHead(Linear(4, 4, rng=0), Adam(0.1), 0.5)
    here.gradient(s, message)
    there = travel(here)
    for _ in range(2):
        same(there.gradient(s, message), here.gradient(s, message))
    same(weights(there.net), weights(here.net))


SIGNALS = {
    "loss": lambda above: LOSS,
    "synthesizer": lambda above: Synthesizer(networks.linear(6, CLASSES, dtype=np.float64), Adam(0.1)),
    "exact": lambda above: dni.Exact(above, LOSS),
    "feedback alignment": lambda above: dni.FeedbackAlignment(above, LOSS, rng=0),
    "direct feedback alignment": lambda above: dni.DirectFeedbackAlignment(above, LOSS, 6, CLASSES, rng=0),
    "kickback": lambda above: dni.Kickback(above, LOSS),
    "greedy": lambda above: dni.Greedy(Linear(6, CLASSES, rng=0, dtype=np.float64), LOSS, Adam(0.1)),
    "stale": lambda above: dni.Stale(CLASSES),
    "zero": lambda above: dni.Zero(),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_a_segment(name):
    rng = np.random.default_rng(1)
    signal = SIGNALS[name](
        network(2)[2:] if name == "loss" else Sequential(Linear(6, CLASSES, rng=2, dtype=np.float64))
    )
    here = Segment(Sequential(Linear(5, 6, rng=rng, dtype=np.float64), Tanh()), signal, Adam(0.1), name="low", clip=0.5)
    if name == "loss":
        here = Segment(Linear(5, CLASSES, rng=rng, dtype=np.float64), signal, Adam(0.1), name="low", clip=0.5)

    def step(segment, k):
        x, labels = batch(k)
        h, dx = segment.step(x, labels)
        if hasattr(segment.signal, "learn"):
            segment.signal.learn(h, 0.1 * h, labels)
        return dx

    step(here, 0)
    there = travel(here)
    assert views_are_intact(there.net) and there.name == "low" and there.clip == 0.5
    for k in range(1, 4):
        same(step(there, k), step(here, k))
    same(weights(there.net), weights(here.net))
    assert repr(there) == repr(here)


@pytest.mark.parametrize("way", [travel, copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_chain_with_targets_still_owed(way):
    here = chain_of(network(4, batch_norm=True), (3, 6), linear_synthesizers(optimizer=Adam), lambda: SGD(0.1))
    for k in range(4):
        here.decoupled(*batch(k), lag=2)
    there = way(here)
    assert views_are_intact(there.net)
    for k in range(4, 9):
        for chain in (here, there):
            chain.decoupled(*batch(k), lag=2)
    same(weights(there.net), weights(here.net))
    for a, b in zip(there.segments[:-1], here.segments[:-1], strict=True):
        same(weights(a.signal.net), weights(b.signal.net))
    same(weights(there.net), np.concatenate([weights(segment.net) for segment in there]))
    same(there.predict(batch()[0]), here.predict(batch()[0]))
    assert repr(there) == repr(here)
