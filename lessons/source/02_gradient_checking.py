# %% [markdown]
# # Checking a gradient
#
# - **Minutes:** 45
# - **Needs:** the lesson *A layer by hand*: `forward`, `backward`, the cache, and what `dy` is
# - **Learn:** measure a slope as exactly as a computer can, say why float32 cannot judge, build a checker from four
#   small parts, and find out which mistakes get past which check
# - **Data:** none; random numbers will do
#
# In the last lesson `check_gradients` had the last word. How does it know? It runs `forward` at two places close by,
# and looks at the difference. That sounds like one line of code, and it is one, but as a *measurement* it has a right
# and a wrong distance, its own noise, places where there is nothing to measure, and mistakes that it cannot see. Here
# you take it apart, and build one of your own.
#
# There are four exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.

# %%
import inspect
from functools import partial

import numpy as np

from minidni import check_gradients
from minidni.gradcheck import check_equal, differences
from minidni.plots import show_lines

# %% [markdown]
# ## 1. A slope, measured
#
# A function of one number first: $f(x) = e^x \sin x$, whose slope we know. Two ways to measure it, at a distance $h$:
#
# $$\text{one-sided: } \frac{f(x + h) - f(x)}{h} \qquad \text{central: } \frac{f(x + h) - f(x - h)}{2 h}$$
#
# **Predict, with pencil and paper.** Put in the Taylor series $f(x + h) = f + f' h + f'' h^2 / 2 + f''' h^3 / 6 +
# \ldots$ With which power of $h$ does each error begin?


# %%
def f(x):
    return np.exp(x) * np.sin(x)


def slope(x):
    return np.exp(x) * (np.sin(x) + np.cos(x))


# %% [markdown]
# ### Exercise 1: the central difference
#
# Write it. (Take care that the two places really lie $2h$ apart; $x$ may be an array, and then it is a slope for each
# entry of it.)


# %% exercise="central"
def central(f, x, h):
    """The central difference of f at x, at a distance of h to both sides."""
    ### BEGIN SOLUTION
    return (f(x + h) - f(x - h)) / (2 * h)
    ### END SOLUTION


# %% test="central-check" points=1
def check_central(x, h):
    """Stop with a sentence if it is another difference."""
    got, up, here, down = central(f, x, h), f(x + h), f(x), f(x - h)
    suspects = {
        "the two places lie 2 h apart, and it is divided by h": (up - down) / h,
        "it is the one-sided difference, to the right": (up - here) / h,
        "it is the one-sided difference, to the left": (here - down) / h,
        "the first place is at x, and both sides are asked for": (up - here) / (2 * h),
    }
    check_equal(f"central(f, {x}, {h})", got, (up - down) / (2 * h), suspects)


check_central(0.7, 0.1)
check_central(np.array([-1.0, 0.3]), 0.01)
### BEGIN HIDDEN TESTS
check_central(2.5, 1e-3)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# **Predict, then run.** The error by $h$, from $10^{-1}$ down to $10^{-15}$, on logarithmic axes. Which shape? Where is
# each of the two lowest, and how low?

# %%
x, steps = 0.7, 10.0 ** np.arange(-1, -15.5, -0.5)
errors = {
    "one-sided": [abs((f(x + h) - f(x)) / h - slope(x)) / slope(x) for h in steps],
    "central": [abs(central(f, x, h) - slope(x)) / slope(x) for h in steps],
}
show_lines({"relative error": {name: (steps, np.maximum(e, 1e-16)) for name, e in errors.items()}}, "step h", log="xy")

# %%
for name, error in errors.items():
    best = int(np.argmin(error))
    print(f"{name:<10} lowest error {error[best]:.0e} at h = {steps[best]:.0e}")
assert min(errors["one-sided"]) > 30 * min(errors["central"])

