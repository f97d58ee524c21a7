"""The command behind `python tests/gpu`. What it needs is looked for before it is imported."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("numpy", "cupy", "pytest", "hypothesis", "matplotlib", "nbformat")
WRONG, NO_GPU = 1, 2


def main(arguments=None):
    """Run the tests, print the tables; returns the exit code."""
    options = parse(arguments)
    if complaint := why_not():
        print(complaint, file=sys.stderr)
        return NO_GPU
    os.environ["CUPY_TF32"] = str(int(options.tf32))  # CuPy reads it at its first product
    if not options.times_only and (code := run_tests()):
        print(f"\nThe tests on the GPU did not pass (pytest's exit code is {code}): nothing is timed.", file=sys.stderr)
        return WRONG
    return print_times(options)


def parse(arguments):
    p = argparse.ArgumentParser(
        prog="python tests/gpu",
        description="On a machine with a GPU: run all GPU tests, then time a training step of LSTM and GRU, fused and "
        "plain, beside PyTorch's cuDNN.",
        allow_abbrev=False,
    )
    p.add_argument("--times-only", action="store_true", help="leave the tests out")
    p.add_argument("--tf32", action="store_true", help="let both libraries round products to TF32; neither does unless")
    p.add_argument("--rounds", type=int, default=7, metavar="N", help="how often they take turns (7)")
    p.add_argument("--seconds", type=float, default=0.3, metavar="S", help="length of a turn, at least two steps (0.3)")
    p.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = p.parse_args(arguments)
    if options.rounds < 1 or not 0 <= options.seconds < 1e6:
        p.error("--rounds is at least 1, and --seconds a number from 0 on")
    return options


def why_not():
    """A sentence that says why nothing can be run here; None if all is there."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        return (
            f"This Python ({sys.executable}) lacks {', '.join(missing)}. All that is needed comes with "
            f'pip install -e "{ROOT}[cuda12,test]", or cuda13 where the driver has it.'
        )
    import cupy

    if not cupy.is_available():
        return f"CuPy {cupy.__version__} finds no usable GPU on this machine."
    return None


def run_tests():
    """Every test that runs on a GPU, the slow ones too; pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", str(ROOT / "tests")]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def print_times(options):
    """Measure and print the tables; returns the exit code."""
    from benchmarks import compare, machine, tasks
    from gpu import timing

    timing.use_tf32(options.tf32)
    players = timing.players()
    found = {"machine": machine.describe(), "device": timing.device(), "tf32": options.tf32, "tables": []}
    tolerance = timing.TF32_TOLERANCE if options.tf32 else compare.TOLERANCE
    try:
        for what in tasks.GATES:
            table = timing.table(what, players, found)
            found["tables"].append(table)
            printed = timing.Timings(table)
            print(printed.title(), flush=True)
            for task in tasks.tasks_of(what):
                row = compare.compare(
                    players, task, rounds=options.rounds, seconds=options.seconds, threads=1, tolerance=tolerance
                )
                table["rows"].append(row)
                print(printed.row(row), flush=True)
            print(printed.foot(), flush=True)
    except compare.Disagreement as error:
        print(f"\nStopped: {error}", file=sys.stderr)
        return WRONG
    finally:
        if options.json:
            options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0
