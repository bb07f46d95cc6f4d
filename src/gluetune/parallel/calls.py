"""A call that a worker runs, what comes of it, and what it tells while it runs."""

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
    """`died`: its process is gone. `interrupted`: its process, not this one, was asked to stop."""
    type: str
    """The exception's class."""
    findings: tuple[Finding, ...]
    traceback: str = ""
    """Where an exception arose that nobody foresaw."""

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


OnTold = Callable[[Hashable, Any], object]
"""Called, where calls are started from, with a call's key and what it told."""

_told_to: Callable[[Any], object] | None = None
"""Where this process's running call tells; None outside of one."""


def tell(value: Any) -> None:
    """Send `value` from inside a call to the process that started it; nothing elsewhere."""
    if _told_to is not None:
        _told_to(value)


@contextmanager
def telling(to: Callable[[Any], object] | None) -> Iterator[None]:
    """Let what is told inside the block go to `to`."""
    global _told_to
    before, _told_to = _told_to, to
    try:
        yield
    finally:
        _told_to = before


def failure_of(error: Exception) -> Failure:
    """Return what is said of an exception; of one that is not gluetune's own, where it arose."""
    name = type(error).__name__
    if isinstance(error, GluetuneError):
        return Failure("raised", name, error.findings)
    arose = "".join(traceback.format_exception(error))
    return Failure("raised", name, (Finding(f"{name}: {error}"),), arose)


@dataclass(frozen=True)
class Call:
    """A picklable call, under a name by which its outcome is known."""

    key: Hashable
    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def outcome(self) -> Outcome:
        """Run it. Only what asks the process itself to stop gets through."""
        try:
            return Outcome(self.key, self.function(*self.arguments))
        except Exception as error:  # noqa: BLE001  # whatever it is, it costs this call alone
            return Outcome(self.key, failure=failure_of(error))
