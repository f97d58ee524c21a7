"""Download one file: mirrors in turn, resumed where it stopped, and used only if its sha256 sum is right.

The bytes go to `NAME.part`, with which a later call goes on, and become `NAME` in one step once the sum is
right.
"""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .lock import one_at_a_time

CHUNK = 1 << 16


class MirrorError(Exception):
    """A mirror did not deliver the file; the message says what it did instead."""


def download(urls: Sequence[str], path: Path, sha256: str, size: int, *, timeout: float = 30.0) -> None:
    """Bring a file from the first mirror that has it to `path`; do nothing if it is there.

    Safe to call from several processes at once: one downloads and the others wait for it.

    Args:
        urls: the same file on several mirrors, tried in this order.
        path: where the file goes; its folder is made. Nothing else than the whole, verified file is ever put there.
        sha256: the file's sum.
        size: the file's length in bytes.
        timeout: after how many seconds without a byte a mirror is given up.

    Raises:
        ConnectionError: if no mirror delivers it; the sentence tells what each did. What has arrived stays in
            `NAME.part` for the next call, unless its sum is wrong.
        OSError: if it cannot be written; then nothing is left behind.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(path.with_name(path.name + ".lock")):
            if path.exists():
                return
            failures = _fetch_from_first(urls, part, sha256, size, timeout)
            if len(failures) < len(urls):
                os.replace(part, path)
                return
    except OSError as error:  # of the disk: what goes wrong with the network is a MirrorError
        raise OSError(f"cannot write {path} ({error.strerror or error})") from None
    raise ConnectionError(f"could not download {path.name}: {'; '.join(failures)}")


def _fetch_from_first(urls: Sequence[str], part: Path, sha256: str, size: int, timeout: float) -> list[str]:
    """Complete `part` from the first mirror that can; what went wrong with those before it (with all: no file)."""
    failures = []
    try:
        for url in urls:
            try:
                _fetch_verified(url, part, sha256, size, timeout)
                break
            except MirrorError as error:
                failures.append(f"{url} {error}")
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    return failures


def _fetch_verified(url: str, part: Path, sha256: str, size: int, timeout: float) -> None:
    """Complete `part` from this mirror, or raise MirrorError; drop a whole `part` with a wrong sum."""
    while True:
        resumed = _fetch(url, part, size, timeout)
        with part.open("rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
        if got == sha256:
            return
        part.unlink()
        if not resumed:
            raise MirrorError(f"sent a file with the sha256 sum {got}, expected {sha256}")


def _fetch(url: str, part: Path, size: int, timeout: float) -> bool:
    """Bring `part` to its full size from this mirror, or raise MirrorError. True if earlier bytes were kept."""
    have = part.stat().st_size if part.exists() else 0
    if have >= size:  # complete but never verified, or something else altogether: the sum will tell
        return True
    headers = {"User-Agent": "minidni", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with _explaining_network_errors(timeout):
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    with response:
        start = have if response.status == 206 else 0  # a server without ranges sends the whole file again
        if start and not (response.headers["Content-Range"] or "").startswith(f"bytes {start}-"):
            raise MirrorError(f"sent the range {response.headers['Content-Range']!r}, expected one from byte {start}")
        length = response.headers["Content-Length"]
        if length is not None and length.isdecimal() and start + int(length) != size:
            raise MirrorError(f"has a file of {start + int(length):,} bytes, expected {size:,}")
        with part.open("ab" if start else "wb") as file, _progress(part.stem, start, size) as advance:
            _copy(response, file, size - start, timeout, advance)
    return start > 0


def _copy(
    response: http.client.HTTPResponse,
    file: BinaryIO,
    missing: int,
    timeout: float,
    advance: Callable[[int], object],
) -> None:
    left = missing
    while True:
        with _explaining_network_errors(timeout):
            chunk = response.read1(CHUNK)
        if not chunk:
            break
        if len(chunk) > left:
            # without a Content-Length nothing else stops an endless answer
            file.truncate(0)
            raise MirrorError("sent more bytes than the file has")
        file.write(chunk)
        left -= len(chunk)
        advance(len(chunk))
    if left:
        raise MirrorError(f"broke off {left:,} bytes before the end")


@contextmanager
def _explaining_network_errors(timeout: float) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise MirrorError(f"answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise MirrorError(f"cannot be reached ({error.reason})") from None
    except TimeoutError:
        raise MirrorError(f"sent nothing for {timeout:g} seconds") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise MirrorError(f"broke off ({error or type(error).__name__})") from None


@contextmanager
def _progress(name: str, start: int, size: int) -> Iterator[Callable[[int], object]]:
    """A function to call with each number of bytes that arrived: tqdm's bar, or nothing without tqdm."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda n: None
    else:
        with tqdm(desc=name, initial=start, total=size, unit="B", unit_scale=True, leave=False) as bar:
            yield bar.update