# %% [markdown]
# A V. On the right the step is too long: the error falls as $h$ (one-sided) or $h^2$ (central). On the left it is too
# short: $f(x + h)$ and $f(x - h)$ agree in nearly all of their digits, the difference has the few that are left, and
# the rounding of $f$, about $\epsilon = 2 \cdot 10^{-16}$, is divided by $h$. Where the two lines cross is the
# bottom: $h \approx \epsilon^{1/2}$, error $\epsilon^{1/2} \approx 10^{-8}$ for the one-sided one, and $h \approx
# \epsilon^{1/3}$, error $\epsilon^{2/3} \approx 10^{-10}$ or $10^{-11}$ for the central one. So: central, and a step
# of about $10^{-5}$. (At single steps the rounding happens to be small, and the error lies below the V. One cannot
# count on that.)
#
# ## 2. In float32
#
# Networks are trained in float32, which has $\epsilon = 10^{-7}$. **Predict, then run.** Where is the bottom now? And
# then something more important: `backward` is wrong by a *third*, by a tenth, by 1 %. From which step on can a
# difference in float32 tell?


# %%
class Layer:
    """y = tanh(x W), W (D, N); a backward whose dW is `factor` times what it should be."""

    def __init__(self, W, factor=1.0):
        self.params, self.grads, self.factor = {"W": W}, {"W": np.zeros_like(W)}, factor

    def forward(self, x):
        y = np.tanh(x @ self.params["W"])
        return y, (x, y)

    def backward(self, dy, cache):
        x, y = cache
        dz = dy * (1 - y * y)
        self.grads["W"] += (self.factor * x.T @ dz).astype(x.dtype)
        return dz @ self.params["W"].T


def loss_by_entry(dtype, rows=256, D=40, N=30, seed=0):
    """A mean of squares of many outputs, as a function of a single weight; and the slope, in float64."""
    rng = np.random.default_rng(seed)
    x, W = rng.standard_normal((rows, D)), rng.standard_normal((D, N)) / np.sqrt(D)

    def phi(w):
        moved = W.astype(dtype)
        moved[0, 0] = w
        y = np.tanh(x.astype(dtype) @ moved)
        return np.mean(y * y, dtype=dtype)

    layer = Layer(W)
    y, cache = layer.forward(x)
    layer.backward(2 * y / y.size, cache)
    return phi, dtype(W[0, 0]), layer.grads["W"][0, 0]


curves = {}
for dtype in (np.float64, np.float32):
    phi, w, right = loss_by_entry(dtype)
    steps = 10.0 ** np.arange(0, -9.1, -0.5)
    with np.errstate(all="ignore"):
        curves[dtype.__name__] = (
            steps,
            [
                max(abs((float(phi(w + dtype(h))) - float(phi(w - dtype(h)))) / (2 * h) / right - 1), 1e-12)
                for h in steps
            ],
        )
levels = {"a third": 1 / 3, "1 %": 0.01}
show_lines({"relative error of the slope": curves}, "step h", log="xy", levels=levels)

# %%
lowest = {name: min(values) for name, (_, values) in curves.items()}
told = [f"1e{np.log10(h):+.1f}" for h, error in zip(*curves["float32"], strict=True) if error < 0.01]
print(f"lowest errors: {', '.join(f'{name} {value:.0e}' for name, value in lowest.items())}")
print(f"float32 knows the slope to 1 % at {len(told)} of {len(steps)} steps: {', '.join(told) or 'none'}")
assert lowest["float64"] < 1e-6 < lowest["float32"]

# %% [markdown]
# The loss is a mean over thousands of numbers, and a single weight hardly moves it. Its change drowns in the rounding
# of the loss itself: at most steps the float32 difference is off by more than the mistakes that it is to find. Which
# step would be good enough, you do not know beforehand, and it is another one for each weight. A gradient check that
# shrugs this off with a tolerance of 10 % cannot find a mistake of 10 %. So:
#
# **Check in float64. Then compare the float32 `backward` with the float64 one**, which differences play no part in.
#
# ## 3. Without a difference
#
# There is a trick without any subtraction. Take a step in the *imaginary* direction:
#
# $$f(x + i h) = f(x) + i h f'(x) - h^2 f''(x) / 2 - \ldots \qquad \Rightarrow \qquad f'(x) \approx
# \frac{\operatorname{Im} f(x + i h)}{h}$$
#
# Nothing cancels, so $h$ may be as small as one likes, and the error $h^2 f''' / 6$ is gone.
#
# ### Exercise 2: the complex step
#
# Write it, with $h = 10^{-30}$ unless another one is given.


