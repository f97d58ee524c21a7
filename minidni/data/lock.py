"""A lock file: of several processes that want to write the same file, one does and the others wait."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold the lock file at `path` while the body runs; wait as long as another process or thread holds it.

    The system drops the lock of a process that dies, so a killed one blocks nobody. On a file system without
    locks the body runs without one.
    """
    while True:
        file = path.open("ab")
        try:
            while not _try(file):
                time.sleep(0.1)
            # Whoever held the lock before has removed the file: then this locks nothing, and a new one is needed.
            if _same(file, path):
                break
        except BaseException:
            file.close()
            raise
        file.close()
    try:
        yield
    finally:
        # POSIX: remove first, so that nobody can take the lock and then lose its file. Windows keeps open files.
        with suppress(OSError):
            path.unlink()
        file.close()
        if sys.platform == "win32":
            with suppress(OSError):
                path.unlink()


def _same(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try(file: IO[bytes]) -> bool:
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        except OSError:  # no locks on this file system
            return True
        return True

else:
    import fcntl

    def _try(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # no locks on this file system
            return True
        return True
