"""Back-propagation through time in all its forms: each must agree with the one backward over the whole window."""

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standin import no_synchronisation

from minidni import (
    GRU,
    LSTM,
    RNN,
    SGD,
    Embedding,
    Linear,
    Sequential,
    SoftmaxCrossEntropy,
    SquaredError,
    bptt,
    to_device,
    to_numpy,
)

CELLS = [RNN, GRU, LSTM]
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=8)  # for each kind of net


class Leaky:
    """By hand, with plain dictionaries: s = a s + x, y = s, with one number a for each unit."""

    def __init__(self, n: int, rng: np.random.Generator):
        self.params, self.grads, self.n_state = {"a": rng.uniform(0.5, 1, n)}, {"a": rng.standard_normal(n)}, n

    def forward(self, x, s0=None):
        s = [np.zeros(x.shape[1:]) if s0 is None else s0]
        for row in x:
            s.append(self.params["a"] * s[-1] + row)
        return np.stack(s[1:]), s[-1], np.stack(s)

    def backward(self, dy, s, dsT=None):
        dx, ds = np.zeros_like(s[1:]), np.zeros_like(s[0]) if dsT is None else dsT
        for t in reversed(range(len(dx))):
            dx[t] = ds = ds + (0 if dy is None else dy[t])
            self.grads["a"] += (ds * s[t]).sum(axis=0)
            ds = self.params["a"] * ds
        return dx, ds


def make(kind: Any, seed: int = 0, dtype: Any = np.float64) -> Any:
    """A small net with 3 inputs and 2 outputs, and something in its accumulators."""
    rng = np.random.default_rng(seed)
    if kind is Leaky:
        return Leaky(3, rng)
    if isinstance(kind, str):
        layers = GRU(3, 2, rng=rng, dtype=dtype), LSTM(2, 2, rng=rng, dtype=dtype), Linear(2, 2, rng=rng, dtype=dtype)
        return Sequential(*layers)
    cell = kind(3, 2, rng=rng, dtype=dtype)
    cell.params.b += rng.standard_normal(cell.params.b.shape).astype(dtype)
    cell.grads.slab[...] = rng.standard_normal(cell.grads.slab.shape)
    return cell


KINDS = [*CELLS, "stack", Leaky]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: getattr(kind, "__name__", kind))


