"""The experiments `copy` and `repeat-copy`: how long a pattern can be learned by heart?"""

from collections.abc import Iterator, Sequence
from math import log
from typing import Any

from ..data import Copying, Curriculum, RepeatCopying
from ..nn import LSTM, Linear, Sequential, SigmoidCrossEntropy
from .loop import EVALUATION_SEED, Trainer, progress
from .registry import experiment
from .rows import Row, measured

SOLVED = 0.15  # bits for each bit of the answer
CHECK = 50  # batches between two looks whether the largest size is solved

Task = Copying | RepeatCopying


def copy_chance(*, length: int, bits: int, **_: object) -> dict[str, float]:
    """Bits for each bit of the answer."""
    return {"no bit remembered": in_bits(Copying(length, bits).chance, Copying(length, bits)), "solved below": SOLVED}


@experiment(
    "copy",
    measures={"solved": "length", "batches": "", "loss": "bits a bit", "chance": "bits a bit"},
    quick={"length": 3, "hidden": 32, "batches": 600, "lr": 1e-2},
    beside=copy_chance,
)
def copy(
    seed: int,
    *,
    length: int = 10,
    bits: int = 1,
    windows: tuple[int, ...] = (3, 21),
    hidden: int = 64,
    batch: int = 64,
    batches: int = 5_000,
    lr: float = 3e-3,
    clip: float = 1.0,
) -> Iterator[Row]:
    """Back-propagation through whole sequences learns to copy patterns of 10 steps.

    An LSTM is shown random bits and must say them again after a delimiter. A curriculum starts with patterns of one
    step and makes them longer as soon as the loss of a batch is below 0.15 bits for each bit of the answer. Training
    ends when patterns of the full length are at half of that, or after so many batches. The table tells the length up
    to which all are solved, and the loss at the full length, on 500 fresh sequences of each length.

    Args:
        seed: of the weights and of what is learned from.
        length: steps of the longest pattern.
        bits: in each of its steps.
        windows: over how many steps the gradient goes back; a whole sequence has 2 length + 1.
        hidden: units of the LSTM.
        batch: sequences in a batch; all are new.
        batches: to learn from, at most.
        lr: learning rate of Adam.
        clip: largest norm of the gradient.
    """
    sizes = [Copying(n, bits, shortest=n) for n in range(1, length + 1)]
    for window in windows:
        with measured(method="bptt", window=window, length=length, bits=bits, seed=seed) as row:
            row["chance"] = in_bits(sizes[-1].chance, sizes[-1])
            row |= climb(Copying(1, bits), sizes, window, seed, batches, hidden=hidden, batch=batch, lr=lr, clip=clip)
        yield row


def repeat_copy_chance(*, length: int, bits: int, **_: object) -> dict[str, float]:
    """Bits for each bit of the answer."""
    task = RepeatCopying(length, length, bits, shortest=length, fewest=length)
    return {"no bit remembered": in_bits(task.chance, task), "solved below": SOLVED}


@experiment(
    "repeat-copy",
    measures={"solved": "stages", "batches": "", "loss": "bits a bit", "chance": "bits a bit"},
    quick={"length": 2, "hidden": 32, "batches": 800, "lr": 1e-2},
    beside=repeat_copy_chance,
)
def repeat_copy(
    seed: int,
    *,
    length: int = 4,
    bits: int = 1,
    windows: tuple[int, ...] = (3, 22),
    hidden: int = 64,
    batch: int = 64,
    batches: int = 5_000,
    lr: float = 3e-3,
    clip: float = 1.0,
) -> Iterator[Row]:
    """As `copy`, but the pattern is asked for several times, as often as is shown, and its end as well.

    The curriculum's stages are 1 x 1 (steps x repeats), 2 x 1, 2 x 2, 3 x 2, 3 x 3, and so on.

    Args:
        seed: of the weights and of what is learned from.
        length: steps of the longest pattern, and the largest number of repeats.
        bits: in each of its steps.
        windows: over how many steps the gradient goes back; a whole sequence has length (length + 1) + 2.
        hidden: units of the LSTM.
        batch: sequences in a batch; all are new.
        batches: to learn from, at most.
        lr: learning rate of Adam.
        clip: largest norm of the gradient.
    """
    pairs = [(1, 1), *((n, r) for n in range(2, length + 1) for r in (n - 1, n))]
    sizes = [RepeatCopying(n, r, bits, shortest=n, fewest=r) for n, r in pairs]
    for window in windows:
        with measured(method="bptt", window=window, stages=len(sizes), bits=bits, seed=seed) as row:
            row["chance"] = in_bits(sizes[-1].chance, sizes[-1])
            start = RepeatCopying(1, 1, bits)
            row |= climb(start, sizes, window, seed, batches, hidden=hidden, batch=batch, lr=lr, clip=clip)
        yield row


def climb(
    start: Task,
    sizes: Sequence[Task],
    window: int,
    seed: int,
    batches: int,
    *,
    hidden: int,
    batch: int,
    lr: float,
    clip: float,
) -> dict[str, Any]:
    """Learn along a curriculum to the last size; returns what the table shows."""
    net = Sequential(LSTM(start.n_in, hidden, rng=2 * seed), Linear(hidden, start.n_out, rng=2 * seed + 1))
    trainer = Trainer(net, SigmoidCrossEntropy(), lr=lr, clip=clip)
    curriculum = Curriculum(start, size=batch, seed=seed, threshold=SOLVED)
    fresh = [task.batch(0, size=500, seed=EVALUATION_SEED + seed) for task in sizes]
    held_out = sizes[-1].batch(1, size=500, seed=EVALUATION_SEED + seed)  # says when to stop, with room to spare
    for _ in progress(range(batches), f"{type(start).__name__} window {window} seed {seed}"):
        value = learn(trainer, next(curriculum), window)
        if len(curriculum.history) < len(sizes):
            curriculum.update(value)
        elif curriculum.position % CHECK == 0 and in_bits(loss_of(net, held_out), start) < SOLVED / 2:
            break
    losses = [in_bits(loss_of(net, episodes), start) for episodes in fresh]
    solved = next((i for i, loss in enumerate(losses) if loss >= SOLVED), len(losses))
    return {"solved": solved, "batches": curriculum.position, "loss": losses[-1]}


def learn(trainer: Trainer, episodes: tuple, window: int) -> float:
    """An update for each window of the sequences that asks for an answer; returns the loss of all of them.

    The mask is not needed, for what follows a sequence's end is behind its last answer.
    """
    x, labels, _, counted = episodes
    s, total = None, 0.0
    for a in range(0, len(x), window):
        w = slice(a, a + window)
        if counted[w].any():
            value, s = trainer.step(x[w], labels[w][counted[w]], s, where=counted[w])
            total += value * float(counted[w].sum())
        else:
            s = trainer.net.forward(x[w], s)[1]
    return total / float(counted.sum())


def loss_of(net: Sequential, episodes: tuple) -> float:
    """In nats for each counted step."""
    x, labels, _, counted = episodes
    return SigmoidCrossEntropy().value(net.forward(x)[0][counted], labels[counted])


def in_bits(loss: float, task: Task) -> float:
    """A loss in nats for each counted step, as bits for each label."""
    return loss / log(2) / task.n_out
