"""What `train` says to wrong arguments: one sentence that names the argument, what it got and what it expected."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from locking import nets

from minidni import SGD, Chain, Segment
from minidni.dni import Exact
from minidni.locking import Checkpoints, train

N = 5


@pytest.mark.parametrize(
    "arguments, error, sentence",
    [
        ({"mode": "loose"}, ValueError, "mode is 'loose', expected one of locked, decoupled, unlocked"),
        (
            {"transport": "pigeons"},
            ValueError,
            "transport is 'pigeons', expected one of inline, threads, processes, ray, mpi",
        ),
        ({"transport": 3}, TypeError, "transport is 3, expected one of inline"),
        ({"micro_batches": 2}, ValueError, "micro_batches is 2 in mode 'decoupled', expected 1: they are for 'locked'"),
        ({"capacity": 0}, ValueError, "capacity is 0, expected"),
        ({"replicas": 1.5}, TypeError, "replicas is 1.5, expected"),
        ({"lag": 16}, ValueError, "lag is 16 with pending=16, expected a smaller lag"),
        ({"learn_rows": 1.5}, ValueError, "learn_rows is 1.5, expected at most 1"),
        ({"learn_rows": 0}, ValueError, "learn_rows is 0, expected"),
        ({"resume": True}, ValueError, "without checkpoints, expected a folder for them"),
        ({"devices": ["cpu"]}, ValueError, "devices has 1 entries, expected 2, one for each worker"),
        ({"mode": "unlocked"}, TypeError, "part 1 has no inputs, expected a synthesizer of its input"),
    ],
)
def test_wrong_arguments(arguments, error, sentence):
    with pytest.raises(error, match=f"train: .*{sentence.replace('(', '.')}"):
        train(nets.chain(2), nets.source(), N, **arguments)


def test_what_is_no_chain_no_source_and_no_number():
    with pytest.raises(TypeError, match="train: chain is of type Sequential, expected a Chain"):
        train(nets.chain(2).net, nets.source(), N)
    with pytest.raises(TypeError, match="train: source is 3, expected a function that gives minibatch k"):
        train(nets.chain(2), 3, N)
    with pytest.raises(ValueError, match="train: n is 0, expected"):
        train(nets.chain(2), nets.source(), 0)
    with pytest.raises(ValueError, match="Checkpoints: every is 0, expected"):
        Checkpoints("folder", every=0)


def test_a_top_without_a_loss_and_a_signal_that_looks_up():
    bottom, top = nets.chain(2)
    with pytest.raises(
        TypeError, match=r"the signal of part 0, the topmost segment, is Synthesizer.*, expected a loss"
    ):
        train(Chain(bottom), nets.source(), N)
    exact = Segment(bottom.net, Exact(top.net, top.signal), SGD(0.1), name="part 0")
    with pytest.raises(
        ValueError, match='looks at the layers above while another worker trains them; expected transport="in'
    ):
        train(Chain(exact, top), nets.source(), N)
    assert len(train(Chain(exact, top), nets.source(), N, transport="inline").losses) == N


@pytest.mark.parametrize("transport", ["inline", "threads"])
def test_rows_that_cannot_be_shared_evenly(transport):
    with pytest.raises(
        Exception, match="minibatch 0 has 12 rows, expected a multiple of 5, replicas times micro_batches"
    ):
        train(nets.chain(2), nets.source(), N, mode="locked", micro_batches=5, transport=transport)


def test_a_message_for_which_there_is_no_room():
    with pytest.raises(
        Exception, match=r"bytes, expected at most [\d,]+: room is made for messages as large as those of m"
    ):
        train(nets.chain(2), nets.Growing(), N, transport="processes")


def test_what_no_process_can_be_handed():
    with pytest.raises(
        TypeError, match=r"train: worker 0 cannot be pickled for its process .*expected a source, and layers"
    ):
        train(nets.chain(2), lambda k: nets.source()(k), N, transport="processes")
    chain = nets.chain(2)
    chain[0].optimizer.lr = lambda step: 0.1
    with pytest.raises(TypeError, match=r"train: the chain cannot be pickled .*expected layers and rates that can"):
        train(chain, nets.source(), N)


def test_a_source_that_raises():
    def source(k):
        if k == 3:
            raise KeyError("no such file")
        return nets.source()(k)

    with pytest.raises(Exception, match=r"worker 0 \(part 0\) raised KeyError in minibatch 3: 'no such file'"):
        train(nets.chain(2), source, N)


def test_a_script_without_its_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from locking import nets\nfrom minidni.locking import train\n"
        "train(nets.chain(2), nets.source(), 5, transport='processes')\n"
    )
    tests = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 1
    last = done.stderr.rstrip().splitlines()[-1]
    assert 'a script must start it below `if __name__ == "__main__":`' in last


def test_nothing_comes_of_a_wrong_call(tmp_path):
    before = nets.numbers(chain := nets.chain(2))
    with pytest.raises(ValueError):
        train(chain, nets.source(), N, checkpoints=tmp_path / "c", lag=99)
    assert np.array_equal(nets.numbers(chain), before)
    assert not (tmp_path / "c").exists()
