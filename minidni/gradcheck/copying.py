"""Copies of layers, so that the user's own object is never touched."""

import copy
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

_OPAQUE = (str, bytes, int, float, complex, type, ModuleType, FunctionType, BuiltinFunctionType)
_RANDOM = (np.random.Generator, np.random.RandomState)


def copy_layer(layer: Any, dtype: Any = None) -> Any:
    """A deep copy in which arrays that shared memory still share it; floating arrays become `dtype` if one is given.

    `copy.deepcopy` alone turns two views of one slab into two strangers: a weight changed through one name would no
    longer change through the other.
    """
    memo: dict[int, Any] = {}
    roots: dict[int, np.ndarray] = {}
    seen = [a for a in _leaves(layer) if isinstance(a, np.ndarray)]  # kept alive, so that the ids in `memo` stay theirs
    for array in seen:
        root = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        target = np.dtype(dtype) if dtype is not None and array.dtype.kind == "f" else array.dtype
        if root.dtype != array.dtype or root.size == 0 or not (root.flags.c_contiguous or root.flags.f_contiguous):
            memo[id(array)] = array.astype(target)
            continue
        if id(root) not in roots:
            roots[id(root)] = root.astype(target)  # order "K": the memory layout stays
        twin = roots[id(root)]
        if root is array:
            memo[id(array)] = twin
            continue
        offset = (array.__array_interface__["data"][0] - root.__array_interface__["data"][0]) // root.itemsize
        strides = [s // root.itemsize * twin.itemsize for s in array.strides]
        memo[id(array)] = as_strided(twin.reshape(-1, order="A")[offset:], array.shape, strides)
    try:
        return copy.deepcopy(layer, memo)
    except TypeError as error:
        raise TypeError(
            f"check_gradients works on a copy, but {type(layer).__name__} cannot be copied: {error}."
        ) from error


def generator_states(layer: Any) -> list[str]:
    """The states of NumPy's global generator and of every generator reachable from the layer."""
    found = [g for g in _leaves(layer) if not isinstance(g, np.ndarray)]
    states = [g.bit_generator.state if isinstance(g, np.random.Generator) else g.get_state() for g in found]
    return [repr(_plain(s)) for s in (np.random.get_state(), *states)]


def _plain(state: Any) -> Any:
    """Arrays as bytes, since a long array's repr is cut short."""
    if isinstance(state, np.ndarray):
        return state.tobytes()
    if isinstance(state, dict):
        return {k: _plain(v) for k, v in state.items()}
    return [_plain(v) for v in state] if isinstance(state, tuple | list) else state


def _leaves(thing: Any) -> Iterator[Any]:
    """Every NumPy array and random generator reachable through attributes, mappings and sequences."""
    stack, visited = [thing], set()
    while stack:
        item = stack.pop()
        if item is None or isinstance(item, _OPAQUE) or id(item) in visited:
            continue
        visited.add(id(item))
        if type(item) is np.ndarray or isinstance(item, _RANDOM):
            yield item
            continue
        if isinstance(item, Mapping):
            stack.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            stack.extend(item)
        stack.extend(getattr(item, "__dict__", {}).values())
        if hasattr(item, "__self__"):
            stack.append(item.__self__)
        for cls in type(item).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            names = (slots,) if isinstance(slots, str) else slots
            stack.extend(getattr(item, name, None) for name in names if not name.startswith("__"))
