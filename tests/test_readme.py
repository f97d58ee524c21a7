"""What the README shows is what happens: its examples run, and print what stands there."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def printed_by(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    return out.getvalue()


def test_the_first_example_learns_what_the_readme_says():
    assert len(EXAMPLES[0].strip().splitlines()) <= 16  # fifteen and a blank one
    accuracy = float(printed_by(EXAMPLES[0]).removeprefix("test accuracy "))
    low, high = map(float, re.search(r"\| two layers \| .*?\(([\d.]+) to ([\d.]+)\)", README).groups())
    assert low - 1 <= 100 * accuracy <= high + 1


def test_the_second_example_prints_the_report_in_the_readme():
    report = printed_by(EXAMPLES[1])
    assert "WRONG" in report
    shown = re.search(r"print\(check_gradients.*?```\n+```\n(.*?)```", README, re.DOTALL).group(1)
    # The last digits of errors depend on the processor; everything else must stand there as printed.
    blur = re.compile(r"[\d.]+e[-+]\d+")
    assert blur.sub("*", report).split() == blur.sub("*", shown).split()


def test_links_and_pictures_of_the_readme_exist():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    assert not [target for target in targets if "://" not in target and not (ROOT / target).exists()]


@pytest.fixture(scope="module")
def digits_script():
    spec = importlib.util.spec_from_file_location("digits_script", ROOT / "docs" / "digits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_figures_beat_their_controls(digits_script, tmp_path):
    """The whole table is `python docs/digits.py`; one seed of it here."""
    digits = digits_script.load_digits()
    table, net, curves = digits_script.results(digits, seeds=1)
    assert table["two layers"][0] > max(table["linear"][0], table["first layer frozen"][0]) + 1
    digits_script.draw(net, curves, digits, tmp_path / "digits.png")
    assert (tmp_path / "digits.png").stat().st_size > 10_000
    assert np.diff(curves["loss"]).max() < 0.1  # it goes down
