# %% [markdown]
# # A layer by hand
#
# - **Minutes:** 30
# - **Needs:** Python; NumPy arrays, their shapes and `@`; the chain rule for functions of one variable
# - **Learn:** derive, write and check the backward pass of a linear layer and of softmax cross-entropy, and train a
#   network made of them on handwritten digits
# - **Data:** the 8x8 digits inside the package (real handwriting, no download)
#
# Deep learning libraries compute derivatives for you. Here you compute them: first on paper, then in three lines of
# NumPy, and then you let an independent check tell you whether they are right. At the end your code reads digits, and
# gives the same numbers as the library's.
#
# There are five exercises. Each has a cell with `raise NotImplementedError()` for you to replace, and behind it a cell
# that checks your answer and says what is wrong with it. The checks do not depend on each other: one that fails does
# not spoil the next.

# %%
import copy
import inspect
import time

import numpy as np

import minidni
from minidni import check_gradients
from minidni.data import batches, load_digits
from minidni.gradcheck import check_equal
from minidni.plots import show_curves, show_formula, show_images

# %% [markdown]
# ## 1. Forward
#
# A linear layer takes $B$ examples of $D$ numbers each and makes $N$ numbers of each example. With $i$ counting the
# examples, $j$ the inputs and $n$ the outputs, it is
#
# $$y_{in} = \sum_j x_{ij} \, W_{jn} + b_n$$
#
# or, all entries at once,
#
# $$y = x \, W + b \qquad x\,(B, D) \quad W\,(D, N) \quad b\,(N,) \quad y\,(B, N)$$
#
# where $b$ is added to every row. Here is one with $B = 3$, $D = 2$, $N = 4$.

# %%
x = np.array([[2.0, 1.0], [0.0, -1.0], [-1.0, 3.0]])  # (B, D)
W = np.array([[1.0, -2.0, 0.0, 3.0], [2.0, 1.0, -1.0, 0.0]])  # (D, N)
b = np.array([1.0, 0.0, -1.0, 2.0])  # (N,)
y = x @ W + b  # (B, N)
show_formula(("x", x), "@", ("W", W), "+", ("b", b), "=", ("y", y))

# %% [markdown]
# **Predict, then run.** We add 1 to the single entry `W[0, 1]`. Which entries of `y` change, and by how much? Say it
# before you run the next cell; the whole backward pass is in the answer.

# %%
W_moved = W.copy()
W_moved[0, 1] += 1
change = (x @ W_moved + b) - y  # (B, N)
show_formula(("change of y", change), "because of", ("x", x))

# %% [markdown]
# Column 1 of `y` changes, in every row, and by what stands in column 0 of `x`. To know what a weight does, you need
# the `x` that it was multiplied with. So `forward` must keep `x` for `backward`.
#
# It could store it on the layer, as `self.x`. But then a second forward pass would overwrite what the first one left,
# and later lessons keep many passes in flight. Therefore `forward` returns what it keeps, under names, as a second
# result: the **cache**.
#
# ### Exercise 1: forward
#
# Write `forward`. It returns `y` and the cache, a dictionary that holds `x` under the name `"x"`. The parameters are
# `self.params["W"]` and `self.params["b"]`.


# %% exercise="linear-forward"
class LinearForward:
    """y = x W + b. The first half of a linear layer."""

    def __init__(self, n_in, n_out, rng):
        W = rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in)  # He initialisation: it keeps the scale through ReLU
        self.params = {"W": W, "b": np.zeros(n_out)}
        self.grads = {"W": np.zeros((n_in, n_out)), "b": np.zeros(n_out)}

    def zero_grads(self):
        for grad in self.grads.values():
            grad[...] = 0

    def forward(self, x):
        """x (B, D) -> y (B, N), cache."""
        ### BEGIN SOLUTION
        y = x @ self.params["W"] + self.params["b"]
        return y, {"x": x}
        ### END SOLUTION


