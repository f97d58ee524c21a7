"""What once passed unseen or was wrongly blamed: kinks among thousands, shared layers, odd parameters and inputs."""

import types

import numpy as np
import pytest
from gradcheck import reference as ref

from minidni import Linear, Sequential, Tanh
from minidni.gradcheck import check_gradients


def rng(seed=0):
    return np.random.default_rng(seed)


def pair(forward, backward):
    return types.SimpleNamespace(forward=forward, backward=backward)


# -- fast mode at kinks


def relu(wrong=None):
    def backward(dy, x):
        dx = dy * (x > 0)
        if wrong is not None:
            dx[wrong] *= 1.5
        return dx

    return pair(lambda x: (np.maximum(x, 0), x), backward)


@pytest.mark.parametrize("zeros", [1, 3, 2000])
def test_kinks_do_not_hide_a_wrong_entry_in_fast_mode(zeros):
    x = rng().standard_normal(5000)
    x[rng(1).choice(5000, zeros, replace=False)] = 0.0
    right = check_gradients(relu(), x, mode="fast")
    assert right.ok, right
    assert right.arrays[0].kink.any()
    wrong = int(np.flatnonzero(x > 0)[1234])
    report = check_gradients(relu(wrong), x, mode="fast")
    assert not report.ok
    assert report.arrays[0].wrong[wrong]


def test_different_kinks_are_set_aside_one_by_one():
    x = rng().integers(-3, 4, size=3000).astype(float) + np.where(rng(1).random(3000) < 0.5, 0.3, 0)
    clip = pair(lambda x: (np.clip(x, -1, 2), x), lambda dy, x: dy * ((x > -1) & (x < 2)))
    assert check_gradients(clip, x, mode="fast").ok
    assert not check_gradients(relu(slice(None)), x, mode="fast").ok


def test_nothing_but_kinks_is_not_ok_in_fast_mode():
    report = check_gradients(relu(), np.zeros(3000), mode="fast")
    assert not report.ok
    assert "no entry of x could be judged" in report.cause or "every entry sits on a kink" in report.cause


# -- shared layers


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_layer_used_twice_is_right(dtype):
    shared = Linear(3, 3, rng=rng()).astype(dtype)
    report = check_gradients(Sequential(shared, Tanh(), shared), rng(1).standard_normal((4, 3)))
    assert report.ok, report
    assert [a.name for a in report.arrays] == ["x", "0.W", "0.b", "2.W", "2.b"]


def test_a_wrong_layer_used_twice_is_wrong():
    class Overwriting(Linear):
        def backward(self, dy, cache):
            self.grads.W[...] = 0
            return super().backward(dy, cache)

    shared = Overwriting(3, 3, rng=rng()).astype(np.float64)
    report = check_gradients(Sequential(shared, Tanh(), shared), rng(1).standard_normal((4, 3)))
    assert not report.ok
    assert {a.name for a in report.arrays if a.wrong.any()} == {"0.W", "2.W"}


# -- parameters and inputs that cannot be differentiated by


class Scale:
    def __init__(self, g):
        self.params, self.grads = {"g": g}, {"g": np.zeros(np.shape(g))}

    def forward(self, x):
        return np.asarray(self.params["g"]) * x, x

    def backward(self, dy, x):
        total = (dy * x).sum(0) if np.ndim(self.params["g"]) else (dy * x).sum()
        self.grads["g"] = self.grads["g"] + total
        return dy * np.asarray(self.params["g"])


@pytest.mark.parametrize(
    ("g", "got"),
    [
        (1.3, "of type float"),
        (2, "of type int"),
        (np.float64(1.3), "of type float64"),
        ([1.0, 2.0, 3.0], "of type list"),
        (np.arange(3), "int64"),
        (np.ones(3, dtype=bool), "bool"),
    ],
)
def test_a_parameter_that_cannot_be_checked_is_named(g, got):
    with pytest.raises(TypeError, match=rf"^Scale\.params\['g'\] is {got}, expected a floating array\.$"):
        check_gradients(Scale(g), rng().standard_normal((4, 3)))


def test_a_parameter_without_axes_is_checked():
    x = rng().standard_normal((4, 3))
    report = check_gradients(Scale(np.array(1.3)), x)
    assert report.ok, report
    assert [a.name for a in report.arrays] == ["x", "g"]


