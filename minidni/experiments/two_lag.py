"""The experiments `two-lag` and `two-lag-reach`: how far back does a window of a given length see?"""

from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from typing import Literal

import numpy as np

from ..data import TwoLag
from ..dni import Synthesizer, networks
from ..nn import GRU, LSTM, SGD, Linear, Sequential, SigmoidCrossEntropy
from ..nn.optimisers import Rate
from ..nn.schedules import cosine_decay
from .loop import EVALUATION_SEED, Trainer, progress
from .registry import experiment
from .rows import Row, measured

Method = Literal["dni", "bptt"]

CHECK = 100  # windows between two looks whether a pair of lags is learned


def floors(*, lags: tuple[int, int], **_: object) -> dict[str, float]:
    """The lowest loss by what is remembered."""
    names = {(): "nothing remembered", lags[:1]: f"lag {lags[0]} only", lags[1:]: f"lag {lags[1]} only", lags: "both"}
    return {names[kept]: floor for kept, floor in TwoLag(lags).floors.items()}


@experiment(
    "two-lag",
    measures={"loss": "nats", "floor": "nats"},
    quick={"updates": 1_500, "reference_updates": 150},
    beside=floors,
)
def two_lag(
    seed: int,
    *,
    lags: tuple[int, int] = (3, 5),
    methods: tuple[Method, ...] = ("dni", "bptt"),
    windows: tuple[int, ...] = (2,),
    reference: int | None = 20,
    hidden: int = 32,
    batch: int = 128,
    updates: int = 4_000,
    reference_updates: int = 400,
    lr: float = 3e-3,
    bptt_lr: float = 1e-3,
    reference_lr: float = 1e-2,
    scale: float = 0.8,
    synthesizer_lr: float = 1e-2,
    synthesizer_decay: float = 0.3,
    clip: float = 1.0,
) -> Iterator[Row]:
    """With synthetic gradients, windows of 2 reach the floor of the two-lag task; without, they do not.

    An LSTM predicts a coin whose bias depends on two earlier inputs. Its state is carried from window to window. With
    bptt no gradient crosses between them; with dni a synthesizer, a linear map of the standardised state, predicts at
    the end of a window the gradient from beyond it, and learns at the start of the next. Both take equally many updates
    on the same sequences. The reference, by bptt, has a window that holds both lags, and reads equally many time steps.
    The loss is measured on 400 steps of 1000 fresh sequences.

    With windows of 2 and lags (3, 4), (2, 5) and (3, 5), dni comes within 0.01 nats of the floor on 10, 9 and 10 of the
    seeds 1 to 10, bptt on none. Settings were chosen on seeds 11 to 13 with lags (3, 5), each method's rate for itself.
    What mattered on seed 12, most first:

    - Gradient descent for the synthesizer. Adam moves each weight by about its rate, however small the gradients are
      that it is to learn; with it the cells of the LSTM grew without end.
    - Its rate. At a tenth of it the LSTM follows a message that is out of date, and stops short of the floor; at ten
      times as much it diverges.
    - Standardised input, which makes it faster, and weight decay, which keeps the cells small.
    - The scale, a discount at each boundary, hardly: with windows of 2, from 0.3 to 1, it reaches the floor.

    The reach ends soon after: with lags (4, 6) the loss stays near 0.57 on seeds 11 and 12. A target that was
    bootstrapped at several boundaries tells of an input only what the states on the way remember of it. See
    `two-lag-reach` for growing lags, and `bp-lambda` for targets of another kind.

    Args:
        seed: of the weights and of what is learned from.
        lags: how many steps back the two inputs are.
        methods: with synthetic gradients (dni), or by truncated back-propagation alone (bptt).
        windows: lengths of the window, in time steps.
        reference: the window of one more run by bptt, longer than both lags; none to leave it out.
        hidden: units of the LSTM.
        batch: sequences side by side.
        updates: windows to learn from.
        reference_updates: windows that the reference learns from.
        lr: learning rate of Adam for dni, at the start; each rate falls to 0 along half a cosine.
        bptt_lr: the same for bptt.
        reference_lr: the same for the reference.
        scale: of the synthetic gradient, as a discount at each boundary.
        synthesizer_lr: learning rate of the synthesizer's gradient descent, at the start.
        synthesizer_decay: its weight decay.
        clip: largest norm of the gradient.
    """
    task = TwoLag(lags)
    rates = {"dni": lr, "bptt": bptt_lr}
    runs = [(method, window, updates, rates[method]) for window in windows for method in methods]
    if reference is not None:
        runs.append(("bptt", reference, reference_updates, reference_lr))
    for method, window, total, rate in runs:
        with measured(method=method, window=window, lags=lags, seed=seed) as row:
            row["floor"] = task.floor
            net, falling = network(seed, hidden), partial(cosine_decay, total=total)
            own = None
            if method == "dni":
                own = synthesizer(net, partial(falling, lr=synthesizer_lr), synthesizer_decay, scale)
            trainer = Trainer(net, SigmoidCrossEntropy(), lr=partial(falling, lr=rate), clip=clip, synthesizer=own)
            s, stream = None, task.windows(size=batch, length=window, seed=seed)
            for _ in progress(range(total), f"two-lag {method} window {window} seed {seed}"):
                x, labels = next(stream)
                _, s = trainer.step(x, labels, s)
            row["loss"] = fresh_loss(net, task, EVALUATION_SEED + seed)
        yield row


def reach_floors(**_: object) -> dict[str, float]:
    """What the loss must pass: halfway between what both lags and what the first alone allow."""
    task = TwoLag(pair(3))
    return {"both": task.floor, "first lag only": task.floors[task.lags[:1]], "learned below": passed(task)}


