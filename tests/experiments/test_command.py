"""`python -m minidni experiment`: what it accepts, prints and writes, on an experiment that takes no time."""

import json
import math
import os
import signal
import subprocess
import sys
from typing import Literal

import pytest

from minidni.__main__ import main
from minidni.experiments import EXPERIMENTS, Experiment, measured
from minidni.experiments.loop import progress
from minidni.experiments.settings import parse_setting
from minidni.experiments.table import over_seeds, write


@pytest.fixture
def toy(monkeypatch):
    """An experiment named toy; returns the list of what it was called with."""
    calls = []

    def function(seed, *, lags: tuple[int, int] = (3, 5), windows: tuple[int, ...] = (2, 20), lr: float = 0.5):
        """Toy windows are better when they are longer.

        More about it.

        Args:
            seed: of nothing.
            lags: two of them.
            windows: their lengths.
            lr: 0.9 diverges, 0.8 is interrupted at window 20.
        """
        for window in windows:
            calls.append((seed, lags, window, lr))
            with measured(method="bptt", window=window, lags=lags, seed=seed) as row:
                row["floor"] = 0.25
                if lr == 0.9 and window > 2:
                    raise FloatingPointError("the loss is nan")
                if lr == 0.8 and window > 2:
                    raise KeyboardInterrupt
                row["loss"] = 1 / window + seed / 8
            yield row

    def beside(*, lags, **_):
        if lags[0] == lags[1]:
            raise ValueError(f"Toy: lags is {lags}, expected two different numbers")
        return {"nothing remembered": 0.75}

    experiment = Experiment("toy", function, {"loss": "nats", "floor": "nats"}, {"windows": (2,)}, beside)
    monkeypatch.setitem(EXPERIMENTS, "toy", experiment)
    return calls


