"""The networks of synthesizers: derivatives, what each form can say exactly, and how fast a linear one may learn."""

import numpy as np
import pytest
from dni.nets import close
from hypothesis import given, settings
from hypothesis import strategies as st

from minidni import SGD, Adam, Linear, SigmoidCrossEntropy, SquaredError, Synthesizer, check_gradients
from minidni.dni import networks

F64 = {"dtype": np.float64}
#: name -> function of a generator that returns a network, and the shape of its input.
NETS = {
    "linear": lambda rng: (networks.linear(3, 2, rng=rng, **F64), (4, 5)),
    "linear, other width": lambda rng: (networks.linear(3, n_out=4, rng=rng, **F64), (4, 3)),
    "linear, batch norm": lambda rng: (networks.linear(3, 2, normalise="batch", rng=rng, **F64), (4, 5)),
    "linear, running": lambda rng: (networks.linear(3, 2, normalise="running", rng=rng, **F64), (4, 5)),
    "MLP": lambda rng: (networks.mlp(2, 1, n_hidden=3, rng=rng, **F64), (4, 3)),
    "MLP, plain": lambda rng: (networks.mlp(3, n_hidden=4, n_layers=1, batch_norm=False, rng=rng, **F64), (4, 3)),
    "MLP, running": lambda rng: (networks.mlp(3, n_hidden=3, n_layers=1, normalise="running", rng=rng, **F64), (4, 3)),
    "convolutional": lambda rng: (networks.convolutional(1, 1, n_hidden=2, kernel=3, rng=rng, **F64), (2, 2, 3, 3)),
    "convolution": lambda rng: (networks.convolutional(2, n_layers=0, kernel=3, rng=rng, **F64), (2, 2, 4, 4)),
    "sigmoid of linear": lambda rng: (networks.SigmoidOfLinear(3, 2, rng=rng, **F64), (4, 5)),
    "Standardise": lambda rng: (networks.Standardise(3, **F64), (4, 3)),
}


@pytest.mark.parametrize("name", NETS)
@settings(max_examples=3)
@given(seed=st.integers(0, 2**32 - 1), training=st.booleans())
def test_gradients_are_right(name, seed, training):
    rng = np.random.default_rng(seed)
    net, shape = NETS[name](rng)
    for slab in [*net.params.slabs, *net.buffers.slabs]:
        slab += 0.3 * rng.random(slab.shape)
    net.training = training
    report = check_gradients(net, rng.standard_normal(shape), seed=seed)
    assert report.ok, str(report)


# -- what each form can say


def below_logistic_regression(rng, B=64, N=4, M=3):
    """h, labels in {0, 1}, the true gradient (p - y) W^T / B by h, and W and b."""
    h, W, b = rng.standard_normal((B, N)), 2 * rng.standard_normal((N, M)), rng.standard_normal(M)
    labels = rng.integers(0, 2, (B, M)).astype(float)
    return h, labels, SigmoidCrossEntropy().gradient(h @ W + b, labels) @ W.T, W, b


def test_the_sigmoid_of_a_linear_map_is_exact_below_logistic_regression():
    h, labels, exact, W, b = below_logistic_regression(np.random.default_rng(0))
    net = networks.SigmoidOfLinear(4, 3, **F64)
    net.params.A, net.params.a, net.params.C = W, b, W.T
    synthesizer = Synthesizer(net, SGD(0.0), zero_start=False)
    close(synthesizer.predict(h, labels), exact, 1e-14)
    assert float(synthesizer.compare(h, exact, labels).error) < 1e-14


def test_it_is_learned_where_a_linear_map_keeps_a_floor():
    """On fresh examples each step, and measured on examples that neither has seen."""
    rng = np.random.default_rng(1)
    h, labels, exact, W, b = below_logistic_regression(rng, 2000)
    errors = {}
    for net in (networks.SigmoidOfLinear(4, 3, rng=0, **F64), networks.linear(4, 3, **F64)):
        synthesizer = Synthesizer(net, Adam(0.02))
        for _ in range(2500):
            x, y = rng.standard_normal((64, 4)), rng.integers(0, 2, (64, 3)).astype(float)
            synthesizer.fit(x, SigmoidCrossEntropy().gradient(x @ W + b, y) @ W.T, y)
        errors[type(net).__name__] = float(synthesizer.compare(h, exact, labels).error)
    ones = np.hstack([h, labels, np.ones((len(h), 1))])
    floor = np.linalg.norm(ones @ np.linalg.lstsq(ones, exact, rcond=None)[0] - exact) / np.linalg.norm(exact)
    assert errors["SigmoidOfLinear"] < 0.01 < 0.1 < floor
    assert errors["Linear"] == pytest.approx(floor, rel=0.1)


def test_a_fresh_sigmoid_form_says_zero_and_can_learn():
    h, labels, exact, *_ = below_logistic_regression(np.random.default_rng(2))
    synthesizer = Synthesizer(networks.SigmoidOfLinear(4, 3, rng=0, **F64), SGD(0.1))
    assert not synthesizer.predict(h, labels).any()
    first = float(synthesizer.fit(h, exact, labels))
    assert float(synthesizer.fit(h, exact, labels)) < first == 1