# %% test="linear-forward-check" points=1
layer = LinearForward(2, 4, np.random.default_rng(0))
layer.params["W"][...], layer.params["b"][...] = W, b
result = layer.forward(x)
assert isinstance(result, tuple) and len(result) == 2, f"forward returns y and the cache, but this is {result!r}."
y, cache = result
check_equal("y", y, np.einsum("ij,jn->in", x, W) + b)  # the index form, letter by letter
assert isinstance(cache, dict) and "x" in cache, f'the cache is a dictionary with "x" in it, but this is {cache!r}.'
check_equal('cache["x"]', cache["x"], x)
more = sorted(set(vars(layer)) - {"params", "grads"})
assert not more, f"forward stores {', '.join(more)} on the layer; what backward needs belongs into the cache."
### BEGIN HIDDEN TESTS
wide = LinearForward(6, 3, np.random.default_rng(1))
wide.params["b"][...] = 1, 2, 3
x_hidden = np.random.default_rng(2).standard_normal((5, 6))
y_hidden, cache_hidden = wide.forward(x_hidden)
check_equal("y", y_hidden, np.einsum("ij,jn->in", x_hidden, wide.params["W"]) + wide.params["b"])
check_equal('cache["x"]', cache_hidden["x"], x_hidden)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# ## 2. Backward
#
# Somewhere behind the layer all ends in one number, the loss $L$. What comes back to the layer is how much $L$ changes
# with each entry of $y$. We call that array `dy`; it has the shape of `y`. In the same way, `dx`, `dW` and `db` stand
# for the derivatives of $L$ by `x`, `W` and `b`:
#
# $$dy_{in} = \frac{\partial L}{\partial y_{in}} \qquad
# dx_{ij} = \frac{\partial L}{\partial x_{ij}} \qquad
# dW_{jn} = \frac{\partial L}{\partial W_{jn}} \qquad
# db_n = \frac{\partial L}{\partial b_n}$$
#
# The chain rule says: to find the derivative by some number, look at every entry of $y$ that it touches, multiply
# `dy` there by how strongly it touches, and add up.
#
# - $W_{jn}$ touches $y_{in}$ for every example $i$, with strength $x_{ij}$. You have just seen it.
# - $b_n$ touches $y_{in}$ for every example $i$, with strength 1.
# - $x_{ij}$ touches $y_{in}$ for every output $n$, with strength $W_{jn}$.
#
# $$dW_{jn} = \sum_i x_{ij} \, dy_{in} \qquad
# db_n = \sum_i dy_{in} \qquad
# dx_{ij} = \sum_n dy_{in} \, W_{jn}$$
#
# A sum over the index that two arrays share is a matrix product, once the shared index stands last in the first array
# and first in the second. That is what the transposes are for:
#
# $$dW = x^\top dy \qquad (D, N) = (D, B)\,(B, N)$$
#
# $$db = \text{sum of the rows of } dy \qquad (N,)$$
#
# $$dx = dy \; W^\top \qquad (B, D) = (B, N)\,(N, D)$$
#
# The two products as pictures, with some `dy`:

# %%
dy = np.array([[1.0, 0.0, -1.0, 2.0], [0.0, 1.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 1.0]])  # (B, N)
show_formula(("dW", x.T @ dy), "=", ("x.T", x.T), "@", ("dy", dy))

# %%
show_formula(("dx", dy @ W.T), "=", ("dy", dy), "@", ("W.T", W.T))

# %% [markdown]
# ### Exercise 2: backward
#
# Write `backward`. It gets `dy` and the cache that `forward` returned. It
#
# - **adds** `dW` into `self.grads["W"]` and `db` into `self.grads["b"]`, with `+=`. A layer that is used twice has two
#   gradients, and their sum is the right one; with `=` the second would wipe out the first. Who wants to start anew
#   calls `zero_grads`.
# - returns `dx`, which is `dy` for the layer before.
# - changes neither `dy` nor `cache`.


# %% exercise="linear-backward"
class Linear(LinearForward):
    """y = x W + b, forward and backward."""

    def backward(self, dy, cache):
        """dy (B, N) -> dx (B, D); adds to grads."""
        ### BEGIN SOLUTION
        self.grads["W"] += cache["x"].T @ dy
        self.grads["b"] += dy.sum(axis=0)
        return dy @ self.params["W"].T
        ### END SOLUTION


