"""The probes that every implementation of synthetic gradients should pass."""

import copy
import pickle
import tracemalloc
from itertools import count

import numpy as np
import pytest
from dni.nets import (
    LOSS,
    SYNTHESIZERS,
    Oracle,
    Told,
    batch,
    chain_of,
    close,
    linear_synthesizers,
    network,
    same,
    weights,
)

from minidni import (
    GRU,
    LSTM,
    RNN,
    SGD,
    Adam,
    BatchNorm,
    Linear,
    ReLU,
    Sequential,
    SquaredError,
    Synthesizer,
    accuracy,
    bptt,
    data,
    dni,
    to_device,
    to_numpy,
)

OPTIMISERS = [lambda: SGD(0.1), lambda: SGD(0.1, momentum=0.9), lambda: Adam(0.1)]


def to_device_of_the_trunk(chain, device):
    for segment in chain.segments[:-1]:
        if hasattr(segment.signal, "net"):
            segment.signal.net.to(device)


# -- 1. A synthesizer that says 0: nothing reaches the trunk.


@pytest.mark.parametrize("optimizer", OPTIMISERS, ids=["SGD", "momentum", "Adam"])
@pytest.mark.parametrize("zero", ["fresh", "scale 0", "Zero"])
def test_with_the_synthesizers_at_zero_the_trunk_gets_exactly_nothing(zero, optimizer, device):
    signal = {
        "fresh": linear_synthesizers(optimizer=lambda: SGD(0.0)),
        "scale 0": linear_synthesizers(scale=0.0),  # it learns, and is not used
        "Zero": lambda above: dni.Zero(),
    }[zero]
    chain = chain_of(network(4, batch_norm=True).to(device), (3, 6), signal, optimizer)
    to_device_of_the_trunk(chain, device)
    before = [weights(segment.net) for segment in chain]
    for step in range(4):
        chain.decoupled(*batch(step, device=device))
        for segment in chain.segments[:-1]:
            assert all(not to_numpy(g).any() for g in segment.net.grads.slabs)
    for segment, old in zip(chain.segments[:-1], before, strict=False):
        same(weights(segment.net), old)
    assert not np.array_equal(weights(chain[-1].net), before[-1]), "the top learns by the loss"
    if zero == "scale 0":
        assert weights(chain[1].signal.net).any(), "the target is there all the same"


# -- 2. An oracle in the synthesizer's place: back-propagation.


@pytest.mark.parametrize("optimizer", OPTIMISERS, ids=["SGD", "momentum", "Adam"])
def test_an_oracle_gives_the_weights_of_backprop(optimizer, device):
    nets = [network(4, batch_norm=True).to(device) for _ in range(3)]
    make = [Oracle, lambda above: dni.Exact(above, LOSS), Oracle]
    told, exact, locked = (chain_of(net, (3, 5, 6), one, optimizer) for net, one in zip(nets, make, strict=True))
    for step in range(6):
        x, labels = batch(step, device=device)
        told.decoupled(x, labels)
        exact.decoupled(x, labels)
        locked.backprop(x, labels)
    same(weights(exact.net), weights(locked.net))
    same(weights(told.net), weights(locked.net))
    assert told[0].signal.learned == told[2].signal.learned == 6
    assert locked[0].signal.learned == 0


# -- 3. A frozen trunk is clearly worse.


def test_a_frozen_trunk_is_clearly_worse_than_synthetic_gradients():
    """Narrow layers, so that random features do not do; every hidden layer is decoupled."""
    digits = data.load_digits()
    found = {}
    for method in ("frozen", "conditional", "backprop"):
        rng = np.random.default_rng(3)
        hidden = [layer for n in (64, 12) for layer in (Linear(n, 12, rng=rng), BatchNorm(12), ReLU())]
        synthetic = linear_synthesizers(10, lambda: Adam(0.01))
        signal = (lambda above: dni.Zero()) if method == "frozen" else synthetic
        chain = chain_of(Sequential(*hidden, Linear(12, 10, rng=rng)), (3, 6), signal, lambda: Adam(0.01))
        step = chain.backprop if method == "backprop" else chain.decoupled
        for epoch in range(8):
            for x, labels in data.batches(digits.x_train, digits.y_train, size=32, seed=1, epoch=epoch):
                step(x, labels)
        found[method] = accuracy(chain.net, digits.x_test, digits.y_test)
    assert found["conditional"] > found["frozen"] + 0.2, found
    assert found["conditional"] > found["backprop"] - 0.03, found


# -- 4. Step 10,000 costs what step 100 costs.


def held(*objects):
    """Bytes of all that can be reached: weights, caches, queues, the optimisers' state."""
    return len(pickle.dumps(objects))


def test_a_chain_holds_after_10000_steps_what_it_held_after_100():
    chain = chain_of(network(2), (2,), linear_synthesizers(optimizer=Adam), Adam)
    x, labels = batch(B=2)
    sizes, traced = {}, {}
    for step in count(1):
        chain.decoupled(x, labels, lag=3)
        if step in (100, 10_000):
            sizes[step] = held(chain)
            tracemalloc.start()
            chain.decoupled(x, labels, lag=3)
            traced[step] = tracemalloc.get_traced_memory()[1]  # the most that one step has at a time
            tracemalloc.stop()
        if step == 10_000:
            break
    assert len(chain._late[0]) == 3
    assert abs(sizes[10_000] - sizes[100]) < 64, "a count takes a byte more, an array would take more"
    assert abs(traced[10_000] - traced[100]) < 2_000


