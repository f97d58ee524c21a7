"""The walks for a GPU: their kernels' C source against the plain versions, both against exact derivatives.

Without a GPU the kernels run on the stand-in, which executes their source; where there is one, on CuPy too.
"""

import copy
import itertools
import pickle
import re
import shutil
import subprocess
from collections import Counter

import numpy as np
import pytest
import standin
from conftest import GPU
from hypothesis import given
from hypothesis import strategies as st
from nn.passes import assert_close, slopes

from minidni import (
    GRU,
    LSTM,
    Adam,
    Linear,
    Sequential,
    SoftmaxCrossEntropy,
    array_module,
    check_gradients,
    clip_norm,
    to_device,
    to_numpy,
)
from minidni.arrays.cuda_kernels import CudaKernel
from minidni.nn.recurrent.fused import gru, lstm

KERNELS = {kernel.name: kernel for kernel in (lstm.step, lstm.step_back, gru.step, gru.step_back)}
KINDS = pytest.mark.parametrize("kind", [LSTM, GRU])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
every_kernel = pytest.mark.parametrize("name", KERNELS)
on_a_gpu = pytest.mark.parametrize("device", ["stand-in", *GPU], indirect=True)
seeds = st.integers(0, 2**32 - 1)
NVCC = shutil.which("nvcc")


def draw(kind, sizes, seed, dtype=np.float64):
    """A layer with random parameters, random arguments of a pass, and a mask."""
    (T, B, D, H), rng = sizes, np.random.default_rng(seed)
    layer = kind(D, H, rng=rng, dtype=dtype)
    layer.params.slab[...] += 0.3 * rng.standard_normal(layer.params.slab.shape)
    shapes = {"x": (T, B, D), "s0": (B, layer.n_state), "dy": (T, B, H), "dsT": (B, layer.n_state)}
    arrays = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    return layer, arrays, rng.random((T, B)) < 0.7


def run(layer, arrays, mask=None, device="cpu", cache=None):
    """What a pass answers, by name, on top of accumulators filled with ones; and the cache."""
    layer = layer.to(device)
    x, s0, dy, dsT, mask = (
        None if a is None else to_device(a, device) for a in (*map(arrays.get, ("x", "s0", "dy", "dsT")), mask)
    )
    for slab in layer.grads.slabs:
        slab[...] = 1
    y, sT, cache = layer.forward(x, s0, cache, mask=mask)
    dx, ds0 = layer.backward(dy, cache, dsT)
    found = {"y": y, "sT": sT, "dx": dx, "ds0": ds0, **{f"d{name}": g for name, g in layer.grads.items()}}
    assert all(array_module(a) is array_module(x) and a.dtype == x.dtype for a in found.values())
    return {name: np.array(to_numpy(a)) for name, a in found.items()}, cache


def plain_twin(layer):
    twin = copy.deepcopy(layer)
    twin.plain = True
    return twin


def fused_twin(layer):
    """A copy that takes the fused walk for NumPy's arrays too, where the kernels' plain versions run."""
    twin = copy.deepcopy(layer)
    twin._form = lambda x: "fused"
    return twin


# The walks


@KINDS
@given(sizes=st.tuples(*(st.integers(1, n) for n in (9, 4, 4, 6))), seed=seeds, masked=st.booleans())
def test_the_fused_walk_equals_the_plain_one(kind, sizes, seed, masked):
    layer, arrays, mask = draw(kind, sizes, seed)
    mask = mask if masked else None
    expected, _ = run(plain_twin(layer), arrays, mask)
    on_host, _ = run(fused_twin(layer), arrays, mask)
    assert_close(on_host, expected, 1e-13)
    with standin.installed():
        on_device, cache = run(layer, arrays, mask, "cuda")
        assert cache.form == "fused"
    assert_close(on_device, expected, 1e-13)


@on_a_gpu
@KINDS
@DTYPES
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (30, 5, 3, 33), (4, 70, 2, 64)])
def test_on_a_device(device, kind, dtype, masked, sizes):
    layer, arrays, mask = draw(kind, sizes, 0, dtype)
    double = {name: a.astype(np.float64) for name, a in arrays.items()}
    expected, _ = run(plain_twin(layer).astype(np.float64), double, mask if masked else None)
    got, cache = run(layer, arrays, mask if masked else None, device)
    assert cache.form == "fused"
    assert_close(got, expected, 1e-12 if dtype == np.float64 else 1e-5)


@on_a_gpu
@KINDS
@pytest.mark.parametrize("given_", range(16))
def test_none_means_zeros(device, kind, given_):
    """Every combination of s0, dy, dsT and mask given and left out."""
    layer, arrays, mask = draw(kind, (5, 3, 2, 4), given_)
    some = {name: a for bit, (name, a) in enumerate(arrays.items()) if name == "x" or given_ >> (bit - 1) & 1}
    zeros = {name: np.zeros_like(a) for name, a in arrays.items()}
    mask = mask if given_ & 8 else None
    got, _ = run(copy.deepcopy(layer), some, mask, device)
    expected, _ = run(plain_twin(layer), zeros | some, mask)
    assert_close(got, expected, 1e-13)


