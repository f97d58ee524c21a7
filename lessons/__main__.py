"""`python lessons`: set up, and open the lessons. `python lessons --help` tells the rest."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import lessons.python_version  # noqa: E402, F401  (first: it stops where this Python is too old)
from lessons.launcher import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
