"""Bootstrapping, warm-up and full unlock: what the quick settings show, and that the controls are what they say."""

import json
from pathlib import Path

import numpy as np
import pytest

from minidni import Adam, BatchNorm, Linear, Sequential, Synthesizer
from minidni.data import mnist1d
from minidni.dni import networks
from minidni.experiments import EXPERIMENTS, table
from minidni.experiments.bootstrap import cuts, make_chain, minibatches
from minidni.experiments.full_unlock import predict_inputs, take_statistics


def rows(name, **changes):
    """The rows of one seed in quick settings."""
    experiment = EXPERIMENTS[name]
    return list(experiment.rows([1], experiment.settings(quick=True) | changes))


def only(found, **what):
    """Those rows of which all this is true."""
    return [row for row in found if all(row[key] == value for key, value in what.items())]


def test_the_truth_arrives_at_the_top_and_is_lost_on_the_way_down():
    found = rows("bootstrap")
    (backprop,) = only(found, method="backprop", depth=4)
    (frozen,) = only(found, method="frozen trunk", depth=4)
    below = only(found, method="cdni", segments=4, lam=0)
    assert [row["boundary"] for row in below] == [1, 2, 3]
    for measure in ("cosine_early", "cosine", "ratio"):
        values = [row[measure] for row in below]
        assert values == sorted(values)
    (top,) = only(found, method="cdni", segments=2, depth=4)
    assert top["cosine"] == pytest.approx(below[-1]["cosine"], abs=0.1)  # whatever is below
    (blind,) = only(found, method="dni")
    assert blind["cosine"] < 0.5 * top["cosine"]
    assert frozen["accuracy"] < below[0]["accuracy"] < top["accuracy"] < backprop["accuracy"] + 2
    mixed = only(found, lam=0.5)
    assert mixed[0]["accuracy"] > below[0]["accuracy"]


def test_warm_up_is_the_same_for_every_method_and_zero_sends_nothing():
    found = rows("warm-up")
    for length in (0, 50):
        assert len({row["accuracy_before"] for row in only(found, warm_up=length)}) == 1
    for method in ("cdni", "dni"):
        (zero,) = only(found, method=method, start="zero", warm_up=0)
        (random,) = only(found, method=method, start="random", warm_up=0)
        assert zero["first_ratio"] == 0
        assert random["first_ratio"] > 1
        assert abs(random["first_cosine"]) < 0.2
    (zero,) = only(found, method="cdni", start="zero", warm_up=0)
    (random,) = only(found, method="cdni", start="random", warm_up=0)
    assert zero["accuracy"] > random["accuracy"]


def test_full_unlock_learns_more_than_a_frozen_trunk_and_less_than_with_true_inputs():
    found = {(row["method"], row["inputs"]): row for row in rows("full-unlock")}
    for kind in ("true", "linear", "hidden"):
        assert found["cdni", kind]["true_statistics"] > found["frozen trunk", kind]["true_statistics"]
    hidden, linear = found["cdni", "hidden"], found["cdni", "linear"]
    assert hidden["explained"] > linear["explained"]
    assert found["cdni", "true"]["accuracy"] > hidden["accuracy"] > linear["accuracy"]
    assert found["frozen trunk", "linear"]["on_synthetic"] > 30  # a network of its own, whatever is below
    assert "explained" not in found["cdni", "true"]


def test_what_a_control_does_not_measure_is_left_blank():
    text = (Path(__file__).parents[2] / "docs" / "results" / "bootstrap.json").read_text(encoding="utf-8")
    shown = table(json.loads(text))
    assert "frozen trunk" in shown
    assert "NaN" not in shown


def test_the_cuts_of_six_layers():
    assert cuts(6, 1) == ()
    assert cuts(6, 2) == (5,)
    assert cuts(6, 3) == (3, 5)
    assert cuts(6, 6) == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(("name", "changes"), [("bootstrap", {"depth": 3}), ("warm-up", {"lengths": (0, 5_000)})])
def test_settings_that_do_not_fit_are_refused_before_the_first_run(name, changes):
    experiment = EXPERIMENTS[name]
    with pytest.raises(ValueError, match=rf"^{name}: "):
        experiment.beside(**experiment.defaults | changes)


def test_the_weights_are_the_same_whatever_the_signals_are():
    slabs = [
        np.concatenate([slab for slab in make_chain(method, at, 3, 8, 40, 1, lr=1e-3, updates=9).net.params.slabs])
        for method, at in (("backprop", ()), ("frozen trunk", (2,)), ("cdni", (1, 2)), ("dni", (1, 2)))
    ]
    assert all((slab == slabs[0]).all() for slab in slabs)


def test_minibatches_go_on_after_the_last_epoch():
    curves = mnist1d(100)
    stream = minibatches(curves, 30, seed=0)
    assert [len(next(stream)[0]) for _ in range(7)] == [30] * 7


def test_taken_statistics_make_evaluation_what_training_on_all_rows_was():
    x = np.random.default_rng(0).standard_normal((500, 4)).astype(np.float32) * 3 + 1
    net = Sequential(Linear(4, 5, rng=0), BatchNorm(5), Linear(5, 5, rng=1), BatchNorm(5))
    take_statistics(net, x)
    y = net.forward(x)[0]
    net.training = False
    np.testing.assert_allclose(net.forward(x)[0], y, rtol=5e-3, atol=5e-3)  # the running variance is the unbiased one
    assert net[1].momentum == 0.1


def test_input_synthesizers_are_given_to_all_segments_but_the_first():
    chain = make_chain("cdni", (1, 2), 3, 8, 40, 1, lr=1e-3, updates=9)
    predict_inputs(chain, 40, 8, "linear", 1, lr=1e-3, updates=9)
    assert [segment.inputs is None for segment in chain] == [True, False, False]
    x, labels = next(minibatches(mnist1d(100), 20, seed=0))
    step = chain.unlocked(x, labels)
    assert step.h.shape == (20, 10)
    assert [report.learned_from is None for report in step.reports] == [False, False, True]


@pytest.mark.parametrize("zero_start", [None, True])
def test_a_batch_norm_blows_up_what_comes_back_from_inputs_that_start_at_zero(zero_start):
    """So those that predict inputs start at random, unless told otherwise."""
    chain = make_chain("cdni", (1,), 2, 64, 40, 1, lr=1e-3, updates=9)
    guess = networks.linear(40, n_out=64, rng=1)
    chain[1].inputs = Synthesizer(guess, Adam(1e-3), predicts="input", zero_start=zero_start)
    stream, sent = minibatches(mnist1d(1_000), 100, seed=0), []
    chain[0].signal.learn = lambda h, dx, labels: sent.append(np.linalg.norm(dx))
    for _ in range(2):  # in the first step the input is zero, and nothing comes back
        x, labels = next(stream)
        exact = np.linalg.norm(chain.boundaries(x, labels)[1][0])
        chain.unlocked(x, labels)
    assert (sent[-1] > 10 * exact) == bool(zero_start)
