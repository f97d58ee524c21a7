"""The experiment `bootstrap`: how much of the true gradient is left below one, two, five synthesizers?"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from ..data import Dataset, batches, mnist1d
from ..dni import Chain, Synthesizer, Zero, networks
from ..nn import Adam, Optimiser, Sequential, SoftmaxCrossEntropy
from ..nn.schedules import cosine_decay
from .classifiers import fully_connected
from .loop import progress
from .registry import experiment
from .rows import Row, measured

CURVES = 25_000  # of MNIST-1D: 20,000 to learn from and 5000 for the test
LOOKS = 20  # at the gradients, in the first tenth of the training and again in the last


def chance(
    *, depth: int, segments: tuple[int, ...], unlabelled: tuple[int, ...], updates: int, **_: object
) -> dict[str, float]:
    """The accuracy of who always names the same digit."""
    for n in (2, *segments, *unlabelled):
        if n < 2:
            raise ValueError(f"bootstrap: {n} segments have no boundary between them, expected at least 2")
        cuts(depth, n)
    if updates < LOOKS:
        raise ValueError(f"bootstrap: updates is {updates}, expected at least {LOOKS}, to look at both ends of them")
    return {"always the same digit": 10.0}


@experiment(
    "bootstrap",
    measures={"accuracy": "%", "cosine_early": "", "ratio_early": "", "cosine": "", "ratio": ""},
    quick={"depth": 4, "segments": (2, 4), "unlabelled": (2,), "lams": (0.5,), "depths": (2,), "updates": 250},
    beside=chance,
)
def bootstrap(
    seed: int,
    *,
    depth: int = 6,
    segments: tuple[int, ...] = (2, 3, 4, 6),
    unlabelled: tuple[int, ...] = (2, 3),
    lams: tuple[float, ...] = (0.5, 0.9),
    depths: tuple[int, ...] = (2, 4),
    width: int = 64,
    batch: int = 100,
    updates: int = 2_000,
    lr: float = 3e-3,
) -> Iterator[Row]:
    """Each synthesizer that learns from another's message passes on less of the true gradient.

    A network of hidden layers (linear map, batch norm, ReLU) and a read-out learns MNIST-1D, cut into segments. The
    last one, a hidden layer with the read-out, is the same however many there are, and so is the control in which it
    alone learns, above a frozen trunk. With depth 6 and 3 segments the cuts are (3, 5): DNI_0, DNI_3 and DNI_5.

    A row is a boundary of a run, named by the layer above it; accuracy and times are those of the run. The message at
    the topmost one is learned from a true gradient, those below from messages. Cosine and norm ratio compare the
    message, without what BP(lambda) mixes in, with the gradient that the whole network has there, in the mean over the
    first tenth of the training (early) and over the last.

    cdni: linear synthesizers that see the labels. dni: synthesizers with a hidden layer, which do not. lam is that of
    BP(lambda): 0 is decoupled, 1 would be backprop. All have the same number of updates. The learning rate was chosen
    for cdni with 6 segments on seed 11: of 0.001, 0.003 and 0.01, the best for the layers; for the synthesizers 0.01
    did as well, on seed 12 too.

    Args:
        seed: of the weights, the curves and their order.
        depth: hidden layers.
        segments: into how many they are cut, for cdni.
        unlabelled: the same for dni.
        lams: other lambdas, for cdni with every layer a segment.
        depths: other depths, with every layer a segment.
        width: units of a hidden layer.
        batch: curves in a batch.
        updates: of every segment.
        lr: learning rate of Adam at the start, for layers and synthesizers; it falls to 0 along half a cosine.
    """
    curves = mnist1d(CURVES, seed=seed)
    runs = [("backprop", depth, 1, 0.0), ("frozen trunk", depth, 2, 0.0)]
    runs += [("cdni", depth, n, 0.0) for n in segments] + [("dni", depth, n, 0.0) for n in unlabelled]
    runs += [("cdni", depth, depth, lam) for lam in lams]
    for d in depths:
        runs += [("backprop", d, 1, 0.0), ("frozen trunk", d, 2, 0.0), ("cdni", d, d, 0.0)]
    for method, layers, n, lam in runs:
        at = cuts(layers, n)
        early: list[list[tuple[float, float]]] = []
        late: list[list[tuple[float, float]]] = []
        with measured(method=method, depth=layers, segments=n, lam=lam, boundary=None, seed=seed) as row:
            chain = make_chain(method, at, layers, width, curves.features, seed, lr=lr, updates=updates)
            stream = minibatches(curves, batch, seed)
            for update in progress(range(updates), f"bootstrap {method} {at} seed {seed}"):
                x, labels = next(stream)
                tenth = 10 * update // updates
                if tenth in (0, 9) and update % max(updates // (10 * LOOKS), 1) == 0:
                    (late if tenth else early).append(against_the_truth(chain, x, labels))
                chain.mixed(x, labels, lam)
            row["accuracy"] = accuracy(chain, curves.x_test, curves.y_test)
        if "stopped" in row or method in ("backprop", "frozen trunk"):
            yield row
            continue
        means = np.concatenate([np.mean(early, axis=0), np.mean(late, axis=0)], axis=1).tolist()
        for boundary, found in zip(at, means, strict=True):
            measures = ("cosine_early", "ratio_early", "cosine", "ratio")
            yield row | {"boundary": boundary} | dict(zip(measures, found, strict=True))


def cuts(depth: int, segments: int) -> tuple[int, ...]:
    """The first layer of each segment but the first; the last one is the topmost hidden layer, the others even."""
    if segments > depth:
        raise ValueError(f"bootstrap: {segments} segments of {depth} hidden layers, expected at least one for each")
    return tuple(-(-(depth - 1) * k // (segments - 1)) for k in range(1, segments))


def make_chain(
    method: str,
    at: Sequence[int],
    depth: int,
    width: int,
    n_in: int,
    seed: int,
    *,
    lr: float,
    updates: int,
    zero_start: bool = True,
) -> Chain:
    """A network with the method's signals at these cuts; its weights are the same whatever these are."""
    net = Sequential(*fully_connected(n_in, width, depth, 10, seed))
    optimiser: Callable[[], Optimiser] = partial(Adam, partial(cosine_decay, lr=lr, total=updates))
    synthesizer_rng = np.random.default_rng(2 * seed + 1)

    def signal(above: Sequential) -> Any:
        if method == "cdni":
            return Synthesizer(networks.linear(width, 10, rng=synthesizer_rng), optimiser(), zero_start=zero_start)
        if method == "dni":
            inside = networks.mlp(width, n_hidden=2 * width, n_layers=1, rng=synthesizer_rng)
            return Synthesizer(inside, optimiser(), zero_start=zero_start)
        return Zero()

    return Chain.cut(net, at, signal=signal, loss=SoftmaxCrossEntropy(), optimizer=optimiser)


def minibatches(dataset: Dataset, size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The training examples in minibatches, epoch after epoch, without end."""
    for epoch in count():
        yield from batches(dataset.x_train, dataset.y_train, size=size, seed=seed, epoch=epoch, drop_last=True)


def against_the_truth(chain: Chain, x: np.ndarray, labels: np.ndarray) -> list[tuple[float, float]]:
    """Cosine and norm ratio of the message at each boundary, from the bottom; 0 of a message of zeros."""
    found = chain.compare(x, labels)
    return [(float(np.nan_to_num(one.cosine)), float(one.ratio)) for one in found]


def accuracy(chain: Chain, x: np.ndarray, labels: np.ndarray) -> float:
    """Per cent of the examples."""
    h = chain.predict(x)
    SoftmaxCrossEntropy().value(h, labels)  # raises where an accuracy would hide a NaN
    return 100 * float((h.argmax(axis=-1) == labels).mean())
