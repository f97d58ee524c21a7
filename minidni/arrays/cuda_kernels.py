"""Functions of two versions: a plain one for any array, and an element-wise kernel in CUDA C for CuPy's."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

#: Takes the inputs, then the outputs, and writes into the outputs.
Function = Callable[..., Any]


class CudaKernel:
    """A function of arrays that has a kernel in CUDA C beside its plain version; tests hold the two together.

        add = function.on(array_module(a))
        add(a, b, out)

    The kernel is one launch of a `cupy.ElementwiseKernel`, whose documentation has the rules of inputs, outputs and
    source: the source runs once for every element, on a thread of its own, and i is the element's number. An argument
    stands for its element i, a "raw" one for the whole array, and T is the dtype of all arrays declared with it. CuPy
    compiles it at the first launch, and keeps the result, on disk too.

    Args:
        plain: the plain version, for NumPy and CuPy alike.
        inputs: the inputs' types and names, such as "raw T a, T b, bool on".
        outputs: the outputs' types and names; they may also be read.
        source: the body in CUDA C.
    """

    def __init__(self, plain: Function, inputs: str, outputs: str, source: str):
        self.plain, self.inputs, self.outputs, self.source = plain, inputs, outputs, source
        self.name = f"{plain.__module__.rpartition('.')[2]}_{plain.__name__}"
        self._made: dict[ModuleType, Function] = {}

    def on(self, xp: ModuleType) -> Function:
        """What to call with arrays of this library: the plain version for NumPy, the kernel for CuPy."""
        if xp is np:
            return self.plain
        cupy = xp
        if cupy not in self._made:
            self._made[cupy] = cupy.ElementwiseKernel(self.inputs, self.outputs, self.source, name=self.name)
        return self._made[cupy]


def cuda_kernel(inputs: str, outputs: str, source: str) -> Callable[[Function], CudaKernel]:
    """Put a kernel beside the plain version that is decorated; the arguments are those of `CudaKernel`."""
    return lambda plain: CudaKernel(plain, inputs, outputs, source)
