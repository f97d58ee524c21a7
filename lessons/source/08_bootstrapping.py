# %% [markdown]
# # Bootstrapping
#
# - **Minutes:** 40
# - **Needs:** the lesson *Synthetic gradients*: a synthesizer at one boundary, `predict` and `fit`, the zero start, and
#   what labels do; from *Truncation* the difference between bias and noise
# - **Learn:** write a chain of segments that learn from each other's guesses, measure how far each of them is from the
#   true gradient, and say what more segments, a warm-up and BP(lambda) do about it
# - **Data:** MNIST-1D, generated in the lesson: ten digits as curves of 40 numbers
#
# One synthesizer in a network learns from the true gradient. With several, most of them learn from a gradient that was
# made with the guess of the next one. A guess that learns from a later guess is called *bootstrapped*, as if one pulled
# oneself up by one's own bootstraps. Can that work? About a chain of three modules, called DNI_0, DNI_3 and DNI_5 after
# the layers at which they begin, one can read in a discussion on the web:
#
# - **A.** "The earlier ones never see the true gradient, only bootstrapped ones."
# - **B.** "The more modules, the noisier the signal."
# - **C.** "So warm up: train the layers and the modules with ordinary backprop first, and switch to bootstrapping
#   later."
#
# At the end there is a verdict on each, made of what was measured.
#
# There are four exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.
#
# The part *The same network for all* is an extra: run its cells, and read it in 10 minutes more.

# %%
import copy
from functools import partial
from itertools import chain as one_after_another
from itertools import islice, pairwise

import numpy as np

from minidni import (
    SGD,
    Adam,
    BatchNorm,
    Chain,
    Linear,
    ReLU,
    Segment,
    Sequential,
    SoftmaxCrossEntropy,
    SquaredError,
    Synthesizer,
    accuracy,
    bptt,
)
from minidni.data import batches, mnist1d
from minidni.dni import Zero
from minidni.gradcheck import check_equal
from minidni.nn.initialise import orthogonal
from minidni.nn.schedules import cosine_decay
from minidni.plots import show_chain, show_lines

# %% [markdown]
# ## 1. A chain of three
#
# The network has six layers: five blocks of a linear map, a batch norm and a ReLU, with 64 units each, and the
# readout. It is cut in front of layer 3 and in front of layer 5. Each piece is a **segment**: a network, an optimiser,
# and at its upper end a **signal**, which answers `gradient(h, labels)`. For the last segment that is the loss. For the
# others it is a synthesizer; here it is a single linear map of the activation beside the label, so $64 + 10$ numbers in
# and 64 out.

# %%
data = mnist1d(12_500)
WIDTH, BATCH, UPDATES = 64, 100, 160
rate = partial(cosine_decay, lr=3e-3, total=UPDATES)


def new_net(seed):
    """Six layers: five blocks and the readout."""
    rng = np.random.default_rng(seed)
    widths = [data.features] + 5 * [WIDTH]
    blocks = [Sequential(Linear(a, b, rng=rng), BatchNorm(b), ReLU()) for a, b in pairwise(widths)]
    return Sequential(*blocks, Linear(WIDTH, 10, rng=rng))


def synthesizer(above):
    return Synthesizer(Linear(WIDTH + 10, WIDTH), Adam(rate))  # it starts at zero, whatever was drawn


def new_chain(seed, at, signal=synthesizer, names=None):
    """The network of this seed, cut in front of the layers `at`."""
    return Chain.cut(
        new_net(seed), at, signal=signal, loss=SoftmaxCrossEntropy(), optimizer=lambda: Adam(rate), names=names
    )


forum = new_chain(seed=0, at=(3, 5), names=("DNI_0", "DNI_3", "DNI_5"))
show_chain(forum)

# %% [markdown]
# The same in words. **Predict, then run.** How many synthesizers are there, and which of them learns from a gradient
# that no guess has gone into?

# %%
print(forum)

# %% [markdown]
# ### Exercise 1: what a segment does
#
# Write the step of one segment: forward, then ask the signal, then backward, then a step of the optimiser. The segment
# has
#
# - `segment.forward(x)`, which gives `h, cache`;
# - `segment.signal`, with `gradient(h, labels)`;
# - `segment.net`, with `zero_grads()` and with `backward(dh, cache)`, which gives `dx`;
# - `segment.optimizer`, with `step(net)`.
#
# It returns what the neighbours need: `h` for the one above, and `dx` for the one below. Nothing in it asks what kind
# of signal there is.


# %% exercise="segment-step"
def segment_step(segment, x, labels):
    """Forward, and an update on what the signal says -> h, dx."""
    ### BEGIN SOLUTION
    h, cache = segment.forward(x)
    dh = segment.signal.gradient(h, labels)
    segment.net.zero_grads()
    dx = segment.net.backward(dh, cache)
    segment.optimizer.step(segment.net)
    return h, dx
    ### END SOLUTION


