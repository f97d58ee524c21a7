"""`bp-lambda`: without lambda it is the ordinary synthesizer, and with lambda it learns from farther away."""

import numpy as np
import pytest

from minidni import RNN, Linear, Sequential, SquaredError
from minidni.bptt import full
from minidni.experiments import EXPERIMENTS
from minidni.experiments.bp_lambda import boundaries, stimuli


def rows(name, **changes):
    """The rows of one seed with quick settings, by method, window and lambda."""
    experiment = EXPERIMENTS[name]
    settings = experiment.settings(quick=True) | changes
    return {(row["method"], row.get("window"), row["lam"]): row for row in experiment.rows([1], settings)}


def test_a_trace_with_lambda_0_is_bootstrapping_over_one_step():
    found = rows("bp-lambda", windows=(1,), lams=(0.0,), steps=100, scale=0.5, traced_scale=0.5)
    without, with_trace = found["dni", 1, 0.0], found["bp-lambda", 1, 0.0]
    assert with_trace["loss"] == pytest.approx(without["loss"], rel=1e-4)


def test_a_trace_learns_beyond_a_window_of_one_step():
    found = rows("bp-lambda")
    assert found["bp-lambda", 1, 1.0]["loss"] < 0.5192 - 0.02  # below what either lag alone allows
    assert found["bptt", 1, None]["loss"] > 0.5192 + 0.02


def test_with_lambda_1_the_fixed_network_s_gradient_is_learned_as_if_it_were_given():
    found = rows("bp-lambda-fixed")
    none, one = (found["bp-lambda", None, lam] for lam in (0.0, 1.0))
    given = found["the true gradient", None, None]
    assert one["cosine"] == pytest.approx(given["cosine"], abs=0.03)
    assert one["first_cosine"] > none["first_cosine"] + 0.2


def test_the_boundaries_have_the_states_and_gradients_of_back_propagation():
    rng = np.random.default_rng(0)
    net = Sequential(RNN(2, 4, rng=rng), Linear(4, 2, rng=rng))
    x, labels = stimuli(rng, np.eye(2, dtype=np.float32), 5, 3)
    states, exact = boundaries(net, x, labels)
    for k, (s, ds) in enumerate(zip(states, exact, strict=True), start=1):

        class Last(SquaredError):
            def gradient(self, y, labels):
                dy = np.zeros_like(y)
                dy[-1] = super().gradient(y[-1], labels[-1])
                return dy

        behind = full(net, Last(), x[k:], np.broadcast_to(labels, (5 - k, 3, 2)), s)
        np.testing.assert_allclose(ds, behind.ds0, rtol=1e-5, atol=1e-7)
