"""Which library an array belongs to, and moving arrays between devices."""

import sys

import numpy as np
import pytest
import standin

from minidni import array_module, to_device, to_numpy
from minidni.arrays import device_of, empty


def test_the_data_decides(device):
    x = to_device(np.ones(3), device)
    assert array_module(x).__name__ == {"cpu": "numpy", "cuda": "cupy"}[device]
    assert array_module(None, x, 2.0) is array_module(x)
    assert device_of(x) == {"cpu": "cpu", "cuda": "cuda:0"}[device]
    assert to_device(x, device) is x
    back = to_numpy(x)
    assert isinstance(back, np.ndarray)
    np.testing.assert_array_equal(back, np.ones(3))


def test_numbers_and_none_belong_to_numpy():
    assert array_module() is array_module(None, 3.0) is array_module(np.float32(1)) is np


def test_arrays_of_two_libraries_are_refused():
    with standin.installed() as cupy, pytest.raises(TypeError, match=r"different devices .*numpy.*cupy"):
        array_module(np.ones(2), cupy.ones(2))


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:0", "", None, 0])
def test_an_unknown_device_is_named(name):
    with pytest.raises(ValueError, match=r'device is .*, expected "cpu", "cuda" or "cuda:N"'):
        to_device(np.ones(2), name)


def test_a_device_that_is_not_there_is_named():
    with standin.installed():
        assert device_of(to_device(np.ones(2), "cuda:0")) == "cuda:0"
        with pytest.raises(RuntimeError, match=r"device is 'cuda:7', but this machine's GPUs are cuda:0 to cuda:0"):
            to_device(np.ones(2), "cuda:7")


def test_without_cupy_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    with pytest.raises(RuntimeError, match=r"needs CuPy, which is not installed: pip install"):
        to_device(np.ones(2), "cuda")


def test_with_cupy_but_without_a_gpu_the_sentence_says_so(monkeypatch):
    """CuPy imports without a GPU and fails at the first allocation."""
    with standin.installed() as cupy:
        monkeypatch.setattr(cupy, "is_available", lambda: False, raising=False)
        with pytest.raises(RuntimeError, match="finds no usable GPU"):
            to_device(np.ones(2), "cuda")


def test_empty_arrays_begin_with_a_cache_line_on_the_host(device):
    for dtype in (np.float32, np.float64, np.complex128, np.bool_):
        for shape in ((), (5,), (2, 3, 7)):
            x = empty(shape, like=to_device(np.ones(1, dtype), device))
            assert (x.shape, x.dtype, device_of(x)) == (shape, dtype, {"cpu": "cpu", "cuda": "cuda:0"}[device])
            x[...] = 1  # it is writable, and no other array's memory
            if device == "cpu":
                assert x.ctypes.data % 64 == 0 and x.flags.c_contiguous
