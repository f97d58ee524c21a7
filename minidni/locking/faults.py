"""Faults on purpose: messages that are lost, late, repeated or out of order, on any transport."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from .messages import END, Message

if TYPE_CHECKING:
    from .drive import Port

Kind = Literal["lost", "late", "repeated", "out of order"]


@dataclass(frozen=True)
class Fault:
    """What happens to one message.

    Attributes:
        kind: "lost"; "late", by `seconds`; "repeated", it comes twice; "out of order", it comes behind the next one.
        sender: the rank of the worker that sends it.
        to: the rank of the worker that it is for.
        minibatch: k.
        seconds: of a late one.
    """

    kind: Kind
    sender: int
    to: int
    minibatch: int
    seconds: float = 0.0


class Held(NamedTuple):
    """A message that is not yet sent, and when it is due: at a time, or behind the next one to the same worker."""

    to: int
    message: Message
    due: float


class FaultyPort:
    """A port with faults on the way out; each strikes once."""

    def __init__(self, port: "Port", rank: int, faults: Iterable[Fault]):
        self.port = port
        self.faults = {(fault.to, fault.minibatch): fault for fault in faults if fault.sender == rank}
        self.held: list[Held] = []

    def try_send(self, to: int, message: Message, timeout: float) -> bool:
        """Send it, or do to it what the fault says."""
        self._send_due()
        if message.minibatch == END and any(held.to == to for held in self.held):
            self.held = [held._replace(due=0.0) if held.due == float("inf") else held for held in self.held]
            return False  # nothing comes behind the end
        fault = self.faults.get((to, message.minibatch))
        if fault is not None and fault.kind != "repeated":
            del self.faults[to, message.minibatch]
            if fault.kind != "lost":
                due = time.monotonic() + fault.seconds if fault.kind == "late" else float("inf")
                self.held.append(Held(to, message.copied(), due))
            return True
        if not self.port.try_send(to, message, timeout):
            return False
        self.held = [
            held._replace(due=0.0) if held.to == to and held.due == float("inf") else held for held in self.held
        ]
        if fault is not None:
            del self.faults[to, message.minibatch]
            self.held.append(Held(to, message.copied(), 0.0))
        return True

    def try_receive(self, sender: int, timeout: float) -> Message | None:
        """As it comes."""
        self._send_due()
        return self.port.try_receive(sender, timeout)

    def finish(self) -> None:
        """Send what is held when it is due, unless nobody takes it any more."""
        self.held = [held._replace(due=min(held.due, time.monotonic() + 1)) for held in self.held]
        give_up = max((held.due for held in self.held), default=0.0) + 1
        while self.held and time.monotonic() < give_up:
            time.sleep(0.001)
            self._send_due()
        self.port.finish()

    def _send_due(self) -> None:
        now = time.monotonic()
        for held in [held for held in self.held if held.due <= now]:
            if self.port.try_send(held.to, held.message, 0):
                self.held.remove(held)
