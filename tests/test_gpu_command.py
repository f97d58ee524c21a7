"""`python tests/gpu`, on the stand-in: what it asks for, what it refuses, what it prints. No test looks at a time."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import standin
from benchmarks import compare, tasks
from gpu import command

FOLDER = Path(command.__file__).parent
SMALL = {"one": (3, 2, 1, 4), "two": (2, 3, 5, 2)}


@pytest.fixture
def timing():
    """The module, whose cupy is the stand-in."""
    with standin.installed():
        sys.modules.pop("gpu.timing", None)
        yield importlib.import_module("gpu.timing")
    sys.modules.pop("gpu.timing", None)


@pytest.fixture
def few(monkeypatch, timing):
    """Two small shapes, and PyTorch without a GPU."""
    monkeypatch.setattr(tasks, "SHAPES", SMALL)
    monkeypatch.setattr(timing, "torch_on_a_gpu", lambda: None)
    monkeypatch.setenv("CUPY_TF32", "0")
    return timing


def test_tables_with_the_devices_name(few, tmp_path, capsys):
    file = tmp_path / "gpu.json"
    assert command.main(["--times-only", "--rounds", "2", "--seconds", "0", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("on stand-in, TF32 off for all") == 2 and printed.count("one (3, 2, 1, 4)") == 2
    assert "CuPy" in printed and "geometric mean" in printed
    found = json.loads(file.read_text())
    assert found["device"]["name"] == "stand-in" and found["tf32"] is False
    assert [table["what"] for table in found["tables"]] == ["lstm", "gru"]
    for table in found["tables"]:
        assert table["libraries"] == ["minidni", "plain"]
        assert [row["shape"] for row in table["rows"]] == [list(shape) for shape in SMALL.values()]
        for row in table["rows"]:
            assert {library: len(times) for library, times in row["seconds"].items()} == {"minidni": 2, "plain": 2}
            assert max(row["errors"].values()) < 1e-5


@pytest.mark.parametrize("cell", tasks.GATES)
def test_the_fused_and_the_plain_walk_are_what_is_timed(few, cell):
    task = tasks.Task("", cell, (3, 2, 1, 4))
    for name, form in (("minidni", "fused"), ("plain", "plain")):
        player = few.players()[name]
        player.prepare(task)
        assert player.task.cache.form == form
        assert standin.ndarray is type(player.task.dx)
        compare.expect_agreement(name, task, player.call("results"), compare.reference(task), 1e-5)


def test_the_clock_is_read_after_the_gpu_has_finished(timing):
    """A wait comes before the first reading, and after the steps before the second one."""
    happened = []
    task = SimpleNamespace(step=lambda: happened.append("step"))
    player = timing.Player(lambda task: task, lambda: happened.append("wait"))
    player.prepare(task)
    happened.clear()
    turn = player.turn(0)
    assert happened == ["wait", "step", "wait"] * 2 and len(turn) == 1
    player.time = lambda n: n * 0.125
    assert player.turn(1.0) == [(0.125, 0.125)] * 8


def test_waiting_is_for_the_stream(few):
    player = few.players()["minidni"]
    before = standin.synchronisations.count
    player.synchronise()
    assert standin.synchronisations.count == before + 1


def test_another_result_stops_it(few, monkeypatch, capsys):
    wrong = few.in_numpy.Recurrent.results
    monkeypatch.setattr(
        few.in_numpy.Recurrent, "results", lambda self: {k: a + 0.01 * np.abs(a).max() for k, a in wrong(self).items()}
    )
    assert command.main(["--times-only", "--rounds", "1", "--seconds", "0"]) == 1
    assert "Stopped: minidni" in capsys.readouterr().err
    assert command.main(["--times-only", "--rounds", "1", "--seconds", "0", "--tf32"]) == 0
    assert "TF32 on for all" in capsys.readouterr().out


@pytest.mark.parametrize("code", [0, 1, 5])
def test_tests_come_first_and_their_failure_ends_it(few, monkeypatch, capsys, code):
    """Exit code 5 is pytest's for no tests at all."""
    commands = []
    monkeypatch.setattr(
        command.subprocess, "run", lambda c, **_: commands.append(c) or SimpleNamespace(returncode=code)
    )
    assert command.main(["--rounds", "1", "--seconds", "0"]) == (1 if code else 0)
    [[*_, mark, marked, _, folder]] = commands
    assert (mark, marked) == ("-m", "gpu") and Path(folder) == FOLDER.parent
    printed = capsys.readouterr()
    assert ("geometric mean" in printed.out) == (code == 0) and ("nothing is timed" in printed.err) == (code != 0)


def test_without_a_gpu_it_says_so(few, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules["cupy"], "is_available", lambda: False)
    assert command.main([]) == 2
    printed = capsys.readouterr()
    assert "finds no usable GPU" in printed.err and not printed.out


def test_without_cupy_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(command, "NEEDED", ("numpy", "no_such_cupy"))
    assert command.main([]) == 2
    assert "lacks no_such_cupy" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--seconds", "nan"], ["--seconds", "-1"], ["--time"], ["x"]])
def test_wrong_options_end_it(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2 and capsys.readouterr().err


def test_the_folder_is_a_command():
    done = subprocess.run([sys.executable, FOLDER, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--tf32" in done.stdout and not done.stderr