# %% test="segment-step-check" points=2
def check_segment_step(seed, steps, top):
    """Stop with a sentence if `segment_step` differs from the library's step; `top` segments have a loss as signal."""

    def start():
        rng = np.random.default_rng(seed)
        net = Sequential(Linear(3, 4, rng=rng, dtype=np.float64), ReLU(), Linear(4, 4, rng=rng, dtype=np.float64))
        guess = Synthesizer(Linear(8, 4, rng=rng, dtype=np.float64), Adam(0.1), zero_start=False)
        segment = Segment(net, SoftmaxCrossEntropy() if top else guess, SGD(0.5))
        return segment, [(rng.standard_normal((5, 3)), rng.integers(0, 4, 5)) for _ in range(steps)]

    def run(step):
        segment, examples = start()
        taken = [step(segment, x, labels) for x, labels in examples]
        return taken, np.concatenate([p.ravel() for p in segment.net.params.values()])

    def wrong(late=False, keep=False, still=False):
        def step(segment, x, labels):
            h, cache = segment.forward(x)
            dh = segment.signal.gradient(h, labels)
            if not keep:
                segment.net.zero_grads()
            dx = segment.net.backward(dh, cache)
            if not still:
                segment.optimizer.step(segment.net)
            if late:
                dx = segment.net.backward(dh, cache)
            return h, dx

        return run(step)

    taken, weights = run(segment_step)
    right, right_weights = run(lambda segment, x, labels: segment.step(x, labels))
    mistakes = {
        "dx was made after the update, with other weights than h": wrong(late=True),
        "the gradients of the step before are still there: zero_grads": wrong(keep=True),
        "the weights do not move: the optimiser's step is missing": wrong(still=True),
    }
    for i, (got, expected) in enumerate(zip(taken, right, strict=True)):
        pair = isinstance(got, (tuple, list)) and len(got) == 2
        assert pair, "segment_step returns no pair of arrays, expected h, dx."
        for name, place in (("h", 0), ("dx", 1)):
            suspects = {what: bad[0][i][place] for what, bad in mistakes.items()}
            check_equal(f"{name} of step {i}", got[place], expected[place], suspects)
    suspects = {what: bad[1] for what, bad in mistakes.items()}
    check_equal("the weights after the steps", weights, right_weights, suspects)


check_segment_step(seed=0, steps=3, top=True)
check_segment_step(seed=1, steps=3, top=False)
### BEGIN HIDDEN TESTS
check_segment_step(seed=2, steps=1, top=False)
check_segment_step(seed=3, steps=5, top=True)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# ### Exercise 2: hand the target over
#
# Now all segments, from the bottom up. (`segment.step(x, labels)` is the library's step, with your lines in it.) As
# soon as a segment has taken its step, what came back for its input, `dx`, is there. It is the target of the signal
# below: `below.signal.learn(trigger, dx, labels)`, where the trigger is what that signal has to look at, the activation
# at this boundary. Write the loop.
#
# **Before you do:** where will you write that a synthesizer in the middle learns from a guess, and not from the truth?


# %% exercise="decoupled-step"
def decoupled_step(segments, x, labels):
    """Each segment takes its step and sends its dx to the signal below -> the output of the last one."""
    ### BEGIN SOLUTION
    below = None
    for segment in segments:
        h, dx = segment.step(x, labels)
        if below is not None:
            below.signal.learn(x, dx, labels)
        x, below = h, segment
    return x
    ### END SOLUTION


# %% test="decoupled-step-check" points=2
def small_chain(seed, n_segments, lr=0.1):
    """A chain of linear segments in float64 with synthesizers that are not at zero, and examples for it."""
    rng = np.random.default_rng(seed)

    def linear(n_in):
        return Linear(n_in, 4, rng=rng, dtype=np.float64)

    signals = [Synthesizer(linear(8), SGD(0.2), zero_start=False) for _ in range(n_segments - 1)]
    segments = [Segment(Sequential(linear(4), ReLU()), signal, SGD(lr)) for signal in signals]
    chain = Chain(*segments, Segment(linear(4), SoftmaxCrossEntropy(), SGD(lr)))
    return chain, [(rng.standard_normal((6, 4)), rng.integers(0, 4, 6)) for _ in range(4)]


def all_weights(chain):
    """Those of the segments and those of their synthesizers, in two arrays."""
    nets = [segment.net for segment in chain], [segment.signal.net for segment in chain[:-1]]
    return [np.concatenate([p.ravel() for net in of for p in net.params.values()]) for of in nets]


def check_decoupled_step(seed, n_segments):
    """Stop with a sentence if `decoupled_step` differs from the library's chain."""

    def run(step):
        chain, examples = small_chain(seed, n_segments)
        outputs = [step(chain, x, labels) for x, labels in examples]
        return outputs, *all_weights(chain)

    def wrong(learn=True, trigger="x", stay=False):
        def step(chain, x, labels):
            below = None
            for segment in chain:
                h, dx = segment.step(x, labels)
                if below is not None and learn:
                    below.signal.learn(x if trigger == "x" else h, dx, labels)
                below, x = segment, x if stay else h
            return h

        return run(step)

    mistakes = {
        "the signals learn nothing": wrong(learn=False),
        "the trigger is the output of the segment above, expected its input": wrong(trigger="h"),
        "each segment was given x itself, expected the h of the one below": wrong(stay=True),
    }
    outputs, weights, guesses = run(lambda chain, x, labels: decoupled_step(chain.segments, x, labels))
    right = run(lambda chain, x, labels: chain.decoupled(x, labels).h)
    check_equal("the output of the first step", outputs[0], right[0][0], {w: bad[0][0] for w, bad in mistakes.items()})
    check_equal("the synthesizers' weights", guesses, right[2], {w: bad[2] for w, bad in mistakes.items()})
    check_equal("the segments' weights", weights, right[1], {w: bad[1] for w, bad in mistakes.items()})
    check_equal("the output of the last step", outputs[-1], right[0][-1])


