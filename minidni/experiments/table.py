"""What an experiment prints, and the JSON it writes."""

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .registry import Experiment, as_text, find
from .rows import Row

TIMES = {"seconds": "", "cpu_seconds": ""}


def document(experiment: Experiment, settings: Mapping[str, Any], rows: Iterable[Row]) -> dict[str, Any]:
    """What is written as JSON, and what `table` shows: {"name", "settings", "versions", "device", "rows"}.

    A number that is not finite is None, for JSON knows no NaN.
    """
    return {
        "name": experiment.name,
        "settings": {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()},
        "versions": versions(),
        "device": device(settings.get("device", "cpu")),
        "rows": [{name: _strict(value) for name, value in row.items()} for row in rows],
    }


def table(results: Mapping[str, Any]) -> str:
    """The results over the seeds, beside what they are to be compared with.

    A line for each group of runs that differ in nothing but the seed; a number that differs between them is shown as
    mean (least to most). What a method does not measure is left blank.
    """
    experiment, rows = find(results["name"]), results["rows"]
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in results["settings"].items()}
    measures = {**experiment.measures, **TIMES}
    what = [name for name in rows[0] if name not in {*measures, "seed", "stopped"}] if rows else []
    measures = {name: unit for name, unit in measures.items() if any(name in row for row in rows)}
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(as_text(row.get(name, "")) for name in what), []).append(row)
    heads = [name.replace("_", " ") + f" ({unit})" * bool(unit) for name, unit in measures.items()]
    lines = [
        [*group, *(over_seeds([row[name] for row in runs if name in row]) for name in measures)]
        for group, runs in groups.items()
    ]
    beside = [f"{name} {number(value)}" for name, value in experiment.beside(**settings).items()]
    stopped = [
        f"stopped: {' '.join(group)}, seed {row['seed']}: {row['stopped']}"
        for group, runs in groups.items()
        for row in runs
        if "stopped" in row
    ]
    return "\n".join(
        [
            f"{experiment.name}: {experiment.summary}",
            f"settings: {' '.join(f'{name}={as_text(value)}' for name, value in settings.items())}",
            f"seeds: {' '.join(dict.fromkeys(str(row['seed']) for row in rows))}; mean (least to most)",
            "",
            *(_columns([[*what, *heads], *lines]) if rows else ["no run was finished"]),
            "",
            *stopped,
            *([f"for comparison: {', '.join(beside)}"] if beside else []),
            f"{', '.join(f'{name} {version}' for name, version in results['versions'].items())}; {results['device']}",
        ]
    )


def over_seeds(values: Sequence[float | None]) -> str:
    """Mean (least to most) of the finite values, with a count of the others."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    lost = f"NaN in {len(values) - len(finite)} of {len(values)}" if len(finite) < len(values) else ""
    if not finite:
        return lost
    text = number(sum(finite) / len(finite))
    if number(min(finite)) != number(max(finite)):
        text += f" ({number(min(finite))} to {number(max(finite))})"
    return f"{text}; {lost}" if lost else text


def number(value: float) -> str:
    """Four digits; whole numbers as they are."""
    return f"{value:.0f}" if math.isfinite(value) and value == int(value) else f"{value:.4g}"


def as_json(results: Mapping[str, Any]) -> str:
    """A `document` as text."""
    return json.dumps(results, indent=1, allow_nan=False) + "\n"


def write(path: Path, text: str) -> None:
    """Write the file so that no half of it is ever seen: under a temporary name first, then renamed."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """What computed the numbers."""
    from .. import __version__

    return {"minidni": __version__, "NumPy": np.__version__, "Python": platform.python_version()}


def device(name: str = "cpu") -> str:
    """Where they were computed: "cpu", or the GPU of that name and the machine that it is in."""
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or "not set"
    machine = f"cpu ({platform.machine()}, {os.cpu_count()} cores, BLAS threads {threads})"
    if name == "cpu":
        return machine
    import cupy

    number = int(name.partition(":")[2] or 0)
    gpu = cupy.cuda.runtime.getDeviceProperties(number)["name"].decode()
    return f"{gpu} beside a {machine}"


def _strict(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _columns(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
