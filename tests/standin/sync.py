"""Counting the places where CuPy would wait for the GPU without being asked to."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HERE = str(Path(__file__).parent)


class SynchronisedError(AssertionError):
    """A synchronisation happened inside `no_synchronisation()`."""


class Synchronisations:
    """`causes` has a line for each synchronisation so far: what, and in which file, line and function."""

    def __init__(self) -> None:
        self.causes: list[str] = []
        self.forbidden = False

    def __repr__(self) -> str:
        return "\n".join([f"{self.count} synchronisations", *self.causes])

    @property
    def count(self) -> int:
        return len(self.causes)

    def reset(self) -> None:
        self.causes.clear()

    def record(self, what: str) -> None:
        frame = sys._getframe(1)
        while frame.f_code.co_filename.startswith(_HERE) and frame.f_back:
            frame = frame.f_back
        code = frame.f_code
        self.causes.append(f"{what} at {code.co_filename}:{frame.f_lineno} in {code.co_name}")
        if self.forbidden:
            raise SynchronisedError(self.causes[-1])


synchronisations = Synchronisations()


@contextmanager
def no_synchronisation() -> Iterator[None]:
    """Raise SynchronisedError where the body synchronises, or at its end if that error was swallowed."""
    before, outer = synchronisations.count, synchronisations.forbidden
    synchronisations.forbidden = True
    try:
        yield
    finally:
        synchronisations.forbidden = outer
    if causes := synchronisations.causes[before:]:
        raise SynchronisedError("; ".join(causes))