@on_a_gpu
@KINDS
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_the_kernels_are_right(device, kind, masked):
    """Their backward, on the device, against the complex step through the plain forward."""
    layer, arrays, mask = draw(kind, (4, 3, 2, 3), seed=5)
    mask = mask if masked else None
    plain = plain_twin(layer)
    got, _ = run(layer, arrays, mask, device)
    for name in layer.grads:
        got[f"d{name}"] -= 1  # what was in the accumulators
    for name, v, slope in slopes(plain, **arrays, mask=mask):
        assert (got[name] * v).sum() == pytest.approx(slope, rel=1e-12, abs=1e-12), name


@KINDS
@pytest.mark.parametrize("T", [1, 4])
def test_gradients_of_the_plain_versions_are_right(kind, T):
    layer, arrays, _ = draw(kind, (T, 2, 2, 3), seed=T)
    report = check_gradients(fused_twin(layer), arrays["x"], arrays["s0"], seed=T)
    assert report.ok, str(report)


@on_a_gpu
@KINDS
def test_a_recycled_cache_gives_the_same_bits(device, kind):
    layer, arrays, mask = draw(kind, (6, 3, 2, 4), seed=0)
    other = {name: np.cos(a) for name, a in arrays.items()}
    for first, second in ((mask, None), (None, mask)):
        fresh, _ = run(layer, arrays, second, device)
        _, cache = run(layer, other, first, device)
        recycled, _ = run(layer, arrays, second, device, cache)
        assert_close(recycled, fresh, 0)


@KINDS
def test_nothing_is_written_into_what_was_given(kind):
    layer, arrays, mask = draw(kind, (4, 3, 2, 3), seed=0)
    for a in (*arrays.values(), mask):
        a.flags.writeable = False
    with standin.installed() as cp:
        run(layer, arrays, mask, "cuda")
        given = {name: cp.asarray(a) for name, a in (arrays | {"mask": mask}).items()}
        _, _, cache = layer.forward(given["x"], given["s0"], mask=given["mask"])
        layer.backward(given["dy"], cache, given["dsT"])
        for name, a in (arrays | {"mask": mask}).items():
            np.testing.assert_array_equal(given[name].get(), a)


@KINDS
def test_complex_numbers_and_layer_norm_take_the_plain_walk(kind):
    with standin.installed() as cp:
        layer = kind(2, 3, rng=0, dtype=np.float64).to("cuda")
        x = cp.ones((2, 1, 2))
        assert layer.forward(x)[-1].form == "fused"
        assert layer.astype(np.complex128).forward(x.astype(complex))[-1].form == "plain"
        assert kind(2, 3, rng=0, layer_norm=True).to("cuda").forward(x.astype(np.float32))[-1].form == "plain"


@KINDS
def test_layers_that_have_walked_still_pickle(kind):
    with standin.installed():
        layer, arrays, _ = draw(kind, (3, 2, 2, 3), seed=0)
        first, _ = run(layer, arrays, None, "cuda")
        again, _ = run(pickle.loads(pickle.dumps(layer)), arrays, None, "cuda")
    assert_close(again, first, 0)


# What a step asks of the GPU


def launches_of(kind, T, masked):
    """What is launched in a forward and in a backward pass with a cache that was used before."""
    layer, arrays, mask = draw(kind, (T, 3, 2, 4), seed=0, dtype=np.float32)
    with standin.installed() as cp:
        layer = layer.to("cuda")
        x, s0, dy, dsT = (cp.asarray(a) for a in arrays.values())
        mask = cp.asarray(mask) if masked else None
        cache, counts = None, []
        for _ in range(2):
            standin.launches.reset()
            *_, cache = layer.forward(x, s0, cache, mask=mask)
            forward = standin.launches.counts.copy()
            standin.launches.reset()
            layer.backward(dy, cache, dsT)
            counts = [forward, standin.launches.counts.copy()]
        return counts


@KINDS
@pytest.mark.parametrize("masked", [False, True])
def test_a_step_is_two_launches_forward_and_two_back(kind, masked):
    """One product and one kernel, into arrays that are there; nothing else computes, copies or takes memory."""
    name = kind.__name__.lower()
    short, long = launches_of(kind, 5, masked), launches_of(kind, 6, masked)
    assert long[0] - short[0] == Counter({"matmul": 1, f"{name}_step": 1})
    assert long[1] - short[1] == Counter({"matmul": 1, f"{name}_step_back": 1})


