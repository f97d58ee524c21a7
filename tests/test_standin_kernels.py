"""The stand-in's `ElementwiseKernel`: its own source in C is run, as a C++ compiler would have it, and checked."""

import ctypes
import random
import shutil
import subprocess

import numpy as np
import pytest
import standin
from standin.c_source import SourceError

COMPILER = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
LETTERS = {"int64": ctypes.c_longlong, "float32": ctypes.c_float, "float64": ctypes.c_double, "bool": ctypes.c_bool}

#: Names that expressions may use, with their types and values; n and k are never zero.
VALUES = {
    "m": np.array([0, 1, -1, 7, -7, 9, -9, 5], np.int64),
    "n": np.array([2, -2, 3, -3, 4, 1, -4, -5], np.int64),
    "k": np.array([1, 2, 3, -4, 5, -6, 7, 8], np.int32),
    "s": np.array([0.1, -0.3, 1.7, 2.5, -2.5, 1e-3, 4.0, -0.6], np.float32),
    "d": np.array([0.7, 0.1, -1.3, 2.25, 3.5, -1e-9, -4.0, 0.3], np.float64),
    "p": np.array([True, False, True, True, False, False, True, False]),
}

#: Expressions that a translator may get wrong, and what they give for the first two of the values above.
TRICKY = [
    ("1 + 2 * 3 - 4", [3, 3]),
    ("(1 + 2) * 3", [9, 9]),
    ("8 / 4 / 2", [1, 1]),
    ("8 - 4 - 2", [2, 2]),
    ("-m + n", [2, -3]),
    ("- -3", [3, 3]),
    ("7 / 2", [3, 3]),
    ("-7 / 2", [-3, -3]),
    ("7 % -4", [3, 3]),
    ("-7 % 4", [-3, -3]),
    ("7 / 2 * 2.0", [6.0, 6.0]),
    ("7 / 2.0", [3.5, 3.5]),
    ("m / n", [0, 0]),
    ("1 / k", [1, 0]),
    ("s * d", [np.float64(np.float32(0.1)) * 0.7, np.float64(np.float32(-0.3)) * 0.1]),
    ("s * s", [np.float32(0.1) * np.float32(0.1), np.float32(-0.3) * np.float32(-0.3)]),
    ("0.1 * s", [0.1 * np.float64(np.float32(0.1)), 0.1 * np.float64(np.float32(-0.3))]),
    ("0.1f * s", [np.float32(0.1) * np.float32(0.1), np.float32(0.1) * np.float32(-0.3)]),
    ("1 / (1 + s)", [1 / np.float32(1.1), 1 / np.float32(0.7)]),
    ("m * 1.5f", [np.float32(0.0), np.float32(1.5)]),
    ("p + p", [2, 0]),
    ("-p", [-1, 0]),
    ("!m", [True, False]),
    ("!p + 1", [1, 2]),
    ("n < m == p", [False, False]),
    ("1 < 2 < 2", [True, True]),
    ("m == 0 || n == 0 && p", [True, False]),
    ("p && m || n > 0", [True, False]),
    ("p ? 1 : 2.5", [1.0, 2.5]),
    ("p ? m : n", [0, -2]),
    ("p ? 1 : p ? 2 : 3", [1, 3]),
    ("m > 0 ? s : -s", [-np.float32(0.1), np.float32(-0.3)]),
    ("1 + (p ? 2 : 3) * 2", [5, 7]),
    ("p ? 1 : 2 + 5", [1, 7]),
    ("s > 0 ? 1 : 0", [1, 0]),
    (".5 + 1.", [1.5, 1.5]),
    ("1e2 + 1E-2f", [100 + np.float64(np.float32(0.01))] * 2),
    ("2147483648 + k", [2147483649, 2147483650]),
    ("exp(0) + m", [1.0, 2.0]),
    ("sqrt(4)", [2.0, 2.0]),
    ("tanhf(0 * d) + 1", [np.float32(1), np.float32(1)]),
    ("log(1 + 0 * s) + exp(0 * s)", [np.float32(1), np.float32(1)]),
]


@pytest.fixture
def cp():
    with standin.installed() as module:
        standin.launches.reset()
        yield module


def evaluate(cp, expression, dtype):
    """The expression for every one of VALUES, in a variable of this type."""
    kernel = cp.ElementwiseKernel(
        "int64 m, int64 n, int32 k, float32 s, float64 d, bool p", "T y", f"y = {expression};"
    )
    y = cp.empty(8, dtype)
    kernel(*map(cp.asarray, VALUES.values()), y)
    return y.get()


@pytest.mark.parametrize(("expression", "expected"), TRICKY)
def test_expressions_are_those_of_c(cp, expression, expected):
    got = evaluate(cp, expression, np.float64)[:2]
    np.testing.assert_array_equal(got, np.asarray(expected, np.float64))


