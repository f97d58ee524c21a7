"""The experiment `mnist-depth`: networks of fully connected layers, each of them decoupled."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from ..dni import DirectFeedbackAlignment, Greedy, Signal, Synthesizer, Zero, networks
from ..nn import Adam, Layer, Linear, Sequential
from ..nn.optimisers import Rate
from .classifiers import (
    LOSS,
    Data,
    Schedule,
    chain_of,
    chance,
    error_rate,
    falling,
    fully_connected,
    load,
    step_of,
    train,
)
from .registry import experiment
from .rows import Row, measured

Method = Literal["frozen", "backprop", "dni", "cdni", "dfa", "greedy"]


@experiment(
    "mnist-depth",
    measures={"error": "% of the test examples"},
    quick={
        "data": "digits",
        "hidden": 64,
        "batch": 32,
        "epochs": 12,
        "lr": 3e-3,
        "cdni_lr": 3e-3,
        "dni_hidden": 128,
        "dni_trunk_lr": 1e-3,
    },
    beside=chance,
)
def mnist_depth(
    seed: int,
    *,
    data: Data = "mnist",
    depths: tuple[int, ...] = (3,),
    methods: tuple[Method, ...] = ("frozen", "backprop", "dni", "cdni", "dfa", "greedy"),
    boundaries: Literal["all", "last"] = "all",
    hidden: int = 256,
    batch: int = 128,
    epochs: int = 10,
    lr: float = 1e-3,
    schedule: Schedule = "steps",
    cdni_net: Literal["sigmoid", "linear"] = "sigmoid",
    cdni_lr: float = 1e-3,
    dni_hidden: int = 512,
    dni_lr: float = 3e-3,
    dni_trunk_lr: float = 3e-4,
    held_out: int = 0,
) -> Iterator[Row]:
    """With synthetic gradients that see labels, every hidden layer learns alone as well as by backprop.

    Hidden layers of a linear map, batch norm and ReLU, and a linear read-out. Each is a segment of its own: no hidden
    layer ever sees a true gradient. All methods start from the same weights and have the same number of updates.

    frozen: the hidden layers stay as they were drawn. dni: synthesizers that see the activation alone, with one
    hidden layer. cdni: synthesizers that see the label, too; below a log loss the gradient is of their form. dfa:
    direct feedback alignment. greedy: each hidden layer has a linear read-out of its own.

    With depths=2 boundaries=last batch=64 it is the MNIST example of koz4k/dni-pytorch, which has its one boundary in
    front of the last ReLU, not behind it, and a batch norm behind the read-out.

    Chosen on seed 11 and 10,000 held-out training images of MNIST, in runs of 2 to 10 epochs: the form of cdni's
    synthesizers (6 layers); for dni (3 layers) its two learning rates, the batch, and width and depth of the
    synthesizers; for dni with one boundary the schedule, too. For digits the learning rates of `--quick`, 300 held out.

    Args:
        seed: of the weights and of the order of the examples.
        data: mnist, 28x28, a folder of which must be there; mnist-1d, 20,000 generated curves; digits, 8x8.
        depths: how many hidden layers.
        methods: which of them.
        boundaries: behind all hidden layers, or behind the last alone: then those below learn together.
        hidden: units of a hidden layer.
        batch: examples in a batch.
        epochs: passes over the training examples.
        lr: learning rate of Adam for the layers at the start.
        schedule: how it falls: to a tenth after 60 % of the updates and a hundredth after 85 %, or along half a cosine.
        cdni_net: what cdni's synthesizers are: (sigmoid of a linear map - label) times a matrix, or one linear map.
        cdni_lr: their learning rate, which stays.
        dni_hidden: units in dni's synthesizers.
        dni_lr: their learning rate, which stays.
        dni_trunk_lr: in place of lr for the hidden layers below dni's synthesizers; it falls in the same way.
        held_out: so many training examples are left out and measured on in place of the test set, to choose settings.
    """
    dataset = load(data, held_out)
    total = epochs * (len(dataset.x_train) // batch)
    rate = falling(lr, total, schedule)
    for depth in depths:
        for method in methods:
            with measured(method=method, data=data, depth=depth, boundaries=boundaries, seed=seed) as row:
                row["updates"] = total
                layers = fully_connected(dataset.features, hidden, depth, dataset.n_classes, seed)
                if boundaries == "last":
                    layers = [Sequential(*layers[:-1]), layers[-1]]
                rng = np.random.default_rng(2 * seed + 1)
                signals = [
                    signal_of(
                        method,
                        hidden,
                        dataset.n_classes,
                        rng,
                        Sequential(*layers[i:]),
                        rate=rate,
                        cdni_net=cdni_net,
                        cdni_lr=cdni_lr,
                        dni_hidden=dni_hidden,
                        dni_lr=dni_lr,
                    )
                    for i in range(1, len(layers))
                ]
                trunk_rate = falling(dni_trunk_lr, total, schedule) if method == "dni" else rate
                chain = chain_of(layers, signals, trunk_rate=trunk_rate, head_rate=rate)
                step, examples = step_of(chain, method), (dataset.x_train, dataset.y_train)
                text = f"mnist-depth {depth} {method} seed {seed}"
                train(step, examples, batch=batch, epochs=epochs, seed=seed, text=text)
                row["error"] = error_rate(chain, dataset.x_test, dataset.y_test)
            yield row


def signal_of(
    method: Method,
    n: int,
    n_classes: int,
    rng: np.random.Generator,
    above: Layer,
    *,
    rate: Rate,
    cdni_net: str,
    cdni_lr: float,
    dni_hidden: int,
    dni_lr: float,
) -> Signal:
    """What stands behind a hidden layer of n units, below the layers `above`."""
    if method == "cdni":
        make = networks.SigmoidOfLinear if cdni_net == "sigmoid" else networks.linear
        return Synthesizer(make(n, n_classes, rng=rng), Adam(cdni_lr))
    if method == "dni":
        return Synthesizer(networks.mlp(n, n_hidden=dni_hidden, n_layers=1, rng=rng), Adam(dni_lr))
    if method == "dfa":
        return DirectFeedbackAlignment(above, LOSS, n, n_classes, rng=rng)
    if method == "greedy":
        return Greedy(Linear(n, n_classes, rng=rng), LOSS, Adam(rate))
    return Zero()  # also below backprop, where it is not asked
