"""Masks: where there is no future there is no message, nothing is learned, and what stands there does not matter."""

import copy

import numpy as np
import pytest
from dni.nets import Hold, Told, close, same, weights

from minidni import GRU, LSTM, SGD, Adam, Linear, Sequential, SquaredError, Synthesizer, bptt, dni, to_device, to_numpy
from minidni.dni import networks

MASK = np.array([True, False, True, True, False])
NETS = {
    "linear": lambda: networks.linear(4, dtype=np.float64),
    "MLP": lambda: networks.mlp(4, n_hidden=6, n_layers=1, batch_norm=False, rng=0, dtype=np.float64),
    "MLP with batch norm": lambda: networks.mlp(4, n_hidden=6, n_layers=1, rng=0, dtype=np.float64),
}


def draw(device="cpu", seed=0):
    rng = np.random.default_rng(seed)
    return [to_device(a, device) for a in (rng.standard_normal((5, 4)), rng.standard_normal((5, 4)) / 5, MASK)]


def poisoned(a, value):
    """A copy with the value where the mask is False."""
    a = to_numpy(a).copy()
    a[~MASK] = value
    return a


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e300])
def test_what_stands_in_a_masked_row_does_not_matter(name, garbage, device):
    s, message, mask = draw(device)
    clean, dirty = (Synthesizer(NETS[name]().to(device), Adam(0.1)) for _ in range(2))
    bad_s, bad_message = (to_device(poisoned(a, garbage), device) for a in (s, message))
    for _ in range(3):
        error = clean.fit(s, message, mask=mask)
        same(dirty.fit(bad_s, bad_message, mask=mask), error)
        same(dirty.predict(bad_s, mask=mask), clean.predict(s, mask=mask))
    same(weights(dirty.net), weights(clean.net))
    assert float(error) > 0


@pytest.mark.parametrize("name", NETS)
def test_the_message_of_a_masked_row_is_exactly_zero_and_the_others_are_as_without_a_mask(name, device):
    s, message, mask = draw(device)
    synthesizer = Synthesizer(NETS[name]().to(device), SGD(0.1))
    synthesizer.fit(s, message)
    open_, masked = (to_numpy(synthesizer.predict(s, **one)) for one in ({}, {"mask": mask}))
    assert open_.any(axis=1).all()
    same(masked[~MASK], 0)
    close(masked[MASK], open_[MASK])


def test_a_masked_row_is_not_learned_from():
    """Against the step written out: rows that count, divided by all rows, whose losses are means over all."""
    s, message, mask = draw()
    synthesizer = Synthesizer(networks.linear(4, dtype=np.float64), SGD(0.3))
    for _ in range(2):
        W, b = synthesizer.net.params.W.copy(), synthesizer.net.params.b.copy()
        off = (s @ W + b - 5 * message)[mask]
        error = synthesizer.fit(s, message, mask=mask)
        close(synthesizer.net.params.W, W - 0.3 * s[mask].T @ off / 5)
        close(synthesizer.net.params.b, b - 0.3 * off.sum(axis=0) / 5)
        close(error, np.linalg.norm(off) / np.linalg.norm(5 * message[mask]))


def test_all_rows_masked_teach_nothing(device):
    s, message, mask = draw(device)
    synthesizer = Synthesizer(networks.linear(4, dtype=np.float64).to(device), SGD(0.3))
    synthesizer.fit(s, message)
    before = weights(synthesizer.net)
    assert float(synthesizer.fit(s, message, mask=mask & ~mask)) == 0
    same(weights(synthesizer.net), before)


def test_masks_of_images():
    rng = np.random.default_rng(0)
    h, message = rng.standard_normal((5, 2, 4, 4)), rng.standard_normal((5, 2, 4, 4))
    net = networks.convolutional(2, n_hidden=3, kernel=3, batch_norm=False, rng=0, dtype=np.float64)
    synthesizer = Synthesizer(net, SGD(0.01))
    twin = copy.deepcopy(synthesizer)
    synthesizer.fit(h, message, mask=MASK)
    twin.fit(poisoned(h, np.nan), poisoned(message, np.nan), mask=MASK)
    same(weights(twin.net), weights(synthesizer.net))
    same(synthesizer.predict(h, mask=MASK)[~MASK], 0)


def test_the_auxiliary_head_sends_nothing_back_to_a_masked_row_and_learns_nothing_from_it(device):
    s, message, mask = draw(device)
    clean, dirty = (
        dni.AuxiliaryHead(Linear(4, 4, rng=0, dtype=np.float64).to(device), SGD(0.1), zero_start=False)
        for _ in range(2)
    )
    bad = [to_device(poisoned(a, np.nan), device) for a in (s, message)]
    for _ in range(2):
        ds = to_numpy(clean.gradient(s, message, mask=mask))
        same(dirty.gradient(*bad, mask=mask), ds)
        same(ds[~MASK], 0)
        assert ds[MASK].any(axis=1).all()
    same(weights(dirty.net), weights(clean.net))


