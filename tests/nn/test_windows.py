"""A sequence cut into windows, with the true gradient handed back across each cut, is full back-propagation."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidni import GRU, LSTM, RNN


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_windows_with_the_true_gradient_between_them_equal_full_bptt(kind, data, seed):
    T = data.draw(st.integers(1, 12))
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, T), max_size=T))), T]
    rng = np.random.default_rng(seed)
    layer = kind(3, 4, rng=rng, dtype=np.float64)
    x, s0 = rng.standard_normal((T, 2, 3)), rng.standard_normal((2, layer.n_state))
    dy, dsT = rng.standard_normal((T, 2, 4)), rng.standard_normal((2, layer.n_state))

    y, sT, cache = layer.forward(x, s0)
    dx, ds0 = layer.backward(dy, cache, dsT)
    full = [y, sT, dx, ds0, *(g.copy() for g in layer.grads.values())]

    layer.zero_grads()
    windows = [(a, b) for a, b in pairwise(cuts) if a < b]
    s, outputs, caches = s0, [], []
    for a, b in windows:
        out, s, cache = layer.forward(x[a:b], s)
        outputs.append(out)
        caches.append(cache)
    ds, pieces = dsT, []
    for (a, b), cache in zip(reversed(windows), reversed(caches), strict=True):
        piece, ds = layer.backward(dy[a:b], cache, ds)
        pieces.insert(0, piece)
    cut = [np.concatenate(outputs), s, np.concatenate(pieces), ds, *layer.grads.values()]

    for whole, joined in zip(full, cut, strict=True):
        np.testing.assert_allclose(joined, whole, rtol=1e-12, atol=1e-12)
