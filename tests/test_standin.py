"""The strict stand-in for CuPy: it raises where CuPy raises, counts where CuPy waits, and else computes as NumPy."""

import contextlib
import copy
import importlib
import operator
import pickle
import sys

import numpy as np
import pytest
import standin
from standin.frozen import NAMES, UFUNCS

VALUES = np.array([[1.5, -2.0, 3.0], [0.25, 5.0, -6.5]])


@pytest.fixture
def cp():
    with standin.installed() as module:
        standin.synchronisations.reset()
        yield module
        standin.synchronisations.reset()


@pytest.fixture
def a(cp):
    return cp.asarray(VALUES)


def same(device_array, expected):
    assert type(device_array) is standin.ndarray
    got = device_array.get()
    assert got.dtype == np.asarray(expected).dtype and got.shape == np.shape(expected)
    np.testing.assert_array_equal(got, expected)


# Where it lives


def test_install_puts_it_where_import_finds_it_and_uninstall_puts_back_what_was_there():
    before = {name: sys.modules.get(name) for name in ("cupy", "cupy.linalg", "cupyx")}
    with standin.installed() as outer:
        import cupy
        import cupy.linalg
        import cupyx

        assert cupy is outer and sys.modules["cupyx"] is cupyx and cupy.is_available() and cupy.cuda.is_available()
        with standin.installed() as inner:
            assert inner is outer
        assert sys.modules["cupy"] is outer
        with pytest.raises(ImportError):
            importlib.import_module("cupy.no_such_module")
    assert {name: sys.modules.get(name) for name in before} == before


def test_what_was_there_comes_back_when_the_body_raises():
    before = sys.modules.get("cupy")
    with pytest.raises(ZeroDivisionError), standin.installed():
        raise ZeroDivisionError
    assert sys.modules.get("cupy") is before


def test_an_array_says_that_it_is_cupys(cp, a):
    assert (type(a).__module__, type(a).__name__) == ("cupy", "ndarray") and type(a) is cp.ndarray
    assert not isinstance(a, np.ndarray)
    assert cp.get_array_module(a) is cp and cp.get_array_module(VALUES) is np
    assert a.device.id == 0 and cp.cuda.runtime.getDeviceCount() == 1
    with cp.cuda.Device(0) as device:
        assert device == a.device


# NumPy cannot touch it


@pytest.mark.parametrize(
    "touch",
    [
        np.asarray,
        np.array,
        np.exp,
        np.sum,
        np.shape,
        np.linalg.norm,
        np.add.reduce,
        lambda a: np.add(a, a),
        lambda a: np.multiply(2.0, a),
        lambda a: np.concatenate([a, a]),
        lambda a: np.exp(VALUES, out=a),
        lambda a: np.zeros((2, 3)).__setitem__(0, a),
    ],
)
def test_numpys_functions_raise(a, touch):
    with pytest.raises(TypeError):
        touch(a)
    assert standin.synchronisations.count == 0


@pytest.mark.parametrize(
    "op",
    [
        *(operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod, operator.floordiv),
        *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
        *(operator.iadd, operator.isub, operator.imul, operator.itruediv),
        lambda x, y: x @ y.T,
        lambda x, y: x.T @ y,
    ],
)
def test_operators_refuse_numpys_arrays_on_either_side(a, op):
    for x, y in ((a, VALUES.copy()), (VALUES.copy(), a)):
        with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy.ndarray'>"):
            op(x, y)
    same(a, VALUES)


