"""Layers as a learner writes them, in float64, each right unless a `bug` is named; what the checker is tested on.

`bug` names one planted mistake; the right line stands beside the wrong one.
"""

from typing import ClassVar

import numpy as np


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))  # does not overflow


class Learner:
    """Parameters and gradients in plain dictionaries."""

    def __init__(self, bug="", **params):
        self.bug = bug
        self.params = {n: np.asarray(p, dtype=float) for n, p in params.items()}
        self.grads = {n: np.zeros_like(p) for n, p in self.params.items()}


class Linear(Learner):
    def __init__(self, n_in, n_out, rng, bug="", scale=1.0):
        super().__init__(bug, W=scale * rng.standard_normal((n_in, n_out)), b=rng.standard_normal(n_out))
        self.W, self.b = self.params["W"], self.params["b"]

    def forward(self, x):
        if self.bug == "forward modifies x":
            x += 1
        if self.bug == "copy of W for W.T":
            self.copy = self.W.copy()
        y = x @ self.W + self.b
        return y, x

    def backward(self, dy, x):
        bug, B = self.bug, len(x)
        dW, db = x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1]), dy.reshape(-1, dy.shape[-1]).sum(0)
        dx = dy @ self.W.T
        if bug == "sign of dW":
            dW = -dW
        elif bug == "factor 2":
            dx, dW, db = 2 * dx, 2 * dW, 2 * db
        elif bug == "half dx":
            dx = dx / 2
        elif bug == "factor B":
            dW, db = dW * B, db * B
        elif bug == "factor 1/B":
            dW, db = dW / B, db / B
        elif bug in ("W for W.T", "copy of W for W.T"):
            dx = dy @ (self.W if bug == "W for W.T" else self.copy)
        elif bug == "W and db":
            dx, db = dy @ self.W, np.full_like(db, dy.sum())
        elif bug == "db over all axes":
            db = np.full_like(db, dy.sum())
        elif bug == "db mean over all axes":
            db = np.full_like(db, dy.mean())
        elif bug == "db over the wrong axis":
            db = dy.sum(1)
        elif bug == "db mean over the wrong axis":
            db = dy.mean(1)
        elif bug == "dW transposed":
            dW = dW.T
        elif bug == "dW shape transposed":
            self.grads["W"] = dW.T
        elif bug == "db not summed":
            self.grads["b"] = dy.copy()
        elif bug == "db keepdims":
            self.grads["b"] = db[None, :]
        elif bug == "db first row":
            db = dy[0].copy()
        elif bug == "db mean":
            db = dy.mean(0)
        elif bug == "zero db":
            db = np.zeros_like(db)
        elif bug == "x1.001 on one weight":
            dW[3, 2] *= 1.001
        elif bug == "one column":
            dW[:, 1] *= -1
        elif bug == "one row lost":
            dW[2] = 0
        elif bug == "nan":
            dW[1, 1] = np.nan
        elif bug == "dy scaled in place":
            dy *= 0.5
        elif bug == "x modified in backward":
            x *= 2
        elif bug == "W modified in backward":
            self.W += 1e-3 * dW
        elif bug == "dx is None":
            dx = None
        elif bug == "dx for dW":
            dx, dW = dW.copy(), dx.copy()
        elif bug == "unused parameter":
            dW = dW + 1.0
        elif bug == "dW shifted":
            dW = np.roll(dW, 1, axis=0)
        if bug == "= for +=":
            self.grads["W"][...], self.grads["b"] = dW, db
        elif bug == "reassigned with =":
            self.grads["W"], self.grads["b"] = dW, db
        elif bug == "adds half of the old":
            self.grads["W"] = 0.5 * self.grads["W"] + dW
            self.grads["b"] = self.grads["b"] + db
        elif bug == "grads named otherwise":
            self.grads = {"dW": dW, "db": db}
        elif bug not in ("dW shape transposed", "db not summed", "db keepdims"):
            self.grads["W"] = self.grads["W"] + dW
            self.grads["b"] = self.grads["b"] + db
        elif bug == "dW shape transposed":
            self.grads["b"] += db
        else:
            self.grads["W"] += dW
        return dx


