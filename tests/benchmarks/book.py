"""LSTM, GRU and MLP in naive NumPy, as books write them: batch-major, every step by itself, fresh arrays everywhere.

`run(cell, data)` returns what a training step has to give, by name: y, sT, dx, ds0 and the gradient of each weight.
In float64 this is also the reference that every library is compared with before it is timed.
"""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm(data):
    x, Wx, Wh, b, dsT = (data[name] for name in ("x", "Wx", "Wh", "b", "dsT"))
    H, steps = len(Wh), []
    h, c = np.split(data["s0"], 2, axis=1)
    ys = []
    for x_t in x:
        a = x_t @ Wx + h @ Wh + b
        i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H])
        g = np.tanh(a[:, 3 * H :])
        c_next = f * c + i * g
        tanh_c = np.tanh(c_next)
        steps.append((x_t, h, c, i, f, o, g, tanh_c))
        h, c = o * tanh_c, c_next
        ys.append(h)
    sT = np.hstack([h, c])

    dWx, dWh, db, dx = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b), np.zeros_like(x)
    dh, dc = np.split(dsT, 2, axis=1)
    for t in reversed(range(len(x))):
        x_t, h, c, i, f, o, g, tanh_c = steps[t]
        if data["dy"] is not None:
            dh = dh + data["dy"][t]
        do = dh * tanh_c
        dc = dc + dh * o * (1 - tanh_c**2)
        di, df, dg = dc * g, dc * c, dc * i
        da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
        dWx += x_t.T @ da
        dWh += h.T @ da
        db += da.sum(axis=0)
        dx[t] = da @ Wx.T
        dh, dc = da @ Wh.T, dc * f
    return {"y": np.array(ys), "sT": sT, "dx": dx, "ds0": np.hstack([dh, dc]), "Wx": dWx, "Wh": dWh, "b": db}


def gru(data):
    x, Wx, Wh, b, bh = (data[name] for name in ("x", "Wx", "Wh", "b", "bh"))
    H, steps, ys = len(Wh), [], []
    h = data["s0"]
    for x_t in x:
        a, u = x_t @ Wx + b, h @ Wh + bh
        r = sigmoid(a[:, :H] + u[:, :H])
        z = sigmoid(a[:, H : 2 * H] + u[:, H : 2 * H])
        n = np.tanh(a[:, 2 * H :] + r * u[:, 2 * H :])
        steps.append((x_t, h, r, z, n, u[:, 2 * H :]))
        h = (1 - z) * n + z * h
        ys.append(h)

    dWx, dWh, db, dbh = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b), np.zeros_like(bh)
    dx, dh = np.zeros_like(x), data["dsT"]
    for t in reversed(range(len(x))):
        x_t, h, r, z, n, u_n = steps[t]
        if data["dy"] is not None:
            dh = dh + data["dy"][t]
        dz = dh * (h - n) * z * (1 - z)
        dn = dh * (1 - z) * (1 - n**2)
        dr = dn * u_n * r * (1 - r)
        da, du = np.hstack([dr, dz, dn]), np.hstack([dr, dz, dn * r])
        dWx += x_t.T @ da
        dWh += h.T @ du
        db += da.sum(axis=0)
        dbh += du.sum(axis=0)
        dx[t] = da @ Wx.T
        dh = dh * z + du @ Wh.T
    return {"y": np.array(ys), "sT": ys[-1], "dx": dx, "ds0": dh, "Wx": dWx, "Wh": dWh, "b": db, "bh": dbh}


def mlp(data):
    """Forward, softmax cross-entropy and backward; the weights are left as they are (see `descend`)."""
    n_layers = sum(name.startswith("W") for name in data)
    hs = [data["x"]]
    for i in range(n_layers):
        a = hs[-1] @ data[f"W{i}"] + data[f"b{i}"]
        hs.append(np.maximum(a, 0) if i < n_layers - 1 else a)
    p = np.exp(hs[-1] - hs[-1].max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    da, B = p, len(p)
    da[np.arange(B), data["labels"]] -= 1
    da /= B
    found = {"y": hs[-1]}
    for i in reversed(range(n_layers)):
        found[f"W{i}"], found[f"b{i}"] = hs[i].T @ da, da.sum(axis=0)
        da = da @ data[f"W{i}"].T
        if i:
            da = da * (hs[i] > 0)
    return found | {"dx": da}


def descend(data, found, rate):
    """One step of gradient descent on the MLP's weights, in place."""
    for name, gradient in found.items():
        if name in data:
            data[name] -= rate * gradient


CELLS = {"lstm": lstm, "gru": gru, "mlp": mlp}


def run(cell, data):
    """One forward and backward pass of the cell."""
    return CELLS[cell](data)
