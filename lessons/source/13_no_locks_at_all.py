# %% [markdown]
# # No locks at all
#
# - **Minutes:** 45
# - **Needs:** the lessons *Locking* and *A worker for each segment*: the three locks, and a worker's program; the
#   lesson *Synthetic gradients*: why a result is read against a frozen control
# - **Learn:** write a synthesizer of inputs and a step in which no segment waits for another, measure how well an input
#   can be foretold, tell what an unlocked network has learned from what it seems to have learned, and see what happens
#   to each kind of worker when messages are late or lost
# - **Data:** MNIST-1D, made by the package: ten digits as curves of 40 points
#
# A decoupled segment does not wait for its gradient any more, but it still waits for its input. That can be guessed,
# too. Then nothing waits for anything: every segment lives by itself, on data and labels, and hears from its neighbours
# whenever they have something to say. The authors of synthetic gradients did that as well, and it learns. Is it worth
# it? Here are the step, the price, and what one gets for it.
#
# There are three exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.

# %%
import inspect
import time
from functools import partial
from itertools import pairwise

import numpy as np

from minidni import SGD, Adam, Chain, Linear, ReLU, Sequential, SoftmaxCrossEntropy, Synthesizer
from minidni.data import Minibatches, mnist1d
from minidni.dni import Zero, networks
from minidni.gradcheck import check_equal
from minidni.locking import Fault, WorkerFailed, programs, schedules, train
from minidni.locking.costs import Stage, measure
from minidni.locking.messages import Done, Receive
from minidni.locking.simulate import Link
from minidni.locking.worker import Worker
from minidni.nn.schedules import cosine_decay
from minidni.plots import show_curves, show_dots, show_timelines

# %% [markdown]
# ## 1. The lock that is left
#
# In a decoupled chain a worker waits for its input. What does that cost? On paper first: four segments with a worker
# each, forward 1 unit of time, backward 2, a synthesizer predicts in 0.2 and learns in 0.4. Unlocked, each segment but
# the first has two synthesizers: one foretells its input, one its gradient.
#
# **Predict, with pencil and paper.** Draw three minibatches, decoupled and without any lock. How much sooner does the
# unlocked chain begin? How much faster is it in the long run?

# %%
stages = [Stage(forward=1.0, backward=2.0, predict=0.2, fit=0.4)] * 3 + [Stage(forward=1.0, backward=2.0)]
show_timelines(
    schedules.locked(stages, 2),
    schedules.decoupled(stages, 4),
    schedules.decoupled(stages, 4, unlocked=True),
    unit="units",
)

# %% [markdown]
# Unlocked, all begin at once, and that is what there is to see. After the start, a decoupled worker finds its input
# there when it wants it (but for the last one, which has less to do than the others). And unlocked there is more to do.
#
# **Predict, then run.** Now messages take time: 0, 1, 5, 20 units from worker to worker. How many units lie between two
# minibatches in the long run? When does worker 3 begin? And how long do 40 minibatches take?

# %%
table = {}
print(f"{'':<12}{'a message takes':>17}{'units a minibatch':>19}{'worker 3 begins at':>20}{'40 minibatches':>16}")
for latency in (0, 1, 5, 20):
    lines = {
        "locked": schedules.locked(stages, 40, Link(latency)),
        "decoupled": schedules.decoupled(stages, 40, Link(latency), capacity=40),
        "unlocked": schedules.decoupled(stages, 40, Link(latency), capacity=40, unlocked=True),
    }
    for name, line in lines.items():
        begins = min(s.start for s in line.spans if s.worker == 3 and s.kind == "forward")
        table[name, latency] = apart, _, _ = line.seconds_per_minibatch(10), begins, line.makespan
        print(f"{name:<12}{latency:17}{apart:19.1f}{begins:20.1f}{line.makespan:16.1f}")
assert table["locked", 20][0] > 100 > 4 * table["decoupled", 20][0]
assert all(table["unlocked", latency][0] > table["decoupled", latency][0] for latency in (0, 1, 5, 20))
assert table["unlocked", 0][2] > 1.1 * table["decoupled", 0][2] and table["unlocked", 20][2] < table["decoupled", 20][2]

