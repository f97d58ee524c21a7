"""check_equal lets pass what is equal to rounding, and says of anything else what is wrong with it."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidni.gradcheck import check_equal

a = np.random.default_rng(0).standard_normal((3, 4))
square = a[:, :3]


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 5), m=st.integers(1, 5), size=st.floats(1e-3, 1e6))
def test_rounding_passes_and_one_entry_that_is_off_does_not(seed, n, m, size):
    rng = np.random.default_rng(seed)
    expected = size * rng.standard_normal((n, m))
    check_equal("dW", expected * (1 + 1e-13), expected)
    i, j = rng.integers(n), rng.integers(m)
    got = expected.copy()
    got[i, j] += 1e-3 * max(1.0, np.abs(expected).max())
    with pytest.raises(AssertionError, match=rf"^dW\[{i}, {j}\] is "):
        check_equal("dW", got, expected)


@pytest.mark.parametrize(
    ("got", "expected", "sentence"),
    [
        (None, a, "dW is None: is there a return?"),
        (a + 0j, a, "dW is complex, expected real numbers: take the absolute value."),
        ("a text", a, "dW is of type str, expected an array of numbers."),
        (a[0], a, "dW has shape (4,), expected (3, 4)."),
        (a.T, a, "dW has shape (4, 3), expected (3, 4). Likely: it is transposed."),
        (2.0, 3.0, "dW is 2, expected 3."),
    ],
)
def test_the_sentence(got, expected, sentence):
    with pytest.raises(AssertionError) as failure:
        check_equal("dW", got, expected)
    assert str(failure.value) == sentence


@pytest.mark.parametrize(
    ("got", "expected", "end"),
    [
        (square.T, square, " Likely: it is transposed."),
        (-a, a, " Likely: the sign is wrong."),
        (a / 4, a, " All of it is 0.25 times that."),
        (a + 1, a, None),
        (0 * a, a, None),
        (np.where(a > 1, np.nan, a), a, None),
        (a + 1, 0 * a, None),
        (a**2, a, " Likely: it is squared."),
    ],
)
def test_the_likely_cause(got, expected, end):
    with pytest.raises(AssertionError) as failure:
        check_equal("dW", got, expected, {"it is squared": a**2, "another shape": np.ones(2)})
    sentence = str(failure.value)
    assert re.fullmatch(r"dW\[\d, \d\] is \S+, expected [^ ]+\.( .*)?", sentence)[1] == end


def test_nothing_to_compare_is_equal():
    check_equal("dW", np.zeros((0, 3)), np.zeros((0, 3)))
