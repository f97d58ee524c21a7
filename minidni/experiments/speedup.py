"""The experiment `speedup`: how long a step takes with one worker, and with several."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from ..arrays import Array, to_device
from ..dni import Chain, Segment, Synthesizer, networks
from ..locking import Run, train
from ..nn import SGD, Adam, Linear, Loss, Optimiser, ReLU, Sequential, SoftmaxCrossEntropy
from .loop import progress
from .registry import experiment
from .rows import Row

Mode = Literal["one", "blas2", "locked", "gpipe", "data-parallel", "decoupled"]
MODES: tuple[Mode, ...] = ("one", "blas2", "locked", "gpipe", "data-parallel", "decoupled")


class Constant:
    """A source that always gives the same minibatch, so that no time is spent on data."""

    def __init__(self, batch: int, width: int, seed: int, device: str):
        rng = np.random.default_rng(seed)
        self.x = to_device(rng.standard_normal((batch, width)).astype(np.float32), device)
        self.labels = rng.integers(width, size=batch)

    def __call__(self, k: int) -> tuple[Array, Array]:
        """The minibatch, whatever k."""
        return self.x, self.labels


def arithmetic(
    *, layers: int, width: int, batch: int, workers: int, micro_batches: int, learn_rows: float, **_: object
) -> dict[str, float]:
    """What the products of a step cost, and the most that cutting them evenly could bring."""
    if not 2 <= workers <= layers:
        raise ValueError(f"workers is {workers} with layers={layers}, expected from 2 to as many as there are layers")
    if batch % (workers * micro_batches):
        raise ValueError(f"batch is {batch}, expected a multiple of {workers * micro_batches}, workers x micro_batches")
    most = max(work(layers, workers, stage, learn_rows) for stage in range(workers))
    return {
        "GFLOP a step": (3 * layers - 1) * 2 * batch * width**2 / 1e9,
        "ideal speed-up, data-parallel": workers,
        "ideal speed-up, decoupled": (3 * layers - 1) / most,
        "ideal speed-up, gpipe": workers * micro_batches / (micro_batches + workers - 1),
    }


def cuts(layers: int, workers: int) -> list[int]:
    """Where each segment begins, as evenly as whole layers go."""
    return [layers * i // workers for i in range(workers + 1)]


def work(layers: int, workers: int, stage: int, learn_rows: float) -> float:
    """Matrix products of a decoupled segment in a step: three a layer, and for its synthesizer one, and two to learn.

    The bottom layer needs no dx, and there is no synthesizer at the top.
    """
    at = cuts(layers, workers)
    return 3 * (at[stage + 1] - at[stage]) - (stage == 0) + (1 + 2 * learn_rows) * (stage < workers - 1)


@experiment(
    "speedup",
    measures={"ms": "", "speedup": "x", "least": "x", "most": "x"},
    quick={"layers": 4, "width": 128, "rounds": 3, "steps": 10},
    beside=arithmetic,
)
def speedup(
    seed: int,
    *,
    layers: int = 16,
    width: int = 1024,
    batch: int = 256,
    transport: Literal["threads", "processes", "ray", "mpi"] = "threads",
    modes: tuple[Mode, ...] = MODES,
    workers: int = 2,
    micro_batches: int = 4,
    rounds: int = 5,
    steps: int = 10,
    learn_rows: float = 1.0,
    optimizer: Literal["sgd", "adam"] = "sgd",
    device: Literal["cpu", "cuda"] = "cpu",
) -> Iterator[Row]:
    """Two decoupled workers take more steps a second than one, or than two that wait for each other.

    A step is forward, backward and update of all layers (a linear map and ReLU; width to width), below a softmax.

    one is one worker with one BLAS thread, and blas2 the same with as many BLAS threads as there are workers elsewhere.
    locked has a segment for each worker, and the true gradient; gpipe the same with micro-batches. data-parallel has
    all layers at each worker for its share of the rows, and gradients averaged. decoupled has a segment for each
    worker, and between them a linear synthesizer, whose predictions and learning are part of the step.

    ms is the time between two steps once they come evenly: the median over the rounds, in each of which all modes take
    their turn. speedup is what one took in the same round divided by it: the median over the rounds, and beside it the
    least and the most. It counts steps and not what is learned in them, which is less where the gradient is synthetic:
    see mnist-depth, and time-to-accuracy.

    Args:
        seed: of the weights and the data.
        layers: linear maps, with ReLU between them.
        width: units of each.
        batch: examples in a minibatch.
        transport: where the workers run.
        modes: which ones to compare with "one".
        workers: how many.
        micro_batches: of gpipe.
        rounds: in each of which all modes take their turn.
        steps: of a turn.
        learn_rows: the share of a minibatch's rows from which the synthesizers learn; they predict for all.
        optimizer: of layers and synthesizers.
        device: cpu; or cuda, one GPU, on which each worker has a stream of its own.
    """
    modes = ("one", *(mode for mode in modes if mode != "one"))
    task = Task(layers, width, batch, transport, workers, micro_batches, steps, learn_rows, optimizer, device, seed)
    times: dict[Mode, list[float]] = {mode: [] for mode in modes}
    for _ in progress(range(rounds), f"speedup {transport}"):
        for mode in modes:
            times[mode].append(task.seconds(mode))
    for mode in modes:
        ratios = [one / this for one, this in zip(times["one"], times[mode], strict=True)]
        yield {
            "mode": mode,
            "seed": seed,
            "ms": 1000 * statistics.median(times[mode]),
            "speedup": statistics.median(ratios),
            "least": min(ratios),
            "most": max(ratios),
        }


@dataclass(frozen=True)
class Task:
    """What is timed, in each mode."""

    layers: int
    width: int
    batch: int
    transport: str
    workers: int
    micro_batches: int
    steps: int
    learn_rows: float
    optimizer: str
    device: str
    seed: int

    def seconds(self, mode: Mode) -> float:
        """Between two steps, once they come evenly."""
        warm_up = 3
        return self.run(mode, self.steps + warm_up).timeline.seconds_per_minibatch(warm_up)

    def run(self, mode: Mode, n: int) -> Run:
        """n steps."""
        alone = mode in ("one", "blas2")
        return train(
            self.chain(1 if alone or mode == "data-parallel" else self.workers),
            Constant(self.batch, self.width, self.seed, self.device),
            n,
            mode="decoupled" if mode == "decoupled" else "locked",
            transport=self.transport,
            replicas=self.workers if mode == "data-parallel" else 1,
            micro_batches=self.micro_batches if mode == "gpipe" else 1,
            learn_rows=self.learn_rows if mode == "decoupled" else 1.0,
            devices=[self.device] * (1 if alone else self.workers),
            blas_threads=self.workers if mode == "blas2" else 1,
            log=n,
            progress=False,
        )

    def chain(self, n: int) -> Chain:
        """The network in n segments."""
        rng = np.random.default_rng(self.seed)
        net = [Linear(self.width, self.width, rng=rng) for _ in range(self.layers)]
        net[0].needs_dx = False
        loss: Loss = SoftmaxCrossEntropy()
        segments = []
        at = cuts(self.layers, n)
        for a, b in pairwise(at):
            # ReLU stands before a map, not behind it: so the worker above does it, which has no synthesizer to train.
            steps = [step for layer in net[a:b] for step in ((ReLU(), layer) if layer is not net[0] else (layer,))]
            signal = loss if b == self.layers else Synthesizer(networks.linear(self.width), self._optimiser())
            segments.append(Segment(Sequential(*steps), signal, self._optimiser(), name=f"layers {a + 1} to {b}"))
        return Chain(*segments)

    def _optimiser(self) -> Optimiser:
        return SGD(1e-4) if self.optimizer == "sgd" else Adam(1e-5)
