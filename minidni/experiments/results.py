"""Rows to ask: those that a run has just given, or those of a file that was written before."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .rows import Row
from .table import over_seeds


@dataclass(frozen=True)
class Results:
    """The rows of an experiment.

    >>> results = Results(list(two_lag(seed=1)))
    >>> results.mean("loss", method="dni", window=2)
    """

    rows: Sequence[Row]

    @classmethod
    def read(cls, path: str | Path) -> "Results":
        """The rows in a JSON file that `python -m minidni experiment NAME --json FILE` has written."""
        return cls(json.loads(Path(path).read_text(encoding="utf-8"))["rows"])

    def values(self, column: str, **what: Any) -> np.ndarray:
        """The column (n,) of the n rows that have all these values; NaN where nothing was measured.

        Raises:
            ValueError: if no row has them, or none of those has the column.
        """
        fitting = [row for row in self.rows if all(name in row and row[name] == value for name, value in what.items())]
        if not any(column in row for row in fitting):
            asked = ", ".join(f"{name}={value!r}" for name, value in what.items())
            names = ", ".join(dict.fromkeys(name for row in self.rows for name in row))
            raise ValueError(f"Results.values: no row has {column!r} with {asked or 'anything'}; there are {names}")
        measured = [row.get(column) for row in fitting]
        return np.array([np.nan if value is None else value for value in measured], dtype=float)

    def mean(self, column: str, **what: Any) -> float:
        """The mean of `values`."""
        return float(self.values(column, **what).mean())

    def text(self, column: str, **what: Any) -> str:
        """The same as the tables print it: mean (least to most)."""
        return over_seeds(self.values(column, **what).tolist())
