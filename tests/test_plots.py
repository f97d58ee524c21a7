"""The pictures hold what they were given, say it in words too, and leave no trace in pyplot."""

import base64
import html
import io
import re
import struct
import subprocess
import sys

import numpy as np
import pytest

from minidni import plots
from minidni.training import History

matplotlib = pytest.importorskip("matplotlib")

EPOCHS = [
    {"epoch": 0, "loss": 1.5, "validation_loss": 1.25, "validation_accuracy": 0.5},
    {"epoch": 1, "loss": 0.75, "validation_loss": 1.0, "validation_accuracy": 0.875},
    {"epoch": 2, "loss": 0.5, "validation_loss": 1.125, "validation_accuracy": 0.8125},
]
LOSSES = [2.0, 1.0, 0.75, 0.75, 0.5, 0.5]


def lines_of(axes):
    """Return {label: (x, y)} of the curves in a panel."""
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def texts_of(axes):
    return [text.get_text() for text in axes.texts]


# -- training_curves


def test_the_curves_are_the_history():
    by_step, loss, accuracy = History(LOSSES, EPOCHS).plot().axes
    assert lines_of(by_step) == {"training": (list(range(6)), LOSSES)}
    assert lines_of(loss) == {"training": ([1, 2, 3], [1.5, 0.75, 0.5]), "validation": ([1, 2, 3], [1.25, 1.0, 1.125])}
    assert lines_of(accuracy) == {"validation": ([1, 2, 3], [50.0, 87.5, 81.25])}


def test_the_axes_say_what_they_show():
    by_step, loss, accuracy = plots.training_curves(History(LOSSES, EPOCHS)).axes
    assert [by_step.get_xlabel(), loss.get_xlabel(), accuracy.get_xlabel()] == [
        "step (one minibatch each)",
        "epoch",
        "epoch",
    ]
    assert "loss" in by_step.get_ylabel()
    assert "loss" in loss.get_ylabel()
    assert accuracy.get_ylabel() == "validation accuracy (%)"
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]


@pytest.mark.parametrize(
    ("kept", "panels"),
    [
        ((), 1),
        (("loss",), 2),
        (("loss", "validation_loss"), 2),
        (("loss", "validation_loss", "validation_accuracy"), 3),
    ],
)
def test_there_is_a_panel_only_for_what_is_known(kept, panels):
    epochs = [{key: epoch[key] for key in ("epoch", *kept)} for epoch in EPOCHS] if kept else []
    figure = plots.training_curves(History(LOSSES, epochs))
    assert len(figure.axes) == panels
    if panels > 1:
        assert len(figure.axes[1].lines) == len([key for key in kept if "loss" in key])


def test_a_stopped_run_says_so_above_its_curves():
    figure = plots.training_curves(History(LOSSES, [], "fit stopped at step 6: the loss is nan"))
    assert figure.get_suptitle() == "fit stopped at step 6: the loss is nan"
    assert plots.training_curves(History(LOSSES, [])).get_suptitle() == ""


@pytest.mark.parametrize(
    ("history", "words"),
    [(History(), "holds no step"), (History(stopped="fit stopped at step 0: the loss is nan"), "stopped at step 0")],
)
def test_a_history_without_steps_is_refused(history, words):
    with pytest.raises(ValueError, match=words):
        plots.training_curves(history)


@pytest.mark.parametrize(("losses", "scale"), [(LOSSES, "log"), ([1.0, 0.0], "linear"), ([0.5, -0.5], "linear")])
def test_a_loss_is_logarithmic_if_it_can_be(losses, scale):
    assert plots.training_curves(History(losses, [])).axes[0].get_yscale() == scale


# -- show_curves


