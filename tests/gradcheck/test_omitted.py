"""None in place of a state or of its cotangent must do what explicit zeros do."""

import numpy as np
import pytest
from gradcheck import reference as ref

import minidni
from minidni.gradcheck import check_gradients


def rng(seed=0):
    return np.random.default_rng(seed)


class Wrong(ref.LSTM):
    """Right wherever everything is given; `when` names the call in which it is not."""

    when = ""

    def forward(self, x, s0=None, cache=None):
        y, sT, kept = super().forward(x, s0)
        if self.when == "forward" and s0 is None:
            y = y + 0.01
        return y, sT, (kept, s0 is None)

    def backward(self, dy, cache, dsT=None):
        kept, fresh = cache
        dx, ds0 = super().backward(np.zeros_like(kept[1][1:]) if dy is None else dy, kept, dsT)
        if self.when == "dsT" and dsT is None:
            ds0 = 2 * ds0
        if self.when == "s0" and fresh:
            self.grads["Wh"] = 1.1 * self.grads["Wh"]
        if self.when == "dy" and dy is None:
            dx = -dx
        if self.when == "both" and dsT is None and fresh:
            ds0 = 0 * ds0
        return dx, ds0


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("dsT", "with dsT None the gradient of s0 differs from that with dsT zero."),
        ("s0", "with s0 None the gradient of Wh differs from that with s0 zero."),
        ("dy", "with dy None the gradient of x differs from that with dy zero."),
        ("both", "with s0 and dsT None the gradient of s0 differs from that with s0 and dsT zero."),
        ("forward", "with s0 None forward gives another y than with s0 zero."),
        ("", None),
    ],
)
def test_none_must_be_zeros(when, words):
    layer = Wrong(3, 2, rng())
    layer.when = when
    report = check_gradients(layer, rng(1).standard_normal((4, 2, 3)))
    assert report.cause == words
    assert report.ok == (words is None)
    assert not any(a.wrong.any() for a in report.arrays)


@pytest.mark.parametrize("kind", [minidni.RNN, minidni.GRU, minidni.LSTM])
def test_the_recurrent_layers_take_none_for_zeros(kind):
    assert check_gradients(kind(3, 2, rng=rng()).astype(np.float64), rng(1).standard_normal((4, 2, 3))).ok


def test_an_optional_input_that_is_no_state_may_mean_anything():
    class Weighted:
        def forward(self, x, weight=None):
            w = np.ones_like(x) if weight is None else weight
            return x * w, np.sum(x), (x, w)

        def backward(self, dy, cache, d_sum):
            x, w = cache
            return dy * w + d_sum, dy * x

    assert check_gradients(Weighted(), rng().standard_normal((3, 4))).ok
