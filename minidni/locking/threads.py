"""Threads: workers in one process. BLAS lets go of Python's lock, so they compute at the same time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from typing import Any

from ..arrays import device_of
from . import blas
from .drive import TICK, Control, Stopped, drive
from .messages import Message
from .transport import Outcome, Plan, Watch, Worker, failed, links


class Threads:
    """A thread for each worker, and a queue for each direction between two. The default.

    On a GPU each worker computes on a stream of its own.
    """

    def __repr__(self) -> str:
        return "threads"

    def run(self, workers: list[Worker], plan: Plan, watch: Watch) -> list[Outcome]:
        """See `Transport`."""
        control = ThreadControl(plan, workers)
        queues: dict[tuple[int, int], Queue] = {link: Queue(plan.capacity) for link in links(workers)}
        errors: list[tuple[Worker, BaseException]] = []

        def work(worker: Worker) -> None:
            port = plan.faulty(ThreadPort(queues, worker.rank), worker.rank)
            try:
                blas.warm_up()
                with stream(worker.device):
                    drive(worker, plan.mode, port, control, plan.patience)
            except Stopped:
                pass
            except BaseException as error:
                errors.append((worker, error))
                control.stop.set()

        running = [
            threading.Thread(target=work, args=(worker,), name=f"worker {worker.rank}", daemon=True)
            for worker in workers
        ]
        with blas.limited(plan.blas_threads or blas.share(len(workers))):
            try:
                for thread in running:
                    thread.start()
                while any(thread.is_alive() for thread in running):
                    for thread in running:
                        thread.join(TICK)
                    watch(control.latest, control.lags)
            finally:
                control.stop.set()
                for thread in running:
                    thread.join(plan.patience)
        if errors:
            raise failed(*errors[0]) from errors[0][1]
        return [worker.outcome() for worker in workers]


class ThreadControl(Control):
    """Shared by all threads."""

    def __init__(self, plan: Plan, workers: list[Worker]):
        self.checkpoints, self.stop = plan.checkpoints, threading.Event()
        self.latest, self.lags = [worker.latest for worker in workers], [0 for _ in workers]

    def stopped(self) -> bool:
        """Whether another thread has failed, or Ctrl-C was pressed."""
        return self.stop.is_set()

    def tell(self, rank: int, latest: int, lag: int) -> None:
        """For the bar."""
        self.latest[rank], self.lags[rank] = latest, lag


class ThreadPort:
    """A worker's queues."""

    def __init__(self, queues: dict[tuple[int, int], Queue], rank: int):
        self.queues, self.rank = queues, rank

    def try_send(self, to: int, message: Message, timeout: float) -> bool:
        """A copy goes into the queue; on a GPU with the event behind which it is there."""
        queue = self.queues[self.rank, to]
        if queue.full() and not timeout:
            return False
        message = message.copied()
        try:
            queue.put((message, _event(message)), timeout=timeout or None, block=timeout > 0)
        except Full:
            return False
        return True

    def try_receive(self, sender: int, timeout: float) -> Message | None:
        """What comes out of the queue."""
        try:
            message, event = self.queues[sender, self.rank].get(timeout=timeout or None, block=timeout > 0)
        except Empty:
            return None
        if event is not None:
            event.synchronize()
            # Memory belongs to the stream that took it, which may use it again at once when it is let go of here.
            message = message.copied()
            _event(message).synchronize()
        return message

    def finish(self) -> None:
        """All is in the queues."""


@contextmanager
def stream(device: str) -> Iterator[None]:
    """A stream of the thread's own, where the device has streams."""
    if device == "cpu":
        yield
        return
    import cupy

    with cupy.cuda.Device(int(device.partition(":")[2] or 0)), cupy.cuda.Stream(non_blocking=True) as own:
        yield
        own.synchronize()


def _event(message: Message) -> Any:
    """What to wait for until the message's arrays are there; None where they are."""
    if all(device_of(array) == "cpu" for array in message.arrays):
        return None
    import cupy

    return cupy.cuda.get_current_stream().record()