def random_expression(rng, depth, real):
    """An expression of numbers that fit into an int, without division of whole numbers by zero."""
    if depth == 0:
        return rng.choice(["s", "d", "0.5", "2.25f", "m", "3"] if real else ["m", "n", "k", "p", "2", "7"])
    a, b = (random_expression(rng, depth - 1, real and rng.random() < 0.8) for _ in range(2))
    kind = rng.randrange(7)
    if kind == 0:
        return f"({a})"
    if kind == 1:
        return f"{rng.choice(['-', '!', '+'])} {a}"
    if kind == 2:
        return f"({a} {rng.choice(['<', '<=', '>', '>=', '==', '!=', '&&', '||'])} {b} ? {b} : {a})"
    if kind == 3:
        return f"{a} {rng.choice(['<', '!=', '&&', '||'])} {b}"
    if kind == 4:  # the right side is one of numbers that are never zero
        return f"{a} / 4.0f" if real else f"({a}) {rng.choice('/%')} {rng.choice(['n', 'k', '3'])}"
    return f"{a} {rng.choice('+-*')} {b}"


@pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler here")
def test_a_real_compiler_agrees(cp, tmp_path):
    """Every expression, compiled: the tricky ones and many at random, to the last bit but for exp and the like."""
    rng = random.Random(0)
    expressions = [e for e, _ in TRICKY]
    expressions += [random_expression(rng, rng.randint(1, 4), rng.random() < 0.7) for _ in range(300)]
    heads = ["const long long *m", "const long long *n", "const int *k", "const float *s", "const double *d"]
    arguments = ", ".join([*heads, "const bool *p"])
    names = "auto m = *m_; auto n = *n_; auto k = *k_; auto s = *s_; auto d = *d_; auto p = *p_;"
    for name in VALUES:
        arguments = arguments.replace(f"*{name}", f"*{name}_")
    functions = "".join(
        f'extern "C" void f{number}({arguments}, double *y) {{ {names} *y = {e}; }}\n'
        for number, e in enumerate(expressions)
    )
    source, library = tmp_path / "f.cpp", tmp_path / "f.so"
    source.write_text("#include <cmath>\nusing namespace std;\n" + functions, encoding="utf-8")
    command = [COMPILER, "-shared", "-fPIC", "-O0", "-ffp-contract=off", "-w", source, "-o", library]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    compiled = ctypes.CDLL(str(library))
    for number, expression in enumerate(expressions):
        expected = np.empty(8)
        for at in range(8):
            given = [a.ctypes.data + at * a.itemsize for a in (*VALUES.values(), expected)]
            getattr(compiled, f"f{number}")(*map(ctypes.c_void_p, given))
        got = evaluate(cp, expression, np.float64)
        np.testing.assert_allclose(got, expected, rtol=1e-6 if "(" in expression else 0, atol=0, err_msg=expression)


def test_statements(cp):
    source = """
    const T twice = 2 * a;  // comments are passed over, even ones with = and ;
    ptrdiff_t back = n - 1 - i;
    y = twice;
    y += w[back];
    y *= 2;
    y -= 1;
    y /= 4;
    reversed[back] = y;
    reversed[back] += 100;
    """
    kernel = cp.ElementwiseKernel("T a, raw T w, int32 n", "T y, raw T reversed", source, "sample")
    a, w = cp.asarray([1.0, 2.0, 3.0]), cp.asarray([10.0, 20.0, 30.0])
    y, reversed_ = cp.empty(3), cp.empty(3)
    assert kernel(a, w, 3, y, reversed_)[0] is y
    np.testing.assert_array_equal(y.get(), ((2 * a.get() + w.get()[::-1]) * 2 - 1) / 4)
    np.testing.assert_array_equal(reversed_.get(), y.get()[::-1] + 100)
    assert standin.launches.counts["sample"] == 1


def test_types_follow_the_arrays(cp):
    kernel = cp.ElementwiseKernel("T a, int32 n", "T y, S z", "y = a / 3; z = a / n;")
    y, z = kernel(cp.ones(2, np.float32), 3, cp.empty(2, np.float32), cp.empty(2, np.int64))
    assert y.dtype == np.float32 and (y.get() == np.float32(1) / np.float32(3)).all() and (z.get() == 0).all()
    truncated = cp.ElementwiseKernel("T a", "int64 y", "y = a;")(cp.asarray([-1.7, 1.7, 0.2]))
    np.testing.assert_array_equal(truncated.get(), [-1, 1, 0])
    made = cp.ElementwiseKernel("T a", "bool y", "y = a;")(cp.asarray([0.0, 0.1]))
    np.testing.assert_array_equal(made.get(), [False, True])


