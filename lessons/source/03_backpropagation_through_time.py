# %% [markdown]
# # Backpropagation through time by hand
#
# - **Minutes:** 45
# - **Needs:** the lesson *A layer by hand*: the backward pass of a linear layer, its cache, `check_gradients`
# - **Learn:** derive, write and check the backward pass of a recurrent network and of an LSTM, cut a sequence into
#   windows without losing anything of the gradient, and train on digits that arrive row by row
# - **Data:** the 8x8 digits inside the package (real handwriting, no download)
#
# Some data come one after the other: letters of a text, samples of a sound, rows of a picture. A recurrent network
# takes them one at a time and keeps a *state*, its notes on what it has seen so far. Its gradient has to go back
# through time. You derive it, first for the plainest such network and then for the LSTM, write it, and let the checker
# tell you whether it is right. At the end your code gives the same numbers as the library's.
#
# There are five exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.
#
# Section 5 is for a second sitting, of 15 minutes more.

# %%
import copy
import inspect
import textwrap
import time

import numpy as np

import minidni
from minidni import check_gradients
from minidni.data import sequential_digits
from minidni.gradcheck import check_equal
from minidni.plots import show_curves, show_formula, show_images, show_unrolled

# %% [markdown]
# These helpers serve the checks, beside `check_equal`, which compares two arrays and says where they differ.
# `of_the_library` makes a layer of the library with the weights of yours; `run_forward` calls your forward and looks at
# what it returns and leaves behind; `check_steps` runs the gradient checker. You need not read them.


# %%
def of_the_library(kind, layer):
    """minidni.RNN or minidni.LSTM, with the weights of `layer`."""
    n_in, n_hidden = len(layer.params["Wx"]), len(layer.params["Wh"])
    twin = kind(n_in, n_hidden, dtype=np.float64)
    for name, param in layer.params.items():
        twin.params[name] = param
    return twin


def run_forward(layer, x, s0, names):
    """y, sT, cache; stop with a sentence if forward returns or leaves behind something else than was agreed."""
    kept = x.copy(), s0.copy()
    result = layer.forward(x, s0)
    got = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
    assert got == "a tuple of 3", f"forward returns y, sT and the cache, but this is {got}."
    y, sT, cache = result
    assert isinstance(cache, dict), f"the cache is a dictionary, but this is a {type(cache).__name__}."
    missing = [f'"{name}"' for name in names if name not in cache]
    assert not missing, f"the cache has no {', '.join(missing)} in it, only {', '.join(cache) or 'nothing'}."
    more = sorted(set(vars(layer)) - {"params", "grads"})
    assert not more, f"forward stores {', '.join(more)} on the layer; what backward needs belongs into the cache."
    check_equal("x after the call (forward must not change it)", x, kept[0])
    check_equal("s0 after the call (forward must not change it)", s0, kept[1])
    return y, sT, cache


def check_steps(layer, n_in, n_state, rng, gates):
    """Check the gradients at one step, then at three; stop with a hint and the report if they are wrong."""
    for T, when in (
        (1, "With a single step"),
        (3, "With one step all is right, so look at what goes from step to step. With three"),
    ):
        x, s0 = rng.standard_normal((T, 2, n_in)), 0.5 * rng.standard_normal((2, n_state))
        report = check_gradients(layer, x, s0)
        wrong = {array.name: array.wrong for array in report.arrays if array.wrong.any()}
        hint = "see what was found."
        if len(wrong) == 1:
            hint = f"only the gradient of {min(wrong)} is wrong. So da is right: look at the line that makes this."
        elif "b" in wrong:
            blocks = np.split(wrong["b"], len(gates))
            where = "" if all(block.any() for block in blocks) else " in its columns of "
            where += ", ".join(gate for gate, block in zip(gates, blocks, strict=True) if block.any()) if where else ""
            hint = f"db is wrong{where}. It is the sum of da: so da is wrong there, or what da is made of."
        elif wrong:
            hint = f"the gradients of {', '.join(wrong)} are wrong, and db is right: so da is right. Look behind it."
        assert report.ok, f"{when}: {hint}\n\n{report}"


# %% [markdown]
# ## 1. A network that is used T times
#
# The input is $x$ with the shape $(T, B, D)$: $T$ steps in time, at each of them $B$ examples with $D$ numbers. The
# state $h$ $(B, H)$ holds $H$ numbers for each example. In every step, the network makes a new state of the old one and
# of what comes in:
#
# $$a_t = x_t \, W_x + h_t \, W_h + b \qquad h_{t+1} = \tanh(a_t) \qquad y_t = h_{t+1}$$
#
# $$x_t\,(B, D) \quad W_x\,(D, H) \quad h_t\,(B, H) \quad W_h\,(H, H) \quad b\,(H,) \quad a_t\,(B, H)$$
#
# This is two linear layers, added, with a tanh behind them. We call it RNN. There is only one of it, but drawn once for
# every step, *unrolled*, it looks like a deep network:

# %%
show_unrolled(4)

# %% [markdown]
# Two things make it different from a deep network: all boxes share one set of weights, and at each of them something
# comes in and goes out.
#
# What goes from box to box is the state, and nothing else. So we give it a name that does not depend on what is inside
# the box, `s`, and let it be **one array**. The caller may hand in a start `s0`, zeros if left out, and gets back the
# state after the last step, `sT`.
#
# Time is counted once and for all like this: step `t` turns `s[t]` into `s[t + 1]`. An array of all states, `hs`, has
# $T + 1$ rows, and **row 0 is the start**.
#
# ### Exercise 1: forward
#
# Write the loop, and return `y` $(T, B, H)$, `sT` $(B, H)$ and the cache. Backward will need `x` and all states, so the
# cache is a dictionary with `"x"` and `"hs"` in it. The state after step `t` is the output `y[t]`.


# %% exercise="rnn-forward"
class RNNForward:
    """hs[t + 1] = tanh(x[t] Wx + hs[t] Wh + b). The first half of a recurrent network."""

    def __init__(self, n_in, n_hidden, rng):
        D, H = n_in, n_hidden
        Wx = rng.uniform(-1, 1, (D, H)) / np.sqrt(D)
        Wh, _ = np.linalg.qr(rng.standard_normal((H, H)))  # orthogonal: by itself it keeps the length of h
        self.params = {"Wx": Wx, "Wh": Wh, "b": np.zeros(H)}
        self.grads = {name: np.zeros_like(param) for name, param in self.params.items()}

    def zero_grads(self):
        for grad in self.grads.values():
            grad[...] = 0

    def forward(self, x, s0=None):
        """x (T, B, D), s0 (B, H) or None for zeros -> y (T, B, H), sT (B, H), cache."""
        Wx, Wh, b = self.params["Wx"], self.params["Wh"], self.params["b"]
        T, B, _ = x.shape
        hs = np.zeros((T + 1, B, len(b)))  # row 0 is the start
        if s0 is not None:
            hs[0] = s0
        ### BEGIN SOLUTION
        for t in range(T):
            a = x[t] @ Wx + hs[t] @ Wh + b  # (B, H)
            hs[t + 1] = np.tanh(a)
        return hs[1:], hs[T], {"x": x, "hs": hs}
        ### END SOLUTION


