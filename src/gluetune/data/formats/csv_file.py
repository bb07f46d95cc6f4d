"""Delimited text: CSV as RFC 4180 has it, and its relatives; strict, and every value as text.

A `Dialect` says the delimiter, the quotes, and whether there is a header line.

"NA" and "007" stay what they are. The standard library's reader takes quotes in the middle of a
field, short rows and NULs without a word, and cannot go on behind a quote that is never closed:
here each is a `BadRow` with its line, and reading goes on with the line after it.

The lines of a file as bytes, numbered, with what is no text told apart.
"""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from gluetune.core.errors import ConfigurationError, DataError
from gluetune.data.formats.dialect import COMMAS, Dialect
from gluetune.data.formats.rows import BadRow, Row

LONGEST_ROW = 2**20
"""Characters of a row that spans lines. A quote that is open for longer was never closed."""


_SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=([^\s"]|\t| )"?\r?', re.IGNORECASE)


def separator_of(line: str) -> str | None:
    """Return what a line such as `sep=;` says, which Excel reads and writes before the header."""
    found = _SEPARATOR_LINE.fullmatch(line)
    return None if found is None else found[1]


def lines_of_table(file: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a file, without a first one that says the delimiter."""
    for line in read_lines(file):
        if line.number > 1 or line.text is None or separator_of(line.text) is None:
            yield line


class CsvReader:
    """A file of delimited text, opened. Raises DataError when its header line cannot be read.

    With `pedantic` a quote in the middle of a field is a mistake whatever the delimiter.
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
        """Lines that the last row took besides its first."""
        self._width = 0
        self.columns = self._header() if dialect.header else self._columns_without_header()
        self._width = len(self.columns)

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row; empty lines at the end of the file are none."""
        empty: list[int] = []
        while (line := self._next()) is not None:
            if line.text is not None and not line.text.strip("\r"):
                empty.append(line.number)
                continue
            yield from (BadRow(number, "is empty") for number in empty)
            empty.clear()
            cells = self._cells(line)
            if isinstance(cells, BadRow):
                yield cells
            elif len(cells) != self._width:
                named = "the header" if self.dialect.header else "the first row"
                yield BadRow(line.number, f"has {_fields(len(cells))}, {named} {self._width}")
            else:
                yield Row(line.number, dict(zip(self.columns, cells, strict=True)))

    def _header(self) -> tuple[str, ...]:
        line, cells = self._first("Its first line must name the columns.")
        if self.dialect.columns is None and not any(cell.strip() for cell in cells):
            raise DataError(
                f"{self.name}:{line.number} is its first line, and names no column.",
                hint="Leave out the lines before the one that names the columns.",
            )
        names = (*[""] * self.dialect.row_names, *cells, *[""] * self.dialect.surplus)
        return self._renamed(names)

    def _columns_without_header(self) -> tuple[str, ...]:
        """Return the names that are given, or numbers; the first line is read again as a row."""
        line, cells = self._first("There is no row in it.")
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
                f"{self.name}:1 has {_fields(len(found))}, and --columns names {len(names)}: "
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
        """Return the fields of the row that begins on `line`, reading on where a quote is open.

        Of a row that is none only its first line is gone: the others are read again.
        """
        self._joined = []
        if line.text is None:
            return BadRow(line.number, line.problem)
        problem = ""
        try:
            fields = _Fields(self.dialect, self._inner_quotes)
            if not (fields.feed(line.text) or self._close(fields, len(line.text))):
                problem = "opens a quote that is not closed"
        except ValueError as error:
            problem = str(error)
        if not problem and self._joins_rows(line):
            problem = (
                f"opens a quote that line {self._joined[-1].number} closes, and each of these "
                "lines is a row by itself"
            )
        if not problem:
            return fields.cells
        self._again.extendleft(reversed(self._joined))
        return BadRow(line.number, problem)

    def _close(self, fields: _Fields, length: int) -> bool:
        """Read on until the row is whole. False where its quote is not closed."""
        while (line := self._next()) is not None:
            self._joined.append(line)
            if line.text is None:
                return False
            length += len(line.text) + 1
            if length > LONGEST_ROW:
                return False
            if fields.feed(line.text):
                return True
        return False

    def _joins_rows(self, line: Line) -> bool:
        """Whether the row took lines of which each has as many fields as a row, but for quotes."""
        if self.dialect.joins_rows or not self._joined or self._width < 2:
            return False
        texts = [each.text or "" for each in (line, *self._joined)]
        return all(text.count(self.dialect.delimiter) + 1 == self._width for text in texts)


class CsvWriter:
    """Writes rows as delimited text, lines ending in LF, quotes only where they are needed."""

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
            line = quote * 2  # an empty line were no row
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
                f"{text!r:.60} cannot be written into a file without quotes.",
                hint="Read and write one with quotes: --quoting minimal",
            )
        return text

    def _escaped(self, text: str, quote: str) -> str:
        if self._dialect.quoting == "backslash":
            return re.sub(r'(["\\])', r"\\\1", text)
        return text.replace(quote, quote * 2)


class _Fields:
    """The fields of one row, which is given a line at a time: each is gone through once."""

    def __init__(self, dialect: Dialect, inner_quotes: bool) -> None:
        self.cells: list[str] = []
        self._dialect = dialect
        self._quote = dialect.quote
        self._inner_quotes = inner_quotes
        self._open: list[str] | None = None
        """Lines of the field whose quote is open."""

    def feed(self, line: str) -> bool:
        """Take one more line, and return whether the row is whole.

        Raises ValueError that says what is wrong with it.
        """
        text = line.removesuffix("\r")
        if self._open is None and (self._quote is None or self._quote not in text):
            self.cells = text.split(self._dialect.delimiter)
            return True
        at = 0
        while (end := self._field(text, at)) is not None:
            if end == len(text):
                return True
            at = end + 1
        assert self._open is not None, "a field that has no end is open"
        self._open[-1] += line[len(text) :]
        return False

    def _field(self, text: str, at: int) -> int | None:
        """Take the field at a place, and return where it ends; None where it is still open."""
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
            raise ValueError(f"has text behind the closing quote of field {len(self.cells)}")
        return end

    def _plain(self, text: str, at: int) -> int:
        end = text.find(self._dialect.delimiter, at)
        end = len(text) if end < 0 else end
        self.cells.append(text[at:end])
        if not self._inner_quotes and self._quote is not None and self._quote in self.cells[-1]:
            raise ValueError(
                f"has a quote inside field {len(self.cells)}, which does not begin with one"
            )
        return end


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


LONGEST_LINE = 16 * 2**20
"""Bytes. A longer line would have to be held in memory whole; it is passed over."""


class Line(NamedTuple):
    """One line without its line feed: its text, or (where that is None) why it has none."""

    number: int
    text: str | None
    problem: str = ""


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a UTF-8 file; LF alone ends a line. A byte order mark is taken away."""
    number = 0
    while raw := file.readline(LONGEST_LINE):
        number += 1
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            _pass_over(file)
            yield Line(number, None, f"is longer than {LONGEST_LINE >> 20} MiB")
            continue
        yield _line(number, raw.removesuffix(b"\n"))


def _line(number: int, raw: bytes) -> Line:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        return Line(number, None, f"is not UTF-8: byte 0x{byte:02x} at position {error.start + 1}")
    if "\0" in text:
        return Line(number, None, f"holds a NUL at position {text.index(chr(0)) + 1}")
    return Line(number, text)


def _pass_over(file: BinaryIO) -> None:
    while (raw := file.readline(LONGEST_LINE)) and not raw.endswith(b"\n"):
        pass
