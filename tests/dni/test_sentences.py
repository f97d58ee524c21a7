"""What is wrong is said in one sentence: who, which argument, what was got, and what was expected."""

import re

import numpy as np
import pytest
import standin
from dni.nets import CLASSES, LOSS, batch, chain_of, linear_synthesizers, network

from minidni import LSTM, SGD, Adam, Chain, Linear, ReLU, Segment, Sequential, Synthesizer, dni, to_device
from minidni.dni import networks

H, MESSAGE, LABELS = np.ones((4, 3), np.float32), np.ones((4, 3), np.float32), np.array([0, 1, 1, 0])


def conditional():
    return Synthesizer(networks.linear(3, 2), SGD(0.1))


def plain():
    return Synthesizer(networks.linear(3), SGD(0.1))


def three():
    return chain_of(network(3), (2, 4), linear_synthesizers())


def head(**options):
    return dni.AuxiliaryHead(Linear(3, 3), SGD(0.1), **options)


def traced(lam=1.0):
    return dni.TracedSynthesizer(Linear(3, 3), SGD(0.1), 1.0, lam)


def cut(**changed):
    options = {"at": (2,), "signal": linear_synthesizers(), "loss": LOSS, "optimizer": Adam} | changed
    return Chain.cut(network(3), options.pop("at"), **options)


def segment(net=None, signal=LOSS, optimizer=None, **options):
    return Segment(Linear(3, 2) if net is None else net, signal, optimizer or SGD(0.1), **options)


