"""Minibatches in an order that the seed and the epoch alone decide, so that a run can be resumed anywhere."""

import numpy as np

from ..arrays import Array, array_module, device_of, to_device
from ..arrays.checks import expect_not_negative, expect_positive
from .dataset import listed


class Batches:
    """An iterator over minibatches, as `batches` makes it.

    Attributes:
        position: the number of the next batch, counted from the start of the epoch.
    """

    def __init__(self, arrays: tuple[Array, ...], order: np.ndarray | None, size: int, position: int, end: int):
        self.position = position
        self._arrays, self._size, self._end = arrays, size, end
        # The order is drawn on the host and sent to each device once, not batch by batch.
        self._orders = None if order is None else [to_device(order, device_of(x)) for x in arrays]

    def __iter__(self) -> "Batches":
        return self

    def __len__(self) -> int:
        return self._end - self.position

    def __next__(self) -> tuple[Array, ...]:
        if self.position >= self._end:
            raise StopIteration
        rows = slice(self.position * self._size, (self.position + 1) * self._size)
        self.position += 1
        if self._orders is None:
            return tuple(x[rows] for x in self._arrays)
        return tuple(x[order[rows]] for x, order in zip(self._arrays, self._orders, strict=True))


def batches(
    *arrays: Array,
    size: int,
    seed: int,
    epoch: int = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    skip: int = 0,
) -> Batches:
    """One epoch of minibatches: every row of the arrays exactly once, in a random order.

    >>> for epoch in range(10):
    ...     for x, y in batches(x_train, y_train, size=64, seed=0, epoch=epoch):
    ...         ...

    The order depends on nothing but `seed`, `epoch` and the number of rows. So a resumed run starts at any
    epoch, and with `skip` in the middle of one, and sees what an uninterrupted run would have seen.

    Args:
        arrays: any number of NumPy or CuPy arrays with equally many rows, `(n, ...)`; row i of all belongs
            together.
        size: rows in a batch; the last one has fewer if n is no multiple of it.
        seed: a whole number.
        epoch: which epoch; each has an order of its own.
        shuffle: False takes the rows as they come; the batches are then views of the arrays, not copies.
        drop_last: whether to leave out a last batch of fewer than `size` rows.
        skip: how many batches to leave out at the start, as done already.

    Returns:
        An iterator of tuples, one array `(size, ...)` for each of `arrays`, on its device. `len()` of it is
        the number of batches left, `.position` the number of the next one: what `skip` takes.

    Raises:
        TypeError, ValueError: if an argument is not as described, or there would be no batch at all.
    """
    where = "batches"
    (size,) = expect_positive(where, size=size)
    seed, epoch, skip = expect_not_negative(where, seed=seed, epoch=epoch, skip=skip)
    for name, flag in (("shuffle", shuffle), ("drop_last", drop_last)):
        if not isinstance(flag, bool):
            raise TypeError(f"{where}: {name} is {flag!r}, expected True or False")
    n = _rows(where, arrays)
    total = n // size if drop_last else -(-n // size)
    if total == 0:
        raise ValueError(f"{where}: the arrays have {n} rows, expected at least {size if drop_last else 1}")
    if skip > total:
        raise ValueError(f"{where}: skip is {skip}, but an epoch has only {total} batches")
    # A spawn key, unlike a second number of the seed, keeps each pair of seed and epoch apart from the others.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch,)))
    return Batches(arrays, rng.permutation(n) if shuffle else None, size, skip, total)


class Minibatches:
    """Minibatch k of a run without end, epoch after epoch: `x, labels = minibatches(k)`.

    The same k gives the same minibatch, whoever asks, so workers need not be handed what they can ask for, and a run is
    resumed at any k. The order is that of `batches`, with `drop_last`.

    Args:
        *arrays: with equally many rows.
        size: rows in a minibatch.
        seed: of the order.

    Attributes:
        per_epoch: minibatches in an epoch.
    """

    def __init__(self, *arrays: Array, size: int, seed: int):
        self.arrays, self.size, self.seed = arrays, size, seed
        self.per_epoch = len(batches(*arrays, size=size, seed=seed, drop_last=True))
        self._epoch: tuple[int, Batches] | None = None

    def __call__(self, k: int) -> tuple[Array, ...]:
        """The rows of minibatch k, of each of the arrays."""
        epoch, position = divmod(k, self.per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, batches(*self.arrays, size=self.size, seed=self.seed, epoch=epoch, drop_last=True)
        some = self._epoch[1]
        some.position = position
        return next(some)


def _rows(where: str, arrays: tuple[Array, ...]) -> int:
    if not arrays:
        raise TypeError(f"{where}: no arrays, expected at least one")
    for i, x in enumerate(arrays, start=1):
        is_array = isinstance(x, np.ndarray) or (array_module(x) is not np and hasattr(x, "shape"))
        if not is_array or not x.ndim:
            hint = ", and the batch size as size=..." if isinstance(x, int | np.integer) else ""
            kind = "an array without axes" if is_array else f"of type {type(x).__name__}"
            raise TypeError(f"{where}: argument {i} is {kind}, expected a NumPy or CuPy array with rows{hint}")
    lengths = [len(x) for x in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"{where}: the arrays have {listed(lengths)} rows, expected equally many")
    return lengths[0]
