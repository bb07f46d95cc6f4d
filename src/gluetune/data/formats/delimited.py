"""The formats CSV and TSV, and the detection of the dialect of a file of delimited text.

How well a dialect fits a file is measured by reading it in that dialect and counting the rows that
can and cannot be read. A file is read a row at a time, so its size does not matter.
"""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from gluetune.core.config import FileFormat, delimiter_name
from gluetune.core.errors import DataError
from gluetune.data.formats.csv_file import (
    COMMAS,
    TAB,
    TABS,
    CsvReader,
    Dialect,
    lines_of_table,
    read_delimited,
    separator_of,
    write_delimited,
)
from gluetune.data.formats.format import BadRow, Fault, Format, Opening, Row, opened
from gluetune.data.formats.plain_text import whole_lines

_DELIMITERS = (TAB, ";", "|", ",")
_FITS = 0.1
"""Share of rows that may be wrong in a detected dialect."""
_STAYS = 0.5
"""Share of rows that may be wrong in the usual dialect before others are tried."""
_MOST_SURPLUS = 8
"""How many empty fields every row may have after those of the header line."""
_CHUNK = 2**20
_NEVER = 10**12
"""Number of faults of a dialect that the first line rules out."""


@dataclass(frozen=True)
class _Survey:
    """Result of reading a file, or its beginning, in a dialect."""

    dialect: Dialect
    width: int
    """Number of columns."""
    rows: int
    """Number of rows that fit."""
    faults: int
    """Number of rows that do not fit."""
    first: int = 0
    """Line of the first of these."""
    needless: int = 0
    """Number of quoted fields that do not need quotes, where quotes are plain characters."""
    first_needless: int = 0

    @property
    def begins_wrong(self) -> bool:
        """Whether the first line alone rules the dialect out."""
        return self.faults >= _NEVER

    @property
    def share(self) -> float:
        """Share of all rows that do not fit."""
        return self.faults / max(1, self.rows + self.faults)


def _survey_file(file: BinaryIO, dialect: Dialect) -> _Survey:
    """Read a file in a dialect and count the rows that fit and those that do not.

    With quoting, a row with a quote inside a field, or around lines that are each a row, does not
    fit: no program writes that. Without quoting, a quoted field with doubled quotes inside does not
    fit.
    """
    if dialect.quoting == "none":
        return _survey_plain(file, dialect)
    try:
        reader = CsvReader(
            file, "", replace(dialect, joins_rows=dialect.delimiter != TAB), pedantic=True
        )
    except DataError:
        return _Survey(dialect, 0, 0, _NEVER)
    rows = faults = first = 0
    for row in reader:
        if not isinstance(row, BadRow):
            rows += 1
        elif row.fault is not Fault.EMPTY_LINE:
            faults += 1
            first = first or row.line
    return _Survey(dialect, len(reader.columns), rows, faults, first)


def _survey_plain(file: BinaryIO, dialect: Dialect) -> _Survey:
    fields = _QuotedFields(dialect.delimiter)
    rows = faults = first = width = 0
    for line in lines_of_table(file):
        text = line.text.removesuffix("\r")
        if line.bad is None and not text:
            continue
        if width == 0:
            cells = text.split(dialect.delimiter)
            if dialect.header and any(re.fullmatch('"[^"]+"', cell) for cell in cells):
                return _Survey(dialect, len(cells), 0, _NEVER, line.number)
            width = len(cells) + (dialect.unnamed if dialect.header else 0)
            if dialect.header:
                continue
        has_width = line.bad is None and text.count(dialect.delimiter) + 1 == width
        if has_width and not fields.double_a_quote(line.number, text):
            rows += 1
        else:
            faults += 1
            first = first or line.number
    needless, where = fields.needless(rows + faults)
    return _Survey(dialect, width, rows, faults, first, needless, where)


class _QuotedFields:
    """Counts the fields of a file that start and end with a quote."""

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
        """Count the fields of a line, and return whether a quoted one has a doubled quote."""
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
        """Return how many fields have needless quotes, and the line of the first.

        Quotes are not needless in a column in which every field is quoted.
        """
        columns = [column for column in self._plain if self._quoted[column] < lines]
        count = sum(self._plain[column] for column in columns)
        return count, min((self._first[column] for column in columns), default=0)


def _quotings(opening: Opening, dialect: Dialect) -> Iterator[Dialect]:
    """Yield the dialects with this delimiter that may fit the file, the likeliest first.

    Where no field starts with a quote, quotes inside fields are plain characters, except between
    commas, where they are mistakes.
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


def _compared(surveys: Iterable[_Survey]) -> list[_Survey]:
    """Return the surveys of one file, with needless quotes counted as faults of quoting.

    Programs quote fields where necessary, or all fields of a column. Needless quotes around some
    fields of a column are part of the text.
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


