# %% [markdown]
# # Vanishing and exploding gradients
#
# - **Minutes:** 45
# - **Needs:** the lesson *Backpropagation through time by hand*: the backward pass of an RNN and of an LSTM; the norm
#   and the eigenvalues of a matrix
# - **Learn:** measure what becomes of a gradient on its way back through time, bound it, say which networks keep it and
#   why, and say what clipping, normalisation and truncation do to it
# - **Data:** none to load: coin flips, drawn in the lesson
#
# The gradient of the last lesson is exact, however far back it goes. Exact does not mean useful: on its way it may
# shrink until nothing is left of it, or grow until it drowns all the rest. Here you measure it, step by step.
#
# About training through time one can read, often in the same discussion:
#
# - **A.** "The gradient across the edge of a window is negligible, or one would not have cut there."
# - **B.** "One cuts for memory and time, not because the gradient is small."
# - **C.** "Gradients still vanish. What helps is to clip or to normalise them."
#
# They cannot all be right without a condition. At the end there is a verdict on each, made of what was measured.
#
# There are five exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.
#
# Section 7 is an extra, of 5 minutes more.

# %%
import functools
import inspect
import time

import numpy as np

import minidni
from minidni import LSTM, RNN, Linear, Sequential, SigmoidCrossEntropy, bptt
from minidni.data import TwoLag
from minidni.gradcheck import check_equal
from minidni.nn.initialise import fan_in_uniform, identity, orthogonal
from minidni.plots import show_decay, show_formula, show_heat

# %% [markdown]
# ## 1. The way back is a product of matrices
#
# An RNN makes its next state by
#
# $$a_t = x_t \, W_x + h_t \, W_h + b \qquad h_{t+1} = \tanh(a_t)$$
#
# The **Jacobian** of a step says how each entry of the new state changes with each entry of the old one:
#
# $$J_{ij} = \frac{\partial h_{t+1,\,i}}{\partial h_{t,\,j}} \qquad (H, H)$$
#
# **Predict, then run.** We move one entry of $h_t$ after the other by a little, and look at what becomes of $h_{t+1}$.
# Beside it stand $W_h^\top$ and the slope of the tanh, $1 - h_{t+1}^2$. How is $J$ made of the two?

# %%
rng = np.random.default_rng(4)
rnn = RNN(2, 3, rng=rng, dtype=np.float64)
x, h = rng.standard_normal((1, 1, 2)), rng.uniform(-1, 1, (1, 3))  # (T, B, D) with T = 1, and (B, H)
_, h_next, _ = rnn.forward(x, h)
moved, little = np.zeros((3, 3)), 1e-6
for j in range(3):
    _, h_moved, _ = rnn.forward(x, h + little * np.eye(3)[j])
    moved[:, j] = (h_moved - h_next)[0] / little
slope = (1 - h_next[0] ** 2)[:, None]
show_formula(("J, measured", moved), "?", ("1 - h[t+1]²", slope), ("Wh.T", rnn.params.Wh.T), digits=2)

# %% [markdown]
# The slope belongs to the *new* state, so it scales the rows. In the last lesson you wrote the same as two lines of
# `backward`, for a gradient $ds_{t+1}$ that is a row of $H$ numbers:
#
# $$da_t = ds_{t+1} \odot (1 - h_{t+1}^2) \qquad ds_t = da_t \, W_h^\top
# \qquad \text{together} \qquad ds_t = ds_{t+1} \, J_t$$
#
# ### Exercise 1: the Jacobian of a step
#
# Write `rnn_jacobian`.


# %% exercise="rnn-jacobian"
def rnn_jacobian(h_next, Wh):
    """The state after the step h_next (H,), Wh (H, H) -> J (H, H), J[i, j] = dh_next[i] / dh[j]."""
    ### BEGIN SOLUTION
    return (1 - h_next**2)[:, None] * Wh.T
    ### END SOLUTION


# %% test="rnn-jacobian-check" points=2
def check_rnn_jacobian(H, seed):
    """Stop with a sentence if `rnn_jacobian` differs from the library's Jacobian."""
    rng = np.random.default_rng(seed)
    rnn = RNN(2, H, rng=rng, dtype=np.float64, init=fan_in_uniform)
    x, h = rng.standard_normal((1, 1, 2)), rng.uniform(-1, 1, (1, H))
    _, h_next, _ = rnn.forward(x, h)
    Wh, h_next = rnn.params.Wh.copy(), h_next[0].copy()
    slope = 1 - h_next**2
    suspects = {
        "this is its transpose; the row belongs to the new state": Wh * slope,
        "the slope scales the columns, where it should scale the rows: slope[:, None] * ...": Wh.T * slope,
        "Wh is not transposed": slope[:, None] * Wh,
        "the slope 1 - h_next**2 is missing": Wh.T,
        "tanh is taken once more: h_next is what came out of it": (1 - np.tanh(h_next) ** 2)[:, None] * Wh.T,
    }
    kept = Wh.copy(), h_next.copy()
    check_equal("J", rnn_jacobian(h_next, Wh), bptt.jacobians(rnn, x, h)[0, 0], suspects)
    check_equal("Wh after the call (rnn_jacobian must not change it)", Wh, kept[0])
    check_equal("h_next after the call (rnn_jacobian must not change it)", h_next, kept[1])


check_rnn_jacobian(H=3, seed=0)
### BEGIN HIDDEN TESTS
check_rnn_jacobian(H=1, seed=1)
check_rnn_jacobian(H=6, seed=2)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# One step after the other, a gradient that comes in behind step $T - 1$ arrives in front of step $k$ as
#
# $$ds_k = ds_T \, J_{T-1} \, J_{T-2} \cdots J_{k+1} \, J_k$$
#
# (The losses on the way add theirs, each with a shorter product of its own.) So all depends on how long this product of
# matrices is. The **spectral norm** $\|M\|$ of a matrix is the largest factor by which it lengthens a row; NumPy has it
# as `np.linalg.norm(M, 2)`.
#
# ### Exercise 2: how long is the product?
#
# Write `product_norms`. Row `k` of what it returns is $\|J_{T-1} \cdots J_k\|$, and row `T`, where the gradient has not
# moved yet, is 1. Go backwards, as the gradient does.


# %% exercise="product-norms"
def product_norms(J):
    """J (T, S, S) -> the norms (T + 1,) of J[T - 1] @ ... @ J[k], for k = 0 .. T."""
    T, S, _ = J.shape
    norms = np.ones(T + 1)
    ### BEGIN SOLUTION
    product = np.eye(S)
    for k in reversed(range(T)):
        product = product @ J[k]
        norms[k] = np.linalg.norm(product, 2)
    ### END SOLUTION
    return norms


