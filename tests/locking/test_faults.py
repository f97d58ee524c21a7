"""Workers that are killed or raise, messages that go astray, Ctrl-C: training goes on, or ends soon with a sentence."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from locking import nets

from minidni.locking import Fault, LostMessage, WorkerFailed, train

TESTS = Path(__file__).resolve().parents[1]
N = 20


def shared_memory():
    return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()


def children():
    """Processes of ours that run workers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (OSError, IndexError, ValueError):
            continue
    return found


@pytest.mark.parametrize("who", [0, 1])
def test_a_killed_process_ends_the_run_and_leaves_nothing(who):
    before, start = shared_memory(), time.monotonic()
    with pytest.raises(
        WorkerFailed, match=rf"worker {who} \(part {who}\) was killed by signal 9 in minibatch 5$"
    ) as caught:
        train(nets.chain(2, extra=(who, nets.Killed())), nets.source(), N, transport="processes")
    assert caught.value.rank == who
    assert time.monotonic() - start < 20
    assert children() == []
    assert shared_memory() <= before


@pytest.mark.parametrize("transport", ["inline", "threads", "processes"])
def test_a_worker_that_raises(transport):
    with pytest.raises(
        WorkerFailed, match=r"worker 1 \(part 1\) raised ZeroDivisionError in minibatch 5: the layer's own"
    ):
        train(nets.chain(2, extra=(1, nets.Raises())), nets.source(), N, transport=transport)
    assert children() == []


def test_what_was_raised_is_the_cause():
    with pytest.raises(WorkerFailed) as caught:
        train(nets.chain(2, extra=(1, nets.Raises())), nets.source(), N)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("transport", ["inline", "threads", "processes"])
def test_a_nan_is_found_at_the_loss(transport):
    with pytest.raises(WorkerFailed, match=r"worker 1 .* raised FloatingPointError in minibatch 7: .*nan"):
        train(nets.chain(2), nets.PoisonedSource(), N, transport=transport)


FAULTS = [Fault("late", 0, 1, 4, seconds=0.1), Fault("repeated", 0, 1, 6), Fault("repeated", 1, 0, 7)]


@pytest.mark.parametrize("transport", ["inline", "threads", "processes"])
def test_a_locked_run_is_the_same_with_late_and_repeated_messages(transport):
    source = nets.source()
    plain = train(nets.chain(2), source, N, mode="locked", transport="inline")
    faults = [*FAULTS, Fault("late", 1, 0, 9, seconds=0.1)]
    run = train(nets.chain(2), source, N, mode="locked", transport=transport, faults=faults)
    assert np.array_equal(nets.numbers(run.chain), nets.numbers(plain.chain))
    assert run.counts == {"repeated": 2}


def test_micro_batches_out_of_order_are_put_in_order():
    source = nets.source()
    plain = train(nets.chain(2), source, N, mode="locked", micro_batches=3, transport="inline")
    faults = [Fault("out of order", 0, 1, 5), Fault("out of order", 1, 0, 8)]
    for transport in ("inline", "threads"):
        run = train(nets.chain(2), source, N, mode="locked", micro_batches=3, transport=transport, faults=faults)
        assert np.array_equal(nets.numbers(run.chain), nets.numbers(plain.chain))


@pytest.mark.parametrize("transport", ["inline", "threads"])
@pytest.mark.parametrize("sender, to", [(0, 1), (1, 0)])
def test_a_locked_run_stops_for_a_lost_message(transport, sender, to):
    fault, start = Fault("lost", sender, to, 4), time.monotonic()
    with pytest.raises(WorkerFailed, match=r"raised LostMessage in minibatch 4: .*") as caught:
        train(nets.chain(2), nets.source(), N, mode="locked", transport=transport, faults=[fault], patience=1.0)
    assert isinstance(caught.value.__cause__, LostMessage)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("transport", ["inline", "threads", "processes"])
def test_a_decoupled_run_goes_on(transport):
    lost = [
        Fault("lost", 0, 1, 2),
        Fault("lost", 1, 0, 3),
        Fault("out of order", 0, 1, 11),
        Fault("out of order", 1, 0, 13),
    ]
    run = train(nets.chain(2), nets.source(), N, transport=transport, faults=[*FAULTS[1:], *lost])
    assert run.counts["lost"] == 1
    assert run.counts["repeated"] == 1
    assert run.counts["repeated or too late"] == 1
    assert len(run.losses) == N - 1  # one minibatch never reached the top
    learned = {span.minibatch for span in run.timeline.spans if span.kind == "fit"}
    assert learned == set(range(N)) - {2, 3}


@pytest.mark.parametrize("transport", ["inline", "threads"])
def test_an_unlocked_run_takes_no_notice(transport):
    lost = [Fault("lost", 0, 1, 2), Fault("lost", 1, 0, 3), Fault("late", 1, 0, 5, seconds=0.05)]
    run = train(nets.chain(2, inputs=True), nets.source(), N, mode="unlocked", transport=transport, faults=lost)
    assert len(run.losses) == N
    assert {span.minibatch for span in run.timeline.spans if span.kind == "fit" and span.part == 0} == set(range(N)) - {
        3
    }


SCRIPT = """
import sys, time
from locking import nets
from minidni.locking import train
if __name__ == "__main__":
    print("starting", flush=True)
    train(nets.chain(2, extra=(1, nets.Slow())), nets.source(), 100_000, transport=sys.argv[1])
"""


def started(tmp_path, transport):
    """A script that trains for a long time, once its workers are at work."""
    (tmp_path / "script.py").write_text(SCRIPT)
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    environment = {**os.environ, "PYTHONPATH": paths}
    script = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), transport],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip
    assert script.stdout.readline() == "starting\n"
    deadline = time.monotonic() + 30
    while len(alive(script.pid)) < (4 if transport == "processes" else 1) and time.monotonic() < deadline:
        time.sleep(0.05)  # for the two workers, and the tracker of what they share
    time.sleep(1.5)
    return script


def alive(group):
    """Processes of a process group that are not yet gone."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, of_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state != "Z":
                found.append(int(folder.name))
        except (OSError, IndexError, ValueError):
            continue
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes in /proc")
@pytest.mark.parametrize("transport, how", [("threads", "Ctrl-C"), ("processes", "Ctrl-C"), ("processes", "killed")])
def test_ctrl_c_and_a_killed_parent_leave_no_orphans(tmp_path, transport, how):
    before = shared_memory()
    script = started(tmp_path, transport)
    group = os.getpgid(script.pid)
    assert len(alive(group)) >= (4 if transport == "processes" else 1)
    if how == "killed":
        script.kill()
    else:
        os.killpg(group, signal.SIGINT)  # as a terminal does: all of them hear it
    _, errors = script.communicate(timeout=30)
    deadline = time.monotonic() + 15
    while alive(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(group) == []
    assert shared_memory() <= before
    if how == "Ctrl-C":
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert "resource_tracker" not in errors
        assert errors.count("Traceback") == 1
