"""Calls of the user's methods: what they raise becomes one sentence with the shapes, what they return is checked."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .adapters import copied

MOST = 8  # shapes in one sentence


def call(where: str, method: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """`method(*args)`; an exception names `where` and the shapes of `named` (arrays, or mappings and caches of them).

    NotImplementedError passes unchanged: there is nothing wrong yet with what is not written yet.
    """
    try:
        return method(*args)
    except (NotImplementedError, MemoryError):
        raise
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError | AttributeError) else ValueError
        said = " ".join(str(error).split()).rstrip(".")
        what = type(error).__name__ + (f": {said}" if said else "")
        shapes = [f"{name} {shape}" for label, value in named.items() for name, shape in _shapes(label, value)]
        given = f" (shapes: {', '.join(shapes[:MOST])}{', ...' if len(shapes) > MOST else ''})" if shapes else ""
        raise kind(f"{where} raised {what}{given}.") from error


def _shapes(label: str, value: Any, depth: int = 0) -> list[tuple[str, tuple[int, ...]]]:
    """The arrays in a value under the names one would write: `x`, `cache['x']`, `cache[0]`."""
    if hasattr(value, "shape"):
        return [(label, tuple(value.shape))]
    if depth > 1:
        return []
    if isinstance(value, tuple | list):
        return [found for i, v in enumerate(value) for found in _shapes(f"{label}[{i}]", v, depth + 1)]
    items = value if isinstance(value, Mapping) else getattr(value, "_kept", None)  # the library's own Cache
    if not isinstance(items, Mapping):
        items = dict(value.items()) if hasattr(value, "items") else {}
    return [found for name, v in items.items() for found in _shapes(f"{label}[{name!r}]", v, depth + 1)]


def outputs_and_cache(title: str, result: Any) -> tuple[list[Any], Any]:
    """What forward returned, as copies of the outputs and the cache.

    Raises:
        TypeError: if it is not (y, *other_outputs, cache) with float64 outputs.
    """
    if not isinstance(result, tuple | list) or len(result) < 2:
        got = f"a tuple of {len(result)}" if isinstance(result, tuple | list) else type(result).__name__
        raise TypeError(f"{title}.forward must return (y, cache), got {got}.")
    outputs = [copied(y) for y in result[:-1]]
    for k, y in enumerate(outputs):
        if y is None:
            continue
        if not isinstance(y, np.ndarray | np.generic | float | int):
            got = type(y).__name__
            raise TypeError(f"{title}.forward must return arrays and then one cache, got {got} as output {k}.")
        if np.asarray(y).dtype in (np.float32, np.float16):
            raise TypeError(
                f"{title}.forward returned {np.asarray(y).dtype} for float64 inputs; a check needs float64 "
                "inside, so give the class an astype(dtype) method or float64 parameters."
            )
    return outputs, result[-1]
