"""Files of rows by their format, which the end of the name says unless the user does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from gluetune.data.rows.csv_file import CsvReader, CsvWriter
from gluetune.data.rows.json_file import JsonLinesReader, JsonLinesWriter
from gluetune.data.rows.parquet_file import ParquetReader, ParquetWriter
from gluetune.data.rows.row import RowReader, RowWriter
from gluetune.data.rows.text_file import TextReader
from gluetune.errors import ConfigurationError, DataError

Format = Literal["csv", "jsonl", "parquet", "text"]

_FORMATS: tuple[Format, ...] = get_args(Format)
_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
}


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
    found = _ENDINGS.get(file.suffix.lower())
    if found is None:
        raise ConfigurationError(
            f"{file}: its name does not say what it holds.",
            hint=f"Endings: {', '.join(_ENDINGS)}. Or type --format {', '.join(_FORMATS)}.",
        )
    return found


def written_as(kind: Format) -> Format:
    """Return the format in which rows of `kind` are written with more columns."""
    return "jsonl" if kind == "text" else kind


@contextmanager
def open_rows(
    file: Path | BinaryIO, kind: Format, text_columns: tuple[str, ...] = ("text",)
) -> Iterator[RowReader]:
    """Open a file of rows, or standard input, for reading; plain lines are rows of `text_columns`.

    Raises DataError for a file that cannot be opened or whose header is wrong, ConfigurationError
    for Parquet from a stream.
    """
    if not isinstance(file, Path):
        if kind == "parquet":
            raise ConfigurationError("Parquet cannot be read from a stream: give --file FILE.")
        yield _stream_reader(file, "standard input", kind, text_columns)
        return
    try:
        opened = file.open("rb")
    except OSError as error:
        raise DataError(
            f"{file} cannot be read: {error.strerror}.", hint="Check --file."
        ) from error
    with opened:
        if kind == "parquet":
            yield ParquetReader(file, str(file))
        else:
            yield _stream_reader(opened, str(file), kind, text_columns)


@contextmanager
def writing_rows(
    file: Path | BinaryIO, kind: Format, reader: RowReader, sample: Mapping[str, Any]
) -> Iterator[RowWriter]:
    """Open a file, or take an open one, for writing the rows of `reader` with more columns.

    `sample` holds the new columns by name, each with a value of its type. Raises
    ConfigurationError for Parquet to a stream, since its end says where all else lies.
    """
    columns = (*reader.columns, *sample)
    if not isinstance(file, Path):
        if kind == "parquet":
            raise ConfigurationError("Parquet cannot be written to a stream: give --output FILE.")
        yield _stream_writer(file, kind, columns)
    elif isinstance(reader, ParquetReader):
        parquet = ParquetWriter(file, reader.schema, sample)
        try:
            yield parquet
        finally:
            parquet.close()
    else:
        with file.open("wb") as opened:
            yield _stream_writer(opened, kind, columns)


def _stream_reader(
    file: BinaryIO, name: str, kind: Format, text_columns: tuple[str, ...]
) -> RowReader:
    if kind == "text":
        return TextReader(file, name, text_columns)
    return CsvReader(file, name) if kind == "csv" else JsonLinesReader(file, name)


def _stream_writer(file: BinaryIO, kind: Format, columns: tuple[str, ...]) -> RowWriter:
    return CsvWriter(file, columns) if kind == "csv" else JsonLinesWriter(file)
