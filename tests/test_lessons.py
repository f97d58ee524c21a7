"""Every lesson in lessons/source: its notebooks are up to date, and it can be worked through."""

import subprocess
import sys

import nbformat
import pytest

from lessons import catalogue, execution

SOURCES = sorted((catalogue.FOLDER / "source").glob("*.py"))
each_lesson = pytest.mark.parametrize(
    "lesson", [catalogue.Lesson(source) for source in SOURCES], ids=[source.stem for source in SOURCES]
)


def test_there_are_lessons_and_each_has_a_regular_name():
    assert [lesson.source for lesson in catalogue.find_lessons()] == SOURCES
    assert SOURCES


def test_every_notebook_belongs_to_a_lesson():
    wanted = {path for source in SOURCES for path in catalogue.Lesson(source).notebooks()}
    found = {path for folder in ("", "solutions") for path in (catalogue.FOLDER / folder).glob("*.ipynb")}
    assert found == wanted


@each_lesson
def test_the_header_is_complete(lesson):
    header = lesson.header
    assert header.title
    assert 0 < header.minutes <= 240
    assert all((header.needs, header.learn, header.data))


@each_lesson
def test_the_committed_notebooks_are_those_of_the_source(lesson):
    for path, text in lesson.notebooks().items():
        assert path.read_bytes() == text.encode(), f"{path.name} is out of date: run `python lessons --build`"


@each_lesson
def test_the_committed_notebooks_are_valid_and_without_outputs(lesson):
    for path in lesson.notebooks():
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        for cell in notebook.cells:
            assert cell.get("outputs", []) == []
            assert cell.get("execution_count") is None


@each_lesson
def test_there_is_something_to_do_and_every_exercise_is_tested(lesson):
    roles = [cell.role for cell in lesson.cells if cell.role in ("exercise", "test")]
    assert "exercise" in roles
    assert roles[-1] == "test"


@pytest.mark.slow  # what `python lessons --headless` does; the walk below runs all that exercises and checks need
@each_lesson
def test_the_solution_runs(lesson):
    assert execution.run_solution(lesson).error == ""


@each_lesson
def test_the_student_version_stops_only_at_unsolved_exercises(lesson):
    assert execution.walk_as_learner(lesson, experiments=False) == ""


@pytest.mark.parametrize("check", [["check"], ["format", "--check"]], ids=["lint", "format"])
def test_ruff_passes_on_the_sources(check):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *check, "--no-cache", str(catalogue.FOLDER / "source")],
        cwd=catalogue.FOLDER.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
