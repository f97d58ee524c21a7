"""minidni: backpropagation, LSTMs and synthetic gradients with every line of the forward and backward pass in sight.

Reading order, each floor standing on the one before:

1. `arrays`     where numbers live: NumPy or CuPy, decided by the data
2. `nn`         parameters and cache, the Layer contract, layers, losses, optimisers, save and load
3. `gradcheck`  is a hand-written backward the derivative of its forward?
4. `bptt`       back-propagation through time: whole, in windows, step by step, and forwards
5. `dni`        synthetic gradients: synthesizers, other signals, segments and chains
6. `locking`    what waits for what: timelines, simulated and measured, and workers
7. `data`       sets inside the package, loaders, generators, minibatches
8. `training`   a loop with history, for when the loop itself is not the point
9. `experiments` claims that run: `python -m minidni experiment --list`
"""

from . import bptt, data, dni
from .arrays import array_module, to_device, to_numpy
from .dni import Chain, Segment, Synthesizer
from .gradcheck import check_gradients
from .nn import (
    GRU,
    LSTM,
    RNN,
    SGD,
    Adam,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    MaxPool2d,
    ReLU,
    RMSProp,
    Sequential,
    Sigmoid,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
    Tanh,
    clip_norm,
    load,
    normalise_gradients,
    save,
)
from .training import accuracy, fit

__version__ = "0.1.0"

__all__ = [
    "GRU", "LSTM", "RNN", "SGD", "Adam", "AvgPool2d", "BatchNorm", "Chain", "Conv2d", "Dropout", "Embedding", "Flatten",
    "LayerNorm", "Linear", "MaxPool2d", "RMSProp", "ReLU", "Segment", "Sequential", "Sigmoid", "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy", "SquaredError", "Synthesizer", "Tanh", "accuracy", "array_module", "bptt", "check_gradients",
    "clip_norm", "data", "dni", "fit", "load", "normalise_gradients", "save", "to_device", "to_numpy",
]  # fmt: skip