# %% test="rnn-forward-check" points=1
def check_rnn_forward(T, B, D, H, seed):
    """Stop with a sentence if `RNNForward.forward` differs from the library's."""
    rng = np.random.default_rng(seed)
    layer = RNNForward(D, H, rng)
    layer.params["b"][...] = rng.standard_normal(H)
    x, s0 = rng.standard_normal((T, B, D)), rng.uniform(-1, 1, (B, H))
    rnn = of_the_library(minidni.RNN, layer)
    y, sT, _ = rnn.forward(x, s0)
    mistakes = {
        "the start s0 is not used": rnn.forward(x)[0],
        "every step starts from s0, in place of the state that the step before left": np.concatenate(
            [rnn.forward(x[t : t + 1], s0)[0] for t in range(T)]
        ),
        "these are the states before the steps, hs[:-1], where those after them are meant": [s0, *y[:-1]],
    }
    rnn.params["b"] = np.zeros(H)
    mistakes["b is not added"] = rnn.forward(x, s0)[0]
    rnn.params["b"], rnn.params["Wh"] = layer.params["b"], layer.params["Wh"].T
    mistakes["Wh is transposed"] = rnn.forward(x, s0)[0]

    y_got, sT_got, cache = run_forward(layer, x, s0, ("x", "hs"))
    assert np.shape(y_got) != y.shape or np.abs(y_got).max() <= 1, "y has entries above 1: tanh is missing."
    check_equal("y", y_got, y, mistakes)
    before = y[-2] if T > 1 else s0
    check_equal("sT", sT_got, sT, {"this is the start": s0, "this is the state before the last step": before})
    check_equal('cache["x"]', cache["x"], x)
    check_equal('cache["hs"]', cache["hs"], [s0, *y])


check_rnn_forward(T=4, B=2, D=3, H=5, seed=0)
### BEGIN HIDDEN TESTS
check_rnn_forward(T=1, B=1, D=4, H=2, seed=1)
check_rnn_forward(T=7, B=3, D=2, H=2, seed=2)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# **Predict, then run.** One example, six steps, three hidden units. We change the input `x[2]`, at that step alone. At
# which steps does `y` change? And what does that say about where the gradient of `x[2]` must come from? (In the
# picture each row is a step.)

# %%
rng = np.random.default_rng(1)
rnn = RNNForward(2, 3, rng)
x = rng.standard_normal((6, 1, 2))  # (T, B, D)
x_moved = x.copy()
x_moved[2] += 1
change = rnn.forward(x_moved)[0] - rnn.forward(x)[0]  # (T, B, H)
show_formula(("change of x", (x_moved - x)[:, 0]), "gives", ("change of y", change[:, 0]), digits=2)

# %% [markdown]
# The past stays as it is, and from step 2 on all is changed, through the state. So the gradient of `x[2]` must collect
# what comes back from step 2 and from every step after it. Going back from the last step to the first, each step can
# collect for all those behind it.
#
# ## 2. Backward
#
# The rule of the first lesson is still all there is: to find the derivative by some number, look at everything that it
# touches, multiply what comes back from there by how strongly it touches, and add up. So ask who touches whom.
#
# **The state after step `t` touches two things.** It is the output `y[t]`, and it is the state that step `t + 1` starts
# from. So its gradient has two sources:
#
# $$dh_{t+1} = dy_t + ds_{t+1}$$
#
# where $ds_{t+1}$ is what step $t + 1$ sends back. Behind the last step there is nobody in this call. But there may be
# somebody outside who goes on from `sT`, and what comes back from there is handed in as `dsT`. In the same way what the
# first step sends back, `ds0`, is handed out.
#
# **A weight touches every step.** So its gradient is a sum over all steps. That is what `+=` is for.

# %%
show_unrolled(4, backward=True)

# %% [markdown]
# Within one step nothing is new. The derivative of $\tanh(a)$ is $1 - \tanh(a)^2$, and $\tanh(a)$ is $h_{t+1}$, which
# the cache holds. Then come two linear layers:
#
# $$da_t = dh_{t+1} \odot (1 - h_{t+1}^2)$$
#
# $$dx_t = da_t \, W_x^\top \qquad ds_t = da_t \, W_h^\top$$
#
# $$dW_x = \sum_t x_t^\top \, da_t \qquad dW_h = \sum_t h_t^\top \, da_t \qquad
# db = \sum_t \text{sum of the rows of } da_t$$
#
# ($\odot$ multiplies entry by entry.) In these lines stand both $h_{t+1}$ and $h_t$: the tanh *gave* $h_{t+1}$, and
# $W_h$ was *multiplied with* $h_t$. As a picture, with two examples and three units:

# %%
dy_t, ds_next = np.array([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]), np.array([[0.5, 0.5, 0.0], [0.0, -1.0, 1.0]])  # (B, H)
h_next = np.array([[0.0, 0.5, 0.9], [-0.5, -0.9, 0.0]])  # (B, H)
dh = dy_t + ds_next
show_formula(("dh[t+1]", dh), "=", ("dy[t]", dy_t), "+", ("ds[t+1]", ds_next), digits=1)

# %%
slope = 1 - h_next**2
show_formula(("da[t]", dh * slope), "=", ("dh[t+1]", dh), "⊙", ("1 - h[t+1]²", slope), digits=2)

# %% [markdown]
# ### Exercise 2: backward
#
# Write `backward`. It walks from the last step to the first, adds to `self.grads`, and returns `dx` and `ds0`. It
# changes neither `dy` nor `dsT` nor the cache. Write behind each line which line of the forward pass it undoes.


# %% exercise="rnn-backward"
class RNN(RNNForward):
    """hs[t + 1] = tanh(x[t] Wx + hs[t] Wh + b), forward and backward."""

    def backward(self, dy, cache, dsT=None):
        """dy (T, B, H), dsT (B, H) or None for zeros -> dx (T, B, D), ds0 (B, H); adds to grads."""
        Wx, Wh = self.params["Wx"], self.params["Wh"]
        x, hs = cache["x"], cache["hs"]
        dx = np.zeros_like(x)
        ds = np.zeros_like(hs[0]) if dsT is None else dsT  # what comes back from behind the last step
        ### BEGIN SOLUTION
        for t in reversed(range(len(x))):
            dh = dy[t] + ds  # y[t] = hs[t + 1], and step t + 1 starts from hs[t + 1]
            da = dh * (1 - hs[t + 1] ** 2)  # hs[t + 1] = tanh(a)
            self.grads["Wx"] += x[t].T @ da  # a = x[t] Wx + ...
            self.grads["Wh"] += hs[t].T @ da  # a = ... + hs[t] Wh + ...
            self.grads["b"] += da.sum(axis=0)  # a = ... + b
            dx[t] = da @ Wx.T  # a = x[t] Wx + ...
            ds = da @ Wh.T  # a = ... + hs[t] Wh + ...
        return dx, ds
        ### END SOLUTION