def test_each_panel_holds_its_curves():
    panels = {"loss (nats)": {"one": [1.0, 0.5], "two": [2.0, 0.25, 0.125]}, "test accuracy (%)": {"one": [90.0, 95.0]}}
    loss, accuracy = plots.show_curves(panels, xlabel="window").axes
    assert lines_of(loss) == {"one": ([1, 2], [1.0, 0.5]), "two": ([1, 2, 3], [2.0, 0.25, 0.125])}
    assert lines_of(accuracy) == {"one": ([1, 2], [90.0, 95.0])}
    assert [axes.get_ylabel() for axes in (loss, accuracy)] == list(panels)
    assert {axes.get_xlabel() for axes in (loss, accuracy)} == {"window"}
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    assert accuracy.get_legend() is None


def test_curves_may_start_at_any_number():
    (axes,) = plots.show_curves({"norm": {"one": [1.0, 0.5, 0.25]}}, xlabel="step", start=0).axes
    assert lines_of(axes) == {"one": ([0, 1, 2], [1.0, 0.5, 0.25])}


def test_curves_can_be_told_apart_without_colour():
    curves = {name: [1.0, 2.0] for name in "abcde"}
    (axes,) = plots.show_curves({"accuracy (%)": curves}).axes
    assert len({(line.get_linestyle(), line.get_marker()) for line in axes.lines}) == 5
    assert len({line.get_color() for line in axes.lines}) == 5


@pytest.mark.parametrize("panels", [{}, {"loss": {}}])
def test_no_curves_are_refused(panels):
    with pytest.raises(ValueError, match="show_curves: panels is"):
        plots.show_curves(panels)


# -- show_images


def test_each_image_stands_under_its_label():
    images = np.arange(3 * 2 * 4).reshape(3, 2, 4) / 24
    figure = plots.show_images(images, [7, 8, 9], columns=2)
    assert len(figure.axes) == 4
    filled = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in filled] == ["7", "8", "9"]
    for axes, image in zip(filled, images, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
        assert axes.images[0].get_clim() == (0, 23 / 24)  # one scale for all, or a pale image would look dark


def test_wrong_predictions_are_marked_by_more_than_colour():
    figure = plots.show_images(np.zeros((3, 2, 2)), np.array([1, 2, 3]), np.array([1, 5, 3]))
    assert [axes.get_title() for axes in figure.axes] == ["1 → 1", "2 → 5 ✗", "3 → 3"]
    assert [axes.title.get_color() == plots.ORANGE for axes in figure.axes] == [False, True, False]


def test_large_values_are_dark():
    figure = plots.show_images(np.array([[[0.0, 1.0]]]), ["x"])
    picture = figure.axes[0].images[0]
    paper, ink = picture.cmap(picture.norm(picture.get_array()))[0, :, :3].mean(axis=-1)
    assert paper == 1
    assert ink == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.zeros((2, 64)), [1, 2]), r"images has shape \(2, 64\), expected \(n, height, width\)"),
        ((np.zeros((0, 8, 8)), []), r"images has shape \(0, 8, 8\)"),
        ((np.zeros((2, 8, 8)), [1]), "labels has 1 entries, expected 2"),
        ((np.zeros((2, 8, 8)), [1, 2], [1, 2, 3]), "predictions has 3 entries, expected 2"),
    ],
)
def test_images_that_do_not_fit_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        plots.show_images(*arguments)


# -- show_formula


def test_a_formula_shows_every_number_and_every_shape():
    x, b = np.array([[1.0, -2.0], [3.0, 0.5]]), np.array([0.25, 4.0])
    (axes,) = plots.show_formula(("y", x + b), "=", ("x", x), "+", ("b", b), digits=2).axes
    numbers = [f"{value:.2f}" for value in (*(x + b).flat, *x.flat, *b)]
    words = [text for text in texts_of(axes) if text not in numbers]
    assert [text for text in texts_of(axes) if text in numbers] == numbers
    assert words == ["y (2, 2)", "=", "x (2, 2)", "+", "b (2,)"]


