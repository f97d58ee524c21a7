"""What the tests start with mpiexec: `mpi_script.py CHECK`. Prints "rank R: ok" for what holds."""

import sys
from itertools import pairwise

import numpy as np
from locking import nets
from mpi4py import MPI

from minidni.locking import Fault, train

N = 25


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


def raising():
    train(nets.chain(2, extra=(1, nets.Raises())), nets.source(), N, transport="mpi")


def killed():
    train(nets.chain(2, extra=(1, nets.Killed())), nets.source(), N, transport="mpi")


def too_few():
    try:
        train(nets.chain(3), nets.source(), N, transport="mpi")
    except ValueError as error:
        assert "there are 2 ranks for 3 workers, expected as many: mpiexec -n 3 python mpi_script.py" in str(error)


if __name__ == "__main__":
    for check in sys.argv[1:]:
        globals()[check]()
    print(f"rank {MPI.COMM_WORLD.rank}: ok", flush=True)
