# %% [markdown]
# # Longer than the window
#
# - **Minutes:** 45
# - **Needs:** the lesson *Truncation*: windows, the cut gradient and what it lacks; from *Synthetic gradients* and
#   *Bootstrapping* a synthesizer, its zero start, and targets that are themselves guesses
# - **Learn:** put a synthesizer at the end of a window, train a network on dependencies that its windows do not hold,
#   and measure what crosses a boundary, how much of it can be known there, and what the scale does
# - **Data:** none to load: a stream of coin flips whose lowest possible loss is known exactly, and patterns to copy
#
# Truncated backpropagation carries the state from window to window and cuts the gradient. What is cut would come in
# through a door, `dsT`, an array of the shape of the state. A synthesizer can stand there: it sees the state at the end
# of the window, and has seen what came back from such states before. Nothing else is new. The boundary is one in time
# instead of depth, and the code is five lines.
#
# About this one can read, in the same discussion as before:
#
# - **A.** "With a synthetic gradient at the end of the window, a network learns dependencies longer than its window."
# - **B.** "What crosses the boundary is negligible, or one would not have cut there."
# - **C.** "Gradients vanish anyway. Synthetic gradients do not cure that."
#
# At the end there is a verdict on each, made of what was measured.
#
# There are three exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.
#
# Section 6 is an extra: run its cells, and read it in 5 minutes more.

# %%
from functools import partial

import numpy as np

from minidni import LSTM, SGD, Adam, Linear, Sequential, SigmoidCrossEntropy, SquaredError, Synthesizer, bptt
from minidni.data import Copying, TwoLag
from minidni.dni import AuxiliaryHead, window_jacobian
from minidni.experiments.loop import Trainer
from minidni.gradcheck import check_equal
from minidni.nn.schedules import cosine_decay
from minidni.plots import show_decay, show_lines, slide

# %% [markdown]
# ## 1. Five lines
#
# You know the task: coins $x_t$ are flipped, and $y_t$ shows 1 with a probability that depends on two flips of the
# past, now 3 and 4 steps ago. The window has **two** steps. So no loss ever sends a gradient back to a flip that it
# depends on.

# %%
LAGS, WINDOW = (3, 4), 2
task, loss = TwoLag(lags=LAGS), SigmoidCrossEntropy()
names = {(): "nothing", (4,): "lag 4 only", (3,): "lag 3 only", (3, 4): "both lags"}
levels = {name: task.floors[lags] for lags, name in names.items()}
for name, level in levels.items():
    print(f"lowest loss for who remembers {name:<11} {level:.4f} nats")

# %% [markdown]
# ### Exercise 1: the door
#
# This is the loop of truncated backpropagation, along sequences of $L$ steps, side by side. Write its body:
#
# 1. `y, sT, cache = net.forward(x[a:b], s, cache)`: this window, from the state that came in. (The old cache is handed
#    in for its memory, so `y` and `sT` are good only until the next window.)
# 2. `dsT`: what `synthesizer.predict` makes of the state at the end. But where the sequences end, there is no future,
#    and no future sends no gradient: `None` in the last window.
# 3. `_, ds0 = net.backward(...)`, with this window's loss, and with `dsT` at the door.
# 4. What has just come back, `ds0`, is what the window *before* would have needed: `synthesizer.fit(trigger, ds0)`,
#    where the trigger is the state at that boundary. In the first window there is no window before, and `s` is `None`.
# 5. `s`: the state that goes on, copied.


# %% exercise="five-lines"
def train(net, loss, optimiser, synthesizer, x, labels, window):
    """Learn along x (L, B, D) in windows, with synthetic gradients at their ends -> the loss of each window."""
    L, losses = len(x), []
    s = cache = None
    for a in range(0, L, window):
        b = min(a + window, L)
        net.zero_grads()
        ### BEGIN SOLUTION
        y, sT, cache = net.forward(x[a:b], s, cache)
        dsT = synthesizer.predict(sT) if b < L else None
        _, ds0 = net.backward(loss.gradient(y, labels[a:b]), cache, dsT)
        if s is not None:
            synthesizer.fit(s, ds0)
        s = sT.copy()
        ### END SOLUTION
        losses.append(loss.value(y, labels[a:b]))
        optimiser.step(net)
    return losses


