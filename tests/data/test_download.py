"""Downloads over a real network, the loopback: each way a mirror, a disk or a second process can get in the way."""

import _thread
import errno
import hashlib
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from minidni.data.download import download

CONTENT = np.random.default_rng(0).bytes(100_000)
SUM = hashlib.sha256(CONTENT).hexdigest()


def fetch(path, *mirrors, timeout=10.0):
    download([m.url + "file.gz" for m in mirrors], path, SUM, len(CONTENT), timeout=timeout)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "folder" / "file.gz"


@pytest.fixture
def good(serve):
    return serve({"file.gz": CONTENT})


def listing(path):
    return sorted(p.name for p in path.parent.iterdir())


def leave_part(path, data):
    path.parent.mkdir(parents=True)
    path.with_name("file.gz.part").write_bytes(data)


@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_arrives_whole_and_alone(path, good, says_length):
    good.says_length = says_length
    fetch(path, good)
    assert path.read_bytes() == CONTENT
    assert listing(path) == ["file.gz"]


def test_a_file_that_is_there_is_not_asked_for(path, good):
    fetch(path, good)
    fetch(path, good)
    assert len(good.asked) == 1


def test_a_partial_file_is_resumed(path, good):
    leave_part(path, CONTENT[:70_000])
    fetch(path, good)
    assert path.read_bytes() == CONTENT
    assert good.asked == [("/file.gz", "bytes=70000-")]


def test_without_ranges_the_partial_file_is_discarded(path, good):
    good.ranges = False
    leave_part(path, CONTENT[:70_000])
    fetch(path, good)
    assert path.read_bytes() == CONTENT
    assert listing(path) == ["file.gz"]


@pytest.mark.parametrize("length", [70_000, 100_000, 100_001])
def test_a_partial_file_of_something_else_is_discarded(path, good, length):
    leave_part(path, bytes(length))
    fetch(path, good)
    assert path.read_bytes() == CONTENT
    assert good.asked[-1] == ("/file.gz", None)  # the last word is a fresh start


def test_a_whole_partial_file_needs_no_network(path, good):
    leave_part(path, CONTENT)
    fetch(path, good)
    assert path.read_bytes() == CONTENT
    assert not good.asked


def test_a_range_from_the_wrong_byte_is_refused(path, good):
    good.shifted = 1
    leave_part(path, CONTENT[:70_000])
    with pytest.raises(ConnectionError, match="expected one from byte 70000"):
        fetch(path, good)
    assert path.with_name("file.gz.part").read_bytes() == CONTENT[:70_000]


def bad_mirrors(serve):
    missing, garbage, long, endless = serve({}), serve({}), serve({}), serve({})
    garbage.files["file.gz"] = bytes(len(CONTENT))
    long.files["file.gz"] = b"<html>sorry</html>" * 10
    endless.files["file.gz"] = CONTENT + CONTENT
    endless.says_length = False
    return missing, garbage, long, endless


def test_mirrors_are_tried_in_turn(path, serve, good):
    bad = bad_mirrors(serve)
    fetch(path, *bad, good)
    assert path.read_bytes() == CONTENT
    assert all(mirror.asked for mirror in bad)


def test_one_sentence_says_what_each_mirror_did(path, serve):
    bad = bad_mirrors(serve)
    with pytest.raises(ConnectionError) as caught:
        fetch(path, *bad)
    message = str(caught.value)
    assert all(mirror.url in message for mirror in bad)
    for words in ("404", SUM, "has a file of 180 bytes, expected 100,000", "more bytes than the file has"):
        assert words in message
    assert not path.exists()


def test_a_mirror_that_nobody_runs(path, serve, good):
    good.shutdown()
    good.server_close()
    with pytest.raises(ConnectionError, match="cannot be reached"):
        fetch(path, good)


def test_the_next_mirror_goes_on_where_the_last_broke_off(path, serve, good):
    breaking = serve({"file.gz": CONTENT})
    breaking.breaks_after = 30_000
    fetch(path, breaking, good)
    assert path.read_bytes() == CONTENT
    assert good.asked == [("/file.gz", "bytes=30000-")]


