# %% [markdown]
# # Synthetic gradients
#
# - **Minutes:** 40
# - **Needs:** the lesson *A layer by hand*: `forward`, `backward`, and the gradient of softmax cross-entropy; the
#   eigenvalues of a symmetric matrix
# - **Learn:** cut a network in two with a guessed gradient that you write by hand, say in which units it guesses, why
#   it starts at zero and why it wants to see the labels, find the learning rate at which it explodes, and judge a
#   result by its controls
# - **Data:** MNIST-1D, made by the package: ten digits as curves of 40 points; and sums of two numbers
#
# A layer that has done its forward pass stands and waits: for all layers above it to run forward, and to run back. Only
# then does it learn in which direction to move. In 2016 it was proposed not to wait, but to *guess* the gradient, and
# to go on at once. One reads that this "unlocks" training, tries it, sees nothing get faster, and asks what the point
# is. Here you build it from two short methods, and measure what there is to it.
#
# There are five exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.
#
# Sections 6 and 7 are for a second sitting, of 20 minutes more.

# %%
import copy
import inspect
import time

import numpy as np

from minidni import SGD, Adam, Chain, Linear, ReLU, Sequential, SoftmaxCrossEntropy, Synthesizer, bptt
from minidni.data import batches, mnist1d
from minidni.dni import Exact, Zero
from minidni.gradcheck import check_equal
from minidni.plots import show_curves, show_lines, slide

# %% [markdown]
# ## 1. A boundary
#
# The data first: ten template curves, each shifted, stretched and scaled at random, and buried in smooth noise. It
# looks harmless, and is chosen for being hard enough: a network that learns little will show it.

# %%
data = mnist1d(10_000, test_fraction=0.4)
print(data)
examples = [data.x_train[data.y_train == digit][0] for digit in (0, 1, 4, 7)]
show_curves({"height": {f"a {digit}": x for digit, x in zip((0, 1, 4, 7), examples, strict=True)}}, "point", start=0)

# %% [markdown]
# The network has two hidden layers of 32 units and a readout, and we cut it above the second hidden layer:
#
# ```text
#              lower half                  boundary        upper half
#
#   x ──▶ Linear ▶ ReLU ▶ Linear ▶ ReLU ──▶   h   ──▶ Linear ──▶ y ──▶ loss.value
#                                       ◀──  dh   ◀── Linear ◀── dy ◀── loss.gradient
# ```
#
# An array flows forward, `h` $(B, N)$, and an array of the same shape flows back, `dh`. Nothing else crosses. To take
# its step, the lower half needs `dh`, and it does not matter to it who made it.
#
# Look at the topmost place in the picture. There `loss.gradient(y, labels)` says what flows back. It sees the array
# that stands there and the labels, and waits for nothing. Let us have the same thing lower down:
#
# > Whatever answers `gradient(h, labels)` can stand at a boundary. A **synthesizer** is a small network that answers by
# > prediction. A loss is one that is exact.


# %%
N, N_CLASSES = 32, data.n_classes
loss = SoftmaxCrossEntropy()


def two_halves(seed, dtype=np.float32):
    """The network, cut in two."""
    rng = np.random.default_rng(seed)
    lower = Sequential(
        Linear(data.features, N, rng=rng, dtype=dtype), ReLU(), Linear(N, N, rng=rng, dtype=dtype), ReLU()
    )
    return lower, Linear(N, N_CLASSES, rng=rng, dtype=dtype)


def true_gradient(lower, upper, x, labels):
    """h and the true dL/dh at the boundary; leaves no trace in the network."""
    h, _ = lower.forward(x)
    return h, Exact(upper, loss).gradient(h, labels)


# %% [markdown]
# ## 2. The guess, by hand
#
# The simplest guess is a linear map. Put side by side what can be seen at the boundary: the activation, the label as a
# one-hot row, and a 1, whose weight is the bias. With $C$ classes,
#
# $$O = [\,h \,|\, \text{onehot} \,|\, 1\,]\;(B, N + C + 1) \qquad \hat g = O \, M \qquad M\,(N + C + 1, N)$$
#
# ### Units
#
# What is $\hat g$ to be close to? The loss is a mean over the $B$ examples of the minibatch, so the true `dh` has a
# factor $1/B$ in every row. It says something about the size of the minibatch, and nothing about the example. So let
# $\hat g$ be the gradient of *one example's* loss, which is $B$ times as large, and put the factor back in when the
# guess is used:
#
# $$\text{message} = \frac{O\,M}{B} \qquad\qquad \text{target of the guess} = B \; dh$$
#
# **Predict, then run.** A synthesizer without these units has learned at a minibatch of 64, and knows the true
# gradient perfectly. It is then used with minibatches of 16, and of 256. By which factor are its messages too long or
# too short?

# %%
lower, upper = two_halves(seed=0)
sizes = {}
for B in (16, 64, 256):
    _, dh = true_gradient(lower, upper, data.x_train[:B], data.y_train[:B])
    sizes[B] = np.linalg.norm(dh, axis=1).mean()
print(f"{'B':>4}{'a row of dh':>15}{'B times that':>15}{'learned at 64: too long by':>30}")
for B, size in sizes.items():
    print(f"{B:4d}{size:15.5f}{B * size:15.3f}{sizes[64] / size:30.2f}")

# %% [markdown]
# In the units of one example it is the same for every $B$, up to the luck of the examples. So neither what was learned
# nor the learning rate that suits it depends on $B$.
#
# ### Exercise 1: predict
#
# Write `predict`. `self.beside(h, labels)` gives you $O$, which is called `seen` in the code, as a single O looks like
# a zero. With `n_labels=0` it leaves the labels out, and the synthesizer is called *unconditional*. `self.M` starts at
# **zero**; the reason comes below.


# %% exercise="predict"
class Predicts:
    """A linear synthesizer that cannot learn yet. With n_labels = 0 it does not look at the labels."""

    def __init__(self, n, n_labels, lr, dtype=np.float32):
        self.n_labels, self.lr = n_labels, lr
        self.M = np.zeros((n + n_labels + 1, n), dtype)

    def beside(self, h, labels):
        """h (B, N), labels (B,) -> seen (B, N + n_labels + 1)."""
        onehot = np.eye(self.n_labels, dtype=h.dtype)[labels] if self.n_labels else h[:, :0]
        return np.concatenate([h, onehot, np.ones((len(h), 1), h.dtype)], axis=1)

    def predict(self, h, labels):
        """h (B, N), labels (B,) -> the message (B, N), what is used in place of dL/dh."""
        ### BEGIN SOLUTION
        return self.beside(h, labels) @ self.M / len(h)
        ### END SOLUTION

    def gradient(self, h, labels):
        """The name of the slot."""
        return self.predict(h, labels)


# %% test="predict-check" points=1
def check_predict(B, N, n_labels, seed):
    """Stop with a sentence if `predict` differs from the formula."""
    rng = np.random.default_rng(seed)
    mine = Predicts(N, n_labels, lr=0.1, dtype=np.float64)
    h, labels = rng.standard_normal((B, N)), rng.integers(0, max(n_labels, 1), B)
    check_equal("the message of a fresh synthesizer", mine.predict(h, labels), np.zeros((B, N)))
    M = rng.standard_normal(mine.M.shape)
    mine.M[...] = M
    right = (h @ M[:N] + M[N : N + n_labels][labels] + M[-1]) / B if n_labels else (h @ M[:N] + M[-1]) / B
    suspects = {
        "the factor 1 / B is missing": right * B,
        "B is multiplied with; the message is O M / B": right * B * B,
        "the division is by N, not by the number of rows": right * B / N,
    }
    got = mine.predict(h, labels)
    check_equal("the message", got, right, suspects)
    check_equal("M after predict (which must not change it)", mine.M, M)


