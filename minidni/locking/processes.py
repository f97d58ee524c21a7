"""Processes: a Python for each worker, and messages in memory that two of them share."""

import multiprocessing as mp
import pickle
import time
from ctypes import c_bool, c_int64
from multiprocessing.connection import Connection, wait
from typing import Any

from ..arrays import to_numpy
from . import blas
from .drive import TICK, Control, Stopped, drive
from .messages import Message
from .ring import Ring
from .threads import stream
from .transport import Outcome, Plan, Watch, Worker, WorkerFailed, called, failed, links

GRACE = 5.0  # seconds to end in, once told to stop, before a process is killed


class Processes:
    """A new process ("spawn") for each worker.

    What is handed to `train` must pickle, and a script must start it below `if __name__ == "__main__":`, since each
    process imports the script anew.
    """

    def __repr__(self) -> str:
        return "processes"

    def run(self, workers: list[Worker], plan: Plan, watch: Watch) -> list[Outcome]:
        """See `Transport`."""
        context = mp.get_context("spawn")
        rings = {link: Ring(context, plan.capacity, plan.message_bytes) for link in links(workers)}
        shared = Shared(context, workers)
        started: list[Any] = []
        results: dict[int, Connection] = {}
        with blas.environment(plan.blas_threads or blas.share(len(workers))):
            try:
                for worker in workers:
                    mine = {link: ring for link, ring in rings.items() if worker.rank in link}
                    results[worker.rank], far_end = context.Pipe(duplex=False)
                    process = context.Process(
                        target=work,
                        args=(_pickled(worker), worker.rank, plan, mine, shared, far_end),
                        name=f"minidni worker {worker.rank}",
                        daemon=True,
                    )
                    started.append(process)
                    process.start()
                    far_end.close()
                return self._results(workers, started, results, shared, watch)
            finally:
                shared.stop.value = True
                deadline = time.monotonic() + GRACE
                for process in started:
                    if process.pid is not None:
                        process.join(max(0.0, deadline - time.monotonic()))
                        if process.is_alive():
                            process.kill()
                            process.join()
                        process.close()
                for connection in results.values():
                    connection.close()

    def _results(
        self, workers: list[Worker], started: list[Any], results: dict[int, Connection], shared: "Shared", watch: Watch
    ) -> list[Outcome]:
        """What each process sends in the end; raises for the first that fails."""
        outcomes: dict[int, Outcome] = {}
        while len(outcomes) < len(workers):
            open_ones = [results[worker.rank] for worker in workers if worker.rank not in outcomes]
            ready = wait(open_ones, timeout=2 * TICK)
            for worker in [worker for worker in workers if results[worker.rank] in ready]:
                try:
                    outcome = pickle.loads(results[worker.rank].recv_bytes())
                except (EOFError, OSError):  # it is gone, and has said nothing, or half of it
                    raise self._dead(worker, started[worker.rank], shared) from None
                if isinstance(outcome, WorkerFailed):
                    raise outcome
                outcomes[worker.rank] = outcome
            watch(shared.latest, shared.lags)
        return [outcomes[worker.rank] for worker in workers]

    def _dead(self, worker: Worker, process: Any, shared: "Shared") -> WorkerFailed:
        process.join(GRACE)
        code, latest = process.exitcode, shared.latest[worker.rank]
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit status {code}"
        text = f"{called(worker)} {how} in minibatch {latest + 1}"
        if code and code > 0 and latest < worker.start:
            text += '; a script must start it below `if __name__ == "__main__":`'
        return WorkerFailed(worker.rank, text)


class Shared:
    """Numbers that all processes see. None of them takes a lock: a killed process could not give it back."""

    def __init__(self, context: Any, workers: list[Worker]):
        n = len(workers)
        self.stop = context.RawValue(c_bool, False)
        self.latest, self.lags = context.RawArray(c_int64, n), context.RawArray(c_int64, n)
        self.latest[:] = [worker.latest for worker in workers]


class ProcessControl(Control):
    """A process's line to the one that started it."""

    def __init__(self, shared: Shared, plan: Plan):
        self.shared, self.checkpoints = shared, plan.checkpoints
        self.parent = mp.parent_process()

    def stopped(self) -> bool:
        """Told to stop, or nobody is left who could."""
        return self.shared.stop.value or (self.parent is not None and not self.parent.is_alive())

    def tell(self, rank: int, latest: int, lag: int) -> None:
        """For the bar."""
        self.shared.latest[rank], self.shared.lags[rank] = latest, lag


class ProcessPort:
    """A worker's ends of its rings."""

    def __init__(self, rings: dict[tuple[int, int], Ring], rank: int):
        self.rings, self.rank = rings, rank

    def try_send(self, to: int, message: Message, timeout: float) -> bool:
        """Copy the arrays into shared memory."""
        return self.rings[self.rank, to].try_put(message._replace(arrays=tuple(map(to_numpy, message.arrays))), timeout)

    def try_receive(self, sender: int, timeout: float) -> Message | None:
        """Copy them out."""
        return self.rings[sender, self.rank].try_get(timeout)

    def finish(self) -> None:
        """All is in the rings."""


def work(
    pickled: bytes, rank: int, plan: Plan, rings: dict[tuple[int, int], Ring], shared: Shared, result: Connection
) -> None:
    """What a process runs."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; who started them tells them to stop
    answer: Any
    try:
        worker = pickle.loads(pickled)
    except Exception as error:
        answer = WorkerFailed(
            rank, f"worker {rank} could not be unpickled in its process: {type(error).__name__}: {error}"
        )
    else:
        try:
            port = plan.faulty(ProcessPort(rings, rank), rank)
            blas.warm_up()
            with stream(worker.device):
                drive(worker, plan.mode, port, ProcessControl(shared, plan), plan.patience)
            answer = worker.outcome()
        except Stopped:
            return
        except BaseException as error:
            answer = failed(worker, error)
    result.send_bytes(pickle.dumps(answer))


def _pickled(worker: Worker) -> bytes:
    try:
        return pickle.dumps(worker)
    except Exception as error:
        raise TypeError(
            f"train: worker {worker.rank} cannot be pickled for its process ({error}); expected a source, and layers, "
            "that are defined at the top of a module"
        ) from error
