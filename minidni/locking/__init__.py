"""Locking: what waits for what. Timelines, simulated and measured, and workers that run them.

Reading order: `timeline` (what was done when), `messages` and `programs` (what a worker does, every wait in sight),
`worker`, `drive` (how its requests are met), `inline`, `threads`, `processes`, `over_ray`, `over_mpi` (where it runs),
`train` (all together), `simulate` and `schedules` (the same on paper).
"""

from .checkpoints import Checkpoints
from .faults import Fault
from .inline import Inline
from .processes import Processes
from .threads import Threads
from .timeline import Span, Timeline
from .train import Run, train
from .transport import WorkerFailed
from .worker import LostMessage

__all__ = [
    "Checkpoints", "Fault", "Inline", "LostMessage", "Processes", "Run", "Span", "Threads", "Timeline", "WorkerFailed",
    "train",
]  # fmt: skip
