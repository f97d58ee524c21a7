"""`python tests/benchmarks [what ...] [options]`: set up, and time minidni beside PyTorch and others.

The environment is the one of `python lessons` and `python tests`; PyTorch is added to it by this command alone, and
only if it is asked for. With `--python PATH` that interpreter is used as it is, and nothing is installed.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:1] = [os.path.join(ROOT, "tests"), ROOT]

import lessons.python_version  # noqa: E402, F401, I001  (first: it stops where this Python is too old)
from benchmarks.options import parse  # noqa: E402
from lessons.environment import Environment, run_child, run_in_environment  # noqa: E402


def main(arguments):
    options = parse(arguments)  # a mistake is told before anything is installed
    command = [os.path.join(ROOT, "tests", "benchmarks", "run.py")] + list(arguments)  # noqa: RUF005
    if options.python:
        return run_child([options.python] + command, os.getcwd(), dict(os.environ))  # noqa: RUF005
    extras = ["bench"] if options.needs_torch else []
    if extras and not Environment().is_current(extras):
        print(
            "This installs PyTorch, which is large: docs/benchmarks.md says how to use a build for CPUs or your own.",
            flush=True,
        )
    return run_in_environment(extras, command, os.getcwd())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