def run(capsys, *arguments):
    """The exit status, standard output and standard error of a command."""
    status = main(["experiment", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_list_names_each_experiment_on_a_line(capsys):
    status, out, _ = run(capsys, "--list")
    assert status == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPERIMENTS)
    assert {"two-lag", "copy", "repeat-copy", "adding", "char-lm", "sequential-digits"} <= set(EXPERIMENTS)
    assert all(20 < len(line) <= 120 and line.endswith(".") for line in lines)


def test_without_a_name_it_helps_and_lists(capsys):
    for arguments in ([], ["--help"]):
        status, out, _ = run(capsys, *arguments)
        assert status == 0
        assert "--seeds" in out and "two-lag" in out


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_help_of_an_experiment_explains_every_setting_with_its_default(name, capsys):
    status, out, _ = run(capsys, name, "--help")
    experiment = EXPERIMENTS[name]
    assert status == 0
    assert out.startswith(experiment.summary)
    _, _, described = out.partition("\nSettings:\n")
    names = [
        line.partition("=")[0].strip() for line in described.splitlines() if line.startswith("    ") and "=" in line
    ]
    assert names == list(experiment.defaults)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_quick_settings_and_defaults_are_such_as_the_command_line_takes(name):
    from minidni.experiments.registry import as_text

    experiment = EXPERIMENTS[name]
    for quick in (False, True):
        settings = experiment.settings(quick=quick)
        texts = [f"{key}={as_text(value)}" for key, value in settings.items()]
        assert experiment.settings(texts) == settings
        assert all(math.isfinite(value) for value in experiment.beside(**settings).values())
    assert set(experiment.quick) <= set(experiment.defaults)


def test_the_table_has_means_and_ranges_beside_floor_and_comparison(toy, capsys):
    status, out, err = run(capsys, "toy", "--seeds", "1", "2")
    assert status == 0
    lines = [line.split() for line in out.splitlines()]
    assert out.startswith("toy: Toy windows are better when they are longer.\n")
    assert "loss (nats)" in out and "seconds" in out
    assert ["bptt", "2", "3,5", "0.6875", "(0.625", "to", "0.75)", "0.25"] in [line[:8] for line in lines]
    assert ["bptt", "20", "3,5", "0.2375", "(0.175", "to", "0.3)", "0.25"] in [line[:8] for line in lines]
    assert "for comparison: nothing remembered 0.75" in out
    assert "settings: lags=3,5 windows=2,20 lr=0.5" in out
    assert "NumPy" in out and "cpu" in out
    assert len(err.splitlines()) == 4  # a line a run, as soon as it is over


@pytest.mark.parametrize(
    "arguments",
    [
        ["toy", "--seeds", "4", "7", "lags=1,9", "windows=3"],
        ["--seeds", "4", "7", "toy", "windows=3", "lags=1,9"],
        ["toy", "windows=3", "--seeds", "4", "7", "--quick", "lags=1,9"],
        ["lags=1,9", "toy", "--quick", "windows=3", "--seeds", "4", "7"],
    ],
)
def test_options_and_settings_come_in_any_order(arguments, toy, capsys):
    assert run(capsys, *arguments)[0] == 0
    assert toy == [(4, (1, 9), 3, 0.5), (7, (1, 9), 3, 0.5)]


def test_three_seeds_if_none_are_given_and_small_settings_with_quick(toy, capsys):
    run(capsys, "toy", "--quick")
    assert toy == [(seed, (3, 5), 2, 0.5) for seed in (1, 2, 3)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["toi"], "there is no experiment named 'toi'; there are adding,"),
        (["toy", "adding"], "got toy and adding, expected one experiment"),
        (["toy", "widnow=3"], "toy: there is no setting 'widnow'; there are lags, windows, lr"),
        (["toy", "lags=3"], "toy: lags is '3', expected 2 with commas between, each a whole number above 0"),
        (["toy", "windows=2,x"], "toy: windows is '2,x', expected one or more with commas between, each a whole"),
        (["toy", "windows="], "toy: windows is '', expected"),
        (["toy", "lr=-1"], "toy: lr is '-1', expected a number above 0"),
        (["toy", "lr=nan"], "toy: lr is 'nan', expected a number above 0"),
        (["toy", "lags=4,4"], "Toy: lags is (4, 4), expected two different numbers"),
        (["toy", "--seeds", "x=3"], "--seeds is followed by no whole number"),
        (["toy", "--json", "no/such/folder/file.json"], "--json is 'no/such/folder/file.json', expected a file in a"),
        (["toy", "--json", "."], "--json is '.', which is a folder"),
        (["two-lag", "lags=3,3"], "lags is (3, 3), expected two different numbers"),
        (["sequential-digits", "per_step=7"], "per_step is 7, expected a divisor of 64"),
        (["char-lm", "text=no/such/file"], "there is no file no"),
    ],
)
def test_what_cannot_be_used_is_answered_in_a_sentence(arguments, said, toy, capsys):
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1
    assert not toy


def test_json_goes_to_standard_output_alone(toy, capsys):
    status, out, err = run(capsys, "toy", "--seeds", "1", "2", "--json", "-", "lags=1,2")
    assert status == 0
    document = json.loads(out)
    assert list(document) == ["name", "settings", "versions", "device", "rows"]
    assert document["name"] == "toy"
    assert document["settings"] == {"lags": [1, 2], "windows": [2, 20], "lr": 0.5}
    assert {"minidni", "NumPy", "Python"} <= set(document["versions"])
    assert document["device"].startswith("cpu")
    first, *_ = document["rows"]
    times = {name: first.pop(name) for name in ("seconds", "cpu_seconds")}
    assert first == {"method": "bptt", "window": 2, "lags": [1, 2], "seed": 1, "loss": 0.625, "floor": 0.25}
    assert all(0 <= value < 10 for value in times.values())
    assert [(row["seed"], row["window"]) for row in document["rows"]] == [(1, 2), (1, 20), (2, 2), (2, 20)]
    assert "mean (least to most)" in err  # the table is still there to read


