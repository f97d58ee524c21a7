"""LayerNorm and BatchNorm: the same arithmetic along different axes, so one forward and one backward serve both."""

from typing import Any

import numpy as np

from ..arrays import Array, array_module
from ..arrays.checks import expect_number, expect_positive
from .cache import Cache
from .layer import Layer

EPS = 1e-5


def standardise(x: Array, axes: tuple[int, ...], out: Array) -> tuple[Array, Array, Array]:
    """x to mean 0 and variance 1 over the axes, into `out`; returns mean, (biased) variance, 1 / deviation."""
    xp = array_module(x)
    wide = xp.result_type(x.dtype, xp.float64)  # along the first axis NumPy sums one by one: float32 would lose digits
    mean = x.mean(axis=axes, keepdims=True, dtype=wide)
    xp.subtract(x, mean, out=out)
    var = (out * out).mean(axis=axes, keepdims=True, dtype=wide)  # not xp.var: of complex numbers that is real
    rstd = (1 / xp.sqrt(var + EPS)).astype(x.dtype)
    out *= rstd
    return mean, var, rstd


def standardise_backward(dn: Array, n: Array, rstd: Array, axes: tuple[int, ...], out: Array) -> Array:
    """dL/dx from dn = dL/dn, for n = (x - mean) rstd with mean and rstd functions of x; into `out`.

    dx = rstd (dn - mean(dn) - n mean(dn n)): the two means are what reaches x through the mean and the deviation.
    """
    out[...] = dn * n
    through_rstd = out.mean(axis=axes, keepdims=True)
    through_mean = dn.mean(axis=axes, keepdims=True)
    array_module(dn).multiply(n, -through_rstd, out=out)
    out += dn
    out -= through_mean
    out *= rstd
    return out


class LayerNorm(Layer):
    """Each row to mean 0 and variance 1 over its features, times gamma plus beta (Ba et al. 2016, arXiv 1607.06450).

    x (..., N) -> y (..., N). Parameters gamma (N,), at 1, and beta (N,), at 0. eps is 1e-5.

    Args:
        n_features: N.
        dtype: float32 or float64.
    """

    _shown = ("n_features",)

    def __init__(self, n_features: int, *, dtype: Any = np.float32):
        (self.n_features,) = expect_positive("LayerNorm", n_features=n_features)
        super().__init__({"gamma": (self.n_features,), "beta": (self.n_features,)}, dtype=dtype)
        self.params.gamma[...] = 1

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (..., N) -> y (..., N), cache. Keeps the normalised rows and 1 / deviation."""
        self._expect_x(x, "...", self.n_features)
        xp, cache = array_module(x), Cache.open(self, cache)
        n = cache.buffer("n", x.shape, like=x)
        _, _, rstd = standardise(x, (-1,), out=n)
        y = xp.multiply(n, self.params.gamma, out=cache.buffer("y", x.shape, like=x))
        y += self.params.beta
        cache.finish(y, n=n, rstd=rstd)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array:
        """dy (..., N) -> dx (..., N)."""
        self._expect_dy(dy, cache)
        leading = tuple(range(dy.ndim - 1))
        self.grads.beta += dy.sum(axis=leading)  # y += beta
        self.grads.gamma += (dy * cache.n).sum(axis=leading)  # y = n gamma
        dn = dy * self.params.gamma  # y = n gamma
        return standardise_backward(dn, cache.n, cache.rstd, (-1,), out=cache.buffer("dx", dy.shape, like=dy))


class BatchNorm(Layer):
    """Each feature to mean 0 and variance 1 over the batch, times gamma plus beta (Ioffe and Szegedy 2015).

    x (..., N) -> y (..., N), over all leading axes; with axis=1, images (B, C, H, W) over B, H and W. Parameters gamma
    (N,), at 1, and beta (N,), at 0. eps is 1e-5. While `training` is True the batch's own statistics normalise and
    `buffers.mean` and `buffers.var` follow them; when it is False these two normalise and stay.

    Args:
        n_features: N.
        axis: where the features are: -1, or 1 for images.
        momentum: how far, from 0 up to 1, the running statistics move to a batch's in a step (its variance unbiased).
        dtype: float32 or float64.
    """

    _shown = ("n_features",)

    def __init__(self, n_features: int, *, axis: int = -1, momentum: float = 0.1, dtype: Any = np.float32):
        (self.n_features,) = expect_positive("BatchNorm", n_features=n_features)
        if isinstance(axis, bool) or axis not in (-1, 1):
            raise ValueError(f"BatchNorm: axis is {axis!r}, expected -1 (features last) or 1 (images)")
        self.axis = axis
        self.momentum = expect_number("BatchNorm", "momentum", momentum, 0, 1)
        shapes = {"gamma": (self.n_features,), "beta": (self.n_features,)}
        super().__init__(shapes, buffers={"mean": (self.n_features,), "var": (self.n_features,)}, dtype=dtype)
        self.params.gamma[...] = 1
        self.buffers.var[...] = 1

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (..., N) -> y (..., N), cache. Keeps the normalised x and 1 / deviation."""
        self._expect_x(x, *(("...", self.n_features) if self.axis == -1 else ("B", self.n_features, "H", "W")))
        xp, cache = array_module(x), Cache.open(self, cache)
        axes, row = self._axes(x.ndim), self._row(x.ndim)
        count = x.size // self.n_features
        n = cache.buffer("n", x.shape, like=x)
        if self.training:
            if count < 2:
                raise ValueError(
                    f"{self._name()}.forward: x has too few rows to normalise over ({count}), expected at least 2 in "
                    "training; if it is the last batch of an epoch, leave it out with drop_last"
                )
            mean, var, rstd = standardise(x, axes, out=n)
            self._follow(mean.reshape(-1), var.reshape(-1) * (count / (count - 1)))
        else:
            rstd = 1 / xp.sqrt(self.buffers.var.reshape(row) + EPS)
            xp.subtract(x, self.buffers.mean.reshape(row), out=n)
            n *= rstd
        y = xp.multiply(n, self.params.gamma.reshape(row), out=cache.buffer("y", x.shape, like=x))
        y += self.params.beta.reshape(row)
        cache.finish(y, n=n, rstd=rstd, own_statistics=self.training)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array:
        """dy (..., N) -> dx (..., N)."""
        self._expect_dy(dy, cache)
        axes, row = self._axes(dy.ndim), self._row(dy.ndim)
        dx = cache.buffer("dx", dy.shape, like=dy)
        self.grads.beta += dy.sum(axis=axes)  # y += beta
        self.grads.gamma += (dy * cache.n).sum(axis=axes)  # y = n gamma
        dn = dy * self.params.gamma.reshape(row)  # y = n gamma
        if cache.own_statistics:
            return standardise_backward(dn, cache.n, cache.rstd, axes, out=dx)
        return array_module(dy).multiply(dn, cache.rstd, out=dx)  # running statistics do not depend on x

    def _axes(self, ndim: int) -> tuple[int, ...]:
        """The axes to average over: all but the features'."""
        return tuple(a for a in range(ndim) if a != self.axis % ndim)

    def _row(self, ndim: int) -> tuple[int, ...]:
        """The shape in which (N,) broadcasts against x."""
        return (-1,) if self.axis == -1 else (-1,) + (1,) * (ndim - 2)

    def _follow(self, mean: Array, var: Array) -> None:
        for running, now in ((self.buffers.mean, mean), (self.buffers.var, var)):
            running += self.momentum * (now - running)
