"""Scripts that are no part of the package, such as those in docs, as modules."""

import importlib.util
import sys


def load(path):
    """What the script at this path defines; its main part does not run."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses ask for it
    spec.loader.exec_module(module)
    return module
