"""Workers do, on every transport, what the chain's own steps do; and wait for nothing but what they must."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from locking import nets

from minidni import (
    GRU,
    SGD,
    Adam,
    BatchNorm,
    Chain,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    ReLU,
    Segment,
    Sequential,
    SoftmaxCrossEntropy,
    Synthesizer,
)
from minidni.dni import Greedy, Stale, Zero, networks
from minidni.locking import Processes, Threads, train
from minidni.locking.messages import END, Message, Receive
from minidni.locking.programs import PROGRAMS
from minidni.locking.worker import Worker

N = 25


def steps(chain, source, n, mode, lag=0):
    for k in range(n):
        x, labels = source(k)
        if mode == "locked":
            chain.backprop(x, labels)
        elif mode == "decoupled":
            chain.decoupled(x, labels, lag=lag)
        else:
            chain.unlocked(x, labels, lag=lag)
    return chain


@given(stages=st.integers(1, 4), seed=st.integers(0, 9), mode=st.sampled_from(sorted(PROGRAMS)), data=st.data())
def test_inline_takes_the_chains_own_steps(stages, seed, mode, data):
    lag = 0 if mode == "locked" else data.draw(st.integers(0, 3), "lag")
    conditional = data.draw(st.booleans(), "conditional")
    make = lambda: nets.chain(stages, seed, inputs=True, conditional=conditional)  # noqa: E731
    source, n = nets.source(seed=seed), data.draw(st.integers(1, N), "n")
    run = train(make(), source, n, mode=mode, transport="inline", lag=lag)
    assert np.array_equal(nets.numbers(run.chain), nets.numbers(steps(make(), source, n, mode, lag)))
    assert run.counts == {}


@pytest.mark.parametrize("transport", ["threads", "processes"])
@pytest.mark.parametrize("n", [1, N])
def test_locked_workers_take_the_steps_of_backprop_bit_for_bit(transport, n):
    source = nets.source()
    before = pickle.dumps(chain := nets.chain(3))
    run = train(chain, source, n, mode="locked", transport=transport)
    assert np.array_equal(nets.numbers(run.chain), nets.numbers(steps(nets.chain(3), source, n, "locked")))
    assert pickle.dumps(chain) == before  # what was handed in is as it was
    assert [k for k, _ in run.losses] == list(range(n))


def odd_nets():
    """Segments of other kinds, each with the shape of an example."""
    rng = np.random.default_rng(0)
    conv = [Conv2d(1, 2, 3, padding=1, rng=rng), ReLU(), Flatten(), Linear(50, 3, rng=rng)]
    dropped = [Linear(4, 6, rng=rng), BatchNorm(6), Dropout(0.5, rng=1), Linear(6, 3, rng=rng)]
    return {"images": (conv, (1, 5, 5), 2), "dropout": (dropped, (4,), 3)}


@pytest.mark.parametrize("transport", ["inline", "threads"])
@pytest.mark.parametrize("name", list(odd_nets()))
def test_images_batch_norm_and_dropout(name, transport):
    def make():
        layers, shape, at = odd_nets()[name]
        return Chain.cut(
            Sequential(*layers),
            (at,),
            signal=lambda above: Zero(),
            loss=SoftmaxCrossEntropy(),
            optimizer=lambda: SGD(0.1),
        ), shape

    rng = np.random.default_rng(1)
    chain, shape = make()
    x, labels = rng.standard_normal((8, *shape)).astype(np.float32), rng.integers(3, size=8)
    run = train(chain, lambda k: (x, labels), 5, mode="locked", transport=transport)
    same = steps(make()[0], lambda k: (x, labels), 5, "locked")
    for a, b in zip(
        run.chain.net.params.slabs + run.chain.net.buffers.slabs,
        same.net.params.slabs + same.net.buffers.slabs,
        strict=True,
    ):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("signal", ["greedy", "stale", "recurrent"])
def test_other_signals_and_recurrent_segments(signal):
    def make():
        rng = np.random.default_rng(0)
        recurrent = signal == "recurrent"
        below = GRU(4, 5, rng=rng) if recurrent else Linear(4, 5, rng=rng)
        made = {
            "greedy": lambda: Greedy(Linear(5, 3, rng=rng), SoftmaxCrossEntropy(), SGD(0.1)),
            "stale": lambda: Stale(3),
            "recurrent": lambda: Synthesizer(networks.linear(5, rng=rng), SGD(0.1)),
        }[signal]()
        return Chain(
            Segment(below, made, Adam(0.01)), Segment(Linear(5, 3, rng=rng), SoftmaxCrossEntropy(), Adam(0.01))
        )

    rng = np.random.default_rng(1)
    shape = (3, 8) if signal == "recurrent" else (8,)
    x, labels = rng.standard_normal((*shape, 4)).astype(np.float32), rng.integers(3, size=shape)
    run = train(make(), lambda k: (x, labels), 6, transport="inline")
    same = steps(make(), lambda k: (x, labels), 6, "decoupled")
    assert np.array_equal(nets.numbers(run.chain), nets.numbers(same))
    assert len(train(make(), lambda k: (x, labels), 6, transport="threads").losses) == 6


@pytest.mark.parametrize("transport", ["inline", "threads", "processes"])
def test_micro_batches_and_replicas_change_nothing_but_the_rounding(transport):
    source = nets.source()
    whole = nets.numbers(train(nets.chain(2), source, N, mode="locked", transport="inline").chain)
    for options in ({"micro_batches": 3}, {"replicas": 2}, {"micro_batches": 2, "replicas": 3}):
        if transport == "processes" and options != {"replicas": 2}:
            continue
        run = train(nets.chain(2), source, N, mode="locked", transport=transport, **options)
        assert np.allclose(nets.numbers(run.chain), whole, rtol=0, atol=1e-11), options


def test_replicas_of_a_decoupled_chain_stay_equal():
    source = nets.source()
    one = train(nets.chain(2), source, 8, transport="inline")
    two = train(nets.chain(2), source, 8, transport="inline", replicas=2)
    assert two.timeline.n_workers == 4
    first = nets.numbers(one.chain)
    assert 0 < np.abs(nets.numbers(two.chain) - first).max() < 0.1  # each replica's synthesizer sees half of the rows


@pytest.mark.parametrize("mode, waits", [("locked", 2), ("decoupled", 1), ("unlocked", 0)])
def test_as_many_waits_as_locks(mode, waits):
    segments = nets.chain(3, inputs=True).segments
    worker = Worker(segments[1], nets.source(), 1, 3, 0, 4, input_shape=(nets.HIDDEN,))
    h, labels = np.ones((12, nets.HIDDEN)), np.zeros(12, dtype=int)
    program, answer, received = PROGRAMS[mode](worker), None, []
    while (request := next(program, None) if answer is None else program.send(answer)) is not None:
        answer = None
        if isinstance(request, Receive):
            if request.minibatch == END:
                break  # all minibatches are over
            received.append(request)
            arrays = (h, labels) if request.sender == worker.below else (h,)
            answer = Message(request.minibatch, request.part, arrays)
    assert worker.segment.optimizer.state_of(worker.segment.net.params.leaves[0])["steps"] == 4
    assert len(received) == waits * 4


@pytest.mark.parametrize("transport", [Threads(), Processes()], ids=repr)
def test_decoupled_workers_learn_from_every_target(transport):
    run = train(nets.chain(2), nets.source(), 40, transport=transport)
    fits = [span.minibatch for span in run.timeline.spans if span.kind == "fit"]
    assert fits == list(range(40))
    assert run.chain[0].signal.optimizer.state_of(run.chain[0].signal.net.params.leaves[0])["steps"] == 40


def test_a_slow_worker_slows_the_others_and_nothing_piles_up():
    run = train(nets.chain(2, extra=(1, nets.Slow())), nets.source(), 20, capacity=2)
    ends = {span.minibatch: span.end for span in run.timeline.spans if span.kind == "update" and span.worker == 1}
    starts = {span.minibatch: span.start for span in run.timeline.spans if span.kind == "forward" and span.worker == 0}
    for k in range(5, 20):
        assert starts[k] > ends[k - 5]  # 2 wait, 1 is sent, 1 is being worked on
    assert any(span.kind == "wait" and span.worker == 0 for span in run.timeline.spans)


@pytest.mark.parametrize("slow", [0, 1, 2])
@pytest.mark.parametrize("mode", ["decoupled", "unlocked"])
def test_queues_of_one_message_lead_to_no_deadlock(mode, slow):
    run = train(
        nets.chain(3, inputs=True, extra=(slow, nets.Slow())),
        nets.source(),
        12,
        mode=mode,
        capacity=1,
        pending=2,
        patience=5,
    )
    assert len(run.losses) == 12


def test_signals_may_learn_from_fewer_rows_as_if_there_were_no_others():
    source = nets.source()
    run = train(nets.chain(2), source, 1, transport="inline", learn_rows=0.5)
    chain = nets.chain(2)
    x, labels = source(0)
    h, _ = chain[0].forward(x)
    chain[1].net.zero_grads()
    top, top_cache = chain[1].forward(h)
    dx = chain[1].backward(chain[1].signal.gradient(top, labels), top_cache)
    chain[0].signal.fit(h[:6], 2 * dx[:6])
    assert np.allclose(
        run.chain[0].signal.net.params.slabs[0], chain[0].signal.net.params.slabs[0], rtol=1e-12, atol=1e-15
    )


def test_the_trace_and_what_waits_for_targets_stay_bounded():
    run = train(nets.chain(2), nets.source(), 300, transport="inline", trace=50, pending=3)
    assert len(run.timeline.spans) == 100
    assert max(span.minibatch for span in run.timeline.spans) == 299


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["threads", "processes"])
def test_memory_stays_constant_over_ten_thousand_minibatches(transport):
    import resource

    who = resource.RUSAGE_CHILDREN if transport == "processes" else resource.RUSAGE_SELF
    train(nets.chain(2), nets.source(), 1000, transport=transport, trace=500)
    early = resource.getrusage(who).ru_maxrss
    train(nets.chain(2), nets.source(), 10_000, transport=transport, trace=500)
    assert resource.getrusage(who).ru_maxrss < early + 8 * 1024  # KiB


def test_workers_on_a_device(device, on_a_gpu):
    wanted = nets.numbers(train(nets.chain(2), nets.source(), 8, mode="locked", transport="inline").chain)
    for transport in ("inline", *(("threads", "processes") if on_a_gpu else ())):
        run = train(nets.chain(2), nets.source(), 8, mode="locked", transport=transport, devices=[device, device])
        for segment in run.chain:
            segment.net.to("cpu")
            getattr(segment.signal, "net", segment.net).to("cpu")
        assert np.allclose(nets.numbers(run.chain), wanted, rtol=0, atol=1e-12)
