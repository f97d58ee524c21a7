"""The handout as a page to print: `python docs/handout.py` draws docs/handout.pdf from docs/handout.md.

A line there is a line here. The code in it is run by tests/test_handout.py, which differentiates it.
"""

import hashlib
from pathlib import Path

from matplotlib import rc_context
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

DOCS = Path(__file__).parent
SOURCE, PDF = DOCS / "handout.md", DOCS / "handout.pdf"
WIDTH, HEIGHT = 8.27, 11.69  # A4, inches
MARGIN, COLUMNS, SIZE = 0.38, 2, 7.5  # inches; columns; points
STEP = 1.24 * SIZE / 72  # inches from line to line


def lines(text: str) -> list[tuple[str, str]]:
    """(kind, line): "title", "heading", "code", "text", or "gap"."""
    found, inside = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
            found += [] if inside else [("gap", "")]
        elif inside:
            found.append(("code", line))
        elif line.startswith("# "):
            found.append(("title", line[2:]))
        elif line.startswith("## "):
            found.append(("heading", line[3:]))
        elif line:
            found.append(("text", line.removeprefix("- ").replace("  ", " ", 1)))
        elif found and found[-1][0] == "text":
            found.append(("gap", ""))
    return found


HEIGHTS = {"title": 2.0, "heading": 1.35, "code": 1.0, "text": 1.08, "gap": 0.35}


def draw(text: str) -> Figure:
    """The page, in columns; raises ValueError if it does not fit."""
    figure = Figure(figsize=(WIDTH, HEIGHT))
    room, column, used = HEIGHT - 2 * MARGIN, 0, 0.0
    title, *rest = lines(text)
    figure.text(MARGIN / WIDTH, 1 - MARGIN / HEIGHT, title[1], size=13, weight="bold", va="top")
    top = 0.32
    for i, (kind, line) in enumerate(rest):
        height = HEIGHTS[kind] * STEP
        if kind == "heading":  # what belongs together stays in a column
            end = next((j for j in range(i + 1, len(rest)) if rest[j][0] == "heading"), len(rest))
            needed = sum(HEIGHTS[k] * STEP for k, _ in rest[i:end])
        else:
            needed = height
        if used and used + needed > room - top:
            column, used = column + 1, 0.0
            if column == COLUMNS:
                raise ValueError(f"handout.md is too long for a page from {line!r} on")
        x = MARGIN + column * (WIDTH - 2 * MARGIN + 0.15) / COLUMNS
        y = HEIGHT - MARGIN - top - used
        looks = {
            "heading": {"weight": "bold", "size": SIZE + 1, "color": "#0072B2"},
            "code": {"family": "monospace", "size": SIZE - 0.5},
        }.get(kind, {"size": SIZE})
        if kind != "gap":
            figure.text(x / WIDTH, (y - height) / HEIGHT, line, va="baseline", parse_math="$" in line, **looks)
        used += height
    return figure


def digest(text: str) -> str:
    """Stands in the PDF's metadata, and says of which text it was made."""
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Draw the page."""
    text = SOURCE.read_text(encoding="utf-8")
    with rc_context({"pdf.fonttype": 42, "svg.hashsalt": "minidni", "mathtext.fontset": "dejavusans"}):
        canvas = FigureCanvasPdf(draw(text))
        about = {"Title": "minidni on one page", "Subject": digest(text), "CreationDate": None, "Creator": None}
        canvas.print_pdf(PDF, metadata=about)


if __name__ == "__main__":
    main()
