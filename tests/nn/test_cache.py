"""The cache: what it keeps and says, whose it is, and memory that is used again without a number changing."""

import pickle
from typing import Any

import numpy as np
import pytest

from minidni import BatchNorm, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential, Tanh, to_device, to_numpy
from minidni.arrays import array_module
from minidni.examples import EXAMPLES, example
from minidni.nn import Cache, Layer

LAYERS = [name for name in EXAMPLES if isinstance(example(name)[0], Layer)]
every_layer = pytest.mark.parametrize("name", LAYERS)


def address(x: Any) -> int:
    return x.ctypes.data if isinstance(x, np.ndarray) else x.data.ptr


def run(layer: Layer, inputs: list[Any], cache: Cache | None = None) -> tuple[list[Any], list[Any], Cache]:
    """Outputs, gradients of the inputs, and the cache of one forward and one backward."""
    *outputs, cache = layer.forward(*inputs, cache=cache)
    rng, xp = np.random.default_rng(5), array_module(outputs[0])
    dy, *others = (xp.asarray(rng.standard_normal(y.shape).astype(y.dtype)) for y in outputs)
    gradients = layer.backward(dy, cache, *others)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    return outputs, [g for g in gradients if g is not None], cache


def assert_as_new(layer: Layer, inputs: list[Any], cache: Cache | None) -> Cache:
    """Recycling the cache gives the bits and dtypes of a new one."""
    outputs, gradients, recycled = run(layer, inputs, cache)
    new_outputs, new_gradients, _ = run(layer, inputs)
    for got, wanted in zip(outputs + gradients, new_outputs + new_gradients, strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
    return recycled


def test_a_printed_cache_tells_names_shapes_and_bytes() -> None:
    layer = Linear(3, 2)
    _, cache = layer.forward(np.zeros((5, 3), np.float32))
    assert repr(cache) == "Linear(3, 2) cache: 60 bytes kept\n  x (5, 3) float32, 60 bytes"
    _, cache = BatchNorm(2).forward(np.ones((4, 2), np.float32))
    assert "own_statistics = True" in repr(cache)


def test_a_networks_printed_cache_lists_each_layers_below_its_place() -> None:
    net = Sequential(Linear(3, 2), Tanh())
    _, cache = net.forward(np.zeros((5, 3), np.float32))
    lines = repr(cache).splitlines()
    assert lines[0].endswith("cache: 100 bytes kept")
    assert lines[1:] == [
        "  0: Linear(3, 2) cache: 60 bytes kept",
        "    x (5, 3) float32, 60 bytes",
        "  1: Tanh() cache: 40 bytes kept",
        "    y (5, 2) float32, 40 bytes",
    ]
    assert list(cache) == ["0", "1"]
    assert cache["1"].y is cache["1"]["y"]


def test_nbytes_counts_memory_once_however_often_it_is_kept(device: str) -> None:
    """Tanh keeps its y, the next Linear keeps it as x, and Flatten's y is another view of it."""
    net = Sequential(Tanh(), Tanh(), Flatten(), Linear(12, 2, dtype=np.float64)).to(device)
    _, cache = net.forward(to_device(np.ones((5, 3, 4)), device))
    assert cache["3"].nbytes == cache["1"].nbytes == 5 * 12 * 8
    assert cache.nbytes == 2 * 5 * 12 * 8


def test_a_name_that_is_not_kept_is_answered_with_those_that_are() -> None:
    _, cache = Linear(3, 2).forward(np.zeros((5, 3), np.float32))
    with pytest.raises(AttributeError, match=r"the cache keeps no 'y'; it keeps x"):
        cache.y  # noqa: B018


def test_keeps_arrays_and_not_copies() -> None:
    x = np.zeros((5, 3), np.float32)
    _, cache = Linear(3, 2).forward(x)
    assert cache.x is x


@every_layer
def test_a_recycled_cache_gives_the_same_bits_in_the_same_memory(name: str, device: str, on_a_gpu: bool) -> None:
    layer, *inputs = example(name, seed=2)
    layer.to(device)
    inputs = [to_device(x, device) for x in inputs]
    layer.training = False  # so that dropout and running statistics are the same in every pass
    outputs, gradients, cache = run(layer, inputs)
    results = [*outputs, *gradients, *layer.grads.values()]
    expected, places = [to_numpy(a).copy() for a in results], [address(a) for a in outputs + gradients]
    for array in outputs + gradients:
        if not any(address(array) == address(x) for x in inputs):  # Flatten's are views
            array[...] = np.nan
    layer.zero_grads()
    again, gradients, recycled = run(layer, inputs, cache)
    assert recycled is cache
    for got, wanted in zip([*again, *gradients, *layer.grads.values()], expected, strict=True):
        # On a GPU an Embedding adds up a token's gradients in whatever order its threads come.
        rounding = 1e-6 if on_a_gpu and name == "Embedding" else 0
        np.testing.assert_allclose(to_numpy(got), wanted, rtol=rounding, atol=rounding)
    if name.removesuffix("-layer-norm") not in ("Flatten", "GRU", "RNN"):  # views of what came in; ds0 is no buffer
        assert [address(a) for a in again + gradients] == places
    else:
        assert address(again[0]) == places[0]


@every_layer
def test_a_recycled_cache_takes_inputs_of_another_shape_and_dtype(name: str) -> None:
    """Big, small, big again; then in the other precision: always as with a new cache."""
    layer, *inputs = example(name, seed=2)
    layer.training = False
    axis = 1 if layer.n_outputs == 2 else 0  # the batch
    rows = [np.take(inputs[0], [0, 1, 0, 1, 1], axis=axis, mode="wrap"), np.take(inputs[0], [0], axis=axis)]
    many, one = ([x, *(np.take(s, [0] * x.shape[1], axis=0) for s in inputs[1:])] for x in rows)
    cache = None
    for chosen in (many, one, many):
        cache = assert_as_new(layer, chosen, cache)
    layer.astype(np.float32)
    many = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in many]
    assert_as_new(layer, many, cache)


