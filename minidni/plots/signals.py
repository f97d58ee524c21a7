"""What compares many methods at once: dots by name, and tables whose rows and columns have names."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .figure import BLUE, GREY, need_matplotlib, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show_dots(
    results: Mapping[str, Sequence[float]], xlabel: str, *, levels: Mapping[str, float] | None = None
) -> "Figure":
    """A line for each name, from the top, with a dot for each of its values and a bar at their mean.

    Args:
        results: name -> values, one a run.
        xlabel: what the values are.
        levels: name -> value of a dotted line through all of them: what to compare with.
    """
    if not results or not all(len(values) for values in results.values()):
        raise ValueError(f"show_dots: results is {results!r}, expected {{name: values}} with at least one value each")
    levels = levels or {}
    alt = "; ".join(f"{name} {np.mean(v):.3g}, from {np.min(v):.3g} to {np.max(v):.3g}" for name, v in results.items())
    alt += "".join(f"; level of {name}: {value:.3g}" for name, value in levels.items())
    figure = new_figure(6.4, 0.9 + 0.32 * len(results), f"{xlabel} by name, mean and range. {alt}.")
    axes = figure.subplots()
    for name, value in levels.items():
        axes.axvline(value, color=GREY, linestyle=":", linewidth=1.2, zorder=0)
        place = axes.get_xaxis_transform()
        axes.text(value, 1.01, name, transform=place, color=GREY, ha="center", va="bottom", fontsize=9)
    for row, (name, values) in enumerate(results.items()):
        axes.plot(values, [row] * len(values), "o", color=BLUE, markersize=5, alpha=0.7, label=name)
        axes.plot([np.mean(values)] * 2, [row - 0.28, row + 0.28], "-", color="black", linewidth=1.4)
    axes.set_yticks(range(len(results)), labels=list(results))
    axes.set(xlabel=xlabel, ylim=(len(results) - 0.4, -0.6))
    axes.grid(axis="x", color=GREY, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def show_tables(
    panels: Mapping[str, np.ndarray],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    label: str,
    low: float = 0.0,
    high: float = 1.0,
    digits: int = 2,
) -> "Figure":
    """Tables of numbers, one beside the other, each cell the darker the larger its number.

    Args:
        panels: title -> numbers (rows, columns); NaN, where there is nothing, is left white.
        rows: their names.
        columns: their names.
        label: what the numbers are.
        low: what is white.
        high: what is darkest.
        digits: decimals written into the cells.
    """
    tables = {title: np.asarray(table, dtype=float) for title, table in panels.items()}
    if not tables:
        raise ValueError(f"show_tables: panels is {panels!r}, expected {{title: table}} with at least one table")
    for title, table in tables.items():
        if table.shape != (len(rows), len(columns)):
            raise ValueError(f"show_tables: {title} has shape {table.shape}, expected {(len(rows), len(columns))}")
    need_matplotlib()
    from matplotlib.colors import LinearSegmentedColormap

    alt = ""
    for title, table in tables.items():
        lines = [_in_words(name, row, columns, digits) for name, row in zip(rows, table, strict=True)]
        alt += f" {title}: {'; '.join(lines)}."
    width = 0.4 + 0.09 * max(map(len, rows)) + (0.58 * len(columns) + 0.25) * len(tables)
    width = max(width, 0.4 + 0.075 * len(label))
    figure = new_figure(width, 1.0 + 0.3 * len(rows), f"Tables of {label}.{alt}")
    colours = LinearSegmentedColormap.from_list("amount", ["white", BLUE])
    grid = figure.subplots(1, len(tables), squeeze=False, sharey=True)[0]
    for axes, (title, table) in zip(grid, tables.items(), strict=True):
        axes.imshow(table, cmap=colours, vmin=low, vmax=low + 1.3 * (high - low), aspect="auto")
        for (i, j), value in np.ndenumerate(table):
            if not np.isnan(value):
                axes.text(j, i, f"{value:.{digits}f}", ha="center", va="center", fontsize=8, color="black")
        axes.set_title(title, fontsize=10)
        axes.set_xticks(range(len(columns)), labels=list(columns), fontsize=8)
        if max(map(len, columns)) > 8:
            axes.tick_params(axis="x", labelrotation=90)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    grid[0].set_yticks(range(len(rows)), labels=list(rows), fontsize=9)
    figure.supxlabel(label, fontsize=9)
    return figure


def _in_words(name: str, row: np.ndarray, columns: Sequence[str], digits: int) -> str:
    known = [f"{column} {x:.{digits}f}" for column, x in zip(columns, row, strict=True) if not np.isnan(x)]
    return f"{name} {', '.join(known)}"
