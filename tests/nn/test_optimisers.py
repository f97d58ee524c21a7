"""Optimisers: steps computed by hand, known recursions, and whose state is whose."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

from minidni import SGD, Adam, Linear, ReLU, RMSProp, Sequential, to_device, to_numpy
from minidni.nn import Layer, Optimiser
from minidni.nn.schedules import cosine_decay

KINDS: list[Any] = [
    lambda: SGD(0.1),
    lambda: SGD(0.1, momentum=0.9),
    lambda: SGD(0.1, momentum=0.9, nesterov=True),
    lambda: RMSProp(0.01),
    lambda: Adam(0.01),
    lambda: Adam(0.01, weight_decay=0.1),
]
every_kind = pytest.mark.parametrize("make", KINDS, ids=["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"])


def weights(values: Any, device: str = "cpu", dtype: Any = np.float64) -> Layer:
    """A layer that is nothing but a parameter w."""
    values = np.asarray(values, dtype)
    layer = Layer({"w": values.shape}, dtype=dtype)
    layer.params.w = values
    return layer.to(device)


def steps(optimiser: Optimiser, layer: Layer, gradients: Any) -> list[list[float]]:
    """w after a step with each of the gradients."""
    path = []
    for g in gradients:
        layer.grads.w[...] = g
        optimiser.step(layer)
        path.append(to_numpy(layer.params.w).tolist())
    return path


# By hand: w starts at [1, -2], every gradient is [4, -1].

BY_HAND: list[Any] = [
    # w - 0.5 g
    (SGD(0.5), [[-1, -1.5], [-3, -1]]),
    # v = g, 1.5 g
    (SGD(0.5, momentum=0.5), [[-1, -1.5], [-4, -0.75]]),
    # g + v / 2 = 1.5 g, then 1.75 g
    (SGD(0.5, momentum=0.5, nesterov=True), [[-2, -1.25], [-5.5, -0.375]]),
    # s = g^2 / 4, then 7 g^2 / 16: steps of 0.5 * 2 and 0.5 * 4 / sqrt(7), whatever the size of g
    (RMSProp(0.5, decay=0.75, eps=1e-300), [[0, -1], [-2 / math.sqrt(7), -1 + 2 / math.sqrt(7)]]),
    # m^ = g and v^ = g^2, so every step is lr in the direction of the sign
    (Adam(0.5, beta1=0.5, beta2=0.75, eps=1e-300), [[0.5, -1.5], [0, -1]]),
    # eps is added to the root: 0.5 * 4 / (4 + 1) and 0.5 / (1 + 1)
    (Adam(0.5, eps=1.0), [[0.6, -1.75], [0.2, -1.5]]),
    (RMSProp(0.5, decay=0.0, eps=1.0), [[0.6, -1.75], [0.2, -1.5]]),
    # shrunk to 0.9 w first, then the step of plain descent
    (SGD(0.5, weight_decay=0.2), [[0.9 - 2, -1.8 + 0.5], [-0.99 - 2, -1.17 + 0.5]]),
]


@pytest.mark.parametrize(("optimiser", "expected"), BY_HAND, ids=[f"{i}-{o}" for i, (o, _) in enumerate(BY_HAND)])
def test_two_steps_by_hand(optimiser: Optimiser, expected: list[list[float]], device: str) -> None:
    path = steps(copy.deepcopy(optimiser), weights([1, -2], device), [to_device(np.array([4.0, -1.0]), device)] * 2)
    np.testing.assert_allclose(path, expected, rtol=1e-14, atol=1e-15)


def test_adam_with_changing_gradients_by_hand() -> None:
    """Algorithm 1 of the paper, its loop written out in plain numbers."""
    gradients, (b1, b2, lr, eps) = [3.0, -1.0, 0.5, 0.0, 2.0], (0.9, 0.999, 0.1, 1e-8)
    w, m, v, expected = 1.0, 0.0, 0.0, []
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        w -= lr * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps)
        expected.append([w])
    np.testing.assert_allclose(steps(Adam(lr), weights([1.0]), gradients), expected, rtol=1e-13)


# On a quadratic, L = a w^2 / 2, the gradient is a w and everything is known in closed form.


def test_plain_descent_on_a_quadratic_is_geometric() -> None:
    layer, optimiser, a = weights([1.0, 1.0, 1.0]), SGD(0.1), np.array([1.0, 5.0, 19.0])
    for _ in range(30):
        layer.grads.w = a * layer.params.w
        optimiser.step(layer)
    np.testing.assert_allclose(layer.params.w, (1 - 0.1 * a) ** 30, rtol=1e-12)


def test_momentum_on_a_quadratic_follows_its_two_term_recursion() -> None:
    """w[k+1] = (1 + mu - lr a) w[k] - mu w[k-1], solved by the roots of its characteristic polynomial."""
    lr, mu, a = 0.1, 0.9, 2.0
    layer, optimiser = weights([1.0]), SGD(lr, momentum=mu)
    roots = np.roots([1, -(1 + mu - lr * a), mu])
    assert abs(roots[0]) == pytest.approx(math.sqrt(mu))  # complex: it swings, shrinking by sqrt(mu) a step
    amplitudes = np.linalg.solve([[1, 1], roots], [1, 1 - lr * a])
    for k in range(1, 61):
        layer.grads.w = a * layer.params.w
        optimiser.step(layer)
        assert layer.params.w[0] == pytest.approx((amplitudes @ roots**k).real, rel=1e-9, abs=1e-12), k


def test_nesterov_on_a_quadratic_follows_its_own_recursion() -> None:
    """In PyTorch's form w[k+1] = (1 + mu - lr a (1 + mu)) w[k] - mu (1 - lr a) w[k-1]."""
    lr, mu, a = 0.1, 0.9, 2.0
    layer, optimiser, path = weights([1.0]), SGD(lr, momentum=mu, nesterov=True), [1.0]
    for _ in range(40):
        layer.grads.w = a * layer.params.w
        optimiser.step(layer)
        path.append(float(layer.params.w[0]))
    assert path[1] == pytest.approx(1 - lr * a * (1 + mu))
    for before, now, after in zip(path, path[1:], path[2:], strict=False):
        # eliminated: v from w[k+1] - w[k] = -lr (g[k] + mu v[k]) with v[k] = mu v[k-1] + g[k]
        expected = (1 + mu - lr * a * (1 + mu)) * now - mu * (1 - lr * a) * before
        assert after == pytest.approx(expected, rel=1e-12, abs=1e-14)


