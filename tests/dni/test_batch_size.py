"""Nothing that a synthesizer says or learns depends on how many examples stand beside one another."""

import copy

import numpy as np
import pytest
from dni.nets import LOSS, ROWS, SYNTHESIZERS, M, N, close, weights

from minidni import SGD, Linear, Synthesizer, array_module, dni, to_device, to_numpy
from minidni.dni import networks

every_net = pytest.mark.parametrize("name", SYNTHESIZERS)


def draw(name, device, seed=0):
    """A synthesizer that has learned a little, and trigger, message and labels of a batch."""
    rng = np.random.default_rng(seed)
    net, shape, conditional = SYNTHESIZERS[name]({"rng": rng, "dtype": np.float64})
    synthesizer = Synthesizer(net.to(device), SGD(0.1 if shape is ROWS else 0.01))  # a picture sums over its places
    h, message = (to_device(rng.standard_normal(shape), device) for _ in range(2))
    labels = to_device(rng.integers(0, M, shape[0]), device) if conditional else None
    for _ in range(3):
        synthesizer.fit(h, message / len(h), labels)
    return synthesizer, h, message / len(h), labels


def rows(a, index):
    return None if a is None else a[index]


@every_net
def test_the_message_for_a_row_is_its_own_in_units_of_one_example(name, device):
    synthesizer, h, _, labels = draw(name, device)
    together = to_numpy(len(h) * synthesizer.predict(h, labels))
    assert np.abs(together).max() > 1e-3
    twice = slice(None), slice(None)
    xp = array_module(h)
    doubled = [None if a is None else xp.concatenate([a[i] for i in twice]) for a in (h, labels)]
    close(2 * len(h) * synthesizer.predict(*doubled), np.concatenate([together, together]))
    for b in range(len(h)):
        close(synthesizer.predict(h[b : b + 1], rows(labels, slice(b, b + 1))), together[b : b + 1])
    flipped = to_numpy(synthesizer.predict(h[::-1].copy(), rows(labels, slice(None, None, -1))))
    close(len(h) * flipped[::-1], together)


@every_net
def test_it_learns_the_same_from_a_batch_and_from_the_batch_twice(name, device):
    """Losses are means, so with twice the rows each row's gradient is half as large."""
    synthesizer, h, message, labels = draw(name, device)
    twin = copy.deepcopy(synthesizer)
    xp = array_module(h)
    h2, labels2 = (None if a is None else xp.concatenate([a, a]) for a in (h, labels))
    before = weights(synthesizer.net)
    for _ in range(10):
        error = synthesizer.fit(h, message, labels)
        close(twin.fit(h2, xp.concatenate([message, message]) / 2, labels2), error, 1e-11)
    close(weights(twin.net), weights(synthesizer.net), 1e-11)
    assert np.abs(weights(twin.net) - before).max() > 1e-3


def test_leading_axes_are_free():
    """Of (T, B, N) every step of every sequence is an example."""
    synthesizer, h, message, labels = draw("conditional linear", "cpu")
    twin = copy.deepcopy(synthesizer)
    wanted = synthesizer.predict(h, labels)
    close(twin.predict(h.reshape(2, 3, N), labels.reshape(2, 3)), wanted.reshape(2, 3, N))
    synthesizer.fit(h, message, labels)
    twin.fit(h.reshape(2, 3, N), message.reshape(2, 3, N), labels.reshape(2, 3))
    close(weights(twin.net), weights(synthesizer.net))


def test_what_predicts_inputs_has_no_units():
    """An activation does not shrink as the batch grows."""
    rng = np.random.default_rng(0)
    x, h = rng.standard_normal((8, N)), rng.standard_normal((8, N))
    synthesizer = Synthesizer(networks.linear(N, dtype=np.float64), SGD(0.1), predicts="input")
    for _ in range(2000):
        synthesizer.fit(x, h)
    ones = np.hstack([x, np.ones((8, 1))])
    best = ones @ np.linalg.lstsq(ones, h, rcond=None)[0]
    close(synthesizer.predict(x), best, 1e-6)
    close(synthesizer.predict(x[:2]), best[:2], 1e-6)


def test_the_relative_error_is_that_of_the_unscaled_prediction():
    rng = np.random.default_rng(1)
    h, message = rng.standard_normal((5, N)), rng.standard_normal((5, N))
    errors = []
    for scale in (1.0, 0.1):
        synthesizer = Synthesizer(networks.linear(N, dtype=np.float64), SGD(0.1), scale)
        assert float(synthesizer.fit(h, message)) == 1, "fresh: all is missing"
        predicted = synthesizer.predict(h) / scale
        errors.append(float(synthesizer.fit(h, message)))
        close(errors[-1], np.linalg.norm(predicted - message) / np.linalg.norm(message))
    close(*errors)


def test_the_relative_error_hides_neither_nan_nor_a_message_for_nothing():
    synthesizer = Synthesizer(networks.linear(2, dtype=np.float64), SGD(0.1))
    zero, one = np.zeros((3, 2)), np.ones((3, 2))
    assert float(synthesizer.fit(one, zero)) == 0
    synthesizer.fit(one, one)
    assert float(synthesizer.fit(one, zero)) == np.inf
    assert np.isnan(float(synthesizer.fit(one, np.full((3, 2), np.nan))))


@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_the_auxiliary_head_has_the_units_of_the_batch_too(weight):
    rng = np.random.default_rng(2)
    s, message = rng.standard_normal((5, N)), rng.standard_normal((5, N)) / 5
    heads = [dni.AuxiliaryHead(Linear(N, N, rng=0, dtype=np.float64), SGD(0.1), weight) for _ in range(2)]
    for _ in range(3):
        once = heads[0].gradient(s, message)
        twice = heads[1].gradient(np.concatenate([s, s]), np.concatenate([message, message]) / 2)
        close(2 * twice, np.concatenate([once, once]))
    close(weights(heads[0].net), weights(heads[1].net))


def test_signals_from_above_and_stale_ones_shrink_with_the_batch_as_the_loss_does():
    rng = np.random.default_rng(3)
    h, labels = rng.standard_normal((6, N)), rng.integers(0, M, 6)
    above = networks.mlp(N, n_hidden=5, n_layers=1, batch_norm=False, n_out=M, rng=rng, dtype=np.float64)
    stale = dni.Stale(M)
    stale.learn(h, rng.standard_normal((6, N)), labels)
    for signal in (
        dni.Exact(above, LOSS),
        dni.FeedbackAlignment(above, LOSS, rng=1),
        dni.DirectFeedbackAlignment(above, LOSS, N, M, rng=1),
        dni.Kickback(above, LOSS),
        stale,
    ):
        once = signal.gradient(h, labels)
        twice = signal.gradient(np.concatenate([h, h]), np.concatenate([labels, labels]))
        close(2 * twice, np.concatenate([once, once]))
