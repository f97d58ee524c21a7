"""The experiment `time-to-accuracy`: how long real workers take until a network is good enough."""

import math
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from ..data import Dataset, Minibatches
from ..dni import Chain, Segment, Signal, Synthesizer, Zero, networks
from ..locking import Checkpoints, train
from ..nn import Adam, Sequential
from .classifiers import LOSS, SETS, Data, error_rate, fully_connected, load
from .registry import experiment
from .rows import Row, measured

Method = Literal["one", "blas2", "locked", "data-parallel", "decoupled", "frozen"]
METHODS: tuple[Method, ...] = ("one", "blas2", "locked", "data-parallel", "decoupled", "frozen")


def chance(*, data: str, depth: int, workers: int, batch: int, **_: object) -> dict[str, float]:
    """The accuracy of who always gives the same answer."""
    if not 2 <= workers <= depth:
        raise ValueError(f"workers is {workers} with depth={depth}, expected from 2 to as many as hidden layers")
    if batch % workers:
        raise ValueError(f"batch is {batch}, expected a multiple of {workers}, the workers")
    return {"always the same answer": 100 - SETS[data][1]}


@experiment(
    "time-to-accuracy",
    measures={"seconds_to_target": "", "updates_to_target": "", "ms_an_update": "", "accuracy": "%"},
    quick={"data": "digits", "depth": 4, "width": 64, "batch": 64, "updates": 400, "target": 90.0},
    beside=chance,
)
def time_to_accuracy(
    seed: int,
    *,
    data: Data = "mnist",
    methods: tuple[Method, ...] = METHODS,
    transport: Literal["threads", "processes", "ray", "mpi"] = "threads",
    target: float = 97.0,
    depth: int = 6,
    width: int = 512,
    batch: int = 256,
    updates: int = 400,
    every: int = 20,
    workers: int = 2,
    learn_rows: float = 1.0,
    lr: float = 1e-3,
    synthesizer_lr: float = 1e-3,
) -> Iterator[Row]:
    """Two decoupled workers reach a target sooner than one worker, but not sooner than two BLAS threads.

    The network has hidden layers of a linear map, batch norm and ReLU, and a linear read-out. one is one worker with
    one BLAS thread, and blas2 the same with as many BLAS threads as there are workers elsewhere. locked has a segment
    for each worker, and the true gradient. data-parallel has all layers at each worker for its share of the rows, and
    gradients averaged. decoupled has a segment for each worker, and at each boundary a linear synthesizer that sees the
    label. frozen is the control: its lower segments stay as they were drawn.

    All take the same minibatches in the same order. Every so many updates the workers write their parts of a
    checkpoint, on the way; when training is over, the accuracy on the test examples is taken of one after the other.
    seconds_to_target is how long after the start the workers had finished the first one that is good enough; NaN if
    none is. ms_an_update is the time between two updates. accuracy is that after all updates.

    Args:
        seed: of the weights, the synthesizers and the examples' order.
        data: the images, which must be on this machine; or generated curves, or the digits inside the package.
        methods: which ones.
        transport: where the workers run.
        target: accuracy on the test examples, %.
        depth: hidden layers.
        width: units of a hidden layer.
        batch: examples in a minibatch.
        updates: of every segment.
        every: so many updates lie between two checkpoints.
        workers: how many.
        learn_rows: the share of a minibatch's rows from which synthesizers learn.
        lr: learning rate of Adam, for the layers.
        synthesizer_lr: the same for synthesizers.
    """
    dataset = load(data)
    source = Minibatches(dataset.x_train, dataset.y_train, size=batch, seed=seed)
    for method in methods:
        with measured(method=method, transport=transport, seed=seed) as row, tempfile.TemporaryDirectory() as folder:
            checkpoints = Checkpoints(Path(folder), every=every, keep=None)
            chain = make_chain(method, dataset, depth, width, workers, lr, synthesizer_lr, seed)
            run = train(
                chain,
                source,
                updates,
                mode="decoupled" if method in ("decoupled", "frozen") else "locked",
                transport=transport,
                replicas=workers if method == "data-parallel" else 1,
                blas_threads=workers if method == "blas2" else 1,
                learn_rows=learn_rows,
                checkpoints=checkpoints,
                trace=100 * updates,
                log=updates,
            )
            row["accuracy"] = 100 - error_rate(run.chain, dataset.x_test, dataset.y_test)
            row["ms_an_update"] = 1000 * run.timeline.seconds_per_minibatch(min(10, updates // 2))
            k = first_good(checkpoints, chain, dataset, target, workers if method == "data-parallel" else 1)
            row["updates_to_target"] = math.nan if k is None else k + 1
            row["seconds_to_target"] = math.nan if k is None else run.timeline.finished()[k] - run.timeline.start
        yield row


def make_chain(
    method: Method, dataset: Dataset, depth: int, width: int, workers: int, lr: float, synthesizer_lr: float, seed: int
) -> Chain:
    """The network, the same for all methods, in as many segments as the method has stages."""
    layers = fully_connected(dataset.features, width, depth, dataset.n_classes, seed)
    stages = 1 if method in ("one", "blas2", "data-parallel") else workers
    ends = [depth * i // stages for i in range(stages)] + [depth + 1]
    segments = []
    for a, b in pairwise(ends):
        signal: Any = (
            LOSS
            if b > depth
            else Zero()
            if method == "frozen"
            else synthesizer(width, dataset.n_classes, synthesizer_lr)
        )
        segments.append(Segment(Sequential(*layers[a:b]), signal, Adam(lr), name=f"layers {a + 1} to {b}"))
    return Chain(*segments)


def synthesizer(width: int, classes: int, lr: float) -> Signal:
    """A linear map of the activation and the label."""
    return Synthesizer(networks.linear(width, n_context=classes), Adam(lr))


def first_good(checkpoints: Checkpoints, chain: Chain, dataset: Dataset, target: float, replicas: int) -> int | None:
    """The first minibatch at whose checkpoint the accuracy on the test examples was the target; or None."""
    n = len(chain) * replicas
    for k in checkpoints.complete(n):
        then = Chain(*(state["segment"] for state in checkpoints.read(k, n)[: len(chain)]))
        if 100 - error_rate(then, dataset.x_test, dataset.y_test) >= target:
            return k
    return None