# %% [markdown]
# How do we know? `check_gradients` moves every entry of `x`, `W` and `b` a little, looks at what `forward` makes of
# it, and compares that with what `backward` claims. It knows nothing of linear layers.


# %% test="linear-backward-check" points=2
class YourBackward(Linear):
    """Your backward behind a forward that is known to be right, so that this check looks at backward alone."""

    def forward(self, x):
        return x @ self.params["W"] + self.params["b"], {"x": x}


rng = np.random.default_rng(0)
check_gradients(YourBackward(5, 3, rng), rng.standard_normal((4, 5))).raise_if_wrong()
### BEGIN HIDDEN TESTS
for B, D, N in ((1, 4, 2), (6, 3, 3), (2, 1, 5)):
    check_gradients(YourBackward(D, N, rng), rng.standard_normal((B, D)), seed=B).raise_if_wrong()
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# Now both of your halves together. In the table, *error/tol.* is the largest disagreement in units of what rounding
# would explain: far below 1 is good, above 1 is wrong.

# %%
check_gradients(Linear(5, 3, rng), rng.standard_normal((4, 5)))

# %% [markdown]
# ### What the checker says when something is wrong
#
# A check that never fails proves nothing. Here are three mistakes that everybody makes at some time.
#
# **Predict, then run.** Which arrays will be reported for each of them, and how many of their entries? Which of the
# three would you notice from the shapes? And which of the three would give a perfect training run if the layer is used
# once in every step?


# %%
class WrongSign(Linear):
    def backward(self, dy, cache):
        self.grads["W"] += cache["x"].T @ dy
        self.grads["b"] -= dy.sum(axis=0)
        return dy @ self.params["W"].T


class MissingTranspose(Linear):
    def backward(self, dy, cache):
        self.grads["W"] += dy.T @ cache["x"]  # (N, D), and W is (D, N)
        self.grads["b"] += dy.sum(axis=0)
        return dy @ self.params["W"].T


class Overwrites(Linear):
    def backward(self, dy, cache):
        self.grads["W"] = cache["x"].T @ dy
        self.grads["b"] += dy.sum(axis=0)
        return dy @ self.params["W"].T


for mistake in (WrongSign, MissingTranspose, Overwrites):
    print(check_gradients(mistake(3, 3, rng), rng.standard_normal((4, 3))), end="\n\n")

# %% [markdown]
# Read the reports from the bottom: what was found, or the likely cause; above it the worst entry, with what
# `backward` says and what `forward` does. The first mistake leaves `W` and `x` alone. The second one leaves the
# diagonal alone, for there a matrix and its transpose agree. The third has all values right: what is wrong is what
# happens to the gradients that were there before. With one use of the layer in a step you would never see it; in a
# recurrent network, which uses its layer once for every moment in time, all but one moment would be lost.

# %% [markdown] answer="square-layer" points=1
# **A question to answer in words.** The layers in this experiment are square, with $D = N = 3$. Check a layer
# `MissingTranspose(3, 2, rng)` instead. What happens, and what does that tell you about the sizes that one should test
# with?
#
# ### BEGIN SOLUTION
# With $D \ne N$, NumPy refuses to add an $(N, D)$ array into a $(D, N)$ one: the mistake stops the program at once,
# before any check. A square layer hides it from everything but a look at the values. So one should test with sizes
# that are all different, to find such mistakes early, and with equal ones too, to see that the check finds them there.
# ### END SOLUTION

# %% [markdown]
# ## 3. The loss
#
# The last layer's output `h` $(B, N)$ has a number for each of $N$ classes, called *logits*; `labels` $(B,)$ says which
# class is the right one. Softmax turns each row into probabilities,
#
# $$p_{in} = \frac{e^{h_{in}}}{\sum_m e^{h_{im}}}$$
#
# and the cross-entropy is the mean, over the examples, of minus the logarithm of the probability that the right class
# got. Putting the first formula into the second, the logarithm and the exponential cancel:
#
# $$L = \frac{1}{B} \sum_i -\log p_{i,\,\text{label}_i}
# = \frac{1}{B} \sum_i \Big( \log \sum_m e^{h_{im}} - h_{i,\,\text{label}_i} \Big)$$
#
# **Predict, then run.** If all ten logits are equal, the network has no opinion. How large is the loss then, and does
# it matter what the logits are equal to?

