"""What the checker does with layers that are right, random, kinked, float32, on odd inputs, or not layers at all."""

import copy
import types
from xml.etree import ElementTree

import numpy as np
import pytest
from gradcheck import reference as ref
from gradcheck.sweep import RealOnly, detection, false_alarms
from hypothesis import given, settings
from hypothesis import strategies as st

from minidni.examples import EXAMPLES, example
from minidni.gradcheck import check_gradients
from minidni.gradcheck.copying import copy_layer
from minidni.gradcheck.differences import Line, best_slope, full_ladder, is_kink, judge


def rng(seed=0):
    return np.random.default_rng(seed)


# -- the ladder


def line(f, x, size=1.0):
    return Line(lambda a, b: (f(x + a) - f(x + b)) / (a - b), 1e-15 * max(1.0, abs(f(x))), size)


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (np.sin, 1.0, np.cos(1.0)),
        (np.exp, 3.0, np.exp(3.0)),
        (lambda x: np.tanh(1000 * x), 1e-3, 1000 * (1 - np.tanh(1.0) ** 2)),
        (lambda x: x**3, 1e3, 3e6),
        (lambda x: np.sqrt(np.float64(x)), 1e-3, 0.5 * 1e-3**-0.5),
        (lambda x: np.abs(x - 1e-5), 0.0, -1.0),  # a kink close by, but not here
        (lambda x: np.exp(-((x / 1e-4) ** 2)), 5e-5, -2 * 5e3 * np.exp(-0.25)),  # flat but for a narrow bump
    ],
)
def test_ladder_measures_slopes_and_its_own_error(f, x, slope):
    with np.errstate(invalid="ignore"):
        found = best_slope(*full_ladder(line(f, x)), 1e-15)
    assert abs(found.value - slope) <= 1e-6 * abs(slope)
    assert abs(found.value - slope) <= 10 * found.error


def test_a_verdict_depends_on_the_claim():
    at = line(np.sin, 1.0)
    assert not judge(at, np.cos(1.0), 0.0).wrong(np.cos(1.0))
    for error in (1e-5, 1e-3, 1.0, -2.0):
        claim = np.cos(1.0) * (1 + error)
        assert judge(at, claim, 0.0).wrong(claim)


def test_kinks_are_told_from_curves():
    assert is_kink(line(abs, 0.0))
    assert is_kink(line(lambda x: max(x, 0.1 * x), 0.0))
    assert is_kink(line(lambda x: x + 1e-4 * abs(x), 0.0))
    assert not is_kink(line(lambda x: x * x, 0.0))
    assert not is_kink(line(lambda x: abs(x - 0.01), 0.0))
    assert not is_kink(line(lambda x: np.logaddexp(0, 100 * x), 0.0))


# -- correct layers


def test_no_false_alarm_on_200_random_layers():
    entries, alarms, worst, which = false_alarms(200, first_seed=500, compare=False)
    assert entries > 5_000
    assert not which, which[0][2]
    assert alarms[1] == alarms[2] == 0
    assert max(worst) < 1


def test_sharper_than_one_difference_with_fixed_tolerances():
    common, ladder, both = detection(1e-5, trials=20)
    assert common == 0
    assert ladder == both == 20


@pytest.mark.slow
def test_no_false_alarm_in_many_entries():
    entries, alarms, _, which = false_alarms(600, first_seed=10_000)
    assert entries > 16_200
    assert not which, which[0][2]
    assert alarms[1] == alarms[2] == 0


@pytest.mark.slow
def test_small_errors_are_seen():
    common, ladder, both = detection(1e-3)
    assert common == 0  # its relative tolerance is the error
    assert ladder == both == 60
    assert min(detection(1e-5)[1:]) >= 58


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_layer_of_the_library(name, dtype, seed):
    assert check_gradients(*example(name, seed=seed, dtype=dtype), seed=seed).raise_if_wrong()


# -- the user's layer is not touched