# %% test="product-norms-check" points=2
def check_product_norms(T, S, seed):
    """Stop with a sentence if `product_norms` is wrong for random matrices."""
    J = np.random.default_rng(seed).standard_normal((T, S, S))

    def rows(factors, multiply=np.matmul, norm=lambda M: np.linalg.norm(M, 2)):
        """Norms of the products of the matrices that factors(k) gives, in this order."""
        return [*(norm(functools.reduce(multiply, factors(k))) for k in range(T)), 1]

    right = bptt.jacobian_product_norms(J)
    suspects = {
        "the factors stand in the wrong order; each step back multiplies from the right": rows(lambda k: J[k:]),
        "* multiplies entry by entry; matrices are multiplied by @": rows(lambda k: [np.eye(S), *J[k:]], np.multiply),
        "these are products of norms: multiply the matrices first": rows(
            lambda k: [np.linalg.norm(M, 2) for M in J[k:]], np.multiply, float
        ),
        "these are the norms of the single matrices, not of products": rows(lambda k: J[k : k + 1]),
        "this is the Frobenius norm; the spectral norm is np.linalg.norm(M, 2)": rows(
            lambda k: J[k:][::-1], norm=np.linalg.norm
        ),
        "row k lacks J[k]: on its way from the boundary k + 1 to k the gradient passes step k": [*right[1:], 1],
        "the rows are in the order of the distance; row k belongs to the boundary k": right[::-1],
        "nothing was written into norms": np.ones(T + 1),
        "row k is for J[k] ... J[0], from the front": rows(lambda k: J[: k + 1][::-1]),
        "row k is for J[0] ... J[k], from the front": rows(lambda k: J[: k + 1]),
        "row k is for J[k - 1] ... J[0], from the front": [1, *rows(lambda k: J[: k + 1][::-1])[:-1]],
        "row k is for J[0] ... J[k - 1], from the front": [1, *rows(lambda k: J[: k + 1])[:-1]],
    }
    check_equal("norms", product_norms(J.copy()), right, suspects)


check_product_norms(T=4, S=3, seed=0)
### BEGIN HIDDEN TESTS
check_product_norms(T=1, S=2, seed=1)
check_product_norms(T=7, S=5, seed=2)
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# ## 2. Measured
#
# Now to networks, fresh from their initialisation. Random inputs come in; the first steps only bring the state into
# the middle of a stream. For each loss step $\tau$ and each state in front of a step $t \le \tau$, your function gives
# the norm: by how much can a gradient that comes in behind step $\tau$ have grown, at most, when it arrives in front of
# step $t$?
#
# - **small weights**: $W_h$ uniform within $\pm 1/\sqrt{H}$, as PyTorch draws it
# - **orthogonal**: $W_h$ by itself keeps the length of everything; **3 x orthogonal**: it makes all 3 times as long
# - **identity**: $W_h$ copies the state
# - **layer norm**: $x W_x$ and $h W_h$ are brought to the same spread in every step
# - **LSTM** with three biases of the forget gate; the state is $[h \,|\, c]$, so its Jacobian has $2H$ rows
#
# **Predict, then run.** In the picture white is 1, blue is less, orange is more. Which of the nine will be blue in the
# lower left corner, far from the loss? Which one orange?


# %%
def times(gain, init):
    """An initialiser: gain times what `init` draws."""
    return lambda rng, shape: gain * init(rng, shape)


D, H, T = 4, 16, 30
fresh = {"rng": 1, "dtype": np.float64}
nets = {
    "RNN, small weights": RNN(D, H, init=fan_in_uniform, **fresh),
    "RNN, orthogonal": RNN(D, H, **fresh),
    "RNN, identity": RNN(D, H, init=identity, **fresh),
    "RNN, 3 x orthogonal": RNN(D, H, init=times(3, orthogonal), **fresh),
    "RNN, orthogonal, layer norm": RNN(D, H, layer_norm=True, **fresh),
    "LSTM, forget bias 0": LSTM(D, H, forget_bias=0, **fresh),
    "LSTM, forget bias 1": LSTM(D, H, forget_bias=1, **fresh),
    "LSTM, forget bias 3": LSTM(D, H, forget_bias=3, **fresh),
    "LSTM, bias 1, layer norm": LSTM(D, H, forget_bias=1, layer_norm=True, **fresh),
}
x_before, x = np.split(np.random.default_rng(0).standard_normal((T + 20, 1, D)), [20])  # (20, B, D), (T, B, D)

measured = {}
for name, net in nets.items():
    _, s0, _ = net.forward(x_before)
    J = bptt.jacobians(net, x, s0)[:, 0]  # (T, S, S)
    norms = np.full((T, T), np.nan)
    for tau in range(T):
        norms[tau, : tau + 1] = product_norms(J[: tau + 1])[:-1]
    measured[name] = norms
show_heat(measured, xlabel="state in front of step t", ylabel="loss step τ", label="largest factor", columns=5)

# %%
print(f"{'from the last loss to the first state':<40}{'in all':>10}{'by step':>9}")
for name, norms in measured.items():
    far = norms[-1, 0]
    print(f"{name:<40}{far:10.1e}{far ** (1 / T):9.2f}")
far = {name: norms[-1, 0] for name, norms in measured.items()}
assert far["RNN, small weights"] < far["RNN, orthogonal"] < 1e-2
assert max(far["RNN, identity"], far["RNN, orthogonal, layer norm"], far["LSTM, forget bias 0"]) < 1e-2
assert far["RNN, 3 x orthogonal"] > 1e2
assert far["LSTM, forget bias 0"] < far["LSTM, forget bias 1"] < 1 < far["LSTM, forget bias 3"] < 1e2
assert far["LSTM, bias 1, layer norm"] > far["LSTM, forget bias 1"]

