"""Every planted bug is caught, and the common ones are named."""

import numpy as np
import pytest
from gradcheck import reference as ref

from minidni.gradcheck import check_gradients

B, D, H, T = 5, 4, 3, 6  # all different, so that no factor or shape fits by accident


def linear(bug, rng):
    square = bug in ("W for W.T", "copy of W for W.T", "W and db", "dW transposed", "dx for dW")
    n = D if square else B if "wrong axis" in bug else H
    return ref.Linear(D, n, rng, bug), rng.standard_normal((D if bug == "dx for dW" else B, D))


def activation(kind):
    return lambda bug, rng: (ref.Activation(kind, bug), rng.standard_normal((B, D)))


def recurrent(cls):
    return lambda bug, rng: (cls(D, H, rng, bug), rng.standard_normal((T, B, D)))


BUILD = {
    "linear": linear,
    "tanh": activation("tanh"),
    "sigmoid": activation("sigmoid"),
    "relu": activation("relu"),
    "softmax": lambda bug, rng: (ref.Softmax(bug), rng.standard_normal((B, D))),
    "two": lambda bug, rng: (ref.TwoLayer(D, 7, H, rng, bug), rng.standard_normal((B, D))),
    "rnn": recurrent(ref.RNN),
    "lstm": recurrent(ref.LSTM),
    "layernorm": lambda bug, rng: (ref.Norm(7, rng, "features", bug), rng.standard_normal((B, 7))),
    "batchnorm": lambda bug, rng: (ref.Norm(D, rng, "batch", bug), rng.standard_normal((B, D))),
    "conv": lambda bug, rng: (ref.Conv2d(2, H, 3, rng, bug), rng.standard_normal((B, 2, 6, 5))),
    "pool": lambda bug, rng: (ref.MaxPool(bug), rng.standard_normal((2, 3, 4, 6))),
    "dropout": lambda bug, rng: (ref.Dropout(0.5, np.random.default_rng(3), bug), rng.standard_normal((B, D))),
    "embedding": lambda bug, rng: (ref.Embedding(4, H, rng, bug), rng.integers(4, size=(B, 6))),
    "crossentropy": lambda bug, rng: (ref.CrossEntropy(bug), rng.standard_normal((B, D)), rng.integers(D, size=B)),
    "squared": lambda bug, rng: (ref.SquaredError(bug), rng.standard_normal((B, D)), rng.standard_normal((B, D))),
}