@KINDS
def test_a_window_adds_a_fixed_handful(kind):
    (forward, back), T = launches_of(kind, 5, masked=False), 5
    assert forward["matmul"] == T + 1 and back["matmul"] == T + 1 and back["matmul, new"] == 2
    assert forward.total() - 2 * T <= 6 and back.total() - 2 * T <= 15
    assert not any(name.endswith(", new") for name in forward), "a recycled cache needs no memory"
    assert {name for name in back if name.endswith(", new")} == {"matmul, new", "sum, new"}, "the weights' gradients"


def test_a_training_step_waits_for_nothing():
    with standin.installed() as cp:
        net = Sequential(LSTM(3, 4, rng=0), GRU(4, 5, rng=1), Linear(5, 3, rng=2)).to("cuda")
        loss, optimiser, rng = SoftmaxCrossEntropy(), Adam(), np.random.default_rng(3)
        x = cp.asarray(rng.standard_normal((6, 2, 3)).astype(np.float32))
        labels, mask = cp.asarray(rng.integers(0, 3, (6, 2))), cp.asarray(rng.random((6, 2)) < 0.7)
        s, cache = None, None
        optimiser.step(net)  # makes its state
        with standin.no_synchronisation():
            for _ in range(2):
                y, s, cache = net.forward(x, s, cache, mask=mask)
                net.zero_grads()
                net.backward(loss.gradient(y, labels), cache)
                clip_norm(net, 1.0)
                optimiser.step(net)
                s = s.copy()


# The kernels


def arguments_of(kernel, B, H, dtype, masked, seed):
    """Random arguments by name, inputs and outputs; all are read, so all are filled."""
    rng, G = np.random.default_rng(seed), 4 if kernel.name.startswith("lstm") else 3
    shapes = dict.fromkeys(("u", "gates", "da", "du"), (B, G * H)) | {"bh": (G * H,)}
    found = {}
    for name in re.findall(r"(\w+)(?:,|$)", f"{kernel.inputs}, {kernel.outputs}"):
        found[name] = rng.standard_normal(shapes.get(name, (B, H))).astype(dtype)
    return found | {"H": H, "on": np.arange(B)[:, None] % 2 == 0 if masked else True}


def call(kernel, arguments, device="cpu"):
    """The arguments after a call, on the host."""
    arguments = {k: to_device(a.copy(), device) if hasattr(a, "shape") else a for k, a in arguments.items()}
    xp = array_module(*(a for a in arguments.values() if hasattr(a, "shape")))
    kernel.on(xp)(*arguments.values())
    return {name: to_numpy(a) if hasattr(a, "shape") else a for name, a in arguments.items()}


@on_a_gpu
@every_kernel
@DTYPES
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("B, H", [(1, 1), (3, 5), (40, 32)])
def test_a_kernel_does_what_its_plain_version_does(device, name, dtype, masked, B, H):
    kernel = KERNELS[name]
    arguments = arguments_of(kernel, B, H, dtype, masked, seed=B)
    expected = call(kernel, arguments)
    got = call(kernel, arguments, device)
    assert_close(got, expected, 1e-14 if dtype == np.float64 else 2e-6)
    inputs = re.findall(r"(\w+)(?:,|$)", kernel.inputs)
    assert_close(got, {k: a for k, a in arguments.items() if k in inputs}, 0)


@on_a_gpu
@pytest.mark.parametrize("name", ["lstm_step", "gru_step"])
@DTYPES
def test_gates_far_from_zero_saturate(device, name, dtype):
    """Where exp overflows or vanishes the gates are 0 or 1, and no NaN arises."""
    kernel = KERNELS[name]
    arguments = arguments_of(kernel, 6, 4, dtype, masked=False, seed=0)
    arguments["gates"] *= 1000
    got = call(kernel, arguments, device)
    assert all(np.isfinite(a).all() for a in got.values())
    expected = 1 / (1 + np.exp(-np.clip(arguments["gates"].astype(float)[:, :4], -700, 700)))
    far = np.abs(arguments["gates"][:, :4]) > 100
    np.testing.assert_allclose(got["gates"][:, :4][far], expected[far], atol=1e-30)
    assert far.sum() > 10