def test_layer_and_inputs_are_left_alone():
    layer, x = ref.LSTM(3, 2, rng()), rng(1).standard_normal((4, 2, 3))
    layer.grads["b"] += 1
    before, x_before = copy.deepcopy(layer.__dict__), x.copy()
    state = np.random.get_state()[1].copy()
    x.setflags(write=False)
    check_gradients(layer, x)
    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    for kind in ("params", "grads"):
        for name, array in before[kind].items():
            np.testing.assert_array_equal(getattr(layer, kind)[name], array)


def test_a_random_layer_keeps_its_generator():
    generator = rng(5)
    check_gradients(ref.Dropout(0.5, generator), np.ones((2, 3)))
    assert generator.random() == rng(5).random()


def test_copies_keep_views_of_one_slab():
    layer = types.SimpleNamespace(slab=np.arange(6.0, dtype=np.float32))
    layer.params = {"W": layer.slab[:4].reshape(2, 2), "b": layer.slab[4:], "WT": layer.slab[:4].reshape(2, 2).T}
    for dtype in (None, np.float64):
        twin = copy_layer(layer, dtype)
        twin.slab[1:5] = 7
        assert twin.slab.dtype == (dtype or np.float32)
        np.testing.assert_array_equal(twin.params["W"], [[0, 7], [7, 7]])
        np.testing.assert_array_equal(twin.params["WT"], [[0, 7], [7, 7]])
        np.testing.assert_array_equal(twin.params["b"], [7, 5])
    np.testing.assert_array_equal(layer.slab, np.arange(6))


# -- kinks, randomness, odd inputs


def test_kinks_are_not_judged_and_the_rest_is():
    x = rng().standard_normal((3, 4))
    x[0, 0] = x[1, 2] = 0.0
    report = check_gradients(ref.Activation("relu"), x)
    assert report.ok
    assert np.argwhere(report.arrays[0].kink).tolist() == [[0, 0], [1, 2]]
    assert report.arrays[0].judged.sum() == 10
    assert "kink" in str(report)


def test_a_wrong_entry_beside_kinks_is_still_caught():
    x = rng().standard_normal((3, 4))
    x[0, 0] = 0.0
    assert not check_gradients(ref.Activation("relu", "derivative forgotten"), x).ok


@pytest.mark.parametrize("distance", [3e-7, 1e-6, 1e-5, 1e-3])
def test_near_kinks_are_judged(distance):
    x = np.array([[distance, -distance], [-1.0, 2.0]])
    report = check_gradients(ref.Activation("relu"), x)
    assert report.ok
    assert not report.arrays[0].kink.any()
    wrong = check_gradients(ref.Activation("relu", "derivative forgotten"), x).arrays[0]
    assert wrong.wrong.tolist() == [[False, True], [True, False]]


@settings(deadline=None, max_examples=60)
@given(st.floats(-12, 0), st.integers(0, 1000))
def test_no_distance_to_a_kink_raises_an_alarm(exponent, seed):
    x = 10.0**exponent * rng(seed).standard_normal((2, 2))
    report = check_gradients(ref.Activation("relu"), x, seed=seed)
    assert not any(a.wrong.any() for a in report.arrays)


def test_ties_of_a_maximum_are_kinks():
    x = rng().standard_normal((1, 1, 4, 4))
    x[0, 0, :2, :2] = 3.0
    report = check_gradients(ref.MaxPool(), x)
    assert report.ok
    assert report.arrays[0].kink.sum() == 4


def test_nothing_judged_is_not_ok():
    report = check_gradients(ref.Activation("relu"), np.zeros((2, 3)))
    assert not report.ok
    assert "nothing could be judged" in report.cause
    assert report.worst is None
    assert "nothing could be judged" in str(report)


class GlobalDropout(ref.Dropout):
    def forward(self, x):
        keep = (np.random.rand(*x.shape) > 0.5) * 2.0
        return x * keep, keep


