# %% [markdown]
# # Locking
#
# - **Minutes:** 60
# - **Needs:** the lesson *Synthetic gradients*: a boundary, a segment's step, and what a synthesizer learns from;
#   Python's generators are explained where they come
# - **Learn:** say who waits for whom and draw it, take one lock after another off a network, count what waiting costs
#   and what not waiting costs, write a worker's program in which every wait is a `yield`, and measure real workers
# - **Data:** the embedded 8x8 digits
#
# "Synthetic gradients unlock training", it says. What is locked? What is the key worth, and who needs one? So far all
# happened on one machine, one thing after another, and nobody ever waited. Now a network is spread over several
# workers. First on paper, where you say which of them may work when, then as programs that you write, and in the end on
# the cores of your own machine.
#
# There are four exercises and a question to answer in words. The checks of the exercises do not depend on each other:
# one that fails does not spoil the next.

# %%
import inspect
import threading
import time
from collections import defaultdict, deque
from functools import partial
from itertools import pairwise

import numpy as np

from minidni import Adam, Chain, Linear, ReLU, Sequential, SoftmaxCrossEntropy, Synthesizer
from minidni.data import Minibatches, load_digits
from minidni.dni import networks
from minidni.locking import blas, programs, schedules, train
from minidni.locking.costs import Stage, measure
from minidni.locking.messages import END, Done, Message, Poll, Receive, Send
from minidni.locking.simulate import Tasks, simulate
from minidni.locking.worker import Worker
from minidni.plots import show_chain, show_lines, show_timelines, step_through

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
# Backpropagation has all of them. They can be taken off one after another, and you know what takes them off. Without
# the backward lock a segment needs no gradient from the one above, but still the error at the end: that is direct
# feedback alignment. Without the update lock as well it waits for nothing above it: a synthetic gradient. Without the
# forward lock it does not even wait for its input.
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
# do. Without the locks it does it in another order, and that is all. The work is *slid in time*. And the
# synthesizers, which are not even in this picture, come on top. So a synthetic gradient between layers cannot make one
# device faster; it is about *several* workers, and about nothing else.
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
# have a price that this picture does not show; the next lesson puts it in.
#
# **Other minibatches.** Or worker 0 begins the *next* minibatch, and the one behind it, until the first gradient is
# back (PipeDream). Nobody waits, and each gradient is that of the loss, though of weights that have moved on meanwhile.
#
# **Predict, then run.** Every forward pass leaves a cache that its backward pass will need. Four workers that never
# wait: how many caches does each of them have to keep at the same time?

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
# With a synthetic gradient a cache lives for $f + b$: one. **The caches kept are the price of waiting for the truth
# without standing still.** (GPipe's micro-batches have caches of a fourth of the size each, so four of those are as
# much as one.)
#
# So there are three currencies: time (the bubble), memory together with age (caches, stale weights), and the error of a
# guess. Nobody gets it for nothing.

# %% [markdown]
# ## 4. A worker's program
#
# Enough of paper. What does such a worker *do*? It runs a program, and at some places in it has to wait for another
# worker. We want to see these places. So the program is a *generator*: a function with `yield` in it. When it comes to
# a `yield` it stops, hands out what stands behind it, and goes on when it is sent an answer:

# %%


def counts_down():
    answer = yield "shall I?"
    while answer:
        answer = yield f"{answer} ..."


talk = counts_down()
print(next(talk), talk.send(3), talk.send(2), talk.send(1))

# %% [markdown]
# A worker hands out requests. There are four:
#
# ```text
#   yield Send(to, Message(k, arrays=(...)))     give a message to worker `to`; it is copied, and nobody waits
#   message = yield Receive(sender, k)           the next message from `sender`: it WAITS until there is one
#   message = yield Poll(sender)                 the next one, or None if there is none: it never waits
#   yield Done(k)                                minibatch k is over
# ```
#
# Who runs the programs decides how the requests are met. Here is somebody who runs all of them in one thread, in turns
# from the bottom up. A turn goes on to `Done`, or until there is something to wait for. It counts the waits.


