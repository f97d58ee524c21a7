"""From a lesson's source to its two notebooks, and the execution of both, on a small lesson made here."""

import json

import nbformat
import pytest

from lessons import builder, catalogue, execution, percent
from lessons.catalogue import Lesson

SAMPLE = '''\
# %% [markdown]
# # Doubling by hand
#
# - **Minutes:** 5
# - **Needs:** addition
# - **Learn:** double a number, and say
#   why that is right
# - **Data:** none: the numbers α and β
#
# Two times a number, $2 x$, is the number plus itself.

# %%
import math


# %% exercise="double"
def double(x):
    """Return 2 x."""
    if x is None:
        ### BEGIN SOLUTION
        return None
        ### END SOLUTION
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION


# %% test="double-check" points=2
assert double(2) == 4
### BEGIN HIDDEN TESTS
assert double(math.pi) == 2 * math.pi
### END HIDDEN TESTS
print("right")

# %% exercise="square" tags=["later"]
squares = []
### BEGIN SOLUTION
squares.append(double(2) ** 2)
### END SOLUTION

# %% [markdown] answer="why" points=3
# Why?
#
# ### BEGIN SOLUTION
# Because.
# ### END SOLUTION

# %%
assert squares == [16]
'''


@pytest.fixture
def make(tmp_path):
    """Write a lesson's source, and return the lesson."""
    source = tmp_path / "source"
    source.mkdir()

    def make(text, name="01_sample"):
        path = source / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        return Lesson(path)

    return make


@pytest.fixture
def lesson(make):
    return make(SAMPLE)


def student(lesson):
    return nbformat.reads(lesson.notebooks()[lesson.student_path], as_version=4)


def solution(lesson):
    return nbformat.reads(lesson.notebooks()[lesson.solution_path], as_version=4)


# -- the notebooks ---------------------------------------------------------------------------------


def test_the_student_gets_stubs_and_no_hidden_tests(lesson):
    cells = student(lesson).cells
    assert [cell.cell_type for cell in cells] == ["markdown", *["code"] * 4, "markdown", "code"]
    assert cells[2].source == (
        'def double(x):\n    """Return 2 x."""\n    if x is None:\n'
        "        # YOUR CODE HERE\n        raise NotImplementedError()\n"
        "    # YOUR CODE HERE\n    raise NotImplementedError()"
    )
    assert cells[3].source == 'assert double(2) == 4\nprint("right")'
    assert cells[5].source == "Why?\n\nYOUR ANSWER HERE"
    everything = lesson.notebooks()[lesson.student_path]
    for secret in ("SOLUTION", "HIDDEN", "return x + x", "math.pi", "append", "Because"):
        assert secret not in everything


def test_the_solution_notebook_is_the_source_as_nbgrader_expects_it(lesson):
    cells = solution(lesson).cells
    assert cells[3].source.split("\n")[1] == "### BEGIN HIDDEN TESTS"
    assert "    ### BEGIN SOLUTION\n    return x + x\n    ### END SOLUTION" in cells[2].source
    assert cells[0].source.split("\n")[0] == "# Doubling by hand"
    assert cells[0].source.split("\n")[-1] == "Two times a number, $2 x$, is the number plus itself."


def test_nbgrader_metadata(lesson):
    expected = {
        "double": {"grade": False, "solution": True, "locked": False, "cell_type": "code"},
        "double-check": {"grade": True, "solution": False, "locked": True, "points": 2, "cell_type": "code"},
        "square": {"grade": False, "solution": True, "locked": False, "cell_type": "code"},
        "why": {"grade": True, "solution": True, "locked": False, "points": 3, "cell_type": "markdown"},
    }
    for notebook in (student(lesson), solution(lesson)):
        found = [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]
        common = {"schema_version": 3, "task": False}
        assert found == [{"grade_id": name, **common, **values} for name, values in expected.items()]
        assert notebook.cells[4].metadata.tags == ["later"]


def test_slides_show_sections_then_results_and_leave_out_checks_and_helpers(make):
    cells = {
        "[markdown]\n# ## A section": "slide",
        "[markdown]\n# ### A part": "subslide",
        "[markdown]\n# Some words.": "-",
        "[markdown]\n# **Predict, then run.** What will it print?": "fragment",
        "\nprint(1)": "fragment",
        "\nimport math\n\n\ndef helper():\n    return math.pi": "skip",
        'exercise="e"\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION': "-",
        'test="t" points=1\nassert x == 1': "skip",
    }
    text = SAMPLE.partition("\n# %%\n")[0]
    lesson = make("\n\n".join([text, *(f"# %% {cell}".replace("%% \n", "%%\n") for cell in cells)]) + "\n")
    for notebook in (student(lesson), solution(lesson)):
        kinds = [cell.metadata.slideshow.slide_type for cell in notebook.cells]
        assert kinds[0] == "slide" and kinds[-len(cells) :] == list(cells.values())


