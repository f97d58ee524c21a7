"""Where weights start: scale, shape of the distribution, and the same draw for the same seed."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidni import GRU, LSTM, RNN, Conv2d, Embedding, Linear
from minidni.nn.initialise import fan_in_uniform, fans, glorot, he, identity, orthogonal, zeros

MATRIX, CONVOLUTION = (120, 80), (24, 10, 5, 5)  # 9,600 and 6,000 numbers
shapes = pytest.mark.parametrize("shape", [MATRIX, CONVOLUTION])
seeds = pytest.mark.parametrize("seed", range(5))


def test_fans_of_a_matrix_and_of_a_convolution() -> None:
    assert fans((7, 3)) == (7, 3)
    assert fans((16, 4, 3, 3)) == (36, 144)


@shapes
@seeds
@pytest.mark.parametrize(
    ("init", "variance", "kurtosis"),
    [
        (glorot, lambda n, m: 2 / (n + m), 9 / 5),
        (he, lambda n, m: 2 / n, 3),
        (fan_in_uniform, lambda n, m: 1 / (3 * n), 9 / 5),
    ],
    ids=["glorot", "he", "fan_in_uniform"],
)
def test_mean_variance_and_form(init: Any, variance: Any, kurtosis: float, shape: Any, seed: int) -> None:
    """Within five standard errors of what a uniform (kurtosis 9/5) or normal (3) distribution must give."""
    w = init(np.random.default_rng(seed), shape)
    assert w.shape == shape
    expected, n = variance(*fans(shape)), w.size
    assert abs(w.mean()) < 5 * math.sqrt(expected / n)
    assert abs(w.var() / expected - 1) < 5 * math.sqrt((kurtosis - 1) / n)
    if kurtosis < 3:
        limit = math.sqrt(3 * expected)
        assert 0.99 * limit < np.abs(w).max() <= limit
    else:
        assert np.abs(w).max() > 3 * math.sqrt(expected)


def test_he_keeps_the_scale_through_many_layers_of_relu_and_half_of_it_does_not() -> None:
    rng = np.random.default_rng(0)
    start = h = g = rng.standard_normal((200, 300))
    for _ in range(10):
        W = he(rng, (300, 300))
        h, g = np.maximum(h @ W, 0), np.maximum(g @ W / math.sqrt(2), 0)
    power, scale = (h**2).mean(), (start**2).mean() / 2  # relu keeps half of the power of its input
    assert 0.5 * scale < power < 4 * scale
    assert (g**2).mean() < 0.01 * scale


@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_orthogonal_rows_or_columns(n: int, m: int, seed: int) -> None:
    w = orthogonal(np.random.default_rng(seed), (n, m))
    gram = w @ w.T if n <= m else w.T @ w
    np.testing.assert_allclose(gram, np.eye(min(n, m)), atol=1e-13)


def test_an_orthogonal_convolution_is_so_as_a_matrix() -> None:
    w = orthogonal(np.random.default_rng(0), (4, 3, 2, 2)).reshape(4, 12)
    np.testing.assert_allclose(w @ w.T, np.eye(4), atol=1e-13)


def test_orthogonal_is_drawn_without_preference() -> None:
    """Uniform over orthogonal 2 x 2 matrices: the angle of the first column has no preferred quarter."""
    rng = np.random.default_rng(0)
    draws = np.stack([orthogonal(rng, (2, 2)) for _ in range(2000)])
    quarters = np.histogram(np.arctan2(draws[:, 1, 0], draws[:, 0, 0]), bins=4, range=(-np.pi, np.pi))[0]
    assert (np.abs(quarters - 500) < 5 * math.sqrt(2000 * 3 / 16)).all(), quarters
    assert abs((np.linalg.det(draws) > 0).sum() - 1000) < 5 * math.sqrt(500)


def test_identity_and_zeros_draw_nothing() -> None:
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    np.testing.assert_array_equal(identity(rng, (2, 3)), [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(zeros(rng, (2, 2)), 0)
    assert rng.bit_generator.state == state


LAYERS: list[Any] = [
    lambda rng, dtype: Linear(5, 4, rng=rng, dtype=dtype),
    lambda rng, dtype: Conv2d(2, 3, 3, rng=rng, dtype=dtype),
    lambda rng, dtype: Embedding(6, 3, rng=rng, dtype=dtype),
    lambda rng, dtype: RNN(3, 4, rng=rng, dtype=dtype),
    lambda rng, dtype: GRU(3, 4, rng=rng, dtype=dtype),
    lambda rng, dtype: LSTM(3, 4, rng=rng, dtype=dtype),
]
every_layer = pytest.mark.parametrize("make", LAYERS, ids=["Linear", "Conv2d", "Embedding", "RNN", "GRU", "LSTM"])


@every_layer
def test_a_seed_is_a_generator_of_that_seed_and_gives_the_same_weights_in_every_dtype(make: Any) -> None:
    layers = make(3, np.float64), make(np.random.default_rng(3), np.float64), make(3, np.float32), make(4, np.float64)
    a, b, single, other = (layer.params.slabs[0] for layer in layers)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a.astype(np.float32), single)
    assert (a != other).any()


@every_layer
def test_without_a_seed_no_two_are_alike_and_the_global_generator_is_left_alone(make: Any) -> None:
    state = str(np.random.get_state())
    assert (make(None, np.float64).params.slabs[0] != make(None, np.float64).params.slabs[0]).any()
    assert str(np.random.get_state()) == state


def test_one_generator_handed_on_gives_different_layers() -> None:
    rng = np.random.default_rng(0)
    assert (Linear(3, 3, rng=rng).params.W != Linear(3, 3, rng=rng).params.W).any()


@pytest.mark.parametrize(("kind", "gates"), [(RNN, 1), (GRU, 3), (LSTM, 4)])
def test_every_recurrent_block_is_orthogonal_and_biases_are_zero_but_the_forget_gates(kind: Any, gates: int) -> None:
    D, H = 9, 5
    layer = kind(D, H, rng=0, dtype=np.float64)
    for block in np.split(layer.params.Wh, gates, axis=1):
        np.testing.assert_allclose(block.T @ block, np.eye(H), atol=1e-13)
    assert np.abs(layer.params.Wx).max() <= 1 / math.sqrt(D)
    expected = np.zeros(gates * H)
    if kind is LSTM:
        expected[H : 2 * H] = 1  # i f o g: the gate that remembers
    np.testing.assert_array_equal(layer.params.b, expected)
    assert "bh" not in layer.params or not layer.params.bh.any()


def test_the_forget_gates_start_and_the_identity_can_be_chosen() -> None:
    np.testing.assert_array_equal(LSTM(2, 3, forget_bias=-2).params.b[3:6], -2)
    np.testing.assert_array_equal(RNN(2, 3, init=identity).params.Wh, np.eye(3))
    np.testing.assert_array_equal(Linear(2, 3, init=zeros).params.W, 0)