def test_a_linear_synthesizer_learns_the_gradient_of_a_squared_error_behind_a_linear_layer():
    """dL/dh = 2 (h W + b - y) W^T / B is linear in [h, y]."""
    rng = np.random.default_rng(3)
    W, b, loss = rng.standard_normal((4, 3)), rng.standard_normal(3), SquaredError()
    synthesizer = Synthesizer(networks.linear(4, 3, **F64), SGD(0.4))
    for _ in range(300):
        h, y = rng.standard_normal((32, 4)), rng.standard_normal((32, 3))
        error = synthesizer.fit(h, loss.gradient(h @ W + b, y) @ W.T, y)
    assert float(error) < 1e-10
    close(synthesizer.net.params.W, np.vstack([2 * W @ W.T, -2 * W.T]), 1e-9)
    close(synthesizer.net.params.b, 2 * b @ W.T, 1e-9)


# -- how fast a linear one may learn


@pytest.mark.parametrize("B", [8, 64])
@pytest.mark.parametrize("size", [0.1, 1.0, 10.0])
def test_gradient_descent_is_stable_up_to_two_over_the_largest_eigenvalue(B, size):
    """lr lambda_max(O^T O / B) < 2, O the rows [h, 1]: the error dies just below, and grows without end just above."""
    rng = np.random.default_rng(4)
    h = size * rng.standard_normal((B, 3))
    ones = np.hstack([h, np.ones((B, 1))])
    largest, vectors = np.linalg.eigh(ones.T @ ones / B)
    truth = Linear(3, 3, **F64)
    truth.params.W, truth.params.b = (
        np.split(np.outer(vectors[:, -1], [1, 2, 3]), [3])[0],
        vectors[3, -1] * np.arange(1, 4),
    )
    message = truth.forward(h)[0] / B
    found = {}
    for factor in (0.98, 1.02):
        synthesizer = Synthesizer(networks.linear(3, **F64), SGD(factor * 2 / largest[-1]))
        found[factor] = [float(synthesizer.fit(h, message)) for _ in range(300)]
    assert found[0.98][-1] < 1e-4 < 1e4 < found[1.02][-1]
    close(found[0.98][:20], 0.96 ** np.arange(20), 1e-9)  # |1 - lr lambda| = 0.96 along that direction, each step
    close(found[1.02][:20], 1.04 ** np.arange(20), 1e-9)


# -- the input's normalisation


def test_standardise_uses_earlier_batches_alone_and_means_over_all_at_first():
    rng = np.random.default_rng(5)
    batches = 3 + 2 * rng.standard_normal((6, 16, 4))
    layer = networks.Standardise(4, **F64)
    for k, x in enumerate(batches):
        y, _ = layer.forward(x)
        seen = batches[:k].reshape(-1, 4) if k else None
        mean, var = (0, 1) if seen is None else (seen.mean(axis=0), seen.var(axis=0))
        close(y, (x - mean) / np.sqrt(var + 1e-5))
    layer.training = False
    before = layer.buffers.slab.copy()
    layer.forward(batches[0])
    close(layer.buffers.slab, before)


def test_standardise_forgets_by_its_momentum_once_that_is_more():
    layer = networks.Standardise(2, momentum=0.25, **F64)
    mean = np.zeros(2)
    for k in range(1, 12):
        x = np.full((3, 2), float(k))
        layer.forward(x)
        mean += max(1 / k, 0.25) * (k - mean)
        close(layer.buffers.mean, mean)


@pytest.mark.parametrize("size", [1e-2, 1.0, 1e2])
def test_normalised_input_makes_one_rate_suit_triggers_of_any_size(size):
    """Without it a rate that suits one size is hopeless for the others: too slow, or beyond the limit above."""
    rng, errors = np.random.default_rng(6), {}
    h, W = rng.standard_normal((64, 4)), rng.standard_normal((4, 4))
    for normalise in ("batch", "running", None):
        synthesizer = Synthesizer(networks.linear(4, normalise=normalise, **F64), SGD(0.1))
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(300):
                errors[normalise] = float(synthesizer.fit(size * h + size, h @ W / 64))
    assert errors["batch"] < 1e-6 and errors["running"] < 1e-6
    assert size == 1 or not errors[None] < 0.9


def test_a_synthesizer_leaves_its_net_as_a_net():
    """It saves the gradient by the trigger for itself alone: afterwards the net has a whole backward still."""
    net, rng = networks.linear(4, rng=0, dtype=np.float64), np.random.default_rng(0)
    synthesizer = Synthesizer(net, SGD(0.1))
    synthesizer.fit(rng.standard_normal((3, 4)), rng.standard_normal((3, 4)))
    assert check_gradients(net, rng.standard_normal((3, 4))).ok


def test_the_scale_may_be_changed_to_any_number_and_keeps_the_dtype():
    synthesizer = Synthesizer(Linear(4, 4, rng=0), SGD(0.1), zero_start=False)
    h = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    whole = synthesizer.predict(h)
    synthesizer.scale = np.float64(0.5)
    half = synthesizer.predict(h)
    assert half.dtype == np.float32
    close(half, whole / 2, 1e-6)
    with pytest.raises(ValueError, match="scale is nan, expected a finite number"):
        synthesizer.scale = float("nan")