def _best(surveys: Iterable[_Survey]) -> _Survey:
    """Return the survey with the fewest faults, the first of several."""
    return min(surveys, key=lambda each: each.faults)


def _occurs(opening: Opening, marks: list[bytes], beginning: bytes | None = None) -> bool:
    """Whether one of some short byte strings occurs in a file, or the file starts with another."""
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
    """Whether many of the first lines have a field that starts with a single quote."""
    with opening() as file:
        lines = [file.readline(_CHUNK) for _ in range(100)]
    given = [line for line in lines if line.strip()]
    begun = [line for line in given if line.startswith(b"'") or between + b"'" in line]
    return len(begun) > 0.3 * len(given)


# The dialect of a file --------------------------------------------------------------------------


def stated_dialect(fmt: Format, stated: FileFormat) -> Dialect | None:
    """Return the dialect of a stream, which cannot be inspected: as stated, else the format's.

    In TSV, quotes do not join lines that are rows by themselves. None for other formats.
    """
    if fmt.dialect is None:
        return None
    delimiter = stated.delimiter or fmt.dialect.delimiter
    quoting = "minimal" if stated.quoting == "auto" else stated.quoting
    return Dialect(
        delimiter,
        quoting,
        header=_has_header(stated),
        columns=stated.columns,
        joins_rows=stated.quoting != "auto" or delimiter != TAB,
    )


def _has_header(stated: FileFormat) -> bool:
    return stated.header if stated.header is not None else stated.columns is None


def by_delimiter(delimiter: str) -> Format:
    """Return TSV for a tab, CSV for any other delimiter."""
    return TSV if delimiter == TAB else CSV


def _opening_of(head: bytes) -> Opening:
    plain = whole_lines(head).encode()

    @contextmanager
    def opening() -> Iterator[BinaryIO]:
        yield io.BytesIO(plain)

    return opening


def _survey(opening: Opening, dialect: Dialect) -> _Survey:
    with opening() as file:
        return _survey_file(file, dialect)


def _fitting(opening: Opening, dialect: Dialect) -> _Survey:
    """Return the survey of the best quoting, with surplus fields or row names if all rows fit."""
    found = _best(_compared(_survey(opening, each) for each in _quotings(opening, dialect)))
    if not dialect.header or found.rows or found.begins_wrong:
        return found
    for count in range(1, _MOST_SURPLUS + 1):
        longer = replace(found.dialect, surplus=count)
        again = _survey(opening, longer)
        if again.rows and not again.faults and _surplus_is_empty(opening, longer, count):
            return again
    named = _survey(opening, replace(found.dialect, row_names=True))
    if named.rows and not named.faults and _begin_with_numbers(opening, named.dialect):
        return named
    return found


def _begin_with_numbers(opening: Opening, dialect: Dialect) -> bool:
    """Whether every row starts with a different whole number."""
    with opening() as file:
        numbers = [
            next(iter(row.values.values()))
            for row in CsvReader(file, "", replace(_body(file, dialect), columns=None))
            if isinstance(row, Row)
        ]
    are_whole = all(number.isascii() and number.isdigit() for number in numbers)
    return are_whole and len({*numbers}) == len(numbers)


def _body(file: BinaryIO, dialect: Dialect) -> Dialect:
    """Skip the header line, and return the dialect of the rest."""
    if dialect.header and separator_of(file.readline().decode().rstrip("\n")) is not None:
        file.readline()
    return replace(dialect, header=False, columns=None, surplus=0, row_names=False)


def _surplus_is_empty(opening: Opening, dialect: Dialect, count: int) -> bool:
    with opening() as file:
        reader = CsvReader(file, "", replace(dialect, columns=None))
        width = len(reader.columns)
    with opening() as file:
        numbered = _body(file, dialect)
        rows = [row for row in CsvReader(file, "", numbered) if isinstance(row, Row)]
    cells = [list(row.values.values()) for row in rows]
    return all(len(row) == width and not any(row[-count:]) for row in cells)


def _table(head: bytes) -> _Survey | None:
    """Return the dialect of a table by its first lines, None where it is not a table."""
    opening = _opening_of(head)
    delimiters = (*_DELIMITERS, " ") if _are_quoted_lines(head) else _DELIMITERS
    found = [_fitting(opening, Dialect(each)) for each in delimiters]
    tables = [one for one in found if one.width > 1 and one.rows and one.share <= _FITS]
    # Texts contain commas too: they delimit columns where every line has the same number.
    tables = [one for one in tables if one.dialect.delimiter != "," or not one.faults]
    return min(tables, key=lambda one: one.share) if tables else None