def test_the_cells_of_a_formula_have_one_size_and_do_not_overlap():
    arrays = {"x": np.ones((3, 2)), "W": np.ones((2, 5)), "b": np.ones(5)}
    (axes,) = plots.show_formula(("x", arrays["x"]), "because of", ("W", arrays["W"]), "+", ("b", arrays["b"])).axes
    right = 0.0
    for picture, array in zip(axes.images, arrays.values(), strict=True):
        rows, columns = np.atleast_2d(array).shape
        x0, x1, y0, y1 = picture.get_extent()
        assert (x1 - x0, y0 - y1) == pytest.approx((columns, rows))
        assert x0 >= right
        right = x1
    axes.figure.draw_without_rendering()
    for sign in [text for text in axes.texts if text.get_text() in ("because of", "+")]:
        box = sign.get_window_extent().transformed(axes.transData.inverted())
        extents = [picture.get_extent() for picture in axes.images]
        assert all(box.x1 < x0 or x1 < box.x0 for x0, x1, _, _ in extents)
    low, high = axes.get_xlim()
    assert low < axes.images[0].get_extent()[0]
    assert right < high


def test_every_number_stands_in_its_own_cell():
    table = np.arange(6.0).reshape(2, 3)
    (axes,) = plots.show_formula(("a", table)).axes
    x0, _, _, top = axes.images[0].get_extent()
    places = {text.get_text(): text.get_position() for text in axes.texts}
    for (i, j), value in np.ndenumerate(table):
        assert places[f"{value:.0f}"] == pytest.approx((x0 + j + 0.5, top + i + 0.5))
    # and the colours lie where the numbers do: the y axis points down, as rows are counted
    assert axes.yaxis_inverted()
    assert axes.images[0].origin == "upper"


def test_zero_is_white_and_the_signs_differ_in_hue():
    (axes,) = plots.show_formula(("a", np.array([-1.0, 0.0, 1.0]))).axes
    picture = axes.images[0]
    minus, zero, plus = picture.cmap(picture.norm(picture.get_array()))[0, :, :3]
    assert zero == pytest.approx([1, 1, 1], abs=0.02)
    assert minus[2] > minus[0] + 0.2  # blue
    assert plus[0] > plus[2] + 0.2  # orange


@pytest.mark.parametrize("array", [np.zeros((2, 2, 2)), np.zeros((0, 3)), np.float64(1)])
def test_a_formula_of_anything_but_tables_is_refused(array):
    with pytest.raises(ValueError, match="show_formula: a has shape"):
        plots.show_formula(("a", array))
    with pytest.raises(ValueError, match="no array to draw"):
        plots.show_formula("=")


# -- show_unrolled


def arrows_of(axes):
    """Return {name: (from, to, colour, line)}: every arrow by the text that stands nearest to its middle."""
    arrows = [text for text in axes.texts if getattr(text, "arrow_patch", None)]
    names = [text for text in axes.texts if re.fullmatch(r"d?[sxy]\[\d+\]", text.get_text())]
    found = {}
    for arrow in arrows:
        tail, tip = np.array(arrow.xyann), np.array(arrow.xy)
        away = [abs(np.array(name.get_position()) - (tail + tip) / 2).sum() for name in names]
        name = names[int(np.argmin(away))].get_text()
        assert name not in found
        found[name] = (tuple(tail), tuple(tip), arrow.arrow_patch.get_edgecolor(), arrow.arrow_patch.get_linestyle())
    assert set(found) == {name.get_text() for name in names}
    return found


def test_an_unrolled_network_has_a_box_a_step_and_all_arrows_forward():
    (axes,) = plots.show_unrolled(3).axes
    assert [text for text in texts_of(axes) if "\n" in text] == [f"step {t}\nWx  Wh  b" for t in range(3)]
    arrows = arrows_of(axes)
    assert set(arrows) == {*(f"s[{t}]" for t in range(4)), *(f"{name}[{t}]" for name in "xy" for t in range(3))}
    for name, (tail, tip, _, line) in arrows.items():
        assert line == "-"
        assert tail[0] < tip[0] if name[0] == "s" else tail[1] < tip[1]