# %% [markdown]
# What counts is the distance from the diagonal: each step back costs a factor, and the factors multiply. About the same
# one, to the power of the distance: that is all there is to *vanishing* and *exploding* gradients. (Where a picture
# falls into blocks, one step lets less through than the others, and all that comes from behind it must pass there.)
#
# - Small weights forget fast. Orthogonal and identity weights would keep the length, but the slope of the tanh is below
#   1 wherever the state is not 0, and takes its share in every step.
# - Three times as large weights outweigh the slopes: this gradient explodes.
# - Layer norm does not make this RNN remember. In the LSTM more of the gradient is left with it.
# - An LSTM is not safe by its name: without a forget bias it forgets like an RNN. With a large one it keeps.
#
# ## 3. The bound
#
# The norm of a product is at most the product of the norms. And of the two factors of $J_t$, a diagonal with slopes and
# $W_h^\top$, the first lengthens a row at most by the largest slope there is, $\sup |f'|$: 1 for tanh, 1/4 for the
# logistic sigmoid. So over $n$ steps
#
# $$\|J_{T-1} \cdots J_{T-n}\| \;\le\; \big( \|W_h\| \, \sup |f'| \big)^n$$
#
# On a logarithmic axis this is a straight line. If the number in the brackets, the **rate**, is below 1, the gradient
# must vanish.
#
# There is also a rate that is not a bound but what really happens, in a network without the nonlinearity:
# $h_{t+1} = h_t \, (g M) + x_t W_x$ with some matrix $M$ and a number $g$, the gain. Each $J_t$ is $g M^\top$, and the
# product is its power.
#
# ### Exercise 3: two rates
#
# - `rate` returns the number in the brackets above.
# - `critical_gain` returns the $g > 0$ with which the linear network's gradient, over many steps, neither vanishes nor
#   explodes. What does $M^n$ do to an eigenvector of $M$? `np.linalg.eigvals` gives the eigenvalues, complex ones
#   included.


# %% exercise="rates"
def rate(Wh, slope):
    """Wh (H, H), the largest slope of the nonlinearity -> the number whose n-th power bounds n steps."""
    ### BEGIN SOLUTION
    return np.linalg.norm(Wh, 2) * slope
    ### END SOLUTION


def critical_gain(M):
    """M (H, H) -> the gain g for which powers of g M neither vanish nor explode."""
    ### BEGIN SOLUTION
    return 1 / np.abs(np.linalg.eigvals(M)).max()
    ### END SOLUTION


# %% test="rates-check" points=2
def check_rates(M, what):
    """Stop with a sentence if `rate` or `critical_gain` is wrong for this matrix."""
    eigenvalues, norm = np.linalg.eigvals(M), np.linalg.norm(M, 2)
    radius = np.abs(eigenvalues).max()
    suspects = {
        "this is the spectral radius, the largest absolute eigenvalue; the norm may be larger": radius / 4,
        "this is the Frobenius norm; the spectral norm is np.linalg.norm(Wh, 2)": np.linalg.norm(M) / 4,
        "the slope is missing": norm,
        "the slope stands in the denominator": norm * 4,
    }
    check_equal(f"rate of {what} with slope 1/4", rate(M.copy(), 0.25), norm / 4, suspects)

    gain = critical_gain(M.copy())
    left = np.linalg.norm(np.linalg.matrix_power(M / norm, 300), 2)
    suspects = {
        f"this is 1 / the norm, and with it 300 steps leave {left:.0e} of the gradient: it vanishes": 1 / norm,
        "this is the spectral radius itself; with g times as large weights it should become 1": radius,
        "of complex eigenvalues the absolute value counts, not the real part": 1 / np.abs(eigenvalues.real).max(),
        "a negative eigenvalue counts too: take absolute values before the maximum": 1 / eigenvalues.real.max(),
        "this is 1 / the smallest eigenvalue; the largest one wins": 1 / np.abs(eigenvalues).min(),
    }
    check_equal(f"critical gain of {what}", gain, 1 / radius, suspects)


check_rates(np.array([[0.5, 2.0], [0.0, 0.8]]), "a triangular matrix")
check_rates(np.array([[1.0, -3.0], [1.0, 1.0]]), "a matrix with complex eigenvalues")
check_rates(np.array([[-2.0, 1.0], [0.0, 0.5]]), "a matrix with the eigenvalues -2 and 1/2")
### BEGIN HIDDEN TESTS
check_rates(np.random.default_rng(0).standard_normal((6, 6)), "a random matrix")
check_rates(0.7 * orthogonal(np.random.default_rng(1), (5, 5)), "0.7 times an orthogonal matrix")
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# **Predict, then run.** On the left the linear network with a random matrix, at its critical gain and a little below
# and above it, and the bound for the middle one. In the middle and on the right two of the networks from above, with
# their bounds. Which of the curves will lie close to their bound?

# %%
M = np.random.default_rng(2).standard_normal((H, H)) / np.sqrt(H)
g = critical_gain(M)
linear = {}
for factor in (0.9, 1.0, 1.1):
    J = np.repeat(factor * g * M.T[None], T, axis=0)
    linear[f"gain {factor} x critical"] = product_norms(J)[::-1]  # row n is n steps back
print(f"critical gain {g:.2f}, the rate with it {rate(g * M, slope=1):.2f}")
panels = {"linear network": linear}
bounds = {"linear network": {"bound, gain 1.0 x critical": rate(g * M, slope=1) ** np.arange(13)}}
for gain in (0.9, 1.2):
    title = f"RNN, {gain} x orthogonal"
    rnn = RNN(D, H, init=times(gain, orthogonal), **fresh)
    panels[title] = {}
    for size in (0.1, 1.0):
        _, s0, _ = rnn.forward(size * x_before)
        norms = product_norms(bptt.jacobians(rnn, size * x, s0)[:, 0])[::-1]
        panels[title][f"inputs of size {size}"] = norms
        assert (norms <= rate(rnn.params.Wh, slope=1) ** np.arange(T + 1) * (1 + 1e-9)).all(), "above its bound"
    bounds[title] = {f"bound {rate(rnn.params.Wh, slope=1):.1f}ⁿ": rate(rnn.params.Wh, slope=1) ** np.arange(T + 1)}
assert panels["RNN, 1.2 x orthogonal"]["inputs of size 1.0"][-1] < 0.5
show_decay(panels, bounds, xlabel="steps back, n", ylabel="norm of the product")

# %% [markdown]
# At its critical gain the linear network keeps the gradient, although its bound runs up steeply. A single step may
# lengthen a gradient as much as the bound says, but only once: in the long run the largest eigenvalue alone counts. A
# little less gain vanishes, a little more explodes. It is a knife's edge.
#
# The gradient of the RNN whose rate is below 1 lies below its line, and must vanish. With small inputs the state stays
# near 0, where the slope is nearly 1, and the curve stays close to the line; with large inputs it falls much faster.
# Where the rate is above 1 the bound leaves everything open: with large inputs the gradient vanishes all the same.

# %% [markdown] answer="bound-above-one" points=1
# **A question to answer in words.** Compare the rate with what was measured, for the RNN on the right with large
# inputs, and for `nets["RNN, 3 x orthogonal"]` from above, whose factor by step is in the table. What does a rate above
# 1 tell you about the gradient, and what does a rate below 1 tell you?
#
# ### BEGIN SOLUTION
# The one on the right has a rate above 1, and yet its gradient vanishes. The other one explodes, but by a factor much
# smaller than its rate of 3. The bound is an upper one: it says that the gradient cannot be larger, not that it is that
# large. So a rate below 1 is sufficient for a gradient to vanish. A rate above 1 is necessary for it to explode, and
# proves nothing. The bound ignores that the slopes are below 1, and that a direction which is lengthened most in one
# step is in general not the one that is lengthened most in the next.
# ### END SOLUTION

