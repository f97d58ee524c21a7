"""Which lessons there are, and what the header of each one promises.

A lesson's first cell is markdown and reads

    # A layer by hand

    - **Minutes:** 60
    - **Needs:** the chain rule; arrays in NumPy
    - **Learn:** derive, write and check the backward pass of a linear layer
    - **Data:** the embedded 8x8 digits

with any text after that. An entry may go on in indented lines.
"""

import re
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from lessons import builder, percent

FOLDER = Path(__file__).resolve().parent
NAME = re.compile(r"\d\d_[a-z0-9_]+")
ENTRY = re.compile(r"- \*\*(?P<label>\w+):\*\*\s*(?P<text>.*)")


class NoSuchLesson(ValueError):
    """A name that fits no lesson, or several; the text is the sentence to show."""


@dataclass(frozen=True)
class Header:
    """What a learner is told before starting."""

    title: str
    minutes: int
    needs: str
    learn: str
    data: str


@dataclass(frozen=True)
class Lesson:
    """A lesson, by the path of its source `.../source/NN_name.py`."""

    source: Path

    @property
    def name(self) -> str:
        return self.source.stem

    @property
    def student_path(self) -> Path:
        return self.source.parents[1] / f"{self.name}.ipynb"

    @property
    def solution_path(self) -> Path:
        return self.source.parents[1] / "solutions" / f"{self.name}.ipynb"

    @cached_property
    def cells(self) -> list[percent.Cell]:
        return percent.read(self.source)

    @cached_property
    def header(self) -> Header:
        return read_header(self.cells[0])

    def notebooks(self) -> dict[Path, str]:
        """Return the text of the learner's and of the solution notebook, by path; check the header too."""
        assert self.header
        return {
            self.student_path: builder.student_notebook(self.name, self.cells),
            self.solution_path: builder.solution_notebook(self.name, self.cells),
        }

    def build(self) -> list[Path]:
        """Write both notebooks; return the paths of those that changed."""
        changed = []
        for path, text in self.notebooks().items():
            if not path.is_file() or path.read_bytes() != text.encode():
                builder.write_text(path, text)
                changed.append(path)
        return changed


def find_lessons(folder: Path = FOLDER) -> list[Lesson]:
    """Return the lessons below `folder`, in order."""
    lessons = [Lesson(path) for path in sorted((folder / "source").glob("*.py"))]
    for lesson in lessons:
        if not NAME.fullmatch(lesson.name):
            raise percent.SourceError(lesson.source, 1, "a lesson is named like 01_a_layer_by_hand.py.")
    return lessons


def choose(lessons: list[Lesson], name: str) -> Lesson:
    """Return the lesson whose name, with or without its number, starts with `name`."""
    wanted = Path(name).name.removesuffix(".ipynb").removesuffix(".py")
    names = ", ".join(lesson.name for lesson in lessons)
    exact = [lesson for lesson in lessons if lesson.name == wanted]
    if exact:
        return exact[0]
    fitting = [lesson for lesson in lessons if lesson.name.startswith(wanted) or lesson.name[3:].startswith(wanted)]
    if not wanted or not fitting:
        raise NoSuchLesson(f"There is no lesson {name!r}; there are: {names}.")
    if len(fitting) > 1:
        several = ", ".join(lesson.name for lesson in fitting)
        raise NoSuchLesson(f"{name!r} could be any of {several}: write more of the name.")
    return fitting[0]


def read_header(cell: percent.Cell) -> Header:
    """Return the header in a lesson's first cell."""
    if cell.kind != "markdown" or not re.match(r"# \S", cell.lines[0]):
        raise cell.error("a lesson starts with a markdown cell whose first line is the title, `# # Title`.")
    labels = [field.name for field in fields(Header)][1:]
    entries: dict[str, str] = {}
    current = ""
    for index, line in enumerate(cell.lines[1:], 1):
        entry = ENTRY.match(line)
        if entry:
            current = entry["label"].lower()
            if current not in labels or current in entries:
                problem = "is given twice" if current in entries else "is not one of " + ", ".join(labels).title()
                raise cell.error(f"the header's entry {entry['label']!r} {problem}.", index)
            entries[current] = entry["text"].strip()
        elif current and re.match(r"\s+\S", line):
            entries[current] = f"{entries[current]} {line.strip()}".strip()
        else:
            current = ""
    missing = [label.capitalize() for label in labels if not entries.get(label)]
    if missing:
        raise cell.error(f"the header has no {', '.join(missing)}; write it as a line `# - **{missing[0]}:** ...`.")
    if not re.fullmatch(r"[1-9]\d*", entries["minutes"]):
        raise cell.error(f"the header's Minutes is a whole number, not {entries['minutes']!r}.")
    minutes = int(entries.pop("minutes"))
    return Header(title=cell.lines[0].removeprefix("# ").strip(), minutes=minutes, **entries)
