"""Guesses that run backward again: with other cotangents, another parameter, or a shorter input.

Each takes a `Case` and returns a `Claim` or None, like those in `guesses`.
"""

from typing import Any

import numpy as np

from . import guesses, patterns
from .adapters import Arrays, LossLayer, is_float
from .differences import judge
from .evidence import SAMPLE, Case, Claim
from .measure import Gauge
from .protocol import audit, close, largest
from .subject import Subject

SIMPLE = 5000  # entries up to which the check is repeated with a single time step


def not_linear(case: Case) -> Claim | None:
    """Evidence: minus the cotangents do not give minus the gradients.

    Where zero cotangents do not give zero, that is said: as much as with dy, or a part of it.
    """
    flipped = case.backward([None if d is None else -d for d in case.subject.cotangents])
    nothing = case.backward([None if d is None else np.zeros_like(d) for d in case.subject.cotangents])
    for name, g in case.gradients.items():
        if name in flipped and np.isfinite(g).all() and not close(flipped[name], -g, largest(g)):
            dy = case.subject.cotangent_name(0)
            left = [a for a in case.wrong if not close(nothing.get(a.name), np.zeros(a.shape), largest(a.analytic))]
            same = [a for a in left if close(nothing[a.name], a.analytic, largest(a.analytic))]
            if same:
                text = f"{dy} is ignored: with {dy} = 0 the gradient of {case.names(same)} stays the same."
                return case.claim(text, same)
            if left:
                text = f"a part of the gradient of {case.names(left)} does not come from {dy}"
                return case.claim(f"{text}: with {dy} = 0 it is not zero.", left)
            return case.claim(f"backward is not linear in {dy}: something depends on {dy} that should depend on x.")
    return None


def ignored_input(case: Case) -> Claim | None:
    """Evidence: other values of an input (labels, say) change the slopes of forward, but not what backward gives."""
    s = case.subject
    for i, v in enumerate(s.inputs[1:], 1):
        if not isinstance(v, np.ndarray) or v.size < 2 or v.dtype.kind not in "iuf" or (v == v.flat[0]).all():
            continue
        for shift in (1, 2):
            s.inputs[i] = np.roll(v, shift)
            try:
                found = case.backward(s.cotangents)
                same = [a for a in case.wrong if close(found.get(a.name), a.analytic, largest(a.analytic))]
                moved = [a for a in same if a.name != s.input_names[i] and _slopes_differ(s, a)]
            except Exception:  # the layer refuses these values
                moved = []
            finally:
                s.inputs[i] = v
            if moved:
                who = "gradient" if isinstance(s.layer, LossLayer) else "backward"
                name = s.input_names[i]
                text = f"{who} ignores {name}: with other {name} the gradient of {case.names(moved)} stays the same."
                return case.claim(text, moved)
    return None


def _slopes_differ(s: Subject, a: Any) -> bool:
    """Whether a few entries of the array have other slopes than those in its report."""
    for i in np.flatnonzero(a.wrong)[:SAMPLE]:
        index = tuple(map(int, np.unravel_index(i, a.shape)))
        claimed = float(a.numeric[index])
        if judge(s.line(s.arrays()[a.name], index), claimed, float(a.tolerance[index])).wrong(claimed):
            return True
    return False


def one_cotangent(case: Case) -> Claim | None:
    """Evidence: of several cotangents each is given alone, and only with one of them are there errors.

    Of errors that come through dy, only that it is ignored is said here; for all else there are better guesses.
    """
    s = case.subject
    real = [k for k, d in enumerate(s.cotangents) if d is not None]
    if len(real) < 2:
        return None
    claimed, measured = {}, {}
    for k in real:
        claimed[k], measured[k] = case.through(k, s.cotangents[k])
    guilty = [k for k in real if not close(claimed[k], measured[k], 1e3 * max(1.0, largest(measured[k])))]
    if len(guilty) != 1:
        return None
    k = guilty[0]
    name = s.cotangent_name(k)
    if k == 0 and claimed[k].any():
        return None
    if not claimed[k].any():
        return case.claim(f"{name} is ignored: the gradient that flows in through {s.output_name(k)} is lost.")
    r = patterns.factor(claimed[k], measured[k])
    if r is not None:
        reason = patterns.reason(r)
        text = f"what flows in through {name} is {patterns.factor_phrase(r)}"
        return case.claim(f"{text}: {reason}." if reason else f"{text}.")
    return case.claim(_half(case, k) or f"the error comes only through {name}.")


