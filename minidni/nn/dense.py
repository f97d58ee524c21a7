"""Linear, Flatten and Embedding."""

import math
from typing import Any

import numpy as np

from ..arrays import Array, array_module, device_of
from ..arrays.checks import expect_array, expect_generator, expect_indices, expect_positive
from ..arrays.kernels import take_rows
from .cache import Cache
from .initialise import Initialiser, draw, he
from .layer import Layer


class Linear(Layer):
    """y = x W + b, for x (..., n_in) -> y (..., n_out). Parameters W (n_in, n_out) and b (n_out,).

    Args:
        n_in: features in.
        n_out: features out.
        rng: a numpy Generator or a seed for W; b starts at zero.
        dtype: float32 or float64.
        init: where W starts, a function of `minidni.nn.initialise`.
    """

    _shown = ("n_in", "n_out")

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
        init: Initialiser = he,
    ):
        self.n_in, self.n_out = expect_positive("Linear", n_in=n_in, n_out=n_out)
        super().__init__({"W": (self.n_in, self.n_out), "b": (self.n_out,)}, dtype=dtype)
        self.params.W = draw("Linear", init, rng, (self.n_in, self.n_out))

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (..., n_in) -> y (..., n_out), cache. Keeps x."""
        self._expect_x(x, "...", self.n_in)
        xp, cache = array_module(x), Cache.open(self, cache)
        y = cache.buffer("y", (*x.shape[:-1], self.n_out), like=x)
        xp.matmul(x.reshape(-1, self.n_in), self.params.W, out=y.reshape(-1, self.n_out))
        y += self.params.b
        cache.finish(y, x=x)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array | None:
        """dy (..., n_out) -> dx (..., n_in), or None where `needs_dx` is False."""
        self._expect_dy(dy, cache)
        xp, x = array_module(dy), cache.x.reshape(-1, self.n_in)
        dy = dy.reshape(-1, self.n_out)
        self.grads.b += dy.sum(axis=0)  # y += b
        dW = cache.buffer("dW", self.params.W.shape, like=dy)
        self.grads.W += xp.matmul(x.T, dy, out=dW)  # y = x W
        if not self.needs_dx:
            return None
        dx = cache.buffer("dx", cache.x.shape, like=dy)
        xp.matmul(dy, self.params.W.T, out=dx.reshape(-1, self.n_in))  # y = x W
        return dx


class Flatten(Layer):
    """Images to rows: (B, C, H, W) -> (B, C H W), or any (B, ...) -> (B, N). y is a view of x where x allows it."""

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (B, ...) -> y (B, N), cache. Keeps x's shape."""
        self._expect_x(x, "...", "N")
        cache = Cache.open(self, cache)
        y = x.reshape(len(x), math.prod(x.shape[1:]))
        cache.finish(y, shape=x.shape)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array:
        """dy (B, N) -> dx (B, ...)."""
        self._expect_dy(dy, cache)
        return dy.reshape(cache.shape)


class Embedding(Layer):
    """A table of rows, looked up by number: tokens (...) of integers -> y (..., n_features).

    Parameter W (n_tokens, n_features). The same as `Linear` without bias on one-hot rows, without making them. On a GPU
    the order of the sums in its gradient, and so the last bits, differ from one call to the next.

    Args:
        n_tokens: rows of the table; a token is a number from 0 to n_tokens - 1.
        n_features: features of a row.
        rng: a numpy Generator or a seed; W starts standard normal.
        dtype: float32 or float64.
    """

    _shown = ("n_tokens", "n_features")

    def __init__(
        self,
        n_tokens: int,
        n_features: int,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
    ):
        self.n_tokens, self.n_features = expect_positive("Embedding", n_tokens=n_tokens, n_features=n_features)
        super().__init__({"W": (self.n_tokens, self.n_features)}, dtype=dtype)
        self.params.W = expect_generator("Embedding", rng).standard_normal((self.n_tokens, self.n_features))

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """Tokens (...) -> y (..., n_features), cache. Keeps the tokens."""
        where = f"{self._name()}.forward"
        expect_indices(where, "x", x, self.n_tokens)
        expect_array(where, "x", x, ("...",), dtype=x.dtype, device=device_of(self.params.W))
        cache = Cache.open(self, cache)
        y = cache.buffer("y", (*x.shape, self.n_features), like=self.params.W)
        y[...] = take_rows(self.params.W, x)
        cache.finish(y, x=x)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> None:
        """dy (..., n_features) -> None: a whole number has no gradient."""
        self._expect_dy(dy, cache)
        array_module(dy).add.at(self.grads.W, cache.x, dy)  # y = W[x]; a token that occurs twice adds twice
