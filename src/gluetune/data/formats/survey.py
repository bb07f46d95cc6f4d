"""How well a dialect fits a file of delimited text: rows that it reads, rows that it cannot.

A file goes through a row at a time, so its size does not matter.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import BinaryIO

from gluetune.core.errors import DataError
from gluetune.data.formats.csv_file import CsvReader, lines_of_table
from gluetune.data.formats.dialect import TAB, Dialect
from gluetune.data.formats.rows import BadRow

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
    needless: int = 0
    """Fields in quotes that need none, where quotes are characters."""
    first_needless: int = 0

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
    fields = _QuotedFields(dialect.delimiter)
    rows = faults = first = width = 0
    for line in lines_of_table(file):
        text = (line.text or "").removesuffix("\r")
        if line.text is not None and not text:
            continue
        if width == 0:
            cells = text.split(dialect.delimiter)
            if dialect.header and any(re.fullmatch('"[^"]+"', cell) for cell in cells):
                return Survey(dialect, len(cells), 0, _NEVER, line.number)
            width = len(cells) + (dialect.unnamed if dialect.header else 0)
            if dialect.header:
                continue
        has_width = line.text is not None and text.count(dialect.delimiter) + 1 == width
        if has_width and not fields.double_a_quote(line.number, text):
            rows += 1
        else:
            faults += 1
            first = first or line.number
    needless, where = fields.needless(rows + faults)
    return Survey(dialect, width, rows, faults, first, needless, where)


class _QuotedFields:
    """The fields of a file that begin and end with a quote, as lines go by."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        between = re.escape(delimiter)
        self._doubled = re.compile(
            rf'(?:^|{between})"(?:[^"{between}]|"")*""(?:[^"{between}]|"")*"(?={between}|$)'
        )
        self._quoted: Counter[int] = Counter()
        self._plain: Counter[int] = Counter()
        self._first: dict[int, int] = {}

    def double_a_quote(self, number: int, text: str) -> bool:
        """Take the fields of a line, and return whether one has a doubled quote in its quotes."""
        if '"' not in text:
            return False
        for column, cell in enumerate(text.split(self._delimiter)):
            if len(cell) > 2 and cell[0] == cell[-1] == '"':
                self._quoted[column] += 1
                if not {'"', ","} & set(cell[1:-1]):
                    self._plain[column] += 1
                    self._first.setdefault(column, number)
        return '""' in text and self._doubled.search(text) is not None

    def needless(self, lines: int) -> tuple[int, int]:
        """Return how many fields have quotes that nothing in them asks for, and the first's line.

        Of a column in which every field is quoted none is needless.
        """
        columns = [column for column in self._plain if self._quoted[column] < lines]
        count = sum(self._plain[column] for column in columns)
        return count, min((self._first[column] for column in columns), default=0)


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


def compared(surveys: Iterable[Survey]) -> list[Survey]:
    """Return the surveys of one file, with what one knows that concerns the others.

    Programs that quote fields do it where they must, or in all of a column. A field with quotes
    around it that need not be there, and not in its neighbours, has quotes of its own.
    """
    found = list(surveys)
    plain = next((one for one in found if one.dialect.quoting == "none"), None)
    if plain is None:
        return found
    return [
        replace(
            one,
            faults=one.faults + plain.needless,
            first=min(filter(None, (one.first, plain.first_needless)), default=0),
        )
        if one.dialect.quote == '"'
        else one
        for one in found
    ]


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