check_predict(B=5, N=4, n_labels=3, seed=0)
check_predict(B=2, N=3, n_labels=0, seed=1)
### BEGIN HIDDEN TESTS
check_predict(B=1, N=6, n_labels=2, seed=2)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# ### Exercise 2: fit
#
# Later the gradient arrives. Then the synthesizer learns from it, by a step of gradient descent on the squared
# distance from the target, the mean over the rows:
#
# $$\frac{1}{2B} \sum_i \| O_i M - B\,dh_i \|^2 \qquad
# \text{with the gradient} \quad dM = \frac{1}{B} \; O^\top (O M - B\,dh)$$
#
# Write `fit`. It gets `h` once more, not some cache of the prediction: so any number of guesses may have been made
# meanwhile. It moves `self.M`, in place, and returns the relative error *before* the step,
# $\|OM - B\,dh\| \,/\, \|B\,dh\|$.


# %% exercise="fit"
class LinearSynthesizer(Predicts):
    """A linear synthesizer."""

    def fit(self, h, dh, labels):
        """One step from the dL/dh (B, N) that has arrived -> the relative error before it."""
        ### BEGIN SOLUTION
        seen, target = self.beside(h, labels), len(h) * dh
        off = seen @ self.M - target
        self.M -= self.lr * (seen.T @ off) / len(h)
        return np.linalg.norm(off) / np.linalg.norm(target)
        ### END SOLUTION

    def learn(self, h, dh, labels):
        """The name of the slot."""
        return self.fit(h, dh, labels)


# %% test="fit-check" points=2
def check_fit(B, N, n_labels, seed):
    """Stop with a sentence if a few steps differ from those of the library's synthesizer."""
    rng = np.random.default_rng(seed)
    mine = LinearSynthesizer(N, n_labels, lr=0.1, dtype=np.float64)
    library = Synthesizer(Linear(N + n_labels, N, dtype=np.float64), SGD(0.1))
    for step in range(3):
        h, dh = rng.standard_normal((B, N)), rng.standard_normal((B, N)) / B
        labels, before = rng.integers(0, max(n_labels, 1), B), mine.M.copy()
        error, kept = library.fit(h, dh, labels if n_labels else None), dh.copy()
        right = np.vstack([library.net.params.W, library.net.params.b])
        seen = mine.beside(h, labels)
        steps = {
            "the target is dh, not B dh": seen.T @ (seen @ before - dh) / B,
            "the mean over the rows is missing: divide by B": seen.T @ (seen @ before - B * dh),
            "M goes uphill: the step is minus lr times the gradient": -seen.T @ (seen @ before - B * dh) / B,
            "a factor 2 too much, which the 1/2 in front cancels": 2 * seen.T @ (seen @ before - B * dh) / B,
        }
        if step:
            steps["O M is left out of the difference"] = -seen.T @ (B * dh) / B
        got = mine.fit(h, dh, labels)
        check_equal(f"M after step {step}", mine.M, right, {what: before - 0.1 * move for what, move in steps.items()})
        check_equal("dh after fit (which must not change it)", dh, kept)
        after = np.linalg.norm(seen @ mine.M - B * dh) / np.linalg.norm(B * dh)
        check_equal("the returned error", got, error, {"it is the error after the step": after})


check_fit(B=6, N=3, n_labels=4, seed=0)
check_fit(B=4, N=3, n_labels=0, seed=1)
### BEGIN HIDDEN TESTS
check_fit(B=1, N=2, n_labels=2, seed=2)
check_fit(B=20, N=5, n_labels=3, seed=3)
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# ## 3. Why it starts at zero
#
# A fresh synthesizer knows nothing. Of all that it may say then, what does the least harm?
#
# Layers are usually started at random. Here are three starts of $M$: uniformly at random within
# $\pm 1/\sqrt{N + C}$, which is what some libraries do with every linear layer; the same, but with zero weights and
# only the bias left at random; and zero. Each with our units, and without them, so that $O\,M$ itself is the message.
#
# **Predict, then run.** How large is the message of the first step beside the true gradient, in each of the six cases?
# And what will a step of the lower half do to the loss, with a learning rate that suits the true gradient?


# %%
def started(how, rng):
    """A fresh synthesizer, started in one of three ways."""
    synthesizer = LinearSynthesizer(N, N_CLASSES, lr=0.02)
    random = rng.uniform(-1, 1, synthesizer.M.shape) / np.sqrt(N + N_CLASSES)
    if how == "all at random":
        synthesizer.M[...] = random
    elif how == "the bias at random":
        synthesizer.M[-1] = random[-1]
    return synthesizer


B, first_steps = 64, {}
for seed in range(20):
    rng = np.random.default_rng(seed)
    lower, upper = two_halves(seed)
    x, labels = next(batches(data.x_train, data.y_train, size=B, seed=seed))
    h, exact = true_gradient(lower, upper, x, labels)
    before = loss.value(upper.forward(h)[0], labels)
    messages = {"true gradient": exact}
    for how in ("all at random", "the bias at random", "zero"):
        message = started(how, rng).predict(h, labels)
        messages |= {f"{how}, with units": message, f"{how}, without": B * message}
    for what, message in messages.items():
        moved = copy.deepcopy(lower)
        moved.zero_grads()
        moved.backward(message, moved.forward(x)[1])
        SGD(0.3).step(moved)
        after = loss.value(upper.forward(moved.forward(x)[0])[0], labels)
        length = np.linalg.norm(message) / np.linalg.norm(exact)
        first_steps.setdefault(what, []).append((length, after - before))

print(f"{'means over 20 networks':<38}{'length / true':>15}{'change of the loss by one step':>33}")
for what, results in first_steps.items():
    length, change = np.mean(results, axis=0)
    print(f"{what:<38}{length:15.2f}{change:+33.3f}")
harm = {what: np.mean(results, axis=0) for what, results in first_steps.items()}
assert harm["the bias at random, without"][0] > 5
assert harm["all at random, without"][1] > 0.1
assert harm["zero, with units"][1] == 0

# %% [markdown]
# Garbage, and in the wrong units a great lot of it. A random message has no direction in common with the true gradient,
# so at best it does nothing, and the longer it is, the more it destroys. It is not enough to zero the weights: one
# public library forgets the bias, and the lines in the middle show what that does. From zero, the lower half stands
# still until there is something to say.
#
# (Zero is no trap here, as it would be for all layers of a deep network: the gradient $dM = O^\top(OM - B\,dh)/B$ is
# not zero at $M = 0$. A synthesizer with hidden layers has only its *last* layer started at zero.)
#
# ## 4. Going on without waiting
#
# ### Exercise 3: the decoupled step
#
# Write one step of training. Each half, in this order:
#
# - **lower**: forward; `backward` with `signal.gradient(h, labels)`; a step of `optimiser_lower`. It is done, and has
#   not heard of the upper half yet.
# - **upper**: forward from the same `h`; `backward` with the gradient of the loss; a step of `optimiser_upper`. What
#   its `backward` returns is the true `dh`.
# - **signal**: `signal.learn(h, dh, labels)`.
#
# Gradients add up, so call `zero_grads()` of each half before its `backward`. Return `y`, the output of the upper half
# from before its update.