# %% [markdown]
# `check_gradients` draws `dy` and `dsT` at random, and measures every entry of `x`, `s0` and the weights. The check
# first looks at a single step, then at several: so you know whether the step is wrong, or what goes from step to step.


# %% test="rnn-backward-check" points=3
class YourRNNBackward(RNN):
    """Your backward behind a forward that is known to be right, so that this check looks at backward alone."""

    def __init__(self, n_in, n_hidden, rng):
        super().__init__(n_in, n_hidden, rng)
        self.twin = of_the_library(minidni.RNN, self)

    def forward(self, x, s0=None):
        for name, param in self.params.items():
            self.twin.params[name] = param
        y, sT, cache = self.twin.forward(x, s0)
        return y, sT, {"x": x, "hs": cache["hs"]}


rng = np.random.default_rng(0)
check_steps(YourRNNBackward(2, 3, rng), 2, 3, rng, ("a",))
### BEGIN HIDDEN TESTS
check_steps(YourRNNBackward(3, 3, rng), 3, 3, rng, ("a",))
check_gradients(YourRNNBackward(1, 4, rng), rng.standard_normal((6, 1, 1)), seed=1).raise_if_wrong()
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# Now both of your halves together:

# %%
check_gradients(RNN(3, 4, rng), rng.standard_normal((5, 2, 3)), 0.5 * rng.standard_normal((2, 4)))

# %% [markdown]
# ### What the checker says when something is wrong
#
# Here is the same backward with five switches, each for a mistake that is easily made.
#
# **Predict, then run.** Which of the gradients, of `x`, `s0`, `Wx`, `Wh` and `b`, are wrong for each mistake?


# %%
class WithMistake(RNN):
    mistake = ""

    def backward(self, dy, cache, dsT=None):
        Wx, Wh = self.params["Wx"], self.params["Wh"]
        x, hs = cache["x"], cache["hs"]
        dx = np.zeros_like(x)
        ds = np.zeros_like(hs[0]) if dsT is None else dsT
        if self.mistake == "forgets dsT":
            ds = np.zeros_like(hs[0])
        for t in reversed(range(len(x))):
            dh = dy[t] + ds
            if self.mistake == "forgets dy, but for the last step" and t < len(x) - 1:
                dh = ds
            da = dh * (1 - hs[t + 1] ** 2)
            if self.mistake == "takes the slope of tanh at hs[t]":
                da = dh * (1 - hs[t] ** 2)
            if self.mistake == "overwrites dWh":
                self.grads["Wh"] = 0
            self.grads["Wx"] += x[t].T @ da
            if self.mistake == "multiplies hs[t + 1], not hs[t], into dWh":
                self.grads["Wh"] += hs[t + 1].T @ da
            else:
                self.grads["Wh"] += hs[t].T @ da
            self.grads["b"] += da.sum(axis=0)
            dx[t] = da @ Wx.T
            ds = da @ Wh.T
        return dx, ds


for mistake in (
    "overwrites dWh",
    "multiplies hs[t + 1], not hs[t], into dWh",
    "forgets dsT",
    "forgets dy, but for the last step",
    "takes the slope of tanh at hs[t]",
):
    rng = np.random.default_rng(0)
    layer = WithMistake(2, 3, rng)
    layer.mistake = mistake
    report = check_gradients(layer, rng.standard_normal((3, 2, 2)), 0.5 * rng.standard_normal((2, 3)))
    wrong = [
        f"{array.name} ({array.wrong.sum()} of {array.wrong.size})" for array in report.arrays if array.wrong.any()
    ]
    said = [f"wrong in {', '.join(wrong)}", *(f"found: {f.text}" for f in report.findings), f"likely: {report.cause}"]
    print(mistake, *(textwrap.indent(textwrap.fill(line, 100), "    ") for line in said), "", sep="\n")

# %% [markdown]
# The checker knows nothing of recurrent networks, so it cannot call every mistake by its name. But read which arrays
# are wrong, and you are close:
#
# - only `Wh`: the line that adds to `dWh` is wrong, and nothing before it;
# - all entries of all arrays: something before `da`, since all gradients are made of `da`;
# - all but those of `x` at the last step: that step is right by itself, and what should join in before it does not.
#
# Note, too, what it takes to see them. With a single step some of these mistakes change nothing. With no gradient by
# the last state another one changes nothing. To check a recurrent network, use several steps, a loss at each of them,
# and a loss behind the last state.
#
# ## 3. Windows
#
# Now the idea that the rest of this course stands on. Cut the sequence anywhere, and call the parts *windows*. All that
# the second window needs of the first is the state at the cut. And all that the first one needs of the second is the
# gradient of this state. Such a place, where an array goes forward and an array of the same shape comes back, is a
# **boundary**.

# %%
show_unrolled(6, backward=True, window=2)

# %% [markdown]
# So `backward` of one window returns as `ds0` exactly what the window before needs as its `dsT`. That is why both stand
# at the door of the layer.
#
# ### Exercise 3: backward in windows
#
# The forward half stands there: it hands the state from window to window and keeps the caches. Write the backward half.
# It gives the same `dx`, `ds0` and gradients of the weights as a single call over all steps.


# %% exercise="windows-backward"
def in_windows(layer, x, dy, length, s0=None, dsT=None):
    """Forward and backward in windows of `length` steps -> y, dx, ds0; adds to layer.grads."""
    windows = [slice(start, start + length) for start in range(0, len(x), length)]
    y, caches, s = np.zeros_like(dy), [], s0
    for window in windows:
        y[window], s, cache = layer.forward(x[window], s)
        caches.append(cache)
    dx, ds = np.zeros_like(x), dsT
    ### BEGIN SOLUTION
    for window, cache in zip(reversed(windows), reversed(caches), strict=True):
        dx[window], ds = layer.backward(dy[window], cache, ds)
    ### END SOLUTION
    return y, dx, ds


# %% [markdown]
# The check runs your windows on the library's RNN, which is called in the same way as yours.


# %% test="windows-backward-check" points=2
def check_windows(T, length, seed):
    """Stop with a sentence if `in_windows` differs from one call over all T steps."""
    rng = np.random.default_rng(seed)
    rnn = minidni.RNN(3, 4, rng=rng, dtype=np.float64)
    x, dy = rng.standard_normal((T, 2, 3)), rng.standard_normal((T, 2, 4))
    s0, dsT = rng.standard_normal((2, 4)), rng.standard_normal((2, 4))

    _, _, cache = rnn.forward(x, s0)
    dx_without, _ = rnn.backward(dy, cache)
    rnn.zero_grads()
    dx, ds0 = rnn.backward(dy, cache, dsT)
    right = {name: grad.copy() for name, grad in rnn.grads.items()}
    mistakes = {"dsT, the gradient by the last state, is not handed to the last window": dx_without}
    nothing, across = "no window is handed anything", "nothing is handed across the cuts"
    first = "the first window comes first"
    for what in (nothing, across, "dsT is handed to every window", first):
        s, ds, parts = s0, dsT, []
        for start in range(0, T, length):
            _, s, cache = rnn.forward(x[start : start + length], s)
            cut = what == nothing or (what == across and start + length < T)
            part, back = rnn.backward(dy[start : start + length], cache, None if cut else ds)
            parts.append(part)
            ds = back if what == first else ds
        mistakes[what] = np.concatenate(parts)

    rnn.zero_grads()
    _, dx_got, ds0_got = in_windows(rnn, x, dy, length, s0, dsT)
    where = f"with {T} steps in windows of {length}"
    check_equal(f"{where}, dx", dx_got, dx, mistakes)
    check_equal(f"{where}, ds0", ds0_got, ds0, {"this is dsT": dsT})
    for name, grad in rnn.grads.items():
        check_equal(f"{where}, d{name}", grad, right[name])


