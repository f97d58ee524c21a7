"""Mistakes that are easy to make with a contract this open: those that can be told are, and the others are pinned."""

import copy
import pickle

import numpy as np
import pytest

from minidni import GRU, SGD, Linear, ReLU, Sequential, SquaredError
from minidni.examples import EXAMPLES, example
from minidni.nn import Layer, Optimiser

X = np.ones((4, 3), np.float32)
LAYERS = [name for name in EXAMPLES if isinstance(example(name)[0], Layer) and example(name)[0].n_params]


@pytest.mark.parametrize("name", LAYERS)
def test_another_layers_cache_of_the_same_name_is_refused(name: str) -> None:
    (layer, *inputs), (other, *_) = example(name, seed=1), example(name, seed=1)
    *outputs, cache = other.forward(*inputs)
    with pytest.raises(
        ValueError, match=r"backward: cache is that of another .*, expected the one that this layer's own"
    ):
        layer.backward(outputs[0], cache)
    assert not any(g.any() for g in layer.grads.values())
    other.backward(outputs[0], cache)


def test_caches_that_were_exchanged_between_layers_are_refused_before_a_gradient_changes() -> None:
    lower, upper = Linear(3, 3, rng=0), Linear(3, 3, rng=1)
    h, below = lower.forward(X)
    y, above = upper.forward(h)
    with pytest.raises(ValueError, match=r"that of another Linear\(3, 3\)"):
        upper.backward(y, below)
    assert not upper.grads.W.any()
    lower.backward(upper.backward(y, above), below)


def test_a_networks_cache_in_another_network_of_the_same_sizes_is_refused() -> None:
    one, other = (Sequential(Linear(3, 3, rng=seed), ReLU()) for seed in (0, 1))
    y, cache = one.forward(X)
    with pytest.raises(ValueError, match=r"Linear\(3, 3\).backward: cache is that of another Linear\(3, 3\)"):
        other.backward(y, cache)


def test_all_layers_of_a_name_without_parameters_are_one_function() -> None:
    _, cache = ReLU().forward(X)
    np.testing.assert_array_equal(ReLU().backward(X, cache), X)


def test_the_same_layers_in_another_network_may_go_back() -> None:
    net = Sequential(Linear(3, 3, rng=0), ReLU())
    y, cache = net.forward(X)
    np.testing.assert_array_equal(Sequential(*net).backward(y, cache), net.backward(y, cache))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))], ids=["copy", "pickle"])
def test_a_layer_and_its_cache_may_be_copied_together_or_apart(copied) -> None:
    layer = GRU(3, 2, rng=0)
    y, _, cache = layer.forward(np.ones((5, 4, 3), np.float32))
    expected, _ = layer.backward(y, cache)
    for other, its in (copied((layer, cache)), (copied(layer), copied(cache)), (copied(layer), cache)):
        np.testing.assert_array_equal(other.backward(y, its)[0], expected)


def test_one_layer_in_two_places_has_a_cache_for_each() -> None:
    shared = Linear(3, 3, rng=0)
    net = Sequential(shared, ReLU(), shared)
    y, cache = net.forward(X)
    net.backward(y, cache)


def test_another_layers_cache_may_still_lend_its_memory() -> None:
    lender, borrower = Linear(3, 3, rng=0), Linear(3, 3, rng=1)
    y, cache = lender.forward(X)
    y, cache = borrower.forward(X, cache=cache)
    borrower.backward(y, cache)
    with pytest.raises(ValueError, match="that of another"):
        lender.backward(y, cache)


def test_two_outputs_in_flight_with_one_cache_get_the_gradient_of_the_second_and_its_print_counts_them() -> None:
    """Nothing in dy says which pass it is from, so this cannot be refused; print(cache) shows it."""
    layer = Linear(3, 2, rng=0)
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 4, 3)).astype(np.float32)
    y, cache = layer.forward(first)
    assert "pass" not in repr(cache)
    dy = np.ones_like(y)
    layer.forward(second, cache=cache)
    assert repr(cache).splitlines()[0] == "Linear(3, 2) cache: 48 bytes kept, pass 2 in it"
    layer.backward(dy, cache)
    np.testing.assert_array_equal(layer.grads.W, second.T @ dy)


def test_without_zero_grads_each_step_takes_all_gradients_from_before() -> None:
    """Adding up minibatches on purpose looks the same, so nothing warns; the optimisers' docstring says it."""
    layer, loss, optimiser = Linear(3, 2, rng=0), SquaredError(), SGD(0.0)
    sums = []
    for _ in range(3):
        y, cache = layer.forward(X)
        layer.backward(loss.gradient(y, np.zeros_like(y)), cache)
        optimiser.step(layer)
        sums.append(layer.grads.W.copy())
    np.testing.assert_allclose(sums[1], 2 * sums[0], rtol=1e-6)
    np.testing.assert_allclose(sums[2], 3 * sums[0], rtol=1e-6)
    assert "zero_grads()" in (Optimiser.__doc__ or "")
