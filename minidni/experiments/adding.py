"""The experiment `adding`: two numbers far apart, and their sum at the end."""

from collections.abc import Iterator
from functools import partial

from ..data import Adding
from ..nn import LSTM, Linear, Sequential, SquaredError
from ..nn.schedules import cosine_decay
from .loop import EVALUATION_SEED, Trainer, progress
from .registry import experiment
from .rows import Row, measured

LAST = -1  # the step whose output counts


def chance(*, length: int, **_: object) -> dict[str, float]:
    """The mean squared error of who answers the mean of all sums."""
    return {"answer always 1": Adding(length).chance}


@experiment(
    "adding",
    measures={"loss": "mean squared error", "chance": "mean squared error"},
    quick={"length": 10, "windows": (2, 10), "updates": 400},
    beside=chance,
)
def adding(
    seed: int,
    *,
    length: int = 50,
    windows: tuple[int, ...] = (10, 50),
    hidden: int = 32,
    batch: int = 32,
    updates: int = 1_500,
    lr: float = 1e-2,
    clip: float = 1.0,
) -> Iterator[Row]:
    """Back-propagation through 50 steps solves the adding problem to a squared error below 0.01.

    Of many numbers two are marked, one in each half, and after the last one an LSTM is asked for their sum. The state
    is carried through the whole sequence; the gradient goes back from the answer over as many steps as the window has.
    A short window gets far, too: the weights are the same at all steps, so what is learned at the last ones serves at
    the others. As a control, only the read-out of the same network learns. The loss is measured on 10,000 fresh
    sequences.

    Args:
        seed: of the weights and of what is learned from.
        length: time steps in a sequence.
        windows: over how many steps the gradient goes back; all of them if a window is longer than the sequence.
        hidden: units of the LSTM.
        batch: sequences in a batch; all are new.
        updates: batches to learn from.
        lr: learning rate of Adam at the start; it falls to 0 along half a cosine.
        clip: largest norm of the gradient.
    """
    task, loss = Adding(length), SquaredError()
    for method, window in [*(("bptt", window) for window in windows), ("read-out alone", 1)]:
        with measured(method=method, window=window, length=length, seed=seed) as row:
            row["chance"] = task.chance
            net = Sequential(LSTM(2, hidden, rng=2 * seed), Linear(hidden, 1, rng=2 * seed + 1))
            trained = net if method == "bptt" else net[1]
            rate = partial(cosine_decay, lr=lr, total=updates)
            trainer = Trainer(net, loss, lr=rate, clip=clip, trained=trained)
            stream, before = task.batches(size=batch, seed=seed), max(length - window, 0)
            for _ in progress(range(updates), f"adding {method} window {window} seed {seed}"):
                x, labels = next(stream)
                s = net.forward(x[:before])[1] if before else None
                trainer.step(x[before:], labels, s, where=LAST)
            x, labels = task.batch(0, size=10_000, seed=EVALUATION_SEED + seed)
            row["loss"] = loss.value(net.forward(x)[0][LAST], labels)
        yield row
