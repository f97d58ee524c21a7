# %% [markdown]
# # Truncation
#
# - **Minutes:** 40
# - **Needs:** the lesson *Backpropagation through time by hand*: the state as a boundary, `dsT` in and `ds0` out; from
#   *Vanishing and exploding gradients* the Jacobian of a step
# - **Learn:** train on a stream without end, measure what the cut gradient lacks against two exact ones, tell bias from
#   noise, and say what a window's length costs and buys
# - **Data:** none to load: a stream of coin flips whose lowest possible loss is known exactly
#
# To hand the gradient back from window to window, all windows must have been seen. A stream has no last window. So one
# cuts: the state goes on, the gradient does not. That is *truncated backpropagation through time*, and nearly every
# recurrent network is trained with it. Here you write it, and then you find out what it does to the gradient.
#
# There are four exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.

# %%
import inspect
import time
from functools import partial
from itertools import islice

import numpy as np

from minidni import LSTM, RNN, SGD, Adam, Linear, Sequential, SigmoidCrossEntropy, SquaredError, bptt
from minidni.data import TwoLag
from minidni.gradcheck import check_equal
from minidni.nn.schedules import cosine_decay
from minidni.plots import show_curves, show_formula, show_lines, slide

# %% [markdown]
# ## 1. A stream without end
#
# A coin $x_t$ is flipped in every step, 0 or 1. Another coin $y_t$ is to be predicted, and how likely it is to show 1
# depends on two flips of the past, 3 and 5 steps ago, the *lags*:
#
# $$P(y_t = 1) = \frac{1}{2} + \frac{x_{t-3}}{2} - \frac{x_{t-5}}{4}$$
#
# So nobody can predict $y$ with certainty, and the lowest loss that can be reached is known exactly. It depends on
# which of the two flips one remembers, so the level on which a training comes to rest tells what was learned. (You know
# this task from the last lesson.)

# %%
task = TwoLag(lags=(3, 5))
loss = SigmoidCrossEntropy()
remembered = {(): "nothing", (5,): "lag 5 only", (3,): "lag 3 only", (3, 5): "both lags"}
levels = {name: task.floors[lags] for lags, name in remembered.items()}
for name, level in levels.items():
    print(f"lowest loss for who remembers {name:<11} {level:.4f} nats")

# %% [markdown]
# 128 such streams run side by side, $B = 128$, and an LSTM with 16 units reads them. What would it take to go back from
# the last step to the first?


# %%
def new_net(seed):
    return Sequential(LSTM(1, 16, rng=2 * seed), Linear(16, 1, rng=2 * seed + 1))


net = new_net(seed=0)
for steps in (10, 100, 1000):
    x, labels = next(task.windows(size=128, length=steps))  # x (T, B, 1), labels (T, B, 1)
    _, _, cache = net.forward(x)
    print(f"{steps:5d} steps: the cache holds {cache.nbytes / 1e6:7.2f} MB, and the first update comes after them")
hour = 3600 * 16_000
terabytes = cache.nbytes / steps * hour / 1e12
print(f"An hour of sound has {hour / 1e6:.1f} million steps. The cache would hold {terabytes:.1f} TB.")

# %% [markdown]
# The cache grows with every step, and no weight changes before the end. Where there is no end, none ever does. So cut
# the stream into windows, and treat each as if it were the last:
#
# ```text
#                window 0               window 1               window 2
#  state     0 ──▶ [ · · · · ] ──▶ s ──▶ [ · · · · ] ──▶ s ──▶ [ · · · · ] ──▶ s ──▶ ...
#  gradient    ◀── [ · · · · ] ◀── 0   ◀── [ · · · · ] ◀── 0   ◀── [ · · · · ] ◀── 0
#             ds0                     ds0                     ds0
#             goes nowhere            goes nowhere            goes nowhere
# ```
#
# ### Exercise 1: five lines
#
# Write the body of the loop. It is the whole of truncated backpropagation through time:
#
# 1. `y, sT, cache = net.forward(...)`: this window's inputs, from the state that the window before has left;
# 2. `dsT`: what the windows to come would send back. They have not been seen, so it is `None`;
# 3. `net.backward(...)`, with the gradient of this window's loss and with `dsT`; what it returns, `dx` and `ds0`, goes
#    nowhere;
# 4. a step of the optimiser, `optimiser.step(net)`;
# 5. `s`: the state that the next window begins with.
#
# Line 2 looks as if one could leave it out. Write it all the same: it is the one that later lessons will change.


# %% exercise="truncated-loop"
def train(net, loss, optimiser, windows):
    """Truncated BPTT along `windows`, pairs of x and labels -> the loss of each window, the last state."""
    s, losses = None, []
    for x, labels in windows:
        net.zero_grads()
        ### BEGIN SOLUTION
        y, sT, cache = net.forward(x, s)  # the state comes in
        dsT = None  # the gradient does not: nobody has seen the steps to come
        net.backward(loss.gradient(y, labels), cache, dsT)  # what comes back, dx and ds0, goes nowhere
        optimiser.step(net)
        s = sT  # the state goes on
        ### END SOLUTION
        losses.append(loss.value(y, labels))
    return losses, s


# %% test="truncated-loop-check" points=2
def check_train(lengths, seed):
    """Stop with a sentence if `train` differs from the library's, on windows of these lengths."""

    def start():
        rng = np.random.default_rng(seed)
        rnn, readout = RNN(2, 4, rng=rng, dtype=np.float64), Linear(4, 1, rng=rng, dtype=np.float64)
        windows = [(rng.standard_normal((T, 3, 2)), rng.standard_normal((T, 3, 1))) for T in lengths]
        return Sequential(rnn, readout), SquaredError(), SGD(0.1), windows

    def library(carry="sT", send_on=False, steps=1, own_state=False):
        """The same by the library's function for a single window, and with some mistakes."""
        net, loss, optimiser, windows = start()
        s, ds, losses = None, None, []
        for x, labels in windows:
            if own_state:
                ds = net.forward(x, s)[1].copy()
            net.zero_grads()
            window = bptt.full(net, loss, x, labels, s, ds)
            for _ in range(steps):
                optimiser.step(net)
            s, ds = getattr(window, carry, None), window.ds0 if send_on else None
            losses.append(window.value)
        return np.array(losses), s, np.concatenate([p.ravel() for p in net.params.values()])

    mistakes = {
        "every window begins at zeros, so the state is not carried": library(carry=""),
        "s is ds0, a gradient; the state to go on with is sT": library(carry="ds0"),
        "dsT is sT, a state; it is the gradient that nobody knows, None": library(own_state=True),
        "ds0 of a window is handed to the next one as dsT; it belongs to the one before": library(send_on=True),
        "the weights do not move: the optimiser's step is missing, or stands before backward": library(steps=0),
        "there are two steps of the optimiser in a window": library(steps=2),
    }
    net, loss, optimiser, windows = start()
    losses, s = train(net, loss, optimiser, windows)
    weights = np.concatenate([p.ravel() for p in net.params.values()])
    right = library()
    check_equal("the loss by window", losses, right[0], {what: wrong[0] for what, wrong in mistakes.items()})
    check_equal("the last state", s, right[1], {what: wrong[1] for what, wrong in mistakes.items()})
    check_equal(
        "the weights after all windows", weights, right[2], {what: wrong[2] for what, wrong in mistakes.items()}
    )


