"""What workers say to each other, and what a worker's program asks for."""

import sys
from typing import NamedTuple

from ..arrays import Array, to_device

#: The minibatch of a last message: nothing comes behind it.
END = sys.maxsize


class Message(NamedTuple):
    """What crosses a boundary between two workers.

    Attributes:
        minibatch: k, or END.
        part: the micro-batch, or the round of an exchange; 0 where there is but one.
        arrays: h and the labels on the way up; dx on the way down; gradients between replicas.
    """

    minibatch: int
    part: int = 0
    arrays: tuple[Array, ...] = ()

    @property
    def number(self) -> tuple[int, int]:
        """By which messages of one sender are put in order."""
        return self.minibatch, self.part

    def on(self, device: str) -> "Message":
        """The same on that device."""
        return self._replace(arrays=tuple(to_device(array, device) for array in self.arrays))

    def copied(self) -> "Message":
        """The same in memory of its own: the arrays of a message lie in the sender's, which will use it again."""
        return self._replace(arrays=tuple(array.copy() for array in self.arrays))


class Send(NamedTuple):
    """Hand a message over; it is copied. This waits for room, never for an answer."""

    to: int
    message: Message


class Receive(NamedTuple):
    """Wait for the next message of a sender: a lock. The numbers say which one is hoped for."""

    sender: int
    minibatch: int
    part: int = 0


class Poll(NamedTuple):
    """The next message of a sender if there is one, or None: never waits."""

    sender: int


class Done(NamedTuple):
    """A minibatch is over: the moment for progress, checkpoints, and being told to stop."""

    minibatch: int


Request = Send | Receive | Poll | Done
