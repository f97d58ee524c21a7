"""Gradient checking: is the hand-written `backward` the derivative of `forward`?

`check_gradients(layer, *inputs)` answers with a report that names the worst entry and the likely cause.

Reading order:

- `differences`: how one slope is measured
- `subject`: a layer as a function of named arrays, with `adapters`, `calls` and `copying` below it
- `measure` and `noise`: the gradient of one array
- `protocol`, `omitted` and `digits`: what a layer owes beside right values
- `precision`: float32 and devices
- `check`: the whole procedure
- `diagnose`: the likely cause, from the guesses in `guesses` and `experiments`, on `patterns` and `evidence`
- `report` and `html`: what is shown
- `equal`: two arrays that should be the same, for exercises
"""

from .check import check_gradients
from .equal import check_equal
from .report import ArrayReport, Finding, Report, Worst

__all__ = ["ArrayReport", "Finding", "Report", "Worst", "check_equal", "check_gradients"]