check_train((4, 4, 4, 4), seed=0)
### BEGIN HIDDEN TESTS
check_train((1,), seed=1)
check_train((3, 1, 5, 2), seed=2)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# Each window is done with at once: its cache goes, the weights move, and the stream may be as long as it likes. (The
# state that comes in was made with weights of a moment ago. As long as the steps are small, that does little harm.)
#
# A few windows of 12 steps, to have a network that has begun to learn. We keep it as it is then, *halfway*, and look at
# its gradients.

# %%
halfway = new_net(seed=0)
losses, _ = train(halfway, loss, Adam(3e-2), islice(task.windows(size=128, length=12, seed=0), 40))
halfway.astype(np.float64)
fresh = new_net(seed=0).astype(np.float64)
for number in (0, 19, 39):
    print(f"window {number:2d}: loss {losses[number]:.3f}")
assert levels["both lags"] + 0.02 < losses[-1] < levels["nothing"] - 0.02

# %% [markdown]
# ## 2. What is lost
#
# Number the boundaries: $s_t$ is the state in front of step $t$, and $ds_t$ is what flows back across that boundary.
# All of it can be seen if one goes forward step by step, with a cache for each step, and then back step by step. For
# that we take a *finite* sequence, 48 steps of 256 streams, and fixed weights. Then the exact gradient is at hand.


# %%
def forward_steps(net, x):
    """x (T, B, D) -> y (T, B, N) and a list of T caches, one for each step."""
    outputs, caches, s = [], [], None
    for t in range(len(x)):
        y, s, cache = net.forward(x[t : t + 1], s)
        outputs.append(y)
        caches.append(cache)
    return np.concatenate(outputs), caches


def sequences(seed, size=256, length=48):
    return next(TwoLag(lags=(3, 5), dtype=np.float64).windows(size=size, length=length, seed=seed))


T = 48
x, labels = sequences(seed=1)
y, caches = forward_steps(halfway, x)
dy = loss.gradient(y, labels)  # (T, B, 1)

# %% [markdown]
# ### Exercise 2: back, with a factor at each boundary
#
# Write `walk_back`. It goes from the last step to the first. Step `t` is handed `dy[t : t + 1]`, its cache, and as
# `dsT` what came back from step `t + 1`, **times `keep[t + 1]`**, the factor of the boundary between the two. What step
# `t` sends back is `ds[t]`, before any factor. Behind the last step there is nothing, so `ds[T]` stays zero.
#
# With all factors 1, this is full backpropagation through time. With a 0 at some boundaries, it is cut there.


# %% exercise="walk-back"
def walk_back(net, caches, dy, keep):
    """T caches, dy (T, B, N), keep (T + 1,) -> ds (T + 1, B, S); adds to net.grads."""
    T, B, _ = dy.shape
    ds = np.zeros((T + 1, B, net.n_state))
    ### BEGIN SOLUTION
    for t in reversed(range(T)):
        _, ds[t] = net.backward(dy[t : t + 1], caches[t], keep[t + 1] * ds[t + 1])
    ### END SOLUTION
    return ds


# %% test="walk-back-check" points=2
def check_walk_back(cuts, seed, factors=None):
    """Stop with a sentence if `walk_back` differs from the library's gradients by the states, cut at `cuts`."""
    rng = np.random.default_rng(seed)
    T, B = 6, 2
    net = Sequential(LSTM(2, 3, rng=rng, dtype=np.float64), Linear(3, 2, rng=rng, dtype=np.float64))
    x, dy = rng.standard_normal((T, B, 2)), rng.standard_normal((T, B, 2))

    def pieces(cuts):
        """ds if nothing crosses these boundaries."""
        ds, s = np.zeros((T + 1, B, net.n_state)), None
        for start, stop in zip([0, *cuts], [*cuts, T], strict=True):
            if start < stop:
                ds[start:stop] = bptt.state_gradients(net, x[start:stop], dy[start:stop], s)[:-1]
                _, s, _ = net.forward(x[start:stop], s)
        return ds

    keep = np.ones(T + 1)
    keep[list(cuts)] = 0
    if factors is not None:
        keep = factors
    suspects = {
        "keep is not used": pieces([]),
        "the factor of the wrong boundary is taken; what comes back from step t + 1 crosses boundary t + 1": pieces(
            [cut + 1 for cut in cuts if cut + 1 < T]
        ),
        "nothing is handed from step to step; is ds[t + 1] there when step t needs it": pieces(range(1, T)),
        "ds[t] holds what is left behind the factor, expected what step t sends back": keep[:, None, None]
        * pieces(cuts),
        "nothing was written into ds": np.zeros((T + 1, B, net.n_state)),
    }
    y, caches, s = [], [], None
    for t in range(T):
        y_t, s, cache = net.forward(x[t : t + 1], s)
        y.append(y_t)
        caches.append(cache)
    kept = dy.copy(), keep.copy()
    net.zero_grads()
    ds = walk_back(net, caches, dy, keep)
    grads = bptt.flat_gradients(net)
    if factors is None:
        check_equal("ds", ds, pieces(cuts), suspects)
    check_equal("dy after the call (walk_back must not change it)", dy, kept[0])
    check_equal("keep after the call (walk_back must not change it)", keep, kept[1])
    net.zero_grads()
    for t in reversed(range(T)):  # given what crosses each boundary, each step can be judged by itself
        _, ds_t = net.backward(dy[t : t + 1], caches[t], kept[1][t + 1] * np.asarray(ds)[t + 1])
        check_equal(f"ds[{t}]", np.asarray(ds)[t], ds_t)
    check_equal("what was added to net.grads", grads, bptt.flat_gradients(net))


