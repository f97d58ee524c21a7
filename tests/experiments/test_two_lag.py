"""The experiments `two-lag` and `two-lag-reach`: windows shorter than what they learn, and the controls beside them."""

import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from minidni.data import TwoLag
from minidni.experiments import EXPERIMENTS
from minidni.experiments.two_lag import network, pair, passed, synthesizer


def rows(name, *, quick=True, seed=1, **changes):
    """The rows of one seed by method and window."""
    experiment = EXPERIMENTS[name]
    settings = experiment.settings(quick=quick) | changes
    return {(row["method"], row["window"]): row for row in experiment.rows([seed], settings)}


def committed(name):
    """The rows of a file in docs/results."""
    path = Path(__file__).parents[2] / "docs" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"]


def test_synthetic_gradients_reach_beyond_a_window_that_alone_is_too_short():
    found = rows("two-lag")
    dni, bptt, reference = found["dni", 2], found["bptt", 2], found["bptt", 20]
    task = TwoLag((3, 5))
    assert dni["loss"] < passed(task) < bptt["loss"]
    assert reference["loss"] < passed(task)


def test_every_method_and_window_has_its_row_and_the_reference_comes_last():
    found = rows("two-lag", windows=(1, 3), updates=3, reference_updates=2, lags=(2, 7))
    assert list(found) == [("dni", 1), ("bptt", 1), ("dni", 3), ("bptt", 3), ("bptt", 20)]
    assert all(row["lags"] == [2, 7] for row in found.values())
    assert list(rows("two-lag", windows=(4,), updates=3, reference=None, methods=("bptt",))) == [("bptt", 4)]


def test_with_a_scale_of_zero_synthetic_gradients_are_truncated_back_propagation():
    changes = {"scale": 0.0, "updates": 30, "reference": None, "lr": 1e-2, "bptt_lr": 1e-2}
    found = rows("two-lag", **changes)
    assert found["dni", 2]["loss"] == found["bptt", 2]["loss"]
    found = rows("two-lag", **changes | {"scale": 0.8})
    assert found["dni", 2]["loss"] != found["bptt", 2]["loss"]


def test_the_synthesizer_starts_at_zero_and_is_of_the_size_of_the_state():
    made = synthesizer(network(1, 8), 1e-2, 0.3, 0.8)
    assert not made.predict(np.ones((4, 16), np.float32)).any()


def test_the_pairs_grow_by_a_step_and_a_loss_between_the_two_floors_decides():
    pairs = [pair(longest) for longest in range(3, 31)]
    assert pairs[:6] == [(2, 3), (3, 4), (3, 5), (4, 6), (5, 7), (5, 8)]
    assert all(first < second for first, second in pairs)
    assert all(b[1] == a[1] + 1 and b[0] - a[0] in (0, 1) for a, b in itertools.pairwise(pairs))
    assert passed(TwoLag((6, 10))) == pytest.approx((0.4545 + 0.5192) / 2, abs=1e-4)


def test_the_reach_is_the_last_pair_that_was_learned():
    row = rows("two-lag-reach", methods=("dni",))["dni", 2]
    assert row["longest"] >= 3
    assert row["times"] == row["longest"] / 2
    assert row["after"] % 100 == 0
    row = rows("two-lag-reach", methods=("dni",), updates=100)["dni", 2]
    assert row["longest"] == row["after"] == 0
    assert row["loss"] > passed(TwoLag((2, 3)))


def test_a_run_that_diverges_keeps_the_reach_it_had():
    row = rows("two-lag-reach", methods=("dni",), synthesizer_lr=100.0, updates=200)["dni", 2]
    assert row["stopped"].startswith("after ")
    assert row["longest"] == 0


@pytest.mark.parametrize("name", ["two-lag", "two-lag-2-5", "two-lag-3-4"])
def test_nine_of_ten_seeds_came_within_a_hundredth_of_the_floor_and_none_without_synthetic_gradients(name):
    found = [row for row in committed(name) if row["window"] == 2]
    within = Counter(row["method"] for row in found if row["loss"] < row["floor"] + 0.01)
    assert {row["seed"] for row in found} == set(range(1, 11))
    assert within["dni"] >= 9
    assert within["bptt"] == 0


@pytest.mark.parametrize("name", ["two-lag-reach", "two-lag-reach-4-5"])
def test_the_reach_was_longer_with_synthetic_gradients_on_every_seed_and_window(name):
    longest = {(row["window"], row["seed"], row["method"]): row["longest"] for row in committed(name)}
    pairs = {key[:2] for key in longest}
    assert len(pairs) >= 6
    assert all(longest[*key, "dni"] > longest[*key, "bptt"] for key in pairs)


@pytest.mark.slow
def test_the_full_settings_reach_the_floor():
    found = rows("two-lag", quick=False)
    assert found["dni", 2]["loss"] < found["dni", 2]["floor"] + 0.01 < found["bptt", 2]["loss"]
    assert found["bptt", 20]["loss"] < found["bptt", 20]["floor"] + 0.01
