"""The measurement: agree first, then take turns; ratios within a round, medians over rounds."""

import statistics
import time

import numpy as np
from benchmarks import book

TOLERANCE = 1e-4  # of the largest entry of an array: room for float32 over many hundred steps, not for less


class Disagreement(Exception):
    """A library's step gives another result than the reference: it would not be the same work."""


def reference(task):
    """What a step has to give, by the naive version in float64."""
    return book.run(task.cell, task.data(np.float64))


def expect_agreement(library, task, found, wanted, tolerance=TOLERANCE):
    """Raise Disagreement unless every array is within the tolerance of the reference; returns the largest error."""
    missing = set(wanted) - set(found) - ({"dx"} if library.endswith("-no-dx") else set())
    if missing:
        raise Disagreement(f"{library}, {task}: no {', '.join(sorted(missing))}")
    worst = 0.0
    for name in set(wanted) & set(found):
        if found[name].shape != wanted[name].shape:
            raise Disagreement(f"{library}, {task}: {name} is {found[name].shape}, not {wanted[name].shape}")
        error = np.abs(found[name] - wanted[name]).max() / max(np.abs(wanted[name]).max(), 1e-30)
        if not error <= tolerance:
            raise Disagreement(
                f"{library}, {task}: {name} is off by {error:.1e} of its largest entry, allowed {tolerance:.0e}"
            )
        worst = max(worst, float(error))
    return worst


def compare(workers, task, *, rounds, seconds, threads, tolerance=TOLERANCE):
    """One row: seconds a step by library and round, and how far each was from the reference."""
    wanted, errors = reference(task), {}
    libraries = [library for library in workers if library != "floor"]
    for library, worker in workers.items():
        worker.call("prepare", task)
        if library in libraries:
            errors[library] = expect_agreement(library, task, worker.call("results"), wanted, tolerance)
    times, best = {library: [] for library in workers}, dict.fromkeys(libraries, float("inf"))
    steps, rates = dict.fromkeys(libraries, 0), []
    for _ in range(rounds):
        for library in libraries:
            turn = [cpu if threads == 1 else wall for cpu, wall in workers[library].call("turn", seconds)]
            steps[library] += len(turn)
            times[library].append(statistics.median(turn))
            best[library] = min(best[library], min(turn))
            pause(threads)
        if "floor" in workers:
            rates.append(workers["floor"].call("rates", threads == 1))
            gemm, copy = rates[-1]
            times["floor"].append(task.flops / gemm + task.moved_bytes / copy)
            pause(threads)
    if task.cell != "mlp":  # whose weights have moved
        for library in libraries:  # what was timed, with recycled memory, still is that work
            expect_agreement(library, task, workers[library].call("results"), wanted, tolerance)
    if rates:
        best["floor"] = min(times["floor"])
    denormal, zero = denormal_share(task) if task.last_step else (None, None)
    return {
        "task": task.name,
        "cell": task.cell,
        "shape": list(task.shape),
        "last_step": task.last_step,
        "flops": task.flops,
        "moved_bytes": task.moved_bytes,
        "seconds": times,
        "best_seconds": best,
        "steps": steps,
        "errors": errors,
        "gemm_flops_per_second": [gemm for gemm, _ in rates],
        "copy_bytes_per_second": [copy for _, copy in rates],
        "denormal": denormal,
        "zero": zero,
    }


def pause(threads):
    """Idle threads of a BLAS spin for a while before they sleep; the next library must not be timed beside them."""
    if threads > 1:
        time.sleep(0.1)


def denormal_share(task):
    """Parts of the time steps at which dx, in float32, holds denormal numbers, and nothing but zeros."""
    with np.errstate(under="ignore"):
        dx = np.abs(book.run(task.cell, task.data())["dx"])
    denormal = ((dx > 0) & (dx < np.finfo(np.float32).tiny)).any(axis=(1, 2))
    return float(denormal.mean()), float((dx == 0).all(axis=(1, 2)).mean())


def ratios(row, library, base):
    """(quartile, median, quartile) of library / base over the rounds."""
    each = [a / b for a, b in zip(row["seconds"][library], row["seconds"][base], strict=True)]
    return tuple(float(q) for q in np.quantile(each, [0.25, 0.5, 0.75]))


def best_ratio(row, library, base):
    """The library's best step over the base's best step."""
    return row["best_seconds"][library] / row["best_seconds"][base]


def geometric_mean(values):
    return float(np.exp(np.mean(np.log(values))))
