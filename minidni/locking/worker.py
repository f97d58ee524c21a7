"""Worker: a segment, its place among the others, and what it has heard and not yet used."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..arrays import Array, device_of, to_device
from ..dni import Segment
from ..nn import Cache
from .messages import END, Message, Receive, Request, Send
from .timeline import Kind, Span

#: k -> a minibatch, x and labels: the same for the same k, whoever asks, so that any worker can ask, and again.
Source = Callable[[int], tuple[Array, Array]]

Program = Generator[Request, Any, None]


class LostMessage(RuntimeError):
    """A message did not come, and nothing can be done without it."""


@dataclass
class Worker:
    """One worker: a stage of the chain, on one of its replicas.

    Attributes:
        segment: what it trains.
        source: the minibatches.
        stage: its place in the chain, from 0 at the bottom, of `stages`.
        replica: which copy of the chain it belongs to, of `replicas`; each takes its share of every minibatch's rows.
        start: the first minibatch.
        stop: the minibatch behind the last one.
        micro_batches: into how many parts a locked chain cuts its minibatches.
        pending: the most triggers that wait for their targets; older ones are given up.
        lag: targets are learned from only when so many later ones have come.
        learn_rows: from which share of a minibatch's rows, the first ones, the signal below learns.
        log: every so many minibatches the topmost worker takes down the loss.
        trace: how many spans it remembers, the last ones.
        input_shape: of one example of its input, for a synthetic one.
        triggers: k -> h and labels, for targets that are still to come.
        targets: what has come back and was not yet learned from.
        losses: the minibatches' losses that were taken down.
        counts: what happened that a perfect network would not have.
    """

    segment: Segment
    source: Source
    stage: int
    stages: int
    start: int
    stop: int
    replica: int = 0
    replicas: int = 1
    micro_batches: int = 1
    pending: int = 16
    lag: int = 0
    learn_rows: float = 1.0
    log: int = 1
    trace: int = 10_000
    input_shape: tuple[int, ...] = ()
    triggers: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    targets: deque[Message] = field(default_factory=deque)
    losses: list[tuple[int, float]] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.early: dict[int, dict[tuple[int, int], Message]] = {}
        self.ended: set[int] = set()
        self.notes: list[str] = []
        self.spans: deque[Span] = deque(maxlen=self.trace)
        self.latest = self.start - 1
        self.last_lag = self.cache_bytes = 0
        self._asked: Any = None
        # Clocks of several machines, or processes, are told apart; the time of day is theirs in common.
        self._epoch = time.time() - time.perf_counter()

    @property
    def rank(self) -> int:
        """Its number among all workers."""
        return self.replica * self.stages + self.stage

    @property
    def below(self) -> int | None:
        """The rank of the worker below, or None at the bottom."""
        return self.rank - 1 if self.stage else None

    @property
    def above(self) -> int | None:
        """The rank of the worker above, or None at the top."""
        return self.rank + 1 if self.stage < self.stages - 1 else None

    @property
    def minibatches(self) -> range:
        """The numbers of those it is to train on."""
        return range(self.start, self.stop)

    @property
    def device(self) -> str:
        """Where its segment computes."""
        slabs = self.segment.net.params.slabs
        return device_of(slabs[0]) if slabs else "cpu"

    def to(self, device: str) -> None:
        """Move the segment, and the synthesizers at its ends, to "cpu", "cuda" or "cuda:N"."""
        for part in (self.segment, self.segment.signal, self.segment.inputs):
            if (net := getattr(part, "net", None)) is not None:
                net.to(device)

    def clock(self) -> float:
        """Seconds, on a clock that all workers share."""
        return time.perf_counter() + self._epoch

    @contextmanager
    def span(self, kind: Kind, k: int, part: int = 0) -> Iterator[None]:
        """Write down how long the block takes. A GPU works behind it: only an update waits until all is done."""
        start = self.clock()
        yield
        if kind == "update" and self.device != "cpu":
            import cupy

            cupy.cuda.get_current_stream().synchronize()
        self.spans.append(Span(self.rank, kind, self.stage, k, start, self.clock(), part))

    def rows(self, k: int, part: int = 0) -> tuple[Array, Array]:
        """Its part of minibatch k: x, labels, on its device."""
        if self._asked is None or self._asked[0] != k:
            self._asked = (k, *self.source(k))
        _, x, labels = self._asked
        n = self.replicas * self.micro_batches
        if len(x) % n:
            raise ValueError(
                f"minibatch {k} has {len(x)} rows, expected a multiple of {n}, replicas times micro_batches"
            )
        i, size = self.replica * self.micro_batches + part, len(x) // n
        rows = slice(i * size, (i + 1) * size)
        return to_device(x[rows], self.device), to_device(labels[rows], self.device)

    def forward(self, k: int, x: Array, cache: Cache | None, part: int = 0) -> tuple[Array, Cache]:
        """The segment's forward, in the memory of an old pass."""
        with self.span("forward", k, part):
            h, cache = self.segment.forward(x, cache)
        if not self.cache_bytes:
            self.cache_bytes = cache.nbytes
        return h, cache

    def receive(self, sender: int, k: int, part: int = 0) -> Generator[Request, Any, Message | None]:
        """The message of that number. One that came before is a repeat; a later one is kept until its turn.

        None if it cannot come any more, or more than `pending` later ones have come.
        """
        early = self.early.setdefault(sender, {})
        while (k, part) not in early:
            if k != END and (END in (minibatch for minibatch, _ in early) or len(early) > self.pending):
                self.counts["lost"] += 1
                return None
            message = yield Receive(sender, k, part)
            if message.number < (k, part) or message.number in early:
                self.counts["repeated"] += 1
            else:
                early[message.number] = message
        return early.pop((k, part))

    def inputs(self, k: int, part: int = 0) -> Generator[Request, Any, tuple[Array, Array] | None]:
        """x and labels: of the data at the bottom, from the worker below elsewhere."""
        if self.below is None:
            return self.rows(k, part)
        message = yield from self.receive(self.below, k, part)
        if message is None:
            return None
        x, labels = message.arrays
        return x, labels

    def send_up(self, k: int, h: Array, labels: Array, part: int = 0) -> Program:
        """Hand h on to the worker above, if there is one."""
        if self.above is not None:
            yield Send(self.above, Message(k, part, (h, labels)))

    def send_down(self, k: int, dx: Array | None, part: int = 0, *more: Array) -> Program:
        """Hand dx back to the worker below, if there is one."""
        if self.below is not None:
            assert dx is not None
            yield Send(self.below, Message(k, part, (dx, *more)))

    def send_target(self, k: int, dx: Array | None, *more: Array) -> Program:
        """Hand the worker below dx, and more, of the rows from which it learns: as if they were the whole minibatch."""
        if self.below is None:
            return
        assert dx is not None
        rows = self.n_learned(dx)
        if rows < len(dx):
            dx, more = dx[:rows] * (len(dx) / rows), tuple(array[:rows] for array in more)
        yield from self.send_down(k, dx, 0, *more)

    def n_learned(self, rows: Array) -> int:
        """How many of these rows a signal learns from."""
        return math.ceil(self.learn_rows * len(rows))

    def send_end(self) -> Program:
        """Tell the neighbours that nothing more will come."""
        for neighbour in (self.below, self.above):
            if neighbour is not None:
                yield Send(neighbour, Message(END))

    def take_down_loss(self, k: int, h: Array, labels: Array) -> None:
        """At the top, every so often."""
        if self.above is None and k % self.log == 0:
            self.losses.append((k, float(self.segment.signal.value(h, labels))))

    def state(self) -> dict[str, Any]:
        """What a run is resumed from."""
        return {name: getattr(self, name) for name in RESUMED}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on behind where `state` was taken."""
        for name in RESUMED:
            setattr(self, name, state[name])
        self.start = self.latest + 1

    def outcome(self) -> "Outcome":
        """What is left of it in the end."""
        return Outcome(self.segment, list(self.spans), self.losses, self.counts, self.notes, self.cache_bytes)


RESUMED = ("segment", "latest", "triggers", "targets", "losses", "counts")


class Outcome(NamedTuple):
    """What a worker hands back.

    Attributes:
        segment: trained.
        spans: the last ones.
        losses: those taken down, (k, loss).
        counts: what happened that a perfect network would not have.
        notes: what the user should be told.
        cache_bytes: of one forward pass.
    """

    segment: Segment
    spans: list[Span]
    losses: list[tuple[int, float]]
    counts: Counter
    notes: list[str]
    cache_bytes: int
