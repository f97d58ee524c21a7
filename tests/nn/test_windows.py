"""A sequence cut into windows, with the true gradient handed back across each cut, is full back-propagation."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nn.passes import NETS, assert_close, draw, run, set_plain, slopes

from minidni import GRU, LSTM, RNN, check_gradients

seeds = st.integers(0, 2**32 - 1)


def in_windows(net, arrays, windows, mask=None):
    """As `run`, but from window to window, the state handed on and the gradient handed back."""
    x, s, dy, ds = (arrays[name] for name in ("x", "s0", "dy", "dsT"))
    net.zero_grads()
    outputs, caches = [], []
    for a, b in windows:
        y, s, cache = net.forward(x[a:b], s, mask=None if mask is None else mask[a:b])
        outputs.append(y)
        caches.append(cache)
    pieces = []
    for (a, b), cache in zip(reversed(windows), reversed(caches), strict=True):
        dx, ds = net.backward(dy[a:b], cache, ds)
        pieces.insert(0, dx)
    results = {"y": np.concatenate(outputs), "sT": s, "dx": np.concatenate(pieces), "ds0": ds}
    return results | {f"d{name}": g.copy() for name, g in net.grads.items()}


@pytest.mark.parametrize("name", NETS)
@given(data=st.data(), seed=seeds, masked=st.booleans(), plain=st.booleans())
def test_windows_with_the_true_gradient_between_them_equal_full_bptt(name, data, seed, masked, plain):
    T = data.draw(st.integers(1, 12), label="T")
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, T), max_size=T), label="cuts")), T]
    windows = [(a, b) for a, b in pairwise(cuts) if a < b]
    rng = np.random.default_rng(seed)
    net, arrays = draw(name, T, 2, 3, 4, rng, plain)
    mask = rng.random((T, 2)) < 0.6 if masked else None
    assert_close(in_windows(net, arrays, windows, mask), run(net, **arrays, mask=mask))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_step_by_step_equals_the_window(name, plain):
    """T = 1 with the state handed on, as in an interactive use; in both precisions, with recycled caches."""
    net, arrays = draw(name, 9, 3, 2, 5, np.random.default_rng(0), plain)
    for dtype, tolerance in ((np.float64, 1e-13), (np.float32, 5e-6)):
        net.astype(dtype)
        x, s = arrays["x"].astype(dtype), arrays["s0"].astype(dtype)
        y, sT, _ = net.forward(x, s)
        cache, steps = None, []
        for t in range(len(x)):
            one, s, cache = net.forward(x[t : t + 1], s.copy(), cache)
            steps.append(one.copy())
        np.testing.assert_allclose(np.concatenate(steps), y, rtol=0, atol=tolerance)
        np.testing.assert_allclose(s, sT, rtol=0, atol=tolerance)


@pytest.mark.parametrize("T", range(1, 8))
@pytest.mark.parametrize("name", NETS)
def test_every_gradient_agrees_with_the_complex_step(name, T):
    """Of every parameter, input and state, with a mask and without, for the plain walk and the default."""
    rng = np.random.default_rng(T)
    net, arrays = draw(name, T, 2, 2, 3, rng)
    for mask in (None, rng.random((T, 2)) < 0.7):
        measured = list(slopes(net, **arrays, mask=mask))
        assert {key for key, *_ in measured} == {"dx", "ds0", *(f"d{key}" for key in net.params)}
        for plain in (False, True):
            set_plain(net, plain)
            gradients = run(net, **arrays, mask=mask)
            for key, v, slope in measured:
                parts = gradients[key] * v
                assert abs(parts.sum() - slope) <= 1e-12 * max(1, np.abs(parts).sum()), (key, plain)


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_the_gradient_checker_agrees(kind):
    net, arrays = draw(kind.__name__, 3, 2, 2, 2, np.random.default_rng(0), plain=True)
    report = check_gradients(net, arrays["x"], arrays["s0"])
    assert report.ok, str(report)
    assert {array.name for array in report.arrays} == {"x", "s0", *net.params}
