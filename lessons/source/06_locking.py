# %% [markdown]
# # Locking
#
# - **Minutes:** 40
# - **Needs:** the lesson *A layer by hand*: forward, backward, and the cache that goes from one to the other
# - **Learn:** say who waits for whom and draw it, take one lock after another off a network, and count what waiting
#   costs and what not waiting costs
# - **Data:** none; all of it happens on paper, and a simulator checks the paper
#
# "Synthetic gradients unlock training", it says. What is locked? What is the key worth, and who needs one? So far all
# happened on one machine, one thing after another, and nobody ever waited. Now a network is spread over several
# workers, and you say which of them may work when. Later lessons guess gradients to open the locks; here you see what
# there is to open.
#
# There are three exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.

# %%
import numpy as np

from minidni.locking import schedules
from minidni.locking.costs import Stage
from minidni.locking.simulate import Tasks, simulate
from minidni.plots import show_lines, show_timelines, step_through

# %% [markdown]
# ## 1. Three locks
#
# A network is cut into $K$ segments, and each has a worker of its own. Segment $s$ runs forward and back for minibatch
# $k$, and updates its weights behind that. When may it? The paper that proposed synthetic gradients names three locks:
#
# - **forward**: a segment cannot run forward before the one below has;
# - **update**: it cannot update before all above it have run forward;
# - **backward**: nor before all above it have run backward, too.
#
# ```text
#                   what has to wait                 for what
#
#   forward lock    forward of segment s             forward of s - 1
#   update lock     backward and update of s         forward of s + 1, s + 2, ... up to the loss
#   backward lock   backward and update of s         forward and backward of all of those
# ```
#
# Backpropagation has all of them. They can be taken off one after another; with what, the lessons to come will say.
# Without the backward lock a segment needs no gradient from the one above, but still the error at the end (direct
# feedback alignment does that). Without the update lock as well it waits for nothing above it: it *guesses* its
# gradient (a synthetic gradient). Without the forward lock it does not even wait for its input.
#
# **Predict, with pencil and paper.** Three segments, a worker each. Forward takes 1 unit of time, backward 2, updates
# and messages nothing. Draw a lane for each worker, and what it does in the first two minibatches:
#
# 1. with all three locks;
# 2. without the backward lock;
# 3. without the backward and the update lock.
#
# In each: how many units lie between the ends of two minibatches, and what part of its time is worker 0 at work?
#
# ### Exercise 1: what comes before
#
# Now tell it to the machine. A task is `(kind, s, k)`: kind "forward" or "backward" of segment `s` (0 at the bottom,
# `K - 1` at the top) for minibatch `k`. Write `comes_before`: the list of the tasks that must be over before this one
# can start.
#
# - Whatever the locks, a segment runs backward behind its own forward, and begins minibatch `k` behind its own backward
#   of `k - 1` (the update is part of backward here).
# - `locks` is a set of the names "forward", "update" and "backward". Each that is in it adds a task. It need not be
#   more than one: the neighbour's, if that has waited for the others itself; or the topmost one's, if all below it have
#   run forward by then.
#
# A task may be named twice, and the order does not matter.


# %% exercise="comes-before"
def comes_before(kind, s, k, K, locks):
    """-> the tasks, (kind, s, k) each, that must be over before this one can start."""
    ### BEGIN SOLUTION
    if kind == "forward":
        before = [("backward", s, k - 1)] if k else []
        if "forward" in locks and s:
            before.append(("forward", s - 1, k))
        return before
    before = [("forward", s, k)]
    if "update" in locks:
        before.append(("forward", K - 1, k))
    if "backward" in locks and s < K - 1:
        before.append(("backward", s + 1, k))
    return before
    ### END SOLUTION


