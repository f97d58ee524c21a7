"""Wrong arguments: each is answered with one sentence that says who asks, for what, what came and what was expected."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidni import (
    GRU,
    LSTM,
    RNN,
    SGD,
    Adam,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    MaxPool2d,
    ReLU,
    RMSProp,
    Sequential,
    Sigmoid,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
    Tanh,
    clip_norm,
    fit,
    load,
    normalise_gradients,
    save,
    to_device,
)
from minidni.nn import initialise, schedules


def zeros(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


def case(words: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A call that must fail with a sentence that contains the words, in this order, wherever " ... " stands between."""
    return pytest.param(words, function, args, kwargs, id=words)


def cache_of(layer: Any, *inputs: Any) -> Any:
    return layer.forward(*inputs)[-1]


class TwoOutputs(Tanh):
    n_outputs = 2


CONSTRUCTORS = [
    *(
        case(f"{kind.__name__}: {first} is {got!r}, expected a whole number of at least 1", kind, got, 4)
        for kind, first in ((Linear, "n_in"), (RNN, "n_in"), (GRU, "n_in"), (LSTM, "n_in"), (Embedding, "n_tokens"))
        for got in (0, -1, 2.5, "3", None, True)
    ),
    *(
        case(f"{kind.__name__}: {second} is (4,), expected a whole number", kind, 3, (4,))
        for kind, second in (
            (Linear, "n_out"), (RNN, "n_hidden"), (GRU, "n_hidden"), (LSTM, "n_hidden"), (Embedding, "n_features")
        )
    ),
    *(
        case(f"{kind.__name__}: rng is {got!r}, expected a numpy.random.Generator or a seed", kind, 3, 4, rng=got)
        for kind in (Linear, RNN, GRU, LSTM, Embedding)
        for got in ("seed", -1, 1.5)
    ),
    *(
        case(f"{kind.__name__}: dtype is {got!r}, expected float32 or float64", kind, 3, 4, dtype=got)
        for kind in (Linear, RNN, GRU, LSTM, Embedding)
        for got in (int, "float16", "number", None)
    ),
    *(
        case(f"{kind.__name__}: init is 'he', expected a function", kind, *args, init="he")
        for kind, args in ((Linear, (3, 4)), (RNN, (3, 4)), (Conv2d, (3, 4, 3)))
    ),
    case(
        "Linear: init drew an array of shape (5,), expected finite numbers", Linear, 3, 4, init=lambda rng, s: zeros(5)
    ),
    case("LSTM: forget_bias is 'x', expected", LSTM, 3, 4, forget_bias="x"),
    case("LSTM: forget_bias is nan, expected", LSTM, 3, 4, forget_bias=np.nan),
    case("Conv2d: c_in is 0, expected a whole number of at least 1", Conv2d, 0, 1, 3),
    case("Conv2d: c_out is 1.0, expected a whole number", Conv2d, 1, 1.0, 3),
    case("Conv2d: kernel is (3, 3), expected a whole number", Conv2d, 1, 1, (3, 3)),
    case("Conv2d: stride is 0, expected a whole number of at least 1", Conv2d, 1, 1, 3, stride=0),
    case("Conv2d: padding is -1, expected a whole number of at least 0", Conv2d, 1, 1, 3, padding=-1),
    case("Conv2d: padding is 'same', expected a whole number", Conv2d, 1, 1, 3, padding="same"),
    case("Conv2d: rng is 'seed', expected a numpy.random.Generator or a seed", Conv2d, 1, 1, 3, rng="seed"),
    case("MaxPool2d: kernel is 0, expected a whole number of at least 1", MaxPool2d, 0),
    case("MaxPool2d: stride is -2, expected a whole number of at least 1", MaxPool2d, 2, -2),
    case("AvgPool2d: kernel is (2, 2), expected a whole number", AvgPool2d, (2, 2)),
    case("LayerNorm: n_features is (3, 4), expected a whole number", LayerNorm, (3, 4)),
    case("BatchNorm: n_features is 0, expected a whole number", BatchNorm, 0),
    case("BatchNorm: axis is 2, expected -1 (features last) or 1 (images)", BatchNorm, 3, axis=2),
    case("BatchNorm: momentum is 2, expected ... at least 0 and below 1", BatchNorm, 3, momentum=2),
    case("BatchNorm: dtype is 'int32', expected float32 or float64", BatchNorm, 3, dtype="int32"),
    *(
        case(f"Dropout: p is {got!r}, expected ... at least 0 and below 1", Dropout, got)
        for got in (1, -0.1, np.nan, "half", None)
    ),
    case("Dropout: rng is 'seed', expected a numpy.random.Generator or a seed", Dropout, 0.5, rng="seed"),
    case("Sequential: got no layers, expected at least one", Sequential),
    case("Sequential: layer 0 is of type list, expected a Layer", Sequential, [Tanh()]),
    case("Sequential: layer 1 is of type type, expected a Layer", Sequential, Tanh(), Tanh),
    case("Sequential: layer 0 is TwoOutputs(), which returns more than its output", Sequential, TwoOutputs()),
    *(
        case(f"{kind.__name__}: {name} is {got!r}, expected", kind, **{"lr": 0.1, name: got})
        for kind in (SGD, RMSProp, Adam)
        for name in ("lr", "weight_decay")
        for got in (-1, np.nan, np.inf, "high", None)
    ),
    case("SGD: momentum is 1, expected ... at least 0 and below 1", SGD, 0.1, momentum=1),
    case("SGD: nesterov is True with momentum 0, expected a momentum above 0", SGD, 0.1, nesterov=True),
    case("RMSProp: decay is 1.1, expected ... below 1", RMSProp, decay=1.1),
    case("RMSProp: eps is 0, expected ... above 0", RMSProp, eps=0),
    case("Adam: beta1 is 1, expected ... below 1", Adam, beta1=1),
    case("Adam: beta2 is 'x', expected ... below 1", Adam, beta2="x"),
    case("Adam: eps is -1, expected ... above 0", Adam, eps=-1),
]  # fmt: skip

