"""The experiment `sequential-digits`: handwriting read step by step, beside two controls."""

from collections.abc import Iterator
from functools import partial

from ..data import Sequences
from ..data import sequential_digits as load
from ..nn import LSTM, Layer, Linear, Sequential, SoftmaxCrossEntropy
from ..nn.schedules import cosine_decay
from .loop import Trainer, progress
from .registry import experiment
from .rows import Row, measured

LAST = -1  # the step whose output counts


def chance(*, per_step: int, **_: object) -> dict[str, float]:
    """The accuracy of who always names the most frequent digit."""
    return {"always the most frequent digit": 100 * load(per_step).chance_accuracy}


@experiment(
    "sequential-digits",
    measures={"accuracy": "% of the test digits", "chance": "%", "loss": "nats"},
    quick={"per_step": 8, "hidden": 32, "epochs": 8},
    beside=chance,
)
def sequential_digits(
    seed: int,
    *,
    per_step: int = 1,
    hidden: int = 64,
    batch: int = 50,
    epochs: int = 40,
    lr: float = 1e-2,
    control_lr: float = 3e-2,
    clip: float = 1.0,
) -> Iterator[Row]:
    """An LSTM that reads the 8x8 digits a pixel at a time names more than 95 % of them rightly.

    The digit is asked for after the last pixel. Two controls have the same number of updates: the same network with its
    recurrent weights left as they were drawn, of which only the read-out learns, and a linear model that sees all
    pixels at once.

    Args:
        seed: of the weights and of what is learned from.
        per_step: pixels in a time step, a divisor of 64: 1 for 64 steps, 8 for 8 steps of a row.
        hidden: units of the LSTM.
        batch: digits in a batch.
        epochs: passes over the 1437 training digits.
        lr: learning rate of Adam at the start; it falls to 0 along half a cosine.
        control_lr: the same for the controls.
        clip: largest norm of the gradient.
    """
    for method in ("bptt", "read-out alone", "linear"):
        digits = load(64 if method == "linear" else per_step)
        with measured(method=method, steps=digits.steps, seed=seed) as row:
            row["chance"] = 100 * digits.chance_accuracy
            net, trained = network(method, digits, hidden, seed)
            updates = epochs * len(digits.batches(size=batch, seed=seed))
            rate = partial(cosine_decay, lr=lr if method == "bptt" else control_lr, total=updates)
            trainer = Trainer(net, SoftmaxCrossEntropy(), lr=rate, clip=clip, trained=trained)
            for epoch in progress(range(epochs), f"sequential-digits {method} seed {seed}"):
                for x, labels in digits.batches(size=batch, seed=seed, epoch=epoch):
                    trainer.step(x, labels, where=LAST)
            ((x, labels),) = digits.batches("test", size=len(digits.dataset.x_test), seed=0)
            h = net.forward(x)[0][LAST]
            row["loss"] = SoftmaxCrossEntropy().value(h, labels)  # raises where an accuracy would hide a NaN
            row["accuracy"] = 100 * float((h.argmax(axis=-1) == labels).mean())
        yield row


def network(method: str, digits: Sequences, hidden: int, seed: int) -> tuple[Layer, Layer]:
    """A network and the part of it that is trained."""
    if method == "linear":
        net = Sequential(Linear(digits.n_in, 10, rng=2 * seed + 1))
        return net, net
    net = Sequential(LSTM(digits.n_in, hidden, rng=2 * seed), Linear(hidden, 10, rng=2 * seed + 1))
    return net, net if method == "bptt" else net[1]
