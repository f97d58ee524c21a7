"""What the recurrent layers share: the contract with a state, masks, and the choice of how to walk."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from ...arrays import Array, array_module, device_of
from ...arrays.checks import expect_array, expect_generator, expect_positive
from ..cache import Cache, expect_cache
from ..initialise import Initialiser, draw, fan_in_uniform, orthogonal
from ..layer import Layer
from ..masks import masked
from .step_norm import StepNorm

#: A way to walk along the window and back: `walk(layer, x, s0, mask, cache) -> y, sT` and
#: `walk_back(layer, dy, dsT, mask, cache) -> dx, ds0`.
Form = tuple[Callable[..., tuple[Array, Array]], Callable[..., tuple[Array, Array]]]

#: Fewer rows than this (T B) are not worth the fast walk on the CPU, which first turns all weights around.
FEWEST_ROWS = 64


class Recurrent(Layer):
    """A layer that walks along time and hands on a state.

        y, sT, cache = layer.forward(x, s0)        # x (T, B, D), s0 (B, S) -> y (T, B, H), sT (B, S)
        dx, ds0 = layer.backward(dy, cache, dsT)   # dsT is the door through which a synthetic gradient enters

    The state is one array, so time has the same kind of boundary as depth. `None` for s0, dy or dsT means zeros. In all
    arrays that the cache keeps over time, row 0 of those with T + 1 rows is the start.

    Sequences of different lengths go together with a mask (T, B) of booleans. Where it is False there is nothing: the
    state passes unchanged, y and dx are 0, and what x and dy hold is not looked at.

    Each layer has a plain walk to read, which takes any array, complex ones included, and faster ones that are tested
    to do the same. `layer.plain = True` makes it take the plain one. Layer norm (`layer_norm=True`; Ba et al. 2016,
    arXiv 1607.06450) normalises x Wx and h Wh, each over the columns of all gates, before they are added. Their gains
    gamma_x and gamma_h (G H,) start at 1, and the biases shift. Only the plain walk knows it.

    Args:
        n_in: D.
        n_hidden: H.
        n_state: S.
        n_gates: how many blocks of H columns Wx, Wh and b have.
        extra: name -> shape of further parameters.
        rng: a numpy Generator or a seed: Wx uniform within 1 / sqrt(D), then each H x H block of Wh orthogonal.
        dtype: float32 or float64.
    """

    n_outputs = 2
    _shown = ("n_in", "n_hidden")

    #: Take the plain walk even where there is a faster one.
    plain = False

    #: The faster walks: "features first" for NumPy, "fused" for CuPy.
    _forms: ClassVar[Mapping[str, Form]] = {}

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        n_state: int,
        n_gates: int,
        extra: Mapping[str, tuple[int, ...]] | None = None,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
        init: Initialiser = orthogonal,
    ):
        D, H, G = n_in, n_hidden, n_gates
        self.n_in, self.n_hidden, self.n_state, self.n_gates = n_in, n_hidden, n_state, n_gates
        super().__init__({"Wx": (D, G * H), "Wh": (H, G * H), "b": (G * H,), **(extra or {})}, dtype=dtype)
        rng = expect_generator(type(self).__name__, rng)
        self.params.Wx = fan_in_uniform(rng, (D, G * H))
        self.params.Wh = np.hstack([draw(type(self).__name__, init, rng, (H, H)) for _ in range(G)])
        self.layer_norm = "gamma_h" in self.params
        for name in self.params:
            if name.startswith("gamma"):
                self.params[name][...] = 1

    def forward(
        self, x: Array, s0: Array | None = None, cache: Cache | None = None, *, mask: Array | None = None
    ) -> tuple[Array, Array, Cache]:
        """x (T, B, D), s0 (B, S), mask (T, B) -> y (T, B, H), sT (B, S), cache."""
        s0, cache = self._open(x, s0, cache, mask)
        x = masked(x, mask, cache, "masked x")
        form = self._form(x)
        walk, _ = self._forms.get(form, _PLAIN)
        y, sT = walk(self, x, s0, mask, cache)
        y = masked(y, mask, cache, "masked y")
        cache.finish(y, x=x, mask=mask, form=form)
        return y, sT, cache

    def backward(self, dy: Array | None, cache: Cache, dsT: Array | None = None) -> tuple[Array, Array]:
        """dy (T, B, H), dsT (B, S) -> dx (T, B, D), ds0 (B, S); adds to `grads`."""
        dy, dsT = self._open_backward(dy, cache, dsT)
        dy = masked(dy, cache.mask, cache, "masked dy")
        _, walk_back = self._forms.get(cache.form, _PLAIN)
        return walk_back(self, dy, dsT, cache.mask, cache)

    def _walk(self, x: Array, s0: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
        """The plain walk: x (T, B, D), s0 (B, S) -> y (T, B, H), sT (B, S)."""
        raise NotImplementedError

    def _walk_back(self, dy: Array, dsT: Array, mask: Array | None, cache: Cache) -> tuple[Array, Array]:
        """The plain walk's way back: dy (T, B, H), dsT (B, S) -> dx (T, B, D), ds0 (B, S)."""
        raise NotImplementedError

    def _form(self, x: Array) -> str:
        """Which walk to take."""
        if self.plain or self.layer_norm or x.dtype.kind == "c":  # the faster ones have no need for the complex step
            return "plain"
        on_host = array_module(x) is np
        if on_host and x.shape[0] * x.shape[1] < FEWEST_ROWS:
            return "plain"
        form = "features first" if on_host else "fused"
        return form if form in self._forms else "plain"

    def _name(self) -> str:
        return super()._name()[:-1] + ", layer_norm=True)" if self.layer_norm else super()._name()

    @classmethod
    def _sizes(cls, n_in: int, n_hidden: int) -> tuple[int, ...]:
        return expect_positive(cls.__name__, n_in=n_in, n_hidden=n_hidden)

    def _open(self, x: Array, s0: Array | None, cache: Cache | None, mask: Array | None) -> tuple[Array, Cache]:
        """Check forward's arguments; returns s0, zeros if it is None, and the cache."""
        self._expect_x(x, "T", "B", self.n_in)
        where = f"{self._name()}.forward"
        if len(x) == 0:
            raise ValueError(f"{where}: x has no time steps (shape {x.shape}), expected at least one")
        cache = Cache.open(self, cache)
        if "form" in cache and cache.form != self._form(x):
            cache.clear()  # another walk's arrays are of no use to this one
        if s0 is None:
            s0 = array_module(x).zeros((x.shape[1], self.n_state), x.dtype)
        expect_array(where, "s0", s0, (x.shape[1], self.n_state), dtype=x.dtype, device=device_of(x))
        if mask is not None:
            expect_array(where, "mask", mask, x.shape[:2], dtype=np.bool_, device=device_of(x))
        return s0, cache

    def _open_backward(self, dy: Array | None, cache: Cache, dsT: Array | None) -> tuple[Array, Array]:
        """Check backward's arguments; returns dy and dsT, zeros where they are None."""
        expect_cache(self, "backward", cache)
        x, xp = cache.x, array_module(cache.x)
        if dy is None:
            dy = cache.zero_dy(like=x)
        self._expect_dy(dy, cache)
        if dsT is None:
            dsT = xp.zeros((x.shape[1], self.n_state), x.dtype)
        expect_array(
            f"{self._name()}.backward", "dsT", dsT, (x.shape[1], self.n_state), dtype=x.dtype, device=device_of(x)
        )
        return dy, dsT

    def _project(self, x: Array, cache: Cache) -> Array:
        """a = norm(x Wx) + b for all steps in one product: (T, B, D) -> (T, B, G H)."""
        a = cache.buffer("a", (*x.shape[:2], self.params.b.size), like=x)
        array_module(x).matmul(rows(x), self.params.Wx, out=rows(a))
        a = StepNorm(self, "x", cache, like=a).forward(..., a, out=a)
        a += self.params.b
        return a

    def _project_backward(self, da: Array, cache: Cache) -> Array:
        """From da (T, B, G H): adds to the gradients of Wx and b, returns dx (T, B, D)."""
        self.grads.b += da.sum(axis=(0, 1))  # a += b
        da = StepNorm(self, "x", cache).backward(..., da)  # a = norm(x Wx)
        self.grads.Wx += rows(cache.x).T @ rows(da)  # a = x Wx
        dx = cache.buffer("dx", cache.x.shape, like=da)
        array_module(da).matmul(rows(da), self.params.Wx.T, out=rows(dx))  # a = x Wx
        return dx


_PLAIN: Form = (lambda layer, *given: layer._walk(*given), lambda layer, *given: layer._walk_back(*given))


def rows(a: Array) -> Array:
    """All steps of all sequences as rows of one matrix: (T, B, N) -> (T B, N)."""
    return a.reshape(a.shape[0] * a.shape[1], a.shape[2])


def carry(mask: Array | None, t: int, *states: Array) -> None:
    """Where step t is masked, the state stays: s[t + 1] = s[t], for states (T + 1, B, N) and mask (T, B)."""
    if mask is not None:
        for s in states:
            array_module(s).copyto(s[t + 1], s[t], where=~mask[t][:, None])


def split_off(mask: Array | None, t: int, ds: Array) -> tuple[Array, Any]:
    """The backward of `carry`: ds (B, N) -> what goes into step t, 0 where masked, and what passes it by."""
    if mask is None:
        return ds, 0
    xp, on, zero = array_module(ds), mask[t][:, None], array_module(ds).zeros((), ds.dtype)
    return xp.where(on, ds, zero), xp.where(on, zero, ds)
