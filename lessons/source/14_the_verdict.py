# %% [markdown]
# # The verdict
#
# - **Minutes:** 45
# - **Needs:** the lessons before this one; each part names the one that it comes back to, and can be read without it
# - **Learn:** judge sixteen statements about synthetic gradients by experiments that you run, read each number beside
#   its control, say when a difference is one, and answer the question that started all this
# - **Data:** MNIST-1D and coins, generated here; the embedded 8x8 digits; and the committed long runs in `docs/results`
#
# Somebody reads that "synthetic gradients unlock training", tries it, sees nothing get faster, and asks in a forum:
# *what is a synthetic gradient good for, if the same work must be done anyway and the gradient vanishes anyway?* The
# answers contradict each other. One says it cannot be faster, for the work is the same; another says each step gets
# cheaper. One says gradients across the edge of a window are negligible; another says that is the whole point.
#
# Here are all their statements, Q1 to Q16, in three parts: **time**, **windows** and **chains**. For each you predict,
# run a small experiment, and see beside it what the long runs gave: the same experiment, larger, with several seeds.
# Where the small run and the long ones disagree, you should ask why; there are two such places.
#
# There are three exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.

# %%
import math
from pathlib import Path

import numpy as np

import minidni
from minidni.experiments import (
    Results,
    bootstrap,
    costs,
    costs_by_depth,
    full_unlock,
    scale_out,
    speedup,
    time_to_accuracy,
    two_lag,
    warm_up,
    window_costs,
    window_edge,
)
from minidni.locking import schedules
from minidni.locking.costs import Stage
from minidni.plots import show_dots, show_lines, show_timelines

# %% [markdown]
# Vote first: `True`, `False`, or a few words that say when. Nobody sees it but you, and it stands beside the verdicts
# at the end.

# %%
STATEMENTS = {
    "Q1": "the same work is done, plus the DNI: no speed-up on one device",
    "Q2": "each iteration gets faster, for the synthetic gradient is cheaper",
    "Q3": "the work is only slid in time",
    "Q4": "what crosses a truncation boundary is negligible",
    "Q5": "one truncates for memory and compute, not as the gradient is small",
    "Q6": "an RNN learns dependencies longer than its window",
    "Q7": "vanishing is not cured; clipping and normalising help",
    "Q8": "the earlier modules of a chain never see the true gradient",
    "Q9": "the more modules, the noisier the signal",
    "Q10": "warm up with ordinary backprop first",
    "Q11": "early on, untrained modules send garbage down",
    "Q12": "it pays where backward is expensive, not for a dense layer",
    "Q13": "minibatches already parallelise; together they are powerful",
    "Q14": "the inputs of every layer can be predicted, too",
    "Q15": "a GPU is only 2 to 3 times as fast as good CPU code",
    "Q16": "a few per cent more iterations still win",
}
my_vote = dict.fromkeys(STATEMENTS, "")
my_vote["Q1"] = ""  # such as: True, False, "true when ..."

# %% [markdown]
# ## 1. What counts as evidence
#
# A number by itself says nothing. "The decoupled network reaches 67 %" can mean that synthetic gradients work, or that
# the task is so easy that a network with a *random* trunk reaches it, too. So beside each accuracy stand two others,
# after the same number of updates: that of backprop, and that of the network whose trunk was left as it was drawn.
#
# ### Exercise 1: the share of the way
#
# Write the share of the way from the frozen control to backprop that a method has gone: 0 if it is no better than the
# control, 1 if it is as good as backprop.


# %% exercise="share"
def share_of_the_way(method, frozen, backprop):
    """Three accuracies, or three errors -> 0 where the frozen control is, 1 where backprop is."""
    ### BEGIN SOLUTION
    return (method - frozen) / (backprop - frozen)
    ### END SOLUTION


# %% test="share-check" points=1
def check_share(method, frozen, backprop, right):
    """Stop with a sentence if the share is another one."""
    got = share_of_the_way(method, frozen, backprop)
    assert got is not None, "share_of_the_way gives None: is there a return?"
    suspects = {
        "the control is where it begins, not zero": method / backprop,
        "it is the share that is missing": 1 - right,
        "divide by the whole way, from the control to backprop": method - frozen,
        "there is an absolute value too many: worse than the control is below 0": abs(right),
    }
    hint = next((f" Likely: {what}." for what, wrong in suspects.items() if abs(got - wrong) < 1e-9), "")
    asked = f"method {method}, frozen {frozen}, backprop {backprop}"
    assert abs(got - right) < 1e-9, f"{asked}: the share is {got:.4g}, expected {right:.4g}.{hint}"


