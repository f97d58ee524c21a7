"""`train`: a chain trained by workers, on any transport, in any mode."""

import pickle
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from ..arrays import device_of, to_device
from ..arrays.checks import expect_not_negative, expect_number, expect_positive
from ..dni import Chain, Segment
from ..dni.from_above import FromAbove
from .checkpoints import Checkpoints
from .faults import Fault
from .inline import Inline
from .processes import Processes
from .programs import PROGRAMS
from .threads import Threads
from .timeline import Timeline
from .transport import Outcome, Plan, Transport, Watch, WorkerFailed, called, with_checkpoint
from .worker import Source, Worker

Mode = Literal["locked", "decoupled", "unlocked"]


@dataclass(frozen=True)
class Run:
    """What `train` returns.

    Attributes:
        chain: the trained one; that handed in is as it was.
        timeline: what each worker did, the last spans of it.
        losses: (k, loss) of the minibatches for which it was taken down; each replica's.
        counts: messages that were lost, repeated, given up, and checkpoints that were not written.
    """

    chain: Chain
    timeline: Timeline
    losses: list[tuple[int, float]]
    counts: dict[str, int]


def train(
    chain: Chain,
    source: Source,
    n: int,
    *,
    mode: Mode = "decoupled",
    transport: str | Transport = "threads",
    replicas: int = 1,
    micro_batches: int = 1,
    capacity: int = 2,
    pending: int = 16,
    lag: int = 0,
    learn_rows: float = 1.0,
    devices: Sequence[str] | None = None,
    blas_threads: int | None = None,
    patience: float = 30.0,
    checkpoints: Checkpoints | str | PathLike[str] | None = None,
    resume: bool = False,
    restarts: int = 0,
    faults: Sequence[Fault] = (),
    log: int = 1,
    trace: int = 10_000,
    progress: bool = True,
) -> Run:
    """Train a chain with a worker for each segment, on minibatches 0 to n - 1.

    Args:
        chain: is copied, and stays as it is; the trained one is `run.chain`.
        source: `source(k)` gives minibatch k, (x, labels), and the same whenever it is asked, such as
            `minidni.data.Minibatches`. Workers at the bottom ask it, and all of them if nothing is locked.
        n: how many minibatches; those before a checkpoint that is resumed from count.
        mode: "locked": every segment waits for the gradient of the loss, as in `Chain.backprop`. "decoupled": each
            updates on its signal, as in `Chain.decoupled`, and its neighbours' messages come when they come.
            "unlocked": each runs on a synthetic input too, as in `Chain.unlocked`.
        transport: "inline", "threads", "processes", "ray", "mpi", or an object of one of their classes.
        replicas: copies of the chain that share the rows of each minibatch and average their gradients; with a chain of
            one segment this is data-parallel training. Signals and batch norms' statistics are each replica's own, and
            those of the first are returned.
        micro_batches: parts of a minibatch that follow each other through a locked chain (GPipe).
        capacity: messages that wait between two workers before the sender does: a slow worker slows the others.
        pending: triggers that wait for their targets; older ones are given up.
        lag: targets are learned from only when so many later ones have come, as in `Chain.decoupled`.
        learn_rows: from which share of a minibatch's rows signals learn, above 0; less work for the worker below.
        devices: for each worker "cpu", "cuda" or "cuda:N"; None for where the chain is.
        blas_threads: for each worker; None for its share of the cores.
        patience: seconds after which a worker gives up waiting for another.
        checkpoints: where they go, and how often: a `Checkpoints`, or a folder; None for none.
        resume: go on behind the last complete checkpoint, if there is one.
        restarts: how often to do that by itself when a worker fails.
        faults: what is to go wrong with messages, to see what becomes of it.
        log: the loss is taken down every so many minibatches.
        trace: spans that each worker remembers for the timeline, the last ones.
        progress: whether to show a bar, on a terminal, if tqdm is installed.

    Raises:
        WorkerFailed: if a worker has raised, or died; no worker is left running then. What it raised is the cause, if
            it ran in this process.
        KeyboardInterrupt: after Ctrl-C, when all workers have ended.
    """
    where = "train"
    if not isinstance(chain, Chain):
        raise TypeError(f"{where}: chain is of type {type(chain).__name__}, expected a Chain")
    if not callable(source):
        raise TypeError(f"{where}: source is {source!r}, expected a function that gives minibatch k, (x, labels)")
    if mode not in PROGRAMS:
        raise ValueError(f"{where}: mode is {mode!r}, expected one of {', '.join(PROGRAMS)}")
    expect_positive(
        where,
        n=n,
        replicas=replicas,
        micro_batches=micro_batches,
        capacity=capacity,
        pending=pending,
        log=log,
        trace=trace,
    )
    expect_not_negative(where, lag=lag, restarts=restarts)
    if micro_batches > 1 and mode != "locked":
        raise ValueError(
            f"{where}: micro_batches is {micro_batches} in mode {mode!r}, expected 1: they are for 'locked'"
        )
    learn_rows = expect_number(where, "learn_rows", learn_rows, 0, open_low=True)
    if learn_rows > 1 or (learn_rows < 1 and any(segment.net.n_outputs > 1 for segment in chain)):
        raise ValueError(f"{where}: learn_rows is {learn_rows:g}, expected at most 1, and 1 where layers are recurrent")
    if lag >= pending:
        raise ValueError(f"{where}: lag is {lag} with pending={pending}, expected a smaller lag")
    if checkpoints is not None and not isinstance(checkpoints, Checkpoints):
        checkpoints = Checkpoints(Path(checkpoints))
    if (resume or restarts) and checkpoints is None:
        raise ValueError(f"{where}: resume or restarts were asked for without checkpoints, expected a folder for them")
    carrier = _transport(transport)
    if restarts and not getattr(carrier, "restarts", True):
        raise ValueError(f"{where}: restarts is {restarts} with transport {carrier!r}, expected 0: start the job again")
    _expect_signals(chain, mode, carrier)

    def workers() -> list[Worker]:
        options = {"micro_batches": micro_batches, "pending": pending, "lag": lag, "learn_rows": learn_rows}
        return _workers(chain, source, n, replicas, devices, log=log, trace=trace, **options)

    shapes, message_bytes = _messages(chain, source, replicas * micro_batches)
    plan = Plan(mode, capacity, patience, blas_threads, tuple(faults), checkpoints, message_bytes)
    while True:
        team = workers()
        for worker in team:
            worker.input_shape = shapes[worker.stage]
        if resume:
            assert checkpoints is not None
            _resume(team, checkpoints)
        try:
            with _bar(n, mode, on=progress) as watch:
                outcomes = carrier.run(team, plan, watch) if team[0].start < n else [one.outcome() for one in team]
        except WorkerFailed as failure:
            if restarts:
                restarts, resume = restarts - 1, True
                warnings.warn(f"{failure}; it goes on behind the last checkpoint", RuntimeWarning, stacklevel=2)
                continue
            raise with_checkpoint(failure, checkpoints, len(team)) from failure.__cause__
        return _run(outcomes, len(chain), f"{mode}, {carrier!r}", team)