check_walk_back(cuts=(), seed=0)
check_walk_back(cuts=(2, 4), seed=1)
### BEGIN HIDDEN TESTS
check_walk_back(cuts=(1, 2, 5), seed=2)
check_walk_back(cuts=(), seed=3, factors=np.array([0.5, 2.0, 0.0, 1.5, 0.3, 1.0, 7.0]))
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# Now look at it: the norm of what crosses each boundary, for the gradient that is not cut, and for one that is cut in
# front of every fourth step.
#
# **Predict, then run.** What shape has the second line? Where on it is what is thrown away?


# %%
def cut_every(window, T):
    """keep (T + 1,) for windows of this many steps."""
    keep = np.ones(T + 1)
    keep[::window] = 0
    return keep


def mean_norms(ds):
    """The norm for each sequence, of its own loss summed over the steps, mean over the sequences: (T + 1,)."""
    T, B = len(ds) - 1, ds.shape[1]
    return T * B * bptt.norms(ds).mean(axis=1)


ds_true = walk_back(halfway, caches, dy, np.ones(T + 1))
ds_cut = walk_back(halfway, caches, dy, cut_every(4, T))
not_cut, sent_back = mean_norms(ds_true), mean_norms(ds_cut)
saw = [(t, sent_back[t]) if t < start + 4 else (t, 0.0) for start in range(0, T, 4) for t in range(start, start + 5)]
lines = {"not cut": (range(T + 1), not_cut), "windows of 4": np.transpose(saw)}
show_lines({"norm of ds, mean over the sequences": lines}, "boundary t, in front of step t")

# %% [markdown]
# A saw. Going back, from right to left, the gradient grows as the losses of the window add theirs, up to the window's
# first step. What it is then is `ds0`, the tip of the tooth, and that goes nowhere: the window before starts from
# nothing, at a boundary where the true gradient is as large as anywhere.
#
# **Predict, then play.** How long must the windows be until half of the boundaries see half of the true gradient? Move
# the slider.


# %%
def with_windows(window):
    """The gradient by every state, cut into windows of this length."""
    back = mean_norms(walk_back(halfway, caches, dy, cut_every(window, T)))
    starts = range(0, T, window)
    saw = [(t, back[t] if t < start + window else 0.0) for start in starts for t in range(start, start + window + 1)]
    lines = {"not cut": (range(T + 1), not_cut), "cut": np.transpose(saw)}
    return show_lines({"norm of ds, mean over the sequences": lines}, "boundary t, in front of step t")


slide("steps in a window", (1, 2, 3, 4, 6, 8, 12, 24, 48), with_windows)

# %% [markdown]
# **Nothing is lost if the true gradient is handed in.** The library's `truncated` takes as `ds` what is to come back at
# the end of each window. Hand it nothing, and then what you have just computed:

# %%
halfway.zero_grads()
exact_value = bptt.full(halfway, loss, x, labels).value
exact = bptt.flat_gradients(halfway)
for what, ds in (("nothing", None), ("the true gradient", ds_true)):
    halfway.zero_grads()
    windows = list(bptt.truncated(halfway, loss, x, labels, window=4, ds=ds, mean_over=T))
    value = sum(window.value for window in windows)
    error = bptt.compare(bptt.flat_gradients(halfway), exact).error
    off = abs(value - exact_value)
    print(f"windows of 4, handed {what:<18} loss off by {off:.0e}, gradient by {error:.0e} of its norm")
assert error < 1e-12

# %% [markdown]
# The loss is right either way, since the state is carried. Only the gradient suffers. And all that it lacks would fit
# through the door `dsT`: an array of the shape of the state at the end of each window. But the true one comes out of
# the windows to come. Whoever wants it must wait for them, and keep all caches until then.
#
# ## 3. Bias
#
# How wrong is the cut gradient? We compare it with the exact one as two arrows: the cosine of the angle between them,
# and the ratio of their lengths. Both are 1 if they agree. First, which part of the gradient is concerned at all?


# %%
def gradient(net, caches, dy, keep, layer=0):
    """All gradients of one layer of the net in one array."""
    net.zero_grads()
    walk_back(net, caches, dy, keep)
    return bptt.flat_gradients(net[layer])


for layer, name in enumerate(("LSTM", "Linear")):
    exact, cut = (gradient(halfway, caches, dy, keep, layer) for keep in (np.ones(T + 1), cut_every(1, T)))
    print(
        f"{name:<8} cosine {bptt.compare(cut, exact).cosine:.3f}   relative error {bptt.compare(cut, exact).error:.3f}"
    )

# %% [markdown]
# Even in windows of a single step the readout gets its exact gradient: from its output to the loss no time passes. What
# it can read in the state, it learns to read. The cut concerns what the LSTM *writes* into the state. So from here on
# we look at the LSTM's gradient.
#
# **Predict, then run.** Windows of 1 to 16 steps, the network as it starts and the one halfway, on the same sequences.
# For comparison, the third line is the cosine of two *exact* gradients, from different sequences: less than that is
# more than noise. How long must a window be, when the lags are 3 and 5?

# %%
x_other, labels_other = sequences(seed=2)
lengths = range(1, 17)
cosines, ratios = {}, {}
for name, net in {"at the start": fresh, "halfway": halfway}.items():
    y, caches = forward_steps(net, x)
    dy = loss.gradient(y, labels)
    exact = gradient(net, caches, dy, np.ones(T + 1))
    compared = [bptt.compare(gradient(net, caches, dy, cut_every(window, T)), exact) for window in lengths]
    cosines[name] = [float(c.cosine) for c in compared]
    ratios[name] = [float(c.ratio) for c in compared]
    if net is halfway:
        y_other, caches_other = forward_steps(net, x_other)
        exact_other = gradient(net, caches_other, loss.gradient(y_other, labels_other), np.ones(T + 1))
        between = bptt.compare(exact_other, exact)
cosines["halfway, exact, other sequences"] = [float(between.cosine)] * len(lengths)
show_curves(
    {"cosine with the exact gradient": cosines, "norm / norm of the exact one": ratios}, xlabel="window (steps)"
)

