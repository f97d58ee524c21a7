"""One code for NumPy and CuPy: the data decides which library computes.

There is no global switch. Every function asks its own arguments, `xp = array_module(x)`, and then writes `xp.tanh(x)`.
Moving data is explicit, with `to_device` and `to_numpy`; nothing in the library moves an array silently.
"""

import math
import sys
from types import ModuleType
from typing import Any

import numpy as np

CACHE_LINE = 64  # bytes

_OF_NUMPY = (np.ndarray, np.generic)

Array = Any  # a numpy.ndarray or a cupy.ndarray: their types share no base class


def array_module(*arrays: Array) -> ModuleType:
    """The library the arrays belong to: `numpy` or `cupy`.

    `None` and Python numbers belong to neither and are passed over; with nothing else given the answer is `numpy`.

    Raises:
        TypeError: if some of the arrays are NumPy's and others CuPy's.
    """
    found: dict[str, ModuleType] = {}
    for x in arrays:
        if isinstance(x, _OF_NUMPY):
            found["numpy"] = np
        elif type(x).__module__.partition(".")[0] == "cupy":
            found["cupy"] = sys.modules["cupy"]
    if len(found) > 1:
        kinds = ", ".join(type(x).__module__.partition(".")[0] for x in arrays)
        raise TypeError(f"the arrays are on different devices ({kinds}): move them with to_device first")
    return found.popitem()[1] if found else np


def device_of(x: Array) -> str:
    """Where an array lives: "cpu", or "cuda:0", "cuda:1", ..."""
    return "cpu" if isinstance(x, _OF_NUMPY) or array_module(x) is np else f"cuda:{x.device.id}"


def empty(shape: tuple[int, ...], like: Array) -> Array:
    """An uninitialised array of the library and dtype of `like`.

    On the host its memory starts with a cache line, which NumPy's own need not; of an array that starts in the middle
    of one, a processor with vectors of a line's length reads two lines for each.
    """
    if array_module(like) is not np:
        return array_module(like).empty(shape, like.dtype)
    n_bytes = math.prod(shape) * like.dtype.itemsize
    memory = np.empty(n_bytes + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + n_bytes].view(like.dtype).reshape(shape)


def to_device(x: Array, device: str) -> Array:
    """The array on "cpu", on "cuda" (the current GPU) or on "cuda:N"; the same object if it is there already.

    Args:
        x: NumPy or CuPy array, or anything `numpy.asarray` takes; shape and dtype stay.
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        ValueError: if the device's name is none of these.
        RuntimeError: if a GPU is asked for and CuPy or the GPU is missing.
    """
    kind, colon, index = device.partition(":") if isinstance(device, str) else ("", "", "")
    if kind not in ("cpu", "cuda") or (colon and (kind == "cpu" or not index.isdecimal())):
        raise ValueError(f'device is {device!r}, expected "cpu", "cuda" or "cuda:N"')
    if kind == "cpu":
        return to_numpy(x)
    cupy = _cupy()
    if not index:
        return cupy.asarray(x)
    if int(index) >= (count := cupy.cuda.runtime.getDeviceCount()):
        raise RuntimeError(f"device is {device!r}, but this machine's GPUs are cuda:0 to cuda:{count - 1}")
    with cupy.cuda.Device(int(index)):
        return cupy.asarray(x)


def to_numpy(x: Array) -> np.ndarray:
    """The array as a NumPy array; from a GPU this copies and waits for the GPU to finish."""
    return np.asarray(x) if array_module(x) is np else x.get()


def _cupy() -> ModuleType:
    # CuPy imports without a GPU and fails at the first allocation, so the import alone proves nothing.
    try:
        import cupy
    except ImportError:
        raise RuntimeError(
            'device "cuda" needs CuPy, which is not installed: pip install "minidni[cuda12]" or "minidni[cuda13]"'
        ) from None
    if not cupy.is_available():
        raise RuntimeError('device "cuda" was asked for, but CuPy finds no usable GPU on this machine')
    return cupy
