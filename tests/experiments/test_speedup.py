"""speedup, time-to-accuracy and scale-out: what they count and compare; never how long something took."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from minidni.__main__ import main
from minidni.experiments import scale_out, speedup, time_to_accuracy
from minidni.experiments.speedup import MODES, Task, arithmetic, cuts, work


def test_the_command_prints_its_modes_and_writes_its_rows(tmp_path, capsys):
    sizes = ["--layers", "2", "--width", "8", "--batch", "16", "--rounds", "1", "--steps", "3"]
    assert main(["speedup", *sizes, "--json", str(tmp_path / "speed.json")]) == 0
    assert all(f"\n{mode} " in capsys.readouterr().out.replace("  ", " ") or mode for mode in MODES)
    results = json.loads((tmp_path / "speed.json").read_text())
    assert list(results) == ["name", "settings", "versions", "device", "rows"]
    assert results["name"] == "speedup"
    assert [row["mode"] for row in results["rows"]] == list(MODES)
    assert all(row["ms"] > 0 and row["least"] <= row["speedup"] <= row["most"] for row in results["rows"])
    assert results["rows"][0]["speedup"] == 1


@pytest.mark.parametrize("transport", ["processes", "mpi"])
def test_the_command_on_other_transports(transport):
    if transport == "mpi":
        pytest.importorskip("mpi4py")
    sizes = ["--layers", "2", "--width", "8", "--batch", "16", "--rounds", "1", "--steps", "3", "--modes", "decoupled"]
    command = [sys.executable, "-m", "minidni", "speedup", *sizes, "--transport", transport, "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [row["mode"] for row in json.loads(done.stdout)["rows"]] == ["one", "decoupled"]


def test_what_does_not_fit_is_said_before_the_first_run(capsys):
    assert main(["speedup", "--layers", "1"]) == 2
    assert "workers is 2 with layers=1, expected from 2 to as many as there are layers" in capsys.readouterr().err
    assert main(["speedup", "--batch", "12", "--layers", "2"]) == 2
    assert "batch is 12, expected a multiple of 8, workers x micro_batches" in capsys.readouterr().err


def test_all_modes_train_the_same_network():
    task = Task(4, 6, 16, "inline", 2, 4, 3, 1.0, "sgd", "cpu", 1)
    chains = {mode: task.run(mode, 3).chain for mode in MODES}
    slabs = {mode: np.concatenate([s.ravel() for s in c.net.params.slabs]) for mode, c in chains.items()}
    for mode in ("blas2", "locked", "gpipe", "data-parallel"):
        assert np.allclose(slabs[mode], slabs["one"], rtol=0, atol=1e-6), mode
    start = np.concatenate([s.ravel() for s in task.chain(1).net.params.slabs])
    assert np.abs(slabs["decoupled"] - start).max() > 0
    assert len(chains["decoupled"]) == 2


def test_work_is_counted_by_products():
    for layers, workers in ((2, 2), (8, 2), (9, 4)):
        assert cuts(layers, workers)[0] == 0
        assert cuts(layers, workers)[-1] == layers
        whole = sum(work(layers, workers, stage, 1.0) for stage in range(workers))
        assert whole == 3 * layers - 1 + 3 * (workers - 1)
    ideal = arithmetic(layers=8, width=10, batch=8, workers=2, micro_batches=4, learn_rows=1.0)
    assert math.isclose(ideal["ideal speed-up, decoupled"], 23 / 14)
    assert math.isclose(ideal["ideal speed-up, gpipe"], 8 / 5)
    assert math.isclose(ideal["GFLOP a step"], 23 * 2 * 8 * 100 / 1e9)


def test_quick_settings_run():
    assert len(list(speedup(1, layers=2, width=8, batch=16, rounds=2, steps=3, modes=("locked",)))) == 2


def test_time_to_accuracy_looks_at_checkpoints_and_at_a_control():
    rows = {
        row["method"]: row
        for row in time_to_accuracy(
            1, data="digits", depth=2, width=32, batch=64, updates=120, every=30, target=85.0,
            methods=("one", "data-parallel", "decoupled", "frozen"),
        )
    }  # fmt: skip
    assert rows["one"]["updates_to_target"] in (30, 60, 90, 120)
    assert 0 < rows["one"]["seconds_to_target"] < rows["one"]["seconds"]
    assert abs(rows["one"]["accuracy"] - rows["data-parallel"]["accuracy"]) < 3
    assert rows["frozen"]["accuracy"] < rows["one"]["accuracy"]


def test_a_target_that_is_not_reached_has_no_time():
    (row,) = time_to_accuracy(1, data="digits", depth=2, width=8, batch=64, updates=12, every=6, methods=("one",))
    assert math.isnan(row["seconds_to_target"])
    assert math.isnan(row["updates_to_target"])


def test_scale_out_agrees_with_closed_forms():
    rows = {
        (row["schedule"], row["workers"]): row
        for row in scale_out(1, workers=(4, 16), layers=16, latency=0.0, bandwidth=1e18)
    }
    for k in (4, 16):
        assert math.isclose(rows["gpipe", k]["efficiency"], 100 * 8 / (8 + k - 1), rel_tol=1e-6)
        assert math.isclose(rows["locked", k]["speedup"], 1, rel_tol=1e-6)
        assert math.isclose(rows["pipedream", k]["speedup"], k, rel_tol=1e-6)
        assert math.isclose(rows["data-parallel", k]["speedup"], k, rel_tol=1e-6)
        each = 16 / k
        # Neighbours that learn at different times make each other wait now and then.
        assert math.isclose(rows["decoupled", k]["speedup"], 48 / (3 * each + 3), rel_tol=0.1)
        # GPipe with M micro-batches takes (M + K - 1) / M of the ideal time; decoupled what was found.
        least = next(m for m in (2**i for i in range(13)) if m * k / (m + k - 1) > rows["decoupled", k]["speedup"])
        assert rows["gpipe", k]["break_even_m"] == least
        assert rows["decoupled", k]["staleness"] == 0


def test_more_workers_than_layers_are_replicas():
    (row,) = scale_out(
        1, workers=(16,), layers=4, schedules=("data-parallel + decoupled",), latency=0.0, bandwidth=1e18
    )
    assert row["efficiency"] == pytest.approx(100 * 3 / 6, rel=0.1)
