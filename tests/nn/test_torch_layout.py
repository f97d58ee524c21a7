"""Copies to PyTorch's layout and back. That the layout is PyTorch's is seen in test_oracles, from its own arrays."""

import numpy as np
import pytest

from minidni import GRU, LSTM, RNN, Embedding, Linear, Sequential, to_device, to_numpy
from minidni.nn import from_torch_layout, from_torch_state, to_torch_layout, to_torch_state

KINDS = [RNN, GRU, LSTM]
every_kind = pytest.mark.parametrize("kind", KINDS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def random(net, seed=0):
    rng = np.random.default_rng(seed)
    for slab in net.params.slabs:
        slab[...] = rng.standard_normal(slab.shape)
    return net


def stack(kind, n=3, dtype=np.float64):
    return random(Sequential(*(kind(5 if k == 0 else 4, 4, dtype=dtype) for k in range(n))))


@every_kind
@dtypes
def test_there_and_back_is_the_same_net(kind, dtype, device):
    net, twin = stack(kind, dtype=dtype).to(device), random(stack(kind, dtype=dtype), seed=1).to(device)
    arrays = to_torch_layout(net)
    G = net[0].n_gates
    assert {name: (a.shape, a.dtype, type(a)) for name, a in arrays.items()} == {
        name: (shape, np.dtype(dtype), np.ndarray)
        for k in range(3)
        for name, shape in {
            f"weight_ih_l{k}": (4 * G, 5 if k == 0 else 4),
            f"weight_hh_l{k}": (4 * G, 4),
            f"bias_ih_l{k}": (4 * G,),
            f"bias_hh_l{k}": (4 * G,),
        }.items()
    }
    from_torch_layout(twin, arrays)
    for name, p in net.params.items():
        np.testing.assert_array_equal(to_numpy(twin.params[name]), to_numpy(p))


@every_kind
def test_the_arrays_are_copies(kind):
    net = random(kind(3, 4))
    before = net.params.slab.copy()
    for a in (arrays := to_torch_layout(net)).values():
        a[...] = 7
    np.testing.assert_array_equal(net.params.slab, before)
    from_torch_layout(net, arrays)
    for a in arrays.values():
        a[...] = 8
    assert (net.params.Wx == 7).all()


@pytest.mark.parametrize("kind", [RNN, LSTM])
def test_the_two_biases_of_pytorch_are_added(kind):
    net = random(kind(3, 4, dtype=np.float64))
    b, arrays = net.params.b.copy(), to_torch_layout(net)
    assert not arrays["bias_hh_l0"].any()
    arrays["bias_hh_l0"] += 0.25
    from_torch_layout(net, arrays)
    np.testing.assert_array_equal(net.params.b, b + 0.25)


def test_single_precision_is_converted_to_the_layers_own():
    arrays = to_torch_layout(random(LSTM(3, 4)))
    net = LSTM(3, 4, dtype=np.float64)
    from_torch_layout(net, arrays)
    assert net.params.Wx.dtype == np.float64
    np.testing.assert_array_equal(to_torch_layout(net)["weight_ih_l0"], arrays["weight_ih_l0"])


@every_kind
@dtypes
@pytest.mark.parametrize("B", [0, 1, 3])
def test_states_there_and_back(kind, dtype, B, device):
    net = stack(kind, dtype=dtype).to(device)
    s = to_device(np.random.default_rng(0).standard_normal((B, net.n_state)).astype(dtype), device)
    state = to_torch_state(net, s)
    assert [part.shape for part in (state if kind is LSTM else (state,))] == [(3, B, 4)] * (2 if kind is LSTM else 1)
    back = from_torch_state(net, state)
    assert type(back) is type(s) and back.dtype == dtype
    np.testing.assert_array_equal(to_numpy(back), to_numpy(s))


def test_where_each_state_is():
    net = Sequential(LSTM(1, 2), LSTM(2, 2))
    s = np.arange(8, dtype=np.float32)[None]  # [h0 | c0 | h1 | c1]
    h, c = to_torch_state(net, s)
    assert h.tolist() == [[[0, 1]], [[4, 5]]]
    assert c.tolist() == [[[2, 3]], [[6, 7]]]
    assert to_torch_state(GRU(1, 2), s[:, :2]).tolist() == [[[0, 1]]]


def changed(**changes):
    """The arrays of an LSTM(3, 4), some of them replaced, or left out where None."""
    arrays = to_torch_layout(LSTM(3, 4)) | changes
    return {name: a for name, a in arrays.items() if a is not None}


@pytest.mark.parametrize(
    ("arrays", "error", "words"),
    [
        (changed(bias_hh_l0=None), ValueError, "arrays lacks bias_hh_l0, expected weight_ih_l0 (16, 3), "),
        (changed(weight_ih_l1=np.ones((16, 4))), ValueError, "arrays also holds weight_ih_l1, expected weight_ih_l0"),
        (changed(weight_hr_l0=np.ones((2, 4))), ValueError, "arrays also holds weight_hr_l0"),  # proj_size
        (changed(weight_hh_l0=np.ones((4, 16))), ValueError, "weight_hh_l0 has shape (4, 16), expected (16, 4)"),
        (changed(bias_hh_l0=np.ones((16, 1))), ValueError, "bias_hh_l0 has shape (16, 1), expected (16,)"),
        (changed(weight_ih_l0=np.ones((16, 3), int)), TypeError, "weight_ih_l0 is int64, expected float32 or float64"),
        (changed(bias_ih_l0=[0.0] * 16), TypeError, "bias_ih_l0 is of type list, expected an array of shape (16,)"),
        ([np.ones((16, 3))], TypeError, "arrays is of type list, expected a mapping of names to arrays"),
    ],
)
def test_wrong_arrays_are_named_and_nothing_is_changed(arrays, error, words):
    net = random(LSTM(3, 4))
    before = net.params.slab.copy()
    with pytest.raises(error) as raised:
        from_torch_layout(net, arrays)
    text = str(raised.value)
    assert text.startswith("from_torch_layout: ") and words in text and "\n" not in text
    np.testing.assert_array_equal(net.params.slab, before)


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (Sequential(Embedding(5, 3), LSTM(3, 4)), "layer is or holds Embedding(5, 3), expected an RNN, GRU or LSTM"),
        (Linear(3, 4), "layer is or holds Linear(3, 4), expected an RNN, GRU or LSTM"),
        ("LSTM", "layer is or holds something of type str, expected an RNN, GRU or LSTM"),
        (LSTM(3, 4, layer_norm=True), "LSTM(3, 4, layer_norm=True), expected one without layer norm"),
        (Sequential(GRU(3, 4), RNN(4, 4)), "layer is Sequential(GRU(3, 4), RNN(4, 4)), expected layers of one kind"),
        (Sequential(GRU(3, 4), GRU(4, 5)), "layer is Sequential(GRU(3, 4), GRU(4, 5)), expected layers of one kind"),
    ],
    ids=str,
)
def test_nets_that_pytorch_has_no_module_for_are_named(net, words):
    for call in (
        lambda: to_torch_layout(net),
        lambda: from_torch_layout(net, {}),
        lambda: to_torch_state(net, np.ones((1, 8))),
        lambda: from_torch_state(net, np.ones((1, 1, 4))),
    ):
        with pytest.raises((TypeError, ValueError)) as raised:
            call()
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: to_torch_state(LSTM(3, 4), np.ones((2, 4))), "to_torch_state: s has shape (2, 4), expected (B, 8)"),
        (
            lambda: from_torch_state(LSTM(3, 4), np.ones((1, 2, 4))),
            "state is of type ndarray, expected the pair",
        ),
        (lambda: from_torch_state(GRU(3, 4), (np.ones((1, 2, 4)),) * 2), "h is of type tuple, expected an array"),
        (lambda: from_torch_state(GRU(3, 4), np.ones((2, 4))), "h has shape (2, 4), expected (1, B, 4)"),
        (
            lambda: from_torch_state(LSTM(3, 4), (np.ones((1, 2, 4)), np.ones((1, 3, 4)))),
            "c has shape (1, 3, 4), expected (1, 2, 4)",
        ),
    ],
)
def test_wrong_states_are_named(call, words):
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert words in str(raised.value) and "\n" not in str(raised.value)