# %% exercise="complex-step"
def complex_step(f, x, h=1e-30):
    """The slope of f at x, real numbers, by a step in the imaginary direction."""
    ### BEGIN SOLUTION
    return np.imag(f(x + 1j * h)) / h
    ### END SOLUTION


# %% test="complex-step-check" points=1
def check_complex_step(x, **h):
    """Stop with a sentence if it is not the slope to nearly all digits."""
    got, z = complex_step(f, x, **h), f(x + 1j * h.get("h", 1e-30))
    suspects = {
        "the imaginary part is still to be divided by h": np.imag(z),
        "that is the real part": np.real(z) / h.get("h", 1e-30),
        "that is the value of f, and not its slope": f(x),
        "nothing has to be divided by 2: there is one step": np.imag(z) / (2 * h.get("h", 1e-30)),
    }
    check_equal(f"complex_step(f, {x})", got, slope(x), suspects, tolerance=1e-14)


check_complex_step(0.7)
check_complex_step(np.array([-1.0, 0.3, 2.0]))
### BEGIN HIDDEN TESTS
check_complex_step(1.5, h=1e-20)
### END HIDDEN TESTS
print("Exercise 2: right.")

# %%
print(f"central, best step: {min(errors['central']):.0e}; complex step: {abs(complex_step(f, x) / slope(x) - 1):.0e}")

# %% [markdown]
# It has a price: *everything* in `forward` must be an analytic function, and be computed as one. **Predict, then run.**
# Of these, which give the right slope at $x = -0.7$, and what do the others give?

# %%
FUNCTIONS = {
    "x ** 3": (lambda x: x**3, lambda x: 3 * x**2),
    "tanh(x)": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "abs(x)": (np.abs, np.sign),
    "sqrt(x * x)": (lambda x: np.sqrt(x * x), np.sign),
    "x * conj(x)": (lambda x: np.real(x * np.conj(x)), lambda x: 2 * x),
    "maximum(x, 0)": (lambda x: np.where(np.real(x) > 0, x, 0 * x), lambda x: float(x > 0)),
}
for name, (function, derivative) in FUNCTIONS.items():
    got, right = float(complex_step(function, -0.7)), float(derivative(-0.7))
    print(f"{name:<15} complex step {got:7.3f}, slope {right:7.3f}{'' if np.isclose(got, right) else '   WRONG'}")

# %% [markdown]
# What throws away the imaginary part throws away the slope: absolute values, conjugates, anything that asks for the
# real part. So it is a *second witness*, which one calls where it can come. For all the rest there is the ladder.
#
# ## 4. A ladder
#
# Central differences at $h$ and $h / 2$ have errors $c h^2$ and $c h^2 / 4$, with the same $c$ (and then $h^4$
# terms). So one can be used to take the error out of the other. That is Richardson's extrapolation:
#
# $$A = \frac{4 \, d(h/2) - d(h)}{3}$$
#
# ### Exercise 3: extrapolate
#
# `d` (n,) are central differences at steps of which each is half the one before. Return the `n - 1` extrapolated ones.


# %% exercise="richardson"
def richardson(d):
    """Central differences at h, h/2, h/4, ... (n,) -> (n - 1,), without their errors of order h^2."""
    ### BEGIN SOLUTION
    return (4 * d[1:] - d[:-1]) / 3
    ### END SOLUTION


# %% test="richardson-check" points=1
def check_richardson(d):
    """Stop with a sentence if it does not cancel h^2."""
    right = d[1:] + (d[1:] - d[:-1]) / 3
    suspects = {
        "the finer difference gets the factor 4, not the coarser": (4 * d[:-1] - d[1:]) / 3,
        "the weights 4 and -1 are to be divided by their sum": 4 * d[1:] - d[:-1],
        "h / 2 makes the error 4 times smaller, not 2 times": 2 * d[1:] - d[:-1],
        "that is their mean": (d[1:] + d[:-1]) / 2,
    }
    check_equal("richardson", richardson(np.array(d)), right, suspects)


