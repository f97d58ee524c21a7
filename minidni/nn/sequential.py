"""Sequential: layers one after another."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..arrays import Array
from .cache import Cache, expect_cache
from .layer import Layer
from .parameters import Arrays, JoinedArrays


class Sequential(Layer):
    """Layers one after another: forward runs them in order, backward in reverse. That is the whole of backpropagation.

    `net.params` and `net.grads` name every layer's arrays by its place: `net.params["0.W"]`. The memory stays the
    layers' own, so a layer may be shared, and a part of a network, `Sequential(*net[1:3])`, trains the same weights.

    Args:
        *layers: each with one input and one output.
    """

    def __init__(self, *layers: Layer):
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"Sequential: layer {i} is of type {type(layer).__name__}, expected a Layer")
            if layer.n_outputs != 1:
                raise TypeError(
                    f"Sequential: layer {i} is {layer._name()}, which also returns a state; call it by hand"
                )
        if not layers:
            raise ValueError("Sequential: got no layers, expected at least one")
        if len(dtypes := {str(layer.dtype) for layer in layers if layer.dtype is not None}) > 1:
            raise TypeError(f"Sequential: the layers are {' and '.join(sorted(dtypes))}, expected one dtype")
        super().__init__()
        self.layers = layers
        parts = {str(i): layer for i, layer in enumerate(layers)}
        self.params: Arrays = JoinedArrays({i: layer.params for i, layer in parts.items()})
        self.grads: Arrays = JoinedArrays({i: layer.grads for i, layer in parts.items()})
        self.buffers: Arrays = JoinedArrays({i: layer.buffers for i, layer in parts.items()})

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x -> y, cache. Keeps one cache per layer, `cache["0"]` the first layer's."""
        caches = Cache.open(self, cache)
        for i, layer in enumerate(self.layers):
            x, one = layer.forward(x, cache=caches[str(i)] if cache is not None else None)
            caches.keep(**{str(i): one})
        return x, caches

    def backward(self, dy: Array, cache: Cache) -> Any:
        """Dy -> dx, through the layers in reverse."""
        expect_cache(self, "backward", cache)
        for i, layer in reversed(list(enumerate(self.layers))):
            dy = layer.backward(dy, cache[str(i)])
        return dy

    def children(self) -> Mapping[str, Layer]:
        """The layers by place: "0", "1", ..."""
        return {str(i): layer for i, layer in enumerate(self.layers)}

    def __getitem__(self, i: Any) -> Any:
        return self.layers[i]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def _name(self) -> str:
        return f"Sequential({', '.join(layer._name() for layer in self.layers)})"

    def __repr__(self) -> str:
        rows = [
            (str(i), layer._name(), f"{layer.n_params:,}" if layer.n_params else "-") for i, layer in enumerate(self)
        ]
        rows.append(("", "together", f"{self.n_params:,}"))
        width = max(len(name) for _, name, _ in rows)
        return "\n".join(["Sequential", *(f"  {i:>2}  {name:<{width}}  {n:>12}" for i, name, n in rows)])
