"""What the tests start with mpiexec: `mpi_script.py FOLDER CHECK...`. Prints "rank R: ok" where all of them hold."""

import os
import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from locking import nets
from mpi4py import MPI

from minidni.locking import Checkpoints, Fault, train
from minidni.locking.messages import Message
from minidni.locking.over_mpi import MPIPort
from minidni.locking.transport import Plan

N = 25
RANK = MPI.COMM_WORLD.rank
FOLDER = Path(sys.argv[1])


def all_of_it():
    source = nets.source()
    plain = nets.chain(2)
    for k in range(N):
        plain.backprop(*source(k))
    locked = train(nets.chain(2), source, N, mode="locked", transport="mpi")
    assert np.array_equal(nets.numbers(locked.chain), nets.numbers(plain))
    late = [Fault("late", 0, 1, 4, seconds=0.05), Fault("repeated", 1, 0, 6)]
    again = train(nets.chain(2), source, N, mode="locked", transport="mpi", faults=late)
    assert np.array_equal(nets.numbers(again.chain), nets.numbers(plain))
    run = train(nets.chain(2), source, N, transport="mpi", capacity=1)
    assert [s.minibatch for s in run.timeline.spans if s.kind == "fit"] == list(range(N))
    assert len(run.losses) == N
    assert all(a < b for a, b in pairwise(run.timeline.finished().values()))
    run = train(nets.chain(2, inputs=True), source, N, mode="unlocked", transport="mpi", capacity=1)
    assert len(run.losses) == N
    replicas = train(nets.chain(1), source, N, mode="locked", transport="mpi", replicas=2)
    alone = train(nets.chain(1), source, N, mode="locked", transport="mpi")  # the other rank is idle
    assert np.allclose(nets.numbers(replicas.chain), nets.numbers(alone.chain), rtol=0, atol=1e-11)
    for other in MPI.COMM_WORLD.allgather(nets.numbers(run.chain)):
        assert np.array_equal(other, nets.numbers(run.chain))


def resumed():
    source, checkpoints = nets.source(), Checkpoints(FOLDER, every=10)
    whole = train(nets.chain(2), source, N, mode="locked", transport="mpi")
    train(nets.chain(2), source, 20, mode="locked", transport="mpi", checkpoints=checkpoints)
    assert checkpoints.complete(2) == [9, 19]
    run = train(nets.chain(2), source, N, mode="locked", transport="mpi", checkpoints=checkpoints, resume=True)
    assert np.array_equal(nets.numbers(run.chain), nets.numbers(whole.chain))


def said_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(nets.chain(2), nets.source(), N, transport="mpi", checkpoints=Checkpoints(Path(__file__) / "no", every=5))
    assert ["could not be written" in str(one.message) for one in caught] == ([] if RANK else [True, True])


def too_few():
    try:
        train(nets.chain(3), nets.source(), N, transport="mpi")
    except ValueError as error:
        assert "there are 2 ranks for 3 workers, expected as many: mpiexec -n 3 python mpi_script.py" in str(error)
    else:
        raise AssertionError


def not_the_same():
    try:
        train(nets.chain(2), nets.source(), N + RANK, transport="mpi")
    except ValueError as error:
        assert "rank 1 is asked for mode 'decoupled', 2 workers, minibatches 0 to 25, expected" in str(error)
    else:
        raise AssertionError


def never_waits():
    """To look whether a large message has come is over before its sender, which is busy, lets it go."""
    port = MPIPort(MPI.COMM_WORLD, Plan("decoupled", 2, 30.0, None, (), None, 0), "cpu")
    array = np.arange(4 << 20).astype(">f4").reshape(-1, 64)
    if RANK == 1:
        assert port.try_send(0, Message(1, 2, (array, array[:0])), 0)
        array[...] = 0  # it was copied
        _wait_for("looked")
        port.finish()
    else:
        for _ in range(100):
            message = port.try_receive(1, 0)
            time.sleep(0.001)
        (FOLDER / "looked").touch()
        message = message or port.try_receive(1, 20)
        assert message.number == (1, 2)
        assert np.array_equal(message.arrays[0], array) and message.arrays[1].shape == (0, 64)


def has_room_for_two():
    """Small messages, which MPI would take in any number."""
    port = MPIPort(MPI.COMM_WORLD, Plan("decoupled", 2, 30.0, None, (), None, 0), "cpu")
    if RANK == 1:
        assert port.try_send(0, Message(1), 0) and port.try_send(0, Message(2), 0)
        assert not port.try_send(0, Message(3), 0.1)
        (FOLDER / "full").touch()
        assert port.try_send(0, Message(3), 20)
        port.finish()
    else:
        _wait_for("full")
        assert [port.try_receive(1, 20) for _ in range(3)] == [Message(1), Message(2), Message(3)]


def _wait_for(name):
    """Without MPI."""
    end = time.monotonic() + 20
    while not (FOLDER / name).exists():
        assert time.monotonic() < end
        time.sleep(0.001)


def raising():
    train(
        nets.chain(2, extra=(1, nets.Raises())),
        nets.source(),
        N,
        transport="mpi",
        checkpoints=Checkpoints(FOLDER, every=2),
    )


def killed():
    train(nets.chain(2, extra=(1, nets.Killed())), nets.source(), N, transport="mpi")


def no_data():
    """One rank does not even come to run its worker."""

    def source(k):
        if RANK == 1:
            raise OSError("no such file")
        return nets.source()(k)

    train(nets.chain(2), source, N, transport="mpi")


def endless():
    def source(k):
        if k == 20:
            (FOLDER / "started").touch()
        return nets.source()(k)

    train(nets.chain(2), source, 10**6, transport="mpi")


if __name__ == "__main__":
    (FOLDER / f"{os.getpid()}.pid").touch()
    for check in sys.argv[2:]:
        globals()[check]()
    sys.stdout.write(f"rank {RANK}: ok\n")
