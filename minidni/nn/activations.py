"""ReLU, Tanh and Sigmoid. Each keeps y alone: it gives the derivative, and the next layer keeps it anyway."""

from ..arrays import Array, array_module
from ..arrays.kernels import sigmoid
from .cache import Cache
from .layer import Layer


class ReLU(Layer):
    """y = max(x, 0), any shape. The derivative at 0 is taken as 0."""

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (...) -> y (...), cache. Keeps y."""
        self._expect_x(x, "...")
        xp, cache = array_module(x), Cache.open(self, cache)
        y = cache.buffer("y", x.shape, like=x)
        if x.dtype.kind == "c":
            y[...] = xp.where(x.real > 0, x, 0)
        else:
            xp.maximum(x, 0, out=y)
        cache.finish(y, y=y)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array:
        """dy (...) -> dx (...)."""
        self._expect_dy(dy, cache)
        xp, dx = array_module(dy), cache.buffer("dx", dy.shape, like=dy)
        return xp.multiply(dy, cache.y > 0, out=dx)


class Tanh(Layer):
    """y = tanh(x), any shape."""

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (...) -> y (...), cache. Keeps y."""
        self._expect_x(x, "...")
        xp, cache = array_module(x), Cache.open(self, cache)
        y = xp.tanh(x, out=cache.buffer("y", x.shape, like=x))
        cache.finish(y, y=y)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array:
        """dy (...) -> dx (...) = dy (1 - y^2)."""
        self._expect_dy(dy, cache)
        xp, y = array_module(dy), cache.y
        dx = xp.multiply(y, y, out=cache.buffer("dx", dy.shape, like=dy))
        xp.subtract(1, dx, out=dx)
        dx *= dy
        return dx


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x)), any shape."""

    def forward(self, x: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """x (...) -> y (...), cache. Keeps y."""
        self._expect_x(x, "...")
        cache = Cache.open(self, cache)
        y = sigmoid(x, out=cache.buffer("y", x.shape, like=x))
        cache.finish(y, y=y)
        return y, cache

    def backward(self, dy: Array, cache: Cache) -> Array:
        """dy (...) -> dx (...) = dy y (1 - y)."""
        self._expect_dy(dy, cache)
        xp, y = array_module(dy), cache.y
        dx = xp.subtract(1, y, out=cache.buffer("dx", dy.shape, like=dy))
        dx *= y
        dx *= dy
        return dx
