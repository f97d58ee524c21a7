"""The experiment to copy: short, with a control and three seeds, and its table and JSON have the form of the others."""

import ast
import io
import json
import runpy
import sys
import tokenize
from pathlib import Path

import pytest

from minidni.data import load_digits
from minidni.experiments import EXPERIMENTS, Results
from minidni.experiments.command import main

TEMPLATE = Path(__file__).parent.parent / "docs" / "template_experiment.py"


@pytest.fixture
def template():
    """The script's names; its experiment is in the registry during the test only."""
    yield runpy.run_path(str(TEMPLATE))
    EXPERIMENTS.pop("mine", None)


def lines_of_code(source: str) -> int:
    """Lines that hold code: no blank ones, no comments, no docstrings."""
    docstrings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return len({token.start[0] for token in tokens if token.type not in nothing} - docstrings)


def test_it_has_at_most_30_lines_of_code():
    assert lines_of_code(TEMPLATE.read_text(encoding="utf-8")) <= 30


def test_it_prints_a_table_and_writes_json(template, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(TEMPLATE), "--quick", "hidden=16"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(TEMPLATE), run_name="__main__")
    assert stopped.value.code == 0
    assert "Synthetic gradients that see the label" in capsys.readouterr().out
    document = json.loads((tmp_path / "mine.json").read_text())
    assert set(document) == {"name", "settings", "versions", "device", "rows"}
    assert document["settings"] == {"hidden": 16, "epochs": 2, "lr": 3e-3}
    assert len(document["rows"]) == 9
    for row in document["rows"]:
        assert set(row) == {"method", "seed", "accuracy", "seconds", "cpu_seconds"}
    results = Results.read(tmp_path / "mine.json")
    frozen, backprop, synthetic = (results.mean("accuracy", method=m) for m in ("frozen", "backprop", "synthetic"))
    assert frozen < backprop
    assert synthetic > template["always_the_same"]()["always the same answer"]


def test_it_is_an_experiment_like_those_of_the_package(template, capsys):
    assert main(["mine", "--help"]) == 0
    assert "epochs=20: passes over the digits." in capsys.readouterr().out


def test_the_level_to_compare_with_is_that_of_the_test_digits(template):
    labels = load_digits().y_test
    most = max((labels == label).mean() for label in range(10))
    assert template["always_the_same"]()["always the same answer"] == round(100 * most, 2)
