"""The record of a file format, and what its reader yields: rows and unusable rows.

To add a format, write one file with a `Format` and list it in `registry.FORMATS`.
Files of any format may be compressed (gzip, Zstandard): they are decompressed while they are read.
"""

from __future__ import annotations

import codecs
import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol, cast

from gluetune.core.errors import DataError, Finding

if TYPE_CHECKING:
    from gluetune.data.formats.csv_file import Dialect

Opening = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens a file, decompressed, at its start."""


class Fault(StrEnum):
    """What is wrong with a row. The value names such rows where they are counted."""

    NOT_UTF8 = "rows that are not UTF-8"
    NUL = "rows with a NUL"
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
    """One row: the line (in Parquet, the row) on which it starts, and its values by column."""

    line: int
    values: Mapping[str, Any]


class BadRow(NamedTuple):
    """An unusable row: the line on which it starts, and what is wrong with it."""

    line: int
    problem: str
    """The predicate of a sentence whose subject is the row: "is empty"."""
    fault: Fault


class RowReader(Protocol):
    """Reads the rows of an open file."""

    name: str
    """Name of the file in messages."""
    columns: tuple[str, ...]
    """Names of the columns, in order; for JSON lines, those of the first row.

    Several columns may share a name: a row's value is that of one of them (`repeated_columns`).
    """
    separator: str
    """Separates name and line in messages: `file.csv:7`, `file.parquet, row 7`."""

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row in order, once."""


class RowWriter(Protocol):
    """Writes the rows of a reader, each with more columns."""

    def write(self, row: Row, more: Mapping[str, Any]) -> None:
        """Write one row as it was read, followed by the values of new columns, by name."""

    def close(self) -> None:
        """Write what is buffered."""


@dataclass(frozen=True)
class Source:
    """The arguments of `Format.read`."""

    name: str
    """Name of the file in messages."""
    stream: BinaryIO = field(default_factory=io.BytesIO)
    """The decompressed file; empty for a format that needs a path."""
    path: Path = Path()
    """An uncompressed file, for a format that needs a path."""
    opening: Opening | None = None
    """Opens the file again, to inspect all of it; None for a stream."""
    text_columns: tuple[str, ...] = ("text",)
    """Names for the texts of a line, in a format without column names."""
    wanted: Collection[str] | None = None
    """Columns to read, where columns have types. Default: all text columns."""
    dialect: Dialect | None = None
    """Dialect of delimited text."""


@dataclass(frozen=True)
class Target:
    """The arguments of `Format.write`."""

    reader: RowReader
    """The reader whose rows are written."""
    sample: Mapping[str, Any]
    """The new columns by name, each with a value of its type."""
    stream: BinaryIO = field(default_factory=io.BytesIO)
    """The stream to write to, unless the format needs a path."""
    path: Path = Path()
    """The file to write, for a format that needs a path."""
    dialect: Dialect | None = None
    """Dialect of delimited text, where the reader has none."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: The value of `--format`.
        endings: File extensions, in lower case.
        read: Creates a reader.
        write: Creates a writer; None where rows are `written_as` another format.
        written_as: Name of the format in which rows of this one are written with more columns;
            empty for itself.
        title: Name of the format in a note, where it was detected by content.
        recognise: Whether the first bytes of a file are in this format.
        certainty: Certainty of that: of several formats, the one with the greatest is chosen.
        mistaken_for: Formats that files with these extensions may have instead.
        needs_file: Whether it needs a file that can be seeked, not a stream.
        has_columns: Whether a row has more than a text, so that it may have a label.
        needs_label: Whether every row starts with its label, so that unlabelled text cannot have
            this format.
        holds_lists: Whether a value may be a list.
        holds_objects: Whether a value may be an object.
        dialect: The default dialect of delimited text; None for other formats.
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
    """The format and dialect of a file, and notes about them."""

    format: Format
    dialect: Dialect | None = None
    """Dialect of delimited text."""
    notes: tuple[str, ...] = ()


def repeated_columns(reader: RowReader, wanted: Collection[str]) -> list[Finding]:
    """Return a finding for each column of `wanted` whose name occurs more than once."""
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
    """The values of a row; those inside objects can be looked up by their path."""

    def __missing__(self, name: str) -> Any:
        """Return a value inside an object; a key with the same name takes precedence."""
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
    """Yield the names of the values, each followed by those inside it."""
    for name, value in values.items():
        yield before + name
        if isinstance(value, Mapping):
            yield from nested_names(value, f"{before}{name}.")


# Lines of text ------------------------------------------------------------------------------------

LONGEST_LINE = 16 * 2**20
"""Bytes of the longest line that is read into memory; longer ones are skipped."""


class Line(NamedTuple):
    """One line without its line feed."""

    number: int
    text: str
    bad: BadRow | None = None
    """Why the line has no text; `text` is then empty."""


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
    """Yield the row of each line; empty lines at the end of the file are ignored.

    An empty line has only `spaces`, by default any white space.
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
        problem = f"has a NUL at position {text.index(chr(0)) + 1}"
        return Line(number, "", BadRow(number, problem, Fault.NUL))
    return Line(number, text)


