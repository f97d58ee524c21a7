"""A small random instance of every layer and loss, by name: what the command line checks and the tests run over."""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import nn
from .dni import networks

#: name -> function of a generator and a dtype that returns the layer and its inputs, of sizes drawn from the generator.
EXAMPLES: dict[str, Callable[[np.random.Generator, Any], tuple[Any, ...]]] = {}


def example(name: str, *, seed: int = 0, dtype: Any = np.float64) -> tuple[Any, ...]:
    """A layer or loss, and inputs for its forward (or `value`).

    Use it as `layer, *inputs = example("LSTM", seed=3)`. Sizes, weights and inputs are drawn from the seed and are the
    same for every dtype.

    Raises:
        ValueError: if there is no layer of that name; the sentence lists those there are.
    """
    if name not in EXAMPLES:
        raise ValueError(f"there is no layer named {name!r}; there are {', '.join(EXAMPLES)}")
    rng = np.random.default_rng(seed)
    layer, *inputs = EXAMPLES[name](rng, dtype)
    if isinstance(layer, nn.Layer):
        # A gain of 1 or a bias of 0 would hide a backward that forgets it.
        for slab in [*layer.params.slabs, *layer.buffers.slabs]:
            slab += (0.3 * rng.random(slab.shape)).astype(slab.dtype)
    return (layer, *inputs)


def _rows(layer: Callable[[np.random.Generator, int, Any], Any]) -> Callable[..., tuple[Any, ...]]:
    """An example on (B, N) or (T, B, N), for a layer that takes any leading axes."""

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        shape = tuple(rng.integers(2, 5, size=rng.integers(1, 3)))
        n = int(rng.integers(2, 6))
        return layer(rng, n, dtype), rng.standard_normal((*shape, n)).astype(dtype)

    return make


def _images(layer: Callable[[np.random.Generator, int, Any], Any]) -> Callable[..., tuple[Any, ...]]:
    """An example on images (B, C, H, W)."""

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        B, C = (int(n) for n in rng.integers(1, 4, size=2))
        H, W = (int(n) for n in rng.integers(4, 8, size=2))
        return layer(rng, C, dtype), rng.standard_normal((B, C, H, W)).astype(dtype)

    return make


def _sequence(layer: type[nn.Recurrent], **options: Any) -> Callable[..., tuple[Any, ...]]:
    """An example on (T, B, D), with a state to start from."""
    least, most = (1, 1, 1, 2), (6, 3, 3, 5)
    if options:  # layer norm takes longer to check, and of two columns, or of one input's, it has hardly a gradient
        least, most = (1, 1, 2, 3), (2, 2, 2, 3)

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        T, B, D, H = (int(n) for n in rng.integers(least, most, endpoint=True))
        recurrent = layer(D, H, rng=rng, dtype=dtype, **options)
        x, s0 = rng.standard_normal((T, B, D)), rng.standard_normal((B, recurrent.n_state))
        return recurrent, x.astype(dtype), s0.astype(dtype)

    return make


def _embedding(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
    n, features = (int(n) for n in rng.integers(2, 6, size=2))
    return nn.Embedding(n, features, rng=rng, dtype=dtype), rng.integers(0, n, size=rng.integers(2, 6, size=2))


def _sigmoid_of_linear(rng: np.random.Generator, n: int, dtype: Any) -> nn.Layer:
    n_context = int(rng.integers(1, n))
    return networks.SigmoidOfLinear(n - n_context, n_context, rng=rng, dtype=dtype)


def _network(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
    B, n, hidden, out = (int(n) for n in rng.integers(2, 6, size=4))
    net = nn.Sequential(
        nn.Linear(n, hidden, rng=rng, dtype=dtype),
        nn.LayerNorm(hidden, dtype=dtype),
        nn.Tanh(),
        nn.Linear(hidden, out, rng=rng, dtype=dtype),
    )
    return net, rng.standard_normal((B, n)).astype(dtype)


def _stack(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
    T, B, D, H, N = (int(n) for n in rng.integers((1, 1, 1, 2, 2), (5, 4, 4, 5, 5)))
    net = nn.Sequential(
        nn.LSTM(D, H, rng=rng, dtype=dtype),
        nn.GRU(H, N, rng=rng, dtype=dtype),
        nn.Tanh(),
        nn.Linear(N, 3, rng=rng, dtype=dtype),
    )
    return net, rng.standard_normal((T, B, D)).astype(dtype), rng.standard_normal((B, net.n_state)).astype(dtype)


def _loss(loss: type[nn.Loss], labels: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]) -> Any:
    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        shape = tuple(int(n) for n in rng.integers(2, 6, size=2))
        y = labels(rng, shape)
        return loss(), rng.standard_normal(shape).astype(dtype), y.astype(dtype) if y.dtype.kind == "f" else y

    return make


EXAMPLES |= {
    "Linear": _rows(lambda rng, n, dtype: nn.Linear(n, int(rng.integers(1, 6)), rng=rng, dtype=dtype)),
    "ReLU": _rows(lambda rng, n, dtype: nn.ReLU()),
    "Tanh": _rows(lambda rng, n, dtype: nn.Tanh()),
    "Sigmoid": _rows(lambda rng, n, dtype: nn.Sigmoid()),
    "LayerNorm": _rows(lambda rng, n, dtype: nn.LayerNorm(n, dtype=dtype)),
    "BatchNorm": _rows(lambda rng, n, dtype: nn.BatchNorm(n, dtype=dtype)),
    "BatchNorm-images": _images(lambda rng, n, dtype: nn.BatchNorm(n, axis=1, dtype=dtype)),
    "Dropout": _rows(lambda rng, n, dtype: nn.Dropout(0.4, rng=int(rng.integers(2**32)))),
    "Embedding": _embedding,
    "Conv2d": _images(
        lambda rng, n, dtype: nn.Conv2d(
            n, int(rng.integers(1, 4)), *(int(k) for k in rng.integers((1, 1, 0), (4, 3, 3))), rng=rng, dtype=dtype
        )
    ),
    "MaxPool2d": _images(lambda rng, n, dtype: nn.MaxPool2d(*(int(k) for k in rng.integers(1, 4, size=2)))),
    "AvgPool2d": _images(lambda rng, n, dtype: nn.AvgPool2d(*(int(k) for k in rng.integers(1, 4, size=2)))),
    "Flatten": _images(lambda rng, n, dtype: nn.Flatten()),
    "Sequential": _network,
    "RNN": _sequence(nn.RNN),
    "GRU": _sequence(nn.GRU),
    "LSTM": _sequence(nn.LSTM),
    "RNN-layer-norm": _sequence(nn.RNN, layer_norm=True),
    "GRU-layer-norm": _sequence(nn.GRU, layer_norm=True),
    "LSTM-layer-norm": _sequence(nn.LSTM, layer_norm=True),
    "Sequential-recurrent": _stack,
    "SigmoidOfLinear": _rows(_sigmoid_of_linear),
    "Standardise": _rows(lambda rng, n, dtype: networks.Standardise(n, dtype=dtype)),
    "SoftmaxCrossEntropy": _loss(
        nn.SoftmaxCrossEntropy, lambda rng, shape: rng.integers(0, shape[-1], size=shape[:-1])
    ),
    "SigmoidCrossEntropy": _loss(nn.SigmoidCrossEntropy, lambda rng, shape: rng.random(shape)),
    "SquaredError": _loss(nn.SquaredError, lambda rng, shape: rng.standard_normal(shape)),
}
