"""The registry of file formats, and functions that open files by their format.

A file has the format of its extension unless the user states another; the extension of a
compression may follow: reviews.csv.gz.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from gluetune.core.errors import ConfigurationError, DataError
from gluetune.core.files import nearest_file
from gluetune.core.text import nearest
from gluetune.data.formats.columnar import ARROW, PARQUET
from gluetune.data.formats.compression import (
    COMPRESSIONS,
    compressed,
    decompressed,
    decompressed_copy,
    is_compressed,
    opened,
)
from gluetune.data.formats.csv_file import Dialect
from gluetune.data.formats.delimited import CSV, TSV
from gluetune.data.formats.format import Format, RowReader, RowWriter, Source, Target
from gluetune.data.formats.json_file import JSON, JSON_LINES
from gluetune.data.formats.plain_text import FASTTEXT, TEXT, TREC

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