def test_json_goes_to_a_file_of_which_no_half_is_seen(toy, capsys, tmp_path, monkeypatch):
    path = tmp_path / "toy.json"
    _, out, _ = run(capsys, "toy", "--seeds", "1", "--json", str(path))
    assert "mean (least to most)" in out
    assert len(json.loads(path.read_text())["rows"]) == 2
    assert list(tmp_path.iterdir()) == [path]
    before = path.read_text()

    def full_disk(self, text, **_):
        with open(self, "w", encoding="utf-8") as file:
            file.write(text[:10])
        raise OSError("no space left")

    monkeypatch.setattr(type(path), "write_text", full_disk)
    with pytest.raises(OSError, match="no space"):
        write(path, "something else altogether")
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_diverges_is_shown_as_such(toy, capsys):
    status, out, err = run(capsys, "toy", "--seeds", "1", "lr=0.9", "--json", "-")
    assert status == 0
    good, bad = json.loads(out, parse_constant=pytest.fail)["rows"]  # NaN is not JSON
    assert good["loss"] == 0.625 and "stopped" not in good
    assert bad["loss"] is None and bad["stopped"] == "the loss is nan"
    assert "NaN in 1 of 1" in err
    assert "stopped: bptt 20 3,5, seed 1: the loss is nan" in err


def test_the_mean_is_of_what_is_finite_and_says_so():
    assert over_seeds([1.0, float("nan"), 2.0]) == "1.5 (1 to 2); NaN in 1 of 3"
    assert over_seeds([float("nan")]) == "NaN in 1 of 1"
    assert over_seeds([0.25, 0.25]) == "0.25"
    assert over_seeds([3, 4]) == "3.5 (3 to 4)"


def test_an_interruption_keeps_what_was_finished(toy, capsys, tmp_path):
    path = tmp_path / "toy.json"
    status, out, err = run(capsys, "toy", "lr=0.8", "--json", str(path))
    assert status == 130
    assert "interrupted; the table holds the 1 runs" in err
    assert "bptt" in out
    assert [row["window"] for row in json.loads(path.read_text())["rows"]] == [2]
    status, out, _ = run(capsys, "toy", "lr=0.8", "windows=20", "--json", str(path))
    assert status == 130
    assert "no run was finished" in out
    assert len(json.loads(path.read_text())["rows"]) == 1  # nothing to say is no reason to delete what was said


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal to send")
def test_an_interruption_from_outside_ends_the_command_without_a_traceback():
    two_lag = [sys.executable, "-m", "minidni", "experiment", "two-lag"]
    command = [*two_lag, "--quick", "windows=20,2", "updates=150", "--seeds", "1", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = process.stderr.readline()  # written when the first run is over
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert "window=20" in first
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "0.4545" in out


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("3", int, 3),
        ("1e3", int, 1000),
        ("1_000", int, 1000),
        ("1e-3", float, 1e-3),
        ("true", bool, True),
        ("false", bool, False),
        ("a=b", str, "a=b"),
        ("none", str | None, None),
        ("None", int | None, None),
        ("4", int | None, 4),
        ("gru", Literal["gru", "lstm"], "gru"),
        ("1, 2,3", tuple[int, ...], (1, 2, 3)),
        ("0.5", tuple[float, ...], (0.5,)),
        ("a,b", tuple[str, ...], ("a", "b")),
    ],
)
def test_settings_are_read_by_their_type(text, kind, value):
    assert parse_setting("toy", "key", text, kind) == value
    assert type(parse_setting("toy", "key", text, kind)) is type(value)


@pytest.mark.parametrize(
    ("text", "kind", "default", "wanted"),
    [
        ("1.5", int, 3, "a whole number above 0"),
        ("0", int, 3, "a whole number above 0"),
        ("inf", float, 1.0, "a number above 0"),
        ("-1", float, 0.0, "a number of at least 0"),
        ("yes", bool, True, "true or false"),
        ("rnn", Literal["gru", "lstm"], "gru", "gru or lstm"),
        ("x", int | None, None, "a whole number above 0, or none"),
        ("1,2,3", tuple[int, int], (1, 2), "2 with commas between"),
    ],
)
def test_a_setting_of_another_type_is_refused(text, kind, default, wanted):
    with pytest.raises(ValueError, match=f"^toy: key is '{text}', expected {wanted}"):
        parse_setting("toy", "key", text, kind, default)


def test_zero_is_accepted_where_it_is_the_default():
    assert parse_setting("toy", "key", "0", float, 0.0) == 0.0


def test_progress_works_without_tqdm_and_is_silent_where_nobody_looks(monkeypatch, capsys):
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
