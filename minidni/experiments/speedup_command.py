"""The command `python -m minidni speedup`: the experiment of that name, with its settings as options."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

from . import command
from .registry import as_text, find

PROG = "python -m minidni speedup"


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status, as `python -m minidni experiment speedup` does."""
    experiment = find("speedup")
    parser = argparse.ArgumentParser(
        prog=PROG, description=experiment.description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in experiment.defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="X", help=f"default {as_text(value)}")
    parser.add_argument("--seed", default="1", help="default 1")
    parser.add_argument("--quick", action="store_true", help="small settings that take seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows as JSON; - writes them to standard output")
    options = parser.parse_args(list(arguments))
    if options.transport == "mpi" and not _under_mpi():
        return _start_under_mpi(arguments, options.workers or str(experiment.defaults["workers"]))
    if options.transport == "mpi" and _rank():
        options.json = None  # one rank tells what all have measured
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            return _run(options)
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    experiment = find("speedup")
    settings = [f"{name}={value}" for name in experiment.defaults if (value := getattr(options, name)) is not None]
    words = ["speedup", *settings, "--seeds", options.seed]
    return command.main([*words, *["--quick"] * options.quick, *(["--json", options.json] if options.json else [])])


def _rank() -> int:
    from ..locking.over_mpi import library

    return library().COMM_WORLD.rank


def _under_mpi() -> bool:
    """Whether mpiexec has started this process."""
    return any(name.startswith(("PMI_", "PMIX_", "OMPI_COMM_WORLD_")) for name in os.environ)


def _start_under_mpi(arguments: Sequence[str], workers: str) -> int:
    """The same command once more, in as many processes as there are workers."""
    from ..locking.over_mpi import mpiexec

    try:
        path = mpiexec()
    except (ImportError, FileNotFoundError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 2
    return subprocess.call([path, "-n", workers, sys.executable, "-m", "minidni", "speedup", *arguments])
