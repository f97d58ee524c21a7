"""The simulator against closed forms, with numbers drawn at random; and against the workers themselves."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from locking import nets

from minidni.locking import Span, Timeline, train
from minidni.locking.costs import Stage, cut, measure, together
from minidni.locking.schedules import SCHEDULES, data_parallel, decoupled, gpipe, locked, one, one_f_one_b
from minidni.locking.simulate import Link, Tasks, simulate

seconds = st.floats(0.1, 10)
stage_counts, micro_batches, minibatches = st.integers(1, 6), st.integers(1, 9), st.integers(1, 4)


@st.composite
def stages(draw, least=1):
    """Stages that differ in everything."""
    n = draw(st.integers(least, 5))
    return [Stage(*(draw(seconds) for _ in range(5)), cache_bytes=draw(seconds)) for _ in range(n)]


def equal(n, forward=1.0, backward=2.0, **other):
    return [Stage(forward, backward, **other)] * n


def total(stage):
    return stage.forward + stage.backward + stage.update


@given(stages=stages(), n=minibatches)
def test_one_worker_takes_the_sum(stages, n):
    timeline = one(stages, n)
    assert math.isclose(timeline.makespan, n * sum(map(total, stages)))
    assert math.isclose(timeline.utilisation, 1)


@given(stages=stages(), n=minibatches, latency=seconds)
def test_locked_workers_take_the_sum_too_and_the_way_there_and_back(stages, n, latency):
    timeline = locked(stages, n, Link(latency))
    way = 2 * (len(stages) - 1) * latency
    longest = max(  # of the updates, which are over at different times, the next minibatch waits for its own alone
        timeline.makespan - n * (sum(s.forward + s.backward for s in stages) + way), 0
    )
    assert longest <= n * max(s.update for s in stages) + 1e-9
    assert math.isclose(sum(timeline.busy()), n * sum(map(total, stages)))


@given(k=stage_counts, m=micro_batches, n=minibatches, forward=seconds, backward=seconds)
def test_the_bubble_of_gpipe_and_of_1f1b(k, m, n, forward, backward):
    for timeline in (
        gpipe(equal(k, forward, backward), n, micro_batches=m),
        one_f_one_b(equal(k, forward, backward), n, micro_batches=m),
    ):
        assert math.isclose(timeline.bubble_fraction, (k - 1) / (m + k - 1), abs_tol=1e-9)
        assert math.isclose(timeline.makespan, n * (forward + backward) * (m + k - 1) / m)


@given(k=stage_counts, m=micro_batches, n=minibatches)
def test_gpipe_keeps_all_caches_and_1f1b_as_many_as_stages_lie_above(k, m, n):
    assert gpipe(equal(k), n, micro_batches=m).kept() == [m] * k
    assert one_f_one_b(equal(k), n, micro_batches=m).kept() == [min(k - s, m) for s in range(k)]
    size = one_f_one_b(equal(k, cache_bytes=6.0), n, micro_batches=m).peak_memory()
    assert np.allclose(size, [6.0 / m * min(k - s, m) for s in range(k)])


@given(k=stage_counts, extra=st.integers(2, 6))
def test_pipedream_has_no_bubble_but_old_gradients(k, extra):
    timeline = one_f_one_b(equal(k), k + extra, flush=False)
    assert math.isclose(timeline.throughput(k), 1 / 3) if extra > 2 else True
    late = Timeline(tuple(s for s in timeline.spans), k)
    counts = {s: [] for s in range(k)}
    for s in range(k):
        updates, begun = 0, {}
        for span in (span for span in late.spans if span.segment == s):
            if span.kind == "forward":
                begun[span.minibatch] = updates
            if span.kind == "update":
                counts[s].append(updates - begun[span.minibatch])
                updates += 1
    assert {s: of[-1] for s, of in counts.items()} == {s: k - 1 - s for s in range(k)}
    assert timeline.kept() == [k - s for s in range(k)]


@given(n=st.integers(1, 9), nbytes=seconds, latency=seconds, bandwidth=seconds, minibatches=minibatches)
def test_a_ring_all_reduce_sends_2_k_minus_1_parts_of_k(n, nbytes, latency, bandwidth, minibatches):
    link = Link(latency, bandwidth)
    reduce = 2 * (n - 1) / n * nbytes / bandwidth + 2 * (n - 1) * latency
    assert math.isclose(link.all_reduce(nbytes, n), reduce)
    timeline = data_parallel(equal(2, parameter_bytes=nbytes / 2, update=0.5), minibatches, link, replicas=n)
    assert math.isclose(timeline.makespan, minibatches * (2 * 3 / n + 2 * 0.5 + reduce))


@given(stages=stages(2), capacity=st.integers(1, 3), latency=st.floats(0, 1), unlocked=st.booleans())
def test_decoupled_stages_are_as_fast_as_the_slowest_with_its_synthesizers(stages, capacity, latency, unlocked):
    n = 40
    timeline = decoupled(stages, n, Link(latency), capacity=capacity, unlocked=unlocked)
    own = [total(s) + s.predict + (s.fit if i < len(stages) - 1 else 0) for i, s in enumerate(stages)]
    if unlocked:
        own = [seconds + (stages[i - 1].predict + stages[i - 1].fit if i else 0) for i, seconds in enumerate(own)]
    busy = timeline.busy()
    assert np.allclose(busy, [n * seconds for seconds in own])
    assert max(busy) <= timeline.makespan + 1e-9
    if latency == 0 and capacity > 1:
        assert timeline.makespan <= max(busy) + 3 * sum(own)
    assert set(timeline.staleness().values()) == {0}
    assert timeline.kept() == [1] * len(stages)


@given(name=st.sampled_from(sorted(SCHEDULES)), stages=stages(), n=minibatches, m=st.integers(1, 3), latency=seconds)
def test_no_worker_does_two_things_at_once_or_anything_too_soon(name, stages, n, m, latency):
    needs = {"gpipe": {"micro_batches": m}, "1f1b": {"micro_batches": m}, "data-parallel": {"replicas": m}}
    needs["data-parallel + decoupled"] = {"replicas": m}
    timeline = SCHEDULES[name](stages, n, Link(latency), **needs.get(name, {}))
    ends = {}
    for span in sorted(timeline.spans, key=lambda span: (span.start, span.end)):
        assert span.start >= ends.get(span.worker, 0.0) - 1e-9
        ends[span.worker] = span.end
    forward = {(s.worker, s.minibatch, s.part): s for s in timeline.spans if s.kind == "forward"}
    apart = timeline.n_workers == len(stages) > 1 and name != "unlocked"
    for (worker, k, part), span in forward.items():
        if apart and worker:
            assert span.start >= forward[worker - 1, k, part].end + latency - 1e-9


def test_a_small_case_by_hand():
    tasks = Tasks()
    a = tasks.add(0, "forward", 0, 0, 2.0)
    b = tasks.add(1, "forward", 1, 0, 3.0, after=[(a, 10.0)])  # arrives at 2 + 0.5 + 10 / 20 = 3
    tasks.add(0, "update", 0, 0, 1.0, after=[(b, 0.0)])  # 6 + 0.5
    tasks.add(1, "fit", 1, 0, 0.5, priority=-1)  # at once: the worker is free
    timeline = simulate(tasks, 2, Link(0.5, 20.0))
    starts = {(span.worker, span.kind): span.start for span in timeline.spans}
    assert starts == {(0, "forward"): 0.0, (1, "fit"): 0.0, (1, "forward"): 3.0, (0, "update"): 6.5}


def test_what_waits_for_itself_is_named():
    tasks = Tasks()
    first = tasks.add(0, "forward", 0, 0, 1.0)
    tasks.after[first].append((tasks.add(0, "backward", 0, 0, 1.0, after=[first]), 0.0))
    with pytest.raises(ValueError, match="2 of 2 tasks wait for each other in a circle"):
        simulate(tasks, 1)


def test_replicas_of_a_decoupled_pipeline_share_the_rows():
    timeline = decoupled(equal(3, update=0.5), 20, replicas=2)
    assert timeline.n_workers == 6
    assert math.isclose(timeline.seconds_per_minibatch(5), 1.5 + 0.5)


@given(stages=stages(2), n=st.integers(1, 5))
def test_cutting_loses_nothing(stages, n):
    n = min(n, len(stages))
    parts = cut(stages, n)
    assert len(parts) == n
    for name in ("forward", "backward", "update", "cache_bytes", "parameter_bytes"):
        assert math.isclose(sum(getattr(p, name) for p in parts), getattr(together(stages), name))
    assert (parts[-1].predict, parts[-1].fit) == (0, 0)


def test_costs_are_measured_on_a_copy():
    chain = nets.chain(3)
    before = pickle.dumps(chain)
    stages = measure(chain, *nets.source()(0), repeats=3)
    assert pickle.dumps(chain) == before
    assert all(stage.forward > 0 and stage.backward > 0 and stage.update > 0 for stage in stages)
    assert [stage.predict > 0 and stage.fit > 0 for stage in stages] == [True, True, False]
    assert [stage.boundary_bytes for stage in stages] == [12 * 8 * n for n in (nets.HIDDEN, nets.HIDDEN, nets.CLASSES)]


def test_a_measured_timeline_has_the_simulated_ones_form():
    run = train(nets.chain(3), nets.source(), 12, transport="inline")
    simulated = decoupled(measure(nets.chain(3), *nets.source()(0), repeats=2), 12)
    kinds = lambda timeline: {(span.worker, span.kind) for span in timeline.spans if span.kind != "wait"}  # noqa: E731
    assert kinds(run.timeline) - {(2, "predict")} == kinds(simulated) - {(2, "predict")}
    assert run.timeline.kept() == simulated.kept() == [1, 1, 1]
    assert run.timeline.lag() == {0: 1.0, 1: 1.0}  # the update it was used for, and no other


def test_a_timeline_survives_its_json():
    timeline = gpipe(equal(2, cache_bytes=3.0), 2, Link(0.1), micro_batches=2)
    again = Timeline.from_json(timeline.as_json())
    assert again == timeline
    assert again.summary() == timeline.summary()


def test_parts_of_a_timeline():
    spans = (Span(0, "forward", 0, 0, 1.0, 2.0), Span(0, "update", 0, 0, 2.0, 4.0), Span(0, "update", 0, 1, 5.0, 6.0))
    timeline = Timeline(spans, 1)
    assert (timeline.start, timeline.end, timeline.busy()) == (1.0, 6.0, [4.0])
    assert timeline.seconds_per_minibatch() == 2.0
    assert timeline.between(1, 1).spans == spans[2:]
    assert timeline.shifted().spans[0].start == 0
    with pytest.raises(ValueError, match="1 minibatches were finished behind warm_up=1, expected at least 2"):
        timeline.seconds_per_minibatch(1)