def test_broadcasting_and_strides(cp):
    """The loop runs over the shape that the arguments broadcast to, whose last axis is the fastest."""
    kernel = cp.ElementwiseKernel("T a, bool on, raw T w", "T y, raw int64 order", "y = on ? a : w[i]; order[i] = i;")
    host = np.arange(24.0).reshape(6, 4)
    a, on, w = cp.asarray(host)[::2].T, cp.asarray([[True], [False], [True], [True]]), cp.asarray(host)[3:].T
    out, order = cp.zeros((4, 6)), cp.zeros(12, np.int64)
    kernel(a, on, w, out[:, ::2], order)
    expected = np.where(on.get(), host[::2].T, host[3:].T)
    np.testing.assert_array_equal(out.get()[:, ::2], expected)
    assert not out.get()[:, 1::2].any()
    np.testing.assert_array_equal(order.get(), np.arange(12))
    kernel(a, True, w, out[:, ::2], order)
    np.testing.assert_array_equal(out.get()[:, ::2], host[::2].T)


def test_an_output_may_be_read_and_be_an_input(cp):
    kernel = cp.ElementwiseKernel("T a", "T y", "y = y + a;")
    y = cp.asarray([1.0, 2.0])
    kernel(y, y)
    np.testing.assert_array_equal(y.get(), [2, 4])
    kernel(cp.zeros((0,)), cp.zeros((0,)))


@pytest.mark.parametrize(
    "source",
    [
        "y = b;",  # unknown
        "y = exp;",
        "y = atan2(a);",
        "y = exp(a, a);",
        "y = exp(a",
        "z = a;",
        "y = a",  # no semicolon
        "y = a b;",
        "y = ;",
        "y = (a;",
        "y = a));",
        "y = p ? a;",
        "y == a;",
        "exp(a);",
        "y;",
        "T z; y = z;",  # without a value
        "half z = a; y = z;",
        "int64 z = a; y = z;",  # a dtype's name is no type in C
        "T a = 1; y = a;",  # taken
        "T z = a; T z = a; y = z;",
        "T for = a; y = for;",
        "T i = a; y = i;",
        "const T z = a; z = 1; y = z;",  # constant
        "a = 1; y = a;",
        "i = 1; y = a;",
        "w[i] = a;",
        "y = w;",  # raw
        "y = a[i];",
        "y = w[a];",
        "y = w(i);",
        "w = a;",
        "y = a % 2;",
        "y = 5 % a;",
        "y = T(a);",  # casts
        "y = (T) a;",
        "y = (float) a;",
        "y = 010;",  # octal
        "y = 0x10;",
        "y = 1L;",
        "y = 1f;",
        "y = 1.5.5;",
        "y = 5 & 3;",
        "y = 5 | 3;",
        "y = 5 ^ 3;",
        "y = ~5;",
        "y = 1 << 2;",
        "y = *w;",
        "y = &a;",
        "y++;",
        "y = --a;",
        "y = a--1;",
        "y = a, a;",
        "y %= 2;",
        "if (p) y = a;",
        "for (int j = 0; j < 3; j += 1) y = a;",
        "while (p) y = a;",
        "return;",
        "{ y = a; }",
        "y = a; /* done */",
        "y = a; // go on \\\n y = 1;",
        "#define z a\ny = z;",
        "y = 'a';",
        'y = "a";',
        "y = y_ = a;",
        "y = p ? a : ;",
    ],
)
def test_what_it_does_not_know_is_refused(cp, source):
    with pytest.raises(SourceError):
        cp.ElementwiseKernel("T a, bool p, raw T w", "T y", source)(cp.ones(3), True, cp.ones(3), cp.empty(3))


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("y = w[i + 1];", IndexError, "of 3 elements"),
        ("y = w[i - 1];", IndexError, "of 3 elements"),
        ("y = 1 / (i - 1);", ZeroDivisionError, "integer"),
        ("y = a; v[0] = a;", ValueError, "race"),
        ("y = a; v[i] = a; y = v[2 - i];", ValueError, "race"),
        ("v[i / 2] += 1; y = a;", ValueError, "race"),
    ],
)
def test_what_would_corrupt_memory_or_race_is_refused(cp, source, error, words):
    kernel = cp.ElementwiseKernel("T a, raw T w", "T y, raw T v", source)
    with pytest.raises(error, match=words):
        kernel(cp.ones(3), cp.ones(3), cp.empty(3), cp.empty(3))


def test_reading_a_raw_output_that_nobody_writes_is_no_race(cp):
    kernel = cp.ElementwiseKernel("T a", "T y, raw T v", "y = a + v[0];")
    np.testing.assert_array_equal(kernel(cp.ones(3), cp.empty(3), cp.ones(1))[0].get(), [2, 2, 2])