LINEAR, RECURRENT, CONV = Linear(3, 4), LSTM(3, 4), Conv2d(2, 3, 3)
NET = Sequential(Linear(3, 4), Tanh(), Linear(4, 2))
IMAGES = zeros(1, 2, 5, 5)

FORWARD = [
    case("Linear(3, 4).forward: x has shape (2, 5), expected (..., 3)", LINEAR.forward, zeros(2, 5)),
    case("Linear(3, 4).forward: x has shape (), expected (..., 3)", LINEAR.forward, zeros()),
    case("Linear(3, 4).forward: x is float64, expected float32", LINEAR.forward, zeros(2, 3, dtype=float)),
    case("Linear(3, 4).forward: x is int64, expected float32", LINEAR.forward, zeros(2, 3, dtype=np.int64)),
    case("Linear(3, 4).forward: x is float16, expected float32", LINEAR.forward, zeros(2, 3, dtype=np.float16)),
    case("Linear(3, 4).forward: x is object, expected float32", LINEAR.forward, zeros(2, 3, dtype=object)),
    case("Linear(3, 4).forward: x is of type list, expected an array of shape (..., 3)", LINEAR.forward, [[1, 2, 3]]),
    case("Linear(3, 4).forward: x is of type NoneType, expected an array", LINEAR.forward, None),
    *(
        case(f"{kind.__name__}().forward: x is int64, expected float32 or float64", kind().forward, np.arange(3))
        for kind in (ReLU, Tanh, Sigmoid, Dropout, Flatten)
        if kind is not Dropout
    ),
    case("Dropout(0.5).forward: x is of type float, expected an array", Dropout(0.5).forward, 1.0),
    case("Flatten().forward: x has shape (), expected", Flatten().forward, zeros()),
    case("LayerNorm(3).forward: x has shape (2, 4), expected (..., 3)", LayerNorm(3).forward, zeros(2, 4)),
    case("BatchNorm(3).forward: x has shape (2, 4), expected (..., 3)", BatchNorm(3).forward, zeros(2, 4)),
    case("BatchNorm(3).forward: x has shape (2, 3), expected (B, 3, H, W)", BatchNorm(3, axis=1).forward, zeros(2, 3)),
    case("x has too few rows to normalise over (1), expected at least 2", BatchNorm(3).forward, zeros(1, 3)),
    case("Conv2d(2, 3, 3, 1, 0).forward: x has shape (2, 5, 5), expected (B, 2, H, W)", CONV.forward, zeros(2, 5, 5)),
    case("Conv2d(2, 3, 3, 1, 0).forward: x has shape (1, 3, 5, 5), expected", CONV.forward, zeros(1, 3, 5, 5)),
    case("forward: x has shape (1, 2, 2, 9), expected images of at least 3 x 3", CONV.forward, zeros(1, 2, 2, 9)),
    case("expected images of at least 1 x 1", Conv2d(1, 1, 3, padding=1).forward, zeros(1, 1, 0, 5)),
    case("MaxPool2d(2, 2).forward: x has shape (4, 4), expected (B, C, H, W)", MaxPool2d(2).forward, zeros(4, 4)),
    case("AvgPool2d(6, 1).forward: x ... at least 6 x 6", AvgPool2d(6, 1).forward, zeros(1, 1, 5, 9)),
    case("Embedding(3, 2).forward: x is float32, expected an array of integers", Embedding(3, 2).forward, zeros(2)),
    case("Embedding(3, 2).forward: x is list, expected an array of integers", Embedding(3, 2).forward, [0, 1]),
    case("Embedding(3, 2).forward: x is bool, expected", Embedding(3, 2).forward, np.array([True])),
    case("x holds 3, expected integers from 0 to 2", Embedding(3, 2).forward, np.array([0, 3])),
    case("x holds -1, expected integers from 0 to 2", Embedding(3, 2).forward, np.array([[0], [-1]])),
    *(
        case(f"{kind.__name__}(3, 4).forward: {words}", kind(3, 4).forward, *args)
        for kind, states in ((RNN, 4), (GRU, 4), (LSTM, 8))
        for words, args in (
            ("x has shape (2, 3), expected (T, B, 3)", (zeros(2, 3),)),
            ("x has shape (5, 2, 4), expected (T, B, 3)", (zeros(5, 2, 4),)),
            ("x has no time steps", (zeros(0, 2, 3),)),
            (f"s0 has shape (2, 5), expected (2, {states})", (zeros(5, 2, 3), zeros(2, 5))),
            (f"s0 has shape (1, {states}), expected (2, {states})", (zeros(5, 2, 3), zeros(1, states))),
            ("s0 is float64, expected float32", (zeros(5, 2, 3), zeros(2, states, dtype=float))),
            ("s0 is of type tuple, expected an array", (zeros(5, 2, 3), (zeros(2, 4), zeros(2, 4)))),
        )
    ),
    case("s0 is of type Cache, expected", RECURRENT.forward, zeros(5, 2, 3), cache_of(RECURRENT, zeros(5, 2, 3))),
    case("Linear(3, 4).forward: x has shape (2, 4), expected (..., 3)", NET.forward, zeros(2, 4)),
    case("Linear(3, 4).forward: cache is 'dict', expected", LINEAR.forward, zeros(2, 3), cache={}),
    case(
        "Linear(3, 4).forward: cache is LSTM(3, 4)'s, expected",
        LINEAR.forward, zeros(2, 3), cache=cache_of(RECURRENT, zeros(5, 2, 3)),
    ),
    case(
        "Sequential(Linear(3, 4), Tanh()).forward: cache is Sequential(Linear(3, 4), Tanh(), Linear(4, 2))'s",
        Sequential(*NET[:2]).forward, zeros(2, 3), cache=cache_of(NET, zeros(2, 3)),
    ),
]  # fmt: skip

