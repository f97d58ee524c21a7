# %% [markdown]
# # A worker for each segment
#
# - **Minutes:** 45
# - **Needs:** the lesson *Locking*: the three locks and timelines; the lesson *Synthetic gradients*: a boundary, a
#   segment's step, and what a synthesizer learns from; Python's generators are explained where they come
# - **Learn:** write a worker's program in which every wait is a `yield`, foretell from measured costs what two workers
#   bring, let them run on the cores of your own machine, and say what a lock is good for
# - **Data:** the embedded 8x8 digits
#
# On paper it is clear who waits for whom. What does such a worker *do*? Here are the programs, which you write, and in
# the end they run on your machine, and are measured.
#
# There are three exercises and a question to answer in words. The checks of the exercises do not depend on each other:
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
from minidni.locking.worker import Worker
from minidni.plots import show_chain, show_timelines

# %% [markdown]
# ## 1. A worker's program
#
# A worker runs a program, and at some places in it has to wait for another
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
# ### Exercise 1: a locked worker
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
print("Exercise 1: right.")

# %% [markdown]
# No worker sees another's weights, and still what they do together is backpropagation, bit for bit.
#
# ### Exercise 2: a decoupled worker
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
print("Exercise 2: right.")

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
# ## 2. The same programs, in threads
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
# ### Exercise 3: foretell
#
# How many seconds will a minibatch take, once all runs evenly: with one worker that has all stages, with a worker for
# each stage, locked, and with a worker for each stage, decoupled? A stage has the costs `forward`, `backward`,
# `update`, `predict` and `fit`, in seconds; messages cost nothing here. Who does not predict need not fit. (A
# synthesizer's fit is work of the stage that uses it. With the locks, an update need not be waited for by anybody but
# the worker itself; take it that the next minibatch begins when all updates are over.)


# %% exercise="foretell"
def foretell(stages):
    """Stages, the bottom one first -> seconds a minibatch: {"one": ..., "locked": ..., "decoupled": ...}."""
    ### BEGIN SOLUTION
    exact = [stage.forward + stage.backward + stage.update for stage in stages]
    guessed = [cost + stage.predict + stage.fit for cost, stage in zip(exact, stages, strict=True)]
    return {"one": sum(exact), "locked": sum(exact), "decoupled": max(guessed)}
    ### END SOLUTION


# %% test="foretell-check" points=2
def check_foretell(stages):
    """Stop with a sentence if a time differs from what it should be, which the simulator confirms."""
    got = foretell(stages)
    assert got is not None, "foretell gives None: is there a return?"
    assert set(got) == {"one", "locked", "decoupled"}, f"the keys are {sorted(got)}, expected decoupled, locked, one."
    steps = [stage.forward + stage.backward + stage.update for stage in stages]
    costs = [step + stage.predict + stage.fit for step, stage in zip(steps, stages, strict=True)]
    right = {"one": sum(steps), "locked": sum(steps), "decoupled": max(costs)}
    for name, schedule in (("one", schedules.one), ("decoupled", schedules.decoupled)):
        simulated = schedule(stages, 100).seconds_per_minibatch(10)
        assert abs(simulated - right[name]) < 0.02 * simulated  # the first and the last few run less evenly
    suspects = {
        "a worker that is free waits for the busiest one": min(costs),
        "the workers are at work at the same time, so do not add them up": sum(costs),
        "it is not the mean: the busiest worker sets the pace": sum(costs) / len(costs),
        "what the synthesizer costs is missing": max(steps),
        "what it costs to learn is missing": max(s + stage.predict for s, stage in zip(steps, stages, strict=True)),
        "nobody predicts there, so nobody pays for predict and fit": sum(costs),
        "with the locks only one works at a time": max(steps),
    }
    for name, expected in right.items():
        fitting = [what for what, wrong in suspects.items() if abs(got[name] - wrong) < 1e-9]
        about = [what for what in fitting if ("nobody" in what or "locks" in what) == (name != "decoupled")]
        hint = f" Likely: {about[0]}." if about else ""
        assert abs(got[name] - expected) < 1e-9, f"{name}: {got[name]:.4g} s, expected {expected:.4g} s.{hint}"


check_foretell([Stage(1.5, 2.5, 0.25, 0.5, 0.75), Stage(1.5, 2.0, 0.25)])
### BEGIN HIDDEN TESTS
check_foretell([Stage(1.0, 2.0, 0.5, 0.25, 0.25), Stage(2.0, 3.0, 0.5, 0.25, 0.5), Stage(0.5, 1.0, 0.0)])
check_foretell([Stage(3.0, 4.0, 1.0)])
### END HIDDEN TESTS
print("Exercise 3: right.")

# %% [markdown]
# **Predict, then run.** What will your machine take, with the numbers above in `foretell`? Which worker has more to do
# when decoupled?
#
# `train` starts the workers, and writes down what each did when.

# %%
expected = foretell(halves)
simulated = {
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
print(f"{'ms a minibatch':<16}{'foretold':>12}{'measured':>12}{'times as fast as one worker':>30}")
for name, done in runs.items():
    real = done.timeline.seconds_per_minibatch(5)
    print(f"{name:<16}{1e3 * expected[name]:12.1f}{1e3 * real:12.1f}{on_one / real:30.2f}")

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
# ## 3. The same as the library's
#
# Your programs against the library's, inline; and the locked one on threads:

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
# - The waits of a program are its locks: two in a minibatch when locked, one when decoupled, none when unlocked.
# - A wait is also what makes a run repeatable to the bit.
# - Locked workers take as long as one worker does; of decoupled ones, the busiest sets the pace, its synthesizer
#   included.
# - BLAS lets go of Python's lock, so threads can be workers where their time goes into large products.
#
# ## Where the formulas come from
#
# - The three locks: M. Jaderberg and others, *Decoupled neural interfaces using synthetic gradients*, ICML 2017, arXiv
#   1608.05343.
# - The digits: E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI Machine Learning Repository,
#   1998, CC BY 4.0.