# %% [markdown]
# At the start the direction is not far off. There the network learns first of all that $y$ shows 1 more often than 0,
# and for that no memory is needed. Halfway, when it is about memory, it is another picture: short windows point
# elsewhere, and they are too short, as part of what should come back does not. And a window of 6 steps, which reaches
# over both lags, is not yet right, for the lag must fit between the loss and the *start of its window*. In a window of
# $k$ steps this is so for the last $k - 5$ of them:

# %%
for window in (2, 4, 6, 8, 12, 48):
    seeing = {lag: max(window - lag, 0) / window for lag in task.lags}
    print(f"windows of {window:2d}: {seeing[3]:4.0%} of the losses reach back to lag 3, {seeing[5]:4.0%} to lag 5")

# %% [markdown]
# ### Not noise
#
# Every gradient in training is wrong, as it comes from a few examples. That error has no preferred direction, and it
# averages out. Does the error of the cut average out?
#
# **Predict, then run.** The error of the gradient, in units of its norm, from 4 to 512 sequences. The truth is here the
# exact gradient of 4096 others.

# %%
x_many, labels_many = sequences(seed=3, size=4096)
halfway.zero_grads()
bptt.full(halfway, loss, x_many, labels_many)
truth = bptt.flat_gradients(halfway[0])

x_few, labels_few = sequences(seed=4, size=512)
sizes = 2 ** np.arange(2, 10)
errors = {}
for name, window in (("not cut", T), ("windows of 8", 8), ("windows of 4", 4), ("windows of 2", 2)):
    for size in sizes:
        halfway.zero_grads()
        for _ in bptt.truncated(halfway, loss, x_few[:, :size], labels_few[:, :size], window, mean_over=T):
            pass
        error = bptt.compare(bptt.flat_gradients(halfway[0]), truth).error
        errors.setdefault(name, []).append(float(error))
show_lines(
    {"error / norm of the true gradient": {name: (sizes, values) for name, values in errors.items()}},
    "number of sequences",
    log="xy",
)

# %%
for name, values in errors.items():
    print(f"{name:<14} error {values[0]:.2f} from {sizes[0]} sequences, {values[-1]:.2f} from {sizes[-1]}")
assert errors["not cut"][-1] < 0.3 * errors["not cut"][0]
assert errors["windows of 2"][-1] > 0.5 > errors["not cut"][-1]

# %% [markdown]
# Without a cut the error falls, about like one over the root of the number: that is noise. With a cut it comes down to
# some level, if it is not there already, and stays. What is lost is lost in every sequence in the same way. This is
# **bias**: more data do not help, nor does patience, as every step goes a little in the same wrong direction. Where the
# noise is larger than the bias, at few sequences, nobody will notice the cut.
#
# ## 4. Two ways without bias
#
# ### Forwards: real-time recurrent learning
#
# Must one go *back* at all? Ask another question: how much has each weight, through all steps so far, changed the state
# as it is now? This is the **influence** $P_t = \partial h_t / \partial W$, and it can be carried along with the state.
# Take an RNN, for a single sequence, and put what goes into a step side by side, and the weights one below the other:
#
# $$z_t = [\,x_t \,|\, h_t \,|\, 1\,]\;(M,) \qquad W = \begin{bmatrix} W_x \\ W_h \\ b \end{bmatrix}\;(M, H) \qquad
# h_{t+1} = \tanh(z_t W) \qquad M = D + H + 1$$
#
# A weight $W_{mn}$ moves $h_{t+1}$ in two ways. It moved $h_t$ before, and that goes through this step's Jacobian $J$.
# And it is used in this step itself: there it moves unit $n$, and no other, with strength $z_m$. All of it goes through
# the slope of the tanh. With $\delta_{in} = 1$ where $i = n$, and 0 elsewhere,
#
# $$P_{t+1}[i, m, n] = (1 - h_{t+1,i}^2) \Big( \sum_j W_h[j, i] \; P_t[j, m, n] + \delta_{in} \, z_{t,m} \Big)
# \qquad P\,(H, M, H)$$
#
# or $P_{t+1} = J\,P_t + F$. As a picture, with $H = 2$ and $D = 1$, each $P$ with its weights in a row: two of $W_x$,
# four of $W_h$, two of $b$.
#
# **Predict, then run.** Half of the entries of $F$ are zero. Which half?

# %%
rng = np.random.default_rng(3)
tiny = RNN(1, 2, rng=rng, dtype=np.float64)
x_tiny, target = rng.uniform(-1, 1, (4, 1, 1)), np.zeros((4, 1, 2))
P_t, P_next = [step.influence[0] for step in bptt.rtrl(tiny, SquaredError(), x_tiny, target)][2:]
J = bptt.jacobians(tiny, x_tiny)[3, 0]
F = np.round(P_next - J @ P_t, 12) + 0.0
show_formula(("P[t+1]", P_next), "=", ("J", J), "@", ("P[t]", P_t), "+", ("F", F), digits=2)

# %% [markdown]
# Zero is what would lead from a weight to another unit than its own: that takes a second step. Whatever is older comes
# through $J$.
#
# ### Exercise 3: the influence, a step further
#
# Write `influence_step`. `np.einsum` takes index formulas letter by letter: `np.einsum("ij,jk->ik", A, B)` is
# $\sum_j A_{ij} B_{jk}$, since letters that do not stand behind the arrow are summed over. $\delta$ is `np.eye(H)`, and
# an array `a` $(H,)$ scales along the first of three axes as `a[:, None, None]`.


# %% exercise="influence"
def influence_step(P, Wh, z, h_next):
    """P (H, M, H) of the state before the step, Wh (H, H), z (M,), the state after it h_next (H,) -> P after it."""
    H = len(h_next)
    ### BEGIN SOLUTION
    slope = 1 - h_next**2
    through_the_past = np.einsum("ji,jmn->imn", Wh, P)
    in_this_step = np.einsum("in,m->imn", np.eye(H), z)
    return slope[:, None, None] * (through_the_past + in_this_step)
    ### END SOLUTION


