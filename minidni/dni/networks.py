"""Networks for synthesizers: linear, MLP, convolutional, and the form that is exact for log losses.

Each takes the trigger and, beside it, `n_context` columns (or planes) of context: the labels' one-hot rows.
`Synthesizer` sets the last layer to zero.
"""

from itertools import pairwise
from typing import Any, Literal

import numpy as np

from ..arrays import Array, array_module, device_of
from ..arrays.checks import expect_array, expect_generator, expect_number, expect_positive
from ..arrays.kernels import sigmoid
from ..nn import BatchNorm, Cache, Conv2d, Layer, Linear, ReLU, Sequential
from ..nn.normalisation import EPS

Normalise = Literal["batch", "running"] | None


def linear(
    n: int,
    n_context: int = 0,
    *,
    n_out: int | None = None,
    normalise: Normalise = None,
    rng: Any = None,
    dtype: Any = np.float32,
) -> Layer:
    """One linear map: (..., n + n_context) -> (..., n). Exact for a squared error behind linear layers.

    Args:
        n: features of the trigger.
        n_context: columns of the context.
        n_out: features of the message; None for n.
        normalise: "batch" for a batch norm of the input, "running" for `Standardise`, or None.
        rng: a numpy Generator or a seed.
        dtype: float32 or float64.
    """
    layer = Linear(n + n_context, n_out or n, rng=rng, dtype=dtype)
    return layer if normalise is None else Sequential(_normaliser(normalise, n + n_context, dtype), layer)


def mlp(
    n: int,
    n_context: int = 0,
    *,
    n_hidden: int = 1024,
    n_layers: int = 2,
    batch_norm: bool = True,
    n_out: int | None = None,
    normalise: Normalise = None,
    rng: Any = None,
    dtype: Any = np.float32,
) -> Sequential:
    """Hidden layers of linear map, batch norm and ReLU, then a linear map; the defaults are the paper's sizes.

    Args:
        n: features of the trigger.
        n_context: columns of the context.
        n_hidden: units of each hidden layer.
        n_layers: how many of them.
        batch_norm: whether they have one.
        n_out: features of the message; None for n.
        normalise: "batch" for a batch norm of the input, "running" for `Standardise`, or None.
        rng: a numpy Generator or a seed.
        dtype: float32 or float64.
    """
    rng = expect_generator("mlp", rng)
    widths = [n + n_context, *[n_hidden] * n_layers]
    layers: list[Layer] = [] if normalise is None else [_normaliser(normalise, widths[0], dtype)]
    for n_in, n_next in pairwise(widths):
        layers.append(Linear(n_in, n_next, rng=rng, dtype=dtype))
        layers += [BatchNorm(n_next, dtype=dtype)] if batch_norm else []
        layers.append(ReLU())
    return Sequential(*layers, Linear(widths[-1], n_out or n, rng=rng, dtype=dtype))


