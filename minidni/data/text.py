"""A text as numbers: its characters, tokens to learn from, and windows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..arrays.checks import expect_array, expect_indices, expect_not_negative, expect_positive
from .dataset import listed
from .streams import Stream

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False, repr=False)
class Text:
    """A text for a character language model, in three consecutive parts. Print it to see what it holds.

        text = load_text()
        for tokens, labels in text.windows(size=32, length=64):        # endless: carry the state
            ...
        for tokens, labels in text.once("validation", size=32, length=64):    # all of it, for measuring
            ...

    Attributes:
        name: what the text is called.
        vocabulary: the text's different characters, sorted; token k stands for `vocabulary[k]`.
        train, validation, test: tokens, whole numbers from 0 to `len(vocabulary) - 1`: `(n,)`.
        source: where the text comes from, and its licence.

    Raises:
        TypeError, ValueError: if the parts do not fit this description.
    """

    name: str
    vocabulary: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    source: str = ""

    def __post_init__(self) -> None:
        where = self._title
        if not isinstance(self.vocabulary, str):
            raise TypeError(f"{where}: vocabulary is of type {type(self.vocabulary).__name__}, expected a string")
        if not self.vocabulary or sorted(set(self.vocabulary)) != list(self.vocabulary):
            raise ValueError(f"{where}: vocabulary is {self.vocabulary!r}, expected different characters, sorted")
        for part in PARTS:
            tokens = getattr(self, part)
            expect_indices(where, part, tokens, len(self.vocabulary))
            expect_array(where, part, tokens, ("n",), dtype=tokens.dtype)
        if not len(self.train):
            raise ValueError(f"{where}: train is empty, expected at least one character")

    @property
    def unigram_bits(self) -> float:
        """Bits per character of who knows how frequent each character is in the training part, and no more.

        This is the entropy of those frequencies: the chance level of a language model.
        """
        shares = np.bincount(self.train) / len(self.train)
        shares = shares[shares > 0]
        return float(-(shares * np.log2(shares)).sum())

    @property
    def chance(self) -> float:
        """`unigram_bits` in nats per character, as `SoftmaxCrossEntropy` counts. Bits are nats / ln 2."""
        return self.unigram_bits * float(np.log(2))

    def encode(self, text: str, *, unknown: str | None = None) -> np.ndarray:
        """The tokens `(n,)` of the n characters of `text`.

        Args:
            text: any string.
            unknown: a character of the vocabulary that stands in for those that are not in it; None allows none.

        Raises:
            ValueError: if a character is not in the vocabulary and `unknown` is None.
        """
        where = f"{self._title}.encode"
        if not isinstance(text, str):
            raise TypeError(f"{where}: text is of type {type(text).__name__}, expected a string")
        if unknown is not None and not (isinstance(unknown, str) and len(unknown) == 1 and unknown in self.vocabulary):
            raise ValueError(f"{where}: unknown is {unknown!r}, expected a character of the vocabulary")
        codes, known = code_points(text), code_points(self.vocabulary)
        tokens = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        strange = known[tokens] != codes
        if strange.any():
            if unknown is None:
                at = int(strange.argmax())
                raise ValueError(
                    f"{where}: character {at} is {text[at]!r}, which is not in the vocabulary; expected one of its "
                    f"{len(known)} characters, or unknown=... to stand in for others"
                )
            tokens[strange] = self.vocabulary.index(unknown)
        return tokens

    def decode(self, tokens: np.ndarray | Sequence[int]) -> str:
        """The string whose tokens `(n,)` these are."""
        where = f"{self._title}.decode"
        array = np.asarray(tokens) if len(tokens) else np.zeros(0, int)
        if array.ndim != 1:
            raise ValueError(f"{where}: tokens has shape {array.shape}, expected (n,)")
        expect_indices(where, "tokens", array, len(self.vocabulary))
        return "".join(self.vocabulary[token] for token in array)

    def windows(self, part: str = "train", *, size: int, length: int, seed: int = 0, skip: int = 0) -> Stream:
        """An endless stream of windows, `size` readers side by side: tokens (T, B), and labels (T, B), the next ones.

        The part is read as a ring, its end joined to its beginning, and the B readers start at equal distances, the
        first at a place drawn from the seed. Each window goes on where the one before ended, so the state is carried,
        forever; after `len(part) / (size * length)` windows everything has been read once.

        Args:
            part: "train", "validation" or "test".
            size: B.
            length: T.
            seed: a whole number; the same seed gives the same windows.
            skip: how many windows to leave out at the start, as done already: a stream's `position`.
        """
        where = f"{self._title}.windows"
        size, length = expect_positive(where, size=size, length=length)
        seed, skip = expect_not_negative(where, seed=seed, skip=skip)
        ring = self._part(where, part)
        if size > len(ring):
            raise ValueError(f"{where}: size is {size}, expected at most {len(ring)}, the characters of {part}")
        n = len(ring)
        starts = int(np.random.default_rng(seed).integers(n)) + np.arange(size) * n // size
        return Stream(partial(_window_of_ring, ring, starts, length), skip)

    def once(self, part: str, *, size: int = 1, length: int) -> Stream:
        """One pass through a part, for measuring: tokens (T, B) and labels (T, B), from its start to its end.

        The part is cut into B pieces of equal length, which are read side by side: the state is zero at the start and
        then carried. The last window may be shorter; up to B - 1 characters at the end are left out.
        """
        where = f"{self._title}.once"
        size, length = expect_positive(where, size=size, length=length)
        line = self._part(where, part)
        steps = (len(line) - 1) // size  # of each reader: each character but the last has a next one
        if steps < 1:
            raise ValueError(
                f"{where}: {part} has {len(line)} characters, expected at least {size + 1} for size {size}"
            )
        starts = np.arange(size) * steps
        return Stream(partial(_window_of_line, line, starts, steps, length), 0, -(-steps // length))

    def _part(self, where: str, part: Any) -> np.ndarray:
        if not isinstance(part, str) or part not in PARTS:
            raise ValueError(f"{where}: part is {part!r}, expected one of {listed(PARTS)}")
        return getattr(self, part)

    @property
    def _title(self) -> str:
        return f"Text {self.name!r}"

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, part)):,} {part}" for part in PARTS)
        lines = [
            f"{self.name}: {sizes} characters, {self.unigram_bits:.4g} bits per character by their frequencies alone",
            f"  {len(self.vocabulary)} different ones: {self.vocabulary!r}",
        ]
        return "\n".join(lines + [f"  source: {self.source}"] * bool(self.source))


def code_points(text: str) -> np.ndarray:
    """The Unicode code point of each character: (n,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _window_of_ring(ring: np.ndarray, starts: np.ndarray, length: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    at = (starts + number * length + np.arange(length + 1)[:, None]) % len(ring)  # (T + 1, B)
    return ring[at[:-1]], ring[at[1:]]


def _window_of_line(
    line: np.ndarray, starts: np.ndarray, steps: int, length: int, number: int
) -> tuple[np.ndarray, np.ndarray]:
    at = starts + np.arange(number * length, min((number + 1) * length, steps))[:, None]  # (T, B)
    return line[at], line[at + 1]