check_decoupled_step(seed=0, n_segments=3)
### BEGIN HIDDEN TESTS
check_decoupled_step(seed=1, n_segments=2)
check_decoupled_step(seed=2, n_segments=5)
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# You have not written it anywhere. A segment does not know what its `dx` was made of, and its neighbour does not ask.
# Bootstrapping takes no extra code, which is why it is easy to overlook. Let the library's chain say it, after a step:

# %%
stream_x, stream_labels = data.x_train[:BATCH], data.y_train[:BATCH]
print(forum.decoupled(stream_x, stream_labels))

# %% [markdown]
# ## 2. The truth comes down
#
# DNI_0's synthesizer never sees a true gradient: that much of A can be read in the code. Does it follow that it never
# knows one?
#
# Look at the cleanest case first. Six *linear* layers, a squared error, and all weights **at rest**: their optimiser is
# `SGD(0.0)`, so that only the synthesizers learn. The true gradient is then a linear function of the activation and the
# label at every boundary, and a linear synthesizer can be exact. To judge it we need the truth.
#
# ### Exercise 3: the true gradient at every boundary
#
# Write `true_gradients`: forward through all segments, and from the loss back through all of them, without any signal
# but the last. What flows back across the upper end of each segment goes into a list, from the bottom. No weight moves.
# (`backward` adds to the gradients of the networks. Let it: a step begins with `zero_grads`.)


# %% exercise="true-gradients"
def true_gradients(segments, x, labels):
    """dL/dh at the upper end of each segment, from the bottom."""
    ### BEGIN SOLUTION
    caches = []
    for segment in segments:
        x, cache = segment.forward(x)
        caches.append(cache)
    dhs = [segments[-1].signal.gradient(x, labels)]
    for i in range(len(segments) - 1, 0, -1):
        dhs.insert(0, segments[i].net.backward(dhs[0], caches[i]))
    return dhs
    ### END SOLUTION


# %% test="true-gradients-check" points=2
def check_true_gradients(seed, n_segments):
    """Stop with a sentence if `true_gradients` differs from the library's boundaries."""
    chain, ((x, labels), *_) = small_chain(seed, n_segments)
    before = all_weights(chain)
    hs, right = chain.boundaries(x, labels)
    got = true_gradients(chain.segments, x, labels)
    assert isinstance(got, list), f"true_gradients returns {type(got).__name__}, expected a list of arrays."
    for which, now, then in zip(("segments'", "synthesizers'"), all_weights(chain), before, strict=True):
        check_equal(f"the {which} weights after the call (they must not move)", now, then)
    hints = {
        -1: " Likely: the loss's own is missing.",
        1: " Likely: that by x, at the very bottom, is too much.",
    }
    hint = hints.get(len(got) - len(right), "")
    assert len(got) == len(right), f"there are {len(got)} arrays, expected {len(right)}, one for each segment.{hint}"
    for i, (mine, expected) in enumerate(zip(got, right, strict=True)):
        suspects = {"they are in the order from the top": right[len(right) - 1 - i]}
        if i < len(right) - 1:
            suspects["this is what the synthesizer says"] = chain[i].signal.gradient(hs[i], labels)
        check_equal(f"the gradient above segment {i}", mine, expected, suspects)


check_true_gradients(seed=0, n_segments=3)
### BEGIN HIDDEN TESTS
check_true_gradients(seed=1, n_segments=2)
check_true_gradients(seed=2, n_segments=6)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# **Predict, then run.** Five synthesizers start at zero. In which order do they become right? What can the lowest one
# have learned as long as the one above it is still wrong?

# %%
rng = np.random.default_rng(0)
layers = [Linear(8, 8, rng=rng, init=orthogonal) for _ in range(5)] + [Linear(8, 4, rng=rng, init=orthogonal)]
linear_chain = Chain.cut(
    Sequential(*layers),
    at=(1, 2, 3, 4, 5),
    signal=lambda above: Synthesizer(Linear(8 + 4, 8), SGD(0.1)),
    loss=SquaredError(),
    optimizer=lambda: SGD(0.0),  # at rest
)


def vectors(size):
    """Inputs (B, 8), and targets (B, 4) that have nothing to do with them."""
    return rng.standard_normal((size, 8), np.float32), rng.standard_normal((size, 4), np.float32)


x_look, y_look = vectors(200)
looks, errors = range(0, 241, 5), []
for update in range(241):
    if update in looks:
        truth = true_gradients(linear_chain.segments, x_look, y_look)
        hs, _ = linear_chain.boundaries(x_look, y_look)
        guesses = [s.signal.gradient(h, y_look) for s, h in zip(linear_chain[:-1], hs, strict=False)]
        errors.append([bptt.compare(guess, true).error for guess, true in zip(guesses, truth, strict=False)])
    linear_chain.decoupled(*vectors(50))
