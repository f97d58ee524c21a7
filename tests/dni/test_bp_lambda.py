"""Accumulate BP(lambda): the traces, run forwards, give what a definition that looks ahead gives."""

import copy

import numpy as np
import pytest
from dni.nets import Hold, LinearNet, close, same, weights

from minidni import GRU, LSTM, SGD, Adam, Linear, Synthesizer, bptt, dni, to_device, to_numpy

B, WINDOWS = 3, 5
NETS = {
    "linear": lambda rng: LinearNet(2, 4, rng),
    "LSTM": lambda rng: LSTM(2, 2, rng=rng, dtype=np.float64),
    "GRU": lambda rng: GRU(2, 3, rng=rng, dtype=np.float64),
}
every_net = pytest.mark.parametrize("name", NETS)
lengths = pytest.mark.parametrize("T", [1, 3])


def synthesizer_for(net, scale, lam, optimizer):
    """A traced one that says something already."""
    rng, S = np.random.default_rng(5), net.n_state
    guess = Linear(S, S, dtype=np.float64)
    guess.params.slab[...] = 0.3 * rng.standard_normal(guess.params.slab.shape)
    return dni.TracedSynthesizer(guess, optimizer, scale, lam, zero_start=False)


def draw(name, T, seed=0):
    rng = np.random.default_rng(seed)
    net = NETS[name](rng)
    x = rng.standard_normal((WINDOWS * T, B, 2))
    return net, x, rng.standard_normal(net.forward(x)[0].shape) / B


def run(net, synthesizer, x, dy, T):
    """The five lines of the loop with the Jacobian; for each boundary its state, message and Jacobian."""
    s = before = J = None
    found = []
    for start in range(0, len(x), T):
        part = slice(start, start + T)
        _, sT, cache = net.forward(x[part], s)
        dsT = synthesizer.predict(sT) if start + T < len(x) else None
        _, ds0 = net.backward(dy[part], cache, dsT)
        if before is not None:
            synthesizer.fit(before, ds0, jacobian=J)
            found.append((before, ds0, J))
        J = dni.window_jacobian(net, x[part], s) if before is not None else None
        before = s = sT.copy()
    return found


@every_net
@lengths
def test_lambda_one_adds_up_to_the_steps_towards_the_true_gradient(name, T):
    """Over a whole sequence, all weights held fixed: the gradient of 1/2 |g(s) - B dL/ds|^2, L of all that follows."""
    net, x, dy = draw(name, T)
    hold = Hold()
    synthesizer = synthesizer_for(net, 1.0, 1.0, hold)
    run(net, synthesizer, x, dy, T)
    ds = bptt.state_gradients(net, x, dy)
    truth = 0
    for start in range(T, len(x), T):
        s = net.forward(x[:start])[1]
        off = synthesizer.net.forward(s)[0] - B * ds[start]
        truth = truth + np.append(s.T @ off, off.sum(axis=0)) / B
    close(hold.total, truth, 1e-11)
    assert np.abs(truth).max() > 0.1


def test_lambda_zero_does_not():
    """The control: bootstrapping from a wrong guess goes somewhere else."""
    net, x, dy = draw("LSTM", 1)
    totals = []
    for lam in (0.0, 1.0):
        hold = Hold()
        run(net, synthesizer_for(net, 1.0, lam, hold), x, dy, 1)
        totals.append(hold.total)
    assert np.abs(totals[0] - totals[1]).max() > 0.01


@every_net
@lengths
@pytest.mark.parametrize(("scale", "lam"), [(1.0, 0.5), (0.6, 1.0), (0.8, 0.3), (0.9, 0.0)])
def test_any_lambda_against_the_definition_that_looks_ahead(name, T, scale, lam):
    """Boundary k moves by delta_k + gamma lambda delta_{k+1} J_{k+1} + (gamma lambda)^2 delta_{k+2} J_{k+2} J_{k+1} ...

    Each product of Jacobians by itself, for each sequence, from the boundary on to the end.
    """
    net, x, dy = draw(name, T)
    hold = Hold()
    synthesizer = synthesizer_for(net, scale, lam, hold)
    found = run(net, synthesizer, x, dy, T)
    W, b = synthesizer.net.params.W, synthesizer.net.params.b
    total_W, total_b = np.zeros_like(W), np.zeros_like(b)
    for k in range(len(found)):
        for row in range(B):
            s, moved = found[k][0][row], 0
            product = np.eye(net.n_state)
            for n in range(len(found) - k):
                s_n, message, J = found[k + n]
                if n:
                    product = J[row] @ product
                delta = B * message[row] - (s_n[row] @ W + b)
                moved = moved + (scale * lam) ** n * delta @ product
            total_W -= np.outer(s, moved) / B
            total_b -= moved / B
    close(hold.total, np.append(total_W, total_b), 1e-11)


