"""MPI: a rank for each worker, on one machine or many. Needs mpi4py, and an MPI, whose mpiexec starts the ranks.

mpiexec -n 2 python script.py       # every rank calls train(..., transport="mpi") and gets the same run
"""

import shutil
import sys
import time
import warnings
from collections import defaultdict, deque
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..arrays import Array, array_module, to_numpy
from . import blas
from .drive import Control, drive
from .messages import Message
from .threads import stream
from .transport import Outcome, Plan, Watch, Worker, failed, with_checkpoint
from .worker import LostMessage

NAP = 5e-5  # seconds between two looks: MPI's own waiting keeps a core busy, which others need


class MPI:
    """Messages are non-blocking sends, of which so many may be under way as a queue has room for.

    A rank that fails ends the whole job with one sentence, for the others could not go on; so does, once there is an
    `MPI`, any exception that nothing catches. Ranks beyond the number of workers are idle.

    Args:
        cuda_aware: whether arrays on a GPU are handed to MPI as they are, which takes an MPI that was built for it; if
            not, they go through the host.
    """

    restarts = False  # a job is over when a rank is

    def __init__(self, *, cuda_aware: bool = False):
        self.cuda_aware = cuda_aware
        uncaught_ends_the_job()

    def __repr__(self) -> str:
        return "mpi"

    def run(self, workers: list[Worker], plan: Plan, watch: Watch) -> list[Outcome]:
        """See `Transport`."""
        world, n = library().COMM_WORLD, len(workers)
        if world.size < n:
            raise ValueError(
                f"train: there are {world.size} ranks for {n} workers, expected as many: "
                f"mpiexec -n {n} python {Path(sys.argv[0]).name or 'script.py'}"
            )
        _meet(world)
        self._expect_the_same(world, workers, plan)
        comm = world.Dup()
        outcome = self._work(comm, workers, plan, watch)
        _meet(comm)
        outcomes = comm.allgather(outcome)[:n]
        comm.Free()
        return [one if world.rank == 0 else one._replace(notes=[]) for one in outcomes]  # said once

    def _expect_the_same(self, world: Any, workers: list[Worker], plan: Plan) -> None:
        """Raise, in every rank, if they would not run the same programs."""
        mine = f"mode {plan.mode!r}, {len(workers)} workers, minibatches {workers[0].start} to {workers[0].stop - 1}"
        asked = world.allgather(mine)
        for rank, other in enumerate(asked):
            if other != asked[0]:
                raise ValueError(f"train: rank {rank} is asked for {other}, expected what rank 0 is: {asked[0]}")

    def _work(self, comm: Any, workers: list[Worker], plan: Plan, watch: Watch) -> Outcome | None:
        """Run the rank's worker, if it has one."""
        here = comm.Split_type(library().COMM_TYPE_SHARED)
        beside = here.allreduce(int(comm.rank < len(workers)))
        here.Free()
        if comm.rank >= len(workers):
            return None
        worker = workers[comm.rank]
        try:
            with ExitStack() as stack:
                with warnings.catch_warnings():
                    if comm.rank:
                        warnings.simplefilter("ignore")  # said once
                    stack.enter_context(blas.limited(plan.blas_threads or blas.share(beside)))
                stack.enter_context(stream(worker.device))
                blas.warm_up()
                port = MPIPort(comm, plan, worker.device if self.cuda_aware else "cpu")
                control = MPIControl(plan, watch, comm.rank)
                drive(worker, plan.mode, plan.faulty(port, worker.rank), control, plan.patience)
            return worker.outcome()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            failure = with_checkpoint(failed(worker, error), plan.checkpoints, len(workers))
            print(failure, file=sys.stderr)
            _end_the_job(comm)
            raise


class MPIControl(Control):
    """Nobody can tell a rank to stop but by ending it; the first rank shows how far it is."""

    def __init__(self, plan: Plan, watch: Watch, rank: int):
        self.checkpoints, self.watch, self.rank = plan.checkpoints, watch, rank

    def tell(self, rank: int, latest: int, lag: int) -> None:
        """For the bar."""
        if self.rank == 0:
            self.watch([latest], [lag])


