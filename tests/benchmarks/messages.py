"""What a message costs on each transport: `python tests/benchmarks/messages.py [threads processes mpi ray]`.

Two workers send an array of 256 x 1024 float32 numbers to each other and back; printed is half of a round trip, which
includes the copy out of the sender's memory and into the receiver's. Medians, in microseconds.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402

from minidni import SGD, Chain, Linear, Segment, SquaredError, Synthesizer  # noqa: E402
from minidni.locking import programs  # noqa: E402
from minidni.locking.messages import Message, Receive, Send  # noqa: E402
from minidni.locking.train import TRANSPORTS  # noqa: E402
from minidni.locking.transport import Plan  # noqa: E402
from minidni.locking.worker import Worker  # noqa: E402

ROUNDS, WARM_UP = 400, 50


def ping_pong(me):
    """A program for two workers: what the one sends, the other sends back."""
    array, other = me.source(0)[0], 1 - me.rank
    for k in me.minibatches:
        start = me.clock()
        if me.rank == 0:
            yield Send(other, Message(k, 0, (array,)))
        message = yield Receive(other, k)
        if me.rank == 1:
            yield Send(other, message)
        me.losses.append((k, (me.clock() - start) / 2))


programs.PROGRAMS["ping-pong"] = ping_pong
programs.TARGETS_FROM["ping-pong"] = lambda me: ()


class Ball:
    """The array. Whoever unpickles it has imported this module, and so knows the program."""

    def __init__(self, shape=(256, 1024)):
        self.array = np.zeros(shape, np.float32)

    def __call__(self, k):
        return self.array, self.array


def microseconds(transport):
    """Half of a round trip, the median."""
    from benchmarks.messages import Ball as PublicBall  # not that of __main__, which another process may not have

    segments = (
        Segment(Linear(2, 2), Synthesizer(Linear(2, 2), SGD(0.1)), SGD(0.1)),
        Segment(Linear(2, 2), SquaredError(), SGD(0.1)),
    )
    ball = PublicBall()
    workers = [Worker(s, ball, i, 2, 0, ROUNDS) for i, s in enumerate(Chain(*segments))]
    plan = Plan("ping-pong", 2, 60.0, 1, (), None, 2 * ball.array.nbytes)
    outcomes = TRANSPORTS[transport]().run(workers, plan, lambda latest, lags: None)
    return 1e6 * statistics.median(seconds for _, seconds in outcomes[0].losses[WARM_UP:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("transports", nargs="*", default=["threads", "processes", "mpi", "ray"])
    for transport in parser.parse_args().transports:
        if transport == "mpi" and "MINIDNI_RANK" not in os.environ:
            from minidni.locking.over_mpi import mpiexec

            command = [mpiexec(), "-n", "2", sys.executable, __file__, "mpi"]
            subprocess.run(command, env={**os.environ, "MINIDNI_RANK": "1"}, check=True)
            continue
        found = microseconds(transport)
        if transport != "mpi" or rank() == 0:
            print(f"{transport:<10} {found:7.0f} us", flush=True)


def rank():
    from mpi4py import MPI

    return MPI.COMM_WORLD.rank


if __name__ == "__main__":
    main()
