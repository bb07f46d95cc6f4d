"""How well a dialect fits a file of delimited text: rows that it reads, rows that it cannot.

A file goes through a row at a time, so its size does not matter.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import BinaryIO

from gluetune.data.rows.csv_file import CsvReader
from gluetune.data.rows.dialect import TAB, Dialect
from gluetune.data.rows.lines import read_lines
from gluetune.data.rows.row import BadRow
from gluetune.errors import DataError

Opening = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens the plain bytes of a file from their beginning."""

_CHUNK = 2**20
_NEVER = 10**12
"""Faults of a dialect that does not fit whatever the rows are."""


@dataclass(frozen=True)
class Survey:
    """What came of reading a file, or its beginning, in a dialect."""

    dialect: Dialect
    width: int
    """Columns."""
    rows: int
    """Rows that were read."""
    faults: int
    """Rows that do not fit."""
    first: int = 0
    """Line of the first of them."""

    @property
    def begins_wrong(self) -> bool:
        """Whether the first line cannot be read, whatever the others are."""
        return self.faults >= _NEVER

    @property
    def share(self) -> float:
        """Share of all rows that do not fit."""
        return self.faults / max(1, self.rows + self.faults)


def survey(file: BinaryIO, dialect: Dialect) -> Survey:
    """Read a file in a dialect and count what does not fit.

    A quote in the middle of a field, or around lines each of which is a row, does not: no program
    writes that where quotes have a meaning. Nor does a field in quotes with doubled ones inside,
    where they have none.
    """
    if dialect.quoting == "none":
        return _survey_plain(file, dialect)
    try:
        reader = CsvReader(
            file, "", replace(dialect, joins_rows=dialect.delimiter != TAB), pedantic=True
        )
    except DataError:
        return Survey(dialect, 0, 0, _NEVER)
    rows = faults = first = 0
    for row in reader:
        if not isinstance(row, BadRow):
            rows += 1
        elif row.problem != "is empty":
            faults += 1
            first = first or row.line
    return Survey(dialect, len(reader.columns), rows, faults, first)


def _survey_plain(file: BinaryIO, dialect: Dialect) -> Survey:
    between = re.escape(dialect.delimiter)
    doubled = re.compile(
        rf'(?:^|{between})"(?:[^"{between}]|"")*""(?:[^"{between}]|"")*"(?={between}|\r?$)'
    )
    rows = faults = first = width = 0
    for line in read_lines(file):
        text = (line.text or "").removesuffix("\r")
        if line.text is not None and not text:
            continue
        if width == 0:
            cells = text.split(dialect.delimiter)
            if dialect.header and any(re.fullmatch('"[^"]+"', cell) for cell in cells):
                return Survey(dialect, len(cells), 0, _NEVER, line.number)
            width = len(cells) + (dialect.surplus if dialect.header else 0)
            rows += not dialect.header
            continue
        has_width = line.text is not None and text.count(dialect.delimiter) + 1 == width
        if has_width and not ('""' in text and doubled.search(text)):
            rows += 1
        else:
            faults += 1
            first = first or line.number
    return Survey(dialect, width, rows, faults, first)


def quotings(opening: Opening, dialect: Dialect) -> Iterator[Dialect]:
    """Yield the dialects of this delimiter that may fit the file, the likeliest first.

    Where no field begins with a quote, one inside a field is a character, but between commas:
    there it is a mistake.
    """
    between = dialect.delimiter.encode()
    begins = [between + b'"', b'\n"', codecs.BOM_UTF8 + b'"']
    if dialect.delimiter == "," or not _occurs(opening, [b'"']):
        yield dialect
    elif not _occurs(opening, begins, b'"'):
        yield replace(dialect, quoting="none")
    else:
        yield from (dialect, replace(dialect, quoting="none"))
    if _occurs(opening, [b'\\"']):
        yield replace(dialect, quoting="backslash")
    if _in_single_quotes(opening, between):
        yield replace(dialect, quoting="single")


def best(surveys: Iterable[Survey]) -> Survey:
    """Return the survey with the fewest faults, of several the first."""
    return min(surveys, key=lambda each: each.faults)


def _occurs(opening: Opening, marks: list[bytes], beginning: bytes | None = None) -> bool:
    """Whether one of some short marks occurs in a file, or it begins in such a way."""
    with opening() as file:
        chunk = file.read(_CHUNK)
        if beginning is not None and chunk.startswith(beginning):
            return True
        while chunk:
            if any(mark in chunk for mark in marks):
                return True
            more = file.read(_CHUNK)
            chunk = chunk[-4:] + more if more else b""
    return False


def _in_single_quotes(opening: Opening, between: bytes) -> bool:
    """Whether a field of many of the first lines begins with a single quote."""
    with opening() as file:
        lines = [file.readline(_CHUNK) for _ in range(100)]
    given = [line for line in lines if line.strip()]
    begun = [line for line in given if line.startswith(b"'") or between + b"'" in line]
    return len(begun) > 0.3 * len(given)
