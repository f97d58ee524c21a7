"""minidni: backpropagation, LSTMs and synthetic gradients with every line of the forward and backward pass in sight."""

from .arrays import array_module, to_device, to_numpy
from .nn import *  # noqa: F403

__version__ = "0.1.0"

__all__ = ["array_module", "to_device", "to_numpy"]
