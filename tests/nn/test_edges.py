"""What is easily overlooked: far tails, empty batches, results that share memory."""

import math

import numpy as np
import pytest

from minidni import (
    GRU,
    LSTM,
    RNN,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Sequential,
    Sigmoid,
    SigmoidCrossEntropy,
    to_device,
    to_numpy,
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_keeps_its_digits_far_from_zero(dtype, device):
    x = np.array([-80, -40, -20, -17, -10, -1, 0, 1, 10, 40, 1e4, -1e4], dtype)
    exact = np.array([math.exp(v) / (1 + math.exp(v)) if v < 0 else 1 / (1 + math.exp(-v)) for v in x.tolist()])
    y, cache = Sigmoid().forward(to_device(x, device))
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(to_numpy(y), exact, rtol=tolerance)
    gradient = SigmoidCrossEntropy().gradient(
        to_device(x[:, None], device), to_device(np.zeros((12, 1), dtype), device)
    )
    np.testing.assert_allclose(to_numpy(gradient)[:, 0], exact / 12, rtol=tolerance)
    dx = Sigmoid().backward(to_device(np.ones_like(x), device), cache)
    np.testing.assert_allclose(to_numpy(dx)[:7], (exact * (1 - exact))[:7], rtol=2 * tolerance)


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_the_final_state_is_no_view_of_the_outputs(kind, device):
    layer = kind(2, 3, rng=0).to(device)
    x = to_device(np.ones((4, 2, 2), np.float32), device)
    y, sT, cache = layer.forward(x)
    dx, _ = layer.backward(y, cache)
    y_before, dx_before = to_numpy(y).copy(), to_numpy(dx).copy()
    sT[...] = 0  # as one does where an episode ends
    np.testing.assert_array_equal(to_numpy(y), y_before)
    np.testing.assert_array_equal(to_numpy(layer.backward(y, cache)[0]), dx_before)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Linear(3, 4), (0, 3)),
        (Flatten(), (0, 2, 3)),
        (Conv2d(2, 3, 2), (0, 2, 5, 5)),
        (MaxPool2d(2), (0, 2, 5, 5)),
        (AvgPool2d(2), (0, 2, 5, 5)),
        (RNN(3, 4), (5, 0, 3)),
        (GRU(3, 4), (5, 0, 3)),
        (LSTM(3, 4), (5, 0, 3)),
    ],
    ids=lambda v: repr(v) if isinstance(v, tuple) else v._name(),
)
def test_an_empty_batch_gives_empty_results_and_no_gradient(layer, shape):
    layer.zero_grads()
    y, *_, cache = layer.forward(np.zeros(shape, np.float32))
    dx = layer.backward(np.zeros_like(y), cache)
    assert (dx[0] if isinstance(dx, tuple) else dx).shape == shape
    assert not any(g.any() for g in layer.grads.values())


@pytest.mark.parametrize(("offset", "rows"), [(1e4, 60_000), (1234.567, 2000), (100.1, 256)])
def test_batch_norm_in_single_precision_bears_a_large_mean(offset, rows, device):
    """NumPy sums along the first axis one by one: of such a mean the last digits are wrong."""
    rng = np.random.default_rng(0)
    x = np.stack([offset + rng.standard_normal(rows), np.full(rows, offset)], axis=1).astype(np.float32)
    layer = BatchNorm(2, momentum=0.5).to(device)
    y, _ = layer.forward(to_device(x, device))
    exact = x.astype(np.float64)
    exact -= exact.mean(axis=0)
    exact /= np.sqrt((exact**2).mean(axis=0) + 1e-5)
    np.testing.assert_allclose(to_numpy(y), exact, atol=2e-3)
    np.testing.assert_allclose(to_numpy(layer.buffers.mean), x.astype(np.float64).mean(axis=0) / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "shape"), [(lambda: Linear(3, 4, rng=0), (5, 3)), (lambda: Conv2d(2, 3, 2, rng=0), (5, 2, 4, 4))]
)
def test_a_bottom_layer_may_leave_dx_out(make, shape, device):
    layer, bottom = make().to(device), make().to(device)
    bottom.needs_dx = False
    x = to_device(np.random.default_rng(0).standard_normal(shape).astype(np.float32), device)
    y, cache = layer.forward(x)
    assert layer.backward(y, cache).shape == shape
    assert bottom.backward(y, bottom.forward(x)[1]) is None
    assert Sequential(bottom).backward(y, Sequential(bottom).forward(x)[1]) is None
    bottom.grads.slab[...] /= 2
    np.testing.assert_array_equal(to_numpy(bottom.grads.slab), to_numpy(layer.grads.slab))