check_windows(T=6, length=2, seed=0)
check_windows(T=7, length=3, seed=1)
### BEGIN HIDDEN TESTS
for length in (1, 4, 7, 9):
    check_windows(T=7, length=length, seed=length)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# So where a sequence is cut does not matter, down to windows of a single step. These show the sum over the steps: what
# each of them adds to `dWh` is its step's share.

# %%
rng = np.random.default_rng(2)
rnn = RNN(2, 2, rng)
x, dy = rng.standard_normal((4, 1, 2)), rng.standard_normal((4, 1, 2))
shares, ds = [], None
_, _, cache = rnn.forward(x)
for t in (3, 2, 1, 0):
    step = {"x": cache["x"][t : t + 1], "hs": cache["hs"][t : t + 2]}  # the cache of a window of one step
    rnn.zero_grads()
    _, ds = rnn.backward(dy[t : t + 1], step, ds)
    shares.append((f"step {t}", rnn.grads["Wh"].copy()))
rnn.zero_grads()
rnn.backward(dy, cache)
show_formula(*[part for share in shares for part in (share, "+")][:-1], "=", ("dWh", rnn.grads["Wh"]), digits=2)

# %% [markdown]
# The share of step 0 is nothing, as the start is nothing: $h_0^\top da_0$ with $h_0 = 0$.
#
# **Predict, then run.** A sequence of 12 steps in windows of 4, with the loss at the last step only. But now nobody
# hands a gradient across the cuts: each window gets `dsT=None`. How large is `dx` at each step, compared to the right
# one?

# %%
rng = np.random.default_rng(3)
rnn = RNN(3, 8, rng)
x, dy = rng.standard_normal((12, 12, 3)), np.zeros((12, 12, 8))
dy[-1] = rng.standard_normal((12, 8))
_, dx, _ = in_windows(rnn, x, dy, length=4)

dx_cut, s = np.zeros_like(x), None
for start in (0, 4, 8):
    window = slice(start, start + 4)
    _, s, cache = rnn.forward(x[window], s)
    dx_cut[window], _ = rnn.backward(dy[window], cache)  # what comes back from later windows is missing

found = {"handed across the cuts": dx, "nothing across the cuts": dx_cut}
curves = {name: np.linalg.norm(array, axis=(1, 2)) for name, array in found.items()}
show_curves({"norm of dx": curves}, xlabel="step", start=0)

# %% [markdown]
# Within the last window both agree, and before it there is nothing: no step before the cut is told what the late loss
# would have needed of it. This is *truncated* backpropagation through time. It has its price, and its charm: look at
# the loop. Every window is done with at once. Its cache can go, and the weights could be updated. To hand the true
# gradient across, all caches must be kept until the last window has been seen. What is lost at a cut, and whether one
# can guess what will come back instead of waiting for it, is what later lessons are about.
#
# ## 4. The LSTM
#
# In an RNN the state is written anew in every step, through a matrix and a tanh, and so the gradient goes back through
# a matrix and a slope below 1 in every step. The *long short-term memory*, LSTM, has a second array beside $h$, the
# *cell* $c$ $(B, H)$, which is not written anew but **added to**:
#
# $$c_{t+1} = f_t \odot c_t + i_t \odot g_t \qquad h_{t+1} = o_t \odot \tanh(c_{t+1}) \qquad y_t = h_{t+1}$$
#
# - $g$ is what might be added, between $-1$ and 1;
# - $i$, the input gate, between 0 and 1, says how much of it is added;
# - $f$, the forget gate, says how much of the old cell is kept;
# - $o$, the output gate, says how much of the cell is shown.
#
# The four are made as the RNN makes its state, all in one go, with weights four times as wide. Each is a block of $H$
# columns, in the order $i\ f\ o\ g$:
#
# $$a_t = x_t \, W_x + h_t \, W_h + b \qquad W_x\,(D, 4H) \quad W_h\,(H, 4H) \quad b\,(4H,) \quad a_t\,(B, 4H)$$
#
# $$i, f, o = \sigma(\text{columns 0 to } 3H \text{ of } a) \qquad g = \tanh(\text{the other columns of } a) \qquad
# \sigma(a) = \frac{1}{1 + e^{-a}}$$
#
# ```text
#  c[t]  ────────▶ × ───────▶ + ─────────────┬──────▶ c[t+1]
#                  ▲          ▲              ▼
#                  │          ×             tanh
#                  │        ▲   ▲            ▼
#                  f        i   g      o ──▶ ×
#                  ▲        ▲   ▲      ▲     │
#                  └────────┴─┬─┴──────┘     │
#                      Wx  Wh  b             │
#                          ▲                 │
#  h[t]  ──────────────────┤                 └──┬───▶ h[t+1]
#                          │                    ▼
#                        x[t]                  y[t]
# ```
#
# From step to step go $h$ and $c$. For those outside it is still **one array**, $s = [h \,|\, c]$ with the shape
# $(B, 2H)$, $h$ in the first $H$ columns. Whoever hands states and gradients across boundaries need not know what is in
# them: your `in_windows` works for the LSTM as it is.
#
# ### Exercise 4: the LSTM, forward
#
# Write the loop, and return `y` $(T, B, H)$, `sT` $(B, 2H)$ and the cache, a dictionary with `"x"`, `"hs"`, `"cs"` and
# `"gates"` in it. `np.split(a, 4, axis=1)` gives four blocks, `np.hstack([h, c])` puts blocks side by side, and
# `sigmoid` stands here for you.


# %% exercise="lstm-forward"
def sigmoid(a):
    """1 / (1 + exp(-a)), written so that nothing overflows."""
    return 0.5 * (1 + np.tanh(0.5 * a))


