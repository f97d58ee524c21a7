"""Layers, losses and optimisers: parameters and caches first, then dense, convolution, normalisation, recurrent."""

from .activations import ReLU, Sigmoid, Tanh
from .cache import Cache
from .convolution import AvgPool2d, Conv2d, MaxPool2d
from .dense import Embedding, Flatten, Linear
from .dropout import Dropout
from .files import load, save
from .layer import Layer
from .losses import Loss, SigmoidCrossEntropy, SoftmaxCrossEntropy, SquaredError
from .normalisation import BatchNorm, LayerNorm
from .optimisers import SGD, Adam, Optimiser, RMSProp, clip_norm, gradient_norm, normalise_gradients
from .parameters import JoinedArrays, NamedArrays
from .recurrent import (
    GRU,
    LSTM,
    RNN,
    Recurrent,
    from_torch_layout,
    from_torch_state,
    to_torch_layout,
    to_torch_state,
)
from .sequential import Sequential

__all__ = [
    "GRU", "LSTM", "RNN", "SGD", "Adam", "AvgPool2d", "BatchNorm", "Cache", "Conv2d", "Dropout", "Embedding", "Flatten",
    "JoinedArrays", "Layer", "LayerNorm", "Linear", "Loss", "MaxPool2d", "NamedArrays", "Optimiser", "RMSProp", "ReLU",
    "Recurrent", "Sequential", "Sigmoid", "SigmoidCrossEntropy", "SoftmaxCrossEntropy", "SquaredError", "Tanh",
    "clip_norm", "from_torch_layout", "from_torch_state", "gradient_norm", "load", "normalise_gradients", "save",
    "to_torch_layout", "to_torch_state",
]  # fmt: skip
