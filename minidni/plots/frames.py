"""Pictures to go through with a slider, in a page that stands alone: no kernel, no network, a few lines of script."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .figure import as_image, need_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Frames:
    """Shows itself in a notebook; `write` puts it into a file.

    Attributes:
        name: what is varied.
        labels: the name and its value, one a frame.
        figures: one a frame.
    """

    name: str
    labels: list[str]
    figures: "list[Figure]"

    def _repr_html_(self) -> str:
        pictures = "".join(
            f"<div data-frame{' hidden' * (i > 0)}>{as_image(figure)}</div>" for i, figure in enumerate(self.figures)
        )
        script = """
  box.querySelectorAll("div[data-frame]").forEach(function (frame, j) { frame.hidden = j !== i; });"""
        picture = f'<div aria-live="polite">{pictures}</div>'
        return with_slider(new_name(), escape(self.name), self.labels, picture, script, {})

    def write(self, path: str | Path) -> None:
        """A page of its own, that needs no network."""
        write_page(path, self.name, self._repr_html_())


def slide(name: str, values: Iterable[Any], draw: "Callable[[Any], Figure]") -> Frames:
    """A slider over figures, one for each value; without scripts the first one is shown.

    All of them are drawn now. Their axes get the same limits, wide enough for each, so that what moves is the curve.

        slide("learning rate", (0.01, 0.1, 1.0), lambda lr: show_curves({"loss": {"training": losses(lr)}}))

    Args:
        name: what is varied.
        values: one a frame, in the slider's order.
        draw: a value -> a figure; those of this package bring their alternative text.
    """
    need_matplotlib()
    from matplotlib.figure import Figure

    values = list(values)
    if not values:
        raise ValueError(f"slide: there are no values of {name}, expected at least one")
    labels = [f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}" for value in values]
    figures = [draw(value) for value in values]
    for label, figure in zip(labels, figures, strict=True):
        if not isinstance(figure, Figure):
            raise TypeError(f"slide: draw gave {type(figure).__name__} for {label}, expected a figure")
    _share_limits(figures)
    return Frames(name, labels, figures)


def _share_limits(figures: "Sequence[Figure]") -> None:
    if len({len(figure.axes) for figure in figures}) > 1:
        return  # nothing says which panels belong together
    for panels in zip(*(figure.axes for figure in figures), strict=True):
        for axis in ("x", "y"):
            limits = [getattr(axes, f"get_{axis}lim")() for axes in panels]
            upwards = limits[0][0] < limits[0][1]
            if any((start < end) != upwards for start, end in limits):
                continue
            low, high = min(map(min, limits)), max(map(max, limits))
            for axes in panels:
                getattr(axes, f"set_{axis}lim")((low, high) if upwards else (high, low))


def new_name() -> str:
    """A name that no other element of the page has."""
    return f"minidni-steps-{uuid4().hex[:12]}"  # JupyterLab shows several notebooks in one page


def with_slider(
    name: str,
    label: str,
    said: Sequence[str],
    picture: str,
    script: str,
    data: Mapping[str, Any],
    *,
    below: str = "",
) -> str:
    """A picture in HTML above a slider and two buttons, which the arrow keys and the space bar work, too.

    Args:
        name: of the element, from `new_name`.
        label: what the slider sets, as HTML.
        said: what stands beside the slider in each step.
        picture: HTML; what it shows before the script runs is all that a page without scripts has.
        script: what to do in step `i` with the element `box` and with `data`.
        data: for the script.
        below: HTML behind the slider.
    """
    return f"""<div id="{name}" style="max-width:860px;font:14px sans-serif">
{picture}
<div><button type="button" aria-label="one step back">&#9664;</button>
<input type="range" min="0" max="{len(said) - 1}" value="0" aria-label="{label}"
 style="width:55%;vertical-align:middle">
<button type="button" aria-label="one step on">&#9654;</button> <output>{escape(said[0])}</output></div>
{below}
<script>(function () {{
const box = document.getElementById("{name}");
const data = {_in_script({**data, "said": said})}, slider = box.querySelector("input");
const [back, on] = box.querySelectorAll("button");
function show() {{
  const i = +slider.value;
  box.querySelector("output").textContent = data.said[i];
  slider.setAttribute("aria-valuetext", data.said[i]);{script}
}}
back.onclick = function () {{ slider.stepDown(); show(); }};
on.onclick = function () {{ slider.stepUp(); show(); }};
slider.oninput = show;
show();
}})();</script></div>"""


def write_page(path: str | Path, title: str, body: str) -> None:
    """A page of its own around the body."""
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    style = "<style>:root{color-scheme:light dark}body{margin:1em}</style>"
    Path(path).write_text(f"{page}{style}{body}</html>\n", encoding="utf-8")


def _in_script(data: Any) -> str:
    return json.dumps(data).replace("<", "\\u003c")  # no text may end the script