@every_kind
def test_every_optimiser_reaches_the_minimum_of_a_quadratic(make: Any, device: str) -> None:
    """A badly scaled bowl around [3, -1] with a rate that falls to 0; weight decay moves its minimum a little."""
    target, a = to_device(np.array([3.0, -1.0]), device), to_device(np.array([1.0, 4.0]), device)
    optimiser, layer = make(), weights([0.0, 0.0], device)
    optimiser.lr = lambda step: cosine_decay(step, 0.1, 300)
    for _ in range(300):
        layer.grads.w = a * (layer.params.w - target)
        optimiser.step(layer)
    distance = np.abs(to_numpy(layer.params.w) - to_numpy(target)).max()
    assert distance < (0.35 if optimiser.weight_decay else 1e-2)


# Weight decay.


@every_kind
def test_decay_is_decoupled(make: Any) -> None:
    """With and without decay, from the same state, w differs by exactly lr wd w, whatever the gradients."""
    rng = np.random.default_rng(0)
    for scale in (0.0, 1e-3, 1e3):
        plain, decaying = make(), make()
        plain.weight_decay, decaying.weight_decay, lr = 0.0, 0.25, plain.lr
        start, g = rng.standard_normal(5), scale * rng.standard_normal(5)
        a, b = weights(start), weights(start)
        steps(plain, a, [g])
        steps(decaying, b, [g])
        difference = a.params.w - b.params.w
        np.testing.assert_allclose(difference, lr * 0.25 * start, rtol=0, atol=1e-15 + 1e-15 * np.abs(lr * g).max())


@every_kind
def test_with_zero_gradients_decay_alone_is_geometric(make: Any) -> None:
    optimiser, layer = make(), weights([2.0, -3.0])
    optimiser.weight_decay = 0.5
    steps(optimiser, layer, [0.0] * 10)
    np.testing.assert_allclose(layer.params.w, np.array([2.0, -3.0]) * (1 - optimiser.lr * 0.5) ** 10, rtol=1e-13)


def test_decay_does_not_enter_the_state() -> None:
    plain, decaying = Adam(0.1), Adam(0.1, weight_decay=0.3)
    a, b = weights([1.0]), weights([1.0])
    steps(plain, a, [3.0, -2.0])
    steps(decaying, b, [3.0, -2.0])
    for name in ("m", "v"):
        np.testing.assert_array_equal(plain.state_of(a.params)[name], decaying.state_of(b.params)[name])


# Learning rates that change.


def test_a_function_as_learning_rate_gets_the_number_of_steps_before() -> None:
    asked: list[int] = []

    def rate(step: int) -> float:
        asked.append(step)
        return [1.0, 0.1, 0.01][step]

    path = steps(SGD(rate), weights([0.0]), [-1.0] * 3)
    np.testing.assert_allclose(path, [[1.0], [1.1], [1.11]], rtol=1e-15)
    assert asked == [0, 1, 2]


def test_a_changed_learning_rate_holds_from_the_next_step() -> None:
    optimiser, layer = SGD(1.0), weights([0.0])
    steps(optimiser, layer, [-1.0])
    optimiser.lr = 0.25
    assert steps(optimiser, layer, [-1.0]) == [[1.25]]


# Whose state is whose.


