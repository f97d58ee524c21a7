"""`cupy.ElementwiseKernel`: checks the arguments as CuPy does, and runs the kernel's own source."""

import re
from typing import Any

import numpy as np

from .c_source import TYPES, SourceError, convert, parse
from .device_array import ndarray
from .launches import launches
from .operators import is_operand

#: The dtypes that parameters may have, and the arrays given for one with a letter in place of a dtype.
DTYPES = {dtype.name: dtype for dtype in TYPES.values()}


class Parameter:
    """One of "raw T a, int64 n": `dtype` is None where a letter stands for it."""

    def __init__(self, text: str):
        words = text.split()
        if len(words) < 2:
            raise Exception(f"Syntax error: {text}")
        *keywords, self.type, self.name = words
        if keywords not in ([], ["raw"]):
            raise Exception(f'Unknown keyword "{keywords[0]}"')
        self.raw = bool(keywords)
        self.dtype = None if len(self.type) == 1 else _known(np.dtype(self.type))


class ElementwiseKernel:
    __module__ = "cupy"

    def __init__(self, in_params: str, out_params: str, operation: str, name: str = "kernel", **others: Any):
        if others:
            raise NotImplementedError(f"the stand-in does not imitate {', '.join(others)} of ElementwiseKernel")
        if not re.fullmatch(r"[a-zA-Z_]\w*", name):
            raise ValueError(f'Invalid kernel name: "{name}"')
        self.in_params, self.out_params = (
            [Parameter(p) for p in text.split(",")] if text else [] for text in (in_params, out_params)
        )
        self.params = self.in_params + self.out_params
        if "i" in (p.name for p in self.params):
            raise ValueError("Can not use 'i' as a parameter name")
        self.nin, self.nout, self.nargs = len(self.in_params), len(self.out_params), len(self.params)
        self.operation, self.name = operation, name
        self._statements = parse(operation, {p.type for p in self.params if p.dtype is None})

    def __call__(self, *args: Any, size: int = -1, block_size: int = 128, stream: Any = None) -> Any:
        if len(args) not in (self.nin, self.nargs):
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {self.nin} or {self.nargs} (with "
                f"outputs), but given {len(args)}."
            )
        for p, a in zip(self.params, args, strict=False):
            if not is_operand(a):
                raise TypeError(f"Unsupported type {type(a)}")
            if not isinstance(a, ndarray) and (p.raw or p in self.out_params):
                raise TypeError(f"{self.name}: {p.name} must be cupy.ndarray")
        shape = self._shape(args, size)
        types = self._types(args)
        arrays = list(args[self.nin :]) or [ndarray._of(np.empty(shape, types[p.type])) for p in self.out_params]
        for p, a in zip(self.out_params, arrays, strict=True):
            if not p.raw and a.shape != shape:
                raise ValueError("Out shape is mismatched")
        self._refuse_overlap([*args[: self.nin], *arrays])
        launches.record(self.name if len(args) == self.nargs else f"{self.name}, new")
        if 0 not in shape:
            self._run(args[: self.nin], arrays, shape, types)
        return arrays[0] if self.nout == 1 else tuple(arrays)

    def _types(self, args: tuple) -> dict[str, np.dtype]:
        """What each type's name stands for."""
        found = TYPES | DTYPES
        given = list(zip(self.params, args, strict=False))
        for p, a in given[self.nin :] + given[: self.nin]:
            if isinstance(a, ndarray):
                dtype = p.dtype or found.setdefault(p.type, _known(a.dtype))
                if a.dtype != dtype:
                    raise TypeError(f"Type is mismatched. {p.name} {a.dtype} {dtype} {p.type}")
        if missing := [p.type for p in self.params if p.type not in found]:
            raise KeyError(missing[0])
        return found

    def _shape(self, args: tuple, size: int) -> tuple[int, ...]:
        """The shape of the loop."""
        given = list(zip(self.params, args, strict=False))
        shapes = [a.shape for p, a in given if isinstance(a, ndarray) and not p.raw]
        if size != -1:
            if shapes:
                raise ValueError("Specified 'size' can be used only if all of the ndarray are 'raw'.")
            return (size,)
        if not shapes:
            raise ValueError("Loop size is undecided.")
        if len(args) == self.nin and any(p.raw for p in self.out_params):
            raise ValueError("Output array size is Undecided")
        return np.broadcast_shapes(*shapes)

    def _refuse_overlap(self, args: list) -> None:
        """CuPy does not look for it, but threads that write what others read give another result every time."""
        given = list(zip(self.params, args, strict=True))
        for p, out in given[self.nin :]:
            for q, a in given:
                if q is p or not isinstance(a, ndarray) or not np.shares_memory(a._a, out._a):
                    continue
                same_place = a.data.ptr == out.data.ptr and a.strides == out.strides and a.shape == out.shape
                if p.raw or q.raw or not same_place:
                    raise ValueError(f"{self.name}: {q.name} and the output {p.name} overlap")

    def _run(self, inputs: tuple, outputs: list, shape: tuple[int, ...], types: dict[str, np.dtype]) -> None:
        names = Names(self.name, int(np.prod(shape)), types)
        for p, a in zip(self.params, [*inputs, *outputs], strict=True):
            constant = p in self.in_params
            if not isinstance(a, ndarray):
                names.declare(p.name, _scalar(self.name, p, a, types[p.type]), constant)
            elif p.raw:
                names.add_raw(p.name, a._a, constant)
            else:
                names.declare(p.name, np.broadcast_to(a._a, shape).ravel(), constant)
        with np.errstate(all="ignore"):
            for statement in self._statements:
                statement(names)
        names.refuse_races()
        for p, a in zip(self.out_params, outputs, strict=True):
            a._a[...] = (names.raw[p.name] if p.raw else names.values[p.name]).reshape(a.shape)


