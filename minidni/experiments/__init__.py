"""Experiments: each claim as a function that yields a row a run, and the command that prints a table over seeds.

Reading order: an experiment, such as `two_lag`; then what they share: `loop` (one update), `rows` (a run and its time),
`registry` and `settings` (names and keyword arguments that the command line can change), `table` (what is printed and
written) and `command`.

>>> rows = list(two_lag(seed=1, windows=(2,)))
"""

from .adding import adding
from .bootstrap import bootstrap
from .bp_lambda import bp_lambda, bp_lambda_fixed
from .char_lm import char_lm
from .copying import copy, repeat_copy
from .costs import costs
from .costs_by_depth import costs_by_depth
from .full_unlock import full_unlock
from .mnist_cnn import mnist_cnn
from .mnist_depth import mnist_depth
from .random_updates import random_updates
from .registry import EXPERIMENTS, Experiment, experiment, find
from .results import Results
from .rows import Row, measured
from .scale_out import scale_out
from .sequential_digits import sequential_digits
from .speedup import speedup
from .table import document, table
from .time_to_accuracy import time_to_accuracy
from .two_clocks import two_clocks
from .two_lag import two_lag, two_lag_reach
from .warm_up import warm_up
from .window_edge import window_costs, window_edge

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "Results",
    "Row",
    "adding",
    "bootstrap",
    "bp_lambda",
    "bp_lambda_fixed",
    "char_lm",
    "copy",
    "costs",
    "costs_by_depth",
    "document",
    "experiment",
    "find",
    "full_unlock",
    "measured",
    "mnist_cnn",
    "mnist_depth",
    "random_updates",
    "repeat_copy",
    "scale_out",
    "sequential_digits",
    "speedup",
    "table",
    "time_to_accuracy",
    "two_clocks",
    "two_lag",
    "two_lag_reach",
    "warm_up",
    "window_costs",
    "window_edge",
]