BACKWARD = [
    case("Linear(3, 4).backward: dy has shape (2, 3), expected (2, 4)", LINEAR.backward, zeros(2, 3),
         cache_of(LINEAR, zeros(2, 3))),
    case("Linear(3, 4).backward: dy has shape (8,), expected (2, 4)", LINEAR.backward, zeros(8),
         cache_of(LINEAR, zeros(2, 3))),
    case("Linear(3, 4).backward: dy is float64, expected float32", LINEAR.backward, zeros(2, 4, dtype=float),
         cache_of(LINEAR, zeros(2, 3))),
    case("Linear(3, 4).backward: dy is of type NoneType, expected an array of shape (2, 4)", LINEAR.backward, None,
         cache_of(LINEAR, zeros(2, 3))),
    case("Linear(3, 4).backward: cache is 'NoneType', expected", LINEAR.backward, zeros(2, 4), None),
    case("Linear(3, 4).backward: cache is 'ndarray', expected", LINEAR.backward, cache_of(LINEAR, zeros(2, 3)),
         zeros(2, 4)),
    case("Linear(5, 4).backward: cache is Linear(3, 4)'s, expected", Linear(5, 4).backward, zeros(2, 4),
         cache_of(LINEAR, zeros(2, 3))),
    case("Tanh().backward: cache is Sigmoid()'s, expected", Tanh().backward, zeros(2), cache_of(Sigmoid(), zeros(2))),
    case("Conv2d(2, 3, 3, 2, 0).backward: cache is Conv2d(2, 3, 3, 1, 0)'s, expected", Conv2d(2, 3, 3, 2).backward,
         zeros(1, 3, 3, 3), cache_of(CONV, IMAGES)),
    case("LSTM(4, 4).backward: cache is LSTM(3, 4)'s, expected", LSTM(4, 4).backward, zeros(5, 2, 4),
         cache_of(RECURRENT, zeros(5, 2, 3))),
    case("LSTM(3, 4).backward: dy has shape (5, 2, 3), expected (5, 2, 4)", RECURRENT.backward, zeros(5, 2, 3),
         cache_of(RECURRENT, zeros(5, 2, 3))),
    case("LSTM(3, 4).backward: dsT has shape (2, 4), expected (2, 8)", RECURRENT.backward, zeros(5, 2, 4),
         cache_of(RECURRENT, zeros(5, 2, 3)), zeros(2, 4)),
    case("LSTM(3, 4).backward: dsT is float64, expected float32", RECURRENT.backward, zeros(5, 2, 4),
         cache_of(RECURRENT, zeros(5, 2, 3)), zeros(2, 8, dtype=float)),
    case("LSTM(3, 4).backward: cache is 'ndarray', expected", RECURRENT.backward, zeros(5, 2, 4), zeros(2, 8)),
    case("Linear(4, 2).backward: dy has shape (2, 3), expected (2, 2)", NET.backward, zeros(2, 3),
         cache_of(NET, zeros(2, 3))),
    case("Sequential(Tanh()).backward: cache is 'NoneType', expected", Sequential(Tanh()).backward, zeros(2), None),
]  # fmt: skip

