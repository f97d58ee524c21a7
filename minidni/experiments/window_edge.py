"""The experiments `window-edge` and `window-costs`: what a cut between windows loses, and what it saves."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

from .. import bptt
from ..arrays import Array
from ..data import TwoLag
from ..locking import blas
from ..nn import LSTM, RNN, Embedding, Linear, Loss, Sequential, SigmoidCrossEntropy, SoftmaxCrossEntropy
from ..nn.schedules import cosine_decay
from .char_lm import book
from .loop import EVALUATION_SEED, Trainer, progress
from .registry import experiment
from .rows import Row, measured
from .timed_layers import medians

CELLS = {"rnn": RNN, "lstm": LSTM}
LAGS = (3, 5)
BEFORE = 100  # steps that bring the state to where it is in training

Cell = Literal["rnn", "lstm"]
TaskName = Literal["two-lag", "text"]


@experiment(
    "window-edge",
    measures={"crosses": "of the nearest", "loss": "nats"},
    quick={"tasks": ("two-lag",), "steps": 2_400, "lr": 1e-2},
    beside=lambda **_: {},
)
def window_edge(
    seed: int,
    *,
    tasks: tuple[TaskName, ...] = ("two-lag", "text"),
    cells: tuple[Cell, ...] = ("rnn", "lstm"),
    windows: tuple[int, ...] = (2, 20),
    distances: tuple[int, ...] = (1, 2, 3, 5, 10, 20),
    hidden: int = 32,
    batch: int = 32,
    steps: int = 24_000,
    lr: float = 3e-3,
    clip: float = 1.0,
) -> Iterator[Row]:
    """The gradient that a cut throws away is small where windows are long or nothing far back counts.

    A recurrent network learns by truncated back-propagation, with its state carried from window to window. Then the
    true gradient is taken of the loss at one step, by the state so many steps before: what would cross an edge at that
    distance, and is set to zero there. crosses is its norm, relative to that at a distance of 1, in the mean over 100
    fresh sequences, whose first 100 steps only bring the state along; loss is that of the steps behind those. All
    networks of a task read equally many steps.

    Args:
        seed: of the weights and of what is learned from.
        tasks: a coin whose bias depends on two earlier inputs, at lags 3 and 5, or the characters of a book.
        cells: which recurrent layer.
        windows: their lengths in time steps; the network before training (none) is there besides.
        distances: from the loss back to the edge, time steps.
        hidden: units of the layer.
        batch: sequences side by side.
        steps: of time to learn from, in each of the sequences.
        lr: learning rate of Adam at the start; it falls to 0 along half a cosine.
        clip: largest norm of the gradient.
    """
    if windows and max(windows) > steps:
        raise ValueError(f"window-edge: windows has {max(windows)}, expected at most steps={steps}")
    for task in tasks:
        for cell in cells:
            for window in (None, *windows):
                with measured(task=task, cell=cell, window=window, seed=seed) as run:
                    net, loss, stream, fresh = prepared(task, cell, hidden, batch, window or 1, seed)
                    updates = steps // window if window else 0
                    trainer = Trainer(net, loss, lr=partial(cosine_decay, lr=lr, total=updates), clip=clip)
                    s = None
                    for _ in progress(range(updates), f"window-edge {task} {cell} window {window} seed {seed}"):
                        x, labels = next(stream)
                        _, s = trainer.step(x, labels, s)
                    x, labels = fresh(BEFORE + 2 * max(distances))
                    s0 = net.forward(x[:BEFORE])[1]
                    x, labels = x[BEFORE:], labels[BEFORE:]
                    y = net.forward(x, s0)[0]
                    run["loss"] = loss.value(y, labels)
                    by_distance = bptt.norms(bptt.by_distance(net, x, loss.gradient(y, labels), s0)).mean(axis=1)
                for distance in distances:
                    crosses = float(by_distance[distance - 1] / by_distance[0]) if "loss" in run else float("nan")
                    yield {**run, "distance": distance, "crosses": crosses}


def prepared(
    task: TaskName, cell: Cell, hidden: int, batch: int, length: int, seed: int
) -> tuple[Sequential, Loss, Iterator[tuple[Array, Array]], Callable[[int], tuple[Array, Array]]]:
    """A network with its loss, what it learns from, and fresh sequences of a given length."""
    if task == "two-lag":
        coin = TwoLag(LAGS)
        net = Sequential(CELLS[cell](1, hidden, rng=2 * seed), Linear(hidden, 1, rng=2 * seed + 1))
        stream = coin.windows(size=batch, length=length, seed=seed)
        return (
            net,
            SigmoidCrossEntropy(),
            stream,
            lambda n: next(coin.windows(size=100, length=n, seed=EVALUATION_SEED + seed)),
        )
    read, n_embedded = book(None), 16
    n = len(read.vocabulary)
    net = Sequential(
        Embedding(n, n_embedded, rng=3 * seed),
        CELLS[cell](n_embedded, hidden, rng=3 * seed + 1),
        Linear(hidden, n, rng=3 * seed + 2),
    )
    stream = read.windows(size=batch, length=length, seed=seed)
    return net, SoftmaxCrossEntropy(), stream, lambda n: next(iter(read.once("test", size=100, length=n)))


@experiment(
    "window-costs",
    measures={"cache_kb": "kB", "ms_an_update": "ms", "us_a_step": "µs"},
    quick={"windows": (2, 10, 50), "repeats": 3},
    beside=lambda **_: {},
)
def window_costs(
    seed: int,
    *,
    cells: tuple[Cell, ...] = ("rnn", "lstm"),
    windows: tuple[int, ...] = (2, 10, 50, 250),
    hidden: int = 128,
    batch: int = 32,
    repeats: int = 5,
) -> Iterator[Row]:
    """Longer windows cost memory and the wait for an update, and no more work for a step of time.

    An update is forward, loss, backward, clipping and Adam, on one core of a CPU; us_a_step is its time by the length
    of the window. cache_kb is what forward keeps for backward. The windows take turns, and medians count.

    Args:
        seed: of weights and data.
        cells: which recurrent layer.
        windows: their lengths in time steps.
        hidden: units of the layer.
        batch: sequences side by side.
        repeats: in each of which all windows take their turn.
    """
    for cell in cells:
        jobs: dict[str, Callable[[], Any]] = {}
        kept: dict[str, float] = {}
        for window in windows:
            net, loss, stream, _ = prepared("two-lag", cell, hidden, batch, window, seed)
            x, labels = next(stream)
            jobs[str(window)] = partial(Trainer(net, loss, lr=1e-3, clip=1.0).step, x, labels)
            kept[str(window)] = net.forward(x)[-1].nbytes / 1000
        with blas.limited(1):
            blas.warm_up()
            times = medians(jobs, repeats, lambda: None)
        for window in windows:
            ms = times[str(window)]
            yield {
                "cell": cell,
                "window": window,
                "seed": seed,
                "cache_kb": kept[str(window)],
                "ms_an_update": ms,
                "us_a_step": 1000 * ms / window,
            }
