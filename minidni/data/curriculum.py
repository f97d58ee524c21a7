"""A curriculum: the task grows by one when the network has learned what it has."""

import math
from typing import Any, Protocol, runtime_checkable

from ..arrays.checks import expect_not_negative, expect_number, expect_positive


@runtime_checkable
class Growing(Protocol):
    """A task that a curriculum can make harder: `Copying`, `RepeatCopying`, `DelayedXor`, or one of yours."""

    n_out: int

    def batch(self, number: int, *, size: int, seed: int = 0) -> tuple:
        """Batch `number` of the task's stream."""

    def harder(self) -> Any:
        """The task's next step."""


class Curriculum:
    """An endless stream of batches of a task that grows when it is solved.

        curriculum = Curriculum(Copying(length=1), size=64)
        for x, labels, mask, counted in curriculum:
            ...
            if curriculum.update(loss.value(y[counted], labels[counted])):
                print(curriculum.task)

    A task counts as solved when the loss of a batch falls below `threshold` bits for each bit of the answer: for each
    label, on average over the counted steps. Chance is 1 bit for `Copying` and `DelayedXor`.

    Args:
        task: where to start, a `Copying`, `RepeatCopying` or `DelayedXor`; see their `harder`.
        size: B, sequences in a batch.
        seed: a whole number, of the batches.
        threshold: in bits for each label.
        over: how many batches in a row the loss is averaged over; they start anew when the task grows.
        skip: the number of the first batch; with the task that was reached, this resumes a run.

    Attributes:
        task: the current task.
        position: the number of the next batch.
        history: (position, task) of the start and of each growth.

    Source: the rule "below 0.15 bits" and the order of `RepeatCopying.harder` are those of the code of J. Pemberton
    and R. Costa, arXiv 2401.07044, which looks at each batch alone, as `over=1` does.
    """

    def __init__(
        self, task: Growing, *, size: int, seed: int = 0, threshold: float = 0.15, over: int = 1, skip: int = 0
    ):
        where = "Curriculum"
        if not isinstance(task, Growing):
            raise TypeError(
                f"{where}: task is of type {type(task).__name__}, expected one with "
                "batch, harder and n_out, as Copying has them"
            )
        self.task = task
        self.size, self.over = expect_positive(where, size=size, over=over)
        self.seed, self.position = expect_not_negative(where, seed=seed, skip=skip)
        self.threshold = expect_number(where, "threshold", threshold, open_low=True)
        self.history: list[tuple[int, Growing]] = [(self.position, task)]
        self._bits: list[float] = []

    def __iter__(self) -> "Curriculum":
        return self

    def __next__(self) -> tuple:
        batch = self.task.batch(self.position, size=self.size, seed=self.seed)
        self.position += 1
        return batch

    def update(self, loss: float) -> bool:
        """Tell the loss of a batch; returns whether the task has grown.

        Args:
            loss: the mean over the counted steps of the sum over the labels, in nats, as `SigmoidCrossEntropy` gives.
        """
        loss = expect_number("Curriculum.update", "loss", loss)
        self._bits = [*self._bits, loss / math.log(2) / self.task.n_out][-self.over :]
        if len(self._bits) < self.over or sum(self._bits) / self.over >= self.threshold:
            return False
        self.task = self.task.harder()
        self.history.append((self.position, self.task))
        self._bits.clear()
        return True
