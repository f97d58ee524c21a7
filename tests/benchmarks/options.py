"""The command's arguments. Standard library only: they are read before anything is installed."""

import argparse
import math
import shutil
from pathlib import Path

WHAT = ("lstm", "gru", "mlp", "memory", "last-step")
#: The columns, in the order in which they are printed. `plain`: minidni's layers in their plain form. `torch-ftz`: with
#: denormal numbers flushed to zero. `-no-dx`: without the gradient of the input.
LIBRARIES = ("minidni", "minidni-no-dx", "plain", "torch", "torch-ftz", "torch-no-dx", "jax", "naive", "floor")


def parse(arguments):
    """The options, checked; ends the program with a sentence where they make no sense."""
    p = argparse.ArgumentParser(
        prog="python tests/benchmarks",
        description="Time a training step of minidni beside PyTorch, JAX (where it is installed), naive NumPy and the "
        "floor, and print tables.",
        allow_abbrev=False,
    )
    p.add_argument("what", nargs="*", metavar="what", help=f"{', '.join(WHAT)}; all of them unless given")
    p.add_argument(
        "--threads",
        type=_whole,
        nargs="+",
        default=[1, 2],
        metavar="N",
        help="BLAS threads; with 1 CPU time is taken, else wall time (1 2)",
    )
    p.add_argument(
        "--shapes",
        type=_shape,
        nargs="+",
        metavar="T,B,D,H",
        help="recurrent layers of these sizes, not the usual five",
    )
    p.add_argument(
        "--libraries", nargs="+", choices=LIBRARIES, metavar="NAME", help=f"only these: {', '.join(LIBRARIES)}"
    )
    p.add_argument("--rounds", type=_whole, default=7, metavar="N", help="how often they take turns (7)")
    p.add_argument(
        "--seconds", type=_seconds, default=0.3, metavar="S", help="length of a turn, at least one step (0.3)"
    )
    p.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    p.add_argument("--python", type=_program, metavar="PATH", help="use this interpreter as it is; install nothing")
    # `python tests/benchmarks --threads 1 2 lstm` reads lstm as a number of threads: put what first.
    options = p.parse_args(arguments)
    if unknown := sorted(set(options.what) - set(WHAT)):
        p.error(f"no such thing to time: {', '.join(unknown)}; choose from {', '.join(WHAT)}")
    options.what = options.what or list(WHAT)
    wanted = options.libraries or LIBRARIES
    options.needs_torch = any(name.startswith("torch") for name in wanted) and options.what != ["memory"]
    return options


def _shape(text):
    sizes = tuple(_whole(part) for part in text.split(","))
    if len(sizes) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is no shape: expected T,B,D,H, such as 20,32,64,256")
    return sizes


def _whole(text):
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _seconds(text):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return number


def _program(text):
    found = shutil.which(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no program that can be started")
    return found