def test_outputs_that_overlap_are_refused(cp):
    kernel = cp.ElementwiseKernel("T a, raw T w", "T y", "y = a + w[i];")
    memory, w = cp.ones(4), cp.ones(3)
    kernel(memory[1:], w, memory[1:])
    with pytest.raises(ValueError, match="a and the output y overlap"):
        kernel(memory[1:], w, memory[:3])
    with pytest.raises(ValueError, match="w and the output y overlap"):
        kernel(cp.ones(4), memory, memory)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda cp, k, a: k(a, a), TypeError, "must be either 3 or 4 .* but given 2"),
        (lambda cp, k, a: k(a, a, True, a, a), TypeError, "but given 5"),
        (lambda cp, k, a: k(a, a.get(), True, a.copy()), TypeError, "Unsupported type <class 'numpy.ndarray'>"),
        (lambda cp, k, a: k(a, [1.0], True, a.copy()), TypeError, "Unsupported type"),
        (lambda cp, k, a: k(a, None, True, a.copy()), TypeError, "Unsupported type"),
        (lambda cp, k, a: k(a, a.astype(np.float32), True, a.copy()), TypeError, "Type is mismatched"),
        (lambda cp, k, a: k(a, a, True, a.astype(np.float32)), TypeError, "Type is mismatched"),
        (lambda cp, k, a: k(a, a, a, a.copy()), TypeError, "Type is mismatched. p float64 bool"),
        (lambda cp, k, a: k(a, a, 1, a.copy()), TypeError, "p is 1, expected bool"),
        (lambda cp, k, a: k(a, a, True, 1.0), TypeError, "y must be cupy.ndarray"),
        (lambda cp, k, a: k(1.0, 2.0, True), ValueError, "Loop size is undecided"),
        (lambda cp, k, a: k(a, cp.ones(2), True, a.copy()), ValueError, "broadcast"),
        (lambda cp, k, a: k(a, cp.ones((2, 3)), True, a.copy()), ValueError, "Out shape is mismatched"),
        (lambda cp, k, a: k(a, a, True, a.copy(), size=3), ValueError, "only if all of the ndarray are 'raw'"),
        (lambda cp, k, a: k(a, a, True, a.copy(), sise=3), TypeError, "sise"),
        (lambda cp, k, a: k(a.astype(complex), 1.0, True), NotImplementedError, "complex128"),
    ],
)
def test_wrong_arguments_are_refused(cp, call, error, words):
    kernel = cp.ElementwiseKernel("T a, T b, bool p", "T y", "y = p ? a : b;")
    with pytest.raises(error, match=words):
        call(cp, kernel, cp.ones(3))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("T a", "T y", "y = a;", "no name"), ValueError),
        (("T i", "T y", "y = i;"), ValueError),
        (("T a b", "T y", "y = a;"), Exception),
        (("a", "T y", "y = a;"), Exception),
        (("half a", "T y", "y = a;"), NotImplementedError),
    ],
)
def test_wrong_kernels_are_refused(cp, arguments, error):
    with pytest.raises(error):
        cp.ElementwiseKernel(*arguments)
    with pytest.raises(NotImplementedError, match="preamble"):
        cp.ElementwiseKernel("T a", "T y", "y = a;", preamble="int f();")


def test_arrays_indexed_by_the_source_alone_need_a_size(cp):
    kernel = cp.ElementwiseKernel("raw T a", "raw T y", "y[i] = 2 * a[i];")
    with pytest.raises(ValueError, match="undecided"):
        kernel(cp.ones(3), cp.empty(3))
    y = kernel(cp.ones(3), cp.zeros(3), size=2)
    np.testing.assert_array_equal(y.get(), [2, 2, 0])


# What the GPU is asked for


def test_launches_are_counted_and_views_are_not(cp):
    a, b = cp.ones((2, 3)), cp.empty((2, 3))
    standin.launches.reset()
    _ = a.T, a[0], a.reshape(3, 2), a[:, None], cp.split(a, 3, axis=1), a.ravel(), cp.broadcast_to(a, (4, 2, 3))
    assert not standin.launches.counts
    cp.add(a, a, out=b)
    cp.add(a, a, b)
    b += a
    b[0] += a[0]
    b[...] = a
    b[1] = 0
    cp.matmul(a, b.T, out=cp.empty((2, 2)))
    _ = a.sum(axis=0), a.copy()
    in_place = {"add": 4, "copy": 1, "fill": 1, "matmul": 1}
    assert standin.launches.counts == in_place | {"empty, new": 1, "sum, new": 1, "copy, new": 1}
