"""What a table has to say about the machine that it was measured on."""

import datetime
import os
import platform
import time
from pathlib import Path


def describe():
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": processor(),
        "cores": allowed,
        "vectors": vectors(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }


def processor():
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def vectors():
    """The widest vector instructions that NumPy found."""
    from numpy._core._multiarray_umath import __cpu_features__ as features

    for name in ("AVX512_SKX", "AVX512F", "AVX2", "ASIMD", "NEON"):
        if features.get(name):
            return name
    return "unknown"


def busy_processors(seconds=0.5):
    """How many processors are at work while we wait: what others are doing. None where the system does not tell."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    if not before or not after:
        return None
    passed = [b - a for a, b in zip(before, after, strict=True)]
    idle = passed[3] + passed[4]
    return (os.cpu_count() or 1) * (1 - idle / max(sum(passed), 1))


def _ticks():
    """Linux: user, nice, system, idle, waiting for a disk, ... of all processors together."""
    try:
        with open("/proc/stat", encoding="utf-8") as file:
            return [int(field) for field in file.readline().split()[1:9]]
    except OSError:
        return None