def test_random_layers_are_evaluated_with_one_mask():
    x = np.ones((3, 4))
    for layer in (ref.Dropout(0.5, rng(1)), GlobalDropout(0.5, None)):
        report = check_gradients(layer, x)
        assert report.ok, report
        assert any("random" in note for note in report.notes)


def test_a_layer_that_cannot_be_repeated_gets_a_sentence():
    class Restless:
        def forward(self, x):
            return x * np.random.default_rng().random(x.shape), None

        def backward(self, dy, cache):
            return dy

    with pytest.raises(ValueError, match="another result each time"):
        check_gradients(Restless(), np.ones(3))


def test_integer_inputs_pass_through():
    report = check_gradients(ref.Embedding(5, 3, rng()), rng().integers(5, size=(2, 3)))
    assert report.ok
    assert [a.name for a in report.arrays] == ["E"]


def test_missing_inputs_are_drawn_and_given_ones_used():
    layer, x = ref.RNN(3, 2, rng()), rng().standard_normal((4, 2, 3))
    drawn, given = check_gradients(layer, x), check_gradients(layer, x, np.zeros((2, 2)))
    assert drawn.ok and given.ok
    assert [a.name for a in drawn.arrays] == [a.name for a in given.arrays] == ["x", "s0", "Wx", "Wh", "b"]
    assert any("drawn at random: s0" in note for note in drawn.notes)
    assert not any("drawn" in note for note in given.notes)


def test_an_input_named_like_a_parameter():
    class Clash(ref.Linear):
        def forward(self, W):
            return super().forward(W)

    report = check_gradients(Clash(3, 2, rng()), np.ones((2, 3)))
    assert [a.name for a in report.arrays] == ["input W", "W", "b"]
    assert report.ok


def test_a_plain_pair_of_functions():
    pair = types.SimpleNamespace(forward=lambda x: (x**2, x), backward=lambda dy, x: 2 * x * dy)
    assert check_gradients(pair, [1.0, 2.0, 3.0]).ok
    pair.backward = lambda dy, x: x * dy
    assert "0.5 times" in check_gradients(pair, [1.0, 2.0, 3.0]).cause


def test_values_that_are_not_finite_are_named():
    pair = types.SimpleNamespace(forward=lambda x: (np.log(x), x), backward=lambda dy, x: dy / x)
    report = check_gradients(pair, np.array([1.0, -1.0]))
    assert not report.ok
    assert "not finite in y, first at [1]" in report.cause
    assert check_gradients(pair, np.array([1.0, 1e-3])).ok  # the larger steps leave the domain


class Scale:
    """A 0-d parameter, whose gradient becomes a NumPy scalar at the first `+`."""

    def __init__(self):
        self.params, self.grads = {"a": np.array(2.0)}, {"a": np.array(0.0)}

    def forward(self, x):
        return self.params["a"] * x, x

    def backward(self, dy, x):
        self.grads["a"] = self.grads["a"] + (dy * x).sum()
        return [dy * self.params["a"]]


class GradsMadeLater(Scale):
    def __init__(self):
        super().__init__()
        self.grads = {}

    def backward(self, dy, x):
        self.grads.setdefault("a", np.array(0.0))
        return super().backward(dy, x)


class OneBuffer(Scale):
    """Returns the same memory from every forward."""

    def forward(self, x):
        self.y = getattr(self, "y", np.zeros(x.shape, np.result_type(x, self.params["a"])))
        self.y[...] = self.params["a"] * x
        return self.y, x


@pytest.mark.parametrize("layer", [Scale, GradsMadeLater, OneBuffer])
def test_learners_habits_that_are_right(layer):
    report = check_gradients(layer(), np.arange(3.0))
    assert report.ok, report
    assert [a.name for a in report.arrays] == ["x", "a"]


# -- modes