@pytest.mark.parametrize(
    "mix",
    [
        lambda cp, a, host: cp.add(a, host),
        lambda cp, a, host: cp.maximum(a, np.asarray(0.0)),
        lambda cp, a, host: cp.matmul(a, host.T),
        lambda cp, a, host: cp.where(a > 0, a, host),
        lambda cp, a, host: cp.concatenate([a, host]),
        lambda cp, a, host: cp.exp(a, out=host),
        lambda cp, a, host: cp.exp(host),
        lambda cp, a, host: cp.sum(host),
        lambda cp, a, host: cp.einsum("ij,ij->i", a, host),
        lambda cp, a, host: a.sum(axis=0, out=np.zeros(3)),
        lambda cp, a, host: a.dot(host.T),
        lambda cp, a, host: a.take(np.array([0])),
        lambda cp, a, host: a[np.array([0, 1])],
        lambda cp, a, host: a.__setitem__(cp.asarray([0, 1]), host),
        lambda cp, a, host: cp.add.at(a, cp.asarray([0]), host[:1]),
        lambda cp, a, host: cp.sum([1.0, 2.0]),
        lambda cp, a, host: cp.add(a, [1.0, 2.0, 3.0]),
        lambda cp, a, host: a * [1.0, 2.0, 3.0],
        lambda cp, a, host: [1.0, 2.0, 3.0] * a,
        lambda cp, a, host: a + None,
        lambda cp, a, host: a == "text",
    ],
)
def test_functions_refuse_what_is_not_on_the_device(cp, a, mix):
    with pytest.raises(TypeError):
        mix(cp, a, VALUES.copy())
    same(a, VALUES)


@pytest.mark.parametrize("value", [VALUES, VALUES[0], [1.0, 2.0, 3.0]])
def test_storing_host_values_in_a_slice_raises_the_error_of_cupys_fill(a, value):
    for key in (..., slice(None), (0, slice(None))):
        with pytest.raises(ValueError, match="cannot be used for fill"):
            a[key] = value
    same(a, VALUES)


def test_a_numpy_array_cannot_take_one_in(a):
    host = VALUES.copy()
    with pytest.raises(TypeError):
        host += a
    with pytest.raises(TypeError):
        host[...] = a
    np.testing.assert_array_equal(host, VALUES)


def test_numbers_of_python_and_numpy_are_accepted(cp, a):
    for scalar in (2, 2.0, True, np.float64(2), np.int32(2)):
        same(a * scalar, VALUES * scalar)
        same(scalar * a, scalar * VALUES)
        same(a < scalar, np.less(VALUES, scalar))
    a[0] = np.float32(4)
    a[1, :2] = 7
    same(a, [[4, 4, 4], [7, 7, -6.5]])
    assert (a + np.float64(1)).dtype == (a.astype(np.float32) + np.float64(1)).dtype == np.float64
    assert (a.astype(np.float32) + 1.0).dtype == np.float32
    same(cp.sqrt(4.0), np.sqrt(4.0))


def test_comparison_with_none_is_false_everywhere(a):
    same(a == None, np.zeros((2, 3), bool))  # noqa: E711
    same(a != None, np.ones((2, 3), bool))  # noqa: E711


# Only what CuPy has


@pytest.mark.parametrize(
    "name", ["errstate", "nditer", "insert", "block", "linalg.multi_dot", "no_such_name", "random.no_such_name"]
)
def test_names_cupy_lacks_do_not_exist(cp, name):
    with pytest.raises(AttributeError, match=name.rpartition(".")[2]):
        operator.attrgetter(name)(cp)


def test_the_frozen_generator_lacks_what_cupys_lacks():
    assert "standard_normal" in NAMES["cupy.random.Generator"]
    assert not {"normal", "choice", "permutation", "shuffle"} & NAMES["cupy.random.Generator"].keys()


def test_arrays_have_no_attribute_that_cupys_lack(a):
    assert {name for name in dir(a) if not name.startswith("_")} <= NAMES["cupy.ndarray"].keys()

    class Plain:
        pass

    every_class = vars(Plain).keys()  # Python 3.13 gives every class more of them
    special = {name for name in vars(standin.ndarray) if name.startswith("__")}
    assert special - every_class - {"__annotations__"} <= NAMES["cupy.ndarray"].keys()
    with pytest.raises(AttributeError):
        a.anything = 1
    with pytest.raises(AttributeError):
        a.setflags(write=False)
    with pytest.raises(AttributeError):
        _ = a.flags.writeable


def test_an_array_is_no_index_and_has_no_hash(a):
    with pytest.raises(TypeError):
        operator.index(a.astype(int)[0, 0])
    with pytest.raises(TypeError):
        range(a.astype(int)[0, 0])
    with pytest.raises(TypeError):
        hash(a)


