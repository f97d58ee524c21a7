"""Executed lessons as web pages that need no network: formulas as MathML, pictures inside."""

import re
from pathlib import Path

import latex2mathml.converter
import nbformat
from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from lessons import builder

MARKER_LINE = re.compile(r"^\s*### (?:BEGIN|END) (?:SOLUTION|HIDDEN TESTS)\n?", re.MULTILINE)


class MathMLRenderer(IPythonRenderer):
    """Formulas as MathML, which browsers show by themselves; nbconvert's own pages ask a server for MathJax."""

    def inline_math(self, body: str) -> str:
        return latex2mathml.converter.convert(body)

    def block_math(self, body: str) -> str:
        return latex2mathml.converter.convert(body, display="block")


class PageExporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context, source):
        return MarkdownWithMath(renderer=MathMLRenderer(escape=False)).render(source)


def write_page(notebook: nbformat.NotebookNode, title: str, path: Path) -> None:
    """Write an executed notebook as a web page, without the marks that say which lines are the solution's."""
    exporter = PageExporter(mathjax_url="", require_js_url="", jquery_url="")
    page, _ = exporter.from_notebook_node(without_markers(notebook), {"metadata": {"name": title}})
    builder.write_text(path, page)


def without_markers(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook as it is to be read: without the lines that mark solutions and hidden tests."""
    shown = nbformat.from_dict(notebook)
    for cell in shown.cells:
        cell.source = MARKER_LINE.sub("", cell.source).rstrip("\n")
    return shown