def test_fast_mode_on_a_large_array():
    layer, x = ref.Linear(60, 80, rng()), rng(1).standard_normal((4, 60))
    report = check_gradients(layer, x)
    assert report.mode == "fast"
    assert report.ok
    assert report.worst is not None

    class OneWrong(ref.Linear):
        def backward(self, dy, cache):
            dx = super().backward(dy, cache)
            self.grads["W"][17, 33] += 1e-4
            return dx

    for cap in (10_000, 50):
        report = check_gradients(OneWrong(60, 80, rng()), x, max_entries=cap)
        w = next(a for a in report.arrays if a.name == "W")
        assert np.argwhere(w.wrong).tolist() == [[17, 33]]
        assert w.examined.all() == (cap == 10_000)
        assert report.worst[:2] == ("W", (17, 33))


def test_full_mode_examines_everything():
    report = check_gradients(ref.Linear(3, 2, rng()), np.ones((2, 3)), mode="full")
    assert all(a.examined.all() and not a.projections for a in report.arrays)


def test_the_seed_decides():
    a, b, c = (str(check_gradients(ref.RNN(3, 2, rng()), np.ones((2, 2, 3)), seed=s)) for s in (1, 1, 2))
    assert a == b
    assert a != c


# -- witnesses


def test_the_complex_step_finds_what_the_ladder_cannot():
    class Slightly(ref.Linear):
        def backward(self, dy, cache):
            dx = super().backward(dy, cache)
            self.grads["W"][0, 0] += 3e-8 * (cache.T @ dy)[0, 0]
            return dx

    x = rng().standard_normal((3, 4))
    assert not check_gradients(Slightly(4, 2, rng()), x).ok
    assert check_gradients(RealOnly(Slightly(4, 2, rng())), x).ok


def test_a_forward_that_is_not_analytic_leaves_the_ladder_alone():
    pair = types.SimpleNamespace(forward=lambda x: (np.abs(x) * x.real, x), backward=lambda dy, x: 2 * np.abs(x) * dy)
    report = check_gradients(pair, rng().standard_normal(5))
    assert report.ok
    assert report.arrays[0].witness == "ladder (complex: disagrees)" or "no" in report.arrays[0].witness


# -- float32


class Linear32:
    """Computes in the dtype of its parameters; `astype` in place, as the library's layers have it."""

    def __init__(self, dtype=np.float32, bug=0.0):
        self.params = {"W": rng(3).standard_normal((4, 3)).astype(dtype)}
        self.grads = {"W": np.zeros((4, 3), dtype)}
        self.bug = bug

    def astype(self, dtype):
        for arrays in (self.params, self.grads):
            arrays["W"] = arrays["W"].astype(dtype)
        return self

    def forward(self, x):
        return x @ self.params["W"], x

    def backward(self, dy, x):
        dW = x.T @ dy
        self.grads["W"] += dW * (1 + self.bug) if dW.dtype == np.float32 else dW
        return dy @ self.params["W"].T


def test_float32_is_compared_with_float64():
    x = rng().standard_normal((5, 4)).astype(np.float32)
    report = check_gradients(Linear32(), x)
    assert report.ok
    assert all(0 < a.precision < 1e-5 for a in report.arrays)
    report = check_gradients(Linear32(bug=1e-3), x)
    assert not report.ok
    assert "in float32 the gradient of W is off by" in report.cause
    assert not any(a.wrong.any() for a in report.arrays)


def test_float32_parameters_without_astype_are_converted():
    layer = ref.Linear(4, 3, rng())
    layer.params = {n: p.astype(np.float32) for n, p in layer.params.items()}
    layer.W, layer.b = layer.params["W"], layer.params["b"]
    layer.grads = {n: np.zeros_like(p) for n, p in layer.params.items()}
    assert check_gradients(layer, np.ones((2, 4), np.float32)).ok


def test_a_forward_that_insists_on_float32_gets_a_sentence():
    pair = types.SimpleNamespace(forward=lambda x: (x.astype(np.float32), x), backward=lambda dy, x: dy)
    with pytest.raises(TypeError, match="returned float32 for float64 inputs"):
        check_gradients(pair, np.ones(3))