# %% [markdown]
# The locked chain pays for each message, in each minibatch, twice. The decoupled one pays once, at the beginning: a
# pipeline hides latency. The unlocked one does not pay even that; but it has a sixth more to do, all the time.
# In the long run it is *slower* than the decoupled one. Speed is no reason to take the forward lock off, where messages
# come reliably. Keep that in mind until section 6, where they do not.
#
# ## 2. A guess of the input
#
# What is predicted, from what, and when does the truth come?
#
# - The **message** is the input of the segment: what the segment below *will* put out for this minibatch.
# - The **trigger** is what is at hand: the data $x$ itself, which every worker has. Not the label! When the network is
#   used, nobody has that.
# - The **target** is what the segment below has put out for the same data, when it comes.
#
# With a linear map, $O = [\,x \,|\, 1\,]$, which is called `seen` in the code:
#
# $$\hat h = O\,M \qquad\qquad dM = \frac{1}{B}\; O^\top (O M - h) \qquad M\,(D + 1, N)$$
#
# An activation is nobody's derivative of a mean over the minibatch, so it has no factor $1/B$, and the message needs
# none. Only in `fit` there is a mean over the rows, as ever. Nor does it start at zero: a guess of zero for all inputs
# would leave the layers above nothing to tell the examples by (and a batch norm there would divide by a spread of
# zero).
#
# ### Exercise 1: foretell the input
#
# Write both methods. `fit` moves `self.M` in place and returns the relative error before the step,
# $\|OM - h\| / \|h\|$.


# %% exercise="input-guess"
class InputGuess:
    """A linear synthesizer of inputs."""

    predicts = "input"

    def __init__(self, n_in, n_out, lr, rng, dtype=np.float32):
        self.lr = lr
        self.M = np.zeros((n_in + 1, n_out), dtype)
        self.M[:-1] = rng.uniform(-1, 1, (n_in, n_out)) / np.sqrt(n_in)

    def beside(self, x):
        """x (B, D) -> seen (B, D + 1)."""
        return np.concatenate([x, np.ones((len(x), 1), x.dtype)], axis=1)

    def predict(self, x):
        """x (B, D) -> what the segment below will put out, (B, N)."""
        ### BEGIN SOLUTION
        return self.beside(x) @ self.M
        ### END SOLUTION

    def fit(self, x, h):
        """x (B, D), h (B, N) -> the relative error before the step."""
        ### BEGIN SOLUTION
        seen = self.beside(x)
        off = seen @ self.M - h
        self.M -= self.lr * (seen.T @ off) / len(x)
        return np.linalg.norm(off) / np.linalg.norm(h)
        ### END SOLUTION


# %% test="input-guess-check" points=2
def check_input_guess(B, D, N, seed):
    """Stop with a sentence if the guess, or what it learns, differs from the library's."""
    rng = np.random.default_rng(seed)
    mine = InputGuess(D, N, lr=0.1, rng=rng, dtype=np.float64)
    library = Synthesizer(Linear(D, N, dtype=np.float64), SGD(0.1), predicts="input")
    library.net.params.W[...], library.net.params.b[...] = mine.M[:-1], mine.M[-1]
    for step in range(3):
        x, h = rng.standard_normal((B, D)), rng.standard_normal((B, N))
        before, kept = mine.M.copy(), h.copy()
        right, seen = library.predict(x), mine.beside(x)
        suspects = {
            "the factor 1 / B belongs to gradients": right / B,
            "the column of ones is missing": x @ before[:-1],
        }
        check_equal("the guess", mine.predict(x), right, suspects)
        check_equal("M after predict (which must not change it)", mine.M, before)
        error = library.fit(x, h)
        moves = {
            "the target is h, not B h: it is no gradient": seen.T @ (seen @ before - B * h) / B,
            "the mean over the rows is missing: divide by B": seen.T @ (seen @ before - h),
            "M goes uphill: the step is minus lr times the gradient": -seen.T @ (seen @ before - h) / B,
            "nothing is learned": 0 * before,
        }
        got = mine.fit(x, h)
        wrong = {what: before - 0.1 * move for what, move in moves.items()}
        check_equal(f"M after step {step}", mine.M, np.vstack([library.net.params.W, library.net.params.b]), wrong)
        check_equal("h after fit (which must not change it)", h, kept)
        check_equal("the returned error", got, error)


