"""Pictures of many methods: the dots and the tables hold what they were given, and say it in words."""

import numpy as np
import pytest

from minidni import plots

pytest.importorskip("matplotlib")

RESULTS = {"exact": [60.0, 62.0, 61.0], "zero": [30.0, 28.0]}


def test_each_name_has_its_dots_and_a_bar_at_their_mean():
    (axes,) = plots.show_dots(RESULTS, "accuracy (%)").axes
    dots, bars = axes.lines[::2], axes.lines[1::2]
    for row, ((name, values), dot, bar) in enumerate(zip(RESULTS.items(), dots, bars, strict=True)):
        assert dot.get_label() == name
        assert list(dot.get_xdata()) == values
        assert set(dot.get_ydata()) == {row}
        assert set(bar.get_xdata()) == {np.mean(values)}
    assert [text.get_text() for text in axes.get_yticklabels()] == list(RESULTS)
    assert axes.yaxis_inverted()
    assert axes.get_xlabel() == "accuracy (%)"


def test_a_level_goes_through_all_names_and_says_its_own():
    figure = plots.show_dots(RESULTS, "accuracy (%)", levels={"chance": 10.0})
    (axes,) = figure.axes
    assert set(axes.lines[0].get_xdata()) == {10.0}
    assert [text.get_text() for text in axes.texts] == ["chance"]
    assert "exact 61, from 60 to 62" in figure.alt
    assert "level of chance: 10" in figure.alt


@pytest.mark.parametrize("results", [{}, {"exact": []}])
def test_dots_of_nothing_are_refused(results):
    with pytest.raises(ValueError, match="show_dots: results is"):
        plots.show_dots(results, "x")


def test_every_number_stands_in_its_own_cell():
    table = np.array([[0.25, np.nan, 1.0], [0.5, -0.125, 0.0]])
    figure = plots.show_tables({"seed 1": table, "seed 2": 2 * table}, ["a", "b"], ["x", "y", "z"], label="cosine")
    assert len(figure.axes) == 2
    for axes, shown in zip(figure.axes, (table, 2 * table), strict=True):
        cells = {text.get_position(): text.get_text() for text in axes.texts}
        assert cells == {(j, i): f"{x:.2f}" for (i, j), x in np.ndenumerate(shown) if not np.isnan(x)}
        np.testing.assert_array_equal(np.ma.filled(axes.images[0].get_array(), np.nan), shown)
        assert [text.get_text() for text in axes.get_xticklabels()] == ["x", "y", "z"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "b"]
    assert [axes.get_title() for axes in figure.axes] == ["seed 1", "seed 2"]
    assert "seed 1: a x 0.25, z 1.00; b x 0.50" in figure.alt


def test_no_cell_is_so_dark_that_its_number_cannot_be_read():
    (axes,) = plots.show_tables({"t": np.array([[0.0, 1.0]])}, ["a"], ["x", "y"], label="share").axes
    picture = axes.images[0]
    low, high = picture.cmap(picture.norm(picture.get_array()))[0, :, :3].mean(axis=-1)
    assert low == 1
    assert 0.3 < high < 0.7


@pytest.mark.parametrize(
    ("panels", "words"), [({}, "show_tables: panels is"), ({"t": np.zeros((2, 2))}, r"t has shape \(2, 2\), expected")]
)
def test_tables_that_do_not_fit_are_refused(panels, words):
    with pytest.raises(ValueError, match=words):
        plots.show_tables(panels, ["a"], ["x", "y"], label="share")
