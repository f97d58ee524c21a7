"""The experiment `two-lag`: how far back does a window of a given length see?"""

from collections.abc import Iterator
from functools import partial

from ..data import TwoLag
from ..nn import LSTM, Linear, Sequential, SigmoidCrossEntropy
from ..nn.schedules import cosine_decay
from .loop import EVALUATION_SEED, Trainer, progress
from .registry import experiment
from .rows import Row, measured


def floors(*, lags: tuple[int, int], **_: object) -> dict[str, float]:
    """The lowest loss by what is remembered."""
    names = {(): "nothing remembered", lags[:1]: f"lag {lags[0]} only", lags[1:]: f"lag {lags[1]} only", lags: "both"}
    return {names[kept]: floor for kept, floor in TwoLag(lags).floors.items()}


@experiment(
    "two-lag",
    measures={"loss": "nats", "floor": "nats"},
    quick={"steps": 4_000, "hidden": 16, "batch": 64, "lr": 2e-2},
    beside=floors,
)
def two_lag(
    seed: int,
    *,
    lags: tuple[int, int] = (3, 5),
    windows: tuple[int, ...] = (2, 20),
    hidden: int = 32,
    batch: int = 128,
    steps: int = 20_000,
    lr: float = 1e-2,
    clip: float = 1.0,
) -> Iterator[Row]:
    """A window beyond both lags reaches the exact floor of the two-lag task; a short window does not.

    An LSTM predicts a coin whose bias depends on two earlier inputs. Its state is carried from window to window, but no
    gradient crosses between them. All windows read equally many time steps. The loss is measured on 400 steps of 1000
    fresh sequences.

    Args:
        seed: of the weights and of what is learned from.
        lags: how many steps back the two inputs are.
        windows: lengths of the window, in time steps.
        hidden: units of the LSTM.
        batch: sequences side by side.
        steps: time steps to learn from.
        lr: learning rate of Adam at the start; it falls to 0 along half a cosine.
        clip: largest norm of the gradient.
    """
    task = TwoLag(lags)
    for window in windows:
        with measured(method="bptt", window=window, lags=lags, seed=seed) as row:
            row["floor"] = task.floor
            net = Sequential(LSTM(1, hidden, rng=2 * seed), Linear(hidden, 1, rng=2 * seed + 1))
            count = -(-steps // window)
            trainer = Trainer(net, SigmoidCrossEntropy(), lr=partial(cosine_decay, lr=lr, total=count), clip=clip)
            s, stream = None, task.windows(size=batch, length=window, seed=seed)
            for _ in progress(range(count), f"two-lag window {window} seed {seed}"):
                x, labels = next(stream)
                _, s = trainer.step(x, labels, s)
            row["loss"] = fresh_loss(net, task, EVALUATION_SEED + seed)
        yield row


def fresh_loss(net: Sequential, task: TwoLag, seed: int) -> float:
    """The mean loss in nats over 400 steps of 1000 new sequences, behind a first 20 steps that do not count."""
    stream, s, losses = task.windows(size=1000, length=20, seed=seed), None, []
    for _ in range(21):
        x, labels = next(stream)
        y, s, _ = net.forward(x, s)
        losses.append(SigmoidCrossEntropy().value(y, labels))
    return sum(losses[1:]) / 20
