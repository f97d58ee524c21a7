"""A run goes on from its last complete checkpoint; a checkpoint that cannot be written costs nothing but itself."""

import resource
import signal

import numpy as np
import pytest
from locking import nets

from minidni.locking import Checkpoints, WorkerFailed, train

N = 24


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("transport", ["inline", "threads", "processes"])
def test_a_locked_run_that_is_resumed_is_the_uninterrupted_one_bit_for_bit(tmp_path, transport):
    source = nets.source()
    whole = train(nets.chain(2), source, N, mode="locked", transport="inline")
    checkpoints = Checkpoints(tmp_path / "new", every=5)
    train(nets.chain(2), source, 13, mode="locked", transport=transport, checkpoints=checkpoints)
    assert checkpoints.complete(2) == [4, 9]
    run = train(
        nets.chain(2, seed=7), source, N, mode="locked", transport=transport, checkpoints=checkpoints, resume=True
    )
    assert np.array_equal(nets.numbers(run.chain), nets.numbers(whole.chain))
    assert run.losses == whole.losses
    assert min(span.minibatch for span in run.timeline.spans) == 10
    assert checkpoints.complete(2) == [14, 19]
    assert len(names(tmp_path / "new")) <= 5  # the worker that is ahead cannot know yet that an older part may go


def test_a_decoupled_run_that_is_resumed_lacks_at_most_the_targets_under_way(tmp_path):
    checkpoints = Checkpoints(tmp_path, every=5)
    train(nets.chain(2), nets.source(), 12, transport="inline", checkpoints=checkpoints)
    run = train(nets.chain(2), nets.source(), N, transport="inline", checkpoints=checkpoints, resume=True)
    learned = [span.minibatch for span in run.timeline.spans if span.kind == "fit"]
    assert learned == list(range(10, N))
    assert [k for k, _ in run.losses] == list(range(N))


def test_a_killed_worker_is_started_again_and_goes_on(tmp_path):
    chain = nets.chain(2, extra=(1, nets.Killed(str(tmp_path / "killed"), at=13)))
    plain = train(nets.chain(2, extra=(1, nets.Killed(at=10**6))), nets.source(), N, mode="locked", transport="inline")
    with pytest.warns(
        RuntimeWarning, match="was killed by signal 9 in minibatch 13; it goes on behind the last checkpoint"
    ):
        run = train(
            chain, nets.source(), N, mode="locked", transport="processes",
            checkpoints=Checkpoints(tmp_path / "c", every=4), restarts=1,
        )  # fmt: skip
    assert np.array_equal(nets.numbers(run.chain), nets.numbers(plain.chain))


def test_a_failure_names_the_last_checkpoint(tmp_path):
    with pytest.raises(
        WorkerFailed, match=r"the last complete checkpoint: behind minibatch 3 in .*, from which resume=True"
    ):
        train(
            nets.chain(2, extra=(0, nets.Raises())),
            nets.source(),
            N,
            checkpoints=Checkpoints(tmp_path, every=2),
            mode="locked",
        )


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(tmp_path):
    checkpoints = Checkpoints(tmp_path, every=5)
    train(nets.chain(2), nets.source(), 5, transport="inline", checkpoints=checkpoints)
    before = names(tmp_path)
    old, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))  # no file may grow beyond: the system's "file too large"
    try:
        with pytest.warns(
            RuntimeWarning, match=r"worker . \(part .\): the checkpoint behind minibatch 9 could not be written"
        ):
            run = train(nets.chain(2), nets.source(), N, transport="inline", checkpoints=checkpoints, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert run.losses[-1][0] == N - 1
    assert run.counts == {"checkpoint not written": 6}
    assert names(tmp_path) == before  # the old one is whole, and there is no half of a new one


def test_part_of_a_checkpoint_is_none(tmp_path):
    checkpoints = Checkpoints(tmp_path, every=5, keep=None)
    train(nets.chain(2), nets.source(), 20, transport="inline", checkpoints=checkpoints)
    (tmp_path / f"{19:09}.1-of-2.checkpoint").unlink()
    assert checkpoints.latest(2) == 14


def test_what_cannot_be_resumed_from_is_named(tmp_path):
    checkpoints = Checkpoints(tmp_path, every=5)
    train(nets.chain(2), nets.source(), 5, transport="inline", checkpoints=checkpoints)
    with pytest.raises(ValueError, match="holds checkpoints of 2 workers, expected 3"):
        train(nets.chain(3), nets.source(), N, transport="inline", checkpoints=checkpoints, resume=True)
    (tmp_path / f"{4:09}.1-of-2.checkpoint").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"4\.1-of-2\.checkpoint is not a part of a checkpoint that can be read"):
        train(nets.chain(2), nets.source(), N, transport="inline", checkpoints=checkpoints, resume=True)


def test_with_nothing_to_resume_from_it_begins_at_the_start(tmp_path):
    run = train(nets.chain(2), nets.source(), 3, transport="inline", checkpoints=tmp_path / "none", resume=True)
    assert len(run.losses) == 3


def test_what_is_finished_stays_finished(tmp_path):
    checkpoints = Checkpoints(tmp_path, every=5)
    options = {"mode": "locked", "checkpoints": checkpoints}
    run = train(nets.chain(2), nets.source(), 10, transport="inline", **options)
    again = train(nets.chain(2), nets.source(), 10, transport="threads", resume=True, **options)
    assert np.array_equal(nets.numbers(run.chain), nets.numbers(again.chain))
