"""A file format as one record, and what its reader yields: rows, and rows that cannot be used.

Adding a format means writing one file with a `Format` in it and naming it in `registry.FORMATS`.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

from gluetune.core.errors import Finding

if TYPE_CHECKING:
    from gluetune.data.formats.csv_file import Dialect

Opening = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens the plain bytes of a file from their beginning."""


class Fault(StrEnum):
    """What is wrong with a row. The value is what such rows are called where they are counted."""

    NOT_UTF8 = "rows that are not UTF-8"
    NUL = "rows that hold a NUL"
    FIELDS = "rows with too few or too many fields"
    QUOTE = "rows with a wrong quote"
    EMPTY_LINE = "empty lines"
    NOT_JSON = "rows that are not JSON"
    NO_LABEL = "rows without a label"
    NO_VALUE = "rows without a value"
    NO_TEXT = "rows without a text"
    EMPTY_TEXT = "rows with an empty text"
    UNREADABLE = "rows that cannot be read"


class Row(NamedTuple):
    """One row: the line (or, in Parquet, the row) that it begins on, and its values by column."""

    line: int
    values: Mapping[str, Any]


class BadRow(NamedTuple):
    """A row that cannot be used: the line that it begins on, and what is wrong with it."""

    line: int
    problem: str
    """The predicate of a sentence whose subject is the row: "is empty"."""
    fault: Fault


class RowReader(Protocol):
    """A file of rows, opened."""

    name: str
    """What to call it in messages."""
    columns: tuple[str, ...]
    """Names of the columns, in order. JSON lines have those of their first row.

    Several may have one name: a row's value is then that of one of them (`repeated_columns`).
    """
    separator: str
    """What a message has between name and line: `file.csv:7`, `file.parquet, row 7`."""

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row in order, once."""


class RowWriter(Protocol):
    """A file of rows, being written: those of a reader, each with more columns."""

    def write(self, row: Row, more: Mapping[str, Any]) -> None:
        """Write one row as it was read, then the values of new columns by name."""

    def close(self) -> None:
        """Write what is left."""


@dataclass(frozen=True)
class Source:
    """What a reader is made from."""

    name: str
    """What to call the file in messages."""
    stream: BinaryIO = field(default_factory=io.BytesIO)
    """Its plain bytes; none for a format that needs a file."""
    path: Path = Path()
    """An uncompressed file, for a format that needs one."""
    opening: Opening | None = None
    """Opens it once more, for a look at all of it; None for a stream."""
    text_columns: tuple[str, ...] = ("text",)
    """Names for the texts of a line in a format without names of columns."""
    wanted: Collection[str] | None = None
    """Columns to read, where columns have types; all texts by default."""
    dialect: Dialect | None = None
    """Of delimited text."""


@dataclass(frozen=True)
class Target:
    """What a writer is made from."""

    reader: RowReader
    """The rows that are written again."""
    sample: Mapping[str, Any]
    """The new columns by name, each with a value of its type."""
    stream: BinaryIO = field(default_factory=io.BytesIO)
    """Takes the plain bytes, but of a format that needs a file."""
    path: Path = Path()
    """The file, for a format that needs one."""
    dialect: Dialect | None = None
    """Of delimited text, where the reader has none."""


@dataclass(frozen=True)
class Format:
    """All that is known of a file format.

    Attributes:
        name: What the user types after `--format`.
        endings: Ends of names of such files, in lower case.
        read: Makes a reader.
        write: Makes a writer; None where rows are `written_as` another format.
        written_as: Name of the format in which rows of this one are written with more columns;
            empty for itself.
        title: What a note calls the format where the content shows it and not the name.
        recognise: Whether the beginning of a file is in this format.
        certainty: How sure that is: of several formats the surest is taken.
        mistaken_for: Formats that files with these endings may have instead.
        needs_file: Whether it is read from its end, so that no stream has it.
        has_columns: Whether a row has more than a text, so that it may have a label.
        needs_label: Whether every row begins with its label, so that unlabelled text has not this
            format.
        holds_lists: Whether a value may be a list.
        holds_objects: Whether a value may be an object.
        dialect: The usual options of delimited text; None for other formats.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[[Source], RowReader]
    write: Callable[[Target], RowWriter] | None = None
    written_as: str = ""
    title: str = ""
    recognise: Callable[[Path, bytes], bool] | None = None
    certainty: int = 0
    mistaken_for: tuple[str, ...] = ()
    needs_file: bool = False
    has_columns: bool = True
    needs_label: bool = False
    holds_lists: bool = False
    holds_objects: bool = False
    dialect: Dialect | None = None

    def __repr__(self) -> str:
        return f"Format({self.name!r})"


