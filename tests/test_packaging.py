"""The wheel and the source archive: what is in them, and that beside the wheel minidni needs NumPy alone."""

import email
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import numpy
import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = f"minidni-{PROJECT['version']}"

PUBLIC_NAMES = (
    "Linear ReLU Tanh Sigmoid LayerNorm BatchNorm Dropout Embedding Conv2d MaxPool2d AvgPool2d Flatten Sequential "
    "RNN GRU LSTM SoftmaxCrossEntropy SigmoidCrossEntropy SquaredError SGD RMSProp Adam clip_norm check_gradients "
    "array_module to_device to_numpy save load fit"
)

# Run by a Python of its own: everything but minidni, NumPy and the standard library is refused, and the attempt noted.
ALONE = """
import json, sys

first, last, names = json.loads(sys.argv[1])
sys.path[:0] = first
sys.path += last
import copy, pickle, numpy  # these look for packages of their own, which is not our business

class OnlyNumPy:
    attempts = []

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {"minidni", "numpy", *sys.stdlib_module_names}:
            self.attempts.append(name)
            raise ModuleNotFoundError("only NumPy is installed here, not " + name, name=name)

sys.meta_path.insert(0, OnlyNumPy())
import minidni, minidni.data
lacking = [name for name in names if not hasattr(minidni, name)]
print(json.dumps([minidni.__file__, OnlyNumPy.attempts, lacking]))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the folder with the wheel and the source archive, built without any package index."""
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder, "wheel", "sdist")
    return folder


def build(root, folder, *targets):
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    for target in targets:
        command += ["--target", target]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def wheel_in(folder):
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


@pytest.fixture(scope="module")
def wheel(built):
    with wheel_in(built) as archive:
        yield archive


def files_of_the_package():
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "minidni").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".tmp")
    }


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if not name.endswith("/")}
    information = {name for name in names if name.startswith(f"{PACKAGE}.dist-info/")}
    assert names - information == files_of_the_package()
    assert "minidni/py.typed" in names
    assert [name for name in names if name.startswith("minidni/data/") and name.endswith(".npz")]
    licence = (ROOT / "minidni" / "LICENSE").read_bytes()
    assert wheel.read(f"{PACKAGE}.dist-info/licenses/minidni/LICENSE") == licence


def test_the_metadata(wheel):
    metadata = email.message_from_bytes(wheel.read(f"{PACKAGE}.dist-info/METADATA"))
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    required = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert required == ["numpy>=2"]
    assert set(metadata.get_all("Provides-Extra")) == {
        *("bench", "cuda12", "cuda13", "docs", "lessons", "mpi", "nbgrader", "ray", "test", "workers")
    }


def test_the_source_archive_is_complete(built, tmp_path):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.removeprefix(f"{PACKAGE}/") for name in tar.getnames()}
        tar.extractall(tmp_path, filter="data")
    assert {"README.md", "pyproject.toml", "tests/test_packaging.py", "lessons/__main__.py"} <= names
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "lessons" / "source").glob("*.py")} <= names
    unwanted = ("lessons/build/", ".venv", ".git/", "docs/_build/")
    assert not [name for name in names if name.startswith(unwanted) or "__pycache__" in name]
    build(tmp_path / PACKAGE, tmp_path / "again", "wheel")
    with wheel_in(built) as ours, wheel_in(tmp_path / "again") as theirs:
        assert {name: ours.read(name) for name in ours.namelist()} == {
            name: theirs.read(name) for name in theirs.namelist()
        }


def import_alone(python, folder, first=(), last=()):
    """Check that minidni is found in `folder`, imports nothing but NumPy, and has its public names."""
    arguments = json.dumps([[str(path) for path in first], [str(path) for path in last], PUBLIC_NAMES.split()])
    command = [str(python), "-I", "-W", "error", "-c", ALONE, arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    path, attempts, lacking = json.loads(done.stdout)
    assert Path(path).resolve().is_relative_to(folder.resolve())
    assert attempts == []
    assert lacking == []


def test_the_wheel_imports_with_numpy_alone(wheel, tmp_path):
    wheel.extractall(tmp_path)
    import_alone(sys.executable, tmp_path, first=[tmp_path])


@pytest.mark.slow
def test_pip_installs_the_wheel_into_an_empty_environment(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path, with_pip=True)
    python = tmp_path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # NumPy is lent by the environment of the tests, for there may be no network.
    install = [str(python), "-m", "pip", "install", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    import_alone(python, tmp_path, last=[Path(numpy.__file__).parents[1]])


def test_importing_it_brings_nothing_that_takes_long_to_import():
    slow = ["http.client", "urllib.request", "importlib.resources", "multiprocessing", "matplotlib"]
    code = "import sys, numpy; before = set(sys.modules); import minidni; print(*set(sys.modules) - before, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [name for name in slow if name in done.stdout.split()] == []
    assert "minidni.nn.dense" in done.stdout.split()
