"""The experiments learn: their quick settings against floors and chance levels, and the full ones as slow tests."""

import math

import pytest

from minidni.experiments import EXPERIMENTS


def rows(name, *, quick=True, seed=1, **changes):
    """The rows of one seed by method and window."""
    experiment = EXPERIMENTS[name]
    settings = experiment.settings(quick=quick) | changes
    return {(row["method"], row.get("window")): row for row in experiment.rows([seed], settings)}


def test_adding_is_learned_and_needs_its_recurrent_weights():
    found = rows("adding", windows=(10,))
    assert found["bptt", 10]["loss"] < 0.01
    assert found["read-out alone", 1]["loss"] > 0.05


def test_a_language_model_beats_the_frequencies_of_the_characters():
    (row,) = rows("char-lm").values()
    assert row["bits"] < row["unigram_bits"] - 0.8
    assert row["test_bits"] == pytest.approx(row["bits"], abs=0.2)


def test_sequential_digits_need_the_recurrent_weights_to_learn():
    found = rows("sequential-digits")
    assert found["bptt", None]["accuracy"] > 85
    assert found["bptt", None]["accuracy"] > found["read-out alone", None]["accuracy"] + 10
    assert found["linear", None]["accuracy"] > 85


def test_the_seed_decides_the_numbers():
    def numbers(seed):
        row = rows("copy", seed=seed, updates=20, windows=(7,), methods=("bptt",))["bptt", 7]
        return {name: value for name, value in row.items() if "seconds" not in name}

    assert numbers(3) == numbers(3)
    assert numbers(3)["loss"] != numbers(4)["loss"]


def test_a_diverging_run_says_after_how_many_updates():
    row = rows("adding", windows=(10,), lr=1e30, updates=20)["bptt", 10]
    assert row["stopped"].startswith("after ")
    assert math.isnan(row["loss"])


def test_an_accuracy_hides_no_nan():
    for row in rows("sequential-digits", lr=1e38, control_lr=1e38, epochs=1, batch=1437).values():
        assert "stopped" in row or math.isfinite(row["loss"])


@pytest.mark.slow
def test_the_full_settings_reach_what_is_claimed():
    assert rows("adding", quick=False, windows=(50,))["bptt", 50]["loss"] < 0.01
    assert rows("sequential-digits", quick=False)["bptt", None]["accuracy"] > 95


@pytest.mark.slow
def test_the_language_model_predicts_below_two_bits_and_a_tenth():
    (row,) = rows("char-lm", quick=False).values()
    assert row["bits"] < 2.1