def _workers(
    chain: Chain, source: Source, n: int, replicas: int, devices: Sequence[str] | None, **options: Any
) -> list[Worker]:
    """Copies of the segments, each with its place."""
    total = len(chain) * replicas
    if devices is not None and len(devices) != total:
        raise ValueError(f"train: devices has {len(devices)} entries, expected {total}, one for each worker")
    team = [
        Worker(segment, source, stage, len(chain), 0, n, replica=replica, replicas=replicas, **options)
        for replica in range(replicas)
        for stage, segment in enumerate(_copies(chain))
    ]
    for worker, device in zip(team, devices or (), strict=False):
        worker.to(device)
    return team


def _copies(chain: Chain) -> tuple[Segment, ...]:
    """The segments once more, together, so that what they share is still shared."""
    try:
        return pickle.loads(pickle.dumps(chain.segments))
    except Exception as error:
        raise TypeError(f"train: the chain cannot be pickled ({error}), expected layers and rates that can") from error


def _messages(chain: Chain, source: Source, parts: int) -> tuple[list[tuple[int, ...]], int]:
    """From a forward pass of a copy: the shape of an example at each segment's input, and a message's bytes."""
    x, labels = source(0)
    shapes, most = [], 0
    slabs = chain.net.params.slabs
    h = to_device(x[: max(len(x) // parts, 1)], device_of(slabs[0])) if slabs else x
    for segment in _copies(chain):
        shapes.append(tuple(h.shape[1:]))
        h, _ = segment.forward(h)
        most = max(most, 2 * h.nbytes + labels.nbytes)
    return shapes, max([most, *(slab.nbytes for slab in chain.net.params.slabs)])


def _expect_signals(chain: Chain, mode: str, carrier: Transport) -> None:
    """Raise where a segment lacks what the mode takes, or has a signal that must see the other segments."""
    top = chain.segments[-1]
    if not hasattr(top.signal, "value"):
        raise TypeError(f"train: the signal of {top.name}, the topmost segment, is {top.signal!r}, expected a loss")
    for segment in chain.segments[:-1]:
        if mode != "locked" and isinstance(segment.signal, FromAbove) and not isinstance(carrier, Inline):
            raise ValueError(
                f"train: the signal of {segment.name} is {segment.signal!r}, which looks at the layers above while "
                'another worker trains them; expected transport="inline", or another signal'
            )
    for segment in chain.segments[1:]:
        if mode == "unlocked" and segment.inputs is None:
            raise TypeError(f"train: {segment.name} has no inputs, expected a synthesizer of its input")


def _transport(transport: str | Transport) -> Transport:
    if not isinstance(transport, str):
        if not hasattr(transport, "run"):
            raise TypeError(f"train: transport is {transport!r}, expected one of {', '.join(TRANSPORTS)}")
        return transport
    if transport not in TRANSPORTS:
        raise ValueError(f"train: transport is {transport!r}, expected one of {', '.join(TRANSPORTS)}")
    return TRANSPORTS[transport]()


def _ray() -> Transport:
    from .over_ray import Ray

    return Ray()


def _mpi() -> Transport:
    from .over_mpi import MPI

    return MPI()


#: By the name that `train` takes.
TRANSPORTS: dict[str, Callable[[], Transport]] = {
    "inline": Inline,
    "threads": Threads,
    "processes": Processes,
    "ray": _ray,
    "mpi": _mpi,
}


def _resume(team: list[Worker], checkpoints: Checkpoints) -> None:
    k = checkpoints.latest(len(team))
    if k is None:
        return
    for worker, state in zip(team, checkpoints.read(k, len(team)), strict=True):
        worker.resume(state)


def _run(outcomes: list[Outcome], stages: int, title: str, team: list[Worker]) -> Run:
    counts: Counter = Counter()
    for worker, outcome in zip(team, outcomes, strict=True):
        counts.update(outcome.counts)
        for note in outcome.notes:
            warnings.warn(f"{called(worker)}: {note}", RuntimeWarning, stacklevel=3)
    chain = Chain(*(outcome.segment for outcome in outcomes[:stages]))
    sizes = {worker.stage: float(outcome.cache_bytes) for worker, outcome in zip(team, outcomes, strict=True)}
    timeline = Timeline.joined([outcome.spans for outcome in outcomes], cache_bytes=sizes, title=title)
    losses = sorted(loss for outcome in outcomes for loss in outcome.losses)
    return Run(chain, timeline, losses, {name: count for name, count in counts.items() if count})


@contextmanager
def _bar(n: int, mode: str, *, on: bool) -> Iterator[Watch]:
    """A bar with minibatches a second and the lag of the targets."""
    try:
        from tqdm import tqdm
    except ImportError:
        on = False
    if not on:
        yield lambda latest, lags: None
        return
    with tqdm(total=n, desc=mode, unit="minibatch", leave=False, disable=None) as bar:

        def watch(latest: Sequence[int], lags: Sequence[int]) -> None:
            bar.n = min(latest) + 1
            if mode != "locked":
                bar.set_postfix(lag=max(lags), refresh=False)
            bar.refresh()

        yield watch
