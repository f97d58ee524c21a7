"""Losses: what they are means of, and that large, equal and impossible numbers are taken as they should be."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidni import SigmoidCrossEntropy, SoftmaxCrossEntropy, SquaredError, to_device, to_numpy
from minidni.nn import Loss

LOSSES = [SoftmaxCrossEntropy(), SigmoidCrossEntropy(), SquaredError()]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])

sizes = pytest.mark.parametrize(
    ("dtype", "size"),
    [(np.float32, 1e4), (np.float32, 1e30), (np.float64, 1e4), (np.float64, 1e30), (np.float64, 1e300)],
)


def draw(loss: Loss, rng: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    h = rng.standard_normal(shape)
    if isinstance(loss, SoftmaxCrossEntropy):
        return h, rng.integers(0, shape[-1], shape[:-1])
    return h, rng.random(shape)


def by_definition(loss: Loss, h: np.ndarray, labels: np.ndarray) -> float:
    """The loss written out as its docstring has it."""
    if isinstance(loss, SquaredError):
        each = (h - labels) ** 2
    elif isinstance(loss, SigmoidCrossEntropy):
        p = 1 / (1 + np.exp(-h))
        each = -(labels * np.log(p) + (1 - labels) * np.log(1 - p))
    else:
        p = np.exp(h) / np.exp(h).sum(-1, keepdims=True)
        each = -np.log(np.take_along_axis(p, labels[..., None], axis=-1))
    return float(each.sum(-1).mean())


@every_loss
@given(seed=st.integers(0, 2**32 - 1), shape=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_value_is_a_mean_over_the_leading_axes_of_sums_over_the_last(loss: Loss, seed: int, shape: list[int]) -> None:
    h, labels = draw(loss, np.random.default_rng(seed), *shape)
    assert loss.value(h, labels) == pytest.approx(by_definition(loss, h, labels), rel=1e-12, abs=1e-14)


@every_loss
def test_repeating_the_batch_changes_neither_value_nor_what_it_does_to_shared_weights(loss: Loss, device: str) -> None:
    h, labels = draw(loss, np.random.default_rng(0), 3, 4)
    many = [to_device(np.concatenate([a] * 5), device) for a in (h, labels)]
    h, labels = to_device(h, device), to_device(labels, device)
    assert loss.value(*many) == pytest.approx(loss.value(h, labels), rel=1e-12)
    once, repeated = to_numpy(loss.gradient(h, labels)), to_numpy(loss.gradient(*many))
    np.testing.assert_allclose(repeated[:3] * 5, once, rtol=1e-12)
    np.testing.assert_allclose(repeated.sum(axis=0), once.sum(axis=0), rtol=1e-12, atol=1e-15)


@every_loss
def test_time_and_batch_count_alike(loss: Loss, device: str) -> None:
    h, labels = draw(loss, np.random.default_rng(1), 5, 3, 4)
    flat = [to_device(a.reshape(15, *a.shape[2:]), device) for a in (h, labels)]
    h, labels = to_device(h, device), to_device(labels, device)
    assert loss.value(h, labels) == loss.value(*flat)
    np.testing.assert_array_equal(to_numpy(loss.gradient(h, labels)).reshape(15, 4), to_numpy(loss.gradient(*flat)))


@sizes
def test_softmax_cross_entropy_of_huge_logits(dtype: Any, size: float, device: str) -> None:
    h = to_device(np.array([[size, -size, 0], [size, -size, 0], [-size, -size, -size]], dtype), device)
    labels, loss = to_device(np.array([0, 1, 2]), device), SoftmaxCrossEntropy()
    assert loss.value(h, labels) == pytest.approx((0 + 2 * size + np.log(3)) / 3, rel=1e-6)
    expected = np.array([[0, 0, 0], [1, -1, 0], [1 / 3, 1 / 3, -2 / 3]]) / 3
    np.testing.assert_allclose(to_numpy(loss.gradient(h, labels)), expected, rtol=1e-6, atol=1e-12)


@sizes
def test_sigmoid_cross_entropy_of_huge_logits(dtype: Any, size: float, device: str) -> None:
    h = to_device(np.array([[size, -size, size, -size, 0]], dtype), device)
    labels, loss = to_device(np.array([[1, 0, 0, 1, 0.5]], dtype), device), SigmoidCrossEntropy()
    assert loss.value(h, labels) == pytest.approx(2 * size + np.log(2), rel=1e-6)
    np.testing.assert_allclose(to_numpy(loss.gradient(h, labels)), [[0, 0, 1, -1, 0]], atol=1e-12)


def test_logits_at_the_very_end_of_float64_have_a_gradient() -> None:
    big = np.finfo(np.float64).max
    gradient = SoftmaxCrossEntropy().gradient(np.array([[big, -big], [big, -big]]), np.array([0, 1]))
    np.testing.assert_array_equal(gradient, [[0, 0], [0.5, -0.5]])


@dtypes
def test_a_small_loss_is_not_lost_beside_large_logits(dtype: Any, device: str) -> None:
    """log(1 + e^-10) at logits of ten thousand, of which float32 keeps only three decimals; and -log sigmoid(20)."""
    h, labels = to_device(np.array([[1e4, 1e4 - 10]], dtype), device), to_device(np.array([0]), device)
    assert SoftmaxCrossEntropy().value(h, labels) == pytest.approx(np.log1p(np.exp(-10.0)), rel=1e-2, abs=0)
    h, labels = to_device(np.array([[20.0, -20.0]], dtype), device), to_device(np.array([[1.0, 0.0]], dtype), device)
    assert SigmoidCrossEntropy().value(h, labels) == pytest.approx(2 * np.log1p(np.exp(-20.0)), rel=1e-5, abs=0)


@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-100, 100))
def test_softmax_cross_entropy_does_not_see_a_shift_of_all_logits(seed: int, shift: float) -> None:
    h, labels = draw(LOSSES[0], np.random.default_rng(seed), 3, 5)
    assert LOSSES[0].value(h + shift, labels) == pytest.approx(LOSSES[0].value(h, labels), rel=1e-10)
    np.testing.assert_allclose(LOSSES[0].gradient(h + shift, labels).sum(axis=-1), 0, atol=1e-15)


@every_loss
@dtypes
def test_value_is_a_float_and_the_gradient_fresh_memory_of_the_dtype(loss: Loss, dtype: Any, device: str) -> None:
    h, labels = draw(loss, np.random.default_rng(2), 3, 4)
    h = to_device(h.astype(dtype), device)
    labels = to_device(labels.astype(dtype) if labels.dtype.kind == "f" else labels, device)
    before = [to_numpy(a).copy() for a in (h, labels)]
    assert type(loss.value(h, labels)) is float
    gradient = loss.gradient(h, labels)
    assert gradient.dtype == dtype
    gradient[...] = 7
    for array, was in zip((h, labels), before, strict=True):
        np.testing.assert_array_equal(to_numpy(array), was)


@every_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_in_h_is_named_with_its_place(loss: Loss, bad: float) -> None:
    h, labels = draw(loss, np.random.default_rng(3), 3, 4)
    h[1, 2] = bad
    for method in (loss.value, loss.gradient):
        with pytest.raises(FloatingPointError, match=rf"{method.__name__}: .*h\[1, 2\] is {bad}"):
            method(h, labels)


def test_what_is_no_number_in_the_targets_is_named_too() -> None:
    h, labels = draw(SquaredError(), np.random.default_rng(4), 3, 4)
    labels[2, 0] = np.nan
    for method in (SquaredError().value, SquaredError().gradient):
        with pytest.raises(FloatingPointError, match=r"labels\[2, 0\] is nan"):
            method(h, labels)


def test_a_loss_that_overflows_says_that_its_arguments_are_finite() -> None:
    with pytest.raises(FloatingPointError, match=r"the loss is inf, .* h and labels are finite"):
        SquaredError().value(np.full((2, 2), 1e200), np.zeros((2, 2)))


def test_an_impossible_label_is_refused_on_the_host_and_gives_nan_on_a_device(device: str) -> None:
    h, labels = to_device(np.zeros((3, 4)), device), to_device(np.array([0, 4, -1]), device)
    if device == "cpu":
        with pytest.raises(ValueError, match=r"labels holds -1, expected integers from 0 to 3"):
            SoftmaxCrossEntropy().gradient(h, labels)
        return
    gradient = to_numpy(SoftmaxCrossEntropy().gradient(h, labels))
    np.testing.assert_array_equal(np.isnan(gradient).all(axis=1), [False, True, True])
    with pytest.raises(FloatingPointError):
        SoftmaxCrossEntropy().value(h, labels)


@every_loss
def test_labels_on_the_host_may_follow_h_to_the_device(loss: Loss, device: str) -> None:
    h, labels = draw(loss, np.random.default_rng(5), 3, 4)
    expected = loss.value(h, labels), loss.gradient(h, labels)
    assert loss.value(to_device(h, device), labels) == pytest.approx(expected[0], rel=1e-14)
    np.testing.assert_allclose(to_numpy(loss.gradient(to_device(h, device), labels)), expected[1], rtol=1e-14)
