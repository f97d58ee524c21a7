"""Weights and states as PyTorch lays them out, as plain NumPy arrays: PyTorch itself is not needed.

    module.load_state_dict({name: torch.from_numpy(a) for name, a in to_torch_layout(lstm).items()})
    from_torch_layout(lstm, {name: p.detach().cpu().numpy() for name, p in module.named_parameters()})

PyTorch's weights are (n_out, n_in), the gates of its LSTM are in the order i f g o, and each of its layers has two
biases that are added. The one bias of our RNN and LSTM is their sum; the GRU's two are ours. Our RNN is PyTorch's with
tanh.
"""

from collections.abc import Mapping
from typing import Any

from ...arrays import Array, array_module, device_of, to_device, to_numpy
from ...arrays.checks import expect_array
from ..layer import Layer
from ..sequential import Sequential
from .base import Recurrent
from .gru import GRU
from .lstm import LSTM
from .rnn import RNN

#: By the number of gates: the place of each in the other's order, i f o g against i f g o. It leads there and back.
_ORDERS = {1: [0], 3: [0, 1, 2], 4: [0, 1, 3, 2]}


def to_torch_layout(layer: Layer) -> dict[str, Any]:
    """The weights under PyTorch's names, in its layout, as new arrays of the layer's dtype on the host.

    Args:
        layer: an RNN, GRU or LSTM, or a Sequential of such layers of one kind and width, as PyTorch stacks them. For a
            network that holds more, hand over that part of it: `Sequential(*net[1:3])` has the same weights.

    Returns:
        For each layer k weight_ih_lk (G H, D), weight_hh_lk (G H, H), and bias_ih_lk and bias_hh_lk (G H,). The b of an
        RNN or LSTM is bias_ih, and bias_hh is zero.

    Raises:
        TypeError, ValueError: if PyTorch has no module with such weights.
    """
    arrays: dict[str, Any] = {}
    for k, one in enumerate(_layers("to_torch_layout", layer)):
        Wx, Wh, b = (_exchange(one, to_numpy(one.params[name]).T) for name in ("Wx", "Wh", "b"))
        bh = _exchange(one, to_numpy(one.params.bh)) if "bh" in one.params else array_module(b).zeros_like(b)
        arrays |= {f"weight_ih_l{k}": Wx, f"weight_hh_l{k}": Wh, f"bias_ih_l{k}": b, f"bias_hh_l{k}": bh}
    return arrays


def from_torch_layout(layer: Layer, arrays: Mapping[str, Array]) -> None:
    """Copy weights in PyTorch's layout into a layer, whatever its dtype and device.

    Args:
        layer: as for `to_torch_layout`.
        arrays: name -> array, with all the names of `to_torch_layout(layer)` and no other.

    Raises:
        TypeError, ValueError: if PyTorch has no module with such weights, or if an array is missing, unknown, of
            another shape or not floating; nothing is changed.
    """
    where = "from_torch_layout"
    layers, wanted = _layers(where, layer), to_torch_layout(layer)
    if not isinstance(arrays, Mapping):
        raise TypeError(f"{where}: arrays is of type {type(arrays).__name__}, expected a mapping of names to arrays")
    theirs = ", ".join(f"{name} {a.shape}" for name, a in wanted.items())
    if lacking := [name for name in wanted if name not in arrays]:
        raise ValueError(f"{where}: arrays lacks {', '.join(lacking)}, expected {theirs} for {layer._name()}")
    if unknown := [str(name) for name in arrays if name not in wanted]:
        raise ValueError(f"{where}: arrays also holds {', '.join(unknown)}, expected {theirs} for {layer._name()}")
    for name, array in wanted.items():
        expect_array(where, name, arrays[name], array.shape)
    for k, one in enumerate(layers):
        names = [f"{name}_l{k}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        Wx, Wh, b, bh = (_exchange(one, to_numpy(arrays[name])).T for name in names)
        given = {"Wx": Wx, "Wh": Wh, **({"b": b, "bh": bh} if "bh" in one.params else {"b": b + bh})}
        for name, array in given.items():
            one.params[name] = to_device(array.astype(one.dtype), device_of(one.params[name]))


def to_torch_state(layer: Layer, s: Array) -> Any:
    """The state (B, S) of a layer or stack, or its gradient, as PyTorch has it, on the host.

    Returns:
        h (layers, B, H), and for an LSTM the pair (h, c) of such arrays.
    """
    where = "to_torch_state"
    layers = _layers(where, layer)
    H, n_parts = layers[0].n_hidden, layers[0].n_state // layers[0].n_hidden
    expect_array(where, "s", s, ("B", len(layers) * n_parts * H))
    parts = to_numpy(s).reshape(len(s), len(layers), n_parts, H).transpose(2, 1, 0, 3).copy()
    return tuple(parts) if n_parts > 1 else parts[0]


def from_torch_state(layer: Layer, state: Any) -> Array:
    """PyTorch's state, h (layers, B, H) or for an LSTM the pair (h, c), as ours (B, S), in the layer's dtype and place.

    Raises:
        TypeError, ValueError: if it is no pair, or an array is of another shape or not floating.
    """
    where = "from_torch_state"
    layers = _layers(where, layer)
    one = layers[0]
    if isinstance(one, LSTM) and not (isinstance(state, tuple | list) and len(state) == 2):
        raise TypeError(f"{where}: state is of type {type(state).__name__}, expected the pair (h, c)")
    parts = list(state) if isinstance(one, LSTM) else [state]
    shape: tuple[int | str, ...] = (len(layers), "B", one.n_hidden)
    for name, part in zip("hc", parts, strict=False):
        expect_array(where, name, part, shape)
        shape = part.shape  # c has as many sequences as h
    hosts = [to_numpy(part) for part in parts]
    stacked = array_module(hosts[0]).stack(hosts)
    s = stacked.transpose(2, 1, 0, 3).reshape(stacked.shape[2], len(layers) * one.n_state)
    return to_device(s.astype(one.dtype), device_of(one.params.Wx))


def _layers(where: str, layer: Layer) -> list[Recurrent]:
    """The recurrent layers in order; raise unless a module of PyTorch's computes the same."""
    layers: list[Any] = list(layer) if isinstance(layer, Sequential) else [layer]
    for one in layers:
        if not isinstance(one, RNN | GRU | LSTM):
            got = one._name() if isinstance(one, Layer) else f"something of type {type(one).__name__}"
            raise TypeError(f"{where}: layer is or holds {got}, expected an RNN, GRU or LSTM, or a Sequential of them")
        if one.layer_norm:
            raise ValueError(f"{where}: layer is or holds {one._name()}, expected one without layer norm")
        if type(one) is not type(layers[0]) or one.n_hidden != layers[0].n_hidden:
            raise ValueError(f"{where}: layer is {layer._name()}, expected layers of one kind and width, as in PyTorch")
    return layers


def _exchange(one: Recurrent, a: Array) -> Array:
    """A copy of a (G H, ...) with its gates in the other order."""
    return a.reshape(one.n_gates, one.n_hidden, *a.shape[1:])[_ORDERS[one.n_gates]].reshape(a.shape)
