"""DESIGN's contracts, a test a line, over every layer x backend x dtype, with sizes drawn from a seed."""

import copy
import inspect
import pickle
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st

import minidni
from minidni import check_gradients, to_device, to_numpy
from minidni.examples import EXAMPLES, example
from minidni.nn import Layer, Loss, Sequential

LAYERS = [name for name in EXAMPLES if isinstance(example(name)[0], Layer)]
RECURRENT = [name for name in LAYERS if example(name)[0].n_outputs == 2]
IMAGES = [name for name in LAYERS if example(name)[1].ndim == 4]
ROWS = [name for name in LAYERS if name not in {*RECURRENT, *IMAGES}]
LOSSES = [name for name in EXAMPLES if isinstance(example(name)[0], Loss)]
DTYPES = [np.float32, np.float64]

every_layer = pytest.mark.parametrize("name", LAYERS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
seeds = pytest.mark.parametrize("seed", range(3))


@dataclass
class Pass:
    """A layer with random inputs, the outputs of one forward and a random cotangent for each."""

    layer: Layer
    inputs: list[Any]
    outputs: list[Any]
    cotangents: list[Any]
    cache: Any

    def backward(self) -> list[Any]:
        dy, *others = self.cotangents
        gradients = self.layer.backward(dy, self.cache, *others)
        return list(gradients) if isinstance(gradients, tuple) else [gradients]


def draw(name: str, device: str, dtype: Any, seed: int) -> Pass:
    layer, *inputs = example(name, seed=seed, dtype=dtype)
    layer.to(device)
    return begin(layer, [to_device(x, device) for x in inputs], seed)


def begin(layer: Layer, inputs: list[Any], seed: int, cache: Any = None) -> Pass:
    *outputs, cache = layer.forward(*inputs, cache=cache)
    rng = np.random.default_rng([seed, 1])
    device = minidni.arrays.device_of(outputs[0])
    cotangents = [to_device(rng.standard_normal(y.shape).astype(y.dtype), device) for y in outputs]
    return Pass(layer, inputs, outputs, cotangents, cache)


def hosts(arrays: Any) -> list[np.ndarray]:
    values = arrays.values() if hasattr(arrays, "values") else arrays
    return [to_numpy(a).copy() for a in values if a is not None]


def assert_same(got: Any, expected: Any) -> None:
    """The same bits, array by array."""
    for a, b in zip(hosts(got), hosts(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def is_float(x: Any) -> bool:
    return x.dtype.kind == "f"


# 0. In general.


@every_layer
@every_dtype
@seeds
def test_backward_answers_for_every_input_and_every_parameter(name, dtype, seed, device):
    p = draw(name, device, dtype, seed)
    gradients = p.backward()
    assert len(p.outputs) == p.layer.n_outputs
    for x, dx in zip(p.inputs, gradients, strict=True):
        assert dx.shape == x.shape if is_float(x) else dx is None
    assert list(p.layer.grads) == list(p.layer.params)
    assert [g.shape for g in p.layer.grads.values()] == [w.shape for w in p.layer.params.values()]


# 1. Features last, leading axes free.


@pytest.mark.parametrize("name", ROWS)
@seeds
def test_leading_axes_are_free(name, seed):
    layer, x, *_ = example(name, seed=seed)
    layer.training = False  # dropout and batch norm then treat each row alone
    rows = 1 if not is_float(x) else x.shape[-1]
    flat = x.reshape(-1, rows) if is_float(x) else x.reshape(-1)
    y, y_flat = layer.forward(x)[0], layer.forward(flat)[0]
    np.testing.assert_allclose(y.reshape(y_flat.shape), y_flat, rtol=1e-14, atol=1e-14)


def test_weights_lie_as_documented():
    shapes = {name: dict((k, v.shape) for k, v in layer.params.items()) for name, layer in {
        "Linear": minidni.Linear(3, 5), "Conv2d": minidni.Conv2d(2, 4, 3), "LSTM": minidni.LSTM(3, 5),
        "GRU": minidni.GRU(3, 5), "RNN": minidni.RNN(3, 5),
    }.items()}  # fmt: skip
    assert shapes == {
        "Linear": {"W": (3, 5), "b": (5,)},
        "Conv2d": {"W": (4, 2, 3, 3), "b": (4,)},
        "LSTM": {"Wx": (3, 20), "Wh": (5, 20), "b": (20,)},
        "GRU": {"Wx": (3, 15), "Wh": (5, 15), "b": (15,), "bh": (15,)},
        "RNN": {"Wx": (3, 5), "Wh": (5, 5), "b": (5,)},
    }


def test_gates_are_in_the_order_i_f_o_g():
    lstm = minidni.LSTM(1, 1, dtype=np.float64)
    lstm.params.Wx = lstm.params.Wh = np.zeros((1, 4))
    a = np.array([0.1, -0.2, 0.3, 0.4])
    lstm.params.b = a
    (i, f, o), g = 1 / (1 + np.exp(-a[:3])), np.tanh(a[3])
    c = f * 0.7 + i * g
    _, s, _ = lstm.forward(np.zeros((1, 1, 1)), np.array([[0.5, 0.7]]))
    np.testing.assert_allclose(s, [[o * np.tanh(c), c]], rtol=1e-14)


# 2. backward adds, and nothing that was handed in is written to.


@every_layer
@every_dtype
@seeds
def test_backward_adds(name, dtype, seed, device):
    p = draw(name, device, dtype, seed)
    p.backward()
    once = hosts(p.layer.grads)
    rng = np.random.default_rng(seed)
    fills = [rng.standard_normal(g.shape).astype(dtype) for g in once]
    for g, fill in zip(p.layer.grads.values(), fills, strict=True):
        g[...] = to_device(fill, device)
    p.backward()
    for g, fill, dg in zip(hosts(p.layer.grads), fills, once, strict=True):
        scale = np.abs(fill).max() + np.abs(dg).max()
        np.testing.assert_allclose(g, fill + dg, rtol=0, atol=8 * np.finfo(dtype).eps * scale)
    p.layer.zero_grads()
    assert all(not g.any() for g in hosts(p.layer.grads))


@every_layer
@every_dtype
@seeds
def test_inputs_and_cotangents_may_be_read_only(name, dtype, seed, device):
    p = draw(name, device, dtype, seed)
    given_arrays = [*p.inputs, *p.cotangents]
    before, params = hosts(given_arrays), hosts(p.layer.params)
    if device == "cpu":
        for a in given_arrays:
            a.flags.writeable = False
    p = Pass(p.layer, p.inputs, *[None], p.cotangents, p.layer.forward(*p.inputs)[-1])
    p.backward()
    assert_same(given_arrays, before)
    assert_same(p.layer.params, params)


def test_assigning_copies_into_the_view(device):
    layer = minidni.Linear(2, 3, rng=0).to(device)
    W = to_device(np.arange(6, dtype=np.float32).reshape(2, 3), device)
    layer.params.W = W
    layer.params["b"] = W[0]
    np.testing.assert_array_equal(to_numpy(layer.params.slab), [0, 1, 2, 3, 4, 5, 0, 1, 2])
    with pytest.raises(ValueError, match=r"W has shape \(2, 3\) and cannot take an array of shape \(3,\)"):
        layer.params.W = W[0]


# 3. None for a state or its gradient means zeros.


@pytest.mark.parametrize("name", RECURRENT)
@every_dtype
@seeds
def test_none_means_zeros(name, dtype, seed, device):
    for without_s0, without_dy, without_dsT in product([True, False], repeat=3):
        p = draw(name, device, dtype, seed)
        x, s0 = p.inputs
        dy, dsT = p.cotangents
        if without_s0:
            s0[...] = 0
        if without_dy:
            dy[...] = 0
        if without_dsT:
            dsT[...] = 0
        results = []
        for none in (True, False):
            p.layer.zero_grads()
            y, sT, cache = p.layer.forward(x, None if none and without_s0 else s0)
            dx, ds0 = p.layer.backward(
                None if none and without_dy else dy, cache, None if none and without_dsT else dsT
            )
            results.append([y, sT, dx, ds0, *p.layer.grads.values()])
        assert_same(*results)


# 4. The cache is explicit.


@every_layer
@every_dtype
@seeds
def test_any_number_of_passes_may_be_in_flight(name, dtype, seed, device):
    p, twin = (draw(name, device, dtype, seed) for _ in range(2))
    others = [-x if is_float(x) else x for x in p.inputs]
    q = begin(p.layer, others, seed)
    in_flight = hosts(q.backward()) + hosts(p.backward())  # after both forwards, the later one first
    first = hosts(twin.backward())
    one_by_one = hosts(begin(twin.layer, others, seed).backward()) + first
    assert_same(in_flight, one_by_one)


@every_layer
@every_dtype
@seeds
def test_a_recycled_cache_gives_the_same_bits(name, dtype, seed, device, on_a_gpu):
    layer, *inputs = example(name, seed=seed, dtype=dtype)
    layer.to(device)
    inputs = [to_device(x, device) for x in inputs]
    twin, others = copy.deepcopy(layer), [-x if is_float(x) else x for x in inputs]

    fresh = [begin(layer, inputs, seed), begin(layer, others, seed)]
    expected = [hosts([*p.outputs, *p.backward()]) for p in fresh]
    first = begin(twin, inputs, seed)
    got = [hosts([*first.outputs, *first.backward()])]
    buffers = {id(a) for a in first.cache._used.values()}
    second = begin(twin, others, seed, cache=first.cache)
    got.append(hosts([*second.outputs, *second.backward()]))

    for a, b in zip(got, expected, strict=True):
        assert_same(a, b)
    if not (on_a_gpu and name == "Embedding"):  # whose sums come in whatever order its threads do
        assert_same(twin.grads, layer.grads)
    assert second.cache is first.cache
    assert {id(a) for a in second.cache._used.values()} == buffers  # and no new memory


@every_layer
@seeds
def test_the_cache_is_named_printable_and_counts_its_bytes(name, seed, device):
    p = draw(name, device, np.float64, seed)
    text, kept = repr(p.cache), list(p.cache)
    assert kept, "backward needs at least one thing"
    assert all(f"  {key}" in text for key in kept)
    assert f"{p.cache.nbytes:,} bytes kept" in text.splitlines()[0]
    arrays = [p.cache[key] for key in kept if hasattr(p.cache[key], "dtype")]
    if not isinstance(p.layer, Sequential):
        assert p.cache.nbytes == sum(a.nbytes for a in arrays)


@every_layer
@seeds
def test_nothing_is_stashed_on_the_layer(name, seed):
    layer, *inputs = example(name, seed=seed)
    layer.training = False  # in training, dropout's generator and batch norm's statistics do move
    before = pickle.dumps(layer)
    layer.forward(*inputs)
    assert pickle.dumps(layer) == before


# 5. The dtype is the parameters'.


@every_layer
@pytest.mark.parametrize("dtype", [*DTYPES, np.complex128], ids=["float32", "float64", "complex128"])
@seeds
def test_every_result_has_the_dtype_of_the_parameters(name, dtype, seed):
    layer, *inputs = example(name, seed=seed, dtype=np.float64)
    layer.astype(dtype)
    p = begin(layer, [x.astype(dtype) if is_float(x) else x for x in inputs], seed)
    results = [*p.outputs, *p.backward(), *layer.params.values(), *layer.grads.values(), *layer.buffers.values()]
    assert {a.dtype for a in results if a is not None} == {np.dtype(dtype)}


@every_layer
@seeds
def test_single_precision_follows_double(name, seed):
    results = []
    for dtype in DTYPES:
        p = draw(name, "cpu", dtype, seed)
        results.append(hosts([*p.outputs, *p.backward(), *p.layer.grads.values()]))
    for single, double in zip(*results, strict=True):
        assert np.abs(single - double).max(initial=0) <= 2e-4 * (np.abs(double).max(initial=0) + 1e-3)


# 6. Randomness comes from a generator and is drawn on the host.


@every_layer
@every_dtype
@seeds
def test_the_same_seed_gives_the_same_numbers_on_every_device(name, dtype, seed, device):
    here, there = draw(name, device, dtype, seed), draw(name, "cpu", dtype, seed)
    assert_same(here.layer.params, there.layer.params)
    tolerance = 50 * np.finfo(dtype).eps
    for a, b in zip(hosts([*here.outputs, *here.backward()]), hosts([*there.outputs, *there.backward()]), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_constructors_take_a_generator_or_a_seed_by_keyword():
    for make in (
        lambda rng: minidni.Linear(3, 4, rng=rng),
        lambda rng: minidni.Embedding(3, 4, rng=rng),
        lambda rng: minidni.Conv2d(2, 3, 2, rng=rng),
        lambda rng: minidni.LSTM(3, 4, rng=rng),
        lambda rng: minidni.GRU(3, 4, rng=rng),
        lambda rng: minidni.RNN(3, 4, rng=rng),
    ):
        assert_same(make(7).params, make(np.random.default_rng(7)).params)
        assert not np.array_equal(hosts(make(7).params)[0], hosts(make(8).params)[0])
    for name in ("Linear", "Conv2d", "Embedding", "RNN", "GRU", "LSTM"):
        parameters = inspect.signature(getattr(minidni, name)).parameters
        assert all(parameters[p].kind is inspect.Parameter.KEYWORD_ONLY for p in ("rng", "dtype"))


# 7. Losses are means over all leading axes.


@pytest.mark.parametrize("name", LOSSES)
@every_dtype
@seeds
def test_losses_are_means_over_leading_axes(name, dtype, seed, device):
    loss, h, labels = example(name, seed=seed, dtype=dtype)
    h, labels = to_device(h, device), to_device(labels, device)
    xp = minidni.array_module(h)
    h3, labels3 = (xp.stack([a, a, a]) for a in (h, labels))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(loss.value(h3, labels3), loss.value(h, labels), rtol=20 * eps)
    for part in to_numpy(loss.gradient(h3, labels3)):
        np.testing.assert_allclose(3 * part, to_numpy(loss.gradient(h, labels)), rtol=20 * eps, atol=eps)
    assert loss.gradient(h, labels).dtype == dtype


# 8. Wrong arguments give one sentence that names the layer, the argument, what was got and what was expected.


@every_layer
@seeds
def test_wrong_arguments_are_named(name, seed, device):
    p = draw(name, device, np.float64, seed)
    layer, (x, *rest), (dy, *others) = p.layer, p.inputs, p.cotangents
    first = {"Sequential": "Linear", "Sequential-recurrent": "LSTM"}.get(name)  # who refuses what goes in
    who = first or type(layer).__name__
    xp = minidni.array_module(x)

    def refused(call: Any, *words: str) -> None:
        with pytest.raises((TypeError, ValueError)) as error:
            call()
        text = str(error.value)
        assert "\n" not in text and len(text) < 300
        for word in (who, *words):
            assert word in text, text

    wrong = xp.zeros(x.shape, np.int64) if is_float(x) else xp.zeros(x.shape)
    refused(lambda: layer.forward(wrong, *rest), "x is ", "expected")
    refused(lambda: layer.forward([1.0], *rest), "x is ", "list", "expected")
    if name in ("Linear", "LayerNorm", "BatchNorm", "Conv2d", "Sequential", *RECURRENT):
        axis = 1 if x.ndim == 4 else -1
        wide = xp.concatenate([x, x], axis=axis)
        refused(lambda: layer.forward(wide, *rest), "x has shape", str(tuple(wide.shape)), "expected")
    if layer.dtype is not None and is_float(x):
        refused(lambda: layer.forward(x.astype(np.float32), *rest), "x is float32", "float64")
        elsewhere = to_device(x, "cpu") if device == "cuda" else None
        if elsewhere is not None:
            refused(lambda: layer.forward(elsewhere, *rest), "x is on cpu", "expected cuda:0")
    who = type(layer).__name__ if first is None else "Linear"
    refused(lambda: layer.backward(dy[..., None], p.cache, *others), "dy has shape", "expected")
    refused(lambda: layer.backward(dy.astype(np.float32), p.cache, *others), "dy is float32", "float64")
    who = type(layer).__name__
    refused(lambda: layer.backward(dy, None, *others), "cache", "expected")
    if name in RECURRENT:
        refused(lambda: layer.forward(x, rest[0][:, 1:]), "s0 has shape", "expected")
        refused(lambda: layer.backward(dy, p.cache, others[0][:, 1:]), "dsT has shape", "expected")


def test_labels_and_tokens_out_of_range_are_named():
    for call in (
        lambda bad: minidni.SoftmaxCrossEntropy().value(np.zeros((3, 4)), bad),
        lambda bad: minidni.SoftmaxCrossEntropy().gradient(np.zeros((3, 4)), bad),
        lambda bad: minidni.Embedding(4, 2).forward(bad),
    ):
        for wrong in (4, -1):
            with pytest.raises(ValueError, match=rf"holds {wrong}, expected integers from 0 to 3"):
                call(np.array([0, 1, wrong]))


def test_on_a_device_labels_and_tokens_out_of_range_give_nan_where_they_are_used():
    """CuPy would wrap them silently, and looking at them would stall the GPU."""
    with standin.installed() as cupy:
        wrong = cupy.asarray(np.array([0, 4, 1]))
        loss, h = minidni.SoftmaxCrossEntropy(), cupy.zeros((3, 4))
        np.testing.assert_array_equal(to_numpy(cupy.isnan(loss.gradient(h, wrong)).any(axis=-1)), [False, True, False])
        with pytest.raises(FloatingPointError, match="the loss is nan"):
            loss.value(h, wrong)
        y, _ = minidni.Embedding(4, 2, rng=0).to("cuda").forward(wrong)
        np.testing.assert_array_equal(to_numpy(cupy.isnan(y).all(axis=-1)), [False, True, False])


@pytest.mark.parametrize("name", LOSSES)
def test_nan_in_a_loss_is_named(name, device):
    loss, h, labels = example(name)
    h[1, 0] = np.nan
    h, labels = to_device(h, device), to_device(labels, device)
    with pytest.raises(FloatingPointError, match=rf"{name}.*h\[1, 0\] is nan"):
        loss.value(h, labels)


# 9. Everything pickles.


@every_layer
@every_dtype
@seeds
def test_layers_pickle_with_their_views_intact(name, dtype, seed, device):
    p = draw(name, device, dtype, seed)
    twin = pickle.loads(pickle.dumps(p.layer))
    q = begin(twin, p.inputs, seed)
    p = begin(p.layer, p.inputs, seed)
    assert_same(q.outputs, p.outputs)
    assert_same(q.backward(), p.backward())
    for leaf in [*twin.params.leaves, *twin.grads.leaves]:
        leaf.slab[...] = 3
    assert all((w == 3).all() for w in hosts(twin.params))
    optimiser = minidni.Adam(0.1)
    optimiser.step(twin)
    twin, optimiser = pickle.loads(pickle.dumps((twin, optimiser)))
    assert list(optimiser.state) == twin.params.leaves


# The gradients themselves, and the GPU's rule.


LONG = [name for name in LAYERS if name.endswith(("-layer-norm", "-recurrent"))]  # slow to check: many small operations


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in LONG])
@given(seed=st.integers(0, 2**32 - 1), training=st.booleans())
def test_gradients_are_right(name, seed, training):
    layer, *inputs = example(name, seed=seed)
    layer.training = training
    report = check_gradients(layer, *inputs, seed=seed)
    assert report.ok, str(report)


@pytest.mark.parametrize("name", LONG)
@settings(max_examples=3)
@given(seed=st.integers(0, 2**32 - 1))
def test_gradients_of_long_layers_are_right(name, seed):
    layer, *inputs = example(name, seed=seed)
    report = check_gradients(layer, *inputs, seed=seed)
    assert report.ok, str(report)


@pytest.mark.parametrize("name", LOSSES)
@given(seed=st.integers(0, 2**32 - 1))
def test_gradients_of_losses_are_right(name, seed):
    loss, *inputs = example(name, seed=seed)
    report = check_gradients(loss, *inputs, seed=seed)
    assert report.ok, str(report)


@every_layer
def test_gradients_are_right_on_every_device_in_single_precision(name, device):
    layer, *inputs = example(name, seed=5, dtype=np.float32)
    layer.to(device)
    report = check_gradients(layer, *(to_device(x, device) for x in inputs))
    assert report.ok, str(report)


@every_layer
@seeds
def test_a_training_step_never_waits_for_the_gpu(name, seed):
    with standin.installed():
        p = draw(name, "cuda", np.float32, seed)
        optimisers = [minidni.SGD(0.1, momentum=0.9, nesterov=True), minidni.RMSProp(), minidni.Adam(weight_decay=0.1)]
        for optimiser in optimisers:
            optimiser.step(p.layer)  # the state is made here
        before = standin.synchronisations.count
        with standin.no_synchronisation():
            *_, cache = p.layer.forward(*p.inputs)
            p.layer.zero_grads()
            p.layer.backward(p.cotangents[0], cache, *p.cotangents[1:])
            if p.layer.n_params:
                minidni.clip_norm(p.layer, 1.0)
                minidni.normalise_gradients(p.layer)
            for optimiser in optimisers:
                optimiser.step(p.layer)
        assert standin.synchronisations.count == before


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_of_a_loss_never_waits_for_the_gpu(name):
    with standin.installed():
        loss, h, labels = example(name, dtype=np.float32)
        h = to_device(h, "cuda")
        on_device = to_device(labels, "cuda")
        with standin.no_synchronisation():
            gradient = loss.gradient(h, on_device)
            from_host = loss.gradient(h, labels) if labels.dtype.kind in "iu" else gradient
        assert_same([gradient], [from_host])
