# %% [markdown]
# # One slot, many signals
#
# - **Minutes:** 45
# - **Needs:** the lesson *Synthetic gradients*: a boundary, and what answers `gradient(h, labels)` at it
# - **Learn:** write two signals that are not the gradient, compare eight of them in the same place of the same network,
#   count what each has to wait for, and look at what the layers learn from them
# - **Data:** MNIST-1D, made by the package: ten digits as curves of 40 points
#
# To guess the gradient is one way not to wait for it. There are others, and most are older: send the error down through
# random weights, or past all layers at once; give each layer a loss of its own; use the gradient of the last minibatch.
# They look like rival theories, and are usually compared across papers, with other networks, other data and other
# tuning. Here they are what they are in code: objects that answer `gradient(h, labels)`. So we put them into the same
# slot of the same network, one after another, and change nothing else.
#
# There are three exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.
#
# The part *The same, or the same from afar?* is an extra, of 5 minutes more.

# %%
import copy
import inspect
import time
from itertools import pairwise

import numpy as np

from minidni import Adam, Chain, Linear, ReLU, Sequential, SoftmaxCrossEntropy, Synthesizer, bptt
from minidni.data import batches, mnist1d
from minidni.dni import (
    DirectFeedbackAlignment,
    Exact,
    FeedbackAlignment,
    Greedy,
    Kickback,
    Stale,
    Zero,
    networks,
    random_feedback,
    signals,
)
from minidni.gradcheck import check_equal
from minidni.plots import show_dots, show_lines, show_tables

# %% [markdown]
# ## 1. The slot
#
# A network with three hidden layers of 48 units and a readout is cut at every hidden layer:
#
# ```text
#   x ──▶ Linear ▶ ReLU ──▶ h1 ──▶ Linear ▶ ReLU ──▶ h2 ──▶ Linear ▶ ReLU ──▶ h3 ──▶ Linear ──▶ y ──▶ loss
#         segment 1     ◀── ?      segment 2     ◀── ?      segment 3     ◀── ?      readout    ◀── dy
# ```
#
# The readout has the loss above it, which is exact. In the three other places something must stand that says in which
# direction `h` should go. The library keeps a table of what it can be:

# %%
print("\n".join(inspect.getdoc(signals).splitlines()[2:]))

# %% [markdown]
# **Predict.** Before you go on, write down an order: which of the signals will teach the network most, in the same
# number of steps? Where is *Zero* in your order?
#
# Here are the data and the network.

# %%
data = mnist1d(10_000, test_fraction=0.4)
loss = SoftmaxCrossEntropy()
N, N_CLASSES, CUTS = 48, data.n_classes, (2, 4, 6)
BOUNDARIES = ("h1", "h2", "h3")


def network(seed, linear=Linear, dtype=np.float32):
    rng, widths, layers = np.random.default_rng(seed), (data.features, N, N, N), []
    for n_in, n_out in pairwise(widths):
        layers += [linear(n_in, n_out, rng=rng, dtype=dtype), ReLU()]
    return Sequential(*layers, linear(N, N_CLASSES, rng=rng, dtype=dtype))


# %% [markdown]
# ## 2. Past all layers: direct feedback alignment
#
# Backpropagation sends the error at the very end, $e = dL/dy$, down through the weights above the boundary, transposed.
# For an `h` with two layers above it,
#
# $$dh = \big( (e \, W_2^\top) \odot \text{ReLU}' \big) \, W_1^\top$$
#
# *Feedback alignment* replaces each $W^\top$ on this way by a fixed random matrix. It was found in 2014 that networks
# learn like that, and this was surprising: a brain has no way to know the transpose of its weights. *Direct feedback
# alignment* drops the way altogether. One fixed random matrix for each boundary leads from the error to `h`:
#
# $$dh = e \, B \qquad e\,(B_{\text{batch}}, C) \quad B\,(C, N)$$
#
# ### Exercise 1: direct feedback alignment
#
# Write `gradient`. Run everything above the boundary forward from `h`, ask the loss for the error at the end, and
# multiply it with `self.B`, which is drawn once and never changes. It must leave the layers above as they are.


# %% exercise="direct-feedback"
class DirectFeedback:
    """The error at the end times a fixed random matrix."""

    def __init__(self, above, n, n_out, rng, dtype=np.float32):
        self.above = above  # all layers between this boundary and the loss
        limit = n_out**-0.5
        self.B = rng.uniform(-limit, limit, (n_out, n)).astype(dtype)  # (C, N)

    def gradient(self, h, labels):
        """h (B, N), labels (B,) -> what is used as dL/dh (B, N)."""
        ### BEGIN SOLUTION
        y, _ = self.above.forward(h)
        return loss.gradient(y, labels) @ self.B
        ### END SOLUTION