# %% exercise="decoupled-step"
def decoupled_step(lower, upper, signal, x, labels, optimiser_lower, optimiser_upper):
    """One step of both halves and of the signal between them -> y (B, C)."""
    ### BEGIN SOLUTION
    h, cache = lower.forward(x)
    lower.zero_grads()
    lower.backward(signal.gradient(h, labels), cache)
    optimiser_lower.step(lower)

    y, cache = upper.forward(h)
    upper.zero_grads()
    dh = upper.backward(loss.gradient(y, labels), cache)
    optimiser_upper.step(upper)

    signal.learn(h, dh, labels)
    return y
    ### END SOLUTION


# %% test="decoupled-step-check" points=3
class Recorder:
    """A signal that answers with what it is given, and writes down how it was called."""

    def __init__(self, answer):
        self.answer, self.calls = answer, []

    def gradient(self, h, labels):
        self.calls.append(("gradient", h.copy(), labels.copy()))
        return self.answer

    def learn(self, h, dh, labels):
        self.calls.append(("learn", h.copy(), np.array(dh), labels.copy()))


def check_decoupled_step(seed):
    """Stop with a sentence if two steps differ from those of the library's chain."""
    rng = np.random.default_rng(seed)
    mine, right = two_halves(seed, np.float64), two_halves(seed, np.float64)
    optimisers, old = (SGD(0.1), SGD(0.3)), {}
    for step in range(2):
        x, labels = rng.standard_normal((8, data.features)), rng.integers(0, N_CLASSES, 8)
        signal = Recorder(rng.standard_normal((8, N)) / 8)
        h, cache = right[0].forward(x)
        y, upper_cache = right[1].forward(h)
        for half in right:
            half.zero_grads()
        dh = right[1].backward(loss.gradient(y, labels), upper_cache)
        right[0].backward(signal.answer, cache)
        true_grads = copy.deepcopy(right[0])
        true_grads.zero_grads()
        true_grads.backward(dh, true_grads.forward(x)[1])
        start = [{name: p.copy() for name, p in half.params.items()} for half in right]
        for half, optimiser in zip(right, optimisers, strict=True):
            optimiser.step(half)

        got = decoupled_step(*mine, signal, x, labels, *optimisers)
        called = [call[0] for call in signal.calls]
        assert called == ["gradient", "learn"], f"the signal was called {called}, expected gradient, then learn."
        again, *_ = mine[0].forward(x)
        late = {"the lower half has already moved; h is from before its update": again}
        check_equal("the h that the signal is asked with", signal.calls[0][1], h, late)
        check_equal("the h that the signal learns from", signal.calls[1][1], h, late)
        suspects = {
            "it is the signal's own guess": signal.answer,
            "it is dy, not what the upper half's backward returns": loss.gradient(y, labels),
        }
        check_equal("the dh that the signal learns from", signal.calls[1][2], dh, suspects)
        check_equal("y", got, y, {"the upper half has already moved": mine[1].forward(h)[0]})
        for what, half, expected, first, lr in zip(("lower", "upper"), mine, right, start, (0.1, 0.3), strict=True):
            for name, param in half.params.items():
                mistakes = {"it did not move": first[name]}
                if what == "lower":
                    mistakes["it moved on the true gradient"] = first[name] - lr * true_grads.grads[name]
                if step:
                    mistakes["it still feels the gradient of the step before: zero_grads"] = (
                        expected.params[name] - lr * old[what][name]
                    )
                check_equal(f"{name} of the {what} half after step {step}", param, expected.params[name], mistakes)
        old = {
            what: {name: g.copy() for name, g in half.grads.items()}
            for what, half in zip(("lower", "upper"), right, strict=True)
        }


check_decoupled_step(seed=0)
### BEGIN HIDDEN TESTS
check_decoupled_step(seed=1)
check_decoupled_step(seed=2)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# The first thing to put into the slot is the truth. `Exact` runs the upper half forward and back by itself, and answers
# with the true gradient: the upper half and the loss together are one big loss. Then your step must be backpropagation,
# to the last digit.

# %%
x, labels = data.x_train[:64].astype(np.float64), data.y_train[:64]
lower, upper = two_halves(0, np.float64)
lower_too, upper_too = two_halves(0, np.float64)
chain = Chain.cut(
    Sequential(*lower_too, upper_too), (4,), signal=lambda _: Zero(), loss=loss, optimizer=lambda: SGD(0.1)
)
for _ in range(20):
    decoupled_step(lower, upper, Exact(upper, loss), x, labels, SGD(0.1), SGD(0.1))
    chain.backprop(x, labels)
pairs = zip(Sequential(*lower, upper).params.values(), chain.net.params.values(), strict=True)
difference = max(np.abs(p - q).max() for p, q in pairs)
print(f"20 steps with an exact signal, and 20 of backpropagation: largest difference {difference:.1e}")
assert difference < 1e-12

# %% [markdown]
# Now four trainings, each with three seeds, the same minibatches, the same number of steps and the same optimisers:
#
# - **backpropagation**: the exact signal;
# - **conditional**: your synthesizer, which sees the labels;
# - **unconditional**: your synthesizer without labels;
# - **frozen**: the signal is zero. The lower half stays as it was drawn, and only the readout learns. A result with a
#   synthesizer is worth as much as it is better than this one.
#
# At the end of each epoch we ask on fresh examples for the accuracy, and for the cosine between the message and the
# true gradient.
#
# **Predict, then run.** How will the four be ordered? And how large a cosine does one need: 0.1, 0.5, 0.9?


# %%
EPOCHS, SEEDS, BATCH = 10, (0, 1, 2), 64


def evaluate(lower, upper, signal, x=data.x_test, labels=data.y_test):
    """Accuracy, and the cosine of the message with the true gradient, on examples that were not trained on."""
    h, exact = true_gradient(lower, upper, x, labels)
    y, _ = upper.forward(h)
    cosine = bptt.compare(signal.gradient(h, labels), exact).cosine
    return np.mean(y.argmax(axis=1) == labels), float(cosine)


def train(make_signal, seed):
    """-> (accuracy, cosine) before the first epoch and after each (EPOCHS + 1, 2), and copies of the halves then."""
    lower, upper = two_halves(seed)
    signal, optimisers = make_signal(upper), (Adam(3e-3), Adam(3e-3))
    history, stages = [evaluate(lower, upper, signal)], [copy.deepcopy((lower, upper))]
    for epoch in range(EPOCHS):
        for x, labels in batches(data.x_train, data.y_train, size=BATCH, seed=seed, epoch=epoch):
            decoupled_step(lower, upper, signal, x, labels, *optimisers)
        history.append(evaluate(lower, upper, signal))
        stages.append(copy.deepcopy((lower, upper)))
    return np.array(history), stages


signals = {
    "backpropagation": lambda upper: Exact(upper, loss),
    "conditional": lambda upper: LinearSynthesizer(N, N_CLASSES, lr=0.02),
    "unconditional": lambda upper: LinearSynthesizer(N, 0, lr=0.02),
    "frozen": lambda upper: Zero(),
}
started_at, trained = time.perf_counter(), {}
for name, make_signal in signals.items():
    trained[name] = [train(make_signal, seed) for seed in SEEDS]
