"""Recurrent nets for the tests, one pass through each as arrays by name, and slopes by the complex step."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from minidni import GRU, LSTM, RNN, Sequential

Arrays = dict[str, np.ndarray]

#: name -> function of D, H and the constructors' keywords that returns a net.
NETS: dict[str, Callable[..., Any]] = {
    "RNN": RNN,
    "GRU": GRU,
    "LSTM": LSTM,
    "RNN-layer-norm": partial(RNN, layer_norm=True),
    "GRU-layer-norm": partial(GRU, layer_norm=True),
    "LSTM-layer-norm": partial(LSTM, layer_norm=True),
    "stack": lambda D, H, **kwargs: Sequential(LSTM(D, H, **kwargs), GRU(H, H, **kwargs), RNN(H, H, **kwargs)),
}


def draw(
    name: str, T: int, B: int, D: int, H: int, rng: np.random.Generator, plain: bool = False
) -> tuple[Any, Arrays]:
    """A net in float64 without a parameter at zero or one, and x, s0, dy and dsT for one pass."""
    net = NETS[name](D, H, rng=rng, dtype=np.float64)
    for slab in net.params.slabs:
        slab += 0.3 * rng.random(slab.shape)
    set_plain(net, plain)
    shapes = {"x": (T, B, D), "s0": (B, net.n_state), "dy": (T, B, H), "dsT": (B, net.n_state)}
    return net, {key: rng.standard_normal(shape) for key, shape in shapes.items()}


def set_plain(net: Any, plain: bool) -> None:
    for layer in [net, *net.children().values()]:
        layer.plain = plain


def run(
    net: Any, x: np.ndarray, s0: Any = None, dy: Any = None, dsT: Any = None, mask: np.ndarray | None = None
) -> Arrays:
    """What forward and backward give: y, sT, dx, ds0, and d<parameter> for each parameter."""
    net.zero_grads()
    y, sT, cache = net.forward(x, s0, mask=mask)
    dx, ds0 = net.backward(dy, cache, dsT)
    return {"y": y, "sT": sT, "dx": dx, "ds0": ds0, **{f"d{name}": g.copy() for name, g in net.grads.items()}}


def slopes(
    net: Any, x: np.ndarray, s0: np.ndarray, dy: np.ndarray, dsT: np.ndarray, mask: np.ndarray | None = None
) -> Iterator[tuple[str, np.ndarray, float]]:
    """For x, s0 and each parameter two random directions v, and how L rises along each, from forward alone.

    By the complex step: the imaginary part of L(a + i h v) is h times the slope, without rounding. So an error in any
    entry of a gradient shows in its products with v.
    """
    rng, twin, h = np.random.default_rng(0), copy.deepcopy(net).astype(np.complex128), 1e-30
    arrays = {"x": x.astype(complex), "s0": s0.astype(complex), **twin.params}
    for name, a in [*arrays.items(), *arrays.items()]:
        v, kept = rng.standard_normal(a.shape), a.copy()
        a += 1j * h * v
        y, sT, _ = twin.forward(arrays["x"], arrays["s0"], mask=mask)
        a[...] = kept
        yield f"d{name}", v, ((y * dy).sum() + (sT * dsT).sum()).imag / h


def assert_close(got: Arrays, expected: Arrays, tolerance: float = 1e-12) -> None:
    """Equal to rounding, array by array, for the names in `expected`."""
    for name, a in expected.items():
        bound = tolerance * max(1, np.abs(a).max(initial=0))
        np.testing.assert_allclose(got[name], a, rtol=0, atol=bound, err_msg=name)


def assert_same(got: Arrays, expected: Arrays) -> None:
    """The same numbers, array by array."""
    assert got.keys() == expected.keys()
    for name, a in expected.items():
        np.testing.assert_array_equal(got[name], a, err_msg=name)
