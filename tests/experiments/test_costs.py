"""The cost tables: the clock they are read from, the arithmetic behind them, and what is timed."""

import importlib
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import standin

from minidni.__main__ import main
from minidni.arrays import to_numpy
from minidni.experiments import EXPERIMENTS
from minidni.experiments.costs import Cost, Passes
from minidni.experiments.costs_by_depth import Task
from minidni.experiments.timed_layers import FORMS, make_synthesizer, medians, units
from minidni.locking import schedules
from minidni.locking.costs import Stage

ONE_ROW = EXPERIMENTS["costs-by-depth"].defaults | {
    "layers": ("relu",), "synthesizers": ("linear",), "depths": (2,), "width": 16, "batch": 4, "repeats": 1,
}  # fmt: skip
COSTS = importlib.import_module("minidni.experiments.costs")  # the package has the experiment under this name
KINDS = EXPERIMENTS["costs"].defaults["layers"]


class Device:
    """Takes orders at once, and time only when it is waited for; what a GPU does, with a clock to match."""

    def __init__(self, monkeypatch):
        self.now = self.ordered = 0.0
        self.order = []
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def job(self, name, times):
        """Each run takes the next of these seconds, and in the end the last of them."""
        self.order.append(name)
        self.ordered += times.pop(0) if len(times) > 1 else times[0]

    def wait(self):
        self.now += self.ordered
        self.ordered = 0.0


def test_the_clock_takes_turns_waits_for_the_device_and_gives_medians(monkeypatch):
    device = Device(monkeypatch)
    times = {"slow": [9.0, 4.0, 4.0, 77.0, 4.0], "fast": [9.0, 0.5]}
    found = medians({name: partial(device.job, name, t) for name, t in times.items()}, 3, device.wait)
    assert found == {"slow": 4000.0, "fast": 500.0}
    assert device.order[2:] == ["slow", "fast"] * 4


def test_a_short_job_is_repeated_until_the_clock_can_tell(monkeypatch):
    device = Device(monkeypatch)
    found = medians({"short": partial(device.job, "short", [1e-4])}, 5, device.wait)
    assert found["short"] == pytest.approx(0.1)
    assert len(device.order) >= 2 + 5 * 19


def cost(**changes):
    """A layer of three products, the synthesizer linear: one to predict, two to fit; an update takes half as long."""
    even = {"forward": 1.0, "backward": 2.0, "without_dx": 1.0, "update": 0.5, "half": 1.5, "quarter": 0.75}
    return Cost(**even | {"predict": 1.0, "fit": 2.0} | changes)


def test_the_break_even_is_where_the_two_lines_cross():
    # Two workers, n layers each: 3.5 n, and 3 products of the synthesizer less the one that the bottom layer saves.
    assert cost().decoupled == (3.5, 2)
    assert cost().one == (7, -1)
    assert cost().data_parallel == (4, -0.5)
    assert cost().gpipe == (4.25, -0.25)
    found = cost().columns(pipeline=True)
    assert found["layers_to_break_even"] == 3 / 3.5
    assert found["beat_data_parallel"] == 2.5 / 0.5
    assert found["beat_gpipe"] == 2.25 / 0.75
    assert (found["predict"], found["fit"], found["both"]) == (1 / 3, 2 / 3, 3 / 2)


@pytest.mark.parametrize("n", [1, 4])
def test_the_lines_are_what_the_simulator_finds(n):
    layer = cost(without_dx=1.2)
    top = Stage(forward=n * layer.forward, backward=n * layer.backward, update=n * layer.update)
    bottom = replace(top, backward=top.backward - layer.saved, predict=layer.predict, fit=layer.fit)
    for line, found in [
        (layer.one, schedules.one([bottom, top], 9)),
        (layer.data_parallel, schedules.data_parallel([bottom, top], 9, replicas=2)),
        (layer.gpipe, schedules.gpipe([bottom, top], 9, micro_batches=4)),
        # Both ends of a run are uneven: with many minibatches they count for little.
        (layer.decoupled, schedules.decoupled([bottom, top], 900)),
    ]:
        assert found.seconds_per_minibatch(2) == pytest.approx(line.each * n + line.once, rel=1e-3)


def test_what_is_never_beaten_or_takes_too_many_layers_is_left_out():
    # Without an update that each of them takes for all layers, data-parallel workers are never beaten.
    free = cost(update=0.0).columns(pipeline=True)
    assert "beat_data_parallel" not in free and {"layers_to_break_even", "beat_gpipe"} < set(free)
    assert cost(update=0.02501).columns(pipeline=True)["beat_data_parallel"] == pytest.approx(100, rel=1e-3)
    assert "beat_data_parallel" not in cost(update=0.02499).columns(pipeline=True)
    assert not {"layers_to_break_even", "beat_gpipe"} & set(cost().columns(pipeline=False))