class Activation:
    """A function applied entry by entry; no params, no grads."""

    functions: ClassVar = {
        "tanh": (np.tanh, lambda x, y: 1 - y**2),
        "sigmoid": (sigmoid, lambda x, y: y * (1 - y)),
        "relu": (lambda x: np.maximum(x, 0), lambda x, y: (x > 0) * 1.0),
        "softplus": (lambda x: np.logaddexp(0, x), lambda x, y: sigmoid(x)),
        "sine": (np.sin, lambda x, y: np.cos(x)),
    }

    def __init__(self, kind, bug=""):
        self.kind, self.bug = kind, bug

    def forward(self, x, cache=None):
        y = self.functions[self.kind][0](x)
        return y, (x, y)

    def backward(self, dy, cache):
        x, y = cache
        derivative = self.functions[self.kind][1](x, y)
        if self.bug == "tanh' from the input":
            derivative = 1 - x**2
        elif self.bug == "tanh twice":
            derivative = 1 - np.tanh(y) ** 2
        elif self.bug == "sigmoid' without (1 - s)":
            derivative = y
        elif self.bug in ("tanh' without the square", "sigmoid' without s"):
            derivative = 1 - y
        elif self.bug == "sigmoid' from the input":
            derivative = x * (1 - x)
        elif self.bug == "sigmoid twice":
            derivative = sigmoid(y) * (1 - sigmoid(y))
        elif self.bug == "relu on dy":
            derivative = (dy > 0) * 1.0
        elif self.bug == "derivative forgotten":
            derivative = 1.0
        elif self.bug == "shifted":
            return np.roll(dy * derivative, 1, axis=0)
        elif self.bug == "cache eaten":
            y *= 0.5
        return dy * derivative


class Softmax:
    def __init__(self, bug=""):
        self.bug = bug

    def forward(self, x):
        e = np.exp(x - x.max(-1, keepdims=True))
        y = e / e.sum(-1, keepdims=True)
        return y, y

    def backward(self, dy, y):
        if self.bug == "zeros":
            return np.zeros_like(dy)
        if self.bug == "diagonal only":
            return dy * y * (1 - y)
        if self.bug == "no sum":
            return dy * y
        return y * (dy - (dy * y).sum(-1, keepdims=True))


class TwoLayer(Learner):
    def __init__(self, n_in, n_hidden, n_out, rng, bug="", scale=1.0):
        super().__init__(
            bug,
            W1=scale * rng.standard_normal((n_in, n_hidden)),
            b1=0.1 * rng.standard_normal(n_hidden),
            W2=rng.standard_normal((n_hidden, n_out)),
            b2=0.1 * rng.standard_normal(n_out),
        )

    def forward(self, x):
        p = self.params
        h = np.tanh(x @ p["W1"] + p["b1"])
        return h @ p["W2"] + p["b2"], (x, h)

    def backward(self, dy, cache):
        p, g, (x, h) = self.params, self.grads, cache
        dh = dy @ p["W2"].T
        da = dh if self.bug == "no tanh'" else dh * (1 - h**2)
        if self.bug == "tanh' of h":
            da = dh * (1 - np.tanh(h) ** 2)
        g["W2"] += h.T @ (dy if self.bug != "W2 from x1.01" else 1.01 * dy)
        g["b2"] += dy.sum(0)
        g["W1"] += x.T @ da
        g["b1"] += dh.sum(0) if self.bug == "b1 from dh" else da.sum(0)
        return da @ p["W1"].T