check_input_guess(B=6, D=4, N=3, seed=0)
### BEGIN HIDDEN TESTS
check_input_guess(B=2, D=3, N=5, seed=1)
check_input_guess(B=9, D=1, N=2, seed=2)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# ## 3. A step without any wait
#
# ```text
#            x ────────────────┬──────────────────────────┐
#            │                 ▼                          ▼
#            │              inputs 1 ◀┄┄ h0            inputs 2 ◀┄┄ h1         ◀┄┄ learns from, whenever it comes
#            ▼                 │ guess of h0              │ guess of h1
#        segment 0         segment 1                  segment 2 ──▶ loss
#            ▲                 ▲                          │
#         signal 0 ◀┄┄ dx   signal 1 ◀┄┄ dx               │
# ```
#
# ### Exercise 2: the unlocked step
#
# Write one step of a chain. For each segment, from the bottom (in a loop they must come in some order; what each of
# them needs from the others is only ever used to *learn*):
#
# 1. its input: the data `x` at the bottom; elsewhere `segment.inputs.predict(x)`, and then, as the segment below has
#    run in the meantime, `segment.inputs.fit(x, h)` with the `h` that it has put out;
# 2. `h, cache = segment.forward(its input)`;
# 3. `dx = segment.update(segment.signal.gradient(h, labels), cache)`;
# 4. the signal of the segment *below* learns: `signal.learn(at, dx, labels)`. Think about `at`: dx is the gradient of
#    something by something. At which array was it taken?
#
# Return the `h` of the top segment.


# %% exercise="unlocked-step"
def unlocked_step(segments, x, labels):
    """One step of all segments -> the output of the topmost one, on its synthetic input."""
    ### BEGIN SOLUTION
    h = x
    for i, segment in enumerate(segments):
        below, at = h, x
        if i:
            at = segment.inputs.predict(x)
            segment.inputs.fit(x, below)
        h, cache = segment.forward(at)
        dx = segment.update(segment.signal.gradient(h, labels), cache)
        if i:
            segments[i - 1].signal.learn(at, dx, labels)
    return h
    ### END SOLUTION


# %%
data = mnist1d(10_000, test_fraction=0.4)
loss = SoftmaxCrossEntropy()
D, C = data.features, data.n_classes


def make_chain(widths, seed, *, inputs=None, signal="synthetic", optimiser=lambda: Adam(3e-3), dtype=np.float32):
    """Hidden layers of these widths, a segment each, and the readout in the last segment.

    `signal`: "synthetic" or "zero", for a frozen trunk. `inputs`: None, "linear", "hidden", or "labels".
    """
    rng, guess_rng, layers = np.random.default_rng(seed), np.random.default_rng(1000 + seed), []
    for n_in, n_out in pairwise((D, *widths)):
        layers += [Linear(n_in, n_out, rng=rng, dtype=dtype), ReLU()]
    below = iter(widths)

    def make_signal(_):
        guess = networks.linear(next(below), C, rng=guess_rng, dtype=dtype)
        return Synthesizer(guess, optimiser()) if signal == "synthetic" else Zero()

    net = Sequential(*layers, Linear(widths[-1], C, rng=rng, dtype=dtype))
    cuts = [2 * i for i in range(1, len(widths))]
    chain = Chain.cut(net, cuts, signal=make_signal, loss=loss, optimizer=optimiser)
    for n, segment in zip(widths, chain.segments[1:], strict=False):
        n_in = D + C * (inputs == "labels")
        if inputs == "linear":
            guess = networks.linear(D, n_out=n, rng=guess_rng, dtype=dtype)
        else:
            guess = networks.mlp(n_in, n_hidden=n, n_layers=1, batch_norm=False, n_out=n, rng=guess_rng, dtype=dtype)
        segment.inputs = Synthesizer(guess, optimiser(), predicts="input") if inputs else None
    return chain


# %% test="unlocked-step-check" points=3
def record(chain):
    """Write down what the synthesizers of a chain are called with: (segment, what, method) -> list of arguments."""
    calls = {}
    for i, segment in enumerate(chain):
        for what, part, methods in (
            ("inputs", segment.inputs, ("predict", "fit")),
            ("signal", segment.signal, ("gradient", "learn")),
        ):
            for method in methods if isinstance(part, Synthesizer) else ():
                own, kept = getattr(part, method), calls.setdefault((i, what, method), [])

                def listening(*arguments, own=own, kept=kept):
                    kept.append([np.array(a) for a in arguments if a is not None])
                    return own(*arguments)

                setattr(part, method, listening)
    return calls