# %% test="comes-before-check" points=3
def expected_before(kind, s, k, K, locks):
    """-> the tasks that must be over, each with the reason, and others that are over then anyway."""
    below, above = range(s), range(s + 1, K)
    if kind == "forward":
        must = {("backward", s, k - 1): "a segment does one minibatch after another"} if k else {}
        if "forward" in locks and s:
            must["forward", s - 1, k] = "the forward lock"
        return must, {("forward", j, k) for j in below if "forward" in locks}
    must = {("forward", s, k): "backward takes the segment's own forward"}
    may = {("forward", j, k) for j in below if "forward" in locks}
    if "update" in locks and "backward" not in locks:
        must.setdefault(("forward", K - 1, k), "the update lock")
    if "backward" in locks and s < K - 1:
        must["backward", s + 1, k] = "the backward lock"
        may |= {("backward", j, k) for j in above}
    if "update" in locks or "backward" in locks:
        may |= {("forward", j, k) for j in above}
    return must, may


def check_comes_before(K, locks):
    """Stop with a sentence if a task is missing, or one too many."""
    for kind in ("forward", "backward"):
        for s in range(K):
            for k in (0, 3):
                what = f"{kind} of segment {s} of {K}, minibatch {k}, with the locks {sorted(locks) or 'none'}"
                got = comes_before(kind, s, k, K, set(locks))
                assert got is not None, f"{what}: got None; is there a return?"
                must, may = expected_before(kind, s, k, K, locks)
                for task, reason in must.items():
                    assert task in got, f"{what}: {task} must come before ({reason}), and is not in your list {got}."
                for task in got:
                    assert tuple(task) != (kind, s, k), f"{what}: it waits for itself."
                    assert 0 <= task[1] < K and task[2] >= 0, f"{what}: there is no task {task}."
                    assert tuple(task) in must or tuple(task) in may, f"{what}: it need not wait for {task}."


for some in (("forward", "update", "backward"), ("forward", "update"), ("forward",), ()):
    check_comes_before(3, some)
### BEGIN HIDDEN TESTS
for some in (("backward",), ("forward", "backward"), ("forward", "update")):
    check_comes_before(5, some)
check_comes_before(1, ("forward", "update", "backward"))
### END HIDDEN TESTS
print("Exercise 1: right.")

# %% [markdown]
# A simulator does the rest: each worker takes up a task as soon as it is free and all that comes before is over. White
# is waiting. Compare it with your drawing.

# %%
LOCKS = {
    "all three locks": ("forward", "update", "backward"),
    "no backward lock": ("forward", "update"),
    "no update lock": ("forward",),
    "no lock at all": (),
}


def timeline(name, K=3, n=4, f=1.0, b=2.0, workers=None):
    """The simulated timeline of n minibatches, with a worker for each of K segments, or with fewer."""
    tasks, numbers = Tasks(), {}
    for k in range(n):
        order = [("forward", s, k) for s in range(K)] + [("backward", s, k) for s in reversed(range(K))]
        for kind, s, _ in order:
            after = [numbers[task] for task in comes_before(kind, s, k, K, set(LOCKS[name]))]
            worker, seconds = s % (workers or K), f if kind == "forward" else b
            first = 0 if kind == "backward" else 1  # what a worker takes up that could do either
            numbers[kind, s, k] = tasks.add(worker, kind, s, k, seconds, after=after, priority=first)
    return simulate(tasks, workers or K, title=name)


drawn = {name: timeline(name) for name in LOCKS}
show_timelines(*(drawn[name] for name in list(LOCKS)[:3]), unit="units")

# %%
K, f, b = 3, 1.0, 2.0
print(f"{'':<20}{'units a minibatch':>19}{'workers busy':>15}{'four minibatches':>19}")
for name in list(LOCKS)[:3]:
    line = drawn[name]
    ends = [max(s.end for s in line.spans if s.minibatch == k) for k in range(4)]
    print(f"{name:<20}{ends[3] - ends[2]:19.0f}{line.utilisation:15.0%}{line.makespan:19.0f}")
    assert ends[3] - ends[2] == {0: K * (f + b), 1: K * f + b, 2: f + b}[list(LOCKS).index(name)]

