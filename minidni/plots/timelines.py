"""Gantt charts: what each worker does when, simulated or measured."""

from typing import TYPE_CHECKING, Any

from .figure import BLUE, GREEN, GREY, ORANGE, PINK, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..locking import Timeline

#: kind -> colour, hatch. Hatches tell them apart where colours do not.
LOOKS = {
    "forward": (BLUE, ""),
    "backward": (ORANGE, "//"),
    "update": (GREEN, "xx"),
    "predict": (PINK, ".."),
    "fit": ("#E69F00", "\\\\"),
    "reduce": ("#56B4E9", "++"),
    "wait": ("none", "--"),
}
MOST_LABELLED = 16  # lanes, above which bars are too thin for a number


def show_timelines(
    *timelines: "Timeline", first: int | None = None, last: int | None = None, unit: str | None = None
) -> "Figure":
    """One below the other, on one axis of time; a lane for each worker, and the minibatch's number in each bar.

    Args:
        *timelines: each from its own start on.
        first: the first minibatch to show; None for all.
        last: the last one to show; None for all.
        unit: of time: "s", "ms", or any name of what a simulation's costs are given in; None for "s" or "ms".
    """
    if not timelines:
        raise ValueError("show_timelines: got no timelines, expected at least one")
    parts = [_part(timeline, first, last) for timeline in timelines]
    longest = max(part.makespan for part in parts)
    unit = unit or ("s" if longest >= 2 else "ms")
    scale = 1000.0 if unit == "ms" else 1.0
    lanes = [part.n_workers for part in parts]
    height = min(0.34, 9.0 / sum(lanes))
    said = (
        f"{part.title or 'a timeline'}: {part.n_workers} worker{'s' * (part.n_workers > 1)}, "
        f"{scale * part.makespan:.3g} {unit}, busy {100 * part.utilisation:.0f} % of the time"
        for part in parts
    )
    figure = new_figure(9.5, 0.9 + sum(height * n + 0.45 for n in lanes), f"Timelines. {'; '.join(said)}.")
    axes = figure.subplots(len(parts), 1, sharex=True, squeeze=False, height_ratios=[n + 0.3 for n in lanes])[:, 0]
    kinds: dict[str, Any] = {}
    for ax, part in zip(axes, parts, strict=True):
        _lanes(ax, part, scale, kinds, longest)
    axes[-1].set_xlabel(f"time ({unit})")
    axes[-1].set_xlim(0, scale * longest)
    order = [kind for kind in LOOKS if kind in kinds]
    figure.legend([kinds[kind] for kind in order], order, loc="outside lower center", ncols=len(order), frameon=False)
    return figure


def _part(timeline: "Timeline", first: int | None, last: int | None) -> "Timeline":
    ks = [span.minibatch for span in timeline.spans]
    part = timeline.between(min(ks) if first is None else first, max(ks) if last is None else last)
    if not part.spans:
        raise ValueError(
            f"show_timelines: no span of {timeline.title or 'the timeline'} is between minibatches {first} and {last}"
        )
    return part.shifted()


def _lanes(ax: Any, timeline: "Timeline", scale: float, kinds: dict[str, Any], longest: float) -> None:
    for kind, (colour, hatch) in LOOKS.items():
        spans = [span for span in timeline.spans if span.kind == kind and span.end > span.start]
        if not spans:
            continue
        edge = {"edgecolor": GREY, "linewidth": 0.4} if kind == "wait" else {"edgecolor": "black", "linewidth": 0.5}
        thick = 0.3 if kind == "wait" else 0.8
        bars = ax.barh(
            [span.worker for span in spans],
            [scale * (span.end - span.start) for span in spans],
            left=[scale * span.start for span in spans],
            height=thick,
            color=colour,
            hatch=hatch,
            **edge,
        )
        kinds.setdefault(kind, bars[0])
        if kind == "wait" or timeline.n_workers > MOST_LABELLED:
            continue
        for span in spans:
            text = str(span.minibatch) + (f".{span.part}" if span.part else "")
            if span.end - span.start > 0.012 * len(text) * longest:
                middle = scale * (span.start + span.end) / 2
                box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
                ax.text(middle, span.worker, text, ha="center", va="center", fontsize=7, color="black", bbox=box)
    ax.set_title(timeline.title, fontsize=10, loc="left")
    ax.set_ylim(timeline.n_workers - 0.5, -0.5)
    ax.set_yticks(range(timeline.n_workers) if timeline.n_workers <= MOST_LABELLED else [0, timeline.n_workers - 1])
    ax.set_ylabel("worker", fontsize=9)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