def check_unlocked_step(widths, seed):
    """Stop with a sentence if two steps differ from those of the library's chain."""
    mine, library = (make_chain(widths, seed, inputs="linear", dtype=np.float64) for _ in range(2))
    heard, right = record(mine), record(library)
    for k in range(2):
        x, labels = Minibatches(data.x_train.astype(np.float64), data.y_train, size=20, seed=seed)(k)
        hs = [x]  # on true inputs
        for segment in library:
            hs.append(segment.forward(hs[-1])[0])
        y, step = unlocked_step(list(mine), x, labels), library.unlocked(x, labels)
        for (i, what, method), calls in right.items():
            name, got = f"step {k}: {what}.{method} of segment {i}", heard[i, what, method]
            assert len(got) == k + 1, f"{name} has been called {len(got) - k} times in this step, expected once."
            suspects = {}
            if method == "learn":
                ran = right[i + 1, "inputs", "fit"][k][1]
                suspects["dx was taken at the guess on which the segment above ran, not at h"] = ran
            if method == "fit":
                suspects["the target is what the segment below has put out in this step"] = hs[i]
                suspects["the target is h of the segment below, not the guess of it"] = right[i - 1, "signal", "learn"][
                    k
                ][0]
            names = {"fit": ("x", "h"), "learn": ("at", "dx", "labels"), "gradient": ("h", "labels")}
            for argument, a, b in zip(names.get(method, ("x",)), got[k], calls[k], strict=True):
                check_equal(f"{name}: {argument}", a, b, suspects)
        check_equal(f"step {k}: what is returned", y, step.h, {"it is the output on true inputs": hs[-1]})
        for name, p in mine.net.params.items():
            check_equal(f"step {k}: {name}", p, library.net.params[name])


check_unlocked_step((6, 5), seed=0)
check_unlocked_step((6, 5, 4), seed=1)
### BEGIN HIDDEN TESTS
check_unlocked_step((4, 4, 4, 4), seed=2)
check_unlocked_step((3,), seed=3)
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# Note how far one is from the truth by now. Segment 2 learns on a guess of what segment 1 would put out, if that ran on
# the true input; but it ran on a guess itself. And the gradient that it sends down is one at the guess. Inputs are
# bootstrapped on the way up as gradients are on the way down.
#
# ## 4. How well can an input be foretold?
#
# ### Exercise 3: explained variance
#
# Of the variance of `h`, a guess explains the share
#
# $$1 - \frac{\sum_{ij} (h_{ij} - \hat h_{ij})^2}{\sum_{ij} (h_{ij} - \bar h_j)^2} \qquad
# \bar h_j \text{: the mean of column } j \text{ over the examples}$$
#
# It is 1 for a perfect guess, 0 for one that always says the mean, and below 0 for worse ones. Write it.


# %% exercise="explained"
def explained(h, guess):
    """h (n, N), guess (n, N) -> the share of the variance of h that the guess explains."""
    ### BEGIN SOLUTION
    return 1 - np.square(h - guess).sum() / np.square(h - h.mean(axis=0)).sum()
    ### END SOLUTION


# %% test="explained-check" points=1
def check_explained(n, N, noise, seed):
    """Stop with a sentence if the share differs from the formula, written otherwise."""
    rng = np.random.default_rng(seed)
    h = rng.standard_normal((n, N)) * rng.uniform(0.5, 2, N) + rng.uniform(-3, 3, N)
    guess = h + noise * rng.standard_normal((n, N))
    missed, spread = np.mean((h - guess) ** 2, axis=0), h.var(axis=0)
    right = 1 - missed.sum() / spread.sum()
    suspects = {
        "it is the share that is missed": 1 - right,
        "the mean is one of all entries, not of each column": 1 - missed.mean() / h.var(),
        "no mean is taken off": 1 - missed.sum() / np.mean(h**2, axis=0).sum(),
        "it is the mean of the columns' shares": np.mean(1 - missed / spread),
        "the mean is that of each row": 1 - missed.sum() * n / np.square(h - h.mean(axis=1, keepdims=True)).sum(),
    }
    check_equal("the share", explained(h, guess), right, suspects)


check_explained(n=50, N=4, noise=0.5, seed=0)
### BEGIN HIDDEN TESTS
check_explained(n=20, N=7, noise=3.0, seed=1)
check_explained(n=10, N=2, noise=0.0, seed=2)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# Take a network of five hidden layers, and for each of them the best linear guess that there is (by least squares on
# the training data, measured on the test data). We do it before the network has learned anything, and after 400 steps
# of backpropagation.
#
# **Predict, then run.** Which layer is foretold best? Does learning make it easier to foretell a layer, or harder?


# %%
def best_linear_guess(chain):
    """For each layer the share (%) of the variance that the best linear map of the data explains."""
    sees = [np.concatenate([x, np.ones((len(x), 1))], axis=1) for x in (data.x_train, data.x_test)]
    shares, hs = [], [data.x_train, data.x_test]
    for layer in (layer for segment in chain for layer in segment.net):
        hs = [layer.forward(h)[0] for h in hs]
        if isinstance(layer, ReLU):
            M = np.linalg.lstsq(sees[0], hs[0].astype(np.float64), rcond=None)[0]
            shares.append(100 * explained(hs[1].astype(np.float64), sees[1] @ M))
    return shares


