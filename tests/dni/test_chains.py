"""Chains: with exact messages they are back-propagation wherever they are cut, and BP(lambda) lies between the ends."""

import copy
import inspect

import numpy as np
import pytest
from dni.nets import LOSS, Oracle, batch, chain_of, close, inside, linear_synthesizers, network, same, weights
from hypothesis import given
from hypothesis import strategies as st

from minidni import (
    GRU,
    LSTM,
    SGD,
    Adam,
    Chain,
    Dropout,
    Linear,
    Sequential,
    SoftmaxCrossEntropy,
    Synthesizer,
    Tanh,
    bptt,
    dni,
    to_numpy,
)

seeds = st.integers(0, 2**32 - 1)


@st.composite
def cut_networks(draw):
    """A network and where to cut it: up to five linear maps, any places, between a layer and its batch norm too."""
    net = network(draw(st.integers(2, 5)), batch_norm=draw(st.booleans()), seed=draw(seeds))
    at = draw(st.sets(st.integers(1, len(net) - 1), max_size=4))
    return net, sorted(at)


def twins(net, n=2):
    return [copy.deepcopy(net) for _ in range(n)]


# -- exact messages


@given(cut=cut_networks(), seed=seeds, adam=st.booleans())
def test_chains_with_exact_messages_equal_backprop_wherever_they_are_cut(cut, seed, adam):
    net, at = cut
    optimizer = (lambda: Adam(0.1)) if adam else (lambda: SGD(0.3, momentum=0.5))
    whole, *others = twins(net, 4)
    exact, told, locked = (
        chain_of(one, at, signal, optimizer)
        for one, signal in zip(others, [lambda above: dni.Exact(above, LOSS), Oracle, Oracle], strict=True)
    )
    by_hand = optimizer()
    for step in range(3):
        x, labels = batch(seed + step)
        y, cache = whole.forward(x)
        whole.zero_grads()
        whole.backward(LOSS.gradient(y, labels), cache)
        by_hand.step(whole)
        for h in (exact.decoupled(x, labels).h, told.decoupled(x, labels).h, locked.backprop(x, labels).h):
            close(h, y)
    for chain in (exact, told, locked):
        close(weights(chain.net), weights(whole), 1e-11)
        for got, wanted in zip(chain.net.buffers.slabs, whole.buffers.slabs, strict=True):
            close(got, wanted)


@given(cut=cut_networks(), seed=seeds, lam=st.floats(0, 1))
def test_with_exact_signals_every_mixture_is_backprop(cut, seed, lam):
    """Signals that look above must find the weights of this step there, not those after the update."""
    net, at = cut
    mixed, locked = (chain_of(one, at, lambda above: dni.Exact(above, LOSS)) for one in twins(net))
    for step in range(3):
        mixed.mixed(*batch(seed + step), lam)
        locked.backprop(*batch(seed + step))
    close(weights(mixed.net), weights(locked.net), 1e-11)


def test_an_exact_signal_draws_the_masks_of_dropout_that_the_step_above_will_draw():
    rng = np.random.default_rng(0)
    nets = twins(
        Sequential(*network(2, seed=1)[:2], Linear(6, 6, rng=rng, dtype=np.float64), Dropout(0.5, rng=1), Tanh(),
                   Linear(6, 3, rng=rng, dtype=np.float64), Dropout(0.2, rng=2))
    )  # fmt: skip
    decoupled, locked = (chain_of(net, (2, 4), lambda above: dni.Exact(above, LOSS)) for net in nets)
    for step in range(4):
        decoupled.decoupled(*batch(step))
        locked.backprop(*batch(step))
    same(weights(decoupled.net), weights(locked.net))


# -- BP(lambda) between the layers


@given(cut=cut_networks(), seed=seeds)
def test_mixed_is_backprop_at_one_and_decoupled_at_zero_bit_for_bit(cut, seed):
    net, at = cut
    synthesizers = linear_synthesizers(optimizer=lambda: Adam(0.05))
    ends = [chain_of(one, at, synthesizers, lambda: Adam(0.01)) for one in twins(net, 4)]
    one, locked, zero, decoupled = ends
    for step in range(4):
        x, labels = batch(seed + step)
        one.mixed(x, labels, 1.0)
        locked.backprop(x, labels, learn=True)
        zero.mixed(x, labels, 0.0)
        decoupled.decoupled(x, labels)
    for got, wanted in ((one, locked), (zero, decoupled)):
        same(weights(got.net), weights(wanted.net))
        for a, b in zip(got.segments[:-1], wanted.segments[:-1], strict=True):
            same(weights(a.signal.net), weights(b.signal.net))
    if at:
        assert not np.array_equal(weights(one.net), weights(zero.net)), "the ends differ"