@pytest.mark.parametrize(
    "call",
    [
        lambda cp, a: cp.sum(a, where=a > 0),
        lambda cp, a: cp.sum(a, initial=0.0),
        lambda cp, a: cp.exp(a, where=a > 0),
        lambda cp, a: cp.add(a, a, order="C"),
        lambda cp, a: cp.einsum("ij->i", a, out=cp.zeros(2)),
        lambda cp, a: cp.clip(a, min=0),
        lambda cp, a: cp.take(a, cp.asarray([0]), mode="clip"),
        lambda cp, a: cp.linalg.norm(a, dtype=float),
        lambda cp, a: a.sum(where=a > 0),
        lambda cp, a: a.mean(initial=1),
        lambda cp, a: a.item(0),
        lambda cp, a: a.astype(np.float32, casting="safe"),
    ],
)
def test_arguments_cupy_lacks_raise(cp, a, call):
    with pytest.raises(TypeError):
        call(cp, a)


def test_methods_of_ufuncs_that_cupy_lacks_raise(cp, a):
    assert UFUNCS["add"] == ["accumulate", "at", "reduce", "reduceat"] and UFUNCS["multiply"] == [
        "accumulate",
        "reduce",
    ]
    for call in (lambda: cp.maximum.reduce(a), lambda: cp.multiply.at(a, 0, 2.0), lambda: cp.maximum.accumulate(a)):
        with pytest.raises(NotImplementedError, match="is not supported yet"):
            call()
    with pytest.raises(TypeError, match="only supports"):
        cp.add.at(a.astype(complex), cp.asarray([0]), 1)


def test_kernels_and_device_random_numbers_exist_but_are_not_imitated(cp):
    for call in (cp.ReductionKernel, cp.RawKernel, cp.random.default_rng, cp.get_default_memory_pool):
        with pytest.raises(NotImplementedError, match="stand-in"):
            call()


def test_dtypes_cupy_lacks_raise(cp):
    for host in (np.array(["text"]), np.array([None]), np.zeros(2, "datetime64[s]")):
        with pytest.raises(ValueError, match="Unsupported dtype"):
            cp.asarray(host)


# What waits for the GPU


@pytest.mark.parametrize(
    ("cause", "act"),
    [
        ("float", lambda cp, a: float(a.sum())),
        ("int", lambda cp, a: int(a[0, 0])),
        ("complex", lambda cp, a: complex(a[0, 0])),
        ("bool", lambda cp, a: bool((a > 0).all())),
        ("bool", lambda cp, a: 1 if a[0, 0] > 0 else 0),
        ("bool", lambda cp, a: cp.allclose(a, a) and None),
        ("item", lambda cp, a: a.sum().item()),
        ("tolist", lambda cp, a: a.tolist()),
        ("get", lambda cp, a: a.get()),
        ("get", lambda cp, a: a.get(out=np.zeros((2, 3)))),
        ("asnumpy", lambda cp, a: cp.asnumpy(a)),
        ("repr", lambda cp, a: repr(a)),
        ("str", lambda cp, a: str(a)),
        ("format", lambda cp, a: f"{a.sum():.3f}"),
        ("pickle", lambda cp, a: pickle.dumps(a)),
        ("boolean mask index", lambda cp, a: a[a > 0]),
        ("boolean mask index", lambda cp, a: a.__setitem__(a > 0, 0.0)),
        ("nonzero", lambda cp, a: a.nonzero()),
        ("cupy.nonzero", lambda cp, a: cp.nonzero(a)),
        ("cupy.where", lambda cp, a: cp.where(a > 0)),
        ("cupy.unique", lambda cp, a: cp.unique(a)),
        ("cupy.argwhere", lambda cp, a: cp.argwhere(a > 0)),
        ("cupy.bincount", lambda cp, a: cp.bincount(cp.asarray([0, 2]))),
        ("cupy.average", lambda cp, a: cp.average(a, weights=a)),
        ("Device.synchronize", lambda cp, a: a.device.synchronize()),
    ],
)
def test_each_synchronisation_is_counted_once_and_says_where(cp, a, cause, act):
    act(cp, a)
    [line] = standin.synchronisations.causes
    assert line.startswith(f"{cause} at {__file__}:")
    with pytest.raises(standin.SynchronisedError, match=cause), standin.no_synchronisation():
        act(cp, a)


def test_iterating_over_values_counts_once_a_value(a):
    assert [float(x) for x in a[0]] == VALUES[0].tolist()
    assert standin.synchronisations.count == 3


