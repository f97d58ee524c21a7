"""Reads a lesson's source: Python text cut into cells by `# %%` lines (the "percent" format of Jupytext).

    # %% [markdown]
    # Text, each line behind a `# `.

    # %% exercise="linear-forward"
    def forward(x):
        ### BEGIN SOLUTION
        return x @ W + b
        ### END SOLUTION

    # %% test="linear-forward-check" points=2
    assert forward(x).shape == (4, 3)
    ### BEGIN HIDDEN TESTS
    assert ...
    ### END HIDDEN TESTS

Behind `# %%` may stand `[markdown]` and options `key=value`, the values in JSON:

- `exercise="id"`: the learner writes what stands between the solution markers.
- `test="id" points=n`: checks an exercise; locked, and graded automatically.
- `answer="id" points=n`: in a markdown cell, a question that the learner answers in words; graded by hand.
- `tags=["..."]`: tags of the notebook cell.

A mistake raises SourceError: one sentence that starts with file and line.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

CELL = re.compile(r"# %%(?P<rest>\s.*)?$")
KIND = re.compile(r"\s*\[markdown\]")
OPTION = re.compile(r"\s*(?P<key>\w+)=")
GRADE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
ROLES = ("exercise", "test", "answer")
OPTIONS = (*ROLES, "points", "tags")


class SourceError(ValueError):
    """A mistake in a lesson's source, told as `file:line: sentence`."""

    def __init__(self, path: Path, line: int, sentence: str):
        super().__init__(f"{path.name}:{line}: {sentence}")


@dataclass(frozen=True)
class Cell:
    """One cell of a lesson: its lines as the notebook shows them, and where they stand in the file."""

    kind: str
    """"code" or "markdown"."""
    role: str
    """"exercise", "test", "answer", or "" for a cell that is not graded."""
    grade_id: str
    points: int
    tags: tuple[str, ...]
    lines: tuple[str, ...]
    path: Path
    marker: int
    """Line number of the `# %%` line."""
    first: int
    """Line number of lines[0]."""

    def error(self, sentence: str, index: int | None = None) -> SourceError:
        """Return the error for `lines[index]`, or for the `# %%` line."""
        return SourceError(self.path, self.marker if index is None else self.first + index, sentence)


def read(path: Path) -> list[Cell]:
    """Return the cells of the lesson in `path`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            raise SourceError(path, number, "there is a tab; indent with spaces.")
    starts = [index for index, line in enumerate(lines) if CELL.fullmatch(line)]
    for index, line in enumerate(lines):
        if index not in starts and re.match(r"\s*#\s*%%", line):
            raise SourceError(path, index + 1, f"a cell starts with `# %%` and a space, but this is {line!r}.")
    if not starts:
        raise SourceError(path, 1, "there is no cell; a cell starts with a line `# %%`.")
    for index, line in enumerate(lines[: starts[0]]):
        if line.strip() and not line.startswith("#"):
            raise SourceError(path, index + 1, "only comments may stand before the first `# %%` line.")
    ends = [*starts[1:], len(lines)]
    cells = [_cell(path, start, lines[start:end]) for start, end in zip(starts, ends, strict=True)]
    _refuse_duplicates(cells)
    return cells


def _cell(path: Path, start: int, block: list[str]) -> Cell:
    number = start + 1
    kind, options = _marker(path, number, block[0])
    role = next((name for name in ROLES if name in options), "")
    body = block[1:]
    if kind == "markdown":
        body = [_without_comment(path, number + 1 + index, line) for index, line in enumerate(body)]
    first = next((index for index, line in enumerate(body) if line.strip()), None)
    if first is None:
        raise SourceError(path, number, "this cell is empty.")
    last = max(index for index, line in enumerate(body) if line.strip())
    return Cell(
        kind=kind,
        role=role,
        grade_id=options.get(role, ""),
        points=options.get("points", 0),
        tags=tuple(options.get("tags", ())),
        lines=tuple(line.rstrip() for line in body[first : last + 1]),
        path=path,
        marker=number,
        first=number + 1 + first,
    )


def _without_comment(path: Path, number: int, line: str) -> str:
    if line.startswith("# "):
        return line[2:]
    if line.rstrip() in ("", "#"):
        return ""
    raise SourceError(path, number, "each line of a markdown cell starts with `# `; start a code cell with `# %%`.")


def _marker(path: Path, number: int, line: str) -> tuple[str, dict]:
    """Return the kind and the options of a `# %%` line."""
    rest = line.removeprefix("# %%")
    markdown = KIND.match(rest)
    kind = "markdown" if markdown else "code"
    position = markdown.end() if markdown else 0
    options: dict = {}
    while rest[position:].strip():
        option = OPTION.match(rest, position)
        if not option:
            raise SourceError(
                path,
                number,
                f"cannot read {rest[position:].strip()!r}; behind `# %%` stand `[markdown]` and key=value.",
            )
        key = option["key"]
        if key not in OPTIONS:
            raise SourceError(path, number, f"unknown option {key!r}; known are {', '.join(OPTIONS)}.")
        if key in options:
            raise SourceError(path, number, f"{key!r} is given twice.")
        try:
            options[key], position = json.JSONDecoder().raw_decode(rest, option.end())
        except ValueError:
            raise SourceError(path, number, f"the value of {key!r} is not JSON (a text needs double quotes).") from None
    _check_options(path, number, kind, options)
    return kind, options


def _check_options(path: Path, number: int, kind: str, options: dict) -> None:
    roles = [name for name in ROLES if name in options]
    if len(roles) > 1:
        raise SourceError(path, number, f"a cell is one of {', '.join(ROLES)}, but this is {' and '.join(roles)}.")
    for role in roles:
        if not (isinstance(options[role], str) and GRADE_ID.fullmatch(options[role])):
            raise SourceError(path, number, f"the id of {role!r} takes letters, digits, - and _.")
        if (role == "answer") != (kind == "markdown"):
            where = "a markdown cell" if role == "answer" else "a code cell"
            raise SourceError(path, number, f"{role!r} belongs to {where}.")
    graded = bool({"test", "answer"} & set(roles))
    if graded != ("points" in options):
        raise SourceError(path, number, "'test' and 'answer' need points=n, and nothing else takes it.")
    if graded and (type(options["points"]) is not int or options["points"] < 0):
        raise SourceError(path, number, "'points' is a whole number, 0 or more.")
    tags = options.get("tags", [])
    if not (isinstance(tags, list) and all(isinstance(tag, str) and tag for tag in tags)):
        raise SourceError(path, number, "'tags' is a list of texts.")


def _refuse_duplicates(cells: list[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        if cell.grade_id in seen:
            raise cell.error(f"the id {cell.grade_id!r} is already used in line {seen[cell.grade_id].marker}.")
        if cell.grade_id:
            seen[cell.grade_id] = cell
