"""The experiment `scale-out`: what up to 1,024 workers would bring, simulated."""

from collections.abc import Iterator
from typing import Literal

from ..locking.costs import Stage, cut
from ..locking.schedules import SCHEDULES
from ..locking.simulate import Link
from ..locking.timeline import Timeline
from .loop import progress
from .registry import experiment
from .rows import Row

Schedule = Literal[
    "locked", "gpipe", "1f1b", "pipedream", "data-parallel", "decoupled", "unlocked", "data-parallel + decoupled"
]
ALL: tuple[Schedule, ...] = (
    "locked", "gpipe", "1f1b", "pipedream", "data-parallel", "decoupled", "unlocked", "data-parallel + decoupled",
)  # fmt: skip
FLOAT = 4  # bytes
EVEN = 40  # minibatches, of which the second half comes about evenly


def layer(width: int, rows: float, gflops: float) -> Stage:
    """A linear layer with a linear synthesizer, at so many GFLOP a second and worker: by products of matrices alone."""
    product = 2 * rows * width**2 / (1e9 * gflops)
    return Stage(
        forward=product,
        backward=2 * product,
        predict=product,
        fit=2 * product,
        cache_bytes=FLOAT * rows * width,
        boundary_bytes=FLOAT * rows * width,
        parameter_bytes=FLOAT * width**2,
    )


def closed_forms(*, workers: tuple[int, ...], layers: int, micro_batches: int, **_: object) -> dict[str, float]:
    """What can be said without a simulation, for the largest number of stages."""
    if max(workers) > 65_536 or min(workers) < 2:
        raise ValueError(f"workers is {','.join(map(str, workers))}, expected numbers from 2 to 65536")
    stages = min(max(workers), layers)
    each = layers / stages
    return {
        f"gpipe's share of the ideal, {stages} stages": micro_batches / (micro_batches + stages - 1),
        f"decoupled's, {stages} stages": 3 * each / (3 * each + 3),
    }


@experiment(
    "scale-out",
    measures={"speedup": "x", "efficiency": "%", "cache_mb": "MB", "staleness": "updates", "break_even_m": ""},
    quick={"workers": (2, 8), "layers": 16},
    beside=closed_forms,
)
def scale_out(
    seed: int,
    *,
    workers: tuple[int, ...] = (2, 4, 8, 16, 64, 256, 1024),
    schedules: tuple[Schedule, ...] = ALL,
    layers: int = 64,
    width: int = 1024,
    batch: int = 1024,
    micro_batches: int = 8,
    gflops: float = 100.0,
    latency: float = 1e-4,
    bandwidth: float = 1e9,
    most_stages: int = 0,
) -> Iterator[Row]:
    """Simulated: decoupled beats GPipe with few micro-batches, and no pipeline with stale gradients.

    Layers are linear maps, and every synthesizer is one: three products of matrices for a layer, three for a
    synthesizer. A pipeline has as many stages as workers, and at most as many as layers: more workers than that are
    replicas, which share the rows and average gradients by a ring all-reduce. pipedream is 1F1B without a flush.

    speedup is minibatches a second over those of one worker, once they come evenly; efficiency is that by the number of
    workers that have something to do. cache_mb is the most that one worker keeps for backward passes. staleness counts
    the updates that lie between a forward pass and its own update, at the worst stage; synthetic gradients are counted
    0, for they are made from the weights that they change, but what they were learned from is late. break_even_m is the
    number of micro-batches from which GPipe is faster than decoupled.

    What it does not say is how much is learned in an update.

    Args:
        seed: changes nothing: nothing is drawn at random.
        workers: how many.
        schedules: which.
        layers: linear maps.
        width: units of each.
        batch: rows in a minibatch.
        micro_batches: of gpipe and 1f1b.
        gflops: what a worker computes in a second, in 10^9 operations.
        latency: of a message, seconds.
        bandwidth: of a link, bytes a second.
        most_stages: of a pipeline; 0 for as many as there are layers.
    """
    link = Link(latency, bandwidth)
    costs = [layer(width, batch, gflops)] * layers
    alone = sum(cost.forward + cost.backward for cost in costs)
    for n in progress(workers, "scale-out"):
        stages = min(n, most_stages or layers, layers)
        for name in schedules:
            timeline = simulated(name, costs, n, stages, micro_batches, link)
            busy = timeline.n_workers
            seconds = timeline.seconds_per_minibatch(len(timeline.finished()) // 2)  # the first ones come unevenly
            row: Row = {"schedule": name, "workers": n, "seed": seed}
            row["speedup"] = alone / seconds
            row["efficiency"] = 100 * alone / (seconds * busy)
            row["cache_mb"] = max(timeline.peak_memory()) / 1e6
            row["staleness"] = max(timeline.staleness().values())
            if name == "gpipe":
                row["break_even_m"] = break_even(costs, stages, link)
            yield row


def simulated(name: Schedule, costs: list[Stage], n: int, stages: int, micro_batches: int, link: Link) -> Timeline:
    """A few minibatches of a schedule on n workers."""
    schedule = SCHEDULES[name]
    if name == "data-parallel":
        return schedule(cut(costs, 1), 4, link, replicas=n)
    if name == "data-parallel + decoupled":
        # As few stages as still give each replica a pipeline: half of the workers' factor two goes to each.
        deep = stages if stages < n else max(1, 2 ** ((n.bit_length() - 1) // 2))
        return schedule(cut(costs, min(deep, len(costs))), EVEN, link, replicas=max(1, n // min(deep, len(costs))))
    parts = cut(costs, stages)
    if name in ("gpipe", "1f1b"):
        return schedule(parts, 4, link, micro_batches=micro_batches)
    if name == "locked":
        return schedule(parts, 4, link)
    return schedule(parts, EVEN if name != "pipedream" else stages + 4, link)


def break_even(costs: list[Stage], stages: int, link: Link) -> float:
    """The fewest micro-batches, in powers of two, with which GPipe is faster than decoupled; NaN if none up to 4096."""
    decoupled = SCHEDULES["decoupled"](cut(costs, stages), EVEN, link).seconds_per_minibatch(EVEN // 2)
    m = 1
    while m <= 4096:
        if SCHEDULES["gpipe"](cut(costs, stages), 2, link, micro_batches=m).seconds_per_minibatch() < decoupled:
            return m
        m *= 2
    return float("nan")