# %% test="direct-feedback-check" points=2
def check_direct_feedback(first, seed):
    """Stop with a sentence if the signal below `net[first:]` differs from the library's."""
    rng = np.random.default_rng(seed)
    above = Sequential(*network(seed, dtype=np.float64)[first:])
    mine = DirectFeedback(above, N, N_CLASSES, np.random.default_rng(seed), np.float64)
    library = DirectFeedbackAlignment(above, loss, N, N_CLASSES, rng=seed)
    before = {name: p.copy() for name, p in above.params.items()}
    for _ in range(2):  # the second time shows a B that changes
        h, labels = rng.standard_normal((5, N)), rng.integers(0, N_CLASSES, 5)
        y, _ = above.forward(h)
        e = loss.gradient(y, labels)
        suspects = {
            "it is the true gradient, through the layers above": Exact(above, loss).gradient(h, labels),
            "the error is y, not the gradient of the loss": y @ library.B,
            "the sign is the wrong one": -e @ library.B,
            "it is B times too large: the loss is a mean already": len(h) * e @ library.B,
        }
        check_equal("dh", mine.gradient(h, labels), library.gradient(h, labels), suspects)
    for name, p in above.params.items():
        check_equal(f"{name} of the layers above (which must not change)", p, before[name])
    dirty = [name for name, g in above.grads.items() if np.any(g)]
    assert not dirty, f"the layers above were left with gradients in {', '.join(dirty)}: run them forward only."


check_direct_feedback(first=2, seed=0)
check_direct_feedback(first=6, seed=1)
### BEGIN HIDDEN TESTS
check_direct_feedback(first=4, seed=2)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# ## 3. A loss of its own: greedy learning
#
# The loss at the end is only one way to say what is wanted. Put another one right at the boundary: a small readout, the
# *head*, that tries to tell the class from `h` alone, with a loss of its own. The gradient of *that* loss is exact, and
# at hand at once. The head learns along. Nothing from above is needed, now or later.
#
# ### Exercise 2: the greedy signal
#
# Write `gradient`. It runs the head forward, sends the gradient of the loss back through it, and gives the head its
# step of the optimiser. It returns what the head's `backward` has returned. (The head's gradients add up; set them to
# zero.)


# %% exercise="local-loss"
class LocalLoss:
    """A loss at the boundary itself, behind a head that is trained on the way."""

    def __init__(self, head, optimiser):
        self.head, self.optimiser = head, optimiser

    def gradient(self, h, labels):
        """h (B, N), labels (B,) -> what is used as dL/dh (B, N); the head takes its step."""
        ### BEGIN SOLUTION
        y, cache = self.head.forward(h)
        self.head.zero_grads()
        dh = self.head.backward(loss.gradient(y, labels), cache)
        self.optimiser.step(self.head)
        return dh
        ### END SOLUTION


# %% test="local-loss-check" points=2
def check_local_loss(n, seed):
    """Stop with a sentence if a few minibatches differ from the library's greedy signal."""
    rng = np.random.default_rng(seed)
    head, other = (Linear(n, N_CLASSES, rng=seed, dtype=np.float64) for _ in range(2))
    mine, library = LocalLoss(head, Adam(0.1)), Greedy(other, loss, Adam(0.1))
    for step in range(3):
        h, labels = rng.standard_normal((5, n)), rng.integers(0, N_CLASSES, 5)
        before = copy.deepcopy(other)
        right = library.gradient(h, labels)
        y, _ = before.forward(h)
        suspects = {
            "the head took its step before, not after": loss.gradient(y, labels) @ other.params.W.T,
            "it is the gradient by y; send it back through the head": loss.gradient(y, labels),
        }
        check_equal(f"dh, call {step + 1}", mine.gradient(h, labels), right, suspects)
        for name, p in head.params.items():
            mistakes = {"the head took no step": before.params[name]}
            check_equal(f"{name} of the head after call {step + 1}", p, other.params[name], mistakes)