# %%
labels = np.array([3, 1, 4, 1, 5])  # (B,)
for logit in (0.0, 7.0, 700.0, 7000.0):
    h = np.full((5, 10), logit)  # (B, N)
    with np.errstate(over="ignore"):
        L = np.mean(np.log(np.exp(h).sum(axis=1)) - h[np.arange(5), labels])
    print(f"all logits {logit:6.0f}: loss {L:.6f}   (log 10 is {np.log(10):.6f})")

# %% [markdown]
# In mathematics it does not matter: adding a number to all logits of a row multiplies numerator and denominator of the
# softmax by the same factor. For the computer it does: $e^{7000}$ is too large for a float64. So use the freedom, and
# subtract the maximum of each row first. Then the largest exponential is $e^0 = 1$; those that underflow to 0 are too
# small to matter; and the sum is at least 1, so its logarithm is finite.
#
# ### Exercise 3: the value of the loss
#
# Write `value`, safe for logits as large as $\pm 10^4$. It returns one number. `h[np.arange(len(h)), labels]` picks
# from each row the logit of the right class.


# %% exercise="cross-entropy-value"
class CrossEntropyValue:
    """Mean over the rows of -log softmax(h)[label]. The first half of the loss."""

    def value(self, h, labels):
        """h (B, N), labels (B,) of integers -> a number."""
        ### BEGIN SOLUTION
        h = h - h.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(h).sum(axis=1))
        return float(np.mean(log_sum - h[np.arange(len(h)), labels]))
        ### END SOLUTION


# %% test="cross-entropy-value-check" points=2
h = np.random.default_rng(0).standard_normal((5, 10))
probability = (np.exp(h) / np.exp(h).sum(axis=1, keepdims=True))[np.arange(5), labels]
kept = h.copy()
value = CrossEntropyValue().value(h, labels)
assert np.shape(value) == (), f"value returns one number, the mean over the rows, but this has shape {np.shape(value)}."
check_equal("the loss", value, -np.log(probability).mean())
check_equal("h after the call (value must not change it)", h, kept)
large, large_labels = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]]), np.array([2, 1])  # large, and uneven
with np.errstate(all="ignore"):
    value = CrossEntropyValue().value(large, large_labels)
assert np.isfinite(value), f"with logits of 1e4 the loss is {value}: subtract from each row its own maximum first."
check_equal("the loss with logits of 1e4", value, (2e4 + np.log(3)) / 2)
### BEGIN HIDDEN TESTS
check_equal("the loss of one row", CrossEntropyValue().value(np.zeros((1, 4)), np.array([2])), np.log(4))
eye = 1e4 * np.eye(10)[:5]  # label 1 stands at its row's 1e4, the four others elsewhere
check_equal("the loss with logits of 1e4", CrossEntropyValue().value(eye, labels), 1e4 * 4 / 5)
check_equal("the loss with logits of -1e4", CrossEntropyValue().value(-eye, labels), np.log(9) + 1e4 / 5)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# ### Its gradient
#
# Take one example and its $L_i = \log \sum_m e^{h_{im}} - h_{i,\,\text{label}_i}$. The derivative of the first part is
#
# $$\frac{\partial}{\partial h_{in}} \log \sum_m e^{h_{im}} = \frac{e^{h_{in}}}{\sum_m e^{h_{im}}} = p_{in}$$
#
# and that of the second part is $-1$ where $n$ is the label, and 0 elsewhere. Written as a row of zeros with a 1 at the
# label, this is the one-hot row $\text{onehot}_{in}$. The loss is the mean of the $L_i$, so each of them enters it with
# the weight $1/B$, and so does its derivative:
#
# $$dh = \frac{p - \text{onehot}}{B} \qquad (B, N)$$
#
# What the network believed, minus what it should have believed. Where it is sure and right, nothing flows back.

# %%
h_small = np.array([[2.0, 0.0, 1.0], [0.0, 0.0, 3.0]])  # (B, N)
p_small = np.exp(h_small) / np.exp(h_small).sum(axis=1, keepdims=True)
onehot = np.eye(3)[[0, 1]]
show_formula(("p", p_small), "-", ("onehot", onehot), "=", ("B dh", p_small - onehot), digits=2)

