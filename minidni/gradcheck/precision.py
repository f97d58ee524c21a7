"""The layer as the user runs it, in float32 or on a GPU, against the gradients checked in float64."""

from typing import Any

import numpy as np

from ..arrays import array_module, to_numpy
from .adapters import Arrays, fill_grads, is_float, named_arrays
from .copying import copy_layer
from .report import ArrayReport, Finding
from .subject import Subject

BASE = 1e-4  # of an array's largest entry, for float32: about 1,000 units of rounding
NOISE = 30.0  # how far beyond the scatter of the rounding errors an error must be to count
POINTS = 5


def compare(original: Any, subject: Subject, reports: list[ArrayReport]) -> tuple[list[Finding], str]:
    """Run the user's layer in its own dtype and place beside the float64 one; write the errors into `reports`.

    No verdict is ever taken from float32 differences. Both run at the same few points, inputs and cotangents that
    differ by some units of rounding. A wrong gradient is off by the same amount at each of them; rounding errors,
    however much a cancellation magnifies them, scatter. So the bound is a small part of the array's largest entry plus
    a multiple of the scatter. Returns the findings and a note.
    """
    params = list(named_arrays(original, "params").values())
    if not params:
        return [], ""
    xp, dtype = array_module(params[0]), np.dtype(params[0].dtype)
    if dtype == np.float64 and xp is np:
        return [], ""
    place = f"{dtype}" + ("" if xp is np else " on the GPU")
    errors: list[Arrays] = []
    exact: Arrays = {}
    for k in range(POINTS):
        inputs = [_round(x, dtype, subject.rng, k > 0) for x in subject.inputs]
        cotangents = [_round(d, dtype, subject.rng, k > 0) for d in subject.cotangents]
        right, y = _float64_gradients(subject, inputs, cotangents)
        found, own_y = _own_gradients(original, subject, xp, inputs, cotangents)
        if subject.random and not np.allclose(own_y, y, rtol=0, atol=1e-3 * float(np.max(np.abs(y), initial=0.0))):
            return [], f"not compared in {place}: forward draws other random numbers there than in float64."
        errors.append({n: found[n] - right[n] for n in right if n in found and found[n].shape == right[n].shape})
        exact = exact or right
    findings = []
    base = BASE * max(1.0, float(np.finfo(dtype).eps / np.finfo(np.float32).eps))
    for report in reports:
        if any(report.name not in e for e in errors):
            continue
        first, *others = (e[report.name] for e in errors)
        scale = float(np.max(np.abs(exact[report.name])))
        error = float(np.max(np.abs(first))) if np.isfinite(first).all() else float("inf")
        scatter = max(float(np.max(np.abs(np.nan_to_num(e - first)))) for e in others)
        bound = base * scale + NOISE * scatter
        report.precision = error / scale if scale else error
        if not error <= bound:
            text = (
                f"in {place} the gradient of {report.name} is off by {report.precision:.1e} of its largest entry, "
                f"and always alike; rounding explains {bound / scale if scale else bound:.1e} at most."
            )
            findings.append(Finding("precision", report.name, text))
    return findings, f"checked in float64; then the layer's own {place} run was compared with it."


def _float64_gradients(subject: Subject, inputs: list[Any], cotangents: list[Any]) -> tuple[Arrays, Any]:
    kept = subject.inputs
    subject.inputs = [x.astype(np.float64) if is_float(x) else x for x in inputs]
    try:
        run = subject.run([d.astype(np.float64) if d is not None else None for d in cotangents])
        gradients = {n: np.asarray(g) for n, g in run.gradients(subject).items() if g is not None}
        return gradients, run.outputs[0]
    finally:
        subject.inputs = kept


def _own_gradients(
    original: Any, subject: Subject, xp: Any, inputs: list[Any], cotangents: list[Any]
) -> tuple[Arrays, Any]:
    layer = copy_layer(original)
    if subject.random:
        np.random.set_state(subject.random_state)
    *outputs, cache = layer.forward(*[xp.asarray(x) if hasattr(x, "shape") else x for x in inputs])
    fill_grads(layer, {})
    given = [xp.asarray(d) if d is not None else None for d in cotangents]
    found = layer.backward(given[0], cache, *given[1:])
    gradients = list(found) if isinstance(found, tuple | list) else [found]
    named = dict(zip(subject.input_names, gradients, strict=False)) | named_arrays(layer, "grads")
    y = to_numpy(outputs[0]).astype(np.float64)
    return {n: to_numpy(g).astype(np.float64) for n, g in named.items() if g is not None}, y


def _round(x: Any, dtype: Any, rng: np.random.Generator, shake: bool) -> Any:
    """The array in `dtype`, first changed by a few units of that dtype's rounding if `shake`; zeros stay zeros."""
    if not is_float(x):
        return x
    return (x * (1 + 8 * float(np.finfo(dtype).eps) * rng.uniform(-1, 1, x.shape)) if shake else x).astype(dtype)