def stream(net: Any, seed: int, T: int, B: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, real-valued labels, and a state to begin with."""
    rng = np.random.default_rng([seed, 1])
    x = rng.standard_normal((T, B, 3))
    return x, rng.standard_normal(net.forward(x)[0].shape), rng.standard_normal((B, net.n_state))


def arrays(net: Any) -> list[np.ndarray]:
    return list(net.grads.values())


def zero(net: Any) -> None:
    for g in arrays(net):
        g[...] = 0


def gradient(net: Any, backward: Any) -> np.ndarray:
    """What a function adds to net's gradients."""
    zero(net)
    backward()
    return bptt.flat_gradients(net)


def close(got: Any, wanted: Any, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


# -- whole and in windows


@every_kind
def test_full_is_forward_loss_backward_and_adds(kind: Any) -> None:
    net, loss = make(kind), SquaredError()
    x, labels, s0 = stream(net, 0, 6)
    dsT = np.random.default_rng(1).standard_normal(s0.shape)
    y, sT, cache = net.forward(x, s0)
    before = [g.copy() for g in arrays(net)]
    _, ds0 = net.backward(loss.gradient(y, labels), cache, dsT)
    wanted = [g.copy() for g in arrays(net)]
    for g, old in zip(arrays(net), before, strict=True):
        g[...] = old
    w = bptt.full(net, loss, x, labels, s0, dsT)
    for got, true in zip([w.y, w.sT, w.ds0, *arrays(net)], [y, sT, ds0, *wanted], strict=True):
        np.testing.assert_array_equal(got, true)
    assert (w.start, w.stop, w.value) == (0, 6, loss.value(y, labels))


@every_kind
@few
@given(seed=seeds, T=st.integers(1, 9), window=st.integers(1, 12))
def test_windows_with_the_true_gradient_at_the_cuts_are_full(kind: Any, seed: int, T: int, window: int) -> None:
    net, loss = make(kind, seed), SquaredError()
    x, labels, s0 = stream(net, seed, T)
    dsT = np.random.default_rng(seed).standard_normal(s0.shape)
    zero(net)
    whole = bptt.full(net, loss, x, labels, s0, dsT)
    wanted = bptt.flat_gradients(net)
    ds = bptt.state_gradients(net, x, loss.gradient(whole.y, labels), s0, dsT)

    zero(net)
    windows = list(bptt.truncated(net, loss, x, labels, window, s0, ds, mean_over=T))
    close(bptt.flat_gradients(net), wanted)
    assert [(w.start, w.stop) for w in windows] == [(a, min(a + window, T)) for a in range(0, T, window)]
    close(sum(w.value for w in windows), whole.value)
    close(np.concatenate([w.y for w in windows]), whole.y)
    close(windows[-1].sT, whole.sT)
    for w in windows:
        close(w.ds0, ds[w.start])


@every_kind
@few
@given(seed=seeds, T=st.integers(2, 9), window=st.integers(1, 8))
def test_truncated_cuts_the_gradient_and_carries_the_state(kind: Any, seed: int, T: int, window: int) -> None:
    net, loss = make(kind, seed), SquaredError()
    x, labels, s = stream(net, seed, T)
    for w in bptt.truncated(net, loss, x, labels, window, s):
        got = bptt.flat_gradients(net)
        part = slice(w.start, w.stop)
        y, sT, cache = net.forward(x[part], s)
        zero(net)
        _, ds0 = net.backward(loss.gradient(y, labels[part]), cache)
        if w.start:  # before the first one the accumulators held something
            np.testing.assert_array_equal(got, bptt.flat_gradients(net))
        np.testing.assert_array_equal(w.ds0, ds0)
        np.testing.assert_array_equal(w.s0, s)
        close(w.lost, np.linalg.norm(ds0, axis=-1))
        assert w.value == loss.value(y, labels[part])
        s = sT
        zero(net)


@every_kind
def test_a_window_as_long_as_the_stream_is_full(kind: Any) -> None:
    net, loss = make(kind), SquaredError()
    x, labels, s0 = stream(net, 0, 5)
    wanted = gradient(net, lambda: bptt.full(net, loss, x, labels, s0))
    for window in (5, 6, 100):
        got = gradient(net, lambda window=window: list(bptt.truncated(net, loss, x, labels, window, s0)))
        np.testing.assert_array_equal(got, wanted)


@every_kind
def test_truncation_loses_something(kind: Any) -> None:
    net, loss = make(kind), SquaredError()
    x, labels, s0 = stream(net, 0, 8)
    exact = gradient(net, lambda: bptt.full(net, loss, x, labels, s0))
    errors = []
    for window in (1, 4, 8):
        cut = gradient(net, lambda window=window: list(bptt.truncated(net, loss, x, labels, window, s0, mean_over=8)))
        errors.append(float(bptt.compare(cut, exact).error))
    assert errors[0] > errors[1] > 1e-3
    assert errors[2] < 1e-12


@pytest.mark.parametrize("kind", CELLS)
def test_recycled_memory_changes_nothing_but_y(kind: Any) -> None:
    net, loss = make(kind), SquaredError()
    x, labels, s0 = stream(net, 0, 11)
    kept: list[Any] = []
    reused: list[Any] = []
    fresh = gradient(net, lambda: kept.extend(bptt.truncated(net, loss, x, labels, 3, s0)))
    ys = []
    zero(net)
    for w in bptt.truncated(net, loss, x, labels, 3, s0, recycle=True):
        reused.append(w)
        ys.append(w.y.copy())
    np.testing.assert_array_equal(bptt.flat_gradients(net), fresh)
    for a, b, y in zip(kept, reused, ys, strict=True):
        for got, wanted in [(y, a.y), (b.s0, a.s0), (b.sT, a.sT), (b.ds0, a.ds0), (b.lost, a.lost), (b.value, a.value)]:
            np.testing.assert_array_equal(got, wanted)
    assert np.shares_memory(reused[0].y, reused[1].y)
    assert not np.shares_memory(kept[0].y, kept[1].y)


def test_the_updates_in_the_loop_are_those_by_hand() -> None:
    net, loss, optimiser = make(LSTM), SquaredError(), SGD(0.3)
    x, labels, s = stream(net, 3, 7)
    by_hand = copy.deepcopy(net)
    zero(net)
    values = []
    windows = []
    for w in bptt.truncated(net, loss, x, labels, 3, s):
        optimiser.step(net)
        net.zero_grads()
        windows.append(w)
    for start in range(0, 7, 3):
        part = slice(start, start + 3)
        by_hand.zero_grads()
        y, s, cache = by_hand.forward(x[part], s)
        by_hand.backward(loss.gradient(y, labels[part]), cache)
        SGD(0.3).step(by_hand)
        values.append(loss.value(y, labels[part]))
    np.testing.assert_array_equal(net.params.slab, by_hand.params.slab)
    assert [w.value for w in windows] == values, "a loss read late is still that of its window"


# -- gradients by the states


def loss_after(net: Any, x: np.ndarray, dy: np.ndarray, dsT: np.ndarray, t: int, s: np.ndarray) -> Any:
    """The part of sum(dy y) + sum(dsT sT) that depends on the state s in front of step t."""
    if t == len(x):
        return (dsT * s).sum()
    y, sT, _ = net.forward(x[t:].astype(s.dtype), s)
    return (dy[t:] * y).sum() + (dsT * sT).sum()


@pytest.mark.parametrize("kind", CELLS)
@few
@given(seed=seeds, T=st.integers(1, 7))
def test_state_gradients_against_the_complex_step(kind: Any, seed: int, T: int) -> None:
    net = make(kind, seed)
    x, dy, s0 = stream(net, seed, T)
    dsT = np.random.default_rng(seed).standard_normal(s0.shape)
    ds = bptt.state_gradients(net, x, dy, s0, dsT)
    states = [s0, *(net.forward(x[: t + 1], s0)[1] for t in range(T))]
    twin = copy.deepcopy(net).astype(np.complex128)
    for t, s in enumerate(states):
        for b, i in np.ndindex(s.shape):
            nudged = s.astype(np.complex128)
            nudged[b, i] += 1e-30j
            close(ds[t, b, i], loss_after(twin, x, dy, dsT, t, nudged).imag / 1e-30)


@every_kind
@few
@given(seed=seeds, T=st.integers(1, 7))
def test_state_gradients_are_those_that_windows_hand_back(kind: Any, seed: int, T: int) -> None:
    net = make(kind, seed)
    x, dy, s0 = stream(net, seed, T)
    dsT = np.random.default_rng(seed).standard_normal(s0.shape)
    ds = bptt.state_gradients(net, x, dy, s0, dsT)
    np.testing.assert_array_equal(ds[T], dsT)
    for t in range(T):
        s = net.forward(x[:t], s0)[1] if t else s0
        close(ds[t], net.backward(dy[t:], net.forward(x[t:], s)[2], dsT)[1])


def test_none_means_zeros() -> None:
    net = make(GRU)
    x, dy, s0 = stream(net, 0, 4)
    np.testing.assert_array_equal(bptt.state_gradients(net, x), 0)
    np.testing.assert_array_equal(
        bptt.state_gradients(net, x, None, np.zeros_like(s0), s0), bptt.state_gradients(net, x, dsT=s0)
    )
    close(
        bptt.state_gradients(net, x, dy) + bptt.state_gradients(net, x, dsT=s0),
        bptt.state_gradients(net, x, dy, None, s0),
    )


@every_kind
@few
@given(seed=seeds, T=st.integers(1, 6))
def test_the_gradients_of_single_losses_add_up_to_that_of_all(kind: Any, seed: int, T: int) -> None:
    net = make(kind, seed)
    x, dy, s0 = stream(net, seed, T)
    total = np.zeros((T, *s0.shape))
    for step in range(T):
        near_first = bptt.by_distance(net, x, dy, s0, step=step)
        assert near_first.shape == (step + 1, *s0.shape)
        total[: step + 1] += near_first[::-1]
    close(total, bptt.state_gradients(net, x, dy, s0)[:T])
    np.testing.assert_array_equal(bptt.by_distance(net, x, dy, s0), near_first)


def test_a_leaky_units_gradient_fades_by_its_own_factor() -> None:
    net = make(Leaky)
    x, dy, _ = stream(net, 0, 30)
    wanted = np.abs(dy[-1]) * net.params["a"] ** np.arange(1, 31)[:, None, None]
    close(np.abs(bptt.by_distance(net, x, dy)), wanted)


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1.0, 1e30])
def test_norms_of_small_and_large_numbers(scale: float, device: str, on_a_gpu: bool) -> None:
    if on_a_gpu and scale == 1e-40:
        pytest.skip("CuPy's kernels take denormal numbers in float32 for zero")
    a = (scale * np.random.default_rng(0).standard_normal((4, 2, 5))).astype(np.float32)
    wanted = np.sqrt((a.astype(np.float64) ** 2).sum(axis=-1))
    got = to_numpy(bptt.norms(to_device(a, device)))
    np.testing.assert_allclose(got, wanted, rtol=1e-14)
    np.testing.assert_array_equal(to_numpy(bptt.norms(to_device(0 * a, device))), 0)


