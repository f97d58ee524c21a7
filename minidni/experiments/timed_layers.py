"""What the cost tables time: layers by type and width, the synthesizers above them, and the clock."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from ..arrays import Array, to_device
from ..dni import Synthesizer, networks
from ..nn import LSTM, SGD, Adam, BatchNorm, Conv2d, Layer, LayerNorm, Linear, Optimiser, ReLU, Sequential, Tanh

Kind = Literal["relu", "batchnorm-relu", "layernorm-tanh", "conv-relu", "conv-batchnorm-relu", "lstm", "lstm-windows"]
Form = Literal["linear", "conditional", "hidden", "two-hidden"]
Device = Literal["cpu", "cuda"]
FORMS: tuple[Form, ...] = ("linear", "conditional", "hidden", "two-hidden")
KERNEL, SIDE = 3, 8  # of a convolution's windows, and of its images
T = 8  # steps of time
CLASSES = 10
TURN = 2e-3  # seconds; a job that takes less is repeated, for the clock's sake


def units(kind: Kind, width: int) -> int:
    """Of a layer: features, channels of 8 x 8 images, or units of an LSTM that walks 8 steps."""
    return width // 16 if kind.startswith("conv") else width // 4 if kind.startswith("lstm") else width


def shape(kind: Kind, width: int, batch: int) -> tuple[int, ...]:
    """Of what goes into a layer, and of what comes out."""
    n = units(kind, width)
    return (batch, n, SIDE, SIDE) if kind.startswith("conv") else (T, batch, n) if "lstm" in kind else (batch, n)


def make_layer(kind: Kind, width: int, rng: np.random.Generator) -> Layer:
    """As many units out as in."""
    n = units(kind, width)
    if kind.startswith("lstm"):
        return LSTM(n, n, rng=rng)
    conv = kind.startswith("conv")
    first = Conv2d(n, n, KERNEL, padding=KERNEL // 2, rng=rng) if conv else Linear(n, n, rng=rng)
    last = Tanh() if kind.endswith("tanh") else ReLU()
    if "batchnorm" in kind:
        return Sequential(first, BatchNorm(n, axis=1) if conv else BatchNorm(n), last)
    return Sequential(first, LayerNorm(n), last) if "layernorm" in kind else Sequential(first, last)


def make_synthesizer(
    kind: Kind, form: Form, width: int, rng: np.random.Generator, optimizer: str, device: Device
) -> Synthesizer:
    """As wide as what it predicts, in hidden layers too; convolutional behind a convolution, with the same kernel.

    Between windows of an LSTM that is the state. It does not start at zero: it is timed as it is later.
    """
    n = units(kind, width) * (2 if kind == "lstm-windows" else 1)
    sizes: dict[str, Any] = {"n_hidden": n, "n_layers": {"hidden": 1, "two-hidden": 2}.get(form, 0), "rng": rng}
    n_context = CLASSES if form == "conditional" else 0
    if kind.startswith("conv"):
        net = networks.convolutional(n, n_context, kernel=KERNEL, **sizes)
    else:
        net = networks.mlp(n, n_context, **sizes)
    return Synthesizer(net.to(device), make_optimiser(optimizer), n_context=n_context, zero_start=False)


def make_optimiser(name: str) -> Optimiser:
    """With steps so short that what is timed stays what it is."""
    return SGD(1e-6) if name == "sgd" else Adam(1e-6)


def normal(shape: tuple[int, ...], rng: np.random.Generator, device: Device) -> Array:
    """Random numbers there."""
    return to_device(rng.standard_normal(shape, dtype=np.float32), device)


def expect_there(device: Device) -> None:
    """Raise ValueError unless there is such a device."""
    try:
        to_device(np.zeros(1), device)
    except RuntimeError as error:
        raise ValueError(str(error)) from None


def waiting(device: Device) -> Callable[[], Any]:
    """What returns once all that was asked of the device is done."""
    if device == "cpu":
        return lambda: None
    import cupy

    return cupy.cuda.Device().synchronize


def medians(jobs: Mapping[str, Callable[[], Any]], repeats: int, wait: Callable[[], Any]) -> dict[str, float]:
    """Milliseconds of each job: the median over the repeats, in each of which all jobs take their turn.

    Args:
        jobs: what to time, by name; each is run twice before anything is.
        repeats: how often.
        wait: see `waiting`.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    n = {name: max(1, int(TURN / seconds(job, 1, wait))) for name, job in jobs.items()}
    for _ in range(repeats):
        for name, job in jobs.items():
            times[name].append(1000 * seconds(job, n[name], wait) / n[name])
    return {name: statistics.median(each) for name, each in times.items()}


def seconds(job: Callable[[], Any], n: int, wait: Callable[[], Any]) -> float:
    """Of n runs in a row, the device's work included."""
    wait()
    start = time.perf_counter()
    for _ in range(n):
        job()
    wait()
    return time.perf_counter() - start