check_share(67.0, 57.0, 71.0, 10 / 14)
check_share(1.5, 13.0, 1.5, 1.0)
### BEGIN HIDDEN TESTS
check_share(50.0, 57.0, 71.0, -0.5)
check_share(57.0, 57.0, 71.0, 0.0)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# ### Exercise 2: could it be chance?
#
# Two methods, `n` seeds each. All runs of one lie above all runs of the other. If there were no difference at all, and
# only luck put the $2n$ numbers in order, how likely is it that just the `n` of the *first* method are on top? (Every
# choice of the `n` that are on top is equally likely.)


# %% exercise="chance"
def by_chance(n):
    """n runs of each of two methods -> the probability that all runs of the first are on top by luck."""
    ### BEGIN SOLUTION
    return 1 / math.comb(2 * n, n)
    ### END SOLUTION


# %% test="chance-check" points=1
def check_by_chance(n):
    """Stop with a sentence if it is not the share of all orders in which they are on top."""
    got = by_chance(n)
    assert got is not None, "by_chance gives None: is there a return?"
    right = math.factorial(n) ** 2 / math.factorial(2 * n)
    suspects = {
        "that is one coin for each pair; the runs are not in pairs": 0.5**n,
        "all orders of the runs of one method count as one": 1 / math.factorial(2 * n),
        "count the choices of the n on top among all 2 n runs": 1 / math.comb(n, n // 2),
        "only the first method on top was asked for, not either": 2 * right,
    }
    hint = next((f" Likely: {what}." for what, wrong in suspects.items() if abs(got - wrong) < 1e-12), "")
    assert abs(got - right) < 1e-12, f"by_chance({n}) is {got:.4g}, expected {right:.4g}.{hint}"


check_by_chance(1)
check_by_chance(3)
### BEGIN HIDDEN TESTS
check_by_chance(2)
check_by_chance(10)
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# **Predict, then run.** How many seeds does it take until that is less than one in a hundred? And what have you shown
# with a single seed?

# %%
for n in (1, 2, 3, 4, 5, 10):
    print(f"{n:2d} seeds each: by luck in {100 * by_chance(n):.3g} % of all cases")

# %% [markdown]
# So a single run, such as those that this lesson has time for, shows nothing by itself: it is there for you to see the
# thing happen. What is *claimed* rests on the long runs, which are read here from `docs/results`. Three seeds
# each, all of the method that one expects on top, are one chance in twenty (in ten, whichever is on top); where it
# matters there are ten seeds.


# %%
def long_runs(name):
    """The committed rows of docs/results/NAME.json."""
    folders = [*(Path.cwd() / "here").parents, Path(minidni.__file__).resolve().parents[1]]
    found = [path for folder in folders if (path := folder / "docs" / "results" / f"{name}.json").is_file()]
    assert found, (
        f"There is no docs/results/{name}.json above this folder: run the lesson in a copy of the whole project."
    )
    return Results.read(found[0])


def small(experiment, **settings):
    """The experiment's rows for one seed, computed now."""
    return Results(list(experiment(1, **settings)))


def in_words(numbers, digits=1, unit=""):
    """Name and number, one behind the other."""
    return ", ".join(f"{name} {value:.{digits}f}{unit}" for name, value in numbers.items())


def listed(numbers, digits=1):
    """Numbers with commas between."""
    return ", ".join(f"{number:.{digits}f}" for number in numbers)


judged = {}


def judge(question, verdict, here, long):
    """Take down a verdict with its two numbers, and print it."""
    judged[question] = verdict, here, long
    print(
        f"{question}: {STATEMENTS[question]}.\n    {verdict.upper()}\n    here, small: {here}\n    long runs:   {long}"
    )


# %% [markdown]
# ## 2. Time
#
# ### Q1 and Q2: one device
#
# The lesson *What does it cost* counted products. **Predict, then run.** One worker, a chain of 2, 4 or 8 layers, a
# linear synthesizer above each but the last. Compared with backprop: how long does a decoupled step take? After which
# time is the *lowest* layer updated, and after which the topmost one?

# %%
depths = (2, 4, 8)
cost = small(costs_by_depth, layers=("relu",), depths=depths, synthesizers=("linear",), width=128, batch=128)
until = {
    f"{end}, {how}": (depths, [cost.mean(f"{end}_{how}", depth=d) for d in depths])
    for end in ("bottom", "top")
    for how in ("locked", "decoupled")
}
ratios = {"decoupled / locked": (depths, [cost.mean("ratio", depth=d) for d in depths])}
show_lines({"ms until the update": until, "a whole step": ratios}, "layers, each a segment")

# %%
committed = long_runs("costs-by-depth")
eight = {"layer": "relu", "synthesizer": "linear", "depth": 8}
lstms = eight | {"layer": "lstm"}
sooner = [
    r.mean("bottom_locked", **w) / r.mean("bottom_decoupled", **w)
    for r, w in ((cost, {"depth": 8}), (committed, eight))
]
later = [
    r.mean("top_decoupled", **w) / r.mean("top_locked", **w) for r, w in ((cost, {"depth": 8}), (committed, eight))
]
judge(
    "Q1",
    "true",
    f"a decoupled step takes {cost.mean('ratio', depth=8):.2f} times as long, 8 layers of 128",
    f"{committed.text('ratio', **eight)} times, 8 layers of 256; with LSTMs {committed.text('ratio', **lstms)}",
)
judge(
    "Q2",
    "half true: sooner for the segments below, longer as a whole",
    f"the lowest of 8 is updated {sooner[0]:.1f} times sooner, the topmost {later[0]:.1f} times later",
    f"{sooner[1]:.1f} times sooner, {later[1]:.1f} times later",
)
assert cost.mean("ratio", depth=8) > 1 and min(sooner) > 1 and min(later) > 1

# %% [markdown]
# ### Q3: slid in time
#
# **Predict, with pencil and paper.** Three segments, forward 1 unit of time, backward 2. How many units lie between two
# minibatches on one worker, on three locked ones, and on three that do not wait for their gradients?

# %%
stages, n = [Stage(forward=1.0, backward=2.0)] * 3, 5
lines = schedules.one(stages, n), schedules.locked(stages, n), schedules.decoupled(stages, n)
show_timelines(*lines, unit="units")

# %%
units = [line.seconds_per_minibatch(1) for line in lines]
scaled = long_runs("scale-out")
of_64 = {way: scaled.mean("speedup", schedule=way, workers=64) for way in ("decoupled", "locked")}
judge(
    "Q3",
    "true of one device; with several, sliding is the gain",
    f"one worker {units[0]:.0f} units a minibatch, three locked {units[1]:.0f}, three decoupled {units[2]:.0f}",
    "64 simulated workers, times as fast as one: " + in_words(of_64, 2),
)
assert units == [9.0, 9.0, 3.0]

# %% [markdown]
# ### Q12: for which layers?
#
# **Predict, then run.** To predict and to learn costs a synthesizer some time. Measured in backward passes of the layer
# it stands above: is it more or less than one? What does a batch norm change, and what an LSTM in the layer's place?

# %%
kinds, widths = ("relu", "batchnorm-relu", "lstm"), (64, 256)
table = small(costs, layers=kinds, widths=widths, synthesizers=("linear",), batch=128)
both = {kind: (widths, [table.mean("both", layer=kind, width=w) for w in widths]) for kind in kinds}
show_lines({"predict + learn, in backwards": both}, "units", levels={"one backward": 1.0})

# %%
committed = long_runs("costs")


def in_backwards(results, width):
    """The three layers' numbers in words."""
    values = (results.mean("both", layer=kind, synthesizer="linear", width=width) for kind in kinds)
    return ", ".join(f"{kind} {value:.2f}" for kind, value in zip(kinds, values, strict=True))


judge(
    "Q12",
    "true of narrow layers and of LSTMs; with wide layers a norm hardly counts",
    f"at 64 units {in_backwards(table, 64)} backwards",
    f"at 64 units {in_backwards(committed, 64)}; at 1024 {in_backwards(committed, 1024)}",
)

# %% [markdown]
# ### Q13: and minibatches?
#
# Now several workers. **Predict, then run.** Two threads on this machine, six layers of 256 units: which is fastest?
# Then a simulation of up to 1,024 workers: data-parallel, a decoupled pipeline, copies of decoupled pipelines, GPipe,
# and a pipeline with stale gradients (*pipedream*). Which is highest at 8 workers, and which at 1,024?

# %%
modes = ("locked", "data-parallel", "decoupled")
measured = small(speedup, layers=6, width=256, batch=256, transport="threads", modes=modes, rounds=3, steps=10)
WAYS = ("gpipe", "data-parallel", "pipedream", "decoupled", "data-parallel + decoupled")
few = small(scale_out, layers=16, workers=(2, 8, 32), schedules=WAYS)
workers = (2, 4, 8, 16, 64, 256, 1024)
curves = {way: (workers, [scaled.mean("speedup", schedule=way, workers=n) for n in workers]) for way in WAYS}
show_lines({"times as fast as one worker": curves}, "workers, simulated, 64 layers", log="xy")

# %%
committed = long_runs("speedup-16x1024-threads")
thousand = {way: values[-1] for way, (_, values) in curves.items()}
judge(
    "Q13",
    "half true: they parallelise, though not without end, and together they go furthest",
    "two threads, times as fast as one: "
    + in_words({mode: measured.mean("speedup", mode=mode) for mode in modes}, 2)
    + "; simulated, 16 layers and 32 workers: "
    + in_words({way: few.mean("speedup", schedule=way, workers=32) for way in WAYS}),
    "16 x 1024: "
    + ", ".join(f"{mode} x{committed.mean('speedup', mode=mode):.2f}" for mode in (*modes, "blas2"))
    + f"; simulated, 1,024 workers: data-parallel x{thousand['data-parallel']:.1f}, together "
    f"x{thousand['data-parallel + decoupled']:.0f}",
)
assert thousand["data-parallel + decoupled"] == max(thousand.values())

# %% [markdown]
# ### Q16: until it is good
#
# A decoupled step is worth less than a true one, so it takes more of them. The next exercise puts both in one number.
#
# ### Exercise 3: a few per cent more
#
# Decoupled workers finish `speedup` times as many updates in an hour, and need `more` times more of them: `more=0.1`
# means 10 % more. Write the ratio of the times until both are equally good: below 1, decoupled wins.


# %% exercise="time-ratio"
def time_ratio(speedup, more):
    """How many times as fast, and which share of updates more -> time decoupled / time of the other."""
    ### BEGIN SOLUTION
    return (1 + more) / speedup
    ### END SOLUTION


# %% test="time-ratio-check" points=1
def check_time_ratio(speedup, more):
    """Stop with a sentence if the ratio is another one."""
    got = time_ratio(speedup, more)
    assert got is not None, "time_ratio gives None: is there a return?"
    updates, a_second = 1000.0, 50.0
    right = ((1 + more) * updates / (speedup * a_second)) / (updates / a_second)
    suspects = {
        "it is the other way round: time decoupled over time of the other": 1 / right,
        "more=0.1 means 1.1 times as many": more / speedup,
        "faster steps take less time": speedup * (1 + more),
        "what comes on top is multiplied, not subtracted": 1 / speedup + more,
    }
    hint = next((f" Likely: {what}." for what, wrong in suspects.items() if abs(got - wrong) < 1e-9), "")
    assert abs(got - right) < 1e-9, f"time_ratio({speedup}, {more}) is {got:.4g}, expected {right:.4g}.{hint}"


check_time_ratio(speedup=1.3, more=0.1)
check_time_ratio(speedup=1.0, more=0.5)
### BEGIN HIDDEN TESTS
check_time_ratio(speedup=0.5, more=0.0)
check_time_ratio(speedup=3.0, more=2.5)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# **Predict, then run.** Real workers in two threads, the small digits, a network of four layers of 64 units, until 90
# %. Is the decoupled pair sooner there than one worker? (How long does a product of 64 by 64 take, and how long a
# message?)

# %%
size = {"data": "digits", "depth": 4, "width": 64, "batch": 64, "updates": 240, "target": 90.0}
race = small(time_to_accuracy, methods=("one", "locked", "decoupled", "frozen"), **size)
committed, methods = long_runs("time-to-accuracy"), ("one", "blas2", "locked", "data-parallel", "decoupled")
seconds = {method: list(committed.values("seconds_to_target", method=method)) for method in methods}
show_dots(seconds, "seconds until 97 % on MNIST, long runs")

# %%
ratio = {}
for where, rows in (("here", race), ("long", committed)):
    ms, updates = (
        {m: rows.mean(c, method=m) for m in ("one", "decoupled")} for c in ("ms_an_update", "updates_to_target")
    )
    faster, more = ms["one"] / ms["decoupled"], updates["decoupled"] / updates["one"] - 1
    ratio[where] = (
        f"{faster:.2f} times as many updates a second, {100 * more:.0f} % more of them: "
        f"{time_ratio(faster, more):.2f} of the time"
    )
judge(
    "Q16",
    "true with one cut, labels and layers that are worth it; two BLAS threads do as well",
    ratio["here"],
    ratio["long"],
)

# %% [markdown]
# One of the places where small and long disagree. With layers of 64 units the workers spend their time on messages and
# on Python, whose lock only one of them can hold, so there are hardly more updates a second, or fewer. With 512 units
# it is products. So "does it pay?" is a question about sizes, before it is one about gradients.
#
# ### Q15: and a GPU?
#
# This needs a GPU. The notebook for one, `docs/on_a_gpu.ipynb`, measures yours. What was measured once: a step of 16 x
# 1,024 units, minibatch 256, took 90 ms with 16 BLAS threads on 16 cores and 8.0 ms on an H100.

# %%
try:
    import cupy

    gpu = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode() if cupy.is_available() else "no GPU here"
except ImportError:
    gpu = "no CuPy here"
judge(
    "Q15",
    "not so: more like 10 times, on the one pair that was measured",
    gpu,
    f"{90 / 8.0:.0f} times 16 cores (docs/gpu.md)",
)

# %% [markdown]
# ## 3. Windows
#
# ### Q4 and Q5: what a cut loses, and what it saves
#
# The lessons *Vanishing gradients* and *Truncation* looked at a coin whose bias depends on inputs 3 and 5 steps back.
# Here is the same, and the characters of a book. **Predict, then run.** Of a loss at one step, by the state so many
# steps before: how much of the gradient is left at a distance of 3, and of 20? After training in windows of 2, and of
# 20; for the coin, and for the book?

# %%
distances, cuts = (1, 2, 3, 5, 10, 20), {"before training": None, "windows of 2": 2, "windows of 20": 20}
coin = small(window_edge, tasks=("two-lag",), cells=("lstm",), steps=1600, lr=1e-2)
book = small(window_edge, tasks=("text",), cells=("lstm",), steps=600, lr=1e-2)
show_lines(
    {
        f"{task}: of the nearest": {
            name: (distances, [rows.mean("crosses", window=w, distance=d) for d in distances])
            for name, w in cuts.items()
        }
        for task, rows in (("coin", coin), ("book", book))
    },
    "distance, steps",
    log="xy",
)

# %%
committed = long_runs("window-edge")


def at_the_edge(results):
    """The coin: what crosses 3 steps after windows of 2, and what crosses 20 after windows of 20."""
    here = {"cell": "lstm", "task": "two-lag"}
    short, long = (results.mean("crosses", window=w, distance=d, **here) for w, d in ((2, 3), (20, 20)))
    return f"coin: windows of 2, at a distance of 3, {short:.2f} of the nearest; windows of 20, at 20, {long:.1g}"


judge(
    "Q4",
    "true where nothing far back counts, or the window is long; false where it matters",
    f"{at_the_edge(coin)}; book, windows of 20: {book.mean('crosses', window=20, distance=20):.1g}",
    f"{at_the_edge(committed)}; book {committed.mean('crosses', cell='lstm', task='text', window=20, distance=20):.1g}",
)
assert coin.mean("crosses", window=2, distance=3) > 0.3 > 0.05 > coin.mean("crosses", window=20, distance=20)

# %% [markdown]
# Both who argued are right, about different things. Who trains on a book with windows of 20 cuts off next to nothing.
# And who cuts where it matters will not see it in the gradient of a network that was trained with the *long* window,
# or in one that never learned what it should have.
#
# **Predict, then run.** From windows of 2 to windows of 250: how do memory, the wait for an update, and the work for a
# step of time grow?

# %%
windows = (2, 10, 50, 250)
price = small(window_costs, cells=("lstm",), windows=windows, hidden=32, repeats=3)
show_lines(
    {
        name: {"LSTM, 32 units": (windows, [price.mean(column, window=w) for w in windows])}
        for name, column in (("cache (kB)", "cache_kb"), ("ms an update", "ms_an_update"), ("µs a step", "us_a_step"))
    },
    "window, steps",
    log="xy",
)

# %%
committed = long_runs("window-costs")


def grows(results):
    """By which factors memory, wait and work grow from windows of 2 to 250."""
    factors = (
        results.mean(c, cell="lstm", window=250) / results.mean(c, cell="lstm", window=2)
        for c in ("cache_kb", "ms_an_update", "us_a_step")
    )
    return "memory x{:.0f}, the wait x{:.0f}, the work for a step x{:.2f}".format(*factors)


judge("Q5", "true of memory and of the wait for an update; not of the work", grows(price), grows(committed))

# %% [markdown]
# ### Q6 and Q7: beyond the window
#
# The coin again, in windows of **two** steps, which see neither lag. `two_lag` trains the same LSTM without (bptt) and
# with a synthetic gradient at the window's end (dni). And somebody says: that gradient vanishes anyway; clip it, or
# normalise it, and all is well. So do all four: with clipping at a norm so high that it never happens, and with every
# gradient brought to the same small norm. (Adam does not care how small.)
#
# **Predict, then run.** Lowest possible is 0.4545, with lag 3 alone 0.519, with nothing remembered 0.662.

# %%
CLIPS = {"never clipped": 1e6, "always normalised": 1e-3}
beyond = {name: small(two_lag, clip=clip, updates=1000, batch=32, reference=None) for name, clip in CLIPS.items()}
losses = {f"{m}, {name}": [rows.mean("loss", method=m)] for name, rows in beyond.items() for m in ("bptt", "dni")}
show_dots(losses, "loss here (nats)", levels={"possible": 0.4545, "lag 3 alone": 0.5192})

# %%
ten = long_runs("two-lag")
unclipped, normalised = long_runs("two-lag-clip-none"), long_runs("two-lag-normalised")
reach = long_runs("two-lag-reach")
reached = {m: [reach.mean("longest", method=m, window=w) for w in (1, 2, 3)] for m in ("dni", "bptt")}
judge(
    "Q6",
    "true, by some steps and not without end",
    f"windows of 2: dni {losses['dni, never clipped'][0]:.3f}, bptt {losses['bptt, never clipped'][0]:.3f} nats",
    f"dni {ten.text('loss', method='dni')}, bptt {ten.text('loss', method='bptt', window=2)}; longest lags, windows "
    f"of 1, 2, 3: dni {listed(reached['dni'])}, bptt {listed(reached['bptt'])}",
)
clipping = {"never clipped": unclipped, "clipped at 1": ten, "normalised": normalised}
by_method = {
    m: in_words({name: rows.mean("loss", method=m, window=2) for name, rows in clipping.items()}, 3)
    for m in ("bptt", "dni")
}
judge(
    "Q7",
    "the first half is true; clipping and normalising are about exploding gradients, and no substitute",
    f"normalised: dni {losses['dni, always normalised'][0]:.3f}, bptt {losses['bptt, always normalised'][0]:.3f}",
    f"bptt {by_method['bptt']}; dni {by_method['dni']}",
)
best = min(value for name, (value,) in losses.items() if name.startswith("bptt"))
assert max(value for name, (value,) in losses.items() if name.startswith("dni")) < best

# %% [markdown]
# The gradient of this LSTM did not vanish; it was *cut*. No clipping brings back what was cut, and a synthetic gradient
# does. What the Jacobians of the true gradient have shrunk, on the other hand, is shrunk in its targets, too: it is no
# cure for vanishing.
#
# ## 4. Chains
#
# ### Q8 and Q9: one learns from the next
#
# The lesson *Bootstrapping* built the chain. Four hidden layers on MNIST-1D, cut once or three times; all methods take
# the same number of updates. **Predict, then run.** Order them by accuracy: backprop, one cut, three cuts, one cut
# without labels, frozen trunk. Then: which of the three messages is nearest to the true gradient?

# %%
chain = small(bootstrap, depth=4, segments=(2, 4), unlabelled=(2,), lams=(), depths=(), updates=150)
cdni = {"method": "cdni", "depth": 4}
found = {
    "backprop": chain.mean("accuracy", method="backprop"),
    "1 cut": chain.mean("accuracy", segments=2, **cdni),
    "3 cuts": chain.mean("accuracy", segments=4, **cdni),
    "1 cut, no labels": chain.mean("accuracy", method="dni"),
    "frozen trunk": chain.mean("accuracy", method="frozen trunk"),
}
show_dots({name: [value] for name, value in found.items()}, "accuracy here (%)", levels={"chance": 10.0})

# %%
cosines = [chain.mean("cosine", segments=4, boundary=b, **cdni) for b in (1, 2, 3)]
committed = long_runs("bootstrap")
deep = {"method": "cdni", "depth": 6, "lam": 0.0}
judge(
    "Q8",
    "true as it stands; what they learn is related to the truth all the same",
    f"cosines with the true gradient, from the bottom: {listed(cosines, 2)}",
    "signal of DNI_0 {:.2f}, of DNI_3 {:.2f}".format(
        *(committed.mean("cosine", segments=3, boundary=b, **deep) for b in (3, 5))
    ),
)
by_cuts = [committed.mean("accuracy", segments=s, boundary=5, **deep) for s in (2, 3, 4, 6)]
controls = [committed.mean("accuracy", method=m, depth=6) for m in ("frozen trunk", "backprop")]
judge(
    "Q9",
    "worse with every module, yes; not noisier but more biased (the lesson Bootstrapping measured both)",
    in_words(found, unit=" %"),
    f"1, 2, 3, 5 cuts: {listed(by_cuts)} %, frozen trunk {controls[0]:.1f} %, backprop {controls[1]:.1f} %; "
    f"shares of the way {listed([share_of_the_way(value, *controls) for value in by_cuts], 2)}",
)
assert cosines == sorted(cosines)
assert found["backprop"] > found["1 cut"] > found["3 cuts"] > found["frozen trunk"]

# %% [markdown]
# ### Q10 and Q11: the beginning
#
# **Predict, then run.** How large is the first message, next to the true gradient, if the synthesizer's last layer
# starts at random? What does it do to the accuracy? And what does a warm-up by backprop for the first 45 of 150
# updates bring? Mind the control: a network whose trunk is frozen from then on.

# %%
start = small(warm_up, depth=4, segments=4, unlabelled=2, lengths=(0, 45), at_random=(0,), updates=150)
rows = {
    "from random": {"method": "cdni", "start": "random", "warm_up": 0},
    "from zero": {"method": "cdni", "start": "zero", "warm_up": 0},
    "warmed up": {"method": "cdni", "start": "zero", "warm_up": 45},
    "warmed up, then frozen": {"method": "frozen trunk", "warm_up": 45},
    "frozen": {"method": "frozen trunk", "warm_up": 0},
    "backprop": {"method": "backprop"},
}
show_dots(
    {name: [start.mean("accuracy", **what)] for name, what in rows.items()},
    "accuracy here (%)",
    levels={"chance": 10.0},
)

# %%
committed = long_runs("warm-up")
by_length = {
    method: [committed.mean("accuracy", method=method, start=begun, warm_up=n) for n in (0, 300, 1000)]
    for method, begun in (("cdni", "zero"), ("dni", "zero"), ("frozen trunk", "none"))
}
judge(
    "Q10",
    "it helps; but the longer it is, the more of the help is the warm-up itself",
    in_words({name: start.mean("accuracy", **what) for name, what in rows.items()}, unit=" %"),
    "warm-ups of 0, 300, 1,000 of 2,000: "
    + "; ".join(f"{method} {listed(values)} %" for method, values in by_length.items()),
)
judge(
    "Q11",
    "true of a random start; from zero nothing is sent at first",
    f"first message {start.mean('first_ratio', **rows['from random']):.2f} times the true gradient, from zero "
    f"{start.mean('first_ratio', **rows['from zero']):.0f}",
    f"{committed.text('first_ratio', method='cdni', start='random', warm_up=0)} times; accuracy from random "
    f"{committed.text('accuracy', method='cdni', start='random', warm_up=0)} %, from zero "
    f"{committed.text('accuracy', method='cdni', start='zero', warm_up=0)} %",
)
assert start.mean("first_ratio", **rows["from zero"]) == 0 < start.mean("first_ratio", **rows["from random"])

# %% [markdown]
# ### Q14: inputs, too
#
# The lesson *No locks at all* let every segment guess its input. **Predict, then run.** Two hidden layers, nothing
# waits. Is the network, used on true inputs, better than one whose first layer was never trained?

# %%
unlocked = small(full_unlock, inputs=("true", "hidden"), updates=150)
kinds = {
    "backprop": {"method": "backprop", "inputs": "true"},
    "decoupled": {"method": "cdni", "inputs": "true"},
    "frozen trunk": {"method": "frozen trunk", "inputs": "true"},
    "unlocked": {"method": "cdni", "inputs": "hidden"},
}
committed = long_runs("full-unlock")
show_dots(
    {name: list(committed.values("accuracy", **what)) for name, what in kinds.items()},
    "MNIST-1D, accuracy (%), long runs",
    levels={"chance": 10.0},
)

# %%
on_mnist = long_runs("full-unlock-mnist")
judge(
    "Q14",
    "true, and it learns; on a harder task no more than a frozen trunk",
    in_words({name: unlocked.mean("accuracy", **what) for name, what in kinds.items()}, unit=" %"),
    "MNIST-1D "
    + in_words({name: committed.mean("accuracy", **what) for name, what in kinds.items()}, unit=" %")
    + "; MNIST "
    + in_words({name: on_mnist.mean("accuracy", **what) for name, what in kinds.items()}, 2, " %"),
)

# %% [markdown]
# The other place where small and long disagree: after 150 updates the unlocked network is below the frozen control,
# after 2,000 level with it, and on MNIST clearly above. A task on which even a random trunk does well hides what was
# learned; a short run hides what would have been.
#
# ## 5. The verdicts
#
# **Predict.** Look back at your vote: how many would you change now? Then run.

# %%
for question, statement in STATEMENTS.items():
    verdict, here, long = judged.get(question, ("not judged yet", "-", "-"))
    print(f"{question:<4}{statement}\n    your vote: {my_vote[question] or '-'}\n    verdict:   {verdict}")
    print(f"    here:      {here}\n    long runs: {long}\n")

# %% [markdown] answer="forum" points=3
# **A question to answer in words.** Answer the person in the forum, in not more than six sentences: *what is a
# synthetic gradient good for, if the same work must be done anyway and the gradient vanishes anyway?* Name one use on
# one device and one on several, what each has to be compared with, and a number from above for each.
#
# ### BEGIN SOLUTION
# You are right about one device and layers: the step took me about twice as long, and nobody was waiting. On several
# devices it takes the waits away: with a worker for each of 64 simulated layers it is some thirty times as fast as
# one worker, where locked ones bring nothing. But compare it with a pipeline that puts up with stale gradients: that
# is faster still, and its gradients are exact. What you pay is accuracy, more with every cut: five cuts cost 17
# points of 77, and without labels little is left above a frozen trunk. On one device it is good for something else:
# at the end of a window of time it brings back what was cut, so a window of two steps learned lags of 3 and 5 to
# 0.457 nats, where truncation ends at 0.492. That is no cure for vanishing: what the Jacobians shrink, they shrink in
# its targets, too.
# ### END SOLUTION

# %% [markdown]
# ## 6. The same as the library's
#
# The three tools of this lesson against what the library computes: times of its simulator, and the columns of its
# experiments.

# %%
line, lock = schedules.decoupled(stages, 9), schedules.locked(stages, 9)
faster = lock.seconds_per_minibatch(1) / line.seconds_per_minibatch(1)
assert np.isclose(time_ratio(faster, 0.0), line.seconds_per_minibatch(1) / lock.seconds_per_minibatch(1))
clock = long_runs("time-to-accuracy")
for seed in (1, 2, 3):
    of = {m: {"method": m, "seed": seed} for m in ("one", "decoupled")}
    ms, updates, s = (
        [clock.mean(c, **of[m]) for m in of] for c in ("ms_an_update", "updates_to_target", "seconds_to_target")
    )
    mine, theirs = time_ratio(ms[0] / ms[1], updates[1] / updates[0] - 1), s[1] / s[0]
    assert abs(mine - theirs) < 0.1, (mine, theirs)  # the clock also saw the start of the workers
    print(f"seed {seed}: time_ratio {mine:.3f}, by the clock {theirs:.3f}")
both_sides = [ten.values("loss", method=m, window=2) for m in ("dni", "bptt")]
assert both_sides[0].max() < both_sides[1].min()
print(f"two-lag: all {len(both_sides[0])} runs of dni below all of bptt; by luck {by_chance(len(both_sides[0])):.1g}")

# %% [markdown]
# ## What to remember
#
# - On one device and between layers a synthetic gradient costs time and buys none. It is about *who waits*.
# - On several it takes the waits away. Compare it with pipelines whose gradients are exact and late, and with
#   data-parallel training, not with workers that stand in line.
# - Each cut costs accuracy: a guess is biased, and a guess learned from a guess more so. Labels close most of the gap.
# - At the end of a window it brings back what truncation cut, at the price of one linear map. That is its best use on
#   one device. It does not cure vanishing, and clipping is no substitute for it.
# - A number needs its controls: backprop, the frozen trunk, the same number of updates, and more seeds than one.
#
# ## Where the formulas come from
#
# - Synthetic gradients: M. Jaderberg and others, *Decoupled neural interfaces using synthetic gradients*, ICML 2017,
#   arXiv 1608.05343; W. M. Czarnecki and others, *Understanding synthetic gradients and decoupled neural interfaces*,
#   ICML 2017, arXiv 1703.00522.
# - The chance that all of n lie above all of n others is the smallest p-value of the rank-sum test: F. Wilcoxon,
#   *Individual comparisons by ranking methods*, Biometrics Bulletin 1 (1945).
# - Pipelines: Y. Huang and others, *GPipe*, arXiv 1811.06965; A. Harlap and others, *PipeDream*, arXiv 1806.03377.
# - The long runs: `docs/results/README.md`, each table below the command that prints it; `docs/verdict.md` has the same
#   statements with the long runs alone.
