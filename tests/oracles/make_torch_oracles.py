"""Make torch_oracles.npz: what PyTorch computes, in float64, for every layer, loss and optimiser of the library.

The tests read the file and need no PyTorch. To make it anew (CPU build, the version that is recorded in the file):

    python tests/oracles/make_torch_oracles.py

Sizes and numbers are drawn from SEED by NumPy, so a second run gives the same file. Weights are handed to PyTorch in
its own layout and stored, like their gradients, in the library's: `(n_in, n_out)`, gates in the order i f o g.

Stacks of recurrent layers are stored as PyTorch has them, in its names, layout and states, for the functions that copy
from these. New cases come last, so that the numbers of the others stay.

Each case is a dictionary of settings in `about` (JSON), and arrays named "<case>/<array>".
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

SEED = 20260
FILE = Path(__file__).with_name("torch_oracles.npz")

Arrays = dict[str, np.ndarray]


class Oracles:
    """The cases so far."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(SEED)
        self.cases: list[dict[str, Any]] = []
        self.arrays: Arrays = {}

    def add(self, group: str, name: str, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        number = sum(case["name"] == name for case in self.cases)
        case = f"{group}-{name}-{number}"
        self.cases.append({"case": case, "group": group, "name": name, **settings})
        self.arrays |= {f"{case}/{key}": np.asarray(array) for key, array in arrays.items()}

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.from_numpy(self.rng.standard_normal(shape)).requires_grad_()

    def sizes(self, *highs: int, low: int = 1) -> list[int]:
        """A whole number from `low` up to each of `highs`, both included."""
        return [int(self.rng.integers(low, high + 1)) for high in highs]

    def leading(self) -> list[int]:
        """One or two leading axes."""
        return self.sizes(*[4] * int(self.rng.integers(1, 3)), low=2)

    def save(self) -> None:
        about = {"torch": torch.__version__, "numpy": np.__version__, "seed": SEED, "cases": self.cases}
        part = FILE.with_suffix(".part")
        with open(part, "wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(about)), **self.arrays)
        os.replace(part, FILE)


def numpy(x: torch.Tensor) -> np.ndarray:
    return x.detach().numpy().copy()


def differentiate(
    oracles: Oracles, outputs: Mapping[str, torch.Tensor], inputs: Mapping[str, torch.Tensor]
) -> tuple[Arrays, Arrays]:
    """Random cotangents for the outputs, and the gradients that they give the inputs: {"dy": ...}, {"dx": ...}."""
    cotangents = {name: torch.from_numpy(oracles.rng.standard_normal(y.shape)) for name, y in outputs.items()}
    total = torch.stack([(y * cotangents[name]).sum() for name, y in outputs.items()]).sum()
    gradients = torch.autograd.grad(total, list(inputs.values()))
    return (
        {f"d{name}": numpy(dy) for name, dy in cotangents.items()},
        {f"d{name}": numpy(g) for name, g in zip(inputs, gradients, strict=True)},
    )


def layer(
    oracles: Oracles,
    name: str,
    args: Iterable[Any],
    function: Callable[..., torch.Tensor],
    x: torch.Tensor,
    params: Mapping[str, torch.Tensor] | None = None,
    transposed: tuple[str, ...] = (),
    **kwargs: Any,
) -> None:
    """A case for a layer: y = function(x, **params), with `transposed` parameters in PyTorch's layout."""
    params = dict(params or {})
    y = function(x, **params)
    floating = {"x": x} if x.is_floating_point() else {}
    cotangents, gradients = differentiate(oracles, {"y": y}, floating | params)
    arrays = {"x": numpy(x), "y": numpy(y), **cotangents}
    arrays |= {name: numpy(p) for name, p in params.items()} | gradients
    for key in transposed:
        arrays |= {key: arrays[key].T, f"d{key}": arrays[f"d{key}"].T}
    oracles.add("layer", name, {"args": list(args), "kwargs": kwargs, "params": list(params)}, arrays)


def dense(oracles: Oracles) -> None:
    for _ in range(4):
        leading, (D, M) = oracles.leading(), oracles.sizes(5, 5)
        params = {"W": oracles.normal(M, D), "b": oracles.normal(M)}
        layer(oracles, "Linear", (D, M), lambda x, W, b: F.linear(x, W, b), oracles.normal(*leading, D), params, ("W",))
    layer(oracles, "Linear", (3, 2), lambda x, W, b: F.linear(x, W, b), oracles.normal(3),
          {"W": oracles.normal(2, 3), "b": oracles.normal(2)}, ("W",))  # fmt: skip
    for name, function in (("ReLU", F.relu), ("Tanh", torch.tanh), ("Sigmoid", torch.sigmoid)):
        for scale in (1, 3, 3):
            x = (scale * oracles.normal(*oracles.leading(), *oracles.sizes(5))).detach().requires_grad_()
            layer(oracles, name, (), function, x)
    for _ in range(3):
        layer(oracles, "Flatten", (), lambda x: torch.flatten(x, 1), oracles.normal(*oracles.sizes(3, 3, 4, 4)))
    for shape in ((7,), (3, 5), (2, 3, 4), (12,)):
        n, N = oracles.sizes(3, 5)  # few rows, many tokens: most occur more than once
        tokens = torch.from_numpy(oracles.rng.integers(0, n, shape))
        table = {"W": oracles.normal(n, N)}
        layer(oracles, "Embedding", (n, N), lambda x, W: F.embedding(x, W), tokens, table)


def normalisation(oracles: Oracles) -> None:
    for _ in range(4):
        leading, (N,) = oracles.leading(), oracles.sizes(6, low=2)
        params = {"gamma": oracles.normal(N), "beta": oracles.normal(N)}
        x = (3 * oracles.normal(*leading, N) + 2).detach().requires_grad_()
        layer(oracles, "LayerNorm", (N,), lambda x, gamma, beta: F.layer_norm(x, gamma.shape, gamma, beta), x, params)
    for axis, momentum in ((-1, 0.1), (-1, 0.3), (-1, 0.1), (1, 0.1), (1, 0.25)):
        (N,) = oracles.sizes(5)
        shape = (*oracles.sizes(4, low=2), N, *oracles.sizes(4, 4)) if axis == 1 else (*oracles.leading(), N)
        batch_norm(oracles, N, axis, momentum, shape)


def batch_norm(oracles: Oracles, N: int, axis: int, momentum: float, shape: tuple[int, ...]) -> None:
    """Four steps of training, each on other data, then evaluation; of each all that goes in and comes out."""
    module = (torch.nn.BatchNorm2d if axis == 1 else torch.nn.BatchNorm1d)(N, momentum=momentum).double()
    arrays: Arrays = {}
    for parameter, name in ((module.weight, "gamma"), (module.bias, "beta")):
        parameter.data = oracles.normal(N).detach()
        arrays[name] = numpy(parameter)
    for step in range(5):
        module.train(step < 4)
        x = (2 * oracles.normal(*shape) + step).detach().requires_grad_()
        y = module(x) if axis == 1 else module(x.reshape(-1, N)).reshape(shape)
        cotangents, gradients = differentiate(oracles, {"y": y}, {"x": x, "gamma": module.weight, "beta": module.bias})
        results = {"x": numpy(x), "y": numpy(y), **cotangents, **gradients}
        results |= {"mean": numpy(module.running_mean), "var": numpy(module.running_var)}
        arrays |= {f"{step}.{key}": array for key, array in results.items()}
    oracles.add("batchnorm", "BatchNorm", {"args": [N], "kwargs": {"axis": axis, "momentum": momentum}}, arrays)


def images(oracles: Oracles) -> None:
    # kernel, stride, padding: plain, padded, strided, stride > kernel, padding >= kernel, 1 x 1
    for K, stride, padding in ((3, 1, 0), (3, 1, 1), (2, 2, 0), (3, 2, 1), (2, 3, 0), (1, 2, 0), (2, 3, 2), (1, 1, 0)):
        B, C, M = oracles.sizes(3, 3, 3)
        H, W = oracles.sizes(7, 7, low=4)  # some are no multiple of the stride, most are not square
        params = {"W": oracles.normal(M, C, K, K), "b": oracles.normal(M)}
        function = lambda x, W, b, s=stride, p=padding: F.conv2d(x, W, b, stride=s, padding=p)  # noqa: E731
        layer(oracles, "Conv2d", (C, M, K, stride, padding), function, oracles.normal(B, C, H, W), params)
    for name, pool in (("MaxPool2d", F.max_pool2d), ("AvgPool2d", F.avg_pool2d)):
        # in line, overlapping, with gaps, a window as wide as its step, every place
        for K, stride in ((2, 2), (3, 2), (2, 3), (3, 3), (3, 1), (1, 2)):
            shape = *oracles.sizes(2, 3), *oracles.sizes(7, 7, low=4)
            layer(oracles, name, (K, stride), lambda x, f=pool, k=K, s=stride: f(x, k, s), oracles.normal(*shape))


def recurrent(oracles: Oracles) -> None:
    for name, gates, order in (("RNN", 1, (0,)), ("GRU", 3, (0, 1, 2)), ("LSTM", 4, (0, 1, 3, 2))):
        for T in range(1, 8):
            B, D, H = oracles.sizes(3, 3, 4)
            one_recurrent(oracles, name, gates, order, T, B, D, H)


def one_recurrent(
    oracles: Oracles, name: str, gates: int, order: tuple[int, ...], T: int, B: int, D: int, H: int
) -> None:
    """`order` lists PyTorch's gates in the library's order: its LSTM has i f g o."""
    module = getattr(torch.nn, name)(D, H).double()
    torch_params = {
        "Wx": module.weight_ih_l0,
        "Wh": module.weight_hh_l0,
        "b": module.bias_ih_l0,
        "bh": module.bias_hh_l0,
    }
    for parameter in torch_params.values():
        parameter.data = oracles.normal(*parameter.shape).detach()
    x, h0, c0 = oracles.normal(T, B, D), oracles.normal(1, B, H), oracles.normal(1, B, H)
    if name == "LSTM":
        y, (hT, cT) = module(x, (h0, c0))
        states, starts = {"hT": hT, "cT": cT}, {"h0": h0, "c0": c0}
    else:
        y, hT = module(x, h0)
        states, starts = {"hT": hT}, {"h0": h0}
    cotangents, gradients = differentiate(oracles, {"y": y, **states}, {"x": x, **starts, **torch_params})

    def ours(array: np.ndarray) -> np.ndarray:
        blocks = array.reshape(gates, H, -1)[list(order)]
        return blocks.reshape(gates * H, -1).T if array.ndim == 2 else blocks.reshape(-1)

    params = {key: ours(numpy(p)) for key, p in torch_params.items()}
    dparams = {f"d{key}": ours(gradients[f"d{key}"]) for key in torch_params}
    if name != "GRU":  # one bias where PyTorch has two that are added
        params["b"] += params.pop("bh")
        dparams.pop("dbh")

    def joined(pieces: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([piece[0] for piece in pieces], axis=-1)  # [h | c], without PyTorch's axis of layers

    arrays = {
        "x": numpy(x),
        "s0": joined(numpy(s) for s in starts.values()),
        "y": numpy(y),
        "sT": joined(numpy(s) for s in states.values()),
        "dy": cotangents["dy"],
        "dsT": joined(cotangents[f"d{key}"] for key in states),
        "dx": gradients["dx"],
        "ds0": joined(gradients[f"d{key}"] for key in starts),
    }
    settings = {"args": [D, H], "kwargs": {}, "params": list(params)}
    oracles.add("recurrent", name, settings, arrays | params | dparams)


def losses(oracles: Oracles) -> None:
    def numbers(scale: float) -> torch.Tensor:
        """Rounded to float32, so that both precisions get the same logits, however large."""
        return (scale * oracles.normal(*shape)).detach().float().double().requires_grad_()

    for scale in (1, 1, 30, 1e4):
        shape = (*oracles.leading(), *oracles.sizes(6, low=2))
        h, rows = numbers(scale), math.prod(shape[:-1])
        labels = torch.from_numpy(oracles.rng.integers(0, shape[-1], shape[:-1]))
        loss(oracles, "SoftmaxCrossEntropy", h, labels, F.cross_entropy(h.flatten(0, -2), labels.flatten()))
        likely = h.argmax(-1)  # a loss near 0, where what large logits have lost would show
        loss(oracles, "SoftmaxCrossEntropy", h, likely, F.cross_entropy(h.flatten(0, -2), likely.flatten()))
        soft = torch.from_numpy(oracles.rng.random(shape)).float().double()
        hard = torch.from_numpy(oracles.rng.integers(0, 2, shape).astype(float))
        for targets in (soft, hard, (h > 0).double()):
            value = F.binary_cross_entropy_with_logits(h, targets, reduction="sum") / rows
            loss(oracles, "SigmoidCrossEntropy", h, targets, value)
        targets = numbers(scale).detach()
        loss(oracles, "SquaredError", h, targets, F.mse_loss(h, targets, reduction="sum") / rows)


def loss(oracles: Oracles, name: str, h: torch.Tensor, labels: torch.Tensor, value: torch.Tensor) -> None:
    (gradient,) = torch.autograd.grad(value, h)
    arrays = {"h": numpy(h), "labels": numpy(labels), "value": numpy(value), "gradient": numpy(gradient)}
    oracles.add("loss", name, {}, arrays)


def optimisers(oracles: Oracles) -> None:
    sgd, rms, adam, adamw = torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adam, torch.optim.AdamW
    optimiser(oracles, "SGD", {"lr": 0.1}, sgd, {})
    optimiser(oracles, "SGD", {"lr": 0.1, "momentum": 0.9}, sgd, {"momentum": 0.9})
    nesterov = {"momentum": 0.8, "nesterov": True}
    optimiser(oracles, "SGD", {"lr": 0.05, **nesterov}, sgd, nesterov)
    optimiser(oracles, "SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.3}, sgd, {"momentum": 0.9})
    optimiser(oracles, "RMSProp", {"lr": 0.01}, rms, {"alpha": 0.99, "eps": 1e-8})
    optimiser(oracles, "RMSProp", {"lr": 0.02, "decay": 0.9, "eps": 1e-4}, rms, {"alpha": 0.9, "eps": 1e-4})
    optimiser(oracles, "RMSProp", {"lr": 0.02, "weight_decay": 0.2}, rms, {"alpha": 0.99, "eps": 1e-8})
    optimiser(oracles, "Adam", {"lr": 0.01}, adam, {})
    own = {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}
    optimiser(oracles, "Adam", {"lr": 0.03, **own}, adam, {"betas": (0.5, 0.9), "eps": 1e-3})
    optimiser(oracles, "Adam", {"lr": 0.01, "weight_decay": 0.1}, adamw, {"weight_decay": 0.1}, decoupled=True)
    falling = [0.1 * 0.9**k for k in range(20)]
    optimiser(oracles, "Adam", {"weight_decay": 0.1}, adamw, {"weight_decay": 0.1}, decoupled=True, rates=falling)


def optimiser(
    oracles: Oracles,
    name: str,
    ours: Mapping[str, Any],
    kind: Any,
    theirs: Mapping[str, Any],
    decoupled: bool = False,
    rates: list[float] | None = None,
) -> None:
    """Twenty steps with given gradients. For all but AdamW, decay apart from the gradient is restated here."""
    w = oracles.normal(*oracles.sizes(7, low=3))
    gradients = oracles.rng.standard_normal((20, w.numel())) * oracles.rng.choice([1e-3, 1, 100], size=w.numel())
    start, path = numpy(w), []
    torch_optimiser = kind([w], lr=ours.get("lr", 1.0), **theirs)
    for k, g in enumerate(gradients):
        w.grad = torch.from_numpy(g)
        if rates is not None:
            torch_optimiser.param_groups[0]["lr"] = rates[k]
        if not decoupled:
            w.data *= 1 - ours["lr"] * ours.get("weight_decay", 0.0)
        torch_optimiser.step()
        path.append(numpy(w))
    arrays = {"start": start, "gradients": gradients, "path": np.stack(path)}
    oracles.add("optimiser", name, {"kwargs": dict(ours), "rates": rates}, arrays)


def network(oracles: Oracles) -> None:
    """A small convolutional classifier, from the image to the loss and back."""
    x, labels = oracles.normal(3, 2, 9, 8), torch.from_numpy(oracles.rng.integers(0, 4, 3))
    shapes = {"0.W": (3, 2, 3, 3), "0.b": (3,), "4.W": (4, 48), "4.b": (4,)}
    p = {name: oracles.normal(*shape) for name, shape in shapes.items()}
    h = F.max_pool2d(torch.tanh(F.conv2d(x, p["0.W"], p["0.b"], padding=1)), 2, 2)  # (3, 3, 4, 4)
    value = F.cross_entropy(F.linear(h.flatten(1), p["4.W"], p["4.b"]), labels)
    gradients = torch.autograd.grad(value, [x, *p.values()])
    arrays = {"x": numpy(x), "labels": numpy(labels), "value": numpy(value)}
    arrays |= {name: numpy(w) for name, w in p.items()}
    arrays |= {f"d{name}": numpy(g) for name, g in zip(("x", *p), gradients, strict=True)}
    for key in ("4.W", "d4.W"):
        arrays[key] = arrays[key].T
    oracles.add("network", "Sequential", {"params": list(p)}, arrays)


def recurrent_edges(oracles: Oracles) -> None:
    """One step, one sequence, one unit, one input, and a longer window, alone and together."""
    for name, gates, order in (("RNN", 1, (0,)), ("GRU", 3, (0, 1, 2)), ("LSTM", 4, (0, 1, 3, 2))):
        for T, B, D, H in ((1, 1, 1, 1), (1, 3, 2, 4), (6, 1, 3, 2), (4, 2, 3, 1), (12, 2, 1, 3)):
            one_recurrent(oracles, name, gates, order, T, B, D, H)


def stacks(oracles: Oracles) -> None:
    for name in ("RNN", "GRU", "LSTM"):
        for layers in (2, 3):
            T, B, D, H = oracles.sizes(4, 2, 3, 3)
            stack(oracles, name, layers, T, B, D, H)
        for layers, lengths in ((1, [3, 5, 1, 5]), (1, [2]), (2, [1, 4, 2])):  # a window's last steps may be nobody's
            D, H = oracles.sizes(3, 3)
            stack(oracles, name, layers, 5, len(lengths), D, H, lengths)


def stack(
    oracles: Oracles, name: str, layers: int, T: int, B: int, D: int, H: int, lengths: list[int] | None = None
) -> None:
    """With `lengths` the sequences are padded to T steps, and PyTorch gets them packed."""
    module = getattr(torch.nn, name)(D, H, num_layers=layers).double()
    params = dict(module.named_parameters())
    for parameter in params.values():
        parameter.data = oracles.normal(*parameter.shape).detach()
    x, starts = oracles.normal(T, B, D), {"h0": oracles.normal(layers, B, H)}
    if name == "LSTM":
        starts["c0"] = oracles.normal(layers, B, H)
    state = tuple(starts.values()) if name == "LSTM" else starts["h0"]
    if lengths is None:
        y, last = module(x, state)
    else:
        rnn = torch.nn.utils.rnn
        packed, last = module(rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False), state)
        y, _ = rnn.pad_packed_sequence(packed, total_length=T)
    states = dict(zip(("hT", "cT"), last if name == "LSTM" else (last,), strict=False))
    cotangents, gradients = differentiate(oracles, {"y": y, **states}, {"x": x, **starts, **params})
    arrays = {"x": x, "y": y, **starts, **states, **params}
    settings = {"args": [D, H], "layers": layers, "lengths": lengths, "params": list(params)}
    oracles.add("stack", name, settings, {key: numpy(a) for key, a in arrays.items()} | cotangents | gradients)


def main() -> None:
    torch.set_num_threads(1)
    oracles = Oracles()
    for make in (dense, normalisation, images, recurrent, losses, optimisers, network, recurrent_edges, stacks):
        make(oracles)
    oracles.save()
    numbers = sum(a.size for a in oracles.arrays.values())
    print(
        f"{len(oracles.cases)} cases, {numbers:,} numbers, {FILE.stat().st_size:,} bytes, PyTorch {torch.__version__}"
    )


if __name__ == "__main__":
    main()
