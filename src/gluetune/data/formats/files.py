"""Files of rows by their format, which the end of the name says unless the user does.

`.gz` or `.zst` behind that end says how the file is packed: reviews.csv.gz.

Files packed by gzip or Zstandard, unpacked as they are read.
"""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast, get_args

from gluetune.core.errors import ConfigurationError, DataError
from gluetune.core.file_formats import Format as Format
from gluetune.data.findings import nearest_file
from gluetune.data.formats.columnar import ArrowReader, ColumnarReader, ParquetReader, ParquetWriter
from gluetune.data.formats.csv_file import CsvReader, CsvWriter
from gluetune.data.formats.dialect import COMMAS, TABS, Dialect
from gluetune.data.formats.json_file import JsonLinesReader, JsonLinesWriter, JsonReader
from gluetune.data.formats.plain_text import (
    PREFIX,
    LabelFirstReader,
    TextReader,
    has_several_labels,
)
from gluetune.data.formats.rows import RowReader, RowWriter

_FORMATS: tuple[Format, ...] = get_args(Format)
_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "text",
}
LABELLED_ENDINGS = (
    ".parquet",
    *(end for end, kind in _ENDINGS.items() if kind not in ("parquet", "text")),
)
"""Endings of files whose rows have columns; Parquet, which says what is in it, first."""
_WRITTEN_AS: dict[Format, Format] = {
    "text": "jsonl",
    "fasttext": "jsonl",
    "trec": "jsonl",
    "json": "jsonl",
    "arrow": "parquet",
}
"""Formats whose rows are written in another: lines of text have no room for a second column, a list
is not whole before its end, and one writer of columns with types is enough."""


def format_of(file: Path | BinaryIO, stated: str | None = None) -> Format:
    """Return the format of a file; an open one holds plain lines, unless it is stated.

    Raises ConfigurationError where neither the name nor the user says it.
    """
    if stated is not None:
        for known in _FORMATS:
            if stated.lower() == known:
                return known
        raise ConfigurationError(
            f"--format {stated}: there is no such format.", hint=f"Formats: {', '.join(_FORMATS)}."
        )
    if not isinstance(file, Path):
        return "text"
    found = named_format(file)
    if found is None:
        raise ConfigurationError(
            f"{file}: its name does not say what it holds.",
            hint=f"Endings: {', '.join(_ENDINGS)}, also with {' or '.join(PACKED)}. "
            f"Or type --format {', '.join(_FORMATS)}.",
        )
    return found


def named_format(path: Path) -> Format | None:
    """Return the format that the end of a name says, None where it says none."""
    plain = Path(path.stem) if path.suffix.lower() in PACKED else path
    return _ENDINGS.get(plain.suffix.lower())


def written_as(kind: Format) -> Format:
    """Return the format in which rows of `kind` are written with more columns."""
    return _WRITTEN_AS.get(kind, kind)


@contextmanager
def open_rows(
    file: Path | BinaryIO,
    kind: Format,
    text_columns: tuple[str, ...] = ("text",),
    wanted: Collection[str] | None = None,
    dialect: Dialect | None = None,
) -> Iterator[RowReader]:
    """Open a file of rows, or standard input, for reading; plain lines are rows of `text_columns`.

    `dialect` is of delimited text: by default commas, or in TSV tabs.
    Of columns with types the values of those `wanted` are read; the texts, unless it is given.
    Raises DataError for a file that cannot be opened or whose header is wrong, ConfigurationError
    for Parquet and Arrow from a stream.
    """
    if not isinstance(file, Path):
        if kind in ("parquet", "arrow"):
            raise ConfigurationError(
                f"{kind.capitalize()} cannot be read from a stream: give --file FILE."
            )
        yield _stream_reader(file, "standard input", kind, text_columns, dialect)
        return
    with ExitStack() as opened:
        try:
            raw = opened.enter_context(file.open("rb"))
        except OSError as error:
            raise DataError(
                f"{file} cannot be read: {error.strerror}.", hint=nearest_file(file)
            ) from error
        if kind in ("parquet", "arrow"):
            plain = opened.enter_context(unpacked_copy(raw, file))
            reader = ParquetReader if kind == "parquet" else ArrowReader
            yield reader(plain, str(file), wanted)
        else:
            stream = opened.enter_context(unpacked(raw, file))
            several = kind == "fasttext" and _has_several_labels(file)
            yield _stream_reader(stream, str(file), kind, text_columns, dialect, several=several)


