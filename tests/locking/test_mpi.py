"""Workers as ranks of MPI, started with a real mpiexec."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from locking import nets

from minidni.locking import train
from minidni.locking.over_mpi import mpiexec

SCRIPT = Path(__file__).with_name("mpi_script.py")
TESTS = SCRIPT.parents[1]


@pytest.fixture
def start():
    """Run the script's checks in two ranks; what came out."""
    pytest.importorskip("mpi4py")
    try:
        command = mpiexec()
    except FileNotFoundError as error:
        pytest.skip(str(error))

    def run(*checks):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
        begun = time.monotonic()
        done = subprocess.run(
            [command, "-n", "2", sys.executable, "-W", "error", str(SCRIPT), *checks],
            capture_output=True, text=True, timeout=100, env=environment,
        )  # fmt: skip
        assert time.monotonic() - begun < 60
        return done

    return run


def test_all_modes_in_two_ranks(start):
    done = start("too_few", "all_of_it")
    assert sorted(done.stdout.split("\n")) == ["", "rank 0: ok", "rank 1: ok"], done.stderr
    assert done.returncode == 0


def test_a_rank_that_raises_ends_the_job_with_one_sentence(start):
    done = start("raising")
    sentence = "worker 1 (part 1) raised ZeroDivisionError in minibatch 5: the layer's own sentence"
    assert done.stderr.count(sentence) == 1
    assert "Traceback" not in done.stderr
    assert done.returncode != 0
    assert "ok" not in done.stdout


def test_a_rank_that_is_killed_ends_the_job(start):
    done = start("killed")
    assert done.returncode != 0
    assert "ok" not in done.stdout


def test_without_mpi4py_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r'transport "mpi" needs mpi4py .*: pip install "minidni\[mpi\]"'):
        train(nets.chain(2), nets.source(), 3, transport="mpi")


def test_a_job_does_not_restart_itself(tmp_path):
    with pytest.raises(ValueError, match="restarts is 1 with transport mpi, expected 0: start the job again"):
        train(nets.chain(2), nets.source(), 3, transport="mpi", checkpoints=tmp_path, restarts=1)
