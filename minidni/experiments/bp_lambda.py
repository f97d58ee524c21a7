"""The experiments `bp-lambda` and `bp-lambda-fixed`: learn from all later steps, forwards, by eligibility traces."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..bptt import compare, jacobians, state_gradients
from ..data import TwoLag
from ..dni import Synthesizer, TracedSynthesizer, window_jacobian
from ..nn import LSTM, RNN, Adam, Linear, Sequential, SigmoidCrossEntropy, SquaredError
from ..nn.schedules import cosine_decay
from .loop import EVALUATION_SEED, Trainer, progress
from .registry import experiment
from .rows import Row, measured
from .two_lag import floors, fresh_loss

ALIGNED = 0.9  # cosine with the true gradient
CHECK = 10  # batches between two looks at the cosine


def expect_lambdas(where: str, lams: tuple[float, ...]) -> None:
    """Raise unless each is from 0 to 1."""
    for lam in lams:
        if lam > 1:
            raise ValueError(f"{where}: lams has {lam:g}, expected numbers from 0 to 1")


def lowest(*, lams: tuple[float, ...], **settings: Any) -> dict[str, float]:
    """The lowest loss by what is remembered."""
    expect_lambdas("bp-lambda", lams)
    return floors(**settings)


class Traced(TracedSynthesizer):
    """Has the Jacobian of the window before at hand, so that it fits where a `Synthesizer` does."""

    jacobian: Any = None

    def fit(self, trigger: Any, message: Any, context: Any = None, *, mask: Any = None, jacobian: Any = None) -> Any:
        """As in `TracedSynthesizer`."""
        jacobian = self.jacobian if jacobian is None else jacobian
        return super().fit(trigger, message, context, mask=mask, jacobian=jacobian)


@experiment(
    "bp-lambda",
    measures={"loss": "nats", "floor": "nats", "ms": "CPU, a time step"},
    quick={
        "lags": (2, 3),
        "longest": 4,
        "windows": (3,),
        "lams": (1.0,),
        "hidden": 8,
        "steps": 2_000,
        "lr": 5e-3,
        "synthesizer_lr": 3e-3,
    },
    beside=lowest,
)
def bp_lambda(
    seed: int,
    *,
    lags: tuple[int, int] = (3, 5),
    longest: int = 10,
    windows: tuple[int, ...] = (1, 2, 3, 4, 5),
    lams: tuple[float, ...] = (0.5, 0.9, 1.0),
    hidden: int = 12,
    batch: int = 32,
    steps: int = 8_000,
    lr: float = 3e-3,
    synthesizer_lr: float = 1e-3,
    scale: float = 0.3,
    traced_scale: float = 0.95,
    clip: float = 1.0,
) -> Iterator[Row]:
    """With a trace, windows of one step learn what the same synthesizer learns with windows of three.

    An LSTM learns the two-lag task online: with windows of one step, and a synthesizer that learns by accumulate
    BP(lambda). Beside it stands the synthesizer that bootstraps over windows of n steps, without a trace (dni); with
    n = 1 it is BP(0). The controls are truncated back-propagation over one step, and over more than the lags. All read
    equally many time steps. A synthesizer that is better suited to windows without a trace is in `two-lag`; here both
    sides have the plain linear map and Adam. What a trace costs is in the column ms: it holds batch S S (S + 1)
    numbers, S = 2 hidden.

    The learning rates and scales were chosen on seed 11 with lags (3, 5): of 0.3 and 0.9 the better scale for dni; with
    a trace 0.9 and 1 did equally well.

    Args:
        seed: of the weights and of what is learned from.
        lags: how many steps back the two inputs are.
        longest: the window of the control that sees both lags.
        windows: n, lengths of the windows without a trace.
        lams: lambda, for windows of one step with a trace.
        hidden: units of the LSTM.
        batch: sequences side by side.
        steps: time steps to learn from.
        lr: learning rate of Adam at the start; it falls to 0 along half a cosine.
        synthesizer_lr: learning rate of the synthesizer's Adam.
        scale: of the synthetic gradient, without a trace.
        traced_scale: of the synthetic gradient, with a trace: the discount gamma.
        clip: largest norm of the gradient.
    """
    task = TwoLag(lags)
    runs: list[tuple[str, int, Any]] = [("bptt", 1, None), ("bptt", longest, None)]
    runs += [("dni", window, 0.0) for window in windows] + [("bp-lambda", 1, lam) for lam in lams]
    for method, window, lam in runs:
        with measured(method=method, window=window, lam=lam, lags=lags, seed=seed) as row:
            row["floor"] = task.floor
            net = Sequential(LSTM(1, hidden, rng=2 * seed), Linear(hidden, 1, rng=2 * seed + 1))
            map_, own = Linear(net.n_state, net.n_state, rng=0), Adam(synthesizer_lr)
            traced = Traced(map_, own, traced_scale, lam) if method == "bp-lambda" else None
            synthesizer = Synthesizer(map_, own, scale) if method == "dni" else traced
            count = -(-steps // window)
            rate = partial(cosine_decay, lr=lr, total=count)
            trainer = Trainer(net, SigmoidCrossEntropy(), lr=rate, clip=clip, synthesizer=synthesizer)
            s: Any = None
            stream, cpu = task.windows(size=batch, length=window, seed=seed), time.process_time()
            for _ in progress(range(count), f"bp-lambda {method} window {window} lambda {lam} seed {seed}"):
                x, labels = next(stream)
                J = None if traced is None or s is None else window_jacobian(net, x, s)
                _, s = trainer.step(x, labels, s)
                if traced is not None:
                    traced.jacobian = J
            row["ms"] = 1000 * (time.process_time() - cpu) / (count * window)
            row["loss"] = fresh_loss(net, task, EVALUATION_SEED + seed)
        yield row


def aligned(*, lams: tuple[float, ...], batches: int, **_: object) -> dict[str, float]:
    """The cosine of what is aligned for certain."""
    expect_lambdas("bp-lambda-fixed", lams)
    if batches < CHECK:
        raise ValueError(f"bp-lambda-fixed: batches is {batches}, expected at least {CHECK}, to look once")
    return {"the true gradient": 1.0}


@experiment(
    "bp-lambda-fixed",
    measures={
        "cosine": "mean over the boundaries",
        "first_cosine": "at the first boundary",
        "aligned_after": "batches",
    },
    quick={"lams": (1.0,), "batches": 40},
    beside=aligned,
)
def bp_lambda_fixed(
    seed: int,
    *,
    length: int = 10,
    lams: tuple[float, ...] = (0.5, 0.9, 1.0),
    hidden: int = 30,
    inputs: int = 3,
    batch: int = 32,
    batches: int = 300,
    lr: float = 1e-2,
) -> Iterator[Row]:
    """On a fixed RNN a synthetic gradient turns towards the true one sooner with a trace than without.

    An RNN that does not learn sees a stimulus at the first step, and a loss at the last step alone asks a linear
    function of it. A linear synthesizer learns the gradient at each boundary between two steps, by BP(lambda) with
    scale 1: with lambda = 0 what it knows spreads from the end to the start by a step a batch, at best. As a reference
    the same synthesizer is fitted to the true gradient. The cosines with it are measured on 500 fresh sequences, their
    mean over the boundaries and that at the first, farthest from the loss; aligned is who has a mean of 0.9, and NaN
    stands for never. The learning rate was chosen on seed 11, of 0.001 and 0.01: the better one for every lambda.

    Args:
        seed: of the weights and the stimuli.
        length: time steps in a sequence.
        lams: lambda, beside 0.
        hidden: units of the RNN.
        inputs: numbers in a stimulus.
        batch: sequences in a batch; all are new.
        batches: to learn from.
        lr: learning rate of the synthesizer's Adam.
    """
    rng = np.random.default_rng(seed)
    net = Sequential(RNN(inputs, hidden, rng=rng), Linear(hidden, inputs, rng=rng))
    wanted = rng.standard_normal((inputs, inputs), dtype=np.float32)
    fresh = boundaries(net, *stimuli(np.random.default_rng(EVALUATION_SEED + seed), wanted, length, 500))
    for method, lam in [*(("bp-lambda", lam) for lam in (0.0, *lams)), ("the true gradient", None)]:
        with measured(method=method, lam=lam, length=length, seed=seed) as row:
            row["aligned_after"] = np.nan
            map_, stream = Linear(hidden, hidden, rng=0), np.random.default_rng(seed)
            synthesizer = TracedSynthesizer(map_, Adam(lr), lam=lam or 0.0)
            for number in progress(range(batches), f"bp-lambda-fixed {method} lambda {lam} seed {seed}"):
                x, labels = stimuli(stream, wanted, length, batch)
                if lam is None:
                    for s, ds in zip(*boundaries(net, x, labels), strict=True):
                        synthesizer.fit(s, ds)
                else:
                    read(net, synthesizer, x, labels)
                if number % CHECK == CHECK - 1:
                    cosines = alignment(synthesizer, *fresh)
                    if np.mean(cosines) > ALIGNED and np.isnan(row["aligned_after"]):
                        row["aligned_after"] = number + 1
            row["cosine"], row["first_cosine"] = float(np.mean(cosines)), cosines[0]
        yield row


def stimuli(rng: np.random.Generator, wanted: np.ndarray, length: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (length, size, D) that are 0 after the first step, and what is asked at the end (size, D)."""
    x = np.zeros((length, size, len(wanted)), np.float32)
    x[0] = 0.3 * rng.standard_normal(x.shape[1:])
    return x, x[0] @ wanted


