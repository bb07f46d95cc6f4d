"""The registry of file formats; files are opened by their format, and the format is detected.

A file has the format of its extension unless the user states another; the extension of a
compression may follow: reviews.csv.gz. Unambiguous content takes precedence over the extension,
with a note.
"""

from __future__ import annotations

import codecs
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from gluetune.core.config import UNSTATED, FileFormat
from gluetune.core.errors import ConfigurationError, DataError
from gluetune.core.files import nearest_file
from gluetune.core.text import first_few, nearest
from gluetune.data.formats.columnar import ARROW, PARQUET
from gluetune.data.formats.csv_file import Dialect
from gluetune.data.formats.delimited import CSV, TSV, by_delimiter, find_dialect, stated_dialect
from gluetune.data.formats.format import (
    COMPRESSIONS,
    Detected,
    Format,
    RowReader,
    RowWriter,
    Source,
    Target,
    compressed,
    decompressed,
    decompressed_copy,
    is_compressed,
    opened,
)
from gluetune.data.formats.json_file import JSON, JSON_LINES
from gluetune.data.formats.plain_text import FASTTEXT, HEAD, TEXT, TREC

FORMATS: dict[str, Format] = {
    one.name: one for one in (CSV, TSV, JSON_LINES, JSON, PARQUET, ARROW, FASTTEXT, TREC, TEXT)
}
"""Every format by name."""


def labelled_endings() -> tuple[str, ...]:
    """Return the extensions of files whose rows may have labels, those of Parquet first."""
    formats = sorted(FORMATS.values(), key=lambda one: one is not PARQUET)
    return tuple(ending for one in formats if one.has_columns for ending in one.endings)


def format_of(file: Path | BinaryIO, stated: str | None = None) -> Format:
    """Return the format of a file: as stated, by its extension, for a stream plain lines.

    Raises ConfigurationError where neither the extension nor the user determines it.
    """
    if stated is not None:
        if (found := FORMATS.get(stated.lower())) is not None:
            return found
        raise ConfigurationError(
            f"--format {stated}: there is no such format.",
            hint=f"{nearest(stated, FORMATS)}Formats: {', '.join(FORMATS)}.",
        )
    if not isinstance(file, Path):
        return TEXT
    if (found := named_format(file)) is not None:
        return found
    endings = ", ".join(ending for one in FORMATS.values() for ending in one.endings)
    raise ConfigurationError(
        f"{file} has no known file extension.",
        hint=f"Extensions: {endings}, also with {' or '.join(COMPRESSIONS)}. "
        f"Or type --format with one of: {', '.join(FORMATS)}.",
    )


def named_format(path: Path) -> Format | None:
    """Return the format of a file's extension, None where it is unknown."""
    plain = Path(path.stem) if is_compressed(path) else path
    ending = plain.suffix.lower()
    return next((one for one in FORMATS.values() if ending in one.endings), None)


def written_as(fmt: Format) -> Format:
    """Return the format in which rows of `fmt` are written with more columns."""
    return FORMATS[fmt.written_as or fmt.name]


@contextmanager
def open_rows(
    file: Path | BinaryIO,
    fmt: Format,
    text_columns: tuple[str, ...] = ("text",),
    wanted: Collection[str] | None = None,
    dialect: Dialect | None = None,
) -> Iterator[RowReader]:
    """Open a file, or standard input, for reading rows.

    Args:
        file: A path or a stream.
        fmt: The format.
        text_columns: Names for the texts of plain lines.
        wanted: Columns to read, where columns have types. Default: all text columns.
        dialect: Dialect of delimited text. Default: that of the format.

    Raises:
        DataError: for a file that cannot be opened or has an invalid header.
        ConfigurationError: for a stream in a format that needs a file.
    """
    options: dict[str, Any] = {
        "text_columns": text_columns,
        "wanted": wanted,
        "dialect": dialect or fmt.dialect,
    }
    if not isinstance(file, Path):
        if fmt.needs_file:
            raise ConfigurationError(
                f"{fmt.name.capitalize()} cannot be read from a stream: give --file FILE."
            )
        yield fmt.read(Source("standard input", file, **options))
        return
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(file.open("rb"))
        except OSError as error:
            raise DataError(
                f"{file} cannot be read: {error.strerror}.", hint=nearest_file(file)
            ) from error
        if fmt.needs_file:
            plain = stack.enter_context(decompressed_copy(raw, file))
            yield fmt.read(Source(str(file), path=plain, **options))
        else:
            stream = stack.enter_context(decompressed(raw, file))
            again = partial(opened, file)
            yield fmt.read(Source(str(file), stream, opening=again, **options))


