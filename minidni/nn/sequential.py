"""Sequential: layers one after another."""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from ..arrays import Array, array_module, device_of
from ..arrays.checks import expect_array
from .cache import Cache, expect_cache
from .layer import Layer
from .masks import masked
from .parameters import Arrays, JoinedArrays


class Sequential(Layer):
    """Layers one after another: forward runs them in order, backward in reverse. That is the whole of backpropagation.

    `net.params` and `net.grads` name every layer's arrays by its place: `net.params["0.W"]`. The memory stays the
    layers' own, so a layer may be shared, and a part of a network, `Sequential(*net[1:3])`, trains the same weights.

    With recurrent layers inside, the network is recurrent itself, and has one state: theirs side by side, in order.

        y, sT, cache = net.forward(x, s0)        # x (T, B, ...), s0 (B, S), S = net.n_state -> y (T, B, ...), sT (B, S)
        dx, ds0 = net.backward(dy, cache, dsT)

    Args:
        *layers: each with one input and one output, or recurrent.
    """

    def __init__(self, *layers: Layer):
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"Sequential: layer {i} is of type {type(layer).__name__}, expected a Layer")
            if layer.n_outputs != 1 and not _has_state(layer):
                raise TypeError(f"Sequential: layer {i} is {layer._name()}, which returns more than its output")
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
        ends = list(accumulate(getattr(layer, "n_state", 0) for layer in layers))
        #: Which columns of the state are each layer's; None for a layer without state.
        self._columns = [slice(a, b) if a < b else None for a, b in zip([0, *ends], ends, strict=False)]
        self.n_state = ends[-1]
        self.n_outputs = 2 if self.n_state else 1

    def forward(
        self, x: Array, s0: Array | None = None, cache: Cache | None = None, *, mask: Array | None = None
    ) -> Any:
        """x -> y, cache. With recurrent layers x (T, B, ...), s0 (B, S), mask (T, B) -> y, sT (B, S), cache.

        Keeps one cache per layer, `cache["0"]` the first layer's, and the mask. It means for the network what it means
        for a recurrent layer: where it is False, y and dx are 0, and what x and dy hold is not looked at.
        """
        caches = Cache.open(self, cache)
        self._expect_state("forward", s0=s0, mask=mask)
        options = {} if mask is None else {"mask": mask}
        if mask is not None and hasattr(x, "shape"):
            expect_array(f"{self._name()}.forward", "mask", mask, x.shape[:2], dtype="bool", device=device_of(x))
            x = masked(x, mask, caches, "masked x")
        states: list[Array] = []
        for i, (layer, columns) in enumerate(zip(self.layers, self._columns, strict=True)):
            old = caches[str(i)] if cache is not None else None
            if columns is None:
                x, one = layer.forward(x, cache=old)
            else:
                x, s, one = layer.forward(x, None if s0 is None else s0[:, columns], cache=old, **options)
                states.append(s)
            caches.keep(**{str(i): one})
        x = masked(x, mask, caches, "masked y")
        caches.finish(x)
        if not self.n_state:
            return x, caches
        caches.keep(mask=mask)
        sT = caches.buffer("sT", (len(states[0]), self.n_state), like=states[0])
        return x, array_module(sT).concatenate(states, axis=1, out=sT), caches

    def backward(self, dy: Array | None, cache: Cache, dsT: Array | None = None) -> Any:
        """dy -> dx, through the layers in reverse. With recurrent layers dy, dsT (B, S) -> dx, ds0 (B, S)."""
        expect_cache(self, "backward", cache)
        if dy is None and self.n_state:
            dy = cache.zero_dy(like=self.params.slabs[0])
        self._expect_state("backward", dsT=dsT)
        if self.n_state and cache.mask is not None:
            self._expect_dy(dy, cache)
            dy = masked(dy, cache.mask, cache, "masked dy")
        gradients: list[Array] = []
        for i, (layer, columns) in reversed(list(enumerate(zip(self.layers, self._columns, strict=True)))):
            if columns is None:
                dy = layer.backward(dy, cache[str(i)])
            else:
                dy, ds = layer.backward(dy, cache[str(i)], None if dsT is None else dsT[:, columns])
                gradients.insert(0, ds)
            if dy is None and i:
                raise TypeError(f"{self._name()}.backward: layer {i} gave no dx, but layer {i - 1} needs it")
        if not self.n_state:
            return dy
        ds0 = cache.buffer("ds0", (len(gradients[0]), self.n_state), like=gradients[0])
        return dy, array_module(ds0).concatenate(gradients, axis=1, out=ds0)

    def _expect_state(self, method: str, *, mask: Array | None = None, **states: Array | None) -> None:
        """Raise unless each state has the network's width, and there is none where the network has no state."""
        where = f"{self._name()}.{method}"
        for name, s in {"mask": mask, **states}.items():
            if s is not None and not self.n_state:
                hint = ", and the cache as cache=..." if isinstance(s, Cache) else ""
                raise TypeError(f"{where}: {name} was given, but no layer is recurrent; expected none{hint}")
        for name, s in states.items():
            if s is not None:
                expect_array(where, name, s, ("B", self.n_state), dtype=self.dtype)

    @property
    def plain(self) -> bool:
        """Whether all recurrent layers take their plain walk; setting it sets it on each."""
        return all(getattr(layer, "plain", True) for layer in self.layers)

    @plain.setter
    def plain(self, value: bool) -> None:
        for layer in self.layers:
            if hasattr(layer, "plain"):
                layer.plain = value

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


def _has_state(layer: Layer) -> bool:
    return bool(getattr(layer, "n_state", 0))
