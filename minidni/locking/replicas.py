"""Data parallel: gradients averaged over the replicas of a segment, by a ring all-reduce."""

from .messages import Message, Send
from .worker import LostMessage, Program, Worker


def average(me: Worker, k: int) -> Program:
    """Replace the segment's gradients by their mean over all replicas (Patarasuk and Yuan 2009).

    Each of the R replicas sends 2 (R - 1) / R of its gradients, whatever R is: R - 1 rounds in which sums go round the
    ring, a chunk each, and R - 1 more in which the finished sums do.
    """
    n, r = me.replicas, me.replica
    if n == 1:
        return
    right, left = (((r + step) % n) * me.stages + me.stage for step in (1, -1))
    number = 0
    for slab in me.segment.net.grads.slabs:
        slab /= n
        chunks = [slab[len(slab) * i // n : len(slab) * (i + 1) // n] for i in range(n)]
        for turn in range(2 * (n - 1)):
            yield Send(right, Message(k, number, (chunks[(r - turn) % n],)))
            message = yield from me.receive(left, k, number)
            if message is None:
                raise LostMessage(f"gradients of minibatch {k} were lost between replicas")
            chunk = chunks[(r - turn - 1) % n]
            with me.span("reduce", k):
                if turn < n - 1:
                    chunk += message.arrays[0]
                else:
                    chunk[...] = message.arrays[0]
            number += 1
