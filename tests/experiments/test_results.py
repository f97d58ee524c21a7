"""docs/results: the page shows the tables of the rows beside it, and what is claimed is in the rows."""

import importlib.util
import json
from pathlib import Path

import pytest

from minidni.experiments import EXPERIMENTS

RESULTS = Path(__file__).parents[2] / "docs" / "results"
FILES = sorted(RESULTS.glob("*.json"))


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("results_page", RESULTS / "page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# file -> which of its rows, and what is claimed of each of them
CLAIMS = {
    "two-lag": ({"method": "bptt", "window": 20}, lambda row: row["loss"] < row["floor"] + 0.003),
    "adding": ({"method": "bptt", "window": 50}, lambda row: row["loss"] < 0.01),
    "copy": ({"method": "bptt", "window": 21}, lambda row: row["solved"] == 10),
    "char-lm": ({"method": "bptt"}, lambda row: row["bits"] < 2.1),
    "sequential-digits": ({"method": "bptt"}, lambda row: row["accuracy"] > 95),
}


def test_the_page_is_what_its_script_writes(script):
    assert (RESULTS / "README.md").read_text(encoding="utf-8") == script.page(), "run python docs/results/page.py"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_settings_are_those_that_the_experiment_has(path, script):
    results = json.loads(path.read_text(encoding="utf-8"))
    assert list(results) == ["name", "settings", "versions", "device", "rows"]
    experiment = EXPERIMENTS[results["name"]]
    assert list(results["settings"]) == list(experiment.defaults)
    changed = [word for word in script.command(results).split() if "=" in word]
    settings = {key: list(v) if isinstance(v, tuple) else v for key, v in experiment.settings(changed).items()}
    assert settings == results["settings"]
    assert path.stem.startswith(results["name"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_claimed_is_in_the_rows(path):
    what, holds = CLAIMS[path.stem]
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    rows = [row for row in rows if all(row[key] == value for key, value in what.items())]
    assert len({row["seed"] for row in rows}) >= 3
    assert all(holds(row) for row in rows)