def test_a_trace_takes_nothing_from_a_masked_row():
    s, message, mask = draw()
    J = np.random.default_rng(1).standard_normal((5, 4, 4))
    clean, dirty = (dni.TracedSynthesizer(Linear(4, 4, dtype=np.float64), SGD(0.01)) for _ in range(2))
    for k in range(4):
        clean.fit(s, message, jacobian=J, mask=mask if k % 2 else None)
        if k % 2:
            dirty.fit(poisoned(s, np.nan), poisoned(message, np.nan), jacobian=J, mask=mask)
        else:
            dirty.fit(s, message, jacobian=J)
    assert not clean._trace[~mask].any() and clean._trace[mask].any()
    same(weights(dirty.net), weights(clean.net))


# -- a stream in whose lanes the sequences end at different times

T = 3  # steps in a window
LANES = [(3, 6, 2), (7, 4), (11,)]  # lengths of the sequences one after another in each lane; in windows 1+2+1, 3+2, 4

STREAM_NETS = {
    "LSTM": lambda: LSTM(2, 3, rng=0, dtype=np.float64),
    "stack": lambda: Sequential(GRU(2, 3, rng=0, dtype=np.float64), LSTM(3, 3, rng=1, dtype=np.float64)),
}


def lay_out(net):
    """The stream: x, dy, the steps that there are (T', B), where a sequence begins (K, B), and each sequence alone.

    A sequence begins with a window and is padded to whole windows. Each alone: its lane, first and last step, and
    the true gradient by its states.
    """
    rng, K, B = np.random.default_rng(4), 5, len(LANES)
    x, dy = rng.standard_normal((K * T, B, 2)), rng.standard_normal((K * T, B, 3))
    steps, begins, alone = np.zeros((K * T, B), bool), np.zeros((K + 1, B), bool), []
    for b, lengths in enumerate(LANES):
        start = 0
        for length in lengths:
            part = slice(start, start + length), slice(b, b + 1)
            steps[part] = True
            begins[start // T, b] = True
            alone.append((b, start, length, bptt.state_gradients(net, x[part], dy[part])))
            start += -(-length // T) * T
        begins[start // T :, b] = True  # nothing more comes in this lane
    return x, dy, steps, begins, alone


@pytest.mark.parametrize("name", STREAM_NETS)
def test_with_an_oracle_each_sequence_of_a_stream_is_as_if_it_were_alone(name, device):
    net = STREAM_NETS[name]()
    x, dy, steps, begins, alone = lay_out(net)
    net.zero_grads()
    for b, start, length, _ in alone:
        part = slice(start, start + length), slice(b, b + 1)
        net.backward(dy[part], net.forward(x[part])[-1])
    wanted = bptt.flat_gradients(net).copy()

    K, B = len(begins) - 1, len(LANES)
    ds = np.full((K + 1, B, net.n_state), np.nan)  # NaN where no sequence goes on: the mask must keep it out
    for b, start, length, by_state in alone:
        for k in range(start // T + 1, -(-(start + length) // T)):
            ds[k, b] = by_state[k * T - start, 0]
    net.to(device).zero_grads()
    x, dy, steps, ds = (to_device(a, device) for a in (x, dy, steps, ds))
    synthesizer = Synthesizer(Told((B, net.n_state)).to(device), SGD(0.0), zero_start=False)
    s, before, errors = None, None, []
    for k in range(K):
        goes_on, went_on = (to_device(~begins[i], device) for i in (k + 1, k))
        if before is not None:
            s = before * went_on[:, None]  # a new sequence starts from zeros
        part = slice(k * T, (k + 1) * T)
        _, sT, cache = net.forward(x[part], s, mask=steps[part])
        synthesizer.net.params.y = B * ds[k + 1]
        dsT = synthesizer.predict(sT, mask=goes_on)
        _, ds0 = net.backward(dy[part], cache, dsT)
        if before is not None:
            errors.append(to_numpy(ds0 - ds[k])[~begins[k]])
        before = sT.copy()
    close(bptt.flat_gradients(net), wanted)
    close(np.concatenate(errors), 0)


def test_the_synthesizer_of_a_stream_learns_only_across_boundaries_that_are_no_ends():
    """Its target, where it counts, is what flows back; elsewhere another sequence begins, which owes nothing."""
    rng, hold = np.random.default_rng(0), Hold()
    net = LSTM(2, 3, rng=0, dtype=np.float64)
    synthesizer = Synthesizer(networks.linear(6, dtype=np.float64), hold)
    x, _, _, begins, _ = lay_out(net)
    before, total = None, 0
    for k in range(len(begins) - 1):
        s = None if before is None else before * ~begins[k][:, None]
        y, sT, cache = net.forward(x[k * T : (k + 1) * T], s)
        _, ds0 = net.backward(SquaredError().gradient(y, rng.standard_normal(y.shape)), cache)
        if before is not None:
            synthesizer.fit(before, ds0, mask=~begins[k])
            for b in np.flatnonzero(~begins[k]):
                total = total - np.append(np.outer(before[b], ds0[b]), ds0[b])
        before = sT.copy()
    close(hold.total, total)
