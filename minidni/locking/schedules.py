"""Schedules: the same stages under different rules of who waits for whom.

Each takes the stages from the bottom up, the number of minibatches n, and the link between workers.
"""

from collections.abc import Callable, Sequence
from functools import partial

from ..arrays.checks import expect_positive
from .costs import Stage
from .simulate import AT_ONCE, Link, Tasks, simulate
from .timeline import Kind, Timeline

#: What a free worker takes first: what it is in the middle of, then what has come back, then something new.
GOES_ON, COMES_BACK, NEW = 0.0, 1.0, 2.0


def one(stages: Sequence[Stage], n: int, link: Link = AT_ONCE) -> Timeline:
    """One worker does everything, by backprop."""
    return data_parallel(stages, n, link, replicas=1)


def data_parallel(
    stages: Sequence[Stage], n: int, link: Link = AT_ONCE, *, replicas: int, overhead: float = 0.0
) -> Timeline:
    """All stages at each worker for its share of the rows; then gradients are averaged by a ring all-reduce.

    Args:
        stages: what they take for all rows.
        n: minibatches.
        link: between workers.
        replicas: as many workers.
        overhead: of a forward or backward call, seconds, beyond its share of the whole.
    """
    expect_positive("data_parallel", n=n, replicas=replicas)
    tasks, parts = Tasks(), [stage.part(replicas, overhead if replicas > 1 else 0.0) for stage in stages]
    exchange = link.all_reduce(sum(stage.parameter_bytes for stage in stages), replicas)
    latest: list[int | None] = [None] * replicas
    for k in range(n):
        for worker in range(replicas):
            for i, stage in enumerate(parts):
                latest[worker] = tasks.add(worker, "forward", i, k, stage.forward, after=[latest[worker]])
            for i, stage in reversed(list(enumerate(parts))):
                latest[worker] = tasks.add(worker, "backward", i, k, stage.backward, after=[latest[worker]])
        all_there = tasks.add(-1, "reduce", 0, k, 0.0, after=latest)
        for worker in range(replicas):
            latest[worker] = all_there
            if replicas > 1:
                latest[worker] = tasks.add(worker, "reduce", 0, k, exchange, after=[all_there])
            for i, stage in enumerate(parts):
                latest[worker] = tasks.add(worker, "update", i, k, stage.update, after=[latest[worker]])
    title = f"data-parallel, {replicas} workers" if replicas > 1 else "one worker"
    return simulate(tasks, replicas, link, cache_bytes=_caches(parts), title=title)


def locked(stages: Sequence[Stage], n: int, link: Link = AT_ONCE) -> Timeline:
    """A worker for each stage, one minibatch at a time: all but one worker wait."""
    return gpipe(stages, n, link, micro_batches=1)


def gpipe(
    stages: Sequence[Stage], n: int, link: Link = AT_ONCE, *, micro_batches: int, overhead: float = 0.0
) -> Timeline:
    """Micro-batches: all of them forward, then all of them back, then the update (Huang et al. 2019, 1811.06965).

    With equal stages and a link that costs nothing the bubble is (K - 1) / (M + K - 1).
    """
    title = f"GPipe, {micro_batches} micro-batches" if micro_batches > 1 else "locked"
    return _pipeline(title, stages, n, link, micro_batches, overhead, forward_first=True)


def one_f_one_b(
    stages: Sequence[Stage],
    n: int,
    link: Link = AT_ONCE,
    *,
    micro_batches: int = 1,
    overhead: float = 0.0,
    flush: bool = True,
) -> Timeline:
    """1F1B: a worker goes back as soon as it can, and stage s keeps at most K - s caches.

    With a flush after each minibatch it takes GPipe's time (Narayanan et al. 2021, 2104.04473). Without one it is
    PipeDream (Harlap et al. 2018, 1806.03377): minibatches follow each other with no bubble, and stage s updates with
    gradients that are K - 1 - s updates old; it has no micro-batches then.
    """
    if not flush and micro_batches > 1:
        raise ValueError(f"one_f_one_b: micro_batches is {micro_batches} with flush=False, expected 1")
    title = f"1F1B, {micro_batches} micro-batches" if flush else "PipeDream"
    return _pipeline(title, stages, n, link, micro_batches, overhead, flush=flush)


def _pipeline(
    title: str,
    stages: Sequence[Stage],
    n: int,
    link: Link,
    micro_batches: int,
    overhead: float,
    *,
    forward_first: bool = False,
    flush: bool = True,
) -> Timeline:
    """Pipelines with exact gradients: they differ in when a micro-batch may go forward, and when back."""
    expect_positive("pipeline", n=n, micro_batches=micro_batches)
    parts = [stage.part(micro_batches, overhead if micro_batches > 1 else 0.0) for stage in stages]
    tasks, last = Tasks(), len(stages) - 1
    forward: list[list[int]] = []
    backward: list[list[int]] = []
    updates: list[int | None] = [None] * len(stages)
    over: list[list[int]] = []  # behind which a cache is let go of
    for k in range(n):
        started = len(forward)
        for part in range(micro_batches):
            forward.append([])
            for s, stage in enumerate(parts):
                below = (forward[-1][-1], parts[s - 1].boundary_bytes) if s else None
                after = [below, updates[s] if flush else None]
                forward[-1].append(tasks.add(s, "forward", s, k, stage.forward, after=after, part=part, priority=NEW))
        for part in range(micro_batches):
            above = forward[-1 if forward_first else started + part][last]
            back = [0] * len(stages)
            for s, stage in reversed(list(enumerate(parts))):
                after = [above if s == last else (back[s + 1], stage.boundary_bytes), forward[started + part][s]]
                back[s] = tasks.add(s, "backward", s, k, stage.backward, after=after, part=part, priority=COMES_BACK)
            backward.append(back)
        for s, stage in enumerate(stages):
            updates[s] = tasks.add(s, "update", s, k, stage.update, after=[backward[-1][s]], priority=GOES_ON)
        over = backward if flush else [*over, [update for update in updates if update is not None]]
        if not forward_first:
            for at in range(started, len(forward)):
                for s in range(len(stages)):
                    if (earlier := at - (len(stages) - s)) >= (started if flush else 0):
                        tasks.after[forward[at][s]].append((over[earlier][s], -1.0))
    return simulate(tasks, len(stages), link, cache_bytes=_caches(parts), title=title)