# %% [markdown]
# ### Exercise 4: the gradient of the loss
#
# Write `gradient`. It must be as safe for large logits as `value`.


# %% exercise="cross-entropy-gradient"
class SoftmaxCrossEntropy(CrossEntropyValue):
    """Mean over the rows of -log softmax(h)[label], and its gradient."""

    def gradient(self, h, labels):
        """h (B, N), labels (B,) of integers -> dh (B, N)."""
        ### BEGIN SOLUTION
        e = np.exp(h - h.max(axis=1, keepdims=True))
        dh = e / e.sum(axis=1, keepdims=True)
        dh[np.arange(len(h)), labels] -= 1
        return dh / len(h)
        ### END SOLUTION


# %% test="cross-entropy-gradient-check" points=2
class YourGradient(SoftmaxCrossEntropy):
    """Your gradient beside a value that is known to be right, so that this check looks at the gradient alone."""

    def value(self, h, labels):
        return minidni.SoftmaxCrossEntropy().value(h, labels)


check_gradients(YourGradient(), rng.standard_normal((5, 10)), labels).raise_if_wrong()
large, large_labels = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]]), np.array([2, 1])
with np.errstate(all="ignore"):
    dh = YourGradient().gradient(large, large_labels)
assert np.isfinite(dh).all(), "with logits of 1e4 dh is not finite: subtract from each row its own maximum first."
check_equal("dh with logits of 1e4", dh, np.array([[1, 0, -1], [1 / 3, -2 / 3, 1 / 3]]) / 2)
### BEGIN HIDDEN TESTS
check_gradients(YourGradient(), rng.standard_normal((1, 3)), np.array([2])).raise_if_wrong()
eye = np.eye(10)[:5]
check_equal("dh with logits of 1e4", YourGradient().gradient(1e4 * eye, labels), (eye - np.eye(10)[labels]) / 5)
### END HIDDEN TESTS
print("Exercise 4: right.")

# %% [markdown]
# **Predict, then run.** What do the rows of `dh` add up to, and why? And what will the checker say if one forgets to
# divide by $B$, with five examples?


# %%
class ForgetsB(SoftmaxCrossEntropy):
    def gradient(self, h, labels):
        return super().gradient(h, labels) * len(h)


loss = SoftmaxCrossEntropy()
h = rng.standard_normal((5, 10))
print(f"largest sum of a row of dh: {np.abs(loss.gradient(h, labels).sum(axis=1)).max():.1e}", end="\n\n")
print(check_gradients(ForgetsB(), h, labels))

# %% [markdown]
# Each row adds up to nothing because adding the same number to all logits of a row does not change the loss.
#
# ## 4. ReLU
#
# Between two linear layers stands something that is not linear, or the two would be no more than one. The simplest is
# $y = \max(x, 0)$, entry by entry. Its derivative is 1 where $x > 0$ and 0 where $x < 0$. At exactly 0 there is a kink:
# the slope is 0 on one side and 1 on the other, and no value is right. One takes 0, and the checker does not judge it.


# %%
class ReLU:
    """y = max(x, 0), any shape."""

    params, grads = {}, {}  # none: it has nothing to learn

    def zero_grads(self):
        pass

    def forward(self, x):
        return np.maximum(x, 0), {"x": x}

    def backward(self, dy, cache):
        return dy * (cache["x"] > 0)


print(check_gradients(ReLU(), np.array([[-1.5, 0.0, 2.0]])))

# %% [markdown]
# ## 5. A network that reads digits
#
# Layers one after another are a network. Forward goes from left to right and leaves a cache at each layer; backward
# goes from right to left and uses them. What one layer returns as `dx` is `dy` for the layer to its left.
#
# ```text
# forward     x ──▶ Linear ──▶ ReLU ──▶ Linear ──▶ h ──▶ loss.value
#                     │          │         │
#                   cache      cache     cache
#                     │          │         │
# backward   dx ◀── Linear ◀── ReLU ◀── Linear ◀── dh ◀── loss.gradient
#                     │                    │
#                   grads                grads
# ```
#
# Then each parameter takes a small step against its gradient, with the learning rate `lr`: `param -= lr * grad`. This
# is stochastic gradient descent (SGD).
#
# ### Exercise 5: one training step
#
# The forward half stands there. Write the backward half: set the gradients to zero, call `loss.gradient`, go through
# the layers in reverse with their caches, and update every parameter of every layer **in place**.