# -- Jacobians


@pytest.mark.parametrize("kind", CELLS)
@few
@given(seed=seeds, T=st.integers(1, 5), B=st.integers(1, 3))
def test_jacobians_against_the_complex_step(kind: Any, seed: int, T: int, B: int) -> None:
    net = make(kind, seed)
    x, _, s = stream(net, seed, T, B)
    J = bptt.jacobians(net, x, s)
    twin = copy.deepcopy(net).astype(np.complex128)
    for t in range(T):
        for j in range(net.n_state):
            nudged = s.astype(np.complex128)
            nudged[:, j] += 1e-30j
            close(J[t, :, :, j], twin.forward(x[t : t + 1].astype(complex), nudged)[1].imag / 1e-30)
        s = net.forward(x[t : t + 1], s)[1]


def test_the_jacobian_of_an_rnn_is_the_one_in_the_books() -> None:
    net = make(RNN)
    x, _, s0 = stream(net, 0, 4)
    h, _, _ = net.forward(x, s0)
    close(bptt.jacobians(net, x, s0), (1 - h**2)[..., None] * net.params.Wh.T)


@every_kind
@few
@given(seed=seeds, T=st.integers(1, 7))
def test_products_of_jacobians_take_the_gradient_back(kind: Any, seed: int, T: int) -> None:
    net = make(kind, seed)
    x, _, s0 = stream(net, seed, T)
    dsT = np.random.default_rng(seed).standard_normal(s0.shape)
    J, ds = bptt.jacobians(net, x, s0), bptt.state_gradients(net, x, None, s0, dsT)
    g = dsT
    for t in reversed(range(T)):
        g = (g[:, None] @ J[t])[:, 0]
        close(ds[t], g)


