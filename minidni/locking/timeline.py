"""Timeline: what each worker did, and when; simulated and measured ones have the same form."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

Kind = Literal["forward", "backward", "update", "predict", "fit", "reduce", "wait"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: What keeps a worker busy, all but waiting.
BUSY = frozenset(KINDS) - {"wait"}


class Span(NamedTuple):
    """One piece of a worker's time.

    Attributes:
        worker: its number, from 0.
        kind: "forward", "backward", "update" (the optimiser), "predict" and "fit" (a synthesizer), "reduce" (gradients
            averaged over replicas), "wait" (for a message, or for room for one).
        segment: the segment it was for, from 0 at the bottom.
        minibatch: k.
        start: seconds.
        end: seconds.
        part: the micro-batch, from 0; for "predict" and "fit", 1 if it is inputs that are synthetic.
    """

    worker: int
    kind: Kind
    segment: int
    minibatch: int
    start: float
    end: float
    part: int = 0


@dataclass(frozen=True)
class Timeline:
    """The spans of all workers.

    Attributes:
        spans: each worker's in the order in which it was busy with them.
        n_workers: how many workers there are, idle ones too.
        cache_bytes: for each segment what one forward pass of one micro-batch keeps for its backward pass.
        title: for pictures and tables.
    """

    spans: tuple[Span, ...]
    n_workers: int
    cache_bytes: Mapping[int, float] = field(default_factory=dict)
    title: str = ""

    @property
    def start(self) -> float:
        """When the first worker began, seconds."""
        return min((span.start for span in self.spans), default=0.0)

    @property
    def end(self) -> float:
        """When the last worker was done, seconds."""
        return max((span.end for span in self.spans), default=0.0)

    @property
    def makespan(self) -> float:
        """From the first start to the last end, seconds."""
        return self.end - self.start

    def finished(self) -> dict[int, float]:
        """For each minibatch, in order, when its last update was over, at all workers that take one."""
        ends: dict[int, float] = {}
        for span in self.spans:
            if span.kind == "update":
                ends[span.minibatch] = max(ends.get(span.minibatch, span.end), span.end)
        return dict(sorted(ends.items()))

    def seconds_per_minibatch(self, warm_up: int = 0) -> float:
        """How far apart minibatches are finished, in the mean over those behind the first `warm_up` + 1."""
        ends = sorted(self.finished().values())[warm_up:]
        if len(ends) < 2:
            raise ValueError(
                f"Timeline.seconds_per_minibatch: {len(ends)} minibatches were finished behind warm_up={warm_up}, "
                "expected at least 2"
            )
        return (ends[-1] - ends[0]) / (len(ends) - 1)

    def throughput(self, warm_up: int = 0) -> float:
        """Minibatches a second, once it runs evenly; see `seconds_per_minibatch`."""
        return 1 / self.seconds_per_minibatch(warm_up)

    def busy(self) -> list[float]:
        """For each worker, seconds in which it was at work."""
        seconds = [0.0] * self.n_workers
        for span in self.spans:
            if span.kind in BUSY:
                seconds[span.worker] += span.end - span.start
        return seconds

    @property
    def utilisation(self) -> float:
        """The share of all workers' time, from the first start to the last end, in which they were at work."""
        return sum(self.busy()) / (self.n_workers * self.makespan) if self.makespan else 0.0

    @property
    def bubble_fraction(self) -> float:
        """The rest: the share in which they were not."""
        return 1 - self.utilisation

    def kept(self) -> list[int]:
        """For each worker, the most forward passes whose caches it had to keep at one time."""
        return [int(most) for most in self._peaks(lambda segment: 1.0)]

    def peak_memory(self) -> list[float]:
        """For each worker, the most bytes it kept in caches at one time."""
        return self._peaks(lambda segment: self.cache_bytes.get(segment, 0.0))

    def _peaks(self, size: Callable[[int], float]) -> list[float]:
        """A cache lives from the start of its forward pass to the end of its backward pass."""
        changes: list[list[tuple[float, int, float]]] = [[] for _ in range(self.n_workers)]
        for span in self.spans:
            if span.kind == "forward":
                changes[span.worker].append((span.start, 1, size(span.segment)))
            elif span.kind == "backward":
                changes[span.worker].append((span.end, 0, -size(span.segment)))  # at equal times what ends goes first
        peaks = []
        for of_worker in changes:
            now = peak = 0.0
            for _, _, change in sorted(of_worker):
                now += change
                peak = max(peak, now)
            peaks.append(peak)
        return peaks

    def staleness(self) -> dict[int, float]:
        """For each segment, how many of its updates lie between a forward pass and the update made with it.

        0 where the weights that are updated are those the gradient was computed at; in the mean over all minibatches.
        """
        return self._updates_between("forward", "update")

    def lag(self) -> dict[int, float]:
        """For each segment, how many updates it takes between a synthetic gradient and learning from the true one.

        In the mean over the targets learned from; a segment without a synthesizer of gradients has no entry.
        """
        return self._updates_between("predict", "fit")

    def _updates_between(self, first: Kind, second: Kind) -> dict[int, float]:
        updates: dict[tuple[int, int], int] = defaultdict(int)
        begun: dict[tuple[int, int, int], int] = {}
        counts: dict[int, list[int]] = defaultdict(list)
        for span in self.spans:
            at, key = (span.worker, span.segment), (span.worker, span.segment, span.minibatch)
            if span.kind == first and span.part == 0:
                begun[key] = updates[at]
            if span.kind == second and span.part == 0 and key in begun:
                counts[span.segment].append(updates[at] - begun[key])
            if span.kind == "update":
                updates[at] += 1
        return {segment: sum(some) / len(some) for segment, some in sorted(counts.items())}

    def summary(self) -> dict[str, float]:
        """Its numbers by name: seconds, minibatches a second, shares, bytes, updates."""
        numbers = {
            "makespan": self.makespan,
            "utilisation": self.utilisation,
            "bubble_fraction": self.bubble_fraction,
            "peak_memory": max(self.peak_memory(), default=0.0),
            "staleness": max(self.staleness().values(), default=0.0),
        }
        if len(self.finished()) > 1:
            numbers["throughput"] = self.throughput()
        if lag := self.lag():
            numbers["lag"] = max(lag.values())
        return numbers

    def between(self, first: int, last: int) -> "Timeline":
        """The part of minibatches `first` to `last`, both included; waits belong to what was waited for."""
        spans = tuple(span for span in self.spans if first <= span.minibatch <= last)
        return Timeline(spans, self.n_workers, self.cache_bytes, self.title)

    def shifted(self) -> "Timeline":
        """The same, beginning at 0 s."""
        start = self.start
        spans = tuple(span._replace(start=span.start - start, end=span.end - start) for span in self.spans)
        return Timeline(spans, self.n_workers, self.cache_bytes, self.title)

    def as_json(self) -> str:
        """All of it as text, for a file; `Timeline.from_json` reads it."""
        return json.dumps(
            {
                "title": self.title,
                "n_workers": self.n_workers,
                "cache_bytes": {str(segment): size for segment, size in self.cache_bytes.items()},
                "fields": Span._fields,
                "spans": self.spans,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Timeline":
        """What `as_json` wrote."""
        about: dict[str, Any] = json.loads(text)
        sizes = {int(segment): size for segment, size in about["cache_bytes"].items()}
        spans = tuple(Span(**dict(zip(about["fields"], span, strict=True))) for span in about["spans"])
        return cls(spans, about["n_workers"], sizes, about["title"])

    @classmethod
    def joined(cls, parts: Iterable[Iterable[Span]], **about: Any) -> "Timeline":
        """One timeline of the spans that each worker wrote down for itself, beginning at 0 s."""
        parts = list(parts)
        return cls(tuple(span for part in parts for span in part), len(parts), **about).shifted()

    def __str__(self) -> str:
        numbers = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in self.summary().items())
        return f"{self.title or 'Timeline'}: {self.n_workers} workers; {numbers}"
