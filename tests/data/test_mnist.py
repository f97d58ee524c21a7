"""The loaders of MNIST and Fashion-MNIST: where they look, what they accept, and what they refuse."""

import gzip
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minidni.data import cache_folder, load_fashion_mnist, load_mnist, mnist

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def assert_is(dataset, small):
    parts = (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test)
    for got, array in zip(parts, small.arrays.values(), strict=True):
        if array.ndim == 3:
            np.testing.assert_allclose(got * 255, array.reshape(len(array), 784), rtol=1e-6)
        else:
            np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("place", ["folder", "variable", "variable/mnist", "cache"])
@pytest.mark.parametrize("packed", [True, False])
def test_files_put_there_by_hand(tmp_path, monkeypatch, cache, small, place, packed):
    monkeypatch.setenv("MINIDNI_DATA", str(tmp_path / "variable"))
    small.put(cache / "mnist" if place == "cache" else tmp_path / place, packed=packed)
    assert_is(load_mnist(folder=tmp_path / place if place == "folder" else None), small)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_dot_in_the_name(tmp_path, small, ending):
    small.put(tmp_path, packed=bool(ending))
    (tmp_path / f"{IMAGES}{ending}").rename(tmp_path / f"train-images.idx3-ubyte{ending}")
    assert_is(load_mnist(folder=str(tmp_path)), small)


def test_a_file_that_was_packed_again(tmp_path, small):
    small.put(tmp_path)
    again = gzip.compress(small.unpacked[IMAGES], compresslevel=1, mtime=1)
    assert again != small.packed[f"{IMAGES}.gz"]
    (tmp_path / f"{IMAGES}.gz").write_bytes(again)
    assert_is(load_mnist(folder=tmp_path), small)


def test_a_file_that_the_browser_unpacked_under_its_old_name(tmp_path, small):
    small.put(tmp_path)
    (tmp_path / f"{IMAGES}.gz").write_bytes(small.unpacked[IMAGES])
    assert_is(load_mnist(folder=tmp_path), small)


def test_files_may_lie_in_several_places(tmp_path, monkeypatch, cache, small):
    monkeypatch.setenv("MINIDNI_DATA", str(tmp_path))
    small.put(tmp_path)
    (cache / "mnist").mkdir(parents=True)
    (tmp_path / f"{LABELS}.gz").rename(cache / "mnist" / f"{LABELS}.gz")
    assert_is(load_mnist(), small)


@pytest.mark.parametrize("dtype", [np.float32, "float64"])
def test_pixels_run_from_0_to_1(tmp_path, small, dtype):
    small.put(tmp_path)
    dataset = load_mnist(folder=tmp_path, dtype=dtype)
    assert dataset.x_train.dtype == dataset.x_test.dtype == np.dtype(dtype)
    assert dataset.x_train.min() == 0 and dataset.x_train.max() == 1
    assert dataset.image_shape == (28, 28)


def lengthened(data):
    return data + b"\0"


DAMAGES = {
    "truncated: it holds 39,000 unpacked bytes, expected 39,216": lambda data: data[:39_000],
    "truncated: it holds 9 unpacked bytes": lambda data: data[:9],
    r"starts with b'\x00\x00\x0c\x03', expected b'\x00\x00\x08\x03'": lambda d: b"\0\0\x0c\x03" + d[4:],
    "starts with b'<htm', expected": lambda data: b"<html>not found</html>",
    "starts with b'', expected": lambda data: b"",
    "shape (51, 28, 28), expected (50, 28, 28)": lambda data: data[:7] + b"\x33" + data[8:],
    "more than the 39,216 unpacked bytes": lengthened,
    "has the sha256 sum": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
}


@pytest.mark.parametrize("words", DAMAGES)
@pytest.mark.parametrize("packed", [True, False])
def test_a_damaged_file_is_refused(tmp_path, small, words, packed):
    small.put(tmp_path)
    path = tmp_path / (f"{IMAGES}.gz" if packed else IMAGES)
    (tmp_path / f"{IMAGES}.gz").unlink()
    damaged = DAMAGES[words](small.unpacked[IMAGES])
    path.write_bytes(gzip.compress(damaged) if packed else damaged)
    with pytest.raises(ValueError) as caught:
        load_mnist(folder=tmp_path)
    message = str(caught.value)
    assert message.startswith(f"load_mnist: {path} ")
    assert words in message
    assert message.endswith("delete it and call load_mnist(download=True), or put a good copy in its place")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-20], "packed data ends early"),
        (lambda data: data[:200] + bytes(50) + data[250:], "cannot be unpacked"),
        (lambda data: data[:-8] + bytes(4) + data[-4:], "cannot be unpacked"),
    ],
)
def test_damaged_packing_is_refused(tmp_path, small, damage, words):
    small.put(tmp_path)
    path = tmp_path / f"{IMAGES}.gz"
    path.write_bytes(damage(small.packed[path.name]))
    with pytest.raises(ValueError, match=words):
        load_mnist(folder=tmp_path)


def test_a_damaged_file_is_not_passed_over(tmp_path, cache, small):
    small.put(tmp_path)
    small.put(cache / "mnist")
    (tmp_path / f"{IMAGES}.gz").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="starts with b'dama'"):
        load_mnist(folder=tmp_path)


