"""A training step on a GPU, timed: minidni's fused and plain walks beside PyTorch's nn.LSTM and nn.GRU, that is cuDNN.

The tasks, the check that all do the same work, the turns and the ratios are those of `benchmarks`. Here the libraries
share a process, and every clock is read after the GPU has finished.
"""

import importlib.util
import time

import cupy
import numpy as np
from benchmarks import in_numpy, report

import minidni

TF32_TOLERANCE = 5e-2  # of the largest entry of an array: TF32 keeps ten bits


class Player:
    """One library. Answers what `benchmarks.compare` asks its workers.

    Args:
        make: takes a task, returns an object with `step()` and `results()`.
        synchronise: waits until the GPU has done what the library asked for.
    """

    def __init__(self, make, synchronise):
        self.make, self.synchronise = make, synchronise

    def call(self, name, *arguments):
        return getattr(self, name)(*arguments)

    def prepare(self, task):
        self.task = None  # the last one's memory is free before this one asks for its own
        self.task = self.make(task)
        self.task.step()

    def results(self):
        return self.task.results()

    def turn(self, seconds):
        """Run steps for about so long; (seconds, seconds) of each, their mean: waiting for each would slow them."""
        n = max(1, int(seconds / self.time(1)))
        each = self.time(n) / n
        return [(each, each)] * n

    def time(self, n):
        self.synchronise()
        begin = time.perf_counter()
        for _ in range(n):
            self.task.step()
        self.synchronise()
        return time.perf_counter() - begin


def players():
    """The libraries that can be timed here, by name."""

    def wait():
        cupy.cuda.get_current_stream().synchronize()

    found = {
        "minidni": Player(lambda task: in_numpy.Recurrent(task, plain=False, device="cuda"), wait),
        "plain": Player(lambda task: in_numpy.Recurrent(task, plain=True, device="cuda"), wait),
    }
    if torch := torch_on_a_gpu():
        from benchmarks import in_torch

        found["torch"] = Player(lambda task: in_torch.Recurrent(task, device="cuda"), torch.cuda.synchronize)
    return found


def torch_on_a_gpu():
    """PyTorch, if it is here and finds a GPU."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch if torch.cuda.is_available() else None


def use_tf32(on):
    """Let PyTorch round the products' inputs to TF32, or not. CuPy does as CUPY_TF32 says."""
    if torch := torch_on_a_gpu():
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = on


def device():
    """What the GPU is."""
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return {
        "name": properties["name"].decode(),
        "compute capability": f"{properties['major']}.{properties['minor']}",
        "memory": properties["totalGlobalMem"],
    }


def versions():
    found = {"minidni": minidni.__version__, "NumPy": np.__version__, "CuPy": cupy.__version__}
    for name, number in (
        ("CUDA runtime", cupy.cuda.runtime.runtimeGetVersion()),
        ("driver", cupy.cuda.runtime.driverGetVersion()),
    ):
        found[name] = f"{number // 1000}.{number % 1000 // 10}"
    if torch := torch_on_a_gpu():
        found |= {"PyTorch": torch.__version__, "cuDNN": str(torch.backends.cudnn.version())}
    return found


def table(what, players, found):
    """A table without rows, as `benchmarks.report` wants it."""
    known = {"versions": versions(), "device": found["device"]["name"], "tf32": found["tf32"]}
    return {"what": what, "threads": 1, "clock": "wall", "libraries": list(players), "rows": [], **known}


class Timings(report.Timings):
    """The tables as they are printed: those of the CPU under another title."""

    def title(self):
        table, mode = self.table, "on" if self.table["tf32"] else "off"
        head = f"{'':<{report.NAME}}{self.base + ' ms':>{report.TIME}}"
        head += "".join(f"{name:>{report.CELL}}" for name in self.pairs)
        lines = [
            f"{table['what']} on {table['device']}, TF32 {mode} for all: wall time of a training step, ratio to "
            f"{self.base}, median of the rounds (quartiles)",
            ", ".join(f"{name} {version}" for name, version in table["versions"].items()),
        ]
        return "\n" + "\n".join([*lines, head, "-" * len(head)])