# %%
def run(*workers):
    """Run the programs of workers 0, 1, ... to their ends -> for each, how often it has waited for a minibatch."""
    on_the_way = defaultdict(deque)  # (from, to) -> messages
    waits = [0] * len(workers)
    requests = [next(worker) for worker in workers]
    while any(requests):
        moved = False
        for rank, worker in enumerate(workers):
            while (request := requests[rank]) is not None:
                answer = None
                match request:
                    case Send(to, message):
                        on_the_way[rank, to].append(message.copied())
                    case Receive(sender) | Poll(sender) if on_the_way[sender, rank]:
                        answer = on_the_way[sender, rank].popleft()
                    case Receive():
                        break
                waits[rank] += isinstance(request, Receive) and request.minibatch != END
                moved = True
                try:
                    requests[rank] = worker.send(answer)
                except StopIteration:
                    requests[rank] = None
                if isinstance(request, Done):
                    break
        if not moved:
            stuck = [f"worker {rank} for worker {r.sender}" for rank, r in enumerate(requests) if r is not None]
            raise AssertionError(f"Nobody can go on, for all are waiting: {', '.join(stuck)}.")
    return waits


digits = load_digits()
loss = SoftmaxCrossEntropy()
N_IN, N_CLASSES = digits.features, digits.n_classes


def make_chain(widths, at, seed=0, dtype=np.float64):
    """Linear maps and ReLUs of these widths and a readout, cut in front of the hidden layers `at`."""
    rng, layers = np.random.default_rng(seed), []
    for n_in, n_out in pairwise((N_IN, *widths)):
        layers += [Linear(n_in, n_out, rng=rng, dtype=dtype), ReLU()]
    sizes = iter([widths[i - 1] for i in at])
    return Chain.cut(
        Sequential(*layers, Linear(widths[-1], N_CLASSES, rng=rng, dtype=dtype)),
        [2 * i for i in at],
        signal=lambda _: Synthesizer(networks.linear(next(sizes), N_CLASSES, rng=rng, dtype=dtype), Adam(1e-3)),
        loss=loss,
        optimizer=lambda: Adam(1e-3),
        names=[f"segment {i}" for i in range(len(at) + 1)],
    )


def source(size, seed=0, dtype=np.float64):
    """`source(k)` is minibatch k, (x, labels), whoever asks."""
    return Minibatches(digits.x_train.astype(dtype), digits.y_train, size=size, seed=seed)


def numbers(chain):
    """All that a chain has learned, layers and synthesizers, as one array."""
    nets = [s.net for s in chain] + [s.signal.net for s in chain if isinstance(s.signal, Synthesizer)]
    return np.concatenate([slab.ravel() for net in nets for slab in net.params.slabs])


# %% [markdown]
# This is the chain that they will train, three segments:

# %%
show_chain(make_chain((20, 20, 20), at=(1, 2)))

# %% [markdown]
# ### Exercise 3: a locked worker
#
# Write the program of a worker that does backpropagation. `segment` is its segment; `below` and `above` are the numbers
# of its neighbours, or None; `get(k)` gives minibatch `k`, x and labels, and only the bottom worker may ask it. For
# each of `n` minibatches:
#
# - its input: from `get`, or x and labels out of a message from below (`x, labels = message.arrays`);
# - `h, cache = segment.forward(x)`; h and the labels go to the worker above, if there is one;
# - dh: at the top `segment.signal.gradient(h, labels)`, which is the loss's; elsewhere out of a message from above
#   (`(dh,) = message.arrays`);
# - `dx = segment.update(dh, cache)`, which runs backward and lets the optimiser take its step; dx goes to the worker
#   below, if there is one (`arrays=(dx,)`);
# - `yield Done(k)`.


# %% exercise="locked-worker"
def locked(segment, below, above, get, n):
    """The program of a worker that waits for the true gradient."""
    ### BEGIN SOLUTION
    for k in range(n):
        if below is None:
            x, labels = get(k)
        else:
            message = yield Receive(below, k)
            x, labels = message.arrays
        h, cache = segment.forward(x)
        if above is None:
            dh = segment.signal.gradient(h, labels)
        else:
            yield Send(above, Message(k, arrays=(h, labels)))
            message = yield Receive(above, k)
            (dh,) = message.arrays
        dx = segment.update(dh, cache)
        if below is not None:
            yield Send(below, Message(k, arrays=(dx,)))
        yield Done(k)
    ### END SOLUTION