class LSTMForward:
    """c = f c + i g, h = o tanh(c). The first half of an LSTM."""

    def __init__(self, n_in, n_hidden, rng, forget_bias=1.0):
        D, H = n_in, n_hidden
        Wx = rng.uniform(-1, 1, (D, 4 * H)) / np.sqrt(D)
        Wh = np.hstack([np.linalg.qr(rng.standard_normal((H, H)))[0] for _ in range(4)])
        b = np.zeros(4 * H)
        b[H : 2 * H] = forget_bias  # above 0: at the start it rather keeps than forgets
        self.params = {"Wx": Wx, "Wh": Wh, "b": b}
        self.grads = {name: np.zeros_like(param) for name, param in self.params.items()}

    def zero_grads(self):
        for grad in self.grads.values():
            grad[...] = 0

    def forward(self, x, s0=None):
        """x (T, B, D), s0 (B, 2H) or None for zeros -> y (T, B, H), sT (B, 2H), cache."""
        Wx, Wh, b = self.params["Wx"], self.params["Wh"], self.params["b"]
        T, B, _ = x.shape
        H = len(Wh)
        hs, cs = np.zeros((T + 1, B, H)), np.zeros((T + 1, B, H))  # row 0 is the start
        gates = np.zeros((T, B, 4 * H))  # i f o g side by side, after sigmoid and tanh
        if s0 is not None:
            hs[0], cs[0] = s0[:, :H], s0[:, H:]
        ### BEGIN SOLUTION
        for t in range(T):
            a = x[t] @ Wx + hs[t] @ Wh + b  # (B, 4H)
            i, f, o = np.split(sigmoid(a[:, : 3 * H]), 3, axis=1)
            g = np.tanh(a[:, 3 * H :])
            cs[t + 1] = f * cs[t] + i * g
            hs[t + 1] = o * np.tanh(cs[t + 1])
            gates[t] = np.hstack([i, f, o, g])
        return hs[1:], np.hstack([hs[T], cs[T]]), {"x": x, "hs": hs, "cs": cs, "gates": gates}
        ### END SOLUTION


# %% test="lstm-forward-check" points=2
def check_lstm_forward(T, B, D, H, seed):
    """Stop with a sentence if `LSTMForward.forward` differs from the library's."""
    rng = np.random.default_rng(seed)
    layer = LSTMForward(D, H, rng)
    layer.params["b"][...] = rng.standard_normal(4 * H)
    x, s0 = rng.standard_normal((T, B, D)), rng.standard_normal((B, 2 * H))

    def of_plain_lstm(s0, order=(0, 1, 2, 3), b=layer.params["b"]):
        """gates, cs and hs of the library's LSTM; if wanted, with another start, order of the gates, or b."""
        columns = np.concatenate([np.arange(H) + H * block for block in order])
        lstm = minidni.LSTM(D, H, dtype=np.float64)
        lstm.plain = True  # the walk that keeps in its cache what yours does
        lstm.params["Wx"], lstm.params["Wh"] = layer.params["Wx"][:, columns], layer.params["Wh"][:, columns]
        lstm.params["b"] = b[columns]
        cache = lstm.forward(x, s0)[2]
        return cache["gates"], cache["cs"], cache["hs"]

    gates, cs, hs = of_plain_lstm(s0)
    mistakes = {
        "the start s0 is not used": of_plain_lstm(None)[0],
        "b is not added": of_plain_lstm(s0, b=np.zeros(4 * H))[0],
        "the gates are taken in the order i f g o, expected i f o g": of_plain_lstm(s0, order=(0, 1, 3, 2))[0],
        "i and f are exchanged": of_plain_lstm(s0, order=(1, 0, 2, 3))[0],
        "nothing was stored": np.zeros_like(gates),
    }
    y_got, sT_got, cache = run_forward(layer, x, s0, ("x", "hs", "cs", "gates"))
    check_equal('cache["x"]', cache["x"], x)
    check_equal('cache["gates"]', np.zeros_like(cache["gates"]), np.zeros_like(gates))  # the shape
    for block, gate in enumerate("ifog"):
        columns = slice(block * H, (block + 1) * H)
        part = gates[..., columns]
        wrong = {what: other[..., columns] for what, other in mistakes.items()}
        a = np.arctanh(part) if gate == "g" else np.log(part / (1 - part))
        wrong["this is a, before the sigmoid or tanh"] = a
        wrong["this is the other one of sigmoid and tanh"] = 0.5 + 0.5 * np.tanh(0.5 * a) if gate == "g" else np.tanh(a)
        check_equal(f'{gate} in cache["gates"]', cache["gates"][..., columns], part, wrong)
    i, _, o, g = np.split(gates, 4, axis=2)
    mistakes = {"the forget gate is missing": cs[:-1] + i * g, "what was in the cell is lost": i * g}
    check_equal('cache["cs"]', cache["cs"], cs, {what: [cs[0], *c] for what, c in mistakes.items()})
    mistakes = {"the tanh of c is missing": o * cs[1:], "this takes the cell before the step": o * np.tanh(cs[:-1])}
    check_equal('cache["hs"]', cache["hs"], hs, {what: [hs[0], *h] for what, h in mistakes.items()})
    check_equal("y", y_got, hs[1:], {"these are the states before the steps": hs[:-1], "these are the cells": cs[1:]})
    h, c = hs[-1], cs[-1]
    assert np.shape(sT_got) != h.shape, f"sT has shape {h.shape}, expected {(B, 2 * H)}: it is h and c side by side."
    other = {"this is [c | h], expected [h | c]": np.hstack([c, h]), "this is the start": s0}
    check_equal("sT", sT_got, np.hstack([h, c]), other)


check_lstm_forward(T=1, B=2, D=3, H=4, seed=0)
check_lstm_forward(T=4, B=2, D=3, H=5, seed=1)
### BEGIN HIDDEN TESTS
check_lstm_forward(T=1, B=1, D=4, H=1, seed=2)
check_lstm_forward(T=6, B=3, D=2, H=2, seed=3)
### END HIDDEN TESTS
print("Exercise 4: right.")

# %% [markdown]
# **Predict, then run.** An LSTM with a single cell, whose gates are set by hand. Input 0 is a number; input 1 is mostly
# 0, and now and then 1. With a 1, the input gate opens and the forget gate closes. What will the cell do?

# %%
latch = LSTMForward(2, 1, np.random.default_rng(0))
latch.params["Wh"][...] = 0
latch.params["Wx"][...] = [[0.0, 0.0, 0.0, 1.0], [12.0, -12.0, 0.0, 0.0]]  # (2, 4): columns i f o g
latch.params["b"][...] = [-6.0, 6.0, 6.0, 0.0]
x = np.zeros((24, 1, 2))
x[:16, 0, 0] = np.random.default_rng(4).uniform(-1, 1, 16)
x[[3, 8, 14], 0, 1] = 1
_, _, cache = latch.forward(x)
i, f, o, g = cache["gates"][:, 0].T
show_curves(
    {
        "input and cell": {"input 0": x[:, 0, 0], "cell after the step": cache["cs"][1:, 0, 0]},
        "gate": {"input gate i": i, "forget gate f": f},
    },
    xlabel="step",
    start=0,
)

