"""On a GPU no step of a decoupled network waits for a result, and every device gives the same numbers."""

from contextlib import nullcontext

import numpy as np
import pytest
import standin
from dni.nets import CLASSES, LOSS, batch, chain_of, close, linear_synthesizers, network, weights

from minidni import (
    LSTM,
    Adam,
    BatchNorm,
    Chain,
    Linear,
    Segment,
    Sequential,
    Synthesizer,
    Tanh,
    dni,
    to_device,
    to_numpy,
)
from minidni.dni import networks

ADAM = {"optimizer": Adam}


def unlocked():
    rng, segments = np.random.default_rng(3), []
    for i, (n_in, n_out) in enumerate([(5, 6), (6, 7), (7, CLASSES)]):
        net = Sequential(Linear(n_in, n_out, rng=rng, dtype=np.float64), BatchNorm(n_out, dtype=np.float64), Tanh())
        signal = Synthesizer(networks.mlp(n_out, CLASSES, n_hidden=4, rng=rng, dtype=np.float64), Adam())
        guess = networks.mlp(5, n_hidden=4, n_out=n_in, normalise="running", rng=rng, dtype=np.float64)
        inputs = Synthesizer(guess, Adam(), predicts="input") if i else None
        segments.append(Segment(net, signal if i < 2 else LOSS, Adam(), inputs=inputs, clip=1.0))
    return Chain(*segments)


def chain(signal=None, cuts=(3, 6)):
    return chain_of(network(4, batch_norm=True), cuts, signal or linear_synthesizers(optimizer=Adam), Adam, clip=1.0)


STEPS = {
    "backprop": lambda c, x, y, rng: c.backprop(x, y),
    "warm-up": lambda c, x, y, rng: c.backprop(x, y, learn=True),
    "decoupled": lambda c, x, y, rng: c.decoupled(x, y),
    "lag": lambda c, x, y, rng: c.decoupled(x, y, lag=1),
    "random": lambda c, x, y, rng: c.decoupled(x, y, probability=0.5, rng=rng),
    "mixed": lambda c, x, y, rng: c.mixed(x, y, 0.4),
    "unlocked": lambda c, x, y, rng: c.unlocked(x, y, lag=1),
    "predict": lambda c, x, y, rng: c.predict(x),
    "compare": lambda c, x, y, rng: c.compare(x, y),
}
SIGNALS = {
    "synthesizer": None,
    "exact": lambda above: dni.Exact(above, LOSS),
    "feedback alignment": lambda above: dni.FeedbackAlignment(above, LOSS, rng=0),
    "direct feedback alignment": lambda above: dni.DirectFeedbackAlignment(above, LOSS, 6, CLASSES, rng=0),
    "kickback": lambda above: dni.Kickback(above, LOSS),
    "greedy": lambda above: dni.Greedy(Linear(6, CLASSES, rng=0, dtype=np.float64), LOSS, Adam()),
    "stale": lambda above: dni.Stale(CLASSES),
    "zero": lambda above: dni.Zero(),
}


def move(c, device):
    """A chain's networks, those of its signals too, to a device."""
    c.net.to(device)
    for segment in c:
        for part in (segment.signal, segment.inputs):
            for name in ("net", "head"):
                if hasattr(part, name):
                    getattr(part, name).to(device)


def run(make, step, device):
    """Weights after a few steps; on the stand-in all but the first, where optimisers make their state, may not wait."""
    c, rng = make(), np.random.default_rng(0)
    move(c, device)
    batches = [batch(k, device=device) for k in range(5)]
    for k, (x, labels) in enumerate(batches):
        with standin.no_synchronisation() if k > 1 and device == "cuda" else nullcontext():
            step(c, x, labels, rng)
    return weights(c.net)


@pytest.mark.parametrize("step", STEPS)
def test_no_step_of_a_chain_waits(step):
    make = unlocked if step == "unlocked" else chain
    with standin.installed():
        there = run(make, STEPS[step], "cuda")
    close(there, run(make, STEPS[step], "cpu"), 1e-9)


