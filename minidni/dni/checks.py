"""What the doors share."""

from typing import Any

import numpy as np

from ..arrays import Array, array_module, device_of, to_device
from ..arrays.checks import expect_array, expect_indices
from ..arrays.kernels import one_hot
from ..nn import Layer, Optimiser


def expect_layer(where: str, name: str, net: Any) -> None:
    """Raise unless net is a layer, or network, with one output."""
    if not isinstance(net, Layer) or net.n_outputs != 1:
        raise TypeError(f"{where}: {name} is {got(net)}, expected a Layer with one output")


def expect_network(where: str, name: str, net: Any) -> None:
    """Raise unless net is a layer, or network, whose one output may come with a state."""
    if not isinstance(net, Layer) or (net.n_outputs != 1 and not getattr(net, "n_state", 0)):
        raise TypeError(f"{where}: {name} is {got(net)}, expected a Layer")


def start_at_zero(where: str, net: Layer) -> None:
    """Set the layer that the network ends in to zero, weight and bias; raise if it has no parameters."""
    while children := net.children():
        net = list(children.values())[-1]
    if not net.n_params:
        raise TypeError(f"{where}: net ends in {net._name()}, expected a layer with parameters")
    if hasattr(net, "start_at_zero"):
        net.start_at_zero()
    else:
        for slab in net.params.slabs:
            slab[...] = 0


def expect_optimiser(where: str, optimizer: Any) -> None:
    """Raise unless it is an optimiser, made."""
    if not isinstance(optimizer, Optimiser):
        raise TypeError(f"{where}: optimizer is {optimizer!r}, expected an optimiser, such as Adam()")


def expect_signal(where: str, name: str, signal: Any) -> None:
    """Raise unless it can stand in the slot `gradient(h, labels)`."""
    if isinstance(signal, type) or not hasattr(signal, "gradient"):
        raise TypeError(f"{where}: {name} is {signal!r}, expected an object with gradient(h, labels)")


def got(net: Any) -> str:
    """A layer by its name on one line, and anything else by its type."""
    return net._name() if isinstance(net, Layer) else f"of type {type(net).__name__}"


def hot_labels(where: str, name: str, labels: Any, n: int, *, like: Array) -> Array:
    """Integer labels (...) as one-hot rows (..., n), with the dtype and on the device of `like`."""
    expect_indices(where, name, labels, n)
    if not isinstance(labels, np.ndarray):  # those on the host were looked at there and may follow
        expect_array(where, name, labels, labels.shape, dtype=labels.dtype, device=device_of(like))
    return one_hot(to_device(labels, device_of(like)), n, like.dtype)


def where_mask(where: str, mask: Array, x: Array) -> Array:
    """x, and 0 in the rows where the mask (B,) is False, whatever x holds there."""
    xp = array_module(x)
    expect_array(where, "mask", mask, x.shape[:1], dtype=np.bool_, device=device_of(x))
    return xp.where(mask.reshape(-1, *[1] * (x.ndim - 1)), x, xp.zeros((), x.dtype))