SOFTMAX, H = SoftmaxCrossEntropy(), zeros(2, 3)
LOSSES = [
    case(f"{type(loss).__name__}().{method}: {words}", getattr(loss, method), *args)
    for method in ("value", "gradient")
    for loss, words, args in (
        (SOFTMAX, "h is of type list, expected an array", ([[1.0]], np.array([0]))),
        (SOFTMAX, "h is int64, expected float32 or float64", (np.array([[1, 2]]), np.array([0]))),
        (SOFTMAX, "h has shape (), expected (..., N)", (zeros(), np.array(0))),
        (SOFTMAX, "h has shape (0, 3), expected at least one row", (zeros(0, 3), np.array([], int))),
        (SOFTMAX, "labels is list, expected an array of integers from 0 to 2", (H, [0, 1])),
        (SOFTMAX, "labels is float32, expected an array of integers", (H, zeros(2))),
        (SOFTMAX, "labels holds 3, expected integers from 0 to 2", (H, np.array([0, 3]))),
        (SOFTMAX, "labels holds 3, expected integers from 0 to 2; do they count from 1?", (H, np.array([1, 3]))),
        (SOFTMAX, "labels holds -1, expected integers from 0 to 2", (H, np.array([0, -1]))),
        (SOFTMAX, "labels holds 7, expected integers from 0 to 2", (zeros(3), np.int64(7))),
        (SOFTMAX, "labels has shape (3,), expected (2,)", (H, np.array([0, 1, 2]))),
        (SOFTMAX, "labels has shape (2, 3), expected (2,)", (H, np.zeros((2, 3), int))),
        (SigmoidCrossEntropy(), "labels has shape (2, 4), expected (2, 3)", (H, zeros(2, 4))),
        (SigmoidCrossEntropy(), "labels is int64, expected float32", (H, np.zeros((2, 3), int))),
        (SigmoidCrossEntropy(), "labels run from 2.0 to 2.0, expected numbers from 0 to 1", (H, zeros(2, 3) + 2)),
        (SigmoidCrossEntropy(), "labels run from nan to nan, expected", (H, zeros(2, 3) + np.nan)),
        (SquaredError(), "labels has shape (3,), expected (2, 3)", (H, zeros(3))),
        (SquaredError(), "labels is float64, expected float32", (H, zeros(2, 3, dtype=float))),
        (SquaredError(), "labels is of type NoneType, expected an array", (H, None)),
    )
]


