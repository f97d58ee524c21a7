"""Where NaN or infinity came from: the first layer of a network that is not finite."""

import copy

from ..arrays import Array, array_module
from .layer import Layer
from .sequential import Sequential


def first_non_finite(net: Layer, x: Array) -> str | None:
    """The sentence on the first layer, in the order of forward and then of backward, with a number that is none.

    Runs a copy of the network forward on x; None if all is finite.
    """
    found, _ = _walk(copy.deepcopy(net), x, "")
    if found:
        return found
    for name in reversed(list(net.grads)):
        if not array_module(net.grads[name]).isfinite(net.grads[name]).all():
            place, _, array = name.rpartition(".")
            layer = _at(net, place)
            return f"the gradient of {array} of {_call(layer, place)} is the first, going back, that is not finite"
    return None


def _walk(layer: Layer, x: Array, place: str) -> tuple[str | None, Array]:
    """Forward through a copy of the network; the sentence on the first layer that is not finite, and the output."""
    if isinstance(layer, Sequential):
        for i, child in layer.children().items():
            found, x = _walk(child, x, f"{place}.{i}" if place else i)
            if found:
                return found, x
        return None, x
    xp = array_module(x)
    if x.dtype.kind == "f" and not xp.isfinite(x).all():
        return f"the input of {_call(layer, place)} is not finite", x
    for name, parameter in layer.params.items():
        if not xp.isfinite(parameter).all():
            return f"{name} of {_call(layer, place)} is the first parameter that is not finite", x
    y = layer.forward(x)[0]
    if not xp.isfinite(y).all():
        return f"the output of {_call(layer, place)} is the first that is not finite", x
    return None, y


def _at(net: Layer, place: str) -> Layer:
    for name in place.split(".") if place else ():
        net = net.children()[name]
    return net


def _call(layer: Layer, place: str) -> str:
    return f"layer {place}, {layer._name()}," if place else layer._name()
