"""Costs: what a stage takes for a minibatch, given or measured from real segments."""

import pickle
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ..arrays import Array
from ..arrays.checks import expect_positive
from ..dni import Chain, Synthesizer
from . import blas


@dataclass(frozen=True)
class Stage:
    """What one segment takes for one minibatch.

    Attributes:
        forward: seconds.
        backward: seconds.
        update: of the optimiser, seconds.
        predict: of the synthesizer at its upper end, seconds.
        fit: the same when it learns, seconds.
        cache_bytes: what forward keeps for backward.
        boundary_bytes: of what it hands to the segment above.
        parameter_bytes: of its gradients, which replicas average.
    """

    forward: float = 1.0
    backward: float = 2.0
    update: float = 0.0
    predict: float = 0.0
    fit: float = 0.0
    cache_bytes: float = 1.0
    boundary_bytes: float = 0.0
    parameter_bytes: float = 0.0

    def part(self, n: int, overhead: float = 0.0) -> "Stage":
        """The same for one of n equal parts of a minibatch's rows; each call costs some overhead besides, seconds."""
        return replace(
            self,
            forward=self.forward / n + overhead,
            backward=self.backward / n + overhead,
            predict=self.predict / n,
            fit=self.fit / n,
            cache_bytes=self.cache_bytes / n,
            boundary_bytes=self.boundary_bytes / n,
        )


def together(stages: Sequence[Stage]) -> Stage:
    """One stage of several: costs are added up; no synthesizer but the topmost one's, and its boundary."""
    total = {name: sum(getattr(stage, name) for stage in stages) for name in ("forward", "backward", "update")}
    sizes = {name: sum(getattr(stage, name) for stage in stages) for name in ("cache_bytes", "parameter_bytes")}
    return replace(stages[-1], **total, **sizes)


def cut(layers: Sequence[Stage], n: int) -> list[Stage]:
    """So many stages of these layers, as even as whole layers go; the topmost one has no synthesizer."""
    if not 1 <= n <= len(layers):
        raise ValueError(f"cut: n is {n}, expected from 1 to {len(layers)}, the layers")
    at = [len(layers) * i // n for i in range(n + 1)]
    stages = [together(layers[a:b]) for a, b in pairwise(at)]
    return [*stages[:-1], replace(stages[-1], predict=0.0, fit=0.0)]


def measure(chain: Chain, x: Array, labels: Array, *, repeats: int = 10) -> list[Stage]:
    """What each segment of a chain takes on this machine with one BLAS thread, on a copy of the chain.

    Args:
        chain: stays as it is.
        x: one minibatch.
        labels: of its rows.
        repeats: of which the medians are taken; a first one is not counted.
    """
    expect_positive("measure", repeats=repeats)
    copy: Chain = Chain(*pickle.loads(pickle.dumps(chain.segments)))
    clocks = [Stopwatch() for _ in copy]
    caches: list[Any] = [None for _ in copy]
    with blas.limited(1):
        blas.warm_up()
        for turn in range(repeats + 1):
            hs, h = [], x
            for i, (segment, clock) in enumerate(zip(copy, clocks, strict=True)):
                h, caches[i] = clock("forward", segment.forward, h, caches[i])
                hs.append(h)
            dh = copy[-1].signal.gradient(h, labels)
            for segment, clock, h, cache in reversed(list(zip(copy, clocks, hs, caches, strict=True))):
                if isinstance(segment.signal, Synthesizer):
                    clock("predict", segment.signal.gradient, h, labels)
                    clock("fit", segment.signal.learn, h, dh, labels)
                segment.net.zero_grads()
                dh = clock("backward", segment.backward, dh, cache)
                clock("update", segment.apply)
            if not turn:
                for clock in clocks:
                    clock.times.clear()
    return [
        Stage(
            **{"predict": 0.0, "fit": 0.0} | {name: statistics.median(some) for name, some in clock.times.items()},
            cache_bytes=cache.nbytes,
            boundary_bytes=h.nbytes,
            parameter_bytes=sum(slab.nbytes for slab in segment.net.grads.slabs),
        )
        for segment, clock, h, cache in zip(copy, clocks, hs, caches, strict=True)
    ]


class Stopwatch:
    """Times calls by name."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)

    def __call__(self, name: str, call: Callable, *arguments: Any) -> Any:
        """What the call returns."""
        start = time.perf_counter()
        result = call(*arguments)
        self.times[name].append(time.perf_counter() - start)
        return result