errors = np.array(errors)
lines = {f"above layer {i}": (looks, errors[:, i]) for i in (4, 3, 2, 1, 0)}
show_lines({"error / norm of the true gradient": lines}, "updates of the synthesizers")

# %%
half = [looks[int(np.argmax(errors[:, i] < 0.5))] for i in range(5)]
print("updates until half of the error is gone, from the top:", ", ".join(map(str, half[::-1])))
print("error in the end, from the top:", ", ".join(f"{error:.0e}" for error in errors[-1, ::-1]))
assert half == sorted(half, reverse=True)
assert errors[-1].max() < 1e-3

# %% [markdown]
# The truth enters at the top and comes down, boundary by boundary. A synthesizer that learns from a wrong one learns
# something wrong; when the one above is right, its target *is* the true gradient, and it becomes right in its turn. So
# the lowest one is last, and in the end all of them are exact. None but the top one was ever shown a true gradient that
# was not at the same time somebody's guess.
#
# This is as good as it gets. In a real chain three things are missing: the gradient is no linear function of what the
# synthesizer sees, there is no time to wait, and the weights do not rest.
#
# ## 3. While the layers learn
#
# `chain.compare(x, labels)` does what you have just done for all signals, and leaves no trace in the chain. We follow
# the chain of three through its training, on examples that it does not learn from: the cosine of the angle between a
# guess and the truth, and the ratio of their lengths.
#
# Every accuracy needs something to compare it with. **Backprop** is the same network with as many updates on the true
# gradient. In the **frozen trunk** the signals are `Zero()`, so only the last segment learns, on top of layers that
# stay as they were drawn.


# %%
def stream(seed):
    """Minibatches without end."""
    epochs = (batches(data.x_train, data.y_train, size=BATCH, seed=seed, epoch=epoch) for epoch in range(1_000))
    return one_after_another.from_iterable(epochs)


def decoupled(chain, x, labels, done):
    chain.decoupled(x, labels)


def backprop(chain, x, labels, done):
    chain.backprop(x, labels)


def train(chain, seed, step=decoupled, updates=UPDATES, every=0):
    """Train; returns the test accuracy in per cent and, `every` so many updates, cosine and ratio of each signal."""
    seen = []
    for update, (x, labels) in enumerate(islice(stream(seed), updates)):
        step(chain, x, labels, update / updates)
        if every and (update + 1) % every == 0:
            seen.append([(c.cosine, c.ratio) for c in chain.compare(data.x_test[:500], data.y_test[:500])])
    return 100 * accuracy(chain.net, data.x_test, data.y_test), np.array(seen, dtype=float)


SEEDS, EVERY = (0, 1, 2), 12
reached, followed = {}, []
for seed in SEEDS:
    forum = new_chain(seed, at=(3, 5), names=("DNI_0", "DNI_3", "DNI_5"))
    percent, seen = train(forum, seed, every=EVERY)
    followed.append(seen)
    reached.setdefault("DNI_0, DNI_3, DNI_5", []).append(percent)
    reached.setdefault("backprop", []).append(train(new_chain(seed, at=(3, 5)), seed, backprop)[0])
    frozen = new_chain(seed, at=(5,), signal=lambda above: Zero())
    reached.setdefault("frozen trunk", []).append(train(frozen, seed)[0])


def show_reached(*names):
    """A row of accuracies for each name, and its mean."""
    width = max(map(len, names))
    for name in names:
        values = "".join(f"{percent:8.1f}" for percent in reached[name])
        print(f"{name:<{width}}{values}   mean {np.mean(reached[name]):5.1f} % of the test examples")


show_reached("frozen trunk", "DNI_0, DNI_3, DNI_5", "backprop")
assert min(reached["DNI_0, DNI_3, DNI_5"]) > max(reached["frozen trunk"]) + 15
assert np.mean(reached["backprop"]) > np.mean(reached["DNI_0, DNI_3, DNI_5"])

# %%
followed = np.array(followed)  # (seeds, looks, signals, 2)
updates = range(EVERY, UPDATES + 1, EVERY)
names = ("signal of DNI_0", "signal of DNI_3")
panels = {
    label: {name: (updates, followed[:, :, i, which]) for i, name in enumerate(names)}
    for which, label in enumerate(("cosine with the true gradient", "norm / norm of the true one"))
}
show_lines(panels, "updates")

# %%
last = followed[:, -1].mean(axis=0)
for i, name in enumerate(names):
    print(f"{name}: in the end cosine {last[i, 0]:.2f}, norm ratio {last[i, 1]:.2f}")
assert (followed[:, -1, 1, 0] > followed[:, -1, 0, 0]).all()
assert (followed[:, 2, 1, 0] > followed[:, 2, 0, 0]).all()
assert (followed[:, :, :, 1] < 1.05).all()

# %% [markdown]
# The signal of DNI_3, whose target is true, points nearly where the truth points by the end: between it
# and the loss there is just the readout. The signal of DNI_0 follows later, and stays further off. It is too short,
# too: what a synthesizer cannot predict it leaves out. All the same the chain is far above the frozen trunk, and not
# far below backprop.
#
# ## 4. More modules
#
# **Predict, then run.** The same network, cut in one, two or five places, with a cut in front of layer 1 in each of
# them. What happens to the accuracy? And to the cosine of the lowest signal, the one above layer 0, which gets its
# target through one, two or five guesses?

