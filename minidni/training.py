"""A training loop people expect: `fit`. It does what a lesson's own loop does, and keeps the history."""

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import Array, array_module
from .arrays.checks import expect_number, expect_positive
from .data import batches
from .nn import Layer, Loss, Optimiser, Sequential, SoftmaxCrossEntropy, clip_norm, gradient_norm


@dataclass
class History:
    """What happened in `fit`.

    Attributes:
        losses: the training loss of every step, before that step's update.
        epochs: a dictionary an epoch: "epoch", "loss" (mean of the epoch's steps), and with validation data
            "validation_loss" and, for class labels, "validation_accuracy".
        stopped: None, or the sentence that says why training ended early.
    """

    losses: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    stopped: str | None = None

    def plot(self) -> Any:
        """The loss by step and the validation results by epoch, as a matplotlib figure."""
        from .plots import training_curves

        return training_curves(self)


def fit(
    net: Layer,
    loss: Loss,
    optimiser: Optimiser,
    x: Array,
    labels: Array,
    *,
    epochs: int = 10,
    batch_size: int = 32,
    seed: int = 0,
    validation: tuple[Array, Array] | None = None,
    clip: float | None = None,
    progress: bool = True,
) -> History:
    """Train a network on minibatches: forward, loss, backward, step.

    If the loss or a gradient stops being finite, training stops before the update that would spread it, with a warning
    that names the step and the layer that went first; `history.stopped` keeps the sentence. On a GPU every step waits
    for its loss; a loop of your own need not.

    Args:
        net: layer or network with one input and one output.
        loss: a loss, or anything with its `value(h, labels)` and `gradient(h, labels)`.
        optimiser: its state is carried on, so calling `fit` again continues.
        x: inputs (n, ...), one example a row.
        labels: (n, ...), one a row.
        epochs: passes over the data.
        batch_size: rows a step; the last batch of an epoch may be smaller.
        seed: of the order of the examples; the network's own draws have their own seeds.
        validation: (x, labels) to look at after each epoch, or None.
        clip: largest norm of the gradient, or None for no clipping.
        progress: show a progress bar, if tqdm is installed.
    """
    epochs, batch_size = expect_positive("fit", epochs=epochs, batch_size=batch_size)
    if not isinstance(net, Layer):
        raise TypeError(f"fit: net is a {type(net).__name__}, expected a Layer")
    if net.n_outputs != 1:
        raise TypeError(f"fit: net is {net._name()}, which also returns a state, expected a network with one output")
    for name, got, methods in (("loss", loss, ("value", "gradient")), ("optimiser", optimiser, ("step",))):
        if isinstance(got, type) or not all(hasattr(got, method) for method in methods):
            raise TypeError(f"fit: {name} is {got!r}, expected an object with {' and '.join(methods)}")
    if validation is not None and not (isinstance(validation, tuple) and len(validation) == 2):
        raise TypeError(f"fit: validation is a {type(validation).__name__}, expected a tuple (x, labels)")
    if clip is not None:
        clip = expect_number("fit", "clip", clip, open_low=True)
    history, cache, step = History(), None, 0
    net.training = True
    per_epoch = len(batches(x, labels, size=batch_size, seed=seed))
    # A diverging run overflows; what NumPy would warn of then, the checks below say more clearly.
    with np.errstate(over="ignore", invalid="ignore"), _bar(epochs * per_epoch, progress) as bar:
        for epoch in range(epochs):
            for xb, yb in batches(x, labels, size=batch_size, seed=seed, epoch=epoch):
                statistics = [slab.copy() for slab in net.buffers.slabs]
                h, cache = net.forward(xb, cache=cache)
                try:
                    history.losses.append(loss.value(h, yb))
                    net.zero_grads()
                    net.backward(loss.gradient(h, yb), cache)
                    if not math.isfinite(gradient_norm(net)):
                        raise FloatingPointError("a gradient is not finite")
                except FloatingPointError as error:
                    for slab, before in zip(net.buffers.slabs, statistics, strict=True):
                        slab[...] = before  # forward has moved them already
                    history.stopped = f"fit stopped at step {step}: {_first_non_finite(net, xb) or error}"
                    warnings.warn(history.stopped, RuntimeWarning, stacklevel=2)
                    return history
                if clip is not None:
                    clip_norm(net, clip)
                optimiser.step(net)
                step += 1
                bar(history.losses[-1])
            history.epochs.append({"epoch": epoch, "loss": float(np.mean(history.losses[-per_epoch:]))})
            if validation is not None:
                history.epochs[-1] |= _validate(net, loss, *validation)
    return history


def accuracy(net: Layer, x: Array, labels: Array, *, batch_size: int = 1000) -> float:
    """The fraction of rows whose largest output is at the label; in evaluation mode, which is undone afterwards."""
    return sum(float((h.argmax(axis=-1) == y).sum()) for h, y in _outputs(net, x, labels, batch_size)) / labels.size


def _validate(net: Layer, loss: Loss, x: Array, labels: Array) -> dict[str, float]:
    # Rows weigh the same in the mean whichever batch they fell into.
    value = sum(loss.value(h, y) * len(h) for h, y in _outputs(net, x, labels, 1000)) / len(x)
    result = {"validation_loss": value}
    if isinstance(loss, SoftmaxCrossEntropy):
        result["validation_accuracy"] = accuracy(net, x, labels)
    return result


def _outputs(net: Layer, x: Array, labels: Array, batch_size: int) -> Iterator[tuple[Array, Array]]:
    """The network's outputs in evaluation mode, with their labels, batch by batch."""
    modes = [(layer, layer.training) for layer in _all_layers(net)]
    net.training = False
    try:
        for xb, yb in batches(x, labels, size=batch_size, seed=0, shuffle=False):
            yield net.forward(xb)[0], yb
    finally:
        for layer, mode in modes:  # a container before what is in it, which may differ
            layer.training = mode


def _all_layers(layer: Layer) -> Iterator[Layer]:
    yield layer
    for child in layer.children().values():
        yield from _all_layers(child)


def _first_non_finite(net: Layer, x: Array) -> str | None:
    """The sentence on the first layer, in the order of forward and then of backward, with a number that is none."""
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


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Any]:
    """A progress bar, as a function to call with the loss after each step; without tqdm it does nothing."""
    try:
        from tqdm import tqdm
    except ImportError:
        shown = False
    if not shown:
        yield lambda loss: None
        return
    with tqdm(total=total, unit="step", leave=False) as bar:

        def advance(loss: float) -> None:
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)

        yield advance