def decoupled(
    stages: Sequence[Stage],
    n: int,
    link: Link = AT_ONCE,
    *,
    capacity: int = 2,
    replicas: int = 1,
    unlocked: bool = False,
    overhead: float = 0.0,
) -> Timeline:
    """Each stage updates on a synthetic gradient, as soon as it has run forward; unlocked, on synthetic inputs too.

    A worker learns from a target when it has come back, before it begins another minibatch.

    Args:
        stages: predict and fit are what a synthesizer takes; unlocked, one of inputs is taken to cost as much.
        n: minibatches.
        link: between workers.
        capacity: of the queue between two workers: one that is as far ahead waits.
        replicas: of each stage, that share the rows and average their gradients: as many times the workers.
        unlocked: whether no worker waits for its input.
        overhead: of a replica's calls, seconds; see `data_parallel`.
    """
    expect_positive("decoupled", n=n, capacity=capacity, replicas=replicas)
    parts = [stage.part(replicas, overhead if replicas > 1 else 0.0) for stage in stages]
    tasks, last = Tasks(), len(stages) - 1
    done: dict[tuple[int, int], list[int]] = {}  # (k, s) -> the replicas' updates
    for k in range(n):
        forward: list[list[int]] = []
        backward: list[list[int]] = []
        for s, stage in enumerate(parts):
            forward.append([])
            backward.append([])
            for r in range(replicas):
                add = partial(_add, tasks, r * len(stages) + s, s, k)
                before = done[k - 1, s][r] if k else None
                # There is room in a queue once the neighbour has begun the minibatch that was the oldest in it.
                neighbours = (s - 1, s + 1) if unlocked else (s + 1,)
                room = [done[k - capacity - 1, i][r] for i in neighbours if 0 <= i <= last and k > capacity]
                first: list[int | tuple[int, float] | None] = [before]
                if unlocked and s:
                    first = [add("predict", parts[s - 1].predict, first, NEW, 1)]
                elif s:
                    first.append((forward[s - 1][r], parts[s - 1].boundary_bytes))
                forward[s].append(add("forward", stage.forward, first, GOES_ON if unlocked and s else NEW))
                now = add("predict", stage.predict, [forward[s][r], *room], GOES_ON)
                backward[s].append(add("backward", stage.backward, [now], GOES_ON))
                if s:
                    below, sent = r * len(stages) + s - 1, parts[s - 1].boundary_bytes
                    _add(tasks, below, s - 1, k, "fit", parts[s - 1].fit, [(backward[s][r], sent)], COMES_BACK)
                    if unlocked:
                        add("fit", parts[s - 1].fit, [(forward[s - 1][r], sent)], COMES_BACK, 1)
            averaged = backward[s]
            if replicas > 1:
                all_there = tasks.add(-1, "reduce", s, k, 0.0, after=averaged)
                seconds = link.all_reduce(stage.parameter_bytes, replicas)
                averaged = [
                    _add(tasks, r * len(stages) + s, s, k, "reduce", seconds, [all_there], GOES_ON)
                    for r in range(replicas)
                ]
            done[k, s] = [
                _add(tasks, r * len(stages) + s, s, k, "update", stage.update, [averaged[r]], GOES_ON)
                for r in range(replicas)
            ]
    title = ("unlocked" if unlocked else "decoupled") + (f", {replicas} replicas" if replicas > 1 else "")
    return simulate(tasks, len(stages) * replicas, link, cache_bytes=_caches(parts), title=title)


def _add(
    tasks: Tasks,
    worker: int,
    segment: int,
    k: int,
    kind: Kind,
    seconds: float,
    after: Sequence[int | tuple[int, float] | None],
    priority: float,
    part: int = 0,
) -> int:
    return tasks.add(worker, kind, segment, k, seconds, after=after, part=part, priority=priority)


def _caches(stages: Sequence[Stage]) -> dict[int, float]:
    return {i: stage.cache_bytes for i, stage in enumerate(stages)}


#: By name, each a function of the stages, n and the link, and of its own keyword arguments.
SCHEDULES: dict[str, Callable[..., Timeline]] = {
    "one": one,
    "locked": locked,
    "gpipe": gpipe,
    "1f1b": one_f_one_b,
    "pipedream": partial(one_f_one_b, flush=False),
    "data-parallel": data_parallel,
    "decoupled": decoupled,
    "unlocked": partial(decoupled, unlocked=True),
    "data-parallel + decoupled": decoupled,
}