C, P = "Synthesizer(Linear(5, 3))", "Synthesizer(Linear(3, 3))"
# what is said, and what was done
SENTENCES = {
    # contexts
    f"{C}.predict: context is None, expected labels or an array with 2 columns": lambda: conditional().predict(H),
    f"{P}.fit: context was given, but the network has no columns for it": lambda: plain().fit(H, MESSAGE, LABELS),
    f"{C}.predict: context holds 2, expected integers from 0 to 1": lambda: conditional().predict(H, LABELS + 1),
    f"{C}.fit: context holds -1, expected integers from 0 to 1": lambda: conditional().fit(H, MESSAGE, LABELS - 1),
    f"{C}.predict: context has shape (3,), expected (4,)": lambda: conditional().predict(H, LABELS[:3]),
    "context has shape (4, 3), expected (4, 2)": lambda: conditional().predict(H, np.ones((4, 3), np.float32)),
    "context is float64, expected float32": lambda: conditional().predict(H, np.ones((4, 2))),
    "context is of type list, expected an array": lambda: conditional().predict(H, [0, 1, 1, 0]),
    # triggers, messages, masks
    f"{P}.predict: trigger is of type list, expected an array": lambda: plain().predict([1.0]),
    "Linear(3, 3).forward: x has shape (4, 5), expected (..., 3)": lambda: plain().predict(np.ones((4, 5), np.float32)),
    "x is float64, expected float32": lambda: plain().predict(np.ones((4, 3))),
    f"{P}.fit: message has shape (4, 2), expected (4, 3)": lambda: plain().fit(H, np.ones((4, 2), np.float32)),
    f"{P}.fit: message is float64, expected float32": lambda: plain().fit(H, np.ones((4, 3))),
    f"{P}.fit: message is of type NoneType, expected an array of shape (4, 3)": lambda: plain().fit(H, None),
    f"{P}.predict: mask is float64, expected bool": lambda: plain().predict(H, mask=np.ones(4)),
    f"{P}.fit: mask has shape (3,), expected (4,)": lambda: plain().fit(H, MESSAGE, mask=np.ones(3, bool)),
    # making synthesizers
    "Synthesizer: net is of type str, expected a Layer with one output": lambda: Synthesizer("net", SGD(0.1)),
    "Synthesizer: net is LSTM(3, 3), expected a Layer with one output": lambda: Synthesizer(LSTM(3, 3), SGD(0.1)),
    "net ends in ReLU(), expected a layer with parameters": lambda: Synthesizer(Sequential(ReLU()), SGD(0.1)),
    "Synthesizer: optimizer is 0.1, expected an optimiser": lambda: Synthesizer(Linear(3, 3), 0.1),
    "expected an optimiser, such as Adam()": lambda: Synthesizer(Linear(3, 3), Adam),
    "Synthesizer: scale is '1', expected a finite number": lambda: Synthesizer(Linear(3, 3), SGD(0.1), "1"),
    "Synthesizer: scale is inf, expected a finite number": lambda: Synthesizer(Linear(3, 3), SGD(0.1), np.inf),
    'predicts is \'h\', expected "gradient" or "input"': lambda: Synthesizer(Linear(3, 3), SGD(0.1), predicts="h"),
    "convolutional: kernel is 4, expected an odd number": lambda: networks.convolutional(2, kernel=4),
    'normalise is \'layer\', expected "batch", "running" or None': lambda: networks.linear(3, normalise="layer"),
    "SigmoidOfLinear: n_context is 0, expected a whole number of at least 1": lambda: networks.SigmoidOfLinear(3, 0),
    "Standardise: momentum is 1, expected a finite number at least 0 and below 1": lambda: networks.Standardise(
        3, momentum=1
    ),
    # segments
    "Segment: net is of type str, expected a Layer": lambda: segment(net="net"),
    "Segment: signal is None, expected an object with gradient(h, labels)": lambda: segment(signal=None),
    "expected an object with gradient(h, labels)": lambda: segment(signal=dni.Zero),
    "Segment: optimizer is 'Adam', expected an optimiser": lambda: segment(optimizer="Adam"),
    "Segment: clip is 0, expected a finite number above 0": lambda: segment(clip=0),
    'expected a Synthesizer with predicts="input"': lambda: segment(inputs=plain()),
    # chains
    "Chain: got no segments, expected at least one": lambda: Chain(),
    "Chain: segment 1 is of type Linear, expected a Segment": lambda: Chain(segment(), Linear(2, 2)),
    "Chain.cut: at is (4, 2), expected rising numbers from 1 to 4": lambda: cut(at=(4, 2)),
    "Chain.cut: at is (2, 2), expected rising numbers from 1 to 4": lambda: cut(at=(2, 2)),
    "Chain.cut: at is (0,), expected rising numbers from 1 to 4": lambda: cut(at=(0,)),
    "Chain.cut: at is (5,), expected rising numbers from 1 to 4": lambda: cut(at=(5,)),
    "Chain.cut: names has 1 entries, expected 2, one for each segment": lambda: cut(names=("low",)),
    "Chain.cut: optimizer is Adam(lr=0.001), expected a function that makes one": lambda: cut(optimizer=Adam()),
    "Chain.decoupled: rng is None, expected a numpy.random.Generator": lambda: three().decoupled(
        *batch(), probability=0.5
    ),
    "Chain.decoupled: rng is 1, expected a numpy.random.Generator": lambda: three().decoupled(
        *batch(), probability=0.5, rng=1
    ),
    "Chain.decoupled: probability is 1.5, expected a number from 0 to 1": lambda: three().decoupled(
        *batch(), probability=1.5
    ),
    "Chain.decoupled: lag is 0.5, expected a whole number of at least 0": lambda: three().decoupled(*batch(), lag=0.5),
    "expected": lambda: three().unlocked(*batch(), lag=-1),
    "Chain.mixed: lam is 2, expected a number from 0 to 1": lambda: three().mixed(*batch(), 2),
    "Chain.unlocked: layers 2 to 3 has no inputs, expected a synthesizer of its input": lambda: three().unlocked(
        *batch()
    ),
    # in time
    "TracedSynthesizer: net is Sequential(": lambda: dni.TracedSynthesizer(networks.mlp(3, n_hidden=4), SGD(0.1)),
    "TracedSynthesizer: net is Linear(3, 4), expected a": lambda: dni.TracedSynthesizer(Linear(3, 4), SGD(0.1)),
    "TracedSynthesizer: lam is -0.1, expected a number from 0 to 1": lambda: traced(-0.1),
    "AuxiliaryHead: net is of type int, expected a Layer with one output": lambda: dni.AuxiliaryHead(3, SGD(0.1)),
    "AuxiliaryHead: optimizer is 0.1, expected an optimiser": lambda: dni.AuxiliaryHead(Linear(3, 3), 0.1),
    "AuxiliaryHead: weight is -1, expected a finite number at least 0": lambda: head(weight=-1),
    "AuxiliaryHead.gradient: message has shape (3, 3), expected (4, 3)": lambda: head().gradient(H, MESSAGE[:3]),
    "mask has shape (3,), expected (4,)": lambda: head().gradient(H, MESSAGE, mask=np.ones(3, bool)),
    # other signals
    "Greedy: head is LSTM(3, 2), expected a Layer with one output": lambda: dni.Greedy(LSTM(3, 2), LOSS, SGD(0.1)),
    "Greedy: loss is None, expected an object with gradient": lambda: dni.Greedy(Linear(3, 2), None, SGD(0.1)),
    "Greedy: optimizer is None, expected an optimiser": lambda: dni.Greedy(Linear(3, 2), LOSS, None),
    "Exact: above is of type str, expected a Layer": lambda: dni.Exact("net", LOSS),
    "Kickback: loss is None, expected an object with gradient": lambda: dni.Kickback(Linear(3, 2), None),
    "DirectFeedbackAlignment: n is 0, expected a whole number": lambda: dni.DirectFeedbackAlignment(
        Linear(3, 2), LOSS, 0, 2
    ),
    "Stale(): labels holds 2, expected integers from 0 to 1": lambda: dni.Stale(2).learn(H, MESSAGE, LABELS + 1),
    "Signal has no gradient": lambda: dni.Signal().gradient(H),
}


