"""Executes lessons, inside the environment: `python -m lessons.execution [NAME ...]`."""

import hashlib
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from lessons import builder, catalogue, course
from lessons.catalogue import Lesson
from lessons.percent import SourceError

SECONDS_A_CELL = 600
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Outcome:
    """What came of executing a lesson; `error` is empty when nothing failed."""

    notebook: nbformat.NotebookNode
    seconds: float
    error: str


def run_solution(lesson: Lesson) -> Outcome:
    """Execute the lesson's solution notebook in a kernel of its own."""
    notebook = _parsed(lesson, lesson.solution_path)
    started = time.perf_counter()
    error = ""
    try:
        _client(lesson, notebook).execute()
    except CellExecutionError as failure:
        error = COLOURS.sub("", str(failure)).strip()
    except (CellTimeoutError, DeadKernelError) as failure:
        error = f"{type(failure).__name__}: {failure}".strip()
    return Outcome(notebook, time.perf_counter() - started, error)


def digest(lesson: Lesson) -> str:
    """Of the lesson, and of all that it may use: as long as it is the same, so are the results, but for times."""
    root = catalogue.FOLDER.parent
    parts = [lesson.notebooks()[lesson.solution_path].encode()]
    for folder, pattern in (("minidni", "*.py"), ("docs/results", "*.json")):
        parts += [path.read_bytes() for path in sorted((root / folder).rglob(pattern))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def keep(lesson: Lesson, notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Write an executed notebook to `folder`, for `kept`."""
    notebook.metadata["minidni"] = {"digest": digest(lesson)}
    builder.write_text(folder / f"{lesson.name}.ipynb", nbformat.writes(notebook) + "\n")


def kept(lesson: Lesson, folder: Path) -> nbformat.NotebookNode | None:
    """Return what was executed and kept, if neither the lesson nor the library has changed since."""
    path = folder / f"{lesson.name}.ipynb"
    notebook = nbformat.read(path, as_version=4) if path.is_file() else None
    same = notebook is not None and notebook.metadata.get("minidni", {}).get("digest") == digest(lesson)
    return notebook if same else None


def walk_as_learner(lesson: Lesson, *, experiments: bool = True) -> str:
    """Work through the lesson as a learner does, and return what went wrong, or "".

    The learner's notebook is run until it stops, which it may do only at the NotImplementedError of the first
    unsolved exercise; that one is solved, the cells behind it are run again, and so on to the end.

    Args:
        lesson: the lesson.
        experiments: False to leave out the cells on which no exercise or check depends; they are the solution's.
    """
    notebook = _parsed(lesson, lesson.student_path)
    student = notebook.cells
    solved = _parsed(lesson, lesson.solution_path).cells
    exercises = [index for index, cell in enumerate(lesson.cells) if cell.role == "exercise"]
    counts: dict[int, int] = {}
    client = _client(lesson, notebook)
    client.reset_execution_trackers()

    def run(cells: list, index: int) -> CellExecutionError | None:
        try:
            client.execute_cell(cells[index], index)
        except CellExecutionError as failure:
            return failure
        finally:
            counts[index] = cells[index].get("execution_count")
        return None

    left_out = set() if experiments else set(course.not_needed(lesson.cells))
    codes = [i for i, cell in enumerate(student) if cell.cell_type == "code" and i not in left_out]

    def run_until_it_stops(start: int) -> tuple[int, CellExecutionError | None]:
        for index in codes:
            if index >= start and (failure := run(student, index)):
                return index, failure
        return len(student), None

    def where(index: int) -> str:
        return f"{lesson.source.name}:{lesson.cells[index].marker}"

    start = 0
    with client.setup_kernel():
        for exercise in exercises:
            stop, failure = run_until_it_stops(start)
            name = lesson.cells[exercise].grade_id
            if failure is None:
                return f"{where(exercise)}: nothing stops the learner who leaves out the exercise {name!r}."
            if failure.ename != "NotImplementedError":
                problem = f"{failure.ename}: {failure.evalue}"
                return f"{where(stop)}: with {name!r} unsolved this cell fails with {problem}"
            frames = re.findall(r"Cell In\s?\[(\d+)\]", COLOURS.sub("", failure.traceback))
            if not frames or int(frames[-1]) != counts[exercise]:
                return f"{where(stop)}: this cell stops, but not in the first unsolved exercise, {name!r}."
            failure = run(solved, exercise)
            if failure:
                return f"{where(exercise)}: solved, {name!r} fails with {failure.ename}: {failure.evalue}"
            start = exercise + 1
        stop, failure = run_until_it_stops(start)
        if failure:
            return f"{where(stop)}: with all solved this cell fails with {failure.ename}: {failure.evalue}"
    return ""


def _parsed(lesson: Lesson, path: Path) -> nbformat.NotebookNode:
    return nbformat.reads(lesson.notebooks()[path], as_version=4)


def _client(lesson: Lesson, notebook: nbformat.NotebookNode) -> NotebookClient:
    resources = {"metadata": {"path": str(lesson.student_path.parent)}}
    return NotebookClient(
        notebook,
        timeout=SECONDS_A_CELL,
        kernel_name="python3",
        resources=resources,
        extra_arguments=["--log-level=ERROR"],  # warnings about the kernel's own sockets are not the learner's
    )


def main(names: list[str], folder: Path = catalogue.FOLDER) -> int:
    """Execute the named lessons, or all; print a table; return 1 if one failed."""
    from lessons.pages import write_page  # heavy, and the tests of the lessons themselves do without it

    lessons = catalogue.find_lessons(folder)
    if names:
        lessons = [catalogue.choose(lessons, name) for name in names]
    width = max((len(lesson.name) for lesson in lessons), default=0)
    print(f"{'lesson':<{width}}  seconds  result", flush=True)
    errors = []
    for lesson in lessons:
        try:
            outcome = run_solution(lesson)
        except SourceError as error:
            outcome = None
            seconds, text = 0.0, str(error)
        else:
            seconds, text = outcome.seconds, outcome.error
            write_page(outcome.notebook, lesson.header.title, folder / "build" / f"{lesson.name}.html")
            if not text:
                keep(lesson, outcome.notebook, folder / "build")
        print(f"{lesson.name:<{width}}  {seconds:7.1f}  {'FAILED' if text else 'ok'}", flush=True)
        if text:
            errors.append(f"{lesson.name} failed:\n{text}")
    print("The pages are in", folder / "build")
    for error in errors:
        print(f"\n{error}", file=sys.stderr)
    return 1 if errors or not lessons else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
