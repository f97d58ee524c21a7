"""A row a run: what was run, what was measured, how long it took, and why it stopped if it did."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

Row = dict[str, Any]


@contextmanager
def measured(**what: Any) -> Iterator[Row]:
    """One run. The block adds what it measured to the row; its time is added when it ends.

        with measured(method="bptt", window=2, seed=1) as row:
            row["loss"] = ...

    If a loss or a gradient in the block stops being finite, the run is over, and the row says so under "stopped"; what
    it was to measure is NaN then.

    Args:
        **what: says which run this is; the first columns of the table.

    Returns:
        The row, with "seconds" by the clock and "cpu_seconds" of all threads in the end.
    """
    row: Row = {name: list(value) if isinstance(value, tuple) else value for name, value in what.items()}
    clock, cpu = time.perf_counter(), time.process_time()
    try:
        # A diverging run overflows; what NumPy would warn of then, the losses say more clearly.
        with np.errstate(over="ignore", invalid="ignore"):
            yield row
    except FloatingPointError as error:
        row["stopped"] = " ".join([*getattr(error, "__notes__", ()), str(error)])
    row["seconds"] = round(time.perf_counter() - clock, 3)
    row["cpu_seconds"] = round(time.process_time() - cpu, 3)
