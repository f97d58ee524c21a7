"""The frozen list of CuPy's names, read from cupy_names.json, which freeze_cupy.py writes."""

import functools
import inspect
import json
from pathlib import Path

_frozen = json.loads(Path(__file__).with_name("cupy_names.json").read_text(encoding="utf-8"))
VERSION: str = _frozen["versions"]["cupy"]
NAMES: dict[str, dict[str, str | None]] = _frozen["names"]
DOCUMENTED: list[str] = _frozen["synchronising"]  # functions that may wait for the GPU
UFUNCS: dict[str, list[str]] = _frozen["ufuncs"]
SAME = "= numpy"  # in place of a signature: CuPy re-exports NumPy's own object


@functools.cache
def signature(owner: str, name: str) -> inspect.Signature | None:
    """What a function or method of a module or class takes; None where the list does not say."""
    text = NAMES[owner][name]
    if text is None or text == SAME:
        return None
    return inspect.signature(eval(f"lambda {text[1:-1]}: None"))


def check_arguments(owner: str, name: str, args: tuple, kwargs: dict) -> inspect.BoundArguments | None:
    """Raise TypeError unless CuPy's function takes these arguments."""
    known = signature(owner, name)
    try:
        return known and known.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{owner}.{name}: {error}") from None
