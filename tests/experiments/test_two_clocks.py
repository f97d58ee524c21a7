"""`two-clocks`: with an oracle for what B owes A, decoupled training has the gradients of the joint network."""

import numpy as np
import pytest

from minidni import LSTM, Adam, Linear, Sequential
from minidni.dni import Signal, Synthesizer, Zero
from minidni.experiments import EXPERIMENTS
from minidni.experiments.two_clocks import LOSS, Correspondent, TwoClocks
from minidni.nn import Optimiser

T, B, D, K, H = 3, 4, 2, 3, 5


class Sum(Optimiser):
    """Leaves the network as it is, and adds up the gradients it was to step on."""

    def __init__(self):
        self.total, self.steps = 0, 0

    def step(self, layer):
        self.total = self.total + np.concatenate([g.ravel() for g in layer.grads.values()])
        self.steps += 1


class Oracle(Signal):
    """Answers what it was given, in order, and keeps what it is told later."""

    def __init__(self, gradients):
        self.gradients, self.told = iter(gradients), []

    def gradient(self, h, labels=None):
        return next(self.gradients)

    def learn(self, h, message, labels=None):
        self.told.insert(0, message.copy())


def pair(optimizer=Sum):
    nets = [
        Sequential(LSTM(n, H, rng=i, dtype=np.float64), Linear(H, 1 + K, rng=i, dtype=np.float64))
        for i, n in enumerate((D + K, K))
    ]
    return TwoClocks(*(Correspondent(net, optimizer(), clip=1e9) for net in nets), K)


@pytest.fixture
def episode():
    rng = np.random.default_rng(0)
    return rng.standard_normal((T, T, B, D)), rng.standard_normal((T, B, 1)), rng.standard_normal((B, 1))


NOTHING_KNOWN = np.zeros((T, B, 0))


def test_locked_is_the_gradient_of_the_sum_of_both_losses(episode):
    x, wanted_a, wanted_b = episode

    def loss(two):
        ticks = list(two.ticks(x))
        of_a = sum(LOSS.value(tick.answer_a, wanted) for tick, wanted in zip(ticks, wanted_a, strict=True))
        return of_a + LOSS.value(ticks[-1].answer_b, wanted_b)

    two, rng = pair(), np.random.default_rng(1)
    two.locked(*episode)
    for one in (two.a, two.b):
        direction = [rng.standard_normal(p.shape) for p in one.net.params.values()]
        values = []
        for step in (1e-6, -2e-6):
            for p, d in zip(one.net.params.values(), direction, strict=True):
                p += step * d
            values.append(loss(two))
        for p, d in zip(one.net.params.values(), direction, strict=True):
            p += 1e-6 * d
        slope = one.optimizer.total @ np.concatenate([d.ravel() for d in direction])
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(slope, rel=1e-7)


def test_with_oracles_decoupled_has_the_gradients_of_the_joint_network(episode):
    joint, decoupled = pair(), pair()
    messages, states, back = [], [], joint.a.back

    def spy(danswer, dmessage, ds, cache):
        messages.insert(0, dmessage.copy())
        states.insert(0, np.zeros((B, 2 * H)) if ds is None else ds.copy())
        return back(danswer, dmessage, ds, cache)

    joint.a.back = spy
    joint.locked(*episode)
    oracle = Oracle(messages)
    decoupled.decoupled(*episode, NOTHING_KNOWN, oracle, Oracle(states))
    assert (joint.a.optimizer.steps, decoupled.a.optimizer.steps) == (1, T)
    np.testing.assert_allclose(decoupled.a.optimizer.total, joint.a.optimizer.total, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(decoupled.b.optimizer.total, joint.b.optimizer.total, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(oracle.told, messages, rtol=1e-12, atol=1e-14)  # what it is to learn is what it said


def test_without_a_signal_a_learns_nothing_of_what_b_wants(episode):
    x, wanted_a, wanted_b = episode
    totals = []
    for wanted in (wanted_b, wanted_b + 10):
        two = pair()
        two.decoupled(x, wanted_a, wanted, NOTHING_KNOWN, Zero(), Zero())
        totals.append((two.a.optimizer.total, two.b.optimizer.total))
    np.testing.assert_array_equal(totals[0][0], totals[1][0])
    assert not np.allclose(totals[0][1], totals[1][1])


def test_a_fresh_synthesizer_changes_nothing(episode):
    x, wanted_a, wanted_b = episode
    nets = []
    for signal in (Zero(), Synthesizer(Linear(K + 2 * H, K, rng=0, dtype=np.float64), Adam(1e-2))):
        two = pair(lambda: Adam(1e-2))
        two.decoupled(x, wanted_a, wanted_b, NOTHING_KNOWN, signal, Zero())
        nets.append(np.concatenate([p.ravel() for one in (two.a, two.b) for p in one.net.params.values()]))
    np.testing.assert_array_equal(*nets)


def test_b_needs_what_the_signal_tells_a():
    experiment = EXPERIMENTS["two-clocks"]
    settings = experiment.settings(quick=True)
    found = {row["method"]: row for row in experiment.rows([1], settings)}
    chance = experiment.beside(**settings)
    assert found["locked"]["loss_b"] < 0.5 * chance["B, the mean"]
    assert found["cdni"]["loss_b"] < 0.5 * chance["B, the mean"]
    assert found["zero"]["loss_b"] > 0.75 * chance["B, the mean"]
    assert all(row["loss_a"] < 0.5 * chance["A, the mean"] for row in found.values())
