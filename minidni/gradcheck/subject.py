"""A layer, or a loss, seen as a function of named arrays in float64."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .adapters import (
    Arrays,
    LossLayer,
    as_float64,
    backward_names,
    copied,
    expect_entries,
    fill_grads,
    is_float,
    named_arrays,
    positional_names,
    same_bits,
)
from .calls import call, outputs_and_cache
from .copying import copy_layer, generator_states
from .differences import EPS, Line


class Pass(NamedTuple):
    """One forward and backward: what came out, and what was modified on the way as (by whom, which array)."""

    outputs: list[Any]
    inputs: list[Any]  # gradients, one for each input
    params: dict[str, Any]  # gradients by name, as found in `grads` afterwards
    modified: list[tuple[str, str]]
    again: Any = None  # gradients of a second backward with the same cache, or the exception it raised
    held: Any = None  # what the accumulators held before, read back: two names may be one array

    def gradients(self, subject: "Subject") -> dict[str, Any]:
        """All gradients by name, those of the inputs first."""
        return dict(zip(subject.input_names, self.inputs, strict=False)) | self.params


class Subject:
    """A private copy of a layer with its inputs and random cotangents.

    `inputs` are the given ones (floating ones as float64) and those drawn because `backward` returns their gradients.
    `fresh` is set where `forward` must run on a new copy each time (randomness, modified arrays).
    """

    def __init__(self, layer: Any, inputs: tuple[Any, ...], rng: np.random.Generator, name: str = ""):
        self.layer, self.rng, self.title = layer, rng, name or type(layer).__name__
        self.inputs = [as_float64(x) for x in inputs]
        self.given = len(self.inputs)
        self.fresh = False
        self.trusted = False  # set by the audit: forward leaves its arguments alone and may get them without a copy
        self.random_state = np.random.get_state()
        self.complaints: list[tuple[str, str]] = []
        self.magnitude = 0.0
        self.noise: Arrays = {}  # of each gradient's entries, set by the audit
        self._name_arguments()
        expect_entries(self.title, self.input_names, self.inputs)
        self.random = self._draws_random_numbers(copy_layer(layer))
        self.fresh = self.random
        if self.random and not same_bits(self.outputs(), self.outputs()):
            raise ValueError(
                f"{self.title}.forward gives another result each time, even on equal copies; "
                "hold a seeded np.random.Generator on the layer."
            )
        self.cotangents: list[Any] = [self._draw(y) for y in self.outputs()]
        self._draw_missing_inputs()
        self.cotangents = [self._draw(y) for y in self.outputs()]
        self._fit_cotangents()

    # -- names and arguments

    def _name_arguments(self) -> None:
        loss = getattr(self.layer, "loss", None) if isinstance(self.layer, LossLayer) else None
        self.accepted, needed = positional_names(loss.value if loss is not None else self.layer.forward)
        if self.accepted is not None and needed > len(self.inputs):
            missing = ", ".join(self.accepted[len(self.inputs) : needed])
            raise TypeError(f"{self.title}.forward also needs {missing}: call check_gradients(layer, x, {missing}).")
        if self.accepted is not None and len(self.inputs) > len(self.accepted):
            raise TypeError(
                f"{self.title}.forward takes {len(self.accepted)} inputs ({', '.join(self.accepted)}), "
                f"check_gradients got {len(self.inputs)}."
            )
        taken = backward_names(self.layer.backward, self.title)
        self.cotangent_names = [n for i, n in enumerate(taken or ["dy", "cache"]) if i != 1]
        self._takes = None if taken is None else len(taken)

    @property
    def input_names(self) -> list[str]:
        """The names of `forward`'s arguments; an input whose name a parameter also has is called `input NAME`."""
        names = [self.accepted[i] if self.accepted else f"input{i}" for i in range(len(self.inputs))]
        return [f"input {n}" if n in self.params() else n for n in names]

    def output_name(self, k: int) -> str:
        """`sT` where backward's argument is `dsT`."""
        name = self.cotangent_name(k)
        return name[1:] if name.startswith("d") and len(name) > 1 else f"output {k}"

    def cotangent_name(self, k: int) -> str:
        """The name of backward's argument for the gradient of output k."""
        return self.cotangent_names[k] if k < len(self.cotangent_names) else f"gradient of output {k}"

    # -- the arrays

    def params(self) -> Arrays:
        """The floating parameters by name."""
        params = getattr(self.layer, "params", None)
        if params is None:
            return {}
        if not isinstance(params, Mapping) and not hasattr(params, "items"):
            raise TypeError(f"{self.title}.params must map names to arrays, got {type(params).__name__}.")
        return {str(n): p for n, p in params.items() if isinstance(p, np.ndarray) and p.dtype.kind in "fc"}

    def arrays(self) -> Arrays:
        """What can be differentiated, by name: floating inputs first, then parameters."""
        inputs = self.inputs[:1] if isinstance(self.layer, LossLayer) else self.inputs  # a label has no gradient
        found = {n: x for n, x in zip(self.input_names, inputs, strict=False) if is_float(x)}
        return found | self.params()

    # -- running it

    def outputs(self) -> list[Any]:
        """The outputs at the current values of the arrays, as copies."""
        layer = copy_layer(self.layer) if self.fresh else self.layer
        inputs = self.inputs if self.trusted and not self.fresh else [copied(x) for x in self.inputs]
        return self._forward(layer, inputs)[0]

    def _forward(self, layer: Any, inputs: list[Any]) -> tuple[list[Any], Any]:
        if self.fresh:
            np.random.set_state(self.random_state)
        given = dict(zip(self.input_names, inputs, strict=False))
        result = call(f"{self.title}.forward", layer.forward, *inputs, **given, params=named_arrays(layer, "params"))
        return outputs_and_cache(self.title, result)

    def run(
        self, cotangents: list[Any], fill: Arrays | None = None, twice: bool = False, swap: Arrays | None = None
    ) -> Pass:
        """Forward and backward on copies of the inputs, accumulators set to `fill` (zero where not named) before.

        `swap` puts other values into parameters between forward and backward; they are put back afterwards.
        """
        layer = copy_layer(self.layer) if self.fresh else self.layer
        inputs, cotangents = [copied(x) for x in self.inputs], [copied(d) for d in cotangents]
        params = named_arrays(layer, "params")
        before = {n: copied(p) for n, p in params.items()}
        modified: list[tuple[str, str]] = []

        def note(by: str) -> None:
            for name, now, then in (
                *zip(self.input_names, inputs, self.inputs, strict=True),
                *((self.cotangent_name(k), d, e) for k, (d, e) in enumerate(zip(cotangents, kept, strict=True))),
                *((f"params[{n!r}]", params[n], before[n]) for n in before),
            ):
                if not same_bits([now], [then]) and all(name != other for _, other in modified):
                    modified.append((by, name))

        kept = [copied(d) for d in cotangents]
        outputs, cache = self._forward(layer, inputs)
        note("forward")
        fill_grads(layer, fill or {})
        held = {n: copied(g) for n, g in named_arrays(layer, "grads").items()} if fill else {}
        for name, value in (swap or {}).items():
            params[name][...] = value
        gradients = self.backward(layer, cotangents, cache)
        grads = {n: copied(g) for n, g in named_arrays(layer, "grads").items()}
        note("backward")
        again: Any = None
        if twice and not modified:
            fill_grads(layer, fill or {})
            try:
                second = self.backward(layer, [copied(d) for d in kept], cache)
                again = Pass([], second, {n: copied(g) for n, g in named_arrays(layer, "grads").items()}, [])
            except Exception as error:
                again = error
        for name, kept_value in before.items():
            if not same_bits([params[name]], [kept_value]):
                params[name][...] = kept_value
        return Pass(outputs, gradients, grads, modified, again, held)

    def backward(self, layer: Any, cotangents: list[Any], cache: Any) -> list[Any]:
        """The gradients of the inputs, as copies."""
        shapes = {self.cotangent_name(k): d for k, d in enumerate(cotangents)} | {"cache": cache}
        shapes["params"] = named_arrays(layer, "params")
        found = call(f"{self.title}.backward", layer.backward, cotangents[0], cache, *cotangents[1:], **shapes)
        return [copied(g) for g in (found if isinstance(found, tuple | list) else [found])]

    # -- drawing what is not given

    def _draws_random_numbers(self, layer: Any) -> bool:
        """Whether a forward moves a generator on, or two forwards on one object differ."""
        before = generator_states(layer)
        first, _ = self._forward(layer, [copied(x) for x in self.inputs])
        if generator_states(layer) != before:
            return True
        return not same_bits(first, self._forward(layer, [copied(x) for x in self.inputs])[0])

    def _draw(self, y: Any) -> Any:
        y = np.asarray(y) if y is not None else None
        return self.rng.standard_normal(y.shape) if y is not None and y.dtype.kind in "fc" else None

    def _fit_cotangents(self) -> None:
        """Leave out the cotangents that `backward` has no argument for, and say so."""
        if self._takes is None or len(self.cotangents) + 1 <= self._takes:
            return
        for k in range(self._takes - 1, len(self.cotangents)):
            self.complaints.append(
                (
                    self.output_name(k),
                    f"backward has no argument for the gradient of output {k}: what flows back into it is lost.",
                )
            )
        self.cotangents = self.cotangents[: self._takes - 1]

    def _draw_missing_inputs(self) -> None:
        """`backward` returns a gradient for every input: draw those that were not given in its gradient's shape."""
        everything, self.cotangents = self.cotangents, self.cotangents[: (self._takes or 99) - 1]
        gradients = self.run(self.cotangents).inputs
        self.cotangents = everything
        if isinstance(self.layer, LossLayer):
            return
        for i, gradient in enumerate(gradients):
            if gradient is None or (i < len(self.inputs) and self.inputs[i] is not None):
                continue
            if self.accepted is not None and i >= len(self.accepted):
                self.complaints.append(
                    (
                        "backward",
                        f"backward returned {len(gradients)} gradients, but forward takes {len(self.accepted)} "
                        "inputs: return those of the inputs alone and add the others into grads.",
                    )
                )
                break
            while len(self.inputs) <= i:
                self.inputs.append(None)
            self.inputs[i] = self.rng.standard_normal(np.shape(gradient))

    # -- the objective along a line

    def line(self, array: np.ndarray, index: tuple[int, ...] | None, direction: np.ndarray | None = None) -> Line:
        """The objective `sum_k <cotangent_k, output_k>` while one entry moves, or the array along `direction`.

        Differences are taken element by element before the dot product, which loses fewer digits than the difference
        of two sums.
        """
        here: Any = Ellipsis if index is None else index
        original = array[here].copy()

        def at(offset: float) -> tuple[list[Any], float]:
            if offset == 0.0:
                return self.outputs(), 0.0
            array[here] = original + (offset if direction is None else offset * direction)
            try:
                moved = offset if direction is not None else float(array[here] - original)
                return self.outputs(), moved
            finally:
                array[here] = original

        def difference(a: float, b: float) -> float:
            with np.errstate(all="ignore"):
                (above, up), (below, down) = at(a), at(b)
                total = 0.0
                for d, y, z in zip(self.cotangents, above, below, strict=False):
                    if d is not None:
                        total += float(np.vdot(d, np.subtract(y, z)))
                return total / (up - down) if up != down else float("nan")

        def sides(h: float) -> tuple[float, float]:
            (above, up), (here, _), (below, down) = at(h), at(0.0), at(-h)
            low = high = 0.0
            for d, y, z, v in zip(self.cotangents, above, here, below, strict=False):
                if d is not None:
                    right, left = d * np.subtract(y, z) / up, d * np.subtract(z, v) / -down
                    low += float(np.minimum(left, right).sum())
                    high += float(np.maximum(left, right).sum())
            return low, high

        size = float(np.max(np.abs(original))) if original.size else 0.0
        return Line(difference, 4 * EPS * self.magnitude, size, sides)

    def weigh(self, gradients: Arrays) -> None:
        """Set `magnitude`, how large the terms are that cancel in a difference of the objective.

        They are `sum |cotangent| |output|`, and what rounding the arrays themselves does, `sum |gradient| |array|`: an
        input of 100 +- 0.01 is known to fewer digits than one of 0 +- 0.01. Inside, numbers of order 1 are always
        possible: the logarithm of 1 + 1e-12 keeps four digits, however small the output is.
        """
        pairs = zip(self.cotangents, self.outputs(), strict=False)
        terms = [d * y for d, y in pairs if d is not None]
        terms += [g * self.arrays()[n] for n, g in gradients.items()]
        self.magnitude = self._cotangent_norm() + sum(
            float(np.sum(np.abs(t[np.isfinite(t)]))) for t in map(np.asarray, terms)
        )

    def backward_rounding(self) -> float:
        """What rounding may leave of a gradient that is zero in exact arithmetic, as a saturated softmax's."""
        return 16 * EPS * self._cotangent_norm()

    def _cotangent_norm(self) -> float:
        return float(np.sqrt(sum(float(np.sum(d**2)) for d in self.cotangents if d is not None)))
