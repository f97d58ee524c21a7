"""The experiment `char-lm`: the next character of a book."""

import math
from collections.abc import Iterator
from functools import cache, partial

from ..data import Text, load_text
from ..nn import LSTM, Embedding, Linear, Sequential, SoftmaxCrossEntropy
from ..nn.schedules import cosine_decay
from .loop import Trainer, progress
from .registry import experiment
from .rows import Row, measured

book = cache(load_text)


def chance(*, text: str | None, **_: object) -> dict[str, float]:
    """Bits per character without any context."""
    read = book(text)
    return {"all characters alike": math.log2(len(read.vocabulary)), "their frequencies alone": read.unigram_bits}


@experiment(
    "char-lm",
    measures={"bits": "per character, validation", "test_bits": "per character", "unigram_bits": "per character"},
    quick={"embedding": 16, "hidden": 64, "window": 20, "updates": 300},
    beside=chance,
)
def char_lm(
    seed: int,
    *,
    text: str | None = None,
    embedding: int = 32,
    hidden: int = 256,
    window: int = 25,
    batch: int = 32,
    updates: int = 6_000,
    lr: float = 5e-3,
    clip: float = 1.0,
) -> Iterator[Row]:
    """An LSTM predicts the characters of Moby-Dick at below 2.1 bits each.

    The state is carried from window to window, but no gradient crosses between them. Bits per character are measured
    on the whole of two later parts of the book, with the state carried too; the network of the last update counts,
    whatever came before it.

    Args:
        seed: of the weights and of what is learned from.
        text: a file of your own, or the folder of the Penn Treebank; none for the book inside the package.
        embedding: numbers that stand for a character.
        hidden: units of the LSTM.
        window: time steps that the gradient goes back.
        batch: places of the book that are read side by side.
        updates: windows to learn from.
        lr: learning rate of Adam at the start; it falls to 0 along half a cosine.
        clip: largest norm of the gradient.
    """
    with measured(method="bptt", window=window, seed=seed) as row:
        read = book(text)
        row["unigram_bits"] = read.unigram_bits
        n = len(read.vocabulary)
        net = Sequential(
            Embedding(n, embedding, rng=3 * seed),
            LSTM(embedding, hidden, rng=3 * seed + 1),
            Linear(hidden, n, rng=3 * seed + 2),
        )
        trainer = Trainer(net, SoftmaxCrossEntropy(), lr=partial(cosine_decay, lr=lr, total=updates), clip=clip)
        s, stream = None, read.windows(size=batch, length=window, seed=seed)
        for _ in progress(range(updates), f"char-lm window {window} seed {seed}"):
            tokens, labels = next(stream)
            _, s = trainer.step(tokens, labels, s)
        row["bits"], row["test_bits"] = (bits(net, read, part) for part in ("validation", "test"))
    yield row


def bits(net: Sequential, text: Text, part: str) -> float:
    """Mean bits per character over a whole part, read once by 20 readers with their state carried."""
    s, loss, total, count, size = None, SoftmaxCrossEntropy(), 0.0, 0, min(20, len(getattr(text, part)) - 1)
    for tokens, labels in text.once(part, size=size, length=100):
        y, s, _ = net.forward(tokens, s)
        total, count = total + loss.value(y, labels) * labels.size, count + labels.size
    return total / count / math.log(2)