# %% test="five-lines-check" points=3
def check_train(L, window, seed):
    """Stop with a sentence if `train` differs from the same in the library's windows."""

    def start():
        rng = np.random.default_rng(seed)
        net = Sequential(LSTM(2, 3, rng=rng, dtype=np.float64), Linear(3, 2, rng=rng, dtype=np.float64))
        guess = Synthesizer(Linear(6, 6, rng=rng, dtype=np.float64), SGD(0.3), scale=0.7, zero_start=False)
        x, labels = rng.standard_normal((L, 4, 2)), rng.standard_normal((L, 4, 2))
        return net, SquaredError(), SGD(0.2), guess, x, labels

    def results(net, guess, losses):
        weights = [np.concatenate([p.ravel() for p in n.params.values()]) for n in (net, guess.net)]
        return np.array(losses), *weights

    def library(door=True, ends=True, trigger="s", target="ds0", carry=True):
        net, loss, optimiser, guess, x, labels = start()
        s, losses = None, []
        for a in range(0, L, window):
            b = min(a + window, L)
            net.zero_grads()
            sT = net.forward(x[a:b], s)[1]
            dsT = guess.predict(sT) if b < L or not ends else None
            w = bptt.full(net, loss, x[a:b], labels[a:b], s, dsT if door else None)
            what = w.ds0 if target == "ds0" or dsT is None else dsT
            if s is not None:
                guess.fit(s if trigger == "s" else sT, what)
            losses.append(w.value)
            s = w.sT if carry else None
            optimiser.step(net)
        return results(net, guess, losses)

    mistakes = {
        "dsT is not handed to backward": library(door=False),
        "there is a message in the last window, too; behind it there is no future": library(ends=False),
        "fit is given the state at this window's end, and not at its start (or s is no copy of sT)": library(
            trigger="sT"
        ),
        "the target is what was predicted; expected what came back, ds0": library(target="dsT"),
        "every window begins at zeros, so the state is not carried": library(carry=False),
    }
    net, loss, optimiser, guess, x, labels = start()
    got = results(net, guess, train(net, loss, optimiser, guess, x, labels, window))
    for name, i in (("the loss by window", 0), ("the synthesizer's weights", 2), ("the network's weights", 1)):
        check_equal(name, got[i], library()[i], {what: wrong[i] for what, wrong in mistakes.items()})


check_train(L=8, window=2, seed=0)
### BEGIN HIDDEN TESTS
check_train(L=3, window=3, seed=1)
check_train(L=7, window=3, seed=2)
check_train(L=4, window=1, seed=3)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# The target `ds0` was itself made with a message, at the end of its window: it is bootstrapped, and once more nothing
# in the code says so.
#
# **Predict, then run.** Truncated backpropagation is the same loop with nobody at the door. A fresh synthesizer starts
# at zero. After how many windows do the two differ?


# %%
class Nobody:
    """Truncated backpropagation: nothing is predicted, and nothing learned."""

    def predict(self, s):
        return None

    def fit(self, s, ds0):
        pass


HIDDEN, BATCH = 32, 64
STATE = 2 * HIDDEN  # [h | c]


def new_net(seed):
    return Sequential(LSTM(1, HIDDEN, rng=2 * seed), Linear(HIDDEN, 1, rng=2 * seed + 1))


def sequences(length, seed, size=BATCH):
    return next(task.windows(size=size, length=length, seed=seed))


x, labels = sequences(10, seed=0)
for windows in (1, 2, 3, 4, 5):
    weights = []
    for door in (Synthesizer(Linear(STATE, STATE), Adam(1e-3)), Nobody()):
        net = new_net(seed=0)
        train(net, loss, Adam(3e-3), door, x[: WINDOW * windows], labels[: WINDOW * windows], WINDOW)
        weights.append(np.concatenate([p.ravel() for p in net.params.values()]))
    equal = (weights[0] == weights[1]).all()
    print(f"windows: {windows}   the weights are", "equal, bit for bit" if equal else "different")
    assert equal == (windows < 4)

# %% [markdown]
# In the first window nobody has learned anything, and the message is exactly zero. In the second, the first target
# comes back, but only after the message at its end has gone out. The third would be the first with something to say, if
# the sequences did not end with it: behind the last window there is no future. So it takes four.
#
# ## 2. To the floor
#
# Now train, along 3200 steps of 64 streams. Beside the synthesizer of **scale** 0.3 (its message is multiplied by that;
# we come to it) there are three controls, with the same network:
#
# - **truncated**: nobody at the door, windows of 2, as many updates;
# - **readout alone**: the LSTM stays as it was drawn. What does a random state give away about the past?
# - **windows of 8**, truncated: a window that holds both lags for half of its losses, on the same steps of the stream.
#   It has a quarter of the updates, so a higher learning rate.
#
# **Predict, then run.** Where does each come to rest?

# %%
STEPS, SEEDS = 3_200, (0, 1, 2)


def new_synthesizer(scale, windows):
    return Synthesizer(Linear(STATE, STATE), Adam(partial(cosine_decay, lr=1e-3, total=windows)), scale)


def fresh_loss(net):
    """The mean loss in nats over 160 steps of 400 new streams, behind 20 steps that do not count."""
    x, labels = sequences(180, seed=1000, size=400)
    _, s, _ = net.forward(x[:20])
    return loss.value(net.forward(x[20:], s)[0], labels[20:])


class OnlyTheReadout:
    """An optimiser that leaves the LSTM alone."""

    def __init__(self, optimiser):
        self.optimiser = optimiser

    def step(self, net):
        self.optimiser.step(net[1])