@dataclass(frozen=True)
class Detected:
    """What a file is, with every option decided, and the notes to show about that."""

    format: Format
    dialect: Dialect | None = None
    """Of delimited text."""
    notes: tuple[str, ...] = ()


def repeated_columns(reader: RowReader, wanted: Collection[str]) -> list[Finding]:
    """Return a finding for each column of `wanted` whose name others have too."""
    place = f"{reader.name}:1" if reader.separator == ":" else reader.name
    return [
        Finding(
            f"{place} has {count} columns called '{name}'.",
            "Give every column a name of its own.",
        )
        for name in dict.fromkeys(wanted)
        if (count := reader.columns.count(name)) > 1
    ]


# Values inside objects: `review.body` is the value `body` of the object `review` ------------------


class NestedValues(dict[str, Any]):
    """The values of a row, those inside objects by their path. They are no keys of their own."""

    def __missing__(self, name: str) -> Any:
        """Return the value inside an object; only a key by that very name goes before it."""
        outer, _, inner = name.partition(".")
        value = dict.get(self, outer)
        if not inner or not isinstance(value, dict):
            raise KeyError(name)
        return NestedValues(value)[inner]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, also inside an object."""
        try:
            return self[name]
        except KeyError:
            return default


def nested_names(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Yield the names of the values, and of those inside an object after it."""
    for name, value in values.items():
        yield before + name
        if isinstance(value, Mapping):
            yield from nested_names(value, f"{before}{name}.")


# Lines of text ------------------------------------------------------------------------------------

LONGEST_LINE = 16 * 2**20
"""Bytes. A longer line would have to be held in memory whole; it is skipped."""


class Line(NamedTuple):
    """One line without its line feed."""

    number: int
    text: str
    bad: BadRow | None = None
    """Why the line has no text; `text` is empty then."""


def read_lines(file: BinaryIO, *, allow_nul: bool = False) -> Iterator[Line]:
    """Yield the lines of a UTF-8 file; LF alone ends a line. A byte order mark is removed."""
    number = 0
    while raw := file.readline(LONGEST_LINE):
        number += 1
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            _skip_line(file)
            longest = f"is longer than {LONGEST_LINE >> 20} MiB"
            yield Line(number, "", BadRow(number, longest, Fault.UNREADABLE))
            continue
        yield _line(number, raw.removesuffix(b"\n"), allow_nul)


def rows_of_lines(
    lines: Iterable[Line], parse: Callable[[Line], Row | BadRow], spaces: str | None = None
) -> Iterator[Row | BadRow]:
    """Yield the row of each line; empty lines at the end of the file are none.

    An empty line has nothing but `spaces` on it, by default any white space.
    """
    empty: list[int] = []
    for line in lines:
        if line.bad is None and not line.text.strip(spaces):
            empty.append(line.number)
            continue
        yield from (BadRow(number, "is empty", Fault.EMPTY_LINE) for number in empty)
        empty.clear()
        yield line.bad or parse(line)


def _line(number: int, raw: bytes, allow_nul: bool) -> Line:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{raw[error.start]:02x} at position {error.start + 1}"
        return Line(number, "", BadRow(number, f"is not UTF-8: {byte}", Fault.NOT_UTF8))
    if "\0" in text and not allow_nul:
        place = f"holds a NUL at position {text.index(chr(0)) + 1}"
        return Line(number, "", BadRow(number, place, Fault.NUL))
    return Line(number, text)


def _skip_line(file: BinaryIO) -> None:
    while (raw := file.readline(LONGEST_LINE)) and not raw.endswith(b"\n"):
        pass
