"""The pages written for the site: their code runs, every public name is in the reference, no link is broken."""

import importlib
import re
from pathlib import Path

import pytest
import scripts

import minidni

DOCS = Path(__file__).parents[1] / "docs"
SITE = DOCS / "site"
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def build():
    pytest.importorskip("sphinx", reason='needs `pip install -e ".[docs]"`')
    return scripts.load(DOCS / "build_site.py")


@pytest.mark.parametrize("page", sorted(path.name for path in SITE.glob("how_to_*.md")))
def test_the_code_of_a_how_to_runs(page, capsys):
    code = PYTHON.findall((SITE / page).read_text(encoding="utf-8"))
    assert code
    exec(compile("\n".join(code), page, "exec"), {"__name__": page})


def test_the_glossary_is_in_alphabetical_order_and_has_each_word_once():
    text = (SITE / "glossary.md").read_text(encoding="utf-8")
    words = [word.lower() for word in re.findall(r"^(.+)\n: ", text, re.MULTILINE)]
    assert len(words) > 30
    assert words == sorted(set(words))


def test_every_public_name_is_in_the_reference(build):
    pages = build.reference()
    names = pages["api/minidni.md"]
    assert all(f"`{name}" in names for name in minidni.__all__)
    for package in build.PACKAGES:
        assert f"automodule:: minidni.{package}" in pages[f"api/{package}.md"]
        module = importlib.import_module(f"minidni.{package}")
        undocumented = [n for n in module.__all__ if callable(getattr(module, n)) and not getattr(module, n).__doc__]
        assert undocumented == []


def test_every_page_is_in_a_table_of_contents(build):
    listed = "\n".join(path.read_text(encoding="utf-8") for path in SITE.rglob("*.md"))
    listed = re.findall(r"^(?:[\w ]+<)?([\w/*]+)>?$", listed, re.MULTILINE)
    places = build.page_places([]).values()
    pages = [place.rpartition(".")[0] for place in places if place.endswith((".md", ".ipynb")) and place != "index.md"]
    assert set(pages) <= set(listed)


def test_links_fit_the_place_of_a_page_in_the_site(build, tmp_path, monkeypatch):
    places = build.page_places([])
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "DOCS", tmp_path / "docs")
    page, other, source = tmp_path / "README.md", tmp_path / "docs" / "results" / "README.md", tmp_path / "code.py"
    other.parent.mkdir(parents=True)
    places = {page: "get_started.md", other: "results/index.md"}
    for path in (page, other, source):
        path.touch()
    page.write_text(
        "[r](docs/results/README.md#two-lag) [c](code.py) ![p](docs/pictures/p.png) [w](https://a.example) [h](#h)"
    )
    other.write_text("[back](../../README.md)")
    assert build.relinked(page, places).decode() == (
        "[r](results/index.md#two-lag) c ![p](pictures/p.png) [w](https://a.example) [h](#h)"
    )
    assert build.relinked(other, places) == b"[back](../get_started.md)"
    page.write_text("[gone](docs/gone.md)")
    with pytest.raises(build.BrokenSite, match=r"^README.md: the link to docs/gone.md leads nowhere.$"):
        build.relinked(page, places)


def test_broken_links_and_what_comes_from_a_network_are_found(build, tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="top">a</h1><a href="b.html#there">b</a><a href="#top">t</a><a href="https://far.example">f</a>'
        '<img src="data:image/png;base64,AA"><script src="own.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="there">b</p>')
    (tmp_path / "own.js").touch()
    assert list(build.broken_links(tmp_path)) == []
    (tmp_path / "b.html").write_text(
        '<a href="c.html">c</a><a href="a.html#gone">a</a>'
        '<script src="https://far.example/x.js"></script><img src="x.png">'
    )
    assert list(build.broken_links(tmp_path)) == [
        "a.html links to b.html#there, and there is no such place in that page.",
        "b.html loads https://far.example/x.js: the site must do without a network.",
        "b.html loads x.png, which is not there.",
        "b.html links to c.html, which is not there.",
        "b.html links to a.html#gone, and there is no such place in that page.",
    ]
