"""save and load: the same bits back, a resumed run that equals one never stopped, and files that are refused."""

import errno
import json
import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidni import (
    GRU,
    LSTM,
    RNN,
    SGD,
    Adam,
    BatchNorm,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    ReLU,
    RMSProp,
    Sequential,
    SoftmaxCrossEntropy,
    load,
    save,
    to_device,
    to_numpy,
)
from minidni.data import batches
from minidni.nn import Layer, Optimiser


def network(seed: int = 0, dtype: Any = np.float32) -> Sequential:
    """Everything that has something to save: parameters, running statistics, two random generators."""
    return Sequential(
        Conv2d(1, 3, 3, rng=seed, dtype=dtype),
        BatchNorm(3, axis=1, dtype=dtype),
        ReLU(),
        Dropout(0.3, rng=seed + 1),
        Flatten(),
        Linear(12, 8, rng=seed + 2, dtype=dtype),
        LayerNorm(8, dtype=dtype),
        Dropout(0.2, rng=seed + 3),
        Linear(8, 3, rng=seed + 4, dtype=dtype),
    )


def everything(layer: Layer, optimiser: Optimiser | None = None) -> dict[str, Any]:
    """All numbers of a layer and its optimiser, copied."""
    found = {f"params {name}": to_numpy(p).copy() for name, p in layer.params.items()}
    found |= {f"buffers {name}": to_numpy(p).copy() for name, p in layer.buffers.items()}
    if optimiser is not None:
        for i, leaf in enumerate(layer.params.leaves):
            for name, value in optimiser.state_of(leaf).items():
                found[f"state {i} {name}"] = np.array(value if name == "steps" else to_numpy(value))
    for i, child in layer.children().items():
        if isinstance(child, Dropout):
            found[f"generator {i}"] = np.array(str(child.rng.bit_generator.state))
    return found


