"""Learning rates at the landmarks of a run."""

import itertools
import math
from functools import partial

import pytest

from minidni import SGD
from minidni.nn import schedules


def test_constant() -> None:
    assert {schedules.constant(step, 0.3) for step in (0, 1, 10**6)} == {0.3}


def test_exponential_decay_halves_every_half_life_and_falls_by_one_factor_a_step() -> None:
    rates = [schedules.exponential_decay(step, 0.8, 10) for step in range(31)]
    assert rates[::10] == pytest.approx([0.8, 0.4, 0.2, 0.1])
    assert [b / a for a, b in itertools.pairwise(rates)] == pytest.approx([0.5**0.1] * 30)


def test_step_decay_drops_at_sixty_and_eighty_five_per_cent() -> None:
    rates = [schedules.step_decay(step, 2.0, 100) for step in (0, 59, 60, 84, 85, 99, 1000)]
    assert rates == pytest.approx([2.0, 2.0, 0.2, 0.2, 0.02, 0.02, 0.02])


def test_step_decay_with_factors_of_ones_own_in_any_order() -> None:
    factors = {0.75: 0.25, 0.5: 0.5}
    assert [schedules.step_decay(s, 1.0, 8, factors) for s in range(8)] == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]


def test_cosine_decay_from_lr_through_the_middle_to_its_final_value_and_stays() -> None:
    rates = [schedules.cosine_decay(step, 1.0, 40, final=0.2) for step in (0, 20, 40, 41, 400)]
    assert rates == pytest.approx([1.0, 0.6, 0.2, 0.2, 0.2])
    assert schedules.cosine_decay(10, 1.0, 40) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    falling = [schedules.cosine_decay(step, 1.0, 40) for step in range(41)]
    assert falling == sorted(falling, reverse=True)


def test_warm_up_rises_in_a_straight_line_and_then_stays() -> None:
    assert [schedules.warm_up(step, 1.0, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert schedules.warm_up(0, 0.1, 1) == 0.1


def test_a_schedule_drives_an_optimiser() -> None:
    from minidni import Linear

    layer = Linear(1, 1, rng=0, dtype="float64")
    layer.params.b[...] = 0
    layer.grads.b[...] = -1
    optimiser = SGD(partial(schedules.exponential_decay, lr=1.0, half_life=1))
    for _ in range(4):
        optimiser.step(layer)
    assert layer.params.b[0] == 1 + 1 / 2 + 1 / 4 + 1 / 8