# %% test="influence-check" points=3
def check_influence(D, H, T, seed):
    """Stop with a sentence if `influence_step` differs from the library's real-time recurrent learning."""
    rng = np.random.default_rng(seed)
    rnn = RNN(D, H, rng=rng, dtype=np.float64)
    rnn.params.b = rng.standard_normal(H)
    Wh, x, M = rnn.params.Wh, rng.standard_normal((T, 1, D)), D + H + 1
    h = rng.uniform(-1, 1, (1, H))
    P = np.zeros((H, M, H))
    steps = list(bptt.rtrl(rnn, SquaredError(), x, np.zeros((T, 1, H)), h))
    for t, step in enumerate(steps):
        (alone,) = bptt.rtrl(rnn, SquaredError(), x[t : t + 1], np.zeros((1, 1, H)), h)
        right, F = (known.influence[0].reshape(H, M, H) for known in (step, alone))
        JP, slope = right - F, (1 - step.sT[0] ** 2)[:, None, None]
        tanh_twice = (1 - np.tanh(step.sT[0]) ** 2)[:, None, None]
        z = np.concatenate([x[t, 0], h[0], [1.0]])
        suspects = {
            "the slope 1 - h_next**2 is missing": right / slope,
            "the slope is missing at the first term": JP / slope + F,
            "the slope is missing at the second term": JP + F / slope,
            "the slope belongs to i, the first index: slope[:, None, None]": right / slope * slope[:, 0, 0],
            "in this step a weight moves unit n alone: delta_in is missing": JP + slope * z[:, None],
            "tanh is taken once more: h_next is what came out of it": right / slope * tanh_twice,
        }
        if t:
            suspects |= {
                "the influence through the past is missing": F,
                "what the weights do in this step is missing": JP,
                "Wh is transposed": F + slope * np.einsum("ij,jmn->imn", Wh, P),
                "P is multiplied by the slope alone, and does not go through Wh": F + slope * P,
                "P is added as it is, and does not go through this step's Jacobian": F + P,
            }
        h, kept = step.sT, P.copy()
        got = influence_step(P, Wh.copy(), z, h[0].copy())
        when = "a first step, from P = 0" if t == 0 else f"step {t}"
        check_equal(f"{when}: P", got, right, suspects)
        check_equal("P after the call (influence_step must not change it)", P, kept)
        P = right.copy()


check_influence(D=2, H=3, T=3, seed=0)
### BEGIN HIDDEN TESTS
check_influence(D=1, H=4, T=5, seed=1)
check_influence(D=3, H=1, T=2, seed=2)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# With $P$ at hand, the gradient of the loss of *this* step, by all uses of the weights in *all* steps before, is a
# single product: $dW = \sum_i dh_i \, P[i]$, where $dh$ comes from the loss of this step alone. A stream, read once,
# forwards:


# %%
def real_time(net, x, labels):
    """The sum of the exact gradients by W of all steps' losses (M, H), for one sequence, without going back."""
    rnn, readout = net
    W, Wh = np.vstack([rnn.params.Wx, rnn.params.Wh, rnn.params.b]), rnn.params.Wh
    H = len(Wh)
    h, P, dW = np.zeros(H), np.zeros((H, len(W), H)), np.zeros_like(W)
    for t in range(len(x)):
        z = np.concatenate([x[t, 0], h, [1.0]])
        h = np.tanh(z @ W)
        P = influence_step(P, Wh, z, h)
        y, cache = readout.forward(h[None])
        dh = readout.backward(loss.gradient(y, labels[t]), cache)[0]
        dW += np.einsum("i,imn->mn", dh, P)
    return dW


rng = np.random.default_rng(5)
small = Sequential(RNN(1, 8, rng=rng, dtype=np.float64), Linear(8, 1, rng=rng, dtype=np.float64))
steps = 400
x_stream, labels_stream = sequences(seed=5, size=1, length=steps)
online = real_time(small, x_stream, labels_stream) / steps

print(f"{'of a stream of 400 steps':<26}{'cosine':>10}{'norm ratio':>12}{'error':>10}   against RTRL")
for window in (1, 2, 4, 8, 16, steps):
    small.zero_grads()
    for _ in bptt.truncated(small, loss, x_stream, labels_stream, window, mean_over=steps):
        pass
    c = bptt.compare(bptt.flat_gradients(small[0]), online.ravel())
    name = f"windows of {window}" if window < steps else "full BPTT"
    print(f"{name:<26}{c.cosine:10.4f}{c.ratio:12.4f}{c.error:10.0e}")
assert c.error < 1e-12

# %% [markdown]
# Two exact gradients that were computed in opposite directions agree to rounding, and the windows approach them. This
# is *real-time recurrent learning*, RTRL. Nothing is cut, nothing is kept but $h$ and $P$, and every step's gradient is
# there at once. (With weights that change on the way, $P$ is made of old and new ones, and exact no more.) So why does
# not everybody do it?
#
# **Predict, then run.** How many numbers has $P$, for $H$ units? How many multiplications does a step take?

# %%
print(f"{'units':>6}{'weights':>10}{'P':>12}{'cache of 20 steps':>20}{'step of RTRL':>15}{'step of BPTT':>15}")
for H in (4, 16, 64, 256):
    M = 1 + H + 1
    rnn = RNN(1, H, rng=0, dtype=np.float64)
    P, z, h = np.zeros((H, M, H)), np.ones(M), np.zeros(H)
    times = []
    for _ in range(3 if H < 256 else 0):  # the largest would take its time
        started = time.perf_counter()
        influence_step(P, rnn.params.Wh, z, h)
        times.append(time.perf_counter() - started)
    bptt_times = []
    for _ in range(3):
        started = time.perf_counter()
        y, _, cache = rnn.forward(np.zeros((20, 1, 1)))
        rnn.backward(y, cache)
        bptt_times.append((time.perf_counter() - started) / 20)
    memory = f"{P.nbytes / 1e6:9.3f} MB{cache.nbytes / 1e6:17.3f} MB"
    took = f"{1e3 * min(times):12.2f} ms" if times else "not tried"
    print(f"{H:6d}{M * H:10,}{memory}{took:>15}{1e3 * min(bptt_times):12.2f} ms")