class Names:
    """What the names in a kernel's source stand for; a value has an entry for each of the `n` threads."""

    def __init__(self, kernel: str, n: int, types: dict[str, np.dtype]):
        self.kernel, self.n, self.types = kernel, n, types
        self.values: dict[str, np.ndarray] = {"i": np.arange(n)}
        self.raw: dict[str, np.ndarray] = {}
        self.constant = {"i"}
        self.touched: dict[str, list[np.ndarray]] = {}  # of raw arrays: which thread touched which element
        self.written: dict[str, np.ndarray] = {}

    def declare(self, name: str, value: np.ndarray, constant: bool) -> None:
        if name in self.values or name in self.raw or name in self.types or name in RESERVED:
            raise SourceError(f"{self.kernel}: {name} is taken")
        self.values[name] = np.broadcast_to(value, self.n).copy()
        self.constant |= {name} if constant else set()

    def add_raw(self, name: str, array: np.ndarray, constant: bool) -> None:
        if name in self.values or name in self.raw or name in self.types or name in RESERVED:
            raise SourceError(f"{self.kernel}: {name} is taken")
        self.raw[name] = array.flatten()
        self.constant |= {name} if constant else set()
        self.touched[name], self.written[name] = [], np.zeros(array.size, bool)

    def read(self, name: str) -> np.ndarray:
        if name not in self.values:
            raise SourceError(f"{self.kernel}: {name} is {'raw, use an index' if name in self.raw else 'unknown'}")
        return self.values[name]

    def assign(self, name: str, value: np.ndarray) -> None:
        dtype = self.read(name).dtype
        self._refuse_constant(name)
        self.values[name] = np.broadcast_to(convert(value, dtype), self.n).copy()

    def load(self, name: str, index: np.ndarray) -> np.ndarray:
        index = self._touch(name, index)
        return self.raw[name][index]

    def store(self, name: str, index: np.ndarray, value: np.ndarray) -> None:
        self._refuse_constant(name)
        index = self._touch(name, index)
        self.raw[name][index] = convert(value, self.raw[name].dtype)
        self.written[name][index] = True

    def _touch(self, name: str, index: np.ndarray) -> np.ndarray:
        if name not in self.raw:
            raise SourceError(f"{self.kernel}: {name} is no raw array")
        if index.dtype.kind != "i":
            raise SourceError(f"{self.kernel}: {name} is indexed with a {index.dtype}")
        index = np.broadcast_to(index, self.n)
        if index.min() < 0 or index.max() >= self.raw[name].size:
            raise IndexError(f"{self.kernel}: {name}[{index.min()} to {index.max()}] of {self.raw[name].size} elements")
        self.touched[name].append(index)
        return index

    def _refuse_constant(self, name: str) -> None:
        if name in self.constant:
            raise SourceError(f"{self.kernel}: {name} is constant")

    def refuse_races(self) -> None:
        """Raise if one thread touched what another one wrote: on a GPU they run in any order."""
        for name, touched in self.touched.items():
            owner = np.zeros(self.raw[name].size, int)
            for index in touched:
                owner[index] = np.arange(self.n)
            if any((self.written[name][index] & (owner[index] != np.arange(self.n))).any() for index in touched):
                raise ValueError(f"{self.kernel}: threads race for elements of {name}")


def _known(dtype: np.dtype) -> np.dtype:
    if dtype not in DTYPES.values():
        raise NotImplementedError(f"the stand-in's kernels know {', '.join(DTYPES)}, not {dtype}")
    return dtype


def _scalar(kernel: str, p: Parameter, value: Any, dtype: np.dtype) -> np.ndarray:
    """The number in the parameter's type; stricter than CuPy, which cuts digits off."""
    given = np.asarray(value)
    if "bif".index(given.dtype.kind) > "bif".index(dtype.kind) or (dtype.kind == "b") != (given.dtype.kind == "b"):
        raise TypeError(f"{kernel}: {p.name} is {value!r}, expected {dtype}")
    return given.astype(dtype)


#: Names that mean something else in C++ or inside CuPy's kernels.
WORDS = (
    "alignas alignof and asm auto bool break case catch char class concept const constexpr continue decltype default "
    "delete do double else enum explicit export extern false float for friend goto if inline int long mutable "
    "namespace new noexcept not nullptr operator or private protected public register requires return short signed "
    "sizeof static struct switch template this throw true try typedef typeid typename union unsigned using virtual "
    "void volatile while xor _ind blockDim blockIdx gridDim threadIdx warpSize"
)
RESERVED = set(WORDS.split())
