"""What the fast walks share: products cut for the cache, and gradients kept out of the denormal numbers."""

from functools import cache

import numpy as np

from ....arrays import Array, array_module

#: Steps of the way back whose products with the weights' gradients are done at once: about this many rows (T B).
BLOCK_ROWS = 1024

#: NumPy's names for it: the second since NumPy 2.4.
AVX512 = {"AVX512_SKX", "X86_V4"}


def block_steps(T: int, B: int) -> int:
    """How many steps make a block: enough that its products are large ones, few enough that it stays in the cache."""
    return min(T, max(1, -(-BLOCK_ROWS // max(B, 1))))


def product(W: Array, z: Array, out: Array) -> None:
    """W z for W (M, K), z (K, B) and a contiguous out (M, B), as one stack of products of a few rows of W each.

    The result is the same; but while the next rows of W are read, z and the last rows' result stay in the cache, and on
    processors with AVX-512 each of them stays in the kernel of OpenBLAS that copies nothing (up to 100^3 products).
    """
    (M, K), B = W.shape, z.shape[1]
    n = _rows_at_once(M, K * B)
    array_module(W).matmul(W.reshape(M // n, n, K), z, out=out.reshape(M // n, n, B))


def turn(W: Array, out: Array) -> None:
    """out = W^T, eight rows of W at a time.

    The rows of weights often lie a power of two apart, so that a whole column would fall into one corner of the cache
    and be gone before the next column, which shares its cache lines, is read.
    """
    for k in range(0, len(W), 8):
        out[:, k : k + 8] = W[k : k + 8].T


@cache
def _rows_at_once(M: int, KB: int) -> int:
    """128, 64 or 32, whichever divides M: the largest within the limit, else the smallest; M if none divides it."""
    limit = 10**6 // max(KB, 1) if _has_avx512() else 128
    dividing = [n for n in (128, 64, 32) if M % n == 0]
    return next((n for n in dividing if n <= limit), dividing[-1] if dividing else M)


@cache
def _has_avx512() -> bool:
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    return not AVX512.isdisjoint([*extensions.get("baseline", []), *extensions.get("found", [])])


def drop_tiny(d: Array, t: int, scratch: Array) -> None:
    """Every 8th step t, set to zero what is on the way to the denormal numbers: in float32, what is below 1e-30.

    A gradient that vanishes over a long sequence ends there, and some processors multiply denormal numbers some 25
    times slower than others.
    """
    if t % 8:
        return
    xp = array_module(d)
    xp.abs(d, out=scratch)
    xp.copyto(d, 0, where=scratch < 1e8 * np.finfo(d.dtype).tiny)


def first_nonzero(dy: Array) -> int:
    """The first step at which a gradient comes in: how many leading steps of dy (T, B, H) are all zero."""
    return next((t for t in range(len(dy)) if dy[t].any()), len(dy))
