"""The GRU's walk for a GPU. Read `minidni/nn/recurrent/gru.py` before: here the same lines come again, as kernels."""

from typing import TYPE_CHECKING

from ....arrays import Array, array_module
from ....arrays.cuda_kernels import cuda_kernel
from ....arrays.kernels import sigmoid
from ...cache import Cache
from ..base import rows

if TYPE_CHECKING:
    from ..gru import GRU


@cuda_kernel(
    inputs="raw T u, raw T bh, T h_last, bool on, int64 H",
    outputs="raw T gates, T u_n, T h",
    source="""
    ptrdiff_t j = i % H;
    ptrdiff_t k = i / H * 3 * H + j;  // unit i = (b, j) of (B, H) has its gates at k, k + H, k + 2 H
    T r = 1 / (1 + exp(-(gates[k] + u[k] + bh[j])));
    T z = 1 / (1 + exp(-(gates[k + H] + u[k + H] + bh[j + H])));
    T un = u[k + 2 * H] + bh[j + 2 * H];
    T n = tanh(gates[k + 2 * H] + r * un);
    gates[k] = r;
    gates[k + H] = z;
    gates[k + 2 * H] = n;
    u_n = un;
    h = on ? (1 - z) * n + z * h_last : h_last;
    """,
)
def step(u: Array, bh: Array, h_last: Array, on: Array, H: int, gates: Array, u_n: Array, h: Array) -> None:
    """From u = h_last Wh and gates = x Wx + b (B, 3H): turns those into the gates, and sets u_n and h (B, H).

    Where `on`, a column (B, 1) or True for all, is False, h stays what it was. u_n is n's part of u + bh.
    """
    xp = array_module(u)
    gates[:, : 2 * H] += u[:, : 2 * H] + bh[: 2 * H]
    sigmoid(gates[:, : 2 * H], out=gates[:, : 2 * H])
    u_n[...] = u[:, 2 * H :] + bh[2 * H :]
    r, z, n = split(gates, H)
    n += r * u_n
    xp.tanh(n, out=n)
    h[...] = (1 - z) * n + z * h_last
    if on is not True:
        xp.copyto(h, h_last, where=~on)


@cuda_kernel(
    inputs="raw T gates, T u_n, T h_last, T dy, T dh, bool on, int64 H",
    outputs="raw T da, raw T du, T past",
    source="""
    ptrdiff_t k = i / H * 3 * H + i % H;
    T r = gates[k];
    T z = gates[k + H];
    T n = gates[k + 2 * H];
    T dh_all = dh + past;
    T dh_in = on ? dh_all + dy : 0;  // y[t] = h; masked: h[t] = h[t-1]
    T dz = dh_in * (h_last - n) * z * (1 - z);  // h = (1 - z) n + z h[t-1]
    T dn = dh_in * (1 - z) * (1 - n * n);  // h = (1 - z) n + z h[t-1]
    T dr = dn * u_n * r * (1 - r);  // a_n += r u_n
    da[k] = dr;
    da[k + H] = dz;
    da[k + 2 * H] = dn;
    du[k] = dr;  // a_r += u_r
    du[k + H] = dz;  // a_z += u_z
    du[k + 2 * H] = dn * r;  // a_n += r u_n
    past = on ? dh_in * z : dh_all;  // h = (1 - z) n + z h[t-1]; masked: h[t] = h[t-1]
    """,
)
def step_back(
    gates: Array, u_n: Array, h_last: Array, dy: Array, dh: Array, on: Array, H: int, da: Array, du: Array, past: Array
) -> None:
    """From dy and what comes back to h, dh + past (B, H): sets da and du (B, 3H), the gradients by x Wx + b and by u.

    `past` becomes what reaches h of the step before without going through u.
    """
    xp = array_module(dh)
    (r, z, n), (dr, dz, dn) = split(gates, H), split(da, H)
    dh_all = dh + past
    dh_in = dh_all + dy  # y[t] = h
    dz[...] = dh_in * (h_last - n) * z * (1 - z)  # h = (1 - z) n + z h[t-1]
    dn[...] = dh_in * (1 - z) * (1 - n**2)  # h = (1 - z) n + z h[t-1]
    dr[...] = dn * u_n * r * (1 - r)  # a_n += r u_n
    past[...] = dh_in * z  # h = (1 - z) n + z h[t-1]
    if on is not True:
        xp.copyto(da, 0, where=~on)  # masked: h[t] = h[t-1]
        xp.copyto(past, dh_all, where=~on)
    du[...] = da  # a_r += u_r, a_z += u_z
    du[:, 2 * H :] *= r  # a_n += r u_n


def walk(layer: "GRU", x: Array, s0: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
    """x (T, B, D), s0 (B, H) -> y (T, B, H), sT (B, H). Keeps what the plain walk keeps."""
    xp, (T, B, _), H = array_module(x), x.shape, layer.n_hidden
    hs = cache.buffer("hs", (T + 1, B, H), like=x)
    us = cache.buffer("us", (T, B, H), like=x)
    u = cache.buffer("u", (B, 3 * H), like=x)
    hs[0] = s0
    gates = layer._project(x, cache)
    Wh, bh, launch = layer.params.Wh, layer.params.bh, step.on(xp)
    on = [True] * T if mask is None else mask[:, :, None]
    for t in range(T):
        xp.matmul(hs[t], Wh, out=u)
        launch(u, bh, hs[t], on[t], H, gates[t], us[t], hs[t + 1])
    cache.keep(gates=gates, us=us, hs=hs)
    sT = cache.buffer("sT", s0.shape, like=x)
    sT[...] = hs[T]
    return hs[1:], sT


def walk_back(layer: "GRU", dy: Array, dsT: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
    """dy (T, B, H), dsT (B, H) -> dx (T, B, D), ds0 (B, H)."""
    xp, (T, B, H), gates, hs, us = array_module(dy), dy.shape, cache.gates, cache.hs, cache.us
    da, du = (cache.buffer(name, gates.shape, like=dy) for name in ("da", "du"))
    dh, past = (cache.buffer(name, (B, H), like=dy) for name in ("dh", "past"))
    dh[...], past[...] = dsT, 0
    WhT, launch, on = layer.params.Wh.T, step_back.on(xp), [True] * T if mask is None else mask[:, :, None]
    for t in reversed(range(T)):
        launch(gates[t], us[t], hs[t], dy[t], dh, on[t], H, da[t], du[t], past)
        xp.matmul(du[t], WhT, out=dh)  # u = h[t-1] Wh + bh
    layer.grads.bh += du.sum(axis=(0, 1))  # u = h[t-1] Wh + bh
    layer.grads.Wh += rows(hs[:-1]).T @ rows(du)  # h[t-1] Wh, all steps in one product
    ds0 = cache.buffer("ds0", dsT.shape, like=dsT)
    xp.add(dh, past, out=ds0)
    return layer._project_backward(da, cache), ds0


def split(a: Array, H: int) -> tuple[Array, Array, Array]:
    """(B, 3H) -> three views (B, H), in the order r z n."""
    return a[:, :H], a[:, H : 2 * H], a[:, 2 * H :]
