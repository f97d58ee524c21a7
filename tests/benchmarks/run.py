"""The command behind `python tests/benchmarks`, run by an interpreter that has what it needs."""

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[_variable] = "1"  # of this process, which only asks and compares; workers get their own
    sys.path[:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from benchmarks import in_numpy, machine, memory, report
from benchmarks.compare import Disagreement, compare
from benchmarks.options import parse
from benchmarks.tasks import tasks_of
from benchmarks.worker import Worker, WorkerError, start_workers

COLUMNS = {
    "lstm": ("minidni", "plain", "torch", "jax", "naive", "floor"),
    "gru": ("minidni", "plain", "torch", "jax", "naive", "floor"),
    "mlp": ("minidni", "torch", "minidni-no-dx", "torch-no-dx", "jax", "naive", "floor"),
    "last-step": ("minidni", "plain", "torch", "torch-ftz", "jax", "naive", "floor"),
}


def main(arguments=None):
    """Print the tables; returns the exit code."""
    options = parse(arguments)
    found = {"machine": machine.describe(), "tables": [], "memory": []}
    print(report.header(found["machine"]), flush=True)
    try:
        for threads in options.threads:
            for what in options.what:
                if what != "memory":
                    time_steps(what, threads, options, found["tables"])
        if "memory" in options.what:
            measure_memory(options, found["memory"])
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except (Disagreement, WorkerError) as error:
        print(f"\nStopped: {error}", file=sys.stderr)
        return 1
    finally:
        if options.json and (found["tables"] or found["memory"]):
            options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def time_steps(what, threads, options, tables):
    """Measure and print one table, row by row."""
    libraries = columns(what, options.libraries)
    table = {"what": what, "threads": threads, "clock": "CPU" if threads == 1 else "wall", "rows": []}
    with start_workers(libraries, threads) as (workers, versions):
        blas = next((workers[name].call("blas") for name in libraries if name in in_numpy.NAMES), None)
        table |= {"versions": versions, "blas": blas, "libraries": libraries}
        table["busy_processors"] = machine.busy_processors()
        tables.append(table)
        printed = report.Timings(table)
        print(printed.title(), flush=True)
        for task in tasks_of(what, options.shapes):
            row = compare(workers, task, rounds=options.rounds, seconds=options.seconds, threads=threads)
            table["rows"].append(row)
            print(printed.row(row), flush=True)
        table["geometric_means"] = printed.geometric_means()
        print(printed.foot(), flush=True)


def measure_memory(options, rows):
    """Measure and print the memory table."""
    worker = Worker("minidni", threads=1)
    try:
        worker.call("versions")
        print(memory.title(), flush=True)
        for cell, shape in memory.rows(options.shapes):
            rows.append(worker.call("memory", cell, shape))
            print(memory.row(rows[-1]), flush=True)
    finally:
        worker.close()


def columns(what, wanted):
    """The libraries of a table that are here, of `wanted` if given."""
    names = [name for name in COLUMNS[what] if is_here(name) and (not wanted or name in wanted)]
    if not set(names) - {"floor"}:
        raise WorkerError(f"{what}: none of the libraries asked for is here")
    return names


def is_here(library):
    """Whether the library can be imported."""
    if library == "plain":
        return in_numpy.has_plain_form()
    if library.startswith("torch") or library == "jax":
        return importlib.util.find_spec(library.split("-")[0]) is not None
    return True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # write what was measured, end the workers
    sys.exit(main())
