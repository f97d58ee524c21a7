"""What an experiment is: a generator of rows with settings that a command line can change."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .rows import Row
from .settings import parse_setting

#: name -> experiment, in the order in which their files are imported.
EXPERIMENTS: dict[str, "Experiment"] = {}


@dataclass(frozen=True)
class Experiment:
    """A claim that can be run: a function of a seed and settings that yields a row a run.

    All text comes from the function: its docstring says what is claimed and what the settings mean, and its keyword
    arguments are the settings, with their types and defaults.

    Attributes:
        name: as on the command line.
        function: `function(seed, **settings)`, a generator of rows.
        measures: the columns that a run measures, with their units; "" if there is none.
        quick: the settings that `--quick` changes.
        beside: a function of all settings that returns what to compare the results with, by name: floors and chance
            levels that need no run. It is called before the first run, and raises ValueError if the settings do not
            fit together.
    """

    name: str
    function: Callable[..., Iterator[Row]]
    measures: Mapping[str, str]
    quick: Mapping[str, Any]
    beside: Callable[..., dict[str, float]]

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return inspect.cleandoc(self.function.__doc__ or "").partition("\n")[0]

    @property
    def description(self) -> str:
        """The docstring, with a setting's default behind its name."""
        text = re.sub("\n    seed: .*", "", inspect.cleandoc(self.function.__doc__ or ""))
        for name, value in self.defaults.items():
            text = text.replace(f"\n    {name}: ", f"\n    {name}={as_text(value)}: ")
        return text.replace("\nArgs:\n", "\nSettings:\n")

    @property
    def defaults(self) -> dict[str, Any]:
        """The settings and their values, if nothing is said."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def settings(self, texts: Iterable[str] = (), *, quick: bool = False) -> dict[str, Any]:
        """All settings: the defaults, changed by `quick` and then by texts of the form "key=value".

        Raises:
            ValueError: if a text has another form, a key is unknown, or a value is not of the setting's type.
        """
        values = self.defaults | (dict(self.quick) if quick else {})
        types = inspect.get_annotations(self.function, eval_str=True)
        for text in texts:
            key, equals, value = text.partition("=")
            if not equals:
                raise ValueError(f"{self.name}: {text!r} is no setting, expected key=value, such as {self._example()}")
            if key not in values:
                raise ValueError(f"{self.name}: there is no setting {key!r}; there are {', '.join(values)}")
            values[key] = parse_setting(self.name, key, value, types[key], self.defaults[key])
        return values

    def rows(self, seeds: Iterable[int], settings: Mapping[str, Any]) -> Iterator[Row]:
        """The rows of all seeds, each as soon as its run is over."""
        for seed in seeds:
            for row in self.function(seed, **settings):
                for name in self.measures if "stopped" in row else ():
                    row.setdefault(name, float("nan"))  # the run stopped before it was measured
                yield row

    def _example(self) -> str:
        key, value = next(iter(self.defaults.items()))
        return f"{key}={as_text(value)}"


def experiment(
    name: str,
    *,
    measures: Mapping[str, str],
    quick: Mapping[str, Any],
    beside: Callable[..., dict[str, float]],
) -> Callable[[Callable[..., Iterator[Row]]], Callable[..., Iterator[Row]]]:
    """A decorator that enters the function into `EXPERIMENTS`, and leaves it as it is; see `Experiment`."""

    def enter(function: Callable[..., Iterator[Row]]) -> Callable[..., Iterator[Row]]:
        EXPERIMENTS[name] = Experiment(name, function, measures, quick, beside)
        return function

    return enter


def find(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        ValueError: if there is none; the sentence lists those there are.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"there is no experiment named {name!r}; there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def listing() -> str:
    """All experiments, with a line each."""
    width = max(map(len, EXPERIMENTS))
    return "\n".join(f"{name:<{width}}  {e.summary}" for name, e in EXPERIMENTS.items())


def as_text(value: Any) -> str:
    """A setting's value in the form in which the command line takes it."""
    if isinstance(value, tuple | list):
        return ",".join(map(as_text, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
