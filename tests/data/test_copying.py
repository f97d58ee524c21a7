"""Copy and repeat-copy, one sequence at a time as a person would check it, and the curriculum."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidni.data import Copying, Curriculum, DelayedXor, RepeatCopying

seeds = st.integers(0, 2**70)


@st.composite
def tasks(draw):
    length, bits = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    shortest = draw(st.integers(1, length))
    if draw(st.booleans()):
        return Copying(length, bits, shortest=shortest)
    repeats = draw(st.integers(1, 5))
    return RepeatCopying(length, repeats, bits, shortest=shortest, fewest=draw(st.integers(1, repeats)))


def only(mask):
    """The number of True at the start of a column, in which all others are False."""
    n = int(mask.sum())
    assert mask[:n].all()
    return n


def read(task, x, labels, mask, counted):
    """Check one sequence, (T, D), (T, N), (T,), (T,), against what its own input asks for; returns L and R."""
    repeating = isinstance(task, RepeatCopying)
    (delimiter,) = np.flatnonzero(x[:, task.bits])
    length, pattern = int(delimiter), x[:delimiter, : task.bits]
    count = round(float(x[delimiter, -1]) * 10) if repeating else 1
    answer = np.concatenate([pattern] * count)
    if repeating:
        answer = np.pad(answer, ((0, 1), (0, 1)))
        answer[-1, -1] = 1  # the end marker
    start, end = length + 1, length + 1 + len(answer)

    assert np.isin(pattern, (0, 1)).all() and x[delimiter, task.bits] == 1
    assert not x[:delimiter, task.bits :].any() and not x[delimiter, : task.bits].any() and not x[start:].any()
    np.testing.assert_array_equal(labels[start:end], answer)
    assert not labels[:start].any() and not labels[end:].any()
    assert only(mask) == end
    np.testing.assert_array_equal(np.flatnonzero(counted), np.arange(start, end))
    return length, count


@given(task=tasks(), seed=seeds, size=st.integers(1, 8))
def test_each_sequence_answers_its_own_input(task, seed, size):
    x, labels, mask, counted = task.batch(0, size=size, seed=seed)
    assert mask.shape == counted.shape == (task.steps, size) and mask.dtype == counted.dtype == bool
    for b in range(size):
        length, count = read(task, x[:, b], labels[:, b], mask[:, b], counted[:, b])
        assert task.shortest <= length <= task.length
        assert getattr(task, "fewest", 1) <= count <= getattr(task, "repeats", 1)


@given(task=tasks(), seed=seeds)
def test_every_length_and_count_occurs_and_the_longest_fills_the_steps(task, seed):
    episodes = task.batch(0, size=1000, seed=seed)
    lengths = episodes.x[:, :, task.bits].argmax(axis=0)
    repeats = np.rint(10 * episodes.x[:, :, -1].max(axis=0)) if isinstance(task, RepeatCopying) else np.ones(1000)
    seen = set(zip(lengths.tolist(), repeats.astype(int).tolist(), strict=True))
    counts = range(getattr(task, "fewest", 1), getattr(task, "repeats", 1) + 1)
    assert seen == {(n, r) for n in range(task.shortest, task.length + 1) for r in counts}
    assert episodes.mask.any(axis=1).all()


@given(task=tasks(), seed=seeds)
def test_bits_are_fair_and_differ_between_sequences_steps_and_channels(task, seed):
    x, _, _, _ = task.batch(0, size=4000, seed=seed)
    first = x[0, :, : task.bits]  # (B, bits): every sequence has a first step
    assert (abs(first.mean(axis=0) - 0.5) < 6 * 0.5 / math.sqrt(4000)).all()
    agree = (first[:, :, None] == first[:, None, :]).mean(axis=0)  # between channels
    assert (abs(agree[~np.eye(task.bits, dtype=bool)] - 0.5) < 6 * 0.5 / math.sqrt(4000)).all()
    long = ~x[:2, :, task.bits].any(axis=0) if task.length > 1 else np.zeros(4000, bool)
    if long.sum() > 100:
        assert abs((x[0, long, 0] == x[1, long, 0]).mean() - 0.5) < 6 * 0.5 / math.sqrt(long.sum())


@given(task=tasks(), seed=seeds)
def test_chance_is_the_loss_of_who_knows_when_but_not_what(task, seed):
    """Probability 1/2 for every bit of the pattern, and no doubt of anything else."""
    _, labels, _, counted = task.batch(0, size=4000, seed=seed)
    ends = labels[:, :, task.bits :].any(axis=2)[counted]  # all False for `Copying`
    losses = np.where(ends, 0, task.bits * math.log(2))
    assert losses.mean() == pytest.approx(task.chance, rel=0.05)
    assert task.floor == 0


def test_chance_counts_out():
    assert Copying(9, 8).chance == pytest.approx(8 * math.log(2))
    shares = [(n * r, n * r + 1) for n in (2, 3, 4) for r in (1, 2)]  # pattern steps and all counted steps
    expected = 5 * math.log(2) * sum(a for a, _ in shares) / sum(b for _, b in shares)
    assert RepeatCopying(4, 2, 5, shortest=2).chance == pytest.approx(expected)


def test_one_length_can_be_measured():
    task = RepeatCopying(5, 3, shortest=5, fewest=3)
    assert task.batch(0, size=20).mask.all()
    assert Copying(5, shortest=5).batch(0, size=20).mask.all()


@given(start=st.integers(1, 4), growths=st.integers(0, 9), bits=st.integers(1, 9))
def test_harder_alternates_between_length_and_repeats(start, growths, bits):
    task, longer = RepeatCopying(start, start, bits, dtype="float64"), Copying(start, bits, shortest=start)
    for _ in range(growths):
        task, longer = task.harder(), longer.harder()
    assert (task.length, task.repeats) == (start + (growths + 1) // 2, start + growths // 2)
    assert (task.bits, task.dtype, longer.bits, longer.shortest) == (bits, np.float64, bits, start)
    assert longer.length == start + growths


@given(
    losses=st.lists(st.floats(0, 0.4), max_size=40),
    over=st.integers(1, 5),
    task=st.sampled_from([Copying(1, 3), RepeatCopying(1, 1, 2), DelayedXor(0)]),
)
def test_the_curriculum_grows_when_the_mean_of_the_last_losses_is_low(losses, over, task):
    curriculum = Curriculum(task, size=2, over=over)
    since, grown = [], []
    for i, bits in enumerate(losses):
        next(curriculum)
        since.append(bits)
        expected = len(since) >= over and np.mean(since[-over:]) < 0.15 - 1e-9
        if abs(np.mean(since[-over:]) - 0.15) < 1e-9:
            return  # rounding decides
        assert curriculum.update(bits * math.log(2) * task.n_out) == expected
        if expected:
            since = []
            grown.append(i + 1)
    assert [position for position, _ in curriculum.history] == [0, *grown]
    for (_, before), (_, after) in zip(curriculum.history[:-1], curriculum.history[1:], strict=True):
        assert repr(after) == repr(before.harder())
    assert curriculum.task is curriculum.history[-1][1]


@given(seed=seeds, steps=st.integers(0, 6))
def test_a_curriculum_resumes(seed, steps):
    whole = Curriculum(Copying(1, 2), size=3, seed=seed)
    for _ in range(steps):
        next(whole)
        whole.update(0.0)
    resumed = Curriculum(whole.task, size=3, seed=seed, skip=whole.position)
    for a, b in zip(next(whole), next(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole.position == resumed.position == steps + 1
    assert whole.task.length == 1 + steps
