"""Simulation: tasks that wait for each other, on workers that do one at a time. A small discrete-event simulator."""

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..arrays.checks import expect_number
from .timeline import Kind, Span, Timeline


class Link(NamedTuple):
    """What a message takes between two workers: latency, and its bytes by bandwidth. Messages do not delay each other.

    Attributes:
        latency: seconds.
        bandwidth: bytes a second.
    """

    latency: float = 0.0
    bandwidth: float = math.inf

    def seconds(self, nbytes: float) -> float:
        """From one worker to another."""
        return self.latency + nbytes / self.bandwidth

    def all_reduce(self, nbytes: float, n: int) -> float:
        """A ring all-reduce among n workers: 2 (n - 1) rounds, in each of which all send bytes / n at once."""
        return 2 * (n - 1) * self.seconds(nbytes / n)


#: Messages that take no time.
AT_ONCE = Link()


@dataclass
class Tasks:
    """What is to be done, and what for each thing must have been done before.

    A task is known by the number that `add` returns.
    """

    spans: list[tuple[int, Kind, int, int, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    priorities: list[float] = field(default_factory=list)
    after: list[list[tuple[int, float]]] = field(default_factory=list)

    def add(
        self,
        worker: int,
        kind: Kind,
        segment: int,
        minibatch: int,
        seconds: float,
        *,
        after: Iterable[int | tuple[int, float] | None] = (),
        part: int = 0,
        priority: float = 0.0,
    ) -> int:
        """Enter a task.

        Args:
            worker: who does it; -1 for nobody: a moment at which all that it is after is done.
            kind: what it is; as are the segment, minibatch and part, it is for the timeline.
            segment: see kind.
            minibatch: see kind.
            seconds: how long it takes.
            after: tasks that come before, or None for none; (task, bytes) where bytes travel, if its worker is another.
            part: see kind.
            priority: of several tasks that can begin a worker takes the one with the lowest, then the oldest.
        """
        self.spans.append((worker, kind, segment, minibatch, part))
        self.seconds.append(seconds)
        self.priorities.append(priority)
        self.after.append([one if isinstance(one, tuple) else (one, -1.0) for one in after if one is not None])
        return len(self.spans) - 1


def simulate(
    tasks: Tasks,
    n_workers: int,
    link: Link = AT_ONCE,
    *,
    cache_bytes: Mapping[int, float] | None = None,
    title: str = "",
) -> Timeline:
    """Let the workers do the tasks, each as soon as its worker is free and what it waits for is there.

    Raises:
        ValueError: if tasks wait for each other in a circle.
    """
    expect_number("simulate", "latency", link.latency)
    if not link.bandwidth > 0:
        raise ValueError(f"simulate: bandwidth is {link.bandwidth!r}, expected a number above 0")
    n = len(tasks.spans)
    missing = [len(after) for after in tasks.after]
    then: list[list[tuple[int, float]]] = [[] for _ in range(n)]
    for task, after in enumerate(tasks.after):
        for one, nbytes in after:
            then[one].append((task, nbytes))
    ready: list[list[tuple[float, int]]] = [[] for _ in range(n_workers)]
    free = [True] * n_workers
    events: list[tuple[float, int, int]] = []  # (when, 0 for arrived or 1 for done, task)
    spans: list[Span] = []
    for task in range(n):
        if not missing[task]:
            heapq.heappush(events, (0.0, 0, task))

    done, arrival = 0, dict[int, float]()
    while events:
        now = events[0][0]
        touched = set()
        while events and events[0][0] == now:  # all that happens at one moment, before anyone chooses
            _, is_done, task = heapq.heappop(events)
            worker = tasks.spans[task][0]
            if not is_done and worker >= 0:
                heapq.heappush(ready[worker], (tasks.priorities[task], task))
                touched.add(worker)
                continue
            done += 1
            if worker >= 0:
                free[worker] = True
                touched.add(worker)
            for next_task, nbytes in then[task]:
                missing[next_task] -= 1
                other = tasks.spans[next_task][0]
                travels = nbytes >= 0 and worker >= 0 and other != worker
                arrival[next_task] = max(arrival.get(next_task, 0.0), now + (link.seconds(nbytes) if travels else 0.0))
                if not missing[next_task]:
                    heapq.heappush(events, (arrival.pop(next_task), 0, next_task))
        for worker in touched:
            if free[worker] and ready[worker]:
                _, task = heapq.heappop(ready[worker])
                end = now + tasks.seconds[task]
                _, kind, segment, minibatch, part = tasks.spans[task]
                spans.append(Span(worker, kind, segment, minibatch, now, end, part))
                free[worker] = False
                heapq.heappush(events, (end, 1, task))
    if done < n:
        raise ValueError(f"simulate: {n - done} of {n} tasks wait for each other in a circle")
    return Timeline(tuple(spans), n_workers, dict(cache_bytes or {}), title)
