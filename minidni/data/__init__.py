"""Data to learn from: sets inside the package, sets generated from a seed, loaders, minibatches, and tasks in time.

Reading order: `dataset` (what every set looks like), `digits`, `toys` and `mnist1d` (no download), `batches`;
then `mnist` with what it stands on: `idx` (the file format), `folders` (where files are), `download` and
`lock`.

Tasks for recurrent networks: `streams` (what all hand out), `two_lag`, `text` and `load_text`; `adding`,
`delayed_xor` and `copying`, with `curriculum`; `sequences` (pictures read step by step). All arrays are time-major.
`windows` go on where the window before ended: carry the state. `batches` are new sequences: start from zero. Every
task knows the loss it can be compared with, in the unit of its loss function: `chance`, of who remembers nothing,
and where it is known `floor`, the lowest there is.

>>> digits = load_digits()
>>> digits.x_train.shape, digits.y_train.shape
((1437, 64), (1437,))
"""

from .adding import Adding
from .batches import Batches, Minibatches, batches
from .copying import Copying, Episodes, RepeatCopying
from .curriculum import Curriculum
from .dataset import Dataset
from .delayed_xor import DelayedXor
from .digits import load_digits
from .folders import cache_folder
from .load_text import load_text
from .mnist import load_fashion_mnist, load_mnist
from .mnist1d import mnist1d
from .sequences import Sequences, sequential_digits, sequential_mnist
from .streams import Stream
from .text import Text
from .toys import blobs, spirals
from .two_lag import TwoLag

__all__ = [
    "Adding",
    "Batches",
    "Copying",
    "Curriculum",
    "Dataset",
    "DelayedXor",
    "Episodes",
    "Minibatches",
    "RepeatCopying",
    "Sequences",
    "Stream",
    "Text",
    "TwoLag",
    "batches",
    "blobs",
    "cache_folder",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "load_text",
    "mnist1d",
    "sequential_digits",
    "sequential_mnist",
    "spirals",
]
