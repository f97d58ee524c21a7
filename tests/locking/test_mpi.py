"""Workers as ranks of MPI, started with a real mpiexec."""

import os
import signal
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

#: MPICH, told to take the network between ranks on one machine too.
NETWORK = {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self"}


@pytest.fixture
def start(tmp_path):
    """Run the script's checks in two ranks; what came out. No rank is left then."""
    pytest.importorskip("mpi4py")
    try:
        command = mpiexec()
    except FileNotFoundError as error:
        pytest.skip(str(error))

    def run(*checks, interrupt=False, **variables):
        path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
        job = subprocess.Popen(
            [command, "-n", "2", sys.executable, "-W", "error", str(SCRIPT), str(tmp_path), *checks],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "PYTHONPATH": path, **variables},
        )  # fmt: skip
        try:
            while interrupt and not (tmp_path / "started").exists():
                assert job.poll() is None, job.communicate()[1]
                time.sleep(0.01)
            if interrupt:
                job.send_signal(signal.SIGINT)
            out, err = job.communicate(timeout=60)
        finally:
            job.kill()
        pids = [int(file.stem) for file in tmp_path.glob("*.pid")]
        assert len(pids) == 2, err
        deadline = time.monotonic() + 5
        while any(map(_alive, pids)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return job.returncode, out, err

    return run


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_modes_in_two_ranks(start):
    status, out, err = start("too_few", "not_the_same", "said_once", "all_of_it", "resumed")
    assert sorted(out.split("\n")) == ["", "rank 0: ok", "rank 1: ok"], err
    assert status == 0


def test_to_look_for_a_message_is_not_to_wait_for_it_but_to_send_is_to_wait_for_room(start):
    status, out, err = start("never_waits", "has_room_for_two", **NETWORK)
    assert "rank 0: ok" in out and "rank 1: ok" in out, err
    assert status == 0


def test_a_rank_that_raises_ends_the_job_with_one_sentence(start):
    status, out, err = start("raising")
    sentence = "worker 1 (part 1) raised ZeroDivisionError in minibatch 5: the layer's own sentence"
    assert err.count(sentence) == 1
    assert "; the last complete checkpoint: behind minibatch 3 in " in err
    assert "Traceback" not in err
    assert status != 0
    assert "ok" not in out


@pytest.mark.parametrize(
    ("check", "said"), [("killed", ""), ("no_data", "OSError: no such file")], ids=["killed", "before its worker runs"]
)
def test_a_rank_that_is_gone_ends_the_job(start, check, said):
    status, out, err = start(check)
    assert said in err
    assert status != 0
    assert "ok" not in out


def test_ctrl_c_ends_all_ranks(start):
    status, out, _ = start("endless", interrupt=True)
    assert status != 0
    assert "ok" not in out


def test_without_mpi4py_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r'transport "mpi" needs mpi4py .*: pip install "minidni\[mpi\]"'):
        train(nets.chain(2), nets.source(), 3, transport="mpi")


def test_a_job_does_not_restart_itself(tmp_path):
    pytest.importorskip("mpi4py")
    with pytest.raises(ValueError, match="restarts is 1 with transport mpi, expected 0: start the job again"):
        train(nets.chain(2), nets.source(), 3, transport="mpi", checkpoints=tmp_path, restarts=1)
