"""The floor: how fast this machine multiplies large matrices and moves bytes, measured beside the libraries."""

import time

import numpy as np

GEMM = 1536


class Floor:
    """`rates()` measures now: operations a second of one large product, bytes a second of a copy.

    The copy is as large as what the task's forward pass keeps, so that it goes through the same level of memory.
    """

    def __init__(self, task):
        rng = np.random.default_rng(0)
        self.a, self.b = rng.standard_normal((2, GEMM, GEMM), dtype=np.float32)
        self.c = np.empty_like(self.a)
        n = max(task.kept_bytes // 8, 4096)  # half of it read, half of it written
        self.source, self.target = np.ones(n, np.float32), np.ones(n, np.float32)

    def rates(self, by_cpu):
        clock = time.process_time if by_cpu else time.perf_counter
        start = clock()
        np.matmul(self.a, self.b, out=self.c)
        gemm = 2 * GEMM**3 / (clock() - start)
        repeats = 1 + 50_000_000 // self.source.nbytes
        start = clock()
        for _ in range(repeats):
            np.copyto(self.target, self.source)
        return gemm, 2 * self.source.nbytes * repeats / (clock() - start)