# %% [markdown]
# ## 4. Why an LSTM can keep it
#
# The cell of an LSTM is not written anew but added to:
#
# $$c_{t+1} = f_t \odot c_t + i_t \odot g_t$$
#
# On this path there is no matrix and no slope. What comes back through it is multiplied by the forget gate, entry by
# entry, and by nothing else:
#
# $$dc_k = dc_T \odot f_{T-1} \odot f_{T-2} \odot \cdots \odot f_k$$
#
# (There are more paths, through the gates and $h$; they add to it.) At the start of training a gate is about
# $\sigma(\text{bias})$. So the bias of the forget gate sets the rate, and you can choose it.
#
# ### Exercise 4: the path through the cell
#
# - `kept` gets the forget gates and returns, in row `k`, by what each entry of the gradient is multiplied on its way
#   from the boundary $T$ to the boundary $k$, along the cell alone. Row `T` is 1.
# - `forget_bias_for` returns the bias with which half of the gradient is left after `half_life` steps, if each gate is
#   $\sigma(\text{bias})$, where $\sigma(b) = 1 / (1 + e^{-b})$.


# %% exercise="cell-path"
def kept(f):
    """Forget gates f (T, H) -> factors (T + 1, H) on the way from the boundary T back to k = 0 .. T."""
    T, H = f.shape
    factors = np.ones((T + 1, H))
    ### BEGIN SOLUTION
    for k in reversed(range(T)):
        factors[k] = factors[k + 1] * f[k]
    ### END SOLUTION
    return factors


def forget_bias_for(half_life):
    """A number of steps -> the bias b with sigmoid(b) ** half_life = 1/2."""
    ### BEGIN SOLUTION
    f = 0.5 ** (1 / half_life)
    return np.log(f / (1 - f))
    ### END SOLUTION


# %% [markdown]
# The check of `kept` takes an LSTM of the library with $W_h = 0$. Its gates see only the inputs, so the cell is the
# only path there is, and its gradient must be yours.


# %% test="cell-path-check" points=2
def forget_gates(lstm, x, s0=None):
    """The forget gates (T, B, H) of a forward pass."""
    lstm.plain = True  # the walk whose cache is arranged as in the last lesson: i f o g side by side
    gates = lstm.forward(x, s0)[2].gates.copy()
    lstm.plain = False
    return np.split(gates, 4, axis=2)[1]


def check_kept(T, H, seed):
    """Stop with a sentence if `kept` differs from the gradient of an LSTM that has no other path."""
    rng = np.random.default_rng(seed)
    lstm = LSTM(2, H, rng=rng, dtype=np.float64)
    lstm.params.Wh[...] = 0
    x = rng.standard_normal((T, 1, 2))
    f = forget_gates(lstm, x)[:, 0]
    ones_at_c = np.concatenate([np.zeros((1, H)), np.ones((1, H))], axis=1)  # dsT = [0 | 1]
    right = bptt.state_gradients(lstm, x, dsT=ones_at_c)[:, 0, H:]
    last = np.ones((1, H))
    front = np.cumprod(np.concatenate([last, f]), axis=0)
    suspects = {
        "the products start in front, f[0] ... f[k - 1], and should start behind": front,
        "row k lacks f[k]: on its way from the boundary k + 1 to k it passes step k": np.concatenate([right[1:], last]),
        "these are the gates themselves, not their products": np.concatenate([f, last]),
        "the rows are in the order of the distance; row k belongs to the boundary k": right[::-1],
        "these are sums of the gates, and should be products": np.concatenate([f, last])[::-1].cumsum(axis=0)[::-1],
        "nothing was written into factors": np.ones((T + 1, H)),
    }
    check_equal("kept(f)", kept(f.copy()), right, suspects)


def check_forget_bias(half_life):
    """Stop with a sentence if `forget_bias_for` gives another half-life."""
    f = 0.5 ** (1 / half_life)
    right = np.log(f / (1 - f))
    e_fold = np.exp(-1 / half_life)
    suspects = {
        "this is the gate; the bias is what the sigmoid turns into it": f,
        "the sign is wrong": -right,
        "with it 1/e is left after these steps, not 1/2": np.log(e_fold / (1 - e_fold)),
        "this is log(f); the inverse of the sigmoid is log(f / (1 - f))": np.log(f),
    }
    check_equal(f"forget_bias_for({half_life})", forget_bias_for(half_life), right, suspects)


check_kept(T=5, H=3, seed=0)
check_forget_bias(10)
### BEGIN HIDDEN TESTS
check_kept(T=1, H=2, seed=1)
check_kept(T=9, H=4, seed=2)
check_forget_bias(1)
check_forget_bias(200)
### END HIDDEN TESTS
print("Exercise 4: right.")

# %%
for b in (0, 1, 3):
    gate = 1 / (1 + np.exp(-b))
    half_life = np.log(0.5) / np.log(gate)
    print(f"forget bias {b}: gate {gate:.3f}, half of the gradient is left after {half_life:4.1f} steps")
for half_life in (10, 100, 1000):
    print(f"half-life {half_life:4d}: forget bias {forget_bias_for(half_life):.2f}")

# %% [markdown]
# Beside this simple estimate, what the gates of the three fresh LSTMs from above do, and the whole gradient, with all
# paths.
#
# **Predict, then run.** Is the whole longer or shorter than the path through the cell alone?

# %%
panels, bounds = {}, {}
for b in (0, 1, 3):
    lstm = nets[f"LSTM, forget bias {b}"]
    _, s0, _ = lstm.forward(x_before)
    f = forget_gates(lstm, x, s0)[:, 0]
    J = bptt.jacobians(lstm, x, s0)[:, 0]
    cells = kept(f)[::-1]  # (T + 1, H), row n is n steps back
    panels[f"forget bias {b}"] = {
        "all paths": product_norms(J)[::-1],
        "cell alone, largest entry": cells.max(axis=1),
        "cell alone, mean": cells.mean(axis=1),
    }
    bounds[f"forget bias {b}"] = {"σ(bias)ⁿ": (1 / (1 + np.exp(-b))) ** np.arange(T + 1)}
assert panels["forget bias 3"]["all paths"][-1] > 1 > panels["forget bias 3"]["cell alone, largest entry"][-1]
show_decay(panels, bounds, xlabel="steps back, n", ylabel="factor")

