"""A folder from which nbgrader releases and grades the lessons: `python lessons --course FOLDER`.

    FOLDER/nbgrader_config.py
    FOLDER/source/NN_name/NN_name.ipynb

The notebooks are those in `lessons/solutions`, but the experiments in them, on which no check depends, are tagged
`skip-execution`: nbgrader leaves such cells out when it grades. A lesson is then graded in seconds and not in a
minute, times the number of students. In Jupyter the tag has no effect.
"""

import json
import symtable
from collections.abc import Iterator, Sequence
from pathlib import Path

from lessons import builder
from lessons.catalogue import Lesson
from lessons.percent import Cell

SKIP = "skip-execution"  # nbclient's own name for it
CONFIG = f"""\
# Written by `python lessons --course`.
c = get_config()
c.CourseDirectory.course_id = "minidni"
c.ExecutePreprocessor.timeout = 600
c.ClearSolutions.code_stub = {{"python": {chr(10).join(builder.CODE_STUB)!r}}}
"""


class NotOurs(ValueError):
    """A folder that was not made here; the text is the sentence to show."""


def write_course(lessons: Sequence[Lesson], folder: Path) -> list[Path]:
    """Write the course; return the notebooks' paths.

    Raises:
        NotOurs: if `folder` has a configuration of its own.
    """
    config = folder / "nbgrader_config.py"
    if config.exists() and config.read_text(encoding="utf-8") != CONFIG:
        raise NotOurs(f"{config} is there already, and is not one that was written here.")
    builder.write_text(config, CONFIG)
    paths = []
    for lesson in lessons:
        notebook = json.loads(lesson.notebooks()[lesson.solution_path])
        for index in not_needed(lesson.cells):
            tags = notebook["cells"][index]["metadata"].setdefault("tags", [])
            tags += [SKIP] if SKIP not in tags else []
        paths.append(folder / "source" / lesson.name / f"{lesson.name}.ipynb")
        builder.write_text(paths[-1], builder.as_text(notebook))
    return paths


def not_needed(cells: Sequence[Cell]) -> list[int]:
    """Return which code cells make nothing that an exercise or a check uses, directly or by way of another cell.

    A name means what the last cell before made of it: before the cell itself where the cell uses it, and before the
    check where only a function uses it, which the check calls.
    """
    names = {index: _Names(cell) for index, cell in enumerate(cells) if cell.kind == "code"}
    graded = [index for index in names if cells[index].role]
    seen: set[tuple[int, int]] = set()
    needed, ways = set(graded), [(index, index) for index in graded]
    while ways:
        index, check = ways.pop()
        uses = [(name, index) for name in names[index].at_once] + [(name, check) for name in names[index].when_called]
        for name, before in uses:
            maker = max((other for other in names if other < before and name in names[other].made), default=None)
            if maker is not None and (maker, check) not in seen:
                seen.add((maker, check))
                needed.add(maker)
                ways.append((maker, check))
    return sorted(names.keys() - needed)


class _Names:
    """The global names that a cell makes, those that it uses itself, and those that its functions use."""

    def __init__(self, cell: Cell):
        top = symtable.symtable("\n".join(cell.lines) + "\n", str(cell.path), "exec")
        self.made = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
        self.at_once = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
        inside = [symbol for table in _below(top) for symbol in table.get_symbols()]
        self.when_called = {symbol.get_name() for symbol in inside if symbol.is_referenced() and symbol.is_global()}


def _below(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _below(child)
