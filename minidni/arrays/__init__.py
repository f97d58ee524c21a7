"""Where numbers live: which array library an array belongs to, moving between them, and the kernels both share."""

from .backend import Array, array_module, device_of, empty, to_device, to_numpy

__all__ = ["Array", "array_module", "device_of", "empty", "to_device", "to_numpy"]