def test_a_stream_holds_after_10000_windows_what_it_held_after_100():
    net, optimiser = LSTM(1, 2, rng=0, dtype=np.float64), SGD(0.01)
    synthesizer = Synthesizer(dni.networks.linear(4, dtype=np.float64), Adam())
    head = dni.AuxiliaryHead(Linear(4, 4, rng=1, dtype=np.float64), SGD(0.01))
    x, dy = np.ones((1, 2, 1)), 0.1 * np.ones((1, 2, 2))
    sizes, before, s, cache = {}, None, None, None
    for window in range(1, 10_001):
        _, sT, cache = net.forward(x, s, cache)
        dsT = synthesizer.predict(sT)
        net.zero_grads()
        _, ds0 = net.backward(dy, cache, dsT)
        if before is not None:
            synthesizer.fit(before, ds0 + head.gradient(before, dsT))
        optimiser.step(net)
        before = s = sT.copy()
        if window in (100, 10_000):
            sizes[window] = held(net, optimiser, synthesizer, head)
    assert abs(sizes[10_000] - sizes[100]) < 64


# -- 5. Windows with the true gradient at their ends: full back-propagation through time.

CELLS = {
    "RNN": lambda **kwargs: RNN(3, 4, rng=0, **kwargs),
    "GRU": lambda **kwargs: GRU(3, 4, rng=0, **kwargs),
    "LSTM": lambda **kwargs: LSTM(3, 4, rng=0, **kwargs),
    "stack": lambda **kwargs: Sequential(LSTM(3, 4, rng=0, **kwargs), GRU(4, 4, rng=1, **kwargs)),
}
every_cell = pytest.mark.parametrize("cell", CELLS)


@every_cell
@pytest.mark.parametrize("window", [1, 3, 4])
def test_windows_with_the_true_message_are_full_bptt(cell, window, device):
    rng, L, B = np.random.default_rng(1), 12, 3
    net, loss = CELLS[cell](dtype=np.float64).to(device), SquaredError()
    x, labels = (to_device(rng.standard_normal(shape), device) for shape in ((L, B, 3), (L, B, 4)))
    whole = bptt.full(net, loss, x, labels)
    wanted = to_numpy(bptt.flat_gradients(net)).copy()
    ds = bptt.state_gradients(net, x, loss.gradient(whole.y, labels))
    synthesizer = Synthesizer(Told((B, net.n_state)).to(device), SGD(0.0), zero_start=False)
    net.zero_grads()
    s, before, cache, errors = None, None, None, []
    for a in range(0, L, window):
        b = a + window
        y, sT, cache = net.forward(x[a:b], s, cache)
        dy = loss.gradient(y, labels[a:b]) * (window / L)
        synthesizer.net.params.y = B * ds[b]
        dsT = synthesizer.predict(sT) if b < L else None
        _, ds0 = net.backward(dy, cache, dsT)
        if before is not None:
            errors.append(float(abs(ds0 - ds[a]).max()))
        before = s = sT.copy()
    close(bptt.flat_gradients(net), wanted, 1e-13)
    assert max(errors) < 1e-14, "what flows back over each boundary is the true gradient again"


# -- 6. A fresh synthesizer: truncated back-propagation, bit for bit.


@every_cell
def test_a_fresh_synthesizer_is_truncated_bptt_bit_for_bit(cell, device):
    rng = np.random.default_rng(2)
    nets = [CELLS[cell](dtype=np.float32).to(device) for _ in range(2)]
    optimisers = [Adam(0.05), Adam(0.05)]
    n = nets[0].n_state
    synthesizer = Synthesizer(dni.networks.mlp(n, n_hidden=5, n_layers=1, rng=3), Adam(0.0))
    synthesizer.net.to(device)
    x = to_device(rng.standard_normal((12, 3, 3)).astype(np.float32), device)
    dy = to_device(rng.standard_normal((12, 3, 4)).astype(np.float32), device)
    states = [None, None]
    for a in range(0, 12, 3):
        for i, net in enumerate(nets):
            _, sT, cache = net.forward(x[a : a + 3], states[i])
            net.zero_grads()
            _, ds0 = net.backward(dy[a : a + 3], cache, synthesizer.predict(sT) if i else None)
            if i and a:
                synthesizer.fit(states[i], ds0)  # at a learning rate of 0 it stays fresh
            optimisers[i].step(net)
            states[i] = sT
        same(weights(nets[1]), weights(nets[0]))
        same(states[1], states[0])


@pytest.mark.parametrize("name", SYNTHESIZERS)
def test_a_fresh_synthesizer_says_exactly_zero_whatever_weights_and_biases_it_was_given(name):
    """And it can learn; a network that was trained before says what it said, if so asked."""
    rng = np.random.default_rng(7)
    net, shape, conditional = SYNTHESIZERS[name]({"dtype": np.float64})
    for slab in net.params.slabs:
        slab[...] = rng.standard_normal(slab.shape)
    h, message = rng.standard_normal(shape), rng.standard_normal(shape)
    labels = rng.integers(0, 3, len(h)) if conditional else None
    assert Synthesizer(net, SGD(1e-3), zero_start=False).predict(h, labels).any()
    fresh = Synthesizer(net, SGD(1e-3))
    same(fresh.predict(h, labels), np.zeros(shape))
    assert fresh.fit(h, message, labels) == 1 > fresh.fit(h, message, labels)


def test_once_it_has_learned_it_is_truncated_bptt_no_longer():
    """The control: the comparison above can fail."""
    net = LSTM(3, 4, rng=0)
    twin = copy.deepcopy(net)
    synthesizer = Synthesizer(dni.networks.linear(8), Adam(0.1))
    s = np.full((2, 8), 0.1, np.float32)
    synthesizer.fit(s, s)
    _, sT, cache = net.forward(np.ones((2, 2, 3), np.float32), s)
    net.backward(None, cache, synthesizer.predict(sT))
    assert net.grads.slab.any() and not twin.grads.slab.any()
