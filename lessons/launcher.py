"""The command line of `python lessons`: what needs no environment is done here, the rest in `.venv`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lessons import catalogue, course
from lessons.environment import run_in_environment
from lessons.percent import SourceError

EXTRAS = ("lessons",)


def main(arguments: Sequence[str], folder: Path = catalogue.FOLDER, run_in_environment=run_in_environment) -> int:
    """Do what `arguments` ask for, and return the exit code. The tests replace `run_in_environment`."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a lesson's title may hold what a Windows console cannot show
    own, for_jupyter = _split(list(arguments))
    options = _parser().parse_args(own)
    try:
        lessons = catalogue.find_lessons(folder)
        if not lessons:
            raise catalogue.NoSuchLesson(f"There is no lesson in {folder / 'source'}.")
        chosen = [catalogue.choose(lessons, name) for name in options.names] or lessons
        if options.list:
            return list_lessons(chosen)
        if options.course:
            return make_course(chosen, Path(options.course))
        if options.build:
            return build_lessons(chosen)
        if options.headless:
            names = [lesson.name for lesson in chosen]
            return run_in_environment(EXTRAS, ["-m", "lessons.execution", *names])
        if len(options.names) > 1:
            raise catalogue.NoSuchLesson("Name one lesson to open, or none to see all of them.")
        for lesson in chosen:
            if not lesson.student_path.is_file():
                lesson.build()
    except (SourceError, catalogue.NoSuchLesson, course.NotOurs) as error:
        print(error, file=sys.stderr)
        return 2
    to_open = [chosen[0].student_path.name] if options.names else []
    return run_in_environment(EXTRAS, ["-m", "jupyterlab", *to_open, *for_jupyter], folder)


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Cut at `--`: before it, our own arguments; behind it, JupyterLab's."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:cut], arguments[cut + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python lessons",
        description="Set up a private environment (.venv), and open the lessons in JupyterLab.",
        epilog="What stands behind -- is handed to JupyterLab, for example: python lessons -- --no-browser",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a lesson, or how its name starts")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--list", action="store_true", help="list the lessons")
    action.add_argument(
        "--headless",
        action="store_true",
        help="execute the lessons with their solutions; pages go to lessons/build",
    )
    action.add_argument(
        "--build",
        action="store_true",
        help="make the notebooks again from lessons/source; replaces your own work in them",
    )
    action.add_argument("--course", metavar="FOLDER", help="make a folder from which nbgrader releases and grades them")
    return parser


def list_lessons(lessons: Sequence[catalogue.Lesson]) -> int:
    """Print name, title, minutes and needs of each lesson."""
    for lesson in lessons:
        header = lesson.header
        print(f"{lesson.name}\n    {header.title} ({header.minutes} minutes)\n    needs: {header.needs}")
    return 0


def make_course(lessons: Sequence[catalogue.Lesson], folder: Path) -> int:
    """Write the lessons as an nbgrader course, and say how to go on."""
    course.write_course(lessons, folder)
    print(f"{len(lessons)} lesson{'s' if len(lessons) != 1 else ''} in {folder / 'source'}")
    print(f"Go on in {folder}, for example: nbgrader generate_assignment {lessons[0].name}")
    return 0


def build_lessons(lessons: Sequence[catalogue.Lesson]) -> int:
    """Rebuild the notebooks, and print those that changed."""
    for lesson in lessons:
        for path in lesson.build():
            print("wrote", path)
    print(f"{len(lessons)} lesson{'s' if len(lessons) != 1 else ''} up to date")
    return 0