@pytest.mark.parametrize("signal", SIGNALS)
def test_no_signal_waits(signal):
    with standin.installed():
        there = run(lambda: chain(SIGNALS[signal], (3,)), STEPS["decoupled"], "cuda")
    close(there, run(lambda: chain(SIGNALS[signal], (3,)), STEPS["decoupled"], "cpu"), 1e-9)


def test_labels_on_the_host_may_follow_to_the_device():
    with standin.installed():
        c = chain()
        move(c, "cuda")
        for k in range(4):
            x, labels = batch(k)
            with standin.no_synchronisation() if k > 1 else nullcontext():
                c.decoupled(to_device(x, "cuda"), labels)
        there = weights(c.net)
    c = chain()
    for k in range(4):
        c.decoupled(*batch(k))
    close(there, weights(c.net), 1e-9)


NETWORKS = {
    "linear": lambda: networks.linear(4, 3, rng=0),
    "MLP": lambda: networks.mlp(4, 3, n_hidden=5, normalise="batch", rng=0),
    "MLP, running": lambda: networks.mlp(4, 3, n_hidden=5, normalise="running", rng=0),
    "sigmoid of linear": lambda: networks.SigmoidOfLinear(4, 3, rng=0),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("masked", [False, True])
def test_no_synthesizer_waits(name, masked):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((6, 4)).astype(np.float32), rng.standard_normal((6, 4)).astype(np.float32)]
    arrays += [rng.integers(0, 3, 6), rng.random(6) < 0.6]
    results = []
    for device in ("cpu", "cuda"):
        with standin.installed():
            s, message, labels, mask = (to_device(a, device) for a in arrays)
            options = {"mask": mask} if masked else {}
            synthesizer = Synthesizer(NETWORKS[name]().to(device), Adam(0.1), 0.5)
            synthesizer.fit(s, message, labels, **options)
            with standin.no_synchronisation():
                error = synthesizer.fit(s, message, labels, **options)
                predicted = synthesizer.predict(s, labels, **options)
                found = synthesizer.compare(s, message, labels)
            results.append([to_numpy(a) for a in (error, predicted, *found)])
    for got, wanted in zip(*results, strict=True):
        close(got, wanted, 1e-4)


def test_nothing_waits_in_time():
    """A window with a synthesizer, a traced one, an auxiliary head and masks."""
    results = []
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((5, 2, 3, 2)), rng.standard_normal((5, 2, 3, 2))
    alive = rng.random((5, 3)) < 0.7
    for device in ("cpu", "cuda"):
        with standin.installed():
            net, optimiser = LSTM(2, 2, rng=0, dtype=np.float64).to(device), Adam(0.01)
            plain = Synthesizer(networks.linear(4, dtype=np.float64).to(device), Adam(0.1))
            traced = dni.TracedSynthesizer(Linear(4, 4, dtype=np.float64).to(device), Adam(0.1), 0.9, 0.8)
            head = dni.AuxiliaryHead(Linear(4, 4, rng=2, dtype=np.float64).to(device), Adam(0.1))
            windows = [tuple(to_device(a, device) for a in one) for one in zip(x, dy, alive, strict=True)]
            s = before = None
            for k, (xk, dyk, mask) in enumerate(windows):
                with standin.no_synchronisation() if k > 2 else nullcontext():
                    _, sT, cache = net.forward(xk, s)
                    dsT = plain.predict(sT, mask=mask) + traced.predict(sT, mask=mask)
                    net.zero_grads()
                    _, ds0 = net.backward(dyk, cache, dsT)
                    if before is not None:
                        ds0 = ds0 + head.gradient(before, dsT, mask=mask)
                        plain.fit(before, ds0, mask=mask)
                        J = dni.window_jacobian(net, xk, s) * mask[:, None, None]
                        traced.fit(before, ds0, jacobian=J, mask=mask)
                    optimiser.step(net)
                    before = s = sT.copy()
            results.append([weights(part) for part in (net, plain.net, traced.net, head.net)])
    for got, wanted in zip(*results, strict=True):
        close(got, wanted, 1e-9)
