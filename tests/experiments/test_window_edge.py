"""The experiments `window-edge` and `window-costs`: what a cut between windows loses, and what it saves."""

import pytest

from minidni.experiments import EXPERIMENTS


def rows(name, **changes):
    experiment = EXPERIMENTS[name]
    return list(experiment.rows([1], experiment.settings(quick=True) | changes))


def test_behind_long_windows_little_crosses_and_behind_short_ones_much():
    found = {(row["cell"], row["window"], row["distance"]): row["crosses"] for row in rows("window-edge")}
    for cell in ("rnn", "lstm"):
        assert found[cell, 2, 3] > 0.5  # the lags are 3 and 5: that is what the cut should have let through
        assert found[cell, 20, 20] < 0.05 < found[cell, 20, 5]
        assert found[cell, 2, 20] > 5 * found[cell, 20, 20]


def test_a_row_a_distance_relative_to_the_nearest_and_untrained_networks_do_not_train():
    changes = {"tasks": ("two-lag", "text"), "cells": ("rnn",), "windows": (), "distances": (1, 4), "hidden": 8}
    one, other = (rows("window-edge", steps=steps, **changes) for steps in (10, 500))
    assert [(row["task"], row["distance"], row["crosses"] == 1) for row in one] == [
        ("two-lag", 1, True), ("two-lag", 4, False), ("text", 1, True), ("text", 4, False)
    ]  # fmt: skip
    assert [(row["loss"], row["crosses"]) for row in one] == [(row["loss"], row["crosses"]) for row in other]


def test_a_run_that_diverges_says_so_in_every_row():
    found = rows("window-edge", cells=("rnn",), windows=(3,), distances=(1, 2), lr=1e38, clip=1e38, steps=600)
    assert [(row["window"], row["distance"], "stopped" in row) for row in found] == [
        (None, 1, False), (None, 2, False), (3, 1, True), (3, 2, True)
    ]  # fmt: skip
    assert all((row["crosses"] != row["crosses"]) == ("stopped" in row) for row in found)


def test_a_cache_grows_with_the_window_and_the_times_fit_together():
    found = {row["window"]: row for row in rows("window-costs", cells=("lstm",), hidden=16, batch=4)}
    kept = {window: row["cache_kb"] for window, row in found.items()}
    assert kept[50] - kept[10] == pytest.approx(5 * (kept[10] - kept[2]), rel=1e-6)
    assert all(row["us_a_step"] == 1000 * row["ms_an_update"] / window for window, row in found.items())
