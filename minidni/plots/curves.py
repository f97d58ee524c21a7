"""Curves: of training, by any count, decaying on a logarithmic axis, and through given points."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from .figure import GREY, ORANGE, STYLES, need_matplotlib, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..training import History


def training_curves(history: "History") -> "Figure":
    """What `fit` saw: the loss of each step; by epoch the mean loss and, where known, validation loss and accuracy.

    Raises:
        ValueError: if the history holds no step.
    """
    if not history.losses:
        raise ValueError(f"there is nothing to plot: {history.stopped or 'the history holds no step'}")
    losses = {name: _by_epoch(history, key) for name, key in (("training", "loss"), ("validation", "validation_loss"))}
    accuracy = [100 * a for a in _by_epoch(history, "validation_accuracy")]
    panels = {"loss, mean over the epoch": losses, "validation accuracy (%)": {"validation": accuracy}}
    panels = {label: {name: y for name, y in curves.items() if y} for label, curves in panels.items()}
    panels = {label: curves for label, curves in panels.items() if curves}

    alt = f"Training curves over {len(history.losses)} steps and {len(history.epochs)} epochs."
    figure = new_figure(4 * (1 + len(panels)), 3.2, alt)
    by_step, *by_epoch = figure.subplots(1, 1 + len(panels), squeeze=False)[0]
    draw_curves(by_step, {"training": history.losses}, "step (one minibatch each)", "loss of the minibatch", start=0)
    for axes, (label, curves) in zip(by_epoch, panels.items(), strict=True):
        draw_curves(axes, curves, "epoch", label)
    if history.stopped:
        figure.suptitle(history.stopped, fontsize=9, color=ORANGE, wrap=True)
    return figure


def _by_epoch(history: "History", key: str) -> list[float]:
    return [epoch[key] for epoch in history.epochs if key in epoch]


def show_curves(
    panels: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str = "epoch", *, start: int = 1
) -> "Figure":
    """Curves, one panel beside the other: {label of the y axis: {name of the curve: its values at start, ...}}.

    An axis whose label starts with "loss" is logarithmic if its values allow it.
    """
    if not panels or not all(panels.values()):
        raise ValueError(f"show_curves: panels is {panels!r}, expected {{label of the y axis: {{name: values}}}}")
    alt = "; ".join(f"{label}: {', '.join(curves)}" for label, curves in panels.items())
    figure = new_figure(4.8 * len(panels), 3.4, f"Curves by {xlabel}. {alt}.")
    for axes, (label, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        draw_curves(axes, curves, xlabel, label, start=start)
    return figure


def draw_curves(axes: Any, curves: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, *, start: int = 1) -> None:
    """Curves into axes that are there: their values at start, start + 1, ..."""
    longest = max(map(len, curves.values()))
    for (name, y), (colour, line, marker) in zip(curves.items(), cycle(STYLES), strict=False):
        looks = {"marker": marker, "markersize": 4} if longest <= 60 else {"linewidth": 0.8}
        axes.plot(range(start, start + len(y)), y, line, color=colour, label=name, **looks)
    if ylabel.startswith("loss") and all(value > 0 for y in curves.values() for value in y):
        axes.set_yscale("log")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(color=GREY, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        axes.legend(fontsize=9, frameon=False)


def show_decay(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    bounds: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    *,
    xlabel: str = "steps back",
    ylabel: str = "factor",
    start: int = 0,
) -> "Figure":
    """Curves on a logarithmic axis, where what shrinks or grows by the same factor in every step is a straight line.

    Args:
        panels: title -> name of the curve -> its values at x = start, start + 1, ...; the panels share their y axis.
            Zeros, which have no place there, are left out.
        bounds: title -> name -> values, drawn as thin black lines without marks.
        xlabel: of each panel.
        ylabel: of all panels.
        start: x of the first value.
    """
    if not panels or not all(panels.values()):
        raise ValueError(f"show_decay: panels is {panels!r}, expected {{title: {{name: values}}}}")
    need_matplotlib()
    from matplotlib.ticker import LogLocator, NullFormatter

    bounds = bounds or {}
    if unknown := sorted(set(bounds) - set(panels)):
        raise ValueError(f"show_decay: bounds has {', '.join(unknown)}, expected titles among {', '.join(panels)}")
    drawn = {title: {**curves, **bounds.get(title, {})} for title, curves in panels.items()}
    ends = {title: [f"{name}, {y[0]:.2g} to {y[-1]:.2g}" for name, y in drawn[title].items()] for title in drawn}
    alt = " ".join(f"{title}: {'; '.join(of_panel)}." for title, of_panel in ends.items())
    figure = new_figure(1.0 + 3.7 * len(panels), 3.6, f"{ylabel} by {xlabel}, on a logarithmic axis. {alt}")
    all_axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (title, curves) in zip(all_axes, panels.items(), strict=True):
        shown: Any = {name: np.where(np.asarray(y) > 0, y, np.nan) for name, y in curves.items()}
        draw_curves(axes, shown, xlabel, ylabel if axes is all_axes[0] else "", start=start)
        for (name, y), line in zip(bounds.get(title, {}).items(), cycle(("-", "--", ":")), strict=False):
            axes.plot(range(start, start + len(y)), y, line, color="black", linewidth=1.1, label=name, zorder=1)
        axes.set_yscale("log")
        axes.set_title(title, fontsize=10)
        axes.legend(fontsize=8, frameon=False)
    low, high = all_axes[0].get_ylim()
    if high < 100 * low:  # so few powers of ten that their names would not do
        all_axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        all_axes[0].yaxis.set_major_formatter("{x:g}")
        all_axes[0].yaxis.set_minor_formatter(NullFormatter())
    return figure


def show_lines(
    panels: Mapping[str, Mapping[str, tuple[Any, Any]]],
    xlabel: str,
    *,
    levels: Mapping[str, float] | None = None,
    log: str = "",
) -> "Figure":
    """Lines through given points, one panel beside the other: {label of the y axis: {name: (x, y)}}.

    Args:
        panels: x (n,) with y (n,), or y (runs, n) for several runs under one name.
        xlabel: of each panel.
        levels: name -> y of a dotted line across each panel, with the name at its end: what to compare with.
        log: the axes that are logarithmic: "x", "y" or "xy".
    """
    if not panels or not all(panels.values()):
        raise ValueError(f"show_lines: panels is {panels!r}, expected {{label of the y axis: {{name: (x, y)}}}}")
    if log not in ("", "x", "y", "xy"):
        raise ValueError(f"show_lines: log is {log!r}, expected 'x', 'y', 'xy' or ''")
    need_matplotlib()
    from matplotlib.ticker import LogLocator, NullFormatter

    lines = {label: {name: _runs(name, *line) for name, line in of.items()} for label, of in panels.items()}
    levels = levels or {}
    ends = {label: [_from_to(name, runs) for name, (_, runs) in of.items()] for label, of in lines.items()}
    alt = "; ".join(f"{label}: {', '.join(names)}" for label, names in ends.items())
    alt += "".join(f"; level of {name}: {value:.3g}" for name, value in levels.items())
    figure = new_figure(4.8 * len(lines) + bool(levels), 3.4, f"Lines by {xlabel}. {alt}.")
    for axes, (label, of) in zip(figure.subplots(1, len(lines), squeeze=False)[0], lines.items(), strict=True):
        for name, value in levels.items():
            axes.axhline(value, color=GREY, linestyle=":", linewidth=1.2, zorder=0)
            place = axes.get_yaxis_transform()
            axes.text(1.01, value, name, transform=place, color=GREY, ha="left", va="center", fontsize=9)
        for (name, (x, runs)), (colour, line, marker) in zip(of.items(), cycle(STYLES), strict=False):
            looks = {"marker": marker, "markersize": 4, "linewidth": 1.2}
            if len(runs) > 1:
                looks |= {"linewidth": 0.9, "markevery": max(1, x.size // 6)}
            for run, y in enumerate(runs):
                axes.plot(x, y, line, color=colour, label="_" * (run > 0) + name, **looks)
        axes.set(xlabel=xlabel, ylabel=label)
        axes.set(**{f"{axis}scale": "log" for axis in log})
        for axis in (getattr(axes, f"{letter}axis") for letter in log):
            low, high = axis.get_view_interval()
            if high < 1e5 * low:  # else names at powers of ten alone, which is what Matplotlib does
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        axes.grid(color=GREY, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if len(of) > 1:  # above, where no line is
            axes.legend(fontsize=9, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def _runs(name: str, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """x (n,) and y (runs, n)."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    runs = np.atleast_2d(y)
    if x.ndim != 1 or not x.size or runs.ndim != 2 or runs.shape[1] != x.size:
        raise ValueError(f"show_lines: {name} has x {x.shape} and y {y.shape}, expected x (n,) and y (n,) or (runs, n)")
    return x, runs


def _from_to(name: str, runs: np.ndarray) -> str:
    first, last = runs.mean(axis=0)[[0, -1]]
    return f"{name} from {first:.3g} to {last:.3g}"