# %% test="locked-worker-check" points=2
def forbidden(k):
    raise AssertionError("A worker that is not at the bottom asked for the data; its input comes from below.")


def watched(program, rank, n):
    """The same program, and a sentence where it asks for something odd, or does not say Done n times."""
    assert inspect.isgenerator(program), "The program is no generator: there is no `yield` in it."
    request, done = next(program, None), 0
    while request is not None:
        kinds = Send, Receive, Poll, Done
        assert isinstance(request, kinds), f"Worker {rank} yields {request!r}, expected Send, Receive, Poll or Done."
        done += isinstance(request, Done)
        try:
            request = program.send((yield request))
        except StopIteration:
            request = None
    assert done == n, f"Worker {rank} has said Done {done} times for {n} minibatches."


def run_chain(program, chain, get, n):
    """Each segment of the chain with a worker of its own -> how often each has waited."""
    K = len(chain)
    workers = []
    for s, segment in enumerate(chain):
        neighbours = s - 1 if s else None, s + 1 if s < K - 1 else None
        workers.append(watched(program(segment, *neighbours, forbidden if s else get, n), s, n))
    return run(*workers)


def check_weights(mine, right, suspects, K, shorter=None):
    """Stop with a sentence on the first segment that is not, to the last bit, what it should be."""
    for s in range(K):
        for name, p in right[s].net.params.items():
            if not np.array_equal(mine[s].net.params[name], p):
                likely = [what for what, other in suspects.items() if np.array_equal(numbers(mine), numbers(other))]
                hint = f" Likely: {likely[0]}." if likely else ""
                apart = np.abs(mine[s].net.params[name] - p).max()
                raise AssertionError(f"segment {s} of {K}: {name} is off by up to {apart:.2g}.{hint}")
    for s in range(K - 1):
        for name, p in right[s].signal.net.params.items():
            if not np.array_equal(mine[s].signal.net.params[name], p):
                apart = np.abs(mine[s].signal.net.params[name] - p).max()
                hint = ""
                if shorter and np.array_equal(mine[s].signal.net.params[name], shorter[s].signal.net.params[name]):
                    hint = " Likely: the last target is left out; wait for it behind the last minibatch."
                raise AssertionError(f"segment {s} of {K}: the synthesizer's {name} is off by up to {apart:.2g}.{hint}")


def check_locked_worker(K, seed, n=7):
    """Stop with a sentence if K workers do anything else than Chain.backprop, or wait more than they must."""
    make = partial(make_chain, (12,) * K, tuple(range(1, K)), seed)
    get, mine, right, piled = source(30, seed), make(), make(), make()
    waits = run_chain(locked, mine, get, n)
    for k in range(n):
        right.backprop(*get(k))
        hs, caches, x = [], [], get(k)[0]
        for segment in piled:  # the same with gradients that nobody has set to zero
            x, cache = segment.forward(x)
            hs.append(x)
            caches.append(cache)
        dx = loss.gradient(x, get(k)[1])
        for segment, cache in reversed(list(zip(piled, caches, strict=True))):
            dx = segment.backward(dx, cache)
            segment.apply()
    suspects = {"nothing was updated": make(), "gradients pile up; segment.update sets them to zero": piled}
    check_weights(mine, right, suspects, K)
    expected = [n * ((s > 0) + (s < K - 1)) for s in range(K)]
    assert waits == expected, f"the {K} workers waited {waits} times in {n} minibatches, expected {expected}."


check_locked_worker(K=3, seed=0)
check_locked_worker(K=1, seed=1)
### BEGIN HIDDEN TESTS
check_locked_worker(K=4, seed=2)
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# No worker sees another's weights, and still what they do together is backpropagation, bit for bit.
#
# ### Exercise 4: a decoupled worker
#
# Change the program so that it waits for nothing above it. The update takes `segment.signal.gradient(h, labels)` in all
# segments, the top one included: at the top that is the loss, elsewhere a synthesizer. The dx from above comes some
# time later, and is what the synthesizer learns from:
#
# - At the beginning of each minibatch, and before anything else: while `yield Poll(above)` gives a message, let the
#   signal learn from it, `segment.signal.learn(h, dh, labels)`. That takes the `h` and the labels of the minibatch that
#   the message is about, `message.minibatch`. So keep them in a dictionary, `kept[k] = h, labels`, and take them out of
#   it.
# - Behind the last minibatch, some are still to come: as long as there is something in `kept`, wait with `yield
#   Receive(above, END)` and learn from what comes. (END says that it is for no minibatch any more; `run` does not count
#   it.)


