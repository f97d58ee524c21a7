"""`python tests [pytest arguments]`: set up, and run the tests.

`--cov` reports the branch coverage of minidni, for nearly twice the time; `-m slow` runs the slow tests.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import lessons.python_version  # noqa: E402, F401  (first: it stops where this Python is too old)
from lessons.environment import run_in_environment  # noqa: E402


def pytest_command(arguments):
    """Return what to hand to the environment's Python."""
    return ["-m", "pytest"] + list(arguments)  # noqa: RUF005  (an old Python must parse this)


if __name__ == "__main__":
    sys.exit(run_in_environment(["lessons", "test"], pytest_command(sys.argv[1:])))
