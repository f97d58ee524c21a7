"""Universal functions, and the operators, properties and methods that the arrays share with NumPy's."""

import builtins
from typing import Any

import numpy as np

from .device_array import compute, host, ndarray, wrap
from .frozen import DOCUMENTED, NAMES, UFUNCS, check_arguments
from .sync import synchronisations

# Functions and methods that wait for the GPU: by CuPy's documentation, built on such a function, ending on the host.
BUILT = (
    "argwhere intersect1d setdiff1d setxor1d trim_zeros union1d unique_all unique_counts unique_inverse unique_values"
)
ENDING = "array_repr array_str dump dumps item save savetxt savez savez_compressed tobytes tofile tolist"
SYNCHRONISING = {*DOCUMENTED, *BUILT.split(), *ENDING.split()}
# The dtypes `ufunc.at` takes with integer indices: those for which CUDA has an atomic operation.
_INTEGERS = "int32, int64, uint32, uint64"
AT_DTYPES = {
    "add": f"{_INTEGERS}, float16, float32, float64",
    "subtract": "int32, uint32",
    **dict.fromkeys(("maximum", "minimum"), f"{_INTEGERS}, float32, float64"),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), _INTEGERS),
}


def is_operand(x: Any) -> bool:
    """Whether CuPy computes with it: its own arrays, Python's numbers and NumPy's scalars."""
    return isinstance(x, ndarray | np.number | np.bool_) or type(x) in (bool, int, float, complex)


class ufunc:
    __module__ = "cupy"

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self._numpy: Any = getattr(np, name)
        self.nin, self.nout = getattr(self._numpy, "nin", 1), getattr(self._numpy, "nout", 1)

    def __repr__(self) -> str:
        return f"<ufunc 'cupy_{self.__name__}'>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        check_arguments("cupy", self.__name__, args, kwargs)
        for x in args[: self.nin]:
            if not is_operand(x):
                raise TypeError(f"Unsupported type {type(x)}")
        return compute(self._numpy, *args, **{k: v for k, v in kwargs.items() if v is not None})

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        self._require("at")
        key, kind = a._key(indices)
        if kind == "integers" and a.dtype.name not in AT_DTYPES[self.__name__].split(", "):
            raise TypeError(f"cupy.{self.__name__}.at only supports {AT_DTYPES[self.__name__]}, got {a.dtype}")
        self._numpy.at(a._a, key, host(b))

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        self._require("reduce")
        return compute(self._numpy.reduce, array, axis, dtype, out, keepdims)

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        self._require("accumulate")
        return compute(self._numpy.accumulate, array, axis, dtype, out)

    def outer(self, A: Any, B: Any, **kwargs: Any) -> Any:
        return compute(self._numpy.outer, A, B, **kwargs)

    def _require(self, method: str) -> None:
        if method not in UFUNCS[self.__name__]:
            raise NotImplementedError(f"`cupy_{self.__name__}.{method}` is not supported yet")


def _operator(name: str, *, reflected: bool = False, into: bool = False) -> Any:
    function = ufunc(name) if name in UFUNCS else lambda *args: compute(getattr(np, name), *args)

    def method(self: ndarray, *others: Any) -> Any:
        if not all(is_operand(x) or isinstance(x, np.ndarray) for x in others):
            return NotImplemented
        return function(*((*others, self) if reflected else (self, *others)), **({"out": self} if into else {}))

    return method


def _comparison(name: str) -> Any:
    compare = ufunc(name)

    def method(self: ndarray, other: Any) -> Any:
        own = type(other).__eq__ is object.__eq__ and type(other).__ne__ is object.__ne__
        if name in ("equal", "not_equal") and (other is None or own):
            return wrap(np.full(self._a.shape, name == "not_equal"))  # no number equals None or a mere object
        return compare(self, other)

    return method


def _method(name: str) -> Any:
    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        check_arguments("cupy.ndarray", name, (self, *args), kwargs)
        if name in SYNCHRONISING:
            synchronisations.record(name)
        return compute(getattr(self._a, name), *args, **kwargs)

    return method


def _conversion(name: str) -> Any:
    return lambda self: getattr(builtins, name)(self._get(name))


def _property(name: str) -> property:
    return property(lambda self: wrap(getattr(self._a, name)))


_BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "matmul": "matmul",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "divmod": "divmod",
    "pow": "power",
    "lshift": "left_shift",
    "rshift": "right_shift",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
}
_UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
_COMPARISON = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}

for _short, _long in _BINARY.items():
    setattr(ndarray, f"__{_short}__", _operator(_long))
    setattr(ndarray, f"__r{_short}__", _operator(_long, reflected=True))
    if f"__i{_short}__" in NAMES["cupy.ndarray"]:  # there is no __imatmul__: `a @= b` makes a new array
        setattr(ndarray, f"__i{_short}__", _operator(_long, into=True))
for _short, _long in _UNARY.items():
    setattr(ndarray, f"__{_short}__", _operator(_long))
for _short, _long in _COMPARISON.items():
    setattr(ndarray, f"__{_short}__", _comparison(_long))
for _name in ("int", "float", "complex", "bytes", "repr", "str"):
    setattr(ndarray, f"__{_name}__", _conversion(_name))
for _name in ("T", "mT", "dtype", "imag", "itemsize", "nbytes", "ndim", "real", "shape", "size", "strides"):
    setattr(ndarray, _name, _property(_name))
for _name, _signature in NAMES["cupy.ndarray"].items():
    if _signature and hasattr(np.ndarray, _name) and _name not in vars(ndarray):
        setattr(ndarray, _name, _method(_name))
