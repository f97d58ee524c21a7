"""A recurrent network, drawn once for each step."""

from typing import TYPE_CHECKING, Any

from .figure import BLUE, GREY, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
