"""A training loop people expect: `fit`. It does what a lesson's own loop does, and keeps the history."""

import contextlib
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import Array, device_of, to_device
from .arrays.checks import expect_array, expect_indices, expect_not_negative, expect_number, expect_positive
from .data import Batches, batches
from .nn import Layer, Loss, Optimiser, SoftmaxCrossEntropy, clip_norm, gradient_norm
from .nn.modes import evaluating
from .nn.non_finite import first_non_finite

__all__ = ["History", "accuracy", "fit"]


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
    first_epoch: int = 0,
    drop_last: bool = False,
    progress: bool = True,
) -> History:
    """Train a network on minibatches: forward, loss, backward, step.

    If the loss or a gradient stops being finite, training stops before the update that would spread it, with a warning
    that names the step and the layer that went first; `history.stopped` keeps the sentence. On a GPU every step waits
    for its loss; a loop of your own need not.

    Args:
        net: layer or network with one input and one output.
        loss: a loss, or anything with its `value(h, labels)` and `gradient(h, labels)`.
        optimiser: its state is carried on by later calls.
        x: inputs (n, ...), one example a row.
        labels: (n, ...), one a row.
        epochs: passes over the data.
        batch_size: rows a step; the last batch of an epoch may be smaller.
        seed: of the order of the examples; the network's own draws have their own seeds.
        validation: (x, labels) to look at after each epoch, or None.
        clip: largest norm of the gradient, or None for no clipping.
        first_epoch: the number of the first epoch, which with the seed decides its order: after `epochs=10`, a call
            with `first_epoch=10` continues as one longer call would have gone on.
        drop_last: leave out a last batch of fewer than `batch_size` rows.
        progress: show a progress bar, if tqdm is installed.
    """
    epochs, batch_size = expect_positive("fit", epochs=epochs, batch_size=batch_size)
    (first_epoch,) = expect_not_negative("fit", first_epoch=first_epoch)
    clip = None if clip is None else expect_number("fit", "clip", clip, open_low=True)
    _check(net, loss, optimiser, x, labels, validation)
    history, cache, step = History(), None, 0
    net.training = True

    def one_epoch(epoch: int) -> Batches:
        return batches(x, labels, size=batch_size, seed=seed, epoch=epoch, drop_last=drop_last)

    per_epoch = len(one_epoch(0))
    # A diverging run overflows; what NumPy would warn of then, the checks below say more clearly.
    with np.errstate(over="ignore", invalid="ignore"), _bar(epochs * per_epoch, progress) as bar:
        for epoch in range(first_epoch, first_epoch + epochs):
            for xb, yb in one_epoch(epoch):
                statistics = [slab.copy() for slab in net.buffers.slabs]
                h, cache = net.forward(xb, cache=cache)
                try:
                    history.losses.append(loss.value(h, yb))
                    if not math.isfinite(history.losses[-1]):
                        raise FloatingPointError(f"the loss is {history.losses[-1]}")
                    net.zero_grads()
                    net.backward(loss.gradient(h, yb), cache)
                    if not math.isfinite(gradient_norm(net)):
                        raise FloatingPointError("a gradient is not finite")
                except FloatingPointError as error:
                    for slab, before in zip(net.buffers.slabs, statistics, strict=True):
                        slab[...] = before  # forward has moved them already
                    return _stop(history, f"at step {step}: {first_non_finite(net, xb) or error}")
                if clip is not None:
                    clip_norm(net, clip)
                optimiser.step(net)
                step += 1
                bar(history.losses[-1])
            history.epochs.append({"epoch": epoch, "loss": float(np.mean(history.losses[-per_epoch:]))})
            if validation is not None:
                try:
                    history.epochs[-1] |= _validate(net, loss, *validation)
                except FloatingPointError as error:
                    return _stop(history, f"after step {step}, on the validation data: {error}")
    return history


def accuracy(net: Layer, x: Array, labels: Array, *, batch_size: int = 1000) -> float:
    """The fraction of rows whose largest output is at the label; in evaluation mode, which is undone afterwards.

    Args:
        net: its outputs are (..., N).
        x: inputs (n, ...), one example a row.
        labels: integers from 0 to N - 1, of the shape of the outputs without their last axis.
        batch_size: rows that go through the network together.
    """
    _check_pair("accuracy", net, x, labels)
    right = 0
    for h, y in _outputs(net, x, labels, batch_size):
        expect_indices("accuracy", "labels", y, h.shape[-1])
        y = to_device(y, device_of(h))
        expect_array("accuracy", "labels", y, h.shape[:-1], dtype=y.dtype)
        right += int((h.argmax(axis=-1) == y).sum())
    return right / labels.size


def _check(net: Any, loss: Any, optimiser: Any, x: Any, labels: Any, validation: Any) -> None:
    """Raise unless `fit` can begin with these."""
    _check_pair("fit", net, x, labels)
    for name, got, methods in (("loss", loss, ("value", "gradient")), ("optimiser", optimiser, ("step",))):
        if isinstance(got, type) or not all(hasattr(got, method) for method in methods):
            raise TypeError(f"fit: {name} is {got!r}, expected an object with {' and '.join(methods)}")
    if validation is None:
        return
    if not isinstance(validation, tuple) or len(validation) != 2:
        kind = type(validation).__name__
        got = f"a tuple of {len(validation)}" if isinstance(validation, tuple) else f"of type {kind}"
        raise TypeError(f"fit: validation is {got}, expected a tuple (x, labels)")
    _check_pair("fit", net, *validation, prefix="validation ")
    with contextlib.suppress(FloatingPointError):  # wrong shapes show now, not after the first epoch
        _validate(net, loss, validation[0][:1], validation[1][:1])


def _check_pair(where: str, net: Any, x: Any, labels: Any, prefix: str = "") -> None:
    """Raise unless net is a layer with one output, and x and labels are arrays with equally many rows."""
    if not isinstance(net, Layer):
        got = f"the class {net.__name__}" if isinstance(net, type) else f"of type {type(net).__name__}"
        raise TypeError(f"{where}: net is {got}, expected a Layer")
    if net.n_outputs != 1:
        raise TypeError(
            f"{where}: net is {net._name()}, which also returns a state, expected a network with one output"
        )
    for name, array in (("x", x), ("labels", labels)):
        if not hasattr(array, "dtype") or not getattr(array, "ndim", 0):
            raise TypeError(f"{where}: {prefix}{name} is of type {type(array).__name__}, expected an array with rows")
    if len(x) != len(labels) or not len(x):
        raise ValueError(
            f"{where}: {prefix}labels has {len(labels)} rows, expected {len(x) or 'at least one'}, one for each of x"
        )


def _stop(history: History, why: str) -> History:
    history.stopped = f"fit stopped {why}"
    warnings.warn(history.stopped, RuntimeWarning, stacklevel=3)
    return history


def _validate(net: Layer, loss: Loss, x: Array, labels: Array) -> dict[str, float]:
    # Rows weigh the same in the mean whichever batch they fell into.
    value = sum(loss.value(h, y) * len(h) for h, y in _outputs(net, x, labels, 1000)) / len(x)
    result = {"validation_loss": value}
    if isinstance(loss, SoftmaxCrossEntropy):
        result["validation_accuracy"] = accuracy(net, x, labels)
    return result


def _outputs(net: Layer, x: Array, labels: Array, batch_size: int) -> Iterator[tuple[Array, Array]]:
    """The network's outputs in evaluation mode, with their labels, batch by batch."""
    with evaluating(net):
        for xb, yb in batches(x, labels, size=batch_size, seed=0, shuffle=False):
            yield net.forward(xb)[0], yb


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
