"""Everything else that stands in the synthesizer's slot, each against its closed form."""

import copy

import numpy as np
import pytest
from dni.nets import LOSS, batch, chain_of, close, inside, linear_synthesizers, network, same, weights

from minidni import (
    SGD,
    Adam,
    BatchNorm,
    Conv2d,
    Flatten,
    Linear,
    ReLU,
    Sequential,
    SquaredError,
    Tanh,
    accuracy,
    data,
    dni,
    to_device,
    to_numpy,
)

F64 = {"dtype": np.float64}


def above(n_out=3, seed=0):
    """Two segments: tanh(h W + b), and a linear map of that."""
    rng = np.random.default_rng(seed)
    return Sequential(
        Sequential(Linear(4, 6, rng=rng, **F64), Tanh()), Sequential(Linear(6, n_out, rng=rng, **F64))
    )  # fmt: skip


def trigger(device="cpu", n_out=3, B=5):
    rng = np.random.default_rng(9)
    return to_device(rng.standard_normal((B, 4)), device), to_device(rng.integers(0, n_out, B), device)


def parts(net, h, labels, loss=LOSS):
    """By hand, from below: W1, the activation t of the middle layer, W2, and the error dL/dy."""
    (W1, b1), (W2, b2) = (
        (layer.params.W.copy(), layer.params.b) for layer in inside(net) if hasattr(layer, "n_in")
    )  # fmt: skip
    t = np.tanh(h @ W1 + b1)
    return W1, t, W2, loss.gradient(t @ W2 + b2, labels)


# -- exact, feedback alignment, direct feedback alignment


def test_exact_is_the_derivative_by_hand():
    net, (h, labels) = above(), trigger()
    W1, t, W2, e = parts(net, h, labels)
    close(dni.Exact(net, LOSS).gradient(h, labels), ((e @ W2.T) * (1 - t**2)) @ W1.T)


@pytest.mark.parametrize("kind", ["dense", "batch norm", "images"])
def test_feedback_alignment_with_the_true_weights_is_exact(kind, device):
    rng = np.random.default_rng(1)
    shape = (5, 2, 6, 6) if kind == "images" else (5, 5)
    if kind == "images":
        conv = Conv2d(2, 3, 3, rng=rng, **F64)
        net = Sequential(conv, BatchNorm(3, axis=1, **F64), ReLU(), Flatten(), Linear(48, 3, rng=rng, **F64))
    else:
        net = network(3, batch_norm=kind == "batch norm")
    feedback = {
        leaf: {name: W.copy() for name, W in leaf.items() if W.ndim > 1} for leaf in net.to(device).params.leaves
    }
    h, labels = to_device(rng.standard_normal(shape), device), to_device(rng.integers(0, 3, 5), device)
    aligned = dni.FeedbackAlignment(net, LOSS, feedback=feedback).gradient(h, labels)
    exact = dni.Exact(net, LOSS).gradient(h, labels)
    same(aligned, exact)
    other = dni.FeedbackAlignment(net, LOSS, rng=3).gradient(h, labels)
    assert np.abs(to_numpy(other - exact)).max() > 1e-3


def test_feedback_alignment_goes_back_by_its_matrices_and_forward_by_the_weights():
    net, (h, labels) = above(), trigger()
    W1, t, W2, e = parts(net, h, labels)
    signal = dni.FeedbackAlignment(net, LOSS, rng=2)
    B1, B2 = (signal.feedback[leaf]["W"] for leaf in net.params.leaves)
    wanted = ((e @ B2.T) * (1 - t**2)) @ B1.T
    close(signal.gradient(h, labels), wanted)
    close(signal.gradient(h, labels), wanted)  # fixed: drawn once
    for B, W in ((B1, W1), (B2, W2)):
        close((B**2).mean(), (W**2).mean(), 0.6)


