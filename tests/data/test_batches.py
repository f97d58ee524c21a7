"""Minibatches: every row once, an order that seed and epoch decide, and resuming anywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standin import installed, no_synchronisation

from minidni.arrays import to_device, to_numpy
from minidni.data import batches

many = settings(deadline=None, max_examples=60)
rows, sizes, seeds = st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**80)


def seen(*args, **kwargs):
    return [x.tolist() for (x,) in batches(*args, **kwargs)]


@many
@given(n=rows, size=sizes, seed=seeds, epoch=st.integers(0, 100), shuffle=st.booleans())
def test_every_row_once_an_epoch(n, size, seed, epoch, shuffle):
    got = seen(np.arange(n), size=size, seed=seed, epoch=epoch, shuffle=shuffle)
    assert [len(batch) for batch in got[:-1]] == [size] * (len(got) - 1) and 1 <= len(got[-1]) <= size
    flat = [row for batch in got for row in batch]
    assert sorted(flat) == list(range(n))
    assert shuffle or flat == list(range(n))


@many
@given(n=rows, size=sizes, seed=seeds)
def test_drop_last_leaves_out_only_the_short_batch(n, size, seed):
    whole = [batch for batch in seen(np.arange(n), size=size, seed=seed) if len(batch) == size]
    if whole:
        assert seen(np.arange(n), size=size, seed=seed, drop_last=True) == whole
    else:
        with pytest.raises(ValueError, match=f"^batches: the arrays have {n} rows, expected at least {size}$"):
            batches(np.arange(n), size=size, seed=seed, drop_last=True)


@many
@given(n=rows, size=sizes, seed=seeds, data=st.data())
def test_a_run_resumes_anywhere(n, size, seed, data):
    uninterrupted = seen(np.arange(n), size=size, seed=seed, epoch=3)
    skip = data.draw(st.integers(0, len(uninterrupted)))
    started = batches(np.arange(n), size=size, seed=seed, epoch=3)
    for _ in range(skip):
        next(started)
    assert started.position == skip and len(started) == len(uninterrupted) - skip
    resumed = seen(np.arange(n), size=size, seed=seed, epoch=3, skip=started.position)
    assert resumed == uninterrupted[skip:] == [x.tolist() for (x,) in started]


@many
@given(seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 2**32 - 1))
def test_each_seed_and_epoch_has_an_order_of_its_own(seed, epoch):
    def order(seed, epoch):
        return seen(np.arange(50), size=50, seed=seed, epoch=epoch)

    assert order(seed, epoch) == order(seed, epoch)
    # a seed of several words and its neighbour's epoch must not run into each other
    others = [(seed + 1, epoch), (seed, epoch + 1), (seed + 2**32 * epoch, 0), (epoch, seed)]
    assert all(order(seed, epoch) != order(*other) for other in others if other != (seed, epoch))


def test_rows_stay_together_and_sources_untouched():
    rng = np.random.default_rng(0)
    x, y, z = rng.random((37, 2, 3)), np.arange(37), rng.random((37, 1))
    for array in (x, y, z):
        array.flags.writeable = False
    for a, b, c in batches(x, y, z, size=8, seed=1):
        np.testing.assert_array_equal(a, x[b])
        np.testing.assert_array_equal(c, z[b])
        a[:] = 0  # a shuffled batch is a copy


def test_shuffling_ignores_and_keeps_the_global_generator():
    np.random.seed(1)
    first, state = seen(np.arange(30), size=7, seed=5), np.random.get_state()[1].copy()
    np.random.seed(2)
    assert seen(np.arange(30), size=7, seed=5) == first
    np.random.seed(1)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_arrays_on_a_gpu_give_the_same_batches_without_waiting():
    x, y = np.random.default_rng(0).random((50, 4)), np.arange(50)
    expected = list(batches(x, y, size=16, seed=9, epoch=2))
    with installed():
        x_gpu = to_device(x, "cuda")
        epoch = batches(x_gpu, y, size=16, seed=9, epoch=2)  # labels may stay on the CPU
        with no_synchronisation():
            got = list(epoch)
        for (a, b), (a_gpu, b_cpu) in zip(expected, got, strict=True):
            assert type(a_gpu) is type(x_gpu)
            np.testing.assert_array_equal(to_numpy(a_gpu), a)
            np.testing.assert_array_equal(b_cpu, b)


X, Y = np.zeros((10, 2)), np.zeros(10, int)


@pytest.mark.parametrize(
    ("arrays", "arguments", "error", "words"),
    [
        ((), {}, TypeError, "no arrays, expected at least one"),
        ((X, Y, 32), {}, TypeError, "argument 3 is of type int, .* and the batch size as size="),
        ((X, [1, 2]), {}, TypeError, "argument 2 is of type list, expected a NumPy or CuPy array with rows$"),
        ((np.array(3.0),), {}, TypeError, "argument 1 is an array without axes"),
        ((X, Y[:9]), {}, ValueError, "the arrays have 10 and 9 rows, expected equally many"),
        ((X, Y, Y[:9]), {}, ValueError, "the arrays have 10, 10 and 9 rows, expected equally many"),
        ((X[:0],), {}, ValueError, "the arrays have 0 rows, expected at least 1"),
        ((X,), {"size": 0}, ValueError, "size is 0"),
        ((X,), {"size": 2.0}, TypeError, "size is 2.0"),
        ((X,), {"seed": -1}, ValueError, "seed is -1"),
        ((X,), {"seed": None}, TypeError, "seed is None"),
        ((X,), {"epoch": -1}, ValueError, "epoch is -1"),
        ((X,), {"epoch": "1"}, TypeError, "epoch is '1'"),
        ((X,), {"shuffle": 1}, TypeError, "shuffle is 1, expected True or False"),
        ((X,), {"drop_last": None}, TypeError, "drop_last is None, expected True or False"),
        ((X,), {"skip": 4}, ValueError, "skip is 4, but an epoch has only 3 batches"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arrays, arguments, error, words):
    with pytest.raises(error, match=f"^batches: {words}"):
        batches(*arrays, **({"size": 4, "seed": 0} | arguments))
