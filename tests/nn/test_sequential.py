"""Sequential: nothing but its layers, one after another."""

import numpy as np
import pytest

from minidni import SGD, BatchNorm, Conv2d, Dropout, Linear, ReLU, Sequential, Tanh, to_device, to_numpy


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
