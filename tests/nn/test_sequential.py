"""Sequential: nothing but its layers, one after another."""

import numpy as np
import pytest

from minidni import (
    GRU,
    LSTM,
    SGD,
    BatchNorm,
    Conv2d,
    Dropout,
    Linear,
    ReLU,
    Sequential,
    Tanh,
    array_module,
    check_gradients,
    to_device,
    to_numpy,
)
from minidni.nn import Layer


def test_forward_and_backward_are_the_layers_in_order_and_in_reverse(device: str) -> None:
    rng = np.random.default_rng(0)
    layers = Linear(3, 4, rng=0, dtype=np.float64), Tanh(), Linear(4, 2, rng=1, dtype=np.float64)
    net = Sequential(*layers).to(device)
    x, dy = (to_device(rng.standard_normal(shape), device) for shape in ((5, 3), (5, 2)))
    y, cache = net.forward(x)
    dx = net.backward(dy, cache)
    together = {name: to_numpy(g).copy() for name, g in net.grads.items()}
    net.zero_grads()
    h, caches = x, []
    for layer in layers:
        h, one = layer.forward(h)
        caches.append(one)
    np.testing.assert_array_equal(to_numpy(y), to_numpy(h))
    dh = dy
    for layer, one in zip(reversed(layers), reversed(caches), strict=True):
        dh = layer.backward(dh, one)
    np.testing.assert_array_equal(to_numpy(dx), to_numpy(dh))
    for name, g in net.grads.items():
        np.testing.assert_array_equal(together[name], to_numpy(g))


def test_names_are_places_also_of_networks_in_networks() -> None:
    net = Sequential(Linear(3, 4), Tanh(), Sequential(Linear(4, 2), BatchNorm(2)))
    assert list(net.params) == list(net.grads) == ["0.W", "0.b", "2.0.W", "2.0.b", "2.1.gamma", "2.1.beta"]
    assert list(net.buffers) == ["2.1.mean", "2.1.var"]
    assert net.params["2.0.W"] is net[2][0].params.W
    assert list(net.children()) == ["0", "1", "2"]
    assert len(net) == 3
    assert list(net) == [net[0], net[1], net[2]]


def test_a_shared_layer_adds_the_gradients_of_both_its_places() -> None:
    """y = W (W x): dL/dW has a term from each W, as two layers of equal weights show."""
    rng = np.random.default_rng(1)
    tied = Linear(3, 3, rng=0, dtype=np.float64)
    a, b = Linear(3, 3, rng=0, dtype=np.float64), Linear(3, 3, rng=0, dtype=np.float64)
    x, dy = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    for net in (shared := Sequential(tied, Tanh(), tied), Sequential(a, Tanh(), b)):
        _, cache = net.forward(x)
        net.backward(dy, cache)
    np.testing.assert_allclose(tied.grads.W, a.grads.W + b.grads.W, rtol=1e-13)
    np.testing.assert_allclose(tied.grads.b, a.grads.b + b.grads.b, rtol=1e-13)
    assert len(shared.params.slabs) == 1


def test_a_part_of_a_network_trains_the_same_weights() -> None:
    net = Sequential(Linear(3, 4, rng=0), Tanh(), Linear(4, 2, rng=1))
    head = Sequential(*net[1:])
    before = {name: p.copy() for name, p in net.params.items()}
    h = np.ones((5, 4), np.float32)
    y, cache = head.forward(h)
    head.backward(np.ones_like(y), cache)
    SGD(0.1).step(head)
    np.testing.assert_array_equal(net.params["0.W"], before["0.W"])
    assert (net.params["2.W"] != before["2.W"]).any()
    assert head.params["1.W"] is net.params["2.W"]
    assert net.grads["2.b"].tolist() == [5, 5]


def test_training_is_set_on_all_layers_inside() -> None:
    net = Sequential(Sequential(Dropout(0.5, rng=0), Linear(3, 3)), BatchNorm(3))
    assert net.training
    net.training = False
    assert not any(layer.training for layer in (net, net[0], net[0][0], net[0][1], net[1]))
    net[0].training = True
    assert net[0][0].training
    assert not net[1].training


def test_a_printed_network_lists_its_layers_with_their_parameters_and_the_sum() -> None:
    net = Sequential(Conv2d(1, 2, 3), ReLU(), Linear(3, 40))
    assert repr(net).splitlines() == [
        "Sequential",
        "   0  Conv2d(1, 2, 3, 1, 0)            20",
        "   1  ReLU()                            -",
        "   2  Linear(3, 40)                   160",
        "      together                        180",
    ]
    assert repr(Linear(30, 40)) == "Linear(30, 40): 1,240 parameters"
    assert repr(ReLU()) == "ReLU()"