def test_what_flows_back_goes_against_the_arrow_of_its_array_and_looks_different():
    arrows = arrows_of(plots.show_unrolled(2, backward=True).axes[0])
    forward = {name: arrow for name, arrow in arrows.items() if name[0] != "d"}
    assert set(arrows) == {*forward, *(f"d{name}" for name in forward)}
    for name, (tail, tip, colour, line) in forward.items():
        back_tail, back_tip, back_colour, back_line = arrows[f"d{name}"]
        there, back = np.subtract(tip, tail), np.subtract(back_tip, back_tail)
        np.testing.assert_allclose(back, -there)
        assert colour != back_colour
        assert (line, back_line) == ("-", "--")
        assert np.abs(np.subtract(tail, back_tip)).max() > 0.1  # beside it, not on it


@pytest.mark.parametrize(("window", "places"), [(None, []), (2, [1.5, 3.5]), (3, [2.5]), (5, []), (7, [])])
def test_a_boundary_stands_between_the_windows(window, places):
    (axes,) = plots.show_unrolled(5, window=window).axes
    lines = [line.get_xdata()[0] for line in axes.lines]
    assert lines == places
    assert texts_of(axes).count("boundary") == len(places)


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"steps": 3, "window": 0}])
def test_a_network_without_steps_is_refused(arguments):
    with pytest.raises(ValueError, match="show_unrolled: steps is"):
        plots.show_unrolled(**arguments)


# -- show_lines


def test_lines_stand_at_their_own_points():
    panels = {
        "memory (kB)": {"one": ([1, 4, 16], [2.0, 8.0, 32.0]), "two": ([2, 3], [1.0, 5.0])},
        "ms": {"one": ([1], [3])},
    }
    memory, ms = plots.show_lines(panels, "window").axes
    assert lines_of(memory) == {"one": ([1, 4, 16], [2.0, 8.0, 32.0]), "two": ([2, 3], [1.0, 5.0])}
    assert lines_of(ms) == {"one": ([1], [3])}
    assert [axes.get_ylabel() for axes in (memory, ms)] == list(panels)
    assert {axes.get_xlabel() for axes in (memory, ms)} == {"window"}
    assert ms.get_legend() is None


def test_runs_of_one_name_look_alike_and_stand_once_in_the_legend():
    runs = {"one": ([1, 2, 3], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), "two": ([1, 2], [[7.0, 8.0]])}
    (axes,) = plots.show_lines({"loss": runs}, "steps").axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0]]
    looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines]
    assert looks[0] == looks[1]
    assert all(a != b for a, b in zip(looks[0], looks[2], strict=True))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two"]


def test_levels_are_dotted_and_carry_their_names():
    panels = {name: {"loss": ([1, 2], [0.7, 0.5])} for name in ("a", "b")}
    figure = plots.show_lines(panels, "steps", levels={"nothing": 0.66, "both": 0.45})
    for axes in figure.axes:
        dotted = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"]
        assert dotted == [0.66, 0.45]
        assert {text.get_text(): text.get_position()[1] for text in axes.texts} == {"nothing": 0.66, "both": 0.45}
    assert "level of nothing: 0.66; level of both: 0.45" in figure.alt


@pytest.mark.parametrize(
    ("log", "scales"), [("", ("linear", "linear")), ("x", ("log", "linear")), ("xy", ("log", "log"))]
)
def test_the_axes_that_were_asked_for_are_logarithmic_with_plain_numbers(log, scales):
    figure = plots.show_lines({"error": {"one": ([1, 100], [0.5, 0.05])}}, "n", log=log)
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == scales
    figure.canvas.draw()
    if "y" in log:
        assert {"0.1", "0.2", "0.5"} <= {text.get_text() for text in axes.get_yticklabels()}


