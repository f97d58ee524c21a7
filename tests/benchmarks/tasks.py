"""What is timed: one training step of an LSTM, a GRU or an MLP, its random data, and how much work it is.

Data are in minidni's layout, the same for every library: x (T, B, D), s0 (B, S), dy (T, B, H), dsT (B, S), weights
Wx (D, G H), Wh (H, G H), b (G H,) and for the GRU bh, with the gates in the order i f o g, or r z n.
"""

import dataclasses
import itertools

import numpy as np

GATES = {"lstm": 4, "gru": 3}
STATES = {"lstm": 2, "gru": 1}

#: (T, B, D, H): time, batch, inputs, hidden.
SHAPES = {
    "dni5": (5, 32, 32, 256),
    "lm20": (20, 32, 64, 256),
    "smnist": (784, 32, 1, 128),
    "lm50": (50, 64, 128, 512),
    "big100": (100, 16, 50, 1024),
}
MLP_SIZES = (784, 256, 256, 256, 10)
MLP_BATCH = 250
MLP_RATE = 1e-3


@dataclasses.dataclass(frozen=True)
class Task:
    """One row of a table.

    `shape` is (T, B, D, H) for a recurrent layer, and (B, n0, n1, ...) for the MLP. With `last_step` the loss is at the
    last step only: dy is None, and dsT holds the gradient of the mean of B losses by h at the last step.
    """

    name: str
    cell: str
    shape: tuple[int, ...]
    last_step: bool = False
    seed: int = 0

    def __str__(self):
        return f"{self.cell} {self.shape}" + ", loss at the last step" * self.last_step

    def data(self, dtype=np.float32):
        """Every array of the step by name, drawn from the seed."""
        rng = np.random.default_rng(self.seed)
        arrays = self._mlp_data(rng) if self.cell == "mlp" else self._recurrent_data(rng)
        # Rounded to float32 first, so that a float64 reference starts from the same numbers.
        return {
            name: a if a is None or a.dtype.kind == "i" else a.astype(np.float32).astype(dtype)
            for name, a in arrays.items()
        }

    def _recurrent_data(self, rng):
        (T, B, D, H), G, S = self.shape, GATES[self.cell], STATES[self.cell] * self.shape[3]
        bound = 1 / np.sqrt(H)  # where PyTorch's layers start
        weights = {"Wx": (D, G * H), "Wh": (H, G * H), "b": (G * H,)}
        if self.cell == "gru":
            weights["bh"] = (G * H,)
        arrays = {name: rng.uniform(-bound, bound, shape) for name, shape in weights.items()}
        arrays |= {"x": rng.standard_normal((T, B, D)), "s0": 0.5 * rng.standard_normal((B, S))}
        if self.last_step and self.cell == "lstm":  # as a fresh LSTM of minidni: at forget bias 1 the gradient does
            arrays["b"][:] = (
                0  # not vanish altogether but stays at the smallest denormal number, which rounds to itself
            )
            arrays["b"][H : 2 * H] = 1
        if self.last_step:
            dsT = np.zeros((B, S))
            dsT[:, :H] = rng.standard_normal((B, H)) / B
            return arrays | {"dy": None, "dsT": dsT}
        return arrays | {"dy": rng.standard_normal((T, B, H)), "dsT": rng.standard_normal((B, S))}

    def _mlp_data(self, rng):
        B, *sizes = self.shape
        arrays = {"x": rng.standard_normal((B, sizes[0])), "labels": rng.integers(0, sizes[-1], B)}
        for i, (n, m) in enumerate(itertools.pairwise(sizes)):
            arrays[f"W{i}"] = rng.uniform(-1, 1, (n, m)) / np.sqrt(n)
            arrays[f"b{i}"] = rng.uniform(-1, 1, m) / np.sqrt(n)
        return arrays

    @property
    def flops(self):
        """Operations of the matrix products: 2 forward, 2 for the weights' and 2 for the inputs' gradient."""
        if self.cell == "mlp":
            B, *sizes = self.shape
            return 6 * B * sum(n * m for n, m in itertools.pairwise(sizes))
        T, B, D, H = self.shape
        return 6 * T * B * GATES[self.cell] * H * (D + H)

    @property
    def moved_bytes(self):
        """Bytes that the element-wise work reads and writes, each array once a pass."""
        if self.cell == "mlp":
            B, *sizes = self.shape
            n_params = sum(n * m + m for n, m in itertools.pairwise(sizes))
            # ReLU: reads a, writes y; reads dy and y, writes da. SGD: reads w and g, writes w.
            return 4 * (5 * B * sum(sizes[1:]) + 3 * n_params)
        T, B, _, H = self.shape
        # LSTM forward: reads a (4H) and c, writes the gates, c and h; backward: reads the gates, c, dy, dh and dc,
        # writes da, dh and dc. GRU forward: reads a and u (3H each) and h, writes the gates, u's part of n, and h;
        # backward: reads the gates, u, h, dy and dh, writes da, u's part of du, and dh.
        each = {"lstm": 11 + 14, "gru": 12 + 12}[self.cell]
        return 4 * T * B * H * each

    @property
    def kept_bytes(self):
        """About what the forward pass keeps for the backward one; decides which memory the bytes move through."""
        if self.cell == "mlp":
            B, *sizes = self.shape
            return 4 * B * sum(sizes)
        T, B, D, H = self.shape
        return 4 * T * B * (D + (GATES[self.cell] + 2) * H)


def tasks_of(what, shapes=None):
    """The rows of one table. `shapes`: (T, B, D, H) each, in place of the usual ones."""
    if what == "mlp":
        return [Task("", "mlp", (MLP_BATCH, *MLP_SIZES))]
    usual = {"smnist": SHAPES["smnist"]} if what == "last-step" else SHAPES
    named = [("", shape) for shape in shapes] if shapes else list(usual.items())
    if what == "last-step":
        return [Task(f"{cell} {name}".strip(), cell, shape, last_step=True) for cell in GATES for name, shape in named]
    return [Task(name, what, shape) for name, shape in named]
