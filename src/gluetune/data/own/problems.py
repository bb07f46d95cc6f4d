"""Collect the problems of a user's files: unusable rows, other mistakes, and remarks.

An unusable row is a finding; with `skip` it is left out and counted instead. The first rows of each
kind are shown with their lines. A remark is about something unusual that can be used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gluetune.core.errors import DataError, Finding

SHOWN = 5
"""How many findings of one kind in one file are shown; the rest are counted."""


SKIP_ROWS = "Fix the file, or leave such rows out: --on-bad-row skip"
"""The hint for unusable rows, where the user has that option."""

_SINGULAR = (
    ("rows that are", "row that is"),
    ("rows", "row"),
    ("empty lines", "empty line"),
)


def counted(kind: str, count: int) -> str:
    """Return `count` rows of a kind in words: "2 rows with an empty text", "1 row with …"."""
    if count == 1:
        many, one = next((pair for pair in _SINGULAR if kind.startswith(pair[0])), ("", ""))
        kind = one + kind.removeprefix(many)
    return f"{count:,} {kind}"


@dataclass
class _Kind:
    shown: list[str] = field(default_factory=list)
    total: int = 0


class Problems:
    """Collects the problems in the files of one task."""

    def __init__(self, row_hint: str = SKIP_ROWS) -> None:
        self._row_hint = row_hint
        self._rows: dict[tuple[str, str], _Kind] = {}
        self._findings: list[Finding] = []
        self._left_out: dict[tuple[str, str], int] = {}
        self.remarks: list[str] = []
        """Notes on what is unusual but can be used."""

    def add_row(self, name: str, place: str, kind: str, problem: str) -> None:
        """Add an unusable row of file `name`; `kind` is what such rows are called in counts."""
        found = self._rows.setdefault((name, kind), _Kind())
        found.total += 1
        if found.total <= SHOWN:
            found.shown.append(f"{place} {problem}.")

    def add(self, message: str, hint: str = "") -> None:
        """Add a mistake that leaving out rows does not fix."""
        self._findings.append(Finding(message, hint))

    def remark(self, text: str) -> None:
        """Add a note on something unusual that can be used."""
        self.remarks.append(text)

    def leave_out(self, name: str, kind: str, count: int) -> None:
        """Count rows of file `name` that the user has chosen to leave out; they are no mistake."""
        self._left_out[name, kind] = count

    @property
    def skipped(self) -> Mapping[str, Mapping[str, int]]:
        """Number of rows that are left out, by file and kind."""
        counts: dict[str, dict[str, int]] = {}
        totals = {place: found.total for place, found in self._rows.items()}
        for (name, kind), total in {**self._left_out, **totals}.items():
            counts.setdefault(name, {})[kind] = total
        return counts

    @property
    def hard(self) -> tuple[Finding, ...]:
        """Mistakes that leaving out rows does not fix."""
        return tuple(self._findings)

    def findings(self) -> tuple[Finding, ...]:
        """Return all findings: unusable rows first, in the order of the files."""
        return (*self._row_findings(), *self._findings)

    def notes(self) -> list[str]:
        """Return the notes for the record: rows left out, and remarks."""
        left_out = [
            f"{name}: {', '.join(counted(kind, count) for kind, count in kinds.items())}; left out."
            for name, kinds in self.skipped.items()
        ]
        return [*left_out, *self.remarks]

    def raise_any(self, *, skip: bool) -> None:
        """Raise DataError with all findings; with `skip`, without those about rows."""
        findings = self.hard if skip else self.findings()
        if findings:
            raise DataError.of(findings)

    def _row_findings(self) -> Iterator[Finding]:
        messages: list[str] = []
        for (name, kind), found in self._rows.items():
            messages += found.shown
            if (hidden := found.total - len(found.shown)) > 0:
                messages.append(f"{name}: {hidden:,} more {kind}, {found.total:,} in all.")
        yield from map(Finding, messages[:-1])
        yield from (Finding(last, self._row_hint) for last in messages[-1:])
