"""Every layer, loss and optimiser against PyTorch's numbers, kept in tests/oracles/torch_oracles.npz."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidni
from minidni import (
    BatchNorm,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    to_device,
    to_numpy,
)
from minidni.nn import Layer, from_torch_layout, from_torch_state, to_torch_state

FILE = Path(__file__).parents[1] / "oracles" / "torch_oracles.npz"

with np.load(FILE) as file:
    ARRAYS = dict(file)
ABOUT = json.loads(str(ARRAYS.pop("about")))


def cases(*groups: str) -> Any:
    """The test for each case of the groups: its settings and its arrays by name."""
    found = []
    for case in ABOUT["cases"]:
        if case["group"] in groups:
            prefix = case["case"] + "/"
            arrays = {key.removeprefix(prefix): a for key, a in ARRAYS.items() if key.startswith(prefix)}
            found.append(pytest.param(case, arrays, id=case["case"]))
    return pytest.mark.parametrize(("case", "arrays"), found)


dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])
walks = pytest.mark.parametrize("plain", [False, True], ids=["default", "plain"])


def assert_close(got: Any, expected: np.ndarray, name: str = "", scale: float = 1.0) -> None:
    """Equal but for rounding: to 12 digits of the largest number in float64, to 5 in float32."""
    got = to_numpy(got)
    assert got.shape == expected.shape, name
    tolerance = (1e-12 if got.dtype == np.float64 else 2e-5) * max(scale, np.abs(expected).max(initial=1e-3))
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance, err_msg=name)


def on(device: str, x: np.ndarray, dtype: str) -> Any:
    """The array on the device, floating point numbers in this dtype."""
    return to_device(x.astype(dtype) if x.dtype.kind == "f" else x, device)


def make(case: dict[str, Any], arrays: dict[str, np.ndarray], device: str, dtype: str) -> Layer:
    """The case's layer with the case's parameters, its gradients filled with ones."""
    kwargs = case["kwargs"] | ({"dtype": dtype} if "params" not in case or case["params"] else {})
    layer = getattr(minidni, case["name"])(*case["args"], **kwargs)
    return prepare(layer, arrays, device)


def prepare(layer: Layer, arrays: dict[str, np.ndarray], device: str) -> Layer:
    for name in layer.params:
        layer.params[name] = arrays[name]
    fill(layer)
    return layer.to(device)


def fill(layer: Layer) -> None:
    for slab in layer.grads.slabs:
        slab[...] = 1


def assert_gradients(layer: Layer, arrays: dict[str, np.ndarray], prefix: str = "") -> None:
    """The gradients are PyTorch's on top of the ones that were there before."""
    for name, gradient in layer.grads.items():
        assert_close(gradient - 1, arrays[f"{prefix}d{name}"], f"gradient of {name}")


def test_the_file_says_where_it_comes_from_and_has_several_cases_of_every_layer() -> None:
    assert ABOUT["torch"].partition("+")[0] == "2.13.0"
    assert isinstance(ABOUT["seed"], int)
    names = [case["name"] for case in ABOUT["cases"]]
    public = [getattr(minidni, name) for name in minidni.__all__]
    kinds = (minidni.nn.Layer, minidni.nn.Loss, minidni.nn.Optimiser)
    for kind in (p for p in public if isinstance(p, type) and issubclass(p, kinds)):
        # Dropout's draws are its own; a network is its layers.
        least = {"Dropout": 0, "Sequential": 1}.get(kind.__name__, 3)
        assert names.count(kind.__name__) >= least, kind


@cases("layer")
@dtypes
def test_layer(case: dict[str, Any], arrays: dict[str, np.ndarray], device: str, dtype: str) -> None:
    layer = make(case, arrays, device, dtype)
    x, dy = on(device, arrays["x"], dtype), on(device, arrays["dy"], dtype)
    y, cache = layer.forward(x)
    assert_close(y, arrays["y"], "y")
    dx = layer.backward(dy, cache)
    if "dx" in arrays:
        assert_close(dx, arrays["dx"], "dx")
    else:
        assert dx is None
    assert set(layer.params) == set(case["params"])
    assert_gradients(layer, arrays)


@cases("batchnorm")
@dtypes
def test_batch_norm(case: dict[str, Any], arrays: dict[str, np.ndarray], device: str, dtype: str) -> None:
    layer = make(case, arrays, device, dtype)
    assert isinstance(layer, BatchNorm)
    cache = None
    for step in range(5):
        layer.training = step < 4
        fill(layer)
        y, cache = layer.forward(on(device, arrays[f"{step}.x"], dtype), cache=cache)
        assert_close(y, arrays[f"{step}.y"], "y")
        dx = layer.backward(on(device, arrays[f"{step}.dy"], dtype), cache)
        # dx is what is left when two means are taken away: it may be small beside what it is made of
        assert_close(dx, arrays[f"{step}.dx"], "dx", scale=np.abs(arrays[f"{step}.dy"]).max())
        assert_gradients(layer, arrays, f"{step}.")
        for name in ("mean", "var"):
            assert_close(layer.buffers[name], arrays[f"{step}.{name}"], f"running {name}")
    np.testing.assert_array_equal(arrays["4.mean"], arrays["3.mean"])  # the fifth step evaluates


@cases("recurrent")
@dtypes
@walks
def test_recurrent(case: dict[str, Any], arrays: dict[str, np.ndarray], device: str, dtype: str, plain: bool) -> None:
    layer = make(case, arrays, device, dtype)
    layer.plain = plain
    x, s0, dy, dsT = (on(device, arrays[name], dtype) for name in ("x", "s0", "dy", "dsT"))
    y, sT, cache = layer.forward(x, s0)
    assert_close(y, arrays["y"], "y")
    assert_close(sT, arrays["sT"], "sT")
    dx, ds0 = layer.backward(dy, cache, dsT)
    assert_close(dx, arrays["dx"], "dx")
    assert_close(ds0, arrays["ds0"], "ds0")
    assert set(layer.params) == set(case["params"])
    assert_gradients(layer, arrays)


