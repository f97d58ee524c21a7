"""The experiment `costs-by-depth`: one worker's step with and without synthesizers, and when each segment updates."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np

from ..arrays import Array
from ..dni import Chain, Segment
from ..locking import blas
from ..nn import Layer, Optimiser, Sequential, SquaredError
from .loop import progress
from .registry import experiment
from .rows import Row
from .timed_layers import (
    Device,
    Form,
    Kind,
    expect_there,
    make_layer,
    make_optimiser,
    make_synthesizer,
    medians,
    normal,
    shape,
    waiting,
)

Stacked = Literal["relu", "batchnorm-relu", "layernorm-tanh", "conv-relu", "conv-batchnorm-relu", "lstm"]


def sizes(*, depths: tuple[int, ...], width: int, device: Device, **_: object) -> dict[str, float]:
    """Nothing to compare with; raises if the sizes do not go."""
    if min(depths) < 2:
        raise ValueError(f"depths has {min(depths)}, expected 2 layers or more")
    if width % 16:
        raise ValueError(f"width is {width}, expected a multiple of 16")
    expect_there(device)
    return {}


@experiment(
    "costs-by-depth",
    measures={
        "locked": "ms",
        "decoupled": "ms",
        "ratio": "x",
        "bottom_locked": "ms",
        "bottom_decoupled": "ms",
        "top_locked": "ms",
        "top_decoupled": "ms",
        "sooner": "segments",
    },
    quick={"depths": (2, 4), "width": 64, "batch": 64, "repeats": 3},
    beside=sizes,
)
def costs_by_depth(
    seed: int,
    *,
    layers: tuple[Stacked, ...] = ("relu", "batchnorm-relu", "conv-relu", "lstm"),
    depths: tuple[int, ...] = (2, 4, 8),
    synthesizers: tuple[Literal["linear", "hidden", "two-hidden"], ...] = ("linear", "hidden"),
    width: int = 256,
    batch: int = 256,
    repeats: int = 3,
    optimizer: Literal["sgd", "adam"] = "adam",
    device: Device = "cpu",
) -> Iterator[Row]:
    """One worker takes longer for a decoupled step, in which the lower segments are updated sooner.

    Each layer is a segment, as in `costs`: so there is a synthesizer above each but the last, which predicts and learns
    in every step. locked and decoupled are whole steps of one worker, and ratio how many times longer the decoupled one
    takes. The other times are from the start of a step to the update of the segment at the bottom and of that at the
    top; sooner is how many segments have theirs sooner than in a locked step.

    On one core of a CPU, with Adam, the ratio is 1.5 to 2 with linear synthesizers and 2.1 to 3.2 with a hidden layer,
    and above LSTMs 1.1 to 1.3. With a batch norm it is smaller, but not small. The bottom segment's update comes after
    the same time however many layers are above, where in a locked step it comes last; the top one's comes later by the
    backward passes of all below and what their synthesizers have cost. About the lower half of the segments are sooner.

    Args:
        seed: of weights and data.
        layers: what to time, by name; see `costs`.
        depths: layers of the chain, each a segment.
        synthesizers: linear, or with one or two hidden layers and batch norm.
        width: see `costs`.
        batch: examples in a minibatch.
        repeats: in each of which both take their turn; the median counts.
        optimizer: of layers and synthesizers.
        device: with one thread on the CPU, or on a GPU, which takes CuPy.
    """
    for kind in layers:
        for form in synthesizers:
            for depth in progress(depths, f"costs-by-depth {kind} {form}"):
                task = Task(kind, form, depth, width, batch, optimizer, device, seed)
                yield {"layer": kind, "synthesizer": form, "depth": depth, "seed": seed, **task.measure(repeats)}


class Stamped(Segment):
    """A segment that takes down when it has updated."""

    def __init__(self, net: Layer, signal: Any, optimizer: Optimiser, wait: Callable[[], Any]):
        super().__init__(net, signal, optimizer)
        self.wait, self.at = wait, math.nan

    def apply(self) -> None:
        """The step, and a look at the clock."""
        super().apply()
        self.wait()
        self.at = time.perf_counter()


class Task:
    """A chain with a segment for each layer, and the minibatch on which it takes its steps."""

    def __init__(
        self,
        kind: Kind,
        form: Form,
        depth: int,
        width: int,
        batch: int,
        optimizer: str,
        device: Device,
        seed: int,
    ):
        rng = np.random.default_rng(seed)
        nets = [make_layer(kind, width, rng).to(device) for _ in range(depth)]
        if isinstance(nets[0], Sequential):
            nets[0][0].needs_dx = False
        signals: list[Any] = [make_synthesizer(kind, form, width, rng, optimizer, device) for _ in nets[1:]]
        parts = [
            (net, signal, make_optimiser(optimizer))
            for net, signal in zip(nets, [*signals, SquaredError()], strict=True)
        ]
        self.chain = Chain(*(Segment(*part) for part in parts))
        self.wait = waiting(device)
        # The same layers again: on a GPU a look at the clock takes time, so the whole step is timed without.
        self.stamped = Chain(*(Stamped(*part, self.wait) for part in parts))
        self.x, self.labels = (normal(shape(kind, width, batch), rng, device) for _ in range(2))

    def measure(self, repeats: int) -> Row:
        """The row's columns."""
        with blas.limited(1):
            blas.warm_up()
            ms = medians(
                {
                    "locked": partial(self.chain.backprop, self.x, self.labels),
                    "decoupled": partial(self.chain.decoupled, self.x, self.labels),
                },
                repeats,
                self.wait,
            )
            turns = [
                (self.updates(self.stamped.backprop), self.updates(self.stamped.decoupled)) for _ in range(repeats)
            ]
        locked, decoupled = (np.median(each, axis=0) for each in zip(*turns, strict=True))
        return ms | {
            "ratio": ms["decoupled"] / ms["locked"],
            "bottom_locked": float(locked[0]),
            "bottom_decoupled": float(decoupled[0]),
            "top_locked": float(locked[-1]),
            "top_decoupled": float(decoupled[-1]),
            "sooner": int((decoupled < locked).sum()),
        }

    def updates(self, step: Callable[[Array, Array], Any]) -> list[float]:
        """When each segment has updated, in milliseconds from the start of the step."""
        self.wait()
        start = time.perf_counter()
        step(self.x, self.labels)
        return [1000 * (segment.at - start) for segment in self.stamped if isinstance(segment, Stamped)]
