"""Texts: what is read is what was written, the parts are the text, and windows cover it."""

import lzma
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidni.data import Text, load_text, text
from minidni.data.load_text import PENN_TREEBANK

MOBY = load_text()
FILE = text.__file__.replace("text.py", "moby_dick.txt.xz")
seeds = st.integers(0, 2**70)
# All of Unicode but lone surrogates, which no UTF-8 file holds, and carriage returns, which are read as line ends.
strings = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufeff"), min_size=1, max_size=80)


def text_of(n, seed=0, letters="abcdefgh"):
    tokens = np.random.default_rng(seed).integers(0, len(letters), n)
    return Text("letters", letters, tokens, tokens[: n // 2], tokens[:2])


def test_moby_dick_is_inside():
    assert MOBY.decode(MOBY.train[:37]) == "CHAPTER 1. Loomings.\n\nCall me Ishmael"
    assert MOBY.decode(MOBY.test[-54:]).endswith("rolled five thousand years ago.\n")
    whole = "".join(MOBY.decode(part) for part in (MOBY.train, MOBY.validation, MOBY.test))
    with lzma.open(FILE, "rt", encoding="utf-8", newline="") as file:
        notice, stored = file.read().split("\f\n")
    assert whole == stored and len(whole) == 1_190_317
    assert whole.count("\nCHAPTER ") == 134
    assert "public domain" in notice and "make_text.py" in notice
    assert len(MOBY.vocabulary) == 83 and set(MOBY.vocabulary) == set(whole)


def test_the_book_is_small_enough_to_travel():
    with open(FILE, "rb") as file:
        assert len(file.read()) < 450_000


@given(content=strings, validation=st.floats(0, 0.4), test=st.floats(0, 0.4))
def test_the_parts_join_to_the_text(tmp_path_factory, content, validation, test):
    path = tmp_path_factory.mktemp("text") / "any.txt"
    path.write_text(content, encoding="utf-8", newline="")
    if round(len(content) * validation) + round(len(content) * test) >= len(content):
        return
    got = load_text(path, validation_fraction=validation, test_fraction=test)
    assert "".join(got.decode(part) for part in (got.train, got.validation, got.test)) == content
    assert len(got.validation) == round(len(content) * validation) and len(got.test) == round(len(content) * test)
    assert got.vocabulary == "".join(sorted(set(content)))
    assert got.decode(got.encode(content)) == content
    assert got.encode(content).tolist() == [sorted(set(content)).index(c) for c in content]


@given(content=strings, other=strings)
def test_unknown_characters_are_refused_or_replaced(content, other):
    known = "".join(sorted(set(content)))
    got = Text("any", known, *[np.zeros(1, int)] * 3)
    strange = [c for c in other if c not in known]
    if strange:
        with pytest.raises(ValueError) as caught:
            got.encode(other)
        words = f"Text 'any'.encode: character {other.index(strange[0])} is {strange[0]!r}, which is not in"
        assert str(caught.value).startswith(words)
    else:
        assert got.decode(got.encode(other)) == other
    replaced = got.decode(got.encode(other, unknown=known[-1]))
    assert replaced == "".join(c if c in known else known[-1] for c in other)


def test_decode_takes_what_a_sampling_loop_has():
    assert MOBY.decode([]) == "" and MOBY.encode("").shape == (0,)
    assert MOBY.decode([int(token) for token in MOBY.encode("whale")]) == "whale"


@given(n=st.integers(1, 300), seed=seeds)
def test_chance_is_the_entropy_of_the_letters(n, seed):
    got = text_of(n, seed)
    counts = Counter(got.train.tolist())
    bits = -sum(math.log2(counts[token] / n) for token in got.train.tolist()) / n
    assert got.unigram_bits == pytest.approx(bits, abs=1e-12)
    assert got.chance == pytest.approx(bits * math.log(2), abs=1e-12)


def test_chance_of_moby_dick():
    assert 4.4 < MOBY.unigram_bits < 4.5


@given(n=st.integers(1, 200), seed=seeds, size=st.integers(1, 9), length=st.integers(1, 30))
def test_windows_go_on_and_labels_are_the_next_characters(n, seed, size, length):
    got = text_of(n, letters="abcdefgh")
    if size > n:
        return
    stream = got.windows(size=size, length=length, seed=seed)
    windows = [next(stream) for _ in range(5)]
    tokens, labels = (np.concatenate(arrays) for arrays in zip(*windows, strict=True))
    assert tokens.shape == labels.shape == (5 * length, size)
    np.testing.assert_array_equal(tokens[1:], labels[:-1])
    ring = np.concatenate([got.train] * (2 + 5 * length // n + 1))
    for b in range(size):
        assert any(np.array_equal(ring[k : k + 5 * length], tokens[:, b]) for k in range(n))


@given(n=st.integers(1, 200), seed=seeds, size=st.integers(1, 9), length=st.integers(1, 30))
def test_readers_cover_the_text_in_one_pass(n, seed, size, length):
    """With a text of n different characters, each character seen is a place in the text."""
    got = Text("places", "".join(map(chr, range(1000, 1000 + n))), *[np.arange(n)] * 3)
    if size > n:
        return
    steps = -(-n // size)
    stream = got.windows(size=size, length=length, seed=seed)
    tokens = np.concatenate([next(stream)[0] for _ in range(-(-steps // length))])[:steps]
    assert set(tokens.ravel().tolist()) == set(range(n))
    start = np.sort(tokens[0])
    gaps = np.diff(np.append(start, start[0] + n))
    assert gaps.min() >= n // size and gaps.max() <= -(-n // size)  # at equal distances
    counts = np.bincount(tokens[: n // size].ravel(), minlength=n)
    assert counts.max() == 1


@given(n=st.integers(2, 200), size=st.integers(1, 9), length=st.integers(1, 30))
def test_once_reads_each_character_once_in_order(n, size, length):
    got = Text("places", "".join(map(chr, range(1000, 1000 + n))), *[np.arange(n)] * 3)
    if n - 1 < size:
        return
    one_pass = got.once("test", size=size, length=length)
    n_windows = len(one_pass)
    windows = list(one_pass)
    assert len(windows) == n_windows == one_pass.position and len(one_pass) == 0
    assert all(len(tokens) == length for tokens, _ in windows[:-1])
    tokens, labels = (np.concatenate(arrays) for arrays in zip(*windows, strict=True))
    np.testing.assert_array_equal(labels, tokens + 1)
    places = tokens.T.ravel()  # reader after reader
    np.testing.assert_array_equal(places, np.arange(len(places)))
    assert n - 1 - size < len(places) <= n - 1


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_parts_are_read_by_name(part):
    tokens = next(MOBY.once(part, length=500))[0][:, 0]
    np.testing.assert_array_equal(tokens, getattr(MOBY, part)[:500])
    places = next(MOBY.windows(part, size=1, length=40, seed=3))[0][:, 0]
    assert MOBY.decode(places) in MOBY.decode(getattr(MOBY, part)) * 2


def test_penn_treebank_by_its_folder(tmp_path):
    contents = [" no it was n't <unk> \n", " black monday \n", " but the N \n"]
    for name, content in zip(PENN_TREEBANK, contents, strict=True):
        (tmp_path / name).write_text(content)
    got = load_text(tmp_path)
    assert [got.decode(part) for part in (got.train, got.validation, got.test)] == contents
    assert got.vocabulary == "".join(sorted(set("".join(contents))))
    one_file = load_text(str(tmp_path / PENN_TREEBANK[0]), validation_fraction=0, test_fraction=0)
    assert one_file.decode(one_file.train) == contents[0]
    (tmp_path / PENN_TREEBANK[1]).unlink()
    with pytest.raises(FileNotFoundError, match=r"has no ptb\.valid\.txt, expected"):
        load_text(tmp_path)


def test_line_ends_and_byte_order_marks_are_no_characters(tmp_path):
    (tmp_path / "dos.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    got = load_text(tmp_path / "dos.txt", validation_fraction=0, test_fraction=0)
    assert got.decode(got.train) == "one\ntwo\nthree\n"


def test_print_shows_what_it_holds():
    lines = repr(MOBY).splitlines()
    assert lines[0].startswith("Moby-Dick: 1,071,285 train, 59,516 validation, 59,516 test characters, 4.47")
    assert lines[1].startswith("  83 different ones: ") and "public domain" in lines[2]


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda folder: load_text(folder / "no.txt"), FileNotFoundError, "load_text: there is no file "),
        (lambda folder: load_text(7), TypeError, "load_text: path is 7, expected a path or None"),
        (lambda folder: load_text(write(folder / "a", b"ab\xffc")), ValueError, "load_text: * is not UTF-8 at byte 2"),
        (
            lambda folder: load_text(write(folder / "a", b"")),
            ValueError,
            "load_text: the text has 0 characters, 0 of them",
        ),
        (lambda folder: load_text(test_fraction=1.0), ValueError, "load_text: test_fraction is 1.0"),
        (
            lambda folder: load_text(test_fraction=0.6, validation_fraction=0.5),
            ValueError,
            "load_text: the text has 1190317 characters, 595158 of them for validation and 714190 for test, expected",
        ),
        (lambda folder: MOBY.encode(b"x"), TypeError, "Text 'Moby-Dick'.encode: text is of type bytes"),
        (lambda folder: MOBY.encode("x", unknown="é"), ValueError, "Text 'Moby-Dick'.encode: unknown is 'é', expected"),
        (lambda folder: MOBY.encode("x", unknown="ab"), ValueError, "Text 'Moby-Dick'.encode: unknown is 'ab'"),
        (lambda folder: MOBY.decode([83]), ValueError, "Text 'Moby-Dick'.decode: tokens holds 83, expected integers"),
        (lambda folder: MOBY.decode([0.5]), TypeError, "Text 'Moby-Dick'.decode: tokens is float64, expected"),
        (lambda folder: MOBY.decode([[1]]), ValueError, "Text 'Moby-Dick'.decode: tokens has shape (1, 1)"),
        (
            lambda folder: MOBY.windows("valid", size=1, length=1),
            ValueError,
            "Text 'Moby-Dick'.windows: part is 'valid', expected one of train, validation and test",
        ),
        (lambda folder: MOBY.windows(size=1, length=0), ValueError, "Text 'Moby-Dick'.windows: length is 0"),
        (
            lambda folder: text_of(9).windows(size=10, length=1),
            ValueError,
            "Text 'letters'.windows: size is 10, expected at most 9, the characters of train",
        ),
        (
            lambda folder: text_of(9).once("test", size=2, length=1),
            ValueError,
            "Text 'letters'.once: test has 2 characters, expected at least 3 for size 2",
        ),
        (lambda folder: Text("t", "ba", *[np.zeros(1, int)] * 3), ValueError, "Text 't': vocabulary is 'ba', expected"),
        (lambda folder: Text("t", ["a"], *[np.zeros(1, int)] * 3), TypeError, "Text 't': vocabulary is of type list"),
        (lambda folder: Text("t", "ab", *[np.ones(1)] * 3), TypeError, "Text 't': train is float64, expected"),
        (lambda folder: Text("t", "a", *[np.ones(1, int)] * 3), ValueError, "Text 't': train holds 1, expected"),
        (lambda folder: Text("t", "a", *[np.zeros(0, int)] * 3), ValueError, "Text 't': train is empty"),
        (lambda folder: Text("t", "a", *[np.zeros((1, 1), int)] * 3), ValueError, "Text 't': train has shape (1, 1)"),
    ],
)
def test_wrong_arguments(make, error, words, tmp_path):
    with pytest.raises(error) as caught:
        make(tmp_path)
    start, _, rest = words.partition("*")
    assert str(caught.value).startswith(start) and rest in str(caught.value)
