"""Builds the site, inside the environment: `python docs` runs this.

    docs/_build/source   the pages as Sphinx gets them: docs/*.md, docs/site, the results, and the lessons, executed
    lessons/build        executed lessons, kept until the lesson or the library changes
    docs/_build/html     the site; nothing in it asks for anything from a network

Sphinx's warnings are errors, and so is a link that leads nowhere.
"""

import argparse
import importlib
import inspect
import re
import shutil
import sys
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
from sphinx.cmd.build import build_main

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))

import minidni  # noqa: E402
from lessons import catalogue, execution  # noqa: E402
from lessons.catalogue import Lesson  # noqa: E402
from lessons.pages import without_markers  # noqa: E402

BUILD = DOCS / "_build"
SOURCE, HTML = BUILD / "source", BUILD / "html"
LINK = re.compile(r"(?<!\\)(?P<bang>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
#: Files of the repository that are pages of the site, and where they stand in it.
PAGES = {ROOT / "README.md": "get_started.md"}


#: The packages that have a page in the reference, in the order of reading.
PACKAGES = ("nn", "gradcheck", "bptt", "dni", "locking", "data", "training", "plots", "experiments", "arrays")


class BrokenSite(RuntimeError):
    """What keeps the site from being built; the text says it."""


def main(arguments: list[str]) -> int:
    """Build, check, and say where it is."""
    parser = argparse.ArgumentParser(prog="python docs", description=__doc__.partition("\n")[0])
    parser.add_argument("--no-lessons", action="store_true", help="without the lessons' results: for work on the text")
    options = parser.parse_args(arguments)
    try:
        shutil.rmtree(HTML, ignore_errors=True)
        collect(execute=not options.no_lessons)
        if build_main(["-q", "-W", "--keep-going", "-b", "html", "-c", str(DOCS), str(SOURCE), str(HTML)]):
            raise BrokenSite("Sphinx has warnings, see above; they count as errors.")
        if problems := list(broken_links(HTML)):
            raise BrokenSite("\n".join(problems))
    except BrokenSite as error:
        print(error, file=sys.stderr)
        return 1
    print("The site is", HTML / "index.html")
    return 0


def collect(*, execute: bool) -> None:
    """Write all pages to `SOURCE`, with links that fit there."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    lessons = catalogue.find_lessons()
    places = page_places(lessons)
    for path, place in places.items():
        write(SOURCE / place, relinked(path, places) if path.suffix == ".md" else path.read_bytes())
    for place, text in reference().items():
        write(SOURCE / place, text.encode())
    shutil.copy(DOCS / "template_experiment.py", SOURCE)
    (SOURCE / "pictures").mkdir(exist_ok=True)
    for picture in sorted((DOCS / "pictures").iterdir()):
        shutil.copy(picture, SOURCE / "pictures" / picture.name)
    for lesson in lessons:
        notebook = executed(lesson) if execute else nbformat.reads(lesson.notebooks()[lesson.solution_path], 4)
        for cell in notebook.cells:
            cell.metadata.pop("tags", None)
        write(SOURCE / "lessons" / f"{lesson.name}.ipynb", nbformat.writes(without_markers(notebook)).encode())


def page_places(lessons: Iterable[Lesson]) -> dict[Path, str]:
    """Where each file of the repository that is part of the site stands in it; lessons by their notebooks."""
    places = dict(PAGES)
    for path in sorted(DOCS.glob("*.md")) + sorted(DOCS.glob("*.ipynb")) + sorted(DOCS.glob("*.pdf")):
        places[path] = path.name
    for path in sorted((DOCS / "results").glob("*")):
        if path.suffix in (".md", ".json"):
            places[path] = f"results/{'index.md' if path.name == 'README.md' else path.name}"
    for path in sorted((DOCS / "site").rglob("*.md")):
        places[path] = path.relative_to(DOCS / "site").as_posix()
    return places


def relinked(path: Path, places: dict[Path, str]) -> bytes:
    """The page's text, with links as they are in the site; a link to what is not part of it becomes plain text."""
    here = Path(places[path]).parent

    def place(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or urlsplit(target).scheme:
            return match[0]
        meant = (path.parent / target).resolve()
        if match["bang"]:
            return f"![{match['text']}]({'../' * len(here.parts)}pictures/{meant.name})"
        if path.is_relative_to(DOCS / "site"):  # written for the site
            return match[0]
        if meant in places:
            to = "../" * len(here.parts) + places[meant]
            return f"[{match['text']}]({to}{'#' * bool(anchor)}{anchor})"
        if not meant.exists():
            raise BrokenSite(f"{path.relative_to(ROOT)}: the link to {match['target']} leads nowhere.")
        return match["text"]

    return LINK.sub(place, path.read_text(encoding="utf-8")).encode()


def reference() -> dict[str, str]:
    """The pages made from docstrings: one for each package, and one that says where the names of `minidni` are."""
    own = {package: importlib.import_module(f"minidni.{package}") for package in PACKAGES}
    pages = {}
    for package in PACKAGES:
        text = f".. automodule:: minidni.{package}\n"
        pages[f"api/{package}.md"] = f"# minidni.{package}\n\n```{{eval-rst}}\n{text}```\n"
    rows = []
    for name in sorted(minidni.__all__, key=str.lower):
        package = next((p for p, module in own.items() if name in module.__all__), None)
        rows.append(f"| {{py:obj}}`{name} <minidni.{package}.{name}>` | " if package else f"| [`{name}`]({name}.md) | ")
        about = inspect.getdoc(getattr(minidni, name)) or ""
        rows[-1] += about.partition("\n")[0].replace("|", "\\|").replace("*", "\\*") + " |"
    head = "# Names in minidni\n\nAll of these can be imported from `minidni` itself.\n\n| name | |\n|---|---|\n"
    pages["api/minidni.md"] = head + "\n".join(rows) + "\n"
    names = "\n".join(("minidni", *PACKAGES))
    pages["api/index.md"] = f"# Reference\n\nFrom the docstrings.\n\n```{{toctree}}\n:maxdepth: 1\n{names}\n```\n"
    return pages


def executed(lesson: Lesson) -> nbformat.NotebookNode:
    """The lesson's solution with its results; those of `python lessons --headless` if nothing has changed since."""
    folder = catalogue.FOLDER / "build"
    notebook = execution.kept(lesson, folder)
    if notebook is None:
        print(f"executing {lesson.name}", flush=True)
        outcome = execution.run_solution(lesson)
        if outcome.error:
            raise BrokenSite(f"{lesson.name} failed:\n{outcome.error}")
        notebook = outcome.notebook
        execution.keep(lesson, notebook, folder)
    return notebook


def write(path: Path, content: bytes) -> None:
    """Write the file, and the folders on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


class Page(HTMLParser):
    """What a page links to, what it loads, and what can be linked to in it."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        self.anchors |= {name for name in (of.get("id"), of.get("name")) if name}
        if tag == "a" and of.get("href"):
            self.links.append(str(of["href"]))
        elif tag == "link" and of.get("href"):
            (self.links if of.get("rel") in ("search", "index", "next", "prev", "canonical") else self.loads).append(
                str(of["href"])
            )
        elif tag in ("script", "img", "iframe", "source") and of.get("src"):
            self.loads.append(str(of["src"]))


def html_pages(folder: Path) -> list[Path]:
    """The pages of a site, without the theme's own pieces."""
    return sorted(path for path in folder.rglob("*.html") if "_static" not in path.parts)


def broken_links(folder: Path) -> Iterable[str]:
    """A sentence for each link to nowhere, and for each thing that a page would fetch from a network."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in html_pages(folder)}
    for path, page in pages.items():
        name = path.relative_to(folder)
        for url in page.loads:
            if urlsplit(url).scheme not in ("", "data") or url.startswith("//"):
                yield f"{name} loads {url[:80]}: the site must do without a network."
            elif not urlsplit(url).scheme and not (path.parent / unquote(urlsplit(url).path)).exists():
                yield f"{name} loads {url}, which is not there."
        for url in page.links:
            parts = urlsplit(url)
            if parts.scheme:
                continue
            meant = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            meant = meant / "index.html" if meant.is_dir() else meant
            if not meant.exists():
                yield f"{name} links to {url}, which is not there."
            elif parts.fragment and meant in pages and unquote(parts.fragment) not in pages[meant].anchors:
                yield f"{name} links to {url}, and there is no such place in that page."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