def convolutional(
    channels: int,
    n_context: int = 0,
    *,
    n_hidden: int = 64,
    n_layers: int = 1,
    kernel: int = 5,
    batch_norm: bool = True,
    rng: Any = None,
    dtype: Any = np.float32,
) -> Sequential:
    """Convolutions that keep the picture's size: (B, channels + n_context, H, W) -> (B, channels, H, W).

    Labels come as planes that are 1 all over at the label's place.

    Args:
        channels: of the trigger.
        n_context: planes of the context.
        n_hidden: channels of each hidden layer.
        n_layers: how many of them; 0 for a linear synthesizer.
        kernel: rows and columns of a window, an odd number.
        batch_norm: whether the hidden layers have one.
        rng: a numpy Generator or a seed.
        dtype: float32 or float64.
    """
    if kernel % 2 == 0:
        raise ValueError(f"convolutional: kernel is {kernel}, expected an odd number, which keeps the picture's size")
    rng = expect_generator("convolutional", rng)
    widths = [channels + n_context, *[n_hidden] * n_layers]
    layers: list[Layer] = []
    for c_in, c_next in pairwise(widths):
        layers.append(Conv2d(c_in, c_next, kernel, padding=kernel // 2, rng=rng, dtype=dtype))
        layers += [BatchNorm(c_next, axis=1, dtype=dtype)] if batch_norm else []
        layers.append(ReLU())
    return Sequential(*layers, Conv2d(widths[-1], channels, kernel, padding=kernel // 2, rng=rng, dtype=dtype))


class SigmoidOfLinear(Layer):
    """(sigmoid(h A + a) - context) C: the form of the gradient below logistic regression.

    With p = sigmoid(h W + b) and labels y, the gradient of the cross-entropy by h is (p - y) W^T: exact with A = W,
    a = b and C = W^T, where no linear map of h is (Czarnecki et al. 2017, arXiv 1703.00522). Parameters A (n, M),
    a (M,), C (M, n) with M = n_context.

    Args:
        n: features of h and of the message.
        n_context: M, labels beside h in x (..., n + M).
        rng: a numpy Generator or a seed for A.
        dtype: float32 or float64.
    """

    _shown = ("n", "n_context")

    def __init__(self, n: int, n_context: int, *, rng: Any = None, dtype: Any = np.float32):
        self.n, self.n_context = expect_positive("SigmoidOfLinear", n=n, n_context=n_context)
        self.n_in = self.n + self.n_context
        super().__init__({"A": (n, n_context), "a": (n_context,), "C": (n_context, n)}, dtype=dtype)
        rng = expect_generator("SigmoidOfLinear", rng)
        self.params.A = rng.standard_normal((n, n_context)) * n**-0.5
        self.params.C = rng.standard_normal((n_context, n)) * n_context**-0.5

    def start_at_zero(self) -> None:
        """Set C to zero, and leave A, without which C could learn nothing."""
        self.params.C[...] = 0

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (..., n + M) -> y (..., n), cache. Keeps x, p and p - context."""
        self._expect_x(x, "...", self.n_in)
        xp, cache = array_module(x), Cache.open(self, cache)
        h, labels = x[..., : self.n], x[..., self.n :]
        p = sigmoid(h @ self.params.A + self.params.a, out=cache.buffer("p", labels.shape, like=x))
        error = xp.subtract(p, labels, out=cache.buffer("error", labels.shape, like=x))
        y = xp.matmul(error, self.params.C, out=cache.buffer("y", h.shape, like=x))
        cache.finish(y, x=x, p=p, error=error)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array:
        """dy (..., n) -> dx (..., n + M)."""
        self._expect_dy(dy, cache)
        xp, p = array_module(dy), cache.p.reshape(-1, self.n_context)
        h = cache.x[..., : self.n].reshape(-1, self.n)
        dy = dy.reshape(-1, self.n)
        self.grads.C += cache.error.reshape(-1, self.n_context).T @ dy  # y = error C
        derror = dy @ self.params.C.T  # y = error C
        dz = derror * p * (1 - p)  # p = sigmoid(z)
        self.grads.a += dz.sum(axis=0)  # z = h A + a
        self.grads.A += h.T @ dz  # z = h A + a
        dx = cache.buffer("dx", cache.x.shape, like=dy)
        rows = dx.reshape(-1, self.n_in)
        rows[:, : self.n] = dz @ self.params.A.T  # z = h A + a
        xp.negative(derror, out=rows[:, self.n :])  # error = p - labels
        return dx


class Standardise(Layer):
    """Each feature to mean 0 and variance 1 by the statistics of earlier batches, in training too; no parameters.

    Unlike a batch norm it does the same to a row whatever its neighbours. The statistics start at mean 0 and variance
    1; at first they are means over all batches so far, and later they forget slowly. eps is 1e-5.

    Args:
        n_features: N, of x (..., N).
        momentum: how far, from 0 up to 1, the statistics move to a batch's in a step, once 1 / momentum are over.
        dtype: float32 or float64.
    """

    _shown = ("n_features",)

    def __init__(self, n_features: int, *, momentum: float = 0.01, dtype: Any = np.float32):
        (self.n_features,) = expect_positive("Standardise", n_features=n_features)
        self.momentum = expect_number("Standardise", "momentum", momentum, 0, 1)
        shape = (self.n_features,)
        super().__init__(buffers={"mean": shape, "square": shape, "count": ()}, dtype=dtype)
        self.buffers.square[...] = 1

    @property
    def dtype(self) -> np.dtype:
        """That of the statistics."""
        return self.buffers.mean.dtype

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (..., N) -> y (..., N), cache. While training, the statistics take in x afterwards. Keeps 1 / deviation."""
        device = device_of(self.buffers.mean)
        expect_array(f"{self._name()}.forward", "x", x, ("...", self.n_features), dtype=self.dtype, device=device)
        xp, cache = array_module(x), Cache.open(self, cache)
        mean, square, count = self.buffers.mean, self.buffers.square, self.buffers.count
        rstd = 1 / xp.sqrt(xp.maximum(square - mean * mean, 0) + EPS)
        y = xp.subtract(x, mean, out=cache.buffer("y", x.shape, like=x))
        y *= rstd
        cache.finish(y, rstd=rstd)
        if self.training:
            leading = tuple(range(x.ndim - 1))
            count += 1
            step = xp.maximum(1 / count, self.momentum).astype(x.dtype)
            mean += step * (x.mean(axis=leading) - mean)
            square += step * ((x * x).mean(axis=leading) - square)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array:
        """dy (..., N) -> dx (..., N)."""
        self._expect_dy(dy, cache)
        return array_module(dy).multiply(dy, cache.rstd, out=cache.buffer("dx", dy.shape, like=dy))


def _normaliser(kind: Normalise, n: int, dtype: Any) -> Layer:
    if kind not in ("batch", "running"):
        raise ValueError(f'normalise is {kind!r}, expected "batch", "running" or None')
    return BatchNorm(n, dtype=dtype) if kind == "batch" else Standardise(n, dtype=dtype)
