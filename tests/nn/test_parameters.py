"""Named arrays: many names, one slab; whatever happens to one is seen through the other."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from minidni import GRU, LSTM, BatchNorm, Conv2d, Linear, ReLU, Sequential, to_device, to_numpy
from minidni.nn import Layer
from minidni.nn.parameters import NamedArrays

DUPLICATES: list[Any] = [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))]
every_duplicate = pytest.mark.parametrize("duplicate", DUPLICATES, ids=["deepcopy", "pickle"])


def assert_views(layer: Layer) -> None:
    """Writing to the slabs shows in the names, and the names cover the slabs exactly."""
    for arrays in (layer.params, layer.grads, layer.buffers):
        for slab in arrays.slabs:
            slab[...] = to_device(np.arange(slab.size).astype(slab.dtype), "cpu" if slab is to_numpy(slab) else "cuda")
        seen = {id(a): to_numpy(a).ravel() for a in arrays.values()}
        joined = np.concatenate([*seen.values(), np.zeros(0)])
        expected = np.concatenate([*(np.arange(slab.size) for slab in arrays.slabs), np.zeros(0)])
        np.testing.assert_array_equal(joined, expected)


def network() -> Sequential:
    return Sequential(Conv2d(1, 2, 3, rng=0), BatchNorm(2, axis=1), ReLU(), Linear(4, 3, rng=1))


def test_names_are_views_of_one_slab_in_the_order_given() -> None:
    arrays = NamedArrays({"a": (2, 3), "b": (), "c": (4,)}, np.float64)
    assert arrays.slab.shape == (11,)
    arrays.slab[...] = np.arange(11)
    np.testing.assert_array_equal(arrays.a, [[0, 1, 2], [3, 4, 5]])
    assert arrays.b == 6
    np.testing.assert_array_equal(arrays["c"], [7, 8, 9, 10])
    assert list(arrays) == ["a", "b", "c"]
    assert len(arrays) == 3
    assert {name: a.shape for name, a in arrays.items()} == {"a": (2, 3), "b": (), "c": (4,)}


def test_assignment_copies_and_the_views_never_part(device: str) -> None:
    layer = Linear(2, 3, dtype=np.float64).to(device)
    W, slab, given = layer.params.W, layer.params.slabs[0], to_device(np.arange(6.0).reshape(2, 3), device)
    layer.params.W = given
    given[...] = -1
    assert layer.params.W is W
    np.testing.assert_array_equal(to_numpy(slab)[:6], np.arange(6))
    layer.params["b"] = to_device(np.array([7.0, 8, 9]), device)
    np.testing.assert_array_equal(to_numpy(slab)[6:], [7, 8, 9])


@pytest.mark.parametrize("net", [False, True], ids=["layer", "network"])
def test_in_place_operators_through_the_name(net: bool, device: str) -> None:
    layer = Linear(2, 3, dtype=np.float64).to(device)
    params, name = (Sequential(layer).params, "0.b") if net else (layer.params, "b")
    params[name] += 2
    params[name] *= 3
    params[name] -= to_device(np.arange(3.0), device)
    np.testing.assert_array_equal(to_numpy(layer.params.slabs[0])[6:], [6, 5, 4])
    layer.params.b /= 2
    np.testing.assert_array_equal(to_numpy(layer.params.slabs[0])[6:], [3, 2.5, 2])


def test_arrays_are_equal_only_to_themselves_so_that_state_can_be_kept_by_them() -> None:
    a, b = Linear(2, 2, rng=0), Linear(2, 2, rng=0)
    assert a.params == a.params
    assert a.params != b.params
    assert len({a.params, b.params, a.params}) == 2


@every_duplicate
@pytest.mark.parametrize("make", [network, lambda: LSTM(2, 3, rng=0), lambda: GRU(2, 3, rng=0)])
def test_duplicates_have_equal_numbers_memory_of_their_own_and_views(make: Any, duplicate: Any) -> None:
    layer = make()
    for slab in layer.grads.slabs:
        slab[...] = 0.5
    twin = duplicate(layer)
    before = {name: p.copy() for name, p in layer.params.items()}
    for name, p in twin.params.items():
        np.testing.assert_array_equal(p, before[name])
        np.testing.assert_array_equal(twin.grads[name], 0.5)
        assert not np.shares_memory(p, layer.params[name])
    assert_views(twin)
    for name, p in layer.params.items():
        np.testing.assert_array_equal(p, before[name])


@every_duplicate
def test_in_a_duplicate_a_shared_layer_is_shared_still(duplicate: Any) -> None:
    tied = Linear(3, 3, rng=0)
    twin = duplicate(Sequential(tied, ReLU(), tied))
    assert twin[0] is twin[2]
    assert len(twin.params.slabs) == 1
    twin.params["0.W"][0, 0] = 5
    assert twin.params["2.W"][0, 0] == 5


@every_duplicate
def test_a_duplicate_of_a_layer_on_a_device_stays_there(device: str, duplicate: Any) -> None:
    layer = Linear(2, 3, rng=0).to(device)
    twin = duplicate(layer)
    assert type(twin.params.W) is type(layer.params.W)
    np.testing.assert_array_equal(to_numpy(twin.params.W), to_numpy(layer.params.W))


def test_another_dtype_and_device_keep_numbers_views_and_sharing(device: str) -> None:
    net = network()
    before = {name: p.copy() for name, p in net.params.items()}
    assert net.astype(np.float64) is net
    assert net.to(device) is net
    assert net.dtype == np.float64
    for name, p in net.params.items():
        assert p.dtype == net.grads[name].dtype == np.float64
        np.testing.assert_array_equal(to_numpy(p).astype(np.float32), before[name])
        assert net[int(name[0])].params[name[2:]] is p
    assert {b.dtype for b in net.buffers.slabs} == {np.dtype(np.float64)}
    assert_views(net)


def test_zero_grads_zeroes_every_gradient_and_nothing_else() -> None:
    net = network()
    params = [slab.copy() for slab in net.params.slabs]
    for slab in net.grads.slabs:
        slab[...] = 3
    net.zero_grads()
    assert not any(g.any() for g in net.grads.values())
    for slab, before in zip(net.params.slabs, params, strict=True):
        np.testing.assert_array_equal(slab, before)


def test_numbers_of_parameters() -> None:
    assert network().n_params == (2 * 9 + 2) + 4 + 0 + (4 * 3 + 3)
    tied = Linear(3, 3)
    assert Sequential(tied, tied).n_params == 12
    assert ReLU().n_params == 0
    assert ReLU().dtype is None


def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    layer, net = Linear(2, 3), Sequential(Linear(2, 3), ReLU())
    with pytest.raises(KeyError, match=r"no array is named 'V'; there are W, b"):
        layer.params["V"]
    with pytest.raises(AttributeError, match=r"no array is named 'V'; there are W, b"):
        layer.params.V  # noqa: B018
    with pytest.raises(AttributeError, match=r"no array is named 'V'; there are W, b"):
        layer.params.V = np.zeros(3)
    with pytest.raises(KeyError, match=r"no array is named '1.W'; there are 0.W, 0.b"):
        net.params["1.W"]
    for use in (lambda: net.params.W, lambda: setattr(net.params, "W", 0)):
        with pytest.raises(AttributeError, match=r"a network's are named by place, such as params\['0.W'\]"):
            use()
    with pytest.raises(AttributeError, match="there are none"):
        ReLU().params.W  # noqa: B018


@pytest.mark.parametrize("value", [np.zeros((3, 2)), np.zeros(3), 0.0, np.zeros((2, 3, 1))])
def test_assignment_does_not_broadcast(value: Any) -> None:
    layer = Linear(2, 3, rng=0)
    before = layer.params.W.copy()
    with pytest.raises(ValueError, match=r"W has shape \(2, 3\) and cannot take an array of shape"):
        layer.params.W = value
    np.testing.assert_array_equal(layer.params.W, before)


def test_a_layer_prints_its_arrays_names_and_shapes() -> None:
    assert repr(Linear(2, 3).params) == "W (2, 3), b (3,)"
    assert repr(Sequential(Linear(2, 3)).params) == "0.W (2, 3), 0.b (3,)"
    assert repr(ReLU().params) == "(no arrays)"