check_local_loss(n=6, seed=0)
### BEGIN HIDDEN TESTS
check_local_loss(n=3, seed=1)
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# ## 4. What each has to wait for
#
# The others come from the library, in a line each:
#
# - **exact**: backpropagation through the layers above, from `h`.
# - **kickback**: the error at the end, handed to each unit of the *next* segment as if it were its own, and sent back
#   through this one segment. (There are ten errors, so unit $k$ takes that of output $k$ modulo 10.) Below the readout
#   kickback is exact.
# - **FA**: feedback alignment, as above.
# - **stale**: what came back the last time. Since other examples stand in the rows now, it is the mean over the last
#   minibatch's examples of the same label.
# - **synthetic**: a linear synthesizer that sees `h` and the label, with Adam.
# - **zero**: the control. Only the readout learns, on three random layers.


# %%
LR = 5e-3


def chain_with(name, seed, linear=Linear):
    """The network, cut at every hidden layer, with the named signal at each of them."""
    net, rng = network(seed, linear), np.random.default_rng(1000 + seed)
    feedback = random_feedback(net, rng)  # a layer's random matrix is the same for all boundaries below it
    make = {
        "exact": lambda above: Exact(above, loss),
        "kickback": lambda above: Kickback(above, loss),
        "FA": lambda above: FeedbackAlignment(above, loss, feedback=feedback),
        "DFA": lambda above: DirectFeedback(above, N, N_CLASSES, rng),
        "greedy": lambda above: LocalLoss(Linear(N, N_CLASSES, rng=rng), Adam(LR)),
        "synthetic": lambda above: Synthesizer(networks.linear(N, N_CLASSES, rng=rng), Adam(LR)),
        "stale": lambda above: Stale(N_CLASSES),
        "zero": lambda above: Zero(),
    }
    return Chain.cut(net, CUTS, signal=make[name], loss=loss, optimizer=lambda: Adam(LR))


NAMES = ("exact", "kickback", "FA", "DFA", "greedy", "synthetic", "stale", "zero")

# %% [markdown]
# What has to be done above a boundary before its segment may take its step? The table at the top says so; do not
# believe it, but count. The linear layers of this network write down when they are run forward or back. We ask each
# signal once at each boundary, and count the layers above that had to run.
#
# **Predict, then run.** Below `h1` there are three linear layers above the boundary. What will DFA need, which sends
# nothing through them? And kickback?


# %%
ran = set()


class Counted(Linear):
    """A linear layer that writes down that it ran."""

    def forward(self, x, cache=None):
        ran.add(("forward", id(self)))
        return super().forward(x, cache)

    def backward(self, dy, cache):
        ran.add(("back", id(self)))
        return super().backward(dy, cache)


def layers_run(name):
    """For each boundary how many linear layers of the network ran (forward, back) to answer."""
    chain, h = chain_with(name, 0, Counted), data.x_train[:8]
    counts = []
    for segment in list(chain)[:-1]:
        h, _ = segment.forward(h)
        ran.clear()
        segment.signal.gradient(h, data.y_train[:8])
        counts.append(tuple(sum(way == which for way, _ in ran) for which in ("forward", "back")))
    return counts


waits = {name: layers_run(name) for name in NAMES}
print(f"{'layers above that had to run: forward, back':<46}" + "".join(f"{b:>10}" for b in BOUNDARIES))
for name, counts in waits.items():
    print(f"{name:<46}" + "".join(f"{f'{forward}, {back}':>10}" for forward, back in counts))
assert waits["exact"] == waits["FA"] == [(3, 3), (2, 2), (1, 1)]
assert waits["DFA"] == [(3, 0), (2, 0), (1, 0)]
assert all(waits[name] == [(0, 0)] * 3 for name in ("greedy", "synthetic", "stale", "zero"))

# %% [markdown]
# Three groups. Feedback alignment waits for all that backpropagation waits for; what it does without is the transposed
# weights. DFA and kickback do without the way back (kickback but for one layer), and still need the error, so all
# layers above must have run forward. With a hundred layers, that is half of the wait. The last four need nothing from
# above. Stale and synthetic hear from there later, and greedy and zero never do.
#
# ## 5. The race
#
# First a check that the slot is honest. With the exact signal in it, each segment takes its step before the next one
# runs, and the result must be backpropagation all the same:

# %%
in_the_slot, locked = chain_with("exact", 0), chain_with("exact", 0)
for x, labels in batches(data.x_train, data.y_train, size=100, seed=0):
    in_the_slot.decoupled(x, labels)
    locked.backprop(x, labels)
apart = max(
    np.abs(p - q).max() for p, q in zip(in_the_slot.net.params.values(), locked.net.params.values(), strict=True)
)
print(f"exact signals against backpropagation after an epoch: largest difference {apart:.1e}")
assert apart < 1e-5

