"""Targets that come faster than they are learned from, or while a worker waits: none holds it up, none is lost."""

import os
import sys
import threading
from collections import deque

import numpy as np
from locking import nets

from minidni.locking.drive import Wire
from minidni.locking.messages import Done, Message, Poll, Receive
from minidni.locking.programs import decoupled
from minidni.locking.worker import Worker
from minidni.nn.files import _umask


def test_a_sender_that_has_another_target_ready_after_each_one_learned_cannot_hold_a_worker():
    chain, n = nets.chain(stages=2), 4
    worker = Worker(chain[0], nets.source(), 0, 2, 0, n)
    h, labels = np.zeros((2, nets.HIDDEN)), np.zeros(2, int)
    target = Message(0, arrays=(np.zeros_like(h), h, labels))  # with its own trigger, as an unlocked sender's
    waiting, learned = deque([target]), []

    def learn(*_):
        learned.append(target)
        waiting.append(target)

    chain[0].signal.learn = learn
    program, answer, done = decoupled(worker), None, 0
    for _ in range(100):
        request = program.send(answer)
        done += isinstance(request, Done)
        if isinstance(request, Receive):  # all minibatches are over, and it waits for the end
            break
        answer = waiting.popleft() if isinstance(request, Poll) and waiting else None
    assert done == len(learned) == n


class Full:
    """A port that has room only after being asked some times, and targets that have come meanwhile."""

    def __init__(self, times, targets):
        self.times, self.targets, self.sent = times, deque(targets), []

    def try_send(self, to, message, seconds):
        self.times -= 1
        if self.times < 0:
            self.sent.append(message)
        return self.times < 0

    def try_receive(self, sender, seconds):
        return self.targets.popleft() if self.targets else None


class Quiet:
    def stopped(self):
        return False


def test_a_worker_that_waits_for_room_takes_in_as_many_targets_as_it_keeps_and_leaves_the_others():
    worker = Worker(nets.chain(stages=3)[1], nets.source(), 1, 3, 0, 9, pending=2)
    targets = [Message(k, arrays=(np.zeros(1),)) for k in range(5)]
    port = Full(times=4, targets=targets)
    wire = Wire(worker, "decoupled", port, Quiet(), patience=60.0)
    wire.send(2, Message(7))
    assert [message.minibatch for message in port.sent] == [7]
    assert [message.minibatch for message in port.targets] == [2, 3, 4]
    assert worker.counts["given up"] == 0
    assert [wire.poll(2).minibatch for _ in range(5)] == [0, 1, 2, 3, 4]


def test_to_ask_for_the_umask_in_many_threads_leaves_it_as_it_was():
    before, interval = os.umask(0o027), sys.getswitchinterval()
    found = []
    try:
        sys.setswitchinterval(1e-6)
        threads = [threading.Thread(target=lambda: found.extend(_umask() for _ in range(3000))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(found) == {0o027}
        assert os.umask(0o027) == 0o027
    finally:
        sys.setswitchinterval(interval)
        os.umask(before)
