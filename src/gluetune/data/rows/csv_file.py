"""CSV as RFC 4180 has it: commas, double quotes, a header line; strict, and every value as text.

TSV is the same with tabs, as spreadsheets and pandas write it, but that a quote in the middle of a
field is a character: there it can mean nothing else.

"NA" and "007" stay what they are. The standard library's reader takes quotes in the middle of a
field, short rows and NULs without a word, and cannot go on behind a quote that is never closed:
here each is a `BadRow` with its line, and reading goes on with the line after it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from gluetune.data.rows.lines import Line, read_lines
from gluetune.data.rows.row import BadRow, Row
from gluetune.errors import DataError

LONGEST_ROW = 2**20
"""Characters of a row that spans lines. A quote that is open for longer was never closed."""

_QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')  # possessive: half of a "" closes nothing


class CsvReader:
    """A CSV file, opened. Raises DataError when its header line cannot be read."""

    separator = ":"

    def __init__(self, file: BinaryIO, name: str, delimiter: str = ",") -> None:
        self.name = name
        self._delimiter = delimiter
        self._lines = read_lines(file)
        self._again: deque[Line] = deque()
        self.columns = self._header()

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row; empty lines at the end of the file are none."""
        width = len(self.columns)
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
            elif len(cells) != width:
                yield BadRow(line.number, f"has {_fields(len(cells))}, the header {width}")
            else:
                yield Row(line.number, dict(zip(self.columns, cells, strict=True)))

    def _header(self) -> tuple[str, ...]:
        line = self._next()
        if line is None:
            raise DataError(f"{self.name} is empty.", hint="Its first line must name the columns.")
        cells = self._cells(line)
        if isinstance(cells, BadRow):
            raise DataError(
                f"{self.name}:{cells.line} {cells.problem}.",
                hint="Save the file as UTF-8 text whose first line names the columns.",
            )
        repeated = sorted({cell for cell in cells if cells.count(cell) > 1})
        if repeated:
            raise DataError(
                f"{self.name}:1 has {cells.count(repeated[0])} columns called '{repeated[0]}'.",
                hint="Give every column a name of its own.",
            )
        return tuple(cells)

    def _next(self) -> Line | None:
        return self._again.popleft() if self._again else next(self._lines, None)

    def _cells(self, line: Line) -> list[str] | BadRow:
        """Return the fields of the row that begins on `line`, reading on where a quote is open."""
        if line.text is None:
            return BadRow(line.number, line.problem)
        text, taken = line.text, list[Line]()
        while True:
            try:
                return _split(text.removesuffix("\r"), self._delimiter)
            except _OpenQuoteError:
                more = self._until_quote(text, taken)
            except ValueError as error:
                self._again.extendleft(reversed(taken))
                return BadRow(line.number, str(error))
            if more is None:
                self._again.extendleft(reversed(taken))
                return BadRow(line.number, "opens a quote that is not closed")
            text = more

    def _until_quote(self, text: str, taken: list[Line]) -> str | None:
        """Add lines to `text` up to the next with a quote; None where none can close it."""
        parts, length = [text], len(text)
        while (line := self._next()) is not None:
            taken.append(line)
            if line.text is None:
                return None
            parts.append(line.text)
            length += len(line.text) + 1
            if length > LONGEST_ROW:
                return None
            if '"' in line.text:
                return "\n".join(parts)
        return None


class CsvWriter:
    """Writes rows as CSV, lines ending in LF, quotes only where they are needed."""

    def __init__(self, file: BinaryIO, columns: Sequence[str], delimiter: str = ",") -> None:
        self._file = file
        self._delimiter = delimiter
        self._needs_quotes = re.compile(rf'["{delimiter}\r\n]')
        self._columns = columns
        self._put(columns)

    def write(self, row: Row, more: Mapping[str, Any]) -> None:
        """Write one row."""
        values = {**row.values, **more}
        self._put([values.get(column) for column in self._columns])

    def _put(self, cells: Sequence[Any]) -> None:
        line = self._delimiter.join(map(self._cell, cells)) or '""'  # an empty line were no row
        self._file.write(f"{line}\n".encode())

    def _cell(self, value: Any) -> str:
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if self._needs_quotes.search(text) else text


class _OpenQuoteError(ValueError):
    """A quoted field does not end in the text at hand."""


def _split(text: str, delimiter: str) -> list[str]:
    """Return the fields of a whole row. Raises ValueError that says what is wrong."""
    if '"' not in text:
        return text.split(delimiter)
    cells: list[str] = []
    start = 0
    while True:
        if text.startswith('"', start):
            found = _QUOTED.match(text, start)
            if found is None:
                raise _OpenQuoteError
            cells.append(found[1].replace('""', '"'))
            end = found.end()
            if end < len(text) and text[end] != delimiter:
                raise ValueError(f"has text behind the closing quote of field {len(cells)}")
        else:
            end = text.find(delimiter, start)
            end = len(text) if end < 0 else end
            cells.append(text[start:end])
            if delimiter == "," and '"' in cells[-1]:
                raise ValueError(
                    f"has a quote inside field {len(cells)}, which does not begin with one"
                )
        if end == len(text):
            return cells
        start = end + 1


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"
