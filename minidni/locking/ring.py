"""Ring: a bounded queue of messages in memory that two processes share."""

import math
import pickle
from multiprocessing.context import BaseContext

import numpy as np

from .messages import Message

ALIGN = 64


class Ring:
    """One process writes, one reads; arrays are copied in and out, and nothing else is.

    The memory has no name: the system takes it back when the last process that uses it is gone, however it went.

    Args:
        context: of `multiprocessing`.
        slots: how many messages there is room for.
        nbytes: the most bytes that the arrays of a message have.
    """

    def __init__(self, context: BaseContext, slots: int, nbytes: int):
        self.slots = slots
        self.nbytes = nbytes + 4096  # and as much for what describes them
        self.nbytes += -self.nbytes % ALIGN
        self.memory = context.RawArray("b", slots * self.nbytes)
        self.free, self.filled = context.Semaphore(slots), context.Semaphore(0)
        self.at = 0  # the next slot: each of the two processes counts for itself

    def try_put(self, message: Message, timeout: float) -> bool:
        """Copy the message in; False if all slots stay full for so many seconds."""
        about = pickle.dumps((message.minibatch, message.part, [(a.dtype.str, a.shape) for a in message.arrays]))
        sizes = [_padded(a.nbytes) for a in message.arrays]
        if (needed := 8 + _padded(len(about)) + sum(sizes) + ALIGN) > self.nbytes:
            raise ValueError(
                f"a message of minibatch {message.minibatch} has {needed:,} bytes, expected at most {self.nbytes:,}, "
                "for which room was made after the first minibatch"
            )
        if not self.free.acquire(timeout=timeout):
            return False
        slot = self._next()
        slot[:8].view(np.int64)[0] = len(about)
        slot[8 : 8 + len(about)] = np.frombuffer(about, np.uint8)
        at = _padded(8 + len(about))
        for array, size in zip(message.arrays, sizes, strict=True):
            np.copyto(slot[at : at + array.nbytes].view(array.dtype).reshape(array.shape), array)
            at += size
        self.filled.release()
        return True

    def try_get(self, timeout: float) -> Message | None:
        """The next message, its arrays in fresh memory; None if none comes within so many seconds."""
        if not self.filled.acquire(timeout=timeout):
            return None
        slot = self._next()
        length = int(slot[:8].view(np.int64)[0])
        minibatch, part, described = pickle.loads(slot[8 : 8 + length].tobytes())
        at, arrays = _padded(8 + length), []
        for text, shape in described:
            dtype = np.dtype(text)
            nbytes = dtype.itemsize * math.prod(shape)
            arrays.append(slot[at : at + nbytes].view(dtype).reshape(shape).copy())
            at += _padded(nbytes)
        self.free.release()
        return Message(minibatch, part, tuple(arrays))

    def _next(self) -> np.ndarray:
        whole = np.frombuffer(self.memory, np.uint8)
        slot = whole[self.at * self.nbytes : (self.at + 1) * self.nbytes]
        self.at = (self.at + 1) % self.slots
        return slot


def _padded(nbytes: int) -> int:
    return nbytes + -nbytes % ALIGN