check_richardson(np.array([1.0, 0.5, 0.3]))
exact = 2.0 + 3.0 * (0.5 ** np.arange(5)) ** 2  # an error of h^2 and no other
check_equal("richardson of 2 + 3 h^2", richardson(exact), np.full(4, 2.0))
### BEGIN HIDDEN TESTS
check_richardson(np.random.default_rng(0).standard_normal(7))
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# **Predict, then run.** Central differences, and the same once extrapolated: how do the slopes of the V change, and its
# bottom?

# %%
steps = 2.0 ** -np.arange(0, 40)
ladder = central(f, 0.7, steps)
once = richardson(ladder)
rungs = {
    "central": (steps, np.maximum(np.abs(ladder / slope(0.7) - 1), 1e-17)),
    "extrapolated": (steps[1:], np.maximum(np.abs(once / slope(0.7) - 1), 1e-17)),
}
show_lines({"relative error": rungs}, "step h", log="xy")

# %%
for name, (_, error) in rungs.items():
    near = np.sum(error < 100 * np.min(error))
    print(f"{name:<13} lowest error {np.min(error):.0e}, within a factor of 100 of it at {near} steps")
assert np.min(rungs["extrapolated"][1]) < np.min(rungs["central"][1])

# %% [markdown]
# Lower, and reached at longer steps, where there is less noise. That is what the library does, several times over: on
# a ladder of steps it cancels $h^2$, $h^4$ and so on up to $h^8$ in turn, looks how much neighbouring values still
# disagree, and takes the value whose own estimate of its error is smallest. So *each entry of each array gets its own
# tolerance*, and nobody has to choose a step.
#
# ### Kinks
#
# ReLU has no slope at 0. **Predict, then run.** What do the differences to the left and to the right say at 0, and the
# central one? And what does the checker say of an x in which a 0 stands?


# %%
class ReLU:
    def forward(self, x):
        return np.maximum(x, 0), x

    def backward(self, dy, cache):
        return dy * (cache > 0)


h, relu = 1e-6, partial(np.maximum, 0.0)
print(f"left {(relu(0.0) - relu(-h)) / h:g}, right {(relu(h) - relu(0.0)) / h:g}, central {central(relu, 0.0, h):g}\n")
check_gradients(ReLU(), np.array([[1.5, 0.0, -0.5]]))

# %% [markdown]
# At a kink everything between the slopes of the two sides is a matter of taste, 0, 1/2 or 1, and a check that claims
# that 1/2 is right is wrong. The report says *kink*, and does not judge that entry.
#
# ## 5. One number at a time is not enough
#
# A layer has many outputs. To get one number from them, one multiplies them with some array `dy` and adds up: $L = \sum
# dy \cdot y$. Then $dL/dy$ is `dy`, so `backward(dy)` must give the slopes of $L$. Which `dy`? The easiest is all ones.
#
# **Predict, then run.** A softmax turns logits (B, N) into probabilities. Its backward here returns zeros, always. What
# does a check say whose `dy` is all ones, and what does one with a random `dy`?


# %%
class LazySoftmax:
    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True), x

    def backward(self, dy, cache):
        return np.zeros_like(dy)


def worst_disagreement(layer, x, dy, h=1e-5):
    """The largest |backward - central difference| over the entries of x, for L = sum(dy * y)."""
    _, cache = layer.forward(x)
    dx, slopes = layer.backward(dy, cache), np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        slopes[i] = np.sum(dy * (layer.forward(x + step)[0] - layer.forward(x - step)[0])) / (2 * h)
    return np.abs(dx - slopes).max()


rng = np.random.default_rng(0)
logits = rng.standard_normal((3, 4))
for name, dy in (("ones", np.ones((3, 4))), ("random", rng.standard_normal((3, 4)))):
    print(f"dy {name:<7} largest disagreement {worst_disagreement(LazySoftmax(), logits, dy):.1e}")