def test_the_lower_worker_is_never_faster_than_the_upper_one():
    assert cost(predict=0.1, fit=0.1).decoupled == (3.5, 0)
    assert cost(without_dx=None).decoupled == (3.5, 3)  # nothing is saved where dx is computed all the same


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_timed_is_what_its_name_says(kind, device, monkeypatch):
    """And no job waits for the device, which is what the clock does."""

    def run(jobs, repeats, wait):
        net = jobs["step"].args[0]
        before = to_numpy(net.params.slabs[0]).copy()
        jobs["forward"](), jobs["backward"]()
        assert net.grads.slabs[0].any()
        jobs["step"]()
        assert 0 < np.abs(to_numpy(net.params.slabs[0]) - before).max() < 1e-5  # so little that no time changes
        for form in FORMS:
            message = jobs[f"predict {form}"]()
            assert kind != "lstm-windows" or message.shape == (16, 2 * units(kind, 32))
            jobs[f"fit {form}"]()
            assert message.any() and (jobs[f"predict {form}"]() != message).any()  # no zero start; it learns
        jobs["zero"]()
        assert not net.grads.slabs[0].any()
        assert ("without_dx" in jobs) == (not kind.startswith("lstm"))
        with standin.no_synchronisation():
            for job in jobs.values():
                job()
        return dict.fromkeys(jobs, 1.0) | {"step": 3.0}

    monkeypatch.setattr(COSTS, "medians", run)
    found = COSTS.measure(kind, 32, FORMS, 16, 1, "adam", device, 0)
    assert list(found) == list(FORMS)
    assert {cost.update for cost in found.values()} == {4.0}  # the step, and setting to zero


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("lstm")])
def test_without_dx_the_gradients_are_the_same(kind):
    layer = Passes(kind, 32, 8, np.random.default_rng(0), "cpu")
    layer.forward()
    layer.backward()
    gradients = layer.net.grads.slabs[0].copy()
    layer.net.zero_grads()
    layer.backward(needs_dx=False)
    assert not next(iter(layer.net.children().values())).needs_dx
    np.testing.assert_array_equal(layer.net.grads.slabs[0], gradients)
    layer.backward()
    assert next(iter(layer.net.children().values())).needs_dx


@pytest.mark.parametrize("kind", ["relu", "conv-relu", "lstm"])
def test_a_hidden_layer_more_is_a_layer_more_and_labels_are_columns_more(kind):
    n = {form: make_synthesizer(kind, form, 32, np.random.default_rng(0), "sgd", "cpu").net.n_params for form in FORMS}
    m, taps = units(kind, 32), 9 if kind == "conv-relu" else 1
    assert n["linear"] == m * m * taps + m
    assert n["conditional"] == n["linear"] + 10 * m * taps
    assert n["hidden"] == 2 * n["linear"] + 2 * m  # and a batch norm
    assert n["two-hidden"] == 3 * n["linear"] + 4 * m


def test_locked_updates_come_from_the_top_and_decoupled_ones_from_the_bottom(device):
    task = Task("batchnorm-relu", "linear", 4, 32, 16, "adam", device, 0)
    locked, decoupled = (task.updates(step) for step in (task.stamped.backprop, task.stamped.decoupled))
    assert 0 < decoupled[0] < decoupled[1] < decoupled[2] < decoupled[3]
    assert locked[0] > locked[1] > locked[2] > locked[3] > 0


def test_the_row_tells_bottom_from_top_and_counts_who_is_sooner(monkeypatch):
    task = Task("relu", "linear", 3, 16, 8, "sgd", "cpu", 0)
    locked, decoupled = iter([[40.0, 30.0, 20.0], [4.0, 3.0, 2.0], [4.1, 3.1, 2.1]]), iter([[1.0, 2.0, 9.0]] * 3)
    monkeypatch.setattr(task, "updates", lambda step: next(locked if step.__name__ == "backprop" else decoupled))
    row = task.measure(3)
    ends = [row[f"{end}_{how}"] for end in ("bottom", "top") for how in ("locked", "decoupled")]
    assert ends == [4.1, 1.0, 2.1, 9.0]
    assert row["sooner"] == 2


def test_costs_by_depth_has_a_row_a_depth_that_fits_together():
    settings = {"layers": ("relu", "lstm"), "depths": (2, 3), "width": 32, "batch": 8, "repeats": 2}
    rows = list(EXPERIMENTS["costs-by-depth"].rows([1], EXPERIMENTS["costs-by-depth"].defaults | settings))
    assert [(row["layer"], row["synthesizer"], row["depth"]) for row in rows] == [
        (kind, form, depth) for kind in ("relu", "lstm") for form in ("linear", "hidden") for depth in (2, 3)
    ]
    for row in rows:
        assert row["ratio"] == row["decoupled"] / row["locked"]
        assert row["top_locked"] < row["bottom_locked"] and row["bottom_decoupled"] < row["top_decoupled"]
        assert 0 <= row["sooner"] <= row["depth"]


def test_before_each_look_at_the_clock_the_device_is_waited_for():
    with standin.installed():
        standin.synchronisations.reset()
        list(EXPERIMENTS["costs-by-depth"].rows([1], ONE_ROW | {"device": "cuda"}))
        causes = standin.synchronisations.causes
    # Whole steps: before and after each of two to learn how long they take, and of two in turn. Updates: before each of
    # two, and behind each of two segments'.
    assert sum("Device.synchronize" in cause for cause in causes) == 2 * 2 + 2 * 2 + 2 * (1 + 2)
    assert len(causes) == 14


def test_the_command_prints_a_table(capsys):
    arguments = ["costs", "--quick", "--seeds", "1", "layers=relu", "synthesizers=linear", "widths=32", "batch=8"]
    assert main(["experiment", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    (head,) = (line for line in lines if line.startswith("layer "))
    assert "layers to break even" in head and "predict (of f+b)" in head
    assert sum(line.startswith("relu   32     linear") for line in lines) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["costs", "widths=64,100"], "widths has 100, expected multiples of 16"),
        (["costs", "batch=6"], "batch is 6, expected a multiple of 4, the micro-batches"),
        (["costs-by-depth", "depths=1,2"], "depths has 1, expected 2 layers or more"),
        (["costs-by-depth", "width=40"], "width is 40, expected a multiple of 16"),
    ],
)
def test_sizes_that_do_not_go_are_said_before_anything_is_timed(arguments, said, capsys):
    assert main(["experiment", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["costs", "costs-by-depth"])
def test_a_gpu_that_is_not_there_is_said_before_anything_is_timed(name, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["experiment", name, "device=cuda"]) == 2
    assert 'device "cuda" needs CuPy' in capsys.readouterr().err
