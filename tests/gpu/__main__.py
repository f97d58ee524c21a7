"""`python tests/gpu [options]`: for a machine with a GPU. Run the tests there, then time minidni beside cuDNN.

It uses the Python that it is started with, and installs nothing: that needs CuPy for the machine's CUDA, the packages
of `minidni[test]`, and PyTorch with CUDA if there is to be something to compare with.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:1] = [os.path.join(ROOT, "tests"), ROOT]

import lessons.python_version  # noqa: E402, F401, I001  (first: it stops where this Python is too old)
from gpu.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