deep, minibatches = make_chain((64,) * 5, seed=0), Minibatches(data.x_train, data.y_train, size=100, seed=0)
shares = {}
for k in range(801):
    if k in (0, 200, 800):
        shares[f"after {k} steps"] = best_linear_guess(deep)
    deep.backprop(*minibatches(k))
show_curves({"variance explained (%)": shares}, "hidden layer")

# %%
print("explained, from the first layer to the fifth (%):")
for name, of in shares.items():
    print(f"{name:<18}" + "".join(f"{share:8.1f}" for share in of))
start, _, trained_long = shares.values()
assert all(lower > upper for of in shares.values() for lower, upper in pairwise(of))
assert all(a < b for a, b in zip(trained_long, start, strict=True))

# %% [markdown]
# The higher the layer, the more there is between it and the data, and the less of it a linear map can say. Learning
# makes it easier at first: the upper layers begin with something simple. In the end it makes it harder, and most of all
# for the upper ones: what a layer is *for* is what no simple map of the data does. A synthesizer of inputs has to do,
# with one small network, what all layers below do together. If it could do that well, one would not need them.
#
# ## 5. What it costs
#
# A network of two hidden layers of 64 units, each a segment, on MNIST-1D. All that follow take the same number of steps
# with the same rate of learning:
#
# - **backprop** and **decoupled**, with true inputs;
# - **frozen**: the control. The first layer stays as it was drawn, and the second segment learns on true inputs;
# - **unlocked** with a linear guess of the input, or with one that has a hidden layer;
# - **labels**: the same with a hidden layer, which sees the label besides the data;
# - **frozen, guessed**: the first layer stays as it was drawn, *and* the second segment runs on a linear guess of it.
#
# An unlocked network has two accuracies. When it is used, each layer runs on the true output of the one below; that is
# the accuracy that counts. And there is the one that one sees during training, on guessed inputs.
#
# **Predict, then run.** Write down an order, by the accuracy that counts. For which is the other one higher?

# %%
WIDTH, UPDATES, SEEDS = 64, 300, (0, 1)
METHODS = {
    "backprop": {},
    "decoupled": {},
    "frozen": {"signal": "zero"},
    "unlocked, linear": {"inputs": "linear"},
    "unlocked, hidden": {"inputs": "hidden"},
    "unlocked, labels": {"inputs": "labels"},
    "frozen, guessed": {"inputs": "linear", "signal": "zero"},
}


class SeesLabels:
    """Puts the one-hot labels of the moment beside the data, for a synthesizer of inputs."""

    predicts = "input"

    def __init__(self, synthesizer):
        self.synthesizer, self.labels = synthesizer, None

    def beside(self, x):
        return np.concatenate([x, np.eye(C, dtype=x.dtype)[self.labels]], axis=1)

    def predict(self, x):
        return self.synthesizer.predict(self.beside(x))

    def fit(self, x, h):
        return self.synthesizer.fit(self.beside(x), h)


def trained(name, seed):
    """A chain trained by one of the methods."""
    optimiser = partial(Adam, partial(cosine_decay, lr=3e-3, total=UPDATES))
    chain = make_chain((WIDTH, WIDTH), seed, optimiser=optimiser, **METHODS[name])
    if name == "unlocked, labels":
        chain[1].inputs = SeesLabels(chain[1].inputs)
    get = Minibatches(data.x_train, data.y_train, size=100, seed=seed)
    for k in range(UPDATES):
        x, labels = get(k)
        if name == "backprop":
            chain.backprop(x, labels)
        elif chain[1].inputs is None:
            chain.decoupled(x, labels)
        else:
            if name == "unlocked, labels":
                chain[1].inputs.labels = labels
            unlocked_step(list(chain), x, labels)
    return chain


def right(y):
    """Per cent of the test examples."""
    return 100 * np.mean(y.argmax(axis=1) == data.y_test)


started_at, results = time.perf_counter(), {}
for name in METHODS:
    for seed in SEEDS:
        chain = trained(name, seed)
        lower, upper = chain
        row = [right(chain.predict(data.x_test)), np.nan, np.nan]
        if upper.inputs is not None:
            if name == "unlocked, labels":
                upper.inputs.labels = data.y_test
            guess = upper.inputs.predict(data.x_test)
            row[1] = right(upper.forward(guess)[0])
            row[2] = 100 * explained(lower.forward(data.x_test)[0], guess)
        results.setdefault(name, []).append(row)