def test_at_lambda_zero_it_is_fit():
    net, x, dy = draw("LSTM", 3)
    traced = synthesizer_for(net, 0.7, 0.0, Adam(0.01))
    plain = Synthesizer(copy.deepcopy(traced.net), Adam(0.01), 0.7, zero_start=False)
    for s, ds0, J in run(net, traced, x, dy, 3):
        plain.fit(s, ds0)
        assert J is None or np.abs(J).max() > 0
    # The messages of the run came from the traced one, as it was then: only the same weights send the same ones on.
    close(weights(plain.net), weights(traced.net), 1e-11)


@every_net
def test_the_jacobian_of_a_window_is_what_takes_a_gradient_back_through_it(name):
    net, x, _ = draw(name, 3)
    rng = np.random.default_rng(1)
    s0, dsT = rng.standard_normal((2, B, net.n_state))
    _, _, cache = net.forward(x[:4], s0)
    _, ds0 = net.backward(None, cache, dsT)
    J = dni.window_jacobian(net, x[:4], s0)
    close((dsT[:, None] @ J)[:, 0], ds0)
    if name == "linear":
        close(J, np.broadcast_to(np.linalg.matrix_power(net.params["A"].T, 4), J.shape))


def test_a_zero_jacobian_begins_a_sequence_anew_as_forget_does():
    net, x, dy = draw("LSTM", 1)
    S = net.n_state
    rng = np.random.default_rng(2)
    first, second = (run(net, synthesizer_for(net, 1.0, 1.0, SGD(0.0)), x, dy, 1) for _ in range(2))
    zero, forgetting = (synthesizer_for(net, 0.9, 0.8, SGD(0.01)) for _ in range(2))
    for sequence in (first, second):
        for k, (s, ds0, J) in enumerate(sequence):
            shifted = s + 0.1 * rng.standard_normal()
            zero.fit(shifted, ds0, jacobian=np.zeros((B, S, S)) if J is None else J)
            if k == 0:
                forgetting.forget()
            forgetting.fit(shifted, ds0, jacobian=J)
    close(weights(zero.net), weights(forgetting.net))


def test_one_lane_that_begins_anew_leaves_the_others_traces_alone():
    net, x, dy = draw("linear", 1)
    together, apart = Hold(), [Hold() for _ in range(B)]
    boundaries = run(net, synthesizer_for(net, 1.0, 0.5, Hold()), x, dy, 1)
    traced = synthesizer_for(net, 1.0, 0.5, together)
    alone = [synthesizer_for(net, 1.0, 0.5, hold) for hold in apart]
    for k, (s, ds0, J) in enumerate(boundaries):
        J = None if J is None else J.copy()
        if k == 2:
            J[1] = 0
            alone[1].forget()
        traced.fit(s, ds0, jacobian=J)
        for row, one in enumerate(alone):
            part = slice(row, row + 1)
            one.fit(s[part], B * ds0[part], jacobian=None if J is None else J[part])
    close(together.total, sum(hold.total for hold in apart) / B)


def test_with_traces_it_learns_across_many_windows_at_once():
    """A loss at the end alone: bootstrapping, one pass teaches the last boundary alone; a trace teaches all of them."""
    rng = np.random.default_rng(3)
    net = LinearNet(2, 4, rng)
    x, dy = rng.standard_normal((8, B, 2)), np.zeros((8, B, 2))
    dy[-1] = rng.standard_normal((B, 2)) / B
    for lam, reaches in ((0.0, False), (1.0, True)):
        hold = Hold()
        synthesizer = dni.TracedSynthesizer(Linear(4, 4, dtype=np.float64), hold, 1.0, lam)
        found = run(net, synthesizer, x, dy, 1)
        ds = bptt.state_gradients(net, x, dy)
        taught = found if reaches else found[-1:]  # where the guess is 0 and all is linear, by the true gradient
        wanted = [-np.append(s.T @ ds[k], ds[k].sum(axis=0)) for k, (s, *_) in enumerate(found, 1)]
        close(hold.total, sum(wanted[-len(taught) :]))
        assert all(np.abs(one).max() > 1e-4 for one in wanted)


def test_it_is_the_same_on_every_device(device):
    results = []
    for where in ("cpu", device):
        net, x, dy = draw("LSTM", 1)
        synthesizer = synthesizer_for(net, 0.9, 0.7, Adam(0.01))
        net.to(where)
        synthesizer.net.to(where)
        run(net, synthesizer, *(to_device(a, where) for a in (x, dy)), 1)
        results.append(weights(synthesizer.net))
    close(*results)
    assert to_numpy(synthesizer._trace).shape == (B, 4, 5, 4)


def test_without_a_jacobian_the_past_is_over():
    """As at the start of all sequences: the trace holds this boundary alone."""
    rng = np.random.default_rng(0)
    (s, ds0), (t, dt) = ([rng.standard_normal((B, 4)) for _ in range(2)] for _ in range(2))
    net = LSTM(1, 2)
    one, other = (synthesizer_for(net, 1.0, 1.0, SGD(0.0)) for _ in range(2))
    one.fit(s, ds0)
    one.fit(t, dt)
    other.fit(t, dt)
    same(one._trace, other._trace)
