"""The LSTM's walk for a GPU. Read `minidni/nn/recurrent/lstm.py` before: here the same lines come again, as kernels."""

from typing import TYPE_CHECKING

from ....arrays import Array, array_module
from ....arrays.cuda_kernels import cuda_kernel
from ....arrays.kernels import sigmoid
from ...cache import Cache
from ..base import rows

if TYPE_CHECKING:
    from ..lstm import LSTM


@cuda_kernel(
    inputs="raw T u, T c_last, T h_last, bool on, int64 H",
    outputs="raw T gates, T c, T h",
    source="""
    ptrdiff_t k = i / H * 4 * H + i % H;  // unit i = (b, j) of (B, H) has its gates at k, k + H, k + 2 H, k + 3 H
    T gi = 1 / (1 + exp(-(gates[k] + u[k])));
    T gf = 1 / (1 + exp(-(gates[k + H] + u[k + H])));
    T go = 1 / (1 + exp(-(gates[k + 2 * H] + u[k + 2 * H])));
    T gg = tanh(gates[k + 3 * H] + u[k + 3 * H]);
    gates[k] = gi;
    gates[k + H] = gf;
    gates[k + 2 * H] = go;
    gates[k + 3 * H] = gg;
    T c_new = gf * c_last + gi * gg;
    c = on ? c_new : c_last;
    h = on ? go * tanh(c_new) : h_last;
    """,
)
def step(u: Array, c_last: Array, h_last: Array, on: Array, H: int, gates: Array, c: Array, h: Array) -> None:
    """From u = h_last Wh (B, 4H) and gates = x Wx + b: turns those into the gates, and sets c and h (B, H).

    Where `on`, a column (B, 1) or True for all, is False, c and h stay what they were.
    """
    xp = array_module(u)
    gates += u
    sigmoid(gates[:, : 3 * H], out=gates[:, : 3 * H])
    xp.tanh(gates[:, 3 * H :], out=gates[:, 3 * H :])
    i, f, o, g = split(gates, H)
    c[...] = f * c_last + i * g
    h[...] = o * xp.tanh(c)
    if on is not True:
        xp.copyto(c, c_last, where=~on)
        xp.copyto(h, h_last, where=~on)


@cuda_kernel(
    inputs="raw T gates, T c_last, T c, T dy, T dh, bool on, int64 H",
    outputs="raw T da, T dc, T past",
    source="""
    ptrdiff_t k = i / H * 4 * H + i % H;
    T gi = gates[k];
    T gf = gates[k + H];
    T go = gates[k + 2 * H];
    T gg = gates[k + 3 * H];
    T tanh_c = tanh(c);
    T dh_in = on ? dh + past + dy : 0;  // y[t] = h; masked: s[t] = s[t-1]
    T dc_in = on ? dc + dh_in * go * (1 - tanh_c * tanh_c) : 0;  // h = o tanh(c)
    da[k + 2 * H] = dh_in * tanh_c * go * (1 - go);  // h = o tanh(c)
    da[k + H] = dc_in * c_last * gf * (1 - gf);  // c = f c[t-1] + i g
    da[k] = dc_in * gg * gi * (1 - gi);  // c = f c[t-1] + i g
    da[k + 3 * H] = dc_in * gi * (1 - gg * gg);  // c = f c[t-1] + i g
    dc = on ? dc_in * gf : dc;  // c = f c[t-1] + i g; masked: s[t] = s[t-1]
    past = on ? 0 : dh + past;  // masked: s[t] = s[t-1]
    """,
)
def step_back(
    gates: Array, c_last: Array, c: Array, dy: Array, dh: Array, on: Array, H: int, da: Array, dc: Array, past: Array
) -> None:
    """From dy and what comes back to h, dh + past, and to c, dc (B, H): sets da (B, 4H), and dc for the step before.

    `past` becomes what passes this step by to h of the step before, which is nothing unless the step is masked.
    """
    xp = array_module(dh)
    (i, f, o, g), (di, df, do, dg) = split(gates, H), split(da, H)
    tanh_c = xp.tanh(c)
    dh_in = dh + past + dy  # y[t] = h
    dc_in = dc + dh_in * o * (1 - tanh_c**2)  # h = o tanh(c)
    do[...] = dh_in * tanh_c * o * (1 - o)  # h = o tanh(c)
    df[...] = dc_in * c_last * f * (1 - f)  # c = f c[t-1] + i g
    di[...] = dc_in * g * i * (1 - i)  # c = f c[t-1] + i g
    dg[...] = dc_in * i * (1 - g**2)  # c = f c[t-1] + i g
    if on is True:
        dc[...] = dc_in * f  # c = f c[t-1] + i g
        past[...] = 0
    else:
        xp.copyto(da, 0, where=~on)  # masked: s[t] = s[t-1]
        xp.copyto(dc, dc_in * f, where=on)
        past += dh
        xp.copyto(past, 0, where=on)


def walk(layer: "LSTM", x: Array, s0: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
    """x (T, B, D), s0 (B, 2H) -> y (T, B, H), sT (B, 2H). Keeps what the plain walk keeps."""
    xp, (T, B, _), H = array_module(x), x.shape, layer.n_hidden
    hs = cache.buffer("hs", (T + 1, B, H), like=x)
    cs = cache.buffer("cs", (T + 1, B, H), like=x)
    u = cache.buffer("u", (B, 4 * H), like=x)
    hs[0], cs[0] = s0[:, :H], s0[:, H:]
    gates = layer._project(x, cache)
    Wh, launch, on = layer.params.Wh, step.on(xp), [True] * T if mask is None else mask[:, :, None]
    for t in range(T):
        xp.matmul(hs[t], Wh, out=u)
        launch(u, cs[t], hs[t], on[t], H, gates[t], cs[t + 1], hs[t + 1])
    cache.keep(gates=gates, hs=hs, cs=cs)
    sT = cache.buffer("sT", (B, 2 * H), like=x)
    sT[:, :H], sT[:, H:] = hs[T], cs[T]
    return hs[1:], sT


def walk_back(layer: "LSTM", dy: Array, dsT: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
    """dy (T, B, H), dsT (B, 2H) -> dx (T, B, D), ds0 (B, 2H)."""
    xp, (T, B, H), gates, hs, cs = array_module(dy), dy.shape, cache.gates, cache.hs, cache.cs
    da = cache.buffer("da", gates.shape, like=dy)
    dh, dc, past = (cache.buffer(name, (B, H), like=dy) for name in ("dh", "dc", "past"))
    dh[...], dc[...], past[...] = dsT[:, :H], dsT[:, H:], 0
    WhT, launch, on = layer.params.Wh.T, step_back.on(xp), [True] * T if mask is None else mask[:, :, None]
    for t in reversed(range(T)):
        launch(gates[t], cs[t], cs[t + 1], dy[t], dh, on[t], H, da[t], dc, past)
        xp.matmul(da[t], WhT, out=dh)  # a += h[t-1] Wh
    layer.grads.Wh += rows(hs[:-1]).T @ rows(da)  # h[t-1] Wh, all steps in one product
    ds0 = cache.buffer("ds0", dsT.shape, like=dsT)
    xp.add(dh, past, out=ds0[:, :H])
    ds0[:, H:] = dc
    return layer._project_backward(da, cache), ds0


def split(a: Array, H: int) -> tuple[Array, Array, Array, Array]:
    """(B, 4H) -> four views (B, H), in the order i f o g."""
    return a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
