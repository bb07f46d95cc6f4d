"""Delimited text: a strict reader and a writer of CSV (RFC 4180) and its variants.

All values are text: "NA" and "007" are not converted. The standard library's reader silently
accepts quotes inside a field, short rows and NULs, and cannot continue after an unclosed quote:
here each is a `BadRow` with its line, and reading continues with the next line.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, BinaryIO, Literal

from gluetune.core.errors import ConfigurationError, DataError
from gluetune.data.formats.format import (
    BadRow,
    Fault,
    Line,
    Row,
    Source,
    Target,
    read_lines,
    rows_of_lines,
)

TAB = "\t"


@dataclass(frozen=True)
class Dialect:
    """The delimiter, quoting and header of a file of delimited text."""

    delimiter: str = ","
    quoting: Literal["minimal", "single", "backslash", "none"] = "minimal"
    header: bool = True
    """Whether the first line names the columns."""
    columns: tuple[str, ...] | None = None
    """Names of the columns, for a file without a header line or instead of those in it."""
    surplus: int = 0
    """Empty fields that every row has after those of the header line."""
    row_names: bool = False
    """Whether every row starts with a number that the header line has no name for, as R writes."""
    joins_rows: bool = True
    """Whether a quoted field may span lines that would each be a row by themselves."""

    @property
    def unnamed(self) -> int:
        """How many more fields a row has than the header line."""
        return self.surplus + self.row_names

    @property
    def quote(self) -> str | None:
        """The quote character."""
        return {"none": None, "single": "'"}.get(self.quoting, '"')

    @property
    def allows_inner_quotes(self) -> bool:
        """Whether a quote inside a field is a plain character.

        It is between tabs, and so is an apostrophe inside text.
        """
        return self.delimiter == TAB or self.quoting in ("none", "single")

    @cached_property
    def closing(self) -> re.Pattern[str]:
        """Matches text up to the closing quote.

        The quantifiers are possessive: half of a doubled quote does not close a field.
        """
        quote = self.quote or '"'
        escaped = rf"\\.|{quote}{quote}" if self.quoting == "backslash" else quote * 2
        plain = rf"[^{quote}\\]*+" if self.quoting == "backslash" else rf"[^{quote}]*+"
        return re.compile(rf"({plain}(?:(?:{escaped}){plain})*+){quote}", re.DOTALL)

    @cached_property
    def unescaped(self) -> Callable[[str], str]:
        """Unescapes the text between the quotes of a field."""
        quote = self.quote or '"'
        if self.quoting == "backslash":
            return lambda text: re.sub(r'\\(["\\])|"(")', r"\1\2", text)
        return lambda text: text.replace(quote * 2, quote)


COMMAS = Dialect()
"""RFC 4180."""
TABS = Dialect(TAB)

LONGEST_ROW = 2**20
"""Characters of a row that spans lines. A quote that is open for longer is an unclosed one."""


_SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=([^\s"]|\t| )"?\r?', re.IGNORECASE)


def separator_of(line: str) -> str | None:
    """Return the delimiter of a line such as `sep=;`, which Excel writes before the header."""
    found = _SEPARATOR_LINE.fullmatch(line)
    return None if found is None else found[1]


def lines_of_table(file: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a file, without a `sep=` line."""
    for line in read_lines(file):
        if line.number > 1 or separator_of(line.text) is None:
            yield line