# %% [markdown]
# With all locks a minibatch takes $K(f + b)$: as if there were one worker. Two of three always stand and wait, and more
# workers only wait more. Without the backward lock all go back at once, $K f + b$. Without the update lock every worker
# goes on as soon as it has its next input, $f + b$, whatever $K$ is; only the start is staggered.
#
# ## 2. On one device
#
# **Predict, then run.** Now one worker has all three segments. How long do four minibatches take with all three locks,
# and how long without the backward and update locks?

# %%
alone = [timeline(name, workers=1) for name in ("all three locks", "no update lock")]
show_timelines(*alone, unit="units")

# %%
for line in alone:
    print(f"{line.title:<20}{line.makespan:4.0f} units, busy {line.utilisation:.0%} of the time")
assert alone[0].makespan == alone[1].makespan == 4 * K * (f + b)

# %% [markdown]
# The same. A lock costs the time in which somebody waits, and a single worker never waits: there is always something to
# do. Without the locks it does it in another order, and that is all. The work is *slid in time*. And
# whatever guesses the gradient is not even in this picture, and comes on top. So a synthetic gradient between layers
# cannot make one device faster; it is about *several* workers, and about nothing else.
#
# ## 3. The price of waiting for the truth
#
# Who has several workers and does not want to guess gradients can slide, too. While worker 0 waits for its gradient, it
# can run forward for something else. There are two ways to get it something.
#
# **Pieces of the same minibatch.** Cut the minibatch into $M$ micro-batches, send them up one behind the other, then
# back one behind the other, and update at the end with the sum (GPipe). The gradients are exact.
#
# **Predict, with pencil and paper.** $K = 3$ workers, $M = 3$ micro-batches, each of which takes a third of the time.
# Draw it. Which part of the area stays white?

# %%
stages = [Stage(forward=1.0, backward=2.0)] * 3
show_timelines(*(schedules.gpipe(stages, 1, micro_batches=M) for M in (1, 3, 12)), unit="units")

# %% [markdown]
# ### Exercise 2: the bubble
#
# The white is called the *bubble*. Write its share of all workers' time, for $K$ workers with equal segments and $M$
# micro-batches, as a formula. On the way up, the last worker gets its first micro-batch $K - 1$ pieces late and then
# has one after another; on the way down it is the same, mirrored.


# %% exercise="bubble"
def bubble(K, M):
    """K workers, M micro-batches -> the share of their time in which they wait, 0 to 1."""
    ### BEGIN SOLUTION
    return (K - 1) / (M + K - 1)
    ### END SOLUTION


# %% test="bubble-check" points=1
def check_bubble(K, M, f, b):
    """Stop with a sentence if the share differs from the simulator's."""
    right = schedules.gpipe([Stage(forward=f, backward=b)] * K, 1, micro_batches=M).bubble_fraction
    got = bubble(K, M)
    assert got is not None, "bubble gives None: is there a return?"
    suspects = {
        "it is the share in which they work; the bubble is the rest": 1 - right,
        "it is the white over the coloured; it should be the white over all": right / (1 - right),
        "M pieces of work come behind K - 1 of waiting, not behind K": K / (M + K),
        "all time is M + K - 1 pieces, not M + K": (K - 1) / (M + K),
    }
    hint = next((f" Likely: {what}." for what, wrong in suspects.items() if abs(got - wrong) < 1e-9), "")
    assert abs(got - right) < 1e-9, f"bubble({K}, {M}) is {got:.4g}, and the simulator finds {right:.4g}.{hint}"


check_bubble(K=3, M=3, f=1.0, b=2.0)
check_bubble(K=4, M=1, f=1.0, b=1.0)
### BEGIN HIDDEN TESTS
check_bubble(K=7, M=5, f=2.0, b=3.5)
check_bubble(K=1, M=4, f=1.0, b=2.0)
### END HIDDEN TESTS
print("Exercise 2: right.")

# %% [markdown]
# **Predict, then run.** Four workers. How many micro-batches does it take until less than a tenth of the time is lost?