def _skip_line(file: BinaryIO) -> None:
    while (raw := file.readline(LONGEST_LINE)) and not raw.endswith(b"\n"):
        pass


@dataclass(frozen=True)
class Compression:
    """A compression. Each function wraps the stream of an open file."""

    reading: Callable[[BinaryIO], AbstractContextManager[BinaryIO]]
    writing: Callable[[BinaryIO], AbstractContextManager[BinaryIO]]


def _read_gzip(raw: BinaryIO) -> AbstractContextManager[BinaryIO]:
    return cast(AbstractContextManager[BinaryIO], gzip.open(raw))


def _write_gzip(raw: BinaryIO) -> AbstractContextManager[BinaryIO]:
    # No time and no name: the same rows give the same bytes.
    stream = gzip.GzipFile("", "wb", fileobj=raw, mtime=0)
    return cast(AbstractContextManager[BinaryIO], stream)


def _read_zstd(raw: BinaryIO) -> AbstractContextManager[BinaryIO]:
    import pyarrow as pa

    stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return cast(AbstractContextManager[BinaryIO], io.BufferedReader(stream, 2**16))


def _write_zstd(raw: BinaryIO) -> AbstractContextManager[BinaryIO]:
    import pyarrow as pa

    stream = pa.CompressedOutputStream(pa.PythonFile(raw, mode="w"), "zstd")
    return cast(AbstractContextManager[BinaryIO], stream)


COMPRESSIONS: Mapping[str, Compression] = {
    ".gz": Compression(_read_gzip, _write_gzip),
    ".zst": Compression(_read_zstd, _write_zstd),
}
"""The compressions, by file extension."""


def is_compressed(path: Path) -> bool:
    """Whether a file's extension is that of a compression."""
    return path.suffix.lower() in COMPRESSIONS


@contextmanager
def decompressed(raw: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """Decompress an open file, where the extension of `path` is that of a compression.

    Raises DataError where it cannot be decompressed.
    """
    compression = COMPRESSIONS.get(path.suffix.lower())
    if compression is None:
        yield raw
        return
    try:
        with compression.reading(raw) as plain:
            yield plain
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{path} cannot be decompressed: {str(error).splitlines()[0]}",
            hint="Copy or download it again.",
        ) from error


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file that may be compressed, for reading."""
    with path.open("rb") as raw, decompressed(raw, path) as plain:
        yield plain


@contextmanager
def decompressed_copy(raw: BinaryIO, path: Path) -> Iterator[Path]:
    """Return the path of a decompressed temporary file, for formats that need to seek."""
    if not is_compressed(path):
        yield path
        return
    # A folder: Windows cannot open a temporary file a second time.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / path.stem
        with decompressed(raw, path) as plain, copy.open("wb") as file:
            shutil.copyfileobj(plain, file)
        yield copy


@contextmanager
def compressed(raw: BinaryIO, ending: str) -> Iterator[BinaryIO]:
    """Compress what is written to an open file, where `ending` is that of a compression."""
    compression = COMPRESSIONS.get(ending.lower())
    if compression is None:
        yield raw
        return
    with compression.writing(raw) as stream:
        yield stream
