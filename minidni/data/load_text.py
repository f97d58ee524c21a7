"""Texts to learn from: the book inside the package, any file of the user's, and the Penn Treebank."""

import os
from pathlib import Path

import numpy as np

from ..arrays.checks import expect_number
from .text import Text, code_points

PENN_TREEBANK = ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")


def load_text(
    path: str | os.PathLike[str] | None = None, *, validation_fraction: float = 0.05, test_fraction: float = 0.05
) -> Text:
    """A text for a character language model: Moby-Dick from the package itself, or a file of yours.

    >>> text = load_text()
    >>> text.decode(text.train[22:37])
    'Call me Ishmael'

    Args:
        path: None for the book in the package, or a file of text in UTF-8, or a folder with `ptb.train.txt`,
            `ptb.valid.txt` and `ptb.test.txt`, the Penn Treebank in Mikolov's preparation, which may not be shipped.
            Any kind of line end is read as a newline character; nothing else is changed.
        validation_fraction: the share of the text, before its end, that is for validation.
        test_fraction: the share at its end that is for test. Neither counts for a folder, which has its own split.

    Returns:
        A `Text` whose vocabulary is the characters of all three parts: the alphabet is given, not learned.

    Raises:
        FileNotFoundError: if there is no such file, or one of a folder's three files is missing.
        ValueError: if a file is not UTF-8, or a part would be empty.

    Source of the book: Herman Melville, *Moby-Dick; or, The Whale*, 1851, public domain, as stdlib's data sets have
    it (`tests/tools/make_text.py` has the details).
    """
    where = "load_text"
    validation, test = (
        expect_number(where, name, value, 0.0, 1.0)
        for name, value in (("validation_fraction", validation_fraction), ("test_fraction", test_fraction))
    )
    if path is None:
        import lzma  # here, since a Python may have been built without it
        from importlib.resources import files  # slow to import

        packed = (files(__package__) / "moby_dick.txt.xz").read_bytes()
        _, _, text = lzma.decompress(packed).decode("utf-8").partition("\f\n")  # what comes first is a notice
        parts = _split(where, text, validation, test)
        return _text("Moby-Dick", parts, "Herman Melville, 1851, public domain, as stdlib's data sets have it")
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{where}: path is {path!r}, expected a path or None")
    path = Path(path)
    if path.is_dir():
        missing = [name for name in PENN_TREEBANK if not (path / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{where}: {path} has no {missing[0]}, expected a file of text or a folder with it")
        return _text("Penn Treebank", [_read(where, path / name) for name in PENN_TREEBANK], str(path))
    return _text(path.name, _split(where, _read(where, path), validation, test), str(path))


def _read(where: str, path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{where}: there is no file {path}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: {path} is not UTF-8 at byte {error.start}, expected a text in UTF-8") from None


def _split(where: str, text: str, validation: float, test: float) -> list[str]:
    n_validation, n_test = round(len(text) * validation), round(len(text) * test)
    n_train = len(text) - n_validation - n_test
    if n_train < 1:
        raise ValueError(
            f"{where}: the text has {len(text)} characters, {n_validation} of them for validation and {n_test} for "
            "test, expected at least one more for training"
        )
    return [text[:n_train], text[n_train : n_train + n_validation], text[n_train + n_validation :]]


def _text(name: str, parts: list[str], source: str) -> Text:
    codes = [code_points(part) for part in parts]
    known, tokens = np.unique(np.concatenate(codes), return_inverse=True)
    train, validation, test = np.split(tokens, np.cumsum([len(c) for c in codes])[:-1])
    return Text(name, "".join(map(chr, known)), train, validation, test, source)