def test_the_notebooks_are_valid_stripped_and_as_jupyter_writes_them(lesson):
    for text in lesson.notebooks().values():
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        assert nbformat.writes(notebook) + "\n" == text
        assert "α and β" in text
        for cell in notebook.cells:
            if cell.cell_type == "code":
                assert cell.outputs == []
                assert cell.execution_count is None


def test_the_same_source_gives_the_same_bytes(lesson, make):
    assert set(lesson.build()) == {lesson.student_path, lesson.solution_path}
    before = lesson.student_path.read_bytes(), lesson.solution_path.read_bytes()
    assert b"\r" not in before[0]
    # As Git may check it out on Windows:
    lesson.source.write_text(SAMPLE, encoding="utf-8", newline="\r\n")
    again = Lesson(lesson.source)
    assert again.build() == []
    lesson.student_path.write_text("worked in")
    assert again.build() == [lesson.student_path]
    assert (lesson.student_path.read_bytes(), lesson.solution_path.read_bytes()) == before


def test_cell_ids_are_unique_stable_and_the_lessons_own(lesson, make):
    ids = [cell.id for cell in student(lesson).cells]
    assert len(set(ids)) == len(ids)
    assert ids == [cell.id for cell in solution(lesson).cells]
    assert ids == [cell.id for cell in student(make(SAMPLE.replace("right", "correct"))).cells]
    assert not set(ids) & {cell.id for cell in student(make(SAMPLE, "02_other")).cells}


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "file"
    builder.write_text(path, "old\n")

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(builder.os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        builder.write_text(path, "new\n")
    assert [file.name for file in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == b"old\n"


def test_a_header_as_jupytext_writes_it_is_passed_over(make):
    assert student(make("# ---\n# jupyter: {}\n# ---\n\n" + SAMPLE)).cells == student(make(SAMPLE)).cells


# -- mistakes in a source --------------------------------------------------------------------------

TOP = SAMPLE[: SAMPLE.index("# %%\n")]  # the header: lines 1 to 11, so what follows starts in line 12
EXERCISE = '# %% exercise="a"\n'
MISTAKES = {
    "unclosed": (
        EXERCISE + "### BEGIN SOLUTION\nx = 1\n",
        13,
        "BEGIN SOLUTION is never closed by END SOLUTION",
    ),
    "unopened": (
        EXERCISE + "x = 1\n### END SOLUTION\n",
        14,
        "END SOLUTION without a BEGIN SOLUTION before it",
    ),
    "nested": (
        EXERCISE + "### BEGIN SOLUTION\nx = 1\n### BEGIN SOLUTION\n",
        15,
        "BEGIN SOLUTION inside of SOLUTION, opened in line 13",
    ),
    "nothing inside": (EXERCISE + "### BEGIN SOLUTION\n### END SOLUTION\n", 14, "nothing stands between"),
    "crossed": (
        EXERCISE + "### BEGIN SOLUTION\nx = 1\n### END HIDDEN TESTS\n",
        15,
        "END HIDDEN TESTS without",
    ),
    "no solution": (EXERCISE + "x = 1\n", 12, "the cell 'a' has no ### BEGIN SOLUTION"),
    "solution elsewhere": (
        "# %%\n\nx = 1\n### BEGIN SOLUTION\nx = 2\n### END SOLUTION\n",
        15,
        "SOLUTION stands in a cell that is not exercise or answer",
    ),
    "hidden tests elsewhere": (
        EXERCISE + "### BEGIN HIDDEN TESTS\nx = 2\n### END HIDDEN TESTS\n",
        13,
        "HIDDEN TESTS stands in a cell that is not test",
    ),
    "misspelt marker": (EXERCISE + "## begin solution\nx = 2\n", 13, "as `### BEGIN SOLUTION`"),
    "marker behind code": (EXERCISE + "x = 2  ### BEGIN SOLUTION\n", 13, "a marker stands alone in its line"),
    "all hidden": (
        '# %% test="t" points=1\n### BEGIN HIDDEN TESTS\nassert 1\n### END HIDDEN TESTS\n',
        12,
        "of the cell 't' nothing is left for the learner",
    ),
    "same id twice": (
        EXERCISE + '### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n# %% test="a" points=1\nassert 1\n',
        16,
        "the id 'a' is already used in line 12",
    ),
    "tab": ("# %%\nif 1:\n\tx = 1\n", 14, "there is a tab"),
    "unknown option": (
        "# %% excercise=1\nx = 1\n",
        12,
        "unknown option 'excercise'; known are exercise, test",
    ),
    "not an option": ("# %% [raw]\nx = 1\n", 12, "cannot read '[raw]'"),
    "not JSON": ("# %% exercise='a'\nx = 1\n", 12, "the value of 'exercise' is not JSON"),
    "no value": ("# %% exercise=\nx = 1\n", 12, "the value of 'exercise' is not JSON"),
    "option twice": ('# %% tags=["a"] tags=["b"]\nx = 1\n', 12, "'tags' is given twice"),
    "bad id": ('# %% exercise="a b"\nx = 1\n', 12, "the id of 'exercise' takes letters"),
    "bad tags": ('# %% tags="a"\nx = 1\n', 12, "'tags' is a list of texts"),
    "two roles": ('# %% exercise="a" test="b" points=1\nx = 1\n', 12, "but this is exercise and test"),
    "no points": ('# %% test="a"\nassert 1\n', 12, "need points=n"),
    "points too many": (EXERCISE.strip() + " points=1\nx = 1\n", 12, "nothing else takes it"),
    "negative points": ('# %% test="a" points=-1\nassert 1\n', 12, "'points' is a whole number, 0 or more"),
    "true points": ('# %% test="a" points=true\nassert 1\n', 12, "'points' is a whole number, 0 or more"),
    "exercise in markdown": ('# %% [markdown] exercise="a"\n# x\n', 12, "'exercise' belongs to a code cell"),
    "answer in code": ('# %% answer="a" points=1\nx = 1\n', 12, "'answer' belongs to a markdown cell"),
    "code in markdown": (
        "# %% [markdown]\n# text\nx = 1\n",
        14,
        "each line of a markdown cell starts with `# `",
    ),
    "empty cell": ("# %%\n\n# %%\nx = 1\n", 12, "this cell is empty"),
    "cramped cell line": ("#%%\nx = 1\n", 12, "a cell starts with `# %%` and a space"),
    "no Python": ("# %%\nx = 1\nx = = 2\n", 14, "not valid Python: invalid syntax"),
    "no Python for the student": (
        EXERCISE + "x = [\n### BEGIN SOLUTION\n1]\n### END SOLUTION\n",
        12,
        "without its solutions and hidden tests this cell is not valid Python",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gives_one_sentence_with_file_and_line(make, mistake):
    text, line, sentence = MISTAKES[mistake]
    lesson = make(TOP + text)
    with pytest.raises(percent.SourceError) as caught:
        lesson.build()
    assert str(caught.value).startswith(f"01_sample.py:{line}: ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not lesson.student_path.exists()
    assert not lesson.solution_path.exists()


def test_a_source_without_cells_or_with_code_before_them(make):
    with pytest.raises(percent.SourceError, match=r"01_sample\.py:1: there is no cell"):
        make("x = 1\n").build()
    with pytest.raises(percent.SourceError, match=r"01_sample\.py:2: only comments may stand before"):
        make("\nimport math\n" + SAMPLE).build()


# -- the header ------------------------------------------------------------------------------------


def test_the_header_is_read(lesson):
    assert lesson.header == catalogue.Header(
        title="Doubling by hand",
        minutes=5,
        needs="addition",
        learn="double a number, and say why that is right",
        data="none: the numbers α and β",
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "sentence"),
    [
        ("# # Doubling", "# Doubling", 1, "whose first line is the title"),
        (
            "# %% [markdown]\n# # Doubling by hand\n#\n",
            "# %%\nx = 1\n# %%\n",
            1,
            "starts with a markdown cell",
        ),
        (
            "# - **Needs:** addition\n",
            "",
            1,
            "the header has no Needs; write it as a line `# - **Needs:** ...`",
        ),
        ("**Needs:** addition", "**Needs:**", 1, "the header has no Needs"),
        ("**Data:**", "**Dataset:**", 8, "'Dataset' is not one of Minutes, Needs, Learn, Data"),
        ("**Data:**", "**Needs:**", 8, "'Needs' is given twice"),
        ("**Minutes:** 5", "**Minutes:** five", 1, "Minutes is a whole number, not 'five'"),
        ("**Minutes:** 5", "**Minutes:** 0", 1, "Minutes is a whole number, not '0'"),
    ],
)
def test_an_incomplete_header_gives_one_sentence_and_no_notebook(make, old, new, line, sentence):
    assert SAMPLE.count(old) == 1
    lesson = make(SAMPLE.replace(old, new))
    with pytest.raises(percent.SourceError) as caught:
        lesson.build()
    assert str(caught.value).startswith(f"01_sample.py:{line}: ")
    assert sentence in str(caught.value)
    assert not lesson.student_path.exists()


def test_lessons_are_found_in_order_and_have_regular_names(make, tmp_path):
    for name in ("10_last", "02_second", "01_first"):
        make(SAMPLE, name)
    assert [lesson.name for lesson in catalogue.find_lessons(tmp_path)] == [
        "01_first",
        "02_second",
        "10_last",
    ]
    make(SAMPLE, "notes")
    with pytest.raises(percent.SourceError, match=r"notes\.py:1: a lesson is named like"):
        catalogue.find_lessons(tmp_path)


# -- execution -------------------------------------------------------------------------------------


def test_headless_gives_a_table_a_page_and_exit_code_0(lesson, tmp_path, capsys):
    assert execution.main([], tmp_path) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    head, row, _ = printed.out.split("\n", 2)
    assert head.split() == ["lesson", "seconds", "result"]
    assert row.split()[0::2] == ["01_sample", "ok"]
    assert float(row.split()[1]) > 0
    page = (tmp_path / "build" / "01_sample.html").read_text(encoding="utf-8")
    assert "<title>Doubling by hand</title>" in page
    assert "right" in page
    assert "<math" in page and "$2 x$" not in page  # a page needs no network to show its formulas
    assert "SOLUTION" not in page and "Because." in page


def test_headless_shows_the_error_of_a_failing_cell_and_goes_on(lesson, make, tmp_path, capsys):
    make(SAMPLE.replace("squares == [16]", "squares == [17]"), "00_wrong")
    make(TOP, "02_broken").source.write_text("x = 1\n", encoding="utf-8")
    assert execution.main([], tmp_path) == 1
    printed = capsys.readouterr()
    results = [line.split()[0::2] for line in printed.out.splitlines()[1:4]]
    assert results == [["00_wrong", "FAILED"], ["01_sample", "ok"], ["02_broken", "FAILED"]]
    assert "assert squares == [17]" in printed.err
    assert "AssertionError" in printed.err
    assert "\x1b" not in printed.err
    assert "02_broken failed:\n02_broken.py:1: there is no cell" in printed.err
    assert (tmp_path / "build" / "00_wrong.html").is_file()


def test_headless_runs_the_named_lessons_and_none_is_an_error(make, tmp_path, capsys):
    assert execution.main([], tmp_path) == 1
    make(TOP + "# %%\nx = 1\n")
    make(TOP + "# %%\nraise ValueError\n", "02_wrong")
    assert execution.main(["sample"], tmp_path) == 0
    assert "02_wrong" not in capsys.readouterr().out
    with pytest.raises(catalogue.NoSuchLesson):
        execution.main(["nothing"], tmp_path)


def test_a_dead_kernel_is_a_failure(make):
    outcome = execution.run_solution(make(TOP + "# %%\nimport os\n\nos._exit(1)\n"))
    assert outcome.error.startswith("DeadKernelError")


def test_a_sound_lesson_can_be_worked_through(lesson):
    assert execution.walk_as_learner(lesson) == ""


def test_the_walk_can_leave_out_what_no_exercise_and_no_check_needs(make):
    lesson = make(changed('print("right")\n', 'print("right")\n\n# %%\nexperiment = 1 / 0\n'))
    assert execution.walk_as_learner(lesson, experiments=False) == ""
    assert "ZeroDivisionError" in execution.walk_as_learner(lesson)


def changed(old, new, text=SAMPLE):
    assert text.count(old) == 1
    return text.replace(old, new)


SQUARE = "squares.append(double(2) ** 2)"
NOT_RUN = '# %% exercise="a"\nif False:\n    ### BEGIN SOLUTION\n    x = 1\n    ### END SOLUTION\n'


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (
            changed("assert double(2) == 4", "", changed(SQUARE, "squares = [16]")),
            35,
            "this cell stops, but not in the first unsolved exercise, 'double'",
        ),
        (changed("import math\n", "import math\n\n1 / 0\n"), 12, "fails with ZeroDivisionError"),
        (
            changed("squares = []\n", "squares = [nonsense]\n"),
            35,
            "unsolved this cell fails with NameError",
        ),
        (changed(SQUARE, "raise KeyError"), 35, "solved, 'square' fails with KeyError"),
        (changed("squares == [16]", "squares == [17]"), 48, "with all solved this cell fails"),
        (TOP + NOT_RUN, 12, "nothing stops the learner who leaves out the exercise 'a'"),
    ],
    ids=["another exercise", "unrelated", "before the stub", "wrong solution", "wrong end", "never reached"],
)
def test_a_lesson_that_stops_anywhere_else_is_found(make, text, line, sentence):
    complaint = execution.walk_as_learner(make(text))
    assert complaint.startswith(f"01_sample.py:{line}: ")
    assert sentence in complaint


def test_the_notebooks_are_plain_json(lesson):
    for text in lesson.notebooks().values():
        assert json.loads(text)["nbformat"] == 4
