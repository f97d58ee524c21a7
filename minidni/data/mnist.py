"""MNIST and Fashion-MNIST: 70,000 grey images of 28x28 each, found on this machine or downloaded when asked.

The two sets are twins: four idx files of the same names and shapes. What tells them apart, and a whole file
from a damaged one, is the sha256 sum of its unpacked bytes, and no file is used before that is checked.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.checks import expect_float_dtype
from .dataset import Dataset, listed
from .folders import VARIABLE, cache_folder, expect_folder, search_folders
from .idx import WrongFile, read_idx


@dataclass(frozen=True)
class IdxFile:
    """One of the four files of a set: as it is when unpacked, and as the mirrors pack it."""

    name: str
    shape: tuple[int, ...]
    sha256: str
    packed_sha256: str
    packed_size: int

    def spellings(self) -> list[str]:
        """The names it may have: packed or not, and with the dot some programs put in place of the last "-"."""
        dotted = self.name.replace("-idx", ".idx")
        return [self.name + ".gz", dotted + ".gz", self.name, dotted]


@dataclass(frozen=True)
class IdxSet:
    """A set of four idx files: training images and labels, then test images and labels."""

    name: str
    folder: str
    files: tuple[IdxFile, ...]
    mirrors: tuple[str, ...]
    class_names: tuple[str, ...]
    source: str


MNIST = IdxSet(
    name="MNIST",
    folder="mnist",
    files=(
        IdxFile(
            "train-images-idx3-ubyte",
            (60_000, 28, 28),
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            9_912_422,
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60_000,),
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            28_881,
        ),
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10_000, 28, 28),
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            1_648_877,
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10_000,),
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            4_542,
        ),
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    class_names=tuple("0123456789"),
    source="LeCun, Cortes and Burges, The MNIST database of handwritten digits",
)

FASHION_MNIST = IdxSet(
    name="Fashion-MNIST",
    folder="fashion-mnist",
    files=(
        IdxFile(
            "train-images-idx3-ubyte",
            (60_000, 28, 28),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            26_421_880,
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60_000,),
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            29_515,
        ),
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10_000, 28, 28),
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            4_422_102,
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10_000,),
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            5_148,
        ),
    ),
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    source="Xiao, Rasul and Vollgraf, Fashion-MNIST, arXiv 1708.07747, MIT licence",
)


def load_mnist(
    download: bool = False, folder: str | os.PathLike[str] | None = None, *, dtype: DTypeLike = np.float32
) -> Dataset:
    """MNIST: 60,000 training and 10,000 test images of handwritten digits, 28x28.

    Its four files (`train-images-idx3-ubyte.gz`, ...) are looked for in `folder`, then in the folder that the
    environment variable MINIDNI_DATA names (in its sub-folder `mnist`, then in itself), then in the cache
    folder (`~/.cache/minidni/mnist` on Linux). They may have been put there by hand, packed or unpacked.

    Args:
        download: whether missing files may be downloaded (11.6 MB), to `folder` if given, else to the cache
            folder. A download that was interrupted goes on where it stopped.
        folder: where to look first.
        dtype: of the pixels, float32 or float64. They run from 0 (paper) to 1 (ink) in steps of 1/255.

    Returns:
        `x_train (60000, 784)`, `y_train (60000,)`, `x_test (10000, 784)`, `y_test (10000,)`, `image_shape
        (28, 28)`.

    Raises:
        FileNotFoundError: if files are missing; the sentence tells where they were looked for and how to get
        them.
        ValueError: if a file is truncated or is not the one expected. No such file is ever used.
        ConnectionError: if no mirror delivers a file.
        OSError: if a file cannot be read or written.
    """
    return _load("load_mnist", MNIST, download, folder, dtype)


def load_fashion_mnist(
    download: bool = False, folder: str | os.PathLike[str] | None = None, *, dtype: DTypeLike = np.float32
) -> Dataset:
    """Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28x28, in ten classes.

    Everything is as in `load_mnist`, down to the files' names; the sub-folder is `fashion-mnist`, and the
    download has 30.9 MB.
    """
    return _load("load_fashion_mnist", FASHION_MNIST, download, folder, dtype)


def _load(
    where: str, idx_set: IdxSet, download: bool, folder: str | os.PathLike[str] | None, dtype: DTypeLike
) -> Dataset:
    if not isinstance(download, bool):
        raise TypeError(f"{where}: download is {download!r}, expected True or False (a folder goes in folder=...)")
    real = expect_float_dtype(where, dtype)
    path = expect_folder(where, folder, create=download)
    found = [_find(where, idx_set, file, path) for file in idx_set.files]
    missing = [file for file, array in zip(idx_set.files, found, strict=True) if array is None]
    target = path or cache_folder() / idx_set.folder
    if missing and not download:
        raise FileNotFoundError(_where_and_how(where, idx_set, missing, path, target))
    for file in missing:
        packed = target / (file.name + ".gz")
        try:
            from .download import download as download_file  # it brings http, which few need and all would wait for

            download_file(
                [mirror + packed.name for mirror in idx_set.mirrors],
                packed,
                file.packed_sha256,
                file.packed_size,
            )
        except OSError as error:
            raise type(error)(f"{where}: {error}; or put the file into {target} by hand") from None
    x_train, y_train, x_test, y_test = (
        _read(where, target / (file.name + ".gz"), file, idx_set) if array is None else array
        for file, array in zip(idx_set.files, found, strict=True)
    )
    return Dataset(
        name=idx_set.name,
        x_train=_pixels(x_train, real),
        y_train=y_train.astype(np.int64),
        x_test=_pixels(x_test, real),
        y_test=y_test.astype(np.int64),
        class_names=idx_set.class_names,
        image_shape=x_train.shape[1:],
        source=idx_set.source,
    )


def _find(where: str, idx_set: IdxSet, file: IdxFile, folder: Path | None) -> np.ndarray | None:
    """The file's array from the first place that has it, or None. A damaged file raises: it is not passed over."""
    for place in search_folders(idx_set.folder, folder):
        for name in file.spellings():
            try:
                if not (place / name).is_file():
                    continue
                return _read(where, place / name, file, idx_set)
            except OSError as error:
                reason = error.strerror or error
                raise type(error)(
                    f"{where}: cannot read {place / name} ({reason}): mend it or use another folder"
                ) from None
            except WrongFile as error:
                # The twin set's files have the same names: in a folder of their own they are no mistake.
                if error.sha256 not in _twin_sums(idx_set):
                    raise
    return None


