"""Former names: they keep working for one release, with one warning that gives the new name."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from gluetune.core.errors import ConfigurationError

P = ParamSpec("P")
T = TypeVar("T")

_PACKAGE = str(Path(__file__).parents[1])


class RenamedWarning(FutureWarning):
    """A former name is used, which the next release will refuse."""


def warn_renamed(old: str, new: str) -> None:
    """Warn that `old` is now called `new`, at the line outside the package that used it.

    Python shows the same warning once per line. The command line prints it as one plain line.
    """
    warnings.warn(
        f"{old} is now called {new}; the old name will stop working in the next release.",
        RenamedWarning,
        stacklevel=_level_of_caller(),
    )


def with_new_names(values: Mapping[str, T], renamed: Mapping[str, str]) -> dict[str, T]:
    """Return `values` under their new names (`renamed`: old name -> new), warning of each old one.

    Raises:
        ConfigurationError: a value is given under both names.
    """
    named: dict[str, T] = {}
    for given, value in values.items():
        name = renamed.get(given, given)
        if name != given:
            if name in values:
                raise ConfigurationError(
                    f"{given} and {name} are the same setting, and both are given.",
                    hint=f"Leave {given} out.",
                )
            warn_renamed(given, name)
        named[name] = value
    return named


def renamed_parameters(**renamed: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function to accept former names of keyword arguments: old name=new name."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if renamed.keys() & kwargs.keys():
                named = with_new_names(kwargs, renamed)
                return function(*args, **named)  # type: ignore[arg-type]  # as they are declared
            return function(*args, **kwargs)

        return call

    return decorate


def _level_of_caller() -> int:
    """Return the stack level, for `warnings.warn` in the caller, of the first frame of others."""
    level, frame = 1, sys._getframe(1)
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level
