"""The array class of the stand-in; operators.py adds the operators and the methods it shares with NumPy's."""

import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np

from .launches import launches
from .sync import synchronisations

_alive: "weakref.WeakValueDictionary[int, ndarray]" = weakref.WeakValueDictionary()  # by the host array's id


def wrap(result: Any) -> Any:
    """What NumPy returned, as CuPy would return it: arrays on the device, scalars as 0-d arrays."""
    if isinstance(result, np.ndarray | np.generic):
        return ndarray._of(np.asarray(result))
    if isinstance(result, tuple | list):
        items = [wrap(r) for r in result]
        return type(result)(*items) if hasattr(result, "_fields") else type(result)(items)
    return result


def host(value: Any) -> Any:
    """The host arrays behind the stand-in's; a NumPy array among them is refused, as CuPy does."""
    if isinstance(value, ndarray):
        return value._a
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, tuple | list):
        return type(value)(host(v) for v in value)
    if isinstance(value, dict):
        return {k: host(v) for k, v in value.items()}
    return value


def compute(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call NumPy; a GPU gives no floating-point warnings."""
    args, kwargs = host(args), host(kwargs)
    with np.errstate(all="ignore"):
        result = function(*args, **kwargs)
    launches.record_call(function, result, [*args, *kwargs.values()])
    return wrap(result)


class Device:
    """The only device is number 0."""

    def __init__(self, device: int = 0) -> None:
        self.id = device

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def synchronize(self) -> None:
        synchronisations.record("Device.synchronize")


class ndarray:
    """An array "on the device". Its values lie in the NumPy array `_a`, which nobody outside may touch."""

    __module__ = "cupy"
    __slots__ = ("__weakref__", "_a")
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]
    _a: Any

    def __new__(cls, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: Any = "C") -> Any:
        if memptr is not None or strides is not None:
            raise NotImplementedError("the stand-in does not imitate memptr and strides")
        return cls._of(np.empty(shape, dtype, order))

    @classmethod
    def _of(cls, array: np.ndarray) -> "ndarray":
        """The device array for a host array, always the same object: `add(a, b, out=c) is c`."""
        if array.dtype.kind not in "biufc" or array.dtype.char in "gG":
            raise ValueError(f"Unsupported dtype {array.dtype}")
        self = _alive.get(id(array))
        if self is None:
            self = _alive[id(array)] = object.__new__(cls)
            self._a = array
        return self

    # NumPy must keep its hands off.

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        host((inputs, kwargs))
        # `np.float64(2) * a` arrives here too, and CuPy computes it.
        if method == "__call__" and function.nin == 2 and isinstance(inputs[0], np.generic):
            return compute(function, *inputs, **kwargs)
        return self.__array_function__(function, (), (), {})

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} was called on a cupy.ndarray: use the array's own module")

    # To the host: each of these waits for the GPU.

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
        return self._get("get", order, out)

    def _get(self, cause: str, order: str = "C", out: Any = None) -> Any:
        synchronisations.record(cause)
        if out is None:
            return np.array(self._a, order=order)
        _check_same("obtained from", out, self._a)
        out[...] = self._a
        return out

    def __bool__(self) -> bool:
        return bool(self._get("bool") if self._a.size == 1 else self._a)  # NumPy raises for the latter as CuPy does

    def __format__(self, spec: str) -> str:
        return format(self._get("format"), spec)

    def __reduce__(self) -> Any:
        import cupy

        return cupy.array, (self._get("pickle", order="A"),)

    # Memory.

    @property
    def base(self) -> "ndarray | None":
        base, root = self._a.base, None
        while base is not None:  # NumPy's strided views put objects of their own in between
            root = base if isinstance(base, np.ndarray) else root
            base = getattr(base, "base", None)
        return root if root is None else ndarray._of(root)

    @property
    def flags(self) -> Any:
        names = ("c_contiguous", "f_contiguous", "owndata", "fnc", "forc")  # CuPy has no `writeable`
        return SimpleNamespace(**{name: getattr(self._a.flags, name) for name in names})

    device = property(lambda self: Device(0))
    data = property(lambda self: SimpleNamespace(ptr=self._a.ctypes.data, device=Device(0), device_id=0))

    def set(self, arr: Any, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        _check_same("set to", arr, self._a)
        self._a[...] = arr

    def fill(self, value: Any) -> None:
        scalar = value._a if isinstance(value, ndarray) else np.asarray(value, dtype=self._a.dtype)
        if scalar.shape != ():
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        launches.record("fill")
        self._a.fill(scalar)

    def astype(self, dtype: Any, order: Any = "K", casting: Any = None, subok: Any = None, copy: bool = True) -> Any:
        if casting is not None or subok is not None:
            raise TypeError(f"{'casting' if subok is None else 'subok'} is not supported yet")
        return compute(self._a.astype, dtype, order=order, copy=copy)

    def __copy__(self) -> "ndarray":
        return compute(self._a.copy)

    def __deepcopy__(self, memo: Any) -> "ndarray":
        return compute(self._a.copy)

    # Indexing.

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Any:
        if self._a.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        return wrap(self._a[self._key(key)[0]])

    def __setitem__(self, key: Any, value: Any) -> None:
        key, kind = self._key(key)
        if kind == "basic" and not isinstance(value, ndarray):
            wrap(self._a[key if Ellipsis in key else (*key, ...)]).fill(value)
        elif not (isinstance(value, ndarray) and _same_place(self._a[key], value._a)):  # the end of `a[k] += b`
            launches.record("copy")
            with np.errstate(all="ignore"):
                self._a[key] = host(value)

    def _key(self, key: Any) -> tuple[tuple, str]:
        """NumPy's form of an index, and its kind: "basic", "integers" or "mask".

        Integer arrays are wrapped into range, as CuPy does without a word. A mask waits for the GPU: its count
        of True says how large the result is.
        """
        items = list(key) if isinstance(key, tuple) else [key]
        for n, item in enumerate(items):
            if not (item is None or item is Ellipsis or isinstance(item, slice | np.integer) or type(item) is int):
                index = np.asarray(host(item))
                items[n] = index.astype(int) if isinstance(item, list) and not item else index
        arrays = [item for item in items if isinstance(item, np.ndarray)]
        masks = [item for item in arrays if item.dtype == bool]
        taken = len(items) - sum(i is None or i is Ellipsis for i in items) + sum(m.ndim - 1 for m in masks)
        axis = 0
        for n, item in enumerate(items):
            if isinstance(item, np.ndarray) and item.dtype.kind in "iu" and self._a.shape[axis : axis + 1] > (0,):
                items[n] = np.asarray(item % self._a.shape[axis])
            is_mask = isinstance(item, np.ndarray) and item.dtype == bool
            axis += self._a.ndim - taken if item is Ellipsis else item.ndim if is_mask else item is not None
        if masks:
            synchronisations.record("boolean mask index")
        return tuple(items), "mask" if masks else "integers" if arrays else "basic"

    def take(self, indices: Any, axis: int | None = None, out: Any = None) -> Any:
        index = np.asarray(host(indices), dtype=None if isinstance(indices, ndarray) else int)
        if out is not None and out.dtype != self._a.dtype:
            raise TypeError("Output dtype mismatch")
        n = self._a.size if axis is None else self._a.shape[axis]
        return wrap(np.take(self._a, index % n if n else index, axis, out=host(out)))

    def put(self, indices: Any, values: Any, mode: str = "wrap") -> None:
        if mode == "raise":
            synchronisations.record("put")
        np.put(self._a, host(indices), host(values), mode)


def _same_place(a: Any, b: np.ndarray) -> bool:
    same = isinstance(a, np.ndarray) and (a.shape, a.strides, a.dtype) == (b.shape, b.strides, b.dtype)
    return same and a.ctypes.data == b.ctypes.data


def _check_same(verb: str, host_array: np.ndarray, device_array: np.ndarray) -> None:
    if host_array.dtype != device_array.dtype:
        raise TypeError(f"{host_array.dtype} array cannot be {verb} {device_array.dtype} array")
    if host_array.shape != device_array.shape:
        raise ValueError(f"Shape mismatch. Host shape: {host_array.shape}, device shape: {device_array.shape}")
