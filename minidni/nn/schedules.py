"""Learning rates over time, as plain functions of the step.

Fix their settings with `functools.partial`: `Adam(lr=partial(cosine_decay, lr=1e-3, total=2000))`.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

from ..arrays.checks import expect_number

#: Fraction of the run -> factor.
DROPS = MappingProxyType({0.6: 0.1, 0.85: 0.01})


def constant(step: int, lr: float) -> float:
    """lr at every step."""
    return lr


def exponential_decay(step: int, lr: float, half_life: float) -> float:
    """lr, halved every `half_life` steps."""
    expect_number("exponential_decay", "half_life", half_life, open_low=True)
    return lr * 0.5 ** (step / half_life)


def step_decay(step: int, lr: float, total: int, factors: Mapping[float, float] = DROPS) -> float:
    """lr times the factor of the last fraction of `total` reached: by default 0.1 from 60 % on, 0.01 from 85 %."""
    expect_number("step_decay", "total", total, open_low=True)
    reached = [fraction for fraction in factors if step >= fraction * total]
    return lr * (factors[max(reached)] if reached else 1.0)


def cosine_decay(step: int, lr: float, total: int, final: float = 0.0) -> float:
    """From lr at step 0 to `final` at step `total` along half a cosine (Loshchilov and Hutter 2017); then `final`."""
    expect_number("cosine_decay", "total", total, open_low=True)
    return final + (lr - final) * (1 + math.cos(math.pi * min(step / total, 1.0))) / 2


def warm_up(step: int, lr: float, steps: int) -> float:
    """From lr / steps at step 0 in a straight line to lr at step `steps` - 1; then lr."""
    expect_number("warm_up", "steps", steps, open_low=True)
    return lr * min((step + 1) / steps, 1.0)
