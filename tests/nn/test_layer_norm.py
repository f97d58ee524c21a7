"""Recurrent layers with layer norm, against the equations of Ba, Kiros and Hinton (2016) written down once more.

Their gradients, windows and masks are tested with those of the other layers in test_windows and test_masks.
"""

import numpy as np
import pytest
from nn.passes import draw, run

from minidni import GRU, LSTM, RNN

KINDS = [RNN, GRU, LSTM]
every_kind = pytest.mark.parametrize("kind", KINDS)


def norm(a):
    return (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def rnn(p, x, h):
    return np.tanh(p.gamma_x * norm(x @ p.Wx) + p.gamma_h * norm(h @ p.Wh) + p.b)


def gru(p, x, h):
    a, u = p.gamma_x * norm(x @ p.Wx) + p.b, p.gamma_h * norm(h @ p.Wh) + p.bh
    (ar, az, an), (ur, uz, un) = np.split(a, 3, axis=-1), np.split(u, 3, axis=-1)
    r, z = sigmoid(ar + ur), sigmoid(az + uz)
    return (1 - z) * np.tanh(an + r * un) + z * h


def lstm(p, x, s):
    h, c = np.split(s, 2, axis=-1)
    a = p.gamma_x * norm(x @ p.Wx) + p.gamma_h * norm(h @ p.Wh) + p.b  # equation 20, the shifts in one b
    i, f, o, g = np.split(a, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)  # equation 21
    h = sigmoid(o) * np.tanh(p.gamma_c * norm(c) + p.beta_c)  # equation 22
    return np.concatenate([h, c], axis=-1)


@every_kind
@pytest.mark.parametrize("seed", range(4))
def test_every_step_is_the_equations(kind, seed):
    rng = np.random.default_rng(seed)
    T, B, D, H = (int(n) for n in rng.integers((1, 1, 1, 2), (8, 4, 5, 7)))
    layer, arrays = draw(f"{kind.__name__}-layer-norm", T, B, D, H, rng)
    step = {RNN: rnn, GRU: gru, LSTM: lstm}[kind]
    y, sT, _ = layer.forward(arrays["x"], arrays["s0"])
    s = arrays["s0"]
    for t in range(T):
        s = step(layer.params, arrays["x"][t], s)
        np.testing.assert_allclose(y[t], s[:, :H], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(sT, s, rtol=1e-12, atol=1e-12)


@every_kind
def test_parameters_come_behind_the_others_and_start_as_documented(kind):
    layer, without = kind(3, 4, rng=7, layer_norm=True), kind(3, 4, rng=7)
    G = layer.n_gates
    shapes = {name: p.shape for name, p in layer.params.items() if name not in without.params}
    cell = {"gamma_c": (4,), "beta_c": (4,)} if kind is LSTM else {}
    assert shapes == {"gamma_x": (4 * G,), "gamma_h": (4 * G,), **cell}
    np.testing.assert_array_equal(layer.params.slab[: without.n_params], without.params.slab)
    for name in shapes:
        assert (layer.params[name] == (0 if name == "beta_c" else 1)).all()
    assert repr(layer) == f"{kind.__name__}(3, 4, layer_norm=True): {layer.n_params} parameters"


@every_kind
def test_the_scale_of_the_weights_does_not_matter_so_their_gradient_has_no_part_along_them(kind):
    """But for the eps beside the variance, which is why the weights are large here."""
    layer, arrays = draw(f"{kind.__name__}-layer-norm", 5, 3, 2, 4, np.random.default_rng(0))
    layer.params.Wx *= 1e4
    layer.params.Wh *= 1e4
    once = run(layer, **arrays)
    for name in ("Wx", "Wh"):
        along = (layer.params[name] * once[f"d{name}"]).sum()
        assert abs(along) < 1e-6 * np.abs(layer.params[name] * once[f"d{name}"]).sum()
        layer.params[name] *= 3
    twice = run(layer, **arrays)
    np.testing.assert_allclose(twice["y"], once["y"], atol=1e-7)
    np.testing.assert_allclose(3 * twice["dWx"], once["dWx"], atol=1e-5 * np.abs(once["dWx"]).max())


@every_kind
def test_layers_with_and_without_take_no_cache_of_each_other(kind):
    x = np.ones((2, 1, 3), np.float32)
    layer, without = kind(3, 4, rng=0, layer_norm=True), kind(3, 4, rng=0)
    for one, other in ((layer, without), (without, layer)):
        y, _, cache = other.forward(x)
        with pytest.raises(TypeError, match="cache is"):
            one.backward(y, cache)


@every_kind
@pytest.mark.parametrize("wrong", ["yes", 1, None, 1e-5])
def test_what_is_neither_true_nor_false_is_named(kind, wrong):
    with pytest.raises(TypeError, match=rf"{kind.__name__}: layer_norm is {wrong!r}, expected True or False"):
        kind(3, 4, layer_norm=wrong)