def test_integer_inputs_are_said_to_pass_through():
    report = check_gradients(ref.Embedding(5, 3, rng()), np.array([[0, 1], [4, 0]]))
    assert report.ok
    assert any("is int64: passed through, no gradient of it is checked." in n for n in report.notes)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_an_empty_input_is_refused(shape):
    with pytest.raises(ValueError, match=r"x is empty \(shape .*\), expected at least one entry"):
        check_gradients(relu(), np.zeros(shape))


# -- badly scaled inputs


@pytest.mark.parametrize("scale", [1e4, 1e8, 1e10])
@pytest.mark.parametrize("factor", [1.0, 1.01, 0.0])
def test_a_huge_column_does_not_hide_errors_in_the_others(scale, factor):
    class FirstRow(ref.Linear):
        def backward(self, dy, x):
            held = self.grads["W"][0].copy()
            dx = super().backward(dy, x)
            self.grads["W"][0] = held + factor * (self.grads["W"][0] - held)
            return dx

    x = rng().standard_normal((5, 4))
    x[:, 2] *= scale
    report = check_gradients(FirstRow(4, 3, rng(1)), x)
    assert report.ok == (factor == 1.0), report
    if factor != 1.0:
        wrong = next(a.wrong for a in report.arrays if a.name == "W")
        assert wrong[0].sum() >= 2
        assert not wrong[1:].any()


# -- digits lost inside forward


@pytest.mark.parametrize("where", ["W", "x", "y"])
@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_a_forward_in_float32_inside_is_found(where, factor):
    def rounded(a, name):
        return a.astype(np.float32).astype(float) if name == where else a

    class Cast(ref.Linear):
        def forward(self, x):
            return rounded(rounded(x, "x") @ rounded(self.W, "W") + self.b, "y"), x

        def backward(self, dy, x):
            return factor * super().backward(dy, x)

    report = check_gradients(Cast(4, 3, rng(1)), rng().standard_normal((5, 4)))
    assert not report.ok
    assert report.cause.startswith("forward computes with fewer digits than float64")


# -- causes that misled


class Adding(ref.Linear):
    how = ""

    def backward(self, dy, x):
        if self.how == "forgotten dy":
            dy = np.ones_like(dy)
        dx = super().backward(dy, x)
        if self.how == "hidden L2 term":
            self.grads["W"] = self.grads["W"] + 0.1 * self.W
        return dx


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("forgotten dy", "dy is ignored: with dy = 0 the gradient of x, W, b stays the same."),
        ("hidden L2 term", "a part of the gradient of W does not come from dy: with dy = 0 it is not zero."),
    ],
)
def test_what_does_not_come_from_dy_is_said(how, cause):
    layer = Adding(4, 3, rng(1))
    layer.how = how
    report = check_gradients(layer, rng().standard_normal((5, 4)))
    assert not report.ok
    assert sorted(report.cause) == sorted(cause)
    assert report.cause[:20] == cause[:20]


def test_dy_where_x_was_meant_is_still_not_linear():
    square = pair(lambda x: (x**2, x), lambda dy, x: 2 * dy * dy)
    assert "not linear in dy" in check_gradients(square, rng().standard_normal((3, 4))).cause


@pytest.mark.parametrize(("low", "high", "words"), [(0.3, 1.0, "x < 0, where it is 3 times"), (0.1, 2.0, "x > 0")])
def test_a_wrong_branch_is_named_by_its_side(low, high, words):
    def backward(dy, x):
        return dy * np.where(x < 0, low, high)

    leaky = pair(lambda x: (np.where(x < 0, 0.1 * x, x), x), backward)
    cause = check_gradients(leaky, rng().standard_normal((4, 5))).cause
    assert cause.startswith(f"the gradient of x is wrong exactly where {words}")


# -- nonsense in, one sentence out


@pytest.mark.parametrize("seed", ["a", -1, 1.5, None])
def test_a_seed_that_is_none(seed):
    with pytest.raises(ValueError, match=r"^seed is .*, expected a whole number of at least 0\.$"):
        check_gradients(relu(), np.ones(3), seed=seed)


def test_a_backward_without_a_cache():
    with pytest.raises(TypeError, match=r"backward must take \(dy, cache\), it takes \(dy\)\.$"):
        check_gradients(pair(lambda x: (x, x), lambda dy: dy), np.ones(3))


def test_a_cache_may_be_optional_in_backward():
    assert check_gradients(pair(lambda x: (x**2, x), lambda dy, cache=None: 2 * dy * cache), np.ones(3)).ok