@contextmanager
def writing_rows(
    file: Path | BinaryIO,
    fmt: Format,
    reader: RowReader,
    sample: Mapping[str, Any],
    compression: str = "",
) -> Iterator[RowWriter]:
    """Open a file or stream for writing the rows of `reader` with more columns.

    Args:
        file: A path or a stream.
        fmt: The format.
        reader: The reader of the rows.
        sample: The new columns by name, each with a value of its type.
        compression: Extension of the compression, if any.

    Raises:
        ConfigurationError: for a stream in a format that needs a file.
    """
    assert fmt.write is not None, "rows are written as written_as says"
    with ExitStack() as stack:
        if fmt.needs_file:
            if not isinstance(file, Path):
                raise no_stream_error(fmt)
            target = Target(reader, sample, path=file)
        else:
            stream = file
            if isinstance(stream, Path):
                raw = stack.enter_context(stream.open("wb"))
                stream = stack.enter_context(compressed(raw, compression))
            target = Target(reader, sample, stream, dialect=fmt.dialect)
        yield stack.enter_context(closing(fmt.write(target)))


def no_stream_error(fmt: Format) -> ConfigurationError:
    """Return the error for a stream in a format that needs a file."""
    return ConfigurationError(
        f"{fmt.name.capitalize()} cannot be written to a stream: give --output FILE."
    )


_EXCEL = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
_OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"


def detect(path: Path, stated: FileFormat, *, labelled: bool = True) -> Detected:
    """Return the format and dialect of a file. If not `labelled`, `.txt` is always lines of text.

    Raises DataError for a folder, a workbook, an archive, or a file that cannot be read or has no
    labels; ConfigurationError where neither extension, content nor the user determines the format.
    """
    if path.is_dir():
        raise _folder_error(path)
    head = _head(path)
    named = named_format(path)
    _refuse_archive(path, head)
    _refuse_carriage_returns(path, head, named)
    found, notes = _format(path, head, stated, named, labelled=labelled)
    if found.dialect is None:
        _refuse_delimited_settings(path, found, stated)
        return Detected(found, None, notes)
    dialect, more = find_dialect(path, head, found if stated.format else named, stated)
    if stated.format is None and (named is None or named.dialect is None):
        found = by_delimiter(dialect.delimiter)
    return Detected(found, dialect, (*notes, *more))


def detect_stream(file: BinaryIO, stated: FileFormat) -> Detected:
    """Return the format of a stream, which cannot be inspected: as stated, else lines of text."""
    found = format_of(file, stated.format)
    if stated.format is None and stated != UNSTATED:
        found = by_delimiter(stated.delimiter or ",")
    return Detected(found, stated_dialect(found, stated))


def _head(path: Path) -> bytes:
    try:
        with opened(path) as file:
            return file.read(HEAD)
    except OSError as error:
        is_unknown = isinstance(error, FileNotFoundError) and named_format(path) is None
        more = ", and its extension is unknown" if is_unknown else ""
        raise DataError(
            f"{path} cannot be read: {error.strerror}{more}.", hint=nearest_file(path)
        ) from error


def _folder_error(path: Path) -> DataError:
    files = sorted(each for each in path.iterdir() if each.is_file())
    files.sort(key=lambda each: named_format(each) is None)
    names = [each.name for each in files]
    if not names:
        return DataError(f"{path} is a folder without files.", hint="Give a file.")
    return DataError(
        f"{path} is a folder. Its files: {first_few(names)}.",
        hint=f"Give one of them: {path / names[0]}",
    )


def _refuse_archive(path: Path, head: bytes) -> None:
    is_archive = head.startswith(b"PK\x03\x04")
    if head.startswith(_OLD_WORKBOOK) or (is_archive and path.suffix.lower() in _EXCEL):
        raise DataError(
            f"{path} is an Excel workbook.",
            hint="Save it as CSV UTF-8 (in Excel: File, Save As, CSV UTF-8), and give that file.",
        )
    if is_archive:
        raise DataError(
            f"{path} is a ZIP archive or an Excel workbook.",
            hint="Unpack it and give one of its files; save a workbook as CSV UTF-8.",
        )


