"""Pictures read step by step: the same numbers in the same order, and what chance is."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidni.data import (
    Dataset,
    Sequences,
    batches,
    blobs,
    load_digits,
    mnist1d,
    sequences,
    sequential_digits,
    sequential_mnist,
)

DIGITS = load_digits()
seeds = st.integers(0, 2**70)


@given(per_step=st.sampled_from([1, 2, 4, 8, 16, 32, 64]), size=st.integers(1, 30), seed=seeds, epoch=st.integers(0, 9))
def test_a_batch_is_its_pictures_read_in_order(per_step, size, seed, epoch):
    digits = sequential_digits(per_step)
    assert (digits.steps, digits.n_in, digits.n_out) == (64 // per_step, per_step, 10)
    pairs = zip(
        digits.batches(size=size, seed=seed, epoch=epoch),
        batches(DIGITS.x_train, DIGITS.y_train, size=size, seed=seed, epoch=epoch),
        strict=True,
    )
    for (x, labels), (rows, expected) in [next(pairs) for _ in range(3)]:
        assert x.shape == (digits.steps, len(rows), per_step)
        for b, row in enumerate(rows):
            np.testing.assert_array_equal(np.concatenate(list(x[:, b])), row)
        np.testing.assert_array_equal(labels, expected)


def test_an_epoch_is_every_sequence_once_and_resumes():
    digits = sequential_digits(8)
    epoch = digits.batches("test", size=50, seed=3)
    assert len(epoch) == 8
    seen = list(epoch)
    assert epoch.position == 8
    rows = sorted(x[:, b].ravel().tolist() for x, _ in seen for b in range(x.shape[1]))
    assert rows == sorted(DIGITS.x_test.tolist())
    resumed = list(digits.batches("test", size=50, seed=3, skip=5))
    assert len(resumed) == 3
    for (x, labels), (again, labels_again) in zip(seen[5:], resumed, strict=True):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(labels, labels_again)


def test_a_row_of_pixels_is_a_step():
    rows = sequential_digits(per_step=8).in_steps(DIGITS.x_test)
    np.testing.assert_array_equal(rows[3, 10], DIGITS.x_test[10].reshape(8, 8)[3])


def test_mnist_is_read_like_any_set(monkeypatch):
    asked = []

    def load(*args, **kwargs):
        asked.append((args, kwargs))
        return blobs(n=50, features=784, dtype=kwargs["dtype"])

    monkeypatch.setattr(sequences, "load_mnist", load)
    mnist = sequential_mnist(28, True, "here", dtype="float64")
    assert asked == [((True, "here"), {"dtype": "float64"})]
    x, _ = next(mnist.batches(size=6))
    assert (mnist.steps, x.shape, x.dtype) == (28, (28, 6, 28), np.float64)
    assert sequential_mnist().steps == 784


@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any), seed=seeds)
def test_chance_is_what_the_frequencies_tell(counts, seed):
    y_train = np.repeat(np.arange(len(counts)), counts)
    y_test = np.random.default_rng(seed).integers(0, len(counts), 20)
    x_train, x_test = (np.zeros((len(y), 6), np.float32) for y in (y_train, y_test))
    names = tuple("abcde"[: len(counts)])
    data = Sequences(Dataset("uneven", x_train, y_train, x_test, y_test, names, (6,)), per_step=3)
    assert data.chance == pytest.approx(-np.mean([math.log(counts[k] / sum(counts)) for k in y_train]), abs=1e-12)
    assert data.chance_accuracy == list(y_test).count(counts.index(max(counts))) / 20


def test_any_classification_set_can_be_read():
    curves = Sequences(mnist1d(n=50))
    assert repr(curves) == "Sequences(MNIST-1D, per_step=1)"
    assert next(curves.batches(size=7))[0].shape == (40, 7, 1)
    assert curves.chance == pytest.approx(math.log(10))
    assert math.isnan(Sequences(blobs(n=9, test_fraction=0)).chance_accuracy)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: sequential_digits(5), ValueError, "Sequences: per_step is 5, expected a divisor of 64, the numbers"),
        (lambda: sequential_digits(0), ValueError, "Sequences: per_step is 0"),
        (lambda: sequential_digits(1.0), TypeError, "Sequences: per_step is 1.0"),
        (lambda: sequential_digits(dtype=int), TypeError, "load_digits: dtype is"),
        (lambda: Sequences(DIGITS.x_train), TypeError, "Sequences: dataset is of type ndarray, expected a Dataset"),
        (
            lambda: sequential_digits().batches("valid", size=2),
            ValueError,
            "Sequences(8x8 digits, per_step=1).batches: part is 'valid', expected train and test",
        ),
        (lambda: sequential_digits().batches(size=0), ValueError, "batches: size is 0"),
        (
            lambda: sequential_digits().in_steps(np.zeros((3, 8, 8), np.float32)),
            ValueError,
            "Sequences(8x8 digits, per_step=1).in_steps: x has shape (3, 8, 8), expected (n, 64)",
        ),
    ],
)
def test_wrong_arguments(make, error, words):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(words)