# %% [markdown]
# Now all eight, with three seeds. For a seed, all start from the same weights and see the same minibatches; all take
# the same number of steps with Adam at the same rate. (The rate was chosen for this lesson by looking at trainings with
# other seeds. Each method may have one that suits it better.)
#
# **Predict, then run.** You have an order written down.

# %%
EPOCHS, SEEDS, BATCH = 8, (0, 1, 2), 100


def towards_feedback(chain):
    """For each boundary the cosine between the product of all weights above, transposed, and DFA's random matrix."""
    weights, cosines = [segment.net[0].params.W for segment in chain], []
    for i, segment in enumerate(list(chain)[:-1]):
        product = np.linalg.multi_dot([*weights[i + 1 :], np.eye(N_CLASSES)])
        cosines.append(float(bptt.compare(product.T, segment.signal.B.astype(np.float64)).cosine))
    return cosines


def train(name, seed):
    """-> the chain, its test accuracy after each epoch, and for DFA how its weights stand to the random matrices."""
    chain, accuracies, alignment = chain_with(name, seed), [], []
    for epoch in range(EPOCHS):
        if name == "DFA":
            alignment.append(towards_feedback(chain))
        for x, labels in batches(data.x_train, data.y_train, size=BATCH, seed=seed, epoch=epoch):
            chain.decoupled(x, labels)
        accuracies.append(np.mean(chain.predict(data.x_test).argmax(axis=1) == data.y_test))
    if name == "DFA":
        alignment.append(towards_feedback(chain))
    return chain, accuracies, alignment


started_at, runs = time.perf_counter(), {}
for name in NAMES:
    runs[name] = [train(name, seed) for seed in SEEDS]
print(f"{len(SEEDS) * len(NAMES)} trainings took {time.perf_counter() - started_at:.1f} seconds\n")

final = {name: 100 * np.array([accuracies[-1] for _, accuracies, _ in of]) for name, of in runs.items()}
training_loss = {
    name: np.mean([loss.value(chain.predict(data.x_train), data.y_train) for chain, *_ in of])
    for name, of in runs.items()
}
print(f"{f'on {len(data.y_test):,} test examples':<26}{'accuracy':>9}{'lowest':>9}{'highest':>9}{'training loss':>16}")
for name, values in final.items():
    print(f"{name:<26}{values.mean():8.1f}%{values.min():8.1f}%{values.max():8.1f}%{training_loss[name]:16.3f}")

# %%
by_accuracy = sorted(NAMES, key=lambda name: -final[name].mean())
show_dots({name: final[name] for name in by_accuracy}, "test accuracy (%)", levels={"chance": 10.0})

# %%
epochs = np.arange(1, EPOCHS + 1)
lines = {name: (epochs, [100 * np.array(accuracies) for _, accuracies, _ in of]) for name, of in runs.items()}
show_lines(
    {
        "accuracy (%), waiting for layers above": {n: lines[n] for n in ("exact", "kickback", "FA", "DFA", "zero")},
        "accuracy (%), waiting for nothing": {n: lines[n] for n in ("exact", "greedy", "synthetic", "stale", "zero")},
    },
    "epoch",
)

# %% [markdown]
# Every signal but the stale one takes the network beyond the control, and none as far as the truth. Between these two
# there is room for surprises. A loss of one's own, which never hears what the network is for, comes next to the truth
# here. The synthesizer, which tries to say exactly what backpropagation says, starts slowly: it has to learn that
# first, and below `h3` it learns from what another guess has made of the gradient. And the stale gradient, which *was*
# the truth a moment ago, teaches less than nothing.

# %%
mean = {name: values.mean() for name, values in final.items()}
assert all(mean["exact"] > mean[name] for name in NAMES[1:])
assert all(mean[name] > mean["zero"] + 3 for name in ("exact", "kickback", "FA", "DFA", "greedy", "synthetic"))
assert all(mean["greedy"] > mean[name] for name in ("FA", "DFA", "kickback", "synthetic"))
assert mean["stale"] < mean["zero"]

# %% [markdown]
# ## 6. The right direction?
#
# One would like to tell a good signal from a bad one without a training. What comes to mind is the cosine with the true
# gradient, at every boundary. We take it at the end of the trainings, each in its own network, on examples that were
# not trained on.
#
# **Predict, then run.** Is the order of the cosines that of the accuracies? Where is the stale gradient in it?

