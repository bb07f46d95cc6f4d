"""Calls that worker processes run: a picklable call, its outcome, and the events it emits."""

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
    """`died`: the worker exited. `interrupted`: the worker, and not this process, was stopped."""
    type: str
    """The exception's class."""
    findings: tuple[Finding, ...]
    traceback: str = ""
    """Of an exception other than a GluetuneError."""

    @property
    def message(self) -> str:
        """What went wrong, in one line."""
        return " ".join(finding.message for finding in self.findings)


@dataclass(frozen=True)
class Outcome:
    """Result of one call: its value, or a failure."""

    key: Hashable
    value: Any = None
    failure: Failure | None = None


OnValue = Callable[[Hashable, Any], object]
"""Called in the submitting process with a call's key and each value that the call emits."""

_emit_to: Callable[[Any], object] | None = None
"""Receives what the running call of this process emits; None outside of a call."""


def emit(value: Any) -> None:
    """Send `value` from inside a call to the submitting process; do nothing outside of a call."""
    if _emit_to is not None:
        _emit_to(value)


@contextmanager
def emitting_to(to: Callable[[Any], object] | None) -> Iterator[None]:
    """Pass what is emitted inside the block to `to`."""
    global _emit_to
    before, _emit_to = _emit_to, to
    try:
        yield
    finally:
        _emit_to = before


def failure_of(error: Exception) -> Failure:
    """Describe an exception as a Failure, with a traceback unless it is a GluetuneError."""
    name = type(error).__name__
    if isinstance(error, GluetuneError):
        return Failure("raised", name, error.findings)
    text = "".join(traceback.format_exception(error))
    return Failure("raised", name, (Finding(f"{name}: {error}"),), text)


@dataclass(frozen=True)
class Call:
    """A picklable call of a function. Its outcome carries its key."""

    key: Hashable
    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def outcome(self) -> Outcome:
        """Run the call. Only KeyboardInterrupt and SystemExit propagate."""
        try:
            return Outcome(self.key, self.function(*self.arguments))
        except Exception as error:  # noqa: BLE001  # any error fails this call, not the worker
            return Outcome(self.key, failure=failure_of(error))
