"""MPI: a rank for each worker, on one machine or many. Needs mpi4py, and an MPI, whose mpiexec starts the ranks.

mpiexec -n 2 python script.py       # every rank calls train(..., transport="mpi") and gets the same run
"""

import shutil
import sys
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array, array_module, device_of, to_device, to_numpy
from . import blas
from .drive import Control, drive
from .messages import Message
from .transport import Outcome, Plan, Watch, Worker, failed
from .worker import LostMessage

NAP = 5e-5  # seconds between two looks: MPI's own waiting keeps a core busy, which others need


class MPI:
    """Messages are non-blocking sends, of which so many may be under way as a queue has room for.

    A rank that fails ends the whole job with one sentence, for the others could not go on. Ranks beyond the number of
    workers are idle.

    Args:
        cuda_aware: whether arrays on a GPU are handed to MPI as they are, which takes an MPI that was built for it; if
            not, they go through the host.
    """

    restarts = False  # a job is over when a rank is

    def __init__(self, *, cuda_aware: bool = False):
        self.cuda_aware = cuda_aware

    def __repr__(self) -> str:
        return "mpi"

    def run(self, workers: list[Worker], plan: Plan, watch: Watch) -> list[Outcome]:
        """See `Transport`."""
        world = library().COMM_WORLD
        if world.size < len(workers):
            raise ValueError(
                f"train: there are {world.size} ranks for {len(workers)} workers, expected as many: "
                f"mpiexec -n {len(workers)} python {Path(sys.argv[0]).name or 'script.py'}"
            )
        comm, outcome = world.Dup(), None
        here = comm.Split_type(library().COMM_TYPE_SHARED).size
        if comm.rank < len(workers):
            worker = workers[comm.rank]
            try:
                with blas.limited(plan.blas_threads or blas.share(min(here, len(workers)))):
                    blas.warm_up()
                    port = plan.faulty(MPIPort(comm, plan, self.cuda_aware), worker.rank)
                    drive(worker, plan.mode, port, MPIControl(plan, watch, comm.rank), plan.patience)
                outcome = worker.outcome()
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                print(failed(worker, error), file=sys.stderr, flush=True)
                comm.Abort(1)
        ready = comm.Ibarrier()
        while not ready.Test():
            time.sleep(NAP)
        outcomes = comm.allgather(outcome)[: len(workers)]
        comm.Free()
        return [one if world.rank == 0 else one._replace(notes=[]) for one in outcomes]  # said once


class MPIControl(Control):
    """Nobody can tell a rank to stop but by ending it; the first rank shows how far it is."""

    def __init__(self, plan: Plan, watch: Watch, rank: int):
        self.checkpoints, self.watch, self.rank = plan.checkpoints, watch, rank

    def tell(self, rank: int, latest: int, lag: int) -> None:
        """For the bar."""
        if self.rank == 0:
            self.watch([latest], [lag])


class MPIPort:
    """A worker's end: what it has sent and is not yet received, by receiver."""

    def __init__(self, comm: Any, plan: Plan, cuda_aware: bool):
        self.comm, self.capacity, self.patience, self.cuda_aware = comm, plan.capacity, plan.patience, cuda_aware
        self.under_way: dict[int, deque[tuple[list[Any], list[Any]]]] = defaultdict(deque)

    def try_send(self, to: int, message: Message, timeout: float) -> bool:
        """Copy the arrays, and begin to send them: complete when the receiver has begun to receive (Issend)."""
        under_way = self.under_way[to]
        if not _within(timeout, lambda: self._room(under_way)):
            return False
        arrays = [self._out(array) for array in message.arrays]
        about = (*message.number, [(array.dtype.str, array.shape, device_of(array)) for array in arrays])
        requests = [self.comm.issend(about, to), *(self.comm.Issend(array, to) for array in arrays)]
        under_way.append((requests, arrays))  # the arrays stay until then
        return True

    def try_receive(self, sender: int, timeout: float) -> Message | None:
        """What a sender has begun to send."""
        found: list[Any] = []

        def there() -> bool:
            probed = self.comm.improbe(sender)
            if probed is not None:
                found.append(probed)
            return bool(found)

        if not _within(timeout, there):
            return None
        minibatch, part, described = found[0].recv()
        arrays: list[Array] = []
        for text, shape, device in described:
            array = to_device(np.empty(shape, np.dtype(text)), device)
            self.comm.Recv(array, sender)
            arrays.append(array)
        return Message(minibatch, part, tuple(arrays))

    def finish(self) -> None:
        """Wait until all is received."""
        for to, under_way in self.under_way.items():
            if not _within(self.patience, lambda some=under_way: self._room(some, 1)):
                raise LostMessage(f"worker {to} has not received what was sent to it in {self.patience:g} s")

    def _room(self, under_way: deque[tuple[list[Any], list[Any]]], capacity: int | None = None) -> bool:
        while under_way and library().Request.Testall(under_way[0][0]):
            under_way.popleft()
        return len(under_way) < (capacity or self.capacity)

    def _out(self, array: Array) -> Array:
        """A copy, for the sender uses its own again; on the host, unless MPI takes a GPU's."""
        if not self.cuda_aware or array_module(array) is np:
            return np.ascontiguousarray(to_numpy(array)).copy()
        array = array.copy()
        array_module(array).cuda.get_current_stream().synchronize()
        return array


def _within(timeout: float, done: Any) -> bool:
    """Whether it is done within so many seconds; looks at least once."""
    end = time.monotonic() + timeout
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(NAP)
    return True


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
