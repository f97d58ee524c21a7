"""The experiment `costs`: what layers and synthesizers cost, and how many layers it takes until one pays."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ..arrays import to_device
from ..dni.passes import backward, forward
from ..locking import blas
from ..nn import Sequential
from .loop import progress
from .registry import experiment
from .rows import Row
from .timed_layers import (
    CLASSES,
    FORMS,
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

MICRO_BATCHES = 4
MOST = 100  # layers of a segment


def sizes(*, widths: tuple[int, ...], batch: int, device: Device, **_: object) -> dict[str, float]:
    """Nothing to compare with; raises if the sizes do not fit together."""
    if uneven := [width for width in widths if width % 16]:
        raise ValueError(f"widths has {uneven[0]}, expected multiples of 16")
    if batch % MICRO_BATCHES:
        raise ValueError(f"batch is {batch}, expected a multiple of {MICRO_BATCHES}, the micro-batches")
    expect_there(device)
    return {}


@experiment(
    "costs",
    measures={
        "forward": "ms",
        "backward": "ms",
        "without_dx": "ms",
        "update": "ms",
        "predict": "of f+b",
        "fit": "of f+b",
        "both": "of b",
        "layers_to_break_even": "",
        "beat_data_parallel": "",
        "beat_gpipe": "",
    },
    quick={"widths": (64,), "batch": 64, "repeats": 3},
    beside=sizes,
)
def costs(
    seed: int,
    *,
    layers: tuple[Kind, ...] = get_args(Kind),
    widths: tuple[int, ...] = (64, 256, 1024),
    synthesizers: tuple[Form, ...] = FORMS,
    batch: int = 256,
    repeats: int = 3,
    optimizer: Literal["sgd", "adam"] = "adam",
    device: Device = "cpu",
) -> Iterator[Row]:
    """A linear synthesizer costs more than a layer's backward, with batch norm too; beside an LSTM less.

    A layer is a linear map, a convolution or an LSTM, with what its name says behind it. As many units go out as come
    in: width, or width / 16 channels of 8 x 8 images with a kernel of 3, or width / 4 units for 8 steps of time. The
    synthesizers are as wide, in their hidden layers too, and convolutional behind a convolution. That of lstm predicts
    the gradient of all outputs, from layer to layer; that of lstm-windows the state's, from one window to the next.

    forward, backward and update are a layer's, without_dx its backward at the very bottom. predict and fit are the
    synthesizer's, in forward plus backward of the layer: a segment has its gradient sooner from a synthesizer if there
    are more layers above it, or windows behind it, than predict says. both is their sum in backwards of the layer. The
    last three are layers per segment: with more of them, two decoupled workers with a segment each, and the synthesizer
    between them, take less time for a step than one worker with all layers (layers_to_break_even), than two that share
    the rows and both update all layers, and than two that hand on four micro-batches and the true gradient. They follow
    from what is measured here, for half and for a quarter of the rows too, if messages take no time; blank above 100.

    On one core of a CPU, with Adam: a linear synthesizer predicts in 0.2 to 0.4 of a layer's forward and backward, so
    the wait is shorter whatever is above. To predict and to learn takes 1.0 to 2.3 backwards, with labels up to 4.9 and
    with hidden layers 3 to 11: never less than one. A batch norm, or a layer norm with tanh, makes a layer dearer and a
    linear synthesizer not, which shows where the matrix products are small: 1.3 in place of 2.3 at width 64, but 1.7 in
    place of 1.8 at 1024. What does make a synthesizer cheap is an LSTM's walk through time: a linear one 0.1 to 0.5.
    Two decoupled workers beat one with more than 0.1 to 1.3 layers each, data-parallel ones with 1 to 5 where the
    update counts, and mostly not at all with convolutions, whose weights are few; four micro-batches with up to 4.

    Args:
        seed: of weights and data.
        layers: what to time, by name.
        widths: see above.
        synthesizers: linear, the same with the labels beside it, or with one or two hidden layers and batch norm.
        batch: examples in a minibatch.
        repeats: in each of which all take their turn; the median counts.
        optimizer: of layers and synthesizers.
        device: with one thread on the CPU, or on a GPU, which takes CuPy.
    """
    for kind in layers:
        for width in progress(widths, f"costs {kind}"):
            for form, cost in measure(kind, width, synthesizers, batch, repeats, optimizer, device, seed).items():
                row: Row = {"layer": kind, "width": width, "synthesizer": form, "seed": seed}
                yield row | cost.columns(pipeline=kind != "lstm-windows")


class Line(NamedTuple):
    """A step's milliseconds by the layers of a segment: each * n + once."""

    each: float
    once: float

    def crosses(self, other: "Line") -> float | None:
        """The n from which on this one is below the other; None if there is none up to 100."""
        if self.each >= other.each:
            return None
        n = (self.once - other.once) / (other.each - self.each)
        return n if n <= MOST else None


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one layer and of one synthesizer, for a minibatch.

    Attributes:
        forward: of the layer.
        backward: of the layer.
        without_dx: backward of the layer, if nobody below wants dx; None where it computes dx all the same.
        update: the optimiser's step, and setting the gradients to zero.
        half: forward and backward for half of the rows.
        quarter: forward and backward for a quarter of them.
        predict: of the synthesizer.
        fit: of the synthesizer, its update included.
    """

    forward: float
    backward: float
    without_dx: float | None
    update: float
    half: float
    quarter: float
    predict: float
    fit: float

    @property
    def layer(self) -> float:
        """A step of one layer."""
        return self.forward + self.backward + self.update

    @property
    def saved(self) -> float:
        """By the layer at the very bottom."""
        return 0.0 if self.without_dx is None else self.backward - self.without_dx

    @property
    def one(self) -> "Line":
        """One worker with all layers, of which there are two for each layer of a segment."""
        return Line(2 * self.layer, -self.saved)

    @property
    def decoupled(self) -> "Line":
        """Two workers with a segment each, of which the slower counts: the lower one has the synthesizer."""
        return Line(self.layer, max(0.0, self.predict + self.fit - self.saved))

    @property
    def data_parallel(self) -> "Line":
        """Two workers with all layers, each for half of the rows; both take the whole update."""
        return Line(2 * (self.half + self.update), -self.saved / 2)

    @property
    def gpipe(self) -> "Line":
        """Two workers with a segment each: four micro-batches take five turns, and then there is the update."""
        return Line((MICRO_BATCHES + 1) * self.quarter + self.update, -self.saved / MICRO_BATCHES)

    def columns(self, *, pipeline: bool) -> Row:
        """As the table has them; those about two workers if the layers can make a pipeline."""
        walk = self.forward + self.backward
        columns = {
            "forward": self.forward,
            "backward": self.backward,
            "without_dx": self.without_dx,
            "update": self.update,
            "predict": self.predict / walk,
            "fit": self.fit / walk,
            "both": (self.predict + self.fit) / self.backward,
        }
        if pipeline:
            columns["layers_to_break_even"] = self.decoupled.crosses(self.one)
            columns["beat_data_parallel"] = self.decoupled.crosses(self.data_parallel)
            columns["beat_gpipe"] = self.decoupled.crosses(self.gpipe)
        return {name: value for name, value in columns.items() if value is not None}


def measure(
    kind: Kind, width: int, forms: tuple[Form, ...], batch: int, repeats: int, optimizer: str, device: Device, seed: int
) -> dict[Form, Cost]:
    """By synthesizer; the layer and all synthesizers take turns."""
    rng = np.random.default_rng(seed)
    whole, half, quarter = (Passes(kind, width, batch // n, rng, device) for n in (1, 2, MICRO_BATCHES))
    optimiser = make_optimiser(optimizer)
    jobs: dict[str, Callable[[], Any]] = {
        "forward": whole.forward,
        "backward": whole.backward,
        "step": partial(optimiser.step, whole.net),  # with the gradients of the job before
        "half": half.both,
        "quarter": quarter.both,
    }
    if isinstance(whole.net, Sequential):
        jobs["without_dx"] = partial(whole.backward, needs_dx=False)
    boundary = (batch, 2 * whole.x.shape[-1]) if kind == "lstm-windows" else whole.x.shape
    trigger, message = normal(boundary, rng, device), normal(boundary, rng, device)
    labels = to_device(rng.integers(CLASSES, size=boundary[:1] if len(boundary) == 4 else boundary[:-1]), device)
    for form in forms:
        synthesizer = make_synthesizer(kind, form, width, rng, optimizer, device)
        jobs[f"predict {form}"] = partial(synthesizer.gradient, trigger, labels)
        jobs[f"fit {form}"] = partial(synthesizer.learn, trigger, message, labels)
    jobs["zero"] = whole.net.zero_grads
    with blas.limited(1):
        blas.warm_up()
        ms = medians(jobs, repeats, waiting(device))
    return {
        form: Cost(
            forward=ms["forward"],
            backward=ms["backward"],
            without_dx=ms.get("without_dx"),
            update=ms["step"] + ms["zero"],
            half=ms["half"],
            quarter=ms["quarter"],
            predict=ms[f"predict {form}"],
            fit=ms[f"fit {form}"],
        )
        for form in forms
    }


class Passes:
    """A layer with what it runs on, in memory that is used again and again, as workers do."""

    def __init__(self, kind: Kind, width: int, batch: int, rng: np.random.Generator, device: Device):
        self.net = make_layer(kind, width, rng).to(device)
        self.x, self.dy = (normal(shape(kind, width, batch), rng, device) for _ in range(2))
        _, self.cache = forward(self.net, self.x)

    def forward(self) -> None:
        """Into the cache."""
        forward(self.net, self.x, self.cache)

    def backward(self, *, needs_dx: bool = True) -> None:
        """From the cache."""
        if isinstance(self.net, Sequential):
            self.net[0].needs_dx = needs_dx
        backward(self.net, self.dy, self.cache)

    def both(self) -> None:
        """One after the other."""
        self.forward()
        self.backward()