# %% [markdown]
# The path through the cell carries the gradient, and the estimate says how far. The paths through $h$ add to it, and
# they are products of matrices again: with a forget bias of 3 they are what makes the factor grow above 1.
#
# ## 5. Clipping, and what it cannot do
#
# An exploding gradient makes a step that leads far away from where it was computed. The remedy (Pascanu and others,
# 2013): where the norm of the gradient, all parameters together, is larger than a limit, scale it down to the limit.
# **Normalising** is the same without the "where": each gradient gets the same length, a short one is made longer.
#
# ### Exercise 5: clip
#
# Write `clip`. It gets a dictionary of arrays, computes the norm over *all* their entries together, and where that is
# above the limit it multiplies all of them, **in place**, by one factor. It returns the norm before.


# %% exercise="clip"
def clip(grads, limit):
    """Scale the arrays in grads by one factor, so that their common norm is at most limit; return the norm before."""
    ### BEGIN SOLUTION
    norm = np.sqrt(sum((grad**2).sum() for grad in grads.values()))
    if norm > limit:
        for grad in grads.values():
            grad *= limit / norm
    return norm
    ### END SOLUTION


# %% test="clip-check" points=2
def check_clip(grads, limit):
    """Stop with a sentence if `clip` does something else to these arrays."""
    before = {name: grad.copy() for name, grad in grads.items()}
    arrays = dict(grads)
    norm = np.linalg.norm(np.concatenate([grad.ravel() for grad in grads.values()]))
    factor = min(1, limit / norm)

    def one_by_one(grad):
        return grad * min(1, limit / max(np.linalg.norm(grad), 1e-300))

    where = f"with norm {norm:.3g} and limit {limit:g}, "
    got = clip(grads, limit)
    for name, array in arrays.items():
        assert grads[name] is array, f"{where}{name} is another array now; change it in place, with *= or [...] =."
        what = {
            "nothing was scaled; change the arrays in place": before[name],
            "a gradient below the limit was made longer; that is normalising": before[name] * limit / norm,
            "it was clipped by its own norm; one factor for all keeps the direction": one_by_one(before[name]),
            "its entries were clipped; one factor for all keeps the direction": np.clip(before[name], -limit, limit),
            "it was divided by the norm, and the limit forgotten": before[name] / norm,
            "it was divided by the square of the norm: the root is missing": before[name] * limit / norm**2,
        }
        check_equal(f"{where}{name}", array, before[name] * factor, what)
    suspects = {
        "this is the norm after the clipping": norm * factor,
        "the square root is missing": norm**2,
        "this is the sum of the norms": sum(np.linalg.norm(grad) for grad in before.values()),
    }
    for name, grad in before.items():
        suspects[f"this is the norm of {name} alone; take all arrays together"] = np.linalg.norm(grad)
    check_equal(f"{where}the returned norm", got, norm, suspects)


rng = np.random.default_rng(0)
for limit in (100.0, 1.5):
    check_clip({"Wh": rng.standard_normal((3, 3)), "b": 0.1 * rng.standard_normal(3)}, limit)
### BEGIN HIDDEN TESTS
check_clip({"W": rng.standard_normal((4, 2)), "b": np.zeros(2), "g": rng.standard_normal(5)}, 0.01)
check_clip({"W": rng.standard_normal((4, 2)), "b": np.zeros(2)}, 50.0)
### END HIDDEN TESTS
print("Exercise 5: right.")

# %% [markdown]
# The gradient of a weight is a sum over the steps, as you have seen. Here are the norms of the single terms, by their
# distance from the loss, for the RNN with small weights and a loss at the last step. Then the same after clipping to a
# tenth of the norm, and after normalising to ten times the norm.
#
# **Predict, then run.** What will the three curves look like, and which angle do the three gradients make?


# %%
def terms_by_distance(net, x, dy):
    """What each step adds to the gradient of all parameters, nearest to the end first: (T, n_params)."""
    s, caches = None, []
    for t in range(len(x)):
        _, s, cache = net.forward(x[t : t + 1], s)
        caches.append(cache)
    ds, terms = None, []
    for t in reversed(range(len(x))):  # windows of length 1
        net.zero_grads()
        _, ds = net.backward(dy[t : t + 1], caches[t], ds)
        terms.append(bptt.flat_gradients(net))
    return np.array(terms)


net = nets["RNN, small weights"]
dy = np.zeros((T, 1, H))
dy[-1] = np.random.default_rng(3).standard_normal((1, H))
terms = terms_by_distance(net, x, dy)
gradient = terms.sum(axis=0)
norm = np.linalg.norm(gradient)

clipped = gradient.copy()
clip({"all": clipped}, norm / 10)
wanted = 10 * norm
normalised = gradient * (wanted / norm)
curves = {}
for name, changed in (("as it is", gradient), ("clipped", clipped), ("normalised", normalised)):
    factor = np.linalg.norm(changed) / norm
    curves[name] = np.linalg.norm(factor * terms, axis=1)
    cosine, ratio, _ = bptt.compare(changed, gradient)
    share = curves[name][19] / curves[name][0]
    print(f"{name:<12} length {ratio:5.2f}, cosine {cosine:.6f}, 20 steps back / 1 step back {share:.3e}")
show_decay({"terms of the gradient": curves}, xlabel="steps back", ylabel="norm", start=1)

# %% [markdown]
# The curves are parallel: one factor cannot change what stands in what proportion. A far cause that had no say in the
# gradient has none afterwards. Clipping and normalising change **how long** the step is, and neither where it leads nor
# whom it listens to. (An optimiser such as Adam scales every weight by itself, which does change the direction. But
# each entry is still a sum over the steps, and in each sum near and far keep their proportion.)
#
# ### Does it help? Four ways to step from two starts
#
# A task whose loss tells what was remembered: coin flips $x_t$ come in, and $y_t$ is a coin whose bias depends on the
# flips 10 steps and 1 step ago. The lowest possible loss for each thing one may remember is known exactly. We train an
# RNN by SGD, on windows of 16 steps, from two starts:
#
# - **vanishing**: $W_h$ is 0.3 times an orthogonal matrix
# - **orthogonal**: $W_h$ is orthogonal
#
# with plain SGD at a high and, as a control, at a lower learning rate, and at the high rate clipped and normalised. All
# runs of a seed see the same coins.
#
# **Predict, then run.** Which of the eight will reach the lag of 10?

