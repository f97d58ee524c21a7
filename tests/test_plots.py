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


# -- all of them


FIGURES = {
    "training_curves": lambda: plots.training_curves(History(LOSSES, EPOCHS)),
    "show_curves": lambda: plots.show_curves({"accuracy (%)": {"<one>": [1.0, 2.0]}}),
    "show_images": lambda: plots.show_images(np.eye(8)[None], [3], [5]),
    "show_formula": lambda: plots.show_formula(("x", np.eye(2)), "@", ("W", np.ones((2, 3)))),
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
