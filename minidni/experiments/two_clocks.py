"""The experiment `two-clocks`: two networks that send each other messages, one of them ticking T times as slowly."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..data import Dataset, load_digits
from ..dni import Signal, Synthesizer, Zero, networks
from ..nn import LSTM, Adam, Layer, Linear, Optimiser, ReLU, Sequential, SquaredError, clip_norm
from ..nn.schedules import cosine_decay
from .loop import EVALUATION_SEED, progress
from .registry import experiment
from .rows import Row, measured

SYMBOL = 3  # what B counts
LOSS = SquaredError()


class Correspondent:
    """A network that reads a window, with the last message it was sent beside each step, then answers and sends one.

    Args:
        net: (T, B, D + K) -> (T, B, 1 + K), with a state; of its last step the first number is the answer, the others
            are the message.
        optimizer: its own.
        clip: largest norm of its gradient.
    """

    def __init__(self, net: Layer, optimizer: Optimiser, clip: float):
        self.net, self.optimizer, self.clip = net, optimizer, clip

    def run(self, x: np.ndarray, heard: np.ndarray, s: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
        """x (T, B, D), heard (B, K) -> answer (B, 1), message (B, K), state (B, S), cache."""
        beside = np.broadcast_to(heard, (len(x), *heard.shape))
        y, s, cache = self.net.forward(np.concatenate([x, beside], axis=-1), s)
        return y[-1, :, :1], y[-1, :, 1:], s, (cache, y.shape, heard.shape[1])

    def back(self, danswer: Any, dmessage: Any, ds: Any, cache: Any) -> tuple[np.ndarray, np.ndarray]:
        """The gradients by the message heard (B, K) and by the state before; None for what gets none."""
        cache, shape, K = cache
        dy = np.zeros(shape, self.net.dtype)
        dy[-1, :, :1] = 0 if danswer is None else danswer
        dy[-1, :, 1:] = 0 if dmessage is None else dmessage
        dx, ds0 = self.net.backward(dy, cache, ds)
        return dx[:, :, -K:].sum(axis=0), ds0

    def update(self) -> None:
        """A step down the gradients gathered since the last one."""
        clip_norm(self.net, self.clip)
        self.optimizer.step(self.net)
        self.net.zero_grads()


class Tick(NamedTuple):
    """What a window of A and the tick of B behind it left: answers (B, 1), messages (B, K), states, caches."""

    answer_a: np.ndarray
    message_a: np.ndarray
    state_a: np.ndarray
    cache_a: Any
    answer_b: np.ndarray
    state_b: np.ndarray
    cache_b: Any


class TwoClocks:
    """A ticks at every step, B behind every T steps of A (Jaderberg et al. 2017, section 3.2).

        A    x x x x   x x x x   x x x x   x x x x        windows of T steps: an answer and a message behind each
                   | /       | /       | /       |
        B          o         o         o         o        a tick each; its answer is asked for behind the last one

    What flows back to B's messages arrives with A's next window. What flows back to A's messages arrives with B's
    window, T times as long as A's: `locked` waits for it, in `decoupled` a signal stands in for it.
    """

    def __init__(self, a: Correspondent, b: Correspondent, n_message: int):
        self.a, self.b, self.n_message = a, b, n_message

    def ticks(self, windows: np.ndarray) -> Iterator[Tick]:
        """windows (ticks, T, B, D) of an episode, from zero states; the networks may be updated between two ticks."""
        B = windows.shape[2]
        message, nothing = np.zeros((B, self.n_message), windows.dtype), np.zeros((1, B, 0), windows.dtype)
        state_a = state_b = None
        for x in windows:
            answer_a, message_a, state_a, cache_a = self.a.run(x, message, state_a)
            answer_b, message, state_b, cache_b = self.b.run(nothing, message_a, state_b)
            yield Tick(answer_a, message_a, state_a, cache_a, answer_b, state_b, cache_b)

    def locked(self, windows: np.ndarray, wanted_a: np.ndarray, wanted_b: np.ndarray) -> None:
        """An update of each on the exact gradient, behind the whole episode.

        Args:
            windows: inputs (ticks, T, B, D).
            wanted_a: A's answers (ticks, B, 1).
            wanted_b: B's last answer (B, 1).
        """
        dmessage_b = ds_a = ds_b = None
        for tick, wanted in reversed(list(zip(self.ticks(windows), wanted_a, strict=True))):
            danswer = LOSS.gradient(tick.answer_b, wanted_b) if ds_b is None else None
            dmessage_a, ds_b = self.b.back(danswer, dmessage_b, ds_b, tick.cache_b)
            dmessage_b, ds_a = self.a.back(LOSS.gradient(tick.answer_a, wanted), dmessage_a, ds_a, tick.cache_a)
        self.a.update()
        self.b.update()

    def decoupled(
        self,
        windows: np.ndarray,
        wanted_a: np.ndarray,
        wanted_b: np.ndarray,
        known: np.ndarray,
        messages: Signal,
        states: Signal,
    ) -> None:
        """An update of A behind each of its windows, and one of B behind the episode.

        Args:
            windows: inputs (ticks, T, B, D).
            wanted_a: A's answers (ticks, B, 1).
            wanted_b: B's last answer (B, 1).
            known: what else the signal for A's messages is shown (ticks, B, C), beside B's state behind the tick.
            messages: stands in for what flows back to A's messages, and learns it behind B's window.
            states: stands in for what flows back to A's states.
        """
        done, heard = [], []
        for tick, wanted, more in zip(self.ticks(windows), wanted_a, known, strict=True):
            context = np.concatenate([tick.state_b, more], axis=1)
            danswer, dmessage = LOSS.gradient(tick.answer_a, wanted), messages.gradient(tick.message_a, context)
            dmessage_b, _ = self.a.back(danswer, dmessage, states.gradient(tick.state_a), tick.cache_a)
            self.a.update()
            done.append((tick, context))
            heard.append(dmessage_b)  # by the message of the tick before
        ds = None
        for (tick, context), dmessage_b in reversed(list(zip(done, [*heard[1:], None], strict=True))):
            danswer = LOSS.gradient(tick.answer_b, wanted_b) if ds is None else None
            dmessage, ds = self.b.back(danswer, dmessage_b, ds, tick.cache_b)
            messages.learn(tick.message_a, dmessage, context)
        self.b.update()


def chance(*, window: int, **_: object) -> dict[str, float]:
    """The squared error of who always answers the mean."""
    digits = load_digits()
    odd, symbol = (digits.y_test % 2).mean(), (digits.y_test == SYMBOL).mean()
    return {"A, the mean": window * odd * (1 - odd), "B, the mean": window**2 * symbol * (1 - symbol)}


@experiment(
    "two-clocks",
    measures={"loss_a": "squared error", "loss_b": "squared error"},
    quick={"window": 2, "episodes": 300},
    beside=chance,
)
def two_clocks(
    seed: int,
    *,
    window: int = 4,
    hidden: int = 32,
    message: int = 8,
    batch: int = 32,
    episodes: int = 2_000,
    lr: float = 3e-3,
    locked_lr: float = 1e-2,
    synthesizer_lr: float = 1e-2,
    scale: float = 1.0,
    clip: float = 1.0,
) -> Iterator[Row]:
    """A network learns from synthetic gradients what a slower one needs, and does not wait for it.

    A reads handwritten digits, one at a step, and says how many of the last T were odd. B never sees a digit: once for
    T steps it hears from A, and at the end, after T T digits, it says how often there was a 3. That a 3 matters, A can
    learn from B alone. `locked` trains both on the exact gradient through the whole episode, for which A waits until B
    is done. In the others A takes an update behind each window of T, and what flows back to its message is zero (the
    control), or predicted from the message and B's state: without labels (dni), and with the number of threes so far
    beside them (cdni). A's own state gets no gradient from beyond a window there.

    Errors are measured on 2000 episodes of test digits. The learning rates were chosen on seed 11, of 0.003 and 0.01
    for the networks, locked and decoupled, and of 0.001 and 0.01 for the synthesizer; the larger one did better without
    labels.

    Args:
        seed: of the weights, and of what is learned from.
        window: T.
        hidden: units of each LSTM, and of A's layer below.
        message: numbers in a message.
        batch: episodes side by side; all are new.
        episodes: batches of them to learn from.
        lr: learning rate of both networks' Adam at the start; it falls to 0 along half a cosine, as all do here.
        locked_lr: the same for the locked ones.
        synthesizer_lr: the same for the synthesizer.
        scale: of the synthetic gradient.
        clip: largest norm of a network's gradient.
    """
    digits, n_in = load_digits(), load_digits().features
    for method in ("locked", "zero", "dni", "cdni"):
        with measured(method=method, window=window, seed=seed) as row:
            locked, often = method == "locked", window * episodes
            rate_a = partial(cosine_decay, lr=locked_lr if locked else lr, total=episodes if locked else often)
            rate_b = partial(cosine_decay, lr=locked_lr if locked else lr, total=episodes)
            rate_own = partial(cosine_decay, lr=synthesizer_lr, total=often)
            a = Sequential(
                Linear(n_in + message, hidden, rng=3 * seed),
                ReLU(),
                LSTM(hidden, hidden, rng=3 * seed),
                Linear(hidden, 1 + message, rng=3 * seed),
            )
            b = Sequential(LSTM(message, hidden, rng=3 * seed + 1), Linear(hidden, 1 + message, rng=3 * seed + 1))
            pair = TwoClocks(Correspondent(a, Adam(rate_a), clip), Correspondent(b, Adam(rate_b), clip), message)
            n_context = 2 * hidden + (method == "cdni")
            synthesizer = Synthesizer(networks.linear(message, n_context, rng=0), Adam(rate_own), scale)
            signal = Zero() if method == "zero" else synthesizer
            rng = np.random.default_rng(seed)
            for _ in progress(range(episodes), f"two-clocks {method} seed {seed}"):
                x, odd, symbols = draw(digits, "train", rng, window, batch)
                if locked:
                    pair.locked(x, odd, symbols[-1])
                else:
                    known = symbols if method == "cdni" else symbols[:, :, :0]
                    pair.decoupled(x, odd, symbols[-1], known, signal, Zero())
            x, odd, symbols = draw(digits, "test", np.random.default_rng(EVALUATION_SEED + seed), window, 2_000)
            ticks = list(pair.ticks(x))
            row["loss_a"] = LOSS.value(np.stack([tick.answer_a for tick in ticks]), odd)
            row["loss_b"] = LOSS.value(ticks[-1].answer_b, symbols[-1])
        yield row


def draw(
    digits: Dataset, part: str, rng: np.random.Generator, T: int, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Episodes of T windows of T digits: x (T, T, B, D); odd digits in each window, and `SYMBOL`s so far, (T, B, 1)."""
    images, classes = getattr(digits, f"x_{part}"), getattr(digits, f"y_{part}")
    at = rng.integers(len(images), size=(T, T, size))
    odd = (classes[at] % 2).sum(axis=1)[..., None]
    symbols = (classes[at] == SYMBOL).sum(axis=1).cumsum(axis=0)[..., None]
    return images[at], odd.astype(images.dtype), symbols.astype(images.dtype)
