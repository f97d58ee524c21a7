"""The handout: its code is differentiated, its steps are the library's, and the PDF is one page made of its text."""

import re
from pathlib import Path

import numpy as np
import pytest
import scripts

from minidni import GRU, LSTM, RNN, LayerNorm, SoftmaxCrossEntropy, SquaredError

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "handout.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SIZES = {"B": 4, "D": 3, "N": 5, "H": 2}


def block_with(line):
    """The block in which this line stands."""
    (found,) = (block for block in BLOCKS if line in block)
    return found


def drawn(block, rng):
    """Random arrays of the shapes in the block's comments, and the names of its outputs."""
    head = " ".join(line[1:].strip() for line in block.splitlines() if line.startswith("#"))
    given, _, outputs = head.partition("->")
    arrays = {}
    for name, shape in re.findall(r"(\w+) \(([^)]*)\)", given):
        sizes = [re.fullmatch(r"(\d*)(\w)", part.strip()).groups() for part in shape.split(",")]
        arrays[name] = rng.standard_normal([int(times or 1) * SIZES[letter] for times, letter in sizes])
    return arrays, [name.strip() for name in outputs.split(",")]


def run(block, arrays, cotangents, before=0.0):
    """All names after the block has run; accumulators begin at `before`."""
    names = {**SIZES, "np": np, "labels": np.arange(SIZES["B"]) % SIZES["N"]}
    names |= {f"d{name}": np.full_like(array, before) for name, array in arrays.items()}
    names |= {name: array.copy() for name, array in arrays.items()} | cotangents
    exec(block, names)
    return names


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[1])
def test_backward_is_the_derivative_of_forward(block):
    rng = np.random.default_rng(0)
    arrays, outputs = drawn(block, rng)
    forward = re.split(r"^d\w", block, maxsplit=1, flags=re.MULTILINE)[0]
    shapes = {name: np.shape(run(forward, arrays, {})[name]) for name in outputs}
    cotangents = {f"d{name}": rng.standard_normal(shape) if shape else 1.0 for name, shape in shapes.items()}
    names = run(block, arrays, cotangents)
    checked = 0
    for name, array in arrays.items():
        if f"d{name} " not in block and f"d{name}," not in block and f", d{name} =" not in block:
            continue  # the targets of a loss
        slopes = np.zeros_like(array)
        for i in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = {**arrays, name: array.copy()}
                moved[name][i] += sign * 1e-6
                there = run(block, moved, cotangents)
                ends.append(sum(np.sum(cotangents[f"d{output}"] * there[output]) for output in outputs))
            slopes[i] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(names[f"d{name}"], slopes, rtol=1e-6, atol=1e-7, err_msg=f"d{name}")
        checked += 1
    assert checked


@pytest.mark.parametrize("block", [block for block in BLOCKS if "+=" in block], ids=lambda block: block.splitlines()[1])
def test_gradients_of_weights_are_added_to(block):
    rng = np.random.default_rng(1)
    arrays, outputs = drawn(block, rng)
    cotangents = {f"d{name}": np.ones_like(arrays.get(f"{name}0", arrays["x"])) for name in outputs}
    if "W" in arrays:
        cotangents = {"dy": np.ones((SIZES["B"], SIZES["N"]))}
    zero, seven = (run(block, arrays, cotangents, before) for before in (0.0, 7.0))
    added = [name for name in arrays if f"d{name} +=" in block]
    assert added
    for name in added:
        np.testing.assert_allclose(seven[f"d{name}"], zero[f"d{name}"] + 7.0)


@pytest.mark.parametrize(
    ("layer", "line", "states"),
    [
        (RNN, "h = np.tanh(x @ Wx + h0 @ Wh + b)", ["h0"]),
        (LSTM, "h = o * np.tanh(c)", ["h0", "c0"]),
        (GRU, "h = (1 - z) * n + z * h0", ["h0"]),
    ],
)
def test_a_recurrent_step_is_the_librarys(layer, line, states):
    arrays, _ = drawn(block_with(line), np.random.default_rng(2))
    made = layer(SIZES["D"], SIZES["H"], rng=0, dtype=np.float64)
    for name in made.params:
        made.params[name] = arrays[name]
    y, _, _ = made.forward(arrays["x"][None], np.hstack([arrays[name] for name in states]))
    zero = {f"d{name}": np.zeros((SIZES["B"], SIZES["H"])) for name in ("h", "c")}
    np.testing.assert_allclose(run(block_with(line), arrays, zero)["h"], y[0], rtol=1e-12)


def test_the_losses_and_the_norm_are_the_librarys():
    rng = np.random.default_rng(3)
    softmax, squared, norm = (block_with(line) for line in ("np.log(p", "(h - t) ** 2", "z = (x - m)"))
    h = drawn(softmax, rng)[0]["h"]
    names = run(softmax, {"h": h}, {"dL": 1.0})
    assert names["L"] == pytest.approx(SoftmaxCrossEntropy().value(h, names["labels"]), rel=1e-12)
    arrays, _ = drawn(squared, rng)
    right = SquaredError().value(arrays["h"], arrays["t"])
    assert run(squared, arrays, {"dL": 1.0})["L"] == pytest.approx(right, rel=1e-12)
    arrays, _ = drawn(norm, rng)
    layer = LayerNorm(SIZES["N"], dtype=np.float64)
    for name, value in zip(layer.params, (arrays["g"], arrays["b"]), strict=True):
        layer.params[name] = value
    y = run(norm, arrays, {"dy": np.zeros((SIZES["B"], SIZES["N"]))})["y"]
    np.testing.assert_allclose(y, layer.forward(arrays["x"])[0], rtol=1e-12)


@pytest.fixture(scope="module")
def handout():
    return scripts.load(DOCS / "handout.py")


def test_the_pdf_is_one_page_and_was_made_of_this_text(handout):
    data = handout.PDF.read_bytes()
    assert handout.digest(TEXT).encode() in data, "run python docs/handout.py"
    assert len(re.findall(rb"/Type /Page\b", data)) == 1


def test_everything_lies_on_the_page_and_in_its_column(handout):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = handout.draw(TEXT)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.texts]
    width, height = figure.bbox.width, figure.bbox.height
    margin = 0.5 * handout.MARGIN / handout.WIDTH
    right = {column: ((column + 1) / handout.COLUMNS - margin) * width for column in range(handout.COLUMNS)}
    for text, box in boxes[1:]:
        column = int(box.x0 > width / 2)
        assert box.x1 < right[column] and box.y0 > 0.2 * height / handout.HEIGHT, text
    assert min(text.get_fontsize() for text in figure.texts) >= 6.5


def test_too_much_for_a_page_is_told(handout):
    with pytest.raises(ValueError, match=r"^handout.md is too long for a page from 'line' on"):
        handout.draw("# Title\n\n" + "line\n" * 400)