# %% [markdown]
# It takes a note and keeps it until it is told to take another. A trained LSTM sets its gates itself, by `Wx`, `Wh` and
# `b`: for that, it needs their gradient.
#
# ### Backward
#
# Nothing new is needed. Ask again who touches whom:
#
# - $h_{t+1}$ is the output $y_t$, and step $t + 1$ starts from it. So two things come back to it: `dy[t]`, and the
#   `dh` that step $t + 1$ sends.
# - $c_{t+1}$ touches $h_{t+1}$ of the same step, and step $t + 1$ starts from it too. So two things come back to it:
#   `dh * o * (1 - tanh(c)**2)`, with the whole `dh` from the line above, and the `dc` that step $t + 1$ sends.
#
# Behind the last step, `dsT` is what comes back, `dh` in its first half and `dc` in its second. The rest is the rule
# for a product: if $z = u \odot v$, then $du = dz \odot v$ and $dv = dz \odot u$. And the slopes: with $\tanh$ it is
# $1 - g^2$, and with $\sigma$ it is $i \, (1 - i)$, both written with what comes *out*, which is what the cache holds.
#
# ### Exercise 5: the LSTM, backward
#
# Write `backward`. These are the lines to undo, from the last one to the first:
#
# ```text
# (1)  a = x[t] Wx + h[t] Wh + b
# (2)  i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)
# (3)  g = tanh(a_g)
# (4)  c[t+1] = f c[t] + i g
# (5)  h[t+1] = o tanh(c[t+1])
# (6)  y[t] = h[t+1]
# ```
#
# Again, write behind each line which of these it undoes.


# %% exercise="lstm-backward"
class LSTM(LSTMForward):
    """c = f c + i g, h = o tanh(c), forward and backward."""

    def backward(self, dy, cache, dsT=None):
        """dy (T, B, H), dsT (B, 2H) or None for zeros -> dx (T, B, D), ds0 (B, 2H); adds to grads."""
        Wx, Wh = self.params["Wx"], self.params["Wh"]
        x, hs, cs, gates = cache["x"], cache["hs"], cache["cs"], cache["gates"]
        T, B, H = dy.shape
        dx = np.zeros_like(x)
        if dsT is None:
            dsT = np.zeros((B, 2 * H))
        dh, dc = dsT[:, :H], dsT[:, H:]  # what comes back from behind the last step
        ### BEGIN SOLUTION
        for t in reversed(range(T)):
            i, f, o, g = np.split(gates[t], 4, axis=1)
            tanh_c = np.tanh(cs[t + 1])
            dh = dh + dy[t]  # (6) y[t] = h[t+1]
            do = dh * tanh_c  # (5) h[t+1] = o tanh(c[t+1])
            dc = dc + dh * o * (1 - tanh_c**2)  # (5) h[t+1] = o tanh(c[t+1])
            df = dc * cs[t]  # (4) c[t+1] = f c[t] + i g
            di = dc * g  # (4) c[t+1] = f c[t] + i g
            dg = dc * i  # (4) c[t+1] = f c[t] + i g
            dc = dc * f  # (4) c[t+1] = f c[t] + i g
            da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])  # (2) and (3)
            self.grads["Wx"] += x[t].T @ da  # (1) a = x[t] Wx + ...
            self.grads["Wh"] += hs[t].T @ da  # (1) a = ... + h[t] Wh + ...
            self.grads["b"] += da.sum(axis=0)  # (1) a = ... + b
            dx[t] = da @ Wx.T  # (1) a = x[t] Wx + ...
            dh = da @ Wh.T  # (1) a = ... + h[t] Wh + ...
        return dx, np.hstack([dh, dc])
        ### END SOLUTION


# %% test="lstm-backward-check" points=4
class YourLSTMBackward(LSTM):
    """Your backward behind a forward that is known to be right, so that this check looks at backward alone."""

    def __init__(self, n_in, n_hidden, rng):
        super().__init__(n_in, n_hidden, rng)
        self.twin = of_the_library(minidni.LSTM, self)
        self.twin.plain = True

    def forward(self, x, s0=None):
        for name, param in self.params.items():
            self.twin.params[name] = param
        y, sT, cache = self.twin.forward(x, s0)
        return y, sT, {name: cache[name] for name in ("x", "hs", "cs", "gates")}


rng = np.random.default_rng(0)
check_steps(YourLSTMBackward(2, 3, rng), 2, 6, rng, "ifog")
### BEGIN HIDDEN TESTS
check_steps(YourLSTMBackward(3, 2, rng), 3, 4, rng, "ifog")
check_gradients(YourLSTMBackward(1, 2, rng), rng.standard_normal((5, 1, 1)), seed=1).raise_if_wrong()
### END HIDDEN TESTS
print("Exercise 5: right.")

# %% [markdown]
# Both halves together:

# %%
check_gradients(LSTM(3, 4, rng), rng.standard_normal((5, 2, 3)), 0.5 * rng.standard_normal((2, 8)))

# %% [markdown]
# And in windows, with the function of exercise 3, to which nothing was added:

# %%
rng = np.random.default_rng(8)
lstm = LSTM(3, 4, rng)
x, dy, dsT = rng.standard_normal((9, 2, 3)), rng.standard_normal((9, 2, 4)), rng.standard_normal((2, 8))
_, dx, _ = in_windows(lstm, x, dy, length=9, dsT=dsT)
for length in (1, 2, 4):
    _, dx_windows, _ = in_windows(lstm, x, dy, length, dsT=dsT)
    check_equal("dx", dx_windows, dx)
    print(f"9 steps in windows of {length}: largest difference of dx {np.abs(dx_windows - dx).max():.1e}")

# %% [markdown]
# ### Why adding matters
#
# Follow `dc` through your code, from one step to the one before: it is multiplied by `f`, and something is added. So
# there is a way back along the cell on which it is multiplied by forget gates and by nothing else: no matrix, no slope.
# Besides, there are all the detours through `h`, the gates and `Wh`.
#
# **Predict, then run.** A gradient of length 1 enters by the last state, at the cell, and nothing else. How much of it
# is left after each step on its way back, along the cell alone, and on all ways together? We take LSTMs fresh from
# their random start, with three biases of the forget gate, and the RNN beside them.


# %%
def gradients_by_the_state(layer, x, dsT):
    """What comes back from dsT alone: the gradients by the state at T, T - 1, ..., 0; and the caches in this order."""
    s, caches = None, []
    for t in range(len(x)):
        y, s, cache = layer.forward(x[t : t + 1], s)
        caches.append(cache)
    arrived = [dsT]
    for cache in reversed(caches):
        arrived.append(layer.backward(np.zeros_like(y), cache, arrived[-1])[1])
    return arrived, caches[::-1]


def norms(arrays):
    return np.linalg.norm(arrays, axis=(1, 2))


rng = np.random.default_rng(5)
x, H = rng.standard_normal((20, 16, 8)), 32
at_h = rng.standard_normal((16, H))
at_h /= np.linalg.norm(at_h)
at_c = np.hstack([np.zeros((16, H)), at_h])  # (B, 2H), nothing at h
along_the_cell, on_all_ways = {}, {}
for forget_bias in (0.0, 1.0, 4.0):
    name = f"LSTM, forget bias {forget_bias:.0f}"
    arrived, caches = gradients_by_the_state(LSTM(8, H, rng, forget_bias), x, at_c)
    forget = [np.split(cache["gates"][0], 4, axis=1)[1] for cache in caches]
    along_the_cell[name] = norms([at_h, *(at_h * np.cumprod(forget, axis=0))])
    on_all_ways[name] = norms(arrived)
