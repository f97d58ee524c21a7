"""`python lessons` and `python tests`: the environment they make, and what their arguments mean."""

import ast
import importlib.util
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from lessons import environment, launcher, python_version
from lessons.environment import Environment, SetupError

ROOT = Path(__file__).resolve().parents[1]
VERSION = "{}.{}".format(*sys.version_info[:2])
PROJECT = '[project]\nname = "sample"\ndependencies = ["numpy"]\n'


class FakeRunner:
    """Stands for the programs that set-up starts: makes the folders they would, and records the commands."""

    def __init__(self, root, version=VERSION):
        self.environment_folder = root / ".venv"
        self.version = version
        self.commands = []
        self.fail_install = None  # an output: the install ends with code 1; an exception: it is raised

    def __call__(self, command):
        command = [str(word) for word in command]
        if "-c" in command:  # the question which Python this is
            return (0, self.version + "\n") if Path(command[0]).is_file() else (127, "no such file")
        self.commands.append(command)
        if "install" in command:
            if isinstance(self.fail_install, BaseException):
                raise self.fail_install
            return (0, "ok") if self.fail_install is None else (1, self.fail_install)
        python = Environment(self.environment_folder.parent).python
        python.parent.mkdir(parents=True)
        python.touch()
        self.version = VERSION
        return 0, ""

    def take(self):
        """Return "make" / "install[extras]" for what was run since the last call."""
        steps = []
        for command in self.commands:
            found = re.search(r"\[(.*)\]$", command[-1])
            steps.append(f"install[{found[1]}]" if "install" in command else "make")
        self.commands.clear()
        return steps


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    return tmp_path


@pytest.fixture
def runner(root):
    return FakeRunner(root)


@pytest.fixture
def said():
    return []


@pytest.fixture
def provide(root, runner, said):
    def provide(*extras, which=lambda name: None):
        return Environment(root, run=runner, which=which, say=said.append).provide(extras)

    return provide


# -- what is installed when ------------------------------------------------------------------------


def test_first_run_makes_and_installs_and_second_run_starts_nothing(provide, runner, root):
    python = provide("lessons")
    assert python.is_relative_to(root / ".venv")
    assert [command[1:3] for command in runner.commands] == [["-m", "venv"], ["-m", "pip"]]
    assert runner.take() == ["make", "install[lessons]"]
    provide("lessons")
    assert runner.commands == []


def test_only_what_an_installation_depends_on_reinstalls(provide, runner, root):
    provide("lessons")
    runner.take()
    (root / "pyproject.toml").write_text(PROJECT + "[tool.ruff]\nline-length = 90\n")
    provide("lessons")
    assert runner.take() == []
    (root / "pyproject.toml").write_text(PROJECT.replace('"numpy"', '"numpy", "more"'))
    provide("lessons")
    assert runner.take() == ["install[lessons]"]


def test_extras_add_up(provide, runner):
    provide("lessons")
    provide("test")
    assert runner.take() == ["make", "install[lessons]", "install[lessons,test]"]
    provide("lessons")
    provide("test", "lessons")
    assert runner.take() == []


def test_an_environment_made_by_hand_is_kept_and_installed_into(provide, runner, root):
    python = Environment(root).python
    python.parent.mkdir(parents=True)
    python.touch()
    provide("lessons")
    assert runner.take() == ["install[lessons]"]


@pytest.mark.parametrize("lost", ["python", "everything"])
def test_a_broken_environment_is_made_again(provide, runner, root, lost):
    provide("lessons")
    runner.take()
    if lost == "python":
        Environment(root).python.unlink()
        left_over = root / ".venv" / "left over"
        left_over.touch()
    else:
        shutil.rmtree(root / ".venv")
    provide("lessons")
    assert runner.take() == ["make", "install[lessons]"]
    assert not (root / ".venv" / "left over").exists()


@pytest.mark.parametrize("record", ["not JSON", "[]", "{}"])
def test_a_spoilt_record_installs_again(provide, runner, root, record):
    provide("lessons")
    runner.take()
    Environment(root).record.write_text(record)
    provide("lessons")
    assert runner.take() == ["install[lessons]"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit()])