def test_learning_on_the_way_does_not_change_backprop():
    plain, learning = (chain_of(net, (2, 4), linear_synthesizers()) for net in twins(network(3)))
    for step in range(3):
        plain.backprop(*batch(step))
        errors = [report.error for report in learning.backprop(*batch(step), learn=True).reports]
    same(weights(plain.net), weights(learning.net))
    assert not weights(plain[0].signal.net).any() and weights(learning[0].signal.net).any()
    assert errors[-1] is None and 0 < errors[0] < 1


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.8, 1.0])
def test_the_mixture_against_its_recursion_written_out(lam):
    """tanh(x W0), tanh(h W1), h W2 with a linear synthesizer behind the first two, in plain NumPy."""
    net, lr, rate = network(3), 0.1, 0.05
    chain = chain_of(net, (2, 4), linear_synthesizers(optimizer=lambda: SGD(rate), scale=0.7), lambda: SGD(lr))
    W, b = ([a.copy() for a in p] for p in zip(*((layer.params.W, layer.params.b) for layer in net[::2]), strict=True))
    M = [np.zeros((n + 3 + 1, n)) for n in (6, 7)]  # of [h, one-hot label, 1]
    for step in range(5):
        x, labels = batch(step)
        chain.mixed(x, labels, lam)
        B, hot = len(x), np.eye(3)[labels]
        h = [x]
        for i in range(3):
            z = h[i] @ W[i] + b[i]
            h.append(np.tanh(z) if i < 2 else z)
        e = np.exp(h[3])
        below = (e / e.sum(1, keepdims=True) - hot) / B
        for i in (2, 1, 0):
            dz = below
            if i < 2:
                seen = np.hstack([h[i + 1], hot, np.ones((B, 1))])
                synthetic = seen @ M[i]
                dz = (lam * below + (1 - lam) * 0.7 * synthetic / B) * (1 - h[i + 1] ** 2)
                M[i] -= rate * seen.T @ (synthetic - B * below) / B
            below = dz @ W[i].T
            W[i] -= lr * h[i].T @ dz
            b[i] -= lr * dz.sum(0)
    close(weights(chain.net), np.concatenate([np.append(w, v) for w, v in zip(W, b, strict=True)]))
    for segment, m in zip(chain.segments[:-1], M, strict=False):
        close(weights(segment.signal.net), m.ravel())


# -- what must stay as it is


def state(net):
    return [to_numpy(a).copy() for a in (*net.params.slabs, *net.grads.slabs, *net.buffers.slabs)]


def test_running_statistics_follow_the_same_batches_decoupled_or_not():
    chains = [chain_of(net, (3, 6), linear_synthesizers()) for net in twins(network(4, batch_norm=True), 3)]
    for chain, step in zip(chains, ("backprop", "decoupled", "mixed"), strict=True):
        getattr(chain, step)(*batch(), *([0.5] if step == "mixed" else []))
    for chain in chains[1:]:
        for got, wanted in zip(chain.net.buffers.slabs, chains[0].net.buffers.slabs, strict=True):
            same(got, wanted)
    assert chains[0].net.buffers["0.1.mean"].any()


@pytest.mark.parametrize("look", ["boundaries", "compare", "signals"])
def test_looking_leaves_no_trace(look):
    net = Sequential(*network(3, batch_norm=True), Dropout(0.3, rng=5))
    rng = np.random.default_rng(1)
    kinds = [
        lambda above: dni.Exact(above, LOSS),
        lambda above: dni.FeedbackAlignment(above, LOSS, rng=rng),
        lambda above: dni.Kickback(above, LOSS),
        lambda above: dni.DirectFeedbackAlignment(above, LOSS, 7, 3, rng=rng),
    ]
    for kind in kinds:
        chain = chain_of(net, (5,), kind)
        for slab in net.grads.slabs:
            slab[...] = rng.standard_normal(slab.shape)
        before, generator = state(net), net[-1].rng.bit_generator.state
        x, labels = batch(3)
        if look == "signals":
            chain[0].signal.gradient(rng.standard_normal((8, 7)), labels)
        else:
            getattr(chain, look)(x, labels)
        for got, wanted in zip(state(net), before, strict=True):
            same(got, wanted)
        assert net[-1].rng.bit_generator.state == generator


