"""The benchmark: it times the same work everywhere, refuses what is not, and cleans up. No test looks at a time."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import book, compare, memory, options, report, run, worker
from benchmarks.tasks import SHAPES, Task, tasks_of
from hypothesis import given
from hypothesis import strategies as st

from minidni.nn import GRU, LSTM, Linear, ReLU, Sequential, SoftmaxCrossEntropy

FOLDER = Path(run.__file__).parent
SIZES = st.tuples(st.integers(1, 6), *[st.integers(1, 5)] * 3)


def by_minidni(task):
    """The task in float64 by minidni's layers, without the benchmark's own code around them."""
    data = task.data(np.float64)
    layer = {"lstm": LSTM, "gru": GRU}[task.cell](*task.shape[2:], rng=0, dtype=np.float64)
    for name in layer.params:
        layer.params[name] = data[name]
    y, sT, cache = layer.forward(data["x"], data["s0"])
    dx, ds0 = layer.backward(data["dy"], cache, data["dsT"])
    return {"y": y, "sT": sT, "dx": dx, "ds0": ds0, **layer.grads}


def expect_equal(found, wanted):
    assert set(found) == set(wanted)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, atol=1e-12, err_msg=name)


@given(cell=st.sampled_from(["lstm", "gru"]), shape=SIZES, last_step=st.booleans(), seed=st.integers(0, 99))
def test_the_naive_version_is_minidnis_step(cell, shape, last_step, seed):
    task = Task("", cell, shape, last_step=last_step, seed=seed)
    expect_equal(book.run(cell, task.data(np.float64)), by_minidni(task))


def test_the_naive_mlp_is_minidnis_step():
    task = Task("", "mlp", (4, 5, 3, 6, 2))
    data = task.data(np.float64)
    net = Sequential(*[Linear(5, 3, rng=0), ReLU(), Linear(3, 6, rng=0), ReLU(), Linear(6, 2, rng=0)]).astype("f8")
    for i in range(3):
        net.params[f"{2 * i}.W"], net.params[f"{2 * i}.b"] = data[f"W{i}"], data[f"b{i}"]
    y, cache = net.forward(data["x"])
    dx = net.backward(SoftmaxCrossEntropy().gradient(y, data["labels"]), cache)
    grads = {name[2:] + str(int(name[0]) // 2): g for name, g in net.grads.items()}
    expect_equal(book.run("mlp", data), {"y": y, "dx": dx, **grads})


@pytest.mark.parametrize("cell", ["lstm", "gru", "mlp"])
@pytest.mark.parametrize("library", ["torch", "torch-no-dx", "jax"])
def test_other_libraries_do_the_same_work(library, cell):
    module = pytest.importorskip(library.split("-")[0])
    assert module
    steps = run.importlib.import_module(worker.MODULES[library])
    task = Task("", cell, (4, 5, 3, 6, 2) if cell == "mlp" else (4, 3, 2, 5))
    step = steps.make(library, task)
    step.step()
    compare.expect_agreement(library, task, step.results(), compare.reference(task))


class TestAgreement:
    task = Task("", "gru", (3, 2, 2, 4))
    wanted = compare.reference(task)

    def test_rounding_passes(self):
        found = {name: a.astype(np.float32) for name, a in self.wanted.items()}
        assert 0 < compare.expect_agreement("it", self.task, found, self.wanted) < 1e-6

    @pytest.mark.parametrize("name", wanted)
    def test_one_wrong_entry_is_refused(self, name):
        wrong = self.wanted[name].copy()
        wrong.flat[-1] += 0.01 * np.abs(wrong).max()
        with pytest.raises(compare.Disagreement, match=rf"^it, gru \(3, 2, 2, 4\): {name} is off by 1\.0e-02"):
            compare.expect_agreement("it", self.task, self.wanted | {name: wrong}, self.wanted)

    @pytest.mark.parametrize("name", wanted)
    def test_what_is_missing_is_refused(self, name):
        found = {other: a for other, a in self.wanted.items() if other != name}
        with pytest.raises(compare.Disagreement, match=f"no {name}$"):
            compare.expect_agreement("it", self.task, found, self.wanted)

    def test_a_nan_and_a_wrong_shape_are_refused(self):
        with pytest.raises(compare.Disagreement, match="off by nan"):
            compare.expect_agreement("it", self.task, self.wanted | {"b": self.wanted["b"] * np.nan}, self.wanted)
        with pytest.raises(compare.Disagreement, match="y is"):
            compare.expect_agreement("it", self.task, self.wanted | {"y": self.wanted["y"][:1]}, self.wanted)


SMALL = ("--threads", "1", "--rounds", "2", "--seconds", "0", "--shapes", "3,2,2,4", "2,1,3,5")
MINE = ("--libraries", "minidni", "naive", "floor")


def test_the_tables_and_what_is_written(tmp_path, capsys):
    file = tmp_path / "times.json"
    assert run.main(["lstm", *SMALL, *MINE, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    blocks = printed.strip().split("\n\n")
    assert len(blocks) == 2  # the machine, and the table
    assert blocks[1].startswith("lstm, 1 thread: CPU time of a training step, ratio to minidni")
    assert re.search(r"^ +minidni ms +naive +floor +minidni/floor$", blocks[1], re.MULTILINE)
    cell = r" +[\d.]+ \([\d.]+-[\d.]+\)"
    for shape in ("(3, 2, 2, 4)", "(2, 1, 3, 5)"):
        assert re.search(rf"^{re.escape(shape)} +[\d.]+({cell}){{3}}$", blocks[1], re.MULTILINE), blocks[1]
    assert re.search(r"^geometric mean( +[\d.]+){3}$", blocks[1], re.MULTILINE)
    assert re.search(r"^floor: matrix products at \d+ to \d+ GFLOP/s", blocks[1], re.MULTILINE)

    found = json.loads(file.read_text())
    assert set(found["machine"]) == {"processor", "cores", "vectors", "system", "Python", "date"}
    [table] = found["tables"]
    assert [row["shape"] for row in table["rows"]] == [[3, 2, 2, 4], [2, 1, 3, 5]]
    assert table["versions"]["NumPy"] == np.__version__
    for row in table["rows"]:
        assert set(row["seconds"]) == {"minidni", "naive", "floor"}
        assert all(len(times) == 2 and min(times) >= 0 for times in row["seconds"].values())
        assert 0 < row["errors"]["minidni"] < 1e-4
        assert row["steps"]["minidni"] == 2
    middle = [compare.ratios(row, "naive", "minidni")[1] for row in table["rows"]]
    np.testing.assert_allclose(table["geometric_means"]["median"]["naive"], np.sqrt(np.prod(middle)))


def test_the_loss_at_the_last_step_has_a_table(capsys):
    assert run.main(["last-step", *SMALL[:-1], "--libraries", "minidni"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^lstm \(3, 2, 2, 4\) .*^gru \(3, 2, 2, 4\) ", printed, re.MULTILINE | re.DOTALL)
    assert printed.endswith("gru: 0 % of the steps of dx hold denormal numbers, 0 % nothing but zeros\n")


def test_a_planted_disagreement_stops_the_run(monkeypatch, capsys):
    def wrong(task):
        found = right(task)
        return found | {"Wh": 1.01 * found["Wh"]}

    right = compare.reference
    monkeypatch.setattr(compare, "reference", wrong)
    assert run.main(["lstm", *SMALL, "--libraries", "minidni"]) == 1
    assert "Stopped: minidni, lstm (3, 2, 2, 4): Wh is off by 9.9e-03" in capsys.readouterr().err


def test_ratios_are_taken_within_a_round():
    row = {"seconds": {"a": [1.0, 10.0, 3.0], "b": [2.0, 20.0, 6.0]}, "best_seconds": {"a": 1.0, "b": 2.0}}
    assert compare.ratios(row, "a", "b") == (0.5, 0.5, 0.5)
    assert compare.best_ratio(row, "b", "a") == 2


def test_several_threads_also_tell_the_best_turns():
    row = {
        "task": "x",
        "cell": "lstm",
        "shape": [1, 1, 1, 1],
        "last_step": False,
        "seconds": {"minidni": [1.0, 9.0], "torch": [2.0, 2.0]},
        "best_seconds": {"minidni": 0.5, "torch": 2.0},
        "gemm_flops_per_second": [],
    }
    table = {"what": "lstm", "threads": 2, "clock": "wall", "versions": {}, "blas": None, "busy_processors": 1.5}
    printed = report.Timings(table | {"libraries": ["minidni", "torch"], "rows": [row]})
    assert "wall times are worth little" in printed.title()
    assert re.search(r"geometric mean +2.50\ngeometric mean, best turns +0.25$", printed.foot())


def test_the_work_of_a_step():
    flops = [Task("", "lstm", shape).flops / 1e9 for shape in SHAPES.values()]
    np.testing.assert_allclose(flops, [0.28, 1.26, 9.94, 25.2, 42.2], rtol=0.02)
    assert Task("", "mlp", (2, 3, 5)).flops == 3 * 2 * 2 * 3 * 5
    assert [task.shape for task in tasks_of("last-step")] == [SHAPES["smnist"]] * 2


def test_the_loss_at_the_last_step_ends_in_denormal_numbers():
    """What makes that case slow on some processors is there: the gradient stays at the smallest numbers there are."""
    denormal, _ = compare.denormal_share(Task("", "lstm", (784, 1, 1, 64), last_step=True))
    assert denormal > 0.05


def test_workers_are_told_their_threads_tell_what_fails_and_end_whatever_happens(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    with pytest.raises(ZeroDivisionError), worker.start_workers(["minidni", "naive"], threads=2) as (workers, _):
        assert os.environ["OPENBLAS_NUM_THREADS"] == "3"
        environment = Path(f"/proc/{workers['naive'].process.pid}/environ")
        if environment.exists():  # what stood there when the process was started
            assert b"OPENBLAS_NUM_THREADS=2" in environment.read_bytes().split(b"\0")
        with pytest.raises(worker.WorkerError, match=r"^naive: .*no_such_duty"):
            workers["naive"].call("no_such_duty")
        workers["naive"].process.kill()
        with pytest.raises(worker.WorkerError, match=r"^naive: its process ended"):
            workers["naive"].call("versions")
        left = workers["minidni"].process
        assert left.is_alive()
        raise ZeroDivisionError
    assert not left.is_alive()


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_ctrl_c_ends_it_and_its_workers():
    arguments = ["lstm", "--libraries", "naive", "--seconds", "600", "--threads", "1", "--shapes", "3,2,2,4"]
    process = subprocess.Popen(
        [sys.executable, str(FOLDER / "run.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not process.stdout.readline().startswith("---"):  # the head is printed: its worker is at work
        pass
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
    _, errors = process.communicate(timeout=60)  # both pipes are closed once the worker has ended too
    assert process.returncode == 130
    assert errors.strip() == "Stopped."


class TestMemory:
    def test_a_recycled_cache_asks_for_little(self, tmp_path, capsys):
        file = tmp_path / "memory.json"
        assert run.main(["memory", "--shapes", "20,32,64,128", "--json", str(file)]) == 0
        rows = json.loads(file.read_text())["memory"]
        assert [row["cell"] for row in rows] == ["lstm", "gru"]
        for row in rows:
            assert 0 < row["kept"] <= row["first_peak"]
            assert row["later_growth"] < 10_000
            assert row["later_peak"] < 1e6
            assert row["later_allocated"] is None or 0 < row["later_arrays"] <= row["later_allocated"] < 1e6
        assert (
            len(capsys.readouterr().out.strip().splitlines()) == 7
        )  # machine, a blank, title, heads, a rule, two rows

    @pytest.mark.skipif(os.name == "nt", reason="C's allocator is reached as on POSIX")
    def test_every_array_is_counted(self):
        """In a process of its own: the allocator stays for good."""
        code = (
            "import numpy as np\n"
            "from benchmarks.allocations import Counter\n"
            "a = np.ones((100, 10))\n"
            "counter = Counter()\n"
            "with counter:\n"
            "    for _ in range(3):\n"
            "        b = a + a\n"
            "    a += a\n"
            "    a[1:]\n"
            "    c = np.zeros(50)\n"
            "a + a\n"
            "assert (b == 2).all() and not c.any()\n"
            "print(counter.bytes, counter.arrays)\n"
        )
        variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(FOLDER.parent), str(FOLDER.parents[1])])}
        found = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
        assert found.stdout.split() == [str(3 * 8000 + 400), "4"]

    def test_the_rows_say_peak_memory_as_a_function_of_time(self):
        lengths = [T for cell, (T, *rest) in memory.rows() if cell == "lstm" and rest == list(SHAPES["lm20"][1:])]
        assert lengths == sorted(memory.LENGTHS)


class TestCommand:
    @pytest.fixture
    def started(self, monkeypatch):
        """Calls the launcher; gives (extras, command) of what it would start."""
        from lessons import environment

        def launch(*arguments):
            calls = []
            with monkeypatch.context() as patch:
                patch.setattr(sys, "path", list(sys.path))
                patch.setattr(sys, "argv", ["tests/benchmarks", *arguments])
                patch.setattr(environment, "run_in_environment", lambda *call: calls.append(call[:2]) or 7)
                patch.setattr(environment, "run_child", lambda command, *_: calls.append((None, command)) or 7)
                with pytest.raises(SystemExit) as stop:
                    runpy.run_path(str(FOLDER), run_name="__main__")
            assert stop.value.code == 7
            return calls[0]

        return launch

    def test_torch_is_installed_only_where_it_is_asked_for(self, started):
        assert started()[0] == ["bench"]
        assert started("lstm", "--libraries", "minidni", "torch-ftz")[0] == ["bench"]
        assert started("lstm", "--libraries", "minidni", "naive")[0] == []
        assert started("memory")[0] == []

    def test_a_given_interpreter_is_used_as_it_is(self, started):
        extras, command = started("gru", "--python", sys.executable)
        assert extras is None
        assert command == [sys.executable, str(FOLDER / "run.py"), "gru", "--python", sys.executable]

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["rnn"], "no such thing to time: rnn; choose from lstm"),
            (["--shapes", "1,2,3"], "'1,2,3' is no shape: expected T,B,D,H"),
            (["--shapes", "1,2,3,0"], "'0' is no whole number from 1 on"),
            (["--threads", "0"], "'0' is no whole number"),
            (["--rounds", "2.5"], "'2.5' is no whole number"),
            (["--seconds", "nan"], "'nan' is no number of seconds"),
            (["--seconds", "long"], "'long' is no number of seconds"),
            (["--libraries", "keras"], "invalid choice: 'keras'"),
            (["--python", "no-such-program"], "'no-such-program' is no program that can be started"),
        ],
    )
    def test_mistakes_are_told(self, arguments, sentence, capsys):
        with pytest.raises(SystemExit) as stop:
            options.parse(arguments)
        assert stop.value.code == 2
        assert sentence in capsys.readouterr().err

    def test_a_library_that_is_not_here_is_left_out(self, monkeypatch):
        monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
        assert "torch" not in run.columns("lstm", None)
        with pytest.raises(worker.WorkerError, match="none of the libraries asked for is here"):
            run.columns("lstm", ["jax", "floor"])
