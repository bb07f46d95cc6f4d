"""Collects what is wrong with a data set, so that all of it is reported at once.

A file can be wrong in every row, so only the first few findings are written out, with the total.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from gluetune.core.errors import DataError, Finding

SHOWN = 10
"""Findings that are written out; the rest are counted."""

_LOOKED_AT = 1000
"""Names of files that one is compared with."""


class Findings:
    """Everything wrong that has been found so far; the first `SHOWN` are kept in words."""

    def __init__(self) -> None:
        self._shown: list[Finding] = []
        self.total = 0

    def add(self, message: str, *, hint: str = "") -> None:
        """Note one mistake."""
        if self.total < SHOWN:
            self._shown.append(Finding(message, hint))
        self.total += 1

    def add_rows(self, rows: Sequence[int], describe: Callable[[int], str]) -> None:
        """Note one mistake for each of `rows`; `describe` words only those that are shown."""
        room = max(SHOWN - self.total, 0)
        self._shown.extend(Finding(describe(row)) for row in rows[:room])
        self.total += len(rows)

    def raise_any(self) -> None:
        """Raise DataError with everything that was found; do nothing when that is nothing."""
        if not self.total:
            return
        hidden = self.total - len(self._shown)
        more = [Finding(f"... and {hidden} more: {self.total} findings in all.")] if hidden else []
        raise DataError.of([*self._shown, *more])


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return "Did you mean 'x'? " for the candidate most like `name`, or nothing."""
    near = nearest_of(name, candidates)
    return f"Did you mean '{near}'? " if near is not None else ""


def nearest_of(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like `name`, None where none is like it."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None


def nearest_file(path: Path) -> str:
    """Say which file beside one that cannot be opened may be meant."""
    try:
        beside = [each.name for each in islice(path.parent.iterdir(), _LOOKED_AT)]
    except OSError:
        beside = []
    near = nearest_of(path.name, beside) if path.name not in beside else None
    return f"Did you mean {path.parent / near}?" if near else "Check the name of the file."