# %%
guesses = [name for name in by_accuracy if name not in ("exact", "zero")]
cosines = {}
for name in guesses:
    compared = [chain.compare(data.x_test[:1000], data.y_test[:1000]) for chain, *_ in runs[name]]
    cosines[name] = np.array([[float(c.cosine) for c in of_chain] for of_chain in compared])  # (seeds, boundaries)
table = np.array([cosines[name].mean(axis=0) for name in guesses])
show_tables({"mean over the seeds": table}, guesses, BOUNDARIES, label="cosine with the true gradient")

# %%
print(f"{'':<12}{'accuracy':>9}{'cosine, mean of all boundaries':>33}{'lowest':>9}{'highest':>9}")
for name in guesses:
    by_seed = cosines[name].mean(axis=1)
    print(f"{name:<12}{final[name].mean():8.1f}%{by_seed.mean():33.2f}{by_seed.min():9.2f}{by_seed.max():9.2f}")
assert cosines["stale"].mean() > cosines["DFA"].mean() + 0.1
assert min(cosines[name].mean() for name in ("FA", "DFA")) > 0.05

# %% [markdown]
# It is not. Feedback alignment and DFA teach the network something with arrows that stand nearly across the true one.
# The stale gradient points in a far better direction, and teaches nothing. A cosine is a picture of one moment, in the
# network to which the signal itself has led. What counts is where many small steps add up to.

# %% [markdown] answer="stale" points=2
# **A question to answer in words.** The stale signal says, for each label, the mean of what came back for the examples
# of this label the last time. So it gives the same answer for all examples of a label, whatever `h` is. How can it have
# a cosine with the true gradient that is so much larger than DFA's, and still be worse than doing nothing? Think of an
# example that the network already reads right, and of what happens if a push is repeated. What does DFA's error `e`
# know that the stale signal does not?
#
# ### BEGIN SOLUTION
# Where much is still to be learned, examples of the same label are to be pushed into similar directions, and the mean
# tells this direction; that makes a large cosine. But the true gradient of an example vanishes when the example is read
# right. The mean goes on: it pushes examples that are right already as hard as those that are wrong, and those that are
# wrong in some special way into the general direction. Nothing in it depends on h, so pushing an example does not make
# the push any smaller. The layers are driven along with nothing to stop them, and the readout above has to read from
# something that runs away. DFA sends the error of each example through a random matrix: the direction is odd, but the
# push is zero for who is right, and large for who is wrong. That is a feedback; the stale signal is none.
# ### END SOLUTION

# %% [markdown]
# ### How can random matrices work?
#
# For feedback alignment the surprise has an explanation that can be looked at. The way back does not learn; but the way
# *forward* does, and it can learn to suit the way back. If the weights above a boundary, multiplied together and
# transposed, come to point in the direction of the random matrix $B$, then $e\,B$ is not so random any more.
#
# **Predict, then run.** The cosine between that product and $B$, from before the training to its end, for the three
# boundaries of DFA. What is it at the start?

# %%
alignment = np.array([of for *_, of in runs["DFA"]])  # (seeds, epochs + 1, boundaries)
show_lines(
    {
        "cosine of the weights above with B": {
            b: (np.arange(EPOCHS + 1), alignment[..., i]) for i, b in enumerate(BOUNDARIES)
        }
    },
    "epoch",
)

# %%
for i, boundary in enumerate(BOUNDARIES):
    start, end = alignment[:, 0, i], alignment[:, -1, i]
    print(f"{boundary}: from {start.mean():+.2f} (seeds {start.min():+.2f} to {start.max():+.2f})", end="")
    print(f" to {end.mean():+.2f} (seeds {end.min():+.2f} to {end.max():+.2f})")
assert (alignment[:, -1].mean(axis=0) > alignment[:, 0].mean(axis=0) + 0.05).all()

# %% [markdown]
# The forward weights turn towards the random ones, though not far in so few steps. (The product leaves out the ReLUs
# between, so it is a rough measure.) Nobody told them to: the layers below move as $B$ says, and the layers above have
# to make sense of what comes out of it.
#
# ## 7. What the layers learn
#
# Two networks with the same accuracy need not have learned the same. What does a layer know? Ask it the way one asks in
# neuroscience: put a simple readout on it, a *probe*, and see how much of the class it can tell.
#
# ### Exercise 3: a linear probe
#
# Write `probe`. Solve for the matrix that maps $[\,h \,|\, 1\,]$ to the one-hot rows of the labels with the least
# squared error (`np.linalg.lstsq(...)[0]`), and return the share of `h_new` that it reads right, where a row is read as
# the column with the largest number. Calculate in float64.