def test_boundaries_are_the_activations_and_the_true_gradients():
    net = network(3, batch_norm=True)
    chain = chain_of(net, (3, 6), linear_synthesizers())
    x, labels = batch()
    hs, dhs = chain.boundaries(x, labels)
    for end, h, dh in zip((3, 6), hs, dhs, strict=False):
        wanted, above = Sequential(*net[:end]).forward(x)[0], Sequential(*net[end:])
        close(h, wanted)
        y, cache = above.forward(h)
        close(dh, above.backward(LOSS.gradient(y, labels), cache))
    close(dhs[-1], LOSS.gradient(hs[-1], labels))
    for _ in range(20):
        chain.decoupled(x, labels)
    found = chain.compare(x, labels)
    hs, dhs = chain.boundaries(x, labels)
    for comparison, segment, h, dh in zip(found, chain, hs, dhs, strict=False):
        wanted = bptt.compare(segment.signal.gradient(h, labels), dh)
        close(np.array(comparison), np.array(wanted))


def test_a_chain_trains_the_layers_it_was_given():
    net = network(3)
    chain = chain_of(net, (2, 4), linear_synthesizers())
    assert inside(chain.net) == list(net)
    before = weights(net)
    chain.decoupled(*batch())
    assert not np.array_equal(weights(net), before)


def test_the_chain_of_three_says_what_each_segment_was_trained_on():
    """DNI_0, DNI_3, DNI_5: the first two never see the true gradient, and the reports say so."""
    chain = chain_of(network(4), (3, 5), linear_synthesizers(), names=("layers 0-2", "layers 3-4", "layers 5-6"))
    low, middle, top = chain.decoupled(*batch()).reports
    assert low.learned_from.startswith("dx of layers 3-4, itself updated on ")
    assert low.updated_on == middle.updated_on != top.updated_on
    assert middle.learned_from == f"dx of layers 5-6, itself updated on {top.updated_on}"
    assert top.updated_on == "the true gradient of SoftmaxCrossEntropy()"
    assert top.learned_from is top.error is None
    low, middle, _ = chain.backprop(*batch(), learn=True).reports
    assert low.updated_on == "the true gradient, through layers 3-4"
    assert low.learned_from == "dx of layers 3-4, itself updated on the true gradient, through layers 5-6"
    assert "0.25 of dx of layers 3-4" in chain.mixed(*batch(), 0.25).reports[0].updated_on
    text = repr(chain).splitlines()
    assert [line.split(":")[0].strip() for line in text[1:]] == [segment.name for segment in chain]


def test_the_steps_take_labels_and_predict_takes_none():
    assert list(inspect.signature(dni.Chain.predict).parameters) == ["self", "x"]


def test_recurrent_segments_with_exact_messages_equal_backprop():
    """A boundary between recurrent layers is h (T, B, H); each segment's state starts at zero."""
    rng, loss = np.random.default_rng(0), SoftmaxCrossEntropy()
    x, labels = rng.standard_normal((5, 3, 2)), rng.integers(0, 4, (5, 3))

    def make(signal, rate=0.5):
        layers = [LSTM(2, 6, rng=1), GRU(6, 6, rng=2), Linear(6, 4, rng=3)]
        net = Sequential(*layers).astype(np.float64)
        return Chain.cut(net, (1, 2), signal=signal, loss=loss, optimizer=lambda: SGD(rate))

    exact, locked = make(lambda above: dni.Exact(above, loss)), make(lambda above: dni.Zero())
    for _ in range(3):
        exact.decoupled(x, labels)
        locked.backprop(x, labels)
    close(weights(exact.net), weights(locked.net))

    guess = make(lambda above: Synthesizer(Linear(6 + 4, 6, rng=4, dtype=np.float64), SGD(0.1)), 1e-3)
    errors = [float(guess.decoupled(x, labels).reports[1].error) for _ in range(400)]
    assert errors[-1] < 0.9 * errors[0]
