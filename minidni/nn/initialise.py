"""Where weights start. Each function is `init(rng, shape) -> float64 array`, drawn on the host with NumPy's generator.

Shapes are the library's: `(n_in, n_out)` for a matrix, `(C_out, C_in, K, K)` for a convolution.
"""

import math
from typing import Any, Protocol

import numpy as np

from ..arrays.checks import expect_generator


class Initialiser(Protocol):
    """Anything that draws an array of the given shape."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray: ...  # noqa: D102


def draw(where: str, init: Any, rng: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What init draws, once it and rng are checked: `where` names the constructor whose arguments they are."""
    if not callable(init):
        raise TypeError(f"{where}: init is {init!r}, expected a function such as minidni.nn.initialise.he")
    drawn = init(expect_generator(where, rng), shape)
    if np.shape(drawn) != shape or not np.isfinite(drawn).all():
        raise ValueError(f"{where}: init drew an array of shape {np.shape(drawn)}, expected finite numbers in {shape}")
    return drawn


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many numbers go into one output and how many outputs one input reaches: (fan_in, fan_out)."""
    if len(shape) == 2:
        return shape[0], shape[1]
    if len(shape) == 4:
        return math.prod(shape[1:]), shape[0] * math.prod(shape[2:])
    raise ValueError(f"shape is {shape}, expected (n_in, n_out) or (C_out, C_in, K, K)")


def glorot(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform with variance 2 / (fan_in + fan_out), for tanh and sigmoid (Glorot and Bengio 2010, eq. 16)."""
    limit = math.sqrt(6 / sum(fans(shape)))
    return rng.uniform(-limit, limit, shape)


def he(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal with variance 2 / fan_in, which keeps the scale through ReLU (He et al. 2015, eq. 10)."""
    return rng.standard_normal(shape) * math.sqrt(2 / fans(shape)[0])


def fan_in_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform within 1 / sqrt(fan_in) of zero: variance 1 / (3 fan_in)."""
    limit = 1 / math.sqrt(fans(shape)[0])
    return rng.uniform(-limit, limit, shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A random matrix with orthonormal rows or columns, whichever are fewer (Saxe et al. 2014, arXiv 1312.6120).

    A convolution's weights are taken as the matrix (C_out, C_in K K).
    """
    fans(shape)
    rows, cols = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.standard_normal((max(rows, cols), min(rows, cols))))
    q *= np.sign(np.diag(r))  # makes the draw uniform over orthogonal matrices
    return (q if rows >= cols else q.T).reshape(shape)


def identity(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Ones on the diagonal, zeros elsewhere; draws nothing (Le et al. 2015, arXiv 1504.00941)."""
    if len(shape) != 2:
        raise ValueError(f"shape is {shape}, expected (n_in, n_out)")
    return np.eye(*shape)


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All zeros; draws nothing. The last layer of a synthesizer starts here, so that a fresh one predicts zero."""
    return np.zeros(shape)
