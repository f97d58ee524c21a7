"""A state or a cotangent that is left out counts as zeros: outputs and gradients must be those of explicit zeros."""

from itertools import product
from typing import Any

import numpy as np

from .adapters import LossLayer, is_float
from .protocol import close, largest
from .report import Finding
from .subject import Pass, Subject


def omitted(subject: Subject) -> list[Finding]:
    """A finding for the first state or cotangent whose None is not treated as zeros.

    Calls that the layer refuses are skipped: nobody has to accept None. A state is an input as large as an output
    beside the first; what any other optional input means when it is left out, only its author knows.
    """
    real = [k for k, d in enumerate(subject.cotangents) if d is not None]
    if isinstance(subject.layer, LossLayer) or len(real) < 2:
        return []
    shapes = {subject.cotangents[k].shape for k in real[1:]}
    states = [i for i, s in enumerate(subject.inputs[1:], 1) if is_float(s) and s.shape in shapes]
    pairs = product([None, *states], [None, *reversed(real)])
    for i, k in sorted(pairs, key=lambda pair: sum(p is not None for p in pair)):
        if (i, k) != (None, None) and (finding := _compare(subject, i, k)):
            return [finding]
    return []


def _compare(subject: Subject, i: int | None, k: int | None) -> Finding | None:
    """Input i and cotangent k as None against both as zeros."""
    try:
        left_out, zeros = _run(subject, i, k, True), _run(subject, i, k, False)
    except Exception:  # it refuses None, in any way it likes
        return None
    names = [subject.input_names[i]] if i is not None else []
    names += [subject.cotangent_name(k)] if k is not None else []
    what = " and ".join(names)
    outputs = [
        subject.output_name(n) if n else "y"
        for n, (y, z) in enumerate(zip(left_out.outputs, zeros.outputs, strict=True))
        if y is not None and not close(y, z, largest(z))
    ]
    if outputs:
        text = f"with {what} None forward gives another {', '.join(outputs)} than with {what} zero."
        return Finding("omitted", names[0], text)
    gradients, expected = left_out.gradients(subject), zeros.gradients(subject)
    changed = [
        n
        for n, g in expected.items()
        if g is not None and gradients.get(n) is not None and not close(gradients[n], g, largest(g))
    ]
    if not changed:
        return None
    text = f"with {what} None the gradient of {', '.join(changed)} differs from that with {what} zero."
    return Finding("omitted", names[0], text)


def _run(subject: Subject, i: int | None, k: int | None, none: bool) -> Pass:
    inputs, cotangents = list(subject.inputs), list(subject.cotangents)
    for values, at in ((inputs, i), (cotangents, k)):
        if at is not None:
            values[at] = None if none else np.zeros_like(values[at])
    kept: list[Any] = subject.inputs
    subject.inputs = inputs
    try:
        return subject.run(cotangents)
    finally:
        subject.inputs = kept
