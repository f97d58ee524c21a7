"""Data to learn from: sets inside the package, sets generated from a seed, loaders, and minibatches.

Reading order: `dataset` (what every set looks like), `digits`, `toys` and `mnist1d` (no download), `batches`;
then `mnist` with what it stands on: `idx` (the file format), `folders` (where files are), `download` and
`lock`.

>>> digits = load_digits()
>>> digits.x_train.shape, digits.y_train.shape
((1437, 64), (1437,))
"""

from .batches import Batches, batches
from .dataset import Dataset
from .digits import load_digits
from .folders import cache_folder
from .mnist import load_fashion_mnist, load_mnist
from .mnist1d import mnist1d
from .toys import blobs, spirals

__all__ = [
    "Batches",
    "Dataset",
    "batches",
    "blobs",
    "cache_folder",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "mnist1d",
    "spirals",
]