@pytest.mark.parametrize("words", SENTENCES)
def test_what_is_wrong_is_said_in_a_sentence(words):
    with pytest.raises((TypeError, ValueError, NotImplementedError), match=re.escape(words)) as error:
        SENTENCES[words]()
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_a_trace_of_another_batch_and_a_wrong_jacobian_are_named():
    synthesizer, J = traced(), np.ones((4, 3, 3), np.float32)
    synthesizer.fit(H, MESSAGE)
    with pytest.raises(ValueError, match=r"jacobian has shape \(4, 3\), expected \(4, 3, 3\)"):
        synthesizer.fit(H, MESSAGE, jacobian=J[:, 0])
    with pytest.raises(ValueError, match=r"trigger has shape \(2, 3\), expected \(4, 3\)"):
        synthesizer.fit(H[:2], MESSAGE[:2], jacobian=J[:2])
    synthesizer.forget()
    synthesizer.fit(H[:2], MESSAGE[:2], jacobian=J[:2])


def test_a_stale_gradient_of_another_batch_is_named():
    signal = dni.Stale()
    signal.learn(H, MESSAGE)
    with pytest.raises(ValueError, match=r"h has shape \(2, 3\), expected \(4, 3\)"):
        signal.gradient(H[:2])


def test_arrays_on_another_device_are_named():
    with standin.installed():
        on_gpu, message, labels = (to_device(a, "cuda") for a in (H, MESSAGE, LABELS))
        mask = labels == labels
        for call, words in {
            "message is on cuda:0, expected cpu": lambda: plain().fit(H, message),
            "context is on cuda:0, expected cpu": lambda: conditional().predict(H, labels),
            "x is on cuda:0, expected cpu": lambda: plain().predict(on_gpu),
            "mask is on cuda:0, expected cpu": lambda: plain().predict(H, mask=mask),
            "labels is on cuda:0, expected cpu": lambda: dni.Stale(2).learn(H, MESSAGE, labels),
            "x is on cpu, expected cuda:0": lambda: networks.Standardise(3).to("cuda").forward(H),
        }.items():
            with pytest.raises(TypeError, match=call):
                words()


def test_on_a_device_a_label_out_of_range_gives_nan_in_its_row_alone():
    """Looking at the labels there would stall the GPU."""
    with standin.installed() as cupy:
        synthesizer = Synthesizer(networks.linear(3, 2, rng=0).to("cuda"), SGD(0.1), zero_start=False)
        message = synthesizer.predict(cupy.asarray(H), cupy.asarray(np.array([0, 2, 1, 0])))
        np.testing.assert_array_equal(cupy.isnan(message).any(axis=1).get(), [False, True, False, False])


def test_a_dx_that_is_missing_is_not_passed_over():
    """A segment whose bottom layer makes no dx can teach no signal below it."""
    chain = three()
    chain[1].net[0].needs_dx = False
    with pytest.raises(TypeError, match="message is of type NoneType, expected an array"):
        chain.decoupled(*batch())


def test_classes_are_as_many_as_the_context_of_the_tests():
    """So that a label of `batch` is never out of range by accident."""
    assert batch(B=500)[1].max() == CLASSES - 1
