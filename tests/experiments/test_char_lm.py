"""`char-lm` with a synthesizer at the window's end."""

import pytest

from minidni.experiments import EXPERIMENTS
from minidni.experiments.char_lm import chance

SMALL = {
    "embedding": 8,
    "hidden": 16,
    "windows": (4,),
    "per_update": 128,
    "characters": 12_800,
    "lr": 1e-2,
    "dni_lr": 1e-2,
}


def rows(**changes):
    """The rows of one seed by method."""
    experiment = EXPERIMENTS["char-lm"]
    return {row["method"]: row for row in experiment.rows([1], experiment.settings(quick=True) | SMALL | changes)}


def test_a_synthesizer_without_a_say_leaves_truncated_back_propagation_as_it_is():
    found = rows(methods=("bptt", "dni"), scale=1e-30)
    assert found["dni"]["bits"] == pytest.approx(found["bptt"]["bits"], rel=1e-6)
    assert found["dni"]["bits"] < found["dni"]["unigram_bits"]


def test_a_synthesizer_with_a_say_changes_it():
    found = rows(methods=("bptt", "dni"))
    assert abs(found["dni"]["bits"] - found["bptt"]["bits"]) > 1e-4
    assert found["dni"]["bits"] < found["dni"]["unigram_bits"]


def test_a_window_longer_than_an_update_is_refused():
    with pytest.raises(ValueError, match=r"^char-lm: windows has 200, expected at most per_update=100$"):
        chance(text=None, windows=(2, 200), per_update=100)