# %%
CUTS = {"1 cut": (1,), "2 cuts": (1, 3), "5 cuts": (1, 2, 3, 4, 5)}
lowest = {}
for name, at in CUTS.items():
    for seed in SEEDS:
        percent, seen = train(new_chain(seed, at), seed, every=UPDATES)
        reached.setdefault(name, []).append(percent)
        lowest.setdefault(name, []).append(seen[-1, 0])
show_reached("frozen trunk", "5 cuts", "2 cuts", "1 cut", "backprop")
for name, values in lowest.items():
    cosine, ratio = np.mean(values, axis=0)
    print(f"{name:<7} the signal above layer 0: cosine {cosine:.2f}, norm ratio {ratio:.2f}")
assert np.mean(reached["5 cuts"]) < np.mean(reached["2 cuts"]) - 1 < np.mean(reached["1 cut"])
assert np.mean(lowest["2 cuts"], axis=0)[0] > np.mean(lowest["1 cut"], axis=0)[0] + 0.03

# %% [markdown]
# The accuracy falls with every cut, as the discussion has it. The cosine goes its own way: with two cuts the lowest
# signal is *nearer* to the truth than with one, and the network is worse. Who looked at the cosine alone would choose
# the wrong one.

# %% [markdown] answer="cosine" points=2
# **A question to answer in words.** How can a signal be nearer to the true gradient in the network that learns less?
# What is the true gradient a gradient *of*? And what would you hold fixed to find out what the number of guesses in
# between does to a signal?
#
# ### BEGIN SOLUTION
# The cosine compares the guess with the true gradient of the network *as it is now*, and the networks are not the same.
# Above the lowest cut, the chain with two cuts has layers that were themselves trained on a message linear in the
# activation and the label; they have become layers whose true gradient such a map predicts more easily. With one cut,
# all layers above it were trained by backprop. They do more, and their gradient is a more complicated function of what
# stands at layer 0. To see what the guesses do, hold the network fixed: the same weights for all, and let only the
# synthesizers learn.
# ### END SOLUTION

# %% [markdown]
# ### The same network for all
#
# *An extra, 10 minutes; the verdict below uses what its cell prints.*
#
# So we take *one* network, trained for half of the time by backprop, and let it rest. Cut in one, two and five places,
# it is the same function with the same true gradients; only the synthesizers learn, for as long as before. What we want
# to know is the gradient that the *weights* of layer 0 get, as it is what moves them. For all minibatches of an epoch,
# we compute it from the truth and from the signal, and ask:
#
# - **bias**: how far is its mean over the minibatches from the true mean?
# - **noise**: how far does it stray from its own mean, from minibatch to minibatch?
#
# Both in units of the norm of the true mean; the noise also in units of its own mean, for a guess that is always too
# short would be quiet in any case. **Predict, then run.** Which is noisier, the guess or the truth?