def test_one_feedback_serves_all_boundaries_as_in_the_paper():
    """Then a chain of such signals is feedback alignment of the whole net, with one matrix a layer on the way back."""
    net = network(4)
    feedback = dni.random_feedback(net, 0)
    twin = copy.deepcopy(net)
    matrices = [feedback[leaf]["W"] for leaf in net.params.leaves]
    chain = chain_of(net, (2, 4, 6), lambda above: dni.FeedbackAlignment(above, LOSS, feedback=feedback))
    for step in range(4):
        x, labels = batch(step)
        chain.decoupled(x, labels)
        hs = [x]
        for layer in twin[::2]:
            hs.append(hs[-1] @ layer.params.W + layer.params.b)
            if layer.n_out != 3:
                hs[-1] = np.tanh(hs[-1])
        dz = LOSS.gradient(hs[-1], labels)
        for i in (3, 2, 1, 0):
            layer = twin[2 * i]
            layer.params.W -= 0.1 * hs[i].T @ dz
            layer.params.b -= 0.1 * dz.sum(axis=0)
            dz = (dz @ matrices[i].T) * (1 - hs[i] ** 2) if i else None
    close(weights(net), weights(twin))


def test_the_weights_come_back_even_if_the_backward_fails():
    class Fails(Tanh):
        def backward(self, dy, cache):
            raise RuntimeError("in the middle")

    net = Sequential(Linear(4, 3, rng=0, **F64), Fails())
    before = weights(net)
    with pytest.raises(RuntimeError, match="in the middle"):
        dni.FeedbackAlignment(net, LOSS, rng=1).gradient(*trigger())
    same(weights(net), before)


def test_feedback_follows_the_net_to_its_device(device):
    results = []
    for where in ("cpu", device):
        net = above()
        signals = [
            dni.FeedbackAlignment(net, LOSS, rng=1),
            dni.DirectFeedbackAlignment(net, LOSS, 4, 3, rng=2),
            dni.Kickback(net, LOSS),
        ]
        net.to(where)
        results.append([to_numpy(signal.gradient(*trigger(where))) for signal in signals])
    for got, wanted in zip(*results, strict=True):
        close(got, wanted)


def test_direct_feedback_alignment_is_the_error_times_one_matrix():
    net, (h, labels) = above(), trigger()
    *_, e = parts(net, h, labels)
    signal = dni.DirectFeedbackAlignment(net, LOSS, 4, 3, rng=5)
    matrix = np.random.default_rng(5).uniform(-(3**-0.5), 3**-0.5, (3, 4))
    close(signal.gradient(h, labels), e @ matrix)
    images = np.random.default_rng(0).standard_normal((5, 2, 2, 1))
    flat = Sequential(Flatten(), *inside(net))
    signal = dni.DirectFeedbackAlignment(flat, LOSS, 4, 3, rng=5)
    *_, e = parts(net, images.reshape(5, 4), labels)
    close(signal.gradient(images, labels), (e @ matrix).reshape(images.shape))


# -- Kickback


def test_kickback_below_the_last_segment_is_exact():
    net, (h, labels) = above(), trigger()
    for one in (Sequential(net), net[0][0], Sequential(Linear(4, 3, rng=1, **F64))):
        same(dni.Kickback(one, LOSS).gradient(h, labels), dni.Exact(one, LOSS).gradient(h, labels))


def test_kickback_of_one_output_is_its_closed_form():
    """Each unit of the next segment takes the one error for its own gradient: dh = (e (1 - t^2)) W1^T."""
    net, (h, _) = above(n_out=1), trigger()
    labels = np.random.default_rng(0).standard_normal((5, 1))
    W1, t, _, e = parts(net, h, labels, SquaredError())
    close(dni.Kickback(net, SquaredError()).gradient(h, labels), (e * (1 - t**2)) @ W1.T)


def test_kickback_of_more_outputs_shares_them_out_among_the_units():
    net, (h, labels) = above(), trigger()
    W1, t, _, e = parts(net, h, labels)
    close(dni.Kickback(net, LOSS).gradient(h, labels), (np.tile(e, 2) * (1 - t**2)) @ W1.T)


# -- greedy, stale, zero


def test_a_greedy_signal_is_the_gradient_of_its_own_loss_and_trains_its_head():
    h, labels = trigger()
    head = Linear(4, 3, rng=0, **F64)
    signal = dni.Greedy(head, LOSS, SGD(0.5))
    losses = []
    for _ in range(30):
        W, b = head.params.W.copy(), head.params.b.copy()
        e = LOSS.gradient(h @ W + b, labels)
        losses.append(LOSS.value(h @ W + b, labels))
        close(signal.gradient(h, labels), e @ W.T)
        close(head.params.W, W - 0.5 * h.T @ e)
        close(head.params.b, b - 0.5 * e.sum(axis=0))
    assert losses[-1] < 0.6 * losses[0]


