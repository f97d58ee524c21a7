"""`save` and `load`: parameters, buffers, random states and the optimiser in one file without pickle."""

import copy
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..arrays import Array, device_of, to_device, to_numpy
from .layer import Layer
from .optimisers import Optimiser

FORMAT = "minidni 1"
_ONE_AT_A_TIME = threading.Lock()


def save(path: str | os.PathLike[str], layer: Layer, optimiser: Optimiser | None = None) -> None:
    """Write the layer, and the optimiser if given, to one `.npz` file, whole or not at all.

    With the optimiser, and the data's `batches` started at the same epoch and batch, a run resumed with `load` equals
    the uninterrupted one bit for bit (on a GPU up to the order of sums); the states of random generators inside the
    layer (dropout) are saved too.

    Args:
        path: the file, usually ending in .npz; it is replaced only when the new one is complete.
        layer: a layer or a network.
        optimiser: the optimiser that trains it.
    """
    path = _expect("save", path, layer, optimiser)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"save: path is {str(path)!r}, and there is no folder {str(path.parent)!r}")
    if path.is_dir():
        raise IsADirectoryError(f"save: path is {str(path)!r}, which is a folder, expected a file")
    arrays = {name: to_numpy(a) for name, a in _arrays(layer, optimiser).items()}
    about = {"format": FORMAT, "generators": [g.bit_generator.state for g in _generators(layer)]}
    if optimiser is not None:
        about |= {
            "optimiser": type(optimiser).__name__,
            "steps": [state["steps"] for state in _states(layer, optimiser)],
        }
    arrays["about"] = np.array(json.dumps(about, default=np.ndarray.tolist))  # some generators' states hold arrays
    with whole_file(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its name when it is complete: what was there before stays until then."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's files are for their owner alone
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike[str], layer: Layer, optimiser: Optimiser | None = None) -> None:
    """Read what `save` wrote into a layer of the same structure, on whichever device it is; nothing changes on failure.

    Args:
        path: the file.
        layer: takes the saved numbers.
        optimiser: takes the saved state; the learning rate and other settings stay its own.

    Raises:
        ValueError: if the file is no such file, or its names, shapes, dtypes or optimiser differ; all are listed.
    """
    path = _expect("load", path, layer, optimiser)
    about, saved = _read(path)
    wanted = _arrays(layer, optimiser)
    if optimiser is None:
        saved = {name: a for name, a in saved.items() if not name.startswith("optimiser/")}
    elif about.get("optimiser") != type(optimiser).__name__:
        got = about.get("optimiser", "no optimiser")
        raise ValueError(f"{path} holds {got}'s state, expected {type(optimiser).__name__}'s; nothing was loaded")
    differences = list(_differences(saved, wanted))
    got = [state["bit_generator"] for state in about["generators"]]
    if got != (want := [type(g.bit_generator).__name__ for g in _generators(layer)]):
        differences.append(f"random generators [{', '.join(got)}] in the file, [{', '.join(want)}] in the layer")
    if optimiser is not None and len(about["steps"]) != (n := len(layer.params.leaves)):
        differences.append(f"an optimiser of {len(about['steps'])} layers in the file, {n} in the layer")
    for generator, state in zip(_generators(layer), about["generators"], strict=False):
        try:
            copy.deepcopy(generator.bit_generator).state = state
        except Exception:  # before anything is changed
            differences.append("the state of a random generator in the file is damaged")
    if differences:
        raise ValueError(f"{path} does not fit {layer._name()}, nothing was loaded: {'; '.join(differences)}")
    for name, array in wanted.items():
        array[...] = to_device(saved[name], device_of(array))
    for generator, state in zip(_generators(layer), about["generators"], strict=True):
        generator.bit_generator.state = state
    if optimiser is not None:
        for state, steps in zip(_states(layer, optimiser), about["steps"], strict=True):
            state["steps"] = steps


def _expect(where: str, path: Any, layer: Any, optimiser: Any) -> Path:
    """The path as a Path; raise unless all three are what they should be."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise TypeError(f"{where}: path is {path!r}, expected the path of a file")
    if not isinstance(layer, Layer):
        raise TypeError(f"{where}: layer is of type {type(layer).__name__}, expected a Layer")
    if optimiser is not None and not isinstance(optimiser, Optimiser):
        raise TypeError(f"{where}: optimiser is {optimiser!r}, expected an optimiser, such as Adam(), or None")
    return Path(path)


def _arrays(layer: Layer, optimiser: Optimiser | None) -> dict[str, Array]:
    """Every array to be saved or filled, by its name in the file."""
    arrays = {f"params/{name}": a for name, a in layer.params.items()}
    arrays |= {f"buffers/{name}": a for name, a in layer.buffers.items()}
    if optimiser is not None:
        for i, state in enumerate(_states(layer, optimiser)):
            arrays |= {f"optimiser/{i}.{name}": state[name] for name in optimiser.state_names}
    return arrays


def _states(layer: Layer, optimiser: Optimiser) -> list[dict[str, Any]]:
    return [optimiser.state_of(leaf) for leaf in layer.params.leaves]


def _generators(layer: Layer) -> list[np.random.Generator]:
    """The random generators in the layer and the layers inside, each once."""
    own = [value for value in vars(layer).values() if isinstance(value, np.random.Generator)]
    inner = [generator for child in layer.children().values() for generator in _generators(child)]
    return list({id(generator): generator for generator in [*own, *inner]}.values())


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with open(path, "rb") as handle:  # not left to np.load, which does not close a broken file
        try:
            with np.load(handle, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            about = json.loads(str(arrays.pop("about")))
            steps = about.get("steps", [])
            generators = about["generators"]
            whole = isinstance(generators, list) and all(type(n) is int and n >= 0 for n in steps)
            if about["format"] != FORMAT or not whole or ("optimiser" in about) != ("steps" in about):
                raise ValueError
        except Exception:  # zipfile and NumPy meet damage with a dozen kinds of exception
            raise ValueError(f"{path} is not a complete file written by minidni's save") from None
    return about, arrays


def _differences(saved: dict[str, np.ndarray], wanted: dict[str, Array]) -> Iterator[str]:
    for name in [*wanted, *(name for name in saved if name not in wanted)]:
        if name not in saved:
            yield f"{name} is missing in the file"
        elif name not in wanted:
            yield f"{name} is in the file but not in the {'optimiser' if name.startswith('optimiser/') else 'layer'}"
        elif (got := (saved[name].shape, saved[name].dtype)) != (want := (wanted[name].shape, wanted[name].dtype)):
            yield f"{name} is {got[1]} {got[0]} in the file, {want[1]} {want[0]} in the layer"


def _umask() -> int:
    with _ONE_AT_A_TIME:  # for another thread would read the 0, and leave it set
        mask = os.umask(0)
        os.umask(mask)
    return mask
