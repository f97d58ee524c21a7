"""The notebook view: a table and two small pictures in inline SVG; no scripts, readable in light and dark."""

from html import escape

import numpy as np

from .report import ArrayReport, Report, _finite

CELLS = 48  # a heat map shows at most this many rows and columns; larger arrays show the worst entry of each patch
OK_COLOUR, WRONG_COLOUR = (0, 114, 178), (213, 94, 0)  # Okabe and Ito's blue and vermilion
STYLE = "style='text-align:{};padding:2px 8px'"


def heat(array: ArrayReport) -> np.ndarray:
    """log10(error / tolerance), 2-D, at most CELLS x CELLS, clipped to [-12, 12]; NaN where nothing was judged."""
    ratio = _finite(array.ratio)
    flat = ratio.reshape(-1, ratio.shape[-1]) if ratio.ndim > 1 else ratio.reshape(1, -1)
    with np.errstate(all="ignore"):
        values = np.clip(np.log10(flat), -12, 12)
    return _shrink(_shrink(values).T).T


def _shrink(values: np.ndarray) -> np.ndarray:
    """At most CELLS rows, each the largest of its group."""
    if len(values) <= CELLS:
        return values
    groups = np.array_split(np.where(np.isnan(values), -np.inf, values), CELLS)
    out = np.stack([g.max(axis=0) for g in groups])
    return np.where(np.isinf(out), np.nan, out)


def limit(values: np.ndarray) -> float:
    """The end of a symmetric colour scale for `heat`, at least three powers of ten."""
    return float(np.ceil(np.nanmax(values, initial=3.0)))


def curves(report: Report) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Positive errors against step for the worst entry: from backward's value, and from the measured one."""
    if report.trace is None or report.worst is None:
        return {}
    steps, slopes = report.trace
    lines = {"from backward's value": report.worst.analytic, "from the measured value": report.worst.numeric}
    found = {}
    for name, value in lines.items():
        error = np.abs(slopes - value)
        good = np.isfinite(error) & (error > 0)
        found[name] = steps[good], error[good]
    return found


def to_html(report: Report) -> str:
    """The report as a fragment of HTML."""
    mark = "&#10003;" if report.ok else "&#10007;"
    parts = [f"<div><p><b>{mark} {escape(report.verdict())}</b></p>"]
    if report.arrays:
        head = "".join(f"<th scope='col' {STYLE.format('left')}>{escape(h)}</th>" for h in report.HEAD)
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>")
        for row, array in zip(report.rows(), report.arrays, strict=True):
            cells = "".join(f"<td {STYLE.format('left')}>{escape(c)}</td>" for c in row)
            weight = " style='font-weight:bold'" if array.wrong.any() else ""
            parts.append(f"<tr{weight}>{cells}</tr>")
        parts.append("</tbody></table>")
    if report.worst is not None:
        parts.append(f"<p>{escape(report.sentence())}</p>")
    parts += [f"<p>found: {escape(f.text)}</p>" for f in report.findings]
    parts += [f"<p><b>likely cause: {escape(report.own_cause)}</b></p>"] if report.own_cause else []
    parts += [f"<p>note: {escape(n)}</p>" for n in report.notes]
    if report.worst_array is not None:
        parts.append(f"<div style='display:flex;flex-wrap:wrap;gap:24px'>{_heat_svg(report)}{_curve_svg(report)}</div>")
    return "".join(parts) + "</div>"


def _svg(width: float, height: float, title: str, body: str) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' role='img' aria-label='{escape(title, quote=True)}' "
        f"width='{width:.0f}' height='{height:.0f}' viewBox='0 0 {width:.0f} {height:.0f}' "
        f"font-family='sans-serif' font-size='11' fill='currentColor'><title>{escape(title)}</title>{body}</svg>"
    )


def _heat_svg(report: Report) -> str:
    array = report.worst_array
    assert array is not None
    values = heat(array)
    (rows, columns), end = values.shape, limit(values)
    cell = float(np.clip(280 / max(rows, columns), 5, 24))
    top = 34
    body = [f"<text x='0' y='12'>{escape(array.name)}: error / tolerance of each entry</text>"]
    body.append("<text x='0' y='27'>blue: within, orange with a dot: wrong, hollow: not judged</text>")
    for (i, j), v in np.ndenumerate(values):
        x, y = j * cell, top + i * cell
        box = f"x='{x + 0.5:.1f}' y='{y + 0.5:.1f}' width='{cell - 1:.1f}' height='{cell - 1:.1f}'"
        if np.isnan(v):
            body.append(f"<rect {box} fill='none' stroke='currentColor' stroke-opacity='0.3'/>")
            continue
        colour = WRONG_COLOUR if v > 0 else OK_COLOUR
        body.append(f"<rect {box} fill='rgb{colour}' fill-opacity='{0.25 + 0.75 * abs(v) / end:.2f}'/>")
        if v > 0:
            body.append(f"<circle cx='{x + cell / 2:.1f}' cy='{y + cell / 2:.1f}' r='{cell / 7:.1f}'/>")
    title = f"Heat map of {array.name}: {int(array.wrong.sum())} of {int(array.judged.sum())} judged entries are wrong"
    return _svg(max(columns * cell, 320), top + rows * cell + 4, title, "".join(body))


def _curve_svg(report: Report) -> str:
    lines = {name: xy for name, xy in curves(report).items() if len(xy[0]) > 1}
    worst = report.worst
    if not lines or worst is None:
        return ""
    xs = np.log10(np.concatenate([x for x, _ in lines.values()]))
    ys = np.log10(np.concatenate([y for _, y in lines.values()]))
    x0, x1, y0, y1 = xs.min(), xs.max(), ys.min(), max(ys.max(), ys.min() + 1)
    left, top, width, height = 48, 34, 250, 180
    body = [f"<text x='0' y='12'>{escape(worst.where)}: error of the central difference against its step</text>"]
    frame = f"x='{left}' y='{top}' width='{width}' height='{height}'"
    body.append(f"<rect {frame} fill='none' stroke='currentColor' stroke-opacity='0.5'/>")
    styles = (("rgb" + str(WRONG_COLOUR), ""), ("rgb" + str(OK_COLOUR), " stroke-dasharray='5 3'"))
    for k, ((name, (x, y)), (colour, dash)) in enumerate(zip(lines.items(), styles, strict=False)):
        across = left + (np.log10(x) - x0) / (x1 - x0 or 1) * width
        up = top + height - (np.log10(y) - y0) / (y1 - y0) * height
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up, strict=True))
        body.append(f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'{dash}/>")
        ends = f"x1='{left + 150 * k - 40}' x2='{left + 150 * k - 18}'"
        body.append(f"<line {ends} y1='24' y2='24' stroke='{colour}' stroke-width='2'{dash}/>")
        body.append(f"<text x='{left + 150 * k - 14}' y='28'>{escape(name)}</text>")
    for value, py in ((y0, top + height), (y1, top + 10)):
        body.append(f"<text x='{left - 4}' y='{py}' text-anchor='end'>1e{value:.0f}</text>")
    for value, px, anchor in ((x0, left, "start"), (x1, left + width, "end")):
        body.append(f"<text x='{px}' y='{top + height + 14}' text-anchor='{anchor}'>h = 1e{value:.0f}</text>")
    title = f"Error against step for {worst.where}: tolerance {worst.tolerance:.1e}, error {worst.error:.1e}"
    return _svg(left + width + 30, top + height + 20, title, "".join(body))