def _are_quoted_lines(head: bytes) -> bool:
    """Whether lines are quoted fields separated by spaces, as R's write.table writes them."""
    lines = [line for line in whole_lines(head).splitlines() if line.strip()]
    return bool(lines) and all(line.startswith('"') and '" ' in line for line in lines)


def find_dialect(
    path: Path, head: bytes, named: Format | None, stated: FileFormat
) -> tuple[Dialect, tuple[str, ...]]:
    """Return the dialect of a file, and notes about it.

    `named` is the stated format, or that of the file's extension.
    """
    usual = None if named is None else named.dialect
    opening = _opening_of(head)
    given = stated.delimiter or separator_of(whole_lines(head).partition("\n")[0])
    plain = Dialect(given or (usual or COMMAS).delimiter, header=_has_header(stated))
    notes: tuple[str, ...] = ()
    found = _fitting(opening, plain)
    if given is None:
        stays = usual is not None and found.width > 1 and found.share <= _STAYS
        found = found if stays else _table(head) or found
        if usual is None or found.dialect.delimiter != usual.delimiter:
            name = delimiter_name(found.dialect.delimiter)
            notes = (f"{path} is read with the delimiter '{name}'.",)
    dialect = replace(
        plain,
        delimiter=found.dialect.delimiter,
        surplus=found.dialect.surplus,
        row_names=found.dialect.row_names,
    )
    quoted, more = _quoting(path, dialect, stated)
    dialect = _named(path, opening, quoted, stated)
    if dialect.surplus:
        fields = "an empty field" if dialect.surplus == 1 else f"{dialect.surplus} empty fields"
        notes = (*notes, f"{path}: every row ends in {fields} without a name, left out.")
    if dialect.row_names:
        notes = (*notes, f"{path}: every row starts with a number without a name, left out.")
    return dialect, (*notes, *more)


def _named(path: Path, opening: Opening, dialect: Dialect, stated: FileFormat) -> Dialect:
    """Return the dialect with the stated column names; fields after them must be empty."""
    if stated.columns is None:
        return dialect
    with opening() as file:
        width = len(CsvReader(file, str(path), replace(dialect, surplus=0)).columns)
    count = width - len(stated.columns)
    plain = replace(dialect, surplus=0)
    surplus = count if count > 0 and _surplus_is_empty(opening, plain, count) else dialect.surplus
    return replace(dialect, columns=stated.columns, surplus=surplus)


def _quoting(path: Path, dialect: Dialect, stated: FileFormat) -> tuple[Dialect, tuple[str, ...]]:
    """Detect the quoting by the whole file, unless it is stated."""
    if stated.quoting != "auto":
        return replace(dialect, quoting=stated.quoting), ()

    candidates = list(_quotings(lambda: opened(path), dialect))
    if len(candidates) == 1:
        return replace(candidates[0], joins_rows=dialect.delimiter != TAB), ()
    surveys = _compared(_survey(lambda: opened(path), each) for each in candidates)
    chosen = _best(surveys)
    note = _quoting_note(path, chosen, surveys)
    if chosen.dialect.quoting == "minimal":
        return replace(chosen.dialect, joins_rows=dialect.delimiter != TAB), note
    return chosen.dialect, note


def _quoting_note(path: Path, chosen: _Survey, surveys: list[_Survey]) -> tuple[str, ...]:
    quoting, first = chosen.dialect.quoting, surveys[0]
    if quoting == "minimal":
        could_be_plain = any(one.dialect.quoting == "none" for one in surveys)
        kept = f"{path}: quotes around fields are removed. To keep them: --quoting none"
        return (kept,) if could_be_plain else ()
    read = {
        "none": "quotes are read as plain characters",
        "single": "single quotes are read as enclosing fields",
        "backslash": "a quote after a backslash is read as a plain character",
    }[quoting]
    if first.dialect.quoting != "minimal":
        return (f"{path}: {read}.",)
    rows = "1 row does" if first.faults == 1 else f"{first.faults:,} rows do"
    wrong = f"{rows} not fit quoted fields, first {path}:{first.first}"
    if first.begins_wrong:
        wrong = "the first line does not fit quoted fields"
    return (f"{path}: {read}, since {wrong}. For quoted fields: --quoting minimal",)


CSV = Format(
    "csv",
    (".csv",),
    read_delimited,
    write_delimited,
    recognise=lambda path, head: _table(head) is not None,
    certainty=1,
    mistaken_for=("parquet", "arrow"),
    dialect=COMMAS,
)
TSV = Format(
    "tsv",
    (".tsv",),
    read_delimited,
    write_delimited,
    mistaken_for=("parquet", "arrow"),
    dialect=TABS,
)