curves, reached, learned = {}, {}, {}


def run(name, seed, door, window=WINDOW, lr=3e-3, only=lambda optimiser: optimiser):
    """Train from the start; keeps the loss on the way, the network, and its loss on new streams."""
    net, windows = new_net(seed), STEPS // window
    optimiser = only(Adam(partial(cosine_decay, lr=lr, total=windows)))
    losses = train(net, loss, optimiser, door, *sequences(STEPS, seed), window)
    curves.setdefault(name, []).append([np.mean(part) for part in np.array_split(losses, 16)])
    reached.setdefault(name, []).append(fresh_loss(net))
    learned[name, seed] = net
    return net


for seed in SEEDS:
    run("scale 0.3", seed, new_synthesizer(0.3, STEPS // WINDOW))
    run("truncated", seed, Nobody())
    run("readout alone", seed, Nobody(), only=OnlyTheReadout)
    run("windows of 8", seed, Nobody(), window=8, lr=1e-2)
read = STEPS / 16 * np.arange(1, 17)
show_lines({"loss (nats)": {name: (read, runs) for name, runs in curves.items()}}, "steps read", levels=levels)


# %%
def show_reached(*names):
    for name in names:
        values = "".join(f"{value:9.4f}" for value in reached[name])
        print(f"{name:<16}{values}   mean {np.mean(reached[name]) - task.floor:.4f} above the floor")


show_reached("readout alone", "truncated", "scale 0.3", "windows of 8")
assert max(reached["scale 0.3"]) < task.floor + 0.012
assert min(reached["truncated"]) > max(reached["scale 0.3"]) + 0.01
assert min(reached["readout alone"]) > max(reached["truncated"])

# %% [markdown]
# With the synthesizer the network comes down to within about 0.01 nats of the floor of *both* lags, in windows that
# hold neither; the long windows get a little nearer still. Without it, it gets somewhere, as in *Truncation*: it reads
# in the state what happens to be there, and 32 units happen to keep a lot. But it stays away from the floor.
#
# How can a message teach something that no window holds? The loss at step $t$ sends its gradient to the start of its
# window. There the synthesizer learns it, as a function of the state. When such a state stands at the end of a window,
# the message goes back over that window, and what arrives at *its* start is learned in turn. Once it has crossed two
# boundaries, one after the other, the news has reached both flips.
#
# ## 3. The scale is a discount
#
# The message is multiplied by the scale $\gamma$ when it is used, and so it is at the next boundary, and at the one
# after that. So what crosses $k$ boundaries arrives with the factor $\gamma^k$.
#
# ### Exercise 2: what a loss is worth
#
# A window has just ended, and the message at its end stands for all later losses, `distance` 0 for the step right
# behind the boundary. If the synthesizers are exact, with which factor does each of these losses enter `dsT`? Write
# `worth`, for a `distance` that is a whole number. (The message that is used at *this* boundary is scaled as well.)


# %% exercise="worth"
def worth(distance, window, scale):
    """The factor of the loss `distance` steps behind a boundary, in the message at that boundary."""
    ### BEGIN SOLUTION
    return scale ** (distance // window + 1)
    ### END SOLUTION


# %% test="worth-check" points=2
def check_worth(window, scale, seed, windows=4):
    """Stop with a sentence if losses weighted with `worth` do not give what exact synthesizers hand back."""
    rng = np.random.default_rng(seed)
    net, steps = LSTM(2, 3, rng=rng, dtype=np.float64), window * windows
    x, dy = rng.standard_normal((steps, 2, 2)), rng.standard_normal((steps, 2, 3))
    caches, s, message = [], None, None
    for a in range(0, steps, window):
        _, s, cache = net.forward(x[a : a + window], s)
        caches.append(cache)
    for i in reversed(range(windows)):  # the message at a boundary is scale times what came back there
        message = scale * net.backward(dy[i * window : (i + 1) * window], caches[i], message)[1]

    def weighted(factor):
        factors = np.array([factor(d) for d in range(steps)], dtype=float)[:, None, None]
        return bptt.state_gradients(net, x, factors * dy)[0]

    suspects = {
        "the message at this boundary is scaled, too": weighted(lambda d: scale ** (d // window)),
        "the scale enters once in a window, not in every step": weighted(lambda d: scale ** (d + 1)),
        "it is a power of the scale, not a multiple": weighted(lambda d: scale * (d // window + 1)),
        "a boundary is crossed all at once: the quotient without its remainder": weighted(
            lambda d: scale ** (d / window + 1)
        ),
        "the scale enters only once, at this boundary": weighted(lambda d: scale),
    }
    assert worth(0, window, scale) is not None, "worth returns None: is there a return?"
    check_equal(
        f"the message, with windows of {window} and scale {scale}",
        weighted(lambda d: worth(d, window, scale)),
        message,
        suspects,
    )


check_worth(window=2, scale=0.3, seed=0)
### BEGIN HIDDEN TESTS
check_worth(window=1, scale=0.9, seed=1)
check_worth(window=5, scale=1.0, seed=2)
check_worth(window=3, scale=0.5, seed=3)
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# All factors together are $\gamma + \gamma^2 + \dots = \gamma / (1 - \gamma)$ windows: the **effective horizon**.

# %%
print(f"{'scale':>6}{'worth of a loss 0, 2, 4, 6, 8 steps behind the boundary':>60}{'horizon':>16}")
for scale in (0.1, 0.3, 0.6, 0.9, 1.0):
    factors = " ".join(f"{worth(d, WINDOW, scale):9.3f}" for d in range(0, 10, 2))
    horizon = "without end" if scale == 1 else f"{scale / (1 - scale):.2f} windows"
    print(f"{scale:6.1f}{factors:>60}{horizon:>16}")

# %% [markdown]
# Only with $\gamma = 1$ is the message meant to be the true gradient; anything below makes it too short and too
# near-sighted, on purpose. **Predict, then run.** Which scale learns best?

# %%
for seed in SEEDS[:2]:
    for scale in (0.6, 1.0):
        run(f"scale {scale}", seed, new_synthesizer(scale, STEPS // WINDOW))
show_reached("truncated", "scale 0.3", "scale 0.6", "scale 1.0")
lines = {name: (read, curves[name][:2]) for name in ("truncated", "scale 0.3", "scale 0.6", "scale 1.0")}
show_lines({"loss (nats)": lines}, "steps read", levels=levels)

# %%
assert np.mean(reached["scale 1.0"]) > max(reached["scale 0.3"] + reached["scale 0.6"]) + 0.02
assert max(reached["scale 0.6"]) < np.mean(reached["truncated"]) - 0.01

# %% [markdown]
# The scale that is right on paper does not get there. Why? A synthesizer learns from its own guesses. Whatever is wrong
# in a message goes back through a window, is multiplied by the scale, and comes back as a target: an error feeds
# itself. How much of it is left after a window is a matter of the window's Jacobian and of the scale.

# %%
net = learned["scale 0.3", 0]
x_look, _ = sequences(40, seed=2000)
_, s_look, _ = net.forward(x_look[:-WINDOW])
J = window_jacobian(net, x_look[-WINDOW:], s_look)  # (B, S, S)
kept = np.abs(np.linalg.eigvals(J)).max(axis=1).mean()
print(f"the slowest direction keeps {kept:.2f} of itself through a window")
windows_to_forget = {}
for scale in (0.3, 0.6, 1.0):
    windows_to_forget[scale] = np.log(0.01) / np.log(scale * kept)
    print(f"with scale {scale} an error has fallen to 1 % after {windows_to_forget[scale]:5.1f} windows")

# %% [markdown]
# **Play.** The scale is a discount of what is far, and of errors as well. Move the slider: what do you win with a small
# scale, and what do you lose?


# %%
def with_scale(scale):
    """What a loss many windows behind the boundary is worth, and what is left of an error after as many windows."""
    behind = np.arange(13)
    news = [worth(WINDOW * k, WINDOW, scale) for k in behind]
    lines = {"worth of a loss so far behind": (behind, news), "left of an error": (behind, (scale * kept) ** behind)}
    return show_lines({"factor": lines}, "windows")


slide("scale", (0.0, 0.1, 0.3, 0.6, 0.8, 0.9, 1.0), with_scale)

# %% [markdown]
# An LSTM keeps: its cells are made for it. So without a discount an error there hardly dies, and the synthesizer needs
# very much longer to get it right. That is one thing while the network rests, and another while it learns, for then the
# truth has moved on in the meantime. We come back to this in a moment, with a measure of "right".
#
# ## 4. What crosses, and what can be known of it
#
# Claims B and C are about the true gradient. First the norm of what crosses a boundary, by its distance to the loss, in
# three networks: at the start, halfway (trained with scale 0.3 for 400 windows), and after the whole training.

# %%
halfway = new_net(seed=0)
train(halfway, loss, Adam(3e-3), new_synthesizer(0.3, 3_000), *sequences(800, seed=0), WINDOW)
nets = {"at the start": new_net(seed=0), "halfway": halfway, "learned": learned["scale 0.3", 0]}
nets["learned, truncated"] = learned["truncated", 0]
x, labels = sequences(40, seed=2001, size=256)
fading = {}
for name, net in nets.items():
    y, _, _ = net.forward(x)
    ds = bptt.by_distance(net, x, loss.gradient(y, labels))
    norms = bptt.norms(ds).mean(axis=1)
    fading[name] = norms[:12] / norms[0]
show_decay(
    {f"lags {LAGS[0]} and {LAGS[1]}, windows of {WINDOW}": fading},
    xlabel="distance k of the boundary from the loss",
    ylabel="gradient, relative to k = 1",
    start=1,
)

# %%
for name, curve in fading.items():
    print(f"{name:<20} at distance 4 {curve[3]:6.2f}, at distance 8 {curve[7]:6.3f} of the nearest gradient")
assert fading["halfway"][3] > 0.1 and fading["learned"][3] > 0.1
assert fading["learned"][7] < 0.5 * fading["learned"][3]

# %% [markdown]
# It does not vanish where it is needed. In the network that learned with a synthesizer it is strong up to the lags and
# falls behind them, as it should: what is older is of no use. In the one that learned without, nothing has made it
# small anywhere.
#
# But a synthesizer stands at the boundary, and from there it cannot see everything. The flips to come are not known,
# nor what the coin $y$ will show. All that it *can* know is the **mean** of the gradient over all futures that may
# follow this past. We can compute that, to some accuracy: 48 pasts, each continued 48 times with other flips, and the
# mean of what comes back.


# %%
def futures(net, scale=1.0, pasts=48, each=48, before=20, steps=20):
    """States s (pasts, S) and what comes back to them, ds (pasts, each, S), from `each` different futures."""
    rng = np.random.default_rng(7)
    past, future = rng.integers(0, 2, (before, pasts, 1)), rng.integers(0, 2, (steps, pasts * each, 1))
    x = np.concatenate([np.repeat(past, each, axis=1), future]).astype(np.float32)
    labels = (rng.random(x.shape) < task.probability(x)).astype(np.float32)
    _, s, _ = net.forward(x[:before])
    s = s.copy()
    y, _, cache = net.forward(x[before:], s)
    discount = scale ** (np.arange(steps) // WINDOW)[:, None, None]  # what a target holds: the nearest window in full
    dy = loss.gradient(y, labels[before:]) * discount.astype(np.float32)
    _, ds = net.backward(dy * (len(s) * steps / WINDOW), cache)  # of one stream's loss, a mean over a window
    return s.reshape(pasts, each, -1)[:, 0], ds.reshape(pasts, each, -1)


def size(a):
    return np.sqrt(np.square(a).sum(axis=-1).mean())


def knowable_share(ds):
    """How much of the mean square of ds its mean over the futures has; the noise of 48 futures is taken off."""
    mean, each = ds.mean(axis=1), ds.shape[1]
    noise = np.square(ds - mean[:, None]).sum(axis=-1).mean() / (each - 1)
    return (size(mean) ** 2 - noise) / size(ds) ** 2


shares = {}
for name, net in nets.items():
    _, ds = futures(net)
    shares[name] = knowable_share(ds)
    print(
        f"{name:<20} norm of what crosses {size(ds):.2f}, of that can be known {shares[name]:6.1%} of the mean square"
    )
assert shares["halfway"] > 0.05
assert shares["learned"] < 0.3 * shares["halfway"]

# %% [markdown]
# Most of what crosses is chance. At the start and halfway a part of it can be known, and that part teaches the network.
# When everything is learned, next to nothing can be known any more, though as much crosses as before.

# %% [markdown] answer="nothing-to-know" points=2
# **A question to answer in words.** In the learned network the true gradient at a boundary is about as large as
# halfway, but its mean over the futures is nearly zero. Why must it be so, if the network predicts as well as one can?
# What does a perfect synthesizer then say? And what would you expect of the cosine between a message and the true
# gradient of a single sequence?
#
# ### BEGIN SOLUTION
# The gradient by an output is the probability that was named minus what the coin showed. If the probabilities are
# right, the mean of that is zero, whatever the past; so the mean gradient by the state is zero, too. No change of this
# state would help on average. A perfect synthesizer says zero: there is nothing left to teach. And the cosine with the
# gradient of a single sequence must be small even for a perfect message, for most of that gradient is chance that
# nobody at the boundary can know. A small cosine does not show a bad synthesizer.
# ### END SOLUTION

# %% [markdown]
# Now there is a measure of "right" for the scale: the cosine between a message and the *knowable* gradient, the mean
# over the futures, discounted with the same scale. The network halfway rests, and fresh synthesizers learn for 500
# windows; at scale 1, for 2000 windows as well. **Predict, then run.**


# %%
class AtRest:
    """An optimiser that moves nothing."""

    def step(self, net):
        pass


rightness = {}
for scale, windows in ((0.3, 500), (0.6, 500), (1.0, 500), (1.0, 2000)):
    door = new_synthesizer(scale, windows)
    train(halfway, loss, AtRest(), door, *sequences(windows * WINDOW, seed=3), WINDOW)
    s, ds = futures(halfway, scale)
    rightness[scale, windows] = float(bptt.compare(door.predict(s), ds.mean(axis=1)).cosine)
    print(f"scale {scale}, after {windows:4d} windows: cosine with what can be known {rightness[scale, windows]:.2f}")
assert rightness[0.3, 500] > rightness[0.6, 500] > rightness[1.0, 500]
assert rightness[1.0, 2000] > rightness[1.0, 500] + 0.05

# %% [markdown]
# The nearer the scale is to 1, the longer it takes. With more time scale 1 gets better, so it is not wrong; it is
# *slow*. While the network learns, it is always late, and a message that is late and does not die is worse than a
# short-sighted one. So the scale trades reach against time. Our lags are near, and 0.3 is enough for them. For others
# the table of worths says what it leaves.
#
# ## 5. A state that foretells
#
# One more idea of the same paper: let a second network look at the state at the *start* of a window, and ask it for the
# message at the *end*. What the state must hold to answer that, it will have to learn to hold. The error of this
# **auxiliary head** is one more loss, and its gradient by the state comes back across the boundary with everything
# else.
#
# ### Exercise 3: the head's gradient
#
# `net` is the head, `s` $(B, S)$ the state at the start, `message` $(B, S)$ the one at the end. Losses are means over
# the batch, so messages are small when $B$ is large; the head predicts in units of *one* example, $B$ times the
# message:
#
# $$\ell = \frac{1}{2B} \sum_b \big\| \mathrm{net}(s_b) - B \, m_b \big\|^2$$
#
# Write `head_gradient`: forward, the derivative of $\ell$ by the head's output, backward, a step of the head's
# optimiser; return $d\ell/ds$.


# %% exercise="head-gradient"
def head_gradient(net, optimiser, s, message):
    """dl/ds (B, S); the head takes its step."""
    ### BEGIN SOLUTION
    y, cache = net.forward(s)
    dy = y / len(s) - message
    net.zero_grads()
    ds = net.backward(dy, cache)
    optimiser.step(net)
    return ds
    ### END SOLUTION


# %% test="head-gradient-check" points=2
def check_head_gradient(B, S, seed):
    """Stop with a sentence if `head_gradient` differs from the library's `AuxiliaryHead`."""

    def start():
        rng = np.random.default_rng(seed)
        net = Linear(S, S, rng=rng, dtype=np.float64)
        net.grads.W += 1.0  # as an earlier step may have left them
        return net, SGD(0.1), rng.standard_normal((B, S)), rng.standard_normal((B, S))

    def wrong(units=1 / B, target=1.0, late=False):
        net, optimiser, s, message = start()
        y, cache = net.forward(s)
        dy = units * y - target * message
        net.zero_grads()
        ds = net.backward(dy, cache)
        optimiser.step(net)
        return net.backward(dy, cache) if late else ds

    net, optimiser, s, message = start()
    head = AuxiliaryHead(net, optimiser, zero_start=False)
    right, weights = head.gradient(s, message), net.params.slab.copy()
    net, optimiser, s, message = start()
    kept = s.copy(), message.copy()
    suspects = {
        "dl/dy is y / B - message: the 1 / B of the mean is missing": wrong(units=1.0, target=B),
        "the head predicts B times the message; y and the message are in different units": wrong(units=1.0),
        "the head predicts B times the message, and the mean divides that by B again": wrong(target=1 / B),
        "ds was made after the head's step, with other weights": wrong(late=True),
    }
    check_equal("ds", head_gradient(net, optimiser, s, message), right, suspects)
    check_equal("the head's weights after its step (are the gradients zeroed first?)", net.params.slab, weights)
    check_equal("s after the call (head_gradient must not change it)", s, kept[0])
    check_equal("message after the call (head_gradient must not change it)", message, kept[1])


check_head_gradient(B=4, S=6, seed=0)
### BEGIN HIDDEN TESTS
check_head_gradient(B=1, S=2, seed=1)
check_head_gradient(B=7, S=3, seed=2)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# The window that made the state is over when this gradient is there. So it takes the way of everything that comes from
# beyond a boundary: the synthesizer learns it, as part of its target. This stands at the door in the place of a
# synthesizer, and your loop needs no change:


# %%
class WithHead:
    """A synthesizer whose targets also hold what the head asks of the state, times a weight."""

    def __init__(self, synthesizer, weight, head):
        self.synthesizer, self.weight, self.head, self.optimiser = synthesizer, weight, head, Adam(1e-3)
        self.message, self.ratios = None, []

    def predict(self, s):
        self.message = self.synthesizer.predict(s)
        return self.message

    def fit(self, s, ds0):
        if self.message is not None:
            asked = self.weight * head_gradient(self.head, self.optimiser, s, self.message)
            self.ratios.append(np.linalg.norm(asked) / np.linalg.norm(ds0))
            ds0 = ds0 + asked
        self.message = None  # behind the last window there is none
        self.synthesizer.fit(s, ds0)


def with_head(name, weight, zero_start):
    """Train with a head, two seeds -> the largest of its first ten gradients, in units of the task's."""
    first = []
    for seed in SEEDS[:2]:
        head = Linear(STATE, STATE, rng=seed)
        if zero_start:
            head.params.W[...] = 0
        door = WithHead(new_synthesizer(0.3, STEPS // WINDOW), weight, head)
        run(name, seed, door)
        first.append(max(door.ratios[:10]))
    return np.mean(first)


first = {
    "head x 1": with_head("head x 1", 1, zero_start=True),
    "head x 1, random": with_head("head x 1, random", 1, zero_start=False),
}
sizes = {}
for name in ("scale 0.3", *first):
    states = [learned[name, seed].forward(sequences(40, seed=2002)[0])[1] for seed in SEEDS[:2]]
    sizes[name] = np.sqrt(np.mean(np.square(states)))
show_reached("truncated", *sizes)
for name, size in sizes.items():
    asked = f"; the head's first gradients: up to {first[name]:.2g} times the task's" if name in first else ""
    print(f"{name:<16} the state's entries are {size:.2f} (root of the mean square){asked}")
assert min(reached["head x 1, random"]) > np.mean(reached["truncated"]) > max(reached["head x 1"])
assert first["head x 1, random"] > 10 > 1 > first["head x 1"]
assert sizes["head x 1, random"] < 0.3 * sizes["scale 0.3"]

# %% [markdown]
# Look at the last line first. A head whose weights are drawn at random sends back many times what the task does; the
# synthesizer takes that for its target, and the simplest way to make a random head agree with a small message is a
# state with nothing in it. So the head starts at zero, as a synthesizer does and for the same reason: it has to have
# learned something before it may ask for anything. Then it does no harm here at weight 1, and no good: this network
# comes close to the floor without it. At ten times that weight it is in the way again. That is what it does *here*,
# with this head on this task; the paper, as we recall it, reports that it helps on longer ones.
#
# ## 6. Copying
#
# *An extra, 5 minutes; the verdict below uses what its cells print.*
#
# A task where more must be held: a pattern of random bits is shown, one at a time, then a delimiter, and then the
# pattern is to be said again. The windows have three steps. A curriculum starts with one bit and adds another as soon
# as a batch comes out with less than 0.15 bits of loss for each bit of the answer. Your `train` needs a loss that knows
# in which steps an answer is asked for:


# %%
class WhereAsked:
    """The cross-entropy where an answer is asked for; labels are NaN in all other steps, which count as 0."""

    def value(self, y, labels):
        asked = ~np.isnan(labels[:, 0, 0])
        return loss.value(y[asked], labels[asked]) * asked.mean() if asked.any() else 0.0

    def gradient(self, y, labels):
        asked, dy = ~np.isnan(labels[:, 0, 0]), np.zeros_like(y)
        if asked.any():
            dy[asked] = loss.gradient(y[asked], labels[asked]) * asked.mean()
        return dy


def patterns(length, number, seed):
    """32 patterns of so many bits: x (L, 32, 2), labels (L, 32, 1), L = 2 length + 1."""
    x, labels, _, counted = Copying(length, bits=1, shortest=length).batch(number, size=32, seed=seed)
    return x, np.where(counted[:, :, None], labels, np.float32(np.nan))


def copied(seed, door, window=3, windows=1_800):
    """Climb the curriculum for so many windows -> after how many windows each length was solved."""
    net = Sequential(LSTM(2, HIDDEN, rng=2 * seed), Linear(HIDDEN, 1, rng=2 * seed + 1))
    optimiser, length, done, number, solved = Adam(5e-3), 1, 0, 0, []
    while done < windows:
        x, labels = patterns(length, number, seed)
        losses = train(net, WhereAsked(), optimiser, door, x, labels, window)
        steps = np.diff([*range(0, len(x), window), len(x)])
        done, number = done + len(losses), number + 1
        if np.dot(losses, steps) / length < 0.15 * np.log(2):
            solved.append(done)
            length += 1
    return solved


solved = {}
for seed in SEEDS[:2]:
    for name, door in (
        ("truncated", Nobody()),
        ("scale 0.6", Synthesizer(Linear(STATE, STATE), Adam(2e-3), scale=0.6)),
    ):
        solved[name, seed] = copied(seed, door)
        print(f"{name}, seed {seed}: length 1, 2, ... solved after", ", ".join(map(str, solved[name, seed])), "windows")
    assert len(solved["scale 0.6", seed]) >= 2
    assert solved["truncated", seed][:2] <= solved["scale 0.6", seed][:2]

# %% [markdown]
# This is what it looks like in a few seconds, and it is no success: the synthesizer is behind. With every bit that is
# added, what comes back across the boundaries changes, and has to be learned anew; a message that has not been learned
# is in the way. And the truncated network gets quite far with what its state happens to hold. Whether the synthesizer
# overtakes it takes more time, and more care, than a lesson has: `python -m minidni experiment copy`.
#
# ## 7. The verdicts
#
# Put together from what your cells have printed above.

# %%
mean = {name: np.mean(values) for name, values in reached.items()}
longest = {
    name: " and ".join(str(len(solved[name, seed])) for seed in SEEDS[:2]) for name in ("truncated", "scale 0.6")
}
print(f"""
A. "With a synthetic gradient at the end of the window, a network learns dependencies longer than its window."
   True: with windows of {WINDOW} and lags of {LAGS[0]} and {LAGS[1]} the loss is {mean["scale 0.3"]:.3f}, and \
{task.floor:.3f} is the floor;
   truncated {mean["truncated"]:.3f}, readout alone {mean["readout alone"]:.3f}.
   With a condition, the scale: at 1 it is {mean["scale 1.0"]:.3f}. And not in little time where there is a lot to hold:
   patterns of {longest["scale 0.6"]} bits in some seconds, truncated {longest["truncated"]}.

B. "What crosses the boundary is negligible."
   False here: halfway, {fading["halfway"][3]:.2f} of the nearest gradient is left at a distance of 4, two windows away.
   But most of it is chance that nobody can know at the boundary: what can be known is {shares["halfway"]:.0%} of its
   mean square halfway, and {max(shares["learned"], 0):.0%} once the task is learned.

C. "Gradients vanish anyway. Synthetic gradients do not cure that."
   Beside the point here: the gradient of this LSTM did not vanish, it was cut. But true as a warning: a message goes
   back through the same Jacobians as the true gradient, and cannot bring back what they have shrunk. It even adds its
   discount: with scale 0.3, a loss 8 steps behind the boundary is worth {worth(8, WINDOW, 0.3):.4f}.""")

# %% [markdown]
# (Learning rates, sizes, scales and lengths were chosen for this lesson by looking at trainings like these.)
#
# ## 8. The same as the library's
#
# The experiments of the library train with this loop, for one window at a time, as `minidni.experiments.loop.Trainer`:
# with a limit to the gradient's norm that is never reached here, and with the head. The same weights, windows and
# synthesizers:


# %%
def same(what, got, expected):
    check_equal(what, got, expected)
    print(f"{what:<46} largest difference {np.abs(np.asarray(got) - expected).max():.1e}")


def double_net():
    return new_net(seed=4).astype(np.float64)


def double_door():
    return Synthesizer(Linear(STATE, STATE, dtype=np.float64), Adam(1e-3), scale=0.6)


x, labels = next(TwoLag(LAGS, dtype=np.float64).windows(size=16, length=60, seed=4))
mine, theirs, my_door, their_door = double_net(), double_net(), double_door(), double_door()
losses = train(mine, loss, Adam(3e-3), my_door, x, labels, WINDOW)
trainer, s, values = Trainer(theirs, loss, lr=3e-3, clip=1e6, synthesizer=their_door), None, []
for a in range(0, 60, WINDOW):
    value, s = trainer.step(x[a : a + WINDOW], labels[a : a + WINDOW], s, last=a + WINDOW == 60)
    values.append(value)
same("the loss of 30 windows", losses, values)
for name, param in mine.params.items():
    same(f"{name} after training", param, theirs.params[name])
same("the synthesizer's W", my_door.net.params.W, their_door.net.params.W)
state = np.random.default_rng(5).standard_normal((16, STATE))
head = AuxiliaryHead(Linear(STATE, STATE, rng=6, dtype=np.float64), Adam(), zero_start=False)
by_hand = head_gradient(Linear(STATE, STATE, rng=6, dtype=np.float64), Adam(), state, my_door.predict(state))
same("the auxiliary head's gradient", by_hand, head.gradient(state, their_door.predict(state)))

# %% [markdown]
# ## What to remember
#
# - A synthesizer at the end of a window is five lines: predict at the end, hand it in at the door, and learn from what
#   comes back at the start. At the end of a sequence there is no future, and no message.
# - It carries news over the edge of a window one boundary at a time, so a network learns dependencies that no window
#   holds.
# - The scale is a discount. It costs reach, and buys time: without it errors feed on themselves and die slowly.
# - Most of what crosses a boundary is chance. What can be known of it is what there is still to learn; a small cosine
#   with a single gradient says little.
# - A message goes through the same Jacobians as the true gradient. It mends the cut, and not what vanishes on the way.
# - An auxiliary loss on the state competes with the task. Start its head at zero, and look at what the state becomes.
#
# ## Where the formulas come from
#
# - Synthetic gradients in time, their scale, and the auxiliary head: M. Jaderberg and others, *Decoupled neural
#   interfaces using synthetic gradients*, ICML 2017, arXiv 1608.05343.
# - The same as learning by temporal differences, with discount and traces: J. Pemberton and R. Costa, *BP(lambda):
#   online learning via synthetic gradients*, TMLR 2024, arXiv 2401.07044.
# - Bootstrapped targets and discounts: R. Sutton, *Learning to predict by the methods of temporal differences*, Machine
#   Learning 3 (1988).
# - The two-lag task: R2RT, *Recurrent Neural Networks in Tensorflow I* (2016), there with lags 3 and 8.
# - Copying: A. Graves, G. Wayne and I. Danihelka, *Neural Turing machines*, arXiv 1410.5401 (2014).
# - LSTM: S. Hochreiter and J. Schmidhuber, *Long short-term memory*, Neural Computation 9 (1997).