print(f"{len(SEEDS) * len(signals)} trainings took {time.perf_counter() - started_at:.1f} seconds\n")

final = {name: np.array([history[-1] for history, _ in runs]) for name, runs in trained.items()}
print(
    f"{'on ' + format(len(data.y_test), ',') + ' test examples':<24}{'accuracy':>10}{'lowest':>9}{'highest':>9}", end=""
)
print(f"{'cosine at the end':>20}")
for name, results in final.items():
    accuracy, cosine = results.T
    shown = f"{cosine.mean():20.2f}" if name != "frozen" else f"{'-':>20}"
    print(f"{name:<24}{accuracy.mean():10.1%}{accuracy.min():9.1%}{accuracy.max():9.1%}{shown}")
assert final["conditional"][:, 0].min() > final["frozen"][:, 0].max() + 0.15
assert final["unconditional"][:, 0].max() < final["conditional"][:, 0].min() - 0.15
assert np.mean(final["unconditional"][:, 0]) - np.mean(final["frozen"][:, 0]) < 0.06
assert np.mean(final["backpropagation"][:, 0]) - np.mean(final["conditional"][:, 0]) < 0.08

# %%
epochs = np.arange(EPOCHS + 1)
histories = {name: np.array([history for history, _ in runs]) for name, runs in trained.items()}
show_lines(
    {
        "test accuracy (%)": {name: (epochs, 100 * history[..., 0]) for name, history in histories.items()},
        "cosine with the true gradient": {
            name: (epochs[1:], history[:, 1:, 1]) for name, history in histories.items() if name[-4:] == "onal"
        },
    },
    "epoch",
)

# %% [markdown]
# With labels, a linear guess takes the lower half about as far as backpropagation does, in the same number of steps.
# (It starts more slowly, while it learns to guess. Which of the two is ahead at the end is a matter of a seed, and of
# when one stops; neither has come to rest.) A cosine of about 0.9 is good enough. Without labels it is about 0.1, and
# the lower half gets nowhere: the accuracy is hardly above that of one that was never trained. Had we not run the
# control, we would now believe that all three learn.
#
# ## 5. Why labels help
#
# Is the unconditional synthesizer slow to learn, or is there nothing to be learned? Take away the learning. On 6,000
# examples we solve for the *best* $M$ there is, by least squares, once without labels and once with them, and try it on
# the others. As a third form, the one that an upper half with a softmax has by itself.
#
# The network is the one that backpropagation has trained for 0, 1, 4 and 10 epochs, with the first seed.
#
# **Predict, then run.** Which of the three get better while the network learns, and which worse?


# %%
def best_guess(lower, upper, n_labels):
    """Cosine, on fresh examples, of the best linear guess that the training examples give."""
    synthesizer = LinearSynthesizer(N, n_labels, lr=0)
    (h, exact), (h_new, exact_new) = (
        true_gradient(lower, upper, x, labels)
        for x, labels in ((data.x_train, data.y_train), (data.x_test, data.y_test))
    )
    seen = synthesizer.beside(h, data.y_train).astype(np.float64)
    synthesizer.M[...] = np.linalg.lstsq(seen.T @ seen, seen.T @ (len(h) * exact), rcond=1e-10)[0]
    return float(bptt.compare(synthesizer.predict(h_new, data.y_test), exact_new).cosine)


def of_softmax_form(lower, upper):
    """Cosine of (softmax(h W + b) - onehot) W^T, with the W and b of the upper half."""
    h, exact = true_gradient(lower, upper, data.x_test, data.y_test)
    e = np.exp(h @ upper.params.W + upper.params.b)
    p = e / e.sum(axis=1, keepdims=True)
    return float(bptt.compare((p - np.eye(N_CLASSES)[data.y_test]) @ upper.params.W.T / len(h), exact).cosine)


print(f"{'cosine on fresh examples':<26}{'best without labels':>21}{'best with labels':>18}{'softmax form':>14}")
best = {}
for epoch in (0, 1, 4, EPOCHS):
    halves = trained["backpropagation"][0][1][epoch]
    best[epoch] = best_guess(*halves, 0), best_guess(*halves, N_CLASSES), of_softmax_form(*halves)
    without, with_labels, softmax = best[epoch]
    print(f"{f'after {epoch} epochs':<26}{without:21.2f}{with_labels:18.2f}{softmax:14.6f}")
assert best[EPOCHS][0] < 0.35 and 0.6 < best[EPOCHS][1] < best[0][1]
assert best[EPOCHS][2] > 0.9999

# %% [markdown]
# Once the readout has learned a little, next to nothing is left to be guessed without labels (a cosine of 0.2 is 4 % of
# the squared length), and the reason is in the formula of the gradient. Below a linear readout with a softmax,
#
# $$B\,dh = (p - \text{onehot}) \, W^\top$$
#
# Who sees $h$ alone can at best expect the mean of it over all examples that have this $h$. The mean of the one-hot
# rows is the true probability of each label, and what is left is $(p - P(\text{label} \mid h))\,W^\top$. That is zero
# as soon as the readout has learned to give the right probabilities, whatever the lower half is like. *What h does not
# tell, one cannot expect; and what it tells, the readout already knows.* All the gradient that could improve the lower
# half is in the surprise, and for that one must see the label.
#
# With the label, it is a matter of form. A linear map cannot follow the softmax, so the second column is not 1, and
# falls as the network learns. The third form is exact, as it *is* the upper half.
#
# Behind a squared error the gradient is linear in $h$ and in the label, and the linear form is exact, too. Here the
# readout $[\,h \,|\, 1\,]\,W$ is the best that there is for this $h$, so it knows all that $h$ tells in a linear way.
#
# **Predict, then run.** What is left for a synthesizer without labels?

# %%
lower, _ = two_halves(0, np.float64)
h, labels = lower.forward(data.x_train[:1000].astype(np.float64))[0], data.y_train[:1000]
onehot = np.eye(N_CLASSES)[labels]
h_one = LinearSynthesizer(N, 0, lr=0, dtype=np.float64).beside(h, labels)
W = np.linalg.lstsq(h_one, onehot, rcond=None)[0]
dh = 2 * (h_one @ W - onehot) @ W[:-1].T / len(h)  # of the mean over the rows of |[h | 1] W - onehot|^2
left_over = {}
for n_labels, what in ((0, "without labels"), (N_CLASSES, "with labels")):
    seen = LinearSynthesizer(N, n_labels, lr=0, dtype=np.float64).beside(h, labels)
    off = seen @ np.linalg.lstsq(seen, dh, rcond=1e-12)[0] - dh
    left_over[what] = np.linalg.norm(off) / np.linalg.norm(dh)
    print(f"behind a squared error, the best linear guess {what:>14}: relative error {left_over[what]:.1e}")
assert left_over["without labels"] > 0.999 and left_over["with labels"] < 1e-8

