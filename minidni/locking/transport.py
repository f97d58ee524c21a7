"""What a transport is, and what all of them are told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .checkpoints import Checkpoints
from .drive import Port
from .faults import Fault, FaultyPort
from .worker import Outcome, Worker


@dataclass(frozen=True)
class Plan:
    """How a run is to go.

    Attributes:
        mode: "locked", "decoupled" or "unlocked".
        capacity: how many messages a queue between two workers has room for.
        patience: seconds after which a worker gives up waiting for another.
        blas_threads: for each worker; None for its share of the cores.
        faults: what is to go wrong with messages.
        checkpoints: where and when, or None.
        message_bytes: the most bytes that the arrays of a message have.
    """

    mode: str
    capacity: int
    patience: float
    blas_threads: int | None
    faults: tuple[Fault, ...]
    checkpoints: Checkpoints | None
    message_bytes: int

    def faulty(self, port: Port, rank: int) -> Port:
        """The port, with the faults that are asked for."""
        return FaultyPort(port, rank, self.faults) if self.faults else port


class Watch(Protocol):
    """How the one who started a run sees it."""

    def __call__(self, latest: Sequence[int], lags: Sequence[int]) -> None:
        """Each worker's last minibatch, and the lag of the target it learned from last."""


class Transport(Protocol):
    """Where workers run and how their messages travel. Its `repr` names it."""

    def run(self, workers: list[Worker], plan: Plan, watch: Watch) -> list[Outcome]:
        """Run all programs to their ends; in the order of ranks, what they leave.

        Raises:
            WorkerFailed: if a worker has raised or died; none is left running then.
        """


class WorkerFailed(RuntimeError):
    """A worker has raised an exception, or has died. What it raised is the cause, if it ran in this process.

    Attributes:
        rank: its number.
    """

    def __init__(self, rank: int, text: str):
        super().__init__(text)
        self.rank = rank

    def __reduce__(self) -> tuple[Callable[..., "WorkerFailed"], tuple[int, str]]:
        return WorkerFailed, (self.rank, str(self))


def failed(worker: Worker, error: BaseException) -> WorkerFailed:
    """The sentence for what a worker raised."""
    name = type(error).__name__
    return WorkerFailed(worker.rank, f"{called(worker)} raised {name} in minibatch {worker.latest + 1}: {error}")


def with_checkpoint(failure: WorkerFailed, checkpoints: Checkpoints | None, n_workers: int) -> WorkerFailed:
    """The same, and from where the run can be resumed."""
    if checkpoints is None:
        return failure
    done = checkpoints.complete(n_workers)
    where = (
        f"behind minibatch {done[-1]} in {checkpoints.folder}, from which resume=True goes on" if done else "none yet"
    )
    return WorkerFailed(failure.rank, f"{failure}; the last complete checkpoint: {where}")


def called(worker: Worker) -> str:
    """A worker by number and segment."""
    replica = f", replica {worker.replica}" if worker.replicas > 1 else ""
    return f"worker {worker.rank} ({worker.segment.name}{replica})"


def links(workers: Sequence[Worker]) -> list[tuple[int, int]]:
    """Between whom messages travel: (from, to)."""
    found: dict[tuple[int, int], None] = {}
    for worker in workers:
        around = []
        if worker.replicas > 1:
            around.append(((worker.replica + 1) % worker.replicas) * worker.stages + worker.stage)
        for to in (worker.below, worker.above, *around):
            if to is not None:
                found[worker.rank, to] = None
    return list(found)