# %% exercise="decoupled-worker"
def decoupled(segment, below, above, get, n):
    """The program of a worker that waits for its input and for nothing else."""
    ### BEGIN SOLUTION
    kept = {}

    def learn(message):
        h, labels = kept.pop(message.minibatch)
        segment.signal.learn(h, *message.arrays, labels)

    for k in range(n):
        if above is not None:
            while (message := (yield Poll(above))) is not None:
                learn(message)
        if below is None:
            x, labels = get(k)
        else:
            message = yield Receive(below, k)
            x, labels = message.arrays
        h, cache = segment.forward(x)
        if above is not None:
            yield Send(above, Message(k, arrays=(h, labels)))
            kept[k] = h, labels
        dx = segment.update(segment.signal.gradient(h, labels), cache)
        if below is not None:
            yield Send(below, Message(k, arrays=(dx,)))
        yield Done(k)
    while kept:
        learn((yield Receive(above, END)))
    ### END SOLUTION


# %% test="decoupled-worker-check" points=3
def check_decoupled_worker(K, seed, n=7):
    """Stop with a sentence if K workers do anything else than Chain.decoupled, or wait more than they must."""
    make = partial(make_chain, (12,) * K, tuple(range(1, K)), seed)
    get = source(30, seed)
    mine, right, exact, late, deaf, shorter = (make() for _ in range(6))
    waits = run_chain(decoupled, mine, get, n)
    for k in range(n):
        right.decoupled(*get(k))
        exact.backprop(*get(k))
        late.decoupled(*get(k), lag=1)
        if k < n - 1:
            shorter.decoupled(*get(k))
        x = get(k)[0]
        for segment in deaf:
            x, _ = segment.step(x, get(k)[1])
    for s in range(K - 1):
        fresh = not any(slab.any() for slab in mine[s].signal.net.params.slabs)
        assert not fresh, (
            f"segment {s} of {K}: the synthesizer has learned nothing; are the messages from above polled?"
        )
    suspects = {
        "it is backpropagation: a gradient was waited for": exact,
        "the synthesizers learn a minibatch late: poll before the forward pass": late,
        "the synthesizers learn nothing": deaf,
    }
    check_weights(mine, right, suspects, K, shorter)
    expected = [n * (s > 0) for s in range(K)]
    assert waits == expected, f"the {K} workers waited {waits} times in {n} minibatches, expected {expected}."


check_decoupled_worker(K=3, seed=0)
check_decoupled_worker(K=2, seed=1)
### BEGIN HIDDEN TESTS
check_decoupled_worker(K=4, seed=2, n=3)
check_decoupled_worker(K=1, seed=3)
### END HIDDEN TESTS
print("Exercise 4: right.")

# %% [markdown]
# **Predict, then run.** The library's workers hand out the same requests, so the loop above can run them, too. How
# often does each of three workers wait in a minibatch: locked, decoupled, unlocked? And which lock is which wait?


# %%
def library_waits(mode, n=10):
    """How often each worker of the library waits in a minibatch."""
    chain = make_chain((12, 12, 12), at=(1, 2))
    for segment in chain.segments[1:]:  # what it runs on when nothing is locked: a guess from the data
        segment.inputs = Synthesizer(networks.linear(N_IN, n_out=12, dtype=np.float64), Adam(1e-3), predicts="input")
    program, get = programs.PROGRAMS[mode], source(30)
    return (
        np.array(
            run(*(program(Worker(segment, get, s, 3, 0, n, input_shape=(12,))) for s, segment in enumerate(chain)))
        )
        / n
    )


per_minibatch = {mode: library_waits(mode) for mode in ("locked", "decoupled", "unlocked")}
print(f"{'waits in a minibatch':<22}" + "".join(f"{f'worker {s}':>10}" for s in range(3)))
for mode, waits in per_minibatch.items():
    print(f"{mode:<22}" + "".join(f"{wait:10.0f}" for wait in waits))
assert [list(waits) for waits in per_minibatch.values()] == [[1, 2, 1], [0, 1, 1], [0, 0, 0]]