@every_layer
@pytest.mark.parametrize("recycled", [False, True], ids=["new", "recycled"])
def test_a_second_backward_in_one_pass_does_not_overwrite_the_first(name: str, recycled: bool, device: str) -> None:
    layer, *inputs = example(name, seed=3)
    layer.to(device)
    inputs = [to_device(x, device) for x in inputs]
    cache = run(layer, inputs)[-1] if recycled else None
    *outputs, cache = layer.forward(*inputs, cache=cache)
    xp = array_module(outputs[0])

    def backward(scale: float) -> list[Any]:
        dy, *others = (xp.full(y.shape, scale, y.dtype) for y in outputs)
        gradients = layer.backward(dy, cache, *others)
        return [g for g in (gradients if isinstance(gradients, tuple) else (gradients,)) if g is not None]

    first = backward(1.0)
    kept = [to_numpy(g).copy() for g in first]
    second = backward(-2.0)
    for a, b, was in zip(first, second, kept, strict=True):
        np.testing.assert_array_equal(to_numpy(a), was)
        np.testing.assert_allclose(to_numpy(b), -2 * was, rtol=1e-12, atol=1e-15)


@every_layer
def test_two_passes_in_flight_do_not_touch_each_other(name: str) -> None:
    layer, *inputs = example(name, seed=4)
    layer.training = False
    others = [x[..., ::-1].copy() if x.dtype.kind == "f" else x[::-1].copy() for x in inputs]
    expected = run(layer, inputs)[1]
    *outputs, cache = layer.forward(*inputs)
    layer.forward(*others)
    run(layer, others)
    rng = np.random.default_rng(5)
    dy, *more = (rng.standard_normal(y.shape).astype(y.dtype) for y in outputs)
    gradients = layer.backward(dy, cache, *more)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for got, wanted in zip([g for g in gradients if g is not None], expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_pickled_cache_serves_a_backward_elsewhere() -> None:
    net = Sequential(Conv2d(1, 2, 3, rng=0, dtype=np.float64), ReLU(), Flatten(), Linear(8, 2, rng=1, dtype=np.float64))
    y, cache = net.forward(np.random.default_rng(0).standard_normal((3, 1, 4, 4)))
    net2, cache2 = pickle.loads(pickle.dumps((net, cache)))
    dy = np.random.default_rng(1).standard_normal(y.shape)
    np.testing.assert_array_equal(net2.backward(dy, cache2), net.backward(dy, cache))
    for name, g in net.grads.items():
        np.testing.assert_array_equal(net2.grads[name], g)


def test_backward_goes_by_the_mode_of_its_forward_and_not_by_the_layers_mode_now() -> None:
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((6, 3)), rng.standard_normal((6, 3))
    for layer in (BatchNorm(3, dtype=np.float64), Dropout(0.5, rng=0)):
        for training in (True, False):
            layer.training = training
            _, cache = layer.forward(x)
            expected = layer.backward(dy, cache).copy()
            layer.training = not training
            np.testing.assert_array_equal(layer.backward(dy, cache), expected)