def test_the_caches_of_a_shared_layer_are_two() -> None:
    tanh = Tanh()
    net = Sequential(tanh, tanh)
    x = np.array([[0.5, -1.0]])
    _, cache = net.forward(x)
    np.testing.assert_array_equal(cache["0"].y, np.tanh(x))
    np.testing.assert_array_equal(cache["1"].y, np.tanh(np.tanh(x)))
    dx = net.backward(np.ones((1, 2)), cache)
    np.testing.assert_allclose(dx, (1 - np.tanh(np.tanh(x)) ** 2) * (1 - np.tanh(x) ** 2), rtol=1e-14)


@pytest.mark.parametrize("depth", [1, 30])
def test_deep_networks_recycle_the_caches_of_all_layers(depth: int) -> None:
    net = Sequential(*(layer for i in range(depth) for layer in (Linear(3, 3, rng=i), Tanh())))
    x = np.ones((2, 3), np.float32)
    y, cache = net.forward(x)
    inner = [cache[name] for name in cache]
    again, recycled = net.forward(x, cache=cache)
    assert again is y
    assert recycled is cache
    assert [cache[name] for name in cache] == inner


def test_with_recurrent_layers_the_states_stand_side_by_side(device: str) -> None:
    rng = np.random.default_rng(3)
    lstm, gru = LSTM(3, 4, rng=0, dtype=np.float64), GRU(4, 2, rng=1, dtype=np.float64)
    head = Linear(2, 5, rng=2, dtype=np.float64)
    net = Sequential(lstm, Tanh(), gru, head).to(device)
    assert (net.n_state, net.n_outputs) == (8 + 2, 2)
    shapes = (6, 2, 3), (2, 10), (6, 2, 5), (2, 10)
    x, s0, dy, dsT = (to_device(rng.standard_normal(shape), device) for shape in shapes)
    y, sT, cache = net.forward(x, s0)
    dx, ds0 = net.backward(dy, cache, dsT)
    together = [to_numpy(a) for a in (y, sT, dx, ds0, *(g.copy() for g in net.grads.values()))]

    net.zero_grads()
    h, lstm_sT, lstm_cache = lstm.forward(x, s0[:, :8])
    h, tanh_cache = net[1].forward(h)
    h, gru_sT, gru_cache = gru.forward(h, s0[:, 8:])
    y, head_cache = head.forward(h)
    dh, gru_ds0 = gru.backward(head.backward(dy, head_cache), gru_cache, dsT[:, 8:])
    dx, lstm_ds0 = lstm.backward(net[1].backward(dh, tanh_cache), lstm_cache, dsT[:, :8])
    xp = array_module(x)
    states = xp.concatenate([lstm_sT, gru_sT], axis=1), dx, xp.concatenate([lstm_ds0, gru_ds0], axis=1)
    for got, expected in zip(together, [y, *states, *net.grads.values()], strict=True):
        np.testing.assert_array_equal(got, to_numpy(expected))