# %% exercise="probe"
def probe(h, labels, h_new, labels_new):
    """h (n, N), labels (n,), h_new (m, N), labels_new (m,) -> the share of h_new that a linear readout reads right."""
    ### BEGIN SOLUTION
    with_one = [np.concatenate([a, np.ones((len(a), 1))], axis=1).astype(np.float64) for a in (h, h_new)]
    W = np.linalg.lstsq(with_one[0], np.eye(labels.max() + 1)[labels], rcond=None)[0]
    return np.mean((with_one[1] @ W).argmax(axis=1) == labels_new)
    ### END SOLUTION


# %% test="probe-check" points=2
def check_probe(n, N, classes, shift, seed):
    """Stop with a sentence if the share differs from that of the readout with the least squares."""
    rng = np.random.default_rng(seed)
    labels, labels_new = np.arange(n) % classes, rng.integers(0, classes, 200)
    centres = 2 * rng.standard_normal((classes, N)) + shift
    h, h_new = (centres[y] + 2 * rng.standard_normal((len(y), N)) for y in (labels, labels_new))
    onehot = np.eye(classes)[labels]
    means = h.mean(axis=0), onehot.mean(axis=0)
    W = np.linalg.pinv(h - means[0]) @ (onehot - means[1])  # the bias, solved for by itself
    right = np.mean(((h_new - means[0]) @ W + means[1]).argmax(axis=1) == labels_new)
    on_old = np.mean(((h - means[0]) @ W + means[1]).argmax(axis=1) == labels)
    without_one = np.mean((h_new @ (np.linalg.pinv(h) @ onehot)).argmax(axis=1) == labels_new)
    suspects = {
        "it is the share of the examples that it was solved for": on_old,
        "the column of ones is missing": without_one,
        "it is the share that is read wrong": 1 - right,
        "it is a number of examples, or a percentage": 100 * right,
    }
    check_equal("the share", probe(h, labels, h_new, labels_new), right, suspects)


check_probe(n=300, N=4, classes=5, shift=3.0, seed=0)
### BEGIN HIDDEN TESTS
check_probe(n=100, N=3, classes=4, shift=-5.0, seed=1)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# **Predict, then run.** Which method has the best *first* layer? In which of them does a layer know less than the one
# below it? The row *zero* is again the control: three random layers, one after another.


# %%
def activations(chain, x):
    """What flows upwards at the three boundaries."""
    found = []
    for segment in list(chain)[:-1]:
        x, _ = segment.forward(x)
        found.append(x)
    return found


rows = slice(0, 1500)
probes = {}
for name in by_accuracy:
    for chain, *_ in runs[name]:
        layers = zip(activations(chain, data.x_train[rows]), activations(chain, data.x_test), strict=True)
        shares = [100 * probe(h, data.y_train[rows], h_new, data.y_test) for h, h_new in layers]
        probes.setdefault(name, []).append(shares)
table = np.array([[*np.mean(probes[name], axis=0), mean[name]] for name in by_accuracy])
show_tables(
    {"mean over the seeds": table},
    by_accuracy,
    (*BOUNDARIES, "y"),
    label="read right by a probe, and at y by the network itself (%)",
    high=70,
    low=10,
    digits=1,
)

# %%
probed = {name: np.mean(probes[name], axis=0) for name in by_accuracy}
for name in ("greedy", "exact", "zero"):
    first, _, third = probed[name]
    print(f"{name:<8} first layer {first:.1f} %, from there to the third {third - first:+.1f}")
print(f"stale    third layer {probed['stale'][2]:.1f} %, the network itself {mean['stale']:.1f} %")
assert abs(probed["stale"][2] - probed["zero"][2]) < 8 and probed["stale"][2] > mean["stale"]
assert probed["greedy"][0] > probed["exact"][0] > probed["zero"][0]
assert probed["exact"][2] > probed["exact"][0] + 5 and probed["zero"][2] < probed["zero"][0]

