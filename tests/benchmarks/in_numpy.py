"""The steps timed in NumPy: minidni as a user calls it, its plain form, and the naive one of `book`.

A step class has `step()`, which is what is timed, and `results()`, what the last step found, in minidni's layout.
"""

import numpy as np
from benchmarks import book
from benchmarks.tasks import MLP_RATE

import minidni
from minidni.arrays import to_device, to_numpy
from minidni.nn import GRU, LSTM, SGD, Linear, ReLU, Sequential, SoftmaxCrossEntropy

NAMES = ("minidni", "minidni-no-dx", "plain", "naive")


class Recurrent:
    """Forward with the cache of the last step, gradients set to zero, backward."""

    def __init__(self, task, plain, device="cpu"):
        self.data = task.data()
        self.layer = {"lstm": LSTM, "gru": GRU}[task.cell](*task.shape[2:], rng=0)
        for name in self.layer.params:
            self.layer.params[name] = self.data[name]
        if plain:
            self.layer.plain = True
        self.layer.to(device)
        self.data = {name: a if a is None else to_device(a, device) for name, a in self.data.items()}
        self.cache = None

    def step(self):
        data, layer = self.data, self.layer
        self.y, self.sT, self.cache = layer.forward(data["x"], data["s0"], cache=self.cache)
        layer.zero_grads()
        self.dx, self.ds0 = layer.backward(data["dy"], self.cache, data["dsT"])

    def results(self):
        found = {"y": self.y, "sT": self.sT, "dx": self.dx, "ds0": self.ds0, **self.layer.grads}
        return {name: to_numpy(a) for name, a in found.items()}


class Mlp:
    """Forward, loss gradient, backward, and a step of plain gradient descent, with a recycled cache."""

    def __init__(self, task, with_dx):
        self.data = task.data()
        layers = []
        for n, m in zip(task.shape[1:], task.shape[2:], strict=False):
            layers += [Linear(n, m, rng=0), ReLU()]
        self.net = Sequential(*layers[:-1])
        self.net[0].needs_dx = with_dx
        for name in self.net.params:
            place, kind = name.split(".")
            self.net.params[name] = self.data[f"{kind}{int(place) // 2}"]
        self.loss, self.optimiser, self.cache = SoftmaxCrossEntropy(), SGD(lr=MLP_RATE), None

    def step(self):
        self.y, self.cache = self.net.forward(self.data["x"], cache=self.cache)
        self.net.zero_grads()
        self.dx = self.net.backward(self.loss.gradient(self.y, self.data["labels"]), self.cache)
        self.optimiser.step(self.net)

    def results(self):
        grads = {name[2:] + str(int(name[0]) // 2): g for name, g in self.net.grads.items()}
        return {"y": self.y, **({} if self.dx is None else {"dx": self.dx}), **grads}


class Naive:
    """The book's version of the same step."""

    def __init__(self, task):
        self.task, self.data = task, task.data()

    def step(self):
        self.found = book.run(self.task.cell, self.data)
        if self.task.cell == "mlp":
            book.descend(self.data, self.found, MLP_RATE)

    def results(self):
        return self.found


def make(library, task):
    if library == "naive":
        return Naive(task)
    if task.cell == "mlp":
        return Mlp(task, with_dx=library == "minidni")
    return Recurrent(task, plain=library == "plain")


def has_plain_form():
    return hasattr(LSTM(1, 1, rng=0), "plain")


def versions(library, threads):
    return {"minidni": minidni.__version__, "NumPy": np.__version__}