def test_many_powers_of_ten_have_names_too():
    steps = 10.0 ** np.arange(-15, 1)
    (axes,) = plots.show_lines({"error": {"central": (steps, steps**2 + 1e-16)}}, "step h", log="xy").axes
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert 4 <= sum("10^" in label.get_text() for label in labels) <= 20


@pytest.mark.parametrize(
    ("panels", "options", "words"),
    [
        ({}, {}, "panels is {}"),
        ({"loss": {}}, {}, "panels is"),
        ({"loss": {"one": ([1, 2], [1.0])}}, {}, r"one has x \(2,\) and y \(1,\)"),
        ({"loss": {"one": ([[1, 2]], [[1.0, 2.0]])}}, {}, r"one has x \(1, 2\)"),
        ({"loss": {"one": ([], [])}}, {}, r"one has x \(0,\)"),
        ({"loss": {"one": ([1], [1.0])}}, {"log": "z"}, "log is 'z'"),
    ],
)
def test_lines_that_do_not_fit_are_refused(panels, options, words):
    with pytest.raises(ValueError, match=f"show_lines: {words}"):
        plots.show_lines(panels, "steps", **options)


# -- show_heat

FACTORS = {"fades": np.array([[1.0, np.nan], [1e-9, 1e-2]]), "grows": np.array([[1.0, np.nan], [1e2, 10.0]])}


def heat(**options):
    return plots.show_heat(FACTORS, xlabel="state", ylabel="loss", label="factor", **options)


def colour_at(axes, i, j):
    """Red, green, blue of a cell."""
    (picture,) = axes.images
    return picture.cmap(picture.norm(np.ma.masked_invalid(picture.get_array())))[i, j, :3]


def test_a_heat_map_shows_the_logarithm_of_each_factor():
    figure = heat()
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == list(FACTORS)
    for axes, table in zip(panels, FACTORS.values(), strict=True):
        np.testing.assert_allclose(axes.images[0].get_array().filled(np.nan), np.log10(table))
        assert axes.images[0].origin == "upper"  # the first loss step stands above
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("state", "loss")


@pytest.mark.parametrize("decades", [2, 6])
def test_all_heat_maps_share_one_scale_that_says_what_is_more_and_less_than_1(decades):
    figure = heat(decades=decades)
    fades, grows, bar = figure.axes
    assert {axes.images[0].get_clim() for axes in (fades, grows)} == {(-decades, decades)}
    red, _, blue = (colour_at(fades, 1, 1) - colour_at(grows, 1, 0)) * (1, 0, 1)
    assert red < 0 < blue  # less is blue, more is orange
    np.testing.assert_allclose(colour_at(fades, 0, 0), 1, atol=0.02)  # 1 is white
    gap = colour_at(grows, 0, 1)
    assert gap.max() - gap.min() < 0.01 < 1 - gap.max()  # nothing is grey
    named = dict(zip(bar.get_yticks(), [text.get_text() for text in bar.get_yticklabels()], strict=True))
    assert named[0] == "1"
    assert named[-decades] == f"$10^{{-{decades}}}$"


def test_the_rows_of_heat_maps_are_as_long_as_wanted_and_each_column_is_numbered_below():
    figure = plots.show_heat(dict.fromkeys("abc", np.ones((2, 2))), xlabel="", ylabel="", label="", columns=2)
    a, b, c, nothing, _ = figure.axes
    assert [bool(axes.images) for axes in (a, b, c, nothing)] == [True, True, True, False]
    assert not nothing.axison
    assert [axes.xaxis.get_tick_params()["labelbottom"] for axes in (a, b, c)] == [False, True, True]