class RNN(Learner):
    """x (T, B, D), s (B, H)."""

    def __init__(self, n_in, n_hidden, rng, bug="", scale=1.0):
        super().__init__(
            bug,
            Wx=scale * rng.standard_normal((n_in, n_hidden)) / np.sqrt(n_in),
            Wh=scale * rng.standard_normal((n_hidden, n_hidden)) / np.sqrt(n_hidden),
            b=0.1 * rng.standard_normal(n_hidden),
        )

    def forward(self, x, s0=None):
        p, T = self.params, len(x)
        hs = np.zeros((T + 1, x.shape[1], p["Wh"].shape[0]), dtype=np.result_type(x, p["Wh"]))
        if s0 is not None:
            hs[0] = s0
        for t in range(T):
            hs[t + 1] = np.tanh(x[t] @ p["Wx"] + hs[t] @ p["Wh"] + p["b"])
        return hs[1:], hs[T].copy(), (x, hs)

    def backward(self, dy, cache, dsT=None):
        p, g, bug, (x, hs) = self.params, self.grads, self.bug, cache
        dx, dh = np.zeros_like(x), np.zeros_like(hs[0])
        if dsT is not None and bug != "dsT ignored":
            dh = dh + (2 * dsT if bug == "dsT twice" else dsT)
        for t in reversed(range(len(x))):
            if bug == "no path through time":
                dh = dy[t] + (dh if t == len(x) - 1 else 0)
            elif bug == "dy one step late":
                dh = dh + (dy[t - 1] if t else 0)
            elif bug != "dy ignored":
                dh = dh + dy[t]
            da = dh * (1 - hs[t + 1] ** 2)
            dx[t] = da @ p["Wx"].T
            g["Wx"] += x[t].T @ da
            g["Wh"] += hs[t + 1 if bug == "h_t for h_t-1" else t].T @ da
            if bug != "b from the last step" or t == len(x) - 1:
                g["b"] += da.sum(0)
            dh = da @ (p["Wh"] if bug == "Wh for Wh.T" else p["Wh"].T)
        if bug == "dx shifted":
            dx = np.concatenate([dx[1:], np.zeros_like(dx[:1])])
        if bug == "no ds0":
            return dx
        return dx, dh