def test_the_loss_of_a_linear_read_out_goes_back_by_the_jacobians() -> None:
    rng = np.random.default_rng(0)
    net = Sequential(RNN(3, 4, rng=rng, dtype=np.float64), Linear(4, 2, rng=rng, dtype=np.float64))
    x, dy, s0 = stream(net, 0, 6)
    J = bptt.jacobians(net, x, s0)
    g = dy[-1] @ net.params["1.W"].T  # by the state after the last step, which for an RNN is what is read out
    for distance, got in enumerate(bptt.by_distance(net, x, dy, s0), 1):
        g = (g[:, None] @ J[-distance])[:, 0]
        close(got, g)


@pytest.mark.parametrize("kind", CELLS)
def test_product_norms_are_the_largest_factors(kind: Any) -> None:
    net = make(kind)
    x, _, s0 = stream(net, 0, 6)
    J = bptt.jacobians(net, x, s0)
    got = bptt.jacobian_product_norms(J)
    assert got.shape == (7, 2)
    for b in range(2):
        for k in range(7):
            product = np.eye(net.n_state)
            for t in range(k, 6):
                product = J[t, b] @ product
            close(got[k, b], np.linalg.svd(product, compute_uv=False)[0])
        ds = bptt.norms(bptt.state_gradients(net, x[:, b : b + 1], None, s0[b : b + 1], np.ones((1, net.n_state))))
        assert (ds[:, 0] <= got[:, b] * ds[-1, 0] * (1 + 1e-12)).all()
    close(bptt.jacobian_product_norms(J[:, 0]), got[:, 0])


