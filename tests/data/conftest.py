"""A folder and a network of their own for the tests of the loaders: nothing leaves this machine."""

import gzip
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from minidni.data import mnist


class Mirror(ThreadingHTTPServer):
    """A real server on the loopback, and ways in which it may misbehave. `asked`: path and Range of each request."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.ranges = True  # whether it honours the Range header
        self.says_length = True
        self.shifted = 0  # by how many bytes it misunderstands a range
        self.breaks_after: int | None = None  # bytes of an answer after which it closes the connection
        self.pause = 0.0  # seconds before each 4 KiB
        self.halfway: Callable[[], object] = lambda: None  # called in the middle of an answer
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        mirror, wanted = self.server, self.headers["Range"]
        mirror.asked.append((self.path, wanted))
        content = mirror.files.get(self.path.removeprefix("/"))
        if content is None:
            self.send_error(404)
            return
        start = 0
        if wanted and mirror.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) + mirror.shifted
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        if mirror.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        body = body[: mirror.breaks_after]
        for at in range(0, len(body), 4096):
            if at <= len(body) // 2 < at + 4096:
                mirror.halfway()
            time.sleep(mirror.pause)
            self.wfile.write(body[at : at + 4096])

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def _serving(files: dict[str, bytes]) -> Iterator[Mirror]:
    with Mirror(files) as mirror:
        thread = threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield mirror
        finally:
            mirror.shutdown()
            thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, bytes]], Mirror]]:
    """Start a mirror with these files; call it again for another."""
    with ExitStack() as stack:
        yield lambda files: stack.enter_context(_serving(files))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, an empty one, on every system; and no proxy between the tests and their mirrors."""
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("MINIDNI_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    from minidni.data import cache_folder

    return cache_folder()


def idx_bytes(array: np.ndarray) -> bytes:
    """An idx file, written from the format's description and not with the package's help."""
    return b"\0\0\x08" + bytes([array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


class SmallSet:
    """A set like MNIST with 50 and 20 random images: `arrays`, and `packed` and `unpacked` bytes by file name."""

    def __init__(self, like: mnist.IdxSet, seed: int):
        rng = np.random.default_rng(seed)
        shapes = {"train-images-idx3": (50, 28, 28), "train-labels-idx1": (50,)}
        shapes |= {"t10k-images-idx3": (20, 28, 28), "t10k-labels-idx1": (20,)}
        self.arrays = {
            f"{name}-ubyte": rng.integers(0, 10 if "labels" in name else 256, shape, dtype=np.uint8)
            for name, shape in shapes.items()
        }
        self.unpacked = {name: idx_bytes(array) for name, array in self.arrays.items()}
        self.packed = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in self.unpacked.items()}
        self.set = mnist.IdxSet(
            name=like.name,
            folder=like.folder,
            files=tuple(
                mnist.IdxFile(
                    name,
                    array.shape,
                    hashlib.sha256(self.unpacked[name]).hexdigest(),
                    hashlib.sha256(self.packed[f"{name}.gz"]).hexdigest(),
                    len(self.packed[f"{name}.gz"]),
                )
                for name, array in self.arrays.items()
            ),
            mirrors=(),
            class_names=like.class_names,
            source=like.source,
        )

    def put(self, folder: Path, *, packed: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in (self.packed if packed else self.unpacked).items():
            (folder / name).write_bytes(data)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> SmallSet:
    """In place of MNIST, a small set of the same kind."""
    small = SmallSet(mnist.MNIST, 1)
    monkeypatch.setattr(mnist, "MNIST", small.set)
    return small


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch) -> SmallSet:
    """In place of Fashion-MNIST, another one."""
    twin = SmallSet(mnist.FASHION_MNIST, 2)
    monkeypatch.setattr(mnist, "FASHION_MNIST", twin.set)
    return twin
