"""The idx format of MNIST and its relatives: read a file, or refuse it in one sentence.

An idx file is: two zero bytes, a byte for the type of the numbers (8: unsigned bytes, the only one used
here), a byte for the number of axes, each axis' length as a big-endian 32-bit integer, then the numbers.
"""

import gzip
import hashlib
import zlib
from math import prod
from pathlib import Path

import numpy as np

GZIP_MAGIC = b"\x1f\x8b"


class WrongFile(ValueError):
    """A file is not the one expected: the message says why. `sha256` is its sum, where only that is wrong."""

    def __init__(self, message: str, sha256: str = ""):
        super().__init__(message)
        self.sha256 = sha256


def read_idx(path: Path, shape: tuple[int, ...], sha256: str) -> np.ndarray:
    """The numbers in an idx file, packed with gzip or not, if it is whole and the one expected.

    Args:
        path: the file. Whether it is packed is seen from its first bytes, not from its name: some browsers
            unpack a `.gz` on the way and keep the name.
        shape: the expected shape.
        sha256: the expected sum of the *unpacked* bytes, which stays the same however often a file is packed
        again.

    Returns:
        An array `shape` of uint8 (read-only: it is a view of the bytes read).

    Raises:
        WrongFile: if the file is truncated, is no idx file, has another shape or another sum.
        OSError: if it cannot be read.
    """
    header = bytes((0, 0, 8, len(shape))) + np.array(shape, dtype=">u4").tobytes()
    expected = len(header) + prod(shape)
    data = _unpacked(path, expected)
    if data[:4] != header[:4]:
        raise WrongFile(f"{path} starts with {data[:4]!r}, expected {header[:4]!r} as an idx file of {len(shape)} axes")
    if len(data) >= len(header) and data[: len(header)] != header:
        got_shape = tuple(np.frombuffer(data[4 : len(header)], dtype=">u4").tolist())
        raise WrongFile(f"{path} holds an array of shape {got_shape}, expected {shape}")
    if len(data) < expected:
        raise WrongFile(f"{path} is truncated: it holds {len(data):,} unpacked bytes, expected {expected:,}")
    if len(data) > expected:
        raise WrongFile(f"{path} holds more than the {expected:,} unpacked bytes expected")
    if (got := _sum(data)) != sha256:
        raise WrongFile(f"{path} has the sha256 sum {got} (unpacked), expected {sha256}", got)
    return np.frombuffer(data, dtype=np.uint8, offset=len(header)).reshape(shape)


def _unpacked(path: Path, expected: int) -> bytes:
    # One byte more than expected shows that a file is too long, without unpacking a bomb to its end.
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        if not packed:
            return file.read(expected + 1)
        try:
            with gzip.GzipFile(fileobj=file) as unpacking:
                return unpacking.read(expected + 1)
        except EOFError:
            raise WrongFile(
                f"{path} is truncated: its packed data ends early, after {path.stat().st_size:,} bytes"
            ) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise WrongFile(f"{path} cannot be unpacked, its packed data is damaged ({error})") from None


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