# -- wrong use


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (object(), (np.ones(3),), "object has no forward"),
        (types.SimpleNamespace(forward=len), (np.ones(3),), "has no backward"),
        (ref.Linear, (np.ones(3),), "got the class Linear"),
        (ref.Softmax(), (), "needs the layer's inputs"),
        (ref.Softmax(), (np.ones(3), np.ones(3)), "takes 1 inputs"),
        (ref.CrossEntropy(), (np.ones((2, 3)),), "also needs labels"),
        (ref.Softmax(), (np.ones(3) + 1j,), "real inputs"),
        (
            types.SimpleNamespace(forward=lambda x: x, backward=lambda dy, c: dy),
            (np.ones(3),),
            "must return .y, cache.",
        ),
    ],
)
def test_wrong_use_is_one_sentence(layer, inputs, message):
    with pytest.raises(TypeError, match=message) as caught:
        check_gradients(layer, *inputs)
    assert "\n" not in str(caught.value)


def test_wrong_settings():
    with pytest.raises(ValueError, match="mode is 'quick'"):
        check_gradients(ref.Softmax(), np.ones((1, 2)), mode="quick")
    with pytest.raises(ValueError, match="max_entries is 0"):
        check_gradients(ref.Softmax(), np.ones((1, 2)), max_entries=0)


# -- the report


@pytest.fixture
def wrong_report():
    return check_gradients(ref.LSTM(3, 2, rng(), "times 1.001"), rng().standard_normal((4, 2, 3)))


def test_worst_has_both_values(wrong_report):
    worst = wrong_report.worst
    assert worst._fields == ("name", "index", "analytic", "numeric", "error", "tolerance")
    assert (worst.name, worst.index) == ("Wh", (1, 2))
    assert worst.analytic == pytest.approx(1.001 * worst.numeric, rel=1e-8)
    assert worst.error == pytest.approx(abs(worst.analytic - worst.numeric))
    assert worst.error > worst.tolerance > 0


def test_text(wrong_report):
    text = str(wrong_report)
    assert max(map(len, text.splitlines())) <= 110
    assert "WRONG" in text and "Wh[1, 2]" in text and "likely cause" in text
    with pytest.raises(AssertionError, match="Wh"):
        wrong_report.raise_if_wrong()
    assert not wrong_report


def test_html_is_well_formed_and_escaped(wrong_report):
    wrong_report.title = "<LSTM & co>"
    root = ElementTree.fromstring(wrong_report._repr_html_().replace("&#10007;", "x"))
    pictures = list(root.iter("{http://www.w3.org/2000/svg}svg"))
    assert len(pictures) == 2
    assert all(p.get("aria-label") for p in pictures)
    assert len(list(pictures[0].iter("{http://www.w3.org/2000/svg}circle"))) == 1  # one wrong entry, one dot
    assert len(list(root.iter("tr"))) == 1 + len(wrong_report.arrays)


def test_html_without_anything_judged():
    html = check_gradients(ref.Activation("relu"), np.zeros((1, 2)))._repr_html_()
    assert "nothing could be judged" in html
    assert "<svg" not in html


def test_plot(wrong_report, tmp_path):
    figure = wrong_report.plot()
    figure.savefig(tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 10_000
    titles = [axes.get_title() for axes in figure.axes]
    assert "Wh, 1 of 16 entries wrong" in titles
    assert "Wh[1, 2]" in titles
    with pytest.raises(ValueError, match="nothing to plot"):
        check_gradients(ref.Activation("relu"), np.zeros((1, 2))).plot()


def test_a_correct_report_can_be_shown_too():
    report = check_gradients(ref.Linear(3, 2, rng()), np.ones((2, 3)))
    assert bool(report) and report.worst.error <= report.worst.tolerance
    ElementTree.fromstring(report._repr_html_().replace("&#10003;", "x"))
    report.plot()