print(f"{len(results) * len(SEEDS)} trainings took {time.perf_counter() - started_at:.1f} seconds\n")
mean = {name: np.mean(rows, axis=0) for name, rows in results.items()}
print(f"{'means of the seeds (%)':<24}{'accuracy':>10}{'on guessed inputs':>20}{'of the input explained':>25}")
for name, (used, on_guess, share) in mean.items():
    numbers = f"{on_guess:20.1f}{share:25.1f}" if np.isfinite(on_guess) else ""
    print(f"{name:<24}{used:10.1f}{numbers}")

# %%
show_dots(
    {
        **{name: [row[0] for row in rows] for name, rows in results.items()},
        **{f"{n}: on guessed": [row[1] for row in results[n]] for n in METHODS if "inputs" in METHODS[n]},
    },
    "test accuracy (%)",
    levels={"chance": 10.0},
)

# %%
assert mean["backprop"][0] > mean["frozen"][0] + 4 and mean["decoupled"][0] > mean["frozen"][0] + 4
assert mean["unlocked, linear"][0] < mean["unlocked, hidden"][0] < mean["decoupled"][0] - 5
assert max(mean[name][0] for name in METHODS if name.startswith("unlocked")) < mean["frozen"][0]
assert mean["unlocked, linear"][1] > mean["unlocked, linear"][0] + 5
assert mean["unlocked, labels"][1] > mean["unlocked, labels"][0] + 5
assert mean["frozen, guessed"][1] > mean["frozen, guessed"][0] + 5
assert mean["unlocked, linear"][2] < mean["unlocked, hidden"][2]

# %% [markdown]
# Three things can be read from this.
#
# - **The price is high**, and it is that of the guess: what is not explained of the input, the second segment has never
#   seen. It meets it for the first time when the network is used.
# - **The accuracy on guessed inputs says nothing about the layers below.** With a linear guess it is far above the one
#   that counts, in the row *frozen, guessed* as well, where the first layer has not learned a thing. No wonder: the
#   guess and the segment above it are a network by themselves, one linear map and two layers, trained on the data; it
#   learns *around* the first layer. So whoever shows the training accuracy of an unlocked network shows nothing.
# - **The control to beat is the frozen one with true inputs.** It has no synthesizers, needs no workers, and nobody in
#   it waits for a gradient. In so few steps none of the unlocked networks reaches it.
#
# Longer, with batch norms, and on MNIST as well, means of three seeds (conditional synthetic gradients; accuracy in per
# cent, in brackets that on guessed inputs):
#
# | | inputs | MNIST-1D | MNIST |
# |---|---|---|---|
# | backprop | true | 70.99 | 97.94 |
# | decoupled | true | 67.11 | 97.76 |
# | frozen trunk | true | 57.32 | 94.71 |
# | unlocked | guessed, hidden layer | 57.95 (58.18) | 96.67 (96.47) |
# | unlocked | guessed, linear | 43.79 (60.61) | |
# | frozen trunk | guessed, hidden layer | 49.87 (53.95) | 92.22 (95.39) |
# | frozen trunk | guessed, linear | 32.17 (61.93) | |
#
# (`python -m minidni experiment full-unlock --seeds 1 2 3`, and for MNIST `data=mnist inputs=true,hidden width=128
# batch=64` behind that; both are in `docs/results`.) So on MNIST full unlock does work: the trunk has learned something
# of use, two points above the control, and little more than one below backprop. As we recall it, the paper reports
# about 2 % error there. On MNIST-1D it reaches the control, and that is all.

# %% [markdown] answer="seen-labels" points=2
# **A question to answer in words.** In the row *labels* the synthesizer of the input saw the label besides the data. A
# synthesizer of *gradients* with labels is much better than one without, and nobody objects. Here the accuracy on
# guessed inputs rises, and the one that counts does not. Why is the label harmless in the one and harmful in the other?
# What would happen with a synthesizer large enough, trained for long?
#
# ### BEGIN SOLUTION
# A gradient is needed in training only, and there the label is at hand; the true gradient depends on it, too. An input
# is needed when the network is used, and the true input does not depend on the label. A guess that has seen the label
# can hide it in the guessed input (where the first layer's output is related to the label, it even has to, to be a good
# guess), and the segment above learns to read it there: that is easy, and the loss falls. When the network is used the
# true input comes, without the hidden label, and what was learned is of no use. The larger the synthesizer, the better
# it tells what the label says about the input, as long as the true input leaves that open; a perfect guess would have
# nothing to hide, since it would be the true input.
# ### END SOLUTION