class MPIPort:
    """A worker's end: what it has sent and is not yet received, by receiver, and what is arriving, by sender.

    Args:
        comm: whose ranks are the workers.
        plan: says how many messages to a receiver may be under way, and for how long.
        device: where arrays are sent from and received; "cpu" for any MPI.
    """

    def __init__(self, comm: Any, plan: Plan, device: str):
        self.comm, self.capacity, self.patience, self.device = comm, plan.capacity, plan.patience, device
        self.under_way: dict[int, deque[tuple[list[Any], list[Array]]]] = defaultdict(deque)
        self.arriving: dict[int, tuple[list[Any], Message]] = {}

    def try_send(self, to: int, message: Message, timeout: float) -> bool:
        """Copy the arrays, and begin to send them: complete when the receiver has begun to receive (Issend)."""
        under_way = self.under_way[to]
        if not _within(timeout, lambda: self._n_under_way(to) < self.capacity):
            return False
        arrays = [self._out(array) for array in message.arrays]
        about = (*message.number, [(array.dtype.str, array.shape) for array in arrays])
        requests = [self.comm.issend(about, to), *(self.comm.Issend(_bytes(array), to) for array in arrays)]
        under_way.append((requests, arrays))  # the arrays stay until then
        return True

    def try_receive(self, sender: int, timeout: float) -> Message | None:
        """What a sender has sent, once all of it is here: to begin to receive it (Irecv) is not to wait for it."""
        if not _within(timeout, lambda: self._arrived(sender)):
            return None
        return self.arriving.pop(sender)[1]

    def finish(self) -> None:
        """Wait until all is received. Nothing is left for this worker to receive: it has seen its neighbours' ends."""
        for to in self.under_way:
            if not _within(self.patience, lambda to=to: not self._n_under_way(to)):
                raise LostMessage(f"worker {to} has not received what was sent to it in {self.patience:g} s")

    def _n_under_way(self, to: int) -> int:
        under_way = self.under_way[to]
        while under_way and library().Request.Testall(under_way[0][0]):
            under_way.popleft()
        return len(under_way)

    def _arrived(self, sender: int) -> bool:
        if sender not in self.arriving:
            about = self.comm.improbe(sender)
            if about is None:
                return False
            minibatch, part, described = about.recv()
            arrays = tuple(self._room(shape, np.dtype(text)) for text, shape in described)
            requests = [self.comm.Irecv(_bytes(array), sender) for array in arrays]
            self.arriving[sender] = requests, Message(minibatch, part, arrays)
        return library().Request.Testall(self.arriving[sender][0])

    def _out(self, array: Array) -> Array:
        """A copy, for the sender uses its own again; on the host, unless MPI takes a GPU's."""
        xp = array_module(array)
        if xp is not np and self.device == "cpu":
            return to_numpy(array)
        copy = xp.array(array, order="C")
        if xp is not np:
            import cupy

            cupy.cuda.get_current_stream().synchronize()
        return copy

    def _room(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Memory to receive an array in, which on a GPU nothing that is still to be computed uses."""
        if self.device == "cpu":
            return np.empty(shape, dtype)
        import cupy

        with cupy.cuda.Device(int(self.device.partition(":")[2] or 0)):
            cupy.cuda.get_current_stream().synchronize()
            return cupy.empty(shape, dtype)


def _bytes(array: Array) -> list[Any]:
    """As MPI takes an array of any dtype."""
    return [array, library().BYTE]


def _within(timeout: float, done: Any) -> bool:
    """Whether it is done within so many seconds; looks at least once."""
    end = time.monotonic() + timeout
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(NAP)
    return True


def _meet(comm: Any) -> None:
    """Wait for all ranks; what they do together next does not keep cores busy with waiting."""
    ready = comm.Ibarrier()
    while not ready.Test():
        time.sleep(NAP)


@cache
def uncaught_ends_the_job() -> None:
    """What ends one rank's script would leave the others waiting for it forever, so it ends them too."""
    world, before = library().COMM_WORLD, sys.excepthook
    if world.size == 1:
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if world.rank:
            time.sleep(1)  # most errors are every rank's, and the first one says it
        before(kind, error, trace)
        _end_the_job(world)

    sys.excepthook = hook


def _end_the_job(comm: Any) -> None:
    """Of all ranks, once mpiexec has had the time to hand on what was printed, which it may drop as it ends them."""
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(0.5)
    comm.Abort(1)


def library() -> Any:
    """`mpi4py.MPI`.

    Raises:
        ImportError: if it is not installed; says how.
    """
    try:
        from mpi4py import MPI as module
    except ImportError as error:
        raise ImportError(f'transport "mpi" needs mpi4py and an MPI ({error}): pip install "minidni[mpi]"') from None
    return module


def mpiexec() -> str:
    """The command that starts ranks: beside this Python, or on the PATH.

    Raises:
        FileNotFoundError: if there is none.
    """
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise FileNotFoundError(
            'there is no mpiexec, neither beside Python nor on the PATH: pip install "minidni[mpi]"'
        )
    return found
