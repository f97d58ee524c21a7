"""docs/teaching.md: the mistakes in its table are made, the checks say what stands there; its plan fits the lessons."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from lessons import catalogue, course
from lessons.builder import student_lines

TEXT = (Path(__file__).parents[1] / "docs" / "teaching.md").read_text(encoding="utf-8")
LESSONS = {int(lesson.name[:2]): lesson for lesson in catalogue.find_lessons()}
MISTAKE = re.compile(r"^\| (\d+) \| ([\w-]+) \| `(.+?)` \| `(.+?)` \| (.+) \|$", re.MULTILINE)
MISTAKES = MISTAKE.findall(TEXT)


def what_the_check_says(lesson, exercise, right, wrong):
    """The sentence of the check behind an exercise in whose solution `right` was replaced."""
    cells, left_out = lesson.cells, set(course.not_needed(lesson.cells))
    at = next(i for i, cell in enumerate(cells) if cell.role == "exercise" and cell.grade_id == exercise)
    check = next(i for i, cell in enumerate(cells) if i > at and cell.role == "test")
    names = {"__name__": "lesson"}
    for i, cell in enumerate(cells[:check]):
        if cell.kind == "code" and i not in left_out:
            code = "\n".join(cell.lines)
            if i == at:
                before, begin, solution = code.partition("### BEGIN SOLUTION")
                assert right in solution
                code = before + begin + solution.replace(right, wrong)
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(code, lesson.name, "exec"), names)
    with pytest.raises(AssertionError) as caught, contextlib.redirect_stdout(io.StringIO()):
        exec(compile("\n".join(student_lines(cells[check])), lesson.name, "exec"), names)
    return str(caught.value)


def blurred(sentence):
    """Without its numbers, which depend on the processor, and on one line."""
    return " ".join(re.sub(r"-?\d+(\.\d+)?(e[-+]?\d+)?", "#", sentence).split())


@pytest.mark.parametrize(("number", "exercise", "right", "wrong", "says"), MISTAKES)
def test_the_check_says_what_stands_in_the_table(number, exercise, right, wrong, says):
    said = what_the_check_says(LESSONS[int(number)], exercise, right, wrong.strip())
    assert blurred(says) in blurred(said)


def test_every_lesson_has_mistakes_and_a_plan_and_its_minutes():
    assert {int(number) for number, *_ in MISTAKES} == set(LESSONS)
    for number, lesson in LESSONS.items():
        title = lesson.header.title
        assert f"### {number} {title}\n" in TEXT or f"### {number} {title.removesuffix(' by hand')}\n" in TEXT
        row = re.search(rf"^\| {number} [^|]+\| (\d+)", TEXT, re.MULTILINE)
        assert row and int(row[1]) == lesson.header.minutes


def test_the_examples_name_lessons_that_there_are():
    named = re.findall(r"\b\d\d_[a-z_]+", TEXT)
    assert named and set(named) <= {lesson.name for lesson in LESSONS.values()}
