"""Write cupy_names.json: which names a real CuPy has and which arguments they take.

    python tests/standin/freeze_cupy.py

Needs CuPy and NumPy, and no GPU: CuPy 14 imports without one. The list says what the stand-in offers and
what the package may use. Each module or class maps its names to a signature without annotations, to "=
numpy" where CuPy re-exports NumPy's own object, or to null where there is no signature to read. Under
"ufuncs" stand the methods of each universal function that CuPy implements: all of them have `at` and
`reduce`, but most only raise. Under "synchronising" stand the functions of which CuPy's documentation says
that they may wait for the GPU.
"""

import importlib
import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import cupy
import numpy as np

TARGET = Path(__file__).with_name("cupy_names.json")
MODULES = (
    "cupy",
    "cupy.cuda",
    "cupy.cuda.runtime",
    "cupy.fft",
    "cupy.lib",
    "cupy.lib.stride_tricks",
    "cupy.linalg",
    "cupy.random",
    "cupyx",
)
CLASSES = ("cupy.ndarray", "cupy.random.Generator", "cupy.ufunc")
# What these take is read inside their bodies (cupy/linalg/_einsum.py).
HIDDEN = {"cupy.einsum": "(*operands, dtype=..., optimize=...)"}
# "may synchronize the device if ..." is left out: the stand-in knows those conditions itself.
SYNCHRONISES = re.compile(r"may synchronize the device\.|performs device synchronization")


def main() -> None:
    names: dict[str, dict[str, str | None]] = {}
    for path in MODULES:
        module = importlib.import_module(path)
        names[path] = {name: describe(path, name, getattr(module, name)) for name in public(module)}
    for path in CLASSES:
        parent, _, name = path.rpartition(".")
        cls = getattr(importlib.import_module(parent), name)
        offered = [name for name in dir(cls) if not name.startswith("_") or name.endswith("__")]
        names[path] = {name: describe(path, name, getattr(cls, name)) for name in offered}
    ufuncs = {
        name: methods(function)
        for name, function in vars(cupy).items()
        if isinstance(function, cupy.ufunc) and not name.startswith("_")
    }
    frozen = {
        "versions": {"cupy": cupy.__version__, "numpy": np.__version__},
        "synchronising": [name for name in public(cupy) if SYNCHRONISES.search(getattr(cupy, name).__doc__ or "")],
        "ufuncs": ufuncs,
        "names": names,
    }
    TARGET.write_text(json.dumps(frozen, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def public(module: ModuleType) -> list[str]:
    """The names a module offers, without what it imported for itself and without CUDA's many constants."""

    def kept(name: str) -> bool:
        value = getattr(module, name)
        imported = isinstance(value, ModuleType) and not value.__name__.startswith("cupy")
        constant = isinstance(value, int) and module.__name__.endswith("runtime")
        return not (name.startswith("_") or name == "annotations" or imported or constant)

    return [name for name in dir(module) if kept(name)]


def describe(path: str, name: str, value: Any) -> str | None:
    """The signature of a function or method, "= numpy", or None."""
    if hosted(path) and getattr(importlib.import_module(path.replace("cupy", "numpy", 1)), name, None) is value:
        return "= numpy"
    if f"{path}.{name}" in HIDDEN:
        return HIDDEN[f"{path}.{name}"]
    if isinstance(value, cupy.ufunc):
        inputs = [f"x{i + 1}" for i in range(value.nin)]
        outputs = ["/", "out=..."] if value.nout == 1 else [f"out{i + 1}=..." for i in range(value.nout)] + ["/"]
        keywords = [f"{k}=..." for k in ("out", "casting", "dtype", "order", "subok", "where") if takes(value, k)]
        return f"({', '.join([*inputs, *outputs, '*', *[k for k in keywords if k not in outputs]])})"
    if not callable(value) or isinstance(value, type) or (path in CLASSES and name.startswith("__")):
        return None
    try:
        parameters = list(inspect.signature(value).parameters.values())
        plain = [p.replace(annotation=p.empty, default=p.default if p.default is p.empty else ...) for p in parameters]
        return str(inspect.Signature(plain)).replace("Ellipsis", "...")
    except ValueError:
        return from_docstring(value)


def from_docstring(value: Any) -> str | None:
    """The signature on the first line of Cython's docstrings, `sort(self, int axis=-1) -> None`, untyped."""
    found = re.match(r"[\w.]*\((.*?)\)(?: ->|$)", (value.__doc__ or "").partition("\n")[0])
    if not found:
        return None
    parameters = [p.split()[-1] for p in re.sub(r"=[^,]*", "=...", found[1]).split(", ") if p]
    return f"({', '.join(parameters)})"


def hosted(path: str) -> bool:
    """Whether NumPy has a module of this name."""
    try:
        importlib.import_module(path.replace("cupy", "numpy", 1))
    except ImportError:
        return False
    return True


def takes(ufunc: Any, keyword: str) -> bool:
    """Whether a ufunc knows the keyword: an unknown one is refused before the GPU is looked for."""
    try:
        ufunc(*[1] * ufunc.nin, **{keyword: None})
    except Exception as error:
        return not str(error).startswith("Wrong arguments")
    return True


def methods(ufunc: Any) -> list[str]:
    """Which of `accumulate`, `at`, `reduce`, `reduceat` do more than raise NotImplementedError."""

    class Probe:
        """Stands where the array goes; whatever is asked of it means that the method is implemented."""

        def __getattr__(self, name: str) -> Any:
            raise LookupError(name)

    found = []
    for name in ("accumulate", "at", "reduce", "reduceat"):
        try:
            getattr(ufunc, name)(Probe(), *[0] * {"at": 2, "reduceat": 1}.get(name, 0))
        except NotImplementedError:
            continue
        except LookupError:
            found.append(name)
    return found


if __name__ == "__main__":
    main()