# %% [markdown]
# So a synthesizer takes the place of what is above it, and it can be exact if it has the form of that. A single linear
# map is the least one can do for a deep network. (Synthesizers without labels are not hopeless everywhere. Where the
# activation tells the class, and the readout does not know it yet, there is something to guess. The experiment
# `python -m minidni experiment mnist-depth` compares both on real handwriting.)
#
# ## 6. Two numbers and their sum
#
# *This section and the next are for a second sitting, 20 minutes.*
#
# The best-known introduction is an article by Andrew Trask (2017), which builds synthetic gradients in NumPy for a
# network that adds two binary numbers. Many have learned from it. We follow it here: two numbers of 8 bits go in,
# the 8 bits of their sum come out, through three layers with sigmoids. (The numbers are below 128, so that the sum
# fits.) We give it 1000 pairs to learn from, and ask for others.


# %%
def bits(numbers):
    """Whole numbers (n,) -> their 8 bits (n, 8), the highest first."""
    return ((numbers[:, None] >> np.arange(8)[::-1]) & 1).astype(float)


pairs = np.random.default_rng(0).permutation(128 * 128)
left, right_number = pairs // 128, pairs % 128
x_sum, y_sum = np.concatenate([bits(left), bits(right_number)], axis=1), bits(left + right_number)
x_pairs, y_pairs, x_fresh, y_fresh = x_sum[:1000], y_sum[:1000], x_sum[1000:5000], y_sum[1000:5000]
for row in range(2):
    print(f"{left[row]:4d} + {right_number[row]:3d} = {left[row] + right_number[row]:3d}", end="   ")
    print(f"x {x_sum[row].astype(int)}   y {y_sum[row].astype(int)}")


# %% [markdown]
# A layer runs forward, and updates on whatever stands for the gradient by its output. As in the article, gradients are
# *sums* over the minibatch of 10, so there are no units to take care of as long as its size stays.


# %%
def with_one(*arrays):
    """Arrays (B, ...) side by side, and a column of ones for the bias."""
    return np.concatenate([*arrays, np.ones((len(arrays[0]), 1))], axis=1)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class SigmoidLayer:
    """h = sigmoid([x | 1] W)."""

    def __init__(self, n_in, n_out, rng, n_context=0):
        self.W = rng.standard_normal((n_in + 1, n_out))
        self.M = np.zeros((n_out + n_context + 1, n_out))

    def forward(self, x):
        self.x = with_one(x)
        self.h = sigmoid(self.x @ self.W)
        return self.h

    def update(self, dh, lr):
        """A step of gradient descent from dh -> dx."""
        dz = dh * self.h * (1 - self.h)
        dx = dz @ self.W[:-1].T
        self.W -= lr * self.x.T @ dz
        return dx


# %% [markdown]
# And this is the part with the synthetic gradient, with the two updates as the article prints them in the text. (The
# names are ours.) `update` moves the layer on the guess; `learn` moves the guess towards what arrives later.


# %%
class AsPrinted(SigmoidLayer):
    """A layer with a guess of the gradient by its own output."""

    def predict(self, *context):
        self.seen = with_one(self.h, *context)
        self.guess = self.seen @ self.M
        return self.guess

    def update(self, dh, lr):
        dz = dh * self.h * (1 - self.h)
        dx = dz @ self.W[:-1].T
        self.W += lr * self.x.T @ dz
        return dx

    def learn(self, dh, lr):
        self.M += lr * self.seen.T @ (self.guess - dh)


def adding_network(kind, seed, conditional=False):
    """The first two layers with a guess, the last one without: it has the data."""
    rng, n_context = np.random.default_rng(seed), 8 if conditional else 0
    return kind(16, 64, rng, n_context), kind(64, 32, rng, n_context), SigmoidLayer(32, 8, rng)


def adding_step(layers, x, y, lr, lr_guess, conditional=False):
    first, second, last = layers
    context = (y,) if conditional else ()
    h1 = first.forward(x)
    first.update(first.predict(*context), lr)
    h2 = second.forward(h1)
    dh1 = second.update(second.predict(*context), lr)
    first.learn(dh1, lr_guess)
    dh2 = last.update(last.forward(h2) - y, lr)  # dL/dh at the top, of half the squared error
    second.learn(dh2, lr_guess)


def first_bad_step(kind, lr, lr_guess, steps=1500, seed=0):
    """The number of the step after which a weight is no longer a finite number; None if that does not happen."""
    layers, rng = adding_network(kind, seed), np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        for step in range(steps):
            rows = rng.integers(0, len(x_pairs), 10)
            adding_step(layers, x_pairs[rows], y_pairs[rows], lr, lr_guess)
            if not all(np.isfinite(layer.W).all() and np.isfinite(layer.M).all() for layer in layers):
                return step
    return None


# %% [markdown]
# Both updates have a plus. Each should have a minus: `update` goes uphill on the guess, and `learn` moves the guess
# away from its target. It is the kind of slip that everybody makes when a difference can be written in two orders, and
# a copy of the program can be found with either sign. But are two wrong signs not as good as none?
#
# **Predict, then run.** Rates of 0.01, both signs as printed; then one of them repaired, then both. Which of the four
# end in numbers that are not finite?


# %%
def with_signs(of_update, of_learn):
    class Signed(AsPrinted):
        def update(self, dh, lr):
            return super().update(dh, of_update * lr)

        def learn(self, dh, lr):
            super().learn(dh, of_learn * lr)

    return Signed


endings = {}
for of_update, of_learn in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
    step = first_bad_step(with_signs(of_update, of_learn), lr=0.01, lr_guess=0.01)
    ending = "finite after 1500 steps" if step is None else f"not finite after step {step}"
    print(f"update {'+' if of_update > 0 else '-'}   learn {'+' if of_learn > 0 else '-'}   {ending}")
    endings[of_update, of_learn] = step
assert endings[1, 1] is not None and endings[-1, 1] is not None
assert endings[1, -1] is None and endings[-1, -1] is None

# %% [markdown]
# The sign in `learn` decides. Write $E = OM - dh$ for what the guess is off by. With the plus, a step on the same
# minibatch makes
#
# $$E \;\longrightarrow\; E + \text{lr}\; O O^\top E$$
#
# of it, so it grows by a factor in every step, and nothing that happens elsewhere can bring it back. The sign in
# `update` is a matter of direction only; it is wrong without a bang. That makes it the worse of the two.
#
# ### Exercise 4: both signs
#
# Write the two methods as they should be. (`update` is that of `SigmoidLayer`. To write it out is as good as to call
# it.)


# %% exercise="both-signs"
class Repaired(AsPrinted):
    """A layer with a guess of the gradient by its own output, with both updates downhill."""

    def update(self, dh, lr):
        """A step of gradient descent from dh (B, N) -> dx."""
        ### BEGIN SOLUTION
        return SigmoidLayer.update(self, dh, lr)
        ### END SOLUTION

    def learn(self, dh, lr):
        """A step of gradient descent of the guess, towards the dh (B, N) that has arrived."""
        ### BEGIN SOLUTION
        self.M -= lr * self.seen.T @ (self.guess - dh)
        ### END SOLUTION


