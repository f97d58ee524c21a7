"""What a learner may rely on: no misleading cause, errors in words, stashed state found, no unfounded verdict."""

import types

import numpy as np
import pytest
from gradcheck import reference as ref
from gradcheck.sweep import RealOnly

from minidni import Linear, ReLU, Sequential
from minidni.gradcheck import check_gradients, diagnose
from minidni.gradcheck.evidence import Case
from minidni.gradcheck.report import ArrayReport


def rng(seed=0):
    return np.random.default_rng(seed)


def pair(forward, backward):
    return types.SimpleNamespace(forward=forward, backward=backward)


# -- causes


@pytest.mark.parametrize("seed", range(5))
def test_forgotten_labels_are_not_explained_by_numbers(seed):
    draw = rng(seed)
    labels = np.array([0, 2, 1, 1, 0])
    cause = check_gradients(ref.CrossEntropy("labels forgotten"), draw.standard_normal((5, 3)), labels, seed=seed).cause
    assert cause == "gradient ignores labels: with other labels the gradient of h stays the same."


@pytest.mark.parametrize("labels", [np.array([1]), np.array([2, 2, 2])])
def test_where_labels_cannot_be_exchanged_nothing_is_guessed(labels):
    cause = check_gradients(ref.CrossEntropy("labels forgotten"), rng().standard_normal((len(labels), 3)), labels).cause
    assert "times" not in cause and "position" not in cause and "ignores" not in cause


def test_a_factor_that_is_a_coincidence_is_not_claimed():
    class SquaredWeight(ref.Learner):
        def forward(self, x):
            return x * self.params["a"], x

        def backward(self, dy, x):
            self.grads["a"] += (dy * x).sum()
            return dy * self.params["a"] ** 2  # once too often; with a = 2 it looks like a factor 2

    cause = check_gradients(SquaredWeight(a=2.0), rng().standard_normal((4, 3))).cause
    assert "times" not in cause
    assert cause == "no common mistake explains the gradient of x: a term is missing, extra or wrong."


@pytest.mark.parametrize("shape", [(2, 3), (5, 3), (2, 2, 3), (2, 7, 3)])
def test_a_factor_2_is_not_taken_for_a_batch_of_2(shape):
    half = pair(lambda x: (x**2, x), lambda dy, x: dy * x)
    cause = check_gradients(half, rng().standard_normal(shape)).cause
    assert cause == "the gradient of x is 0.5 times what it should be: a factor 1/2, or a forgotten 2."


def test_a_batch_of_2_is_not_taken_for_a_factor_2():
    cause = check_gradients(ref.CrossEntropy("sum for mean"), rng().standard_normal((2, 3)), np.array([0, 2])).cause
    assert "2 is the batch size, a sum where a mean was meant" in cause
    assert "twice" not in cause


def test_weights_used_from_the_other_side_are_told_apart():
    """With y = x @ W.T, as some libraries have it, it is W that belongs into backward."""

    class Other(ref.Learner):
        def forward(self, x):
            return x @ self.params["W"].T, x

        def backward(self, dy, x):
            self.grads["W"] += dy.T @ x
            return dy @ self.params["W"].T

    cause = check_gradients(Other(W=rng().standard_normal((3, 3))), rng().standard_normal((4, 3))).cause
    assert "W.T where W belongs" in cause


def test_between_positions_needs_gradients_that_are_not_zero():
    """With one position the difference of neighbours is 0 and so is every gradient: that proves nothing."""
    cumulative = pair(lambda x: (x - x[:1], x), lambda dy, x: np.tanh(1.0) * dy * np.arange(len(x))[:, None])
    cause = check_gradients(cumulative, rng().standard_normal((4, 3))).cause
    assert "all is right" not in cause


def test_a_claim_has_to_hold_twice(monkeypatch):
    seen = []

    def hasty(case: Case):
        seen.append(case)
        return case.claim(f"guess {len(seen)}")

    monkeypatch.setattr(diagnose, "GUESSES", (hasty,))
    report = check_gradients(ref.Softmax("diagonal only"), rng().standard_normal((3, 4)))
    assert len(seen) == 2
    assert "guess" not in report.cause
    assert not np.allclose(seen[0].subject.inputs[0], seen[1].subject.inputs[0])


