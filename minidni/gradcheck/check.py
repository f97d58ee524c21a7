"""`check_gradients`: the whole procedure, from the user's layer to the report."""

from typing import Any

import numpy as np

from .adapters import LossLayer, as_layer, expect_floating_params, private_copy
from .diagnose import diagnose
from .differences import full_ladder
from .digits import few_digits
from .measure import ComplexStep, Gauge, mark_vague
from .omitted import omitted
from .precision import compare
from .protocol import audit, non_finite_outputs
from .report import ArrayReport, Finding, Report, Trace
from .subject import Subject

MODES = ("auto", "fast", "full")
FULL_UP_TO = 2000  # entries in all, below which "auto" measures every one


def check_gradients(layer: Any, *inputs: Any, seed: int = 0, mode: str = "auto", max_entries: int = 1000) -> Report:
    """Compare a hand-written `backward` with what `forward` does, entry by entry, and say what is wrong.

    The layer needs `forward(x, *other_inputs) -> y, *other_outputs, cache` and
    `backward(dy, cache, *d_other_outputs) -> dx, *d_other_inputs`; `params` and `grads` (name -> array) if it has
    parameters. A loss needs `value(h, labels)` and `gradient(h, labels)`. The check runs on a copy in float64 on the
    CPU, with random cotangents for every output; the object itself is never touched. A layer in float32 or on a GPU is
    compared with the float64 gradients afterwards.

    Args:
        layer: the layer or loss, any class.
        inputs: the inputs of `forward`, any shapes. Integer arrays (tokens, labels) pass through undifferentiated.
            Inputs that are left out but whose gradient `backward` returns (a recurrent layer's `s0`) are drawn.
        seed: of the random cotangents, drawn inputs and directions.
        mode: "full" measures every entry. "fast" compares each array along two random directions and in four entries,
            and goes through all entries only if they disagree. "auto" is full up to 2,000 entries in all.
        max_entries: in fast mode, an array that disagrees and has more entries than this is searched by bisection and
            by a random sample of this many entries.

    The report is ok only if at least one entry of every array could be judged. Not judged are an entry on a kink where
    backward's value lies between the slopes of the two sides, and one whose tolerance is a tenth of the array's
    largest entry or more; the verdict counts them.

    Returns:
        The report: `report.ok`, `report.worst`, `report.cause`, `print(report)`, `report.plot()`.

    Raises:
        TypeError: if the object or its arguments do not follow the protocol at all.
        ValueError: if a setting is out of range, or `forward` cannot be repeated.
        TypeError, ValueError: if `forward` or `backward` raises: its message, with the shapes. A NotImplementedError
            passes unchanged.
    """
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}, expected one of {', '.join(map(repr, MODES))}.")
    if not inputs:
        raise TypeError("check_gradients needs the layer's inputs: check_gradients(layer, x).")
    if not isinstance(max_entries, int | np.integer) or max_entries < 1:
        raise ValueError(f"max_entries is {max_entries!r}, expected a whole number of at least 1.")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed is {seed!r}, expected a whole number of at least 0.")
    random_state = np.random.get_state()
    try:
        with np.errstate(all="ignore"):
            return _check(as_layer(layer), inputs, np.random.default_rng(seed), mode, int(max_entries))
    finally:
        np.random.set_state(random_state)


def _check(layer: Any, inputs: tuple[Any, ...], rng: np.random.Generator, mode: str, max_entries: int) -> Report:
    title = type(layer.loss if isinstance(layer, LossLayer) else layer).__name__
    expect_floating_params(layer, title)
    subject = Subject(private_copy(layer), inputs, rng, title)
    if findings := non_finite_outputs(subject):
        return Report(title, "not run", [], findings, cause=findings[0].text)
    gradients, findings = audit(subject)
    findings += few_digits(subject) + omitted(subject) if subject.trusted else []
    entries = sum(g.size for g in gradients.values())
    full = mode == "full" or (mode == "auto" and entries <= FULL_UP_TO)
    arrays = _measure(subject, gradients, full, max_entries, rng)
    report = Report(title, "full" if full else "fast", arrays, findings, _notes(subject, arrays))
    findings += _unjudged(arrays)
    findings += _unexplained_projections(arrays)
    if report.ok:
        found, note = compare(layer, subject, arrays)
        findings += found
        report.notes += [note] if note else []
    report.trace = _trace(subject, report)
    if not report.ok:
        report.cause = diagnose(subject, gradients, report)
    return report


def _measure(
    subject: Subject, gradients: dict[str, np.ndarray], full: bool, max_entries: int, rng: np.random.Generator
) -> list[ArrayReport]:
    witness = ComplexStep(subject)
    arrays = []
    for name, analytic in gradients.items():
        if analytic.size == 0:
            continue
        gauge = Gauge(subject, name, analytic, rng)
        arrays.append(gauge.all_entries() if full else gauge.fast(max_entries))
        gauge.report.projections_wrong = not full and gauge.disagreed
        witness.testify(gauge.report)
        mark_vague(gauge.report, subject.magnitude)
    return arrays


def _unjudged(arrays: list[ArrayReport]) -> list[Finding]:
    """An array of which nothing could be judged may be wrong altogether, so the check is not passed."""
    if not any(a.judged.any() for a in arrays):
        kinks = any(a.examined.any() for a in arrays)
        why = "every entry sits on a kink" if kinks else "there is no gradient to compare"
        return [Finding("nothing judged", "", f"nothing could be judged: {why}.")]
    text = "no entry of {0} could be judged ({1} on a kink, {2} measured too badly): check it at other values."
    return [
        Finding("not judged", a.name, text.format(a.name, int(a.kink.sum()), int(a.vague.sum())))
        for a in arrays
        if a.unjudged
    ]


def _unexplained_projections(arrays: list[ArrayReport]) -> list[Finding]:
    """Arrays whose random projections disagree though no examined entry does, and some entries were not examined."""
    text = "the projections of {0} disagree, though none of the {1} examined entries does: raise max_entries."
    return [
        Finding("projection", a.name, text.format(a.name, int(a.examined.sum())))
        for a in arrays
        if a.projections_wrong and not a.wrong.any() and not a.examined.all()
    ]


def _notes(subject: Subject, arrays: list[ArrayReport]) -> list[str]:
    notes = []
    drawn = subject.input_names[subject.given :]
    if drawn:
        notes.append(f"drawn at random: {', '.join(drawn)}.")
    if not isinstance(subject.layer, LossLayer):
        for name, x in zip(subject.input_names, subject.inputs, strict=True):
            if isinstance(x, np.ndarray) and x.dtype.kind in "iub":
                notes.append(f"{name} is {x.dtype}: passed through, no gradient of it is checked.")
    if subject.random:
        notes.append("forward is random: every evaluation starts from the same state of its generator.")
    if not hasattr(subject.layer, "params") and not isinstance(subject.layer, LossLayer):
        notes.append("the layer has no params: only the gradients of its inputs were checked.")
    if any(a.kink.any() for a in arrays):
        notes.append("at a kink (the slopes on its two sides differ) a value between the two slopes is not judged.")
    if vague := [f"{int(a.vague.sum())} in {a.name}" for a in arrays if a.vague.any()]:
        notes.append(f"measured too badly to be judged: {', '.join(vague)}.")
    return notes


def _trace(subject: Subject, report: Report) -> Trace | None:
    """The worst entry's central differences over the whole ladder, for the plot."""
    worst = report.worst
    if worst is None:
        return None
    return Trace(*full_ladder(subject.line(subject.arrays()[worst.name], worst.index)))