# %% test="both-signs-check" points=2
def check_repaired(seed):
    """Stop with a sentence if a step does not go downhill by as much as it should."""
    rng = np.random.default_rng(seed)
    layer, plain = Repaired(4, 3, rng), SigmoidLayer(4, 3, rng)
    plain.W[...] = layer.W
    x, dh, lr = rng.standard_normal((5, 4)), rng.standard_normal((5, 3)), 0.1
    layer.forward(x)
    plain.forward(x)
    W = layer.W.copy()
    layer.M[...] = rng.standard_normal(layer.M.shape)
    M, guess = layer.M.copy(), layer.predict().copy()
    dx, dx_right = layer.update(guess, lr), plain.update(guess, lr)
    uphill = {"it goes uphill: the sign": 2 * W - plain.W, "it did not move": W}
    check_equal("W after update", layer.W, plain.W, uphill)
    check_equal("dx", dx, dx_right)
    layer.learn(dh, lr)
    move = lr * layer.seen.T @ (guess - dh)
    away = {"it goes away from its target: the sign": M + move, "it did not move": M}
    check_equal("M after learn", layer.M, M - move, away)


check_repaired(seed=0)
### BEGIN HIDDEN TESTS
check_repaired(seed=1)
### END HIDDEN TESTS
print("Exercise 4: right.")

# %% [markdown]
# A rate of 0.1 suits the layers of this network, as you will see, and one would like to have one rate for everything.
#
# **Predict, then run.** Both signs are right now. Is that enough?

# %%
for rate in (0.1, 0.03, 0.01, 0.003):
    step = first_bad_step(Repaired, lr=0.1, lr_guess=rate)
    print(f"rate of the guess {rate:5.3f}: " + ("finite" if step is None else f"not finite after step {step}"))
assert first_bad_step(Repaired, lr=0.1, lr_guess=0.1, steps=1500) is not None
assert first_bad_step(Repaired, lr=0.1, lr_guess=0.003, steps=1500) is None

# %% [markdown]
# ## 7. The cliff
#
# Somewhere between these rates there is a limit. What decides where it is? Take it out of the network, and make an
# experiment of it: one fixed minibatch, so that $O$ and the target do not change, a guess that starts at $M = 0$, and
# `learn` again and again. If the rate is small enough, the error can only fall.

# %%
layers = adding_network(Repaired, seed=0)
layers[1].forward(layers[0].forward(x_pairs[:10]))
layers[0].predict()
seen_ten, target_ten = layers[0].seen, np.random.default_rng(0).standard_normal((10, 64))


def error_after(seen, target, lr, steps=300):
    """The relative error |O M - target| / |target| after `steps` steps from M = 0. (Before them it is 1.)"""
    M = np.zeros((seen.shape[1], target.shape[1]))
    with np.errstate(all="ignore"):
        for _ in range(steps):
            M -= lr * seen.T @ (seen @ M - target)
        return np.linalg.norm(seen @ M - target) / np.linalg.norm(target)


rates = 10.0 ** np.linspace(-3.4, -1.6, 37)
after = {}
for steps in (30, 300):
    after[f"{steps} steps"] = rates, [min(error_after(seen_ten, target_ten, lr, steps), 1e3) for lr in rates]
show_lines({"error after (cut off at 1000)": after}, "learning rate", log="xy")

# %% [markdown]
# Faster and faster with a growing rate, and then a cliff, the steeper the more steps one takes.
#
# ### Exercise 5: where is the cliff?
#
# Write `find_limit`: the largest rate at which `error_after` does not exceed 1, to within a hundredth of itself. How
# you search is up to you. A safe way is to halve in the logarithm: keep a rate `low` that works and a rate `high` that
# does not, try $\sqrt{\text{low} \cdot \text{high}}$ between them, and let it replace one of the two, until they are
# close. Between 1e-6 and 10 there is one in any case. (An error that is not a number is not at most 1 either.)


# %% exercise="find-limit"
def find_limit(seen, target):
    """seen (B, K), target (B, N) -> the largest learning rate with which the guess does not explode."""
    low, high = 1e-6, 10.0
    ### BEGIN SOLUTION
    while high / low > 1.005:
        middle = np.sqrt(low * high)
        if error_after(seen, target, middle) <= 1:
            low = middle
        else:
            high = middle
    return low
    ### END SOLUTION


# %% test="find-limit-check" points=3
def check_find_limit(B, K, scale, seed):
    """Stop with a sentence if the limit is not where the error begins to grow."""
    rng = np.random.default_rng(seed)
    seen, target = scale * rng.uniform(0, 1, (B, K)), rng.standard_normal((B, 3))
    limit = find_limit(seen, target)
    assert limit is not None, "find_limit returns None: is there a return?"
    assert np.ndim(limit) == 0 and 1e-6 <= limit <= 10, f"the limit is {limit!r}, expected a number from 1e-6 to 10."
    below, above = error_after(seen, target, 0.97 * limit), error_after(seen, target, 1.03 * limit)
    assert below <= 1, f"the error exceeds 1 already at 0.97 times your limit {limit:.5g}: it is {below:.3g}."
    assert not above <= 1, f"the error is still {above:.3g} at 1.03 times your limit {limit:.5g}: go higher."


check_find_limit(B=10, K=20, scale=1.0, seed=0)
check_find_limit(B=30, K=8, scale=0.2, seed=1)
### BEGIN HIDDEN TESTS
check_find_limit(B=4, K=5, scale=3.0, seed=2)
### END HIDDEN TESTS
print("Exercise 5: right.")

# %% [markdown]
# Now vary what stands in $O$: the size of the minibatch, the layer, and the start of the network. Beside each limit
# stand some numbers that might decide on it, each *times the limit*: the size of the minibatch, the number of columns
# of $O$, the sum of all its squares, and the largest eigenvalue $\lambda_{\max}$ of $O^\top O$.
#
# **Predict, then run.** One of the columns will be constant. Which?

# %%
print(f"{'':<26}{'limit':>10}   times: {'B':>8}{'columns':>10}{'squares':>10}{'lambda_max':>12}")
found = []
for B in (3, 10, 40):
    for place, name in enumerate(("first layer", "second layer")):
        for seed in (0, 1):
            layers = adding_network(Repaired, seed)
            layers[1].forward(layers[0].forward(x_pairs[:B]))
            layers[place].predict()
            seen = layers[place].seen
            limit = find_limit(seen, np.random.default_rng(seed).standard_normal((B, 4)))
            largest = np.linalg.eigvalsh(seen.T @ seen)[-1]
            found.append((largest, limit))
            factors = (B, seen.shape[1], np.sum(seen**2), largest)
            shown = "".join(
                f"{limit * factor:{width}.3f}" for factor, width in zip(factors, (8, 10, 10, 12), strict=True)
            )
            print(f"B {B:2d}, {name:<12}, seed {seed} {limit:10.5f}          {shown}")
products = [largest * limit for largest, limit in found]
assert min(products) > 1.95 and max(products) < 2.05

# %%
eigenvalues, limits = np.array(sorted(found)).T
show_lines(
    {
        "limit of the learning rate": {
            "found by search": (eigenvalues, limits),
            "2 / lambda_max": (eigenvalues, 2 / eigenvalues),
        }
    },
    "largest eigenvalue of O.T @ O",
    log="xy",
)

# %% [markdown]
# **Play.** The minibatch from above, and the rate as a multiple of its limit. Move the slider over 1.

# %%
limit_of_ten = 2 / np.linalg.eigvalsh(seen_ten.T @ seen_ten)[-1]
after_steps = np.arange(0, 61, 3)


