"""Small chains, sources and layers with faults; processes import them by name."""

import os
import signal
import time

import numpy as np

from minidni import Adam, Chain, Linear, Sequential, SoftmaxCrossEntropy, Synthesizer, Tanh
from minidni.data import Minibatches
from minidni.dni import networks
from minidni.nn import Layer

N_IN, HIDDEN, CLASSES = 5, 6, 3


def examples(seed=0, rows=120, dtype=np.float64):
    x = np.random.default_rng(seed).standard_normal((rows, N_IN)).astype(dtype)
    return x, x[:, :CLASSES].argmax(axis=1)


def source(size=12, seed=0, dtype=np.float64):
    return Minibatches(*examples(seed, dtype=dtype), size=size, seed=seed)


def layers(depth=4, seed=0, dtype=np.float64):
    """`depth` blocks of a linear map and a tanh, and a linear map to the classes."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(depth):
        made += [Linear(HIDDEN if i else N_IN, HIDDEN, rng=rng, dtype=dtype), Tanh()]
    return [*made, Linear(HIDDEN, CLASSES, rng=rng, dtype=dtype)]


def chain(stages=2, seed=0, *, inputs=False, extra=None, conditional=False, dtype=np.float64):
    """A chain of so many segments; `extra` is (segment, layer), put at the end of that segment's net."""
    rng = np.random.default_rng([seed, 1])
    net = layers(stages, seed, dtype)
    nets = [net[2 * i : 2 * i + 2] for i in range(stages - 1)] + [net[2 * stages - 2 :]]
    if extra is not None:
        nets[extra[0]].append(extra[1])
    at = np.cumsum([len(some) for some in nets])[:-1].tolist()

    def synthesizer(_above):
        linear = networks.linear(HIDDEN, CLASSES * conditional, rng=rng, dtype=dtype)
        return Synthesizer(linear, Adam(1e-2))

    made = Chain.cut(
        Sequential(*(layer for some in nets for layer in some)),
        at,
        signal=synthesizer,
        loss=SoftmaxCrossEntropy(),
        optimizer=lambda: Adam(1e-2),
        names=[f"part {i}" for i in range(stages)],
    )
    for segment in made.segments[1:] if inputs else ():
        net = networks.linear(N_IN, n_out=HIDDEN, rng=rng, dtype=dtype)
        segment.inputs = Synthesizer(net, Adam(1e-2), predicts="input")
    return made


def numbers(chain):
    """All that is learned, as one array: layers and synthesizers."""
    nets = [segment.net for segment in chain]
    nets += [part.net for s in chain for part in (s.signal, s.inputs) if isinstance(part, Synthesizer)]
    return np.concatenate([slab.ravel() for net in nets for slab in net.params.slabs])


class Through(Layer):
    """Hands on what it gets, after `happens(times)`, where times counts the forward passes before."""

    def __init__(self):
        super().__init__()
        self.times = 0

    def happens(self, times):
        raise NotImplementedError

    def forward(self, x, cache=None):
        from minidni.nn import Cache

        self.happens(self.times)
        self.times += 1
        cache = Cache.open(self, cache)
        y = cache.buffer("y", x.shape, like=x)
        y[...] = x
        cache.finish(y)
        return y, cache

    def backward(self, dy, cache):
        return dy


class Slow(Through):
    def happens(self, times):
        time.sleep(0.01)


class Raises(Through):
    def happens(self, times):
        if times == 5:
            raise ZeroDivisionError("the layer's own sentence")


class Killed(Through):
    """Ends its process with SIGKILL, unless `file` is there; it makes it."""

    def __init__(self, file=None, at=5):
        super().__init__()
        self.file, self.at = file, at

    def happens(self, times):
        if times == self.at and not (self.file and os.path.exists(self.file)):
            if self.file:
                open(self.file, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)


class PoisonedSource:
    """NaN in minibatch 7."""

    def __init__(self):
        self.source = source()

    def __call__(self, k):
        x, labels = self.source(k)
        return (np.full_like(x, np.nan) if k == 7 else x), labels


class Growing:
    """Minibatches of which a later one has ten times the rows."""

    def __call__(self, k):
        x, labels = examples(rows=4000 if k == 3 else 12)
        return x, labels