def test_what_needs_no_answer_does_not_wait(cp, a):
    with standin.no_synchronisation():
        b = cp.asarray(VALUES, dtype=np.float32)
        b += cp.float32(1)
        b[...] = cp.exp(b).sum(axis=0, keepdims=True)
        cp.where(a > 0, a, 0.0)
        a[cp.asarray([1, 0])] = cp.linalg.norm(a)
        cp.add.at(a, cp.asarray([0, 0]), 1.0)
        _ = a[0, 0] == a.max(), len(a), a.shape, a.argmax(axis=1), copy.deepcopy(a), list(a), cp.array_equal(a, b)
        cp.take_along_axis(a, a.argmax(axis=1, keepdims=True), axis=1)
    assert standin.synchronisations.count == 0


def test_the_error_is_raised_at_the_place(a):
    reached = []
    with pytest.raises(standin.SynchronisedError), standin.no_synchronisation():
        reached += ["before"]
        a.sum().item()
        reached += ["after"]
    assert reached == ["before"]


def test_a_swallowed_error_is_raised_again_at_the_end(a):
    def careless():
        with contextlib.suppress(AssertionError):
            a.sum().item()

    with pytest.raises(standin.SynchronisedError, match="item"), standin.no_synchronisation():
        careless()
    assert standin.synchronisations.forbidden is False


# The rest is NumPy's behaviour, except for scalars and wild indices


def test_full_reductions_and_single_elements_are_arrays_without_axes(cp, a):
    for got, expected in [
        (a.sum(), VALUES.sum()),
        (cp.max(a), VALUES.max()),
        (a[1, 2], VALUES[1, 2]),
        (a.argmax(), VALUES.argmax()),
        (cp.linalg.norm(a), np.linalg.norm(VALUES)),
        (cp.vdot(a, a), np.vdot(VALUES, VALUES)),
        (cp.allclose(a, a), np.True_),
        (cp.array_equal(a, a), np.True_),
        (cp.count_nonzero(a), np.int64(6)),
    ]:
        same(got, expected)
        assert got.shape == ()


def test_indices_out_of_range_wrap_around_silently(cp, a):
    index = cp.asarray([0, 2, 5, -1, -7])
    wrapped = np.array([0, 0, 1, 1, 1])  # modulo the two rows
    same(a[index], VALUES[wrapped])
    same(a.take(index, axis=0), VALUES[wrapped])
    same(cp.take(a, index), VALUES.ravel()[[0, 2, 5, 5, 5]])
    same(a[..., cp.asarray(4)], VALUES[..., 1])
    same(a[None, :, cp.asarray([3, 4])], VALUES[None, :, [0, 1]])
    same(a[cp.asarray([2, 3]), cp.asarray([3, -4])], VALUES[[0, 1], [0, 2]])
    same(cp.take_along_axis(a, cp.asarray([[3], [4]]), axis=1), VALUES[[[0], [1]], [[0], [1]]])
    a[cp.asarray([3])] = 0.0
    cp.add.at(a, cp.asarray([2, 4]), 1.0)
    a.put(cp.asarray([6 + 2]), 9.0)
    same(a, [[3.5, 0.0, 9.0], [0.0, 0.0, 0.0]])
    for call in (lambda: a[2], lambda: a[0, 3], lambda: a[0, 0, 0], lambda: a[cp.asarray([0.0])]):
        with pytest.raises(IndexError):
            call()
    with pytest.raises(IndexError, match="non-empty take"):
        cp.zeros((0, 3)).take(index, axis=0)


def test_a_device_integer_as_index_copies_but_a_python_integer_gives_a_view(cp, a):
    a[cp.asarray(0)][...] = 0.0
    same(a, VALUES)
    a[0][...] = 0.0
    same(a[0], [0.0, 0.0, 0.0])


def test_views_share_memory(cp, a):
    views = [
        *(a.T, a.ravel(), a.reshape(3, 2), a[:, ::2], a[..., None], a.view(), a.swapaxes(0, 1)),
        *(cp.expand_dims(a, 0), cp.moveaxis(a, 0, 1), *cp.split(a, 3, axis=1)),
        cp.lib.stride_tricks.sliding_window_view(a, 3, axis=1, writeable=True),
    ]
    for n, view in enumerate(views):
        assert view.base is a
        a[...] = n
        assert (view == n).all()
        view[...] = -1 - n
    assert a.base is None and (a[:, -1] == -len(views)).all()
    assert a[1].data.ptr == a.data.ptr + a.strides[0] and a.nbytes == 48 and a.flags.c_contiguous
    assert not a.T.flags.c_contiguous and a.T.flags.f_contiguous and a.flags.owndata and not a.T.flags.owndata


