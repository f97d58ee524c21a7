"""Checkpoints: each worker writes its own part, whole or not at all; what is complete can be resumed from."""

import pickle
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..arrays.checks import expect_positive
from ..nn.files import whole_file
from .worker import Worker

NAME = re.compile(r"(\d+)\.(\d+)-of-(\d+)\.checkpoint")


@dataclass(frozen=True)
class Checkpoints:
    """Where, and how often.

    A part holds the segment with its optimiser and signal, the state of its random generators, and the triggers whose
    targets are still to come. Targets on their way between two workers are not in it: a decoupled run that is resumed
    lacks them, at most `pending` a worker; a locked one is the uninterrupted run bit for bit.

    The parts are pickles: read none from anyone you do not trust.

    Args:
        folder: is made if it is not there; where workers run on several machines, all must see it.
        every: a part is written after so many minibatches.
        keep: how many complete ones stay; None for all.
    """

    folder: Path
    every: int = 100
    keep: int | None = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        expect_positive("Checkpoints", every=self.every)
        if self.keep is not None:
            expect_positive("Checkpoints", keep=self.keep)

    def due(self, worker: Worker) -> bool:
        """Whether the worker has just finished a minibatch behind which a part is written."""
        return (worker.latest + 1) % self.every == 0

    def write(self, worker: Worker) -> None:
        """Write the worker's part; its parts of older checkpoints go once a newer one is complete."""
        self.folder.mkdir(parents=True, exist_ok=True)
        n = worker.stages * worker.replicas
        with whole_file(self._part(worker.latest, worker.rank, n)) as file:
            pickle.dump(worker.state(), file, protocol=pickle.HIGHEST_PROTOCOL)
        complete = self.complete(n)
        if self.keep is not None and len(complete) >= self.keep:
            for k, ranks in self._parts(n).items():
                if k < complete[-self.keep] and worker.rank in ranks:
                    self._part(k, worker.rank, n).unlink(missing_ok=True)

    def complete(self, n_workers: int) -> list[int]:
        """The minibatches behind which all workers have written their parts, rising."""
        return [k for k, parts in self._parts(n_workers).items() if len(parts) == n_workers]

    def read(self, k: int, n_workers: int) -> list[dict[str, Any]]:
        """All parts of the checkpoint behind minibatch k, in the order of ranks.

        Raises:
            ValueError: if one cannot be read.
        """
        states = []
        for rank in range(n_workers):
            path = self._part(k, rank, n_workers)
            try:
                states.append(pickle.loads(path.read_bytes()))
            except Exception as error:  # unpickling damaged bytes can raise anything
                raise ValueError(f"{path} is not a part of a checkpoint that can be read: {error}") from error
        return states

    def latest(self, n_workers: int) -> int | None:
        """The newest complete one, or None.

        Raises:
            ValueError: if there is none for so many workers but one for another number.
        """
        if complete := self.complete(n_workers):
            return complete[-1]
        others = {int(found[3]) for found in self._names()} - {n_workers}
        if others:
            raise ValueError(
                f"{self.folder} holds checkpoints of {' and '.join(map(str, sorted(others)))} workers, "
                f"expected {n_workers}"
            )
        return None

    def _part(self, k: int, rank: int, n_workers: int) -> Path:
        return self.folder / f"{k:09}.{rank}-of-{n_workers}.checkpoint"

    def _names(self) -> Iterable[re.Match[str]]:
        names = sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []
        return [found for name in names if (found := NAME.fullmatch(name))]

    def _parts(self, n_workers: int) -> dict[int, set[int]]:
        parts: dict[int, set[int]] = defaultdict(set)
        for found in self._names():
            if int(found[3]) == n_workers:
                parts[int(found[1])].add(int(found[2]))
        return dict(sorted(parts.items()))
