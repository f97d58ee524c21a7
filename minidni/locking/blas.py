"""BLAS threads: each worker's share of the cores, since two that fight for a core are slower than one."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

#: What the BLAS libraries read when they are loaded.
VARIABLES = (
    "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip


def share(n_workers: int) -> int:
    """Cores for each of so many workers, at least 1."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // n_workers)


def variables(threads: int) -> dict[str, str]:
    """The environment of a process whose BLAS is to use so many threads."""
    return {name: str(threads) for name in VARIABLES}


@contextmanager
def environment(threads: int) -> Iterator[None]:
    """Processes started inside find their BLAS pinned."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ.update(variables(threads))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """The BLAS of this process, which is loaded already, uses so many threads inside.

    That takes threadpoolctl. Without it there is a warning, unless the environment says the same number.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        if not any(os.environ.get(name) == str(threads) for name in VARIABLES):
            warnings.warn(
                f"BLAS threads are not limited to {threads}: install threadpoolctl (pip install threadpoolctl), "
                f"or start Python with OPENBLAS_NUM_THREADS={threads}",
                RuntimeWarning,
                stacklevel=3,
            )
        yield
        return
    with threadpool_limits(threads, user_api="blas"):
        yield


def warm_up() -> None:
    """A large product in each worker, before anything is timed.

    OpenBLAS copies what it multiplies into a buffer, one for each product under way, and reads ahead in it. Until a
    large product has written to all of the buffer, that meets memory the system has not handed out yet, and small
    products can take several times as long: 256 x 256 x 256 took 3.4 ms before and 0.9 ms after, on one AMD EPYC.
    """
    np.ones((256, 1024), np.float32) @ np.ones((1024, 1024), np.float32)