# %% [markdown]
# A worker in the middle waits twice, once, and never. The wait for the input is the forward lock. The wait for dh is
# the other two locks in one: dh comes when all above have run forward *and* back. (The last line is a lesson of its
# own.)
#
# ## 5. The same programs, in threads
#
# A thread for each worker, and the programs stay as they are; only their requests are now met by real queues. But does
# Python not have a lock of its own, that lets only one thread run at a time? It has. But a matrix product is not done
# by Python: NumPy hands it to a BLAS library, and lets go of Python's lock meanwhile.
#
# **Predict, then run.** The same piece of work twice: one after the other, and in two threads at a time. Once it is a
# large matrix product, once a loop in Python. What is the ratio of the times?


# %%
def seconds(task, *, threads):
    """What it takes to do it twice."""
    start = time.perf_counter()
    if threads:
        both = [threading.Thread(target=task) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
    else:
        task()
        task()
    return time.perf_counter() - start


A = np.ones((800, 800), np.float32)
work = {
    "matrix products": lambda: [A @ A for _ in range(4)],
    "a loop in Python": lambda: [i * i for i in range(500_000)],
}
cores = blas.share(1)
print(f"This Python may use {cores} core{'s' * (cores > 1)}.\n")
with blas.limited(1):  # each thread's own products in one thread, or they would fight for the cores
    for name, task in work.items():
        task()
        times = np.median([[seconds(task, threads=threads) for threads in (False, True)] for _ in range(3)], axis=0)
        print(f"{name:<18} one after the other {1e3 * times[0]:6.1f} ms, in two threads {1e3 * times[1]:6.1f} ms")

# %% [markdown]
# With two free cores, the products take about half the time, and the loop takes as long as before (but for Pythons
# built without that lock). So threads will do for workers, as long as their time is spent in large products. (Processes
# have a Python each. `train(..., transport="processes")` starts them; but a fresh process knows nothing of what you
# define in a notebook, so your own layers and functions would have to stand in a file that it can import. Threads see
# it all.)
#
# Now a network that is worth it: eight hidden layers of 512 units, cut in the middle, two workers. First a measurement
# of what each half takes, with one worker on an idle machine:

# %%
WIDTHS, ROWS, STEPS = (512,) * 8, 256, 20
large = make_chain(WIDTHS, at=(4,), dtype=np.float32)
minibatches = source(ROWS, dtype=np.float32)
halves = measure(large, *minibatches(0), repeats=5)
print(f"{'ms':<10}" + "".join(f"{name:>11}" for name in ("forward", "backward", "update", "predict", "fit")))
for i, half in enumerate(halves):
    costs = (half.forward, half.backward, half.update, half.predict, half.fit)
    print(f"segment {i:<2}" + "".join(f"{1e3 * cost:11.2f}" for cost in costs))

# %% [markdown]
# **Predict, from these numbers.** How many milliseconds will a minibatch take with one worker that has both halves?
# With two workers, locked? With two workers, decoupled? (Which worker has more to do then?)
#
# The simulator can say, and then we let them run. `train` starts the workers, and writes down what each did when.

# %%
simulated = {
    "one": schedules.one(halves, STEPS),
    "locked": schedules.locked(halves, STEPS),
    "decoupled": schedules.decoupled(halves, STEPS),
}
whole = make_chain(WIDTHS, at=(), dtype=np.float32)
runs = {
    "one": train(whole, minibatches, STEPS, mode="locked", blas_threads=1),
    "locked": train(large, minibatches, STEPS, mode="locked", blas_threads=1),
    "decoupled": train(large, minibatches, STEPS, mode="decoupled", blas_threads=1),
}
on_one = runs["one"].timeline.seconds_per_minibatch(5)
print(f"{'ms a minibatch':<16}{'simulated':>12}{'measured':>12}{'times as fast as one worker':>30}")
for name, done in runs.items():
    paper, real = simulated[name].seconds_per_minibatch(5), done.timeline.seconds_per_minibatch(5)
    print(f"{name:<16}{1e3 * paper:12.1f}{1e3 * real:12.1f}{on_one / real:30.2f}")

# %%
middle = STEPS // 2
show_timelines(
    *(line for name in ("locked", "decoupled") for line in (simulated[name], runs[name].timeline)),
    first=middle,
    last=middle + 3,
)

# %% [markdown]
# Each simulated timeline has the measured one below it, on the same axis. (Only what belongs to these four minibatches
# is drawn; where the decoupled ones are white, it was others' turn.) The thin hatched bars are waiting: under the lock
# the two take turns, and decoupled they work at the same time. Where the
# measured bars are longer than the simulated ones, two workers share what there is only one of: the memory's bandwidth,
# Python's lock between the products, the heat of the chip. And with one free core, or with a busy neighbour on your
# machine, there is nothing to gain at all.
#
# What is a wait worth? Here is the part of their time that the workers wait:

# %%
for name in ("locked", "decoupled"):
    line = runs[name].timeline
    waiting = [sum(s.end - s.start for s in line.spans if s.kind == "wait" and s.worker == w) for w in (0, 1)]
    shares = ", ".join(f"worker {w} {share / line.makespan:.0%}" for w, share in enumerate(waiting))
    count = [sum(s.kind == "wait" for s in line.spans if s.worker == w) for w in (0, 1)]
    print(f"{name:<11} waiting: {shares}; waits in {STEPS} minibatches: {count[0]} and {count[1]}")

# %% [markdown]
# ### What a lock is good for
#
# **Predict, then run.** Each run once more, on threads, from the same weights and with the same minibatches. Will the
# weights be the same afterwards, to the last bit?

# %%
small = make_chain((32, 32), at=(1,))
get, by_hand = source(50), make_chain((32, 32), at=(1,))
for k in range(100):
    by_hand.backprop(*get(k))
for mode in ("locked", "decoupled"):
    twice = [numbers(train(small, get, 100, mode=mode, blas_threads=1).chain) for _ in range(2)]
    print(f"{mode:<10} largest difference between the two runs {np.abs(twice[0] - twice[1]).max():.1e}", end="")
    print(f", to backpropagation in a loop {np.abs(twice[0] - numbers(by_hand)).max():.1e}")
    assert mode == "decoupled" or all(np.array_equal(one, numbers(by_hand)) for one in twice)

# %% [markdown] answer="not-the-same" points=2
# **A question to answer in words.** The locked workers make the same bits every time, in whatever order the threads
# happen to run. The decoupled ones, as a rule, do not. Which line of your program is the reason? Is that a mistake in
# it? And how could one test such a program nevertheless?
#
# ### BEGIN SOLUTION
# The line with `Poll`. It takes what has come by now, and what has come by now depends on how fast the other thread
# happened to be. So a synthesizer learns from a target one minibatch earlier or later, and from then on predicts
# something else. Every `Receive` names what it waits for, so with only those the order of all that is calculated is
# fixed. A lock is also what makes a result repeatable. It is no mistake: not waiting *means* taking what is there.
# Still one can test: run the same program with a loop that takes turns in a fixed order, as `run` does, and compare
# that bit for bit; and of the threads ask what must hold in any order: that all minibatches were done, that no target
# was lost or used twice, that the loss came down.
# ### END SOLUTION

# %% [markdown]
# ## 6. The same as the library's
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
# And your programs against the library's, inline; and the locked one on threads:

# %%
for mode, program in (("locked", locked), ("decoupled", decoupled)):
    mine = make_chain((24, 24, 24), at=(1, 2), seed=5)
    run_chain(program, mine, get, 40)
    for transport in ("inline", "threads")[: 2 if mode == "locked" else 1]:
        other = train(make_chain((24, 24, 24), at=(1, 2), seed=5), get, 40, mode=mode, transport=transport)
        assert np.array_equal(numbers(mine), numbers(other.chain)), f"{mode}: not what the library does {transport}"
        print(f"{mode:<10} as the library does it, {transport}: bit for bit")

# %% [markdown]
# Find your lines in it. (`average` is for several copies of a chain; `micro_batches` makes it GPipe.)

# %%
print(inspect.getsource(programs.locked))
print(inspect.getsource(programs.decoupled))

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
# - The waits of a program are its locks: two in a minibatch when locked, one when decoupled, none when unlocked.
# - A wait is also what makes a run repeatable to the bit.
# - BLAS lets go of Python's lock, so threads can be workers where their time goes into large products.
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
# - The digits: E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI Machine Learning Repository,
#   1998, CC BY 4.0.
