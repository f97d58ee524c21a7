"""What every picture stands on: a figure that shows itself, and colours that everybody can tell apart."""

from base64 import b64encode
from functools import cache
from html import escape
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito: distinct for colour-blind readers, on light and dark.
BLUE, ORANGE, GREY, GREEN, PINK = "#0072B2", "#D55E00", "#808080", "#009E73", "#CC79A7"
# A curve is told by its line and its marker too, not by its colour alone.
STYLES = ((BLUE, "-", "o"), (ORANGE, "--", "s"), (GREEN, "-.", "^"), (PINK, ":", "D"), (GREY, "-", "x"))


def need_matplotlib() -> None:
    """Raise a sentence that says what to install where there is no matplotlib."""
    if find_spec("matplotlib") is None:
        raise ImportError('pictures need matplotlib, which is not installed: pip install "minidni[lessons]"')


def new_figure(width: float, height: float, alt: str) -> "Figure":
    """An empty figure that shows itself as the output of a notebook cell, with `alt` for those who cannot see it.

    It is in none of pyplot's lists: nothing has to be closed, and nothing is shown twice. Its size is in inches.
    """
    need_matplotlib()
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
            return as_image(self)

    return NotebookFigure


def as_image(figure: "Figure") -> str:
    """The figure as an HTML image with its own `alt`; a figure made elsewhere is named by what is written in it."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    data = b64encode(buffer.getvalue()).decode("ascii")
    style = f"width:{80 * figure.get_figwidth():.0f}px;max-width:100%;height:auto"
    alt = getattr(figure, "alt", "") or _written_in(figure)
    return f'<img alt="{escape(alt)}" style="{style}" src="data:image/png;base64,{data}">'


def _written_in(figure: "Figure") -> str:
    """Titles, labels of the axes and names in the legends, panel by panel."""
    panels = []
    for axes in figure.axes:
        names = ", ".join(axes.get_legend_handles_labels()[1])
        labels = [axes.get_title(), axes.get_ylabel(), axes.get_xlabel() and f"by {axes.get_xlabel()}"]
        panels.append(" ".join(filter(None, labels)) + (f": {names}" if names else ""))
    return "; ".join(filter(None, [figure.get_suptitle(), *panels])) or "a figure without titles"