def run_fit(**changes: Any) -> None:
    arguments = {"net": NET, "loss": SOFTMAX, "optimiser": SGD(0.1), "x": zeros(6, 3), "labels": np.zeros(6, int)}
    fit(**{**arguments, "progress": False, **changes})


OTHERS = [
    case("SGD(lr=0.1).step: layer is of type NamedArrays, expected a Layer", SGD(0.1).step, LINEAR.params),
    case("lr is nan, expected", SGD(lambda step: np.nan).step, LINEAR),
    case("lr is None, expected", Adam(lambda step: None).step, LINEAR),
    *(
        case(f"{change.__name__}: {name} is {got!r}, expected ... above 0", change, LINEAR, got)
        for change, name in ((clip_norm, "limit"), (normalise_gradients, "norm"))
        for got in (0, -1, np.nan, np.inf, "a", None)
    ),
    case("layer is of type NamedArrays, expected a Layer", clip_norm, LINEAR.grads, 1.0),
    case("layer is of type NoneType, expected a Layer", normalise_gradients, None),
    *(
        case(f"shape is {shape}, expected (n_in, n_out)", init, np.random.default_rng(0), shape)
        for init in (initialise.glorot, initialise.he, initialise.fan_in_uniform, initialise.orthogonal,
                     initialise.identity)
        for shape in ((3,), (2, 3, 4))
    ),
    case('device is \'gpu\', expected "cpu", "cuda" or "cuda:N"', LINEAR.to, "gpu"),
    case('device is 0, expected "cpu", "cuda" or "cuda:N"', LINEAR.to, 0),
    case('device is \'cuda:x\', expected "cpu"', to_device, zeros(2), "cuda:x"),
    case("Linear(3, 4).astype: dtype is 'int8', expected float32 or float64", LINEAR.astype, "int8"),
    case("fit: net is of type NoneType, expected a Layer", run_fit, net=None),
    case("fit: net is LSTM(3, 4), which also returns a state", run_fit, net=RECURRENT),
    case("fit: loss is SGD(lr=0.2), expected an object with value and gradient", run_fit, loss=SGD(0.2)),
    case("fit: loss is <class", run_fit, loss=SoftmaxCrossEntropy),
    case("fit: optimiser is SoftmaxCrossEntropy(), expected an object with step", run_fit, optimiser=SOFTMAX),
    case("fit: epochs is 0, expected a whole number of at least 1", run_fit, epochs=0),
    case("fit: epochs is 1.5, expected a whole number", run_fit, epochs=1.5),
    case("fit: batch_size is 0, expected a whole number of at least 1", run_fit, batch_size=0),
    case("seed is -1, expected a whole number of at least 0", run_fit, seed=-1),
    case("fit: clip is 0, expected ... above 0", run_fit, clip=0),
    case("fit: validation is of type int, expected a tuple (x, labels)", run_fit, validation=3),
    case("fit: labels has 4 rows, expected 6, one for each of x", run_fit, labels=np.zeros(4, int)),
    case("fit: labels has 0 rows, expected at least one", run_fit, x=zeros(0, 3), labels=np.zeros(0, int)),
    case("is of type list, expected an array with rows", run_fit, x=[[1.0, 2.0, 3.0]] * 6),
    case("Linear(3, 4).forward: x is float64, expected float32", run_fit, x=zeros(6, 3, dtype=float)),
    case("Linear(3, 4).forward: x has shape (6, 5), expected (..., 3)", run_fit, x=zeros(6, 5)),
]  # fmt: skip

# What NumPy or Python say when nobody checked before.
SOUP = re.compile(
    r"broadcast|operand|setting an array|has no attribute|unexpected keyword|positional argument|cannot reshape"
    r"|not callable|matmul|could not convert|cannot be interpreted|unsupported|gufunc|not supported between"
)


