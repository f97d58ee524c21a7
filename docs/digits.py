"""The README's picture and figures: `python docs/digits.py` prints the table and draws docs/pictures/digits.png.

The README's two-layer network on the embedded digits, over five seeds, beside its controls: the same network with its
first layer left as it was drawn at random, and a linear model, with the same number of updates. Each method has its own
learning rate, the best of four on a fifth of the training digits, which are not trained on for that choice; the test
digits have no say in it.
"""

import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import minidni
from minidni import Adam, Linear, ReLU, Sequential, SoftmaxCrossEntropy, accuracy
from minidni.data import Dataset, batches, load_digits
from minidni.plots import new_figure

EPOCHS, SIZE, SEEDS = 30, 32, 5
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
PICTURE = Path(__file__).parent / "pictures" / "digits.png"

Curves = dict[str, list[float]]


def two_layers(seed: int) -> tuple[Sequential, Sequential]:
    """The README's network, and the part of it that is trained: all."""
    net = Sequential(Linear(64, 64, rng=2 * seed), ReLU(), Linear(64, 10, rng=2 * seed + 1))
    return net, net


def frozen(seed: int) -> tuple[Sequential, Sequential]:
    """The same network, of which only the last layer is trained."""
    net, _ = two_layers(seed)
    return net, Sequential(net[2])


def linear(seed: int) -> tuple[Sequential, Sequential]:
    """One layer."""
    net = Sequential(Linear(64, 10, rng=seed))
    return net, net


METHODS = {"two layers": two_layers, "first layer frozen": frozen, "linear": linear}


def train(net: Sequential, trained: Sequential, digits: Dataset, seed: int, rate: float) -> Curves:
    """The README's loop, of which only `trained`, a part of the network, is updated; the curves by epoch."""
    loss, optimiser = SoftmaxCrossEntropy(), Adam(lr=rate)
    curves: Curves = {"loss": [], "accuracy": []}
    for epoch in range(EPOCHS):
        losses = []
        for x, labels in batches(digits.x_train, digits.y_train, size=SIZE, seed=seed, epoch=epoch):
            h, cache = net.forward(x)
            losses.append(loss.value(h, labels))
            net.zero_grads()
            net.backward(loss.gradient(h, labels), cache)
            optimiser.step(trained)
        curves["loss"].append(float(np.mean(losses)))
        curves["accuracy"].append(100 * accuracy(net, digits.x_test, digits.y_test))
    return curves


def held_out(digits: Dataset) -> Dataset:
    """The training digits alone, every fifth of them as the test set."""
    last = np.arange(len(digits.x_train)) % 5 == 4
    return replace(
        digits,
        x_train=digits.x_train[~last],
        y_train=digits.y_train[~last],
        x_test=digits.x_train[last],
        y_test=digits.y_train[last],
    )


def best_rate(method: Callable[[int], tuple[Sequential, Sequential]], digits: Dataset) -> float:
    """The learning rate with the best accuracy on held-out training digits, mean of two seeds unlike those reported."""
    part = held_out(digits)

    def score(rate: float) -> float:
        return sum(train(*method(seed), part, seed, rate)["accuracy"][-1] for seed in (100, 101))

    return max(RATES, key=score)


def results(digits: Dataset, rates: dict[str, float], seeds: int = SEEDS) -> dict[str, list[Curves]]:
    """Curves by method, one for each seed."""
    return {
        name: [train(*METHODS[name](seed), digits, seed, rate) for seed in range(seeds)] for name, rate in rates.items()
    }


def draw(net: Sequential, curves: dict[str, list[float]], digits: Dataset, path: Path) -> None:
    """Loss and accuracy by epoch, and the digits that the network gets wrong."""
    read = net.forward(digits.x_test)[0].argmax(axis=-1)
    wrong = np.flatnonzero(read != digits.y_test)[:8]
    figure = new_figure(10, 2.9, "Loss and test accuracy by epoch, and the test digits that are read wrongly")
    grid = figure.add_gridspec(2, 8, width_ratios=[5, 5, 0.3, *[1.6] * 4, 0.01])
    for column, (name, unit) in enumerate(
        {"loss": "loss, mean over the epoch", "accuracy": "test accuracy (%)"}.items()
    ):
        axes = figure.add_subplot(grid[:, column])
        axes.plot(range(1, EPOCHS + 1), curves[name], color="#0072B2")
        axes.set(xlabel="epoch", ylabel=unit, yscale="log" if name == "loss" else "linear")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for place, i in enumerate(wrong):
        axes = figure.add_subplot(grid[place // 4, 3 + place % 4])
        axes.imshow(digits.x_test[i].reshape(digits.image_shape), cmap="gray_r")
        axes.set_title(f"{digits.y_test[i]} read as {read[i]}", fontsize=8)
        axes.set_axis_off()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})


def main() -> None:
    """Print the table and draw the picture."""
    digits = load_digits()
    rates = {name: best_rate(method, digits) for name, method in METHODS.items()}
    print(f"Digits, {EPOCHS} epochs of batches of {SIZE}, Adam; minidni {minidni.__version__}, NumPy ", end="")
    print(f"{np.__version__}, {platform.machine()}; test accuracy in % over {SEEDS} seeds: mean (least to most)")
    for name, runs in results(digits, rates).items():
        last = [run["accuracy"][-1] for run in runs]
        print(f"{name:<20} rate {rates[name]:<6g} {np.mean(last):.2f} ({min(last):.2f} to {max(last):.2f})")
    net, _ = two_layers(0)
    curves = train(net, net, digits, 0, rates["two layers"])
    draw(net, curves, digits, PICTURE)


if __name__ == "__main__":
    main()