def read(net: Sequential, synthesizer: TracedSynthesizer, x: np.ndarray, labels: np.ndarray) -> None:
    """One batch of sequences, a step at a time, from which the synthesizer learns and the network does not."""
    synthesizer.forget()
    T, s, J = len(x), None, jacobians(net, x)
    for t in range(T):
        y, sT, cache = net.forward(x[t : t + 1], s)
        last = t == T - 1
        dy = SquaredError().gradient(y[0], labels)[None] if last else None
        _, ds0 = net.backward(dy, cache, None if last else synthesizer.predict(sT))
        if s is not None:
            synthesizer.fit(s, ds0, jacobian=J[t - 1])
        s = sT


def boundaries(net: Sequential, x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The states between the steps, and the true gradients by them, both (T - 1, B, S)."""
    y, states, s = np.zeros(0), [], None
    for t in range(len(x)):
        y, s, _ = net.forward(x[t : t + 1], s)
        states.append(s)
    dy = np.zeros((len(x), *labels.shape), np.float32)
    dy[-1] = SquaredError().gradient(y[0], labels)
    return np.stack(states[:-1]), state_gradients(net, x, dy)[1:-1]


def alignment(synthesizer: Synthesizer, states: np.ndarray, exact: np.ndarray) -> list[float]:
    """The cosine with the true gradient at each boundary, 0 where nothing is predicted."""
    found = [float(compare(synthesizer.predict(s), ds).cosine) for s, ds in zip(states, exact, strict=True)]
    return [0.0 if np.isnan(cosine) else cosine for cosine in found]
