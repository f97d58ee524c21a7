"""How a program's requests are met where workers run side by side: over a port, with a clock, and ready to stop."""

import time
from collections import deque
from typing import Protocol

from .checkpoints import Checkpoints
from .messages import END, Done, Message, Poll, Receive, Send
from .programs import PROGRAMS, TARGETS_FROM
from .timeline import Span
from .worker import LostMessage, Worker

TICK = 0.05  # seconds between two looks at whether to stop
SHORT = 0.002  # the same where there are targets to take in, for want of which another worker may be waiting


class Stopped(Exception):
    """Another worker has failed, or the run was interrupted."""


class Port(Protocol):
    """One worker's ends of its bounded queues to and from the others."""

    def try_send(self, to: int, message: Message, timeout: float) -> bool:
        """Copy the message into the queue; False if there was no room within so many seconds."""

    def try_receive(self, sender: int, timeout: float) -> Message | None:
        """The next message in the queue; None if none came within so many seconds."""

    def finish(self) -> None:
        """Return when all that was sent is out of the worker's hands."""


class Control:
    """A worker's line to who started it; what it has to say, and its checkpoints."""

    checkpoints: Checkpoints | None = None

    def stopped(self) -> bool:
        """Whether to give up."""
        return False

    def tell(self, rank: int, latest: int, lag: int) -> None:
        """How far a worker is."""

    def done(self, worker: Worker) -> None:
        """The minibatch `worker.latest` is over."""
        self.tell(worker.rank, worker.latest, worker.last_lag)
        if self.checkpoints is not None and self.checkpoints.due(worker):
            try:
                self.checkpoints.write(worker)
            except OSError as error:
                if not worker.counts["checkpoint not written"]:
                    worker.notes.append(
                        f"the checkpoint behind minibatch {worker.latest} could not be written: {error}; "
                        "training went on without it"
                    )
                worker.counts["checkpoint not written"] += 1


def drive(worker: Worker, mode: str, port: Port, control: Control, patience: float) -> None:
    """Run a worker's program to its end.

    Raises:
        Stopped: if `control` says so.
        LostMessage: if it has waited `patience` seconds for another worker.
    """
    program, wire = PROGRAMS[mode](worker), Wire(worker, mode, port, control, patience)
    answer = None
    while True:
        try:
            request = program.send(answer)
        except StopIteration:
            port.finish()
            return
        answer = None
        match request:
            case Send(to, message):
                wire.send(to, message)
            case Receive():
                answer = wire.receive(request).on(worker.device)
            case Poll(sender):
                answer = wire.poll(sender)
                answer = answer and answer.on(worker.device)
            case Done(k):
                worker.latest = k
                control.done(worker)
                if control.stopped():
                    raise Stopped


class Wire:
    """A port with a worker's patience, and its time spent waiting written down."""

    def __init__(self, worker: Worker, mode: str, port: Port, control: Control, patience: float):
        self.worker, self.port, self.control, self.patience = worker, port, control, patience
        # A worker that waits for room takes in targets: behind a lost message, one above it catches up and sends many,
        # and the two would wait for room at each other forever. It takes no more than `pending`: then its senders wait.
        self.targets = {rank: deque[Message]() for rank in TARGETS_FROM[mode](worker) if rank is not None}

    def send(self, to: int, message: Message) -> None:
        """Wait until there is room."""
        if self.port.try_send(to, message, 0):
            return
        began, start = time.monotonic(), self.worker.clock()
        while not self.port.try_send(to, message, SHORT if self.targets else TICK):
            self._look(began, f"for room to send worker {to} something of minibatch {message.minibatch}")
            for sender, waiting in self.targets.items():
                while len(waiting) < self.worker.pending and (target := self.port.try_receive(sender, 0)) is not None:
                    waiting.append(target)
        self._waited(start, message.minibatch, message.part)

    def receive(self, request: Receive) -> Message:
        """Wait until there is a message."""
        sender, k, part = request
        message = self.poll(sender)
        if message is not None:
            return message
        began, start = time.monotonic(), self.worker.clock()
        while (message := self.port.try_receive(sender, TICK)) is None:
            what = "the end" if k == END else f"minibatch {k}"
            self._look(began, f"to hear of {what} from worker {sender}")
        self._waited(start, message.minibatch if k == END else k, part)
        return message

    def poll(self, sender: int) -> Message | None:
        """What there is."""
        waiting = self.targets.get(sender)
        return waiting.popleft() if waiting else self.port.try_receive(sender, 0)

    def _look(self, began: float, what: str) -> None:
        """Up from waiting, every so often."""
        if self.control.stopped():
            raise Stopped
        if time.monotonic() - began > self.patience:
            raise LostMessage(f"waited {self.patience:g} s {what}, and gave up (patience={self.patience:g})")

    def _waited(self, start: float, k: int, part: int) -> None:
        me = self.worker
        me.spans.append(Span(me.rank, "wait", me.stage, k, start, me.clock(), part))