# %% [markdown]
# ## 6. What it buys
#
# Now to the workers. The lesson *A worker for each segment* counted the waits of a program. Here is a harder test:
# take a single worker of the library, and give it *no neighbours at all*. What it sends goes nowhere, and nothing
# ever comes.
#
# **Predict, then run.** Three segments, five minibatches. How many does worker 0, 1, 2 finish alone: locked, decoupled,
# unlocked?


# %%
def alone(mode, rank, n=5):
    """How many of n minibatches a worker finishes of which nobody takes any notice."""
    chain = make_chain((16, 16, 16), seed=0, inputs="linear")
    worker = Worker(chain[rank], minibatches, rank, 3, 0, n, input_shape=(16 if rank else D,))
    program = programs.PROGRAMS[mode](worker)
    request, done = next(program, None), 0
    while request is not None and not isinstance(request, Receive):
        done += isinstance(request, Done)
        try:
            request = program.send(None)
        except StopIteration:
            request = None
    return done


finished = {mode: [alone(mode, rank) for rank in range(3)] for mode in ("locked", "decoupled", "unlocked")}
print(f"{'finished alone':<16}" + "".join(f"{f'worker {rank}':>10}" for rank in range(3)))
for mode, done in finished.items():
    print(f"{mode:<16}" + "".join(f"{d:10d}" for d in done))
assert finished == {"locked": [0, 0, 0], "decoupled": [5, 0, 0], "unlocked": [5, 5, 5]}

# %% [markdown]
# A worker without locks needs nobody. (It will not learn much: its synthesizers hear nothing.)
#
# On threads, then: four hidden layers of 384 units, two in each half. The simulated timeline, from costs measured on
# this machine, and below it the real one:

# %%
STEPS = 40
rng, wide = np.random.default_rng(0), []
for n_in, n_out in pairwise((D, *(384,) * 4)):
    wide += [Linear(n_in, n_out, rng=rng), ReLU()]
large = Chain.cut(
    Sequential(*wide, Linear(384, C, rng=rng)),
    at=(4,),
    signal=lambda _: Synthesizer(networks.linear(384, C, rng=rng), Adam(1e-3)),
    loss=loss,
    optimizer=lambda: Adam(1e-3),
    names=("lower half", "upper half"),
)
large[1].inputs = Synthesizer(networks.linear(D, n_out=384, rng=rng), Adam(1e-3), predicts="input")
get = Minibatches(data.x_train, data.y_train, size=250, seed=0)
halves = measure(large, *get(0), repeats=5)
runs = {mode: train(large, get, STEPS, mode=mode, blas_threads=1, capacity=STEPS) for mode in ("decoupled", "unlocked")}
show_timelines(
    schedules.decoupled(halves, STEPS, unlocked=True), runs["unlocked"].timeline, first=STEPS // 2, last=STEPS // 2 + 3
)

# %%
print(f"{'':<12}{'ms a minibatch':>16}{'waits of each worker, up to its last update':>46}")
for mode, run in runs.items():
    spans = run.timeline.spans
    last = [max(s.end for s in spans if s.worker == w and s.kind == "update") for w in (0, 1)]
    waits = [sum(s.kind == "wait" and s.worker == w and s.end < last[w] for s in spans) for w in (0, 1)]
    print(f"{mode:<12}{1e3 * run.timeline.seconds_per_minibatch(5):16.1f}{waits!s:>46}")
    assert mode == "decoupled" or waits == [0, 0]

# %% [markdown]
# (The simulator takes a synthesizer of the input to cost what one of the gradient costs; here it is smaller. And the
# queues had room for all messages. With room for two, which is the default, a worker that is far ahead waits until
# there is room: that is no lock, but keeps the memory finite.)
#
# ### When messages get lost
#
# Networks between machines are not as faithful as queues between threads. The library can be asked for faults:
# `Fault("lost", sender=0, to=1, minibatch=20)` makes one message disappear. A locked worker waits for it, until its
# patience is over.
#
# **Predict, then run.** In the middle of 60 minibatches one message is lost, or comes half a second late; one
# from below (an input), or one from above (a gradient). Which of the three ways of training stops? Which waits? Which
# notices?