@cases("stack")
@dtypes
@walks
def test_stacks_and_padded_sequences(
    case: dict[str, Any], arrays: dict[str, np.ndarray], device: str, dtype: str, plain: bool
) -> None:
    """Several layers against PyTorch's num_layers, a mask against its packed sequences."""
    net = layers_of(case, dtype, plain)
    from_torch_layout(net, {name: arrays[name] for name in case["params"]})
    fill(net)
    net.to(device)
    mask = None
    if case["lengths"] is not None:
        mask = to_device(np.arange(len(arrays["x"]))[:, None] < np.array(case["lengths"]), device)

    x, s0, dy, dsT = (
        on(device, a, dtype) for a in (arrays["x"], state(arrays, "{}0"), arrays["dy"], state(arrays, "d{}T"))
    )
    y, sT, cache = net.forward(x, s0, mask=mask)
    assert_close(y, arrays["y"], "y")
    assert_close(sT, state(arrays, "{}T"), "sT")
    dx, ds0 = net.backward(dy, cache, dsT)
    assert_close(dx, arrays["dx"], "dx")
    assert_close(ds0, state(arrays, "d{}0"), "ds0")
    for part, name in zip(as_pair(to_torch_state(net, sT)), ("hT", "cT"), strict=False):
        assert_close(part, arrays[name], name)
    theirs = arrays["h0"] if "c0" not in arrays else (arrays["h0"], arrays["c0"])
    np.testing.assert_array_equal(to_numpy(from_torch_state(net, theirs)), to_numpy(s0))

    # The gradients lie as the weights do; but where one bias stands for two it has the gradient of each, not their sum.
    gradients, expected = {name: arrays[f"d{name}"] for name in case["params"]}, layers_of(case, "float64")
    if case["name"] != "GRU":
        gradients |= {name: 0 * g for name, g in gradients.items() if name.startswith("bias_hh")}
    from_torch_layout(expected, gradients)
    assert_gradients(net, {f"d{name}": g for name, g in expected.params.items()})


def layers_of(case: dict[str, Any], dtype: str, plain: bool = False) -> Sequential:
    """As many layers as the case has, one after another."""
    (D, H), kind = case["args"], getattr(minidni, case["name"])
    net = Sequential(*(kind(D if k == 0 else H, H, dtype=dtype) for k in range(case["layers"])))
    for layer in net:
        layer.plain = plain
    return net


def state(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """PyTorch's arrays of a name such as "{}0", h0 and perhaps c0, as [h | c] of one layer beside that of the next."""
    parts = [arrays[name.format(part)] for part in "hc" if name.format(part) in arrays]
    return np.concatenate([part[k] for k in range(len(parts[0])) for part in parts], axis=-1)


def as_pair(parts: Any) -> tuple[np.ndarray, ...]:
    return parts if isinstance(parts, tuple) else (parts,)


@cases("loss")
@dtypes
def test_loss(case: dict[str, Any], arrays: dict[str, np.ndarray], device: str, dtype: str) -> None:
    loss = getattr(minidni, case["name"])()
    h, labels = on(device, arrays["h"], dtype), on(device, arrays["labels"], dtype)
    assert_close(np.array(loss.value(h, labels), dtype), arrays["value"], "value")
    gradient = loss.gradient(h, labels)
    assert gradient.dtype == dtype
    assert_close(gradient, arrays["gradient"], "gradient")


@cases("optimiser")
@dtypes
def test_optimiser(case: dict[str, Any], arrays: dict[str, np.ndarray], device: str, dtype: str) -> None:
    rates = case["rates"]
    lr = {} if rates is None else {"lr": lambda step: rates[step]}
    optimiser = getattr(minidni, case["name"])(**case["kwargs"], **lr)
    layer = Layer({"w": arrays["start"].shape}, dtype=dtype)
    layer.params.w = arrays["start"]
    layer.to(device)
    for g, w in zip(arrays["gradients"], arrays["path"], strict=True):
        layer.grads.w = on(device, g, dtype)
        optimiser.step(layer)
        assert_close(layer.params.w, w)


@cases("network")
@dtypes
def test_network_from_image_to_loss_and_back(
    case: dict[str, Any], arrays: dict[str, np.ndarray], device: str, dtype: str
) -> None:
    layers = Conv2d(2, 3, 3, padding=1, dtype=dtype), Tanh(), MaxPool2d(2), Flatten(), Linear(48, 4, dtype=dtype)
    net, loss = prepare(Sequential(*layers), arrays, device), SoftmaxCrossEntropy()
    labels = to_device(arrays["labels"], device)
    h, cache = net.forward(on(device, arrays["x"], dtype))
    assert_close(np.array(loss.value(h, labels), dtype), arrays["value"], "value")
    assert_close(net.backward(loss.gradient(h, labels), cache), arrays["dx"], "dx")
    assert list(net.params) == case["params"]
    assert_gradients(net, arrays)


def test_a_planted_error_in_one_entry_is_seen() -> None:
    """The comparison itself: one entry of one gradient off by one part in ten billion."""
    expected = ARRAYS["recurrent-LSTM-3/dWx"]
    assert_close(expected * 1.0, expected)
    wrong = expected.copy()
    wrong.flat[np.abs(wrong).argmax()] *= 1 + 1e-10
    with pytest.raises(AssertionError):
        assert_close(wrong, expected)
