"""How sharp the checker is, and how often it cries wolf; a command prints the table.

    python tests/gradcheck/sweep.py [layers [first seed]]

Detection: one entry of an LSTM's weights is made wrong by a factor, in 60 random networks. False alarms: correct layers
of random kind, shape and scale, among them deep, saturated and badly scaled ones. For comparison the rule of a widely
used checker (one central difference with h = 1e-6, atol 1e-5, rtol 1e-3) is applied to the same entries.
"""

import sys
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from gradcheck import reference as ref

from minidni.gradcheck import check_gradients
from minidni.gradcheck.measure import ComplexStep, Gauge
from minidni.gradcheck.protocol import audit
from minidni.gradcheck.subject import Subject


class RealOnly:
    """A layer whose forward refuses complex numbers, so that the ladder has to judge alone."""

    def __init__(self, layer):
        self.layer = layer
        if hasattr(layer, "params"):
            self.params, self.grads = layer.params, layer.grads

    def forward(self, x, *others):
        if np.iscomplexobj(x) or any(np.iscomplexobj(p) for p in getattr(self, "params", {}).values()):
            raise TypeError("real numbers only")
        return self.layer.forward(x, *others)

    def backward(self, dy, cache, *others):
        found = self.layer.backward(dy, cache, *others)
        if hasattr(self, "params"):
            self.grads = self.layer.grads
        return found


class Deep:
    """Tanh or ReLU layers without biases, deep enough that gradients vanish or explode."""

    def __init__(self, depth, width, scale, rng, relu=False):
        self.relu = relu
        self.params = {f"W{i}": scale * rng.standard_normal((width, width)) / np.sqrt(width) for i in range(depth)}
        self.grads = {n: np.zeros_like(p) for n, p in self.params.items()}

    def forward(self, x):
        hs = [x]
        for W in self.params.values():
            a = hs[-1] @ W
            hs.append(np.where(a > 0, a, 0) if self.relu else np.tanh(a))
        return hs[-1], hs

    def backward(self, dy, hs):
        for i in reversed(range(len(self.params))):
            da = dy * ((hs[i + 1] > 0) if self.relu else 1 - hs[i + 1] ** 2)
            self.grads[f"W{i}"] += hs[i].T @ da
            dy = da @ self.params[f"W{i}"].T
        return dy


def random_layer(rng):
    """A correct layer of random kind, shape and scale, and its inputs."""
    B, D, H, T = (int(n) for n in rng.integers([1, 2, 1, 1], [6, 7, 6, 12]))
    scale = 10.0 ** rng.choice([-3, -1, 0, 0, 0, 1, 2, 3])
    spread = 10.0 ** rng.choice([-2, 0, 0, 0, 1, 2])  # of the inputs

    def x(*shape):
        return spread * rng.standard_normal(shape)

    build = [
        lambda: (ref.Linear(D, H, rng, scale=scale), x(B, D)),
        lambda: (ref.Linear(D, H, rng, scale=scale), x(T, B, D)),
        lambda: (ref.Activation(str(rng.choice(["tanh", "sigmoid", "relu", "softplus", "sine"]))), x(B, D)),
        lambda: (ref.Softmax(), x(B, D)),
        lambda: (ref.TwoLayer(D, H, 3, rng, scale=scale), x(B, D)),
        lambda: (ref.RNN(D, H, rng, scale=scale), x(T, B, D)),
        lambda: (ref.LSTM(D, H, rng, scale=min(scale, 100)), x(T, B, D)),
        lambda: (ref.LSTM(2, 2, rng, scale=2.0), x(25, 1, 2)),
        lambda: (ref.Norm(D + 2, rng, "features"), x(B, D + 2) + rng.choice([0, 100])),
        lambda: (ref.Norm(D, rng, "batch"), x(B + 3, D)),
        lambda: (ref.Conv2d(2, 2, 2, rng), x(B, 2, 4, 5)),
        lambda: (ref.MaxPool(), x(B, 2, 4, 4)),
        lambda: (ref.Dropout(0.4, np.random.default_rng(int(rng.integers(100)))), x(B, D)),
        lambda: (ref.Embedding(5, H, rng), rng.integers(5, size=(B, T))),
        lambda: (Deep(8, D, min(scale, 10), rng), x(B, D)),
        lambda: (Deep(3, D, min(scale, 10), rng, relu=True), x(B, D)),
        lambda: (ref.CrossEntropy(), x(B, D), rng.integers(D, size=B)),
        lambda: (ref.SquaredError(), x(B, D), x(B, D)),
    ]
    return build[int(rng.integers(len(build)))]()


