"""The lock file: one at a time, also in the moment in which the lock changes hands."""

import threading
from contextlib import ExitStack

import pytest

from minidni.data import lock
from minidni.data.lock import one_at_a_time


def test_a_lock_whose_file_is_gone_does_not_count(tmp_path, monkeypatch):
    path = tmp_path / "x.lock"
    polled, may_poll, entered = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    def wait_for_the_word(seconds):
        polled.release()
        assert may_poll.acquire(timeout=60)

    def second():
        with one_at_a_time(path):
            entered.set()
        polled.release()

    monkeypatch.setattr(lock.time, "sleep", wait_for_the_word)
    thread = threading.Thread(target=second)
    with ExitStack() as first:
        first.enter_context(one_at_a_time(path))
        thread.start()
        assert polled.acquire(timeout=60)  # the second has opened the file and waits
    with one_at_a_time(path):  # a third is faster, and makes a file of its own
        may_poll.release()
        assert polled.acquire(timeout=60)
        assert not entered.is_set()
    may_poll.release()
    thread.join(60)
    assert entered.is_set()


def test_an_error_inside_frees_the_lock_and_leaves_no_file(tmp_path):
    path = tmp_path / "x.lock"
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), one_at_a_time(path):
            raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_waiting_can_be_interrupted(tmp_path, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    path = tmp_path / "x.lock"
    monkeypatch.setattr(lock.time, "sleep", interrupt)
    with one_at_a_time(path), pytest.raises(KeyboardInterrupt), one_at_a_time(path):
        pass
    with one_at_a_time(path):
        pass
