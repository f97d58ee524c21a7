"""The Dataset class, the digits inside the package, and that they travel."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import minidni.data
from minidni.data import Dataset, load_digits


def arguments(**changes):
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    y = np.array([0, 1])
    return {
        "name": "test",
        "x_train": x,
        "y_train": y,
        "x_test": x[:1],
        "y_test": y[:1],
        "class_names": ["no", "yes"],
        "image_shape": [2, 3],
    } | changes


def test_what_a_set_says_of_itself():
    dataset = Dataset(**arguments(source="made up"))
    assert dataset.class_names == ("no", "yes") and dataset.image_shape == (2, 3)
    assert dataset.features == 6 and dataset.n_classes == 2
    text = repr(dataset)
    for words in ("test: 2 training and 1 test examples of 2x3", "(2, 6) float32", "no, yes", "made up", "0 to 11"):
        assert words in text


def test_a_set_without_test_examples():
    assert "0 test examples" in repr(
        Dataset(**arguments(x_test=np.empty((0, 6), np.float32), y_test=np.array([], int)))
    )


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"x_train": [[1.0]]}, TypeError, "x_train is a list, expected a NumPy array"),
        ({"y_test": None}, TypeError, "y_test is a NoneType, expected a NumPy array"),
        ({"x_test": np.zeros((1, 5), np.float32)}, ValueError, r"x_test has shape \(1, 5\), expected \(n, 6\)"),
        ({"x_train": np.zeros((2, 2, 3), np.float32)}, ValueError, r"x_train has shape \(2, 2, 3\)"),
        ({"x_train": np.zeros((2, 6), np.uint8)}, TypeError, "x_train is uint8, expected float32 or float64"),
        ({"x_test": np.zeros((1, 6))}, TypeError, "x_test is float64, expected float32 as x_train is"),
        ({"x_train": np.full((2, 6), np.nan, np.float32)}, ValueError, "x_train holds NaN or infinity"),
        ({"y_train": np.array([0])}, ValueError, r"y_train has shape \(1,\), expected \(2,\)"),
        ({"y_train": np.array([0.0, 1.0])}, TypeError, "y_train is float64, expected integers"),
        ({"y_train": np.array([0, 2])}, ValueError, "y_train holds 2, expected 0 to 1"),
        ({"y_test": np.array([-1])}, ValueError, "y_test holds -1, expected 0 to 1"),
        ({"class_names": "ab"}, TypeError, "class_names is 'ab', expected a tuple of strings"),
        ({"class_names": (0, 1)}, TypeError, r"class_names is \(0, 1\), expected a tuple of strings"),
        ({"image_shape": 6}, TypeError, "image_shape is 6, expected a tuple of whole numbers"),
        ({"image_shape": (2, 3.0)}, TypeError, r"image_shape\[1\] is 3.0"),
        ({"class_names": ()}, ValueError, "class_names is empty"),
    ],
)
def test_what_does_not_fit_is_refused(changes, error, words):
    with pytest.raises(error, match=rf"^Dataset 'test': {words}"):
        Dataset(**arguments(**changes))


def test_the_digits_are_those_of_uci():
    digits = load_digits(dtype=np.float64)
    x, y = np.concatenate([digits.x_train, digits.x_test]), np.concatenate([digits.y_train, digits.y_test])
    # the class distribution in the source's own description, and the sum of all pixels of scikit-learn's copy
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (x * 16).sum() == 561_718
    assert set(np.unique(x * 16)) == set(range(17))


def test_the_digits_split():
    digits = load_digits()
    assert digits.x_train.shape == (1437, 64) and digits.x_test.shape == (360, 64)
    assert digits.image_shape == (8, 8) and digits.class_names == tuple("0123456789")
    assert digits.x_train.dtype == np.float32 and digits.y_train.dtype == np.int64
    per_class = np.bincount(np.concatenate([digits.y_train, digits.y_test]))
    assert (abs(np.bincount(digits.y_test) - per_class / 5) < 1).all()
    assert not {row.tobytes() for row in digits.x_train} & {row.tobytes() for row in digits.x_test}


def test_each_call_gives_arrays_of_its_own():
    load_digits().x_train[:] = 7
    assert load_digits().x_train.max() == 1


def test_digits_tell_their_classes_apart():
    digits = load_digits(dtype=np.float64)
    to_all = ((digits.x_test[:, None] - digits.x_train) ** 2).sum(axis=2)
    nearest = digits.y_train[to_all.argmin(axis=1)]
    assert (nearest == digits.y_test).mean() > 0.97


@pytest.mark.parametrize("dtype", ["float16", "complex128", int, None, "nonsense"])
def test_digits_of_another_dtype(dtype):
    with pytest.raises(TypeError, match=r"^load_digits: dtype is .*, expected float32 or float64$"):
        load_digits(dtype=dtype)


def test_the_digits_load_from_a_zipped_package(tmp_path):
    package = Path(minidni.data.__file__).parent.parent
    with zipfile.ZipFile(tmp_path / "minidni.zip", "w") as archive:
        for file in package.rglob("*"):
            if file.suffix in (".py", ".npz"):
                archive.write(file, file.relative_to(package.parent))
    program = "import minidni.data as d; print(d.__file__); print(d.load_digits().x_train.shape)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "minidni.zip")}
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "minidni.zip" in run.stdout and "(1437, 64)" in run.stdout


def test_the_digits_file_names_its_source_and_licence():
    path = Path(minidni.data.__file__).with_name("digits.npz")
    with np.load(path, allow_pickle=False) as stored:
        about = str(stored["about"])
    for words in ("Alpaydin", "CC BY 4.0", "scikit-learn 1.", "make_digits.py"):
        assert words in about
    assert path.stat().st_size < 48_000
