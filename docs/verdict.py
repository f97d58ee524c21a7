"""The verdict page: `python docs/verdict.py` writes docs/verdict.md and its pictures from the files in docs/results.

Every number on the page is taken from these files, but for Q3, simulated here, and Q15, from docs/gpu.md. Most of what
the words say of the numbers is asserted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidni.experiments import Results
from minidni.locking import schedules
from minidni.locking.costs import Stage
from minidni.plots import show_dots, show_lines, show_timelines

DOCS = Path(__file__).parent
PICTURES = DOCS / "pictures"

HEAD = """# The verdict

*What is a synthetic gradient good for, if the same work must be done anyway and the gradient vanishes anyway?*
Somebody asked this in a forum, and the answers disagreed. Here is each statement of that thread with an experiment, a
picture and a verdict. The figures come from the files in [results](results/README.md) (but for Q3, simulated on the
spot, and Q15), which has the tables and the commands that print them, with sizes, seeds, device and spread; `python
docs/verdict.py` writes this page from them. The lesson *The verdict* computes the same at a smaller size, on your
machine. A figure with a range in brackets is a mean over seeds (least to most).

## The short answer

- **Between the layers of a network on one device: for nothing.** The same work is done, the synthesizer's comes on
  top, and nobody was waiting (Q1, Q3).
- **Between layers on several devices: it takes the waits away.** The price is an error in the gradient that grows
  with every cut (Q8, Q9), needs the labels to be small, and has to be compared with pipelines whose gradients are
  exact but late: those are faster still in the simulation, and pay in memory and in late updates (Q13). What it buys is
  independence: no worker waits for one above.
- **Between windows of time: it lets a short window learn what lies beyond it**, on one device, and without more
  memory (Q6). It is no cure for gradients that vanish (Q7), and its reach ends a few steps beyond the window.
- **It has to be read beside its controls.** A network whose trunk is frozen, at random or after a warm-up, with only
  its read-out trained, is sometimes as good (Q10, Q14).

