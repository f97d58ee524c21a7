"""The command line: `python -m minidni ...`."""

import subprocess
import sys

import pytest

from minidni.__main__ import main
from minidni.examples import EXAMPLES, example


@pytest.mark.parametrize("name", EXAMPLES)
def test_gradcheck_prints_the_report_of_every_layer(name, capsys):
    assert main(["gradcheck", name, "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{name.partition('-')[0]}: ok")
    layer, *_ = example(name, seed=3)
    for parameter in getattr(layer, "params", ()):
        assert f"\n{parameter} " in printed


def test_gradcheck_of_a_wrong_layer_says_so_and_fails(capsys, monkeypatch):
    def wrong(rng, dtype):
        layer, x = EXAMPLES["Tanh"](rng, dtype)
        right = layer.backward
        layer.backward = lambda dy, cache: -right(dy, cache)
        return layer, x

    monkeypatch.setitem(EXAMPLES, "Wrong", wrong)
    assert main(["gradcheck", "Wrong"]) == 1
    assert "a sign" in capsys.readouterr().out


def test_an_unknown_layer_is_answered_with_the_names(capsys):
    assert main(["gradcheck", "Lstm"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "no layer named 'Lstm'" in said.err and "LSTM" in said.err
    assert len(said.err.splitlines()) == 1


def test_without_a_command_it_says_what_it_can_do(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    for line in ("gradcheck LSTM --seed 3", "experiment --list", "experiment two-lag --quick", "speedup"):
        assert f"python -m minidni {line} " in printed


def test_the_seed_decides_the_check(capsys):
    printed = []
    for seed in ("1", "1", "2"):
        main(["gradcheck", "LSTM", "--seed", seed])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]


def test_it_runs_as_a_module():
    result = subprocess.run(
        [sys.executable, "-m", "minidni", "gradcheck", "LSTM", "--seed", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("LSTM: ok")
