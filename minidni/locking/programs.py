"""What a worker does: locked, decoupled or fully unlocked. Every wait for another worker is a `yield` in sight.

A program is a generator. It yields a request (`Send`, `Receive`, `Poll`, `Done`), and is sent the answer: so the same
lines run one after another in one thread, in threads, in processes, or on several machines.
"""

from collections.abc import Callable, Generator
from typing import Any

from .messages import END, Done, Message, Poll, Receive, Request
from .replicas import average
from .worker import LostMessage, Program, Worker


def locked(me: Worker) -> Program:
    """Forward, update and backward lock: two waits. With micro-batches it is GPipe (Huang et al. 2019, 1811.06965)."""
    segment, parts = me.segment, range(me.micro_batches)
    caches: list[Any] = [None for _ in parts]
    for k in me.minibatches:
        kept = []
        for part in parts:
            x, labels = _there((yield from me.inputs(k, part)), me, k)  # waits for all below to run forward
            h, caches[part] = me.forward(k, x, caches[part], part)
            yield from me.send_up(k, h, labels, part)
            kept.append((h, labels))
        segment.net.zero_grads()
        for part, (h, labels) in zip(parts, kept, strict=True):
            if me.above is None:
                me.take_down_loss(k, h, labels)
                dh = segment.signal.gradient(h, labels)
                if me.micro_batches > 1:
                    dh /= me.micro_batches  # a mean over the part's rows becomes a part of the mean over all
            else:
                message = yield from me.receive(me.above, k, part)  # waits for all above, to the loss and back
                (dh,) = _there(message, me, k).arrays
            with me.span("backward", k, part):
                dx = segment.backward(dh, caches[part])
            yield from me.send_down(k, dx, part)
        yield from average(me, k)
        with me.span("update", k):
            segment.apply()
        yield Done(k)


def decoupled(me: Worker) -> Program:
    """No update lock: it waits for its input and for nothing from above (Jaderberg et al. 2017, section 2)."""
    segment, cache = me.segment, None
    for k in me.minibatches:
        yield from learn(me)
        inputs = yield from me.inputs(k)  # the one wait
        if inputs is None:
            continue  # the minibatch was lost on its way
        x, labels = inputs
        h, cache = me.forward(k, x, cache)
        yield from me.send_up(k, h, labels)
        me.take_down_loss(k, h, labels)
        with me.span("predict", k):
            dh = segment.signal.gradient(h, labels)
        with me.span("backward", k):
            segment.net.zero_grads()
            dx = segment.backward(dh, cache)
        yield from me.send_target(k, dx)
        yield from average(me, k)
        with me.span("update", k):
            segment.apply()
        if me.above is not None:
            me.triggers[k] = h[: me.n_learned(h)].copy(), labels[: me.n_learned(h)]
            while len(me.triggers) > me.pending:
                del me.triggers[next(iter(me.triggers))]
                me.counts["given up"] += 1
        yield Done(k)
    yield from me.send_end()
    if me.below is not None:
        yield from me.receive(me.below, END)
    while _more(me, me.above):
        yield from learn(me, wait=True)


def unlocked(me: Worker) -> Program:
    """No lock at all: it runs on a synthetic input and updates on a synthetic gradient; the data reach every worker."""
    segment, cache = me.segment, None
    for k in me.minibatches:
        yield from learn(me)
        data, labels = me.rows(k)
        if me.below is None:
            x = data
        else:
            assert segment.inputs is not None
            with me.span("predict", k, 1):
                x = segment.inputs.predict(data.reshape(len(data), -1)).reshape(len(data), *me.input_shape)
            yield from learn_inputs(me)
        h, cache = me.forward(k, x, cache)
        yield from me.send_up(k, h, labels)  # a target for the input synthesizer there
        me.take_down_loss(k, h, labels)
        with me.span("predict", k):
            dh = segment.signal.gradient(h, labels)
        with me.span("backward", k):
            segment.net.zero_grads()
            dx = segment.backward(dh, cache)
        yield from me.send_target(k, dx, x, labels)  # the gradient there is dx at x
        yield from average(me, k)
        with me.span("update", k):
            segment.apply()
        yield Done(k)
    yield from me.send_end()
    while _more(me, me.above):
        yield from learn(me, wait=True)
        yield from learn_inputs(me)
    while _more(me, me.below):
        yield from learn_inputs(me, wait=True)


def learn(me: Worker, *, wait: bool = False) -> Program:
    """The signal learns from each dx that has come back; in the end it waits for one still to come."""
    if me.above is None:
        return
    signal = me.segment.signal
    me.targets.extend((yield from _new(me, me.above, wait)))
    while len(me.targets) > me.lag:
        k, _, (dh, *trigger) = me.targets.popleft()
        h, labels = trigger or me.triggers.pop(k, (None, None))
        if h is None:
            me.counts["repeated or too late"] += 1
        elif hasattr(signal, "learn"):
            me.last_lag = me.latest - k
            with me.span("fit", k):
                signal.learn(h, dh, labels)


def learn_inputs(me: Worker, *, wait: bool = False) -> Program:
    """The input synthesizer learns from what the worker below has put out, at the data of that minibatch."""
    if me.below is None:
        return
    inputs = me.segment.inputs
    assert inputs is not None
    for message in (yield from _new(me, me.below, wait)):
        data, _ = me.rows(message.minibatch)
        h = message.arrays[0]
        with me.span("fit", message.minibatch, 1):
            inputs.fit(data.reshape(len(data), -1), h.reshape(len(h), -1))


def _new(me: Worker, sender: int, wait: bool) -> Generator[Request, Any, list[Message]]:
    """The targets that are there now; where it waits, and none is there, the next one.

    All are taken before the first is learned from: else a sender that is faster than the learning would never let go.
    """
    new: list[Message] = []
    while _more(me, sender):
        message = (yield Receive(sender, END)) if wait and not new else (yield Poll(sender))
        if message is None:
            break
        if message.minibatch == END:
            me.ended.add(sender)
        else:
            new.append(message)
    return new


def _more(me: Worker, sender: int | None) -> bool:
    """Whether there is such a neighbour, and it has not said that it has come to the end."""
    return sender is not None and sender not in me.ended


def _there(got: Any, me: Worker, k: int) -> Any:
    """What a locked worker has waited for; it cannot go on without."""
    if got is None:
        raise LostMessage(f"a message of minibatch {k} was lost, and a locked worker cannot go on without it")
    return got


#: By the name that `train` takes.
PROGRAMS = {"locked": locked, "decoupled": decoupled, "unlocked": unlocked}

#: From which workers there come targets, for which no one ever waits.
TARGETS_FROM: dict[str, Callable[[Worker], tuple[int | None, ...]]] = {
    "locked": lambda me: (),
    "decoupled": lambda me: (me.above,),
    "unlocked": lambda me: (me.above, me.below),
}
