"""A timeline to step through, moment by moment: SVG and a few lines of script, in a page that stands alone."""

from collections import defaultdict
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .frames import new_name, with_slider, write_page
from .timelines import LOOKS

if TYPE_CHECKING:
    from ..locking import Timeline

WIDTH, LANE, LEFT = 760, 30, 70  # of the drawing, in its own units


@dataclass(frozen=True)
class Stepper:
    """Shows itself in a notebook; `write` puts it into a file.

    Attributes:
        moments: when something begins or ends, in seconds from the start.
        texts: for each moment, what each worker does from then on, in words.
    """

    timeline: "Timeline"
    moments: list[float]
    texts: list[str]

    def _repr_html_(self) -> str:
        name = new_name()
        spans, scale = self.timeline.spans, WIDTH / (self.timeline.makespan or 1.0)
        height = LANE * self.timeline.n_workers
        bars = "".join(_bar(name, i, span, scale) for i, span in enumerate(spans))
        lanes = "".join(
            f'<text x="{LEFT - 8}" y="{LANE * (i + 0.62):g}" text-anchor="end">worker {i}</text>'
            for i in range(self.timeline.n_workers)
        )
        data = {"at": self.moments, "text": self.texts, "spans": [[s.start, s.end] for s in spans], "scale": scale}
        said = [f"step {i + 1} of {len(self.moments)}" for i in range(len(self.moments))]
        title = escape(self.timeline.title or "timeline")
        picture = f"""<strong>{title}</strong>
<svg viewBox="0 0 {WIDTH + LEFT + 10} {height + 8}" role="img"
 aria-label="{title}: a bar for all that each worker does" style="width:100%;height:auto;font:11px sans-serif"
 fill="currentColor"><defs>{_hatches(name)}</defs>{lanes}{bars}
<line x1="{LEFT}" x2="{LEFT}" y1="0" y2="{height + 4}" stroke="currentColor" stroke-width="2" visibility="hidden"/>
</svg>
<div>{_legend(name, self.timeline)}</div>"""
        below = '<div aria-live="polite" style="min-height:3.5em;white-space:pre-line"></div>'
        script = f"""
  const now = data.at[i], x = {LEFT} + data.scale * now, cursor = box.querySelector("line");
  box.querySelectorAll("rect[data-i]").forEach(function (bar) {{
    const [start, end] = data.spans[bar.dataset.i], runs = start <= now && now < end;
    bar.setAttribute("opacity", end <= now || runs ? 1 : 0.2);
    bar.setAttribute("stroke-width", runs ? 3 : 0.7);
  }});
  cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); cursor.setAttribute("visibility", "visible");
  box.querySelector("div[aria-live]").textContent = data.text[i];"""
        return with_slider(name, f"moment of {title}", said, picture, script, data, below=below)

    def write(self, path: str | Path) -> None:
        """A page of its own, that needs no network."""
        write_page(path, self.timeline.title, self._repr_html_())


def step_through(timeline: "Timeline", *, first: int = 0, last: int | None = None, unit: str = "ms") -> Stepper:
    """Step through a timeline with a slider or two buttons; without scripts all of it is shown.

    Args:
        timeline: simulated or measured; some dozens of spans are easy to follow.
        first: the first minibatch.
        last: the last one; None for all.
        unit: of time in the words: "s", "ms", or the name of what costs are given in.
    """
    from .timelines import _part

    timeline = _part(timeline, first, last)
    scale = 1000.0 if unit == "ms" else 1.0
    moments = sorted({t for span in timeline.spans for t in (span.start, span.end)})
    texts = [f"{scale * now:.4g} {unit}\n{_doing(timeline, now)}" for now in moments]
    return Stepper(timeline, moments, texts)


def _doing(timeline: "Timeline", now: float) -> str:
    """Each worker in words: what it is at, and how many caches it keeps."""
    at: dict[int, str] = defaultdict(lambda: "idle")
    kept: dict[int, int] = defaultdict(int)
    for span in timeline.spans:
        if span.start <= now < span.end:
            part = f", part {span.part}" if span.part else ""
            verb = "waits for" if span.kind == "wait" else f"{span.kind} of"
            at[span.worker] = f"{verb} minibatch {span.minibatch}{part}"
        kept[span.worker] += (span.kind == "forward" and span.start <= now) - (
            span.kind == "backward" and span.end <= now
        )
    return "\n".join(
        f"worker {i}: {at[i]}; keeps {kept[i]} cache{'s' * (kept[i] != 1)}" for i in range(timeline.n_workers)
    )


def _bar(name: str, i: int, span: Any, scale: float) -> str:
    tall = 8 if span.kind == "wait" else LANE - 6
    x, y = LEFT + scale * span.start, LANE * span.worker + (LANE - tall) / 2
    width = max(scale * (span.end - span.start), 0.5)
    rect = f'x="{x:.2f}" y="{y:g}" width="{width:.2f}" height="{tall}" fill="url(#{name}-{span.kind})"'
    text = f"{span.kind} of minibatch {span.minibatch}"
    bar = f'<rect data-i="{i}" {rect} stroke="currentColor" stroke-width="0.7"><title>{text}</title></rect>'
    if width > 16 and span.kind != "wait":
        place = f'x="{x + width / 2:.2f}" y="{y + tall / 2 + 4:g}"'
        halo = 'fill="black" stroke="white" stroke-width="3" paint-order="stroke"'
        bar += f'<text {place} text-anchor="middle" {halo} pointer-events="none">{span.minibatch}</text>'
    return bar


_LINES = {
    "": "",
    "//": "M0 8L8 0",
    "xx": "M0 8L8 0M0 0L8 8",
    "..": "M3 4h2",
    "\\\\": "M0 0L8 8",
    "++": "M4 0v8M0 4h8",
    "--": "M0 4h8",
}


def _hatches(name: str) -> str:
    return "".join(
        f'<pattern id="{name}-{kind}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" fill="{colour}"/>'
        f'<path d="{_LINES[hatch]}" stroke="{"#808080" if kind == "wait" else "black"}" stroke-width="1"/></pattern>'
        for kind, (colour, hatch) in LOOKS.items()
    )


def _legend(name: str, timeline: "Timeline") -> str:
    there = {span.kind for span in timeline.spans}
    return " ".join(
        f'<span style="white-space:nowrap"><svg width="22" height="13" aria-hidden="true">'
        f'<rect width="22" height="13" fill="url(#{name}-{kind})" stroke="currentColor"/></svg> {kind}</span>'
        for kind in LOOKS
        if kind in there
    )
