"""What the experiments with classifiers share: the data, a chain for each method, the loop, the test error."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from ..data import Dataset, batches, load_digits, load_mnist, mnist1d
from ..dni import Chain, Segment, Signal
from ..nn import Adam, BatchNorm, Layer, Linear, ReLU, Sequential, SoftmaxCrossEntropy
from ..nn.optimisers import Rate
from ..nn.schedules import cosine_decay, step_decay
from .loop import progress

Data = Literal["mnist", "mnist-1d", "digits"]
Schedule = Literal["steps", "cosine"]

#: Training examples, and the error in % of who names the most frequent class for every test example.
SETS = {"mnist": (60_000, 88.65), "mnist-1d": (20_000, 90.0), "digits": (1437, 89.722)}

LOSS = SoftmaxCrossEntropy()


@cache
def load(data: Data, held_out: int = 0) -> Dataset:
    """The data by name. With `held_out`, so many of the training examples stand in the place of the test set."""
    dataset = load_mnist() if data == "mnist" else load_digits() if data == "digits" else mnist1d(25_000)
    if not held_out:
        return dataset
    x, y, n = dataset.x_train, dataset.y_train, len(dataset.x_train) - held_out
    return replace(dataset, x_train=x[:n], y_train=y[:n], x_test=x[n:], y_test=y[n:])


def chance(*, data: str, batch: int, held_out: int, **_: object) -> dict[str, float]:
    """The test error of who always gives the same answer."""
    n, error = SETS[data]
    if batch + held_out > n:
        raise ValueError(f"batch is {batch} and held_out {held_out}, expected together at most {n}, all of {data}")
    return {"always the same answer": error}


def fully_connected(n_in: int, hidden: int, depth: int, n_out: int, seed: int) -> list[Layer]:
    """`depth` hidden layers (linear map, batch norm, ReLU) and a linear read-out, the same for all methods."""
    rng = np.random.default_rng(2 * seed)
    widths = [n_in, *[hidden] * depth]
    layers: list[Layer] = [Sequential(Linear(a, b, rng=rng), BatchNorm(b), ReLU()) for a, b in pairwise(widths)]
    return without_dx([*layers, Linear(hidden, n_out, rng=rng)])


def without_dx(layers: list[Layer]) -> list[Layer]:
    """The layers, of which the bottom one saves the gradient of the data."""
    bottom = layers[0]
    while children := bottom.children():
        bottom = next(iter(children.values()))
    bottom.needs_dx = False
    return layers


def chain_of(layers: Sequence[Layer], signals: Sequence[Signal], *, trunk_rate: Rate, head_rate: Rate) -> Chain:
    """A segment for each layer, from the bottom: the last one has the loss, and the others these signals."""
    *trunk, head = layers
    below = [
        Segment(layer, signal, Adam(trunk_rate), name=f"hidden {i}")
        for i, (layer, signal) in enumerate(zip(trunk, signals, strict=True), start=1)
    ]
    return Chain(*below, Segment(head, LOSS, Adam(head_rate), name="read-out"))


def step_of(chain: Chain, method: str) -> Callable[[np.ndarray, np.ndarray], Any]:
    """How a method takes its step."""
    *trunk, head = chain.segments

    def head_alone(x: np.ndarray, labels: np.ndarray) -> None:
        for segment in trunk:
            x, _ = segment.forward(x)
        head.step(x, labels)

    if method == "backprop":
        return chain.backprop
    return head_alone if method == "frozen" else chain.decoupled


def train(
    step: Callable[..., Any],
    examples: tuple[np.ndarray, np.ndarray],
    *,
    batch: int,
    epochs: int,
    seed: int,
    text: str,
) -> None:
    """`step(x, labels)` for all full minibatches of all epochs.

    Raises:
        FloatingPointError: if a step does; with a note of how many there were before.
    """
    count = 0
    try:
        for epoch in progress(range(epochs), text):
            for x, labels in batches(*examples, size=batch, seed=seed, epoch=epoch, drop_last=True):
                step(x, labels)
                count += 1
    except FloatingPointError as error:
        error.add_note(f"after {count} updates:")
        raise


def error_rate(chain: Chain, x: np.ndarray, labels: np.ndarray) -> float:
    """The examples that are named wrongly, in %."""
    wrong = 0
    for some, right in batches(x, labels, size=1000, seed=0, shuffle=False):
        h = chain.predict(some)
        LOSS.value(h, right)  # raises where the largest output would hide a NaN
        wrong += int((h.argmax(axis=-1) != right).sum())
    return 100 * wrong / len(labels)


def falling(lr: float, total: int, schedule: Schedule = "steps") -> Rate:
    """lr, a tenth of it from 60 % of all updates on, and a hundredth from 85 % on; or to 0 along half a cosine."""
    return partial(step_decay if schedule == "steps" else cosine_decay, lr=lr, total=total)
