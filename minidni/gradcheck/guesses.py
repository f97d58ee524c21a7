"""Guesses that look at the numbers alone: the gradient that backward gives beside the measured one.

Each takes a `Case` and returns a `Claim` or None. `diagnose` lists them in order and believes none before it has made
the same claim on other numbers too, so a guess may rest on a coincidence but not a claim.
"""

from itertools import chain, combinations

import numpy as np

from . import patterns
from .adapters import LossLayer
from .evidence import Case, Claim
from .report import ArrayReport


def kink(case: Case) -> Claim | None:
    """Evidence: every wrong entry sits on a kink of its own, and backward's value is not between the two slopes."""
    beyond = [a for a in case.wrong if a.beyond.any() and not (a.wrong & ~a.beyond).any()]
    if not beyond:
        return None
    text = "at a kink the gradient of {} lies outside the slopes on its two sides: no convention allows that."
    return case.claim(text.format(case.names(beyond)), beyond)


def unused(case: Case) -> Claim | None:
    """Evidence: no entry of a parameter changes anything."""
    params = case.subject.params()
    for a in case.wrong:
        if a.name in params and a.judged.all() and not a.numeric.any():
            text = f"forward does not read params[{a.name!r}]: changing it changes nothing, so it is unused, or not"
            return case.claim(f"{text} the array that forward uses.", [a])
    return None


def zero(case: Case) -> Claim | None:
    """Evidence: every entry that backward gives is 0."""
    zeros = [a for a in case.wrong if not a.analytic.any()]
    if not zeros:
        return None
    return case.claim(f"the gradient of {case.names(zeros)} is all zeros: backward never computes it.", zeros)


def constant_factor(case: Case) -> Claim | None:
    """Evidence: every measured entry is off by one factor.

    A factor is ascribed to the batch or the time steps only if it grows with them.
    """
    found = [(a, r) for a in case.wrong if (r := patterns.factor(a.analytic, a.numeric)) is not None]
    if not found:
        return None
    first, r = found[0]
    same = [a for a, other in found if abs(other - r) <= 1e-6 * abs(r)]
    reason = _length(case, first, r) or patterns.reason(r)
    text = f"the gradient of {case.names(same)} is {patterns.factor_phrase(r)}"
    return case.claim(f"{text}: {reason}." if reason else f"{text}.", same)


def _length(case: Case, a: ArrayReport, r: float) -> str | None:
    """Which length of x the factor is, seen by giving x twice along that axis."""
    shape = np.shape(case.subject.inputs[0])
    meanings: dict[tuple[int, ...], str] = {(0,): "the batch size"}
    if len(shape) == 3:
        meanings = {(0,): "the number of time steps", (1,): "the batch size", (0, 1): "time steps times batch size"}
    for axes, meaning in meanings.items():
        length = int(np.prod([shape[axis] for axis in axes])) if shape else 1
        for value, times, text in (
            (length, 2.0, f"{length} is {meaning}, a sum where a mean was meant"),
            (1 / length, 0.5, f"1/{length} with {meaning} {length}, a mean where a sum was meant"),
        ):
            if length < 2 or not patterns.same(abs(r), value):
                continue
            doubled = [case.factor_when_doubled(axis, a.name) for axis in axes]
            if all(other is not None and patterns.same(other, times * r) for other in doubled):
                return text
    return None


def rearranged(case: Case) -> Claim | None:
    """Evidence: the right entries are there, in another place."""
    for a in case.wrong:
        if what := patterns.rearranged(a.analytic, a.numeric):
            return case.claim(f"the gradient of {a.name} is {what}: a transpose or reversal is missing or extra.", [a])
        if what := patterns.blocks(a.analytic, a.numeric):
            return case.claim(f"in the gradient of {a.name} {what}.", [a])
        if shift := patterns.shifted(a.analytic, a.numeric):
            axis, steps = shift
            way = "late" if steps > 0 else "early"
            text = f"the gradient of {a.name} is shifted along axis {axis}: every position comes one step too {way}."
            return case.claim(text, [a])
    return None


def swapped(case: Case) -> Claim | None:
    """Evidence: each of two arrays has the other's right gradient."""
    for a, b in combinations(case.wrong, 2):
        if patterns.explains(b.numeric, a.analytic, a.numeric) and patterns.explains(a.numeric, b.analytic, b.numeric):
            first, second = sorted((a.name, b.name), key=list(case.gradients).index)
            return case.claim(f"the gradients of {first} and {second} are swapped.", [a, b])
    return None


def summed_too_far(case: Case) -> Claim | None:
    """Evidence: the entries along an axis are all equal, and a fixed multiple of the sum of the right ones."""
    for a in case.wrong:
        found = patterns.collapsed(a.analytic, a.numeric)
        if found is None:
            continue
        axes, r = found
        n = int(np.prod([a.shape[axis] for axis in axes]))
        if patterns.same(r, 1):
            what, verb = "the sum", "summed"
        else:
            what, verb = "the mean" if patterns.same(r, 1 / n) else f"{r * n:.6g} times the mean", "averaged"
        along = f" along axis {', '.join(map(str, axes))}" if len(axes) < a.analytic.ndim else ""
        text = f"all entries of the gradient of {a.name}{along} are equal, {what} of the right ones"
        return case.claim(f"{text}: it is {verb} over one axis too many.", [a])
    return None


