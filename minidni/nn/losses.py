"""Losses. `value(h, labels)` is a number, `gradient(h, labels)` its derivative by h.

A loss is an exact synthesizer: anything that answers `gradient(h, labels)` can stand in its place. All are means over
the leading axes (batch, or time and batch) and sums over the last one.
"""

import math

import numpy as np

from ..arrays import Array, array_module, device_of, to_device
from ..arrays.checks import expect_array, expect_indices
from ..arrays.kernels import log_sum_exp, one_hot, sigmoid, softmax, softplus


class Loss:
    """What the losses share: the checks at the door and the mean."""

    def value(self, h: Array, labels: Array) -> float:
        """The loss, a number. On a GPU this waits for the result.

        Raises:
            FloatingPointError: if h holds NaN or infinity, or the loss itself is not finite.
        """
        h, labels = self._check("value", h, labels)
        with np.errstate(over="ignore", invalid="ignore"):  # what they would warn of is what is raised here
            value = float(self._each(h, labels).mean())
        if not math.isfinite(value):
            culprit = _culprit(h=h, labels=labels)
            raise FloatingPointError(f"{self!r}.value: the loss is {value}, expected a finite number; {culprit}")
        return value

    def gradient(self, h: Array, labels: Array) -> Array:
        """dvalue/dh, the shape of h. On a GPU nothing waits, and a label or an h that is no number gives NaN.

        Raises:
            FloatingPointError: if h or labels, on the CPU, hold NaN or infinity.
        """
        h, labels = self._check("gradient", h, labels)
        if array_module(h) is np and not (np.isfinite(h).all() and np.isfinite(labels).all()):
            raise FloatingPointError(f"{self!r}.gradient: {_culprit(h=h, labels=labels)}, expected finite numbers")
        with np.errstate(over="ignore"):  # between logits of 1e308 and -1e308, where it does no harm
            dh = self._slope(h, labels)
        dh /= math.prod(h.shape[:-1])
        return dh

    def _check(self, method: str, h: Array, labels: Array) -> tuple[Array, Array]:
        """Raise on unusable arguments; returns h, and the labels on h's device."""
        where = f"{self!r}.{method}"
        expect_array(where, "h", h, ("...", "N"))
        if h.size == 0:
            raise ValueError(f"{where}: h has shape {h.shape}, expected at least one row and one feature")
        self._check_labels(where, h, labels)
        if not isinstance(labels, np.ndarray):
            expect_array(where, "labels", labels, labels.shape, dtype=labels.dtype, device=device_of(h))
        return h, to_device(labels, device_of(h))  # labels on the host were looked at there and may follow h

    def _check_labels(self, where: str, h: Array, labels: Array) -> None:
        expect_array(where, "labels", labels, h.shape, dtype=h.dtype)

    def _each(self, h: Array, labels: Array) -> Array:
        """The loss of each row: (...)."""
        raise NotImplementedError

    def _slope(self, h: Array, labels: Array) -> Array:
        """The derivative of each row's loss by h: (..., N), in fresh memory."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class SoftmaxCrossEntropy(Loss):
    """-log softmax(h)[label], in nats: h (..., N) are logits, labels (...) integers from 0 to N - 1."""

    def _check_labels(self, where: str, h: Array, labels: Array) -> None:
        expect_indices(where, "labels", labels, h.shape[-1])
        expect_array(where, "labels", labels, h.shape[:-1], dtype=labels.dtype)

    def _each(self, h: Array, labels: Array) -> Array:
        # Measured from the largest logit, since of 1e4 float32 keeps three decimals and the loss may be smaller.
        top = h.real.max(axis=-1, keepdims=True)
        return log_sum_exp(h - top) + (top[..., 0] - (h * one_hot(labels, h.shape[-1], h.dtype)).sum(axis=-1))

    def _slope(self, h: Array, labels: Array) -> Array:
        return softmax(h) - one_hot(labels, h.shape[-1], h.dtype)


class SigmoidCrossEntropy(Loss):
    """-log probability of independent yes-or-no labels, in nats: h (..., N) are logits, labels (..., N) in [0, 1]."""

    def _check_labels(self, where: str, h: Array, labels: Array) -> None:
        super()._check_labels(where, h, labels)
        if isinstance(labels, np.ndarray) and not (labels.min() >= 0 and labels.max() <= 1):
            raise ValueError(f"{where}: labels run from {labels.min()} to {labels.max()}, expected numbers from 0 to 1")

    def _each(self, h: Array, labels: Array) -> Array:
        xp = array_module(h)  # softplus(h) = max(h, 0) + softplus(-|h|): the large parts cancel first
        return (xp.maximum(h, 0) - h * labels + softplus(-xp.abs(h))).sum(axis=-1)

    def _slope(self, h: Array, labels: Array) -> Array:
        return sigmoid(h) - labels


class SquaredError(Loss):
    """Sum over the features of (h - labels)^2: h and labels (..., N). No factor 1/2: with N = 1 it is the MSE."""

    def _each(self, h: Array, labels: Array) -> Array:
        return ((h - labels) ** 2).sum(axis=-1)

    def _slope(self, h: Array, labels: Array) -> Array:
        return 2 * (h - labels)


def _culprit(**arrays: Array) -> str:
    """Which array is not finite and where first, or that none is to blame."""
    for name, x in arrays.items():
        bad = array_module(x).argwhere(~array_module(x).isfinite(x))
        if len(bad):
            index = tuple(int(i) for i in bad[0])
            return f"{name}[{', '.join(map(str, index))}] is {x[index]}"
    return f"{' and '.join(arrays)} are finite"