def common_rule(line, claimed):
    """True if one central difference with fixed tolerances accepts the claimed slope."""
    numeric = line.difference(1e-6, -1e-6)
    return abs(claimed - numeric) <= 1e-5 + 1e-3 * abs(numeric)


def detection(error, trials=60):
    """How many of `trials` wrong LSTM weight gradients the common rule, the ladder alone and both witnesses see."""
    caught = np.zeros(3, dtype=int)
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        subject = Subject(ref.LSTM(4, 5, rng), (rng.standard_normal((6, 3, 4)),), rng)
        gradients, _ = audit(subject)
        name = str(rng.choice(["Wx", "Wh", "b"]))
        g = gradients[name]
        index = tuple(int(rng.integers(n)) for n in g.shape)
        g[index] *= 1 + error
        line = subject.line(subject.arrays()[name], index)
        caught[0] += not common_rule(line, g[index])
        gauge = Gauge(subject, name, g, rng)
        gauge.entry(index)
        caught[1] += gauge.report.wrong[index]
        ComplexStep(subject).testify(gauge.report)
        caught[2] += gauge.report.wrong[index]
    return caught


def false_alarms(layers, first_seed=0, compare=True):
    """Correct layers: entries, alarms of the common rule, of the ladder alone, of both; the largest error / tolerance.

    Without `compare` each layer is checked once, by the ladder alone or by both in turn, and not by the common rule.
    """
    entries, alarms, worst, which = 0, np.zeros(3, dtype=int), [0.0, 0.0], []
    for seed in range(first_seed, first_seed + layers):
        for witness in (0, 1) if compare else (seed % 2,):
            layer, *inputs = random_layer(np.random.default_rng(seed))
            loss = hasattr(layer, "value")
            report = check_gradients(layer if witness or loss else RealOnly(layer), *inputs, seed=seed, mode="full")
            wrong = sum(int(a.wrong.sum()) for a in report.arrays)
            if not report.ok:
                which.append((seed, type(layer).__name__, str(report)))
            alarms[1 + witness] += max(wrong, not report.ok)
            if report.worst is not None and report.worst.tolerance > 0:
                worst[witness] = max(worst[witness], report.worst.error / report.worst.tolerance)
        entries += sum(int(a.judged.sum()) for a in report.arrays)
        if compare and not loss:
            subject = Subject(layer, tuple(inputs), np.random.default_rng(seed))
            for name, g in audit(subject)[0].items():
                lines = ((subject.line(subject.arrays()[name], i), g[i]) for i in np.ndindex(g.shape))
                alarms[0] += sum(not common_rule(line, claimed) for line, claimed in lines)
    return entries, alarms, worst, which


if __name__ == "__main__":
    print("one wrong LSTM weight gradient, seen in 60    common rule    ladder    ladder + complex step")
    for error in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7):
        a, b, c = detection(error)
        print(f"  wrong by {100 * error:<8.3g} %{a:37d}{b:10d}{c:25d}")
    n, alarms, worst, which = false_alarms(*map(int, sys.argv[1:] or ["300"]))
    print(f"false alarms in {n} correct entries{alarms[0]:20d}{alarms[1]:10d}{alarms[2]:25d}")
    print(f"largest error / tolerance{'':37}{worst[0]:.2f}{'':19}{worst[1]:.2f}")
    for item in which:
        print(*item)
