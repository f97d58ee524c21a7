"""The experiment `warm-up`: does it help to begin with back-propagation, and with synthesizers at zero?"""

from collections.abc import Iterator

from ..data import mnist1d
from .bootstrap import CURVES, accuracy, against_the_truth, cuts, make_chain, minibatches
from .bootstrap import chance as chance_of_bootstrap
from .loop import progress
from .registry import experiment
from .rows import Row, measured


def chance(
    *,
    depth: int,
    segments: int,
    unlabelled: int,
    lengths: tuple[int, ...],
    at_random: tuple[int, ...],
    updates: int,
    **_: object,
) -> dict[str, float]:
    """The accuracy of who always names the same digit."""
    if (longest := max(*lengths, *at_random)) > updates:
        raise ValueError(f"warm-up: a warm-up has {longest} updates, expected at most {updates}, their number")
    return chance_of_bootstrap(depth=depth, segments=(segments,), unlabelled=(unlabelled,), updates=updates)


@experiment(
    "warm-up",
    measures={"accuracy": "%", "accuracy_before": "%", "first_cosine": "", "first_ratio": ""},
    quick={"depth": 4, "segments": 4, "unlabelled": 2, "lengths": (0, 50), "at_random": (0,), "updates": 200},
    beside=chance,
)
def warm_up(
    seed: int,
    *,
    depth: int = 6,
    segments: int = 6,
    unlabelled: int = 3,
    lengths: tuple[int, ...] = (0, 100, 300, 1_000),
    at_random: tuple[int, ...] = (0, 300),
    width: int = 64,
    batch: int = 100,
    updates: int = 2_000,
    lr: float = 3e-3,
) -> Iterator[Row]:
    """A warm-up helps synthesizers that see labels; a frozen trunk does as well after a long one.

    The networks, the data and the methods are those of `bootstrap`. For the first updates (warm_up) all layers learn by
    back-propagation, and the synthesizers learn from the true gradients without being used; then the segments are
    decoupled. What is gained over the control whose trunk is frozen from then on, the synthesizers have brought;
    without labels (dni) that is nothing, after any of the warm-ups here. Learning rates and the number of updates are
    the same for all; backprop is a warm-up that never ends. The rate falls, so the first updates are the largest, and
    a warm-up is more than its share of their number.

    accuracy_before is that at the end of the warm-up. first_cosine and first_ratio compare the message at the lowest
    boundary with the true gradient there, in the first update that uses it. start is where the synthesizers' last layer
    starts: at zero, or at random, drawn as any other layer is.

    Args:
        seed: of the weights, the curves and their order.
        depth: hidden layers.
        segments: into how many they are cut, for cdni.
        unlabelled: the same for dni.
        lengths: updates of the warm-up, for the synthesizers that start at zero and for the control.
        at_random: the same for those that start at random.
        width: units of a hidden layer.
        batch: curves in a batch.
        updates: of every segment, with those of the warm-up.
        lr: learning rate of Adam at the start, for layers and synthesizers; it falls to 0 along half a cosine.
    """
    curves = mnist1d(CURVES, seed=seed)
    runs = [("backprop", 1, "none", updates)]
    runs += [("frozen trunk", 2, "none", n) for n in lengths]
    for method, parts in (("cdni", segments), ("dni", unlabelled)):
        runs += [(method, parts, start, n) for start, ns in (("zero", lengths), ("random", at_random)) for n in ns]
    for method, parts, start, length in runs:
        what = {"method": method, "segments": parts, "start": start, "warm_up": length}
        with measured(**what, seed=seed) as row:
            chain = make_chain(
                method,
                cuts(depth, parts),
                depth,
                width,
                curves.features,
                seed,
                lr=lr,
                updates=updates,
                zero_start=start != "random",
            )
            stream = minibatches(curves, batch, seed)
            for update in progress(range(updates), f"warm-up {method} {length} seed {seed}"):
                x, labels = next(stream)
                if update < length:
                    chain.backprop(x, labels, learn=True)
                    continue
                if update == length:
                    row["accuracy_before"] = accuracy(chain, curves.x_test, curves.y_test)
                    if method != "frozen trunk":
                        row["first_cosine"], row["first_ratio"] = against_the_truth(chain, x, labels)[0]
                chain.decoupled(x, labels)
            row["accuracy"] = accuracy(chain, curves.x_test, curves.y_test)
        yield row
