"""The experiments `copy` and `repeat-copy`: windows that add up to sequences, and methods that differ in one thing."""

import numpy as np
import pytest

from minidni.data import Copying, RepeatCopying
from minidni.experiments import EXPERIMENTS
from minidni.experiments.copying import PerSequence, learn, loss_of
from minidni.experiments.loop import Trainer
from minidni.nn import LSTM, Linear, Sequential, SigmoidCrossEntropy


def rows(name, *, quick=True, seed=1, **changes):
    """The rows of one seed by method and window."""
    experiment = EXPERIMENTS[name]
    settings = experiment.settings(quick=quick) | changes
    return {(row["method"], row["window"]): row for row in experiment.rows([seed], settings)}


def numbers(row):
    """What does not depend on the clock, nor on what the run is called."""
    return {name: value for name, value in row.items() if "seconds" not in name and name != "method"}


@pytest.fixture
def net():
    return Sequential(LSTM(2, 8, rng=1), Linear(8, 1, rng=2))


@pytest.mark.parametrize("window", [1, 2, 3, 5, 9, 20])
@pytest.mark.parametrize("first", [1, 2])
def test_windows_add_up_to_the_sequence_and_to_its_loss(net, window, first):
    episodes = Copying(4, 1, shortest=4).batch(0, size=6)
    seen = []

    class Watched(Trainer):
        def step(self, x, labels, s0=None, where=..., *, last=False):
            seen.append((x, last, len(labels)))
            return super().step(x, labels, s0, where, last=last)

    trainer = Watched(net, PerSequence(6), lr=0.0, clip=1.0)
    first = min(first, window)
    value = learn(trainer, episodes, window, first)
    assert value == pytest.approx(loss_of(net, episodes), rel=1e-5)
    assert np.array_equal(np.concatenate([x for x, _, _ in seen]), episodes.x)
    assert len(seen[0][0]) == min(first, 9)
    assert all(len(x) == window for x, _, _ in seen[1:-1])
    assert [last for _, last, _ in seen] == [False] * (len(seen) - 1) + [True]
    assert sum(n for _, _, n in seen) == 4 * 6
    assert trainer.updates == len(seen)  # also where nothing is asked for


def test_a_step_counts_the_same_whatever_else_counts_in_its_window():
    rng = np.random.default_rng(0)
    y, labels = rng.standard_normal((5, 6, 2)), rng.integers(0, 2, (5, 6, 2)).astype(float)
    loss = PerSequence(6)
    whole = loss.gradient(y.reshape(-1, 2), labels.reshape(-1, 2)).reshape(y.shape)
    parts = [loss.gradient(y[w].reshape(-1, 2), labels[w].reshape(-1, 2)) for w in (slice(0, 1), slice(1, 5))]
    np.testing.assert_allclose(np.concatenate(parts).reshape(y.shape), whole, rtol=1e-12)
    np.testing.assert_allclose(whole, 5 * SigmoidCrossEntropy().gradient(y, labels), rtol=1e-12)


def test_the_methods_differ_in_nothing_but_what_comes_from_beyond_the_window():
    few = {"updates": 150, "windows": (3,)}
    found = rows("copy", scale=0.0, auxiliary=0.0, **few)
    bptt, dni, both = (numbers(found[method, 3]) for method in ("bptt", "dni", "dni+auxiliary"))
    assert bptt == dni == both
    found = rows("copy", **few)
    assert numbers(found["bptt", 3]) == bptt
    assert len({found[method, 3]["loss"] for method in ("bptt", "dni", "dni+auxiliary")}) == 3


def test_a_window_as_long_as_the_sequence_has_no_boundary_for_a_synthesizer_but_the_first():
    episodes = Copying(2, 1, shortest=2).batch(0, size=4)
    steps = []

    class Watched(Trainer):
        def _backward(self, dy, s0, sT):
            steps.append((s0 is None, sT is None))
            super()._backward(dy, s0, sT)

    for first in (5, 2):
        learn(Watched(Sequential(LSTM(2, 4), Linear(4, 1)), PerSequence(4), lr=0.0, clip=1.0), episodes, 5, first)
    assert steps == [(True, True), (True, False), (False, True)]


def test_copy_learns_along_its_curriculum_and_stops_when_it_is_through():
    row = rows("copy", windows=(7,), methods=("bptt",))["bptt", 7]
    assert row["solved"] == row["reached"] == 3
    assert row["loss"] < 0.15
    assert row["updates"] < EXPERIMENTS["copy"].quick["updates"]


def test_without_learning_copy_stays_at_chance_and_nothing_is_solved():
    for row in rows("copy", windows=(7,), updates=1).values():
        assert row["solved"] == row["reached"] == 0
        assert row["loss"] == pytest.approx(row["chance"], abs=0.2)


def test_repeat_copy_reaches_its_stages():
    row = rows("repeat-copy", windows=(8,), methods=("bptt",))["bptt", 8]
    assert row["reached"] == row["stages"] == 3
    assert row["loss"] < 0.15


def test_all_sequences_of_a_size_end_together():
    for task in (Copying(3, 2, shortest=3), RepeatCopying(3, 2, 2, shortest=3, fewest=2)):
        assert task.batch(0, size=5).mask.all()  # so no window needs one


@pytest.mark.slow
def test_with_synthetic_gradients_a_window_of_four_copies_longer_patterns():
    found = rows("copy", quick=False, windows=(4,), methods=("bptt", "dni"))
    assert found["dni", 4]["solved"] > found["bptt", 4]["solved"] + 1
