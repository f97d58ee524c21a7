"""The experiment `random-updates`: each layer learns in some steps only, when it pleases."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..dni import Signal, Synthesizer, Zero, networks
from ..nn import Adam
from .classifiers import Data, chain_of, chance, error_rate, falling, fully_connected, load, step_of, train
from .registry import experiment
from .rows import Row, measured


@experiment(
    "random-updates",
    measures={"error": "% of the test examples"},
    quick={"data": "digits", "hidden": 64, "batch": 32, "epochs": 15, "lr": 3e-3},
    beside=chance,
)
def random_updates(
    seed: int,
    *,
    data: Data = "mnist",
    probabilities: tuple[float, ...] = (1.0, 0.5, 0.2, 0.1),
    depth: int = 3,
    hidden: int = 256,
    batch: int = 128,
    epochs: int = 10,
    lr: float = 1e-3,
    synthesizer_lr: float = 3e-3,
    held_out: int = 0,
) -> Iterator[Row]:
    """A decoupled layer may leave out four updates of five, at random, and the network still learns.

    The networks and the synthesizers, which see the labels, are those of `mnist-depth`. In each step each layer, the
    read-out too, updates with this probability, whatever the others do; one that does not runs forward only, and the
    synthesizer below it learns nothing. All runs see the same minibatches, so that layers with probability 0.1 update
    a tenth as often.

    frozen: the hidden layers stay as they were drawn, and the read-out learns in every step. The synthesizers' learning
    rate was chosen for probability 0.2 on seed 11 and 10,000 held-out training images.

    Args:
        seed: of the weights, of the order of the examples and of what is left out.
        data: mnist, a folder of which must be there; mnist-1d, 20,000 generated curves; digits, 8x8.
        probabilities: with which a layer updates.
        depth: hidden layers.
        hidden: units of each.
        batch: examples in a batch.
        epochs: passes over the training examples.
        lr: learning rate of Adam for the layers; a tenth of it from 60 % of their updates on, a hundredth from 85 % on.
        synthesizer_lr: of the synthesizers, which stays.
        held_out: so many training examples are left out and measured on in place of the test set, to choose settings.
    """
    dataset = load(data, held_out)
    examples, total = (dataset.x_train, dataset.y_train), epochs * (len(dataset.x_train) // batch)
    for method, probability in [("frozen", 0.0), ("backprop", 1.0), *(("cdni", p) for p in probabilities)]:
        with measured(method=method, data=data, depth=depth, probability=probability, seed=seed) as row:
            row["minibatches"] = total
            layers = fully_connected(dataset.features, hidden, depth, dataset.n_classes, seed)
            rng = np.random.default_rng(2 * seed + 1)
            signals = [signal_of(method, hidden, dataset.n_classes, rng, synthesizer_lr) for _ in range(depth)]
            # An optimiser counts the updates that it makes.
            rate = falling(lr, round(probability * total) if method == "cdni" else total)
            chain = chain_of(layers, signals, trunk_rate=rate, head_rate=rate)
            step = step_of(chain, method)
            if method == "cdni":
                step = partial(chain.decoupled, probability=probability, rng=rng)
            text = f"random-updates {method} {probability:g} seed {seed}"
            train(step, examples, batch=batch, epochs=epochs, seed=seed, text=text)
            row["error"] = error_rate(chain, dataset.x_test, dataset.y_test)
        yield row


def signal_of(method: str, n: int, n_classes: int, rng: np.random.Generator, lr: float) -> Signal:
    """What stands behind a hidden layer of n units."""
    if method == "cdni":
        return Synthesizer(networks.SigmoidOfLinear(n, n_classes, rng=rng), Adam(lr))
    return Zero()
