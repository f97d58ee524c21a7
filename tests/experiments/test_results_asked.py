"""`Results`: rows are asked by what they have in common, and numbers are written as the tables write them."""

import math

import numpy as np
import pytest

from minidni.__main__ import main
from minidni.experiments import Results
from minidni.experiments.two_lag import two_lag

ROWS = [
    {"method": "dni", "window": 2, "seed": 1, "loss": 0.5},
    {"method": "dni", "window": 2, "seed": 2, "loss": 0.25},
    {"method": "bptt", "window": 2, "seed": 1, "loss": None},
    {"method": "bptt", "seed": 1, "reached": 7},
]


def test_values_are_those_of_the_rows_that_fit():
    results = Results(ROWS)
    assert results.values("loss", method="dni").tolist() == [0.5, 0.25]
    assert results.values("loss", method="dni", seed=2).tolist() == [0.25]
    assert np.isnan(results.values("loss", method="bptt", window=2)).tolist() == [True]
    assert results.mean("loss", method="dni") == 0.375
    assert results.text("loss", method="dni") == "0.375 (0.25 to 0.5)"
    assert results.values("reached").size == 4 and results.values("reached", method="bptt")[-1] == 7


@pytest.mark.parametrize(
    ("column", "what", "said"),
    [
        (
            "loss",
            {"method": "dfa"},
            "no row has 'loss' with method='dfa'; there are method, window, seed, loss, reached",
        ),
        ("reached", {"window": 2}, "no row has 'reached' with window=2"),
        ("loss", {"widht": 2}, "no row has 'loss' with widht=2"),
        ("los", {}, "no row has 'los' with anything"),
    ],
)
def test_who_asks_for_what_is_not_there_is_told_what_is(column, what, said):
    with pytest.raises(ValueError, match=f"^Results.values: {said}"):
        Results(ROWS).values(column, **what)


def test_a_file_is_read_as_it_was_written(tmp_path, capsys):
    path = tmp_path / "found.json"
    few = ["updates=2", "reference=none", "methods=bptt", "batch=2", "hidden=2"]
    assert main(["experiment", "two-lag", "--seeds", "3", *few, "--json", str(path)]) == 0
    capsys.readouterr()
    again = Results(list(two_lag(3, updates=2, reference=None, methods=("bptt",), batch=2, hidden=2)))
    read = Results.read(path)
    assert read.values("loss", method="bptt").tolist() == again.values("loss", method="bptt").tolist()
    assert math.isfinite(read.mean("loss"))
