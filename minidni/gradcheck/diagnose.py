"""The likely cause, in a sentence or two: guesses in a fixed order, none believed before it was made twice."""

import numpy as np

from . import experiments, guesses
from .adapters import Arrays
from .evidence import Case
from .measure import Gauge
from .report import Report
from .subject import Subject

#: Findings that say all: whatever is wrong with the values may follow from them.
GRAVE = ("modified", "argument", "missing", "shape", "non-finite", "digits", "nothing judged")

#: The first that fits wins, so those that can hardly be a coincidence come first, and vague ones last.
GUESSES = (
    guesses.kink,
    guesses.unused,
    guesses.zero,
    experiments.not_linear,
    experiments.one_cotangent,
    guesses.constant_factor,
    guesses.rearranged,
    guesses.swapped,
    guesses.summed_too_far,
    guesses.wrong_axis,
    experiments.parameter_turned,
    experiments.copied_weight,
    guesses.side_of_zero,
    guesses.few_entries,
    guesses.derivative,
    experiments.ignored_input,
    guesses.normalisation,
    experiments.repeated_index,
    experiments.one_position,
    experiments.between_positions,
    experiments.single_step,
)
MOST = 3  # claims in one report


def diagnose(subject: Subject, gradients: Arrays, report: Report) -> str:
    """What most likely made the gradients wrong.

    A guess becomes a claim only if it says the same of fresh inputs, parameters and cotangents. Arrays that one claim
    does not explain are looked at again.
    """
    for kind in GRAVE:
        for finding in report.findings:
            if finding.kind == kind:
                return _shape_cause(subject, finding.name, finding.text) if kind == "shape" else finding.text
    wrong = sorted((a for a in report.arrays if a.wrong.any()), key=lambda a: -a.wrong.mean())
    if not wrong:
        return report.findings[0].text
    case = Case(subject, gradients, wrong)
    said: list[str] = []
    while case.wrong and len(said) < MOST:
        claim = next((c for guess in GUESSES if (c := guess(case)) and case.fresh and guess(case.fresh) == c), None)
        if claim is None:
            break
        said.append(claim.text)
        case = case.without(claim.names)
    if case.wrong:
        rest = case.names(case.wrong)
        said.append(f"no common mistake explains the gradient of {rest}: a term is missing, extra or wrong.")
    return " ".join(said)


def _shape_cause(subject: Subject, name: str, text: str) -> str:
    """Is the gradient of the wrong shape the right one transposed, or not yet summed?"""
    array = subject.arrays()[name]
    gradient = np.asarray(subject.run(subject.cotangents).gradients(subject)[name], dtype=float)
    candidates = {"only the shape differs": gradient} if gradient.squeeze().shape == array.squeeze().shape else {}
    if gradient.ndim == 2:
        candidates["it is the transpose"] = gradient.T
    for axis in range(gradient.ndim):
        candidates[f"the sum over axis {axis} of the gradient is missing"] = gradient.sum(axis)
    for what, candidate in candidates.items():
        if candidate.size == array.size and (candidate.shape == array.shape or what.startswith("only")):
            gauge = Gauge(subject, name, candidate.reshape(array.shape), np.random.default_rng(3))
            if gauge.agrees_along_directions():
                return f"{text[:-1]}: {what}."
    return text