# %%
counts = np.arange(1, 65)
curves = {f"{K} workers": (counts, [100 * bubble(K, M) for M in counts]) for K in (2, 4, 8)}
show_lines({"bubble (%)": curves}, "micro-batches", levels={"a tenth": 10.0})

# %%
enough = next(M for M in counts if bubble(4, M) < 0.1)
print(f"{enough} micro-batches; of 256 rows that leaves {256 // enough} in each")
assert bubble(4, enough) < 0.1 <= bubble(4, enough - 1)

# %% [markdown]
# And a product of 9 rows with a matrix takes more than 9/256 of the time that one of 256 rows takes. So micro-batches
# have a price that this picture does not show; the lesson *What does it cost* puts it in.
#
# **Other minibatches.** Or worker 0 begins the *next* minibatch, and the one behind it, until the first gradient is
# back (PipeDream). Nobody waits, and each gradient is that of the loss, though of weights that have moved on meanwhile.
#
# ### Exercise 3: the caches
#
# Every forward pass leaves a cache that its backward pass will need, and until then it must be kept. Equal workers $0
# \ldots K - 1$ never wait: each begins a minibatch every $f + b$. How many caches does worker `s` have to keep at the
# same time, if it goes on while it waits for the *true* gradient? Follow one minibatch: how long is it from its
# forward in worker `s`, up to the loss and back again, to the end of its backward in worker `s`? Things under way =
# how long each is, divided by how far apart they begin.


# %% exercise="caches"
def caches_kept(s, K, f, b):
    """Worker s of K, which never waits -> how many caches it keeps at a time."""
    ### BEGIN SOLUTION
    under_way = (K - s) * (f + b)  # up through workers s to K - 1, and back through the same
    return under_way / (f + b)
    ### END SOLUTION


# %% test="caches-check" points=1
def check_caches_kept(K, f, b):
    """Stop with a sentence if it differs from what the simulator counts."""
    kept = schedules.one_f_one_b([Stage(forward=f, backward=b)] * K, 10 * K, flush=False).kept()
    got = [caches_kept(s, K, f, b) for s in range(K)]
    assert None not in got, "caches_kept gives None: is there a return?"
    suspects = {
        "worker 0 is the bottom one, and has the longest way": [s + 1 for s in range(K)],
        "the worker's own forward and backward belong to the time under way": [K - s - 1 for s in range(K)],
        "only the K - s workers from s upwards lie on the way, not all K": [K] * K,
        "that is a time; divide it by the f + b between two minibatches": [(K - s) * (f + b) for s in range(K)],
    }
    hint = next((f" Likely: {what}." for what, wrong in suspects.items() if np.allclose(got, wrong)), "")
    rounded = [round(float(one), 4) for one in got]
    assert np.allclose(got, kept), f"workers 0 to {K - 1} keep {kept} caches, and you have {rounded}.{hint}"


check_caches_kept(K=4, f=1.0, b=2.0)
### BEGIN HIDDEN TESTS
check_caches_kept(K=6, f=1.0, b=1.0)
check_caches_kept(K=1, f=2.0, b=3.0)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# **Predict, then run.** That was the pipeline of other minibatches. How many does each of four workers keep when
# locked, with four micro-batches, and when it guesses its gradient and waits for nothing?

# %%
four = [Stage(forward=1.0, backward=2.0)] * 4
pipelines = [
    schedules.locked(four, 100),
    schedules.gpipe(four, 100, micro_batches=4),
    schedules.one_f_one_b(four, 100, flush=False),
    schedules.decoupled(four, 100),
]
print(f"{'':<24}{'caches kept by worker 0, 1, 2, 3':>34}{'updates between':>20}{'busy':>8}")
print(f"{'':<24}{'':>34}{'forward and update':>20}")
for line in pipelines:
    kept, stale = line.kept(), [round(x, 1) for x in line.staleness().values()]
    print(f"{line.title:<24}{kept!s:>34}{stale[0]:20.1f}{line.utilisation:8.0%}")
