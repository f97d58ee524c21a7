"""What the functions share: the checks at the door, and gradients that leave no trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..arrays import Array, array_module
from ..arrays.checks import expect_positive


def expect_stream(where: str, net: Any, x: Array, **by_step: Array | None) -> tuple[int, int]:
    """T and B of x; raise unless net is recurrent, x has steps, and the arrays `by_step` have a row for each."""
    if isinstance(net, type) or not all(hasattr(net, name) for name in ("forward", "backward", "n_state")):
        got = f"the class {net.__name__}" if isinstance(net, type) else f"of type {type(net).__name__}"
        raise TypeError(f"{where}: net is {got}, expected a recurrent net, with forward, backward and n_state")
    if not net.n_state:
        raise TypeError(f"{where}: net, of type {type(net).__name__}, has no state, expected a recurrent net")
    if getattr(x, "ndim", 0) < 2 or not x.shape[0]:
        got = f"has shape {tuple(x.shape)}" if hasattr(x, "shape") else f"is of type {type(x).__name__}"
        raise ValueError(f"{where}: x {got}, expected an array (T, B, ...) with at least one step")
    for name, array in by_step.items():
        if array is not None and (not getattr(array, "ndim", 0) or len(array) != len(x)):
            got = f"has shape {tuple(array.shape)}" if hasattr(array, "shape") else f"is of type {type(array).__name__}"
            raise ValueError(f"{where}: {name} {got}, expected an array with {len(x)} rows, one for each step of x")
    return int(x.shape[0]), int(x.shape[1])


def expect_loss(where: str, loss: Any) -> None:
    """Raise unless loss has `value` and `gradient`."""
    if isinstance(loss, type) or not all(hasattr(loss, name) for name in ("value", "gradient")):
        raise TypeError(f"{where}: loss is {loss!r}, expected an object with value and gradient")


def share_of(where: str, steps: int, mean_over: int | None) -> float:
    """What the mean over `steps` weighs in the mean over `mean_over` steps; 1 for None."""
    return 1.0 if mean_over is None else steps / expect_positive(where, mean_over=mean_over)[0]


def gradient_arrays(net: Any) -> list[Array]:
    """The arrays that hold net's gradients, each number once: the slabs of a Layer, or what its `grads` maps to."""
    grads = getattr(net, "grads", {})
    return list(grads.slabs if hasattr(grads, "slabs") else grads.values())


@contextmanager
def scratch_gradients(net: Any) -> Iterator[list[Array]]:
    """Net's gradient arrays, zero inside the with statement and as they were after it."""
    arrays = gradient_arrays(net)
    before = [g.copy() for g in arrays]
    try:
        clear(arrays)
        yield arrays
    finally:
        for g, old in zip(arrays, before, strict=True):
            g[...] = old


def clear(arrays: list[Array]) -> None:
    """Set them to zero."""
    for g in arrays:
        g[...] = 0


def flat(arrays: list[Array]) -> Array:
    """All numbers in one new one-dimensional array."""
    return array_module(*arrays).concatenate([g.reshape(-1) for g in arrays])
