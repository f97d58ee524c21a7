"""Arrays as pictures: images, formulas whose arrays are drawn as tables, heat maps."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .figure import BLUE, GREY, ORANGE, need_matplotlib, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show_images(
    images: np.ndarray, labels: Sequence[Any], predictions: Sequence[Any] | None = None, *, columns: int = 10
) -> "Figure":
    """Pictures in a grid, large values dark, each under its label, or under "label → prediction".

    Args:
        images: (n, height, width).
        labels: n, what each picture is.
        predictions: n, what it was taken for; where that is not the label, the title is orange and ends with ✗.
        columns: pictures in a row.
    """
    images = np.asarray(images)
    if images.ndim != 3 or not len(images):
        raise ValueError(f"show_images: images has shape {images.shape}, expected (n, height, width) with n at least 1")
    for name, given in (("labels", labels), ("predictions", predictions)):
        if given is not None and len(given) != len(images):
            raise ValueError(f"show_images: {name} has {len(given)} entries, expected {len(images)}, one an image")
    read = labels if predictions is None else predictions
    wrong = [bool(a != b) for a, b in zip(labels, read, strict=True)]
    titles = [f"{a}" if predictions is None else f"{a} → {b}" for a, b in zip(labels, read, strict=True)]
    titles = [title + " ✗" * bad for title, bad in zip(titles, wrong, strict=True)]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    count = f"{len(images)} picture{'s' * (len(images) != 1)}"
    figure = new_figure(0.95 * columns, 1.2 * rows, f"{count}: {', '.join(titles)}.")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    low, high = min(0.0, float(images.min())), float(images.max())
    for axes, image, title, bad in zip(figure.axes, images, titles, wrong, strict=False):
        axes.imshow(image, cmap="gray_r", vmin=low, vmax=high)
        text = axes.set_title(title, fontsize=9)
        if bad:
            text.set_color(ORANGE)
    return figure


def show_formula(*parts: str | tuple[str, np.ndarray], digits: int = 0) -> "Figure":
    """A formula whose arrays are drawn as tables: `show_formula(("y", y), "=", ("x", x), "@", ("W", W))`.

    All cells have the same size, so sides that must agree are seen to agree. Orange is positive, blue negative.

    Args:
        parts: signs as text, and arrays of one or two axes as (name, array).
        digits: decimals written into the cells.
    """
    need_matplotlib()
    from matplotlib.colors import LinearSegmentedColormap

    tables = [part if isinstance(part, str) else (part[0], np.asarray(part[1])) for part in parts]
    arrays = [part for part in tables if not isinstance(part, str)]
    for name, array in arrays:
        if array.ndim not in (1, 2) or not array.size:
            raise ValueError(f"show_formula: {name} has shape {array.shape}, expected one or two axes and no empty one")
    if not arrays:
        raise ValueError("show_formula: there is no array to draw, expected at least one (name, array)")
    widths = [0.6 + 0.3 * len(part) if isinstance(part, str) else max(part[1].shape[-1], 2.4) for part in tables]
    height = max(len(np.atleast_2d(array)) for _, array in arrays)
    alt = " ".join(part if isinstance(part, str) else f"{part[0]} {part[1].shape}" for part in tables)
    figure = new_figure(0.44 * sum(widths), 0.44 * (height + 1.4), f"{alt}, the arrays as tables of numbers.")
    axes = figure.subplots()
    axes.set_axis_off()
    colours = LinearSegmentedColormap.from_list("sign", [BLUE, "white", ORANGE])
    left = 0.0
    for part, width in zip(tables, widths, strict=True):
        middle = left + width / 2
        left += width
        if isinstance(part, str):
            axes.text(middle, 0, part, ha="center", va="center", fontsize=15)
            continue
        name, array = part
        table = np.atleast_2d(array)
        rows, columns = table.shape
        start, top = middle - columns / 2, -rows / 2
        limit = 1.6 * float(np.abs(table).max()) or 1.0  # never so dark that the numbers cannot be read
        box = (start, start + columns, -top, top)
        axes.imshow(table, cmap=colours, vmin=-limit, vmax=limit, extent=box)
        axes.text(middle, top - 0.15, f"{name} {array.shape}", ha="center", va="bottom", fontsize=9)
        axes.hlines(np.arange(rows + 1) + top, start, start + columns, color=GREY, linewidth=0.6)
        axes.vlines(np.arange(columns + 1) + start, top, -top, color=GREY, linewidth=0.6)
        for (i, j), value in np.ndenumerate(table):
            number = f"{value:.{digits}f}"
            axes.text(start + j + 0.5, top + i + 0.5, number, ha="center", va="center", fontsize=8, color="black")
    # Last, for each imshow set the limits to its own table.
    axes.set(xlim=(-0.1, left + 0.1), ylim=(height / 2 + 0.1, -height / 2 - 1.1))
    return figure


def show_heat(
    panels: Mapping[str, np.ndarray], *, xlabel: str, ylabel: str, label: str, columns: int = 4, decades: int = 6
) -> "Figure":
    """Factors as heat maps that share a logarithmic colour scale: white is 1, orange is more, blue is less.

    Args:
        panels: title -> factors (rows, columns), above 0; NaN, where there is nothing, is left grey.
        xlabel: what counts the columns.
        ylabel: what counts the rows.
        label: what the colours mean.
        columns: panels in a row.
        decades: the colours end at 10^decades and 10^-decades; what lies beyond has the last one.
    """
    tables = {title: np.asarray(table, dtype=float) for title, table in panels.items()}
    if not tables:
        raise ValueError(f"show_heat: panels is {panels!r}, expected {{title: table}} with at least one table")
    for title, table in tables.items():
        if table.ndim != 2 or np.isnan(table).all() or np.nanmin(table) <= 0:
            raise ValueError(f"show_heat: {title} has shape {table.shape}, expected two axes and numbers above 0 in it")
    if len(shapes := {table.shape for table in tables.values()}) > 1:
        raise ValueError(f"show_heat: the panels have shapes {sorted(shapes)}, expected one shape")
    need_matplotlib()
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    columns = min(columns, len(tables))
    rows = -(-len(tables) // columns)
    ranges = "; ".join(f"{title}: {np.nanmin(table):.1g} to {np.nanmax(table):.1g}" for title, table in tables.items())
    alt = f"Heat maps of {label}, {xlabel} to the right and {ylabel} downwards, with the range of each. {ranges}."
    figure = new_figure(2.3 * columns + 1, 2.35 * rows, alt)
    hues = ["#002B45", BLUE, "white", ORANGE, "#5C2700"]
    colours = LinearSegmentedColormap.from_list("factor", hues).with_extremes(bad="#DDDDDD")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place >= len(tables):
            axes.set_axis_off()
        axes.tick_params(labelsize=8, labelbottom=place + columns >= len(tables))
    for axes, (title, table) in zip(grid.flat, tables.items(), strict=False):
        image = axes.imshow(np.log10(table), cmap=colours, vmin=-decades, vmax=decades, interpolation="nearest")
        axes.set_title(title, fontsize=9)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    figure.supxlabel(xlabel, fontsize=9)
    figure.supylabel(ylabel, fontsize=9)
    bar = figure.colorbar(image, ax=grid, extend="both")
    bar.set_label(label, fontsize=9)
    step = max(1, decades // 3)
    exponents = range(-step * (decades // step), decades + 1, step)
    bar.set_ticks(list(exponents), labels=["1" if e == 0 else f"$10^{{{e}}}$" for e in exponents])
    return figure
