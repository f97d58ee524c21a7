"""The contract every layer keeps, and the little that all layers share."""

from collections.abc import Mapping
from itertools import count
from typing import Any, Self

import numpy as np

from ..arrays import Array, device_of, to_device
from ..arrays.checks import expect_array, expect_float_dtype
from .cache import Cache, expect_cache
from .parameters import Arrays, NamedArrays

_serials = count()


class Layer:
    """A function with a hand-written derivative.

        y, cache = layer.forward(x)
        dx = layer.backward(dy, cache)      # dy is dL/dy; ADDS dL/dparams into layer.grads

    - `params` and `grads` are named arrays: `layer.params.W`, `layer.grads["W"]`.
    - `backward` adds to `grads` and never writes into `x` or `dy`; call `zero_grads()` before the next step.
    - `cache` holds everything `backward` needs; `forward(x, cache=old)` reuses the memory of an old pass.
    - The dtype is that of the parameters. A layer without any takes that of `x`.
    - `training` is True until set; setting it on a container sets it on all layers inside.

    Args:
        params: name -> shape of each parameter; they start at zero.
        buffers: name -> shape of what is saved with the layer but not trained (running statistics).
        dtype: float32 or float64 (complex128 for the complex step).
    """

    #: How many arrays `forward` returns before the cache: y, and for a recurrent layer its final state too.
    n_outputs = 1

    #: Set it to False on a bottom layer, whose x is data: `Linear` and `Conv2d` then return None and save the work.
    needs_dx = True

    #: The constructor's arguments that identify the layer in messages.
    _shown: tuple[str, ...] = ()

    #: Tells the layer's caches from those of another of its name. A copy has the same one. Without parameters there is
    #: none: then all layers of a name are the same function, and a container's layers know their caches themselves.
    _serial: int | None = None

    def __init__(
        self,
        params: Mapping[str, tuple[int, ...]] | None = None,
        *,
        buffers: Mapping[str, tuple[int, ...]] | None = None,
        dtype: Any = np.float32,
    ):
        dtype = expect_float_dtype(type(self).__name__, dtype, or_complex=True)
        self.params: Arrays = NamedArrays(params or {}, dtype)
        self.grads: Arrays = NamedArrays(params or {}, dtype)
        self.buffers: Arrays = NamedArrays(buffers or {}, dtype)
        self._training = True
        self._serial = next(_serials) if params else None

    def forward(self, x: Array, *other_inputs: Any, **options: Any) -> Any:
        """The layer's output and the cache that its `backward` needs: y, *other_outputs, cache."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, dy: Array, cache: Cache, *d_other_outputs: Any, **options: Any) -> Any:
        """dL/dx from dy = dL/dy; adds dL/dparams into `grads`. With other inputs: dx, *d_other_inputs."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def children(self) -> "Mapping[str, Layer]":
        """The layers inside this one, by name; none for an ordinary layer."""
        return {}

    @property
    def training(self) -> bool:
        """Whether dropout drops and batch norm uses the batch's own statistics. True until set."""
        return self._training

    @training.setter
    def training(self, value: bool) -> None:
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{self._name()}: training is {value!r}, expected True or False")
        self._training = bool(value)
        for child in self.children().values():
            child.training = value

    @property
    def dtype(self) -> np.dtype | None:
        """The parameters' dtype, or None where there are no parameters."""
        slabs = self.params.slabs
        return slabs[0].dtype if slabs else None

    @property
    def n_params(self) -> int:
        """How many numbers are trained."""
        return sum(slab.size for slab in self.params.slabs)

    def zero_grads(self) -> None:
        """Set every gradient to zero."""
        for slab in self.grads.slabs:
            slab[...] = 0

    def to(self, device: str) -> Self:
        """Move parameters, gradients and buffers to "cpu", "cuda" or "cuda:N"; returns the layer itself."""
        for leaf in self._leaves():
            leaf.bind(to_device(leaf.slab, device))
        return self

    def astype(self, dtype: Any) -> Self:
        """Convert parameters, gradients and buffers; returns the layer itself."""
        dtype = expect_float_dtype(f"{self._name()}.astype", dtype, or_complex=True)
        for leaf in self._leaves():
            leaf.bind(leaf.slab.astype(dtype, copy=False))
        return self

    def _leaves(self) -> list[NamedArrays]:
        return [*self.params.leaves, *self.grads.leaves, *self.buffers.leaves]

    def _expect_x(self, x: Array, *shape: int | str) -> None:
        slabs = self.params.slabs
        device = device_of(slabs[0]) if slabs else None
        expect_array(f"{self._name()}.forward", "x", x, shape, dtype=self.dtype, device=device)

    def _expect_dy(self, dy: Array, cache: Cache) -> None:
        expect_cache(self, "backward", cache)
        cache.expect_dy(f"{self._name()}.backward", dy)

    def _name(self) -> str:
        return f"{type(self).__name__}({', '.join(str(getattr(self, name)) for name in self._shown)})"

    def __repr__(self) -> str:
        return self._name() + (f": {self.n_params:,} parameters" if self.n_params else "")
