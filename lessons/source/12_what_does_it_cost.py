# %% [markdown]
# # What does it cost, what does it buy
#
# - **Minutes:** 45
# - **Needs:** the lessons *Locking* and *A worker for each segment*: timelines, stages with costs, and workers; from
#   *Synthetic gradients* what predict and fit do
# - **Learn:** count what a synthetic gradient costs, say for which layers it pays, predict and measure what two workers
#   bring in five ways of sharing the work, and read a scale-out to 1,024 workers without believing more than it says
# - **Data:** none; random numbers will do, since what is measured is time
#
# A forum argues about what synthetic gradients are good for. Five of the statements are about time:
#
# - **Q1.** "The same number of operations must be done, plus the DNI; so a synthetic gradient between layers cannot
#   speed up one device."
# - **Q2.** "Each iteration gets faster, because the synthetic gradient is cheaper than the true one."
# - **Q12.** "DNI pays where backward is expensive (batch norm, fancy activations), not for a simple dense layer."
# - **Q13.** "Minibatches already parallelise, so synthetic gradients add nothing; together they are powerful."
# - **Q16.** "Synthetic gradients make each epoch cheaper; a few per cent more iterations still win."
#
# All five can be settled with a clock. Write down now which of them you think are true.
#
# There are four exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.

# %%
import os
import statistics
from itertools import pairwise

import numpy as np

from minidni import Adam, BatchNorm, Chain, LayerNorm, Linear, ReLU, Sequential, SquaredError, Synthesizer, Tanh
from minidni.dni import networks
from minidni.experiments.scale_out import scale_out
from minidni.experiments.speedup import Task, arithmetic
from minidni.locking import blas, schedules
from minidni.locking.costs import Stage, Stopwatch, measure
from minidni.locking.simulate import Link
from minidni.plots import show_lines, show_timelines


# %%
def check_number(name, got, expected, suspects=None):
    """Stop with a sentence if a number is not the expected one; `suspects` are results of common mistakes."""
    assert got is not None, f"{name} is None: is there a return?"
    if np.isclose(got, expected, rtol=1e-9, atol=1e-12):
        return
    likely = [what for what, wrong in (suspects or {}).items() if np.isclose(got, wrong, rtol=1e-9)]
    hint = f" Likely: {likely[0]}." if likely else ""
    raise AssertionError(f"{name} is {got:.6g}, expected {expected:.6g}.{hint}")


# %% [markdown]
# ## 1. One device
#
# Nearly all of the time goes into products of matrices, so count those. A linear layer takes one forward ($y = xW$) and
# two backward ($dW = x^T dy$ and $dx = dy\, W^T$). At the very bottom x is data and nobody asks for dx. A synthesizer
# that is a linear layer itself, and as wide, predicts with one product; to learn, it runs forward again from its
# trigger, and back for its own weights, not for the trigger.
#
# ### Exercise 1: count
#
# A network of `layers` linear layers is cut into `segments` pieces, with such a synthesizer at each cut. Write how many
# products one step takes. With one segment there is no synthesizer, and the step is backprop.


# %% exercise="products"
def products(layers, segments):
    """Products of matrices in one step."""
    ### BEGIN SOLUTION
    backprop = 3 * layers - 1
    synthesizers = 3 * (segments - 1)
    return backprop + synthesizers
    ### END SOLUTION


# %% test="products-check" points=1
def check_products(layers, segments):
    """Stop with a sentence if `products` counts otherwise."""
    right = 3 * layers - 1 + 3 * (segments - 1)
    check_number(
        f"products({layers}, {segments})",
        products(layers, segments),
        right,
        {
            "dx of the bottom layer is counted, which nobody asks for": right + 1,
            "predictions are counted, learning is not": 3 * layers - 1 + segments - 1,
            "a synthesizer for each segment, but there is none at the loss": right + 3,
            "learning counts dx of the trigger, which nobody asks for": right + segments - 1,
            "the synthesizers are missing": 3 * layers - 1,
        },
    )