# %% exercise="train-step"
def train_step(net, loss, x, labels, lr):
    """One step of SGD on a minibatch, for a list of layers. Returns the loss before the step."""
    caches = []
    h = x
    for layer in net:
        h, cache = layer.forward(h)
        caches.append(cache)
    value = loss.value(h, labels)
    ### BEGIN SOLUTION
    for layer in net:
        layer.zero_grads()
    dh = loss.gradient(h, labels)
    for layer, cache in zip(reversed(net), reversed(caches), strict=True):
        dh = layer.backward(dh, cache)
    for layer in net:
        for name in layer.params:
            layer.params[name] -= lr * layer.grads[name]
    ### END SOLUTION
    return value


# %% [markdown]
# The check runs your step on layers from the library, which are called in the same way as yours, and compares it with
# the library's own step.


# %% test="train-step-check" points=3
def check_train_step(D, H, N, lr, seed):
    """Stop with a sentence if `train_step` moves the parameters of a small network in another way than SGD does."""
    rng = np.random.default_rng(seed)
    first, second = minidni.Linear(D, H, rng=rng, dtype=np.float64), minidni.Linear(H, N, rng=rng, dtype=np.float64)
    net, loss = [first, minidni.ReLU(), second], minidni.SoftmaxCrossEntropy()
    right = minidni.Sequential(*copy.deepcopy(net))
    before = {name: param.copy() for name, param in right.params.items()}
    x, labels = rng.standard_normal((8, D)), rng.integers(0, N, 8)

    h, cache = right.forward(x)
    right.backward(loss.gradient(h, labels), cache)
    minidni.SGD(lr).step(right)

    for layer in net:
        for grad in layer.grads.values():
            grad[...] = 1  # left over from some earlier step
    check_equal("the returned loss", train_step(net, loss, x, labels, lr), loss.value(h, labels))
    for name, param in minidni.Sequential(*net).params.items():
        moved, expected = param - before[name], right.params[name] - before[name]
        where = f"{name[2:]} of layer {name[0]}"
        assert moved.any(), f"{where} did not move: does its gradient arrive, and is it changed in place?"
        assert not np.allclose(moved, -expected), f"{where} moved uphill: the step is minus lr times the gradient."
        assert not np.allclose(moved, expected - lr), f"{where} still feels an old gradient: set them to zero first."
        check_equal(f"the change of {where}", moved, expected)


check_train_step(D=6, H=5, N=3, lr=0.1, seed=0)
### BEGIN HIDDEN TESTS
check_train_step(D=3, H=9, N=4, lr=0.7, seed=1)
### END HIDDEN TESTS
print("Exercise 5: right.")

# %% [markdown]
# Now the data: grey values of 8x8 pixels, from 0 for paper to 1 for ink, written by 13 people. The same people wrote
# the training and the test digits.

# %%
digits = load_digits(dtype=np.float64)
print(digits)
show_images(digits.x_train[:20].reshape(-1, *digits.image_shape), digits.y_train[:20])

# %% [markdown]
# The training loop, with nothing hidden: `batches` deals out the training examples in random order, 16 at a time, and
# `train_step` is yours. After each epoch, once through all examples, we count the test digits that are read right.


# %%
def outputs(net, x):
    for layer in net:
        x, _ = layer.forward(x)
    return x


def train(net, x_train, x_test, seed, lr=0.5, epochs=20, batch_size=16):
    """Train the network; return the mean loss and the test accuracy of each epoch."""
    losses, accuracies = [], []
    for epoch in range(epochs):
        steps = batches(x_train, digits.y_train, size=batch_size, seed=seed, epoch=epoch)
        losses.append(np.mean([train_step(net, loss, x, labels, lr) for x, labels in steps]))
        accuracies.append(np.mean(outputs(net, x_test).argmax(axis=1) == digits.y_test))
    return losses, accuracies


