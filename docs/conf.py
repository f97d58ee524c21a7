"""Sphinx's settings. `python docs` builds the site; see build_site.py."""

import re

import latex2mathml.converter
from sphinx.application import Sphinx

import minidni

project, author, copyright = "minidni", "the minidni authors", "the minidni authors, MIT licence"
release = version = minidni.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns: list[str] = []
nb_execution_mode = "off"  # the lessons come executed
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]  # tracebacks and tables that are printed in no language

html_theme = "sphinx_book_theme"
html_title = "minidni"
html_static_path = ["site/static"]
html_css_files = ["minidni.css"]
html_context = {"default_mode": "auto"}
html_math_renderer = "mathml"
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "show_navbar_depth": 1,
}

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_default_options = {"members": True, "imported-members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True

CODE = re.compile(r"(``[^`]+``|`[^`]+`)")


def as_code_blocks(app, what, name, obj, options, lines: list[str]) -> None:
    """Our docstrings are plain text: what is set off by an empty line and four spaces is code."""
    for i in range(len(lines) - 1, 0, -1):
        before = next((line for line in reversed(lines[:i]) if line.strip()), "")
        opens = lines[i].startswith("    ") and not lines[i - 1].strip() and before and not before.startswith("    ")
        if opens and not before.startswith(">>>"):
            lines[i:i] = ["::", ""]


def as_markup(app, what, name, obj, options, lines: list[str]) -> None:
    """One backtick means code, and a star, a bar or an underscore means itself."""
    literal = False
    for i, line in enumerate(lines):
        if line.strip() == "::":
            literal = True
        elif literal and line.strip() and not line.startswith("    "):
            literal = False
        if literal or line.lstrip().startswith((">>>", "..", ":param", ":type", ":raises", ":returns", ":rtype")):
            lines[i] = line if literal or line.lstrip().startswith((">>>", "..")) else _escaped_field(line)
            continue
        lines[i] = _escaped(line)


def _escaped_field(line: str) -> str:
    match = re.match(r"(\s*:[^:]+:)(.*)", line)
    return match[1] + _escaped(match[2]) if match else line


def _escaped(text: str) -> str:
    parts = CODE.split(text)
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = f"``{part.strip('`')}``"
        else:
            parts[i] = re.sub(r"(?<!\\)([*|])", r"\\\1", re.sub(r"(\w)_(?!\w)", r"\1\\_", part))
    return "".join(parts)


def _visit_inline(self, node) -> None:
    from docutils import nodes

    self.body.append(latex2mathml.converter.convert(node.astext()))
    raise nodes.SkipNode


def _visit_block(self, node) -> None:
    from docutils import nodes

    formula = latex2mathml.converter.convert(node.astext(), display="block")
    self.body.append(f'<div class="formula">{formula}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Formulas as MathML, which needs no script and no network; docstrings as they are written here."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    app.connect("autodoc-process-docstring", as_code_blocks, priority=400)
    app.connect("autodoc-process-docstring", as_markup, priority=600)
