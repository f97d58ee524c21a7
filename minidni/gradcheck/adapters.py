"""The user's object as the checker needs it: the layer protocol, a private float64 copy, its arrays by name."""

import inspect
from typing import Any

import numpy as np

from ..arrays import array_module, to_numpy
from .copying import copy_layer

Arrays = dict[str, np.ndarray]


class LossLayer:
    """A loss behind the layer protocol: the output is its value, the cotangent scales its gradient."""

    def __init__(self, loss: Any):
        self.loss = loss

    def forward(self, h: Any, *labels: Any) -> tuple[np.ndarray, Any]:
        """The loss as a 0-d array, and its arguments as the cache."""
        value = self.loss.value(h, *labels)
        if np.ndim(value) != 0:
            raise ValueError(f"{type(self.loss).__name__}.value must return one number, got shape {np.shape(value)}.")
        return np.asarray(value), (h, *labels)

    def backward(self, dy: Any, cache: Any) -> Any:
        """The gradient with respect to h."""
        return dy * self.loss.gradient(*cache)

    def astype(self, dtype: Any) -> "LossLayer":
        """Most losses have nothing to convert."""
        if hasattr(self.loss, "astype"):
            self.loss = self.loss.astype(dtype) or self.loss
        return self


def as_layer(layer: Any) -> Any:
    """The object itself if it has `forward` and `backward`; a loss (`value`, `gradient`) wrapped as a layer."""
    if isinstance(layer, type):
        raise TypeError(f"check_gradients needs a layer, got the class {layer.__name__}: build one first.")
    if callable(getattr(layer, "forward", None)) and callable(getattr(layer, "backward", None)):
        return layer
    if callable(getattr(layer, "value", None)) and callable(getattr(layer, "gradient", None)):
        return LossLayer(layer)
    lacking = "backward" if hasattr(layer, "forward") else "gradient" if hasattr(layer, "value") else "forward"
    raise TypeError(
        f"check_gradients needs an object with forward and backward (or value and gradient), "
        f"but {type(layer).__name__} has no {lacking}."
    )


def private_copy(layer: Any, dtype: Any = np.float64) -> Any:
    """A copy on the CPU in `dtype`, by the layer's own `to` and `astype` if it has them."""
    if callable(getattr(layer, "astype", None)):
        twin = copy_layer(layer)
        if on_device(layer) and callable(getattr(twin, "to", None)):
            twin = twin.to("cpu") or twin
        return twin.astype(dtype) or twin
    if on_device(layer):
        raise TypeError(
            f"{type(layer).__name__} is on a device and has no to() and astype(): bring it to the CPU first."
        )
    return copy_layer(layer, dtype)


def expect_floating_params(layer: Any, title: str) -> None:
    """Every parameter must be an array that can be differentiated by; None, for one that is not there, is let through.

    Raises:
        TypeError: naming the parameter that is not.
    """
    params: Any = getattr(layer, "params", None)
    for name, p in params.items() if hasattr(params, "items") else ():
        what = str(getattr(p, "dtype", "")) if hasattr(p, "shape") and not isinstance(p, np.generic) else ""
        if p is not None and not what.startswith("float"):
            got = what or f"of type {type(p).__name__}"
            raise TypeError(f"{title}.params[{name!r}] is {got}, expected a floating array.")


def expect_entries(title: str, names: list[str], inputs: list[Any]) -> None:
    """Of a floating input without entries nothing can be checked.

    Raises:
        ValueError: naming the input that is empty.
    """
    for name, x in zip(names, inputs, strict=True):
        if is_float(x) and x.size == 0:
            raise ValueError(f"{title}: {name} is empty (shape {x.shape}), expected at least one entry.")


def on_device(layer: Any) -> bool:
    """Whether any parameter or buffer lies outside NumPy's memory."""
    arrays = (a for kind in ("params", "buffers") for a in named_arrays(layer, kind).values())
    return any(array_module(a) is not np for a in arrays)


def is_float(x: Any) -> bool:
    """Whether x is an array that can be differentiated by."""
    return isinstance(x, np.ndarray) and x.dtype.kind in "fc"


def named_arrays(layer: Any, attribute: str) -> dict[str, Any]:
    """`params` or `grads` as a plain dictionary, empty where the object has none."""
    items = getattr(layer, attribute, None)
    if items is None or not hasattr(items, "items"):
        return {}
    return {str(n): a for n, a in items.items() if hasattr(a, "shape")}


def fill_grads(layer: Any, fill: Arrays) -> None:
    """Set the accumulators; one that a learner's class makes only in its first `backward` is made here."""
    found = named_arrays(layer, "grads")
    for name, gradient in found.items():
        if isinstance(gradient, np.generic):  # `+=` on a 0-d array leaves a scalar, which cannot be written into
            layer.grads[name] = np.full((), fill.get(name, 0.0))
        else:
            gradient[...] = fill.get(name, 0.0)
    for name in fill.keys() - found.keys():
        if not hasattr(getattr(layer, "grads", None), "__setitem__"):
            layer.grads = {}
        layer.grads[name] = fill[name].copy()


def copied(x: Any) -> Any:
    """A copy of an array; anything else as it is."""
    return x.copy() if hasattr(x, "copy") and hasattr(x, "shape") else x


def shaken(x: Any, rng: np.random.Generator) -> Any:
    """Other values for an input: floats keep sign and rough size, integers (tokens, labels) change places."""
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return x * rng.uniform(0.6, 1.4, x.shape)
    if isinstance(x, np.ndarray) and x.dtype.kind in "iu":
        return rng.permutation(x.ravel()).reshape(x.shape)
    return copied(x)


def same_bits(a: list[Any], b: list[Any]) -> bool:
    """Whether two lists hold equal values, NaN equal to NaN."""
    return len(a) == len(b) and all(
        np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind in "fc") if hasattr(x, "shape") else x is y or x == y
        for x, y in zip(a, b, strict=True)
    )


def as_float64(x: Any) -> Any:
    """Floating arrays as float64 copies on the CPU; integers, booleans, None and other objects as they are."""
    if isinstance(x, list | tuple | float):
        x = np.asarray(x)
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        return x
    x = to_numpy(x)
    if x.dtype.kind == "c":
        raise TypeError("check_gradients differentiates real inputs, got a complex array.")
    return np.array(x, dtype=np.float64 if x.dtype.kind == "f" else None)


def positional_names(function: Any) -> tuple[list[str] | None, int]:
    """The names of a method's positional arguments (None: any number), and how many it needs.

    An optional `cache` does not count.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None, 0
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None, 0
    optional_cache = [p for p in parameters if not (p.name == "cache" and p.default is not p.empty)]
    positional = [p for p in optional_cache if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [p.name for p in positional], sum(p.default is p.empty for p in positional)


def backward_names(function: Any, title: str) -> list[str] | None:
    """The names of backward's positional arguments; None: any number.

    Raises:
        TypeError: if it has no argument for the cache.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    taken = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(taken) < 2:
        raise TypeError(f"{title}.backward must take (dy, cache), it takes ({', '.join(taken)}).")
    return taken
