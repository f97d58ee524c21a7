"""An experiment of your own, to copy: python docs/template_experiment.py [--seeds 4 5] [hidden=32] [--json FILE]."""

import sys
from collections.abc import Iterator
from functools import partial

from minidni import Adam, BatchNorm, Chain, Linear, ReLU, Sequential, SoftmaxCrossEntropy, Synthesizer, accuracy
from minidni.data import batches, load_digits
from minidni.dni import Signal, Zero
from minidni.experiments import Row, experiment, measured
from minidni.experiments.command import main


def always_the_same(**settings: object) -> dict[str, float]:
    return {"always the same answer": 10.28}  # what to compare with that takes no run


def signal_of(method: str, hidden: int, lr: float, above: Sequential) -> Signal:
    if method == "synthetic":
        return Synthesizer(Linear(hidden + 10, hidden), Adam(lr))  # sees the hidden units and the label
    return Zero()


@experiment("mine", measures={"accuracy": "% of the test digits"}, quick={"epochs": 2}, beside=always_the_same)
def mine(seed: int, *, hidden: int = 64, epochs: int = 20, lr: float = 3e-3) -> Iterator[Row]:
    """Synthetic gradients that see the label train a hidden layer as well as backprop does. (Your claim.)

    frozen: the control. The hidden layer stays as it was drawn, and the layer above it learns all the same.

    Args:
        seed: of the weights and of the order of the digits.
        hidden: units.
        epochs: passes over the digits.
        lr: learning rate of Adam.
    """
    digits = load_digits()
    for method in ("frozen", "backprop", "synthetic"):
        with measured(method=method, seed=seed) as row:
            net = Sequential(Linear(64, hidden, rng=seed), BatchNorm(hidden), ReLU(), Linear(hidden, 10, rng=seed + 99))
            signal = partial(signal_of, method, hidden, lr)
            chain = Chain.cut(net, (3,), signal=signal, loss=SoftmaxCrossEntropy(), optimizer=partial(Adam, lr))
            step = chain.backprop if method == "backprop" else chain.decoupled
            for epoch in range(epochs):
                for x, labels in batches(digits.x_train, digits.y_train, size=32, seed=seed, epoch=epoch):
                    step(x, labels)
            row["accuracy"] = 100 * accuracy(chain.net, digits.x_test, digits.y_test)
        yield row


if __name__ == "__main__":
    sys.exit(main(["mine", "--json", "mine.json", *sys.argv[1:]]))
