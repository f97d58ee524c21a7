"""Layers on a GPU (or its strict stand-in): checked in float64 on the CPU, then compared where they are."""

import numpy as np
import pytest

from minidni import LSTM, BatchNorm, Conv2d, Dropout, Linear, Sequential, array_module, to_device
from minidni.gradcheck import check_gradients


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda dtype: Linear(4, 3, rng=rng(), dtype=dtype), (5, 4)),
        (lambda dtype: LSTM(3, 2, rng=rng(), dtype=dtype), (4, 2, 3)),
        (lambda dtype: BatchNorm(3, dtype=dtype), (6, 3)),
        (lambda dtype: Sequential(Linear(4, 3, rng=rng(), dtype=dtype), Dropout(0.4, rng=1)), (5, 4)),
        (lambda dtype: Conv2d(1, 2, 3, rng=rng(), dtype=dtype), (2, 1, 5, 5)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_on_a_device(device, build, shape, dtype):
    layer = build(dtype).to(device)
    x = to_device(rng(1).standard_normal(shape).astype(dtype), device)
    xp = array_module(x)
    report = check_gradients(layer, x)
    assert report.ok, report
    assert all(array_module(p) is xp for p in layer.params.values())
    compared = device != "cpu" or dtype == np.float32
    assert all((a.precision is not None) == compared for a in report.arrays)
    if compared:
        assert max(a.precision for a in report.arrays) < (1e-4 if dtype == np.float32 else 1e-12)


class WrongOnTheDevice(Linear):
    """Right on the CPU, wrong by a thousandth elsewhere: a faulty kernel."""

    def backward(self, dy, cache):
        if array_module(dy) is not np:
            return super().backward(dy, cache) * 1.001
        return super().backward(dy, cache)


def test_a_wrong_kernel_is_found(device):
    layer = WrongOnTheDevice(4, 3, rng=rng()).to(device)
    report = check_gradients(layer, to_device(rng(1).standard_normal((5, 4)).astype(np.float32), device))
    assert report.ok == (device == "cpu")
    if not report.ok:
        assert "on the GPU the gradient of x is off by" in report.cause
        assert report.worst.error <= report.worst.tolerance  # the float64 gradients are right