def test_greedy_segments_hear_nothing_from_above():
    """Whatever is above, the segment below learns the same."""
    chains = []
    for seed in (0, 1):
        net = Sequential(*network(3, seed=0)[:2], *network(3, seed=seed)[2:])
        heads = np.random.default_rng(7)
        chain = chain_of(net, (2, 4), lambda above: dni.Greedy(
            Linear(inside(above)[0].n_in, 3, rng=heads, **F64), LOSS, SGD(0.1)  # noqa: B023
        ))  # fmt: skip
        for step in range(3):
            chain.decoupled(*batch(step))
        chains.append(chain)
    same(weights(chains[0][0].net), weights(chains[1][0].net))
    assert not np.array_equal(weights(chains[0][1].net), weights(chains[1][1].net))


def test_a_stale_gradient_by_label_is_the_mean_of_that_labels_last_one():
    rng = np.random.default_rng(0)
    signal, (h, labels) = dni.Stale(4), (rng.standard_normal((6, 2, 3)), np.array([0, 2, 2, 0, 1, 2]))
    same(signal.gradient(h, labels), np.zeros_like(h))
    message = rng.standard_normal(h.shape)
    signal.learn(h, message, labels)
    later = np.array([2, 3, 1])
    got = signal.gradient(rng.standard_normal((3, 2, 3)), later)
    for row, label in enumerate(later):
        those = message[labels == label]
        close(got[row], 6 * those.mean(axis=0) / 3 if len(those) else 0)


def test_a_stale_gradient_by_row_is_the_last_message(device):
    rng = np.random.default_rng(1)
    signal, h, message = dni.Stale(), *(to_device(rng.standard_normal((4, 3)), device) for _ in range(2))
    same(signal.gradient(h), 0 * to_numpy(h))
    signal.learn(h, message)
    kept = to_numpy(message).copy()
    message[...] = 0
    got = signal.gradient(h + 1)
    same(got, kept)
    got[...] = 0
    same(signal.gradient(h), kept)


def test_a_stale_chain_on_one_batch_is_one_step_behind():
    """Row by row and with nothing else changing: the message of step k is the dx of step k - 1."""
    chain = chain_of(network(2), (2,), lambda above: dni.Stale(), lambda: SGD(0.05))
    x, labels = batch()
    twin, owed = copy.deepcopy(chain.segments), 0
    for _ in range(5):
        chain.decoupled(x, labels)
        h, cache = twin[0].forward(x)
        twin[0].update(np.zeros_like(h) + owed, cache)
        y, cache = twin[1].forward(h)
        owed = twin[1].update(LOSS.gradient(y, labels), cache)
    same(weights(chain[0].net), weights(twin[0].net))
    same(weights(chain[1].net), weights(twin[1].net))


def test_zero_is_zero(device):
    h, labels = trigger(device)
    same(dni.Zero().gradient(h, labels), np.zeros((5, 4)))


# -- in one slot


def test_each_signal_trains_a_trunk_that_zero_leaves_frozen():
    digits, found = data.load_digits(), {}
    for name, signal in {
        "zero": lambda above: dni.Zero(),
        "exact": lambda above: dni.Exact(above, LOSS),
        "synthetic": linear_synthesizers(10, lambda: Adam(0.01)),
        "feedback alignment": lambda above: dni.FeedbackAlignment(above, LOSS, rng=0),
        "direct feedback alignment": lambda above: dni.DirectFeedbackAlignment(above, LOSS, 12, 10, rng=0),
        "kickback": lambda above: dni.Kickback(above, LOSS),
        "greedy": lambda above: dni.Greedy(Linear(12, 10, rng=0), LOSS, Adam(0.01)),
        "stale": lambda above: dni.Stale(10),
    }.items():
        rng = np.random.default_rng(4)
        hidden = [layer for n in (64, 12) for layer in (Linear(n, 12, rng=rng), BatchNorm(12), ReLU())]
        net = Sequential(*hidden, Linear(12, 10, rng=rng))
        chain = chain_of(net, (3, 6), signal, lambda: Adam(0.01))
        for epoch in range(4):
            for x, labels in data.batches(digits.x_train, digits.y_train, size=32, seed=1, epoch=epoch):
                chain.decoupled(x, labels)
        found[name] = accuracy(net, digits.x_test, digits.y_test)
    frozen = found.pop("zero")
    assert all(one > frozen + 0.15 for one in found.values()), (frozen, found)
