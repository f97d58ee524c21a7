"""The adding problem and delayed exclusive or: labels worked out from the input, and what chance is."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidni.data import Adding, DelayedXor
from minidni.nn import SigmoidCrossEntropy, SquaredError

seeds = st.integers(0, 2**70)


@given(steps=st.integers(2, 30), size=st.integers(1, 20), seed=seeds)
def test_adding_asks_for_the_sum_of_the_two_marked(steps, size, seed):
    x, labels = Adding(steps, dtype="float64").batch(0, size=size, seed=seed)
    for b in range(size):
        first, second = np.flatnonzero(x[:, b, 1])
        assert first < steps // 2 <= second and x[first, b, 1] == x[second, b, 1] == 1
        assert labels[b, 0] == x[first, b, 0] + x[second, b, 0]
    assert (x[:, :, 0] >= 0).all() and (x[:, :, 0] < 1).all()


@given(steps=st.integers(2, 9), seed=seeds)
def test_adding_marks_every_step_alike_often(steps, seed):
    x, _ = Adding(steps).batch(0, size=4000, seed=seed)
    for half in (x[: steps // 2, :, 1], x[steps // 2 :, :, 1]):
        share = 1 / len(half)
        assert (abs(half.mean(axis=1) - share) <= 6 * math.sqrt(share * (1 - share) / 4000)).all()


@given(steps=st.integers(2, 20), seed=seeds)
def test_chance_of_adding_is_the_loss_of_the_mean(steps, seed):
    task = Adding(steps)
    x, labels = task.batch(0, size=20_000, seed=seed)
    assert SquaredError().value(np.ones_like(labels), labels) == pytest.approx(task.chance, rel=0.06)
    assert labels.mean() == pytest.approx(1, abs=0.02)
    answer = (x[:, :, 0] * x[:, :, 1]).sum(axis=0)[:, None]
    assert SquaredError().value(answer, labels) == pytest.approx(task.floor, abs=1e-12)


def test_adding_is_independent_uniform_numbers():
    numbers = Adding(20).batch(0, size=5000)[0][:, :, 0]
    np.testing.assert_allclose(np.sort(numbers.ravel()), np.linspace(0, 1, numbers.size), atol=0.01)
    correlation = np.corrcoef(numbers)
    assert abs(correlation - np.eye(20)).max() < 6 / math.sqrt(5000)


@given(delay=st.integers(0, 20), wait=st.integers(0, 5), size=st.integers(1, 20), seed=seeds)
def test_xor_asks_whether_the_two_bits_differ(delay, wait, size, seed):
    task = DelayedXor(delay, wait)
    x, labels = task.batch(0, size=size, seed=seed)
    assert task.steps == delay + wait + 2
    for b in range(size):
        assert list(np.flatnonzero(x[:, b, 0])) == [0, 1 + delay]
        first, second = x[0, b, 0], x[1 + delay, b, 0]
        assert {first, second} <= {-1, 1}
        assert labels[b, 0] == (first != second)


@given(seed=seeds)
def test_chance_of_xor_no_single_bit_tells_anything(seed):
    task = DelayedXor(2)
    x, labels = task.batch(0, size=8000, seed=seed)
    bits, y = (x[[0, 3], :, 0] + 1) / 2, labels[:, 0]
    limit = 6 * 0.5 / math.sqrt(8000)
    assert (abs(bits.mean(axis=1) - 0.5) < limit).all() and abs(y.mean() - 0.5) < limit
    for bit in bits:
        assert abs((bit == y).mean() - 0.5) < limit
    assert SigmoidCrossEntropy().value(np.zeros_like(labels), labels) == pytest.approx(task.chance)
    sure = 100 * (2 * (bits[0] != bits[1]) - 1)[:, None].astype(np.float32)
    assert SigmoidCrossEntropy().value(sure, labels) == pytest.approx(task.floor, abs=1e-6)


@given(delay=st.integers(0, 9), wait=st.integers(0, 9))
def test_harder_xor_waits_longer_between_the_bits(delay, wait):
    harder = DelayedXor(delay, wait, dtype="float64").harder()
    assert (harder.delay, harder.wait, harder.dtype) == (delay + 1, wait, np.float64)