@contextmanager
def writing_rows(
    file: Path | BinaryIO,
    kind: Format,
    reader: RowReader,
    sample: Mapping[str, Any],
    packed: str = "",
) -> Iterator[RowWriter]:
    """Open a file, or take an open one, for writing the rows of `reader` with more columns.

    `sample` holds the new columns by name, each with a value of its type; `packed` is the end of
    the name that says so. Raises ConfigurationError for Parquet to a stream, since its end says
    where all else lies.
    """
    columns = (*reader.columns, *sample)
    dialect = reader.dialect if isinstance(reader, CsvReader) else None
    if not isinstance(file, Path):
        if kind == "parquet":
            raise ConfigurationError("Parquet cannot be written to a stream: give --output FILE.")
        yield _stream_writer(file, kind, columns, dialect)
    elif isinstance(reader, ColumnarReader):
        parquet = ParquetWriter(file, reader.schema, sample)
        try:
            yield parquet
        finally:
            parquet.close()
    else:
        with file.open("wb") as opened, packing(opened, packed) as stream:
            yield _stream_writer(stream, kind, columns, dialect)


def _has_several_labels(path: Path) -> bool:
    with path.open("rb") as raw, unpacked(raw, path) as stream:
        return has_several_labels(stream)


def _stream_reader(
    file: BinaryIO,
    name: str,
    kind: Format,
    text_columns: tuple[str, ...],
    dialect: Dialect | None,
    *,
    several: bool = False,
) -> RowReader:
    if kind == "text":
        return TextReader(file, name, text_columns)
    if kind in ("csv", "tsv"):
        return CsvReader(file, name, dialect or (COMMAS if kind == "csv" else TABS))
    if kind in ("fasttext", "trec"):
        return LabelFirstReader(file, name, PREFIX if kind == "fasttext" else "", several=several)
    return JsonReader(file, name) if kind == "json" else JsonLinesReader(file, name)


def _stream_writer(
    file: BinaryIO, kind: Format, columns: tuple[str, ...], dialect: Dialect | None
) -> RowWriter:
    if kind in ("csv", "tsv"):
        read = dialect or (COMMAS if kind == "csv" else TABS)
        # The new columns need names, whether or not the old ones stood in the file.
        return CsvWriter(file, columns, replace(read, header=True))
    return JsonLinesWriter(file)


PACKED = (".gz", ".zst")
"""Ends of names of packed files."""


@contextmanager
def unpacked(raw: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """Give the plain bytes of an open file, which the end of `path` says to be packed or not.

    Raises DataError where they cannot be unpacked to their end.
    """
    kind = path.suffix.lower()
    if kind not in PACKED:
        yield raw
        return
    import pyarrow as pa

    try:
        if kind == ".gz":
            with gzip.open(raw) as plain:
                yield cast(BinaryIO, plain)
        else:
            stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
            yield cast(BinaryIO, io.BufferedReader(stream, 2**16))
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{path} cannot be unpacked: {str(error).splitlines()[0]}",
            hint="Copy or download it again.",
        ) from error


@contextmanager
def unpacked_copy(raw: BinaryIO, path: Path) -> Iterator[Path]:
    """Give a file with the plain bytes, for formats that are read from their end."""
    if path.suffix.lower() not in PACKED:
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".unpacked") as copy:
        with unpacked(raw, path) as plain:
            shutil.copyfileobj(plain, copy)
        copy.flush()
        yield Path(copy.name)


@contextmanager
def packing(raw: BinaryIO, kind: str) -> Iterator[BinaryIO]:
    """Give a stream whose bytes are packed into an open file; `kind` is an end of PACKED."""
    if kind == ".gz":
        # No time and no name: the same rows give the same bytes.
        with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
            yield cast(BinaryIO, stream)
    elif kind == ".zst":
        import pyarrow as pa

        with pa.CompressedOutputStream(pa.PythonFile(raw, mode="w"), "zstd") as stream:
            yield cast(BinaryIO, stream)
    else:
        yield raw
