"""Inline: all workers take turns in one thread, always in the same order. For tests, lessons, and debugging."""

import time
from collections import defaultdict, deque
from contextlib import nullcontext

from . import blas
from .drive import Control, Port
from .messages import Done, Message, Poll, Receive, Request, Send
from .programs import PROGRAMS
from .transport import Outcome, Plan, Watch, Worker, failed
from .worker import LostMessage, Program


class Inline:
    """No transport at all: one worker after another.

    In a turn a worker goes on until it has finished a minibatch, or cannot go on. They take their turns from the bottom
    up: so a target is there before the worker below begins its next minibatch, and comes later by exactly the lag that
    was asked for.
    """

    def run(self, workers: list[Worker], plan: Plan, watch: Watch) -> list[Outcome]:
        """See `Transport`."""
        queues: dict[tuple[int, int], deque[Message]] = defaultdict(deque)
        control = Control()
        control.checkpoints = plan.checkpoints
        turns = [
            Turn(worker, PROGRAMS[plan.mode](worker), plan.faulty(InlinePort(queues, worker.rank, plan), worker.rank))
            for worker in workers
        ]
        moved = time.monotonic()
        with nullcontext() if plan.blas_threads is None else blas.limited(plan.blas_threads):
            while any(turn.request is not None for turn in turns):
                if any([turn.take(control) for turn in turns]):
                    moved = time.monotonic()
                elif not plan.faults or time.monotonic() - moved > plan.patience:
                    stuck = next(turn for turn in turns if turn.request is not None)
                    lost = LostMessage(f"every worker waits for another, this one for an answer to {stuck.request}")
                    raise failed(stuck.worker, lost) from lost
                watch([worker.latest for worker in workers], [worker.last_lag for worker in workers])
        return [worker.outcome() for worker in workers]

    def __repr__(self) -> str:
        return "inline"


class Turn:
    """A worker's program, and what it asked for last."""

    def __init__(self, worker: Worker, program: Program, port: Port):
        self.worker, self.program, self.port = worker, program, port
        self.request = self._go_on(None)

    def take(self, control: Control) -> bool:
        """Go on until a minibatch is finished, or there is something to wait for; whether it got anywhere."""
        moved = False
        while self.request is not None:
            answer = None
            match self.request:
                case Send(to, message):
                    if not self.port.try_send(to, message, 0):
                        return moved
                case Receive(sender):
                    if (answer := self.port.try_receive(sender, 0)) is None:
                        return moved
                case Poll(sender):
                    answer = self.port.try_receive(sender, 0)
                case Done(k):
                    self.worker.latest = k
                    control.done(self.worker)
                    self.request = self._go_on(None)
                    return True
            self.request, moved = self._go_on(answer), True
        return moved

    def _go_on(self, answer: Message | None) -> Request | None:
        try:
            return self.program.send(answer)
        except StopIteration:
            self.port.finish()
            return None
        except Exception as error:
            raise failed(self.worker, error) from error


class InlinePort:
    """A worker's queues."""

    def __init__(self, queues: dict[tuple[int, int], deque[Message]], rank: int, plan: Plan):
        self.queues, self.rank, self.capacity = queues, rank, plan.capacity

    def try_send(self, to: int, message: Message, timeout: float) -> bool:
        """A copy goes into the queue, if there is room."""
        queue = self.queues[self.rank, to]
        if len(queue) >= self.capacity:
            return False
        queue.append(message.copied())
        return True

    def try_receive(self, sender: int, timeout: float) -> Message | None:
        """What comes out of the queue."""
        queue = self.queues[sender, self.rank]
        return queue.popleft() if queue else None

    def finish(self) -> None:
        """All is in the queues."""
