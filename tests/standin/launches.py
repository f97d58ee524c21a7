"""Counting what the host asks of the GPU: each call that computes or copies there, or that needs memory there."""

from collections import Counter
from typing import Any

import numpy as np


class Launches:
    """`counts` says how often each function, kernel or other work was launched since the last `reset()`.

    "matmul" wrote into an array that was there, "matmul, new" made one.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def reset(self) -> None:
        self.counts.clear()

    def record(self, what: str) -> None:
        self.counts[what] += 1

    def record_call(self, function: Any, result: Any, given: list[Any]) -> None:
        """Count a call, unless it only made views: new arrays in the memory of a given one."""
        results = result if isinstance(result, tuple | list) else [result]
        sources = [a for a in (*given, getattr(function, "__self__", None)) if isinstance(a, np.ndarray)]
        if any(r is a for r in results for a in given):
            self.record(function.__name__)
        elif not all(_is_view(r, sources) for r in results):
            self.record(f"{function.__name__}, new")


def _is_view(result: Any, sources: list[np.ndarray]) -> bool:
    return isinstance(result, np.ndarray) and any(np.may_share_memory(result, a) for a in sources)


launches = Launches()
