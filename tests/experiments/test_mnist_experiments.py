"""The experiments with classifiers: their quick settings beside their controls, and what they do without MNIST."""

import numpy as np
import pytest

from minidni.__main__ import main
from minidni.dni import DirectFeedbackAlignment, Greedy, Synthesizer, Zero
from minidni.experiments import EXPERIMENTS
from minidni.experiments.classifiers import SETS, chain_of, fully_connected, load, step_of
from minidni.experiments.mnist_cnn import SIDES, convolutional_layers, images
from minidni.experiments.mnist_depth import signal_of
from minidni.nn import Linear

MNIST_EXPERIMENTS = ("mnist-depth", "mnist-cnn", "random-updates")


def errors(name, **changes):
    """method -> error of one seed with quick settings; for random updates the method with its probability."""
    experiment = EXPERIMENTS[name]
    rows = experiment.rows([1], experiment.settings(quick=True) | changes)
    return {
        (row["method"], row["probability"]) if "probability" in row else row["method"]: row["error"] for row in rows
    }


def test_every_method_beats_the_frozen_trunk_and_labels_close_most_of_the_gap():
    found = errors("mnist-depth")
    assert errors("mnist-depth", methods=("dni",), boundaries="last")["dni"] < found["dni"] < found["frozen"]
    frozen, backprop = found.pop("frozen"), found.pop("backprop")
    assert all(error < frozen - 5 for error in found.values()), (found, frozen)
    assert found["cdni"] - backprop < (frozen - backprop) / 4
    assert found["cdni"] < found["dni"]


def test_convolutional_layers_learn_from_synthetic_gradients():
    found = errors("mnist-cnn", epochs=5)
    assert found["backprop"] < found["frozen"] - 5
    assert found["dni"] < found["frozen"] - 5
    assert found["cdni"] < found["frozen"] - 5


def test_layers_that_update_at_random_learn_too():
    found = errors("random-updates", probabilities=(1.0, 0.5))
    assert found["cdni", 0.5] < found["frozen", 0.0] - 5
    assert found["cdni", 1.0] == pytest.approx(found["backprop", 1.0], abs=5)


def test_all_methods_start_alike_and_update_equally_often():
    experiment = EXPERIMENTS["mnist-depth"]
    rows = list(experiment.rows([1], experiment.settings(quick=True) | {"epochs": 1}))
    assert len({row["updates"] for row in rows}) == 1
    digits = load("digits")
    first, second = (fully_connected(digits.features, 8, 3, digits.n_classes, seed=5) for _ in range(2))
    assert all(
        np.array_equal(a, b)
        for x, y in zip(first, second, strict=True)
        for a, b in zip(x.params.slabs, y.params.slabs, strict=True)
    )


def test_a_frozen_trunk_stays_and_only_its_running_statistics_move():
    digits = load("digits")
    layers = fully_connected(digits.features, 8, 2, digits.n_classes, seed=5)
    chain = chain_of(layers, [Zero()] * 2, trunk_rate=1e-2, head_rate=1e-2)
    before = [slab.copy() for slab in chain.net.params.slabs]
    step_of(chain, "frozen")(digits.x_train[:50], digits.y_train[:50])
    same = [np.array_equal(a, b) for a, b in zip(before, chain.net.params.slabs, strict=True)]
    assert same == [True] * (len(same) - 1) + [False]
    assert any(slab.any() for slab in layers[0].buffers.slabs)


def test_held_out_examples_are_training_examples_that_are_not_trained_on():
    whole, split = load("digits"), load("digits", 300)
    assert len(split.x_train) == len(whole.x_train) - 300
    assert np.array_equal(np.concatenate([split.x_train, split.x_test]), whole.x_train)


@pytest.mark.parametrize("data", ["mnist-1d", "digits"])
def test_the_sets_are_as_large_and_as_hard_as_it_says(data):
    dataset, (n, error) = load(data), SETS[data]
    assert len(dataset.x_train) == n
    assert error == pytest.approx(100 * (1 - np.bincount(dataset.y_test).max() / len(dataset.y_test)), abs=1e-3)


def test_images_are_means_over_squares():
    rows = np.arange(2 * 16.0).reshape(2, 16)
    small = images(rows, 4, 2)
    assert small.shape == (2, 1, 2, 2)
    assert small[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert SIDES["mnist"] ** 2 == 784


def test_the_convolutional_network_takes_either_size():
    for side in (8, 14):
        x = np.zeros((2, 1, side, side), np.float32)
        for layer in convolutional_layers(side, (2, 3), 5, 10, seed=0):
            x, _ = layer.forward(x)
        assert x.shape == (2, 10)


@pytest.mark.parametrize("name", MNIST_EXPERIMENTS)
def test_without_mnist_a_sentence_says_how_to_get_it(name, monkeypatch, tmp_path, capsys):
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.delenv("MINIDNI_DATA", raising=False)
    load.cache_clear()
    assert main(["experiment", name, "--seeds", "1"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "load_mnist(download=True)" in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mnist-depth", "batch=1400", "held_out=38", "data=digits"], "expected together at most 1437"),
        (["mnist-depth", "methods=dmi"], "expected one or more with commas between, each frozen or backprop or"),
        (["mnist-cnn", "pool=3"], "pool is 3, expected a divisor of 28"),
        (["mnist-cnn", "data=mnist-1d"], "expected mnist or digits"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, said, capsys):
    assert main(["experiment", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "kind", "labels"),
    [
        ("frozen", Zero, None),
        ("dni", Synthesizer, False),
        ("cdni", Synthesizer, True),
        ("dfa", DirectFeedbackAlignment, None),
        ("greedy", Greedy, None),
    ],
)
@pytest.mark.parametrize("net", ["sigmoid", "linear"])
def test_the_signals_are_what_the_methods_are_called(method, kind, labels, net):
    rng, above = np.random.default_rng(0), Linear(6, 3, rng=0)
    settings = {"rate": 0.1, "cdni_net": net, "cdni_lr": 0.1, "dni_hidden": 4, "dni_lr": 0.1}
    signal, h = signal_of(method, 6, 3, rng, above, **settings), np.ones((2, 6), np.float32)
    assert type(signal) is kind
    if isinstance(signal, Synthesizer):
        assert bool(signal.n_context(h)) == labels
    if labels is not False:
        assert signal.gradient(h, np.array([0, 2])).shape == h.shape