# %% [markdown]
# Probabilities add up to one, whatever the logits are; so the *sum of the outputs* has no slope, and zeros are right.
# With ones as `dy`, everything that leaves the sum of the outputs alone is invisible. A random `dy` asks for all
# outputs at once, in a mixture that no layer could have been made for.
#
# ### Exercise 4: a checker
#
# Put it together for a layer with weights. `check_weight(layer, name, x, dy, before)` tests the gradient of one array
# of weights, `layer.params[name]`:
#
# - set `layer.grads[name][...] = before` (random numbers, not zeros), then run `forward` and `backward(dy)`;
# - what `backward` has *added* is `layer.grads[name] - before`;
# - the slope of $L = \sum dy \cdot y$ by each weight, with `central`'s formula and $h = 10^{-5}$: change the weight *in
#   place*, run `forward`, and put it back;
# - return the largest disagreement, a number.


# %% exercise="check-weight"
def check_weight(layer, name, x, dy, before):
    """The largest |added gradient - slope| over the entries of layer.params[name]."""
    ### BEGIN SOLUTION
    h, W = 1e-5, layer.params[name]
    layer.grads[name][...] = before
    _, cache = layer.forward(x)
    layer.backward(dy, cache)
    added, slopes = layer.grads[name] - before, np.zeros_like(W)
    for i in np.ndindex(W.shape):
        w = W[i]
        W[i] = w + h
        up = np.sum(dy * layer.forward(x)[0])
        W[i] = w - h
        down = np.sum(dy * layer.forward(x)[0])
        W[i] = w
        slopes[i] = (up - down) / (2 * h)
    return np.abs(added - slopes).max()
    ### END SOLUTION


# %% test="check-weight-check" points=3
class Overwrites(Layer):
    def backward(self, dy, cache):
        self.grads["W"][...] = 0
        return super().backward(dy, cache)


def check_check_weight(seed, rows, D, N):
    """Stop with a sentence if `check_weight` is blind, or sees what is not there."""
    rng = np.random.default_rng(seed)
    x, dy, W = rng.standard_normal((rows, D)), rng.standard_normal((rows, N)), rng.standard_normal((D, N))
    before = rng.standard_normal((D, N))

    def seen(kind, *factor):
        layer = kind(W.copy(), *factor)
        found = check_weight(layer, "W", x, dy, before.copy())
        assert found is not None, "check_weight gives None: is there a return?"
        assert np.size(found) == 1, f"check_weight gives an array {np.shape(found)}, expected the largest number in it."
        assert np.array_equal(layer.params["W"], W), "the weights are not as they were before: put each one back."
        return float(found)

    right = seen(Layer)
    hint = " Is `before` subtracted from the gradient?" if right > 0.1 else ""
    assert right < 1e-7, f"a right layer disagrees by {right:.1e}, expected less than 1e-7.{hint}"
    twice = seen(Layer, 2.0)
    scale = np.abs(x.T @ (dy * (1 - np.tanh(x @ W) ** 2))).max()
    assert twice > 0.5 * scale, f"a gradient that is twice too large disagrees by {twice:.1e} only, of {scale:.1e}."
    assert abs(twice - scale) < 1e-4 * scale, f"twice too large: {twice:.4g}, expected {scale:.4g}; is it the largest?"
    assert seen(Layer, -1.0) > scale, "a wrong sign is not seen: is there an absolute value on each of the two?"
    lost = seen(Overwrites)
    assert lost > 0.1, "a backward that overwrites what was in `grads` passes: set `grads` to `before` first."


check_check_weight(seed=0, rows=4, D=3, N=2)
### BEGIN HIDDEN TESTS
check_check_weight(seed=1, rows=1, D=2, N=5)
### END HIDDEN TESTS
print("Exercise 4: right.")

# %% [markdown]
# ## 6. A gallery of mistakes
#
# Eight wrong layers, $y = \tanh(x W + b)$ each. **Predict.** Which of these four checks finds which of them?
#
# 1. *float32*: differences in float32, $h = 10^{-3}$, wrong if off by more than 10 %;
# 2. *ones*: float64, central, but `dy` all ones, `grads` at zero;
# 3. *yours*: float64, random `dy`, filled `grads`, for W alone;
# 4. *the library's* `check_gradients`.