def test_an_interrupted_installation_is_made_again(provide, runner, said, interruption):
    runner.fail_install = interruption
    with pytest.raises(type(interruption)):
        provide("lessons")
    runner.take()
    runner.fail_install = None
    provide("lessons")
    assert runner.take() == ["make", "install[lessons]"]
    assert "interrupted" in said[-2]
    provide("lessons")
    assert runner.take() == []


def test_another_python_makes_it_again(provide, runner, root, said):
    provide("lessons")
    runner.take()
    record = Environment(root).record
    record.write_text(record.read_text().replace(f'"{VERSION}"', '"3.1"'))
    runner.version = "3.1"
    provide("lessons")
    assert runner.take() == ["make", "install[lessons]"]
    assert f"it has Python 3.1, and this is Python {VERSION}" in said[-2]


def test_a_copied_repository_gets_its_own_environment(provide, runner, root, tmp_path_factory, said):
    provide("lessons")
    copy = tmp_path_factory.mktemp("copy") / "repository"
    shutil.copytree(root, copy)
    runner = FakeRunner(copy)
    Environment(copy, run=runner, which=lambda name: None, say=said.append).provide(["lessons"])
    assert runner.take() == ["make", "install[lessons]"]
    assert f"it was made in {root / '.venv'}" in said[-2]


