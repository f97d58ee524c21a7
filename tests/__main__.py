"""`python tests [pytest arguments]`: set up, and run the tests.

The whole suite also reports the branch coverage of minidni. A selection (a path, -k, -m, ...) does not, for
there the report would be all gaps; `--cov` asks for it. `python tests -m slow` runs the slow tests.
"""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import lessons.python_version  # noqa: E402, F401  (first: it stops where this Python is too old)
from lessons.environment import run_in_environment  # noqa: E402

# Options that change how the whole suite is reported, not which tests are run.
REPORTING = re.compile(r"-[vqsxl]+|-r\w+|--(durations|maxfail|tb|color|capture|junitxml|show-capture)=.*")


def pytest_command(arguments):
    """Return what to hand to the environment's Python."""
    whole_suite = all(REPORTING.fullmatch(argument) for argument in arguments)
    coverage = ["--cov", "--cov-report=term"] if whole_suite else []
    return ["-m", "pytest"] + coverage + list(arguments)  # noqa: RUF005  (an old Python must parse this)


if __name__ == "__main__":
    sys.exit(run_in_environment(["lessons", "test"], pytest_command(sys.argv[1:])))
