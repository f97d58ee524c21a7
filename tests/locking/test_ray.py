"""Workers as Ray's actors, in a local Ray, and in a cluster of two nodes: `python tests -m slow tests/locking`.

Ray takes long to start, and on a busy machine gives up; so what needs it is not run unless asked for.
"""

import sys
import time

import numpy as np
import pytest
from locking import nets

from minidni.locking import Checkpoints, Fault, WorkerFailed, train
from minidni.locking.over_ray import Ray

N = 25


@pytest.fixture(scope="module")
def ray():
    """A local Ray for all tests: it takes seconds to start."""
    found = pytest.importorskip("ray")
    found.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR", configure_logging=False)
    yield found
    found.shutdown()


@pytest.mark.slow
def test_locked_actors_take_the_steps_of_backprop_bit_for_bit(ray):
    source, plain = nets.source(), nets.chain(2)
    for k in range(N):
        plain.backprop(*source(k))
    faults = [Fault("late", 0, 1, 4, seconds=0.05), Fault("repeated", 1, 0, 6)]
    run = train(nets.chain(2), source, N, mode="locked", transport="ray", faults=faults)
    assert np.array_equal(nets.numbers(run.chain), nets.numbers(plain))
    assert ray.is_initialized()  # it was not started there, so it is not shut down there


@pytest.mark.slow
def test_decoupled_actors_learn_from_every_target(ray):
    run = train(nets.chain(2), nets.source(), N, transport="ray", capacity=1)
    assert [span.minibatch for span in run.timeline.spans if span.kind == "fit"] == list(range(N))
    assert len(run.losses) == N
    starts = [span.start for span in run.timeline.spans if span.kind == "forward" and span.worker == 1]
    ends = [span.end for span in run.timeline.spans if span.kind == "forward" and span.worker == 0]
    assert all(end < start for end, start in zip(ends, starts, strict=True))  # their clocks agree


@pytest.mark.slow
def test_an_actor_that_raises(ray):
    with pytest.raises(
        WorkerFailed, match=r"worker 1 \(part 1\) raised ZeroDivisionError in minibatch 5: the layer's own"
    ):
        train(nets.chain(2, extra=(1, nets.Raises())), nets.source(), N, transport="ray")


@pytest.mark.slow
def test_an_actor_that_is_killed(ray):
    start = time.monotonic()
    with pytest.raises(
        WorkerFailed, match=r"worker 0 \(part 0\) died \(\w*Actor\w*Error\), last heard of behind minibatch"
    ):
        train(nets.chain(2, extra=(0, nets.Killed())), nets.source(), N, transport="ray")
    assert time.monotonic() - start < 40


@pytest.mark.slow
def test_more_than_the_cluster_has(ray):
    with pytest.raises(ValueError, match="Ray: the workers ask for 6 of CPU, but the cluster has 4"):
        train(nets.chain(2), nets.source(), N, transport=Ray(options={"num_cpus": 3}))
    with pytest.raises(ValueError, match="Ray: options has 1 entries, expected one for each of 2 workers"):
        train(nets.chain(2), nets.source(), N, transport=Ray(options=[{}]))


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'transport "ray" needs Ray .*: pip install "minidni\[ray\]"'):
        train(nets.chain(2), nets.source(), 3, transport="ray")


@pytest.mark.slow
def test_replicas_unlocked_and_resumed_after_a_kill(ray, tmp_path):
    alone = train(nets.chain(1), nets.source(), N, mode="locked", transport="inline")
    both = train(nets.chain(1), nets.source(), N, mode="locked", transport="ray", replicas=2)
    assert np.allclose(nets.numbers(both.chain), nets.numbers(alone.chain), rtol=0, atol=1e-11)
    assert len(train(nets.chain(2, inputs=True), nets.source(), N, mode="unlocked", transport="ray").losses) == N
    chain = nets.chain(2, extra=(1, nets.Killed(str(tmp_path / "killed"), at=13)))
    with pytest.warns(RuntimeWarning, match="died .* it goes on behind the last checkpoint"):
        run = train(
            chain, nets.source(), N, mode="locked", transport="ray",
            checkpoints=Checkpoints(tmp_path / "c", every=4), restarts=1,
        )  # fmt: skip
    plain = train(nets.chain(2, extra=(1, nets.Killed(at=10**6))), nets.source(), N, mode="locked", transport="inline")
    assert np.array_equal(nets.numbers(run.chain), nets.numbers(plain.chain))


@pytest.mark.slow
def test_a_cluster_of_two_nodes(ray):
    from ray.cluster_utils import Cluster

    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "resources": {"below": 1}})
    try:
        cluster.add_node(num_cpus=1, resources={"above": 1})
        cluster.wait_for_nodes()
        where = Ray(cluster.address, [{"resources": {"below": 1}}, {"resources": {"above": 1}}])
        plain = train(nets.chain(2), nets.source(), N, mode="locked", transport="inline")
        run = train(nets.chain(2), nets.source(), N, mode="locked", transport=where)
        assert np.array_equal(nets.numbers(run.chain), nets.numbers(plain.chain))
        assert len(train(nets.chain(2), nets.source(), N, transport=where).losses) == N
        with pytest.raises(ValueError, match="the workers ask for 2 of below, but the cluster has 1"):
            train(nets.chain(2), nets.source(), N, transport=Ray(cluster.address, {"resources": {"below": 1}}))
    finally:
        cluster.shutdown()
