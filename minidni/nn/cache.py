"""The cache: what one forward pass leaves for its backward pass, in plain sight."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arrays import Array, array_module, device_of, empty
from ..arrays.checks import expect_array


class Cache:
    """Everything `backward` needs from `forward`, by name: `cache.x`, `cache["x"]`, `print(cache)`, `cache.nbytes`.

    Nothing is stashed on the layer, so any number of passes may be in flight, each with its own cache. Arrays are kept,
    not copied: changing `x` or `y` in place between forward and backward changes the gradient.

    `layer.forward(x, cache=old)` starts a new pass in an old cache and reuses that pass's arrays, its `y`, `sT` and
    `dx` included. Within one pass each of them is handed out once, so a second `backward` gets fresh memory. The old
    pass is over then: there is one cache, it is the new pass's, and no `backward` can tell which pass its `dy` is from.
    Passes that are in flight together need a cache each. `print(cache)` counts the passes that it has served.

    Args:
        owner: the layer's name with its sizes; the backward of a layer of another name refuses the cache.
        serial: the layer's own number; the backward of a layer with another one refuses the cache. None is any layer's.
    """

    def __init__(self, owner: str, serial: int | None = None):
        self._owner, self._serial, self._passes = owner, serial, 1
        self._kept: dict[str, Any] = {}
        self._free: dict[str, Array] = {}
        self._used: dict[str, Array] = {}

    @classmethod
    def open(cls, owner: object, old: "Cache | None") -> "Cache":
        """A cache for the pass that begins now: a new one, or the old one with its arrays free for reuse."""
        if old is None:
            return cls(_name(owner), _serial(owner))
        _expect_kind(owner, "forward", old)
        old._serial = _serial(owner)
        old._passes += 1
        old._free |= old._used
        old._used = {}
        return old

    def clear(self) -> None:
        """Forget what the last pass kept, and its arrays."""
        self._kept, self._free, self._used = {}, {}, {}

    def buffer(self, name: str, shape: tuple[int, ...], like: Array) -> Array:
        """An uninitialised array of the library and dtype of `like`, reused from the last pass if it fits."""
        array = self._free.pop(name, None)
        if array is None or array.shape != shape or array.dtype != like.dtype or device_of(array) != device_of(like):
            array = empty(shape, like)
        self._used[name] = array
        return array

    def keep(self, **values: Any) -> None:
        """Keep values for backward; what the last pass kept under these names is replaced."""
        self._kept.update(values)

    def finish(self, y: Array, /, **values: Any) -> None:
        """Keep values and remember, without keeping y, what dy must look like: the end of a forward pass."""
        self._output = (y.shape, y.dtype, device_of(y))
        self.keep(**values)

    def expect_dy(self, where: str, dy: Array) -> None:
        """Raise unless dy has the shape, dtype and device of the y that forward returned."""
        shape, dtype, device = self._output
        expect_array(where, "dy", dy, shape, dtype=dtype, device=device)

    def zero_dy(self, like: Array) -> Array:
        """Zeros of the shape of the y that forward returned, in the library of `like`."""
        shape, dtype, _ = self._output
        return array_module(like).zeros(shape, dtype)

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays kept for backward, those of nested caches included, each array counted once."""
        return sum({(_address(a), a.nbytes): a.nbytes for a in self._arrays()}.values())

    def _arrays(self) -> Iterator[Array]:
        for value in self._kept.values():
            if isinstance(value, Cache):
                yield from value._arrays()
            elif hasattr(value, "nbytes"):
                yield value

    def __getitem__(self, name: str) -> Any:
        return self._kept[name]

    def __getattr__(self, name: str) -> Any:
        kept = self.__dict__.get("_kept", {})
        if name not in kept:
            raise AttributeError(f"the cache keeps no {name!r}; it keeps {', '.join(kept) or 'nothing'}")
        return kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __repr__(self) -> str:
        lines = [
            f"{self._owner} cache: {self.nbytes:,} bytes kept" + f", pass {self._passes} in it" * (self._passes > 1)
        ]
        for name, value in self._kept.items():
            if isinstance(value, Cache):
                lines += [
                    f"  {name}: {line}" if i == 0 else f"  {line}" for i, line in enumerate(repr(value).split("\n"))
                ]
            elif hasattr(value, "nbytes"):
                lines.append(f"  {name} {tuple(value.shape)} {value.dtype}, {value.nbytes:,} bytes")
            else:
                lines.append(f"  {name} = {value!r}")
        return "\n".join(lines)


def expect_cache(owner: object, method: str, cache: Any) -> None:
    """Raise unless this is a cache from the owner itself, or from a copy of it."""
    _expect_kind(owner, method, cache)
    if _serial(owner) != cache._serial and None not in (_serial(owner), cache._serial):
        name = _name(owner)
        raise ValueError(
            f"{name}.{method}: cache is that of another {name}, expected the one that this layer's own forward returned"
        )


def _expect_kind(owner: object, method: str, cache: Any) -> None:
    name = _name(owner)
    if not isinstance(cache, Cache) or cache._owner != name:
        got = f"{cache._owner}'s" if isinstance(cache, Cache) else repr(type(cache).__name__)
        raise TypeError(f"{name}.{method}: cache is {got}, expected the one that this {name}'s forward returned")


def _name(owner: object) -> str:
    return owner._name() if hasattr(owner, "_name") else type(owner).__name__


def _serial(owner: object) -> int | None:
    return getattr(owner, "_serial", None)


def _address(a: Array) -> int:
    """Where the memory starts: a view of the whole, such as Flatten's y, is no second array."""
    return a.ctypes.data if isinstance(a, np.ndarray) else a.data.ptr
