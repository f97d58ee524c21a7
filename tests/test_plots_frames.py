"""Pictures behind a slider: one for each value, the first shown without scripts, and each with words for it."""

import json
import re

import numpy as np
import pytest

from minidni import plots

matplotlib = pytest.importorskip("matplotlib")


def curve(rate):
    return plots.show_curves({"error": {f"rate {rate}": [1.0, rate, rate**2]}}, "step")


def test_a_frame_for_each_value_of_which_the_first_is_shown_without_scripts():
    frames = plots.slide("learning rate", (0.03, 0.5, 2.0), curve)
    assert frames.labels == ["learning rate = 0.03", "learning rate = 0.5", "learning rate = 2"]
    page = frames._repr_html_()
    assert re.findall(r"<div data-frame( hidden)?>", page) == ["", " hidden", " hidden"]
    assert "<output>learning rate = 0.03</output>" in page
    data = json.loads(re.search(r"data = (\{.*?\}), slider", page).group(1))
    assert data == {"said": frames.labels}


def test_every_frame_has_alternative_text_and_the_slider_a_name():
    page = plots.slide("learning rate", (0.03, 0.5), curve)._repr_html_()
    assert re.findall(r'<img alt="([^"]*)"', page) == [
        "Curves by step. error: rate 0.03.",
        "Curves by step. error: rate 0.5.",
    ]
    assert 'max="1" value="0" aria-label="learning rate"' in page
    assert page.count('<button type="button" aria-label=') == 2


def test_the_page_stands_alone_and_no_text_ends_the_script(tmp_path):
    frames = plots.slide("</script><b>", ("</script>", "b"), lambda value: curve(0.5))
    frames.write(tmp_path / "frames.html")
    page = (tmp_path / "frames.html").read_text()
    assert page.count("</script>") == 1
    assert "<b>" not in page
    assert not re.search(r'(src|href)="(?!data:)|https?://', page)


def test_two_on_a_page_do_not_disturb_each_other():
    frames = plots.slide("n", (1,), curve)
    one, other = (re.search(r'id="([^"]+)"', frames._repr_html_()).group(1) for _ in "ab")
    assert one != other


def test_all_frames_have_the_limits_that_hold_each_of_them():
    frames = plots.slide("rate", (0.5, 3.0), curve)
    low, high = frames.figures[0].axes[0].get_ylim()
    assert frames.figures[1].axes[0].get_ylim() == (low, high)
    assert low < 0.25
    assert high > 9


def test_an_axis_that_runs_downwards_stays_so():
    frames = plots.slide("n", (2, 3), lambda n: plots.show_images(np.zeros((1, n, n)), [n]))
    assert {figure.axes[0].get_ylim() for figure in frames.figures} == {(2.5, -0.5)}


def test_frames_with_different_numbers_of_panels_are_left_as_they_are():
    frames = plots.slide("n", (1, 2), lambda n: plots.show_curves({f"y{i}": {"a": [n, 2 * n]} for i in range(n)}))
    assert frames.figures[0].axes[0].get_ylim() != frames.figures[1].axes[0].get_ylim()


def test_a_figure_made_elsewhere_is_named_by_what_is_written_in_it():
    def draw(n):
        figure = matplotlib.figure.Figure()
        axes = figure.subplots()
        axes.plot([0, n], label="guess")
        axes.set(title="A <line>", xlabel="step", ylabel="error")
        return figure

    assert '<img alt="A &lt;line&gt; error by step: guess"' in plots.slide("n", (1,), draw)._repr_html_()
    assert 'alt="a figure without titles"' in plots.slide("n", (1,), lambda n: matplotlib.figure.Figure())._repr_html_()


def test_what_cannot_be_shown_is_answered_with_a_sentence():
    with pytest.raises(ValueError, match="slide: there are no values of rate, expected at least one"):
        plots.slide("rate", (), curve)
    with pytest.raises(TypeError, match="slide: draw gave NoneType for rate = 2, expected a figure"):
        plots.slide("rate", (2,), lambda rate: None)
