"""Training and evaluation: looking at a network without leaving it in another mode."""

from collections.abc import Iterator
from contextlib import contextmanager

from .layer import Layer


def all_layers(layer: Layer) -> Iterator[Layer]:
    """The layer, and all inside it; a container before what is in it."""
    yield layer
    for child in layer.children().values():
        yield from all_layers(child)


@contextmanager
def evaluating(net: Layer) -> Iterator[None]:
    """All layers are in evaluation mode inside the with statement, and in their own after it."""
    modes = [(layer, layer.training) for layer in all_layers(net)]
    net.training = False
    try:
        yield
    finally:
        for layer, mode in modes:  # a container before what is in it, which may differ
            layer.training = mode