def wrong_axis(case: Case) -> Claim | None:
    """Evidence: the right gradient is dy summed over some axes, and backward's is dy summed over others."""
    dy = case.subject.cotangents[0]
    if dy is None or dy.ndim < 2:
        return None
    name = case.subject.cotangent_name(0)
    choices = list(chain.from_iterable(combinations(range(dy.ndim), k) for k in range(1, dy.ndim)))
    for a in case.wrong:
        sums = {axes: dy.sum(axes) for axes in choices if dy.sum(axes).shape == a.shape}
        right = next((axes for axes, g in sums.items() if patterns.matches(g, a.numeric)), None)
        for axes, g in sums.items():
            n = int(np.prod([dy.shape[axis] for axis in axes]))
            for verb, model in (("summed", g), ("averaged", g / n)):
                if right is not None and axes != right and patterns.explains(model, a.analytic, a.numeric):
                    return case.claim(
                        f"the gradient of {a.name} is {name} {verb} over axis {_listed(axes)}, "
                        f"where the sum over axis {_listed(right)} is right.",
                        [a],
                    )
    return None


def derivative(case: Case) -> Claim | None:
    """Evidence: the layer works entry by entry, and dx is dy times a well-known wrong derivative."""
    s = case.subject
    first = _first_input(case)
    if first is None or isinstance(s.layer, LossLayer) or s.params():
        return None
    x, y, dy = s.inputs[0], s.outputs()[0], s.cotangents[0]
    if np.shape(y) != np.shape(x) or not _entry_by_entry(case):
        return None
    what = patterns.elementwise(first.analytic, first.numeric, x, y, dy)
    return case.claim(f"a wrong derivative in the gradient of {first.name}: {what}.", [first]) if what else None


def normalisation(case: Case) -> Claim | None:
    """Evidence: along one axis the error is constant, or a combination of a constant and x, or a multiple of y."""
    first = _first_input(case)
    if first is None:
        return None
    x, y = case.subject.inputs[0], case.subject.outputs()[0]
    what = patterns.along_axis(first.analytic, first.numeric, x, y)
    return case.claim(f"in the gradient of {first.name} {what}.", [first]) if what else None


def side_of_zero(case: Case) -> Claim | None:
    """Evidence: the gradient of x is wrong wherever x is below (or above) 0, and nowhere else."""
    first = _first_input(case)
    if first is None or not first.judged.any() or derivative(case):
        return None
    x, seen = case.subject.inputs[0], first.judged
    for side, mask in (("x < 0", x < 0), ("x > 0", x > 0)):
        if seen.sum() >= 4 and mask[seen].any() and not mask[seen].all() and (first.wrong == mask)[seen].all():
            r = patterns.factor(np.where(first.wrong, first.analytic, np.nan), first.numeric)
            what = f", where it is {patterns.factor_phrase(r)}" if r is not None else ""
            side = side.replace("x", first.name)
            return case.claim(f"the gradient of {first.name} is wrong exactly where {side}{what}.", [first])
    return None


def few_entries(case: Case) -> Claim | None:
    """Evidence: all entries were measured, and at most half of some axis has wrong ones."""
    return _place(case, few=True)


def some_entries(case: Case) -> Claim | None:
    """Evidence: all entries were measured, and some part of an axis has no wrong one."""
    return _place(case, few=False)


def _place(case: Case, few: bool) -> Claim | None:
    for a in sorted(case.wrong, key=lambda a: a.wrong.sum()):
        place = patterns.where_wrong(a.name, a.wrong, few) if a.judged.all() else None
        if place is None:
            continue
        text = f"the gradient is wrong only in {place}"
        other = case.fresh.named(a.name) if case.fresh else None
        r = patterns.factor(np.where(a.wrong, a.analytic, np.nan), a.numeric)
        if r is not None and other is not None:  # a factor of a few entries is easily a coincidence
            again = patterns.factor(np.where(a.wrong, other.analytic, np.nan), other.numeric)
            r = r if again is not None and abs(r - again) <= 1e-6 * max(abs(r), 1e-3) else None
        if r is not None:
            text += f", where it is {patterns.factor_phrase(r)}" + (": a sign" if patterns.same(r, -1) else "")
        return case.claim(text + ".", [a])
    return None


def _first_input(case: Case) -> ArrayReport | None:
    return case.named(case.subject.input_names[0])


def _entry_by_entry(case: Case) -> bool:
    """True if changing one entry of x changes that entry of y alone."""
    s = case.subject
    x = s.inputs[0]
    before, first = s.outputs()[0], (0,) * x.ndim
    kept = x[first]
    x[first] = kept + 0.1
    changed = s.outputs()[0] != before
    x[first] = kept
    return changed.sum() == changed[first]


def _listed(axes: tuple[int, ...]) -> str:
    return ", ".join(map(str, axes))