def _refuse_carriage_returns(path: Path, head: bytes, named: Format | None) -> None:
    is_table = named is None or named.dialect is not None or not named.has_columns
    if not is_table or b"\r" not in head or any(mark in head for mark in (b"\n", b"\0")):
        return
    if named is None and head.lstrip()[:1] in b"[{":
        return
    source, target = shlex.quote(str(path)), shlex.quote(f"lines-{path.name}")
    raise DataError(
        f"{path} is a single line: its lines may end in carriage returns alone.",
        hint=f"Type: tr '\\r' '\\n' < {source} > {target}",
    )


def _format(
    path: Path, head: bytes, stated: FileFormat, named: Format | None, *, labelled: bool
) -> tuple[Format, tuple[str, ...]]:
    """Return the format of a file, and notes about it."""
    if stated.format is not None:
        return format_of(path, stated.format), ()
    is_plain = named is not None and not named.has_columns
    if is_plain and not labelled and not _is_table_stated(stated):
        return format_of(path), ()
    found = _by_content(path, head, stated, named)
    if found is None:
        if named is None:
            return format_of(path), ()  # raises
        raise _no_labels_error(path)
    if found is named or not found.title:
        return found, ()
    return found, (f"{path} is read as {found.title}.",)


def _by_content(path: Path, head: bytes, stated: FileFormat, named: Format | None) -> Format | None:
    """Return the format of a file by its content, among those that its extension allows."""
    trusted = named if named is not None and named.has_columns else None
    may_be = FORMATS.values() if trusted is None else [FORMATS[n] for n in trusted.mistaken_for]
    candidates = sorted(may_be, key=lambda one: -one.certainty)
    if trusted is None and named is not None:  # text may start with the signature of a binary file
        candidates = [one for one in candidates if not one.needs_file]
    if trusted is None and _is_table_stated(stated):
        candidates = [one for one in candidates if one.needs_file]
        trusted = CSV
    known = (one for one in candidates if one.recognise and one.recognise(path, head))
    return next(known, trusted)


def _is_table_stated(stated: FileFormat) -> bool:
    return stated != FileFormat(stated.format)


def _no_labels_error(path: Path) -> DataError:
    return DataError(
        f"{path} has plain lines of text, without labels.",
        hint="Labelled text has columns: CSV, TSV (a tab between text and label), JSON lines, … "
        "If it has columns, type their delimiter: --delimiter CHARACTER",
    )


def _refuse_delimited_settings(path: Path, found: Format, stated: FileFormat) -> None:
    given = [
        name
        for name in ("delimiter", "quoting", "header", "columns")
        if getattr(stated, name) != getattr(UNSTATED, name)
    ]
    if given:
        flags = ", ".join(f"--{name}" for name in given)
        called = found.name.upper() if len(found.name) < 6 else found.name
        raise ConfigurationError(
            f"{path} is {called}, but {flags} is for delimited text (CSV, TSV).",
            hint="Leave it out; or if the file is delimited text, type: --format csv",
        )


# The encoding of a file that is not UTF-8 ---------------------------------------------------------

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_MANY = 0.3
"""Least share of zero bytes in UTF-16 text of a European language, where about half are zero."""
_UNUSED_IN_1252 = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))


def encoding_hint(path: Path) -> str:
    """Return a hint with a likely encoding and the command that converts the file, or ""."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return ""
    name = _guess(head)
    if not name:
        return ""
    quoted = shlex.quote(str(path))
    target = shlex.quote(f"utf8-{path.name}")
    return f"It looks like {name}. Type: iconv -f {name} -t UTF-8 {quoted} > {target}"


def _guess(head: bytes) -> str:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1", b"PK")):
        return ""  # compressed, or not text
    zeros = head.count(0)
    if head and zeros > _MANY * len(head):
        return "UTF-16LE" if head[1::2].count(0) * 2 > zeros else "UTF-16BE"
    high = {byte for byte in head if byte >= 0x80}
    if zeros or not high or _is_utf8(head):
        return ""
    for name in ("shift_jis", "gb18030", "euc_kr"):
        if _pairs(head) and _decodes(head, name):
            return name.upper()
    return "" if high & _UNUSED_IN_1252 else "WINDOWS-1252"


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _pairs(head: bytes) -> bool:
    """Whether bytes above 127 are adjacent, as in East Asian text, and not isolated."""
    high = [byte >= 0x80 for byte in head]
    adjacent = sum(1 for one, two in pairwise(high) if one and two)
    return adjacent > 0.4 * sum(high)


def _decodes(head: bytes, name: str) -> bool:
    try:
        codecs.getincrementaldecoder(name)().decode(head)
    except UnicodeDecodeError:
        return False
    return True
