"""The experiment `full-unlock`: segments that wait neither for their gradient nor for their input."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import numpy as np

from ..data import Dataset, load_mnist, mnist1d
from ..dni import Chain, Synthesizer, networks
from ..nn import Adam, BatchNorm, Layer
from ..nn.modes import all_layers
from ..nn.schedules import cosine_decay
from .bootstrap import CURVES, accuracy, cuts, make_chain, minibatches
from .loop import progress
from .registry import experiment
from .rows import Row, measured

Inputs = Literal["true", "linear", "hidden"]
ENOUGH = 10_000  # training examples, for the statistics of a batch norm


def chance(*, data: str, depth: int, **_: object) -> dict[str, float]:
    """The accuracy of who always names the most frequent digit of the test."""
    cuts(depth, 2)
    return {"always the same digit": 11.35 if data == "mnist" else 10.0}


@experiment(
    "full-unlock",
    measures={"accuracy": "%", "true_statistics": "%", "on_synthetic": "%", "explained": "%"},
    quick={"updates": 300},
    beside=chance,
)
def full_unlock(
    seed: int,
    *,
    data: Literal["mnist-1d", "mnist"] = "mnist-1d",
    inputs: tuple[Inputs, ...] = ("true", "linear", "hidden"),
    depth: int = 2,
    width: int = 64,
    batch: int = 100,
    updates: int = 2_000,
    lr: float = 3e-3,
) -> Iterator[Row]:
    """Fully unlocked, a chain learns less than decoupled, and only if its inputs are foretold well.

    The networks and the methods are those of `bootstrap`, with every hidden layer a segment. With synthetic inputs each
    segment but the first runs, while it learns, on what a synthesizer predicts from the data, by a linear map or with a
    hidden layer, of the network's width and with a batch norm. It sees no labels, which are not there when the network
    is used. With true inputs the chain is decoupled and no more. All take the same number of updates. The control to
    read an unlocked chain against is the frozen trunk with true inputs: with synthetic ones, a frozen trunk's read-out
    is used on inputs unlike those it has learned from.

    accuracy is that of the network as it is used: each layer on the true output of the one below. Its batch norms have
    then followed synthetic inputs; true_statistics is the accuracy once their means and variances are taken from true
    ones, of training examples. on_synthetic is that of the topmost segment on its synthetic input: it says nothing
    about what is below, for that input and the segment are a network by themselves, which learns above a frozen trunk
    too. explained is how much of the variance of the topmost segment's true input the synthetic one explains, on the
    test examples.

    Args:
        seed: of the weights, the synthesizers, and the examples' order; for mnist-1d also of the curves.
        data: generated curves, or the images, which must be on this machine.
        inputs: true, or synthetic from a linear map or a network with a hidden layer.
        depth: hidden layers.
        width: units of a hidden layer.
        batch: examples in a batch.
        updates: of every segment.
        lr: learning rate of Adam at the start, for layers and synthesizers; it falls to 0 along half a cosine.
    """
    dataset = load_mnist() if data == "mnist" else mnist1d(CURVES, seed=seed)
    runs: list[tuple[str, Inputs]] = [("backprop", "true")]
    runs += [(method, kind) for kind in inputs for method in ("frozen trunk", "cdni", "dni")]
    for method, kind in runs:
        with measured(method=method, inputs=kind, seed=seed) as row:
            at = cuts(depth, 1 if method == "backprop" else depth)
            chain = make_chain(method, at, depth, width, dataset.features, seed, lr=lr, updates=updates)
            if kind != "true":
                predict_inputs(chain, dataset.features, width, kind, seed, lr=lr, updates=updates)
            stream = minibatches(dataset, batch, seed)
            for _ in progress(range(updates), f"full-unlock {method} {kind} seed {seed}"):
                x, labels = next(stream)
                chain.decoupled(x, labels) if kind == "true" else chain.unlocked(x, labels)
            row["accuracy"] = accuracy(chain, dataset.x_test, dataset.y_test)
            if kind != "true":
                row["on_synthetic"], row["explained"] = foretold(chain, dataset)
            take_statistics(chain.net, dataset.x_train[:ENOUGH])
            row["true_statistics"] = accuracy(chain, dataset.x_test, dataset.y_test)
        yield row


def predict_inputs(chain: Chain, n_in: int, width: int, kind: Inputs, seed: int, *, lr: float, updates: int) -> None:
    """Give each segment but the first a synthesizer of its input, which sees the data."""
    rng = np.random.default_rng([seed, 1])
    for segment in chain.segments[1:]:
        if kind == "linear":
            net = networks.linear(n_in, n_out=width, rng=rng)
        else:
            net = networks.mlp(n_in, n_hidden=width, n_layers=1, n_out=width, rng=rng)
        optimiser = Adam(partial(cosine_decay, lr=lr, total=updates))
        segment.inputs = Synthesizer(net, optimiser, predicts="input")


def foretold(chain: Chain, dataset: Dataset) -> tuple[float, float]:
    """Of the topmost segment, in per cent: the accuracy on its synthetic input, and what that explains of the true."""
    *trunk, top = chain.segments
    assert top.inputs is not None
    h, guess = Chain(*trunk).predict(dataset.x_test), top.inputs.predict(dataset.x_test)
    missed = np.square(h - guess).sum() / np.square(h - h.mean(axis=0)).sum()
    return accuracy(Chain(top), guess, dataset.y_test), 100 * float(1 - missed)


def take_statistics(net: Layer, x: np.ndarray) -> None:
    """Give each batch norm the mean and variance of what reaches it from x, all rows together."""
    norms = [layer for layer in all_layers(net) if isinstance(layer, BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    net.training = True
    net.forward(x)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