@experiment(
    "two-lag-reach",
    measures={"longest": "steps", "times": "the window", "after": "windows", "loss": "nats"},
    quick={"windows": (2,), "updates": 500, "hidden": 32, "batch": 64, "lr": 3e-3},
    beside=reach_floors,
)
def two_lag_reach(
    seed: int,
    *,
    methods: tuple[Method, ...] = ("dni", "bptt"),
    windows: tuple[int, ...] = (1, 2, 3, 4, 5),
    hidden: int = 64,
    batch: int = 128,
    updates: int = 2_500,
    lr: float = 1e-3,
    bptt_lr: float = 1e-3,
    scale: float = 0.9,
    synthesizer_lr: float = 1e-2,
    synthesizer_decay: float = 0.3,
    clip: float = 0.1,
) -> Iterator[Row]:
    """With synthetic gradients a window learns longer lags than without.

    A GRU learns pairs of growing lags, one after another: of (2, 3), (3, 4), (3, 5), (4, 6), (5, 7), (5, 8) and so on
    those that exceed the window. The next comes as soon as the mean loss of 100 windows is nearer to the floor of both
    lags than to that of the first alone, and the first pair that is not learned ends the run. On seeds 1 to 3 and with
    windows of 1 to 5, dni is always ahead: it reaches at least 5, 6, 8, 10 and 10 steps, three times the window or more
    for windows of 1 and 2. By bptt a window reaches beyond itself, too, since a state holds traces of earlier inputs
    before anything is learned.

    A synthesizer learns of an input only what the states at the boundaries still tell. So the reach grows from where it
    is: in one go it is shorter, and more units carry it farther. A GRU, since its state is bounded: cells of an LSTM
    grow without end when the lags change. The settings were chosen on seeds 11 and 12.

    Args:
        seed: of the weights and of what is learned from.
        methods: as in `two-lag`.
        windows: lengths of the window, in time steps.
        hidden: units of the GRU.
        batch: sequences side by side.
        updates: windows to learn each pair of lags from, at most; a multiple of 100.
        lr: learning rate of Adam for dni.
        bptt_lr: the same for bptt.
        scale: of the synthetic gradient, as a discount at each boundary.
        synthesizer_lr: learning rate of the synthesizer's gradient descent.
        synthesizer_decay: its weight decay.
        clip: largest norm of the gradient, which leaps when the lags change.
    """
    for window in windows:
        for method in methods:
            with measured(method=method, window=window, seed=seed) as row:
                net, rate, own = gru(seed, hidden), bptt_lr, None
                if method == "dni":
                    rate, own = lr, synthesizer(net, synthesizer_lr, synthesizer_decay, scale)
                trainer = Trainer(net, SigmoidCrossEntropy(), lr=rate, clip=clip, synthesizer=own)
                climb(row, trainer, window, batch, updates, seed)
            yield row


def climb(row: Row, trainer: Trainer, window: int, batch: int, updates: int, seed: int) -> None:
    """Learn pairs of growing lags up to the first that is not learned; the row tells the longest that was."""
    row |= {"longest": 0, "times": 0.0, "after": 0}
    s, seen = None, 0
    for longest in count(max(3, window + 1)):
        task = TwoLag(pair(longest))
        stream = task.windows(size=batch, length=window, seed=seed, skip=seen)
        for _ in progress(range(updates // CHECK), f"two-lag-reach {row['method']} {window} lag {longest} seed {seed}"):
            values = []
            for x, labels in islice(stream, CHECK):
                value, s = trainer.step(x, labels, s)
                values.append(value)
            seen += CHECK
            row["loss"] = float(np.mean(values))  # each window is new, and its loss is from before the update
            if row["loss"] < passed(task):
                break
        else:
            return
        row |= {"longest": longest, "times": longest / window, "after": seen}


def pair(longest: int) -> tuple[int, int]:
    """(2, 3), (3, 4), (3, 5), (4, 6), (5, 7), (5, 8) and so on: the first lag is three fifths of the longest."""
    return -(-3 * longest // 5), longest


def passed(task: TwoLag) -> float:
    """The loss below which both lags are remembered: nearer to their floor than to that of the first alone."""
    return (task.floor + task.floors[task.lags[:1]]) / 2


def network(seed: int, hidden: int) -> Sequential:
    """An LSTM with a read-out."""
    return Sequential(LSTM(1, hidden, rng=2 * seed), Linear(hidden, 1, rng=2 * seed + 1))


def gru(seed: int, hidden: int) -> Sequential:
    """A GRU with a read-out; it keeps its state at the start, as an LSTM does by the bias of its forget gate."""
    net = GRU(1, hidden, rng=2 * seed)
    net.params.b[hidden : 2 * hidden] = 1  # of z, the part of the state that stays
    return Sequential(net, Linear(hidden, 1, rng=2 * seed + 1))


def synthesizer(net: Sequential, lr: Rate, decay: float, scale: float) -> Synthesizer:
    """A linear map of the standardised state, by gradient descent.

    Adam would move every weight by about its rate, however small the gradients are that it is to learn. Of S
    standardised features the matrix of second moments has no eigenvalue above S: below 2 / S the rate is stable.
    """
    map_ = networks.linear(net.n_state, normalise="running", rng=0)
    return Synthesizer(map_, SGD(lr, weight_decay=decay), scale)


def fresh_loss(net: Sequential, task: TwoLag, seed: int) -> float:
    """The mean loss in nats over 400 steps of 1000 new sequences, behind a first 20 steps that do not count."""
    stream, s, losses = task.windows(size=1000, length=20, seed=seed), None, []
    for _ in range(21):
        x, labels = next(stream)
        y, s, _ = net.forward(x, s)
        losses.append(SigmoidCrossEntropy().value(y, labels))
    return sum(losses[1:]) / 20