# %%
task = TwoLag(lags=(10, 1))
floors = {"nothing": task.floors[()], "lag 1": task.floors[(1,)], "lag 10": task.floors[(10,)], "both": task.floor}
print("lowest loss in nats, for who remembers", ", ".join(f"{what}: {floor:.4f}" for what, floor in floors.items()))
starts = {"vanishing": 0.3, "orthogonal": 1.0}
LIMIT = 0.1
ways = {
    "plain": (3.0, lambda net: clip(net.grads, np.inf)),  # no limit: this only measures the norm
    "plain, lower rate": (1.0, lambda net: clip(net.grads, np.inf)),
    f"clipped at {LIMIT}": (3.0, lambda net: clip(net.grads, LIMIT)),
    f"normalised to {LIMIT}": (3.0, lambda net: minidni.normalise_gradients(net, LIMIT)),
}


def train(gain, lr, change, seed, updates=300):
    """The losses of all updates, and the norms of the gradients before they were changed."""
    net = Sequential(RNN(1, 16, init=times(gain, orthogonal), rng=seed), Linear(16, 1, rng=seed + 100))
    loss, optimiser = SigmoidCrossEntropy(), minidni.SGD(lr)
    losses, norms, s, cache = [], [], None, None
    stream = task.windows(size=16, length=16, seed=seed)
    for _ in range(updates):
        x, labels = next(stream)
        y, s, cache = net.forward(x, s, cache)
        s = s.copy()  # its memory is the cache's, which is used again
        losses.append(loss.value(y, labels))
        net.zero_grads()
        net.backward(loss.gradient(y, labels), cache)
        norms.append(float(change(net)))
        optimiser.step(net)
    return np.array(losses), np.array(norms)


runs = {(start, way): [train(starts[start], *ways[way], seed) for seed in range(3)] for start in starts for way in ways}
header = "".join(f"{f'seed {seed}':>8}" for seed in range(3))
print(f"\n{'mean loss of the last 50 updates':<36}{header}{'median norm':>13}{'largest':>9}")
ends = {}
for (start, way), results in runs.items():
    ends[start, way] = np.array([losses[-50:].mean() for losses, _ in results])
    norms = np.concatenate([norms for _, norms in results])
    seeds = "".join(f"{end:8.3f}" for end in ends[start, way])
    print(f"{start + ', ' + way:<36}{seeds}{np.median(norms):13.2f}{norms.max():9.1f}")

for way in list(ways)[1:]:
    assert ends["orthogonal", way].mean() < floors["lag 10"] < ends["vanishing", way].mean() - 0.08
    assert ends["orthogonal", way].mean() < ends["orthogonal", "plain"].mean() - 0.05

# %%
panels, lines = {}, {}
for start in starts:
    title = f"{start} start"
    panels[title] = {way: runs[start, way][0][0].reshape(-1, 10).mean(axis=1) for way in ways}
    lines[title] = {f"lowest for {what}": np.full(30, floors[what]) for what in ("lag 1", "lag 10", "both")}
show_decay(panels, lines, xlabel="tens of updates, seed 0", ylabel="loss (nats)", start=1)

# %% [markdown]
# From the orthogonal start, plain SGD at the high rate meets gradients that are much larger than the others, and does
# not recover. Clipping saves it. So does a lower rate, which here costs nothing: clipping widens the range of rates
# that work. (From this start nearly all gradients are longer than the limit: clipping and normalising are the same.)
#
# From the vanishing start all four end about where only the lag of 1 is known. It is the same network and the same
# task, and it can be learned, as the other start shows. The length of the steps is not what is wrong; there is nothing
# of the lag of 10 in them. (How much is nothing? Try `lags=(8, 1)`, or ten times as many updates.)
#
# ## 6. What crosses the edge of a window
#
# Now to truncation: cut the stream into windows, carry the state across, and drop the gradient there. What is lost?
#
# The task is the same, with the lags 3 and 5. We train an RNN and an LSTM in windows of 3 steps, too short to see
# either lag, and in windows of 20. Then we look at the *true* gradient: of a loss at one step, by the state $k$ steps
# before. That is what crosses a boundary $k$ steps in front of the loss, and what a cut there throws away.
#
# **Predict, then run.** Before training, after training with short windows, and after training with long windows: where
# is the gradient across a distant boundary largest?


# %%
near_task = TwoLag(lags=(3, 5), dtype=np.float64)
kinds = {"RNN, orthogonal": RNN, "LSTM, forget bias 1": LSTM}
REACH = 30