# layer, bug, words of the likely cause ("" where any sentence will do)
BUGS = [
    ("linear", "sign of dW", "gradient of W is the negative of what it should be: a sign"),
    ("linear", "factor 2", "x, W, b is 2 times what it should be: a factor 2"),
    ("linear", "half dx", "gradient of x is 0.5 times what it should be: a factor 1/2"),
    ("linear", "factor B", "W, b is 5 times what it should be: 5 is the batch size, a sum where a mean was meant"),
    ("linear", "factor 1/B", "with the batch size 5, a mean where a sum was meant"),
    ("linear", "db mean", "gradient of b is 0.2 times what it should be: 1/5 with the batch size 5"),
    ("linear", "W for W.T", "W is used untransposed in the gradient of x: W where W.T belongs"),
    ("linear", "dW transposed", "gradient of W is transposed"),
    ("linear", "dW shape transposed", "W has shape (3, 4), but W has shape (4, 3): it is the transpose"),
    ("linear", "db not summed", "the sum over axis 0 of the gradient is missing"),
    ("linear", "db over all axes", "of b are equal, the sum of the right ones: it is summed over one axis too many"),
    ("linear", "db mean over all axes", "of b are equal, 0.2 times the mean of the right ones"),
    ("linear", "db over the wrong axis", "b is dy summed over axis 1, where the sum over axis 0 is right"),
    ("linear", "db mean over the wrong axis", "b is dy averaged over axis 1, where the sum over axis 0 is right"),
    ("linear", "copy of W for W.T", "W is used untransposed in the gradient of x: W where W.T belongs"),
    ("linear", "W and db", "W is used untransposed in the gradient of x: W where W.T belongs"),
    ("linear", "W and db", "it is summed over one axis too many"),
    ("linear", "db keepdims", "only the shape differs"),
    ("linear", "db first row", "sum over axis 0 (batch) is missing in the gradient of b: only the first"),
    ("linear", "zero db", "gradient of b is all zeros"),
    ("linear", "x1.001 on one weight", "wrong only in W[3, 2], where it is 1.001 times"),
    ("linear", "one column", "wrong only in column 1 of W, where it is the negative"),
    ("linear", "one row lost", "wrong only in row 2 of W, where it is zero"),
    ("linear", "nan", "gradient of W is not finite in 1 entries, first at [1, 1]"),
    ("linear", "dy scaled in place", "backward modifies dy in place"),
    ("linear", "forward modifies x", "forward modifies x in place"),
    ("linear", "x modified in backward", "backward modifies x in place"),
    ("linear", "W modified in backward", "backward modifies params['W'] in place"),
    ("linear", "dx is None", "backward returned None for the gradient of x"),
    ("linear", "dx for dW", "gradients of x and W are swapped"),
    ("linear", "dW shifted", "W is shifted along axis 0: every position comes one step too late"),
    ("linear", "= for +=", "backward overwrites grads['W'] instead of adding"),
    ("linear", "reassigned with =", "backward overwrites grads['W'] instead of adding"),
    ("linear", "adds half of the old", "backward does not add to grads['W']"),
    ("linear", "grads named otherwise", "grads has no gradient of that name (it has dW, db)"),
    ("tanh", "tanh' from the input", "1 - x^2 (the input where the output was meant)"),
    ("tanh", "tanh twice", "tanh applied twice"),
    ("tanh", "tanh' without the square", "1 - y (a square is missing)"),
    ("tanh", "derivative forgotten", "dy is multiplied by 1"),
    ("tanh", "shifted", "shifted along axis 0"),
    ("tanh", "cache eaten", "backward changes its cache"),
    ("sigmoid", "sigmoid' without (1 - s)", "a factor 1 - y is missing"),
    ("sigmoid", "sigmoid' without s", "a factor y is missing"),
    ("sigmoid", "sigmoid' from the input", "x (1 - x) (the input where the output was meant)"),
    ("sigmoid", "sigmoid twice", "s the sigmoid (applied twice)"),
    ("sigmoid", "derivative forgotten", "dy is multiplied by 1"),
    ("relu", "relu on dy", "backward is not linear in dy"),
    ("relu", "derivative forgotten", "a mask, is forgotten"),
    ("softmax", "zeros", "gradient of x is all zeros"),
    ("softmax", "diagonal only", ""),
    ("softmax", "no sum", "the term with sum(dy * y) is missing"),
    ("two", "no tanh'", ""),
    ("two", "tanh' of h", ""),
    ("two", "W2 from x1.01", "gradient of W2 is"),
    ("two", "b1 from dh", "gradient of b1"),
    ("rnn", "dsT ignored", "dsT is ignored"),
    ("rnn", "dy ignored", "dy is ignored: the gradient that flows in through y is lost."),
    (
        "rnn",
        "dsT twice",
        "what flows in through dsT is 2 times what it should be: a factor 2, or something counted twice",
    ),
    ("rnn", "no path through time", "what flows from one position to another is wrong or missing"),
    ("rnn", "dy one step late", ""),
    ("rnn", "h_t for h_t-1", "gradient of Wh"),
    ("rnn", "b from the last step", "sum over axis 0 (time) is missing in the gradient of b: only the last"),
    ("rnn", "Wh for Wh.T", "backward needs Wh transposed"),
    ("rnn", "dx shifted", "shifted along axis 0: every position comes one step too early"),
    ("lstm", "dsT ignored", "dsT is ignored"),
    ("lstm", "only dh of dsT", "the part [..., 3:6] of dsT is ignored"),
    ("lstm", "dc of dsT twice", "the part [..., 3:6] of dsT is used wrongly"),
    ("lstm", "dsT modified", "backward modifies dsT in place"),
    ("lstm", "dy modified", "backward modifies dy in place"),
    ("lstm", "s0 modified", "forward modifies s0 in place"),
    ("lstm", "no o path of dc", "(blocks 0, 1, 3 of 4) of b"),
    ("lstm", "no tanh' of c", ""),
    ("lstm", "c_t for c_t-1", "(block 1 of 4) of b"),
    ("lstm", "no (1 - i)", "(block 0 of 4) of b"),
    ("lstm", "1 - g", "(block 3 of 4) of b"),
    ("lstm", "gates in another order", "gates in another order"),
    ("lstm", "b from the last step", "sum over axis 0 (time) is missing in the gradient of b: only the last"),
    ("lstm", "no dh through time", "wrong only in columns 0:3 (block 0 of 2) of s0, where it is zero"),
    ("lstm", "no forget gate on dc", ""),
    ("lstm", "mean over time", "b is 0.166667 times what it should be: 1/6 with the number of time steps 6"),
    ("lstm", "times 1.001", "wrong only in Wh[1, 2], where it is 1.001 times"),
    ("lstm", "times 1.00001", "wrong only in Wh[1, 2], where it is 1.00001 times"),
    ("lstm", "ds0 zero", "gradient of s0 is all zeros"),
    ("lstm", "= for Wx", "backward overwrites grads['Wx'] instead of adding"),
    ("layernorm", "no mean term", "the error is the same all along axis 1: the term from a mean"),
    ("layernorm", "no variance term", "a term from the mean or the variance over it is missing"),
    ("layernorm", "statistics constant", "a term from the mean or the variance over it is missing"),
    ("batchnorm", "no mean term", "the error is the same all along axis 0: the term from a mean"),
    ("batchnorm", "no variance term", "axis 0 the error is linear in x"),
    ("batchnorm", "statistics constant", "axis 0 the error is linear in x"),
    ("conv", "kernel flipped", "backward needs W flipped"),
    ("conv", "dW flipped", "W is flipped along axes 2, 3"),
    ("conv", "db averaged over rows", "gradient of b is 0.25 times"),
    ("pool", "shared among all four", ""),
    ("dropout", "mask not applied", "a mask, is forgotten"),
    ("dropout", "not rescaled", "gradient of x is 0.5 times"),
    ("embedding", "repeated tokens lost", "E is right only if no index occurs twice in tokens"),
    ("crossentropy", "sum for mean", "h is 5 times what it should be: 5 is the batch size, a sum where a mean"),
    ("crossentropy", "labels forgotten", "gradient ignores labels"),
    ("squared", "sign", "a sign"),
    ("squared", "factor 2", "2 times what it should be"),
]