# -- exceptions


def test_a_backward_that_raises_is_named_with_its_shapes():
    class NoTranspose(ref.Linear):
        def forward(self, x):
            return x @ self.W + self.b, {"x": x}

        def backward(self, dy, cache):
            return dy @ self.W

    with pytest.raises(ValueError, match=r"NoTranspose\.backward raised ValueError: matmul") as caught:
        check_gradients(NoTranspose(4, 3, rng()), np.ones((5, 4)))
    text = str(caught.value)
    assert "\n" not in text
    for words in ("dy (5, 3)", "cache['x'] (5, 4)", "params['W'] (4, 3)"):
        assert words in text
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("layer", "kind", "words"),
    [
        (pair(lambda x: (x @ np.ones((4, 2)), x), None), ValueError, r"forward raised ValueError: matmul.*x \(2, 3\)"),
        (
            pair(lambda x: (x, (x, x[0])), lambda dy, c: dy + c[2]),
            ValueError,
            r"backward raised IndexError.*cache\[1\]",
        ),
        (pair(lambda x: (x, None), lambda dy, c: dy * c), TypeError, r"backward raised TypeError.*dy \(2, 3\)"),
        (pair(lambda x: (x, {"x": x}), lambda dy, c: c["y"]), ValueError, "backward raised KeyError: 'y'"),
        (pair(lambda x: (x, x), lambda dy, c: c.y), TypeError, "backward raised AttributeError"),
    ],
)
def test_whatever_is_raised_becomes_a_sentence(layer, kind, words):
    layer.backward = layer.backward or (lambda dy, cache: dy)
    with pytest.raises(kind, match=words) as caught:
        check_gradients(layer, np.ones((2, 3)))
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_not_implemented_passes_unchanged(method):
    def todo(*_):
        raise NotImplementedError("your turn")

    layer = pair(lambda x: (x, x), lambda dy, x: dy)
    setattr(layer, method, todo)
    with pytest.raises(NotImplementedError, match=r"^your turn$"):
        check_gradients(layer, np.ones(3))


# -- state left on the layer


class Stashing:
    """Right, as long as one pass at a time is under way."""

    def forward(self, x):
        self.x = x
        return np.sin(x), None

    def backward(self, dy, cache):
        return dy * np.cos(self.x)


class StashedMask(ref.Dropout):
    def forward(self, x):
        y, self.keep = super().forward(x)
        return y, None

    def backward(self, dy, cache):
        return dy * self.keep


class StashedProbabilities(ref.CrossEntropy):
    def value(self, h, labels):
        self.p = np.exp(h) / np.exp(h).sum(-1, keepdims=True)
        return super().value(h, labels)

    def gradient(self, h, labels):
        return (self.p - np.eye(h.shape[1])[labels]) / len(h)


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (Stashing(), (rng().standard_normal((3, 2)),)),
        (StashedMask(0.5, rng(1)), (rng().standard_normal((6, 4)),)),
        (StashedProbabilities(), (rng().standard_normal((4, 3)), np.array([0, 2, 1, 1]))),
    ],
)
def test_state_left_on_the_layer_is_found(layer, inputs):
    report = check_gradients(layer, *inputs)
    assert not report.ok
    assert not any(a.wrong.any() for a in report.arrays)
    assert "backward uses what the last forward left on the layer, not its cache" in report.cause
    assert "the values agree, but not all is well" in report.verdict()


def test_running_statistics_and_generators_are_no_stashed_state():
    assert check_gradients(ref.Norm(3, rng(), "batch"), rng().standard_normal((5, 3))).ok
    assert check_gradients(ref.Dropout(0.5, rng(1)), rng().standard_normal((5, 3))).ok


