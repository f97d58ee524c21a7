"""The same steps in JAX: forward and backward in one jitted function, `lax.scan` over time, inputs projected first."""

import os

# XLA makes a thread for each processor that it may use when it starts, so it is started with as many as are asked for.
_allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
if _allowed:
    os.sched_setaffinity(0, sorted(_allowed)[: int(os.environ["OMP_NUM_THREADS"])])

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from benchmarks.tasks import MLP_RATE  # noqa: E402

jax.config.update("jax_platforms", "cpu")
jax.devices()
if _allowed:
    os.sched_setaffinity(0, _allowed)


def lstm(weights, x, s0):
    H = weights["Wh"].shape[0]

    def cell(state, a):
        h, c = state
        a = a + h @ weights["Wh"]
        i, f, o = jnp.split(jax.nn.sigmoid(a[:, : 3 * H]), 3, axis=1)
        c = f * c + i * jnp.tanh(a[:, 3 * H :])
        h = o * jnp.tanh(c)
        return (h, c), h

    (h, c), y = jax.lax.scan(cell, (s0[:, :H], s0[:, H:]), x @ weights["Wx"] + weights["b"])
    return y, jnp.concatenate([h, c], axis=1)


def gru(weights, x, s0):
    H = weights["Wh"].shape[0]

    def cell(h, a):
        u = h @ weights["Wh"] + weights["bh"]
        r, z = jnp.split(jax.nn.sigmoid(a[:, : 2 * H] + u[:, : 2 * H]), 2, axis=1)
        n = jnp.tanh(a[:, 2 * H :] + r * u[:, 2 * H :])
        h = (1 - z) * n + z * h
        return h, h

    h, y = jax.lax.scan(cell, s0, x @ weights["Wx"] + weights["b"])
    return y, h


class Recurrent:
    def __init__(self, task):
        data = {name: None if a is None else jnp.asarray(a) for name, a in task.data().items()}
        self.names = [name for name in ("Wx", "Wh", "b", "bh") if name in data]
        self.inputs = ({name: data[name] for name in self.names}, data["x"], data["s0"])
        self.d_outputs = (data["dy"], data["dsT"])
        cell = {"lstm": lstm, "gru": gru}[task.cell]

        @jax.jit
        def step(inputs, d_outputs):
            (y, sT), pullback = jax.vjp(cell, *inputs)
            dy, dsT = d_outputs
            return y, sT, pullback((jnp.zeros_like(y) if dy is None else dy, dsT))

        self.function = step

    def step(self):
        self.found = jax.block_until_ready(self.function(self.inputs, self.d_outputs))

    def results(self):
        y, sT, (weights, dx, ds0) = jax.tree.map(np.asarray, self.found)
        return {"y": y, "sT": sT, "dx": dx, "ds0": ds0, **weights}


class Mlp:
    def __init__(self, task):
        data = task.data()
        self.x, self.labels = jnp.asarray(data.pop("x")), jnp.asarray(data.pop("labels"))
        self.weights = {name: jnp.asarray(a) for name, a in data.items()}
        n_layers = len(self.weights) // 2

        def loss(weights, x, labels):
            for i in range(n_layers):
                x = x @ weights[f"W{i}"] + weights[f"b{i}"]
                x = jax.nn.relu(x) if i < n_layers - 1 else x
            return -jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], axis=1).mean(), x

        @jax.jit
        def step(weights, x, labels):
            (_, y), (grads, dx) = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(weights, x, labels)
            return {name: w - MLP_RATE * grads[name] for name, w in weights.items()}, y, dx, grads

        self.function = step

    def step(self):
        self.weights, *self.found = jax.block_until_ready(self.function(self.weights, self.x, self.labels))

    def results(self):
        y, dx, grads = jax.tree.map(np.asarray, self.found)
        return {"y": y, "dx": dx, **grads}


def make(library, task):
    return Mlp(task) if task.cell == "mlp" else Recurrent(task)


def versions(library, threads):
    return {"JAX": jax.__version__}