class CsvReader:
    """Reads a file of delimited text. Raises DataError when its header line cannot be read.

    With `pedantic`, a quote inside a field is a mistake with any delimiter.
    """

    separator = ":"

    def __init__(
        self, file: BinaryIO, name: str, dialect: Dialect = COMMAS, *, pedantic: bool = False
    ) -> None:
        self.name = name
        self.dialect = dialect
        self._inner_quotes = dialect.allows_inner_quotes and not (pedantic and dialect.quote == '"')
        self._lines = lines_of_table(file)
        self._again: deque[Line] = deque()
        self._joined: list[Line] = []
        """Lines of the last row after its first."""
        self._width = 0
        self.columns = self._header() if dialect.header else self._columns_without_header()
        self._width = len(self.columns)

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row; empty lines at the end of the file are ignored."""
        return rows_of_lines(iter(self._next, None), self._row, "\r")

    def _row(self, line: Line) -> Row | BadRow:
        cells = self._cells(line)
        if isinstance(cells, BadRow):
            return cells
        if len(cells) != self._width:
            named = "the header" if self.dialect.header else "the first row"
            problem = f"has {_fields(len(cells))}, {named} {self._width}"
            return BadRow(line.number, problem, Fault.FIELDS)
        return Row(line.number, dict(zip(self.columns, cells, strict=True)))

    def _header(self) -> tuple[str, ...]:
        line, cells = self._first("Its first line must name the columns.")
        if self.dialect.columns is None and not any(cell.strip() for cell in cells):
            raise DataError(
                f"{self.name}:{line.number} is the first line and names no columns.",
                hint="Remove the lines before the one that names the columns.",
            )
        names = (*[""] * self.dialect.row_names, *cells, *[""] * self.dialect.surplus)
        return self._renamed(names)

    def _columns_without_header(self) -> tuple[str, ...]:
        """Return the given or numbered names; the first line is read again as a row."""
        line, cells = self._first("It has no rows.")
        self._again.extendleft(reversed([line, *self._joined]))
        return self._renamed([f"column_{number}" for number in range(1, len(cells) + 1)])

    def _renamed(self, found: Sequence[str]) -> tuple[str, ...]:
        names = self.dialect.columns
        if names is None:
            return tuple(found)
        if len(found) - self.dialect.surplus == len(names):
            return (*names, *[""] * self.dialect.surplus)
        if len(found) != len(names):
            raise DataError(
                f"{self.name}:1 has {_fields(len(found))}, but --columns names {len(names)}: "
                f"{', '.join(names)}.",
                hint="Name every column, in the order of the file.",
            )
        return names

    def _first(self, why: str) -> tuple[Line, list[str]]:
        line = self._next()
        if line is None:
            raise DataError(f"{self.name} is empty.", hint=why)
        cells = self._cells(line)
        if isinstance(cells, BadRow):
            raise DataError(
                f"{self.name}:{cells.line} {cells.problem}.",
                hint="Save the file as UTF-8 text whose first line names the columns.",
            )
        return line, cells

    def _next(self) -> Line | None:
        return self._again.popleft() if self._again else next(self._lines, None)

    def _cells(self, line: Line) -> list[str] | BadRow:
        """Return the fields of the row that starts on `line`, reading more lines of an open quote.

        Of an invalid row only the first line is consumed: the others are read again.
        """
        self._joined = []
        if line.bad is not None:
            return line.bad
        problem = ""
        try:
            fields = _Fields(self.dialect, self._inner_quotes)
            if not (fields.feed(line.text) or self._close(fields, len(line.text))):
                problem = "opens a quote that is not closed"
        except _QuoteError as error:
            problem = str(error)
        if not problem and self._joins_rows(line):
            problem = (
                f"opens a quote that line {self._joined[-1].number} closes, although each of these "
                "lines is a row by itself"
            )
        if not problem:
            return fields.cells
        self._again.extendleft(reversed(self._joined))
        return BadRow(line.number, problem, Fault.QUOTE)

    def _close(self, fields: _Fields, length: int) -> bool:
        """Read lines until the row is complete. Return False where its quote is not closed."""
        while (line := self._next()) is not None:
            self._joined.append(line)
            if line.bad is not None:
                return False
            length += len(line.text) + 1
            if length > LONGEST_ROW:
                return False
            if fields.feed(line.text):
                return True
        return False

    def _joins_rows(self, line: Line) -> bool:
        """Whether the row has several lines that, without quotes, each have the fields of a row."""
        if self.dialect.joins_rows or not self._joined or self._width < 2:
            return False
        texts = [each.text for each in (line, *self._joined)]
        return all(text.count(self.dialect.delimiter) + 1 == self._width for text in texts)


class CsvWriter:
    """Writes rows as delimited text; lines end in LF, and fields are quoted where necessary."""

    def __init__(self, file: BinaryIO, columns: Sequence[str], dialect: Dialect = COMMAS) -> None:
        self._file = file
        self._dialect = dialect
        special = re.escape(f"{dialect.quote or ''}{dialect.delimiter}")
        self._special = re.compile(f"[{special}\r\n]")
        self._columns = columns
        if dialect.header:
            self._put(columns)

    def write(self, row: Row, more: Mapping[str, Any]) -> None:
        """Write one row. Raises ConfigurationError where it cannot be written without quotes."""
        values = {**row.values, **more}
        self._put([values.get(column) for column in self._columns])

    def _put(self, cells: Sequence[Any]) -> None:
        line = self._dialect.delimiter.join(map(self._cell, cells))
        if not line and (quote := self._dialect.quote):
            line = quote * 2  # an empty line would not be a row
        self._file.write(f"{line}\n".encode())

    def _cell(self, value: Any) -> str:
        text = "" if value is None else str(value)
        if not self._special.search(text):
            return text
        quote = self._dialect.quote
        if quote is not None:
            return quote + self._escaped(text, quote) + quote
        if "\n" in text or self._dialect.delimiter in text:
            raise ConfigurationError(
                f"{text!r:.60} cannot be written to a file without quotes.",
                hint="Read and write a file with quotes: --quoting minimal",
            )
        return text

    def close(self) -> None:
        """Nothing is left to write."""

    def _escaped(self, text: str, quote: str) -> str:
        if self._dialect.quoting == "backslash":
            return re.sub(r'(["\\])', r"\\\1", text)
        return text.replace(quote, quote * 2)


class _QuoteError(Exception):
    """A problem with the quotes of a row; the message is the predicate of a sentence about it."""


class _Fields:
    """Parses the fields of one row, given a line at a time, in linear time."""

    def __init__(self, dialect: Dialect, inner_quotes: bool) -> None:
        self.cells: list[str] = []
        self._dialect = dialect
        self._quote = dialect.quote
        self._inner_quotes = inner_quotes
        self._open: list[str] | None = None
        """Lines of the field with an open quote."""

    def feed(self, line: str) -> bool:
        """Parse one more line, and return whether the row is complete. Raises _QuoteError."""
        text = line.removesuffix("\r")
        if self._open is None and (self._quote is None or self._quote not in text):
            self.cells = text.split(self._dialect.delimiter)
            return True
        at = 0
        while (end := self._field(text, at)) is not None:
            if end == len(text):
                return True
            at = end + 1
        assert self._open is not None, "a field without an end has an open quote"
        self._open[-1] += line[len(text) :]
        return False

    def _field(self, text: str, at: int) -> int | None:
        """Parse the field at a position, and return where it ends; None where its quote is open."""
        if self._open is None:
            if self._quote is None or not text.startswith(self._quote, at):
                return self._plain(text, at)
            self._open, at = [], at + 1
        found = self._dialect.closing.match(text, at)
        if found is None:
            self._open.append(text[at:])
            return None
        self.cells.append(self._dialect.unescaped("\n".join([*self._open, found[1]])))
        self._open = None
        end = found.end()
        if end < len(text) and text[end] != self._dialect.delimiter:
            raise _QuoteError(f"has text after the closing quote of field {len(self.cells)}")
        return end

    def _plain(self, text: str, at: int) -> int:
        end = text.find(self._dialect.delimiter, at)
        end = len(text) if end < 0 else end
        self.cells.append(text[at:end])
        if not self._inner_quotes and self._quote is not None and self._quote in self.cells[-1]:
            raise _QuoteError(
                f"has a quote inside field {len(self.cells)}, which does not start with one"
            )
        return end


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def read_delimited(source: Source) -> CsvReader:
    """Return a reader of delimited text."""
    return CsvReader(source.stream, source.name, source.dialect or COMMAS)


def write_delimited(target: Target) -> CsvWriter:
    """Return a writer of delimited text, in the dialect of the reader, else the format's."""
    read = target.reader.dialect if isinstance(target.reader, CsvReader) else target.dialect
    # The new columns need names, even where the file has no header.
    columns = (*target.reader.columns, *target.sample)
    return CsvWriter(target.stream, columns, replace(read or COMMAS, header=True))