def _read(where: str, path: Path, file: IdxFile, idx_set: IdxSet) -> np.ndarray:
    try:
        return read_idx(path, file.shape, file.sha256)
    except WrongFile as error:
        if error.sha256 in _twin_sums(idx_set):
            advice = f"it belongs to another set than {idx_set.name}: use another folder"
        else:
            advice = f"it was not used: delete it and call {where}(download=True), or put a good copy in its place"
        raise WrongFile(f"{where}: {error}; {advice}", error.sha256) from None


def _twin_sums(idx_set: IdxSet) -> set[str]:
    return {file.sha256 for other in (MNIST, FASHION_MNIST) if other.name != idx_set.name for file in other.files}


def _where_and_how(where: str, idx_set: IdxSet, missing: list[IdxFile], folder: Path | None, target: Path) -> str:
    places = ", ".join(str(place) for place in search_folders(idx_set.folder, folder))
    call = f"{where}(download=True{', folder=...' if folder else ''})"
    megabytes = sum(file.packed_size for file in missing) / 1e6
    return (
        f"{where}: {idx_set.name}'s {listed([file.name + '.gz' for file in missing])} not found, looked in {places}"
        f"{'' if os.environ.get(VARIABLE) else f' ({VARIABLE} is not set)'}; call {call} to download "
        f"{megabytes:.1f} MB into {target}, or put the files there by hand, packed or unpacked"
    )


def _pixels(images: np.ndarray, dtype: np.dtype) -> np.ndarray:
    x = images.reshape(len(images), -1).astype(dtype)
    x /= 255
    return x