def test_what_a_broken_connection_brought_is_kept_for_the_next_call(path, good):
    good.breaks_after = 30_000
    for attempt in range(1, 4):
        with pytest.raises(ConnectionError, match=f"{100_000 - 30_000 * attempt:,} bytes before the end"):
            fetch(path, good)
        assert listing(path) == ["file.gz.part"]
        assert path.with_name("file.gz.part").read_bytes() == CONTENT[: 30_000 * attempt]
    fetch(path, good)
    assert path.read_bytes() == CONTENT


def test_slow_is_not_broken(path, good):
    good.pause = 0.005
    fetch(path, good, timeout=5.0)
    assert path.read_bytes() == CONTENT


def test_a_mirror_that_falls_silent_is_given_up(path, serve, good):
    silent, over = serve({"file.gz": CONTENT}), threading.Event()
    silent.halfway = over.wait
    try:
        with pytest.raises(ConnectionError, match=r"sent nothing for 0\.2 seconds"):
            fetch(path, silent, timeout=0.2)
        fetch(path, silent, good, timeout=0.2)
    finally:
        over.set()
    assert path.read_bytes() == CONTENT


def test_an_interrupt_leaves_only_the_part(path, good):
    over = threading.Event()

    def interrupt():
        _thread.interrupt_main()  # Ctrl-C; noticed when the next bytes arrive, which follow
        good.halfway = over.wait

    good.halfway = interrupt
    good.pause = 0.001
    good.files["file.gz"] = CONTENT
    try:
        with pytest.raises(KeyboardInterrupt):
            fetch(path, good)
    finally:
        over.set()
    assert listing(path) == ["file.gz.part"]
    kept = path.with_name("file.gz.part").read_bytes()
    assert CONTENT.startswith(kept)
    fetch(path, good)
    assert path.read_bytes() == CONTENT


def test_a_full_disk_leaves_nothing(path, good):
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write .*file\.gz \(File too large\)") as caught:
            fetch(path, good)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not isinstance(caught.value, ConnectionError)
    assert listing(path) == []


def test_a_folder_that_cannot_be_made(tmp_path, good):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="cannot write"):
        fetch(tmp_path / "file" / "file.gz", good)


def fetch_in_a_process(path, mirror):
    program = (
        "import sys; from pathlib import Path; from minidni.data.download import download; "
        f"download([{mirror.url + 'file.gz'!r}], Path(sys.argv[1]), {SUM!r}, {len(CONTENT)})"
    )
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=root, stderr=subprocess.DEVNULL)


def test_a_killed_process_blocks_nobody_and_its_part_is_resumed(path, good):
    over, reached = threading.Event(), threading.Event()

    def hold():
        reached.set()
        over.wait()

    good.halfway = hold
    with fetch_in_a_process(path, good) as process:
        assert reached.wait(60)
        while not path.with_name("file.gz.part").stat().st_size:
            time.sleep(0.01)
        process.kill()
    over.set()
    fetch(path, good)
    assert path.read_bytes() == CONTENT
    assert good.asked[-1][1] is not None
    assert listing(path) == ["file.gz"]


def test_a_file_system_without_locks_will_do(path, good, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="Windows has other locks")

    def flock(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    fetch(path, good)
    assert path.read_bytes() == CONTENT


def test_processes_take_turns(path, good):
    good.pause = 0.01
    processes = [fetch_in_a_process(path, good) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert path.read_bytes() == CONTENT
    assert listing(path) == ["file.gz"]
    assert len(good.asked) == 1


def test_threads_take_turns(path, good):
    good.pause = 0.001
    threads = [threading.Thread(target=fetch, args=(path, good)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == CONTENT
    assert len(good.asked) == 1


def test_works_without_tqdm(path, good, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    fetch(path, good)
    assert path.read_bytes() == CONTENT


def test_the_bar_counts_every_byte(path, good, monkeypatch):
    import tqdm

    bars = []

    class Bar(tqdm.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            bars.append(self)

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    leave_part(path, CONTENT[:70_000])
    fetch(path, good)
    assert [(bar.n, bar.total) for bar in bars] == [(100_000, 100_000)]
