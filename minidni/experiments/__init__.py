"""Experiments: each claim as a function that yields a row a run, and the command that prints a table over seeds.

Reading order: an experiment, such as `two_lag`; then what they share: `loop` (one update), `rows` (a run and its time),
`registry` and `settings` (names and keyword arguments that the command line can change), `table` (what is printed and
written) and `command`.

>>> rows = list(two_lag(seed=1, windows=(2,)))
"""

from .adding import adding
from .char_lm import char_lm
from .copying import copy, repeat_copy
from .registry import EXPERIMENTS, Experiment, experiment, find
from .rows import Row, measured
from .sequential_digits import sequential_digits
from .table import document, table
from .two_lag import two_lag

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "Row",
    "adding",
    "char_lm",
    "copy",
    "document",
    "experiment",
    "find",
    "measured",
    "repeat_copy",
    "sequential_digits",
    "table",
    "two_lag",
]