def test_an_input_that_cannot_be_shuffled_is_no_stashed_state():
    def forward(x, order):
        if (np.diff(order) < 0).any():
            raise ValueError("order must be sorted")
        return x[order], (x.shape, order)

    def backward(dy, cache):
        dx = np.zeros(cache[0])
        np.add.at(dx, cache[1], dy)
        return dx, None

    assert check_gradients(pair(forward, backward), rng().standard_normal(4), np.array([0, 1, 1, 2, 3])).ok


# -- loopholes


def kinked(slope):
    return pair(lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * np.where(x == 0, slope, x > 0))


@pytest.mark.parametrize("slope", [5.0, -1.0, 1.1, -0.1])
@pytest.mark.parametrize("wrap", [RealOnly, lambda layer: layer])
def test_at_a_kink_a_value_outside_the_two_slopes_is_wrong(slope, wrap):
    x = rng().standard_normal((3, 4))
    x[0, 0] = x[1, 2] = 0.0
    report = check_gradients(wrap(kinked(slope)), x)
    assert not report.ok
    assert np.argwhere(report.arrays[0].wrong).tolist() == [[0, 0], [1, 2]]
    assert not report.arrays[0].kink.any()
    assert "at a kink the gradient of" in report.cause
    assert "lies outside the slopes on its two sides" in report.cause
    assert not check_gradients(kinked(slope), np.zeros((2, 2))).ok


@pytest.mark.parametrize("slope", [0.0, 0.3, 0.5, 1.0])
def test_at_a_kink_every_convention_is_accepted(slope):
    x = rng().standard_normal((3, 4))
    x[0, 0] = 0.0
    report = check_gradients(kinked(slope), x)
    assert report.ok
    assert slope == 0.5 or ", 1 of 12 not judged" in report.verdict()  # 0.5 is what central differences see


def test_kinks_that_meet_by_chance_are_no_alarm():
    """A row of zeros puts every hidden unit on its kink: the slopes of the two sides say nothing then."""
    for seed in range(20):
        net = Sequential(Linear(3, 6, rng=rng(seed)), ReLU(), Linear(6, 2, rng=rng(seed + 50))).astype(np.float64)
        x = rng(seed).standard_normal((4, 3))
        x[1] = 0.0
        report = check_gradients(net, x)
        assert not any(a.wrong.any() for a in report.arrays), report
        assert report.arrays[0].kink.any()
    both = pair(lambda x: (np.stack([x * (x > 0), -x * (x < 0)]), x), lambda dy, x: dy[0] * (x > 0) - dy[1] * (x < 0))
    assert check_gradients(both, np.array([0.0, 0.0, 0.0, 1.0])).ok


def test_an_array_of_which_nothing_was_judged_is_not_ok():
    wrong_at_kinks = pair(
        lambda x, z: (np.maximum(x, 0) * z, (x, z)),
        lambda dy, c: (0.7 * dy * c[1] * (c[0] >= 0), dy * np.maximum(c[0], 0)),
    )
    report = check_gradients(wrong_at_kinks, np.zeros((2, 3)), rng().standard_normal((2, 3)))
    assert not report.ok
    assert "6 of 12 not judged" in report.verdict()
    assert "nothing could be judged in x" in report.verdict()
    assert "no entry of x could be judged (6 on a kink" in report.cause


def test_a_wide_tolerance_is_no_acquittal():
    """A forward that is rough below a step of 1e-2 cannot be differentiated: no wrong gradient may pass as judged."""
    rough = pair(lambda x: (x + 1e-3 * np.sin(1e7 * x) + 1e-3 * np.sin(3e9 * x), x), lambda dy, x: 3 * dy)
    report = check_gradients(RealOnly(rough), rng().standard_normal((2, 3)))
    assert not report.ok
    a = report.arrays[0]
    assert not (a.judged & ~a.wrong).any()


def test_masks_of_an_array():
    full = np.ones(3)
    a = ArrayReport("x", full, full, full, full > 0, np.array([True, False, False]))
    a.vague[1] = True
    assert a.judged.tolist() == [False, False, True]
    assert not a.unjudged
    a.vague[2] = True
    assert a.unjudged
    a.projections = 2
    assert not a.unjudged