@few
@given(seed=seeds, size=st.floats(0.1, 3), T=st.integers(1, 12))
def test_the_bound_of_pascanu_holds_for_the_rnn(seed: int, size: float, T: int) -> None:
    net = RNN(3, 4, rng=seed, dtype=np.float64)
    net.params.Wh = size * np.random.default_rng(seed).standard_normal((4, 4))
    x, _, s0 = stream(net, seed, T)
    bound = bptt.jacobian_bound(net.params.Wh, T)
    products = bptt.jacobian_product_norms(bptt.jacobians(net, x, s0))
    assert (products <= bound[:, None] * (1 + 1e-12)).all()
    close(bound[:-1] / bound[1:], np.linalg.norm(net.params.Wh, 2))


def test_the_bound_is_reached_where_the_slope_is_largest() -> None:
    """At h = 0 tanh has slope 1; with a smaller slope the bound would be broken."""
    net = RNN(3, 4, rng=0, dtype=np.float64)  # Wh is orthogonal
    net.params.Wh *= 0.9
    products = bptt.jacobian_product_norms(bptt.jacobians(net, np.zeros((5, 1, 3))))
    close(products[:, 0], bptt.jacobian_bound(net.params.Wh, 5))
    assert (products[:-1, 0] > bptt.jacobian_bound(net.params.Wh, 5, slope=0.99)[:-1]).all()


# -- real-time recurrent learning


@every_kind
@few
@given(seed=seeds, T=st.integers(1, 6), B=st.integers(1, 2))
def test_rtrl_is_full_bptt_at_every_step(kind: Any, seed: int, T: int, B: int) -> None:
    """After step t the sum is the gradient of the losses of steps 0 .. t: the prefix's full BPTT."""
    net, loss = make(kind, seed), SquaredError()
    x, labels, s0 = stream(net, seed, T, B)
    zero(net)
    for step in bptt.rtrl(net, loss, x, labels, s0):
        got, n = bptt.flat_gradients(net), step.stop
        prefix = gradient(net, lambda n=n: bptt.full(net, loss, x[:n], labels[:n], s0, mean_over=1))
        close(got, prefix)  # and the generator goes on from what `full` left, which is the same