"""


def results(name: str) -> Results:
    """A file of docs/results."""
    return Results.read(DOCS / "results" / f"{name}.json")


@dataclass(frozen=True)
class Verdict:
    """A statement of the thread and what came of it."""

    statement: str
    verdict: str
    number: str
    text: str
    measured_by: str
    lesson: str
    picture: Any


def q1() -> Verdict:
    depth = results("costs-by-depth")
    ratio = {layer: depth.mean("ratio", layer=layer, synthesizer="linear", depth=8) for layer in ("relu", "lstm")}
    hidden = depth.mean("ratio", layer="relu", synthesizer="hidden", depth=8)
    every = [
        depth.mean("ratio", layer=row["layer"], synthesizer=row["synthesizer"], depth=row["depth"])
        for row in depth.rows
    ]
    assert min(every) > 1.0
    depths = (2, 4, 8)
    lines = {
        f"{layer}, {form} synthesizer": (
            depths,
            [depth.mean("ratio", layer=layer, synthesizer=form, depth=d) for d in depths],
        )
        for layer in ("relu", "lstm")
        for form in ("linear", "hidden")
    }
    return Verdict(
        "The same number of operations must be done, plus the DNI; so a synthetic gradient between layers cannot "
        "speed up "
        "one device.",
        "True",
        f"{ratio['relu']:.2f} times as long",
        "With eight layers of 256 units, a synthesizer above each but the last, one worker takes "
        f"{ratio['relu']:.2f} times as "
        f"long for a decoupled step as for a locked one with linear synthesizers, and {hidden:.2f} times with a "
        "hidden layer in "
        f"them. Above LSTMs it is {ratio['lstm']:.2f} times, for an LSTM's window is long beside one product. In the "
        "mean over the seeds it is never less than the locked step, whatever the layer.",
        "`costs-by-depth`",
        "What does it cost, what does it buy",
        show_lines({"decoupled step / locked step": lines}, "layers, each a segment", levels={"locked": 1.0}),
    )


def q2() -> Verdict:
    depth, depths = results("costs-by-depth"), (2, 4, 8)
    ms = {
        f"{end}_{how}": [depth.mean(f"{end}_{how}", layer="relu", synthesizer="linear", depth=d) for d in depths]
        for end in ("bottom", "top")
        for how in ("locked", "decoupled")
    }
    assert ms["bottom_decoupled"][-1] < 1.2 * ms["bottom_decoupled"][0]
    assert ms["top_decoupled"][-1] > ms["top_locked"][-1]
    return Verdict(
        "Each iteration gets faster because the synthetic gradient is cheaper than the true one.",
        "Half true: sooner for the segments below, not faster as a whole",
        f"{ms['bottom_locked'][-1] / ms['bottom_decoupled'][-1]:.1f} times sooner at the bottom, "
        f"{ms['top_decoupled'][-1] / ms['top_locked'][-1]:.1f} times later at the top",
        f"The lowest of eight layers is updated after {ms['bottom_decoupled'][-1]:.1f} ms in place of "
        f"{ms['bottom_locked'][-1]:.1f} ms, and that time does not grow with the layers above it. But on one worker "
        "the topmost "
        f"one is updated after {ms['top_decoupled'][-1]:.1f} ms in place of {ms['top_locked'][-1]:.1f} ms, since "
        "all layers below go back first, and their synthesizers predict and learn. Sooner is worth something only to "
        "somebody who uses the time: "
        "another "
        "worker.",
        "`costs-by-depth`",
        "What does it cost, what does it buy",
        show_lines(
            {"ms until the update": {name.replace("_", ", "): (depths, values) for name, values in ms.items()}},
            "layers, each a segment",
            log="y",
        ),
    )


def q3() -> Verdict:
    stages, n = [Stage(forward=1.0, backward=2.0)] * 3, 5
    lines = schedules.one(stages, n), schedules.locked(stages, n), schedules.decoupled(stages, n)
    one, locked, decoupled = (line.seconds_per_minibatch(1) for line in lines)
    assert one == locked == 3 * decoupled
    scaled = results("scale-out")
    return Verdict(
        'The work is only "slid in time": forward passes can slide in while the true gradient is still owed.',
        "True of one device. With several, sliding is the gain",
        f"{decoupled:.0f} units a minibatch for {locked:.0f}",
        f"Three equal segments, forward 1 unit and backward 2: one worker takes {one:.0f} units a minibatch whatever "
        "the order, "
        f"three locked ones {locked:.0f} as well, and three that do not wait for a gradient {decoupled:.0f}. It is "
        "the same work; "
        "what is gone is the white. Simulated with products, synthesizers and messages, 64 workers with a layer each "
        "are "
        f"{scaled.mean('speedup', schedule='decoupled', workers=64):.0f} times as fast as one, locked "
        f"{scaled.mean('speedup', schedule='locked', workers=64):.1f} times.",
        "`scale-out`, and with real workers `speedup`",
        "Locking",
        show_timelines(*lines, unit="units"),
    )


def q4() -> Verdict:
    edge, distances = results("window-edge"), (1, 2, 3, 5, 10, 20)
    crosses = {
        (task, cell, window): [edge.mean("crosses", task=task, cell=cell, window=window, distance=d) for d in distances]
        for task in ("two-lag", "text")
        for cell in ("rnn", "lstm")
        for window in (None, 2, 20)
    }
    short = [crosses["two-lag", cell, 2][2] for cell in ("rnn", "lstm")]
    far = [crosses["two-lag", cell, 20][-1] for cell in ("rnn", "lstm")]
    text = [crosses["text", cell, window][-1] for cell in ("rnn", "lstm") for window in (2, 20)]
    bits = [results("char-lm-windows").mean("test_bits", method="bptt", window=w) for w in (4, 8, 16)]
    assert max(bits) - min(bits) < 0.01
    assert min(short) > 0.5 and max(far) < 0.02 and max(text) < 0.01
    names = {None: "before training", 2: "windows of 2", 20: "windows of 20"}
    panels = {
        f"{task}, LSTM: of the nearest": {
            name: (distances, crosses[task, "lstm", window]) for window, name in names.items()
        }
        for task in ("two-lag", "text")
    }
    return Verdict(
        "Gradients across a truncation boundary are negligible, or one would not have truncated there.",
        "True where nothing far back counts, or the window is long; false where it matters",
        f"{min(short):.1f} to {max(short):.1f} times the nearest gradient beyond the edge of a window that is too "
        "short",
        "A coin that depends on inputs 3 and 5 steps back, learned in windows of 2: at a distance of 3 steps from "
        "the loss the "
        f"true gradient is {short[0]:.1f} (RNN) and {short[1]:.1f} (LSTM) times as large as at a distance of 1, and "
        "the cut "
        "throws it away. Learned in windows of 20, "
        f"{far[0]:.1g} and {far[1]:.1g} of it are left at a distance of 20: a cut there loses nothing. And on the "
        "characters of "
        f"a book at most {max(text):.1g} crosses 20 steps, with either window; and with windows of 4, 8 and 16 such "
        "a "
        f"network reads about equally well ({', '.join(f'{v:.2f}' for v in bits)} bits, `char-lm-windows`). A "
        "network "
        "that was trained with a cut is a poor witness for the cut.",
        "`window-edge`",
        "Vanishing and exploding gradients",
        show_lines(panels, "distance from the loss back to the edge, steps", log="xy"),
    )


def q5() -> Verdict:
    costs, windows = results("window-costs"), (2, 10, 50, 250)
    kb, ms, us = (
        [costs.mean(column, cell="lstm", window=w) for w in windows]
        for column in ("cache_kb", "ms_an_update", "us_a_step")
    )
    assert us[-1] < us[0] and kb[-1] > 50 * kb[0]
    panels = {
        "cache (MB)": {"LSTM of 128 units": (windows, np.divide(kb, 1000))},
        "µs a time step": {"": (windows, us)},
    }
    return Verdict(
        "One truncates for memory and compute, not because the gradient is small.",
        "True of memory and of the wait for an update; not of the work",
        f"{kb[-1] / kb[0]:.0f} times the memory, {us[-1] / us[0]:.2f} times the work a step",
        f"From windows of {windows[0]} to windows of {windows[-1]} steps the cache of an LSTM of 128 units grows "
        "from "
        f"{kb[0] / 1000:.1f} to {kb[-1] / 1000:.1f} MB, and the wait for an update from {ms[0]:.1f} to {ms[-1]:.0f} "
        "ms. The work "
        f"for a step of time does not grow: {us[0]:.0f} µs with the short windows, whose updates each have their "
        "fixed cost, "
        f"and {us[-1]:.0f} µs with the long ones.",
        "`window-costs`",
        "Truncation",
        show_lines(panels, "window, steps", log="xy"),
    )


def q6() -> Verdict:
    lag, near, far = results("two-lag"), results("two-lag-reach"), results("two-lag-reach-4-5")
    dni, bptt = (lag.text("loss", method=method, window=2) for method in ("dni", "bptt"))
    assert lag.values("loss", method="dni").max() < lag.values("loss", method="bptt", window=2).min()
    reach = {
        method: [(near if w < 4 else far).mean("longest", method=method, window=w) for w in range(1, 6)]
        for method in ("dni", "bptt")
    }
    copy = results("copy")
    solved = {m: [copy.mean("solved", method=m, window=w) for w in (2, 3, 4, 5)] for m in ("dni", "bptt")}
    assert all(d > b for of in (reach, solved) for d, b in zip(of["dni"], of["bptt"], strict=True))
    repeat = {m: results("repeat-copy").mean("solved", method=m, window=3) for m in ("dni", "bptt")}
    bits = results("char-lm-windows")
    book = {(m, w): bits.mean("test_bits", method=m, window=w) for m in ("dni", "bptt") for w in (2, 8, 16)}
    assert repeat["dni"] <= repeat["bptt"] and book["dni", 16] > book["bptt", 16]
    windows = (1, 2, 3, 4, 5)
    panels = {
        "longest lag learned": {m: (windows, values) for m, values in reach.items()},
        "pattern copied, symbols": {m: (windows[1:], values) for m, values in solved.items()},
    }
    return Verdict(
        "DNI at the window's end lets an RNN learn dependencies longer than its window.",
        "True, by some steps and not without end",
        f"{dni} nats against {bptt}",
        f"With windows of 2 and lags of 3 and 5 the loss is {dni} nats with synthetic gradients, {bptt} without, and "
        f"{lag.mean('floor', method='dni'):.4f} is possible (ten seeds). With windows of 1 to 5 steps lags of "
        f"{', '.join(f'{v:.3g}' for v in reach['dni'])} are learned with synthetic gradients, "
        f"{', '.join(f'{v:.3g}' for v in reach['bptt'])} "
        "without (a window reaches beyond itself anyway, for a state holds traces of earlier inputs before anything "
        "is learned). "
        f"Patterns are copied up to {', '.join(f'{v:.2g}' for v in solved['dni'])} symbols with windows of 2 to 5, "
        "against "
        f"{', '.join(f'{v:.2g}' for v in solved['bptt'])}; a window of 20 copies "
        f"{results('copy-windows').mean('solved', window=20):.3g} without any synthetic gradient. In `repeat-copy` "
        f"nothing is gained: {repeat['dni']:.3g} stages solved with windows of 3, {repeat['bptt']:.3g} without. On "
        "the "
        f"characters of a book it is worse with windows of 2 ({book['dni', 2]:.3f} bits against "
        f"{book['bptt', 2]:.3f}), "
        f"a little better with windows of 8 ({book['dni', 8]:.3f} against {book['bptt', 8]:.3f}) and worse with 16.",
        "`two-lag`, `two-lag-reach`, `copy`, `repeat-copy`, `char-lm`",
        "Longer than the window",
        show_lines(panels, "window, steps"),
    )


def q7() -> Verdict:
    files = {"no clipping": "two-lag-clip-none", "clipped at 1": "two-lag", "always normalised": "two-lag-normalised"}
    loss = {
        (method, name): results(file).values("loss", method=method, window=2)
        for name, file in files.items()
        for method in ("bptt", "dni")
    }
    reach_files = {"no clipping": "two-lag-reach-clip-none", "clipped at 0.1": "two-lag-reach"}
    reach = {
        (method, name): results(file).mean("longest", method=method, window=2)
        for name, file in reach_files.items()
        for method in ("bptt", "dni")
    }
    worst_dni = max(values.mean() for (method, _), values in loss.items() if method == "dni")
    best_bptt = min(values.mean() for (method, _), values in loss.items() if method == "bptt")
    assert worst_dni < best_bptt
    dots = {f"{method}, {name}": list(values) for (method, name), values in loss.items()}
    floor = results("two-lag").mean("floor", method="dni")
    return Verdict(
        'Vanishing gradients "didn\'t go anywhere": synthetic gradients do not cure them; gradient normalisation, '
        "clipping or batch norm help.",
        "The first half is true. Clipping and normalising are about exploding gradients, and no substitute",
        f"{worst_dni:.3f} nats at worst with synthetic gradients, {best_bptt:.3f} at best without",
        "A message is learned from targets that went back through the same Jacobians as the true gradient, so what "
        "these have "
        "shrunk it cannot bring back, and its scale is a discount on top. What it does bring back is what was *cut*. "
        "Clipping "
        "does not: on the two-lag task with windows of 2 the loss without synthetic gradients is "
        + ", ".join(f"{loss['bptt', name].mean():.3f} ({name})" for name in files)
        + ", with them "
        + ", ".join(f"{loss['dni', name].mean():.3f}" for name in files)
        + f", and {floor:.4f} is possible. With growing lags and windows of 2, {reach['bptt', 'clipped at 0.1']:.3g} "
        "steps are learned "
        f"without synthetic gradients and {reach['dni', 'clipped at 0.1']:.3g} with them where the norm is clipped "
        "at 0.1, "
        f"{reach['bptt', 'no clipping']:.3g} and {reach['dni', 'no clipping']:.3g} where it is not. Clipping helps "
        "where "
        "gradients explode: the lesson *Vanishing and exploding gradients* has that experiment, and the one in which "
        "neither "
        "clipping nor normalising helps a gradient that vanishes. To normalise the *activations* is another thing: "
        "there "
        "layer norm did keep more of the gradient. Batch norm in time was not tried.",
        "`two-lag clip=...`, `two-lag-reach clip=...`",
        "Vanishing and exploding gradients; Longer than the window",
        show_dots(dots, "loss (nats)", levels={"possible": floor}),
    )


def q8() -> Verdict:
    chain = results("bootstrap")
    boundaries = {
        segments: (5,) if segments == 2 else {3: (3, 5), 4: (2, 4, 5), 6: (1, 2, 3, 4, 5)}[segments]
        for segments in (2, 3, 4, 6)
    }
    lines = {
        f"{len(at)} {'cut' if len(at) == 1 else 'cuts'}": (
            at,
            [chain.mean("cosine", method="cdni", depth=6, segments=segments, lam=0.0, boundary=b) for b in at],
        )
        for segments, at in boundaries.items()
    }
    lowest, topmost = lines["2 cuts"][1]
    early = chain.mean("cosine_early", method="cdni", depth=6, segments=3, lam=0.0, boundary=3)
    assert 0 < early < lowest < topmost
    return Verdict(
        "In a chain DNI_0, DNI_3, DNI_5 the earlier ones never see the true gradient, only bootstrapped ones.",
        "True as it stands; what they learn is related to the truth all the same",
        f"cosine {lowest:.2f} below, {topmost:.2f} above",
        "In that chain the message of the upper module, which learns from the true gradient, has a cosine of "
        f"{topmost:.2f} with it "
        f"in the end, and that of the lower one, which learns from the other's message, {lowest:.2f}; early in "
        "training "
        f"{early:.2f}. Six segments: {', '.join(f'{c:.2f}' for c in lines['5 cuts'][1])}, from the bottom. With "
        "weights at rest and "
        "synthesizers that can be exact the truth comes down all the way, as the lesson shows.",
        "`bootstrap`",
        "Bootstrapping",
        show_lines({"cosine with the true gradient": lines}, "layer above the boundary"),
    )


def q9() -> Verdict:
    chain = results("bootstrap")
    accuracy = {
        "backprop": chain.values("accuracy", method="backprop", depth=6),
        **{
            f"{s - 1} cut{'s' * (s > 2)}": chain.values(
                "accuracy", method="cdni", depth=6, segments=s, lam=0.0, boundary=5
            )
            for s in (2, 3, 4, 6)
        },
        "5 cuts, lambda 0.9": chain.values("accuracy", method="cdni", depth=6, segments=6, lam=0.9, boundary=5),
        "frozen trunk": chain.values("accuracy", method="frozen trunk", depth=6),
    }
    means = {name: values.mean() for name, values in accuracy.items()}
    falling = [means[name] for name in ("1 cut", "2 cuts", "3 cuts", "5 cuts")]
    assert falling == sorted(falling, reverse=True) and means["frozen trunk"] < falling[-1]
    return Verdict(
        "The more DNI modules, the noisier the signal.",
        'Worse, yes; "noisier" is the wrong word for it: it is biased',
        f"{', '.join(f'{v:.1f}' for v in falling)} % with 1, 2, 3, 5 cuts",
        f"Six hidden layers on MNIST-1D, the same number of updates: backprop {means['backprop']:.1f} %, with 1, 2, "
        "3 and 5 cuts "
        f"{', '.join(f'{v:.1f}' for v in falling)} %, and {means['frozen trunk']:.1f} % with the trunk left at "
        "random. BP(lambda) at 0.9 "
        f"brings five cuts back to {means['5 cuts, lambda 0.9']:.1f} %, and waits for the gradient again. The lesson "
        "measures bias "
        "and noise apart, at the same weights: a guess has less noise than the true gradient, for it is the mean of "
        "what comes "
        "back. What grows with the number of modules is the bias, and that does not average out.",
        "`bootstrap`",
        "Bootstrapping",
        show_dots(
            {name: list(values) for name, values in accuracy.items()}, "test accuracy (%)", levels={"chance": 10.0}
        ),
    )


def q10() -> Verdict:
    warm, lengths = results("warm-up"), (0, 100, 300, 1000)
    lines = {
        "with labels, 6 segments": [warm.mean("accuracy", method="cdni", start="zero", warm_up=n) for n in lengths],
        "without labels, 3 segments": [warm.mean("accuracy", method="dni", start="zero", warm_up=n) for n in lengths],
        "control: trunk frozen after it": [warm.mean("accuracy", method="frozen trunk", warm_up=n) for n in lengths],
    }
    labels, none, frozen = lines.values()
    assert (
        labels[0] + 3 < labels[2]
        and abs(labels[-1] - frozen[-1]) < 2
        and all(n < f + 3 for n, f in zip(none, frozen, strict=True))
    )
    backprop = warm.mean("accuracy", method="backprop")
    return Verdict(
        "Warm up: train layers and DNI with ordinary backprop first, switch to bootstrapping later.",
        "It helps; the longer it is, the more of the help is the warm-up itself",
        f"{labels[0]:.1f} to {labels[2]:.1f} % with a warm-up of 300 of 2,000 updates; control {frozen[2]:.1f} %",
        f"Six segments with labels reach {labels[0]:.1f} % without a warm-up, {labels[1]:.1f}, {labels[2]:.1f} and "
        f"{labels[3]:.1f} % "
        f"after 100, 300 and 1,000 of 2,000 updates by backprop, which alone has {backprop:.1f} %. The control, "
        "whose trunk is frozen from then "
        f"on: {', '.join(f'{v:.1f}' for v in frozen)} %. After 1,000 it is as good as the synthesizers. Without "
        "labels they bring nothing "
        f"over the control, without and after any of the warm-ups: {', '.join(f'{v:.1f}' for v in none)} %. At a "
        "constant rate the lesson "
        "finds a warm-up worth next to nothing, and the same backprop at the end better.",
        "`warm-up`",
        "Bootstrapping",
        show_lines(
            {"test accuracy (%)": {name: (lengths, values) for name, values in lines.items()}},
            "updates of the warm-up",
            levels={"backprop": backprop},
        ),
    )


def q11() -> Verdict:
    warm = results("warm-up")
    accuracy = {
        "from zero": warm.values("accuracy", method="cdni", start="zero", warm_up=0),
        "from random": warm.values("accuracy", method="cdni", start="random", warm_up=0),
        "frozen trunk": warm.values("accuracy", method="frozen trunk", warm_up=0),
    }
    ratio = warm.text("first_ratio", method="cdni", start="random", warm_up=0)
    unlabelled = warm.text("first_ratio", method="dni", start="random", warm_up=0)
    assert warm.mean("first_ratio", method="cdni", start="zero", warm_up=0) == 0
    assert accuracy["from random"].max() < accuracy["from zero"].min()
    means = {name: values.mean() for name, values in accuracy.items()}
    return Verdict(
        "Early on, untrained DNIs send garbage down.",
        "True of a random start; a start at zero sends nothing",
        f"first message {ratio} times the true gradient; with a start at zero 0",
        f"Drawn at random like any other layer, six segments' lowest synthesizer sends {ratio} times the norm of the "
        "true gradient in the first update "
        f"(without labels, three segments: {unlabelled}), in no direction that has to do with it, and the network "
        f"ends at {means['from random']:.1f} % in "
        f"place of {means['from zero']:.1f} %. With its last layer at zero, weight and bias, the first message is "
        "exactly zero, "
        "and the first step that of a network whose trunk is frozen (which in the end has "
        f"{means['frozen trunk']:.1f} %).",
        "`warm-up`",
        "Synthetic gradients; Bootstrapping",
        show_dots(
            {name: list(values) for name, values in accuracy.items()}, "test accuracy (%)", levels={"chance": 10.0}
        ),
    )


def q12() -> Verdict:
    costs, widths = results("costs"), (64, 256, 1024)
    both = {
        layer: [costs.mean("both", layer=layer, synthesizer="linear", width=w) for w in widths]
        for layer in ("relu", "batchnorm-relu", "layernorm-tanh", "lstm")
    }
    assert both["batchnorm-relu"][0] < both["relu"][0] and max(both["lstm"]) < 1 < min(both["batchnorm-relu"])
    return Verdict(
        "DNI pays where backward is expensive (batch norm, fancy activations), not for a simple dense layer.",
        "True of narrow layers and of LSTMs; with wide layers the norm hardly counts",
        f"{both['relu'][0]:.1f} and {both['batchnorm-relu'][0]:.1f} backwards at 64 units, {both['relu'][-1]:.1f} "
        "and "
        f"{both['batchnorm-relu'][-1]:.1f} at 1,024",
        "To predict and to learn costs a linear synthesizer, in backwards of the layer it stands above: "
        + "; ".join(f"{layer} {', '.join(f'{v:.1f}' for v in values)}" for layer, values in both.items())
        + " at 64, 256 and 1,024 units. A batch norm makes a narrow layer dearer and its synthesizer not. Only above "
        "an LSTM is the "
        "synthesizer cheaper than the backward pass that it lets one go without waiting for.",
        "`costs`",
        "What does it cost, what does it buy",
        show_lines(
            {"predict + learn, in backwards": {layer: (widths, values) for layer, values in both.items()}},
            "units",
            levels={"one backward": 1.0},
            log="x",
        ),
    )


def q13() -> Verdict:
    out, workers = results("scale-out"), (2, 4, 8, 16, 64, 256, 1024)
    ways = ("gpipe", "data-parallel", "pipedream", "decoupled", "data-parallel + decoupled")
    lines = {way: (workers, [out.mean("speedup", schedule=way, workers=n) for n in workers]) for way in ways}
    at = {(way, n): value for way, (_, values) in lines.items() for n, value in zip(workers, values, strict=True)}
    together, alone = at["data-parallel + decoupled", 1024], at["data-parallel", 1024]
    assert (
        together > max(at[way, 1024] for way in ways[:-1])
        and at["pipedream", 64] > at["decoupled", 64] > at["gpipe", 64]
    )
    measured = results("speedup-16x1024-processes")
    real = {mode: measured.mean("speedup", mode=mode) for mode in ("data-parallel", "decoupled", "blas2")}
    return Verdict(
        "Minibatches already parallelise, so synthetic gradients add nothing; together they are powerful.",
        "Half true: they parallelise, though not without end, and together they go furthest",
        f"{together:.0f} times with 1,024 workers together, {alone:.1f} data-parallel alone",
        f"Simulated, 64 layers of 1,024 units: with 1,024 workers data-parallel training alone is {alone:.1f} times "
        "as fast as one worker, "
        f"a decoupled pipeline {at['decoupled', 1024]:.0f} times (no more than 64 of them have something to do), and "
        "copies of a decoupled "
        f"pipeline {together:.0f} times. At 64 workers decoupled {at['decoupled', 64]:.0f}, GPipe with eight "
        "micro-batches "
        f"{at['gpipe', 64]:.1f}, and a pipeline that puts up with stale gradients {at['pipedream', 64]:.0f}. GPipe "
        "is as fast as the decoupled one with "
        f"{out.mean('break_even_m', schedule='gpipe', workers=64):.0f} micro-batches. Measured on two cores, 16 "
        "layers of 1,024 units, two "
        f"processes: decoupled {real['decoupled']:.2f}, data-parallel {real['data-parallel']:.2f}, one worker with "
        f"two BLAS threads {real['blas2']:.2f}. None "
        "of this says how much is learned in an update.",
        "`scale-out` (simulated), `speedup` (measured)",
        "What does it cost, what does it buy",
        show_lines({"times as fast as one worker": lines}, "workers", log="xy"),
    )


def q14() -> Verdict:
    curves, mnist = results("full-unlock"), results("full-unlock-mnist")
    names = {
        "backprop": {"method": "backprop", "inputs": "true"},
        "decoupled": {"method": "cdni", "inputs": "true"},
        "frozen trunk": {"method": "frozen trunk", "inputs": "true"},
        "unlocked": {"method": "cdni", "inputs": "hidden"},
        "frozen, inputs guessed": {"method": "frozen trunk", "inputs": "hidden"},
    }
    accuracy = {name: curves.values("accuracy", **what) for name, what in names.items()}
    on_mnist = {name: mnist.mean("accuracy", **what) for name, what in names.items()}
    means = {name: values.mean() for name, values in accuracy.items()}
    assert on_mnist["frozen trunk"] < on_mnist["unlocked"] < on_mnist["decoupled"]
    assert abs(means["unlocked"] - means["frozen trunk"]) < 2
    return Verdict(
        "The authors also predicted the inputs of every layer.",
        "True, and it learns; on a harder task no more than a frozen trunk",
        f"MNIST {on_mnist['unlocked']:.1f} % (frozen trunk {on_mnist['frozen trunk']:.1f}), MNIST-1D "
        f"{means['unlocked']:.1f} % "
        f"({means['frozen trunk']:.1f})",
        "Two hidden layers, nothing waits for anything. MNIST: "
        + ", ".join(f"{name} {value:.2f} %" for name, value in on_mnist.items())
        + ". MNIST-1D: "
        + ", ".join(f"{name} {value:.1f} %" for name, value in means.items())
        + ". The accuracy counted is that of the network as it is used, each layer on the true output of the one "
        "below. The "
        "lesson has the timelines: with no lock at all each worker lives by itself, even one whose messages are all "
        "lost.",
        "`full-unlock`",
        "No locks at all",
        show_dots(
            {name: list(values) for name, values in accuracy.items()},
            "MNIST-1D, test accuracy (%)",
            levels={"chance": 10.0},
        ),
    )


def q15() -> Verdict:
    # Measured once, on a machine with a GPU; `docs/gpu.md` has the commands and what else was seen.
    one, blas, gpu = 301.0, 90.0, 8.0
    said = " ".join((DOCS / "gpu.md").read_text(encoding="utf-8").split())
    parts = f"{one:.0f} ms on one core", f"{blas:.0f} ms with 16 BLAS threads", f"{gpu:.1f} ms on the GPU"
    assert all(part in said for part in parts)
    return Verdict(
        "A GPU is only 2-3 times faster than well-written multithreaded CPU code.",
        "Not here",
        f"{blas / gpu:.0f} times",
        f"A step of 16 x 1,024 units with a minibatch of 256 took {one:.0f} ms on one core of an Intel Xeon, "
        f"{blas:.0f} ms with 16 BLAS threads "
        f"on 16 cores and {gpu:.1f} ms on an NVIDIA H100: {blas / gpu:.0f} times the 16 cores, and most of what is "
        "left is Python that asks for "
        "small operations. One pair of machines says nothing of others.",
        "`speedup --device cuda` ([on a GPU](gpu.md))",
        "none; the notebook for a GPU",
        show_dots({"one core": [one], "16 cores, 16 BLAS threads": [blas], "H100": [gpu]}, "ms a step"),
    )


def q16() -> Verdict:
    clock = results("time-to-accuracy")
    methods = ("one", "blas2", "locked", "data-parallel", "decoupled")
    seconds = {method: clock.values("seconds_to_target", method=method) for method in methods}
    updates = {method: clock.mean("updates_to_target", method=method) for method in methods}
    more, less = updates["decoupled"] / updates["one"] - 1, 1 - seconds["decoupled"].mean() / seconds["one"].mean()
    assert more > 0 and less > 0 and seconds["blas2"].mean() < seconds["decoupled"].mean()
    return Verdict(
        "Synthetic gradients make each epoch cheaper; a few per cent more iterations still win.",
        "True with one cut and labels; two BLAS threads did as well",
        f"{100 * more:.0f} % more updates, {100 * less:.0f} % less time",
        "Until 97 % on MNIST, six hidden layers of 512 units, two workers on two cores: decoupled "
        f"{seconds['decoupled'].mean():.1f} s and "
        f"{updates['decoupled']:.0f} updates, one worker {seconds['one'].mean():.1f} s and {updates['one']:.0f}, two "
        "locked "
        f"{seconds['locked'].mean():.1f} s, data-parallel {seconds['data-parallel'].mean():.1f} s, and one worker "
        "with two BLAS threads "
        f"{seconds['blas2'].mean():.1f} s. The lower half left at random never gets there "
        f"({clock.mean('accuracy', method='frozen'):.1f} %).",
        "`time-to-accuracy`",
        "What does it cost, what does it buy",
        show_dots({name: list(values) for name, values in seconds.items()}, "seconds until 97 %"),
    )


QUESTIONS: dict[str, Callable[[], Verdict]] = {
    f"Q{i}": question
    for i, question in enumerate((q1, q2, q3, q4, q5, q6, q7, q8, q9, q10, q11, q12, q13, q14, q15, q16), 1)
}


def page(verdicts: dict[str, Verdict]) -> str:
    """The whole text."""
    rows = ["| | statement | verdict | the figure |", "|---|---|---|---|"]
    rows += [f"| [{q}](#{q.lower()}) | {v.statement} | **{v.verdict}** | {v.number} |" for q, v in verdicts.items()]
    sections = [
        f"## {q}\n\n> {v.statement}\n\n**{v.verdict}.** "
        f"{v.text}\n\n![{v.picture.alt}](pictures/{picture(q).name})\n\n"
        f"Measured by {v.measured_by}; lesson: {v.lesson}.\n"
        for q, v in verdicts.items()
    ]
    return HEAD + "\n".join(rows) + "\n\n" + "\n".join(sections)


def picture(question: str) -> Path:
    """Where its picture is."""
    return PICTURES / f"verdict-{question.lower()}.png"


if __name__ == "__main__":
    found = {question: judge() for question, judge in QUESTIONS.items()}
    for question, verdict in found.items():
        verdict.picture.savefig(picture(question), dpi=110, metadata={"Software": None})
    (DOCS / "verdict.md").write_text(page(found), encoding="utf-8")
