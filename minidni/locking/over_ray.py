"""Ray: an actor for each worker, placed by resources, on this machine or on a cluster."""

import os
import pickle
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

from ..arrays import to_numpy
from . import blas
from .drive import Control, drive
from .messages import Message
from .transport import Outcome, Plan, Watch, Worker, WorkerFailed, called, failed

SETTLED = 0.5  # seconds between two looks at how far the actors are


class Ray:
    """Messages are calls from one actor to another.

    Args:
        address: of a running cluster ("auto" for one on this machine); None for what RAY_ADDRESS says, or else for a
            local one, which is started, and shut down in the end.
        options: resources of the workers' actors, such as {"num_cpus": 1, "num_gpus": 1, "resources": {"rack": 1}}: one
            for all, or one for each; None for a CPU each. With a GPU, the segment moves there.
    """

    def __init__(
        self,
        address: str | None = None,
        options: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ):
        self.address, self.options = address, options

    def __repr__(self) -> str:
        return "ray"

    def run(self, workers: list[Worker], plan: Plan, watch: Watch) -> list[Outcome]:
        """See `Transport`."""
        ray, n = library(), len(workers)
        options = self._options(n)
        ours = not ray.is_initialized()
        if ours:
            local = self.address is None and not os.environ.get("RAY_ADDRESS")
            cpus = {"num_cpus": max(os.cpu_count() or 1, n), "include_dashboard": False} if local else {}
            ray.init(self.address, log_to_driver=False, logging_level="ERROR", configure_logging=False, **cpus)
        actors: list[Any] = []
        try:
            _expect_resources(ray, options)
            make = ray.remote(Actor)
            for worker, own in zip(workers, options, strict=True):
                threads = {"max_concurrency": 8 + 4 * plan.capacity}
                actor = make.options(**threads, **own)
                actors.append(
                    actor.remote(worker.rank, pickle.dumps(worker), plan, bool(own.get("num_gpus")), sys.path)
                )
            return self._outcomes(ray, workers, actors, watch)
        finally:
            for actor in actors:
                ray.kill(actor)
            if ours:
                ray.shutdown()

    def _options(self, n: int) -> list[dict[str, Any]]:
        given = self.options or {}
        each = [given] * n if isinstance(given, Mapping) else list(given)
        if len(each) != n:
            raise ValueError(
                f"Ray: options has {len(each)} entries, expected one for each of {n} workers, or one for all"
            )
        return [{"num_cpus": 1, **one} for one in each]

    def _outcomes(self, ray: Any, workers: list[Worker], actors: list[Any], watch: Watch) -> list[Outcome]:
        """What each actor returns in the end; raises for the first that fails."""
        running = {actor.run.remote(actors): worker for actor, worker in zip(actors, workers, strict=True)}
        outcomes: dict[int, Outcome] = {}
        latest, lags = [worker.latest for worker in workers], [0] * len(workers)
        while running:
            done, _ = ray.wait(list(running), num_returns=1, timeout=SETTLED)
            for ref in done:
                worker = running.pop(ref)
                try:
                    outcome = ray.get(ref)
                except ray.exceptions.RayError as error:
                    raise WorkerFailed(
                        worker.rank,
                        f"{called(worker)} died ({type(error).__name__}), last heard of behind minibatch "
                        f"{latest[worker.rank]}",
                    ) from None
                if isinstance(outcome, WorkerFailed):
                    raise outcome
                outcomes[worker.rank] = outcome
            states = {actor.state.remote(): rank for rank, actor in enumerate(actors)}
            answered, _ = ray.wait(list(states), num_returns=len(states), timeout=SETTLED)
            for ref in answered:
                try:
                    latest[states[ref]], lags[states[ref]] = ray.get(ref)
                except ray.exceptions.RayError:
                    continue  # its run will say so
            watch(latest, lags)
        return [outcomes[worker.rank] for worker in workers]


