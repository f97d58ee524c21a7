"""A strict stand-in for CuPy, for machines without a GPU.

`install()` puts a module into `sys.modules["cupy"]` whose arrays lie in host memory but behave as CuPy's do
where code breaks: NumPy cannot touch them, mixing with NumPy arrays raises, scalars stay 0-d arrays,
integer arrays used as indices wrap around when out of range, and only the names and arguments of a real
CuPy exist (cupy_names.json, made by freeze_cupy.py). Every place where CuPy would wait for the GPU is
counted in `synchronisations`, and every launch in `launches`. An `ElementwiseKernel` runs its own source in C
(c_source.py).

Where it is stricter than CuPy: CuPy computes `np.exp(a)` for its own arrays, and copies to the device NumPy
arrays that index or that are stored through an index array; here all of these raise, since the package
moves no array silently. Where it is laxer: its stores through repeated indices have an order, and memory is
never short.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from .device_array import ndarray
from .launches import launches
from .module import MODULES, cupy
from .sync import SynchronisedError, no_synchronisation, synchronisations

__all__ = [
    "SynchronisedError",
    "install",
    "installed",
    "launches",
    "ndarray",
    "no_synchronisation",
    "synchronisations",
    "uninstall",
]

_hidden: list[dict[str, ModuleType | None]] = []


def install() -> ModuleType:
    """Make `import cupy` find the stand-in; the module. Calls nest: each needs its `uninstall()`."""
    _hidden.append({name: sys.modules.get(name) for name in MODULES})
    sys.modules.update(MODULES)
    return cupy


def uninstall() -> None:
    """Put back what `install()` hid."""
    for name, module in _hidden.pop().items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module


@contextmanager
def installed() -> Iterator[ModuleType]:
    """`install()` for the length of a with statement."""
    try:
        yield install()
    finally:
        uninstall()