def two_layers(seed, hidden=256):
    rng = np.random.default_rng(seed)
    return [Linear(digits.features, hidden, rng), ReLU(), Linear(hidden, digits.n_classes, rng)]


started = time.perf_counter()
net = two_layers(seed=0)
losses, accuracies = train(net, digits.x_train, digits.x_test, seed=0)
print(f"loss {losses[0]:.3f} in the first epoch, {losses[-1]:.4f} in the last one")
print(f"test accuracy {accuracies[-1]:.1%} after {time.perf_counter() - started:.1f} seconds")
assert accuracies[-1] >= 0.97

# %%
percent = 100 * np.array(accuracies)
show_curves({"loss (nats), mean over the epoch": {"training": losses}, "test accuracy (%)": {"test": percent}})

# %% [markdown]
# And these are the ones it got wrong, each as *what it is → what it was taken for*. Would you have known better?

# %%
predictions = outputs(net, digits.x_test).argmax(axis=1)
wrong = predictions != digits.y_test
print(f"{wrong.sum()} of {len(wrong)} test digits are read wrong")
show_images(digits.x_test[wrong].reshape(-1, *digits.image_shape), digits.y_test[wrong], predictions[wrong])

# %% [markdown]
# ## 6. Was it the backward pass?
#
# A good number alone does not say what it is owed to. So take things away, and look again.
#
# - **frozen first layer**: the first layer keeps its random weights, and only the last one learns. No gradient has to
#   go through a layer; `backward` of the last layer is enough.
# - **no hidden layer**: a single linear layer, from pixels to classes.
#
# All take the same number of steps with the same minibatches, and all are run with five seeds.
#
# **Predict, then run.** How far will the two fall behind?

# %%
histories, rows = {}, {}
for seed in range(5):
    both = two_layers(seed)
    frozen, head = copy.deepcopy(both[:2]), copy.deepcopy(both[2:])
    single = [Linear(digits.features, digits.n_classes, np.random.default_rng(seed))]
    runs = {
        "both layers learn": train(both, digits.x_train, digits.x_test, seed),
        "frozen first layer": train(head, outputs(frozen, digits.x_train), outputs(frozen, digits.x_test), seed),
        "no hidden layer": train(single, digits.x_train, digits.x_test, seed),
    }
    for name, run in runs.items():
        rows.setdefault(name, []).append((run[0][-1], run[1][-1]))
    histories = histories or runs  # the curves of the first seed

print(f"{'test accuracy over 5 seeds':<28}{'mean':>7}{'lowest':>9}{'highest':>9}{'training loss':>16}")
for name, results in rows.items():
    last_loss, accuracy = np.transpose(results)
    print(f"{name:<28}{accuracy.mean():7.1%}{accuracy.min():9.1%}{accuracy.max():9.1%}{last_loss.mean():16.4f}")
n, accuracy = len(digits.y_test), np.mean([accuracy for _, accuracy in rows["both layers learn"]])
print(f"\nOne test digit is {1 / n:.2%}. The seeds share the {n} test digits; with other digits, written by the same")
print(f"people, the first accuracy would be another by some {np.sqrt(accuracy * (1 - accuracy) / n):.1%}.")

# %%
show_curves(
    {
        "loss (nats), mean over the epoch": {name: losses for name, (losses, _) in histories.items()},
        "test accuracy (%)": {name: 100 * np.array(accuracies) for name, (_, accuracies) in histories.items()},
    }
)

# %% [markdown]
# Less far than one might think. These digits are small and clean, and most of them can be told apart without a hidden
# layer. The accuracies differ by little more than a few test digits. What training both layers does is plainest in the
# training loss. Remember this when you read that some method "reaches 97 % on digits": ask what the simplest thing
# reaches. (The width, the learning rate and the number of epochs were chosen for this lesson with a look at the test
# digits. Who wants to compare methods in earnest keeps a third set of examples for that.)
#
# ## 7. The same as the library's
#
# The library's `Linear`, `ReLU`, `SoftmaxCrossEntropy` and `SGD` do what yours do. They also check their arguments,
# reuse memory, and run on a GPU. Find your three lines between the others:

