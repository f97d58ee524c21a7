"""A chain of segments, and what each of them learns from."""

from typing import TYPE_CHECKING, Any

from .figure import BLUE, GREEN, GREY, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..dni import Chain

PITCH = 2.7  # from the middle of one segment to that of the next, in inches
HALF = 0.5  # half the width of a box


def show_chain(chain: "Chain") -> "Figure":
    """The segments side by side, the loss at the end, and below each boundary the signal that stands there.

    The way forward is blue; what a segment updates on is orange and dashed, if it is not the true gradient; what a
    signal learns from is green and dotted.
    """
    from ..dni import Signal

    names, signals = [s.name for s in chain], [type(s.signal).__name__ for s in chain]
    learn = [getattr(type(s.signal), "learn", Signal.learn) is not Signal.learn for s in chain]
    parts = [f"{name} updates on {signal}" for name, signal in zip(names, signals, strict=True)]
    for i, learns in enumerate(learn[:-1]):
        parts[i] += f", which learns from dx of {names[i + 1]}" * learns
    figure = new_figure(PITCH * (len(chain) + 0.5), 2.1, f"A chain of {len(chain)} segments: {'; '.join(parts)}.")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(-1.3, PITCH * len(chain) + 0.75), ylim=(-1.5, 0.5))
    _arrow(axes, (-1.2, 0), (-HALF, 0), BLUE, "-", "x")
    for i, segment in enumerate(chain):
        x, end = PITCH * i, PITCH * (i + 1) - HALF
        layers = len(segment.net) if hasattr(segment.net, "__len__") else 1
        _box(axes, (x, 0), f"{segment.name}\n{layers} layer{'s' * (layers != 1)}", GREY)
        if i == len(chain) - 1:
            _arrow(axes, (x + HALF, 0.12), (end, 0.12), BLUE, "-", "h")
            _box(axes, (PITCH * (i + 1), 0), signals[i].replace("Cross", "\nCross"), ORANGE)
            _arrow(axes, (end, -0.12), (x + HALF, -0.12), ORANGE, "-", "true gradient", below=True)
            continue
        _arrow(axes, (x + HALF, 0), (end, 0), BLUE, "-", "h")
        middle = x + PITCH / 2
        _box(axes, (middle, -1.15), signals[i], GREEN if learn[i] else GREY)
        _arrow(axes, (middle - 0.3, -0.9), (x + 0.35, -0.36), ORANGE, "--", "message", shift=-0.4)
        if learn[i]:
            _arrow(axes, (x + PITCH - 0.35, -0.36), (middle + 0.3, -0.9), GREEN, ":", "dx", shift=0.22)
    return figure


def _box(axes: Any, place: tuple[float, float], text: str, colour: str) -> None:
    frame = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": colour, "linewidth": 1.3}
    axes.text(*place, text, ha="center", va="center", fontsize=9, color="black", bbox=frame)


def _arrow(
    axes: Any, start: Any, end: Any, colour: str, line: str, text: str, *, below: bool = False, shift: float = 0.0
) -> None:
    """An arrow with its name beside the middle: above a level one, or below; `shift` to the right of another."""
    looks = {"arrowstyle": "-|>", "color": colour, "linestyle": line, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=looks)
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    height = 0.0 if shift else -0.17 if below else 0.17
    axes.text(x + shift, y + height, text, color=colour, ha="center", va="center", fontsize=9)