# %%
FAULTS = {
    "none": (),
    "input late": (Fault("late", 0, 1, 20, seconds=0.5),),
    "input lost": (Fault("lost", 0, 1, 20),),
    "gradient late": (Fault("late", 1, 0, 20, seconds=0.5),),
    "gradient lost": (Fault("lost", 1, 0, 20),),
}
small, sentences, went_on = make_chain((32, 32), seed=0, inputs="linear"), [], {}
print("What worker 1 did of 60 minibatches, and the longest wait of either worker meanwhile:\n")
print(f"{'':<16}{'locked':<24}{'decoupled':<24}{'unlocked':<24}")
for what, faults in FAULTS.items():
    cells = []
    for mode in ("locked", "decoupled", "unlocked"):
        try:
            run = train(small, minibatches, 60, mode=mode, faults=faults, patience=0.8, blas_threads=1)
            went_on[what, mode] = True
            updates = [s for s in run.timeline.spans if s.kind == "update" and s.worker == 1]
            waits = [s for s in run.timeline.spans if s.kind == "wait" and s.end < updates[-1].end]
            longest = 1e3 * max((s.end - s.start for s in waits), default=0)
            cells.append(f"did {len(updates)}, waited {longest:.0f} ms")
        except WorkerFailed as failure:
            went_on[what, mode] = False
            cells.append("stopped")
            sentences.append(f"{what}, {mode}: {failure}")
    print(f"{what:<16}" + "".join(f"{cell:<24}" for cell in cells))
print("\n" + "\n".join(sentences))
assert all(went for (_, mode), went in went_on.items() if mode != "locked")
assert not went_on["input lost", "locked"] and not went_on["gradient lost", "locked"]

# %% [markdown]
# (Short waits are those for room in a queue, or for a core.) Under the lock a message that is late holds
# up everybody, and one that is lost is the end: it stops with a sentence, rather than to wait for ever, or to go on
# with something made up. Decoupled, a lost gradient is not even noticed. The synthesizer learns a little less. A lost
# input costs the minibatch: the worker above waits for it until `pending` later messages have come, 16 if nothing else
# is said, leaves it out and goes on. (For a late one it may do so, too.) Without locks, all that is lost is something
# to learn from.
#
# That is what the last lock is worth: not speed, but that nothing depends on a message in time. Not everything is
# covered: a worker that *dies* takes its segment with it, in whatever mode, and has to be started again from a
# checkpoint.
#
# ## 7. The same as the library's
#
# Your synthesizer in your step, against the library's synthesizer in the library's chain, 50 steps; and the library's
# workers, inline:

# %%
rng = np.random.default_rng(5)
chains = [make_chain((24, 24, 24), seed=5, inputs="linear", dtype=np.float64) for _ in range(2)]
for i in (1, 2):
    guess = InputGuess(D, 24, lr=0.05, rng=rng, dtype=np.float64)
    chains[0][i].inputs = guess
    net = Linear(D, 24, dtype=np.float64)
    net.params.W[...] = guess.M[:-1]
    chains[1][i].inputs = Synthesizer(net, SGD(0.05), predicts="input", zero_start=False)
doubles = Minibatches(data.x_train.astype(np.float64), data.y_train, size=100, seed=5)
by_workers = train(chains[1], doubles, 50, mode="unlocked", transport="inline").chain
for k in range(50):
    unlocked_step(list(chains[0]), *doubles(k))
    chains[1].unlocked(*doubles(k))
for name, p in chains[0].net.params.items():
    check_equal(name, p, chains[1].net.params[name])
    assert np.array_equal(by_workers.net.params[name], chains[1].net.params[name])
for i in (1, 2):
    library = chains[1][i].inputs.net.params
    check_equal(f"M of segment {i}", chains[0][i].inputs.M, np.vstack([library.W, library.b]))
apart = max(np.abs(p - chains[1].net.params[name]).max() for name, p in chains[0].net.params.items())
print(f"largest difference of all weights after 50 steps: {apart:.1e}; the workers', to the library's chain: 0")

# %%
print(inspect.getsource(programs.unlocked))

# %% [markdown]
# ## What to remember
#
# - The forward lock is a wait for the input. A synthesizer of inputs guesses it from the data, without labels, in the
#   units of an activation (no $1/B$), and does not start at zero.
# - dx is a gradient at the array on which the segment *ran*: the guess. The signal below learns from the pair of both.
# - The guess must do what all layers below do. The higher the layer and the better trained, the less of it is
#   explained.
# - Of two accuracies the one on true inputs counts. The other one is that of a network which learns around the layers
#   below; a frozen trunk shows it.
# - The control for full unlock is a frozen trunk with true inputs.
# - It is no faster than decoupled. What it buys: no worker ever needs a message in time, so late and lost ones do no
#   harm.
#
# ## Where the formulas come from
#
# - Synthetic inputs and full unlock: M. Jaderberg and others, *Decoupled neural interfaces using synthetic gradients*,
#   ICML 2017, arXiv 1608.05343.
# - The explained variance is the coefficient of determination, of all columns together.
# - MNIST-1D: S. Greydanus and D. Kobak, *Scaling down deep learning with MNIST-1D*, ICML 2024, arXiv 2011.14439.