def _half(case: Case, k: int) -> str | None:
    """The half of the last axis of a cotangent (h or c of an LSTM's state) through which the error comes."""
    d = case.subject.cotangents[k]
    width = d.shape[-1] if d.ndim else 0
    if width < 2 or width % 2:
        return None
    for lo, hi in ((0, width // 2), (width // 2, width)):
        part, rest = np.zeros_like(d), d.copy()
        part[..., lo:hi] = d[..., lo:hi]
        rest[..., lo:hi] = 0
        claimed, measured = case.through(k, part)
        if close(*case.through(k, rest), 1e3 * max(1.0, largest(measured))):
            what = "is ignored" if not claimed.any() else "is used wrongly"
            return f"the part [..., {lo}:{hi}] of {case.subject.cotangent_name(k)} {what}."
    return None


def parameter_turned(case: Case) -> Claim | None:
    """Evidence: backward becomes right if it sees a square weight transposed, or a kernel flipped."""
    for name, p in case.subject.params().items():
        turns = {}
        if p.ndim == 2 and p.shape[0] == p.shape[1]:
            turns["transposed"] = p.T.copy()
        if p.ndim == 4:
            turns["flipped"] = p[..., ::-1, ::-1].copy()
        for how, turned in turns.items():
            found = case.backward(case.subject.cotangents, swap={name: turned})
            right = [a for a in case.wrong if patterns.matches(found.get(a.name), a.numeric)]
            if right and how == "flipped":
                return case.claim(
                    f"backward needs {name} flipped: then the gradient of {case.names(right)} is right.", right
                )
            if right:
                return case.claim(_transposed(case, name, p, case.names(right)), right)
    return None


def _transposed(case: Case, name: str, p: np.ndarray, of: str) -> str:
    """Which of W and W.T belongs there can be said where dy is multiplied by it and by nothing else."""
    first, dy = case.named(case.subject.input_names[0]), case.subject.cotangents[0]
    if first is not None and np.shape(dy)[-1:] == p.shape[:1]:
        if patterns.matches(dy @ p.T, first.numeric):
            return f"{name} is used untransposed in the gradient of {of}: {name} where {name}.T belongs."
        if patterns.matches(dy @ p, first.numeric):
            return f"{name} is used transposed in the gradient of {of}: {name}.T where {name} belongs."
    return f"backward needs {name} transposed: {name} and {name}.T are confused in the gradient of {of}."


def copied_weight(case: Case) -> Claim | None:
    """Evidence: dx is dy @ W where dy @ W.T is right, or the other way round (W in the cache may be a copy)."""
    first, dy = case.named(case.subject.input_names[0]), case.subject.cotangents[0]
    for name, p in case.subject.params().items():
        if first is None or p.ndim != 2 or p.shape[0] != p.shape[1] or np.shape(dy)[-1:] != p.shape[:1]:
            continue
        for now, right in ((p, p.T), (p.T, p)):
            if patterns.matches(dy @ right, first.numeric) and patterns.matches(dy @ now, first.analytic):
                return case.claim(_transposed(case, name, p, first.name), [first])
    return None


def repeated_index(case: Case) -> Claim | None:
    """Evidence: x holds integers (tokens), some more than once, and with each of them once all gradients are right."""
    tokens = case.subject.inputs[0]
    if getattr(tokens, "dtype", np.dtype(float)).kind not in "iu" or np.unique(tokens).size == tokens.size:
        return None
    try:
        once = Subject(case.subject.layer, (np.unique(tokens)[None],), np.random.default_rng(1), case.subject.title)
        gradients = audit(once)[0]
    except Exception:  # the layer refuses this shape
        return None
    if not all(_right_and_not_zero(once, gradients, a.name) for a in case.wrong):
        return None
    text = f"the gradient of {case.names(case.wrong)} is right only if no index occurs twice in"
    name = case.subject.input_names[0]
    return case.claim(f"{text} {name}: add with np.add.at, since += with an array of indices adds once to each.")


def one_position(case: Case) -> Claim | None:
    """Evidence: a parameter's gradient stays the same if dy is zero at all positions of an axis but one.

    Not where x holds indices: a later one may overwrite what an earlier one added.
    """
    if not is_float(case.subject.inputs[0]):
        return None
    d = case.subject.cotangents[0]
    for axis in range(min(2, np.ndim(d) - 1)):
        for index, which in ((-1, "last"), (0, "first")):
            if d.shape[axis] < 2:
                continue
            alone = np.zeros_like(d)
            at = (slice(None),) * axis + (index,)
            alone[at] = d[at]
            gradients = case.backward([alone, *case.subject.cotangents[1:]])
            for a in case.wrong:
                given = a.name in case.subject.input_names
                if not given and close(gradients.get(a.name), a.analytic, largest(a.analytic)):
                    text = f"the sum over {case.axis(axis)} is missing in the gradient of {a.name}"
                    return case.claim(f"{text}: only the {which} position counts.", [a])
    return None


def between_positions(case: Case) -> Claim | None:
    """Evidence: with any single position along an axis of x all gradients that were wrong are right, and none is zero.

    The positions tried are the first, the last and the one with the largest error.
    """
    x = case.subject.inputs[0]
    inputs = [a for a in case.wrong if a.name in case.subject.input_names]
    for axis in range(min(2, np.ndim(x) - 1)):
        if not inputs or x.shape[axis] < 2:
            continue
        worst = [int(np.unravel_index(np.nanargmax(a.error), a.shape)[axis]) for a in inputs if a.shape == x.shape]
        alone = [case.resized(axis, np.array([i])) for i in {0, x.shape[axis] - 1, *worst}]
        if all(short and _right_and_not_zero(*short, a.name) for short in alone for a in case.wrong):
            return case.claim(
                f"with a single position along {case.axis(axis)} of x all is right: what flows from one position "
                f"to another is wrong or missing (in the gradient of {case.names(case.wrong)})."
            )
    return None


def _right_and_not_zero(subject: Subject, gradients: Arrays, name: str) -> bool:
    if name not in gradients or largest(gradients[name]) <= 1e3 * subject.backward_rounding():
        return False
    return Gauge(subject, name, gradients[name], np.random.default_rng(2)).agrees_along_directions()


def single_step(case: Case) -> Claim | None:
    """Evidence: with a single time step, where errors are not passed on to other steps, a simple guess fits."""
    x = case.subject.inputs[0]
    if np.ndim(x) != 3 or x.shape[0] < 2:
        return None
    short = case.resized(0, np.array([0]))
    if short is None or sum(g.size for g in short[1].values()) > SIMPLE:
        return None
    subject, gradients = short
    reports = [Gauge(subject, n, g, subject.rng).all_entries() for n, g in gradients.items()]
    simple = Case(subject, gradients, [r for r in reports if r.wrong.any()])
    for guess in (guesses.zero, guesses.rearranged, guesses.few_entries, guesses.some_entries):
        claim = guess(simple) if simple.wrong else None
        if claim and simple.fresh and guess(simple.fresh) == claim:
            return case.claim(f"with a single position along {case.axis(0)} of x, {claim.text}")
    return None
