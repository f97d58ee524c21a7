"""The loop that the recurrent experiments share: one update of a network, and a bar on the terminal."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dni import AuxiliaryHead, Synthesizer
from ..nn import Adam, Layer, Loss, clip_norm
from ..nn.optimisers import Rate

EVALUATION_SEED = 10_000  # plus the run's seed: what is measured on was not trained on


class Trainer:
    """A network that learns: `value, sT = trainer.step(x, labels, s0)` is one update.

    Args:
        net: a network, recurrent or not.
        loss: between those outputs that count and the labels.
        lr: learning rate of Adam, or a function of the updates taken before.
        clip: largest norm of the gradient.
        trained: the part of the network that is updated; all of it if None.
        synthesizer: predicts the gradient by the state at the end of a window, and learns it at the start of the next;
            None for truncated back-propagation.
        head: makes the state foretell the next window's synthetic gradient; None for none.

    Attributes:
        updates: how many were taken.
    """

    def __init__(
        self,
        net: Layer,
        loss: Loss,
        *,
        lr: Rate,
        clip: float,
        trained: Layer | None = None,
        synthesizer: Synthesizer | None = None,
        head: AuxiliaryHead | None = None,
    ):
        self.net, self.loss, self.optimiser, self.clip = net, loss, Adam(lr), clip
        self.trained = net if trained is None else trained
        self.synthesizer, self.head = synthesizer, head
        self.updates = 0
        self._cache: Any = None

    def step(
        self, x: np.ndarray, labels: np.ndarray, s0: Any = None, where: Any = ..., *, last: bool = False
    ) -> tuple[float, Any]:
        """Forward, loss, backward, clip, update.

        Args:
            x: what the network takes; with a state (T, B, ...), whole sequences or a window of them.
            labels: for the outputs that count; none, and the loss is 0.
            s0: (B, S), the state before x; None for zeros, at the start of sequences. No gradient is sent to what came
                before, but a synthesizer learns it.
            where: the index of the outputs that count: y[where] has as many rows as labels.
            last: whether the sequences end here: then there is no gradient from beyond the window's end.

        Returns:
            The loss before the update, and the state behind x, (B, S), or None for a network without one.

        Raises:
            FloatingPointError: if the loss, or the network's output, is not finite.
        """
        try:
            states = () if s0 is None else (s0,)
            y, *states, self._cache = self.net.forward(x, *states, cache=self._cache)
            dy, value = np.zeros_like(y), 0.0
            if labels.size:
                value = self.loss.value(y[where], labels)
                dy[where] = self.loss.gradient(y[where], labels)
            self.net.zero_grads()
            self._backward(dy, s0, None if last or not states else states[0])
            clip_norm(self.trained, self.clip)
            self.optimiser.step(self.trained)
        except FloatingPointError as error:
            error.add_note(f"after {self.updates} updates:")
            raise
        self.updates += 1
        return value, states[0].copy() if states else None  # its memory is the cache's: the next step recycles it

    def _backward(self, dy: np.ndarray, s0: Any, sT: Any) -> None:
        """Back through the window, with a synthetic gradient from beyond its end, which is learned at its start."""
        if self.synthesizer is None:
            self.net.backward(dy, self._cache)
            return
        dsT = None if sT is None else self.synthesizer.predict(sT)
        _, ds0 = self.net.backward(dy, self._cache, dsT)
        if s0 is None:
            return
        if self.head is not None and dsT is not None:
            ds0 = ds0 + self.head.gradient(s0, dsT)
        self.synthesizer.fit(s0, ds0)


def progress(items: Iterable[Any], text: str) -> Iterable[Any]:
    """The items, with a bar if tqdm is installed and standard error is a terminal."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, desc=text, leave=False, disable=None)