@pytest.mark.parametrize(("words", "function", "args", "kwargs"), [
    *CONSTRUCTORS, *FORWARD, *BACKWARD, *LOSSES, *OTHERS
])  # fmt: skip
def test_one_sentence(words: str, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        function(*args, **kwargs)
    sentence = str(raised.value)
    assert re.search(".*".join(map(re.escape, words.split(" ... "))), sentence), sentence
    assert "\n" not in sentence
    assert len(sentence) < 250
    assert not SOUP.search(sentence), sentence
    assert raised.value.__suppress_context__ or raised.value.__context__ is None  # no second traceback below


def test_other_nonsense_is_named(tmp_path) -> None:
    net = Linear(2, 2, rng=0)
    for words, call in {
        "training is 'eval', expected True or False": lambda: setattr(net, "training", "eval"),
        "nesterov is 'no', expected True or False": lambda: SGD(0.1, momentum=0.9, nesterov="no"),
        "the layers are float32 and float64": lambda: Sequential(Linear(2, 2), Linear(2, 2, dtype=np.float64)),
        "save: path is": lambda: save(net, str(tmp_path / "a.npz")),
        "save: layer is of type ndarray": lambda: save(tmp_path / "a.npz", zeros(2)),
        "save: optimiser is <class": lambda: save(tmp_path / "a.npz", net, SGD),
        "load: optimiser is 'adam'": lambda: load(tmp_path / "a.npz", net, "adam"),
        "there is no folder": lambda: save(tmp_path / "no" / "a.npz", net),
        "which is a folder": lambda: save(tmp_path, net),
        "cosine_decay: total is 0": lambda: schedules.cosine_decay(0, 0.1, 0),
        "step_decay: total is 0": lambda: schedules.step_decay(0, 0.1, 0),
        "exponential_decay: half_life is 0": lambda: schedules.exponential_decay(0, 0.1, 0),
        "warm_up: steps is 0": lambda: schedules.warm_up(0, 0.1, 0),
    }.items():
        with pytest.raises((TypeError, ValueError, OSError), match=re.escape(words)) as error:
            call()
        assert "\n" not in str(error.value)
    assert net.training is True
    assert not list(tmp_path.iterdir())


def test_nothing_has_changed_after_all_these_failures() -> None:
    """The layers above still have their gradients at zero and compute."""
    for layer, x in ((LINEAR, zeros(2, 3)), (RECURRENT, zeros(5, 2, 3)), (CONV, IMAGES), (NET, zeros(2, 3))):
        assert not any(slab.any() for slab in layer.grads.slabs)
        assert layer.dtype == np.float32
        assert np.isfinite(layer.forward(x)[0]).all()


def test_arrays_of_another_device_are_refused(device: str) -> None:
    there = "cpu" if device == "cuda" else None
    if there is None:
        layer = Linear(3, 4)
        assert layer.forward(to_device(zeros(2, 3), device))[0].shape == (2, 4)
        return
    layer, recurrent = Linear(3, 4).to(device), LSTM(3, 4).to(device)
    with pytest.raises(TypeError, match=r"Linear\(3, 4\).forward: x is on cpu, expected cuda:0; move the array"):
        layer.forward(zeros(2, 3))
    _, cache = layer.forward(to_device(zeros(2, 3), device))
    with pytest.raises(TypeError, match=r"Linear\(3, 4\).backward: dy is on cpu, expected cuda:0"):
        layer.backward(zeros(2, 4), cache)
    with pytest.raises(TypeError, match=r"LSTM\(3, 4\).forward: s0 is on cpu, expected cuda:0"):
        recurrent.forward(to_device(zeros(5, 2, 3), device), zeros(2, 8))
    with pytest.raises(TypeError, match=r"Linear\(3, 4\).forward: x is on cuda:0, expected cpu"):
        Linear(3, 4).forward(to_device(zeros(2, 3), device))
    with pytest.raises(TypeError, match=r"SquaredError\(\).value: labels is on cuda:0, expected cpu"):
        SquaredError().value(zeros(2, 3), to_device(zeros(2, 3), device))


def test_a_device_without_cupy_is_answered_with_what_to_install() -> None:
    from minidni.arrays import backend

    try:
        backend._cupy()
    except RuntimeError:
        layer = Linear(3, 4, rng=0)
        with pytest.raises(RuntimeError, match=r'device "cuda" .*(pip install "minidni\[cuda12\]"|no usable GPU)'):
            layer.to("cuda")
        assert isinstance(layer.params.W, np.ndarray)