def test_uv_is_used_where_it_is_on_the_path(provide, runner, root, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # uv needs neither venv nor ensurepip
    python = provide("lessons", which={"uv": "/somewhere/uv"}.get)
    make, install = runner.commands
    assert make[:2] == ["/somewhere/uv", "venv"]
    assert make[-1] == str(root / ".venv")
    assert install[:5] == ["/somewhere/uv", "pip", "install", "--python", str(python)]
    assert install[-1] == f"{root}[lessons]"


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_failed_install_shows_its_last_lines_and_changes_nothing(provide, runner, root):
    provide("lessons")
    runner.take()
    runner.fail_install = "Collecting sample\n" + "\n".join(f"line {n}" for n in range(40)) + "\nERROR: no network\n\n"
    with pytest.raises(SetupError) as caught:
        provide("test")
    text = str(caught.value)
    assert text.startswith("Could not install the packages: ")
    assert text.endswith("    ERROR: no network")
    assert "line 39" in text
    assert "line 20" not in text
    assert "line 20" in (root / ".venv" / "install.log").read_text()
    assert runner.take() == ["install[lessons,test]"]
    provide("lessons")  # offline, what worked before still works
    assert runner.take() == []


def test_a_first_install_that_failed_is_tried_again(provide, runner):
    runner.fail_install = "ERROR: no network"
    with pytest.raises(SetupError):
        provide("lessons")
    runner.take()
    runner.fail_install = None
    provide("lessons")
    assert runner.take() == ["install[lessons]"]


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_venv_tells_what_to_install(provide, runner, monkeypatch, missing):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(SetupError, match=f"sudo apt install python{VERSION}-venv") as caught:
        provide("lessons")
    assert "\n" not in str(caught.value)
    assert runner.take() == []


def test_a_folder_that_cannot_be_removed_is_explained(provide, runner, root, monkeypatch):
    provide("lessons")
    runner.take()
    Environment(root).python.unlink()

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(SetupError, match=r"Cannot remove the old .*Permission denied.*close every program"):
        provide("lessons")
    assert runner.take() == []


def test_two_at_once_install_once(root, runner, said):
    installing, go_on = threading.Event(), threading.Event()

    def slow_run(command):
        if "install" in command:
            installing.set()
            assert go_on.wait(30)
        return runner(command)

    def provide():
        Environment(root, run=slow_run, which=lambda name: None, say=said.append).provide(["lessons"])

    first = threading.Thread(target=provide)
    second = threading.Thread(target=provide)
    first.start()
    assert installing.wait(30)
    second.start()
    while not any("waiting for it to finish" in sentence for sentence in said):
        time.sleep(0.01)
    go_on.set()
    first.join(30)
    second.join(30)
    assert runner.take() == ["make", "install[lessons]"]


def test_set_up_errors_end_as_one_sentence_and_exit_code_1(monkeypatch, capsys):
    def refuse(self, extras):
        raise SetupError("The reason.")

    monkeypatch.setattr(Environment, "provide", refuse)
    assert environment.run_in_environment(["lessons"], ["-c", "pass"]) == 1
    assert capsys.readouterr().err == "The reason.\n"


# -- children --------------------------------------------------------------------------------------


def test_a_command_that_set_up_starts_gives_code_and_output(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, printed = environment.run_quietly(
        [sys.executable, "-c", "import os, sys; print(os.environ.get('PYTHONPATH')); sys.exit('no')"]
    )
    assert (code, printed.split()) == (1, ["None", "no"])
    code, printed = environment.run_quietly([str(tmp_path / "nothing here")])
    assert code == 127
    assert printed


def test_the_child_runs_in_the_environment_and_gives_its_exit_code(monkeypatch, capfd):
    monkeypatch.setattr(Environment, "provide", lambda self, extras: Path(sys.executable))
    program = "import os, sys; print(os.environ['VIRTUAL_ENV'], os.getcwd(), sys.argv[1:]); sys.exit(7)"
    assert environment.run_in_environment([], ["-c", program, "-k", "a b"]) == 7
    assert capfd.readouterr().out.split("\n")[0] == f"{ROOT / '.venv'} {ROOT} ['-k', 'a b']"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals of this kind")
def test_a_child_ended_by_a_signal_gives_128_and_the_signal(tmp_path):
    program = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    code = environment.run_child([sys.executable, "-c", program], tmp_path, dict(os.environ))
    assert code == 128 + signal.SIGTERM


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
def test_ctrl_c_is_left_to_the_child(tmp_path):
    child = textwrap.dedent("""
        import signal, sys, time
        signal.signal(signal.SIGINT, lambda *_: sys.exit(5))
        print("ready", flush=True)
        time.sleep(30)
    """)
    parent = textwrap.dedent(f"""
        import os, sys
        from pathlib import Path
        from lessons.environment import run_child
        sys.exit(run_child([sys.executable, "-c", {child!r}], Path({str(tmp_path)!r}), dict(os.environ)))
    """)
    with subprocess.Popen(
        [sys.executable, "-c", parent],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the parent and the child
        assert process.wait(30) == 5
        assert process.stderr.read() == ""


# -- old Pythons -----------------------------------------------------------------------------------

BEFORE_THE_CHECK = [
    "lessons/__main__.py",
    "tests/__main__.py",
    "docs/__main__.py",
    "lessons/__init__.py",
    "lessons/python_version.py",
]


@pytest.mark.parametrize("path", BEFORE_THE_CHECK)
def test_what_runs_before_the_version_check_parses_on_old_pythons(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"), feature_version=(3, 6))
    # Python 2 would stop at these before it could say anything.
    modern = (ast.JoinedStr, ast.AnnAssign, ast.AsyncFunctionDef, ast.Nonlocal)
    assert not [node for node in ast.walk(tree) if isinstance(node, modern)]


@pytest.mark.parametrize("folder", ["lessons", "tests", "docs"])
def test_an_old_python_is_told_so(folder):
    program = (
        "import runpy, sys; sys.version_info = (3, 8, 18, 'final', 0);"
        f"sys.argv = [{folder!r}]; runpy.run_path({folder!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(
        r"minidni needs Python 3\.11 or newer, but this is Python 3\.8 \(.*\)\. .*python3\.11 \w+\n",
        done.stderr,
    )


def test_a_new_python_is_not():
    assert python_version.complaint((3, 11, 0, "final", 0), "python") is None
    assert python_version.complaint((4, 0), "python") is None
    assert "Python 3.10 (/old)" in python_version.complaint((3, 10, 9, "final", 0), "/old")
    needed = re.search(r'requires-python = ">=(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert (int(needed[1]), int(needed[2])) == python_version.NEEDED


# -- arguments of `python tests` -------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["-q", "-x"], ["-k", "uv"], ["tests/test_launchers.py", "--cov"]])
def test_all_arguments_are_pytests(arguments):
    pytest_command = runpy.run_path(str(ROOT / "tests" / "__main__.py"))["pytest_command"]
    assert pytest_command(arguments) == ["-m", "pytest", *arguments]


# -- arguments of `python lessons` -----------------------------------------------------------------

LESSON = """\
# %% [markdown]
# # {title}
#
# - **Minutes:** {minutes}
# - **Needs:** nothing
# - **Learn:** to count
# - **Data:** none

# %%
print(1)
"""


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name, title, minutes in [
        ("01_layer", "A layer", 60),
        ("02_loss", "A loss", 45),
        ("03_loss_again", "More", 5),
    ]:
        (source / f"{name}.py").write_text(LESSON.format(title=title, minutes=minutes))
    return tmp_path


@pytest.fixture
def started():
    return []


@pytest.fixture
def lessons_main(folder, started):
    def run_in_environment(extras, arguments, where=None):
        started.append((list(extras), list(arguments), where))
        return 23

    return lambda *arguments: launcher.main(arguments, folder, run_in_environment)


def test_list_tells_name_title_minutes_and_needs_without_an_environment(lessons_main, started, capsys):
    assert lessons_main("--list") == 0
    printed = capsys.readouterr().out
    assert "01_layer\n    A layer (60 minutes)\n    needs: nothing\n" in printed
    assert "02_loss\n    A loss (45 minutes)" in printed
    assert started == []


def test_without_a_name_jupyter_opens_the_folder(lessons_main, started, folder):
    assert lessons_main() == 23
    assert started == [(["lessons"], ["-m", "jupyterlab"], folder)]
    assert (folder / "01_layer.ipynb").is_file()


@pytest.mark.parametrize("name", ["01_layer", "01", "lay", "layer", "01_layer.ipynb", "lessons/01_layer.ipynb"])
def test_a_name_opens_its_notebook(lessons_main, started, folder, name):
    assert lessons_main(name, "--", "--no-browser") == 23
    assert started == [(["lessons"], ["-m", "jupyterlab", "01_layer.ipynb", "--no-browser"], folder)]


def test_an_exact_name_is_not_ambiguous(lessons_main, started):
    assert lessons_main("02_loss") == 23
    assert "02_loss.ipynb" in started[0][1]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothing", "There is no lesson 'nothing'; there are: 01_layer, 02_loss, 03_loss_again.\n"),
        ("", "There is no lesson ''; there are: 01_layer, 02_loss, 03_loss_again.\n"),
        ("los", "'los' could be any of 02_loss, 03_loss_again: write more of the name.\n"),
        ("0", "'0' could be any of 01_layer, 02_loss, 03_loss_again: write more of the name.\n"),
    ],
)
def test_a_name_that_fits_none_or_several_is_explained(lessons_main, started, capsys, name, sentence):
    assert lessons_main(name) == 2
    assert capsys.readouterr().err == sentence
    assert lessons_main("--headless", name) == 2
    assert started == []


def test_headless_executes_in_the_environment(lessons_main, started):
    assert lessons_main("--headless") == 23
    assert lessons_main("--headless", "lay") == 23
    everything = ["-m", "lessons.execution", "01_layer", "02_loss", "03_loss_again"]
    assert [arguments for _, arguments, _ in started] == [everything, everything[:3]]


def test_build_writes_the_notebooks_once(lessons_main, started, folder, capsys):
    assert lessons_main("--build") == 0
    assert (folder / "solutions" / "02_loss.ipynb").is_file()
    assert capsys.readouterr().out.count("wrote") == 6
    assert lessons_main("--build") == 0
    assert capsys.readouterr().out == "3 lessons up to date\n"
    assert started == []


def test_a_lesson_that_the_learner_has_worked_in_is_left_alone(lessons_main, folder):
    (folder / "01_layer.ipynb").write_text("my work")
    assert lessons_main("01") == 23
    assert (folder / "01_layer.ipynb").read_text() == "my work"


def test_no_lessons_is_an_error(tmp_path, capsys):
    assert launcher.main(["--list"], tmp_path) == 2
    assert capsys.readouterr().err == f"There is no lesson in {tmp_path / 'source'}.\n"


def test_a_malformed_lesson_is_explained(lessons_main, folder, capsys):
    (folder / "source" / "02_loss.py").write_text("# %% [markdown]\n# # Title\n")
    assert lessons_main("--list") == 2
    assert capsys.readouterr().err.startswith("02_loss.py:1: the header has no Minutes, Needs, Learn, Data")


@pytest.mark.parametrize("arguments", [("--list", "--build"), ("--nonsense",)])
def test_arguments_that_make_no_sense_are_refused(lessons_main, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        lessons_main(*arguments)
    assert caught.value.code == 2
    assert "usage: python lessons" in capsys.readouterr().err


def test_the_commands_start_from_any_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "lessons"), "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "usage: python lessons" in done.stdout
    assert done.stderr == ""