def at_rate(times):
    """The error by the number of steps, at so many times the limit."""
    lr = times * limit_of_ten
    errors = [min(error_after(seen_ten, target_ten, lr, steps), 1e3) for steps in after_steps]
    panel = {"error (cut off at 1000)": {f"lr = {lr:.4f}": (after_steps, errors)}}
    return show_lines(panel, "steps", levels={"M = 0": 1.0}, log="y")


slide("learning rate / limit", (0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 1.01, 1.05, 1.2), at_rate)

# %% [markdown]
# You have found the law:
#
# $$\text{lr} \cdot \lambda_{\max}(O^\top O) < 2$$
#
# And now it is quickly derived. With the minus, what the guess is off by becomes in a step
#
# $$E \;\longrightarrow\; (I - \text{lr}\; O O^\top)\,E$$
#
# Along the eigenvector with eigenvalue $\lambda$, that is the factor $1 - \text{lr}\,\lambda$. It shrinks as long as
# this is above $-1$. ($O O^\top$ and $O^\top O$ have the same eigenvalues apart from zeros.) In our units, with the
# mean over the rows, it is $O^\top O / B$ instead, and the limit does not depend on the size of the minibatch; only on
# what the activations are like.
#
# What makes $\lambda_{\max}$ large? Take the last $O$, and from each column its mean:

# %%
centred = seen - seen.mean(axis=0)
without = np.linalg.eigvalsh(centred.T @ centred)[-1]
largest = np.linalg.eigvalsh(seen.T @ seen)[-1]
print(f"lambda_max {largest:.1f}, and {without:.1f} with the means taken off")
assert without < 0.3 * largest

# %% [markdown]
# Sigmoids are all positive, so all rows of $O$ point into about the same direction, and along that $\lambda_{\max}$ is
# large. That is why a rate of 0.1, which suits the layers, cannot suit the guess. (In a training, $O$ changes from step
# to step. The law holds for a fixed minibatch, and is a good guide for the others.)
#
# Back to the sums, with a safe rate for the guess. Beside it stand the same controls as before.
#
# **Predict, then run.** Backpropagation, with labels, without labels, frozen: who learns to add?


