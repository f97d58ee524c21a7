"""Make `minidni/data/digits.npz`, the 8x8 digits inside the package, from scikit-learn's copy of them.

Run from the repository's root, with scikit-learn installed: `python tests/tools/make_digits.py`. The split
into training and test images is drawn here, once, and stored, so that it can never change with NumPy.
"""

import os
from pathlib import Path

import numpy as np
import sklearn
from sklearn.datasets import load_digits

SEED = 0
TARGET = Path(__file__).resolve().parents[2] / "minidni" / "data" / "digits.npz"


def main() -> None:
    digits = load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    assert np.array_equal(images, digits.images) and images.max() == 16

    # Shuffle, sort by class, take every fifth: a fifth of every class, to within one image, is for test.
    order = np.random.default_rng(SEED).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[by_class[::5]] = True
    n_test = int(is_test.sum())

    pending = TARGET.with_suffix(".tmp.npz")
    np.savez_compressed(
        pending,
        images=images,
        labels=labels,
        is_test=is_test,
        about=np.array(
            "Optical Recognition of Handwritten Digits (test part), E. Alpaydin and C. Kaynak, UCI Machine "
            "Learning Repository, 1998, https://doi.org/10.24432/C50P49. Licence: CC BY 4.0, "
            "https://creativecommons.org/licenses/by/4.0/. Changes: pixels stored as uint8 (0 to 16), images "
            f"split into {len(labels) - n_test} for training and {n_test} for test (a fifth of every class, "
            f"seed {SEED}). Made by tests/tools/make_digits.py from scikit-learn {sklearn.__version__}."
        ),
    )
    os.replace(pending, TARGET)
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes, {len(labels)} images, {n_test} of them for test")


if __name__ == "__main__":
    main()