on_all_ways["RNN"] = norms(gradients_by_the_state(RNN(8, H, rng), x, at_h)[0])
show_curves(
    {"norm, along the cell alone": along_the_cell, "norm, on all ways together": on_all_ways},
    xlabel="steps back",
    start=0,
)

# %% [markdown]
# Along the cell nothing can grow, for no gate is above 1, and what is left depends on the forget gates. The network can
# learn to open and close them. The detours come on top; with the widest open gates they even let the gradient grow. The
# next lesson looks at all this closely, for long sequences.
#
# ## 5. Digits, row by row
#
# *For a second sitting, 15 minutes; what comes behind needs its cells run, and not read.*
#
# Now to something real. The network reads a digit as a sequence of 8 rows of 8 pixels, from the top, and only after the
# last row it is asked which digit it was. So it has to carry what it saw of the upper rows in its state, and the
# gradient has to go back to them.

# %%
digits = sequential_digits(per_step=8, dtype=np.float64)
labels = digits.dataset.y_test
x_test = digits.in_steps(digits.dataset.x_test)  # (T, n, D)
print(f"{len(digits.dataset.y_train)} digits for training, {len(labels)} for testing, {digits.steps} steps each")
show_images(x_test[:, :10].transpose(1, 0, 2), labels[:10])

# %% [markdown]
# Your layer makes a state of the rows, and a linear layer of the library, the *readout*, makes ten logits of the last
# output. The training loop is that of the first lesson, with a learning rate that goes down to zero. Two settings of it
# are for the controls: `reach` is how many steps the gradient goes back, `rows` how many rows are shown.

# %%
HIDDEN, EPOCHS = 32, 10
loss = minidni.SoftmaxCrossEntropy()


def train(layer, lr, seed, reach=8, rows=8):
    """Train the layer and a readout; return the readout, and the mean loss and test accuracy of each epoch."""
    readout = minidni.Linear(HIDDEN, digits.n_out, rng=seed, dtype=np.float64)
    losses, accuracies = [], []
    for epoch in range(EPOCHS):
        values = []
        for x, labels in digits.batches(size=32, seed=seed, epoch=epoch):
            values.append(train_step(layer, readout, x[-rows:], labels, lr * (1 - epoch / EPOCHS), reach))
        losses.append(np.mean(values))
        answers = outputs(layer, readout, x_test[-rows:])[-1].argmax(axis=1)
        accuracies.append(np.mean(answers == digits.dataset.y_test))
    return readout, losses, accuracies


def train_step(layer, readout, x, labels, lr, reach):
    """One step of SGD; the gradient goes back over the last `reach` steps. Returns the loss before the step."""
    first = len(x) - max(reach, 1)
    s = layer.forward(x[:first])[1] if first else None  # to these steps no gradient goes back
    y, _, cache = layer.forward(x[first:], s)
    h, readout_cache = readout.forward(y[-1])

    layer.zero_grads()
    readout.zero_grads()
    dy = np.zeros_like(y)  # no loss but at the last step
    dy[-1] = readout.backward(loss.gradient(h, labels), readout_cache)
    if reach:
        layer.backward(dy, cache)
    for part in (layer, readout):
        for name in part.params:
            part.params[name] -= lr * part.grads[name]
    return loss.value(h, labels)


def outputs(layer, readout, x):
    """Logits after every step (T, n, 10)."""
    y, _, _ = layer.forward(x)
    return readout.forward(y)[0]


started = time.perf_counter()
lstm = LSTM(digits.n_in, HIDDEN, np.random.default_rng(0))
readout, losses, accuracies = train(lstm, lr=2.0, seed=0)
print(f"loss {losses[0]:.3f} in the first epoch, {losses[-1]:.4f} in the last one")
print(f"test accuracy {accuracies[-1]:.1%} after {time.perf_counter() - started:.1f} seconds")
assert accuracies[-1] > 0.93

# %% [markdown]
# What does it take the digit for while it is still reading? It was never asked then, so nothing made it answer well
# early.

# %%
growing = []
for example in (0, 3):
    picture = x_test[:, example]
    growing += [np.where(np.arange(8)[:, None] <= row, picture, 0) for row in range(8)]
answers = outputs(lstm, readout, x_test[:, [0, 3]]).argmax(axis=2)  # (T, 2)
show_images(np.array(growing), labels[[0, 3]].repeat(8), answers.T.ravel(), columns=8)

# %% [markdown]
# ### Was it the gradient through time?
#
# Take things away, and look again. All runs see the same minibatches in the same order and take the same number of
# updates, with three seeds each.
#
# - **one step back**: the state is carried through all rows, but the gradient goes back over the last row only. What
#   the weights do to the upper rows, they learn from what the last row needs.
# - **frozen**: the recurrent layer keeps its random weights, and only the readout learns. No gradient goes back at all.
# - **last row only**: no past. The network sees the last row, and nothing else.
#
# **Predict, then run.** Order the five before you run the cell. Is the random network without any learning worse or
# better than one that sees the last row only?

# %%
RUNS = {
    "LSTM": (LSTM, 2.0, {}),
    "RNN": (RNN, 0.3, {}),
    "RNN, one step back": (RNN, 0.3, {"reach": 1}),
    "RNN, frozen": (RNN, 0.3, {"reach": 0}),
    "RNN, last row only": (RNN, 0.3, {"rows": 1, "reach": 1}),
}
results = {name: [] for name in RUNS}
results["LSTM"].append((losses, accuracies))  # the run above, with seed 0
for name, (kind, lr, settings) in RUNS.items():
    for seed in range(len(results[name]), 3):
        layer = kind(digits.n_in, HIDDEN, np.random.default_rng(seed))
        results[name].append(train(layer, lr, seed, **settings)[1:])

print(f"{'test accuracy over 3 seeds':<28}{'mean':>7}{'lowest':>9}{'highest':>9}{'training loss':>16}")
for name, runs in results.items():
    last_loss, accuracy = np.array(runs)[:, :, -1].T
    print(f"{name:<28}{accuracy.mean():7.1%}{accuracy.min():9.1%}{accuracy.max():9.1%}{last_loss.mean():16.4f}")
n, accuracy = len(labels), np.mean([accuracies[-1] for _, accuracies in results["RNN"]])
print(f"{'guessing':<28}{digits.chance_accuracy:7.1%}{'':18}{digits.chance:16.4f}")
print(f"\nOne test digit is {1 / n:.2%}. The seeds share the {n} test digits; with other digits, written by the same")
print(f"people, the accuracy of the RNN would be another by some {np.sqrt(accuracy * (1 - accuracy) / n):.1%}.")

# %%
show_curves(
    {
        "loss (nats), mean over the epoch": {name: runs[0][0] for name, runs in results.items()},
        "test accuracy (%)": {name: 100 * np.array(runs[0][1]) for name, runs in results.items()},
    }
)

