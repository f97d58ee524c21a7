"""Named arrays: what `layer.params` and `layer.grads` are."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..arrays import Array


class Arrays(Mapping[str, Array]):
    """Arrays by name. Two instances are equal only if they are one object: an optimiser keeps its state by instance."""

    @property
    def leaves(self) -> "list[NamedArrays]":
        """The instances that own memory: itself for an ordinary layer, one for each layer inside for a network."""
        raise NotImplementedError

    @property
    def slabs(self) -> list[Array]:
        """The one-dimensional array behind each leaf. Together they hold every number once."""
        return [leaf.slab for leaf in self.leaves]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        raise NotImplementedError

    def __repr__(self) -> str:
        return ", ".join(f"{name} {tuple(a.shape)}" for name, a in self.items()) or "(no arrays)"

    __eq__ = object.__eq__
    __hash__ = object.__hash__


class NamedArrays(Arrays):
    """Arrays that are views of one slab: `params.W` and `params["W"]` are the same memory, and a part of `params.slab`.

    Whatever treats all parameters alike (an optimiser, clipping, sending them to another process) works on the slab;
    whatever needs to know which is which uses the names. Assigning copies into the view, so the two never part:
    `params.W = W0` and `params.W[...] = W0` are the same.

    Args:
        shapes: name -> shape, in the order in which they lie in the slab.
        dtype: of the slab, which starts at zero on the CPU.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: Any = np.float32):
        self._shapes = dict(shapes)
        self.bind(np.zeros(sum(math.prod(shape) for shape in shapes.values()), dtype))

    def bind(self, slab: Array) -> None:
        """Take another slab of the same length (another dtype or device) and lay the views anew."""
        views, start = {}, 0
        for name, shape in self._shapes.items():
            stop = start + math.prod(shape)
            views[name] = slab[start:stop].reshape(shape)
            start = stop
        self.__dict__.update(slab=slab, _views=views)

    @property
    def leaves(self) -> "list[NamedArrays]":
        """This instance, unless it is empty."""
        return [self] if self._views else []

    def __getitem__(self, name: str) -> Array:
        try:
            return self._views[name]
        except KeyError:
            raise KeyError(f"no array is named {name!r}; there are {', '.join(self._views) or 'none'}") from None

    def __setitem__(self, name: str, value: Any) -> None:
        view = self[name]
        if value is view:  # the second half of `params.W += dW`
            return
        shape = value.shape if hasattr(value, "shape") else np.shape(value)
        if shape != view.shape:
            raise ValueError(f"{name} has shape {view.shape} and cannot take an array of shape {shape}")
        view[...] = value

    def __getattr__(self, name: str) -> Any:
        views = self.__dict__.get("_views", {})
        if name not in views:
            raise AttributeError(f"no array is named {name!r}; there are {', '.join(views) or 'none'}")
        return views[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            self.__dict__[name] = value
            return
        try:
            self[name] = value
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __getstate__(self) -> dict[str, Any]:
        # Pickled as they stand, the views would come back as arrays of their own.
        return {"shapes": self._shapes, "slab": self.slab}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._shapes = state["shapes"]
        self.bind(state["slab"])


class JoinedArrays(Arrays):
    """The named arrays of several layers, as "prefix.name". It owns nothing and looks everything up in its parts."""

    def __init__(self, parts: Mapping[str, Arrays]):
        self._parts = dict(parts)

    @property
    def leaves(self) -> list[NamedArrays]:
        """The parts' leaves in order; one that occurs twice (a shared layer) is listed once."""
        return list(dict.fromkeys(leaf for part in self._parts.values() for leaf in part.leaves))

    def __getitem__(self, name: str) -> Array:
        part, rest = self._find(name)
        return part[rest]

    def __setitem__(self, name: str, value: Any) -> None:
        part, rest = self._find(name)
        part[rest] = value

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise AttributeError(self._no_attribute(name))
        self.__dict__[name] = value

    def _find(self, name: str) -> tuple[Arrays, str]:
        prefix, _, rest = name.partition(".")
        if prefix not in self._parts or rest not in self._parts[prefix]:
            raise KeyError(f"no array is named {name!r}; there are {', '.join(self) or 'none'}")
        return self._parts[prefix], rest

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # asked for by copy and pickle before there are any parts
            raise AttributeError(name)
        raise AttributeError(self._no_attribute(name))

    def _no_attribute(self, name: str) -> str:
        return (
            f"no array is named {name!r}; a network's are named by place, such as params[{next(iter(self), '0.W')!r}]"
        )

    def __iter__(self) -> Iterator[str]:
        return (f"{prefix}.{name}" for prefix, part in self._parts.items() for name in part)

    def __len__(self) -> int:
        return sum(map(len, self._parts.values()))
