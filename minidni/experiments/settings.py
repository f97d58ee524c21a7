"""From the text behind `key=` to a setting's value, by the type that its function gives it."""

import math
import types
from typing import Any, Literal, Union, get_args, get_origin


def parse_setting(where: str, key: str, text: str, kind: Any, default: Any = None) -> Any:
    """The value that `text` stands for.

    Args:
        where: the experiment's name, as the sentence's subject.
        key: the setting's name.
        text: what stands behind `key=`.
        kind: int, float, bool, str, a Literal of strings, a tuple of one of them, or one of these or None.
        default: numbers must be above 0, unless the default is 0 or has one in it.

    Raises:
        ValueError: if the text is no such value.
    """
    zero = 0 in (default if isinstance(default, tuple) else (default,)) and not isinstance(default, bool)
    try:
        return _parse(text.strip(), kind, zero)
    except (ValueError, OverflowError):
        raise ValueError(f"{where}: {key} is {text!r}, expected {_wanted(kind, zero)}") from None


def _parse(text: str, kind: Any, zero: bool) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        (inner,) = (k for k in get_args(kind) if k is not types.NoneType)
        return None if text.lower() == "none" else _parse(text, inner, zero)
    if get_origin(kind) is tuple:
        parts, kinds = text.split(","), get_args(kind)
        if kinds[-1] is not Ellipsis and len(parts) != len(kinds):
            raise ValueError
        return tuple(_parse(part.strip(), kinds[0], zero) for part in parts)
    if get_origin(kind) is Literal or kind is bool:
        choices = {"true": True, "false": False} if kind is bool else {name: name for name in get_args(kind)}
        if text not in choices:
            raise ValueError
        return choices[text]
    if kind is str:
        return text
    number = float(text)
    if not (math.isfinite(number) and (number > 0 or (zero and number == 0))) or (kind is int and number % 1):
        raise ValueError
    return kind(number)


def _wanted(kind: Any, zero: bool) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        return f"{_wanted(get_args(kind)[0], zero)}, or none"
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        count = "one or more" if kinds[-1] is Ellipsis else str(len(kinds))
        return f"{count} with commas between, each {_wanted(kinds[0], zero)}"
    if get_origin(kind) is Literal or kind is bool:
        return " or ".join(("true", "false") if kind is bool else get_args(kind))
    if kind is str:
        return "a text"
    return f"a {'whole ' if kind is int else ''}number {'of at least' if zero else 'above'} 0"