# %% [markdown]
# With the gradient through all rows both networks read nearly as well as the network of the first lesson, which saw the
# whole digit at once. With the gradient cut they fall behind, and what is left is due to the state, not to learning
# what to put into it: even random weights carry much of the upper rows to the end. (So "an RNN reads digits" alone says
# little of its backward pass.) Between LSTM and RNN there is little to choose here: eight steps are few. (Width, epochs
# and learning rates were chosen for this lesson with a look at the test digits.)

# %% [markdown] answer="training-is-no-check" points=1
# **A question to answer in words.** Look again at the five mistakes of section 2. Which of them would have made no
# difference at all to these trainings, and why? What does that say about a good accuracy as evidence for a backward
# pass?
#
# ### BEGIN SOLUTION
# *Forgets dsT* makes no difference: the whole sequence is one call, so `dsT` is None, which means zeros. *Forgets dy,
# but for the last step* makes none either: the loss is asked at the last step only, so all other rows of `dy` are zero.
# Both are wrong as soon as there are windows, or a loss at every step. (A wrong gradient may even train well: *one step
# back* is a wrong gradient, too, and learns.) A good accuracy says that the gradient was good enough for this one use
# of the layer. Whether it is right, a gradient check says, with random `dy` and `dsT`.
# ### END SOLUTION

# %% [markdown]
# ## 6. The same as the library's
#
# The library's `RNN` and `LSTM` do what yours do. They also take masks for sequences of different lengths, reuse
# memory, and have faster ways to walk through the sequence. The plain way stands there to be read. Find your lines:

# %%
print(inspect.getsource(minidni.LSTM._walk))
print(inspect.getsource(minidni.LSTM._walk_back))

# %% [markdown]
# What differs: all products with `x` need no state, so they are done for all steps at once, before the loop
# (`_project`), and their gradients after it (`_project_backward`). The sum over the steps in `dWh` is one matrix
# product, too, over steps and examples alike: `rows` puts them one below the other. `carry` and `split_off` do nothing
# without a mask, and `norm_h` and `norm_c` do nothing unless the layer was made with layer norm.
#
# The same weights, the same input, and each array compared, on the plain walk and on the fast one:

# %%
rng = np.random.default_rng(6)
x, dy = rng.standard_normal((9, 5, 8)), rng.standard_normal((9, 5, HIDDEN))
print(f"{'largest difference':<20}{'plain':>10}{'fast':>10}")
for mine, kind in ((RNN(8, HIDDEN, rng), minidni.RNN), (LSTM(8, HIDDEN, rng), minidni.LSTM)):
    states = of_the_library(kind, mine).n_state
    s0, dsT = rng.standard_normal((5, states)), rng.standard_normal((5, states))
    y, sT, cache = mine.forward(x, s0)
    dx, ds0 = mine.backward(dy, cache, dsT)
    my_arrays = {"y": y, "sT": sT, "dx": dx, "ds0": ds0} | {f"d{name}": grad for name, grad in mine.grads.items()}
    differences = {name: [] for name in my_arrays}
    for plain in (True, False):
        theirs = of_the_library(kind, mine)
        theirs.plain = plain
        y, sT, cache = theirs.forward(x, s0)
        dx, ds0 = theirs.backward(dy, cache, dsT)
        arrays = {"y": y, "sT": sT, "dx": dx, "ds0": ds0} | {f"d{name}": grad for name, grad in theirs.grads.items()}
        for name, array in arrays.items():
            check_equal(f"{name} of the {kind.__name__}", my_arrays[name], array)
            differences[name].append(np.abs(my_arrays[name] - array).max())
    for name, (plain, fast) in differences.items():
        print(f"{kind.__name__ + ', ' + name:<20}{plain:10.1e}{fast:10.1e}")

# %% [markdown]
# And an epoch of training, yours and the library's side by side:

# %%
mine = LSTM(digits.n_in, HIDDEN, np.random.default_rng(7))
theirs = of_the_library(minidni.LSTM, mine)
my_readout = minidni.Linear(HIDDEN, digits.n_out, rng=7, dtype=np.float64)
their_readout = copy.deepcopy(my_readout)
for x, y_true in digits.batches(size=32, seed=7):
    my_value = train_step(mine, my_readout, x, y_true, lr=1.0, reach=8)
    their_value = train_step(theirs, their_readout, x, y_true, lr=1.0, reach=8)
check_equal("loss of the last step", my_value, their_value)
print(f"loss of the epoch's last step: yours {my_value:.12f}, the library's {their_value:.12f}")
for name, param in mine.params.items():
    check_equal(f"{name} after an epoch", param, theirs.params[name])
    print(f"{name} after an epoch: largest difference {np.abs(param - theirs.params[name]).max():.1e}")

# %% [markdown]
# ## What to remember
#
# - A recurrent network is one layer used T times. Unrolled, it is a deep network whose layers share their weights.
# - The state's gradient has two sources: the output at this step, and the next step. The last state's second source
#   comes from outside, as `dsT`.
# - Shared weights have the sum of all steps' gradients: `+=`, in the loop or as one product.
# - `hs` has T + 1 rows, row 0 the start. tanh gave `hs[t + 1]`; `Wh` was multiplied with `hs[t]`.
# - The state is one array and a boundary: it goes forward, an array of its shape comes back. Hand the gradient across,
#   and windows of any length give the gradient of the whole.
# - The LSTM adds to its cell, so on that way the gradient is multiplied by the forget gate alone.
# - A good accuracy does not check a gradient. Ask what random weights reach, and check with `dy` at every step and
#   with `dsT`.
#
# ## Where the formulas come from
#
# - Backpropagation through time: P. J. Werbos, *Backpropagation through time: what it does and how to do it*,
#   Proceedings of the IEEE 78 (1990).
# - The plain recurrent network: J. L. Elman, *Finding structure in time*, Cognitive Science 14 (1990). Its orthogonal
#   start: A. M. Saxe, J. L. McClelland and S. Ganguli, *Exact solutions to the nonlinear dynamics of learning in deep
#   linear neural networks*, ICLR 2014, arXiv 1312.6120.
# - Gradients cut in time: R. J. Williams and J. Peng, *An efficient gradient-based algorithm for on-line training of
#   recurrent network trajectories*, Neural Computation 2 (1990).
# - The LSTM: S. Hochreiter and J. Schmidhuber, *Long short-term memory*, Neural Computation 9 (1997); its forget gate:
#   F. A. Gers, J. Schmidhuber and F. Cummins, *Learning to forget: continual prediction with LSTM*, Neural Computation
#   12 (2000); its whole gradient: A. Graves and J. Schmidhuber, *Framewise phoneme classification with bidirectional
#   LSTM and other neural network architectures*, Neural Networks 18 (2005).
# - The forget gate's bias of 1: R. Jozefowicz, W. Zaremba and I. Sutskever, *An empirical exploration of recurrent
#   network architectures*, ICML 2015.
# - The digits: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning
#   Repository (1998), CC BY 4.0.
