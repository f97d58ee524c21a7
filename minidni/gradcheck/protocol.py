"""What `backward` owes beside right values: it adds, leaves its arguments alone, can be repeated, is complete."""

from typing import Any

import numpy as np

from .adapters import Arrays, copied, fill_grads, is_float, named_arrays, shaken
from .copying import copy_layer
from .noise import shaken_by_rounding
from .report import Finding
from .subject import Pass, Subject

SAME = 1e-9  # against the array's largest entry: sums taken in another order differ by far less


def audit(subject: Subject) -> tuple[Arrays, list[Finding]]:
    """The gradients that can be judged, by name, and everything found wrong with how they were delivered."""
    findings = [Finding("argument", name, text) for name, text in subject.complaints]
    first = subject.run(subject.cotangents, twice=True)
    findings += [Finding("modified", name, f"{by} modifies {name} in place.") for by, name in first.modified]
    subject.trusted = not first.modified
    subject.fresh |= bool(first.modified)  # then every forward runs on copies, of the layer too
    found = first.gradients(subject)
    usable: Arrays = {}
    for name, array in subject.arrays().items():
        gradient = found.get(name)
        if gradient is None:
            findings.append(_missing(subject, first, name))
            continue
        gradient = np.asarray(gradient)
        if gradient.shape != array.shape:
            text = f"the gradient of {name} has shape {gradient.shape}, but {name} has shape {array.shape}."
            findings.append(Finding("shape", name, text))
            continue
        usable[name] = gradient.astype(np.float64)
        bad = np.argwhere(~np.isfinite(usable[name]))
        if len(bad):
            where = ", ".join(map(str, bad[0]))
            findings.append(
                Finding(
                    "non-finite",
                    name,
                    f"the gradient of {name} is not finite in {len(bad)} entries, first at [{where}].",
                )
            )
    subject.weigh(usable)
    subject.noise = shaken_by_rounding(subject, usable)
    findings += _repeatable(subject, first) or _in_flight(subject, first)
    findings += _accumulates(subject, first)
    return usable, findings


def non_finite_outputs(subject: Subject) -> list[Finding]:
    """A finding for every output that holds NaN or infinity."""
    findings = []
    for k, y in enumerate(subject.outputs()):
        if y is not None and np.asarray(y).dtype.kind == "f" and not np.isfinite(y).all():
            where = ", ".join(map(str, np.argwhere(~np.isfinite(np.asarray(y)))[0]))
            name = subject.output_name(k)
            text = f"forward returns a value that is not finite in {name}, first at [{where}]: nothing can be checked."
            findings.append(Finding("non-finite", name, text))
    return findings


def close(a: Any, b: Any, scale: float) -> bool:
    """Equal shapes, and equal values up to rounding at `scale`; NaN equals NaN."""
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=0, atol=SAME * max(scale, 1e-300), equal_nan=True)


def largest(a: Any) -> float:
    """The largest finite magnitude."""
    a = np.abs(np.asarray(a, dtype=float))
    return float(np.max(a[np.isfinite(a)], initial=0.0))


def _missing(subject: Subject, first: Pass, name: str) -> Finding:
    if name in subject.input_names:
        i = subject.input_names.index(name)
        if i < len(first.inputs):
            return Finding("missing", name, f"backward returned None for the gradient of {name}.")
        given = f"{len(first.inputs)} gradient{'s' * (len(first.inputs) != 1)} for {len(subject.inputs)} inputs"
        return Finding("missing", name, f"backward returned {given}: the one of {name} is missing.")
    have = ", ".join(first.params) or "nothing"
    return Finding("missing", name, f"params has {name!r}, but grads has no gradient of that name (it has {have}).")


def _repeatable(subject: Subject, first: Pass) -> list[Finding]:
    if isinstance(first.again, Exception):
        said = f"{type(first.again).__name__}: {first.again}"
        return [Finding("not repeatable", "cache", f"a second backward with the same cache fails with {said}")]
    if first.again is None:
        return []
    again, found = first.again.gradients(subject), first.gradients(subject)
    changed = [n for n, g in found.items() if is_float(g) and not close(again.get(n), g, largest(g))]
    text = "a second backward with the same cache gives another gradient of {}: backward changes its cache."
    return [Finding("not repeatable", "cache", text.format(", ".join(changed)))] if changed else []


def _in_flight(subject: Subject, first: Pass) -> list[Finding]:
    """Two passes may be in flight at once: a second forward must not change what the first one's backward gives.

    Running statistics and generators that the second forward moves on do no harm: backward does not read them.
    """
    if first.modified:
        return []
    layer, others = copy_layer(subject.layer), [shaken(x, np.random.default_rng(4)) for x in subject.inputs]
    if subject.random:
        np.random.set_state(subject.random_state)
    *_, cache = layer.forward(*[copied(x) for x in subject.inputs])
    try:
        layer.forward(*others)
    except Exception:  # labels or tokens in another order may make no sense to it
        return []
    fill_grads(layer, {})
    try:
        inputs = subject.backward(layer, [copied(d) for d in subject.cotangents], cache)
        other = Pass([], inputs, {n: copied(g) for n, g in named_arrays(layer, "grads").items()}, []).gradients(subject)
    except (TypeError, ValueError):  # what the second forward left does not fit
        other = {}
    found = first.gradients(subject)
    changed = [n for n, g in found.items() if is_float(g) and not close(other.get(n), g, largest(g))]
    if not changed:
        return []
    text = "backward uses what the last forward left on the layer, not its cache"
    seen = f"after another forward it gives another gradient of {', '.join(changed)}"
    return [Finding("stashed", "cache", f"{text}: {seen}.")]


def _accumulates(subject: Subject, first: Pass) -> list[Finding]:
    """Backward once more with accumulators that hold something: it must still be there afterwards."""
    wanted = {n: g for n, g in first.params.items() if n in subject.params() and np.isfinite(g).all()}
    fill = {n: subject.rng.standard_normal(g.shape) * (largest(g) or 1.0) for n, g in wanted.items()}
    filled = subject.run(subject.cotangents, fill)
    second = filled.params
    overwritten: list[str] = []
    other: list[str] = []
    for name in fill:
        held = filled.held.get(name, fill[name])
        scale = largest(wanted[name]) or 1.0
        if not close(second.get(name), held + wanted[name], scale):
            (overwritten if close(second.get(name), wanted[name], scale) else other).append(name)
    findings = [
        Finding("overwritten", n, f"backward overwrites grads[{n!r}] instead of adding to it: write +=, not =.")
        for n in overwritten
    ]
    text = "backward does not add to grads[{0!r}]: what it held before changes the result."
    return findings + [Finding("overwritten", n, text.format(n)) for n in other]
