"""SGD, RMSProp and Adam, and what is done to gradients before a step."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array, array_module, device_of, to_device
from ..arrays.checks import expect_number
from .layer import Layer
from .parameters import NamedArrays

#: A learning rate: a number, or a function of how many steps were taken before, as in `minidni.nn.schedules`.
Rate = float | Callable[[int], float]


class Optimiser:
    """`optimiser.step(layer)` moves the layer's parameters against `layer.grads`, which stay as they are.

    `backward` adds to the gradients, and a step does not set them back: without `layer.zero_grads()` before the next
    backward, each step also takes all gradients from before. Nothing warns of it, for adding up several minibatches on
    purpose looks the same. `fit` and the steps of a `Chain` set them to zero themselves.

    One optimiser may serve several layers; each has its own state and its own count of steps. The state is kept by the
    layer's `params` object, so copy or pickle layer and optimiser together, as `(layer, optimiser)`; apart, the copy of
    the optimiser would know nothing of the copy of the layer.

    Args:
        lr: learning rate, or a function that gives it for the number of steps taken before (0 at the first). To be
            pickled it must be a plain function or a `functools.partial` of one, not a lambda.
        weight_decay: each step also shrinks every parameter by 1 - lr * weight_decay, apart from the gradient
            (decoupled: Loshchilov and Hutter 2019, arXiv 1711.05101).
    """

    #: Names of the arrays, as long as the slab, that a subclass remembers between steps.
    state_names: tuple[str, ...] = ()

    def __init__(self, lr: Rate, *, weight_decay: float = 0.0):
        self.lr = lr if callable(lr) else expect_number(type(self).__name__, "lr", lr)
        self.weight_decay = expect_number(type(self).__name__, "weight_decay", weight_decay)
        self.state: dict[NamedArrays, dict[str, Any]] = {}

    def step(self, layer: Layer) -> None:
        """One update of all parameters of the layer, or of all layers in a network."""
        if not isinstance(layer, Layer):
            raise TypeError(f"{self!r}.step: layer is of type {type(layer).__name__}, expected a Layer")
        for params, grads in zip(layer.params.leaves, layer.grads.leaves, strict=True):
            state = self.state_of(params)
            rate = self.lr(state["steps"]) if callable(self.lr) else self.lr
            lr = expect_number(f"{self!r}.step", "lr", rate)
            state["steps"] += 1
            if self.weight_decay:
                params.slab[...] *= 1 - lr * self.weight_decay
            self.update(params.slab, grads.slab, state, lr)

    def state_of(self, params: NamedArrays) -> dict[str, Any]:
        """What is remembered about these parameters: "steps", and an array for each of `state_names`.

        It starts at zero, and follows the parameters to another device or dtype.
        """
        slab, state = params.slab, self.state.setdefault(params, {"steps": 0})
        for name in self.state_names:
            if name not in state:
                state[name] = array_module(slab).zeros_like(slab)
            elif state[name].dtype != slab.dtype or device_of(state[name]) != device_of(slab):
                state[name] = to_device(state[name].astype(slab.dtype), device_of(slab))
        return state

    def update(self, w: Array, g: Array, state: dict[str, Any], lr: float) -> None:
        """Move the parameters w, in place, against their gradient g. Both are slabs: one-dimensional."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'lr given by a function' if callable(self.lr) else f'lr={self.lr}'})"


class SGD(Optimiser):
    """w -= lr v with v = momentum v + g; with nesterov, w -= lr (g + momentum v) (Sutskever 2013, in PyTorch's form).

    Args:
        lr: learning rate, or a function of the steps taken before.
        momentum: from 0 up to 1; 0 is plain gradient descent.
        nesterov: look ahead along the velocity.
        weight_decay: decoupled weight decay.
    """

    def __init__(self, lr: Rate, *, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0):
        super().__init__(lr, weight_decay=weight_decay)
        self.momentum = expect_number("SGD", "momentum", momentum, 0, 1)
        if not isinstance(nesterov, bool):
            raise TypeError(f"SGD: nesterov is {nesterov!r}, expected True or False")
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov is True with momentum 0, expected a momentum above 0")
        self.nesterov = nesterov
        self.state_names = ("v",) if momentum else ()

    def update(self, w: Array, g: Array, state: dict[str, Any], lr: float) -> None:
        """See the class."""
        if not self.momentum:
            w -= lr * g
            return
        v = state["v"]
        v *= self.momentum
        v += g
        w -= lr * (g + self.momentum * v if self.nesterov else v)