@every_kind
@few
@given(seed=seeds, cuts=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_influence_is_carried_across_pieces_of_a_stream(kind: Any, seed: int, cuts: tuple[int, int]) -> None:
    net, loss = make(kind, seed), SquaredError()
    x, labels, s = stream(net, seed, 7)
    whole = bptt.full(net, loss, x, labels, s, mean_over=7)
    wanted = gradient(net, lambda: bptt.full(net, loss, x, labels, s))
    zero(net)
    P, value = None, 0.0
    edges = [0, *sorted(set(cuts)), 7]
    for a, b in pairwise(edges):
        held = None if P is None else P.copy()
        for step in bptt.rtrl(net, loss, x[a:b], labels[a:b], s, P, mean_over=7):
            value += step.value
        if P is not None:
            np.testing.assert_array_equal(P, held)
        s, P = step.sT, step.influence
    close(bptt.flat_gradients(net), wanted)
    close(value, whole.value)
    close(s, whole.sT)


@pytest.mark.parametrize("kind", CELLS)
def test_influence_is_the_derivative_of_the_state_by_the_parameters(kind: Any) -> None:
    net = make(kind)
    x, labels, s0 = stream(net, 0, 4)
    P = list(bptt.rtrl(net, SquaredError(), x, labels, s0))[-1].influence
    twin = copy.deepcopy(net).astype(np.complex128)
    for k in range(net.params.slab.size):
        twin.params.slab[k] += 1e-30j
        close(P[..., k], twin.forward(x.astype(complex), s0.astype(complex))[1].imag / 1e-30)
        twin.params.slab[k] -= 1e-30j


def test_rtrl_sees_what_truncation_loses() -> None:
    """Two windows of a stream: of the second's loss RTRL has the exact gradient, a window alone has not."""
    net, loss = make(LSTM), SquaredError()
    x, labels, s0 = stream(net, 0, 8)
    whole = gradient(net, lambda: bptt.full(net, loss, x, labels, s0, mean_over=4))
    first = gradient(net, lambda: bptt.full(net, loss, x[:4], labels[:4], s0))
    zero(net)
    step = list(bptt.rtrl(net, loss, x[:4], labels[:4], s0))[-1]
    s, P = step.sT, step.influence
    exact = gradient(net, lambda: list(bptt.rtrl(net, loss, x[4:], labels[4:], s, P, mean_over=4)))
    cut = gradient(net, lambda: bptt.full(net, loss, x[4:], labels[4:], s))
    close(exact, whole - first)
    assert float(bptt.compare(cut, exact).error) > 0.01


def test_a_large_influence_is_refused_before_it_is_made() -> None:
    net = LSTM(8, 64)
    x = np.zeros((1, 32, 8), np.float32)
    with pytest.raises(MemoryError, match="18,688 parameters on 128 states of 32 sequences takes 306,184,192 bytes"):
        next(bptt.rtrl(net, SquaredError(), x, np.zeros((1, 32, 64), np.float32)))
    net = make(RNN)
    x, labels, _ = stream(net, 0, 2)
    size = 2 * 2 * net.n_params * 8
    with pytest.raises(MemoryError):
        next(bptt.rtrl(net, SquaredError(), x, labels, limit=size - 1))
    next(bptt.rtrl(net, SquaredError(), x, labels, limit=size))


# -- no trace


@every_kind
def test_looking_leaves_the_accumulators_alone(kind: Any) -> None:
    net = make(kind)
    for g in arrays(net):
        g[...] = np.random.default_rng(5).standard_normal(g.shape)
    x, dy, s0 = stream(net, 0, 4)
    for a in (x, dy, s0):
        a.flags.writeable = False
    before = [g.copy() for g in arrays(net)]
    bptt.state_gradients(net, x, dy, s0, s0)
    bptt.by_distance(net, x, dy, s0)
    bptt.jacobians(net, x, s0)
    for g, old in zip(arrays(net), before, strict=True):
        np.testing.assert_array_equal(g, old)
    for _ in bptt.rtrl(net, SquaredError(), x, dy, s0):
        pass
    got = bptt.flat_gradients(net) - np.concatenate([g.ravel() for g in before])
    close(got, gradient(net, lambda: bptt.full(net, SquaredError(), x, dy, s0, mean_over=1)))


def test_a_backward_that_fails_leaves_the_accumulators_alone() -> None:
    net = make(RNN)
    x, dy, s0 = stream(net, 0, 4)
    before = net.grads.slab.copy()
    with pytest.raises(ValueError, match="dy has shape"):
        bptt.state_gradients(net, x, dy[..., :1], s0)
    np.testing.assert_array_equal(net.grads.slab, before)


# -- masks and tokens


@pytest.mark.parametrize("kind", [*CELLS, "stack"])
@few
@given(seed=seeds, T=st.integers(1, 6))
def test_a_masked_step_lets_the_gradient_pass(kind: Any, seed: int, T: int) -> None:
    net = make(kind, seed)
    x, dy, s0 = stream(net, seed, T)
    rng = np.random.default_rng(seed)
    dsT, mask = rng.standard_normal(s0.shape), rng.random((T, 2)) < 0.6
    dy *= mask[..., None]
    J, ds = bptt.jacobians(net, x, s0, mask=mask), bptt.state_gradients(net, x, dy, s0, dsT, mask=mask)
    close(J[~mask], np.broadcast_to(np.eye(net.n_state), J[~mask].shape), 1e-15)
    np.testing.assert_array_equal(ds[:-1][~mask], ds[1:][~mask])
    close(ds[0], net.backward(dy, net.forward(x, s0, mask=mask)[2], dsT)[1])
    for b in range(2):  # the same without the masked steps
        on = mask[:, b]
        if on.any():
            short = bptt.state_gradients(net, x[on, b : b + 1], dy[on, b : b + 1], s0[b : b + 1], dsT[b : b + 1])
            close(ds[:-1][on, b], short[:-1, 0])
            near_first = bptt.by_distance(net, x, dy, s0, mask=mask)[:, b]
            wanted = bptt.by_distance(net, x[on, b : b + 1], dy[on, b : b + 1], s0[b : b + 1])[:, 0]
            if on[-1]:
                close(near_first[on[::-1]], wanted)


def test_a_language_model_reads_tokens() -> None:
    rng, f = np.random.default_rng(0), np.float64
    net = Sequential(Embedding(5, 3, rng=rng, dtype=f), LSTM(3, 2, rng=rng, dtype=f), Linear(2, 5, rng=rng, dtype=f))
    loss, tokens = SoftmaxCrossEntropy(), rng.integers(0, 5, (9, 2))
    x, labels = tokens[:-1], tokens[1:]
    exact = gradient(net, lambda: bptt.full(net, loss, x, labels))
    close(gradient(net, lambda: list(bptt.rtrl(net, loss, x, labels, mean_over=8))), exact)
    ds = bptt.state_gradients(net, x, loss.gradient(net.forward(x)[0], labels))
    close(gradient(net, lambda: list(bptt.truncated(net, loss, x, labels, 3, None, ds, mean_over=8))), exact)
    assert bptt.jacobians(net, x).shape == (8, 2, 4, 4)


# -- comparison


def test_compare() -> None:
    got = bptt.compare(np.array([[3.0, 0.0]]), np.array([[3.0, 4.0]]))
    np.testing.assert_allclose(got, (0.6, 0.6, 0.8), rtol=1e-15)
    a = np.random.default_rng(0).standard_normal(9).astype(np.float32)
    np.testing.assert_allclose(bptt.compare(-2 * a, a), (-1, 2, 3), rtol=1e-6)
    np.testing.assert_allclose(bptt.compare(1e-300 * a.astype(float), 1e-300 * a.astype(float)), (1, 1, 0), rtol=1e-14)
    assert np.isnan(bptt.compare(a, 0 * a)).all()
    np.testing.assert_array_equal(bptt.compare(0 * a, a), (np.nan, 0, 1))


# -- the devices, and what is asked at the door


def test_everything_on_the_device_without_waiting_for_it(device: str) -> None:
    host, loss = make("stack", dtype=np.float32), SoftmaxCrossEntropy()
    x, _, s0 = stream(make("stack"), 0, 5)
    x, s0 = x.astype(np.float32), s0.astype(np.float32)
    labels = np.random.default_rng(0).integers(0, 2, x.shape[:2])

    def everything(net: Any, x: Any, labels: Any, s0: Any) -> list[Any]:
        with no_synchronisation():
            whole = bptt.full(net, loss, x, labels, s0)
            dy = loss.gradient(whole.y, labels)
            exact = bptt.flat_gradients(net)
            ds = bptt.state_gradients(net, x, dy, s0, s0)
            windows = list(bptt.truncated(net, loss, x, labels, 2, s0, ds, mean_over=5))
            J = bptt.jacobians(net, x, s0)
            steps = list(bptt.rtrl(net, loss, x, labels, s0))
            results = [exact, bptt.flat_gradients(net), whole.ds0, ds, bptt.norms(ds), windows[1].lost, J]
            results += [bptt.by_distance(net, x, dy, s0), steps[-1].influence]
            results += [bptt.jacobian_product_norms(J), bptt.jacobian_bound(net.params["0.Wh"][:, :2], 5)]
            results += bptt.compare(ds, -ds)
        return [*results, windows[1].value, steps[1].value]

    wanted = everything(copy.deepcopy(host), x, labels, s0)
    got = everything(host.to(device), *(to_device(a, device) for a in (x, labels, s0)))
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a if isinstance(a, float) else to_numpy(a), b, rtol=1e-5, atol=1e-6)


