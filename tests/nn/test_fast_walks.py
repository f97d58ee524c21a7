"""The fast walks against the plain ones, bit for bit where that can be asked for, else to rounding."""

import copy
import importlib
import platform
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidni import GRU, LSTM, check_gradients
from minidni.nn.recurrent import base
from minidni.nn.recurrent.fast import products

KINDS = pytest.mark.parametrize("kind", [LSTM, GRU])
SIZES = st.tuples(*(st.integers(1, n) for n in (40, 5, 4, 40)))  # T, B, D, H: H with and without 32 as a divisor


def draw(kind: type, sizes: tuple[int, ...], seed: int, dtype: Any = np.float64) -> tuple[Any, dict[str, Any]]:
    """A layer with random parameters, and random arguments for one pass."""
    T, B, D, H = sizes
    rng = np.random.default_rng(seed)
    layer = kind(D, H, rng=rng, dtype=dtype)
    layer.params.slab[...] += 0.3 * rng.standard_normal(layer.params.slab.shape)
    arrays = {
        "x": rng.standard_normal((T, B, D)),
        "s0": rng.standard_normal((B, layer.n_state)),
        "dy": rng.standard_normal((T, B, H)),
        "dsT": rng.standard_normal((B, layer.n_state)),
    }
    return layer, {name: a.astype(dtype) for name, a in arrays.items()} | {"mask": rng.random((T, B)) < 0.7}


def run(layer: Any, given: dict[str, Any], masked: bool, cache: Any = None) -> tuple[list[np.ndarray], Any]:
    """Everything that a pass answers, on top of accumulators filled with ones."""
    for slab in layer.grads.slabs:
        slab[...] = 1
    y, sT, cache = layer.forward(given["x"], given["s0"], cache, mask=given["mask"] if masked else None)
    dx, ds0 = layer.backward(given["dy"], cache, given["dsT"])
    return [y, sT, dx, ds0, *(g.copy() for g in layer.grads.values())], cache


def assert_close(got: list[np.ndarray], expected: list[np.ndarray], tolerance: float) -> None:
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(b).max()))


@KINDS
@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1), masked=st.booleans())
def test_the_fast_walk_equals_the_plain_one(kind, sizes, seed, masked):
    layer, arguments = draw(kind, sizes, seed)
    plain = copy.deepcopy(layer)
    plain.plain = True
    got, cache = run(layer, arguments, masked)
    expected, plain_cache = run(plain, arguments, masked)
    assert (cache.form, plain_cache.form) == ("features first", "plain")
    assert_close(got, expected, 1e-12)


@KINDS
@pytest.mark.parametrize("sizes", [(70, 16, 3, 64), (3, 40, 2, 96), (1, 1, 1, 1), (40, 33, 5, 20)])
@pytest.mark.parametrize("avx512", [False, True])
def test_every_cut_of_the_products_and_of_the_window_gives_the_same(kind, sizes, avx512, monkeypatch):
    """Sizes at which the weights are cut into several pieces, and the window into several blocks."""
    monkeypatch.setattr(products, "_has_avx512", lambda: avx512)
    monkeypatch.setattr(products, "BLOCK_ROWS", 64)
    products._rows_at_once.cache_clear()
    layer, arguments = draw(kind, sizes, seed=0)
    plain = copy.deepcopy(layer)
    plain.plain = True
    for masked in (False, True):
        assert_close(run(layer, arguments, masked)[0], run(plain, arguments, masked)[0], 1e-12)
    products._rows_at_once.cache_clear()


@KINDS
def test_few_rows_take_the_plain_walk(kind, monkeypatch):
    monkeypatch.setattr(base, "FEWEST_ROWS", 64)
    layer = kind(3, 4, rng=0)
    cache = None
    for T, B, form in ((1, 63, "plain"), (2, 32, "features first"), (64, 1, "features first"), (7, 9, "plain")):
        *_, recycled = layer.forward(np.ones((T, B, 3), np.float32), cache=cache)
        assert recycled.form == form and (cache is None or recycled is cache)
        cache = recycled


