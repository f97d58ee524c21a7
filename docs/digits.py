"""The README's picture and figures: `python docs/digits.py` prints the table and draws docs/pictures/digits.png.

The README's two-layer network on the embedded digits, over five pairs of seeds, beside its controls: the same network
with its first layer left as it was drawn at random, and a linear model, both with the same number of updates.
"""

import platform
from pathlib import Path

import numpy as np

import minidni
from minidni import Adam, Linear, ReLU, Sequential, SoftmaxCrossEntropy, accuracy
from minidni.data import Dataset, batches, load_digits
from minidni.plots import new_figure

EPOCHS, SIZE, RATE, SEEDS = 30, 32, 3e-3, 5
PICTURE = Path(__file__).parent / "pictures" / "digits.png"


def network(seed: int, hidden: int = 64) -> Sequential:
    """The README's network."""
    return Sequential(Linear(64, hidden, rng=2 * seed), ReLU(), Linear(hidden, 10, rng=2 * seed + 1))


def train(net: Sequential, trained: Sequential, digits: Dataset, seed: int) -> dict[str, list[float]]:
    """The README's loop, of which only `trained`, a part of the network, is updated; the curves by epoch."""
    loss, optimiser = SoftmaxCrossEntropy(), Adam(lr=RATE)
    curves: dict[str, list[float]] = {"loss": [], "accuracy": []}
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


def results(digits: Dataset, seeds: int = SEEDS) -> tuple[dict[str, list[float]], Sequential, dict[str, list[float]]]:
    """Test accuracies in per cent by method; seed 0's network and its curves."""
    table: dict[str, list[float]] = {}
    first = None
    for seed in range(seeds):
        net = network(seed)
        curves = train(net, net, digits, seed)
        first = first or (net, curves)
        frozen = network(seed)
        linear = Sequential(Linear(64, 10, rng=seed))
        runs = {
            "two layers": curves,
            "first layer frozen": train(frozen, Sequential(frozen[2]), digits, seed),
            "linear": train(linear, linear, digits, seed),
        }
        for name, run in runs.items():
            table.setdefault(name, []).append(run["accuracy"][-1])
    assert first is not None, "results needs at least one seed"
    return table, *first


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
    table, net, curves = results(digits)
    print(f"Digits, {EPOCHS} epochs of batches of {SIZE}, Adam {RATE:g}; minidni {minidni.__version__}, NumPy ", end="")
    print(f"{np.__version__}, {platform.machine()}; test accuracy in % over {SEEDS} seeds: mean (least to most)")
    for name, values in table.items():
        print(f"{name:<20} {np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})")
    draw(net, curves, digits, PICTURE)


if __name__ == "__main__":
    main()