def test_a_recurrent_network_in_a_network_has_its_part_of_the_state() -> None:
    inner = Sequential(LSTM(3, 4, rng=0), Linear(4, 2, rng=1))
    flat, nested = Sequential(*inner, GRU(2, 3, rng=2)), Sequential(inner, GRU(2, 3, rng=2))
    assert flat.n_state == nested.n_state == 11
    rng = np.random.default_rng(0)
    x, s0 = (rng.standard_normal(shape).astype(np.float32) for shape in ((5, 2, 3), (2, 11)))
    dy, dsT = (rng.standard_normal(shape).astype(np.float32) for shape in ((5, 2, 3), (2, 11)))
    results = []
    for net in (flat, nested):
        y, sT, cache = net.forward(x, s0, mask=np.ones((5, 2), bool))
        results.append([y, sT, *net.backward(dy, cache, dsT)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_without_recurrent_layers_takes_no_state() -> None:
    net = Sequential(Linear(3, 4, rng=0), Tanh())
    x = np.ones((2, 3), np.float32)
    y, cache = net.forward(x)
    with pytest.raises(
        TypeError, match=r"s0 was given, but no layer is recurrent; expected none, and the cache as cache="
    ):
        net.forward(x, cache)
    with pytest.raises(TypeError, match=r"mask was given, but no layer is recurrent"):
        net.forward(x, mask=np.ones((2, 3), bool))
    with pytest.raises(TypeError, match=r"dsT was given, but no layer is recurrent"):
        net.backward(y, cache, y)


def test_a_state_of_the_wrong_width_is_named() -> None:
    net = Sequential(LSTM(3, 4, rng=0), GRU(4, 2, rng=1))
    x = np.ones((5, 2, 3), np.float32)
    with pytest.raises(ValueError, match=r"forward: s0 has shape \(2, 8\), expected \(B, 10\)"):
        net.forward(x, np.zeros((2, 8), np.float32))
    with pytest.raises(ValueError, match=r"GRU\(4, 2\).forward: s0 has shape|LSTM\(3, 4\).forward: s0 has shape"):
        net.forward(x, np.zeros((3, 10), np.float32))
    *_, cache = net.forward(x)
    with pytest.raises(ValueError, match=r"backward: dsT has shape \(2, 9\), expected \(B, 10\)"):
        net.backward(None, cache, np.zeros((2, 9), np.float32))


def test_a_mask_means_the_same_for_the_whole_network(device: str) -> None:
    """y and dx are 0 where it is False, and NaN in x and dy there reaches no gradient."""
    rng = np.random.default_rng(5)
    net = Sequential(Linear(3, 4, rng=0, dtype=np.float64), LSTM(4, 2, rng=1, dtype=np.float64),
                     Linear(2, 3, rng=2, dtype=np.float64)).to(device)  # fmt: skip
    mask = rng.random((6, 2)) < 0.6
    x, dy, dsT = rng.standard_normal((6, 2, 3)), rng.standard_normal((6, 2, 3)), rng.standard_normal((2, 4))
    results = []
    for padding in (0.0, np.nan):
        net.zero_grads()
        padded = [to_device(np.where(mask[..., None], a, padding), device) for a in (x, dy)]
        y, sT, cache = net.forward(padded[0], mask=to_device(mask, device))
        dx, ds0 = net.backward(padded[1], cache, to_device(dsT, device))
        results.append([to_numpy(a).copy() for a in (y, sT, dx, ds0, *net.grads.values())])
    for clean, padded in zip(*results, strict=True):
        np.testing.assert_array_equal(clean, padded)
    y, _, dx, *_ = results[0]
    assert not y[~mask].any() and not dx[~mask].any() and y[mask].all()
    np.testing.assert_allclose(to_numpy(net[2].grads.b), dy[mask].sum(axis=0), rtol=1e-13)
    *_, cache = net.forward(to_device(x, device), cache=cache)  # recycled, without a mask
    net.zero_grads()
    net.backward(to_device(dy, device), cache)
    np.testing.assert_allclose(to_numpy(net[2].grads.b), dy.sum(axis=(0, 1)), rtol=1e-13)


def test_a_masked_network_of_tokens_has_the_gradient_of_its_loss() -> None:
    class Masked:
        def __init__(self) -> None:
            layers = Linear(2, 3, rng=0, dtype=np.float64), GRU(3, 4, rng=1, dtype=np.float64)
            self.net = Sequential(*layers, Linear(4, 2, rng=2, dtype=np.float64))
            self.mask = np.random.default_rng(0).random((5, 3)) < 0.6
            self.params, self.grads = self.net.params, self.net.grads

        def forward(self, x, s0):
            return self.net.forward(x, s0, mask=self.mask)

        def backward(self, dy, cache, dsT=None):
            return self.net.backward(dy, cache, dsT)

    rng = np.random.default_rng(1)
    report = check_gradients(Masked(), rng.standard_normal((5, 3, 2)), rng.standard_normal((3, 4)))
    assert report.ok, str(report)


def test_dx_left_out_in_the_middle_of_a_network_is_no_zero_gradient() -> None:
    net = Sequential(LSTM(2, 3, rng=0), Linear(3, 1, rng=1))
    net[1].needs_dx = False
    y, _, cache = net.forward(np.ones((4, 2, 2), np.float32))
    with pytest.raises(TypeError, match="layer 1 gave no dx, but layer 0 needs it"):
        net.backward(y, cache)


def test_plain_is_set_on_every_recurrent_layer() -> None:
    net = Sequential(Linear(3, 4, rng=0), LSTM(4, 3, rng=0), Sequential(GRU(3, 2, rng=0)))
    assert not net.plain
    net.plain = True
    assert net.plain and net[1].plain and net[2][0].plain


def test_a_recurrent_layer_of_ones_own_needs_to_know_no_mask() -> None:
    class Sum(Layer):
        n_outputs, n_state = 2, 3

        def forward(self, x, s0=None, cache=None):
            y = np.cumsum(x, axis=0) + (0 if s0 is None else s0)
            return y, y[-1].copy(), y

        def backward(self, dy, cache, dsT=None):
            ds = dy.copy()
            ds[-1] += 0 if dsT is None else dsT
            dx = np.cumsum(ds[::-1], axis=0)[::-1]
            return dx, dx[0].copy()

    net = Sequential(Linear(2, 3, rng=0, dtype=np.float64), Sum())
    rng = np.random.default_rng(0)
    report = check_gradients(net, rng.standard_normal((4, 2, 2)), rng.standard_normal((2, 3)))
    assert report.ok, str(report)