@every_kind
def test_step_leaves_the_gradients_and_moves_views_and_slab_together(make: Any, device: str) -> None:
    layer = Linear(3, 2, rng=0, dtype=np.float64).to(device)
    layer.grads.W[...] = 1.5
    layer.grads.b[...] = -2.5
    W, slab, before = layer.params.W, layer.params.slabs[0], to_numpy(layer.params.W).copy()
    make().step(layer)
    assert W is layer.params.W
    assert slab is layer.params.slabs[0]
    assert (to_numpy(W) < before).all()
    assert (to_numpy(layer.params.b) > 0).all()
    np.testing.assert_array_equal(to_numpy(slab), np.r_[to_numpy(W).ravel(), to_numpy(layer.params.b)])
    np.testing.assert_array_equal(to_numpy(layer.grads.slabs[0]), [1.5] * 6 + [-2.5] * 2)


@every_kind
def test_one_optimiser_for_two_layers_equals_one_each(make: Any) -> None:
    rng = np.random.default_rng(1)
    (a, c), (b, d) = [[weights(w), weights(w)] for w in ([1.0, 2.0], [3.0])]
    shared, own = make(), (make(), make())
    for k in range(5):
        ga, gb = rng.standard_normal(2), rng.standard_normal(1)
        steps(shared, a, [ga])
        steps(own[0], c, [ga])
        if k % 2:  # the second layer is updated less often; its own count of steps enters Adam's correction
            steps(shared, b, [gb])
            steps(own[1], d, [gb])
    np.testing.assert_array_equal(a.params.w, c.params.w)
    np.testing.assert_array_equal(b.params.w, d.params.w)


@every_kind
def test_a_network_is_its_layers(make: Any) -> None:
    def layers() -> list[Layer]:
        return [Linear(3, 4, rng=0), ReLU(), Linear(4, 2, rng=1)]

    together, apart, one, each = Sequential(*layers()), layers(), make(), make()
    for layer in (*together, *apart):
        for slab in layer.grads.slabs:
            slab[...] = np.linspace(-1, 1, slab.size)
    for _ in range(3):
        one.step(together)
        for layer in apart:
            each.step(layer)
    for name, p in together.params.items():
        place, _, array = name.partition(".")
        np.testing.assert_array_equal(p, apart[int(place)].params[array])


@every_kind
def test_a_shared_layer_is_stepped_once(make: Any) -> None:
    tied, single, a, b = Linear(3, 3, rng=0), Linear(3, 3, rng=0), make(), make()
    net = Sequential(tied, ReLU(), tied)
    for layer in (tied, single):
        layer.grads.slabs[0][...] = 0.5
    for _ in range(2):
        a.step(net)
        b.step(single)
    np.testing.assert_array_equal(tied.params.W, single.params.W)


@every_kind
def test_state_follows_the_parameters_to_another_dtype(make: Any) -> None:
    """In float32 up to the change and in float64 after: as if in float64 all along, but for float32's rounding."""
    changing, all_along, a, b = make(), make(), weights([1.0, -2.0], dtype=np.float32), weights([1.0, -2.0])
    for optimiser, layer in ((changing, a), (all_along, b)):
        steps(optimiser, layer, [[0.5, -1.0]] * 3)
    a.astype(np.float64)
    for optimiser, layer in ((changing, a), (all_along, b)):
        steps(optimiser, layer, [[1.0, 1.0]] * 3)
    assert all(changing.state_of(a.params)[name].dtype == np.float64 for name in changing.state_names)
    np.testing.assert_allclose(a.params.w, b.params.w, rtol=1e-6)


@every_kind
def test_state_follows_the_parameters_to_another_device(make: Any, device: str) -> None:
    moving, staying, a, b = make(), make(), weights([1.0, -2.0]), weights([1.0, -2.0])
    steps(moving, a, [[0.5, -1.0]] * 2)
    steps(staying, b, [[0.5, -1.0]] * 2)
    a.to(device)
    steps(moving, a, [to_device(np.array([1.0, 1.0]), device)] * 2)
    steps(staying, b, [[1.0, 1.0]] * 2)
    np.testing.assert_allclose(to_numpy(a.params.w), b.params.w, rtol=1e-14)


@every_kind
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["deepcopy", "pickle"]
)
def test_copied_together_a_layer_and_its_optimiser_go_on_as_before(make: Any, duplicate: Any) -> None:
    optimiser, layer = make(), weights([1.0, -2.0])
    steps(optimiser, layer, [[0.5, -1.0]] * 2)
    optimiser2, layer2 = duplicate((optimiser, layer))
    more = [[1.0, 1.0], [0.0, 3.0]]
    expected = steps(optimiser, layer, more)
    np.testing.assert_array_equal(steps(optimiser2, layer2, more), expected)


def test_two_equal_layers_do_not_share_state() -> None:
    optimiser, a, b = SGD(1.0, momentum=0.5), weights([0.0]), weights([0.0])
    steps(optimiser, a, [-1.0, -1.0])
    assert steps(optimiser, b, [-1.0]) == [[1.0]]
