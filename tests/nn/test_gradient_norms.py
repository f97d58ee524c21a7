"""clip_norm and normalise_gradients: one factor for all gradients, and no number on the way that overflows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidni import Linear, ReLU, Sequential, clip_norm, normalise_gradients, to_numpy
from minidni.nn import Layer, gradient_norm

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
both = pytest.mark.parametrize("change", [clip_norm, normalise_gradients])


def network(device: str = "cpu", dtype: Any = np.float64, scale: float = 1.0, seed: int = 0) -> Sequential:
    """Two linear layers whose gradients are standard normal times the scale."""
    net, rng = Sequential(Linear(3, 4, dtype=dtype), ReLU(), Linear(4, 2, dtype=dtype)), np.random.default_rng(seed)
    for slab in net.grads.slabs:
        slab[...] = (scale * rng.standard_normal(slab.shape)).astype(dtype)
    return net.to(device)


def gradients(layer: Layer) -> np.ndarray:
    return np.concatenate([to_numpy(slab).astype(np.float64) for slab in layer.grads.slabs])


def norm_of(g: np.ndarray) -> float:
    """The norm in longer numbers than float64 where the machine has them, in units of the largest."""
    largest = np.abs(g).max()
    return float(largest * np.sqrt(np.sum((g / largest).astype(np.longdouble) ** 2)))


@given(seed=st.integers(0, 2**32 - 1), limit=st.floats(0.1, 20))
def test_clipped_to_the_limit_or_left_bit_for_bit(seed: int, limit: float) -> None:
    net = network(seed=seed)
    before = gradients(net)
    norm = float(clip_norm(net, limit))
    assert norm == pytest.approx(norm_of(before), rel=1e-13)
    if norm <= limit:
        np.testing.assert_array_equal(gradients(net), before)
    else:
        np.testing.assert_allclose(gradients(net), before * (limit / norm), rtol=1e-14)


def test_the_norm_is_that_of_all_layers_together(device: str) -> None:
    net = network(device)
    for slab, value in zip(net.grads.slabs, (3.0, 4.0), strict=True):
        slab[...] = 0
        slab[1:2] = value
    assert float(gradient_norm(net)) == 5.0
    clip_norm(net, 1.0)
    np.testing.assert_allclose(sorted(gradients(net))[-2:], [0.6, 0.8], rtol=1e-15)


def test_a_shared_layer_counts_once() -> None:
    layer = Linear(2, 2)
    layer.grads.slabs[0][...] = 1.0
    assert float(gradient_norm(Sequential(layer, layer))) == pytest.approx(np.sqrt(6))


@both
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.float32, scale) for scale in (1e-40, 1e-30, 1.0, 1e30, 1e37)]
    + [(np.float64, scale) for scale in (1e-300, 1e-200, 1.0, 1e200, 1e300)],
)
def test_tiny_and_huge_gradients(
    change: Callable[..., Any], dtype: Any, scale: float, device: str, on_a_gpu: bool
) -> None:
    """The squares of these overflow, or vanish; the direction must not change and no warning come."""
    if on_a_gpu and scale == 1e-40:
        pytest.skip("CuPy's kernels take denormal numbers in float32 for zero")
    net = network(device, dtype, scale)
    before = gradients(net)
    assert float(change(net, 0.5)) == pytest.approx(norm_of(before), rel=1e-12)
    after = gradients(net)
    if change is clip_norm and norm_of(before) < 0.5:
        np.testing.assert_array_equal(after, before)
    else:
        assert norm_of(after) == pytest.approx(0.5, rel=1e-6)
        np.testing.assert_allclose(after / 0.5, before / norm_of(before), rtol=1e-6)


@both
@dtypes
@pytest.mark.parametrize("wanted", [1e-3, 1.0, 1e6])
def test_zero_gradients_stay_zero(change: Callable[..., Any], dtype: Any, wanted: float, device: str) -> None:
    net = network(device, dtype, 0.0)
    assert float(change(net, wanted)) == 0
    np.testing.assert_array_equal(gradients(net), 0)


@both
def test_a_layer_without_parameters_has_norm_zero(change: Callable[..., Any]) -> None:
    assert float(change(ReLU(), 1.0)) == 0


@both
def test_the_norm_before_comes_back_as_an_array_on_the_device(change: Callable[..., Any], device: str) -> None:
    net = network(device)
    norm = change(net, 1.0)
    assert np.shape(to_numpy(norm)) == ()
    assert to_numpy(norm).dtype == np.float64


@dtypes
def test_normalised_gradients_have_the_norm_asked_for(dtype: Any, device: str) -> None:
    net = network(device, dtype)
    normalise_gradients(net)
    assert norm_of(gradients(net)) == pytest.approx(1.0, rel=1e-6)
    normalise_gradients(net, 7.0)
    assert norm_of(gradients(net)) == pytest.approx(7.0, rel=1e-6)