class LSTM(Learner):
    """x (T, B, D), one state s = [h | c] (B, 2H), gates i f o g."""

    def __init__(self, n_in, n_hidden, rng, bug="", scale=1.0):
        H = n_hidden
        super().__init__(
            bug,
            Wx=scale * rng.standard_normal((n_in, 4 * H)) / np.sqrt(n_in),
            Wh=scale * rng.standard_normal((H, 4 * H)) / np.sqrt(H),
            b=0.1 * rng.standard_normal(4 * H),
        )

    def forward(self, x, s0=None, cache=None):
        p, T, B, H = self.params, len(x), x.shape[1], len(self.params["Wh"])
        dtype = np.result_type(x, p["Wh"])
        hs, cs, gates = np.zeros((T + 1, B, H), dtype), np.zeros((T + 1, B, H), dtype), np.zeros((T, B, 4 * H), dtype)
        if s0 is not None:
            hs[0], cs[0] = s0[:, :H], s0[:, H:]
            if self.bug == "s0 modified":
                s0 *= 0.0
        for t in range(T):
            a = x[t] @ p["Wx"] + hs[t] @ p["Wh"] + p["b"]
            gates[t, :, : 3 * H], gates[t, :, 3 * H :] = sigmoid(a[:, : 3 * H]), np.tanh(a[:, 3 * H :])
            i, f, o, g = np.split(gates[t], 4, axis=-1)
            cs[t + 1] = f * cs[t] + i * g
            hs[t + 1] = o * np.tanh(cs[t + 1])
        return hs[1:], np.concatenate([hs[T], cs[T]], axis=-1), (x, hs, cs, gates)

    def backward(self, dy, cache, dsT=None):
        p, bug, (x, hs, cs, gates) = self.params, self.bug, cache
        grads = {n: np.zeros_like(w) for n, w in p.items()}
        T, B, H = len(x), x.shape[1], hs.shape[-1]
        dx, dh, dc = np.zeros_like(x), np.zeros((B, H)), np.zeros((B, H))
        if dsT is not None and bug != "dsT ignored":
            dh = dh + dsT[:, :H]
            if bug != "only dh of dsT":
                dc = dc + (2 * dsT[:, H:] if bug == "dc of dsT twice" else dsT[:, H:])
            if bug == "dsT modified":
                dsT[:, :H] += dy[-1]
        if bug == "dy modified":
            dy[-1] += dh
            dh = 0.0
        for t in reversed(range(T)):
            i, f, o, g = np.split(gates[t], 4, axis=-1)
            tc = np.tanh(cs[t + 1])
            dh = dh + dy[t]
            if bug != "no o path of dc":
                dc = dc + dh * o * (1 if bug == "no tanh' of c" else 1 - tc**2)
            c_before = cs[t + 1] if bug == "c_t for c_t-1" else cs[t]
            da = np.concatenate(
                [
                    dc * g * i * (1 if bug == "no (1 - i)" else 1 - i),
                    dc * c_before * f * (1 - f),
                    dh * tc * o * (1 - o),
                    dc * i * (1 - g if bug == "1 - g" else 1 - g**2),
                ],
                axis=-1,
            )
            if bug == "gates in another order":
                da = np.concatenate([da[:, :H], da[:, 2 * H : 3 * H], da[:, H : 2 * H], da[:, 3 * H :]], axis=-1)
            dx[t] = da @ p["Wx"].T
            grads["Wx"] += x[t].T @ da
            grads["Wh"] += hs[t].T @ da
            if bug != "b from the last step" or t == T - 1:
                grads["b"] += da.sum(0)
            dh = np.zeros((B, H)) if bug == "no dh through time" else da @ p["Wh"].T
            dc = dc if bug == "no forget gate on dc" else dc * f
        if bug == "mean over time":
            grads["b"] /= T
        if bug.startswith("times "):
            grads["Wh"][1, 2] *= float(bug.split()[1])
        for n in grads:
            self.grads[n] = grads[n] + (0 if bug == "= for Wx" and n == "Wx" else self.grads[n])
        ds0 = np.concatenate([dh, dc], axis=-1)
        return dx, np.zeros_like(ds0) if bug == "ds0 zero" else ds0


class Norm(Learner):
    """Normalisation over the last axis (LayerNorm) or all others (BatchNorm in training), with running statistics."""

    def __init__(self, n, rng, over, bug=""):
        super().__init__(bug, gain=1 + 0.3 * rng.standard_normal(n), b=rng.standard_normal(n))
        self.over, self.mean, self.count = over, np.zeros(n), 0

    def _axes(self, x):
        return (x.ndim - 1,) if self.over == "features" else tuple(range(x.ndim - 1))

    def forward(self, x):
        axes = self._axes(x)
        mean = x.mean(axes, keepdims=True)
        std = np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + 1e-5)
        xhat = (x - mean) / std
        if self.over != "features":
            self.mean, self.count = 0.9 * self.mean + 0.1 * np.real(mean).ravel(), self.count + 1
        return self.params["gain"] * xhat + self.params["b"], (xhat, std)

    def backward(self, dy, cache):
        xhat, std = cache
        axes, lead = self._axes(xhat), tuple(range(xhat.ndim - 1))
        self.grads["gain"] += (dy * xhat).sum(lead)
        self.grads["b"] += dy.sum(lead)
        d = dy * self.params["gain"]
        mean, var = d.mean(axes, keepdims=True), xhat * (d * xhat).mean(axes, keepdims=True)
        if self.bug == "no mean term":
            mean = 0
        elif self.bug == "no variance term":
            var = 0
        elif self.bug == "statistics constant":
            mean = var = 0
        return (d - mean - var) / std