# %%
print(inspect.getsource(minidni.Linear.backward))

# %% [markdown]
# We give the library's network the same weights, compare one pass through both, and then train both for an epoch.

# %%
mine = two_layers(seed=7)
library = minidni.Sequential(
    minidni.Linear(digits.features, 256, dtype=np.float64),
    minidni.ReLU(),
    minidni.Linear(256, digits.n_classes, dtype=np.float64),
)
for place, layer in enumerate(mine):
    for name, param in layer.params.items():
        library[place].params[name] = param

library_loss, optimiser = minidni.SoftmaxCrossEntropy(), minidni.SGD(0.5)
x, labels = digits.x_train[:32], digits.y_train[:32]


def compare(what, got, expected):
    check_equal(what, got, expected)
    print(f"{what:<34} largest difference {np.abs(got - expected).max():.1e}")


# one pass, layer by layer
h, library_h, caches, library_caches = x, x, [], []
for place in (0, 1, 2):
    h, cache = mine[place].forward(h)
    library_h, library_cache = library[place].forward(library_h)
    caches.append(cache)
    library_caches.append(library_cache)
    compare(f"y of layer {place}", h, library_h)
compare("value of the loss", loss.value(h, labels), library_loss.value(library_h, labels))

dh, library_dh = loss.gradient(h, labels), library_loss.gradient(library_h, labels)
compare("gradient of the loss", dh, library_dh)
for place in (2, 1, 0):
    dh = mine[place].backward(dh, caches[place])
    library_dh = library[place].backward(library_dh, library_caches[place])
    compare(f"dx of layer {place}", dh, library_dh)
    for name, grad in mine[place].grads.items():
        compare(f"d{name} of layer {place}", grad, library[place].grads[name])

# %%
# an epoch of training
for x, labels in batches(digits.x_train, digits.y_train, size=16, seed=7):
    value = train_step(mine, loss, x, labels, lr=0.5)

    h, cache = library.forward(x)
    library_value = library_loss.value(h, labels)
    library.zero_grads()
    library.backward(library_loss.gradient(h, labels), cache)
    optimiser.step(library)

compare("loss of the epoch's last step", value, library_value)
for place, layer in enumerate(mine):
    for name, param in layer.params.items():
        compare(f"{name} of layer {place} after an epoch", param, library[place].params[name])

# %% [markdown]
# ## What to remember
#
# - `dy` has the shape of `y`, `dW` that of `W`. Write the shapes beside each line, and there is hardly another way to
#   put the factors together.
# - The derivative by a number is the sum, over everything that it touches, of what comes back from there times how
#   strongly it touches. Sums become matrix products; the rest is transposing.
# - `backward` adds into `grads`, returns `dx`, and takes what it needs from the cache.
# - The gradient of softmax cross-entropy is $(p - \text{onehot}) / B$. Subtract the maximum before you exponentiate.
# - A gradient that was not checked is a guess. A check that cannot fail is none.
# - A result needs something to compare it with.
#
# ## Where the formulas come from
#
# - Backward through layers: D. E. Rumelhart, G. E. Hinton and R. J. Williams, *Learning representations by
#   back-propagating errors*, Nature 323 (1986).
# - Derivatives of matrix products: K. B. Petersen and M. S. Pedersen, *The Matrix Cookbook* (2012), section 2.
# - Softmax as the output, and its gradient: J. S. Bridle, *Probabilistic interpretation of feedforward classification
#   network outputs*, in Neurocomputing (Springer 1990).
# - Subtracting the maximum: P. Blanchard, D. J. Higham and N. J. Higham, *Accurately computing the log-sum-exp and
#   softmax functions*, IMA Journal of Numerical Analysis 41 (2021).
# - ReLU: V. Nair and G. E. Hinton, *Rectified linear units improve restricted Boltzmann machines*, ICML 2010. The
#   initialisation: K. He and others, *Delving deep into rectifiers*, ICCV 2015, arXiv 1502.01852, equation 10.
# - The digits: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning
#   Repository (1998), CC BY 4.0.
