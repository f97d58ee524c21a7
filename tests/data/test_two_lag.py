"""The two-lag add task: the same stream however it is cut, labels as the definition says, floors by counting."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidni.data import TwoLag
from minidni.nn import SigmoidCrossEntropy

seeds, sizes = st.integers(0, 2**70), st.integers(1, 6)
lags = st.lists(st.integers(0, 7), min_size=2, max_size=2, unique=True).map(tuple)


def joined(task, steps, length, **kwargs):
    """The first `steps` steps of the stream, read in windows of `length`."""
    windows = task.windows(length=length, **kwargs)
    parts = [next(windows) for _ in range(-(-steps // length))]
    return [np.concatenate(arrays)[:steps] for arrays in zip(*parts, strict=True)]


@given(lags=lags, size=sizes, seed=seeds, length=st.integers(1, 20))
def test_windows_of_any_length_are_the_same_stream(lags, size, seed, length):
    x, labels = joined(TwoLag(lags), 40, 40, size=size, seed=seed)
    again = joined(TwoLag(lags), 40, length, size=size, seed=seed)
    np.testing.assert_array_equal(x, again[0])
    np.testing.assert_array_equal(labels, again[1])


@given(lags=lags, size=sizes, seed=seeds, length=st.integers(1, 9), skip=st.integers(0, 9))
def test_a_resumed_stream_remembers_what_was_before(lags, size, seed, length, skip):
    task = TwoLag(lags)
    whole = joined(task, (skip + 3) * length, length, size=size, seed=seed)
    resumed = joined(task, 3 * length, length, size=size, seed=seed, skip=skip)
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a[skip * length :], b)


def probability_by_definition(lags, x, t):
    first, second = (x[t - lag] if t >= lag else 0 * x[0] for lag in lags)
    return 0.5 + 0.5 * first - 0.25 * second


@given(lags=lags, seed=seeds)
def test_probability_is_the_definition(lags, seed):
    x = np.random.default_rng(seed).integers(0, 2, (12, 3, 1)).astype(np.float64)
    expected = [probability_by_definition(lags, x, t) for t in range(len(x))]
    np.testing.assert_array_equal(TwoLag(lags).probability(x), expected)
    np.testing.assert_array_equal(TwoLag(lags).probability(x[:2]), expected[:2])


@given(lags=lags, seed=seeds, length=st.integers(1, 30))
def test_labels_are_as_frequent_as_the_definition_says(lags, seed, length):
    x, labels = (a[:, :, 0] for a in joined(TwoLag(lags), 60, length, size=400, seed=seed))
    assert set(np.unique(x)) == set(np.unique(labels)) == {0, 1}
    n, flips = x.size, x[max(lags) :]
    assert abs(x.mean() - 0.5) < 6 * 0.5 / math.sqrt(n)
    first, second = (x[max(lags) - lag : len(x) - lag] for lag in lags)
    for bits, p in {(0, 0): 0.5, (1, 0): 1.0, (0, 1): 0.25, (1, 1): 0.75}.items():
        chosen = labels[max(lags) :][(first == bits[0]) & (second == bits[1])]
        assert len(chosen) > flips.size / 5
        assert abs(chosen.mean() - p) <= 6 * math.sqrt(p * (1 - p) / len(chosen))


@given(lags=lags)
def test_floors_are_conditional_entropies_counted_out(lags):
    """H(y | kept) = H(y, kept) - H(kept), over every history of max(lags) + 1 bits."""
    task = TwoLag(lags)
    assert list(task.floors) == [(), lags[:1], lags[1:], lags]
    for kept, floor in task.floors.items():
        joint, marginal = {}, {}
        for history in itertools.product((0, 1), repeat=max(lags) + 1):  # history[k] is x_{t - k}
            p = 0.5 + 0.5 * history[lags[0]] - 0.25 * history[lags[1]]
            seen = tuple(history[lag] for lag in kept)
            marginal[seen] = marginal.get(seen, 0) + 0.5 ** len(history)
            for y, q in ((1, p), (0, 1 - p)):
                joint[seen, y] = joint.get((seen, y), 0) + q * 0.5 ** len(history)

        def entropy(table):
            return -sum(q * math.log(q) for q in table.values() if q)

        assert floor == pytest.approx(entropy(joint) - entropy(marginal), abs=1e-12)
    assert (task.chance, task.floor) == (task.floors[()], task.floors[lags])


def test_floors_have_the_known_digits():
    floors = TwoLag((3, 5)).floors
    expected = {(): 0.6616, (3,): 0.5192, (5,): 0.6277, (3, 5): 0.4545}
    assert {kept: round(floor, 4) for kept, floor in floors.items()} == expected


@given(lags=lags, seed=seeds)
def test_who_answers_best_has_the_loss_of_the_floor(lags, seed):
    """What the library's loss says of the best answers, for each memory, is the floor of that memory."""
    task = TwoLag(lags, dtype=np.float64)
    x, labels = joined(task, 100, 100, size=600, seed=seed)
    start, loss = max(lags), SigmoidCrossEntropy()
    bits = dict(zip(lags, (x[start - lag : len(x) - lag] for lag in lags), strict=True))
    for kept, floor in task.floors.items():
        # what is not remembered counts with its mean, 1/2
        first, second = (bits[lag] if lag in kept else 0.5 for lag in lags)
        p = np.broadcast_to(np.clip(0.5 + 0.5 * first - 0.25 * second, 1e-12, 1 - 1e-12), labels[start:].shape)
        assert loss.value(np.log(p / (1 - p)), labels[start:]) == pytest.approx(floor, abs=0.02)


@given(lags=lags, seed=seeds)
def test_float64_is_the_same_stream(lags, seed):
    single, double = (next(TwoLag(lags, dtype=d).windows(size=3, length=9, seed=seed)) for d in ("f4", "f8"))
    for a, b in zip(single, double, strict=True):
        assert (a.dtype, b.dtype) == (np.float32, np.float64)
        np.testing.assert_array_equal(a, b)


@given(seed=seeds)
def test_sequences_side_by_side_are_different(seed):
    x, labels = joined(TwoLag(), 200, 50, size=4, seed=seed)
    for a, b in itertools.combinations(range(4), 2):
        assert not np.array_equal(x[:, a], x[:, b]) and not np.array_equal(labels[:, a], labels[:, b])


def test_probability_takes_whole_sequences():
    with pytest.raises(ValueError, match=r"^TwoLag\(lags=\(3, 5\)\)\.probability: x has shape \(4, 2\), expected"):
        TwoLag().probability(np.zeros((4, 2), np.float32))