@pytest.mark.parametrize(
    ("panels", "words"),
    [
        ({}, "panels is {}"),
        ({"a": np.ones(3)}, r"a has shape \(3,\)"),
        ({"a": np.array([[1.0, 0.0]])}, "numbers above 0"),
        ({"a": np.full((2, 2), np.nan)}, "numbers above 0"),
        ({"a": np.ones((2, 2)), "b": np.ones((2, 3))}, r"shapes \[\(2, 2\), \(2, 3\)\], expected one"),
    ],
)
def test_tables_without_factors_are_refused(panels, words):
    with pytest.raises(ValueError, match=f"show_heat: .*{words}"):
        plots.show_heat(panels, xlabel="", ylabel="", label="")


# -- show_decay


def test_decay_is_logarithmic_and_leaves_zeros_out():
    figure = plots.show_decay({"a": {"one": [1.0, 1e-3, 0.0]}, "b": {"two": [1.0, 1e2]}}, ylabel="norm", start=1)
    a, b = figure.axes
    ((x, y),) = lines_of(a).values()
    assert x == [1, 2, 3]
    np.testing.assert_array_equal(y, [1, 1e-3, np.nan])
    assert lines_of(b) == {"two": ([1, 2], [1.0, 1e2])}
    assert [axes.get_yscale() for axes in (a, b)] == ["log", "log"]
    assert a.get_ylim() == b.get_ylim()
    assert [axes.get_ylabel() for axes in (a, b)] == ["norm", ""]
    assert [axes.get_title() for axes in (a, b)] == ["a", "b"]


def test_bounds_are_black_lines_without_marks_in_their_own_panel():
    bounds = {"b": {"0.5ⁿ": [1.0, 0.5], "0.9ⁿ": [1.0, 0.9]}}
    a, b = plots.show_decay({"a": {"one": [1.0, 0.5]}, "b": {"one": [1.0, 0.25]}}, bounds, start=2).axes
    assert list(lines_of(a)) == ["one"]
    assert list(lines_of(b).items())[1:] == [("0.5ⁿ", ([2, 3], [1.0, 0.5])), ("0.9ⁿ", ([2, 3], [1.0, 0.9]))]
    measured, first, second = b.lines
    assert {line.get_color() for line in (first, second)} == {"black"} != {measured.get_color()}
    assert {line.get_marker() for line in (first, second)} == {"None"} != {measured.get_marker()}
    assert first.get_linestyle() != second.get_linestyle()
    assert [text.get_text() for text in b.get_legend().get_texts()] == ["one", "0.5ⁿ", "0.9ⁿ"]


@pytest.mark.parametrize(("lowest", "plain"), [(0.45, True), (1e-6, False)])
def test_an_axis_of_less_than_two_powers_of_ten_has_plain_numbers(lowest, plain):
    figure = plots.show_decay({"a": {"loss": [3.0, 1.0, lowest]}})
    figure.canvas.draw()
    texts = {text.get_text() for text in figure.axes[0].get_yticklabels()}
    assert ({"0.5", "1", "2"} <= texts) == plain


@pytest.mark.parametrize(
    ("panels", "bounds", "words"),
    [
        ({}, None, "panels is {}"),
        ({"a": {}}, None, "panels is"),
        ({"a": {"one": [1.0]}}, {"c": {"bound": [1.0]}}, "bounds has c, expected titles among a"),
    ],
)
def test_decay_of_nothing_is_refused(panels, bounds, words):
    with pytest.raises(ValueError, match=f"show_decay: {words}"):
        plots.show_decay(panels, bounds)


# -- all of them


FIGURES = {
    "training_curves": lambda: plots.training_curves(History(LOSSES, EPOCHS)),
    "show_curves": lambda: plots.show_curves({"accuracy (%)": {"<one>": [1.0, 2.0]}}),
    "show_images": lambda: plots.show_images(np.eye(8)[None], [3], [5]),
    "show_formula": lambda: plots.show_formula(("x", np.eye(2)), "@", ("W", np.ones((2, 3)))),
    "show_unrolled": lambda: plots.show_unrolled(2, backward=True, window=1),
    "show_heat": heat,
    "show_decay": lambda: plots.show_decay({"RNN": {"measured": [1.0, 0.0012]}}, {"RNN": {"bound": [1.0, 0.5]}}),
    "show_lines": lambda: plots.show_lines(
        {"loss": {"a": ([1, 2], [[4.0, 1.0], [2.0, 1.0]]), "b": ([1, 2], [1.0, 2.0])}},
        "n",
        levels={"floor": 0.5},
        log="xy",
    ),
}
each_figure = pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)


