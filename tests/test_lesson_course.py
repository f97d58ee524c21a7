"""The folder for nbgrader: which cells it skips, and that it replaces nothing that is not its own."""

import nbformat
import pytest

from lessons import catalogue, course
from lessons.catalogue import Lesson
from lessons.launcher import main

SOURCE = """\
# %% [markdown]
# # Which cells a check needs
#
# - **Minutes:** 1
# - **Needs:** nothing
# - **Learn:** nothing
# - **Data:** none

# %%
import math

a, seed = 2, 3

# %%
print(math.pi)  # an experiment: nothing depends on it

# %%
a = 5  # made again, and what the check uses is this


# %%
def helper():
    return a + b


# %%
b = 7  # only the helper uses it, when the check calls it

# %% exercise="double"
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %% test="double-check" points=1
assert double(helper()) == 24

# %%
a = seed = b = 0  # later, and an experiment too
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "01_sample.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


def test_what_a_check_does_not_need_is_not_needed(folder):
    assert course.not_needed(Lesson(folder / "source" / "01_sample.py").cells) == [1, 2, 8]


def test_the_course_has_the_solutions_with_those_cells_tagged(folder, tmp_path, capsys):
    assert main(["--course", str(tmp_path / "course")], folder) == 0
    assert "nbgrader generate_assignment 01_sample" in capsys.readouterr().out
    notebook = nbformat.read(tmp_path / "course" / "source" / "01_sample" / "01_sample.ipynb", as_version=4)
    nbformat.validate(notebook)
    tagged = [i for i, cell in enumerate(notebook.cells) if course.SKIP in cell.metadata.get("tags", [])]
    assert tagged == [1, 2, 8]
    solution = nbformat.reads(
        Lesson(folder / "source" / "01_sample.py").notebooks()[folder / "solutions" / "01_sample.ipynb"], 4
    )
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in solution.cells]
    assert main(["--course", str(tmp_path / "course")], folder) == 0  # again, over its own


def test_a_course_of_somebody_else_is_left_alone(folder, tmp_path, capsys):
    config = tmp_path / "course" / "nbgrader_config.py"
    config.parent.mkdir()
    config.write_text("c = get_config()\n")
    assert main(["--course", str(config.parent)], folder) == 2
    assert capsys.readouterr().err == f"{config} is there already, and is not one that was written here.\n"
    assert [path.name for path in config.parent.iterdir()] == ["nbgrader_config.py"]


@pytest.mark.parametrize("lesson", catalogue.find_lessons(), ids=lambda lesson: lesson.name)
def test_every_lesson_has_experiments_that_grading_can_leave_out(lesson):
    skipped = course.not_needed(lesson.cells)
    assert skipped and not any(lesson.cells[index].role for index in skipped)