# %% [markdown]
# $P$ has $H \cdot M \cdot H$ numbers, about $H^3$, and that for *each* sequence of the minibatch. The sum over $j$
# takes $H$ multiplications for each of them, so a step takes about $H^4$. Four times the units, 64 times the memory,
# and, once the network is not tiny, up to 256 times the work. As a truth to measure others against it is priceless; to
# train with, it is for small networks.
#
# ### Backwards: cuts at random
#
# The other way keeps windows short on average. Cut at *random*: at each boundary, throw a coin, and cut with
# probability $c$. Some windows will be long, so every lag is seen now and then. But how rarely, for the long ones! Make
# up for it: where nothing is cut, multiply what goes back by such a factor that the *mean* of what crosses is what
# should cross.
#
# ### Exercise 4: the right factor
#
# Write `random_keep`: the factors for `walk_back`, at each boundary 0 with probability `c`, and otherwise what makes
# their mean 1. `rng.random(n)` gives `n` numbers between 0 and 1, each below `c` with probability `c`.


# %% exercise="random-keep"
def random_keep(T, c, rng):
    """Random factors (T + 1,) with mean 1, each 0 with probability c."""
    ### BEGIN SOLUTION
    return (rng.random(T + 1) >= c) / (1 - c)
    ### END SOLUTION


# %% test="random-keep-check" points=2
def check_random_keep(T, c, seed, draws=500):
    """Stop with a sentence if the factors have other values, other odds or another mean."""
    rng = np.random.default_rng(seed)
    before = rng.bit_generator.state
    got = random_keep(T, c, rng)
    assert got is not None, "random_keep returns None: is there a return?"
    assert rng.bit_generator.state != before, "the rng that is handed in was not used."
    assert np.shape(got) == (T + 1,), f"random_keep returns an array of shape {np.shape(got)}, expected {(T + 1,)}."
    keep = np.array([random_keep(T, c, rng) for _ in range(draws)], dtype=float)
    inner = keep[:, 1:T]  # what stands at the two ends does not matter
    same = (inner == inner[:, :1]).all()
    assert not same, "within a draw all factors are the same: each boundary needs a coin of its own, rng.random(T + 1)."
    cut, slack = (inner == 0).mean(), 5 * np.sqrt(c * (1 - c) / inner.size)
    hint = " Likely: the coin is read the wrong way round." if abs(cut - (1 - c)) < slack else ""
    assert abs(cut - c) < slack, f"with c = {c}, {cut:.3f} of the boundaries are cut, expected {c}.{hint}"
    mean = inner.mean()
    hints = {1: "what is not cut has the factor 1", 1 / c: "c is the probability of a cut, and 1 - c that of none"}
    hint = "".join(f" Likely: {what}." for factor, what in hints.items() if np.isclose(inner.max(), factor))
    assert abs(mean - 1) < slack / (1 - c), f"with c = {c}, the mean of the factors is {mean:.3f}, expected 1.{hint}"
    values = np.unique(inner[inner != 0])
    assert np.ptp(values) < 1e-9, f"what is not cut has different factors, from {values[0]:.3f} to {values[-1]:.3f}."
    if T > 20:
        pairs = (inner[:, :-1] == 0) & (inner[:, 1:] == 0)
        odds = abs(pairs.mean() - c**2) < 8 * c / np.sqrt(pairs.size)
        assert odds, f"neighbours are both cut in {pairs.mean():.3f} of the cases, expected {c**2:.3f}: one coin each."


check_random_keep(T=40, c=0.25, seed=0)
### BEGIN HIDDEN TESTS
check_random_keep(T=12, c=0.5, seed=1)
check_random_keep(T=100, c=0.1, seed=2)
### END HIDDEN TESTS
print("Exercise 4: right.")

# %% [markdown]
# **Predict, then run.** The network halfway, cuts with probability 1/4, so 4 steps between them on average. We draw the
# cuts many times, for the same sequences, and average the gradients. Beside it stand the same cuts without the factor,
# and the fixed windows of 4. Which of the three gets to the exact gradient? And which is the best if one may draw only
# once?

