"""Ring: a bounded queue of messages between two processes: arrays in memory they share, the rest through pipes."""

import math
import time
from multiprocessing.context import BaseContext

import numpy as np

from ..arrays import Array
from .messages import Message

ALIGN = 64


class Ring:
    """One process writes, one reads; arrays are copied into the memory, and out of it.

    Nothing here has a name: the system takes everything back when the last process that uses it is gone, however it
    went. And nothing is locked: a process that is killed in the middle leaves the other one waiting, not stuck.

    Args:
        context: of `multiprocessing`.
        slots: how many messages there is room for.
        nbytes: the most bytes that the arrays of a message have.
    """

    def __init__(self, context: BaseContext, slots: int, nbytes: int):
        self.slots, self.nbytes = slots, _padded(nbytes) + 8 * ALIGN  # which is lost between a message's arrays
        self.memory = context.RawArray("b", self.slots * self.nbytes)
        self.coming_out, self.going_in = context.Pipe(duplex=False)  # what is in the slots, in order
        self.full, self.freed = context.Pipe(duplex=False)  # a byte for each slot that can be used again
        self.at = self.used = 0  # the next slot, as each of the two processes counts for itself; slots in use

    def try_put(self, message: Message, timeout: float) -> bool:
        """Copy the message in; False if all slots stay full for so many seconds."""
        needed = sum(_padded(array.nbytes) for array in message.arrays)
        if needed > self.nbytes:
            raise ValueError(
                f"a message of minibatch {message.minibatch} has {needed:,} bytes, expected at most {self.nbytes:,}: "
                "room is made for messages as large as those of minibatch 0"
            )
        try:
            while self.used and self.full.poll(timeout if self.used == self.slots else 0):
                self.full.recv_bytes()
                self.used -= 1
            if self.used == self.slots:
                return False
            for array, place in zip(message.arrays, self._places(message.arrays), strict=True):
                np.copyto(place, array)
            self.going_in.send((*message.number, [(array.dtype.str, array.shape) for array in message.arrays]))
        except (BrokenPipeError, EOFError):  # the reader is gone; who started it will say so
            time.sleep(timeout)
            return False
        self.at, self.used = (self.at + 1) % self.slots, self.used + 1
        return True

    def try_get(self, timeout: float) -> Message | None:
        """The next message, its arrays in fresh memory; None if none comes within so many seconds."""
        try:
            if not self.coming_out.poll(timeout):
                return None
            minibatch, part, described = self.coming_out.recv()
            arrays = tuple(place.copy() for place in self._views(described))
            self.freed.send_bytes(b"+")
        except BrokenPipeError:  # the writer has ended, and needs no room
            pass
        except EOFError:
            time.sleep(timeout)
            return None
        self.at = (self.at + 1) % self.slots
        return Message(minibatch, part, arrays)

    def _places(self, arrays: tuple[Array, ...]) -> list[np.ndarray]:
        return self._views([(array.dtype.str, array.shape) for array in arrays])

    def _views(self, described: list[tuple[str, tuple[int, ...]]]) -> list[np.ndarray]:
        """Arrays of these dtypes and shapes, one behind the other, in the present slot."""
        at, views = self.at * self.nbytes, []
        whole = np.frombuffer(self.memory, np.uint8)
        for text, shape in described:
            dtype = np.dtype(text)
            nbytes = dtype.itemsize * math.prod(shape)
            views.append(whole[at : at + nbytes].view(dtype).reshape(shape))
            at += _padded(nbytes)
        return views


def _padded(nbytes: int) -> int:
    return nbytes + -nbytes % ALIGN
