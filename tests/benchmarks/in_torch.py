"""The same steps in PyTorch: nn.LSTM, nn.GRU and nn.Sequential with default settings, in float32.

Every gradient is set to None before the backward pass, PyTorch's own default, which is also its fastest: it then writes
gradients instead of adding to them. x, h0 and c0 require gradients.
"""

import numpy as np
import torch
from benchmarks.tasks import GATES, MLP_RATE

# minidni's gates i f o g and r z n, in PyTorch's order i f g o and r z n. Both permutations are their own inverse.
ORDER = {"lstm": [0, 1, 3, 2], "gru": [0, 1, 2]}


def reorder(cell, w):
    """Blocks of gates along the last axis, from minidni's order to PyTorch's or back."""
    G = GATES[cell]
    return w.reshape(*w.shape[:-1], G, -1)[..., ORDER[cell], :].reshape(w.shape)


class Recurrent:
    def __init__(self, task, device="cpu"):
        self.cell, self.last_step = task.cell, task.last_step
        data, (_, B, D, H) = task.data(), task.shape
        self.layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[task.cell](D, H).to(device)
        weights = {
            "weight_ih_l0": reorder(task.cell, data["Wx"]).T,
            "weight_hh_l0": reorder(task.cell, data["Wh"]).T,
            "bias_ih_l0": reorder(task.cell, data["b"]),
            "bias_hh_l0": reorder(task.cell, data.get("bh", np.zeros_like(data["b"]))),
        }
        with torch.no_grad():
            for name, value in weights.items():
                getattr(self.layer, name).copy_(torch.from_numpy(value.copy()))
        self.x = torch.from_numpy(data["x"]).to(device).requires_grad_()
        s0, self.dsT = (
            [torch.from_numpy(a[:, at : at + H].copy())[None].to(device) for at in range(0, a.shape[1], H)]
            for a in (data["s0"], data["dsT"])
        )
        self.s0 = [part.requires_grad_() for part in s0]
        self.dy = None if task.last_step else torch.from_numpy(data["dy"]).to(device)
        assert self.x.shape[1] == B

    def step(self):
        for leaf in (*self.layer.parameters(), self.x, *self.s0):
            leaf.grad = None
        self.y, sT = self.layer(self.x, tuple(self.s0) if self.cell == "lstm" else self.s0[0])
        self.sT = sT if self.cell == "lstm" else (sT,)
        if self.last_step:  # the loss is a function of y[-1] alone
            self.y[-1].backward(self.dsT[0][0])
        else:
            torch.autograd.backward((self.y, *self.sT), (self.dy, *self.dsT))

    def results(self):
        numpy = [part.detach()[0].cpu().numpy() for part in self.sT]
        layer = self.layer
        found = {
            "y": self.y.detach().cpu().numpy(),
            "sT": np.hstack(numpy),
            "dx": self.x.grad.cpu().numpy(),
            "ds0": np.hstack([part.grad[0].cpu().numpy() for part in self.s0]),
            "Wx": reorder(self.cell, layer.weight_ih_l0.grad.cpu().numpy().T),
            "Wh": reorder(self.cell, layer.weight_hh_l0.grad.cpu().numpy().T),
            "b": reorder(self.cell, layer.bias_ih_l0.grad.cpu().numpy()),
        }
        if self.cell == "gru":
            found["bh"] = reorder(self.cell, layer.bias_hh_l0.grad.cpu().numpy())
        return found


class Mlp:
    def __init__(self, task, with_dx):
        data, layers = task.data(), []
        for i, (n, m) in enumerate(zip(task.shape[1:], task.shape[2:], strict=False)):
            linear = torch.nn.Linear(n, m)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(data[f"W{i}"].T.copy()))
                linear.bias.copy_(torch.from_numpy(data[f"b{i}"]))
            layers += [linear, torch.nn.ReLU()]
        self.net = torch.nn.Sequential(*layers[:-1])
        self.x, self.labels = torch.from_numpy(data["x"]).requires_grad_(with_dx), torch.from_numpy(data["labels"])
        self.loss, self.optimiser = torch.nn.CrossEntropyLoss(), torch.optim.SGD(self.net.parameters(), lr=MLP_RATE)

    def step(self):
        self.optimiser.zero_grad()
        self.x.grad = None
        self.y = self.net(self.x)
        self.loss(self.y, self.labels).backward()
        self.optimiser.step()

    def results(self):
        found = {"y": self.y.detach().numpy()}
        if self.x.grad is not None:
            found["dx"] = self.x.grad.numpy()
        for i, linear in enumerate(self.net[::2]):
            found |= {f"W{i}": linear.weight.grad.numpy().T, f"b{i}": linear.bias.grad.numpy()}
        return found


def make(library, task):
    if task.cell == "mlp":
        return Mlp(task, with_dx=library == "torch")
    return Recurrent(task)


def versions(library, threads):
    torch.set_num_threads(threads)
    if library == "torch-ftz" and not torch.set_flush_denormal(True):
        raise RuntimeError("this processor cannot flush denormal numbers to zero")
    return {"PyTorch": torch.__version__}
