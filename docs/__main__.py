"""`python docs`: set up, and build the site in docs/_build/html. `python docs --help` tells the rest."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import lessons.python_version  # noqa: E402, F401  (first: it stops where this Python is too old)
from lessons.environment import run_in_environment  # noqa: E402

if __name__ == "__main__":
    build = os.path.join(ROOT, "docs", "build_site.py")
    sys.exit(run_in_environment(["lessons", "docs"], [build] + sys.argv[1:]))  # noqa: RUF005  (an old Python must parse this)
