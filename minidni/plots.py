"""Every picture, drawn with matplotlib, which is imported only when a picture is asked for."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.util import find_spec
from io import BytesIO
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .gradcheck import Report
    from .training import History

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#808080"  # Okabe and Ito: distinct for colour-blind readers, light and dark


def gradient_report(report: "Report") -> "Figure":
    """A gradient check as a figure: error / tolerance of each entry, and error against step for the worst entry.

    Raises:
        ValueError: if the report has nothing to show because nothing could be judged.
    """
    _need_matplotlib()
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    from .gradcheck.html import curves, heat, limit

    array, worst = report.worst_array, report.worst
    if array is None or worst is None:
        raise ValueError(f"nothing could be judged in the check of {report.title}, so there is nothing to plot.")
    figure = new_figure(9, 3.6, f"{report.verdict()}: errors of {array.name} and of its worst entry by step.")
    left, right = figure.subplots(1, 2)

    colours = LinearSegmentedColormap.from_list("tolerance", [BLUE, "#DDDDDD", ORANGE]).with_extremes(bad=(GREY, 0.25))
    values = heat(array)
    end = limit(values)
    image = left.imshow(values, cmap=colours, vmin=-end, vmax=end, aspect="auto", interpolation="nearest")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    rows, columns = np.nonzero(values > 0)
    left.plot(columns, rows, "k.", markersize=3)
    bar = figure.colorbar(image, ax=left, label="error / tolerance (dots: wrong)")
    bar.set_ticks([-end, 0, end], labels=[f"$10^{{-{end:.0f}}}$", "1", f"$10^{{{end:.0f}}}$"])
    left.set_title(f"{array.name}, {int(array.wrong.sum())} of {int(array.judged.sum())} entries wrong", fontsize=10)

    for (name, (steps, error)), colour, style in zip(curves(report).items(), (ORANGE, BLUE), ("-", "--"), strict=False):
        right.loglog(steps, error, style, color=colour, label=name, marker=".", markersize=4)
    right.axhline(max(worst.tolerance, 1e-300), color=GREY, linewidth=1, linestyle=":", label="tolerance")
    right.set(xlabel="step h", ylabel="error of the central difference")
    right.set_title(worst.where, fontsize=10)
    right.legend(fontsize=8, frameon=False)
    figure.suptitle(report.verdict(), fontsize=10, color=BLUE if report.ok else ORANGE, wrap=True)
    return figure


# -- pictures of the lessons

GREEN, PINK = "#009E73", "#CC79A7"
# A curve is told by its line and its marker too, not by its colour alone.
STYLES = ((BLUE, "-", "o"), (ORANGE, "--", "s"), (GREEN, "-.", "^"), (PINK, ":", "D"), (GREY, "-", "x"))


def _need_matplotlib() -> None:
    if find_spec("matplotlib") is None:
        raise ImportError('pictures need matplotlib, which is not installed: pip install "minidni[lessons]"')


def new_figure(width: float, height: float, alt: str) -> "Figure":
    """An empty figure that shows itself as the output of a notebook cell, with `alt` for those who cannot see it.

    It is in none of pyplot's lists: nothing has to be closed, and nothing is shown twice. Its size is in inches.
    """
    _need_matplotlib()
    figure = _notebook_figure()(figsize=(width, height), layout="constrained")
    figure.alt = alt
    return figure


@cache
def _notebook_figure() -> Any:
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        # Jupyter shows a plain Figure only once pyplot has made one or after `%matplotlib inline`.
        alt = ""

        def _repr_html_(self) -> str:
            buffer = BytesIO()
            self.savefig(buffer, format="png", dpi=120)
            data = b64encode(buffer.getvalue()).decode("ascii")
            style = f"width:{80 * self.get_figwidth():.0f}px;max-width:100%;height:auto"
            return f'<img alt="{escape(self.alt)}" style="{style}" src="data:image/png;base64,{data}">'

    return NotebookFigure


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
    _draw_curves(by_step, {"training": history.losses}, "step (one minibatch each)", "loss of the minibatch", start=0)
    for axes, (label, curves) in zip(by_epoch, panels.items(), strict=True):
        _draw_curves(axes, curves, "epoch", label)
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
        _draw_curves(axes, curves, xlabel, label, start=start)
    return figure


def _draw_curves(axes: Any, curves: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, *, start: int = 1) -> None:
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
    _need_matplotlib()
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


def show_unrolled(steps: int, *, backward: bool = False, window: int | None = None) -> "Figure":
    """A recurrent network drawn once for each step: the way forward in blue, the way back in orange and dashed.

    Args:
        steps: T, how many steps there are.
        backward: draw what flows back, too.
        window: steps in a window; the boundaries between windows are marked.
    """
    if steps < 1 or (window is not None and window < 1):
        raise ValueError(f"show_unrolled: steps is {steps} and window is {window}, expected 1 or more of each")
    cuts = range(window or steps, steps, window or steps)
    alt = f"A recurrent network at {steps} steps, side by side: step t takes s[t] and x[t] and gives y[t] and s[t+1]."
    alt += " Back along the same arrows flow ds, dx and dy." * backward
    alt += f" A boundary between windows at {', '.join(f's[{t}]' for t in cuts)}." * bool(cuts)
    figure = new_figure(1.35 * (steps + 1), 2.5, alt)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(-1.0, steps + 0.1), ylim=(-1.4, 1.7))
    for t in cuts:
        axes.axvline(t - 0.5, color=GREY, linestyle=":", linewidth=2, zorder=0)
        axes.text(t - 0.5, 1.6, "boundary", color=GREY, ha="center", fontsize=8, backgroundcolor="white")
    for t in range(steps + 1):
        left, right = (t - 0.9 if t == 0 else t - 0.68), (t - 0.1 if t == steps else t - 0.32)
        _way(axes, f"s[{t}]", (left, 0), (right, 0), 0.0, backward)
        if t < steps:
            frame = {"boxstyle": "square,pad=0.5", "facecolor": "white", "edgecolor": GREY}
            text = f"step {t}\nWx  Wh  b"
            axes.text(t, 0, text, ha="center", va="center", fontsize=8, color="black", bbox=frame)
            _way(axes, f"x[{t}]", (t, -1.05), (t, -0.32), -1.25, backward)
            _way(axes, f"y[{t}]", (t, 0.32), (t, 1.05), 1.25, backward)
    return figure


def _way(axes: Any, name: str, start: Any, end: Any, height: float, backward: bool) -> None:
    """An arrow from start to end and its name at this height; if wanted, beside it the way back."""
    ways = [(name, start, end, BLUE, "-", 1)] + [(f"d{name}", end, start, ORANGE, "--", -1)] * backward
    along = start[1] == end[1]
    for text, tail, tip, colour, line, side in ways:
        dx, dy = (0.0, 0.13 * side) if along else (-0.065 * side, 0.0)
        dx, dy = dx * backward, dy * backward
        looks = {"arrowstyle": "-|>", "color": colour, "linestyle": line, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (tip[0] + dx, tip[1] + dy), (tail[0] + dx, tail[1] + dy), arrowprops=looks)
        x, y = (start[0] + end[0]) / 2, dy + 0.2 * side if along else height
        x += 0 if along or not backward else (-0.12 if side > 0 else 0.16)
        white = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
        axes.text(x, y, text, color=colour, ha="center", va="center", fontsize=9, bbox=white if along else None)


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
    _need_matplotlib()
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
    _need_matplotlib()
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
        _draw_curves(axes, shown, xlabel, ylabel if axes is all_axes[0] else "", start=start)
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
    _need_matplotlib()
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
