"""Small networks, chains and sequences for the tests of minidni.dni, and the oracles that know the true gradient."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidni import (
    SGD,
    BatchNorm,
    Chain,
    Linear,
    Sequential,
    SoftmaxCrossEntropy,
    Synthesizer,
    Tanh,
    to_device,
    to_numpy,
)
from minidni.dni import networks
from minidni.nn import Layer, Optimiser

CLASSES = 3
LOSS = SoftmaxCrossEntropy()

N, M = 4, 3  # features and classes of what `SYNTHESIZERS` take
ROWS, IMAGES = (6, N), (6, 2, 5, 5)
#: name -> function of the constructors' keywords: a network, the shape of its trigger, whether it takes labels.
SYNTHESIZERS: dict[str, Callable[[dict[str, Any]], tuple[Layer, tuple[int, ...], bool]]] = {
    "linear": lambda kw: (networks.linear(N, **kw), ROWS, False),
    "conditional linear": lambda kw: (networks.linear(N, M, **kw), ROWS, True),
    "linear behind batch norm": lambda kw: (networks.linear(N, M, normalise="batch", **kw), ROWS, True),
    "linear behind Standardise": lambda kw: (networks.linear(N, M, normalise="running", **kw), ROWS, True),
    "MLP": lambda kw: (networks.mlp(N, n_hidden=7, batch_norm=False, **kw), ROWS, False),
    "MLP with batch norm": lambda kw: (networks.mlp(N, M, n_hidden=7, **kw), ROWS, True),
    "MLP behind Standardise": lambda kw: (networks.mlp(N, M, n_hidden=7, normalise="running", **kw), ROWS, True),
    "linear convolution": lambda kw: (networks.convolutional(2, n_layers=0, kernel=3, **kw), IMAGES, False),
    "convolutional": lambda kw: (networks.convolutional(2, M, n_hidden=3, kernel=3, **kw), IMAGES, True),
    "sigmoid of linear": lambda kw: (networks.SigmoidOfLinear(N, M, **kw), ROWS, True),
}


def network(depth: int = 3, *, batch_norm: bool = False, seed: int = 0, dtype: Any = np.float64) -> Sequential:
    """5 -> 6 -> 7 -> ... -> 3: `depth` linear maps, each but the last with (batch norm and) tanh after it."""
    rng, layers, n = np.random.default_rng(seed), [], 5
    for width in (*range(6, 5 + depth), CLASSES):
        layers += [Linear(n, width, rng=rng, dtype=dtype), BatchNorm(width, dtype=dtype), Tanh()]
        n = width
    layers = [layer for layer in layers[:-2] if batch_norm or not isinstance(layer, BatchNorm)]
    net = Sequential(*layers)
    for slab in net.params.slabs:
        slab += (0.1 * rng.standard_normal(slab.shape)).astype(dtype)  # no bias at 0, no gain at 1
    return net


def batch(seed: int = 0, B: int = 8, *, dtype: Any = np.float64, device: str = "cpu") -> tuple[Any, Any]:
    """x (B, 5) and labels (B,) for `network`."""
    rng = np.random.default_rng([seed, 1])
    x, labels = rng.standard_normal((B, 5)).astype(dtype), rng.integers(0, CLASSES, B)
    return to_device(x, device), to_device(labels, device)


def chain_of(
    net: Sequential,
    at: Sequence[int],
    signal: Callable[[Sequential], Any],
    optimizer: Callable[[], Optimiser] = lambda: SGD(0.1),
    **options: Any,
) -> Chain:
    return Chain.cut(net, at, signal=signal, loss=LOSS, optimizer=optimizer, **options)


def linear_synthesizers(
    n_context: int = CLASSES, optimizer: Callable[[], Optimiser] = lambda: SGD(0.1), **options: Any
) -> Callable[[Sequential], Synthesizer]:
    """For `Chain.cut`: a linear synthesizer below each segment, as wide as what is above takes."""

    def make(above: Sequential) -> Synthesizer:
        widths = (getattr(layer, "n_in", getattr(layer, "n_features", None)) for layer in inside(above))
        net = networks.linear(next(filter(None, widths)), n_context, rng=0, dtype=above.params.slabs[0].dtype)
        return Synthesizer(net, optimizer(), **options)

    return make


def inside(net: Layer) -> list[Any]:
    """The layers inside that have none inside, in order."""
    children = list(net.children().values())
    return [leaf for child in children for leaf in inside(child)] if children else [net]


class Oracle:
    """As a `Synthesizer` from outside, but it knows: it runs a copy of all layers above, forward and backward."""

    def __init__(self, above: Layer):
        self.above, self.learned = above, 0

    def predict(self, trigger: Any, context: Any) -> Any:
        twin = copy.deepcopy(self.above)
        y, cache = twin.forward(trigger)
        return twin.backward(LOSS.gradient(y, context), cache)

    def fit(self, trigger: Any, message: Any, context: Any = None) -> Any:
        self.learned += 1
        return np.linalg.norm(to_numpy(self.predict(trigger, context) - message))

    gradient, learn = predict, fit


class Told(Layer):
    """Answers with its parameter y, whatever x is: a network for a synthesizer that is told what to say."""

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.float64):
        super().__init__({"y": shape}, dtype=dtype)

    def forward(self, x: Any, cache: Any = None) -> Any:
        return self.params.y.copy(), None


class Hold(Optimiser):
    """Moves nothing, and adds up in `total` what it was given, by layer: weights held fixed."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.total: Any = 0

    def step(self, layer: Layer) -> None:
        self.total = self.total + np.concatenate([to_numpy(slab) for slab in layer.grads.slabs])


class LinearNet:
    """s[t + 1] = s[t] A + x[t] C, y = s D: a recurrent net whose Jacobian is A^T always, by hand."""

    def __init__(self, n_in: int, n_state: int, rng: np.random.Generator):
        self.n_state = n_state
        shapes = {"A": (n_state, n_state), "C": (n_in, n_state), "D": (n_state, 2)}
        self.params = {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}
        self.grads = {name: np.zeros(shape) for name, shape in shapes.items()}

    def forward(self, x: Any, s0: Any = None, cache: Any = None) -> Any:
        s = [np.zeros((x.shape[1], self.n_state)) if s0 is None else s0]
        for row in x:
            s.append(s[-1] @ self.params["A"] + row @ self.params["C"])
        states = np.stack(s)
        return states[1:] @ self.params["D"], states[-1], (x, states)

    def backward(self, dy: Any, cache: Any, dsT: Any = None) -> Any:
        x, s = cache
        dx, ds = np.zeros_like(x), np.zeros_like(s[0]) if dsT is None else dsT
        for t in reversed(range(len(x))):
            if dy is not None:
                self.grads["D"] += s[t + 1].T @ dy[t]
                ds = ds + dy[t] @ self.params["D"].T
            self.grads["A"] += s[t].T @ ds
            self.grads["C"] += x[t].T @ ds
            dx[t], ds = ds @ self.params["C"].T, ds @ self.params["A"].T
        return dx, ds


def weights(net: Any) -> np.ndarray:
    """A copy of all parameters, in one array on the host."""
    return np.concatenate([to_numpy(slab).ravel() for slab in net.params.slabs])


def close(got: Any, wanted: Any, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(to_numpy(got), to_numpy(wanted), rtol=tolerance, atol=tolerance, equal_nan=False)


def same(got: Any, wanted: Any) -> None:
    """The same bits, and none of them NaN."""
    assert not np.isnan(to_numpy(got)).any()
    np.testing.assert_array_equal(to_numpy(got), to_numpy(wanted))
