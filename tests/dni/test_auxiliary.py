"""The auxiliary head: what it sends back is the derivative of its loss, and reaches the weights that made the state."""

import copy

import numpy as np
import pytest
from dni.nets import close, same, weights

from minidni import LSTM, SGD, Adam, Linear, Sequential, Synthesizer, Tanh, dni


def loss(net, s, message, weight):
    """weight / 2 |net(s) - B message|^2, mean over the rows."""
    return weight / 2 * ((net.forward(s)[0] - len(s) * message) ** 2).sum() / len(s)


HEADS = {
    "linear": lambda: Linear(4, 4, rng=0, dtype=np.float64),
    "MLP": lambda: Sequential(Linear(4, 6, rng=0, dtype=np.float64), Tanh(), Linear(6, 4, rng=1, dtype=np.float64)),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_what_comes_back_is_the_derivative_of_its_loss_by_the_state(name, weight):
    """By central differences; the head's own step comes after, and is made with its whole loss."""
    rng, net = np.random.default_rng(1), HEADS[name]()
    s, message = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)) / 3
    twin, h, slopes = copy.deepcopy(net), 1e-5, np.zeros_like(s)
    for index in np.ndindex(s.shape):
        up, down = s.copy(), s.copy()
        up[index] += h
        down[index] -= h
        slopes[index] = (loss(net, up, message, weight) - loss(net, down, message, weight)) / (2 * h)
    before = loss(net, s, message, 1.0)
    head = dni.AuxiliaryHead(net, SGD(0.01), weight, zero_start=False)
    ds = head.gradient(s, message)
    close(ds, slopes, 1e-8)
    assert np.abs(ds).min() > 0
    assert loss(net, s, message, 1.0) < before

    y, cache = twin.forward(s)
    twin.backward((y - 3 * message) / 3, cache)
    SGD(0.01).step(twin)
    close(weights(net), weights(twin))


def test_the_closed_form_of_a_linear_head():
    rng = np.random.default_rng(2)
    s, message = rng.standard_normal((5, 4)), rng.standard_normal((5, 4))
    net = Linear(4, 4, rng=rng, dtype=np.float64)
    W, b = net.params.W.copy(), net.params.b.copy()
    ds = dni.AuxiliaryHead(net, SGD(0.1), 0.7, zero_start=False).gradient(s, message)
    close(ds, 0.7 * (s @ W + b - 5 * message) @ W.T / 5)


def run(head, *, windows=8, rate=0.05, scale=1.0):
    """An LSTM over windows of two steps with a synthesizer, and a head or none; what they have become."""
    rng = np.random.default_rng(3)
    net, optimiser = LSTM(2, 3, rng=0, dtype=np.float64), SGD(0.1)
    synthesizer = Synthesizer(dni.networks.linear(6, dtype=np.float64), SGD(rate), scale)
    s = before = None
    targets = []
    for _ in range(windows):
        x, dy = rng.standard_normal((2, 4, 2)), rng.standard_normal((2, 4, 3)) / 8
        _, sT, cache = net.forward(x, s)
        dsT = synthesizer.predict(sT)
        net.zero_grads()
        _, ds0 = net.backward(dy, cache, dsT)
        if before is not None:
            if head is not None:
                ds0 = ds0 + head.gradient(before, dsT)
            targets.append(ds0)
            synthesizer.fit(before, ds0)
        optimiser.step(net)
        before = s = sT.copy()
    return weights(net), weights(synthesizer.net), targets


def a_head(weight):
    return dni.AuxiliaryHead(Linear(6, 6, rng=7, dtype=np.float64), Adam(0.01), weight, zero_start=False)


def test_it_changes_the_gradient_by_the_state_and_through_it_the_weights_of_the_net():
    plain, with_head = run(None), run(a_head(1.0))
    assert np.abs(plain[2][0] - with_head[2][0]).max() > 1e-3
    assert np.abs(plain[1] - with_head[1]).max() > 1e-3
    assert np.abs(plain[0] - with_head[0]).max() > 1e-4


def test_the_weights_of_the_net_hear_of_it_only_by_the_synthesizer():
    """With scale 0 the message is not used, and the net stays as it would be: the head is no hidden loss on it."""
    plain, with_head = run(None, scale=0.0), run(a_head(1.0), scale=0.0)
    same(with_head[0], plain[0])
    assert np.abs(plain[1] - with_head[1]).max() > 1e-3


def test_at_weight_zero_it_changes_nothing():
    for got, wanted in zip(run(a_head(0.0)), run(None), strict=True):
        same(np.array(got), np.array(wanted))


def test_it_learns_to_foretell_the_message():
    """Where the message is a function of the state, its error falls and with it what it sends back."""
    rng = np.random.default_rng(4)
    W = rng.standard_normal((4, 4))
    head = dni.AuxiliaryHead(Linear(4, 4, rng=0, dtype=np.float64), SGD(0.2), zero_start=False)
    sizes = []
    for _ in range(300):
        s = rng.standard_normal((16, 4))
        sizes.append(np.linalg.norm(head.gradient(s, s @ W / 16)))
    assert sizes[-1] < 1e-6 * sizes[0]
    close(head.net.params.W, W, 1e-6)


def test_a_fresh_head_sends_nothing_back_and_yet_learns():
    rng = np.random.default_rng(5)
    net = Linear(4, 4, rng=0, dtype=np.float64)
    net.params.b[...] = 1
    head = dni.AuxiliaryHead(net, SGD(0.1))
    s, message = rng.standard_normal((8, 4)), rng.standard_normal((8, 4)) / 8
    assert not head.gradient(s, message).any()
    first, second = (np.linalg.norm(head.gradient(s, message)) for _ in range(2))
    assert 0 < first < second < np.linalg.norm(message)