class Actor(Control):
    """A worker in a process of Ray's; its methods are called from outside, each in a thread."""

    def __init__(self, rank: int, pickled: bytes, plan: Plan, on_gpu: bool, paths: list[str]):
        self.rank, self.plan, self.checkpoints = rank, plan, plan.checkpoints
        sys.path += [path for path in paths if path not in sys.path]  # where modules were found may be some here too
        self.worker: Worker | WorkerFailed
        try:
            worker: Worker = pickle.loads(pickled)
            if on_gpu:
                worker.to("cuda")
            self.worker = worker
        except Exception as error:
            self.worker = WorkerFailed(rank, f"worker {rank} could not be made: {type(error).__name__}: {error}")
        self.actors: list[Any] = []
        self.boxes: dict[int, deque[Message]] = defaultdict(deque)
        self.taken: dict[int, int] = defaultdict(int)
        self.changed = threading.Condition()

    def state(self) -> tuple[int, int]:
        """The last minibatch, and the lag of the last target."""
        return getattr(self.worker, "latest", -1), getattr(self.worker, "last_lag", 0)

    def deliver(self, sender: int, number: int, message: Message) -> None:
        """A neighbour's message: waits for its turn, since calls may overtake each other, and for room."""
        with self.changed:
            box = self.boxes[sender]
            self.changed.wait_for(lambda: self.taken[sender] == number and len(box) < self.plan.capacity)
            box.append(message)
            self.taken[sender] += 1
            self.changed.notify_all()

    def take(self, sender: int, timeout: float) -> Message | None:
        """The next message in a box."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.boxes[sender], timeout):
                return None
            message = self.boxes[sender].popleft()
            self.changed.notify_all()
            return message

    def run(self, actors: list[Any]) -> Outcome | WorkerFailed:
        """The worker's program, among all the actors."""
        self.actors = actors
        if isinstance(self.worker, WorkerFailed):
            return self.worker
        try:
            with blas.limited(self.plan.blas_threads or 1):
                blas.warm_up()
                port = self.plan.faulty(RayPort(self), self.rank)
                drive(self.worker, self.plan.mode, port, self, self.plan.patience)
            return self.worker.outcome()
        except BaseException as error:
            return failed(self.worker, error)


class RayPort:
    """A worker's end: the calls that it has made and that have not yet returned."""

    def __init__(self, actor: Actor):
        self.actor, self.rank = actor, actor.rank
        self.calls: dict[int, list[Any]] = defaultdict(list)
        self.numbers: dict[int, int] = defaultdict(int)

    def try_send(self, to: int, message: Message, timeout: float) -> bool:
        """Call the neighbour, once fewer than a queue's calls are under way."""
        calls = self.calls[to]
        if len(calls) >= self.actor.plan.capacity:
            _, calls[:] = library().wait(calls, num_returns=1, timeout=timeout)
            if len(calls) >= self.actor.plan.capacity:
                return False
        arrays = tuple(to_numpy(array).copy() for array in message.arrays)
        deliver = self.actor.actors[to].deliver
        calls.append(deliver.remote(self.rank, self.numbers[to], message._replace(arrays=arrays)))
        self.numbers[to] += 1
        return True

    def try_receive(self, sender: int, timeout: float) -> Message | None:
        """What was delivered."""
        return self.actor.take(sender, timeout)

    def finish(self) -> None:
        """Wait until all is delivered, or nobody is there to take it."""
        rest = [call for calls in self.calls.values() for call in calls]
        if rest:
            library().wait(rest, num_returns=len(rest), timeout=self.actor.plan.patience)


def _expect_resources(ray: Any, options: Sequence[Mapping[str, Any]]) -> None:
    """Raise if the cluster has less than the actors ask for: they would wait for ever."""
    there = ray.cluster_resources()
    wanted: dict[str, float] = defaultdict(float)
    for one in options:
        wanted["CPU"] += one.get("num_cpus", 0)
        wanted["GPU"] += one.get("num_gpus", 0)
        for name, amount in one.get("resources", {}).items():
            wanted[name] += amount
    for name, amount in wanted.items():
        if amount > there.get(name, 0):
            raise ValueError(
                f"Ray: the workers ask for {amount:g} of {name}, but the cluster has {there.get(name, 0):g}"
            )


def library() -> Any:
    """`ray`.

    Raises:
        ImportError: if it is not installed; says how.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError(f'transport "ray" needs Ray ({error}): pip install "minidni[ray]"') from None
    return ray