@pytest.mark.parametrize(("layer", "bug", "words"), BUGS, ids=[f"{layer}: {bug}" for layer, bug, _ in BUGS])
def test_bug_is_caught_and_named(layer, bug, words):
    report = check_gradients(*BUILD[layer](bug, np.random.default_rng(1)), seed=2)
    assert not report.ok
    assert report.cause
    assert words in report.cause, report.cause


@pytest.mark.parametrize("layer", BUILD)
def test_the_same_layer_without_a_bug_is_right(layer):
    report = check_gradients(*BUILD[layer]("", np.random.default_rng(1)), seed=2)
    assert report.ok, report
    assert report.cause is None


@pytest.mark.parametrize(
    ("layer", "bug"), [(layer, bug) for layer, bug, _ in BUGS if bug not in ("times 1.00001",)][::3]
)
def test_fast_mode_catches_it_too(layer, bug):
    assert not check_gradients(*BUILD[layer](bug, np.random.default_rng(1)), mode="fast").ok


def test_a_missing_state_gradient_is_found_where_the_state_is_given():
    rng = np.random.default_rng(0)
    report = check_gradients(ref.RNN(D, H, rng, "no ds0"), rng.standard_normal((T, B, D)), rng.standard_normal((B, H)))
    assert "1 gradient for 2 inputs: the one of s0 is missing" in report.cause


def test_a_cotangent_that_backward_cannot_take_is_found():
    class Deaf(ref.RNN):
        def backward(self, dy, cache):
            return super().backward(dy, cache)

    rng = np.random.default_rng(0)
    report = check_gradients(Deaf(D, H, rng), rng.standard_normal((T, B, D)))
    assert "no argument for the gradient of output 1" in report.cause
    assert not any(a.wrong.any() for a in report.arrays)


def test_gradients_of_parameters_returned_instead_of_added():
    class Returned(ref.Linear):
        def backward(self, dy, x):
            return dy @ self.W.T, x.T @ dy, dy.sum(0)

    rng = np.random.default_rng(0)
    report = check_gradients(Returned(D, H, rng), rng.standard_normal((B, D)))
    assert "returned 3 gradients, but forward takes 1 input" in report.cause


def test_a_parameter_that_forward_does_not_read():
    layer = ref.Linear(D, H, np.random.default_rng(0))
    layer.params["W"] = layer.W.copy()  # the classic: params and the attribute have parted
    report = check_gradients(layer, np.ones((B, D)))
    assert "forward does not read params['W']" in report.cause