# %%
halfway = new_chain(seed=0, at=(5,))
train(halfway, 0, backprop, updates=UPDATES // 2)


def weight_gradients(chain, true):
    """The gradients of the lowest segment's weights, from each minibatch of an epoch in new order."""
    found, lowest_segment = [], copy.deepcopy(chain[0])
    for x, labels in islice(stream(seed=9), len(data.x_train) // BATCH):
        h, cache = lowest_segment.forward(x)
        dh = chain.boundaries(x, labels)[1][0] if true else chain[0].signal.gradient(h, labels)
        lowest_segment.net.zero_grads()
        lowest_segment.net.backward(dh, cache)
        found.append(bptt.flat_gradients(lowest_segment.net))
    return np.array(found)


def bias_and_noise(gradients, truth):
    """Bias and noise in units of the true mean's norm, and the noise in units of its own mean's norm."""
    true_mean, mean = truth.mean(axis=0), gradients.mean(axis=0)
    bias, noise = np.linalg.norm(mean - true_mean), np.sqrt(np.square(gradients - mean).sum(axis=1).mean())
    size = np.linalg.norm(true_mean)
    return bias / size, noise / size, noise / np.linalg.norm(mean)


quality = {}
for name, at in CUTS.items():
    net = copy.deepcopy(halfway.net)
    layers = [layer for part in net for layer in part]
    resting = Chain.cut(
        Sequential(*layers), at, signal=synthesizer, loss=SoftmaxCrossEntropy(), optimizer=lambda: SGD(0.0)
    )
    train(resting, seed=1)
    if not quality:
        truth = weight_gradients(resting, true=True)  # the same for all
    c = resting.compare(data.x_test[:1000], data.y_test[:1000])[0]
    quality[name] = c.cosine, *bias_and_noise(weight_gradients(resting, true=False), truth)
quality["the truth"] = 1.0, *bias_and_noise(truth, truth)
print(f"{'at layer 0':<12}{'cosine':>8}{'bias':>8}{'noise':>8}{'noise / own mean':>20}")
for name, values in quality.items():
    print(f"{name:<12}" + "".join(f"{value:8.2f}" for value in values[:3]) + f"{values[3]:20.2f}")
cosines, biases, noises, own = zip(*quality.values(), strict=True)
assert cosines[0] > cosines[1] > cosines[2]
assert biases[0] < biases[1] < biases[2]
assert max(noises[:3]) < 0.7 * noises[3] and max(own[:3]) < 0.8 * own[3]
assert own[2] < 1.2 * own[0]

# %% [markdown]
# Now the cosine falls with the number of guesses, as it should, and the **bias** grows. But the noise does not grow: a
# guess is *less* noisy than the truth, with any number of modules. It has to be. A synthesizer is a regression: it
# learns the mean of what comes back for such an activation and such a label, and what is special about this example it
# cannot say. What is lost from module to module is not clarity but content, as each of them passes on what it can
# express. (The synthesizers rest while we measure. As they learn they move, too, which is a noise of its own.)
#
# The cosine of single examples, by the way, looks worse than it is. Most of what a true gradient holds is special to
# its example, and averages out over a minibatch; the mean is what the weights follow.
#
# ## 5. Two dials
#
# ### Warm-up
#
# "Train with ordinary backprop first." `chain.backprop(x, labels, learn=True)` does that: the true gradient goes
# through all segments, and every synthesizer learns from it meanwhile. **Predict, then run** (below): with five cuts,
# what does a warm-up for the first third or the first two thirds of the training do? All have the same number of
# updates.
#
# Three controls for the warm-up of a third. *Backprop alone* stops where the warm-up ends: what do the decoupled
# updates add at all? *Layers only* is a warm-up in which the synthesizers do not learn. And *at the end* has its share
# of backprop in the last third: is it a matter of when? (The learning rate falls along half a cosine, so early updates
# are the larger ones. So we run these two once more at a constant rate.)
#
# ### BP(lambda)
#
# The other dial is not in time. Let each boundary send down a *mixture*: what the segment above sends back, times
# $\lambda$, and what the synthesizer says, times $1 - \lambda$. What the segment above sends back was made from the
# mixture at its own upper end; it is the synthesizer's target, as ever. With $\lambda = 0$ this is the decoupled chain,
# with $\lambda = 1$ it is backprop. (In between one has to wait, as in backprop.)
#
# ### Exercise 4: the mixture
#
# All segments have run forward: `hs[i]` is the output of segment `i`, `caches[i]` its cache. Write the way back, from
# the top. `segment.update(dh, cache)` does the lower half of your first exercise: zero the gradients, backward, step;
# it returns `dx`. The synthesizers see `hs[i]`, and each is asked before it learns.


# %% exercise="mixed-step"
def mixed_step(segments, x, labels, lam):
    """One step of BP(lambda) -> the output of the last segment."""
    hs, caches = [], []
    for segment in segments:
        x, cache = segment.forward(x)
        hs.append(x)
        caches.append(cache)
    ### BEGIN SOLUTION
    dh = segments[-1].signal.gradient(hs[-1], labels)
    for i in reversed(range(len(segments))):
        dx = segments[i].update(dh, caches[i])
        if i > 0:
            signal = segments[i - 1].signal
            dh = lam * dx + (1 - lam) * signal.gradient(hs[i - 1], labels)
            signal.learn(hs[i - 1], dx, labels)
    ### END SOLUTION
    return hs[-1]


# %% test="mixed-step-check" points=3
def check_mixed_step(seed, n_segments, lam):
    """Stop with a sentence if `mixed_step` differs from the library's."""

    def run(step):
        chain, examples = small_chain(seed, n_segments)
        for x, labels in examples[:2]:
            step(chain, x, labels)
        return all_weights(chain)

    def wrong(swapped=False, target="dx", early=False, learn=True):
        def step(chain, x, labels):
            hs, caches = [], []
            for segment in chain:
                x, cache = segment.forward(x)
                hs.append(x)
                caches.append(cache)
            dh, share = chain[-1].signal.gradient(hs[-1], labels), 1 - lam if swapped else lam
            for i in reversed(range(n_segments)):
                dx = chain[i].update(dh, caches[i])
                if i > 0:
                    signal = chain[i - 1].signal
                    if early:
                        signal.learn(hs[i - 1], dx, labels)
                    dh = share * dx + (1 - share) * signal.gradient(hs[i - 1], labels)
                    if learn and not early:
                        signal.learn(hs[i - 1], dx if target == "dx" else dh, labels)

        return run(step)

    mistakes = {
        "lambda and 1 - lambda are exchanged": wrong(swapped=True),
        "the synthesizer's target is the mixture, expected the dx of the segment above": wrong(target="dh"),
        "the synthesizer learned before it was asked": wrong(early=True),
        "the synthesizers learn nothing": wrong(learn=False),
        "nothing moves": all_weights(small_chain(seed, n_segments)[0]),
    }
    got = run(lambda chain, x, labels: mixed_step(chain.segments, x, labels, lam))
    right = run(lambda chain, x, labels: chain.mixed(x, labels, lam))
    for which, name in enumerate(("segments'", "synthesizers'")):
        suspects = {what: bad[which] for what, bad in mistakes.items()}
        check_equal(f"with lambda {lam}, the {name} weights after two steps", got[which], right[which], suspects)


check_mixed_step(seed=0, n_segments=3, lam=0.3)
check_mixed_step(seed=1, n_segments=4, lam=0.0)
### BEGIN HIDDEN TESTS
check_mixed_step(seed=2, n_segments=2, lam=0.8)
check_mixed_step(seed=3, n_segments=5, lam=1.0)
### END HIDDEN TESTS
print("Exercise 4: right.")

# %% [markdown]
# First the ends of the dial, exactly: after 20 updates of a chain with five cuts, how far are the weights from those of
# backprop, and from those of the decoupled chain?


# %%
def mixed(lam):
    return lambda chain, x, labels, done: mixed_step(chain.segments, x, labels, lam)


def warm_up(share, learn=True):
    """Backprop for this share of the training, then decoupled."""
    return lambda chain, x, labels, done: (
        chain.backprop(x, labels, learn=learn) if done < share else chain.decoupled(x, labels)
    )


def late(share):
    """Decoupled, and backprop for this share of the training at its end."""
    return lambda chain, x, labels, done: (decoupled if done + share < 1 else backprop)(chain, x, labels, done)


def weights_after(step):
    chain = new_chain(seed=0, at=CUTS["5 cuts"])
    train(chain, seed=0, step=step, updates=20)
    return np.concatenate([p.ravel() for p in chain.net.params.values()])


for lam, name, step in ((1.0, "backprop", backprop), (0.0, "decoupled", decoupled)):
    difference = np.abs(weights_after(mixed(lam)) - weights_after(step)).max()
    print(f"lambda {lam:g} against {name:<10} largest difference of a weight {difference:.1e}")
    assert difference < 1e-6

# %% [markdown]
# Now both dials, from 0, the decoupled chain with five cuts, to 1, backprop.

# %%
DIAL, FEW = (1 / 3, 2 / 3), SEEDS[:2]
for seed in FEW:
    for share in DIAL:
        for name, step in (("warm-up", warm_up(share)), ("lambda", mixed(share))):
            percent, _ = train(new_chain(seed, CUTS["5 cuts"]), seed, step)
            reached.setdefault(f"{name} {share:.2f}", []).append(percent)
dials = {}
for name in ("warm-up", "lambda"):
    ends = reached["5 cuts"][: len(FEW)], reached["backprop"][: len(FEW)]
    between = [reached[f"{name} {share:.2f}"] for share in DIAL]
    dials[name] = ([0, *DIAL, 1], np.transpose([ends[0], *between, ends[1]]))
show_lines({"test accuracy (%)": dials}, "share of backprop (0: decoupled, 1: locked)")

# %%
for seed in FEW:
    third = UPDATES // 3
    reached.setdefault("backprop alone, a third", []).append(
        train(new_chain(seed, at=(5,)), seed, backprop, updates=third)[0]
    )
    for name, step in (("layers only, a third", warm_up(1 / 3, learn=False)), ("at the end, a third", late(1 / 3))):
        reached.setdefault(name, []).append(train(new_chain(seed, CUTS["5 cuts"]), seed, step)[0])


def at_constant_rate(seed):
    """The chain with five cuts, with a learning rate that does not fall."""
    return Chain.cut(
        new_net(seed),
        CUTS["5 cuts"],
        signal=lambda above: Synthesizer(Linear(WIDTH + 10, WIDTH), Adam(3e-3)),
        loss=SoftmaxCrossEntropy(),
        optimizer=lambda: Adam(3e-3),
    )


for seed in FEW:
    for name, step, updates in (
        ("constant rate: backprop alone, a third", backprop, UPDATES // 3),
        ("constant rate: warm-up, a third", warm_up(1 / 3), UPDATES),
        ("constant rate: at the end, a third", late(1 / 3), UPDATES),
    ):
        reached.setdefault(name, []).append(train(at_constant_rate(seed), seed, step, updates=updates)[0])
show_reached(
    "5 cuts", "backprop alone, a third", "at the end, a third", "layers only, a third", "warm-up 0.33", "backprop"
)
print()
show_reached(*(name for name in reached if name.startswith("constant rate")))
mean = {name: np.mean(values) for name, values in reached.items()}
assert mean["5 cuts"] + 2 < mean["warm-up 0.33"] < mean["backprop"]
assert mean["warm-up 0.33"] > mean["backprop alone, a third"] + 2
assert mean["warm-up 0.33"] > mean["at the end, a third"] + 2
assert mean["constant rate: at the end, a third"] > mean["constant rate: warm-up, a third"] + 1
assert mean["5 cuts"] + 2 < mean["lambda 0.67"]
assert mean["layers only, a third"] > (mean["5 cuts"] + mean["warm-up 0.33"]) / 2

# %% [markdown]
# Both dials lead from one end to the other. Neither is free: a warm-up is as locked as backprop while it lasts, and a
# $\lambda$ above 0 waits in every step. As to the controls:
#
# - With the rate that falls, the decoupled updates behind the warm-up are worth having: backprop alone, stopped there,
#   has learned less. At the constant rate they add next to nothing.
# - *When* the backprop comes is a matter of the learning rate. With the one that falls, the same number of backprop
#   updates at the *end* does much less, for they are small. At the constant rate it is the other way round.
# - It is above all the *layers* that are to be warmed up. Synthesizers that begin from zero behind the warm-up do
#   nearly as well.
#
# ## 6. The verdicts
#
# Put together from what your cells have printed above.

# %%
low, high = (followed[:, -1, i, 0].mean() for i in (0, 1))
print(f"""
A. "The earlier ones never see the true gradient, only bootstrapped ones."
   True as it stands: the target of DNI_0's signal is made with DNI_3's. In the end the cosines with the true
   gradient are {low:.2f} for the signal of DNI_0 and {high:.2f} for that of DNI_3.
   Not true that it cannot know it: with weights at rest, and synthesizers that can be exact, the truth came down
   through {len(half)} boundaries, to an error of {errors[-1, 0]:.0e} at the lowest.
   And the chain learned: {mean["DNI_0, DNI_3, DNI_5"]:.1f} %, where the frozen trunk has {mean["frozen trunk"]:.1f} % \
and backprop {mean["backprop"]:.1f} %.

B. "The more modules, the noisier the signal."
   Worse, yes: {mean["1 cut"]:.1f}, {mean["2 cuts"]:.1f} and {mean["5 cuts"]:.1f} % with 1, 2 and 5 cuts.
   Noisier, no. At the same weights the noise at layer 0 is {own[0]:.1f}, {own[1]:.1f} and {own[2]:.1f} times the mean,
   and {own[3]:.1f} times for the true gradient. What grows is the bias, {biases[0]:.2f}, {biases[1]:.2f} and \
{biases[2]:.2f}; and unlike
   noise it does not average out.

C. "So warm up with ordinary backprop first."
   True, in this network: {mean["5 cuts"]:.1f} % without, {mean["warm-up 0.33"]:.1f} % with a third, \
{mean["warm-up 0.67"]:.1f} % with two thirds.
   With a learning rate that falls, that is. At a constant one, a third of backprop is better kept for the end:
   {mean["constant rate: at the end, a third"]:.1f} %, and {mean["constant rate: warm-up, a third"]:.1f} % as a warm-up.
   It is a purchase: that share of the training is as locked as backprop. For the synthesizers it is hardly needed:
   {mean["layers only, a third"]:.1f} % if only the layers are warmed up for a third.""")

# %% [markdown]
# (The learning rates, the width and the number of updates were chosen for this lesson by looking at trainings like
# these. With more data and more updates all accuracies rise; with synthesizers that see no label they fall, as you know
# from the last lesson.)
#
# ## 7. The same as the library's
#
# A training step of each kind by your functions and by the library's `Chain`, from the same weights, in float64:


# %%
def same(what, got, expected):
    check_equal(what, got, expected)
    print(f"{what:<44} largest difference {np.abs(np.asarray(got) - expected).max():.1e}")


(x, labels), *_ = small_chain(7, 4)[1]
mine, theirs = small_chain(7, 4)[0], small_chain(7, 4)[0]
h, dx = segment_step(mine[0], x, labels)
taken = theirs[0].step(x, labels)
same("h of a segment's step", h, taken.h)
same("dx of a segment's step", dx, taken.dx)
same("output of a decoupled step", decoupled_step(mine.segments, x, labels), theirs.decoupled(x, labels).h)
same("output of a step of BP(0.4)", mixed_step(mine.segments, x, labels, 0.4), theirs.mixed(x, labels, 0.4).h)
for got, expected, what in zip(all_weights(mine), all_weights(theirs), ("segments", "synthesizers"), strict=True):
    same(f"weights of the {what} after all that", got, expected)
for i, (got, expected) in enumerate(
    zip(true_gradients(mine.segments, x, labels), theirs.boundaries(x, labels)[1], strict=True)
):
    same(f"true gradient above segment {i}", got, expected)

# %% [markdown]
# ## What to remember
#
# - A segment takes its step by itself. Its `dx` is the target of the signal below, whatever it was made of: that is
#   bootstrapping, and it needs no code.
# - The truth enters at the top and comes down a boundary at a time. Where synthesizers can be exact and weights rest,
#   all of them become exact.
# - Each synthesizer passes on what it can express. More of them mean more bias, and not more noise.
# - The cosine with the true gradient compares a guess with the network as it is. It says little about which of two
#   networks learns better.
# - Warm-up and BP($\lambda$) are dials between decoupled and locked. What they gain in accuracy they give up in
#   freedom.
# - An accuracy needs its controls: the frozen trunk below, backprop above, the same number of updates for all.
#
# ## Where the formulas come from
#
# - Chains of synthetic gradients, and the mixture BP($\lambda$): M. Jaderberg and others, *Decoupled neural interfaces
#   using synthetic gradients*, ICML 2017, arXiv 1608.05343, with its supplement.
# - What synthesizers do to the layers below them: W. Czarnecki and others, *Understanding synthetic gradients and
#   decoupled neural interfaces*, ICML 2017, arXiv 1703.00522.
# - Learning a guess from a later guess: R. Sutton, *Learning to predict by the methods of temporal differences*,
#   Machine Learning 3 (1988); there $\lambda$ is a dial between the next guess and the outcome, too.
# - That the cosine does not rank learning algorithms: O. Marschall, K. Cho and C. Savin, *A unified framework of online
#   learning algorithms for training recurrent neural networks*, Journal of Machine Learning Research 21 (2020).
# - MNIST-1D: S. Greydanus and D. Kobak, *Scaling down deep learning with MNIST-1D*, ICML 2024, arXiv 2011.14439.
