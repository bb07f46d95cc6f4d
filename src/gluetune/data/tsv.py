"""Reads tab-separated files as GLUE writes them: no quoting, so a quote is a character.

Lines end in LF or CRLF; nothing else ends a line (texts contain U+2028 and lone CRs). UTF-8, with
or without a byte order mark.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gluetune.data.findings import Findings, nearest
from gluetune.errors import DataError

_ABSENT = -1


@dataclass(frozen=True)
class TsvColumns:
    """The wanted columns of a file, and the line (from 1) that each row stands on."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int] = field(default_factory=list)
    ragged: list[tuple[int, int]] = field(default_factory=list)
    """Rows left out because they are too short or too long: line, number of columns."""
    width: int = 0
    """Columns that a row should have."""
    first_line: int = 1
    """Line of the first row: 2 where there is a header."""

    def locate(self, row: int) -> str:
        """Return the place of a row, as `file:line`."""
        return f"{self.path}:{self.lines[row]}"


def read_tsv(
    path: Path, wanted: Sequence[str], findings: Findings, *, header: Sequence[str] = ()
) -> TsvColumns:
    """Return the columns `wanted` of `path`; `header` names the columns if no line does.

    Rows that are no UTF-8 are added to `findings`. Raises DataError when the file is empty, cannot
    be opened, or lacks a column.
    """
    lines = _numbered_lines(path)
    names = list(header) or _header(lines, path, findings)
    positions = [_position(name, names, path, findings) for name in wanted]
    if _ABSENT in positions:
        findings.raise_any()
    columns: dict[str, list[str]] = {name: [] for name in wanted}
    table = TsvColumns(path, columns, width=len(names), first_line=1 if header else 2)
    targets = list(zip(columns.values(), positions, strict=True))
    for number, raw in lines:
        text = _decoded(raw, number, path, findings)
        if text is None:
            continue
        cells = text.split("\t")
        if len(cells) != len(names):
            table.ragged.append((number, len(cells)))
            continue
        table.lines.append(number)
        for values, position in targets:
            values.append(cells[position])
    return table


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                yield number, line.removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _header(lines: Iterator[tuple[int, bytes]], path: Path, findings: Findings) -> list[str]:
    number, raw = next(lines, (1, b""))
    return (_decoded(raw, number, path, findings) or "").split("\t")


def _decoded(raw: bytes, number: int, path: Path, findings: Findings) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        findings.add(
            f"{path}:{number} is not UTF-8: byte 0x{raw[error.start]:02x} "
            f"at position {error.start + 1}."
        )
        return None


def _position(name: str, names: Sequence[str], path: Path, findings: Findings) -> int:
    if name in names:
        return names.index(name)
    found = ", ".join(repr(column) for column in names)
    findings.add(
        f"{path}:1 has no column '{name}'.",
        hint=f"{nearest(name, names)}Its header line reads: {found}.",
    )
    return _ABSENT
