"""Recurrent layers with back-propagation through time: RNN, GRU and LSTM."""

from .base import Recurrent
from .gru import GRU
from .lstm import LSTM
from .rnn import RNN

__all__ = ["GRU", "LSTM", "RNN", "Recurrent"]