# %%
class Affine:
    """y = tanh(x W + b), and its backward pass in parts, one of which each mistake below replaces."""

    def __init__(self, dtype=np.float64, seed=0, D=4, N=4):
        rng = np.random.default_rng(seed)
        self.params = {"W": rng.standard_normal((D, N)).astype(dtype), "b": rng.standard_normal(N).astype(dtype)}
        self.grads = {name: np.zeros_like(p) for name, p in self.params.items()}

    def forward(self, x):
        y = np.tanh(x @ self.params["W"] + self.params["b"])
        return y, (x, y)

    def dz(self, dy, y):
        return dy * (1 - y * y)

    def add(self, x, dz):
        self.grads["W"] += x.T @ dz
        self.grads["b"] += dz.sum(axis=0)

    def dx(self, dz):
        return dz @ self.params["W"].T

    def backward(self, dy, cache):
        x, y = cache
        dz = self.dz(dy, y)
        self.add(x, dz)
        return self.dx(dz)


class TimesBatch(Affine):
    def dz(self, dy, y):
        return len(dy) * super().dz(dy, y)


class SignOfBias(Affine):
    def add(self, x, dz):
        self.grads["W"] += x.T @ dz
        self.grads["b"] -= dz.sum(axis=0)


class Untransposed(Affine):
    def dx(self, dz):
        return dz @ self.params["W"]


class ForgetsToAdd(Affine):
    def add(self, x, dz):
        self.grads["W"][...] = x.T @ dz
        self.grads["b"][...] = dz.sum(axis=0)


class OnePerCent(Affine):
    def dz(self, dy, y):
        return 1.01 * super().dz(dy, y)


class WritesIntoDy(Affine):
    def dz(self, dy, y):
        dy *= 1 - y * y
        return dy


class SwapsRows(Affine):
    def add(self, x, dz):
        super().add(x, dz[::-1])


class ForgetsTanh(Affine):
    def dz(self, dy, y):
        return dy.copy()


GALLERY = [TimesBatch, SignOfBias, Untransposed, ForgetsToAdd, OnePerCent, WritesIntoDy, SwapsRows, ForgetsTanh]

# %%
ROWS, rng = 5, np.random.default_rng(1)
x, dy, before = (rng.standard_normal(shape) for shape in ((ROWS, 4), (ROWS, 4), (4, 4)))


def in_float32(layer_class):
    """Whether differences in float32 find it, by W and x."""
    layer, x32 = layer_class(np.float32), x.astype(np.float32)
    ones = np.ones((ROWS, 4), np.float32)
    _, cache = layer.forward(x32)
    dx, h = layer.backward(ones.copy(), cache), np.float32(1e-3)
    wrong = False
    for array, gradient in ((layer.params["W"], layer.grads["W"]), (x32, dx)):
        for i in np.ndindex(array.shape):
            a = array[i]
            array[i] = a + h
            up = layer.forward(x32)[0].sum()
            array[i] = a - h
            down = layer.forward(x32)[0].sum()
            array[i] = a
            measured = (up - down) / (2 * h)
            wrong |= bool(abs(gradient[i] - measured) > 0.1 * max(abs(measured), abs(gradient[i]), 0.1))
    return wrong


CHECKS = {
    "float32": in_float32,
    "ones": lambda kind: check_weight(kind(), "W", x, np.ones((ROWS, 4)), np.zeros((4, 4))) > 1e-6,
    "yours": lambda kind: check_weight(kind(), "W", x, dy.copy(), before) > 1e-6,
    "library": lambda kind: not check_gradients(kind(), x).ok,
}
found = {kind.__name__: [check(kind) for check in CHECKS.values()] for kind in [Affine, *GALLERY]}
print(f"{'finds':<14}" + "".join(f"{name:>10}" for name in CHECKS))
for name, by in found.items():
    print(f"{name:<14}" + "".join(f"{'yes' if wrong else '-':>10}" for wrong in by))
assert not any(found["Affine"]) and all(by[-1] for name, by in found.items() if name != "Affine")