class RMSProp(Optimiser):
    """w -= lr g / (sqrt(s) + eps) with s = decay s + (1 - decay) g^2 (Tieleman and Hinton 2012).

    Args:
        lr: learning rate, or a function of the steps taken before.
        decay: from 0 up to 1.
        eps: above 0.
        weight_decay: decoupled weight decay.
    """

    state_names = ("s",)

    def __init__(self, lr: Rate = 1e-3, *, decay: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0):
        super().__init__(lr, weight_decay=weight_decay)
        self.decay = expect_number("RMSProp", "decay", decay, 0, 1)
        self.eps = expect_number("RMSProp", "eps", eps, open_low=True)

    def update(self, w: Array, g: Array, state: dict[str, Any], lr: float) -> None:
        """See the class."""
        s = state["s"]
        s += (1 - self.decay) * (g * g - s)
        w -= lr * g / (array_module(g).sqrt(s) + self.eps)


class Adam(Optimiser):
    """w -= lr m^ / (sqrt(v^) + eps), m and v running means of g and g^2, ^ for the correction of their start at zero.

    Kingma and Ba 2015, arXiv 1412.6980, algorithm 1; with weight_decay, AdamW.

    Args:
        lr: learning rate, or a function of the steps taken before.
        beta1: memory of m, from 0 up to 1.
        beta2: memory of v, from 0 up to 1.
        eps: above 0.
        weight_decay: decoupled weight decay.
    """

    state_names = ("m", "v")

    def __init__(
        self,
        lr: Rate = 1e-3,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(lr, weight_decay=weight_decay)
        self.beta1 = expect_number("Adam", "beta1", beta1, 0, 1)
        self.beta2 = expect_number("Adam", "beta2", beta2, 0, 1)
        self.eps = expect_number("Adam", "eps", eps, open_low=True)

    def update(self, w: Array, g: Array, state: dict[str, Any], lr: float) -> None:
        """See the class."""
        xp, m, v, t = array_module(g), state["m"], state["v"], state["steps"]
        m += (1 - self.beta1) * (g - m)
        v += (1 - self.beta2) * (g * g - v)
        deviation = xp.sqrt(v)
        deviation *= 1 / (1 - self.beta2**t) ** 0.5
        deviation += self.eps
        w -= lr / (1 - self.beta1**t) * m / deviation


def gradient_norm(layer: Layer) -> Array:
    """The Euclidean norm of all gradients of the layer together: a 0-d array on its device.

    Computed in float64 and in units of the largest entry, so that no square overflows or vanishes.
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"the norm of gradients: layer is of type {type(layer).__name__}, expected a Layer")
    slabs = layer.grads.slabs
    xp = array_module(*slabs)
    if not slabs:
        return xp.zeros(())
    largest = xp.stack([xp.abs(g).max() for g in slabs]).max().astype(np.float64)
    largest = xp.maximum(largest, np.finfo(np.float64).tiny)
    return largest * xp.sqrt(sum(xp.square(xp.divide(g, largest, dtype=np.float64)).sum() for g in slabs))


def clip_norm(layer: Layer, limit: float) -> Array:
    """Scale all gradients of the layer by one factor so that their norm is at most `limit` (Pascanu et al. 2013).

    Returns:
        The norm before clipping: a 0-d array on the layer's device, so nothing waits for a GPU.
    """
    limit = expect_number("clip_norm", "limit", limit, open_low=True)
    norm = gradient_norm(layer)
    _scale(layer, limit / array_module(norm).maximum(norm, limit))
    return norm


def normalise_gradients(layer: Layer, norm: float = 1.0) -> Array:
    """Scale all gradients of the layer by one factor so that their norm is `norm`; zero gradients stay zero.

    Returns:
        The norm before: a 0-d array on the layer's device.
    """
    wanted = expect_number("normalise_gradients", "norm", norm, open_low=True)
    before = gradient_norm(layer)
    _scale(layer, wanted / (before + (before == 0)))
    return before


def _scale(layer: Layer, factor: Array) -> None:
    for g in layer.grads.slabs:
        g *= factor  # the product is float64: a factor may be too large for float32
