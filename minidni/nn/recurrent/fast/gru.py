"""The GRU's walk with features first. Read `minidni/nn/recurrent/gru.py` before: here the same lines come again."""

from typing import TYPE_CHECKING

from ....arrays import Array, array_module
from ...cache import Cache
from .products import block_steps, drop_tiny, first_nonzero, product, turn

if TYPE_CHECKING:
    from ..gru import GRU


def walk(layer: "GRU", x: Array, s0: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
    """x (T, B, D), s0 (B, H) -> y (T, B, H), sT (B, H). Keeps the gates, n's h Wh + bh, and what each step saw."""
    xp, (T, B, D), H = array_module(x), x.shape, layer.n_hidden
    Wx, Wh = cache.buffer("Wx", (3 * H, D + 1), like=x), cache.buffer("Wh", (3 * H, H + 1), like=x)
    turn(layer.params.Wx, out=Wx[:, :D])
    turn(layer.params.Wh, out=Wh[:, :H])
    Wx[:, D], Wh[:, H] = layer.params.b, layer.params.bh
    for W in (Wx, Wh):
        W[: 2 * H] *= 0.5  # sigmoid(a) = 1/2 + 1/2 tanh(a / 2)

    xs = cache.buffer("xs", (D + 1, T, B), like=x)  # xs[:, t] = [x; 1]
    hs = cache.buffer("hs", (H + 1, T + 1, B), like=x)  # hs[:, t] = [h[t-1]; 1]
    gates = cache.buffer("gates", (T, 3 * H, B), like=x)
    us = cache.buffer("us", (T, H, B), like=x)
    u = cache.buffer("u", (3 * H, B), like=x)
    xs[:D], xs[D], hs[H] = x.transpose(2, 0, 1), 1, 1
    hs[:H, 0] = s0.T
    for t in range(T):
        a, h, h_last = gates[t], hs[:H, t + 1], hs[:H, t]
        product(Wx, xs[:, t], out=a)
        product(Wh, hs[:, t], out=u)
        us[t] = u[2 * H :]
        rz = a[: 2 * H]
        rz += u[: 2 * H]
        xp.tanh(rz, out=rz)
        rz *= 0.5
        rz += 0.5
        r, z, n = split(a, H)
        xp.multiply(r, us[t], out=u[:H])
        n += u[:H]
        xp.tanh(n, out=n)
        xp.subtract(h_last, n, out=u[:H])  # h = (1 - z) n + z h[t-1] = n + z (h[t-1] - n)
        u[:H] *= z
        xp.add(n, u[:H], out=h)
        if mask is not None:
            xp.copyto(h, h_last, where=~mask[t])
    cache.keep(gates=gates, us=us, xs=xs, hs=hs)
    y, sT = cache.buffer("y", (T, B, H), like=x), cache.buffer("sT", s0.shape, like=x)
    y[...] = hs[:H, 1:].transpose(1, 2, 0)
    sT[...] = hs[:H, T].T
    return y, sT


def walk_back(layer: "GRU", dy: Array, dsT: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
    """dy (T, B, H), dsT (B, H) -> dx (T, B, D), ds0 (B, H). The weights' gradients a block of steps at a time."""
    xp, (T, B, H), D, grads = array_module(dy), dy.shape, layer.n_in, layer.grads
    m = block_steps(T, B)
    da_block, du_block = (cache.buffer(name, (3 * H, m, B), like=dy) for name in ("da_block", "du_block"))
    dWx, dWh = cache.buffer("dWx", (D + 1, 3 * H), like=dy), cache.buffer("dWh", (H + 1, 3 * H), like=dy)
    dx_block = cache.buffer("dx_block", (D, m * B), like=dy)
    da, du = (cache.buffer(name, (3 * H, B), like=dy) for name in ("da", "du"))
    dh, ds, e = (cache.buffer(name, (H, B), like=dy) for name in ("dh", "ds", "e"))
    dx, ds0 = cache.buffer("dx", cache.x.shape, like=dy), cache.buffer("ds0", dsT.shape, like=dy)
    (dr, dz, dn), d_rz = split(da, H), da[: 2 * H]
    ds[...] = dsT.T
    first = first_nonzero(dy)
    for stop in range(T, 0, -m):
        start = max(stop - m, 0)
        if stop <= first and not ds.any():  # the gradient has vanished: nothing is left to do
            dx[:stop] = 0
            break
        for t in reversed(range(start, stop)):
            (r, z, n), rz, h_last = split(cache.gates[t], H), cache.gates[t, : 2 * H], cache.hs[:H, t]
            if mask is not None:
                past = ds * ~mask[t]
                ds *= mask[t]
            xp.add(ds, dy[t].T, out=dh)  # y[t] = h

            xp.subtract(1, z, out=dn)  # h = (1 - z) n + z h[t-1]: dn = dh (1 - z) (1 - n^2)
            dn *= dh
            xp.multiply(n, n, out=e)
            xp.subtract(1, e, out=e)
            dn *= e
            xp.subtract(1, rz, out=d_rz)  # dz = dh (h[t-1] - n) z (1 - z), dr = dn us r (1 - r)
            d_rz *= rz
            xp.subtract(h_last, n, out=e)
            e *= dh
            dz *= e
            xp.multiply(dn, cache.us[t], out=e)  # a_n += r u_n
            dr *= e

            du[: 2 * H] = d_rz  # a_r += u_r, a_z += u_z
            xp.multiply(dn, r, out=du[2 * H :])  # a_n += r u_n
            product(layer.params.Wh, du, out=ds)  # u = Wh h[t-1] + bh
            dh *= z  # h = (1 - z) n + z h[t-1]
            ds += dh
            if mask is not None:
                ds += past
            drop_tiny(ds, t, e)
            da_block[:, t - start], du_block[:, t - start] = da, du
        das, dus = (d[:, : stop - start].reshape(3 * H, -1) for d in (da_block, du_block))
        xp.matmul(cache.xs[:, start:stop].reshape(D + 1, -1), das.T, out=dWx)  # a = Wx x + b
        xp.matmul(cache.hs[:, start:stop].reshape(H + 1, -1), dus.T, out=dWh)  # u = Wh h[t-1] + bh
        grads.Wx += dWx[:D]
        grads.b += dWx[D]
        grads.Wh += dWh[:H]
        grads.bh += dWh[H]
        dxs = xp.matmul(layer.params.Wx, das, out=dx_block[:, : das.shape[1]])  # a = Wx x + b
        dx[start:stop] = dxs.reshape(D, -1, B).transpose(1, 2, 0)
    ds0[...] = ds.T
    return dx, ds0


def split(a: Array, H: int) -> tuple[Array, Array, Array]:
    """(3H, B) -> three views (H, B), in the order r z n."""
    return a[:H], a[H : 2 * H], a[2 * H :]
