"""Dropout: what is dropped, what the rest is divided by, and that the draws are the generator's."""

import math

import numpy as np
import pytest

from minidni import Dropout, Linear, Sequential, to_device, to_numpy


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_entries_are_zero_with_probability_p_and_else_divided_by_what_stays(p: float, device: str) -> None:
    n = 20_000
    x = np.random.default_rng(1).standard_normal(n)
    y = to_numpy(Dropout(p, rng=0).forward(to_device(x, device))[0])
    dropped = y == 0
    assert abs(dropped.mean() - p) < 5 * math.sqrt(p * (1 - p) / n)
    np.testing.assert_allclose(y[~dropped], x[~dropped] / (1 - p), rtol=1e-14)
    ones = to_numpy(Dropout(p, rng=2).forward(to_device(np.ones(n), device))[0])
    assert abs(ones.mean() - 1) < 5 * math.sqrt(p / (1 - p) / n)


def test_the_gradient_goes_where_the_values_went(device: str) -> None:
    layer = Dropout(0.4, rng=0)
    x = to_device(np.ones((30, 5)), device)
    y, cache = layer.forward(x)
    np.testing.assert_array_equal(to_numpy(layer.backward(x, cache)), to_numpy(y))
    np.testing.assert_array_equal(to_numpy(layer.backward(-3 * x, cache)), -3 * to_numpy(y))


def test_every_pass_draws_anew_and_the_seed_decides_on_every_device(device: str) -> None:
    x = np.ones((4, 50), np.float32)
    layer, same = Dropout(0.5, rng=7), Dropout(0.5, rng=np.random.default_rng(7))
    draws = [to_numpy(layer.forward(to_device(x, device))[0]) for _ in range(3)]
    for draw in draws:
        np.testing.assert_array_equal(draw, same.forward(x)[0])
    assert (draws[0] != draws[1]).any()
    assert (draws[0] != Dropout(0.5, rng=8).forward(x)[0]).any()


def test_in_evaluation_nothing_is_dropped_and_nothing_drawn() -> None:
    layer = Dropout(0.5, rng=0)
    layer.training = False
    state, x = layer.rng.bit_generator.state, np.random.default_rng(0).standard_normal((3, 4))
    y, cache = layer.forward(x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(layer.backward(2 * x, cache), 2 * x)
    assert layer.rng.bit_generator.state == state
    assert not np.shares_memory(y, x)


def test_p_zero_drops_nothing() -> None:
    x = np.random.default_rng(0).standard_normal((3, 4))
    np.testing.assert_array_equal(Dropout(0, rng=0).forward(x)[0], x)


def test_a_recycled_cache_keeps_no_old_mask() -> None:
    net, x = Sequential(Linear(3, 3, rng=0), Dropout(0.5, rng=1)), np.ones((20, 3), np.float32)
    _, cache = net.forward(x)
    before = cache["1"].mask.copy()
    net.forward(x, cache=cache)
    assert (cache["1"].mask != before).any()
    assert set(np.unique(cache["1"].mask)) == {0, 2}