@each_figure
def test_a_figure_shows_itself_in_a_notebook_with_a_text_for_who_cannot_see_it(make):
    figure = make()
    page = figure._repr_html_()
    pattern = r'<img alt="([^"<>]+)" style="([^"]+)" src="data:image/png;base64,([^"]+)">'
    alt, style, data = re.fullmatch(pattern, page).groups()
    assert html.unescape(alt) == figure.alt
    assert "max-width:100%" in style
    picture = base64.b64decode(data, validate=True)
    assert picture.startswith(b"\x89PNG")
    width, _ = struct.unpack(">II", picture[16:24])
    assert width >= float(re.match(r"width:(\d+)px", style)[1])  # no fewer pixels than it is shown with


@each_figure
def test_nothing_is_cut_off_and_something_is_drawn(make):
    figure = make()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=100)
    pixels = np.frombuffer(buffer.getvalue(), dtype=np.uint8).reshape(*figure.canvas.get_width_height()[::-1], -1)
    drawn = (pixels[..., :3] < 250).any(axis=-1)
    assert drawn.any()
    edges = (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1])
    assert not any(edge.any() for edge in edges)


def test_the_text_for_who_cannot_see_it_tells_what_is_there():
    assert {name: make().alt for name, make in FIGURES.items()} == {
        "training_curves": "Training curves over 6 steps and 3 epochs.",
        "show_curves": "Curves by epoch. accuracy (%): <one>.",
        "show_images": "1 picture: 3 → 5 ✗.",
        "show_formula": "x (2, 2) @ W (2, 3), the arrays as tables of numbers.",
        "show_unrolled": (
            "A recurrent network at 2 steps, side by side: step t takes s[t] and x[t] and gives y[t] and s[t+1]. "
            "Back along the same arrows flow ds, dx and dy. A boundary between windows at s[1]."
        ),
        "show_heat": (
            "Heat maps of factor, state to the right and loss downwards, with the range of each. "
            "fades: 1e-09 to 1; grows: 1 to 1e+02."
        ),
        "show_decay": ("factor by steps back, on a logarithmic axis. RNN: measured, 1 to 0.0012; bound, 1 to 0.5."),
        "show_lines": "Lines by n. loss: a from 3 to 1, b from 1 to 2; level of floor: 0.5.",
    }


def test_pyplot_knows_nothing_of_the_figures():
    code = (
        "import sys, numpy as np; from minidni import plots; from minidni.training import History;"
        "assert 'matplotlib' not in sys.modules, 'matplotlib is imported before it is needed';"
        "History([1.0, 0.5], []).plot(); plots.show_images(np.zeros((1, 2, 2)), [1])._repr_html_();"
        "plots.show_formula(('x', np.eye(2))); plots.show_curves({'loss': {'a': [1.0]}});"
        "assert 'matplotlib.pyplot' not in sys.modules, 'pyplot is imported';"
        "import matplotlib.pyplot as plt; assert plt.get_fignums() == [], plt.get_fignums()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_figure_is_shown_by_a_real_kernel():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    code = "from minidni.plots import show_curves\nshow_curves({'loss': {'a': [1.0, 0.5]}})"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, kernel_name="python3", extra_arguments=["--log-level=ERROR"]).execute()
    (output,) = notebook.cells[0].outputs
    assert output.data["text/html"].startswith('<img alt="Curves by epoch. loss: a." ')
