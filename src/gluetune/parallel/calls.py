"""A call that a process of a pool runs, its outcome, and what it emits while it runs."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from gluetune.core.errors import Finding, GluetuneError


@dataclass(frozen=True)
class Failure:
    """Why a call has no value."""

    kind: Literal["raised", "died", "interrupted"]
    """`died`: its process is gone. `interrupted`: its process, not this one, was stopped."""
    type: str
    """The exception's class."""
    findings: tuple[Finding, ...]
    traceback: str = ""
    """Of an exception that is no GluetuneError."""

    @property
    def message(self) -> str:
        """What went wrong, in one line."""
        return " ".join(finding.message for finding in self.findings)


@dataclass(frozen=True)
class Outcome:
    """What came of one call: its value, or a failure."""

    key: Hashable
    value: Any = None
    failure: Failure | None = None


OnValue = Callable[[Hashable, Any], object]
"""Called, where calls are started from, with a call's key and what it emitted."""

_emit_to: Callable[[Any], object] | None = None
"""Where the running call of this process emits; None outside of one."""


def emit(value: Any) -> None:
    """Send `value` from inside a call to the process that started it; nothing elsewhere."""
    if _emit_to is not None:
        _emit_to(value)


@contextmanager
def emitting_to(to: Callable[[Any], object] | None) -> Iterator[None]:
    """Send what is emitted inside the block to `to`."""
    global _emit_to
    before, _emit_to = _emit_to, to
    try:
        yield
    finally:
        _emit_to = before


def failure_of(error: Exception) -> Failure:
    """Return the failure that an exception is; of one not gluetune's own, with its traceback."""
    name = type(error).__name__
    if isinstance(error, GluetuneError):
        return Failure("raised", name, error.findings)
    arose = "".join(traceback.format_exception(error))
    return Failure("raised", name, (Finding(f"{name}: {error}"),), arose)


@dataclass(frozen=True)
class Call:
    """A picklable call, whose outcome has its key."""

    key: Hashable
    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def outcome(self) -> Outcome:
        """Run it. Only what stops the process itself gets through."""
        try:
            return Outcome(self.key, self.function(*self.arguments))
        except Exception as error:  # noqa: BLE001  # whatever it is, it costs this call alone
            return Outcome(self.key, failure=failure_of(error))
