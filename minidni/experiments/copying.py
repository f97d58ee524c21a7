"""The experiments `copy` and `repeat-copy`: how long a pattern can be learned by heart?"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count, product
from math import log
from typing import Any, Literal

import numpy as np

from ..arrays import Array
from ..data import Copying, RepeatCopying
from ..dni import AuxiliaryHead, Synthesizer, networks
from ..nn import LSTM, Adam, Linear, Sequential, SigmoidCrossEntropy
from ..nn.schedules import step_decay
from .loop import EVALUATION_SEED, Trainer, progress
from .registry import experiment
from .rows import Row, measured

Method = Literal["bptt", "dni", "dni+auxiliary"]
Task = Copying | RepeatCopying

SOLVED = 0.15  # bits for each bit of the answer
HARDEST = 0.3  # of the batches are of the hardest task so far; the others are of any up to it
DROPS = {0.75: 0.1}  # the rate's factor from this part of the updates on: what was reached settles
CHECK = 50  # batches between two looks whether everything is solved, with room to spare


def copy_chance(*, length: int, bits: int, **_: object) -> dict[str, float]:
    """Bits for each bit of the answer."""
    return {"no bit remembered": in_bits(Copying(length, bits).chance, Copying(length, bits)), "solved below": SOLVED}


@experiment(
    "copy",
    measures={"solved": "length", "reached": "length", "updates": "", "loss": "bits a bit", "chance": "bits a bit"},
    quick={"length": 3, "windows": (3,), "hidden": 32, "updates": 2_000, "lr": 5e-3},
    beside=copy_chance,
)
def copy(
    seed: int,
    *,
    length: int = 12,
    bits: int = 1,
    methods: tuple[Method, ...] = ("bptt", "dni", "dni+auxiliary"),
    windows: tuple[int, ...] = (2, 3, 4, 5),
    hidden: int = 64,
    batch: int = 32,
    updates: int = 12_000,
    lr: float = 3e-3,
    synthesizer_lr: float = 1e-3,
    scale: float = 0.5,
    auxiliary: float = 0.1,
    clip: float = 1.0,
) -> Iterator[Row]:
    """With synthetic gradients, windows of 4 steps copy patterns as long as windows of 8 without.

    An LSTM is shown random bits and must say them again after a delimiter. A curriculum starts with patterns of one
    step and makes them longer by one as soon as the loss of a batch of the longest is below 0.15 bits for each bit of
    the answer: this is the length *reached*. *Solved* is the length up to which all are below it in the end, on 500
    fresh sequences of each; the loss is that at the full length. An update is a window, and all methods have equally
    many; training ends earlier if all are at half of 0.15.

    The sequences of a batch are equally long. The first window's length is drawn, so that the windows' ends fall
    anywhere. A window's loss is summed over its steps, for a mean would weigh a step by how many others count in the
    window where it happens to fall.

    The settings were chosen on seed 11, a few on seed 12, by the length that dni reaches at a window of 3. Those of the
    synthesizer matter little (scale 0.5 to 0.9, rate 3e-4 to 3e-3); an MLP, or gradient descent on the standardised
    state, is worse, and so is a larger weight of the head.

    Args:
        seed: of the weights and of what is learned from.
        length: steps of the longest pattern.
        bits: in each of its steps.
        methods: what stands at a window's end: nothing (bptt), a synthesizer (dni), or that and a head that foretells
            the next window's synthetic gradient (dni+auxiliary).
        windows: over how many steps the gradient goes back; a whole sequence has 2 length + 1.
        hidden: units of the LSTM.
        batch: sequences in a batch; all are new.
        updates: windows to learn from, at most.
        lr: learning rate of Adam; for the last quarter of the updates it is a tenth of this.
        synthesizer_lr: that of the synthesizer and of the head.
        scale: of the synthetic gradient: a discount at each boundary.
        auxiliary: weight of the head's loss.
        clip: largest norm of the gradient.
    """
    sizes = [Copying(n, bits, shortest=n) for n in range(1, length + 1)]
    how = {"scale": scale, "auxiliary": auxiliary, "lr": lr, "synthesizer_lr": synthesizer_lr, "clip": clip}
    for method, window in product(methods, windows):
        with measured(method=method, window=window, length=length, bits=bits, seed=seed) as row:
            row["chance"] = in_bits(sizes[-1].chance, sizes[-1])
            row |= climb(sizes, method, window, seed, updates, hidden=hidden, batch=batch, **how)
        yield row


def repeat_copy_chance(*, length: int, bits: int, **_: object) -> dict[str, float]:
    """Bits for each bit of the answer."""
    task = RepeatCopying(length, length, bits, shortest=length, fewest=length)
    return {"no bit remembered": in_bits(task.chance, task), "solved below": SOLVED}


@experiment(
    "repeat-copy",
    measures={"solved": "stages", "reached": "stages", "updates": "", "loss": "bits a bit", "chance": "bits a bit"},
    quick={"length": 2, "windows": (3,), "hidden": 32, "updates": 2_000, "lr": 5e-3},
    beside=repeat_copy_chance,
)
def repeat_copy(
    seed: int,
    *,
    length: int = 5,
    bits: int = 1,
    methods: tuple[Method, ...] = ("bptt", "dni", "dni+auxiliary"),
    windows: tuple[int, ...] = (2, 3),
    hidden: int = 64,
    batch: int = 32,
    updates: int = 10_000,
    lr: float = 3e-3,
    synthesizer_lr: float = 1e-3,
    scale: float = 0.5,
    auxiliary: float = 0.1,
    clip: float = 1.0,
) -> Iterator[Row]:
    """As `copy`, but the pattern is asked for several times, as often as is shown, and its end as well.

    The curriculum's stages are 1 x 1 (steps x repeats), 2 x 1, 2 x 2, 3 x 2, 3 x 3, and so on. A stage that was reached
    is not solved in the end if the network takes one count for another: they are shown as 0.1, 0.2 and so on. The
    settings are those of `copy`, not chosen anew.

    Args:
        seed: of the weights and of what is learned from.
        length: steps of the longest pattern, and the largest number of repeats.
        bits: in each of its steps.
        methods: as in `copy`.
        windows: over how many steps the gradient goes back; a whole sequence has length (length + 1) + 2.
        hidden: units of the LSTM.
        batch: sequences in a batch; all are new.
        updates: windows to learn from, at most.
        lr: learning rate of Adam; for the last quarter of the updates it is a tenth of this.
        synthesizer_lr: that of the synthesizer and of the head.
        scale: of the synthetic gradient: a discount at each boundary.
        auxiliary: weight of the head's loss.
        clip: largest norm of the gradient.
    """
    pairs = [(1, 1), *((n, r) for n in range(2, length + 1) for r in (n - 1, n))]
    sizes = [RepeatCopying(n, r, bits, shortest=n, fewest=r) for n, r in pairs]
    how = {"scale": scale, "auxiliary": auxiliary, "lr": lr, "synthesizer_lr": synthesizer_lr, "clip": clip}
    for method, window in product(methods, windows):
        with measured(method=method, window=window, stages=len(sizes), bits=bits, seed=seed) as row:
            row["chance"] = in_bits(sizes[-1].chance, sizes[-1])
            row |= climb(sizes, method, window, seed, updates, hidden=hidden, batch=batch, **how)
        yield row


class PerSequence(SigmoidCrossEntropy):
    """The sum over the steps that count, mean over the sequences of a batch."""

    def __init__(self, batch: int):
        super().__init__()
        self.batch = batch

    def value(self, h: Array, labels: Array) -> float:
        """In nats."""
        return super().value(h, labels) * len(labels) / self.batch

    def gradient(self, h: Array, labels: Array) -> Array:
        """By h."""
        return super().gradient(h, labels) * (len(labels) / self.batch)


def climb(
    sizes: Sequence[Task],
    method: Method,
    window: int,
    seed: int,
    updates: int,
    *,
    hidden: int,
    batch: int,
    scale: float,
    auxiliary: float,
    lr: float,
    synthesizer_lr: float,
    clip: float,
) -> dict[str, Any]:
    """Learn along a curriculum to the last size; returns what the table shows."""
    net = Sequential(LSTM(sizes[0].n_in, hidden, rng=2 * seed), Linear(hidden, sizes[0].n_out, rng=2 * seed + 1))
    n, synthesizer, head = net.n_state, None, None
    if method != "bptt":
        synthesizer = Synthesizer(networks.linear(n, rng=0), Adam(synthesizer_lr), scale)
    if method == "dni+auxiliary":
        head = AuxiliaryHead(Linear(n, n, rng=seed), Adam(synthesizer_lr), auxiliary)
    rate = partial(step_decay, lr=lr, total=updates, factors=DROPS)
    trainer = Trainer(net, PerSequence(batch), lr=rate, clip=clip, synthesizer=synthesizer, head=head)
    fresh = [task.batch(0, size=500, seed=EVALUATION_SEED + seed) for task in sizes]
    held_out = [task.batch(1, size=500, seed=EVALUATION_SEED + seed) for task in reversed(sizes)]
    rng, reached = np.random.default_rng(seed), 0
    for number in progress(count(), f"{type(sizes[0]).__name__} {method} window {window} seed {seed}"):
        hardest = min(reached, len(sizes) - 1)
        at = hardest if rng.random() < HARDEST else int(rng.integers(hardest, endpoint=True))
        episodes = sizes[at].batch(number, size=batch, seed=seed)
        bits = in_bits(learn(trainer, episodes, window, int(rng.integers(1, window, endpoint=True))), sizes[0])
        if at == reached and bits < SOLVED:
            reached += 1
        look = reached == len(sizes) and number % CHECK == 0
        settled = look and all(in_bits(loss_of(net, episodes), sizes[0]) < SOLVED / 2 for episodes in held_out)
        if settled or trainer.updates >= updates:
            break
    losses = [in_bits(loss_of(net, episodes), sizes[0]) for episodes in fresh]
    first = next((i for i, loss in enumerate(losses) if loss >= SOLVED), len(losses))
    return {"solved": first, "reached": reached, "updates": trainer.updates, "loss": losses[-1]}


def learn(trainer: Trainer, episodes: tuple, window: int, first: int) -> float:
    """An update for each window of the sequences, the first of its own length; returns the loss of all of them.

    Where nothing is asked for, the synthetic gradient is all there is. The mask is not needed, for the sequences are
    equally long.
    """
    x, labels, _, counted = episodes
    s, total = None, 0.0
    for a in range(first - window, len(x), window):
        w = slice(max(a, 0), a + window)
        value, s = trainer.step(x[w], labels[w][counted[w]], s, where=counted[w], last=a + window >= len(x))
        total += value
    return total * x.shape[1] / float(counted.sum())


def loss_of(net: Sequential, episodes: tuple) -> float:
    """In nats for each counted step."""
    x, labels, _, counted = episodes
    return SigmoidCrossEntropy().value(net.forward(x)[0][counted], labels[counted])


def in_bits(loss: float, task: Task) -> float:
    """A loss in nats for each counted step, as bits for each label."""
    return loss / log(2) / task.n_out
