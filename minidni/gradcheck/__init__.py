"""Gradient checking: is the hand-written `backward` the derivative of `forward`?

`check_gradients(layer, *inputs)` answers with a report that names the worst entry and the likely cause. Reading order:

- `differences` (how one slope is measured); `subject` (a layer as a function of named arrays, with `adapters`, `calls` and
  `copying` below it); `measure` and `noise` (one array)
- `protocol`, `omitted` and `digits` (what `backward` owes beside right values, None for a state, a forward with too few
  digits); `precision` (float32 and devices); `check` (the whole procedure)
- `diagnose` (the likely cause: the list of guesses, which are in `guesses` and `experiments`, and stand on `patterns` and
  `evidence`); `report` and `html`
"""

from .check import check_gradients
from .report import ArrayReport, Finding, Report, Worst

__all__ = ["ArrayReport", "Finding", "Report", "Worst", "check_gradients"]