# %% [markdown]
# The first line is the right layer: nobody may find anything there. What gets past which check:
#
# - *float32* lets a wrong 1 % pass, since it has to: its own noise may be larger. It adds to zeros, so it cannot see
#   `=` in place of `+=`; and it has handed over a copy of `dy`, so it does not notice who writes into it.
# - *ones* cannot see `=` in place of `+=` either.
# - *yours* looks at W alone: a sign in b or a missing transpose in dx are none of its business. Who writes into `dy`
#   betrays himself, since the slopes are taken with that same `dy` afterwards.
# - The library does what yours does for every array, by name, and compares what it handed over with a copy.
#
# What it says of one of them:

# %%
check_gradients(SwapsRows(), x)

# %% [markdown] answer="what-passes" points=2
# **A question to answer in words.** A colleague tests a new layer like this: run forward and backward on ones, look
# that all gradients have the right shapes and that the loss goes down in training. Name two of the eight mistakes
# that this test would let pass, and say why for each. And why is a random `dy` better than *any* fixed one?
#
# ### BEGIN SOLUTION
# A factor of the batch size: the shapes are right, and a loss goes down with gradients that are five times too large
# as well, most of all with Adam, which does not care about a factor. A term that is wrong by 1 %: the direction is
# nearly right, so training works, a little worse. (Overwriting passes as long as the layer is used once in a step; a
# wrong sign in the bias may pass, as the weights make up for it.) A fixed dy leaves all those mistakes invisible that
# happen to give zero with it, such as everything that does not change the sum of a softmax for ones. For a random one
# such a coincidence has probability zero, and nobody can, even by accident, write a layer that fits it.
# ### END SOLUTION

# %% [markdown]
# ## 7. The same as the library's
#
# The library measures a slope with the ladder of section 4. Your extrapolation is its first column, and it
# takes the value whose estimated error is smallest:

# %%
ladder_steps = 2.0 ** -np.arange(2, 27)
d = central(f, 0.7, ladder_steps)
best = differences.best_slope(ladder_steps, d, rounding=1e-16)
check_equal("richardson", richardson(d), d[1:] + (d[1:] - d[:-1]) / (4.0 - 1))
assert abs(best.value - slope(0.7)) <= best.error
print(f"the library: {best.value:.15f}, its own estimate of the error {best.error:.0e}")
print(f"true slope:  {slope(0.7):.15f}, error {abs(best.value - slope(0.7)):.0e}")

# %%
report = check_gradients(Affine(), x)
mine = check_weight(Affine(), "W", x, dy.copy(), before)
assert report.ok and mine < 1e-7
print(f"your checker on the right layer: {mine:.1e}; and the library's:\n\n{report}")

# %% [markdown]
# Find your formula in it:

# %%
print(inspect.getsource(differences.best_slope))

# %% [markdown]
# ## What to remember
#
# - A difference has a best step: longer, and the curve bends; shorter, and the digits run out. Central: $h \approx
#   10^{-5}$, ten to eleven digits, in float64.
# - Never judge by differences in float32. Check in float64, and compare the float32 `backward` with that.
# - The complex step has no cancellation and 15 digits, and needs a `forward` that is analytic all through.
# - Extrapolation takes the error out of two differences with the third; a ladder of steps brings its own error
#   estimate.
# - At a kink there is nothing to judge.
# - Random cotangents, filled accumulators, every array by name, inputs looked at afterwards: each is there for a
#   mistake that passes without it.
# - Test the tester: plant a mistake and see it found.
#
# ## Where the formulas come from
#
# - The complex step: W. Squire and G. Trapp, *Using complex variables to estimate derivatives of real functions*,
#   SIAM Review 40 (1998); J. Martins, P. Sturdza and J. Alonso, *The complex-step derivative approximation*, ACM
#   Transactions on Mathematical Software 29 (2003).
# - Extrapolation: L. F. Richardson, *The approximate arithmetical solution by finite differences of physical problems*,
#   Philosophical Transactions of the Royal Society A 210 (1911).
# - A ladder that stops by itself: C. J. F. Ridders, *Accurate computation of F'(x) and F'(x) F''(x)*, Advances in
#   Engineering Software 4 (1982).
