"""Sequences of different lengths together: with a mask each is as if it were alone, without its padding."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import standin
from hypothesis import given
from hypothesis import strategies as st
from nn.passes import NETS, assert_close, assert_same, draw, run

from minidni import GRU, LSTM, RNN, Linear, Sequential, check_gradients, to_device, to_numpy

every_net = pytest.mark.parametrize("name", NETS)
both_walks = pytest.mark.parametrize("plain", [False, True], ids=["default", "plain"])
seeds = st.integers(0, 2**32 - 1)


def one_by_one(net, arrays, mask):
    """Each sequence alone, its padding cut out, as `run` gives them together."""
    (T, B), H = mask.shape, arrays["dy"].shape[-1]
    together = {"y": np.zeros((T, B, H)), "sT": arrays["s0"].copy()}
    together |= {"dx": np.zeros_like(arrays["x"]), "ds0": arrays["dsT"].copy()}
    together |= {f"d{name}": np.zeros_like(p) for name, p in net.params.items()}
    for b in range(B):
        steps, one = np.flatnonzero(mask[:, b]), slice(b, b + 1)
        if len(steps) == 0:  # the state passes, and so does its gradient
            continue
        x, dy = (arrays[name][steps, one] for name in ("x", "dy"))
        alone = run(net, x, arrays["s0"][one], dy, arrays["dsT"][one])
        for name, a in alone.items():
            if name in ("y", "dx"):
                together[name][steps, one] = a
            elif name in ("sT", "ds0"):
                together[name][one] = a
            else:
                together[name] += a
    return together


@every_net
@given(seed=seeds, T=st.integers(1, 9), share=st.sampled_from([0.3, 0.7]), lengths=st.booleans(), plain=st.booleans())
def test_each_sequence_is_as_if_it_were_alone(name, seed, T, share, lengths, plain):
    """With padding at the end or holes anywhere, some sequences all padding; what is in the padding does nothing."""
    rng = np.random.default_rng(seed)
    net, arrays = draw(name, T, 3, 2, 4, rng, plain)
    mask = np.arange(T)[:, None] < rng.integers(0, T + 1, 3) if lengths else rng.random((T, 3)) < share
    expected = one_by_one(net, arrays, mask)
    for padding in (np.nan, np.inf, 1e300):
        padded = arrays | {key: np.where(mask[..., None], arrays[key], padding) for key in ("x", "dy")}
        assert_close(run(net, **padded, mask=mask), expected)


@every_net
@both_walks
def test_nothing_but_zeros_comes_out_of_padding(name, plain):
    rng = np.random.default_rng(1)
    net, arrays = draw(name, 6, 4, 2, 3, rng, plain)
    mask = rng.random((6, 4)) < 0.5
    results = run(net, **arrays, mask=mask)
    for key in ("y", "dx"):
        assert not results[key][~mask].any()
        assert (results[key][mask] != 0).all()


@every_net
@both_walks
def test_a_sequence_that_is_all_padding_hands_its_state_on_and_the_gradient_back(name, plain):
    rng = np.random.default_rng(2)
    net, arrays = draw(name, 5, 3, 2, 3, rng, plain)
    mask = np.ones((5, 3), bool)
    mask[:, 1] = False
    results = run(net, **arrays, mask=mask)
    np.testing.assert_array_equal(results["sT"][1], arrays["s0"][1])
    np.testing.assert_array_equal(results["ds0"][1], arrays["dsT"][1])
    nothing = run(net, **arrays, mask=np.zeros((5, 3), bool))
    np.testing.assert_array_equal(nothing["sT"], arrays["s0"])
    np.testing.assert_array_equal(nothing["ds0"], arrays["dsT"])
    assert not any(nothing[key].any() for key in nothing if key not in ("sT", "ds0"))


@every_net
@both_walks
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mask_without_padding_equals_none_bit_for_bit(name, plain, dtype):
    net, arrays = draw(name, 6, 3, 2, 4, np.random.default_rng(3), plain)
    net.astype(dtype)
    arrays = {key: a.astype(dtype) for key, a in arrays.items()}
    assert_same(run(net, **arrays, mask=np.ones((6, 3), bool)), run(net, **arrays))


@every_net
def test_masks_on_every_device(name, device):
    rng = np.random.default_rng(4)
    net, arrays = draw(name, 5, 3, 2, 4, rng)
    mask = rng.random((5, 3)) < 0.6
    expected = run(net, **arrays, mask=mask)
    net.to(device)
    there = {key: to_device(a, device) for key, a in (arrays | {"mask": mask}).items()}
    assert_close({key: to_numpy(a) for key, a in run(net, **there).items()}, expected)


@every_net
@both_walks
def test_a_recycled_cache_forgets_the_last_mask(name, plain):
    rng = np.random.default_rng(5)
    net, arrays = draw(name, 6, 3, 2, 4, rng, plain)
    x, s0, dy, dsT = arrays.values()
    cache = None
    for mask in (rng.random((6, 3)) < 0.5, None, rng.random((6, 3)) < 0.5):
        y, sT, cache = net.forward(x, s0, cache, mask=mask)
        dx, ds0 = net.backward(dy, cache, dsT)
        got = {"y": y.copy(), "sT": sT.copy(), "dx": dx.copy(), "ds0": ds0.copy()}
        assert_close(got, {key: a for key, a in run(net, **arrays, mask=mask).items() if key in got}, tolerance=0)


class Masked:
    """A recurrent layer with a mask of its own, as the gradient checker takes it."""

    def __init__(self, layer: Any, mask: np.ndarray):
        self.layer, self.mask = layer, mask
        self.params, self.grads = layer.params, layer.grads

    def forward(self, x, s0):
        return self.layer.forward(x, s0, mask=self.mask)

    def backward(self, dy, cache, dsT):
        return self.layer.backward(dy, cache, dsT)

    def astype(self, dtype):
        return Masked(self.layer.astype(dtype), self.mask)


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
@both_walks
def test_the_gradients_behind_a_mask_are_right(kind, plain):
    rng = np.random.default_rng(6)
    layer, arrays = draw(kind.__name__, 3, 2, 1, 2, rng, plain)
    mask = np.array([[True, True], [False, True], [True, False]])
    report = check_gradients(Masked(layer, mask), arrays["x"], arrays["s0"])
    assert report.ok, str(report)
    assert {array.name for array in report.arrays} == {"x", "s0", *layer.params}


@pytest.mark.parametrize(
    ("mask", "error", "words"),
    [
        (np.ones((4, 2)), TypeError, "mask is float64, expected bool"),
        (np.ones((4, 2), int), TypeError, "mask is int64, expected bool"),
        (np.ones((2, 4), bool), ValueError, "mask has shape (2, 4), expected (4, 2)"),
        (np.ones(4, bool), ValueError, "mask has shape (4,), expected (4, 2)"),
        (np.ones((4, 2, 1), bool), ValueError, "mask has shape (4, 2, 1), expected (4, 2)"),
        ([[True, True]] * 4, TypeError, "mask is of type list, expected an array of shape (4, 2)"),
        (True, TypeError, "mask is of type bool, expected an array of shape (4, 2)"),
    ],
)
@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_a_wrong_mask_is_named(kind, mask, error, words):
    layer = kind(3, 5, rng=0)
    x = np.ones((4, 2, 3), np.float32)
    for net in (layer, Sequential(Linear(3, 3, rng=0), layer)):
        with pytest.raises(error) as raised:
            net.forward(x, mask=mask)
        text = str(raised.value)
        assert text.startswith(f"{net._name()}.forward: ") and words in text and "\n" not in text


def test_a_mask_on_another_device_is_named():
    with standin.installed():
        layer = LSTM(3, 5, rng=0).to("cuda")
        with pytest.raises(TypeError, match=r"LSTM\(3, 5\).forward: mask is on cpu, expected cuda:0"):
            layer.forward(to_device(np.ones((4, 2, 3), np.float32), "cuda"), mask=np.ones((4, 2), bool))


@pytest.mark.parametrize("kind", [GRU, LSTM])
@pytest.mark.parametrize("stacked", [False, True])
def test_a_recycled_masked_window_allocates_no_array_as_large_as_its_input(kind, stacked):
    net = kind(128, 64, rng=0)
    net = Sequential(net) if stacked else net
    x, mask = np.ones((20, 64, 128), np.float32), np.random.default_rng(0).random((20, 64)) < 0.7
    dy, cache = np.ones((20, 64, 64), np.float32), None

    def window(cache):
        *_, cache = net.forward(x, cache=cache, mask=mask)
        net.backward(dy, cache)
        return cache

    cache = window(window(cache))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        window(cache)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < x.nbytes / 2