# %%
c, draws, T_short = 0.25, 64, 32
y, caches = forward_steps(halfway, x[:T_short, :64])
dy = loss.gradient(y, labels[:T_short, :64])
exact = gradient(halfway, caches, dy, np.ones(T_short + 1))
rng = np.random.default_rng(0)
keeps = [random_keep(T_short, c, rng) for _ in range(draws)]
drawn = {
    "random cuts, with the factor": np.array([gradient(halfway, caches, dy, keep) for keep in keeps]),
    "random cuts, without it": np.array([gradient(halfway, caches, dy, 1.0 * (keep > 0)) for keep in keeps]),
}
counts = 2 ** np.arange(7)
lines = {}
for name, gradients in drawn.items():
    means = [gradients.reshape(draws // n, n, -1).mean(axis=1) for n in counts]  # disjoint groups of n draws each
    lines[name] = (counts, [np.mean([bptt.compare(mean, exact).error for mean in group]) for group in means])
fixed = bptt.compare(gradient(halfway, caches, dy, cut_every(4, T_short)), exact).error
lines["fixed windows of 4"] = (counts, [fixed] * len(counts))
show_lines({"error / norm of the exact gradient": lines}, "number of draws averaged", log="xy")

# %%
for name, (_, values) in lines.items():
    print(f"{name:<30} error {values[0]:.2f} from one draw, {values[-1]:.2f} from {draws}")
survives = [(1 - c) ** distance for distance in (1, 5, 20)]
print(
    "\n".join(
        f"crosses {d:2d} boundaries: {p:7.2%} of the time, times {1 / p:7.1f}"
        for d, p in zip((1, 5, 20), survives, strict=True)
    )
)
assert lines["random cuts, with the factor"][1][-1] < 0.3 * lines["random cuts, without it"][1][-1]

# %% [markdown]
# With the factor, the error is noise, and averages out. Without it, random cuts are biased like others: it is not the
# randomness that heals. From a single draw, there is little between the three. The price is in the last lines. What
# crosses many boundaries crosses them rarely, and then it is multiplied by a large factor. So the noise, relative to
# what should come back from there, grows exponentially with the distance. The bias was exchanged for noise, and whether
# that is a good bargain depends on how far back one has to look.
#
# ## 5. What the cut costs in learning
#
# Now train, in windows of 2, 3, 4 and 12 steps. All read equally many steps of the stream, with three seeds each. Note
# that the short windows get *more* updates for that, so they have no disadvantage but the cut.
#
# **Predict, then run.** The lags are 3 and 5. Where will each window come to rest?

# %%
STEPS, BATCH, SEEDS = 1800, 64, (0, 1, 2)


def stream_and_optimiser(window, seed):
    """As many windows as make up STEPS steps, and Adam whose learning rate falls to 0 until then."""
    count = STEPS // window
    stream = islice(task.windows(size=BATCH, length=window, seed=seed), count)
    return stream, Adam(partial(cosine_decay, lr=4e-2, total=count))


def fresh_loss(net, length=20, carry=True):
    """The mean loss on new sequences; the first window, which has no past, is left out."""
    s, values = None, []
    for x, labels in islice(task.windows(size=500, length=length, seed=1000), 1 + 200 // length):
        y, s, _ = net.forward(x, s if carry else None)
        values.append(loss.value(y, labels))
    return np.mean(values[1:])


curves, reached = {}, {}
started = time.perf_counter()
for window in (2, 3, 4, 12):
    name = f"windows of {window}"
    for seed in SEEDS:
        net = new_net(seed)
        stream, optimiser = stream_and_optimiser(window, seed)
        losses, _ = train(net, loss, optimiser, stream)
        curves.setdefault(name, []).append([np.mean(part) for part in np.array_split(losses, 18)])
        reached.setdefault(name, []).append(fresh_loss(net))
print(f"{len(SEEDS) * len(curves)} trainings took {time.perf_counter() - started:.1f} seconds")
read = STEPS / 18 * np.arange(1, 19)
show_lines({"loss (nats)": {name: (read, runs) for name, runs in curves.items()}}, "steps read", levels=levels)

# %% [markdown]
# Two controls say what the numbers are owed to:
#
# - **state not carried**: windows of 4, each begun at zeros, so nothing but the window itself can be known. Its lowest
#   loss can be computed: step $i$ of the window sees the lags up to $i$. (In the table it may be missed by a little to
#   either side, as the new sequences are a sample.)
# - **frozen LSTM**: windows of 2, but the LSTM keeps its random weights, and only the readout learns. No gradient has
#   to pass through time at all, and the state is what random weights make of the past.


# %%
class OnlyTheReadout:
    """An optimiser that leaves the LSTM alone."""

    def __init__(self, optimiser):
        self.optimiser = optimiser

    def step(self, net):
        self.optimiser.step(net[1])


lowest = dict.fromkeys(reached, task.floor)
for seed in SEEDS:
    net = new_net(seed)
    stream, optimiser = stream_and_optimiser(4, seed)
    for window in stream:
        train(net, loss, optimiser, [window])  # one by one: each begins at zeros
    reached.setdefault("of 4, state not carried", []).append(fresh_loss(net, length=4, carry=False))
    net = new_net(seed)
    stream, optimiser = stream_and_optimiser(2, seed)
    train(net, loss, OnlyTheReadout(optimiser), stream)
    reached.setdefault("of 2, frozen LSTM", []).append(fresh_loss(net))
seen = [tuple(lag for lag in task.lags if lag <= i) for i in range(4)]
lowest["of 4, state not carried"] = np.mean([task.floors[lags] for lags in seen])
lowest["of 2, frozen LSTM"] = task.floor

print(f"{'loss on new sequences':<28}{'seed 0':>9}{'seed 1':>9}{'seed 2':>9}{'lowest possible':>18}")
for name, values in reached.items():
    print(f"{name:<28}{values[0]:9.4f}{values[1]:9.4f}{values[2]:9.4f}{lowest[name]:18.4f}")
print("levels: " + ", ".join(f"{name} {level:.4f}" for name, level in levels.items()))
for name in ("windows of 4", "windows of 12"):
    assert max(reached[name]) < levels["both lags"] + 0.03
short = reached["windows of 2"] + reached["windows of 3"]
assert np.mean(short) > levels["lag 3 only"] and min(short) > max(reached["windows of 4"])
assert np.ptp(short) > 0.02
assert min(reached["of 4, state not carried"]) > lowest["of 4, state not carried"] - 0.01
assert min(reached["of 2, frozen LSTM"]) > max(reached["windows of 12"]) + 0.1

# %% [markdown]
# Windows that are too short for both lags stay far above the best possible loss, with as many steps and more updates.
# But be honest about the rest:
#
# - They do not all stay on the level of *nothing*, and the seeds differ. A state holds traces of the past also when
#   nobody asked for it; the frozen LSTM shows how much of that a readout can use. The LSTM's own learning changes what
#   there is to be read, by luck for better or worse. So the runs with short windows wander, where those with longer
#   ones go straight to the floor.
# - Windows of 4 are too short for lag 5, and come down to the floor of both.

# %% [markdown] answer="four-and-five" points=2
# **A question to answer in words.** In windows of 4 steps no loss ever sends a gradient back to an input 5 steps before
# it. The network learned lag 5 all the same. How can that be? What does the control without the carried state say about
# your explanation? And would you rely on it for a lag of 50?
#
# ### BEGIN SOLUTION
# The gradient need not reach the input; it must only teach the LSTM to write into the state what will be of use. For
# lag 3, which a window of 4 reaches from its last step, the LSTM must learn to hold several past flips at the same time
# and keep them in order, and a state that does this still holds traces of older ones. The readout, whose gradient is
# exact in any window, learns to read them; and within a window the LSTM learns to make readable what the state brought
# along from before the window's start. The control shows that this must come in with the state: begun at zeros, windows
# of 4 cannot get below a loss that is far above, and they do not. For a lag of 50 there is no such neighbour to profit
# from: a trace that nobody taught the network to keep fades step by step, and nothing in the gradient would tell.
# ### END SOLUTION

# %% [markdown]
# ## 6. The trade-off
#
# All of it in one table, measured with this lesson's network on this machine: what the window's length costs, and what
# it buys.

# %%
columns = ("window", "cache", "a step", "updates in 1000", "losses that see lag 5", "cosine halfway", "loss, trained")
print("".join(f"{name:>{len(name) + 3}}" for name in columns))
for window in (1, 2, 3, 4, 12, 48):
    net, optimiser, cache, times = new_net(seed=0), Adam(3e-2), None, []
    x_window, labels_window = next(task.windows(size=BATCH, length=window))
    for _ in range(8 + 48 // window):
        started = time.perf_counter()
        net.zero_grads()
        y, _, cache = net.forward(x_window, None, cache)
        net.backward(loss.gradient(y, labels_window), cache)
        optimiser.step(net)
        times.append((time.perf_counter() - started) / window)
    costs = (f"{cache.nbytes / 1e3:.0f} kB", f"{1e6 * min(times):.0f} µs", f"{1000 / window:.0f}")
    cosine = f"{cosines['halfway'][window - 1]:.2f}" if window in lengths else "-"
    trained = f"{np.mean(reached[f'windows of {window}']):.3f}" if f"windows of {window}" in reached else "-"
    row = (window, *costs, f"{max(window - 5, 0) / window:.0%}", cosine, trained)
    print("".join(f"{entry:>{len(name) + 3}}" for entry, name in zip(row, columns, strict=True)))

# %% [markdown]
# - **Memory** grows with the window. It is what one cuts for, together with the wait for an update.
# - **Work** per step of the stream does not grow; short windows are the expensive ones, since each update has its fixed
#   cost. Going back is not dearer for going back further.
# - **Updates** per step get rarer. On an easy task with much data that is a price, too.
# - **The gradient** gets better far beyond the lag: what counts is how many of the losses can see it.
#
# So take windows several times as long as what is to be remembered, if you know how long that is and the memory allows
# it. (Here a window of 4 would do, by the luck that you have just explained.) If not, three doors have been opened in
# this lesson: exact and $O(H^3)$, forwards; unbiased and noisy, by random cuts; and the one at the end of line 2.
# Somebody who stands at the end of a window, sees the state, and has seen many windows before might *guess* what will
# come back. It need not wait, and an array of the shape of `s` is all it has to say. That is a **synthetic gradient**.
#
# (The learning rate, the width and the number of steps were chosen for this lesson by looking at trainings like these.)
#
# ## 7. The same as the library's
#
# The library's `truncated` calls this function for one window after the other, and hands on its `sT` as the next one's
# `s0`. Find your lines:

# %%
print(inspect.getsource(inspect.getmodule(bptt.truncated)._window))

# %% [markdown]
# The same weights and the same stream, and each result compared:


# %%
def same(what, got, expected):
    check_equal(what, got, expected)
    print(f"{what:<46} largest difference {np.abs(np.asarray(got) - expected).max():.1e}")


def double_net(seed):
    return new_net(seed).astype(np.float64)


x, labels = sequences(seed=6, size=32, length=240)
windows = [(x[start : start + 12], labels[start : start + 12]) for start in range(0, 240, 12)]
mine, theirs = double_net(7), double_net(7)
losses, s = train(mine, loss, Adam(1e-2), windows)

optimiser, values = Adam(1e-2), []
for window in bptt.truncated(theirs, loss, x, labels, window=12):
    optimiser.step(theirs)
    theirs.zero_grads()
    values.append(window.value)
same("loss of 20 windows of training", losses, values)
same("the last state", s, window.sT)
for name, param in mine.params.items():
    same(f"{name} after training", param, theirs.params[name])

# %%
y, caches = forward_steps(mine, x)
dy = loss.gradient(y, labels)
same("ds, not cut", walk_back(mine, caches, dy, np.ones(241)), bptt.state_gradients(mine, x, dy))
mine.zero_grads()
walk_back(mine, caches, dy, cut_every(12, 240))
cut = bptt.flat_gradients(mine)
mine.zero_grads()
for _ in bptt.truncated(mine, loss, x, labels, window=12, mean_over=240):
    pass
same("all gradients, cut every 12 steps", cut, bptt.flat_gradients(mine))

# %%
net = Sequential(RNN(1, 6, rng=8, dtype=np.float64), Linear(6, 1, rng=9, dtype=np.float64))
x_short, labels_short = x[:30, :1], labels[:30, :1]
mine_forwards = real_time(net, x_short, labels_short).ravel()
net.zero_grads()
*_, last = bptt.rtrl(net, loss, x_short, labels_short)
same("gradient by RTRL", mine_forwards, bptt.flat_gradients(net[0]))
rnn, P, h = net[0], np.zeros((6, 8, 6)), np.zeros(6)
for x_t in x_short[:, 0]:
    z = np.concatenate([x_t, h, [1.0]])
    h = np.tanh(z @ np.vstack([rnn.params.Wx, rnn.params.Wh, rnn.params.b]))
    P = influence_step(P, rnn.params.Wh, z, h)
same("influence after 30 steps", P.reshape(6, -1), last.influence[0, :, : P[0].size])

# %% [markdown]
# ## What to remember
#
# - Truncated backpropagation through time: carry the state, cut the gradient. The loss stays right; of the gradient,
#   what later windows would have sent back is missing.
# - What is missing has the shape of the state, and would come in through `dsT`. With the true one there, windows of any
#   length give the exact gradient.
# - The cut is a bias: it does not average out. Compare gradients on enough data, or noise hides it.
# - A window as long as the lag is not enough: only losses near its end see so far.
# - The cut concerns what is written into the state. What is in the state by luck, a readout learns to read; a network
#   that gets somewhere with a short window has not shown that its gradient was good.
# - RTRL is exact and goes forwards; it takes $O(H^3)$ memory and $O(H^4)$ work a step. Random cuts with the right
#   factor have no bias, and noise instead.
# - One cuts for memory and for early updates. The work per step is no reason.
#
# ## Where the formulas come from
#
# - Truncated backpropagation through time: R. J. Williams and J. Peng, *An efficient gradient-based algorithm for
#   on-line training of recurrent network trajectories*, Neural Computation 2 (1990). There one may also go back further
#   than to the last update, so that windows overlap: then every loss sees far enough, and the work grows instead.
# - Real-time recurrent learning: R. J. Williams and D. Zipser, *A learning algorithm for continually running fully
#   recurrent neural networks*, Neural Computation 1 (1989).
# - Random cuts with a factor: C. Tallec and Y. Ollivier, *Unbiasing truncated backpropagation through time*, arXiv
#   1705.08209 (2017).
# - A measured comparison of such algorithms: O. Marschall, K. Cho and C. Savin, *A unified framework of online learning
#   algorithms for training recurrent neural networks*, Journal of Machine Learning Research 21 (2020).
# - The two-lag task: R2RT, *Recurrent Neural Networks in Tensorflow I* (2016), there with lags 3 and 8.
# - LSTM: S. Hochreiter and J. Schmidhuber, *Long short-term memory*, Neural Computation 9 (1997).
# - Synthetic gradients: M. Jaderberg and others, *Decoupled neural interfaces using synthetic gradients*, ICML 2017,
#   arXiv 1608.05343.