def test_labels_in_the_place_of_images(tmp_path, small):
    small.put(tmp_path)
    (tmp_path / f"{IMAGES}.gz").write_bytes(small.packed[f"{LABELS}.gz"])
    with pytest.raises(ValueError, match="starts with"):
        load_mnist(folder=tmp_path)


def test_missing_files_say_where_and_how(tmp_path, monkeypatch, cache, small):
    monkeypatch.setenv("MINIDNI_DATA", str(tmp_path / "variable"))
    small.put(tmp_path)
    (tmp_path / f"{LABELS}.gz").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist(folder=tmp_path)
    message = str(caught.value)
    for place in (tmp_path, tmp_path / "variable" / "mnist", tmp_path / "variable", cache / "mnist"):
        assert str(place) in message
    assert f"{LABELS}.gz not found" in message and IMAGES not in message
    assert "load_mnist(download=True, folder=...)" in message and "by hand" in message


def test_nothing_is_downloaded_unasked(cache, serve, small, monkeypatch):
    mirror = serve(small.packed)
    monkeypatch.setattr(mnist, "MNIST", replace(small.set, mirrors=(mirror.url,)))
    with pytest.raises(FileNotFoundError, match="MINIDNI_DATA is not set"):
        load_mnist()
    assert not mirror.asked and not cache.exists()


@pytest.mark.parametrize("given", [True, False])
def test_missing_files_are_downloaded_once(tmp_path, cache, serve, small, monkeypatch, given):
    empty, mirror = serve({}), serve(small.packed)
    monkeypatch.setattr(mnist, "MNIST", replace(small.set, mirrors=(empty.url, mirror.url)))
    target = tmp_path / "new" if given else cache / "mnist"
    target.mkdir(parents=True)
    (target / LABELS).write_bytes(small.unpacked[LABELS])
    for _ in range(2):
        assert_is(load_mnist(True, target if given else None), small)
    assert len(mirror.asked) == 3
    assert sorted(p.name for p in target.iterdir()) == sorted({*small.packed, LABELS} - {f"{LABELS}.gz"})


def test_a_failed_download_names_the_loader_and_the_way_out(cache, serve, small, monkeypatch):
    monkeypatch.setattr(mnist, "MNIST", replace(small.set, mirrors=(serve({}).url,)))
    with pytest.raises(ConnectionError) as caught:
        load_mnist(download=True)
    assert str(caught.value).startswith(f"load_mnist: could not download {IMAGES}.gz: http://127")
    assert str(caught.value).endswith(f"or put the file into {cache / 'mnist'} by hand")


def test_the_twin_set_in_the_same_folder_is_no_damage(tmp_path, monkeypatch, cache, serve, small, twin):
    monkeypatch.setenv("MINIDNI_DATA", str(tmp_path))
    small.put(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_fashion_mnist()
    mirror = serve(twin.packed)
    monkeypatch.setattr(mnist, "FASHION_MNIST", replace(twin.set, mirrors=(mirror.url,)))
    assert_is(load_fashion_mnist(download=True), twin)
    assert_is(load_mnist(), small)
    with pytest.raises(ValueError, match="belongs to another set than Fashion-MNIST"):
        (cache / "fashion-mnist" / f"{IMAGES}.gz").unlink()
        load_fashion_mnist(download=True, folder=tmp_path)
    assert_is(load_mnist(), small)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"download": "folder"}, TypeError, "download is 'folder', expected True or False"),
        ({"download": 1}, TypeError, "download is 1, expected True or False"),
        ({"folder": 3}, TypeError, "folder is 3, expected a path"),
        ({"folder": ""}, ValueError, "folder is '', expected a path"),
        ({"folder": "no/such/folder"}, FileNotFoundError, "which does not exist"),
        ({"folder": __file__}, ValueError, "which is a file, expected a folder"),
        ({"dtype": "int8"}, TypeError, "dtype is 'int8', expected float32 or float64"),
        ({"dtype": None}, TypeError, "dtype is None, expected float32 or float64"),
    ],
)
@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist])
def test_wrong_arguments(load, arguments, error, words):
    with pytest.raises(error) as caught:
        load(**arguments)
    assert str(caught.value).startswith(f"{load.__name__}: ") and words in str(caught.value)


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/minidni"),
        ("linux", {"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.cache/minidni"),
        ("linux", {"XDG_CACHE_HOME": "", "HOME": "/home/me"}, "/home/me/.cache/minidni"),
        ("darwin", {"HOME": "/Users/me"}, "/Users/me/Library/Caches/minidni"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/minidni"),
        ("win32", {"LOCALAPPDATA": "", "HOME": "/home/me"}, "/home/me/AppData/Local/minidni"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="the paths are POSIX paths")
def test_the_cache_folder_of_each_system(monkeypatch, platform, variables, expected):
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


@pytest.mark.parametrize("idx_set", [mnist.MNIST, mnist.FASHION_MNIST], ids=lambda s: s.name)
def test_the_tables_of_files(idx_set):
    assert [file.shape for file in idx_set.files] == [(60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)]
    sums = [s for file in mnist.MNIST.files + mnist.FASHION_MNIST.files for s in (file.sha256, file.packed_sha256)]
    assert len(set(sums)) == 16 and all(len(s) == 64 and set(s) <= set("0123456789abcdef") for s in sums)
    assert len(idx_set.class_names) == 10
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in idx_set.mirrors)
