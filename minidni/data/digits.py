"""The 8x8 digits that travel inside the package: real handwriting, no download."""

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.checks import expect_float_dtype
from .dataset import Dataset


def load_digits(*, dtype: DTypeLike = np.float32) -> Dataset:
    """1,797 handwritten digits of 8x8 pixels, from the package itself.

    >>> digits = load_digits()
    >>> digits.x_train.shape, digits.x_test.shape, digits.image_shape
    ((1437, 64), (360, 64), (8, 8))

    The split never changes: it was drawn once (seed 0) and is stored with the images. It is stratified, with
    a fifth of every class, to within one image, in the test set; both parts keep the order of the source,
    which is mixed. The same 13 people wrote both parts, so test accuracy says how well a network reads people
    it has seen.

    Args:
        dtype: of the pixels, float32 or float64. They run from 0 (paper) to 1 (ink) in steps of 1/16.

    Returns:
        `x_train (1437, 64)`, `y_train (1437,)`, `x_test (360, 64)`, `y_test (360,)`.

    Source: the test part of E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI
    Machine Learning Repository, 1998, CC BY 4.0, as scikit-learn ships it (`tests/tools/make_digits.py` has
    the details).
    """
    dtype = expect_float_dtype("load_digits", dtype)
    from importlib.resources import files  # slow to import

    with (files(__package__) / "digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as stored:
        x = stored["images"].reshape(-1, 64).astype(dtype) / 16
        y = stored["labels"].astype(np.int64)
        is_test = stored["is_test"]
    return Dataset(
        name="8x8 digits",
        x_train=x[~is_test],
        y_train=y[~is_test],
        x_test=x[is_test],
        y_test=y[is_test],
        class_names=tuple("0123456789"),
        image_shape=(8, 8),
        source="Alpaydin and Kaynak, UCI Machine Learning Repository, 1998, CC BY 4.0",
    )
