"""The experiment `mnist-cnn`: a small convolutional network, each layer of it decoupled."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from ..dni import Signal, Synthesizer, Zero, networks
from ..nn import Adam, BatchNorm, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential
from .classifiers import chain_of, chance, error_rate, falling, load, step_of, train, without_dx
from .registry import experiment
from .rows import Row, measured

Method = Literal["frozen", "backprop", "dni", "cdni"]

SIDES = {"mnist": 28, "digits": 8}


def beside(*, data: str, pool: int, **settings: Any) -> dict[str, float]:
    """The test error of who always gives the same answer."""
    if SIDES[data] % pool or SIDES[data] // pool < 4:
        raise ValueError(f"mnist-cnn: pool is {pool}, expected a divisor of {SIDES[data]} that leaves 4x4 pixels")
    return chance(data=data, **settings)


@experiment(
    "mnist-cnn",
    measures={"error": "% of the test examples"},
    quick={"data": "digits", "pool": 1, "batch": 32, "epochs": 8, "lr": 3e-3},
    beside=beside,
)
def mnist_cnn(
    seed: int,
    *,
    data: Literal["mnist", "digits"] = "mnist",
    methods: tuple[Method, ...] = ("frozen", "backprop", "dni", "cdni"),
    pool: int = 2,
    channels: tuple[int, int] = (8, 16),
    hidden: int = 64,
    batch: int = 128,
    epochs: int = 3,
    lr: float = 1e-3,
    synthesizer_hidden: int = 16,
    synthesizer_lr: float = 3e-3,
    held_out: int = 0,
) -> Iterator[Row]:
    """Convolutional layers learn from synthetic gradients too, with labels nearly as well as by backprop.

    Two blocks of a 3x3 convolution, batch norm, ReLU and 2x2 max pooling, a dense hidden layer and a linear read-out,
    each a segment of its own. The images are first averaged over squares of pixels, 28x28 to 14x14, to be quick. The
    synthesizers behind the blocks are convolutional, with one hidden layer; cdni's see the label as planes. Behind the
    dense layer they are those of `mnist-depth`. All start from the same weights and have the same number of updates.
    The settings for MNIST were not tuned; those of `--quick` were, on seed 11 with 300 digits held out.

    Args:
        seed: of the weights and of the order of the examples.
        data: mnist, a folder of which must be there, or digits, 8x8.
        methods: which of them.
        pool: the side of the squares that the images are averaged over.
        channels: of the two convolutions.
        hidden: units of the dense layer.
        batch: examples in a batch.
        epochs: passes over the training examples.
        lr: learning rate of Adam for the layers: a tenth of it from 60 % of the updates on, a hundredth from 85 % on.
        synthesizer_hidden: channels in the synthesizers.
        synthesizer_lr: their learning rate, which stays.
        held_out: so many training examples are left out and measured on in place of the test set, to choose settings.
    """
    dataset = load(data, held_out)
    x, x_test = (images(rows, SIDES[data], pool) for rows in (dataset.x_train, dataset.x_test))
    total = epochs * (len(x) // batch)
    for method in methods:
        with measured(method=method, data=data, seed=seed) as row:
            row["updates"] = total
            layers = convolutional_layers(x.shape[-1], channels, hidden, dataset.n_classes, seed)
            nets = synthesizer_nets(method, channels, hidden, dataset.n_classes, synthesizer_hidden, seed)
            signals: list[Signal] = [Synthesizer(net, Adam(synthesizer_lr)) for net in nets] or [Zero()] * (
                len(layers) - 1
            )
            rate = falling(lr, total)
            chain = chain_of(layers, signals, trunk_rate=rate, head_rate=rate)
            step, text = step_of(chain, method), f"mnist-cnn {method} seed {seed}"
            train(step, (x, dataset.y_train), batch=batch, epochs=epochs, seed=seed, text=text)
            row["error"] = error_rate(chain, x_test, dataset.y_test)
        yield row


def images(rows: np.ndarray, side: int, pool: int) -> np.ndarray:
    """Rows of pixels (n, side^2) -> images (n, 1, side / pool, side / pool), the means over squares of pixels."""
    n, small = len(rows), side // pool
    return rows.reshape(n, 1, small, pool, small, pool).mean(axis=(3, 5))


def convolutional_layers(side: int, channels: tuple[int, int], hidden: int, n_classes: int, seed: int) -> list[Layer]:
    """Two blocks, a dense layer and a read-out, the same for all methods."""
    rng, (first, second) = np.random.default_rng(2 * seed), channels
    n = second * (side // 4) ** 2
    return without_dx(
        [
            Sequential(Conv2d(1, first, 3, padding=1, rng=rng), BatchNorm(first, axis=1), ReLU(), MaxPool2d(2)),
            Sequential(Conv2d(first, second, 3, padding=1, rng=rng), BatchNorm(second, axis=1), ReLU(), MaxPool2d(2)),
            Sequential(Flatten(), Linear(n, hidden, rng=rng), BatchNorm(hidden), ReLU()),
            Linear(hidden, n_classes, rng=rng),
        ]
    )


def synthesizer_nets(
    method: Method, channels: tuple[int, int], hidden: int, n_classes: int, n_hidden: int, seed: int
) -> list[Layer]:
    """For each boundary the network of its synthesizer, from the bottom; none for the methods without."""
    rng = np.random.default_rng(2 * seed + 1)
    if method not in ("dni", "cdni"):
        return []
    n_context = n_classes if method == "cdni" else 0
    nets: list[Layer] = [networks.convolutional(c, n_context, n_hidden=n_hidden, kernel=3, rng=rng) for c in channels]
    dense = networks.mlp(hidden, n_hidden=4 * hidden, n_layers=1, rng=rng)
    return [*nets, networks.SigmoidOfLinear(hidden, n_classes, rng=rng) if method == "cdni" else dense]