def test_this_numpy_has_one_of_the_names_for_avx512():
    """Else the rule for processors with it would never apply, and nothing would say so."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    named = {name for names in extensions.values() for name in names}
    if "AVX512" in str(named) or platform.machine() in ("x86_64", "AMD64"):
        assert named & products.AVX512


def test_products_are_cut_as_documented(monkeypatch):
    monkeypatch.setattr(products, "_has_avx512", lambda: False)
    products._rows_at_once.cache_clear()
    assert [products._rows_at_once(M, 1000) for M in (1024, 96, 100, 1)] == [128, 32, 100, 1]
    monkeypatch.setattr(products, "_has_avx512", lambda: True)
    products._rows_at_once.cache_clear()
    # 1e6 / (321 * 32) is 97, and of 1e6 / (1075 * 64), 14, the smallest cut is taken
    assert [products._rows_at_once(M, KB) for M, KB in ((1024, 321 * 32), (4096, 1075 * 64))] == [64, 32]
    products._rows_at_once.cache_clear()


@KINDS
@given(seed=st.integers(0, 2**32 - 1))
def test_single_precision_stays_near_double(kind, seed):
    layer, arguments = draw(kind, (9, 3, 2, 33), seed)
    double, _ = run(layer, arguments, masked=True)
    single = {name: a if a.dtype == bool else a.astype(np.float32) for name, a in arguments.items()}
    for a, b in zip(run(layer.astype(np.float32), single, masked=True)[0], double, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * max(1, np.abs(b).max()))


@KINDS
@pytest.mark.parametrize("T", range(1, 8))
def test_gradients_of_the_fast_walk_are_right(kind, T):
    """Every parameter, input and state; the complex step, as second witness, runs through the plain forward."""
    layer, arguments = draw(kind, (T, 2, 3, 32 if T == 3 else 4), seed=T)
    report = check_gradients(layer, arguments["x"], arguments["s0"], seed=T)
    assert report.ok, str(report)


@KINDS
def test_a_gradient_that_has_vanished_is_exactly_zero_and_costs_no_products(kind, monkeypatch):
    """A loss at the last step of a long sequence whose gates forget: before some step nothing comes back."""
    layer, arguments = draw(kind, (600, 2, 1, 8), seed=0, dtype=np.float32)
    layer.params.slab[...] = 0  # f = 1/2, or z = 1/2: the gradient halves each step
    x, dsT = arguments["x"], np.ones_like(arguments["dsT"])
    y, _, cache = layer.forward(x)
    counted = []
    module = importlib.import_module(f"minidni.nn.recurrent.fast.{kind.__name__.lower()}")
    monkeypatch.setattr(module, "product", lambda *a, **k: (counted.append(1), products.product(*a, **k)))
    dx, ds0 = layer.backward(None, cache, dsT)
    assert not ds0.any() and not dx[:100].any()
    assert 90 <= len(counted) < 600 + 100
    plain = copy.deepcopy(layer)
    plain.plain = True
    plain.zero_grads()
    dx_plain, _ = plain.backward(None, plain.forward(x)[-1], dsT)
    np.testing.assert_allclose(dx, dx_plain, rtol=1e-4, atol=1e-30)
    # one step with a gradient of its own among the vanished ones is not skipped
    dy = np.zeros_like(y)
    dy[50] = 1
    layer.zero_grads()
    dx, _ = layer.backward(dy, layer.forward(x)[-1], dsT)
    plain.zero_grads()
    dx_plain, _ = plain.backward(dy, plain.forward(x)[-1], dsT)
    np.testing.assert_allclose(dx, dx_plain, rtol=1e-4, atol=1e-30)


def test_denormal_numbers_are_dropped_and_others_kept():
    d = np.array([1e-40, -1e-38, 1e-31, -1e-29, 0.5], np.float32)
    expected = d.copy()
    products.drop_tiny(d, 3, np.empty_like(d))  # not an 8th step
    np.testing.assert_array_equal(d, expected)
    products.drop_tiny(d, 8, np.empty_like(d))
    np.testing.assert_array_equal(d, np.array([0, 0, 0, -1e-29, 0.5], np.float32))
    d = np.array([1e-310, 1e-200])
    products.drop_tiny(d, 0, np.empty_like(d))
    np.testing.assert_array_equal(d, [0, 1e-200])


@KINDS
def test_a_cache_recycled_by_another_walk_keeps_nothing_of_the_first(kind):
    layer, arguments = draw(kind, (5, 2, 3, 4), seed=1)
    _, cache = run(layer, arguments, masked=False)
    layer.plain = True
    old = cache
    recycled, cache = run(layer, arguments, False, old)
    fresh, new = run(layer, arguments, False)
    assert cache is old and cache.form == "plain" and cache.nbytes == new.nbytes
    assert_close(recycled, fresh, 0)