assert pipelines[2].kept() == [4, 3, 2, 1] and pipelines[3].kept() == [1, 1, 1, 1]
step_through(schedules.one_f_one_b(four, 5, flush=False), unit="units")

# %% [markdown]
# Step through it: how many caches each worker keeps is written below. It is a law of queues (Little's): things under
# way = how often one begins, times how long it takes. Worker $s$ has a cache for $(K - s)(f + b)$, from its forward to
# the end of its backward, if it waits for the truth; and who begins one every $f + b$ has $K - s$ of them at a time.
# With a guessed gradient a cache lives for $f + b$: one. **The caches kept are the price of waiting for the truth
# without standing still.** (GPipe's micro-batches have caches of a fourth of the size each, so four of those are as
# much as one.)
#
# So there are three currencies: time (the bubble), memory together with age (caches, stale weights), and the error of a
# guess. Nobody gets it for nothing.

# %% [markdown] answer="slid-in-time" points=2
# **A question to answer in words.** In the forum one says: "The work is only *slid in time*: forward passes can slide
# in while the true gradient is still owed." For which number of workers is that all there is to it, and what does
# sliding bring otherwise? And what does a guessed gradient bring to somebody who already has a pipeline that never
# waits?
#
# ### BEGIN SOLUTION
# On one worker it is all: the same spans in another order, and the guesses on top. With several workers sliding fills
# the white, so a minibatch takes f + b in place of K(f + b); the work has not become less, but nobody stands and
# waits. A pipeline with other minibatches brings the same throughput with gradients that are exact, though of weights
# that have moved on. It pays with caches, K - s of them in worker s, and with updates that are as late. The guess
# needs one cache, and updates the weights that it has just used; it pays with the error of the guess, and with the
# work of making it.
# ### END SOLUTION

# %% [markdown]
# ## 4. The same as the library's
#
# Your list of what comes before what, against the library's schedules; with costs that no one has tuned:

# %%
odd = [Stage(forward=f, backward=b, predict=0.0, fit=0.0) for f, b in ((1.5, 2.5),) * 4]
schedule_of = {
    "all three locks": schedules.locked(odd, 6),
    "no update lock": schedules.decoupled(odd, 6),
    "no lock at all": schedules.decoupled(odd, 6, unlocked=True),
}
for name, library in schedule_of.items():
    mine = timeline(name, K=4, n=6, f=1.5, b=2.5)
    spans = [sorted(s[:6] for s in line.spans if s.kind in ("forward", "backward")) for line in (mine, library)]
    assert spans[0] == spans[1], f"{name}: the timelines differ"
    print(f"{name:<18} all {len(spans[0])} spans are the library's, {mine.makespan:g} units in all")

# %% [markdown]
# ## What to remember
#
# - Three locks: forward (the input), update (all above have run forward), backward (and back). Locking is waiting at a
#   boundary.
# - With $K$ equal workers a minibatch takes $K(f + b)$ with all locks, $Kf + b$ without the backward lock, and $f + b$
#   without the update lock.
# - On one device nobody waits, so there is nothing to unlock. The work is slid in time, and does not get less.
# - Exact gradients have their price, too: GPipe's bubble $(K - 1)/(M + K - 1)$, or the $K - s$ caches of a worker that
#   goes on while it waits, and weights that have moved meanwhile.
#
# ## Where the formulas come from
#
# - The three locks: M. Jaderberg and others, *Decoupled neural interfaces using synthetic gradients*, ICML 2017, arXiv
#   1608.05343.
# - Micro-batches and their bubble: Y. Huang and others, *GPipe*, NeurIPS 2019, arXiv 1811.06965.
# - Minibatches under way and how many: A. Harlap and others, *PipeDream*, arXiv 1806.03377; with a flush: D. Narayanan
#   and others, arXiv 2104.04473.
# - Things under way = rate times time: J. D. C. Little, *A proof for the queuing formula L = λW*, Operations Research 9
#   (1961).