# %%
def train_to_add(mode, seed, steps=8000, lr=0.1, lr_guess=0.003):
    """-> share of the bits that are right in the sums of fresh pairs, eight times during training; of whole sums."""
    conditional = mode == "conditional"
    layers, rng = adding_network(Repaired, seed, conditional), np.random.default_rng(seed)
    first, second, last = layers
    history = []
    for step in range(steps):
        rows = rng.integers(0, len(x_pairs), 10)
        x, y = x_pairs[rows], y_pairs[rows]
        if mode in ("conditional", "unconditional"):
            adding_step(layers, x, y, lr, lr_guess, conditional)
        else:
            dh = last.update(last.forward(second.forward(first.forward(x))) - y, lr)
            if mode == "backpropagation":
                first.update(second.update(dh, lr), lr)
        if (step + 1) % (steps // 8) == 0:
            right = (last.forward(second.forward(first.forward(x_fresh))) > 0.5) == y_fresh
            history.append((right.mean(), right.all(axis=1).mean()))
    return np.array(history)


started_at, sums = time.perf_counter(), {}
for mode in signals:
    sums[mode] = np.array([train_to_add(mode, seed) for seed in (0, 1)])
print(f"{2 * len(sums)} trainings took {time.perf_counter() - started_at:.1f} seconds\n")
print(f"{'on fresh pairs, two seeds':<28}{'bits right':>14}{'':>9}{'whole sums right':>18}")
for mode, history in sums.items():
    bits_right, all_right = history[:, -1].T
    print(f"{mode:<28}{bits_right[0]:14.1%}{bits_right[1]:9.1%}{all_right[0]:18.1%}{all_right[1]:9.1%}")
frequent = np.maximum(y_fresh.mean(axis=0), 1 - y_fresh.mean(axis=0)).mean()
print(f"\nThe more frequent value of each bit, whatever the pair: {frequent:.1%} of the bits")
assert sums["conditional"][:, -1, 0].min() > 0.85
assert sums["unconditional"][:, -1, 0].max() < 0.7 and sums["frozen"][:, -1, 0].max() < 0.7

# %%
counts = 1000 * np.arange(1, 9)
show_lines({"bits right on fresh pairs (%)": {mode: (counts, 100 * h[..., 0]) for mode, h in sums.items()}}, "step")

# %% [markdown] answer="falling-error" points=2
# **A question to answer in words.** Somebody trains the unconditional network on 100 pairs, for a long time, and sees
# the *training* error fall and fall. "It learns to add, without backpropagation." Which two numbers of this lesson
# would you ask for before you believe it, and why could the training error fall even though the two lower layers learn
# nothing that is of use?
#
# ### BEGIN SOLUTION
# The share of right bits on pairs that were not trained on, and the same share for a network with its lower layers
# frozen. The last layer has the data and an exact gradient. It sees 32 numbers that are some function of the
# pair, random or not, and with few pairs it can fit much of their sums to them, as a table would, without any rule of
# addition. So the training error falls with frozen lower layers, too. Only what lies above that control, on fresh
# pairs, can be owed to the synthetic gradients, and here that is nothing worth mentioning, unless the synthesizer sees
# the labels.
# ### END SOLUTION

# %% [markdown]
# ### A limit that moves
#
# One more thing follows from the law. A rate that is safe today need not be so tomorrow: the layers below learn, their
# activations grow, and with them $\lambda_{\max}$.
#
# **Predict, then run.** Back to MNIST-1D, your conditional synthesizer with the rates 0.02 and 0.05. At the start, the
# limit is above both of them.

# %%
limits, accuracies = {}, {}
for lr in (0.02, 0.05):
    lower, upper = two_halves(seed=0)
    signal, optimisers = LinearSynthesizer(N, N_CLASSES, lr), (Adam(3e-3), Adam(3e-3))
    name = f"rate {lr}"
    limits[name], accuracies[name] = [], []
    with np.errstate(all="ignore"):
        try:
            for epoch in range(8):
                accuracies[name].append(100 * evaluate(lower, upper, signal)[0])
                seen = signal.beside(lower.forward(data.x_test)[0], data.y_test).astype(np.float64)
                limits[name].append(2 / np.linalg.eigvalsh(seen.T @ seen / len(seen))[-1])
                for x, labels in batches(data.x_train, data.y_train, size=BATCH, seed=0, epoch=epoch):
                    decoupled_step(lower, upper, signal, x, labels, *optimisers)
        except FloatingPointError as error:  # the loss refuses to go on with NaN
            print(f"rate {lr}, epoch {epoch}: {error}")
    print(f"rate {lr}: the limit is {limits[name][0]:.3f} at the start, and then at least {min(limits[name]):.3f}")
    print(f"           accuracy {max(accuracies[name]):.1f} % at best, {accuracies[name][-1]:.1f} % at the end")
assert min(limits["rate 0.02"]) > 0.02 and limits["rate 0.05"][0] > 0.05
assert accuracies["rate 0.05"][-1] < accuracies["rate 0.02"][-1] - 10
moving = {f"trained with the {name}": (np.arange(len(y)), y) for name, y in limits.items()}
show_lines({"limit of the synthesizer's rate": moving}, "epoch", levels={"rate 0.02": 0.02, "rate 0.05": 0.05})

# %% [markdown]
# So take a rate with room to spare; or normalise what the synthesizer sees, which keeps $\lambda_{\max}$ where it is;
# or give it an optimiser that measures its steps by the gradients, such as Adam.
#
# ## 8. What was it good for?
#
# Count. The multiplications of a step, for one example: a linear layer of $n$ by $m$ takes $nm$ to run forward, $nm$
# for `dW` and $nm$ for `dx`. A linear synthesizer takes its $N (N + C)$ three times: to predict, to predict again in
# `fit`, and for `dM`.
#
# And count what the lower half has to *wait* for, between the end of its forward pass and its update: all of the upper
# half, forward and back, or a prediction.
#
# **Predict, then run.** For which networks is a decoupled step less work than one of backpropagation? For which does
# the lower half wait less?


# %%
def count(n_above, n=N, n_lower=2):
    """Multiplications for one example, with n_above linear layers of n by n between the boundary and the readout."""
    lower, upper = n_lower * n * n, n_above * n * n + n * N_CLASSES
    guess = n * (n + N_CLASSES)
    work = {"backpropagation": 3 * (lower + upper), "decoupled": 3 * (lower + upper) + 3 * guess}
    waits = {"backpropagation": 2 * upper, "decoupled": guess}
    return work, waits


print(f"{'':<28}{'work of a step':^26}{'the lower half waits for':^28}{'saved of the wait':>19}")
print(f"{'layers above, width':<28}{'backprop':>13}{'decoupled':>13}{'backprop':>14}{'decoupled':>14}")
for n_above, n in ((0, 32), (1, 32), (4, 32), (16, 32), (1, 1024), (4, 1024), (16, 1024)):
    work, waits = count(n_above, n)
    numbers = (work["backpropagation"], work["decoupled"], waits["backpropagation"], waits["decoupled"])
    saved = 1 - waits["decoupled"] / waits["backpropagation"]
    print(f"{n_above:10d}, {n:<16d}{numbers[0]:13,}{numbers[1]:13,}{numbers[2]:14,}{numbers[3]:14,}{saved:19.0%}")
    assert work["decoupled"] > work["backpropagation"]

# %% [markdown]
# (For `dh`, which is what the lower half waits for, the upper half multiplies twice: forward, and for `dx`.) And in
# time, on this machine, with our network, whose upper half is a single small layer:

# %%
x, labels = data.x_train[:BATCH], data.y_train[:BATCH]
for name in ("backpropagation", "conditional"):
    lower, upper = two_halves(0)
    signal, optimisers = signals["conditional"](upper) if name == "conditional" else None, (Adam(3e-3), Adam(3e-3))
    net, times = Sequential(*lower, upper), []
    for _ in range(100):
        started_at = time.perf_counter()
        if signal:
            decoupled_step(lower, upper, signal, x, labels, *optimisers)
        else:
            net.zero_grads()
            y, cache = net.forward(x)
            net.backward(loss.gradient(y, labels), cache)
            optimisers[0].step(net)
        times.append(time.perf_counter() - started_at)
    print(f"a step, {name:<16} {1e6 * np.median(times):6.0f} µs")

# %% [markdown]
# On one device a decoupled step is always *more* work: all that backpropagation does, and the synthesizer on top of it.
# Nothing can get faster that way, and nothing did. Who tried it at home and was disappointed has measured correctly.
#
# What changes is the waiting. With many layers above, backpropagation makes the lower half wait for all of them, and
# the synthesizer for one linear map, no matter how many there are. (With a single small layer above, as here, there is
# not even that to be had.) This is worth something in two places:
#
# - **between machines**: where the upper half lives on another device, the lower one can go on with the next minibatch
#   while the answer is on its way;
# - **in time**: at the end of a window of a recurrent network, where the gradient would come from steps that have not
#   happened yet. There waiting is not slow but impossible, and a guess is all that one can have.
#
# And it has its price: a guess where there was the truth, labels that must be at hand at the boundary, a learning rate
# more to get wrong, and the duty to run a frozen control.
#
# ## 9. The same as the library's
#
# The library's `Synthesizer` takes any network, for sequences and images too, and any optimiser. Find your lines in it:

# %%
print(inspect.getsource(Synthesizer.fit))
print(inspect.getsource(Synthesizer._descend))

# %% [markdown]
# The same weights and minibatches through your step with your synthesizer, and through the library's chain of two
# segments:

# %%
lower, upper = two_halves(7, np.float64)
mine = LinearSynthesizer(N, N_CLASSES, lr=0.02, dtype=np.float64)
optimisers = Adam(3e-3), Adam(3e-3)
lower_too, upper_too = two_halves(7, np.float64)
chain = Chain.cut(
    Sequential(*lower_too, upper_too),
    at=(4,),
    signal=lambda _: Synthesizer(Linear(N + N_CLASSES, N, dtype=np.float64), SGD(0.02)),
    loss=loss,
    optimizer=lambda: Adam(3e-3),
)
print(chain, end="\n\n")
for x, labels in batches(data.x_train.astype(np.float64), data.y_train, size=BATCH, seed=7):
    y = decoupled_step(lower, upper, mine, x, labels, *optimisers)
    step = chain.decoupled(x, labels)


def same(what, got, expected):
    check_equal(what, got, expected, tolerance=1e-8)
    print(f"{what:<36} largest difference {np.abs(np.asarray(got) - expected).max():.1e}")


print(step, end="\n\n")
same("output of the epoch's last step", y, step.h)
for name, param in Sequential(*lower, upper).params.items():
    same(f"{name} after an epoch", param, Sequential(*lower_too, upper_too).params[name])
library = chain[0].signal.net.params
same("M after an epoch", mine.M, np.vstack([library.W, library.b]))

# %% [markdown]
# ## What to remember
#
# - A boundary: `h` flows forward, `dh` flows back. Whatever answers `gradient(h, labels)` can stand there: a loss
#   exactly, a synthesizer by prediction.
# - The guess is made in units of one example, and divided by $B$ when it is used.
# - It starts at zero, weight *and* bias: a fresh synthesizer changes nothing.
# - Without labels it can only know what the readout knows already. With them, it has to have the right form.
# - Any result is to be read against the frozen control.
# - A linear synthesizer explodes when $\text{lr} \cdot \lambda_{\max}(O^\top O)$ exceeds 2 (with means over the rows,
#   $O^\top O / B$), and $\lambda_{\max}$ moves during training. A wrong sign in its update explodes always; one in the
#   layer's update is silent.
# - Nothing gets faster on one device. What is gained is not having to wait.
#
# ## Where the formulas come from
#
# - Synthetic gradients: M. Jaderberg and others, *Decoupled neural interfaces using synthetic gradients*, ICML 2017,
#   arXiv 1608.05343.
# - What a synthesizer can represent, and the form for log losses: W. M. Czarnecki and others, *Understanding synthetic
#   gradients and decoupled neural interfaces*, ICML 2017, arXiv 1703.00522.
# - Binary addition: A. Trask, *Deep learning without backpropagation*, iamtrask.github.io, 21 March 2017.
# - The limit of the learning rate is that of gradient descent on a quadratic; for linear networks: Y. LeCun, I. Kanter
#   and S. Solla, *Eigenvalues of covariance matrices*, Physical Review Letters 66 (1991).
# - MNIST-1D: S. Greydanus and D. Kobak, *Scaling down deep learning with MNIST-1D*, ICML 2024, arXiv 2011.14439.