def learn(net, window, seed, steps=2400):
    """Train with truncated backpropagation through time; return the mean loss over the last eighth."""
    loss, optimiser, s, cache, losses = SigmoidCrossEntropy(), minidni.Adam(2e-2), None, None, []
    stream = near_task.windows(size=32, length=window, seed=seed)
    for _ in range(steps // window):
        x, labels = next(stream)
        y, s, cache = net.forward(x, s, cache)  # the state is carried ...
        s = s.copy()
        losses.append(loss.value(y, labels))
        net.zero_grads()
        net.backward(loss.gradient(y, labels), cache)  # ... and no gradient comes back
        optimiser.step(net)
    return np.mean(losses[-(len(losses) // 8) :])


def crossing(net, seed):
    """Norm of the gradient of a loss by the state k = 1 .. REACH steps before, relative to k = 1; fresh sequences."""
    x, labels = next(near_task.windows(size=100, length=REACH + 10, seed=1000 + seed))
    y, _, _ = net.forward(x)
    by_distance = bptt.by_distance(net, x, SigmoidCrossEntropy().gradient(y, labels))
    norms = bptt.norms(by_distance).mean(axis=1)[:REACH]
    return norms / norms[0]


def middle(curves):
    """Geometric mean over the seeds."""
    return np.exp(np.mean(np.log(curves), axis=0))


print("lowest loss, for who remembers nothing", f"{near_task.chance:.4f}, both {near_task.floor:.4f}")
panels, reached = {}, {}
for kind, Layer in kinds.items():
    curves, panels[kind] = {}, {}
    for seed in range(3):
        for window in (None, 3, 20):
            net = Sequential(Layer(1, 16, rng=seed, dtype=np.float64), Linear(16, 1, rng=seed + 100, dtype=np.float64))
            name = f"windows of {window}" if window else "before training"
            if window:
                reached.setdefault((kind, name), []).append(learn(net, window, seed))
            curves.setdefault(name, []).append(crossing(net, seed))
    panels[kind] = {name: middle(values) for name, values in curves.items()}
for (kind, name), losses in reached.items():
    print(f"{kind + ', ' + name:<36} loss {', '.join(f'{value:.3f}' for value in losses)}")
show_decay(panels, xlabel="distance k of the boundary from the loss", ylabel="gradient, relative to k = 1", start=1)


# %%
def below(curve, share=0.01):
    """The first distance at which less than this share is left."""
    found = np.flatnonzero(np.asarray(curve) < share)
    return f"from a distance of {found[0] + 1} on" if len(found) else f"nowhere up to a distance of {REACH}"


print("less than 1 % of the nearest gradient crosses ...")
for kind, curves in panels.items():
    for name, curve in curves.items():
        print(f"  {kind + ', ' + name:<36} {below(curve)}")
for curves in panels.values():
    short, long = curves["windows of 3"], curves["windows of 20"]
    assert short[2] > 0.1, "little crosses the edge of a window of 3"
    assert short[19] > 10 * long[19]
    assert long[4] > 0.1 > 0.01 > long[19]

# %% [markdown]
# Read the curves against what the task needs. The trace of an input that is $n$ steps old has to be kept in the state
# across the $n$ nearest boundaries, so the gradient is needed up to a distance of 5, and no further.
#
# - After training with long windows the gradient is strong up to there, and then falls fast: the network has learned
#   what is worth keeping. A cut at a distance of 20 loses next to nothing.
# - After training with windows of 3 the gradient across the boundary is *not* small. Nothing in this training ever
#   looked that far, so nothing made it small. And what was cut off is just what the network should have been told.
#
# (In windows of 3 the loss is a little below what one can reach who remembers nothing. The state carries traces of
# earlier inputs from the start, and to read them takes no gradient across a boundary.)
#
# So a network that was trained with a cut is a poor witness for the cut. Then why does one cut at all?
#
# **Predict, then run.** An LSTM, windows of 2 to 250 steps. What grows with the length of the window: the memory of the
# cache, the time of an update, the time per step of the stream?

# %%
net, loss = Sequential(LSTM(1, 32, rng=0), Linear(32, 1, rng=1)), SigmoidCrossEntropy()
windows, memory, update_ms = (2, 10, 50, 250), {}, {}
for window in windows:
    x, labels = next(TwoLag().windows(size=32, length=window, seed=0))
    cache, times_ms = None, []
    for _ in range(8):
        started = time.perf_counter()
        y, _, cache = net.forward(x, None, cache)
        net.backward(loss.gradient(y, labels), cache)
        times_ms.append(1000 * (time.perf_counter() - started))
    memory[window], update_ms[window] = cache.nbytes, min(times_ms)
print(f"{'window':>6}{'cache':>12}{'an update':>13}{'per step':>12}     (this machine, just now)")
for window in windows:
    ms = update_ms[window]
    print(f"{window:6d}{memory[window] / 1024:9.0f} kB{ms:10.2f} ms{1000 * ms / window:9.0f} µs")

# %% [markdown]
# The cache keeps every step of the window, so memory grows with it, and so does the wait for an update. The work per
# step of the stream is another matter: it is the same, with less overhead the longer the window is. (Should it grow on
# your machine, the cache has become too large for the fast memory of the processor.) What a longer window costs is
# updates: the same stream gives fewer of them.
#
# ## 7. Where the numbers end
#
# *An extra, 5 minutes.*
#
# A gradient that vanishes by the same factor in every step never gets to 0, on paper. In the computer numbers end.
# float32 has a smallest *normal* number. Below it are the *denormal* numbers, which give up one digit after the other,
# and then comes 0.

# %%
info = np.finfo(np.float32)
by_step = measured["RNN, small weights"][-1, 0] ** (1 / T)
print(f"smallest normal number {info.tiny:.1e}, smallest denormal number {info.smallest_subnormal:.1e}")
for name, number in (("denormal", info.tiny), ("0", info.smallest_subnormal)):
    print(f"at {by_step:.2f} a step, a gradient of 1 is {name} after {np.log(number) / np.log(by_step):.0f} steps")

rng = np.random.default_rng(5)
x_long, dy_long = rng.standard_normal((200, 1, D)), np.zeros((200, 1, H))
dy_long[-1] = rng.standard_normal((1, H))
curves = {}
for dtype in (np.float64, np.float32):
    net = RNN(D, H, init=fan_in_uniform, rng=1, dtype=dtype)
    ds = bptt.by_distance(net, x_long.astype(dtype), dy_long.astype(dtype))
    curves[np.dtype(dtype).name] = bptt.norms(ds)[:, 0]
lines = {"smallest normal float32": np.full(200, float(info.tiny))}
lines["smallest float32 above 0"] = np.full(200, float(info.smallest_subnormal))
title = "RNN, small weights, loss at the last step"
show_decay({title: curves}, {title: lines}, xlabel="steps back", ylabel="norm of the gradient", start=1)

# %% [markdown]
# That is not only a matter of accuracy. Some processors handle denormal numbers by a slow detour, others at full speed,
# so a *vanishing gradient can be timed*: the same code, the same shapes, and it takes longer because the numbers are
# small. Is yours one of them?

# %%
W = np.random.default_rng(0).uniform(-1, 1, (128, 128)).astype(np.float32)
normal = np.random.default_rng(1).uniform(1, 2, (64, 128)).astype(np.float32)
inputs = {"normal": normal, "denormal": normal * np.float32(1e-40), "zero": 0 * normal}
out, seconds = np.empty((64, 128), np.float32), {name: [] for name in inputs}
for _ in range(200):  # in turn, so that whatever else the machine does hits all alike
    for name, d in inputs.items():
        started = time.perf_counter()
        np.matmul(d, W, out=out)
        seconds[name].append(time.perf_counter() - started)
fastest = {name: min(values) for name, values in seconds.items()}
for name, value in fastest.items():
    print(f"a product with {name + ' numbers':<18} {1e6 * value:8.1f} µs")
slower = fastest["denormal"] / fastest["normal"]
if slower > 1.5:
    print(f"This processor takes {slower:.1f} times as long for a product with denormal numbers.")
else:
    print("This processor does not mind denormal numbers. Others do: run this cell there, if you can.")

# %% [markdown]
# The library's LSTM and GRU look at the gradient every few steps on their way back and drop what is about to become
# denormal:

# %%
from minidni.nn.recurrent.fast.products import drop_tiny

print(inspect.getsource(drop_tiny))

# %% [markdown]
# ## 8. The verdicts
#
# Put together from what your cells have printed above.

# %%
edge_of_3 = " and ".join(f"{curves['windows of 3'][2]:.2f}" for curves in panels.values())
edge_of_20 = " and ".join(f"{curves['windows of 20'][19]:.0e}" for curves in panels.values())
losses = {name: [f"{np.mean(reached[kind, name]):.3f}" for kind in kinds] for name in ("windows of 3", "windows of 20")}
first, last = windows[0], windows[-1]
per_step = update_ms[last] / last / (update_ms[first] / first)
stuck = [ends["vanishing", way].mean() for way in ways]
orthogonal_far, normed_far = (measured[f"RNN, orthogonal{more}"][-1, 0] for more in ("", ", layer norm"))
by_layer_norm = f"{orthogonal_far ** (1 / T):.2f} to {normed_far ** (1 / T):.2f}"
plain, lower, clipped, normalised = (ends["orthogonal", way].mean() for way in ways)

print(f"""Measured for {" and ".join(kinds)}, in this order.

A. "The gradient across the edge of a window is negligible."
   True when the window reaches well beyond what the task needs, and this was learned: with windows of 20
   {edge_of_20} of the nearest gradient is left at the edge, and the loss is {" and ".join(losses["windows of 20"])},
   where {near_task.floor:.3f} is possible.
   False when the window is shorter than the lag, which is when it matters: with windows of 3
   {edge_of_3} of the nearest gradient crosses the edge, and the loss is {" and ".join(losses["windows of 3"])}.

B. "One cuts for memory and time, not because the gradient is small."
   True for memory: a window of {last} steps takes {memory[last] / memory[first]:.0f} times as much as one of {first}.
   True for the time until an update: {update_ms[last] / update_ms[first]:.0f} times as long.
   {"Not true" if per_step < 1.25 else "True"} for the work per step of the stream: {per_step:.2f} times as much.

C. "Gradients still vanish. What helps is to clip or to normalise them."
   The first half is true when the factor by step is below 1: {by_step:.2f} with small weights.
   The second half is true when gradients explode: at the high rate the loss is {plain:.2f} without,
   {clipped:.2f} clipped and {normalised:.2f} normalised. (At a lower rate it is {lower:.2f} without.)
   False when they vanish: {min(stuck):.2f} to {max(stuck):.2f}, whatever was done, and {floors["lag 1"]:.2f} is
   possible without the far lag. There another start of the same network helped. (To normalise the activations is
   another thing. Layer norm moved the factor by step of the orthogonal RNN from {by_layer_norm}.)""")

# %% [markdown]
# One more statement stands in the same discussion: that *synthetic gradients*, which guess what will come back across
# the edge of a window, do not cure vanishing gradients. That needs another experiment, and comes in a later lesson.
#
# ## 9. The same as the library's
#
# Your Jacobians, put one behind the other, against everything the library says about an RNN: its Jacobians, the norms
# of their products, the bound, and the gradient by every state, of losses at all steps. And your `clip` against
# `clip_norm`.

# %%
rng = np.random.default_rng(6)
rnn = RNN(3, 5, rng=rng, dtype=np.float64, init=fan_in_uniform)
x, s0 = rng.standard_normal((12, 1, 3)), rng.standard_normal((1, 5))
y, _, _ = rnn.forward(x, s0)
dy, dsT = rng.standard_normal(y.shape), rng.standard_normal((1, 5))

J = np.array([rnn_jacobian(h_next, rnn.params.Wh) for h_next in y[:, 0]])
ds = np.zeros((13, 1, 5))
ds[12] = dsT
for t in reversed(range(12)):
    ds[t] = (dy[t] + ds[t + 1]) @ J[t]  # the state behind step t is y[t] too


def compare(what, got, expected):
    check_equal(what, got, expected)
    print(f"{what:<34} largest difference {np.abs(np.asarray(got) - expected).max():.1e}")


compare("Jacobians", J, bptt.jacobians(rnn, x, s0)[:, 0])
compare("norms of their products", product_norms(J), bptt.jacobian_product_norms(J))
compare("bound", rate(rnn.params.Wh, 0.25) ** np.arange(12, -1, -1), bptt.jacobian_bound(rnn.params.Wh, 12, slope=0.25))
compare("gradients by all states", ds, bptt.state_gradients(rnn, x, dy, s0, dsT))

rnn.zero_grads()
rnn.backward(dy, rnn.forward(x, s0)[2], dsT)
mine = {name: grad.copy() for name, grad in rnn.grads.items()}
compare("norm of the gradient", clip(mine, 1.0), minidni.clip_norm(rnn, 1.0))
for name, grad in mine.items():
    compare(f"d{name}, clipped", grad, rnn.grads[name])

# %% [markdown]
# ## What to remember
#
# - A gradient goes back through time as a row times a product of Jacobians. About the same factor in every step, to the
#   power of the distance: below 1 it vanishes, above 1 it explodes, and 1 is a knife's edge.
# - $(\|W_h\| \sup |f'|)^n$ is a bound. Below 1 it proves that the gradient vanishes. Above 1 it proves nothing.
# - An LSTM keeps a gradient because its cell is added to, and as far as its forget gates let it. Their bias is yours to
#   choose.
# - Clipping and normalising change the length of the step. They help against steps that are too long, and not against
#   causes that are too far away.
# - Before you call what is cut off negligible, measure it; a network that was trained with the cut is a poor witness.
# - A result needs something to compare it with: another start, a lower rate, a longer window.
#
# ## Where the formulas come from
#
# - Vanishing gradients: S. Hochreiter, *Untersuchungen zu dynamischen neuronalen Netzen*, diploma thesis, TU München
#   (1991); Y. Bengio, P. Simard and P. Frasconi, *Learning long-term dependencies with gradient descent is difficult*,
#   IEEE Transactions on Neural Networks 5 (1994).
# - The bound, and clipping by the norm: R. Pascanu, T. Mikolov and Y. Bengio, *On the difficulty of training recurrent
#   neural networks*, ICML 2013, arXiv 1211.5063.
# - Powers of a matrix and its largest eigenvalue: I. Gelfand, *Normierte Ringe*, Matematicheskii Sbornik 9 (1941).
# - LSTM: S. Hochreiter and J. Schmidhuber, *Long short-term memory*, Neural Computation 9 (1997); the forget gate:
#   F. Gers, J. Schmidhuber and F. Cummins, *Learning to forget*, Neural Computation 12 (2000); its bias:
#   R. Jozefowicz, W. Zaremba and I. Sutskever, *An empirical exploration of recurrent network architectures*, ICML
#   2015.
# - Orthogonal start: A. Saxe, J. McClelland and S. Ganguli, arXiv 1312.6120 (2014). Identity start: Q. Le, N. Jaitly
#   and G. Hinton, arXiv 1504.00941 (2015). Layer norm: J. Ba, J. Kiros and G. Hinton, arXiv 1607.06450 (2016).
# - The two-lag task: R2RT, *Recurrent Neural Networks in Tensorflow I* (2016).
# - Denormal numbers: IEEE 754; D. Goldberg, *What every computer scientist should know about floating-point
#   arithmetic*, ACM Computing Surveys 23 (1991).
