"""Conv2d, MaxPool2d and AvgPool2d, on windows of images: `unfold` going forward, its transpose `fold` going back."""

from typing import Any

import numpy as np

from ..arrays import Array, array_module
from ..arrays.checks import expect_not_negative, expect_positive
from ..arrays.kernels import fold, unfold
from .cache import Cache
from .initialise import Initialiser, draw, he
from .layer import Layer


class Windowed(Layer):
    """What a convolution and a pooling share: windows K x K, a stride apart, over images padded with zeros."""

    kernel: int
    stride: int
    padding: int = 0

    def _windows(self, x: Array, cache: Cache) -> Array:
        """Images (B, C, H, W) -> windows (B, C, K, K, OH, OW)."""
        K, s, p = self.kernel, self.stride, self.padding
        B, C, H, W = x.shape
        if min(H, W) + 2 * p < K:
            raise ValueError(
                f"{self._name()}.forward: x has shape {x.shape}, expected images of at least {K - 2 * p} x {K - 2 * p}"
            )
        if p:
            padded = cache.buffer("padded", (B, C, H + 2 * p, W + 2 * p), like=x)
            padded[...] = 0
            padded[:, :, p : p + H, p : p + W] = x
            x = padded
        shape = (B, C, K, K, (H + 2 * p - K) // s + 1, (W + 2 * p - K) // s + 1)
        return unfold(x, K, s, out=cache.buffer("windows", shape, like=x))

    def _windows_backward(self, dwindows: Array, cache: Cache) -> Array:
        """The gradient of the windows (B, C, K, K, OH, OW) -> of the images (B, C, H, W)."""
        p, (B, C, H, W) = self.padding, cache.shape
        dx = cache.buffer("dx", (B, C, H + 2 * p, W + 2 * p), like=dwindows)
        dx[...] = 0
        return fold(dwindows, self.kernel, self.stride, out=dx)[:, :, p : p + H, p : p + W]


class Conv2d(Windowed):
    """y[b, o, p, q] = sum over c, i, j of W[o, c, i, j] x[b, c, s p + i, s q + j] + b[o], x padded with zeros.

    x (B, C_in, H, W) -> y (B, C_out, OH, OW) with OH = (H + 2 padding - K) // stride + 1. Parameters
    W (C_out, C_in, K, K) and b (C_out,).

    Written as one matrix product per image: W as (C_out, C_in K K) times the windows as columns.

    Args:
        c_in: channels in.
        c_out: channels out.
        kernel: K, the side of a window.
        stride: how far windows are apart.
        padding: zeros on each side.
        rng: a numpy Generator or a seed for W; b starts at zero.
        dtype: float32 or float64.
        init: where W starts, a function of `minidni.nn.initialise`.
    """

    _shown = ("c_in", "c_out", "kernel", "stride", "padding")

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
        init: Initialiser = he,
    ):
        self.c_in, self.c_out, self.kernel, self.stride = expect_positive(
            "Conv2d", c_in=c_in, c_out=c_out, kernel=kernel, stride=stride
        )
        (self.padding,) = expect_not_negative("Conv2d", padding=padding)
        shape = (self.c_out, self.c_in, self.kernel, self.kernel)
        super().__init__({"W": shape, "b": (self.c_out,)}, dtype=dtype)
        self.params.W = draw("Conv2d", init, rng, shape)

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (B, C_in, H, W) -> y (B, C_out, OH, OW), cache. Keeps the windows, K K / stride^2 times the size of x."""
        self._expect_x(x, "B", self.c_in, "H", "W")
        xp, cache = array_module(x), Cache.open(self, cache)
        windows = self._windows(x, cache)
        B, *_, OH, OW = windows.shape
        columns = windows.reshape(B, self.c_in * self.kernel**2, OH * OW)
        y = cache.buffer("y", (B, self.c_out, OH, OW), like=x)
        xp.matmul(self._matrix(self.params.W), columns, out=y.reshape(B, self.c_out, OH * OW))
        y += self.params.b[:, None, None]
        cache.finish(y, columns=columns, shape=x.shape)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array | None:
        """dy (B, C_out, OH, OW) -> dx (B, C_in, H, W), or None where `needs_dx` is False."""
        self._expect_dy(dy, cache)
        xp, (B, _, OH, OW), K = array_module(dy), dy.shape, self.kernel
        dy = dy.reshape(B, self.c_out, OH * OW)
        self.grads.b += dy.sum(axis=(0, 2))  # y += b
        dW = xp.matmul(dy, cache.columns.transpose(0, 2, 1)).sum(axis=0)  # y = W columns
        self.grads.W += dW.reshape(self.grads.W.shape)
        if not self.needs_dx:
            return None
        dcolumns = cache.buffer("dcolumns", cache.columns.shape, like=dy)
        xp.matmul(self._matrix(self.params.W).T, dy, out=dcolumns)  # y = W columns
        return self._windows_backward(dcolumns.reshape(B, self.c_in, K, K, OH, OW), cache)  # columns = windows of x

    def _matrix(self, W: Array) -> Array:
        return W.reshape(self.c_out, -1)


class Pool(Windowed):
    """What the poolings share: windows a kernel apart unless a stride is given, each channel on its own."""

    _shown = ("kernel", "stride")

    def __init__(self, kernel: int, stride: int | None = None):
        self.kernel, self.stride = expect_positive(
            type(self).__name__, kernel=kernel, stride=kernel if stride is None else stride
        )
        super().__init__()


class MaxPool2d(Pool):
    """The largest value in each window: x (B, C, H, W) -> y (B, C, OH, OW), OH = (H - K) // stride + 1.

    Of equal values the first, in reading order, gets the gradient.

    Args:
        kernel: K, the side of a window.
        stride: how far windows are apart; K unless given.
    """

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (B, C, H, W) -> y (B, C, OH, OW), cache. Keeps which place in its window won."""
        self._expect_x(x, "B", "C", "H", "W")
        xp, cache = array_module(x), Cache.open(self, cache)
        windows = self._windows(x, cache)
        B, C, K, _, OH, OW = windows.shape
        windows = windows.reshape(B, C, K * K, OH, OW)
        winner = windows.real.argmax(axis=2)[:, :, None]
        y = cache.buffer("y", (B, C, OH, OW), like=x)
        y[...] = xp.take_along_axis(windows, winner, axis=2)[:, :, 0]
        cache.finish(y, winner=winner, shape=x.shape)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array:
        """dy (B, C, OH, OW) -> dx (B, C, H, W)."""
        self._expect_dy(dy, cache)
        xp, K, (B, C, OH, OW) = array_module(dy), self.kernel, dy.shape
        places = xp.arange(K * K)[:, None, None]
        dwindows = cache.buffer("dwindows", (B, C, K * K, OH, OW), like=dy)
        xp.multiply(dy[:, :, None], cache.winner == places, out=dwindows)  # y = windows[winner]
        return self._windows_backward(dwindows.reshape(B, C, K, K, OH, OW), cache)


class AvgPool2d(Pool):
    """The mean of each window: x (B, C, H, W) -> y (B, C, OH, OW), OH = (H - K) // stride + 1.

    Args:
        kernel: K, the side of a window.
        stride: how far windows are apart; K unless given.
    """

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (B, C, H, W) -> y (B, C, OH, OW), cache. Keeps x's shape."""
        self._expect_x(x, "B", "C", "H", "W")
        cache = Cache.open(self, cache)
        windows = self._windows(x, cache)
        y = cache.buffer("y", (*x.shape[:2], *windows.shape[-2:]), like=x)
        y[...] = windows.mean(axis=(2, 3))
        cache.finish(y, shape=x.shape)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array:
        """dy (B, C, OH, OW) -> dx (B, C, H, W)."""
        self._expect_dy(dy, cache)
        xp, K = array_module(dy), self.kernel
        share = (dy / K**2)[:, :, None, None]  # y = mean of K * K values
        return self._windows_backward(xp.broadcast_to(share, (*dy.shape[:2], K, K, *dy.shape[2:])), cache)