check_products(4, 2)
check_products(8, 1)
### BEGIN HIDDEN TESTS
check_products(3, 3)
check_products(16, 4)
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# **Predict, then run.** Eight layers of 256 units, a synthesizer behind each of the first seven: by what factor does
# your machine take longer for a decoupled step than for a step of backprop, in one thread?


# %%
WIDTH, BATCH = 256, 256


def make_chain(layers, segments, block=lambda n, rng: [Linear(n, n, rng=rng), ReLU()], width=WIDTH):
    """Blocks of one kind, cut into segments as evenly as whole blocks go, with linear synthesizers between them."""
    rng = np.random.default_rng(0)
    blocks = [block(width, rng) for _ in range(layers)]
    blocks[0][0].needs_dx = False
    ends = [layers * i // segments for i in range(segments + 1)]
    at = np.cumsum([sum(map(len, blocks[a:b])) for a, b in pairwise(ends)])[:-1].tolist()
    return Chain.cut(
        Sequential(*(layer for some in blocks for layer in some)),
        at,
        signal=lambda above: Synthesizer(networks.linear(width, rng=rng), Adam(1e-4)),
        loss=SquaredError(),
        optimizer=lambda: Adam(1e-4),
    )


x, labels = np.random.default_rng(1).standard_normal((2, BATCH, WIDTH)).astype(np.float32)
clock, chain = Stopwatch(), make_chain(8, 8)
with blas.limited(1):
    blas.warm_up()
    for _ in range(8):
        clock("backprop", chain.backprop, x, labels)
        clock("decoupled", chain.decoupled, x, labels)
milliseconds = {name: 1000 * statistics.median(times[2:]) for name, times in clock.times.items()}
print(", ".join(f"{name} {ms:.1f} ms" for name, ms in milliseconds.items()))
print(f"measured ratio {milliseconds['decoupled'] / milliseconds['backprop']:.2f}", end="; ")
print(f"by counting products {products(8, 8) / products(8, 1):.2f}")

# %% [markdown]
# **Q1 is true**, and nothing can be done about it: on one device the work is the same, and the synthesizers' besides.
# Whoever cuts a network on one machine into decoupled pieces and hopes that it gets faster will see it get slower.
#
# ## 2. Sooner, not less
#
# What does get shorter is the *wait*. In a locked step segment $s$ of $K$ is updated when all segments have run forward
# and all above it backward. Decoupled, it needs only the forward passes below it, its own, and a prediction.
#
# ### Exercise 2: until the update
#
# Each segment has a worker of its own, and a stage tells what it takes: `stage.forward`, `stage.backward`,
# `stage.predict`, all in seconds. Updates and messages take no time. Write how long after the start of its first
# minibatch segment `s` (0 at the bottom) has run backward, in both ways. The topmost segment has a loss, which takes no
# time, and no synthesizer.


# %% exercise="latency"
def until_update(stages, s, decoupled):
    """Seconds from the start of the first minibatch until segment s has run backward."""
    ### BEGIN SOLUTION
    if decoupled:
        predict = stages[s].predict if s < len(stages) - 1 else 0.0
        return sum(stage.forward for stage in stages[: s + 1]) + predict + stages[s].backward
    return sum(stage.forward for stage in stages) + sum(stage.backward for stage in stages[s:])
    ### END SOLUTION


# %% test="latency-check" points=2
def check_latency(seed, K):
    """Stop with a sentence if `until_update` differs from the library's simulator."""
    rng = np.random.default_rng(seed)
    stages = [Stage(*rng.uniform(1, 5, 2), 0.0, rng.uniform(1, 2)) for _ in range(K - 1)]
    stages.append(Stage(*rng.uniform(1, 5, 2)))
    for decoupled, simulated in ((False, schedules.locked(stages, 1)), (True, schedules.decoupled(stages, 1))):
        ends = {span.segment: span.end for span in simulated.spans if span.kind == "backward"}
        forward = sum(stage.forward for stage in stages)
        for s in range(K):
            suspects = {
                "all segments below run backward first, but only those above do": forward
                + sum(stage.backward for stage in stages[: s + 1]),
                "the prediction is missing": ends[s] - stages[s].predict,
                "its own backward is missing": ends[s] - stages[s].backward,
                "it waits for the forward passes of those above": ends[s]
                + forward
                - sum(stage.forward for stage in stages[: s + 1]),
            }
            how = "decoupled" if decoupled else "locked"
            check_number(
                f"until_update of segment {s} of {K}, {how}", until_update(stages, s, decoupled), ends[s], suspects
            )


check_latency(0, 3)
### BEGIN HIDDEN TESTS
check_latency(1, 1)
check_latency(2, 6)
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# Now with costs that are measured on your machine, for eight segments of one layer. **Predict, then run.** Whose update
# comes sooner, decoupled: everybody's, or the lower ones'? What about the topmost?

# %%
stages = measure(chain, x, labels, repeats=5)
segments = range(len(stages))
waits = {how: [1000 * until_update(stages, s, how == "decoupled") for s in segments] for how in ("locked", "decoupled")}
show_lines({"ms until the update": {how: (segments, ms) for how, ms in waits.items()}}, "segment, 0 at the bottom")

# %%
show_timelines(schedules.locked(stages, 3), schedules.decoupled(stages, 3))

# %% [markdown]
# **Q2 is half true.** The lower a segment, the sooner its update: there the wait no longer grows with the depth of what
# is above. But the work of a step grows, as you have counted, and the topmost segment, which never waited for a
# gradient, gains nothing. "Faster" is the wait of a worker that has nothing else to do, and that takes several workers.
#
# ## 3. For which layers?
#
# Two workers, `n` equal layers each. One worker alone takes $2n(f+b)$ for a step, with $f$ and $b$ the times of a
# layer's forward and backward. Decoupled, the lower worker is the slower one: it has the synthesizer.
#
# ### Exercise 3: break even
#
# How many layers per segment does it take for two decoupled workers to be faster than one? Write the `n` at which both
# take the same time; it need not be a whole number. Updates and messages take no time, again.


# %% exercise="break-even"
def break_even(layer):
    """Layers per segment at which two decoupled workers take as long as one; `layer` is a Stage."""
    ### BEGIN SOLUTION
    # 2 n (f + b) = n (f + b) + predict + fit
    return (layer.predict + layer.fit) / (layer.forward + layer.backward)
    ### END SOLUTION


# %% test="break-even-check" points=2
def check_break_even(seed):
    """Stop with a sentence if the simulator says otherwise, a little above and a little below."""
    f, b, p, fit = np.random.default_rng(seed).uniform(1, 9, 4)
    suspects = {
        "learning is missing": p / (f + b),
        "the prediction is missing": fit / (f + b),
        "the comparison is with half a network: one worker has both segments": 2 * (p + fit) / (f + b),
        "only backward is counted of a layer": (p + fit) / b,
    }
    check_number("break_even", break_even(Stage(f, b, 0.0, p, fit)), (p + fit) / (f + b), suspects)
    for n in (0.9, 1.1):
        n *= break_even(Stage(f, b, 0.0, p, fit))
        lower, upper = Stage(n * f, n * b, 0.0, p, fit), Stage(n * f, n * b)
        two, one = schedules.decoupled([lower, upper], 20), schedules.one([lower, upper], 20)
        assert (two.seconds_per_minibatch(5) < one.seconds_per_minibatch(5)) == (n > (p + fit) / (f + b))


check_break_even(0)
### BEGIN HIDDEN TESTS
check_break_even(1)
check_break_even(2)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# **Predict, then run.** Three kinds of layers: linear and ReLU; with a batch norm between them; with a layer norm and a
# tanh. Q12 says that the latter two are where it pays. At which width would you expect that, and at which not?

# %%
BLOCKS = {
    "linear, ReLU": lambda n, rng: [Linear(n, n, rng=rng), ReLU()],
    "with batch norm": lambda n, rng: [Linear(n, n, rng=rng), BatchNorm(n), ReLU()],
    "layer norm, tanh": lambda n, rng: [Linear(n, n, rng=rng), LayerNorm(n), Tanh()],
}
print(f"{'ms':<18}{'width':>6}{'forward':>9}{'backward':>9}{'predict':>9}{'fit':>9}{'break even':>12}")
for width in (64, 256, 512):
    some = np.random.default_rng(1).standard_normal((2, BATCH, width)).astype(np.float32)
    for name, block in BLOCKS.items():
        # The middle one of three: it has a synthesizer, and is asked for dx.
        layer = measure(make_chain(3, 3, block, width), *some, repeats=7)[1]
        cells = [1000 * cost for cost in (layer.forward, layer.backward, layer.predict, layer.fit)]
        print(f"{name:<18}{width:>6}" + "".join(f"{ms:>9.2f}" for ms in cells) + f"{break_even(layer):>12.2f}")

# %% [markdown]
# A product of matrices grows with the square of the width; a batch norm, or a tanh, grows with the width. So what makes
# a layer "expensive" beside its product counts while layers are narrow, and disappears when they are wide: **Q12 is
# true of narrow layers.** A linear synthesizer costs about as much as one linear layer, whichever way you turn it. It
# is cheap beside what is deep: several layers in a segment, or a recurrent layer, which walks through many steps of
# time for one state at the end. `python -m minidni experiment costs` prints the long table, with convolutions, LSTMs
# and larger synthesizers in it.
#
# ## 4. But minibatches already parallelise
#
# There are other ways to keep $K$ workers busy. A network of `layers` equal layers, each with forward $f$ and backward
# $b$ for the whole minibatch; nothing is lost by cutting a minibatch into parts, and messages between neighbours take
# no time:
#
# - **GPipe**: $K$ segments, $M$ micro-batches one behind the other, the true gradient. A step takes $M + K - 1$ times
#   what one micro-batch takes in one segment.
# - **data-parallel**: all layers at each worker, for $1/K$ of the rows; then a ring all-reduce, in which each worker
#   sends $2(K-1)/K$ times the bytes of all gradients, at so many bytes a second.
# - **decoupled**: $K$ segments, each with its layers and a synthesizer (but the topmost one).
#
# ### Exercise 4: three ways
#
# Write how long a step takes, once steps follow each other evenly: the time between the ends of two minibatches.
# `layer` is a Stage with `forward`, `backward`, `predict`, `fit` and `parameter_bytes`, the bytes of one layer's
# gradients. $K$ divides `layers`.


# %% exercise="three-ways"
def step_seconds(way, layer, layers, K, M=4, bandwidth=1e9):
    """Seconds between two minibatches; `way` is "gpipe", "data-parallel" or "decoupled"."""
    ### BEGIN SOLUTION
    whole = layers * (layer.forward + layer.backward)
    if way == "gpipe":
        return (M + K - 1) * whole / K / M
    if way == "data-parallel":
        return whole / K + 2 * (K - 1) / K * layers * layer.parameter_bytes / bandwidth
    return whole / K + (layer.predict + layer.fit if K > 1 else 0.0)
    ### END SOLUTION


# %% test="three-ways-check" points=3
def simulated_seconds(way, layer, layers, K, M=4, bandwidth=1e9):
    """The library's simulator."""
    n, size = layers // K, layers * layer.parameter_bytes
    part = Stage(n * layer.forward, n * layer.backward, 0.0, layer.predict, layer.fit)
    top = Stage(part.forward, part.backward)
    if way == "gpipe":
        return schedules.gpipe([part] * K, 2, micro_batches=M).seconds_per_minibatch()
    if way == "data-parallel":
        whole = Stage(layers * layer.forward, layers * layer.backward, parameter_bytes=size)
        return schedules.data_parallel([whole], 2, Link(0.0, bandwidth), replicas=K).seconds_per_minibatch()
    return schedules.decoupled([part] * (K - 1) + [top], 30).seconds_per_minibatch(20)


def check_three_ways(seed, layers, K, M):
    """Stop with a sentence if `step_seconds` differs from the simulator."""
    f, b, p, fit = np.random.default_rng(seed).uniform(1, 5, 4)
    layer, fast = Stage(f, b, 0.0, p, fit, parameter_bytes=1e9), 2e9
    whole, sent = layers * (f + b), layers * layer.parameter_bytes / fast
    suspects = {
        "gpipe": {
            "a micro-batch takes 1 / M of a minibatch's time": (M + K - 1) * whole / K,
            "there is a bubble: the last stage starts K - 1 parts late": whole / K,
        },
        "data-parallel": {
            "the all-reduce is missing": whole / K,
            "each worker sends 2 (K - 1) / K of the bytes, not all of them twice": whole / K + 2 * sent,
            "there are two passes round the ring": whole / K + (K - 1) / K * sent,
        },
        "decoupled": {"the synthesizer is missing": whole / K, "to learn takes time as well": whole / K + p},
    }
    for way, likely in suspects.items():
        right = simulated_seconds(way, layer, layers, K, M, fast)
        check_number(f"{way}, K={K}, M={M}", step_seconds(way, layer, layers, K, M, fast), right, likely)


check_three_ways(0, 8, 4, 4)
### BEGIN HIDDEN TESTS
check_three_ways(1, 6, 2, 8)
check_three_ways(2, 6, 6, 3)
### END HIDDEN TESTS
print("Exercise 4: right.")

# %% [markdown]
# ### Your machine
#
# Now real workers: two threads, which take turns at nothing but Python itself, since BLAS lets go of Python's lock. Six
# layers of 256 units, and all of it is in the step: messages, synthesizer and its learning. **Predict, then run.** Put
# these in order of speed: one worker; two, locked; two, GPipe; two, data-parallel; two, decoupled. (With fewer than two
# idle cores nothing can win.)

# %%
MODES = ("one", "locked", "gpipe", "data-parallel", "decoupled")
task = Task(6, WIDTH, BATCH, "threads", 2, 4, steps=15, learn_rows=1.0, optimizer="sgd", device="cpu", seed=0)
times = {mode: [] for mode in MODES}
for _ in range(3):
    for mode in MODES:
        times[mode].append(1000 * task.seconds(mode))
print(f"{os.cpu_count()} cores; ms between two steps, and how many times as fast as one worker in the same round:")
for mode in MODES:
    ratio = statistics.median(one / this for one, this in zip(times["one"], times[mode], strict=True))
    print(f"  {mode:<14} {statistics.median(times[mode]):6.1f}   x{ratio:.2f}")
ideal = arithmetic(layers=6, width=WIDTH, batch=BATCH, workers=2, micro_batches=4, learn_rows=1.0)
print("; ".join(f"{name} {value:.2f}" for name, value in ideal.items() if "ideal" in name))

# %% [markdown]
# `python -m minidni speedup` does this in earnest, with the sizes that you give it, in threads, in processes, on Ray or
# with MPI. Look at the ideal of GPipe with $M = 4$ and $K = 2$, and at what real micro-batches of a quarter of the rows
# make of it: a small product is less than a quarter of the time cheaper.
#
# ### A thousand workers
#
# More than your machine has, so simulated: 64 layers, and up to 1,024 workers. Where there are more workers than
# layers, pipelines are copied, and share the rows. *pipedream* is a pipeline without a flush: exact gradients, but of
# weights that have moved on since. **Predict, then run.** Which curve stays highest? Is it the one that this course is
# about?

# %%
WAYS = ("gpipe", "data-parallel", "pipedream", "decoupled", "data-parallel + decoupled")
rows = list(scale_out(0, workers=(2, 4, 8, 16, 64, 256, 1024), schedules=WAYS))
curves = {way: [(row["workers"], row["speedup"]) for row in rows if row["schedule"] == way] for way in WAYS}
show_lines(
    {"times as fast as one worker": {way: tuple(zip(*points, strict=True)) for way, points in curves.items()}},
    "workers",
    log="xy",
)

# %%
at = {(row["schedule"], row["workers"]): row for row in rows}
for n in (8, 64):
    line = ", ".join(f"{way} x{at[way, n]['speedup']:.1f}" for way in WAYS)
    print(f"{n} workers: {line}")
    print(f"   GPipe passes decoupled with {at['gpipe', n]['break_even_m']:g} micro-batches")
stale = at["pipedream", 64]
print(f"pipedream at 64: gradients up to {stale['staleness']:.0f} updates old, {stale['cache_mb']:.0f} MB of caches")

# %% [markdown]
# **Q13 is half true.** Minibatches do parallelise: with enough micro-batches GPipe, which computes the true gradient,
# overtakes the decoupled pipeline. But a minibatch can only be cut into so many parts, and gradients have to be
# averaged over ever more workers; with more workers than layers it takes both together. And as long as there are no
# more workers than layers the highest curve is neither: it is a pipeline that puts up with stale gradients. Synthetic
# gradients have to be compared with *that*, and no simulation says which of the two learns more in an update.
#
# ## 5. What counts in the end
#
# A step is not an end in itself. Q16 asks how long it takes until the network is good. That was measured with real
# workers on MNIST: six hidden layers of 512 units with batch norm, cut in the middle, a synthesizer that sees the
# label, until 97 % of the test images were named rightly; on two cores, mean of three seeds. `python -m minidni
# experiment time-to-accuracy` prints it, and where the images are, runs on your machine.
#
# |  | updates | seconds | accuracy after 400 updates, % |
# |---|---|---|---|
# | one worker | 233 | 22.4 | 96.92 |
# | one worker, two BLAS threads | 240 | 17.2 | 97.22 |
# | two workers, locked | 233 | 22.1 | 96.92 |
# | two workers, data-parallel | 253 | 21.7 | 97.25 |
# | two workers, decoupled | 253 | 18.5 | 97.33 |
# | two workers, the lower one frozen | never | never | 95.10 |
#
# **Q16 is true here**: nine per cent more updates, and 17 % less time than one worker (16 % less than two locked). It
# is no proof of more. Two BLAS threads for one worker do as well with no synthesizer at all, the network is cut once,
# and it sees the label; the lessons before have shown cuts at which much more is lost in an update than a clock can
# bring back.

# %% [markdown] answer="words" points=2
# **A question to answer in words.** The two who argued: one says "the same work must be done, and the synthesizers'
# besides", the other "but each worker is updated sooner". Give each of them one sentence that they would have to agree
# to, with a number from this lesson in it.
#
# ### BEGIN SOLUTION
# To the first: yes, on one device a decoupled step takes longer by the ratio that I measured in section 1, and nothing
# makes that up. To the second: yes, but that buys something only if another worker uses the time; two workers came to
# the factor that I measured in section 4, at most the work of a whole step over that of the slower worker, and GPipe
# gets as far with enough micro-batches.
# ### END SOLUTION

# %% [markdown]
# ## What to remember
#
# - On one device synthetic gradients only cost: three products for a linear synthesizer, like one more layer.
# - What they shorten is the wait for an update, most of all at the bottom. It takes several workers to make time of it.
# - Two decoupled workers are faster than one from $n > (predict + fit) / (f + b)$ layers per segment on.
# - GPipe's share of the ideal is $M / (M + K - 1)$, data-parallel pays $2(K-1)/K$ of the gradients' bytes, decoupled
#   pays predict and fit. All three can be worked out before anything is built.
# - Stale gradients are the rival to beat, and what counts is the time until it is good.
#
# Sources: the locks and the first pipeline of this kind, Jaderberg et al. 2017 (arXiv 1608.05343), section 2; GPipe's
# bubble, Huang et al. 2019 (1811.06965); ring all-reduce, Patarasuk and Yuan 2009; PipeDream, Harlap et al. 2018
# (1806.03377).

# %%
# The library counts like you.
assert np.isclose(
    products(16, 1) / (products(8, 1) + 3),
    arithmetic(layers=16, width=1, batch=8, workers=2, micro_batches=4, learn_rows=1.0)["ideal speed-up, decoupled"],
)
layer = Stage(1.0, 2.0, 0.0, 1.0, 2.0, parameter_bytes=1e6)
for way in ("gpipe", "data-parallel", "decoupled"):
    assert np.isclose(step_seconds(way, layer, 12, 3), simulated_seconds(way, layer, 12, 3))
