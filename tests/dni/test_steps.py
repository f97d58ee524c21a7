"""The steps of a chain against loops written out: lag, random updates, full unlock; and labels that nobody may see."""

import copy

import numpy as np
import pytest
from dni.nets import LOSS, batch, chain_of, close, linear_synthesizers, network, same, weights

from minidni import SGD, Adam, Chain, Linear, Segment, Sequential, Synthesizer, Tanh, dni, to_numpy


def make(signal=None, seed=0, optimizer=lambda: SGD(0.1), batch_norm=True, **options):
    net = network(4, batch_norm=batch_norm, seed=seed)
    return chain_of(net, (3, 6), signal or linear_synthesizers(), optimizer, **options)


# -- a segment by itself


@pytest.mark.parametrize("clip", [None, 1e-3, 1e3])
def test_the_step_of_a_segment_is_forward_signal_backward_clip_update(clip):
    """What flows back to the segment below is not clipped: it is a gradient of the loss, not an update."""
    net = network(2, batch_norm=True)
    twin = copy.deepcopy(net)
    one = Segment(net, LOSS, SGD(0.5), clip=clip)
    x, labels = batch()
    before = weights(twin)
    h, dx = one.step(x, labels)
    y, cache = twin.forward(x)
    same(h, y)
    same(dx, twin.backward(LOSS.gradient(y, labels), cache))
    g = np.concatenate(twin.grads.slabs)
    factor = 1 if clip is None else min(1, clip / np.linalg.norm(g))
    close(weights(net), before - 0.5 * factor * g)


# -- labels


class Refuses(dni.Signal):
    """A signal, or a loss, that nobody may ask."""

    def gradient(self, h, labels=None):
        raise AssertionError("asked at prediction time")

    learn = value = gradient


def test_predict_asks_no_signal_and_no_input_synthesizer(device):
    chain = make()
    for step in range(3):
        chain.decoupled(*batch(step))
    chain.net.to(device)
    x, _ = batch(9, device=device)
    wanted = to_numpy(chain.predict(x))
    for segment in chain:
        segment.signal = segment.inputs = Refuses()
    same(chain.predict(x), wanted)
    with pytest.raises(AssertionError, match="asked"):
        chain.decoupled(x, batch(9, device=device)[1])


def test_predict_is_in_evaluation_mode_and_puts_the_modes_back():
    chain = make()
    chain[1].net[1].training = False
    x, _ = batch()
    before = [slab.copy() for slab in chain.net.buffers.slabs]
    one_by_one = np.concatenate([chain.predict(row[None]) for row in x])
    close(chain.predict(x), one_by_one)
    for slab, old in zip(chain.net.buffers.slabs, before, strict=True):
        same(slab, old)
    assert [layer.training for layer in chain[1].net] == [True, False, True]
    assert chain.net.training


def test_the_output_of_a_step_does_not_depend_on_its_labels():
    for step in ("decoupled", "backprop"):
        one, other = make(), make()
        x, labels = batch()
        same(getattr(one, step)(x, labels).h, getattr(other, step)(x, (labels + 1) % 3).h)
        assert not np.array_equal(weights(one.net), weights(other.net))


def test_an_unconditional_synthesizer_passes_labels_over():
    one, other = (make(linear_synthesizers(0)) for _ in range(2))
    for chain in (one, other):
        for _ in range(4):
            chain.decoupled(*batch())
    x, labels = batch(5)
    one.decoupled(x, labels)
    other.decoupled(x, (labels + 1) % 3)
    same(weights(one[0].net), weights(other[0].net))
    same(weights(one[1].net), weights(other[1].net))
    assert not np.array_equal(weights(one[2].net), weights(other[2].net))


# -- lag


@pytest.mark.parametrize("lag", [0, 1, 4])
def test_a_lag_is_the_loop_that_keeps_triggers(lag):
    """In step k the signal learns from trigger, labels and dx of step k - lag, with the weights it has now."""
    chain = make(linear_synthesizers(optimizer=Adam))
    segments = copy.deepcopy(chain.segments)
    kept = [[], []]
    for k in range(12):
        x, labels = batch(k)
        chain.decoupled(x, labels, lag=lag)
        h = x
        for i, segment in enumerate(segments):
            below = h
            h, cache = segment.net.forward(below)
            dh = segment.signal.gradient(h, labels)
            segment.net.zero_grads()
            dx = segment.net.backward(dh, cache)
            segment.optimizer.step(segment.net)
            if i:
                kept[i - 1].append((below, dx, labels))
                if k >= lag:
                    trigger, message, then = kept[i - 1][k - lag]
                    segments[i - 1].signal.fit(trigger, message, then)
    for got, wanted in zip(chain, segments, strict=True):
        same(weights(got.net), weights(wanted.net))
    for i in range(2):
        same(weights(chain[i].signal.net), weights(segments[i].signal.net))


def test_what_is_kept_for_later_survives_a_caller_who_reuses_his_arrays():
    one, other = make(), make()
    x, labels = (a.copy() for a in batch())
    for k in range(6):
        x[...], labels[...] = batch(k)
        one.decoupled(x, labels, lag=2)
        other.decoupled(*batch(k), lag=2)
    same(weights(one[1].signal.net), weights(other[1].signal.net))
    same(weights(one.net), weights(other.net))