# %% [markdown]
# The network that learned greedily has the better *first* layer, better than backpropagation's. No wonder: its first
# layer was asked for nothing else than what the probe asks. Under backpropagation a layer may pass on what only a later
# layer makes readable, and what counts is the end, where it is ahead. Random layers lose a little on the way. And
# the stale network's layers know about as much as random ones; it is its own readout that cannot follow them.
#
# ### The same, or the same from afar?
#
# *An extra, 5 minutes.*
#
# Which of these networks have learned alike? Two layers can say the same in other coordinates, so one compares which
# *examples* a layer takes for similar. With the activations $h$ and $g$ of two networks for the same examples, each
# column with its mean taken off,
#
# $$\text{CKA}(h, g) = \frac{\|h^\top g\|^2}{\|h^\top h\| \, \|g^\top g\|}$$
#
# (the norms are the roots of the sums of all squares) is 1 if they agree up to a rotation and a factor, and 0 if they
# have nothing in common. We compare each network with three others: the one that backpropagation made from the *same*
# start; the one that it made from *another* start; and the start itself.
#
# **Predict, then run.** In the second panel, the row *exact* says how like two trainings of the same kind are. Is a
# synthetic network nearer to the exact one than that?


# %%
def cka(h, g):
    """Linear CKA of two networks' activations for the same examples, (n, N) and (n, M)."""
    h, g = (a - a.mean(axis=0) for a in (h.astype(np.float64), g.astype(np.float64)))
    return np.sum((h.T @ g) ** 2) / np.sqrt(np.sum((h.T @ h) ** 2) * np.sum((g.T @ g) ** 2))


seen = {name: [activations(chain, data.x_test[:1000]) for chain, *_ in runs[name]] for name in NAMES}
others = {
    "exact, same start": seen["exact"],
    "exact, another start": seen["exact"][1:] + seen["exact"][:1],
    "its own start": seen["zero"],
}
likeness = {}
for what, other in others.items():
    by_seed = [
        [[cka(h, g) for h, g in zip(seen[name][i], other[i], strict=True)] for name in by_accuracy] for i in SEEDS
    ]
    likeness[what] = np.mean(by_seed, axis=0)
show_tables(likeness, by_accuracy, BOUNDARIES, label="CKA")

# %%
same, another = likeness["exact, same start"], likeness["exact, another start"]
rows_of = {name: row for row, name in enumerate(by_accuracy)}
for name in ("synthetic", "greedy", "kickback", "FA", "DFA", "stale"):
    print(f"{name:<10} mean of the three layers: {same[rows_of[name]].mean():.2f}", end="   ")
    print(f"two exact networks: {another[rows_of['exact']].mean():.2f}")
assert same[rows_of["stale"]][2] > same[rows_of["zero"]][2] + 0.2
assert same[rows_of["synthetic"]].mean() > another[rows_of["exact"]].mean() - 0.1
assert max(same[rows_of[name]].mean() for name in ("FA", "DFA")) < another[rows_of["exact"]].mean() - 0.05

# %% [markdown]
# The synthetic network is about as near to the exact one as a second training by backpropagation would be. The two with
# random feedback went elsewhere. Czarnecki and others report *very different* representations in the layers under
# synthetic gradients, with the same critical points; three layers, few steps and one measure are no test of that. And
# there is a warning in the row *stale*: its third layer looks far more like backpropagation's than random layers do,
# and a probe reads no more from it. CKA looks at the few directions in which the activations vary most, and not at what
# can be read from them. Use it together with a probe.

# %% [markdown]
# ## 8. Which for what?

# %%
print(f"{'':<12}{'accuracy':>9}{'layers to run below h1':>25}{'its own':>10}   from elsewhere it needs")
needs = {
    "exact": "the error, and the weights of all layers above",
    "kickback": "the error, and the weights of the next segment",
    "FA": "the error, and which units above are active",
    "DFA": "the error",
    "greedy": "nothing, ever (the label is at hand)",
    "synthetic": "later, what has come back (the label is at hand)",
    "stale": "later, what has come back (the label is at hand)",
    "zero": "nothing, ever",
}
for name in by_accuracy:
    forward, back = waits[name][0]
    extra = {"DFA": N * N_CLASSES, "FA": "as above", "greedy": N * N_CLASSES, "synthetic": N * (N + N_CLASSES)}.get(
        name, "-"
    )
    print(f"{name:<12}{mean[name]:8.1f}%{f'{forward} forward, {back} back':>25}{extra!s:>10}   {needs[name]}")
print("\n(its own: weights that the signal itself has at a boundary; as above: as many as the layers above have)")

