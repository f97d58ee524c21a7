"""Every lesson released and graded by nbgrader itself, for learners who are right, idle, or wrong in one exercise."""

import ast
import html
import os
import sys
from pathlib import Path

import nbformat
import pytest

from lessons import catalogue, course
from lessons.builder import SOLUTION
from lessons.catalogue import Lesson
from lessons.percent import Cell

# Not "nbgrader" alone, for a folder of that name stands here.
pytest.importorskip("nbgrader.apps.api", reason='needs `pip install -e ".[nbgrader]"`')

from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from traitlets.config import PyFileConfigLoader

pytestmark = [pytest.mark.nbgrader, pytest.mark.filterwarnings("ignore")]  # nbgrader's own warnings are not ours
RIGHT, IDLE = "right", "idle"
NOTHING = "nothing"
FACTORS = {"twice": "2 * ", "negated": "-"}
# What is right all the same: a list that names each task twice names the same tasks.
STILL_RIGHT = ("comes-before.0.twice",)
every_lesson = pytest.mark.parametrize("lesson", catalogue.find_lessons(), ids=lambda lesson: lesson.name)


@every_lesson
def test_a_right_an_idle_and_a_slightly_wrong_learner_get_what_they_deserve(lesson, tmp_path):
    wrong = dict(list(learners_with(lesson, ["twice"]).items())[::2])  # half of them, for the time; all when slow
    graded = GradedLesson(lesson, tmp_path, {RIGHT: all_solved(lesson), IDLE: {}, **wrong})
    points = {cell.grade_id: cell.points for cell in lesson.cells if cell.role == "test"}
    by_hand = [cell.grade_id for cell in lesson.cells if cell.role == "answer"]
    assert graded.scores[RIGHT] == points | dict.fromkeys(by_hand)
    assert graded.scores[IDLE] == dict.fromkeys([*points, *by_hand], 0)
    assert {error[0] for cell in checks(graded, IDLE).values() for error in errors(cell)} == {"NotImplementedError"}
    assert graded.feedback(RIGHT) and graded.feedback(IDLE)
    kinds_of_error = set(lost_and_told(graded, wrong))
    assert kinds_of_error == {"AssertionError"}, "a check says what is wrong, and does not break down"
    released_and_run_as_intended(graded)


@pytest.mark.slow
@every_lesson
def test_every_mistake_in_every_exercise_costs_its_own_points_alone(lesson, tmp_path):
    wrong = learners_with(lesson, [*FACTORS, NOTHING])
    lost_and_told(GradedLesson(lesson, tmp_path, {RIGHT: all_solved(lesson), **wrong}), wrong)


@pytest.fixture(autouse=True)
def alembic_is_found(monkeypatch):
    """nbgrader makes its database with a program that is on the PATH of an environment that is activated."""
    programs = os.path.dirname(sys.executable)
    monkeypatch.setenv("PATH", os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]))


def all_solved(lesson):
    exercises = {cell.grade_id: solved(cell) for cell in lesson.cells if cell.role == "exercise"}
    return exercises | {cell.grade_id: "An answer in words." for cell in lesson.cells if cell.role == "answer"}


def learners_with(lesson, kinds):
    """Return the sources of learners with one mistake each, and all else solved."""
    sources = {
        f"{cell.grade_id}.{number}.{kind}": all_solved(lesson) | {cell.grade_id: with_mistake(cell, region, kind)}
        for cell in lesson.cells
        if cell.role == "exercise"
        for number, region in enumerate(regions(cell))
        for kind in kinds
    }
    return {student: handed_in for student, handed_in in sources.items() if student not in STILL_RIGHT}


def lost_and_told(graded, wrong):
    """Check that each of the wrong learners lost the points of one check, and is told why; return by which errors."""
    faults, names = [], []
    for student in wrong:
        own = check_behind(graded.lesson, exercise=student.partition(".")[0])
        lost = {name for name, score in graded.scores[RIGHT].items() if graded.scores[student][name] != score}
        if lost != {own} or graded.scores[student][own] != 0:
            faults.append(f"{student}: of {own} alone all points should be lost, and lost are {sorted(lost)}.")
            continue
        ((name, sentence),) = errors(checks(graded, student)[own])
        names.append(name)
        told = sentence.strip().partition("\n")[0]
        if not told or told not in html.unescape(graded.feedback(student)):
            faults.append(f"{student}: the feedback does not say {told!r}.")
    assert not faults, "\n".join(faults)
    return names


def check_behind(lesson, exercise):
    roles = [(cell.role, cell.grade_id) for cell in lesson.cells]
    behind = roles[roles.index(("exercise", exercise)) :]
    return next(name for role, name in behind if role == "test")


def checks(graded, student):
    names = {cell.grade_id for cell in graded.lesson.cells if cell.role == "test"}
    cells = {grade_id(cell): cell for cell in graded.notebook("autograded", student).cells}
    return {name: cells[name] for name in names}