def test_a_smaller_lag_brings_what_is_still_owed():
    chain = make()
    for k in range(3):
        step = chain.decoupled(*batch(k), lag=3)
        assert step.reports[0].learned_from is None
    assert len(chain._late[0]) == len(chain._late[1]) == 3
    assert chain.decoupled(*batch(3)).reports[0].learned_from is not None
    assert not chain._late[0] and not chain._late[1]


# -- random updates


def test_a_segment_whose_coin_shows_tails_keeps_its_weights_and_sends_nothing_down():
    chain, coins, rng = make(), np.random.default_rng(7), np.random.default_rng(7)
    seen = set()
    for k in range(3):
        chain.decoupled(*batch(k))  # or the first messages would be 0, and nothing could be taught with them
    for k in range(12):
        before = [weights(s.net) for s in chain], [weights(s.signal.net) for s in chain.segments[:-1]]
        reports = chain.decoupled(*batch(k), probability=0.4, rng=rng).reports
        heads = [coins.random() < 0.4 for _ in chain]
        seen.add(tuple(heads))
        for i, segment in enumerate(chain):
            assert (reports[i].updated_on is not None) == heads[i]
            if i < 2:
                taught = not np.array_equal(weights(segment.signal.net), before[1][i])
                assert taught == heads[i + 1] == (reports[i].learned_from is not None)
            if not heads[i]:
                same(weights(segment.net), before[0][i])
        assert not heads[2] or not np.array_equal(weights(chain[2].net), before[0][2])
    assert len(seen) > 3


def test_probability_one_is_no_coin_and_zero_is_no_update():
    one, other = make(), make()
    rng = np.random.default_rng(0)
    for k in range(4):
        one.decoupled(*batch(k), probability=1, rng=rng)
        other.decoupled(*batch(k))
    same(weights(one.net), weights(other.net))
    assert rng.random() == np.random.default_rng(0).random(), "no number was drawn"
    before = weights(one.net)
    one.decoupled(*batch(9), probability=0.0, rng=rng)
    same(weights(one.net), before)


# -- full unlock


def unlocked_chain(optimizer):
    rng, segments = np.random.default_rng(3), []
    for i, (n_in, n_out) in enumerate([(5, 6), (6, 7), (7, 3)]):
        layers = [Linear(n_in, n_out, rng=rng, dtype=np.float64), *([Tanh()] if i < 2 else [])]
        signal = Synthesizer(dni.networks.linear(n_out, 3, rng=rng, dtype=np.float64), optimizer()) if i < 2 else LOSS
        inputs = dni.networks.linear(5, n_out=n_in, rng=rng, dtype=np.float64)
        inputs = Synthesizer(inputs, optimizer(), predicts="input") if i else None
        segments.append(Segment(Sequential(*layers), signal, optimizer(), inputs=inputs))
    return Chain(*segments)


@pytest.mark.parametrize("optimizer", [lambda: SGD(0.2), lambda: Adam(0.05)], ids=["SGD", "Adam"])
def test_the_unlocked_step_is_its_loop(optimizer):
    """Each segment on a synthetic input made from x alone; the gradient is learned where it was taken."""
    chain = unlocked_chain(optimizer)
    segments = copy.deepcopy(chain.segments)
    for k in range(8):
        x, labels = batch(k)
        out = chain.unlocked(x, labels).h
        ran = [segments[0].net.forward(x)]
        given = [x]
        for segment in segments[1:]:
            given.append(segment.inputs.predict(x))
            ran.append(segment.net.forward(given[-1]))
        same(out, ran[-1][0])
        messages = [segment.signal.gradient(h, labels) for segment, (h, _) in zip(segments, ran, strict=True)]
        for segment, message, (_, cache), below in zip(segments, messages, ran, [None, *ran], strict=False):
            segment.net.zero_grads()
            dx = segment.net.backward(message, cache)
            segment.optimizer.step(segment.net)
            if below is not None:
                i = segments.index(segment)
                segment.inputs.fit(x, below[0])
                segments[i - 1].signal.fit(given[i], dx, labels)
    for got, wanted in zip(chain, segments, strict=True):
        same(weights(got.net), weights(wanted.net))
        if got.inputs is not None:
            same(weights(got.inputs.net), weights(wanted.inputs.net))
            assert weights(got.inputs.net).any()


def test_unlocked_learns_what_the_frozen_trunk_cannot():
    """Labels that need both hidden layers: the distance from the origin, folded."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((256, 5))
    labels = np.digitize((x**2).sum(axis=1), [3.0, 5.5])
    losses = {}
    for method in ("unlocked", "frozen"):
        chain = unlocked_chain(lambda: Adam(0.01))
        if method == "frozen":
            for segment in chain.segments[:-1]:
                segment.signal = dni.Zero()
        for _ in range(600):
            (chain.unlocked if method == "unlocked" else chain.decoupled)(x, labels)
        losses[method] = LOSS.value(chain.predict(x), labels)
    assert losses["unlocked"] < losses["frozen"] - 0.05, losses


def test_each_segment_runs_without_the_one_below():
    """The top's output in an unlocked step does not change with the weights below."""
    one, other = unlocked_chain(lambda: SGD(0.1)), unlocked_chain(lambda: SGD(0.1))
    for chain in (one, other):
        chain.unlocked(*batch())
    for slab in other[0].net.params.slabs:
        slab += 1
    same(one.unlocked(*batch(1)).h, other.unlocked(*batch(1)).h)