def test_work_in_place_keeps_the_object(cp, a):
    b = first = a.copy()
    b += a
    b *= 2
    b -= 1.0
    b /= 4.0
    assert b is first and cp.exp(a, out=b) is first and cp.add(a, a, b) is first and a.sum(axis=0, out=b[0]).base is b
    same(a, VALUES)
    c = view = cp.eye(3)[:, :]
    c @= c
    assert c is not view, "CuPy has no in-place matrix product"
    integers = cp.arange(3)
    with pytest.raises(TypeError, match="same_kind"):
        integers += 0.5


def test_asarray_copies_from_the_host_but_not_on_the_device(cp, a):
    host = VALUES.copy()
    b = cp.asarray(host)
    host[...] = 0
    same(b, VALUES)
    assert cp.asarray(a) is a and cp.array(a) is not a and cp.asarray(a, dtype=np.float32) is not a
    same(cp.array([a[0], a[1]]), VALUES)
    same(cp.asarray([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]]))
    taken = a.get()
    taken[...] = 0
    same(a, VALUES)
    a.set(2 * VALUES)
    same(a, 2 * VALUES)
    for wrong in (VALUES.astype(np.float32), VALUES.tolist()):
        with pytest.raises(TypeError):
            a.set(wrong)


def test_copies_and_pickles_are_independent_arrays(cp, a):
    for twin in (copy.copy(a), copy.deepcopy(a), pickle.loads(pickle.dumps(a)), a.copy()):
        same(twin, VALUES)
        twin[...] = 0
        assert twin.base is None
    same(a, VALUES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize(
    "compute",
    [
        lambda xp, a, b: a @ b.T + 1,
        lambda xp, a, b: xp.einsum("ij,kj->ik", a, b),
        lambda xp, a, b: xp.tensordot(a, b, axes=([1], [1])),
        lambda xp, a, b: xp.concatenate([a, b], axis=1),
        lambda xp, a, b: xp.where(a.real > b.real, a, b),
        lambda xp, a, b: xp.tanh(a) - xp.exp(-abs(b)) / xp.sqrt(1 + a * a),
        lambda xp, a, b: (a - a.mean(axis=0, keepdims=True)) / (a.std(axis=0) + 1),
        lambda xp, a, b: xp.take_along_axis(a, xp.asarray([[2], [0]]), axis=1),
        lambda xp, a, b: a[xp.asarray([0, 1, 0]), xp.asarray([2, 0, 1])],
        lambda xp, a, b: xp.cumsum(a, axis=1)[:, ::-1],
        lambda xp, a, b: xp.pad(a, ((1, 0), (0, 2))),
        lambda xp, a, b: xp.broadcast_to(a[:, None], (2, 4, 3)) * b[:, None],
        lambda xp, a, b: divmod(abs(a), 0.75)[1] ** 2 if a.dtype.kind == "f" else a**2,
        lambda xp, a, b: xp.stack([a.imag, b.real]).max(axis=0),
        lambda xp, a, b: xp.linalg.norm(a, axis=1) * xp.prod(b, axis=1),
        lambda xp, a, b: xp.argsort(a.real, axis=1),
    ],
)
def test_results_are_numpys(cp, compute, dtype):
    x, y = VALUES.astype(dtype), np.cos(VALUES).astype(dtype)
    with standin.no_synchronisation():
        result = compute(cp, cp.asarray(x), cp.asarray(y))
    same(result, compute(np, x, y))


def test_there_are_no_floating_point_warnings(cp, a):
    same(cp.exp(1e4 * a[0]), [np.inf, 0.0, np.inf])
    same(cp.log(0 * a[0]) * 0, [np.nan, np.nan, np.nan])
    same(a[0] / 0, [np.inf, -np.inf, np.inf])
    a /= 0
    assert bool(cp.isinf(a).all())
