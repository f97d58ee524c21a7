"""What the README shows is what happens: its examples run, and print what stands there."""

import contextlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import scripts

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
    low, high = map(float, re.search(r"\| two layers \| .*\(([\d.]+) to ([\d.]+)\)", README).groups())
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
    return scripts.load(ROOT / "docs" / "digits.py")


def test_the_readme_figures(digits_script, tmp_path):
    """The whole table is `python docs/digits.py`; one seed of it here."""
    digits = digits_script.load_digits()
    runs = digits_script.results(digits, {"two layers": 1e-2, "first layer frozen": 1e-2, "linear": 3e-2}, seeds=1)
    last = {name: curves[0]["accuracy"][-1] for name, curves in runs.items()}
    assert last["two layers"] > 97
    assert last["two layers"] > last["first layer frozen"] + 1
    net, _ = digits_script.two_layers(0)
    digits_script.draw(net, runs["two layers"][0], digits, tmp_path / "digits.png")
    assert (tmp_path / "digits.png").stat().st_size > 10_000
    part = digits_script.held_out(digits)
    assert len(part.x_train) + len(part.x_test) == len(digits.x_train)  # the rate is chosen without the test digits


def test_a_frozen_layer_stays_as_it_was(digits_script):
    digits = digits_script.load_digits()
    net, trained = digits_script.frozen(0)
    first = net[0].params.slab.copy()
    digits_script.train(net, trained, digits_script.held_out(digits), 0, 1e-2)
    np.testing.assert_array_equal(net[0].params.slab, first)
    assert not np.array_equal(net[2].params.slab, digits_script.frozen(0)[0][2].params.slab)


def test_the_third_example_reaches_the_floor_of_its_task():
    loss, floor, chance = map(float, re.findall(r"\d\.\d+", printed_by(EXAMPLES[2])))
    assert (floor, chance) == (0.454, 0.662)
    assert loss < floor + 0.02


def test_the_fourth_example_reports_what_the_readme_shows():
    out = printed_by(EXAMPLES[3])
    shown = re.search(r"print\(step\).*?```\n+```\n(.*?)```", README, re.DOTALL).group(1)
    assert out.startswith(shown)
    assert float(out.removeprefix(shown).removeprefix("test accuracy ")) > 0.95


def means(name, measure, **what):
    rows = json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    return float(np.mean([row[measure] for row in rows if all(row[key] == value for key, value in what.items())]))


@pytest.mark.parametrize("depth", [3, 6])
def test_the_figures_of_synthetic_gradients_in_depth_are_those_of_the_results(depth):
    shown = re.search(rf"\| {depth} \| (.*) \|", README).group(1).split(" | ")
    for method, figure in zip(("frozen", "backprop", "cdni", "dni"), shown, strict=True):
        if figure != "not run":
            assert f"{means(f'mnist-depth-{depth}', 'error', method=method):.2f}" == figure


def test_the_figures_of_synthetic_gradients_in_time_are_those_of_the_results():
    shown = re.search(r"it reaches ([\d.]+) nats.*?\nat ([\d.]+)", README).groups()
    assert shown == tuple(f"{means('two-lag', 'loss', method=m, window=2):.3f}" for m in ("dni", "bptt"))


def test_the_figures_of_the_workers_are_those_of_the_results():
    pattern = r"decoupled ones took ([\d.]+) times as many.*?data-parallel ones ([\d.]+);.*?came to (\d\.\d+)"
    shown = re.search(pattern, README, re.DOTALL).groups()
    modes = ("decoupled", "data-parallel", "blas2")
    assert shown == tuple(f"{means('speedup-16x1024-processes', 'speedup', mode=mode):.2f}" for mode in modes)


def test_the_fifth_example_trains_with_two_workers():
    out = printed_by(EXAMPLES[4])
    assert float(re.search(r"test accuracy ([\d.]+)", out).group(1)) > 0.9
    assert "decoupled, threads: 2 workers" in out