class Conv2d(Learner):
    """x (B, C, H, W), W (C_out, C, K, K), no padding; loops over the kernel."""

    def __init__(self, c_in, c_out, k, rng, bug=""):
        super().__init__(bug, W=rng.standard_normal((c_out, c_in, k, k)), b=rng.standard_normal(c_out))

    def forward(self, x):
        W, k = self.params["W"], self.params["W"].shape[-1]
        n, m = x.shape[2] - k + 1, x.shape[3] - k + 1
        y = self.params["b"][:, None, None] + sum(
            np.einsum("bchw,oc->bohw", x[:, :, i : i + n, j : j + m], W[:, :, i, j]) for i in range(k) for j in range(k)
        )
        return y, x

    def backward(self, dy, x):
        W, k = self.params["W"], self.params["W"].shape[-1]
        n, m = dy.shape[2:]
        dx, dW = np.zeros_like(x), np.zeros_like(W)
        for i in range(k):
            for j in range(k):
                kernel = W[:, :, k - 1 - i, k - 1 - j] if self.bug == "kernel flipped" else W[:, :, i, j]
                dx[:, :, i : i + n, j : j + m] += np.einsum("bohw,oc->bchw", dy, kernel)
                dW[:, :, i, j] = np.einsum("bohw,bchw->oc", dy, x[:, :, i : i + n, j : j + m])
        if self.bug == "dW flipped":
            dW = dW[:, :, ::-1, ::-1]
        self.grads["W"] += dW
        self.grads["b"] += dy.sum((0, 2)).sum(-1) / (n if self.bug == "db averaged over rows" else 1)
        return dx


class MaxPool:
    """2 x 2, x (B, C, H, W) of even height and width; a tie sends the gradient to the first."""

    def __init__(self, bug=""):
        self.bug = bug

    def forward(self, x):
        B, C, H, W = x.shape
        patches = x.reshape(B, C, H // 2, 2, W // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(B, C, H // 2, W // 2, 4)
        return patches.max(-1), (x.shape, patches.argmax(-1))

    def backward(self, dy, cache):
        (B, C, H, W), winner = cache
        d = np.zeros((*winner.shape, 4))
        np.put_along_axis(d, winner[..., None], dy[..., None], -1)
        if self.bug == "shared among all four":
            d = np.repeat(dy[..., None] / 4, 4, axis=-1)
        return d.reshape(B, C, H // 2, W // 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(B, C, H, W)


class Dropout:
    def __init__(self, rate, rng, bug=""):
        self.rate, self.rng, self.bug = rate, rng, bug

    def forward(self, x):
        keep = (self.rng.random(x.shape) > self.rate) / (1 - self.rate)
        return x * keep, keep

    def backward(self, dy, keep):
        if self.bug == "mask not applied":
            return dy.copy()
        if self.bug == "not rescaled":
            return dy * (keep > 0)
        return dy * keep


class Embedding(Learner):
    def __init__(self, n, width, rng, bug=""):
        super().__init__(bug, E=rng.standard_normal((n, width)))

    def forward(self, tokens):
        return self.params["E"][tokens], tokens

    def backward(self, dy, tokens):
        if self.bug == "repeated tokens lost":
            self.grads["E"][tokens] += dy
        else:
            np.add.at(self.grads["E"], tokens, dy)
        return None


class CrossEntropy:
    """Softmax cross-entropy, the mean over the batch; labels are integers."""

    def __init__(self, bug=""):
        self.bug = bug

    def value(self, h, labels):
        h = h - h.max(-1, keepdims=True)
        logp = h - np.log(np.exp(h).sum(-1, keepdims=True))
        return -logp[np.arange(len(labels)), labels].mean()

    def gradient(self, h, labels):
        p = np.exp(h - h.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        p[np.arange(len(labels)), labels] -= 0 if self.bug == "labels forgotten" else 1
        return p if self.bug == "sum for mean" else p / len(labels)


class SquaredError:
    """Half the squared distance, mean over the batch; labels are floating."""

    def __init__(self, bug=""):
        self.bug = bug

    def value(self, h, labels):
        return 0.5 * ((h - labels) ** 2).sum(-1).mean()

    def gradient(self, h, labels):
        return (h - labels) / len(h) * (-1 if self.bug == "sign" else 2 if self.bug == "factor 2" else 1)