def released_and_run_as_intended(graded):
    """Check that the learners got our notebook, and that grading ran all checks, the hidden too, and no experiment."""
    ours = nbformat.reads(graded.lesson.notebooks()[graded.lesson.student_path], as_version=4)
    assert [cell.source for cell in graded.notebook("release").cells] == [cell.source for cell in ours.cells]
    source, autograded = graded.notebook("source").cells, graded.notebook("autograded", RIGHT).cells
    for given, run in zip(source, autograded, strict=True):
        if given.cell_type == "code":
            assert (run.execution_count is None) == (course.SKIP in given.metadata.get("tags", [])), run.source
            assert errors(run) == [], run.source
        if given.metadata.get("nbgrader", {}).get("locked"):
            assert run.source == given.source


class GradedLesson:
    """One lesson, released and graded in `folder`.

    Args:
        lesson: the lesson.
        folder: an empty folder.
        students: what each hands in: the sources of exercises by their ids; a cell that is not named stays as it was
            released.
    """

    def __init__(self, lesson: Lesson, folder: Path, students: dict[str, dict[str, str]]):
        self.lesson, self.folder = lesson, folder
        course.write_course([lesson], folder)
        self._nbgrader("generate_assignment")
        for student, sources in students.items():
            self._hand_in(student, sources)
        self._nbgrader("autograde", "*")
        self._nbgrader("generate_feedback", "*")
        with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
            self.scores = {student: self._scores(gradebook, student) for student in students}

    def notebook(self, step: str, student: str = "") -> nbformat.NotebookNode:
        """Return the notebook as it is after a step of nbgrader, which has a folder for each student, or for all."""
        return nbformat.read(self._path(step, student), as_version=4)

    def feedback(self, student: str) -> str:
        return self._path("feedback", student).with_suffix(".html").read_text(encoding="utf-8")

    def _path(self, step: str, student: str) -> Path:
        return self.folder / step / student / self.lesson.name / f"{self.lesson.name}.ipynb"

    def _hand_in(self, student: str, sources: dict[str, str]) -> None:
        notebook = self.notebook("release")
        for cell in notebook.cells:
            cell.source = sources.get(grade_id(cell), cell.source)
        path = self._path("submitted", student)
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)

    def _nbgrader(self, command: str, *students: str) -> None:
        """Do what `nbgrader COMMAND LESSON` does in the folder, without starting it anew, which takes seconds."""
        config = PyFileConfigLoader("nbgrader_config.py", str(self.folder)).load_config()
        config.CourseDirectory.root = str(self.folder)
        result = getattr(NbGraderAPI(config=config), command)(self.lesson.name, *students)
        assert result["success"], f"nbgrader {command}:\n{result['log']}\n{result.get('error')}"

    def _scores(self, gradebook: Gradebook, student: str) -> dict[str, float | None]:
        """Return the points given automatically, by the grade id; None is left for the teacher to give."""
        (notebook,) = gradebook.find_submission(self.lesson.name, student).notebooks
        return {grade.name: None if grade.needs_manual_grade else grade.auto_score for grade in notebook.grades}


def grade_id(cell: nbformat.NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def errors(cell: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Return the name and the sentence of every error that the cell has printed."""
    return [(output.ename, output.evalue) for output in cell.get("outputs", []) if output.output_type == "error"]


def solved(cell: Cell) -> str:
    """Return the exercise, solved, without the markers."""
    return _without_markers(list(cell.lines))


def regions(cell: Cell) -> list[range]:
    """Return what the exercise leaves to the learner, as indices of its lines."""
    begins = [index for index, line in enumerate(cell.lines) if line.strip() == f"### BEGIN {SOLUTION}"]
    ends = [index for index, line in enumerate(cell.lines) if line.strip() == f"### END {SOLUTION}"]
    return [range(begin + 1, end) for begin, end in zip(begins, ends, strict=True)]


def with_mistake(cell: Cell, region: range, kind: str) -> str:
    """Return the exercise, solved, but in one region nothing is done, or what comes out of it has a wrong factor."""
    lines = list(cell.lines)
    if kind == NOTHING:
        marker = lines[region.start - 1]
        indentation = marker[: len(marker) - len(marker.lstrip())]
        lines[region.start : region.stop] = [f"{indentation}return None"]
    else:
        value = _outcome(ast.parse("\n".join(lines)), region)
        # From the end, so that the first insertion does not shift the second; columns count bytes.
        for line, column, text in (
            (value.end_lineno, value.end_col_offset, ")"),
            (value.lineno, value.col_offset, f"{FACTORS[kind]}("),
        ):
            raw = lines[line - 1].encode()
            lines[line - 1] = (raw[:column] + text.encode() + raw[column:]).decode()
    return _without_markers(lines)


def _outcome(tree: ast.Module, region: range) -> ast.expr:
    """Return the last value that is returned in the region or, where none is, the last one that is assigned."""
    inside = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.Return, ast.Assign, ast.AugAssign))
        and node.value is not None
        and node.lineno - 1 in region
    ]
    last = max(inside, key=lambda node: (isinstance(node, ast.Return), node.lineno))
    match last:
        case ast.Assign(targets=[ast.Tuple()], value=ast.Call(args=[first, *_])):
            return first  # a tuple of arrays comes back: what goes in has the wrong factor
        case ast.Return(value=ast.Tuple(elts=[first, *_])):
            return first
        case ast.Return(value=ast.Dict(values=[*_, final])):
            return final
    return last.value


def _without_markers(lines: list[str]) -> str:
    return "\n".join(line for line in lines if not line.strip().startswith(("### BEGIN", "### END")))