def mutants_of(kernel):
    """The kernel with one sign, one choice or one name wrong, each as (what, kernel)."""
    source, found = re.sub(r"//.*", "", kernel.source), []
    wrong = {" + ": " - ", " - ": " + ", " * ": " + ", " / ": " * ", " % ": " / "}
    for match in re.finditer(r" [-+*/%] ", source):
        found.append((match.start(), source[: match.start()] + wrong[match[0]] + source[match.end() :]))
    for match in re.finditer(r"\? ([^:;]+) : ([^;]+);", source):
        found.append((match.start(), f"{source[: match.start()]}? {match[2]} : {match[1]};{source[match.end() :]}"))
    for match in re.finditer(r"\b\d\b", source):
        found.append((match.start(), source[: match.start()] + str(int(match[0]) + 1) + source[match.end() :]))
    for one, other in (("gi", "gf"), ("go", "gg"), ("r", "z"), ("tanh", "exp"), ("dy", "dh"), ("dh_in", "dc_in")):
        for match in re.finditer(rf"(?<!T )\b{one}\b(?! =)", source):
            if re.search(rf"T {other}\b|T {other}_", source + kernel.inputs) or one == "tanh":
                found.append((match.start(), source[: match.start()] + other + source[match.end() :]))
    return [(source[:at].count("\n"), CudaKernel(kernel.plain, kernel.inputs, kernel.outputs, s)) for at, s in found]


@every_kernel
def test_every_planted_bug_is_caught(name):
    """Each sign, choice, number and some names in the C source, wrong one at a time: refused, or another result."""
    kernel, missed, mutants = KERNELS[name], [], mutants_of(KERNELS[name])
    arguments = arguments_of(kernel, 3, 5, np.float64, masked=True, seed=1)
    expected = call(kernel, arguments)
    with standin.installed():
        assert_close(call(kernel, arguments, "cuda"), expected, 1e-14)
        for line, mutant in mutants:
            try:
                assert_close(call(mutant, arguments, "cuda"), expected, 1e-14)
            except (AssertionError, SyntaxError, IndexError, ValueError):
                continue
            missed.append(mutant.source.splitlines()[line])
    assert len(mutants) > 40
    assert not missed, "\n".join(missed)


def test_a_planted_bug_is_seen_in_the_walk(monkeypatch):
    layer, arrays, mask = draw(LSTM, (4, 3, 2, 3), seed=0)
    expected, _ = run(plain_twin(layer), arrays, mask)
    wrong = lstm.step_back.source.replace("on ? 0 : dh + past", "on ? 0 : dh")
    assert wrong != lstm.step_back.source
    monkeypatch.setattr(lstm.step_back, "source", wrong)
    monkeypatch.setattr(lstm.step_back, "_made", {})
    with standin.installed():
        got, _ = run(layer, arrays, mask, "cuda")
    assert_close({"y": got["y"]}, {"y": expected["y"]}, 1e-13)
    with pytest.raises(AssertionError, match=r"ds0|dx"):
        assert_close(got, expected, 1e-13)


def test_a_kernel_is_made_once_for_each_library():
    assert lstm.step.on(np) is lstm.step.plain
    with standin.installed() as cp:
        assert lstm.step.on(cp) is lstm.step.on(cp)
        assert isinstance(lstm.step.on(cp), cp.ElementwiseKernel)


def cuda_source(kernel, dtype, masked):
    """The kernel as CuPy writes it, with pointers in place of CuPy's array class."""
    parameters, references = [], []
    for text in f"{kernel.inputs}, {kernel.outputs}".split(", "):
        const = "const " if text in kernel.inputs.split(", ") else ""
        *raw, kind, name = text.split()
        kind = {"int64": "long long"}.get(kind, kind)
        if name == "H" or (name == "on" and not masked):
            parameters.append(f"const {kind} {name}")
        elif raw:
            parameters.append(f"{const}{kind} *{name}")
        else:
            parameters.append(f"{const}{kind} *_raw_{name}")
            references.append(f"{const}{kind} &{name} = _raw_{name}[{'i / H' if name == 'on' else 'i'}];")
    return f"""
    namespace {kernel.name}_{dtype}_{masked} {{
      typedef {dtype} T;
      extern "C" __global__ void {kernel.name}_{dtype}_{masked}_({", ".join(parameters)}, ptrdiff_t n) {{
        for (ptrdiff_t i = static_cast<ptrdiff_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
             i += static_cast<ptrdiff_t>(blockDim.x) * gridDim.x) {{
          {" ".join(references)}
          {kernel.source};
        }}
      }}
    }}
    """


@pytest.mark.skipif(NVCC is None, reason="there is no CUDA compiler here")
def test_the_cuda_compiler_takes_the_source(tmp_path):
    """And a kernel for single precision computes nothing in double, which many GPUs do far slower."""
    kinds = list(itertools.product(KERNELS.values(), ("float", "double"), (False, True)))
    source, ptx = tmp_path / "kernels.cu", tmp_path / "kernels.ptx"
    source.write_text("".join(cuda_source(*kind) for kind in kinds), encoding="utf-8")
    command = [NVCC, "-ptx", "-arch=compute_80", "-Werror", "all-warnings", source, "-o", ptx]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    entries = ptx.read_text(encoding="utf-8").split(".entry ")[1:]
    assert len(entries) == len(kinds)
    for entry in entries:
        assert (".f64" in entry) == ("_double_" in entry.partition("(")[0])