X, DY, LABELS = np.zeros((4, 2, 3)), np.zeros((4, 2, 2)), np.zeros((4, 2, 2))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda n, e: bptt.full(RNN, e, X, LABELS), "bptt.full: net is the class RNN, expected a recurrent net"),
        (lambda n, e: bptt.full(Linear(3, 2), e, X, LABELS), "net is of type Linear, expected a recurrent net"),
        (lambda n, e: bptt.full(n, SquaredError, X, LABELS), "bptt.full: loss is .*expected an object with value and"),
        (lambda n, e: bptt.full(n, e, X[0, 0], LABELS), r"bptt.full: x has shape \(3,\), expected an array \(T, B, "),
        (lambda n, e: bptt.full(n, e, X[:0], LABELS[:0]), r"x has shape \(0, 2, 3\), .*at least one step"),
        (lambda n, e: bptt.full(n, e, [[1.0]], LABELS), "x is of type list, expected an array"),
        (lambda n, e: bptt.full(n, e, X, LABELS[1:]), r"labels has shape \(3, 2, 2\), expected .* 4 rows, one for"),
        (lambda n, e: bptt.full(n, e, X, LABELS, np.zeros((3, 2))), r"s0 has shape \(3, 2\), expected \(2, 2\)"),
        (lambda n, e: bptt.full(n, e, X, LABELS, mean_over=0), "bptt.full: mean_over is 0, expected a whole number"),
        (lambda n, e: next(bptt.truncated(n, e, X, LABELS, 0)), "bptt.truncated: window is 0, expected a whole"),
        (lambda n, e: next(bptt.truncated(n, e, X, LABELS, 2.0)), "bptt.truncated: window is 2.0, expected a whole"),
        (
            lambda n, e: next(bptt.truncated(n, e, X, LABELS, 2, None, np.zeros((4, 2, 2)))),
            r"bptt.truncated: ds has shape \(4, 2, 2\), expected \(5, 2, 2\)",
        ),
        (lambda n, e: bptt.state_gradients(n, X, DY[:3]), r"bptt.state_gradients: dy has shape \(3, 2, 2\), expected"),
        (lambda n, e: bptt.state_gradients(n, X, DY, dsT=DY[0, 0]), r"dsT has shape \(2,\), expected \(2, 2\)"),
        (lambda n, e: bptt.state_gradients(n, X, DY, mask=3), "mask is of type int, expected an array with 4 rows"),
        (lambda n, e: bptt.by_distance(n, X, DY, step=4), "bptt.by_distance: step is 4, .* from -4 to 3"),
        (lambda n, e: bptt.by_distance(n, X, DY, step=0.5), "bptt.by_distance: step is 0.5, expected a whole number"),
        (lambda n, e: bptt.by_distance(n, X, None), "bptt.by_distance: dy is None, expected"),
        (lambda n, e: bptt.jacobians(n, X, X[0]), r"bptt.jacobians: s0 has shape \(2, 3\), expected \(2, 2\)"),
        (lambda n, e: bptt.jacobian_product_norms(X), r"J has shape \(4, 2, 3\), expected \(T, ..., S, S\)"),
        (lambda n, e: bptt.jacobian_product_norms(DY[0]), r"J has shape \(2, 2\), expected \(T, ..., S, S\)"),
        (lambda n, e: bptt.jacobian_bound(X, 3), r"bptt.jacobian_bound: Wh has shape \(4, 2, 3\), expected \(H, H\)"),
        (
            lambda n, e: bptt.jacobian_bound(X[:, 0], 3),
            r"bptt.jacobian_bound: Wh has shape \(4, 3\), expected \(4, 4\)",
        ),
        (lambda n, e: bptt.jacobian_bound(DY[0], 0), "bptt.jacobian_bound: T is 0"),
        (lambda n, e: bptt.jacobian_bound(DY[0], 3, slope=0), "bptt.jacobian_bound: slope is 0"),
        (
            lambda n, e: next(bptt.rtrl(n, e, X, LABELS, None, np.zeros((2, 2, 5)))),
            r"bptt.rtrl: influence has shape \(2, 2, 5\), expected \(2, 2, 12\)",
        ),
        (lambda n, e: next(bptt.rtrl(n, e, X, LABELS, limit=0)), "bptt.rtrl: limit is 0"),
        (lambda n, e: bptt.compare(X, DY), r"estimate is \(4, 2, 3\) and exact \(4, 2, 2\), expected arrays of one"),
        (lambda n, e: bptt.compare(1.0, X), "bptt.compare: estimate is float and exact"),
        (lambda n, e: bptt.flat_gradients(e), "bptt.flat_gradients: net is of type SquaredError without gradients"),
    ],
)
def test_wrong_arguments_get_a_sentence(call: Any, sentence: str) -> None:
    net = RNN(3, 2, rng=0, dtype=np.float64)
    with pytest.raises((TypeError, ValueError), match=sentence):
        call(net, SquaredError())
