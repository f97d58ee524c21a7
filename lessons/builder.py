"""Makes the two notebooks of a lesson from its source.

`lessons/NN_name.ipynb` is the learner's: solutions replaced by `raise NotImplementedError()`, hidden tests
left out. `lessons/solutions/NN_name.ipynb` keeps both with their markers, so it also serves nbgrader as the
source of an assignment. Neither has outputs; the same source always gives the same bytes.
"""

import ast
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from lessons.percent import Cell

SOLUTION, HIDDEN_TESTS = "SOLUTION", "HIDDEN TESTS"
CODE_STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")
ANSWER_STUB = ("YOUR ANSWER HERE",)
# Which cells may, and for the first one must, hold which region.
ROLES_OF = {SOLUTION: ("exercise", "answer"), HIDDEN_TESTS: ("test",)}


def student_notebook(name: str, cells: list[Cell]) -> str:
    """Return the learner's notebook as text."""
    return _notebook(name, cells, [student_lines(cell) for cell in cells])


def solution_notebook(name: str, cells: list[Cell]) -> str:
    """Return the solution notebook as text."""
    for cell in cells:
        student_lines(cell)  # for its complaints: a malformed source gives no notebook at all
    return _notebook(name, cells, [list(cell.lines) for cell in cells])


def student_lines(cell: Cell) -> list[str]:
    """Return the lines of `cell` that the learner gets."""
    _check_syntax(cell)
    lines: list[str] = []
    inside, opened = "", 0
    found = set()
    for index, line in enumerate(cell.lines):
        edge, region = _region_marker(cell, index)
        if not region:
            if not inside:
                lines.append(line)
        elif edge == "BEGIN":
            if inside:
                raise cell.error(f"BEGIN {region} inside of {inside}, opened in line {cell.first + opened}.", index)
            if cell.role not in ROLES_OF[region]:
                raise cell.error(f"{region} stands in a cell that is not {' or '.join(ROLES_OF[region])}.", index)
            inside, opened = region, index
            found.add(region)
            if region == SOLUTION:
                indentation = line[: len(line) - len(line.lstrip())]
                stub = ANSWER_STUB if cell.kind == "markdown" else CODE_STUB
                lines += [indentation + stub_line for stub_line in stub]
        else:
            if inside != region:
                raise cell.error(f"END {region} without a BEGIN {region} before it.", index)
            if index == opened + 1:
                raise cell.error(f"nothing stands between BEGIN and END {region}.", index)
            inside = ""
    if inside:
        raise cell.error(f"BEGIN {inside} is never closed by END {inside}.", opened)
    if cell.role in ROLES_OF[SOLUTION] and SOLUTION not in found:
        raise cell.error(f"the cell {cell.grade_id!r} has no ### BEGIN SOLUTION.")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise cell.error(f"of the cell {cell.grade_id!r} nothing is left for the learner.")
    _check_student_syntax(cell, lines)
    return lines


def _region_marker(cell: Cell, index: int) -> tuple[str, str]:
    """Return ("BEGIN" or "END", region) for a marker line, ("", "") for any other."""
    line = cell.lines[index]
    for edge in ("BEGIN", "END"):
        for region in (SOLUTION, HIDDEN_TESTS):
            if line.strip() == f"### {edge} {region}":
                return edge, region
            # nbgrader would take this line for a marker, wherever in the line the words stand.
            if f"{edge} {region}" in line.upper():
                raise cell.error(f"a marker stands alone in its line, as `### {edge} {region}`.", index)
    return "", ""


def _check_syntax(cell: Cell) -> None:
    error = _syntax_error(cell, cell.lines)
    if error:
        raise cell.error(f"not valid Python: {error.msg}.", (error.lineno or 1) - 1)


def _check_student_syntax(cell: Cell, lines: Sequence[str]) -> None:
    error = _syntax_error(cell, lines)
    if error:
        raise cell.error(f"without its solutions and hidden tests this cell is not valid Python: {error.msg}.")


def _syntax_error(cell: Cell, lines: Sequence[str]) -> SyntaxError | None:
    if cell.kind == "code":
        try:
            compile("\n".join(lines) + "\n", str(cell.path), "exec")
        except SyntaxError as error:
            return error
    return None


def _notebook(name: str, cells: list[Cell], contents: list[list[str]]) -> str:
    notebook = {
        "cells": [
            _notebook_cell(cell, lines, hashlib.sha256(f"{name}:{index}".encode()).hexdigest()[:16])
            for index, (cell, lines) in enumerate(zip(cells, contents, strict=True))
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return as_text(notebook)


def as_text(notebook: dict) -> str:
    """Return the notebook as Jupyter writes it to a file."""
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _notebook_cell(cell: Cell, lines: list[str], identifier: str) -> dict:
    metadata: dict = {"slideshow": {"slide_type": slide_type(cell)}}
    if cell.role:
        metadata["nbgrader"] = nbgrader_metadata(cell)
    if cell.tags:
        metadata["tags"] = list(cell.tags)
    source = [line + "\n" for line in lines[:-1]] + lines[-1:]
    result: dict = {"cell_type": cell.kind, "id": identifier, "metadata": metadata, "source": source}
    if cell.kind == "code":
        result |= {"execution_count": None, "outputs": []}
    return result


def slide_type(cell: Cell) -> str:
    """Return what the cell is among slides: `jupyter nbconvert --to slides`.

    A section begins a slide, a part of it one below. A result is a fragment, so that the class can predict it first.
    Checks, and helpers that only define something, are left out.
    """
    if cell.kind == "markdown":
        beginnings = {"# ": "slide", "## ": "slide", "### ": "subslide", "**Predict": "fragment"}
        return next((kind for beginning, kind in beginnings.items() if cell.lines[0].startswith(beginning)), "-")
    if cell.role:
        return "skip" if cell.role == "test" else "-"
    silent = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    return "skip" if all(isinstance(node, silent) for node in ast.parse("\n".join(cell.lines)).body) else "fragment"


def nbgrader_metadata(cell: Cell) -> dict:
    """Return the metadata, schema version 3, that nbgrader keeps of a graded cell."""
    graded = cell.role in ("test", "answer")
    metadata = {
        "cell_type": cell.kind,
        "grade": graded,
        "grade_id": cell.grade_id,
        "locked": cell.role == "test",
        "schema_version": 3,
        "solution": cell.role in ("exercise", "answer"),
        "task": False,
    }
    return metadata | ({"points": cell.points} if graded else {})


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step: a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
