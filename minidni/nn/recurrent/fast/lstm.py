"""The LSTM's walk with features first. Read `minidni/nn/recurrent/lstm.py` before: here the same lines come again."""

from typing import TYPE_CHECKING

from ....arrays import Array, array_module
from ...cache import Cache
from ...parameters import Arrays
from .products import block_steps, drop_tiny, first_nonzero, product, turn

if TYPE_CHECKING:
    from ..lstm import LSTM


def weights(arrays: Arrays) -> Array:
    """Wx, Wh and b, which lie one behind the other in the slab, as one matrix (D + H + 1, 4 H)."""
    gates = arrays.b.size
    rows = len(arrays.Wx) + len(arrays.Wh) + 1
    return arrays.slab[: rows * gates].reshape(rows, gates)


def walk(layer: "LSTM", x: Array, s0: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
    """x (T, B, D), s0 (B, 2H) -> y (T, B, H), sT (B, 2H). Keeps the gates, c, tanh c, and what each step saw."""
    xp, (T, B, D), H = array_module(x), x.shape, layer.n_hidden
    K = D + H + 1
    W = cache.buffer("W", (4 * H, K), like=x)
    turn(weights(layer.params), out=W)
    W[: 3 * H] *= 0.5  # sigmoid(a) = 1/2 + 1/2 tanh(a / 2): then one tanh serves all gates

    seen = cache.buffer("seen", (K, T + 1, B), like=x)  # seen[:, t] = [x; h[t-1]; 1], so that a = W seen[:, t]
    gates = cache.buffer("gates", (T, 4 * H, B), like=x)
    cs = cache.buffer("cs", (T + 1, H, B), like=x)
    tanh_cs = cache.buffer("tanh_cs", (T, H, B), like=x)
    ig = cache.buffer("ig", (H, B), like=x)
    hs = seen[D:-1]
    seen[:D, :T] = x.transpose(2, 0, 1)
    seen[:D, T] = 0
    seen[-1] = 1
    hs[:, 0], cs[0] = s0[:, :H].T, s0[:, H:].T
    for t in range(T):
        a, c, h = gates[t], cs[t + 1], hs[:, t + 1]
        product(W, seen[:, t], out=a)
        xp.tanh(a, out=a)
        a[: 3 * H] *= 0.5
        a[: 3 * H] += 0.5
        i, f, o, g = split(a, H)
        xp.multiply(f, cs[t], out=c)
        xp.multiply(i, g, out=ig)
        c += ig
        xp.tanh(c, out=tanh_cs[t])
        xp.multiply(o, tanh_cs[t], out=h)
        if mask is not None:
            xp.copyto(h, hs[:, t], where=~mask[t])
            xp.copyto(c, cs[t], where=~mask[t])
    cache.keep(gates=gates, seen=seen, cs=cs, tanh_cs=tanh_cs)
    y, sT = cache.buffer("y", (T, B, H), like=x), cache.buffer("sT", s0.shape, like=x)
    y[...] = hs[:, 1:].transpose(1, 2, 0)
    sT[:, :H], sT[:, H:] = hs[:, T].T, cs[T].T
    return y, sT


def walk_back(layer: "LSTM", dy: Array, dsT: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
    """dy (T, B, H), dsT (B, 2H) -> dx (T, B, D), ds0 (B, 2H). The weights' gradients a block of steps at a time."""
    xp, (T, B, H), D = array_module(dy), dy.shape, layer.n_in
    Wx, Wh, dW = layer.params.Wx, layer.params.Wh, weights(layer.grads)
    n = block_steps(T, B)
    block = cache.buffer("block", (4 * H, n, B), like=dy)  # da of a block's steps
    dW_block = cache.buffer("dW_block", dW.shape, like=dy)
    dx_block = cache.buffer("dx_block", (D, n * B), like=dy)
    da = cache.buffer("da", (4 * H, B), like=dy)
    ds, e2 = (cache.buffer(name, (2 * H, B), like=dy) for name in ("ds", "e2"))
    dh_next, dc, dh, e = ds[:H], ds[H:], cache.buffer("dh", (H, B), like=dy), e2[:H]
    dx, ds0 = cache.buffer("dx", cache.x.shape, like=dy), cache.buffer("ds0", dsT.shape, like=dy)
    di, df, do, dg = split(da, H)
    ds[...] = dsT.T
    first = first_nonzero(dy)
    for stop in range(T, 0, -n):
        start = max(stop - n, 0)
        if stop <= first and not ds.any():  # the gradient has vanished: nothing is left to do
            dx[:stop] = 0
            break
        for t in reversed(range(start, stop)):
            (i, f, o, g), h, tanh_c = split(cache.gates[t], H), cache.seen[D:-1, t + 1], cache.tanh_cs[t]
            if mask is not None:
                past_h, past_c = dh_next * ~mask[t], dc * ~mask[t]
                dh_next *= mask[t]
                dc *= mask[t]
            xp.add(dh_next, dy[t].T, out=dh)  # y[t] = h

            xp.multiply(h, tanh_c, out=e)  # h = o tanh(c): dc += dh o (1 - tanh_c^2) = dh (o - h tanh_c)
            xp.subtract(o, e, out=e)
            e *= dh
            dc += e
            xp.subtract(1, o, out=do)  # h = o tanh(c): do = dh tanh_c o (1 - o) = dh h (1 - o)
            do *= h
            do *= dh

            xp.multiply(dc, i, out=e)  # c = f c[t-1] + i g: dg = dc i (1 - g^2), di = dc g i (1 - i)
            xp.multiply(g, g, out=dg)
            xp.subtract(1, dg, out=dg)
            dg *= e
            e *= g
            xp.subtract(1, i, out=di)
            di *= e
            dc *= f  # c = f c[t-1] + i g: df = dc c[t-1] f (1 - f), and dc f is the new dc
            xp.subtract(1, f, out=df)
            df *= cache.cs[t]
            df *= dc

            product(Wh, da, out=dh_next)  # a += Wh h[t-1]
            if mask is not None:
                dh_next += past_h
                dc += past_c
            drop_tiny(ds, t, e2)
            block[:, t - start] = da
        das = block[:, : stop - start].reshape(4 * H, -1)
        seen = cache.seen[:, start:stop].reshape(len(cache.seen), -1)
        dW += xp.matmul(seen, das.T, out=dW_block)  # a = W [x; h; 1]
        dxs = xp.matmul(Wx, das, out=dx_block[:, : das.shape[1]])  # a = Wx x + ...
        dx[start:stop] = dxs.reshape(D, -1, B).transpose(1, 2, 0)
    ds0[...] = ds.T
    return dx, ds0


def split(a: Array, H: int) -> tuple[Array, Array, Array, Array]:
    """(4H, B) -> four views (H, B), in the order i f o g."""
    return a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
