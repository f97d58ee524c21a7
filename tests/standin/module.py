"""The modules of the stand-in: `cupy` and the few beneath and beside it that the package may need."""

from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from .device_array import Device, compute, host, ndarray, wrap
from .elementwise import ElementwiseKernel
from .frozen import NAMES, SAME, UFUNCS, VERSION, check_arguments, signature
from .operators import SYNCHRONISING, ufunc
from .sync import synchronisations

# The first argument of most functions must be an array of CuPy's own, whatever it is called there.
FIRST = {"a", "ar", "arr", "array", "ary", "m", "x"}
ANYTHING = {"min_scalar_type", "nan_to_num", "ndim", "shape"}  # but not theirs
SCALAR = {"allclose", "array_equal", "array_equiv", "count_nonzero"}  # Python's in NumPy, 0-d arrays in CuPy


class Module(ModuleType):
    """A module with the names CuPy has, and no others: the `given` ones, and NumPy's for the rest."""

    def __init__(self, name: str, numpy: ModuleType | None, **given: Any) -> None:
        super().__init__(name)
        self._numpy = numpy
        self.__path__: list[str] = []
        self.__spec__ = ModuleSpec(name, None, is_package=True)
        self.__dict__.update(given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in NAMES[self.__name__]:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        original = getattr(self._numpy, name, None)
        if NAMES[self.__name__][name] == SAME:
            value = original
        elif self.__name__ == "cupy" and name in UFUNCS:
            value = ufunc(name)
        else:
            value = _function(self.__name__, name, original)
        setattr(self, name, value)
        return value


def _function(owner: str, name: str, original: Any) -> Any:
    known = signature(owner, name)
    first = next(iter(known.parameters), "") if known else ""

    def function(*args: Any, **kwargs: Any) -> Any:
        if not callable(original):
            raise NotImplementedError(f"the stand-in does not imitate {owner}.{name}")
        bound = check_arguments(owner, name, args, kwargs)
        given = bound.arguments if bound else {}
        if first in FIRST and name not in ANYTHING and not isinstance(given[first], ndarray):
            got = type(given[first]).__name__
            raise TypeError(f"{owner}.{name}: {first} is a {got}, expected a cupy.ndarray")
        if name in SYNCHRONISING or (name == "where" and len(given) == 1) or given.get("weights") is not None:
            synchronisations.record(f"{owner}.{name}")
        result = compute(original, *args, **kwargs)
        return wrap(np.asarray(result)) if name in SCALAR and isinstance(result, int) else result

    function.__name__ = function.__qualname__ = name
    function.__module__ = owner
    return function


# What differs from NumPy.


def array(
    obj: Any,
    dtype: Any = None,
    copy: Any = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> ndarray:
    """Copies what lies on the host to the device; what is there already is copied if asked for."""
    source = host(obj) if _on_device(obj) else obj
    copy = copy if isinstance(obj, ndarray) else True
    return wrap(np.array(source, dtype=dtype, copy=copy, order=order or "K", ndmin=ndmin))


def _on_device(obj: Any) -> bool:
    return isinstance(obj, ndarray) or (isinstance(obj, list | tuple) and any(map(_on_device, obj)))


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    return array(a, dtype, copy, order)


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    return array(a, dtype, None, "C", ndmin=1)


def asfortranarray(a: Any, dtype: Any = None) -> ndarray:
    return array(a, dtype, None, "F", ndmin=1)


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    return a._get("asnumpy", order, out) if isinstance(a, ndarray) else np.asarray(a, order=order)


def get_array_module(*args: Any) -> ModuleType:
    return cupy if any(isinstance(x, ndarray) for x in args) else np


def take(a: ndarray, indices: Any, axis: int | None = None, out: Any = None) -> ndarray:
    return a.take(indices, axis, out)


def put(a: ndarray, ind: Any, v: Any, mode: str = "wrap") -> None:
    a.put(ind, v, mode)


def take_along_axis(a: ndarray, indices: ndarray, axis: int | None) -> ndarray:
    return compute(np.take_along_axis, a, indices % (a.size if axis is None else a.shape[axis]), axis)


def put_along_axis(arr: ndarray, indices: ndarray, values: Any, axis: int | None) -> None:
    compute(np.put_along_axis, arr, indices % (arr.size if axis is None else arr.shape[axis]), values, axis)


def fuse(*args: Any, **kwargs: Any) -> Any:
    """Runs the function unfused."""
    return args[0] if args else lambda function: function


def is_available() -> bool:
    return True


_stream = SimpleNamespace(synchronize=lambda: synchronisations.record("Stream.synchronize"))
_properties = {"name": b"stand-in", "major": 0, "minor": 0, "totalGlobalMem": 0}
_runtime = Module(
    "cupy.cuda.runtime",
    None,
    getDeviceCount=lambda: 1,
    getDevice=lambda: 0,
    getDeviceProperties=lambda device: dict(_properties),
    driverGetVersion=lambda: 0,
    runtimeGetVersion=lambda: 0,
)
_cuda = Module(
    "cupy.cuda",
    None,
    runtime=_runtime,
    Device=Device,
    Stream=SimpleNamespace(null=_stream),
    get_current_stream=lambda: _stream,
    is_available=is_available,
)
_stride_tricks = Module("cupy.lib.stride_tricks", np.lib.stride_tricks)
_beneath = {
    "cuda": _cuda,
    "fft": Module("cupy.fft", np.fft),
    "lib": Module("cupy.lib", None, stride_tricks=_stride_tricks),
    "linalg": Module("cupy.linalg", np.linalg),
    "random": Module("cupy.random", None),  # the package draws on the host: every call raises NotImplementedError
}
_given = (
    ElementwiseKernel,
    array,
    asarray,
    ascontiguousarray,
    asfortranarray,
    asnumpy,
    fuse,
    get_array_module,
    is_available,
    ndarray,
)
_given += (put, put_along_axis, take, take_along_axis, ufunc)
cupy = Module("cupy", np, __version__=VERSION, asanyarray=asarray, **_beneath, **{f.__name__: f for f in _given})
array.__module__ = "cupy"  # the name by which pickles find the function that rebuilds an array
cupyx = Module("cupyx", None, scatter_add=cupy.add.at, scatter_max=cupy.maximum.at, scatter_min=cupy.minimum.at)
MODULES = {m.__name__: m for m in (cupy, *_beneath.values(), _runtime, _stride_tricks, cupyx)}
