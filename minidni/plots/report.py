"""The picture of a gradient check."""

from typing import TYPE_CHECKING

import numpy as np

from .figure import BLUE, GREY, ORANGE, need_matplotlib, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..gradcheck import Report


def gradient_report(report: "Report") -> "Figure":
    """A gradient check as a figure: error / tolerance of each entry, and error against step for the worst entry.

    Raises:
        ValueError: if the report has nothing to show because nothing could be judged.
    """
    need_matplotlib()
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    from ..gradcheck.html import curves, heat, limit

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