# %% [markdown]
# - **Nobody minds waiting**: take the exact gradient. It is the best teacher, and has nothing of its own to be tuned.
# - **The way back is the trouble**, because the weights above cannot be had (a brain, a chip without a way back): DFA.
# - **Even the way forward is too long**: greedy or synthetic. Here greedy wins, as it does in the independent
#   comparisons on CIFAR-10 that we know of. It asks each layer for the class as early as it can be had, which suits a
#   task where every layer can come closer to the answer. A synthetic gradient asks for what the *whole* network needs,
#   and pays with having to learn that.
# - **The loss comes later**: at the end of a window of a recurrent network, the true gradient comes from steps that
#   have not happened yet, so the exact signal cannot be had at all, and no loss at the boundary knows what these steps
#   will need. That leaves zero, which is truncation; and synthetic.
#
# Be careful with the order in this table. It is that of one small network, one task, one rate for all methods, and few
# steps; other synthesizers than a linear one, other heads and other rates may change it. What will not change are the
# columns about waiting.
#
# ## 9. The same as the library's
#
# Your two signals in a chain, and the library's in another, for 20 steps in float64:

# %%
for name in ("DFA", "greedy"):
    chains = []
    for ours in (True, False):
        rng, net = np.random.default_rng(5), network(4, dtype=np.float64)

        def make(above, name=name, ours=ours, rng=rng):
            if name == "DFA" and ours:
                return DirectFeedback(above, N, N_CLASSES, rng, np.float64)
            if name == "DFA":
                return DirectFeedbackAlignment(above, loss, N, N_CLASSES, rng=rng)
            head = Linear(N, N_CLASSES, rng=rng, dtype=np.float64)
            return LocalLoss(head, Adam(LR)) if ours else Greedy(head, loss, Adam(LR))

        chain = Chain.cut(net, CUTS, signal=make, loss=loss, optimizer=lambda: Adam(LR))
        for x, labels in batches(data.x_train[:2000].astype(np.float64), data.y_train[:2000], size=BATCH, seed=4):
            chain.decoupled(x, labels)
        chains.append(chain)
    mine, library = ({key: p for key, p in chain.net.params.items()} for chain in chains)
    for key, p in mine.items():
        check_equal(f"{name}: {key}", p, library[key])
    apart = max(np.abs(p - library[key]).max() for key, p in mine.items())
    print(f"{name:<8} largest difference of all weights after 20 steps {apart:.1e}")

# %%
print(inspect.getsource(DirectFeedbackAlignment._gradient))
print(inspect.getsource(Greedy.gradient))

# %% [markdown]
# ## What to remember
#
# - At a boundary anything can stand that answers `gradient(h, labels)`. So rival methods can be compared in one place,
#   with all else the same; and a control (zero), and the truth (exact), belong in every such comparison.
# - What a signal looks at is what its segment waits for. Feedback alignment saves the transposed weights and no
#   waiting; DFA and kickback save the way back; greedy, synthetic and stale wait for nothing.
# - A loss of its own is a strong signal where the label is at hand. It makes other layers than backpropagation does.
# - Under random feedback the forward weights turn towards it, and that makes it less random.
# - A large cosine with the true gradient is neither needed nor enough.
# - What a layer holds, a probe can tell. Whether the layer above can use it is another question.
#
# ## Where the formulas come from
#
# - Feedback alignment: T. P. Lillicrap and others, *Random synaptic feedback weights support error backpropagation for
#   deep learning*, Nature Communications 7 (2016); first arXiv 1411.0247 (2014).
# - Direct feedback alignment: A. Nøkland, arXiv 1609.01596 (2016).
# - Kickback: D. Balduzzi, H. Vanchinathan and J. Buhmann, *Kickback cuts backprop's red-tape*, arXiv 1411.6191 (2014).
# - Greedy and local losses: E. Belilovsky, M. Eickenberg and E. Oyallon, arXiv 1812.11446 (2019); A. Nøkland and L. H.
#   Eidnes, arXiv 1901.06656 (2019).
# - Synthetic gradients: M. Jaderberg and others, arXiv 1608.05343; all of these in one frame, and what the layers
#   represent: W. M. Czarnecki and others, arXiv 1703.00522 (both ICML 2017).
# - Linear probes: G. Alain and Y. Bengio, arXiv 1610.01644 (2016). CKA: S. Kornblith and others, *Similarity of neural
#   network representations revisited*, ICML 2019, arXiv 1905.00414.
# - The cosine does not rank algorithms: O. Marschall, K. Cho and C. Savin, Journal of Machine Learning Research 21
#   (2020).
# - MNIST-1D: S. Greydanus and D. Kobak, *Scaling down deep learning with MNIST-1D*, ICML 2024, arXiv 2011.14439.
