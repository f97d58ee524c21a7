"""fit: that it learns and is the loop one would write by hand, and that it stops, with a reason, when numbers break."""

import builtins
import re
import sys
import warnings
from typing import Any

import numpy as np
import pytest

from minidni import (
    SGD,
    Adam,
    BatchNorm,
    Dropout,
    Embedding,
    Flatten,
    Linear,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    SquaredError,
    Tanh,
    accuracy,
    clip_norm,
    fit,
    to_device,
    to_numpy,
)
from minidni.data import batches, spirals
from minidni.nn import Layer, Optimiser
from minidni.training import History

RNG = np.random.default_rng(0)
X = RNG.standard_normal((23, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 23)
QUIET: dict[str, Any] = {"progress": False}


def network(seed: int = 0) -> Sequential:
    return Sequential(Linear(4, 6, rng=seed), BatchNorm(6), Tanh(), Dropout(0.2, rng=seed), Linear(6, 3, rng=seed + 1))


def weights(net: Layer) -> np.ndarray:
    return np.concatenate([to_numpy(slab).copy() for slab in [*net.params.slabs, *net.buffers.slabs]])


def by_hand(net: Layer, optimiser: Optimiser, epochs: int, clip: float | None = None) -> list[float]:
    """The loop that fit is, as a lesson writes it."""
    loss, losses = SoftmaxCrossEntropy(), []
    for epoch in range(epochs):
        for x, y in batches(X, Y, size=5, seed=3, epoch=epoch):
            h, cache = net.forward(x)
            losses.append(loss.value(h, y))
            net.zero_grads()
            net.backward(loss.gradient(h, y), cache)
            if clip is not None:
                clip_norm(net, clip)
            optimiser.step(net)
    return losses


def fit_small(net: Layer, optimiser: Optimiser, **changes: Any) -> History:
    settings = {"epochs": 3, "batch_size": 5, "seed": 3, "progress": False, **changes}
    return fit(net, SoftmaxCrossEntropy(), optimiser, X, Y, **settings)


# It learns.


def test_learns_what_neither_a_linear_layer_nor_a_frozen_random_trunk_can() -> None:
    data, loss = spirals(900, noise=0.03, turns=1.25, seed=1), SoftmaxCrossEntropy()
    trunk = Sequential(Linear(2, 48, rng=0), Tanh(), Linear(48, 48, rng=1), Tanh())
    features = [trunk.forward(x)[0].copy() for x in (data.x_train, data.x_test)]

    head, linear = Linear(48, 3, rng=2), Linear(2, 3, rng=2)
    fit(head, loss, Adam(0.01), features[0], data.y_train, epochs=60, **QUIET)
    fit(linear, loss, Adam(0.01), data.x_train, data.y_train, epochs=60, **QUIET)
    net = Sequential(*trunk, Linear(48, 3, rng=2))
    history = fit(net, loss, Adam(0.01), data.x_train, data.y_train, epochs=60, **QUIET)

    assert accuracy(net, data.x_test, data.y_test) > 0.93
    assert accuracy(head, features[1], data.y_test) < 0.75
    assert accuracy(linear, data.x_test, data.y_test) < 0.6
    assert history.stopped is None
    assert history.epochs[-1]["loss"] < 0.2 < 0.8 < history.epochs[0]["loss"]


def test_learns_from_tokens_too() -> None:
    """Whole numbers in: is the first token larger than the second?"""
    tokens = np.array([(a, b) for a in range(8) for b in range(8) if a != b])
    labels = (tokens[:, 0] > tokens[:, 1]).astype(int)
    net = Sequential(Embedding(8, 4, rng=0), Flatten(), Linear(8, 2, rng=1))
    fit(net, SoftmaxCrossEntropy(), Adam(0.05), tokens, labels, epochs=30, **QUIET)
    assert accuracy(net, tokens, labels) > 0.95


# It is the loop by hand.


@pytest.mark.parametrize("clip", [None, 0.5])
def test_equals_the_loop_by_hand_bit_for_bit(clip: float | None) -> None:
    net, hand = network(), network()
    history = fit_small(net, Adam(0.01), clip=clip)
    assert history.losses == by_hand(hand, Adam(0.01), 3, clip)
    np.testing.assert_array_equal(weights(net), weights(hand))


def test_the_history_has_every_step_and_the_mean_of_every_epoch() -> None:
    history = fit_small(network(), SGD(0.1))
    assert len(history.losses) == 3 * 5  # 23 rows, 5 a batch, the last one of 3
    assert [e["epoch"] for e in history.epochs] == [0, 1, 2]
    for e, losses in zip(history.epochs, np.split(np.array(history.losses), 3), strict=True):
        assert e == {"epoch": e["epoch"], "loss": pytest.approx(losses.mean())}
    assert history.stopped is None


def test_the_seed_decides_the_order() -> None:
    runs = [fit_small(network(), SGD(0.1), seed=seed).losses for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]


def test_called_again_it_goes_on_with_the_optimisers_state() -> None:
    net, hand, optimiser, same = network(), network(), Adam(0.01), Adam(0.01)
    for _ in range(2):
        assert fit_small(net, optimiser, epochs=2).losses == by_hand(hand, same, 2)
    np.testing.assert_array_equal(weights(net), weights(hand))
    assert optimiser.state_of(net.params.leaves[0])["steps"] == 20


def test_no_step_is_longer_than_the_clipped_gradient() -> None:
    net = Sequential(Linear(4, 6, rng=0), Tanh(), Linear(6, 3, rng=1))
    lengths, path = [], [weights(net)]

    class Watched(SGD):
        def step(self, layer: Layer) -> None:
            super().step(layer)
            path.append(weights(layer))
            lengths.append(float(np.linalg.norm(path[-1] - path[-2])))

    fit_small(net, Watched(2.0), clip=0.01)
    assert max(lengths) == pytest.approx(0.02, rel=1e-3)


def test_trains_in_training_mode_and_on_a_device_too(device: str) -> None:
    net, there = network(), network().to(device)
    net.training = there.training = False
    expected = fit_small(net, SGD(0.1))
    x, y = to_device(X, device), to_device(Y, device)
    history = fit(there, SoftmaxCrossEntropy(), SGD(0.1), x, y, epochs=3, batch_size=5, seed=3, **QUIET)
    np.testing.assert_allclose(history.losses, expected.losses, rtol=1e-5)
    np.testing.assert_allclose(weights(there), weights(net), rtol=1e-4, atol=1e-6)
    assert there.training
    assert (weights(net)[-12:] != weights(network())[-12:]).any()  # the running statistics have moved


# Validation and accuracy.


def test_validation_is_in_evaluation_mode_and_changes_nothing() -> None:
    net, plain = network(), network()
    history = fit_small(net, SGD(0.1), validation=(X[:9], Y[:9]))
    assert history.losses == fit_small(plain, SGD(0.1)).losses
    np.testing.assert_array_equal(weights(net), weights(plain))
    assert all(layer.training for layer in (net, *net))
    net.training = False
    h = net.forward(X[:9])[0]
    last = history.epochs[-1]
    assert last["validation_loss"] == pytest.approx(SoftmaxCrossEntropy().value(h, Y[:9]), rel=1e-6)
    assert last["validation_accuracy"] == pytest.approx((h.argmax(-1) == Y[:9]).mean())


def test_validation_weighs_rows_alike_when_they_do_not_fit_into_one_batch() -> None:
    x, y = RNG.standard_normal((2300, 4)).astype(np.float32), RNG.integers(0, 3, 2300)
    net = Linear(4, 3, rng=0)
    last = fit_small(net, SGD(0.1), epochs=1, validation=(x, y)).epochs[-1]
    h = net.forward(x)[0]
    assert last["validation_loss"] == pytest.approx(SoftmaxCrossEntropy().value(h, y), rel=1e-5)
    assert last["validation_accuracy"] == pytest.approx((h.argmax(-1) == y).mean(), rel=1e-12)


def test_without_classes_there_is_no_accuracy() -> None:
    net, targets = Linear(4, 2, rng=0), X[:, :2]
    history = fit(net, SquaredError(), SGD(0.1), X, targets, epochs=2, validation=(X, targets), **QUIET)
    assert set(history.epochs[-1]) == {"epoch", "loss", "validation_loss"}
    assert history.epochs[-1]["validation_loss"] < history.epochs[0]["loss"]


def test_accuracy_counts_rows_and_puts_every_layers_mode_back() -> None:
    net = Sequential(Linear(3, 3), BatchNorm(3), Dropout(0.5, rng=0))
    net[0].params.W = np.eye(3)
    net[1].training = False  # frozen by its owner
    x, labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.array([0, 1, 2, 1])
    assert accuracy(net, x, labels, batch_size=3) == 0.75
    assert [layer.training for layer in (net, *net)] == [True, True, False, True]


# When numbers break.


def broken(net: Layer, *, optimiser: Optimiser | None = None, x: Any = X, epochs: int = 3) -> tuple[History, str]:
    """The history and the sentence of a run that must stop and warn, once."""
    with pytest.warns(RuntimeWarning, match=r"^fit stopped at step \d+: ") as caught:
        history = fit(
            net, SoftmaxCrossEntropy(), optimiser or SGD(0.1), x, Y, epochs=epochs, batch_size=5, seed=3, **QUIET
        )
    assert len(caught) == 1
    assert caught[0].filename == __file__  # the warning points at whoever called fit
    assert str(caught[0].message) == history.stopped
    assert "\n" not in history.stopped
    return history, history.stopped


def plain(*scales: float) -> Sequential:
    layers = Linear(4, 6, rng=0), ReLU(), Linear(6, 6, rng=1), ReLU(), Linear(6, 3, rng=2)
    for layer, scale in zip((layers[0], layers[2], layers[4]), scales, strict=False):
        layer.params.W *= scale
    return Sequential(*layers)


def test_a_huge_learning_rate_stops_at_the_first_layer_whose_output_overflows() -> None:
    net = plain()
    history, sentence = broken(net, optimiser=SGD(1e30))
    step = int(re.findall(r"step (\d+)", sentence)[0])
    assert 1 <= step == len(history.losses) <= 3
    assert re.search(r"the output of layer [024], Linear\(\d, \d\), is the first that is not finite$", sentence)
    assert np.isfinite(weights(net)).all()


def test_a_weight_that_is_infinite_is_found_in_its_layer_and_nothing_is_updated() -> None:
    net = plain()
    net[2].params.W[1, 1] = np.inf
    before = weights(net)
    history, sentence = broken(net)
    assert sentence == "fit stopped at step 0: W of layer 2, Linear(6, 6), is the first parameter that is not finite"
    np.testing.assert_array_equal(weights(net), before)
    assert history.losses == history.epochs == []


def test_a_nan_among_the_biases_of_a_network_within_is_found_by_its_place() -> None:
    net = Sequential(Linear(4, 6, rng=0), Sequential(ReLU(), Linear(6, 3, rng=1)))
    net[1][1].params.b[0] = np.nan
    _, sentence = broken(net)
    assert "b of layer 1.1, Linear(6, 3), is the first parameter that is not finite" in sentence


def test_an_output_that_overflows_is_told_from_a_parameter_that_does() -> None:
    net = plain(1e20, 1e20)
    before = weights(net)
    _, sentence = broken(net)
    assert sentence.endswith("the output of layer 2, Linear(6, 6), is the first that is not finite")
    np.testing.assert_array_equal(weights(net), before)


def test_a_nan_in_the_data_stops_at_the_step_that_meets_it_before_anything_is_poisoned() -> None:
    orders, step = [rows for (rows,) in batches(np.arange(23), size=5, seed=3)], 3
    x = X.copy()
    x[orders[step][1], 2] = np.nan
    net, healthy = network(), network()
    history, sentence = broken(net, x=x)
    assert sentence == f"fit stopped at step {step}: the input of layer 0, Linear(4, 6), is not finite"
    assert len(history.losses) == step
    # exactly as after the steps before: neither weights nor batch norm's statistics have met the NaN
    optimiser, loss = SGD(0.1), SoftmaxCrossEntropy()
    for rows in orders[:step]:
        h, cache = healthy.forward(X[rows])
        healthy.zero_grads()
        healthy.backward(loss.gradient(h, Y[rows]), cache)
        optimiser.step(healthy)
    np.testing.assert_array_equal(weights(net), weights(healthy))


def test_a_gradient_that_overflows_is_found_going_back() -> None:
    """All is finite going forward: 1e20 * 1e-30 * 1e25. Going back, 1e25 * 1e20 is too much for float32."""
    net = Sequential(Linear(4, 6, rng=0), Tanh(), Linear(6, 3, rng=1))
    net[0].params.W *= 1e-30
    net[2].params.W *= 1e25
    before = weights(net)
    history, sentence = broken(net, x=(1e20 * X).astype(np.float32))
    assert np.isfinite(history.losses[0])
    assert sentence == (
        "fit stopped at step 0: "
        "the gradient of W of layer 0, Linear(4, 6), is the first, going back, that is not finite"
    )
    np.testing.assert_array_equal(weights(net), before)


def test_of_several_gradients_that_overflow_the_one_met_first_going_back_is_named() -> None:
    class Steep:
        """Anything with value and gradient will do for a loss."""

        def value(self, h: Any, labels: Any) -> float:
            return 1.0

        def gradient(self, h: Any, labels: Any) -> Any:
            return np.full(h.shape, 3e38, h.dtype)

    net = plain()
    before = weights(net)
    with pytest.warns(RuntimeWarning, match="the gradient of b of layer 4, .*, is the first, going back"):
        fit(net, Steep(), SGD(0.1), X, Y, **QUIET)  # type: ignore[arg-type]
    assert not all(np.isfinite(slab).any() for slab in net.grads.slabs)
    np.testing.assert_array_equal(weights(net), before)


def test_a_single_layer_is_named_without_a_place() -> None:
    layer = Linear(4, 3, rng=0)
    layer.params.b[1] = np.inf
    _, sentence = broken(layer)
    assert sentence == "fit stopped at step 0: b of Linear(4, 3) is the first parameter that is not finite"


def test_a_nan_among_the_targets_is_named() -> None:
    net, targets = Linear(4, 2, rng=0), X[:, :2].copy()
    targets[7, 1] = np.nan
    with pytest.warns(RuntimeWarning, match=r"labels\[\d+, 1\] is nan"):
        history = fit(net, SquaredError(), SGD(0.1), X, targets, **QUIET)
    assert history.stopped
    assert np.isfinite(weights(net)).all()


def test_stops_on_a_device_too(device: str) -> None:
    net = plain()
    net[2].params.W[1, 1] = np.inf
    net.to(device)
    with pytest.warns(RuntimeWarning, match="W of layer 2"):
        fit(net, SoftmaxCrossEntropy(), SGD(0.1), to_device(X, device), to_device(Y, device), **QUIET)


def test_a_run_that_overflows_on_the_way_gives_no_other_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(plain(), SoftmaxCrossEntropy(), SGD(1e30), X, Y, **QUIET)
    assert [w.category for w in caught] == [RuntimeWarning]


# The progress bar.


def test_the_bar_is_shown_on_request_and_only_then(capsys: pytest.CaptureFixture[str]) -> None:
    silent = fit_small(network(), SGD(0.1), progress=False)
    assert capsys.readouterr() == ("", "")
    shown = fit_small(network(), SGD(0.1), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "/15 [" in err
    assert shown == silent


def test_without_tqdm_it_trains_silently(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    expected = fit_small(network(), SGD(0.1))
    for name in [name for name in sys.modules if name.partition(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without_tqdm(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "tqdm":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_tqdm)
    assert fit_small(network(), SGD(0.1), progress=True) == expected
    assert capsys.readouterr() == ("", "")


# The picture.


def test_the_plot_draws_the_losses_of_all_steps_and_the_means_of_all_epochs() -> None:
    history = fit_small(network(), SGD(0.1), validation=(X, Y))
    lines = [line.get_ydata() for axes in history.plot().axes for line in axes.lines]
    for expected in (
        history.losses,
        [e["loss"] for e in history.epochs],
        [e["validation_loss"] for e in history.epochs],
        [100 * e["validation_accuracy"] for e in history.epochs],
    ):
        assert any(len(y) == len(expected) and np.allclose(y, expected) for y in lines)


def test_the_plot_of_a_stopped_run_says_why() -> None:
    net = plain()
    history, sentence = broken(net, optimiser=SGD(1e30))
    assert history.plot().get_suptitle() == sentence
    net[0].params.W[0, 0] = np.nan
    history, sentence = broken(net)
    with pytest.raises(ValueError, match=re.escape(f"there is nothing to plot: {sentence}")):
        history.plot()


def test_first_epoch_continues_as_one_longer_call_would() -> None:
    whole, parts = network(), network()
    long, short = Adam(0.01), Adam(0.01)
    expected = fit(whole, SoftmaxCrossEntropy(), long, X, Y, epochs=3, batch_size=5, seed=3, **QUIET)
    first = fit(parts, SoftmaxCrossEntropy(), short, X, Y, epochs=1, batch_size=5, seed=3, **QUIET)
    rest = fit(parts, SoftmaxCrossEntropy(), short, X, Y, epochs=2, batch_size=5, seed=3, first_epoch=1, **QUIET)
    assert first.losses + rest.losses == expected.losses
    np.testing.assert_array_equal(weights(parts), weights(whole))


def test_drop_last_leaves_out_the_row_that_batch_norm_cannot_take() -> None:
    with pytest.raises(ValueError, match=r"too few rows .*drop_last"):
        fit(network(), SoftmaxCrossEntropy(), SGD(0.1), X, Y, epochs=1, batch_size=11, **QUIET)
    history = fit(network(), SoftmaxCrossEntropy(), SGD(0.1), X, Y, epochs=2, batch_size=11, drop_last=True, **QUIET)
    assert len(history.losses) == 4


def test_numbers_that_break_on_the_validation_data_stop_fit_and_keep_the_history() -> None:
    broken = X.copy()
    broken[7, 1] = np.nan
    with pytest.warns(RuntimeWarning, match="on the validation data"):
        history = fit(
            network(), SoftmaxCrossEntropy(), SGD(0.1), X, Y, epochs=2, batch_size=5, validation=(broken, Y), **QUIET
        )
    assert len(history.losses) == 5
    assert history.stopped is not None and "nan" in history.stopped


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (Y[:, None], r"labels has shape \(23, 1\), expected \(23,\)"),
        (np.eye(3)[Y], "labels is float64, expected an array of integers from 0 to 2"),
        (np.eye(3, dtype=int)[Y], r"labels has shape \(23, 3\), expected \(23,\)"),
        (Y + 1, "labels holds 3, expected integers from 0 to 2"),
        (list(Y), "labels is of type list, expected an array with rows"),
        (Y[:5], "labels has 5 rows, expected 23, one for each of x"),
    ],
)
def test_accuracy_refuses_labels_that_it_would_misread(labels: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^accuracy: {words}"):
        accuracy(network(), X, labels)


@pytest.mark.parametrize("where", ["training", "validation"])
def test_fit_refuses_wrong_labels_before_it_trains(where: str) -> None:
    net = network()
    before = weights(net)
    short, validation = (Y[:5], None) if where == "training" else (Y, (X, Y[:5]))
    with pytest.raises(ValueError, match=r"^fit: .*labels has 5 rows, expected 23"):
        fit(net, SoftmaxCrossEntropy(), SGD(0.1), X, short, validation=validation, **QUIET)
    with pytest.raises((TypeError, ValueError), match="labels"):
        fit(net, SoftmaxCrossEntropy(), SGD(0.1), X, Y, validation=(X, np.eye(3)[Y]), **QUIET)
    np.testing.assert_array_equal(weights(net), before)