def assert_equal(got: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype, name
        np.testing.assert_array_equal(got[name], array, err_msg=name)


RNG = np.random.default_rng(0)
X = RNG.standard_normal((22, 1, 4, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 22)


def train(net: Layer, optimiser: Optimiser, first: int, last: int, device: str = "cpu") -> list[float]:
    """A loop as one writes it, from one step to another; there are 5 steps in an epoch."""
    loss, losses, step = SoftmaxCrossEntropy(), [], first
    x, y = to_device(X, device), to_device(Y, device)
    while step < last:
        epoch, done = divmod(step, 5)
        for xb, yb in batches(x, y, size=5, seed=7, epoch=epoch, skip=done):
            if step == last:
                break
            h, cache = net.forward(xb)
            losses.append(loss.value(h, yb))
            net.zero_grads()
            net.backward(loss.gradient(h, yb), cache)
            optimiser.step(net)
            step += 1
    return losses


OPTIMISERS: list[Any] = [
    lambda: SGD(0.05),
    lambda: SGD(0.05, momentum=0.9, nesterov=True),
    lambda: RMSProp(0.01),
    lambda: Adam(lambda step: 0.01 * 0.9**step, weight_decay=0.01),
]
every_optimiser = pytest.mark.parametrize("make", OPTIMISERS, ids=["sgd", "nesterov", "rmsprop", "adamw"])


@every_optimiser
@pytest.mark.parametrize("stop", [5, 8], ids=["between epochs", "within an epoch"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    make: Any, stop: int, tmp_path: Path, device: str
) -> None:
    net, optimiser = network().to(device), make()
    losses = train(net, optimiser, 0, 14, device)
    first, first_optimiser = network().to(device), make()
    before = train(first, first_optimiser, 0, stop, device)
    save(tmp_path / "run.npz", first, first_optimiser)
    second, second_optimiser = network(seed=100).to(device), make()  # other weights, other masks
    load(tmp_path / "run.npz", second, second_optimiser)
    assert before + train(second, second_optimiser, stop, 14, device) == losses
    assert_equal(everything(second, second_optimiser), everything(net, optimiser))


@pytest.mark.parametrize(
    "make",
    [
        network,
        lambda seed: network(seed, np.float64),
        lambda seed: LSTM(2, 3, rng=seed),
        lambda seed: GRU(2, 3, rng=seed, dtype=np.float64),
        lambda seed: RNN(2, 3, rng=seed),
        lambda seed: Embedding(4, 2, rng=seed),
        lambda seed: Sequential(Linear(2, 2, rng=seed), Sequential(Dropout(0.1, rng=seed), Linear(2, 2, rng=seed))),
        lambda seed: Dropout(0.5, rng=seed),
        lambda seed: Dropout(0.5, rng=np.random.Generator(np.random.MT19937(seed))),
        lambda seed: Dropout(0.5, rng=np.random.Generator(np.random.Philox(seed))),
        lambda seed: ReLU(),
    ],
)
def test_there_and_back_bit_for_bit(make: Any, tmp_path: Path, device: str) -> None:
    layer, other = make(0).to(device), make(1).to(device)
    for slab in layer.params.slabs:
        slab[:1] = np.finfo(slab.dtype).smallest_subnormal
    save(tmp_path / "layer.npz", layer)
    load(tmp_path / "layer.npz", other)
    assert_equal(everything(other), everything(layer))
    if isinstance(layer, Dropout):
        x = to_device(np.ones((50,)), device)
        np.testing.assert_array_equal(to_numpy(layer.forward(x)[0]), to_numpy(other.forward(x)[0]))


def test_what_was_saved_on_one_device_loads_on_another(tmp_path: Path, device: str) -> None:
    net, optimiser = network(), Adam()
    train(net, optimiser, 0, 3)
    save(tmp_path / "net.npz", net, optimiser)
    there, its_optimiser = network(seed=9).to(device), Adam()
    load(tmp_path / "net.npz", there, its_optimiser)
    assert type(there.params["0.W"]) is type(to_device(np.zeros(1), device))
    assert_equal(everything(there, its_optimiser), everything(net, optimiser))


def test_loading_copies_into_the_views(tmp_path: Path) -> None:
    net, other = network(), network(seed=5)
    save(tmp_path / "net.npz", net)
    W, slabs = other.params["0.W"], other.params.slabs
    load(tmp_path / "net.npz", other)
    assert other.params["0.W"] is W
    assert all(a is b for a, b in zip(slabs, other.params.slabs, strict=True))
    np.testing.assert_array_equal(W, net.params["0.W"])


def test_a_file_with_an_optimiser_loads_without_one(tmp_path: Path) -> None:
    net, optimiser = network(), Adam()
    train(net, optimiser, 0, 2)
    save(tmp_path / "net.npz", net, optimiser)
    other = network(seed=3)
    load(tmp_path / "net.npz", other)
    assert_equal(everything(other), everything(net))


def test_the_loading_optimiser_keeps_its_settings_and_takes_the_steps(tmp_path: Path) -> None:
    net, optimiser = network(), Adam(0.1)
    train(net, optimiser, 0, 4)
    save(tmp_path / "net.npz", net, optimiser)
    other, slower = network(), Adam(0.001, beta1=0.5)
    load(tmp_path / "net.npz", other, slower)
    assert (slower.lr, slower.beta1) == (0.001, 0.5)
    assert {slower.state_of(leaf)["steps"] for leaf in other.params.leaves} == {4}


def test_the_file_is_readable_with_numpy_alone_and_named_as_asked(tmp_path: Path) -> None:
    net = network()
    for name in ("net.npz", "net.weights", "net"):
        save(tmp_path / name, net)
    assert sorted(os.listdir(tmp_path)) == ["net", "net.npz", "net.weights"]
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["params/0.W"], net.params["0.W"])
    save(str(tmp_path / "net.npz"), network(seed=3))  # replaces; a plain string is a path too
    load(str(tmp_path / "net.npz"), net)
    assert_equal(everything(net), everything(network(seed=3)))


# Files that do not fit.

MISFITS: list[Any] = [
    (
        lambda: Sequential(Linear(3, 2), Linear(2, 2)),
        lambda: Sequential(Linear(3, 2)),
        ["params/1.W is in the file but not in the layer", "params/1.b is in the file but not in the layer"],
    ),
    (
        lambda: Sequential(Linear(3, 2)),
        lambda: Sequential(Linear(3, 2), BatchNorm(2)),
        ["params/1.gamma is missing in the file", "buffers/1.var is missing in the file"],
    ),
    (
        lambda: Linear(3, 2),
        lambda: Linear(3, 4),
        [
            r"params/W is float32 \(3, 2\) in the file, float32 \(3, 4\) in the layer",
            r"params/b is float32 \(2,\) in the file, float32 \(4,\) in the layer",
        ],
    ),
    (
        lambda: Linear(3, 2, dtype=np.float64),
        lambda: Linear(3, 2),
        [r"params/W is float64 \(3, 2\) in the file, float32 \(3, 2\) in the layer"],
    ),
    (lambda: LSTM(3, 2), lambda: GRU(3, 2), ["params/bh is missing", r"params/Wx is float32 \(3, 8\) in the file"]),
    (
        lambda: Sequential(Linear(2, 2), Dropout(0.5)),
        lambda: Sequential(Linear(2, 2), Dropout(0.5), Dropout(0.5)),
        [r"random generators \[PCG64\] in the file, \[PCG64, PCG64\] in the layer"],
    ),
    (
        lambda: Dropout(0.5),
        lambda: Dropout(0.5, rng=np.random.Generator(np.random.Philox())),
        [r"random generators \[PCG64\] in the file, \[Philox\] in the layer"],
    ),
]


@pytest.mark.parametrize(("saved", "loaded", "sentences"), MISFITS)
def test_a_file_of_another_structure_is_refused_with_all_differences(
    saved: Any, loaded: Any, sentences: list[str], tmp_path: Path
) -> None:
    save(tmp_path / "net.npz", saved())
    layer = loaded()
    before = everything(layer)
    with pytest.raises(ValueError, match=r"net.npz does not fit .*, nothing was loaded: ") as error:
        load(tmp_path / "net.npz", layer)
    for sentence in sentences:
        assert re.search(sentence, str(error.value))
    assert "\n" not in str(error.value)
    assert_equal(everything(layer), before)


@pytest.mark.parametrize(
    ("saved", "loaded", "sentence"),
    [
        (None, Adam(), "holds no optimiser's state, expected Adam's; nothing was loaded"),
        (SGD(0.1, momentum=0.9), Adam(), "holds SGD's state, expected Adam's; nothing was loaded"),
        (SGD(0.1), SGD(0.1, momentum=0.9), "optimiser/0.v is missing in the file"),
        (SGD(0.1, momentum=0.9), SGD(0.1), "optimiser/0.v is in the file but not in the optimiser"),
    ],
)
def test_another_optimisers_file_is_refused(saved: Any, loaded: Any, sentence: str, tmp_path: Path) -> None:
    save(tmp_path / "net.npz", network(), saved)
    net = network(seed=1)
    before = everything(net)
    with pytest.raises(ValueError, match=sentence):
        load(tmp_path / "net.npz", net, loaded)
    assert_equal(everything(net), before)


def test_an_optimiser_of_tied_layers_does_not_fit_separate_ones(tmp_path: Path) -> None:
    tied = Linear(2, 2, rng=0)
    save(tmp_path / "net.npz", Sequential(tied, tied), SGD(0.1))
    net = Sequential(Linear(2, 2, rng=1), Linear(2, 2, rng=2))
    before = everything(net)
    with pytest.raises(ValueError, match=r"an optimiser of 1 layers in the file, 2 in the layer"):
        load(tmp_path / "net.npz", net, SGD(0.1))
    assert_equal(everything(net), before)


# Files that are none.


def assert_refused(path: Path) -> None:
    net = network(seed=1)
    optimiser = Adam()
    before = everything(net, optimiser)
    with pytest.raises(ValueError, match=r"^\S+ is not a complete file written by minidni's save$"):
        load(path, net, optimiser)
    assert_equal(everything(net, optimiser), before)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(part: float, tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    save(path, network(), Adam())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert_refused(path)


def test_a_damaged_file_is_refused_or_loads_what_was_saved(tmp_path: Path) -> None:
    """A hundred bytes turned over, one at a time: each is either noticed or does not matter (padding, dates)."""
    path, net = tmp_path / "net.npz", network()
    save(path, net)
    content, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for place in rng.integers(0, len(content), 100):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        other = network(seed=1)
        before = everything(other)
        try:
            load(path, other)
        except ValueError as error:
            assert re.search("is not a complete file|does not fit", str(error)), place
            assert_equal(everything(other), before)
            refused += 1
        else:
            assert_equal(everything(other), everything(net))
    assert refused > 30


class Trap:
    """What pickle would run on loading."""

    def __reduce__(self) -> Any:
        return os.mkdir, (str(TRAPPED),)


TRAPPED = Path("trapped")


@pytest.mark.parametrize(
    "kind", ["text", "npy", "npz of others", "pickle", "pickle inside", "wrong about", "no format"]
)
def test_what_is_no_such_file_is_refused_and_no_pickle_is_run(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.npz"
    save(path, network(), Adam())
    with np.load(path) as file:
        arrays = dict(file)
    if kind == "text":
        path.write_text("params/0.W = 3")
    elif kind == "npy":
        with open(path, "wb") as plain:
            np.save(plain, np.zeros(3))
    elif kind == "npz of others":
        np.savez(path, W=np.zeros(3))
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    elif kind == "pickle inside":
        np.savez(path, **arrays | {"params/0.W": np.array([Trap()], dtype=object)})
    elif kind == "wrong about":
        np.savez(path, **arrays | {"about": np.array("[1, 2")})
    else:
        np.savez(path, **arrays | {"about": np.array('{"format": "minidni 1"}')})
    assert_refused(path)
    assert not TRAPPED.exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        load(tmp_path / "nowhere.npz", network())


# Writing that fails.


def fail(*args: Any, **kwargs: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("function", ["numpy.savez", "os.fsync", "os.replace"])
@pytest.mark.parametrize("there_before", [True, False])
def test_when_writing_fails_the_old_file_stays_and_no_part_is_left(
    function: str, there_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.npz"
    if there_before:
        save(path, network())
    with monkeypatch.context() as patch:
        patch.setattr(function, fail)
        with pytest.raises(OSError, match="No space left"):
            save(path, network(seed=1))
    assert os.listdir(tmp_path) == ["net.npz"] * there_before
    if there_before:
        net = network(seed=2)
        load(path, net)
        assert_equal(everything(net), everything(network()))


def test_when_the_disk_fills_up_half_way_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.npz"
    save(path, network())
    content, real = path.read_bytes(), np.savez

    def half(file: Any, **arrays: Any) -> None:
        real(file, **dict(list(arrays.items())[:2]))
        fail()

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="No space left"):
        save(path, network(seed=1))
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["net.npz"]


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX's")
def test_the_files_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    save(tmp_path / "net.npz", network())
    (tmp_path / "plain").touch()
    assert (tmp_path / "net.npz").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    "damage",
    [
        {"steps": ["x", "y"]},
        {"steps": [-1, 0]},
        {"generators": [{"bit_generator": "PCG64"}]},
        {"generators": [{"bit_generator": "PCG64", "state": {"state": "no", "inc": 3}}]},
    ],
    ids=str,
)
def test_damage_inside_the_description_is_seen_before_anything_changes(damage: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    saved, optimiser = network(seed=0), Adam()
    save(path, saved, optimiser)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["about"] = np.array(json.dumps(json.loads(str(arrays["about"])) | damage))
    np.savez(path, **arrays)
    net, fresh = network(seed=1), Adam()
    before = everything(net, fresh)
    with pytest.raises(ValueError, match=r"not a complete file|is damaged"):
        load(path, net, fresh)
    after = everything(net, fresh)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(after[name], before[name])
