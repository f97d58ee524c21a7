"""Forward and backward of any network; the state of a recurrent one starts at zero, and nothing comes from its end."""

from ..arrays import Array
from ..nn import Cache, Layer


def forward(net: Layer, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
    """x -> y, cache; with an old cache, in its memory."""
    y, *_, cache = net.forward(x, cache=cache)
    return y, cache


def backward(net: Layer, dy: Array, cache: Cache) -> Array:
    """dy -> dx; adds to the gradients."""
    dx = net.backward(dy, cache)
    return dx if net.n_outputs == 1 else dx[0]
