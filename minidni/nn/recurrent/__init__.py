"""Recurrent layers with back-propagation through time: RNN, GRU and LSTM."""

from .base import Recurrent
from .gru import GRU
from .lstm import LSTM
from .rnn import RNN
from .torch_layout import from_torch_layout, from_torch_state, to_torch_layout, to_torch_state

__all__ = [
    "GRU", "LSTM", "RNN", "Recurrent", "from_torch_layout", "from_torch_state", "to_torch_layout", "to_torch_state",
]  # fmt: skip
