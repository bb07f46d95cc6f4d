"""Every exception that gluetune raises, in one tree, and the warning of a former name.

```
GluetuneError                 base: a message, the next thing to type, an exit code
├── ConfigurationError        a flag, a field of a YAML file or an argument is invalid
├── DataError                 a data set, a split, a file or a row is missing or wrong
├── CheckpointError           a model cannot be found, loaded, or fitted to the task
├── HubError                  the Hub refused, failed, or cannot be reached
├── RunError                  a run folder is finished, broken, or not a run
│   └── LockedError           another process is working in a folder
├── StorageError              the disk is full, or the file cannot be written
├── TrainingError             training itself failed: a loss that is not finite, no memory left
│   └── ProcessLostError      another process of the run exited unexpectedly
└── Pruned                    not a failure: a run is stopped early, since others do better
```

A message names the value and the place; `hint` says what to type next. Mistakes that can be found
together are raised together, as one exception whose `findings` lists them all. Optional
dependencies are extras: `pip install 'gluetune[EXTRA]'`. Former names keep working for one release,
with one warning that gives the new name.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """One mistake: what is wrong and where, and what to type instead (may be empty)."""

    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class GluetuneError(Exception):
    """Base class of the errors that gluetune raises."""

    exit_code = 2
    """Exit code of the command line: 1 the work failed, 2 usage, 3 data, 4 network, 5 storage."""

    reported_elsewhere: bool | None = None
    """Whether another process of the same run reports the error; None while that is undecided."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.findings: tuple[Finding, ...] = (Finding(message, hint),)
        super().__init__(str(self.findings[0]))

    @classmethod
    def raise_any(cls, findings: Iterable[Finding]) -> None:
        """Raise one exception that reports all `findings`, if there are any."""
        if found := list(findings):
            raise cls.of(found)

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> GluetuneError:
        """Return one exception that reports all `findings` (at least one)."""
        error = cls(findings[0].message, hint=findings[0].hint)
        error.findings = tuple(findings)
        error.args = ("\n".join(str(finding) for finding in findings),)
        return error


class ConfigurationError(GluetuneError):
    """A flag, a field of a YAML file or an argument is invalid."""


class DataError(GluetuneError):
    """A data set, a split, a file or a row is missing or wrong."""

    exit_code = 3


class CheckpointError(GluetuneError):
    """A model cannot be found, loaded, or fitted to the task."""

    exit_code = 3


class HubError(GluetuneError):
    """The Hub refused, failed, or cannot be reached."""

    exit_code = 4


class RunError(GluetuneError):
    """A run folder is locked by another process, finished, broken, or not a run."""


class LockedError(RunError):
    """Another process is working in a folder."""


class StorageError(GluetuneError):
    """The disk is full, or the file cannot be written."""

    exit_code = 5


class TrainingError(GluetuneError):
    """Training itself failed: a loss that is not finite, or no memory left."""

    exit_code = 1


class ProcessLostError(TrainingError):
    """Another process of the run exited unexpectedly; the run can be resumed with as many."""


class Pruned(GluetuneError):  # noqa: N818  # not an error
    """A run is stopped early, since others do better; `on_epoch` may raise it."""

    exit_code = 1


class Findings:
    """Mistakes as they are found, to be raised together.

    With `most`, only that many are kept in words; all are counted.
    """

    def __init__(
        self, kind: type[GluetuneError] = ConfigurationError, *, most: int | None = None
    ) -> None:
        self.errors: list[GluetuneError] = []
        self.total = 0
        self._kind = kind
        self._most = most

    def add(self, message: str, hint: str = "") -> None:
        """Add one mistake."""
        self.add_rows([0], lambda _: message, hint)

    def add_rows(self, rows: Sequence[int], describe: Callable[[int], str], hint: str = "") -> None:
        """Add one mistake for each of `rows`; `describe` is called only for those that are kept."""
        room = len(rows) if self._most is None else max(self._most - self.total, 0)
        self.errors += [self._kind(describe(row), hint=hint) for row in rows[:room]]
        self.total += len(rows)

    def attempt(self, step: Callable[[], T]) -> T | None:
        """Return what `step` returns; where it raises, add the error and return None."""
        try:
            return step()
        except GluetuneError as error:
            self.errors.append(error)
            self.total += len(error.findings)
            return None

    def error(self) -> GluetuneError:
        """Return one exception with everything that was found (at least one mistake)."""
        found = merged(self.errors, self._kind)
        if (hidden := self.total - sum(len(error.findings) for error in self.errors)) > 0:
            more = Finding(f"... and {hidden} more: {self.total} findings in all.")
            return self._kind.of([*found.findings, more])
        return found

    def raise_any(self) -> None:
        """Raise everything that was found, if anything."""
        if self.errors:
            raise self.error()


def merged(
    errors: Sequence[GluetuneError], kind: type[GluetuneError] = ConfigurationError
) -> GluetuneError:
    """Return one exception for several (at least one), with each finding once."""
    if len({error.findings for error in errors}) == 1:
        return errors[0]
    findings = dict.fromkeys(finding for error in errors for finding in error.findings)
    found = kind.of(list(findings))
    codes = {error.exit_code for error in errors}
    found.exit_code = codes.pop() if len(codes) == 1 else kind.exit_code
    return found


def require_extra(extra: str, needed_for: str, *modules: str) -> None:
    """Raise ConfigurationError with the line to type, unless all `modules` are installed."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if absent:
        raise ConfigurationError(
            f"{needed_for} needs {', '.join(absent)}, which {'are' if absent[1:] else 'is'} not "
            "installed.",
            hint=f"Type: pip install 'gluetune[{extra}]'",
        )


P = ParamSpec("P")

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
