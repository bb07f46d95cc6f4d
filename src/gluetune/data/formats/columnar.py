"""Parquet and Arrow (IPC files and streams): typed columns, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.core.errors import DataError
from gluetune.data.formats.format import (
    BadRow,
    Format,
    NestedValues,
    Row,
    Source,
    Target,
    nested_names,
)

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 4096
"""Rows that are converted to Python values together."""


class ColumnarReader:
    """Reads the rows of a file with a schema, from its batches.

    Rows have the values of the columns `wanted`, by default of the text columns, except for columns
    that share a name.
    """

    separator = ", row "

    def __init__(
        self,
        name: str,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        wanted: Collection[str] | None,
    ) -> None:
        self.name = name
        self.schema = schema
        self.columns = (*schema.names, *_inner_names(schema))
        self._batches = batches
        self._wanted = wanted

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row. Raises DataError where the file is damaged."""
        import pyarrow as pa

        given = _given_columns(self.schema, self._wanted)
        number = 0
        try:
            for batch in self._batches:
                for start in range(0, len(batch), BATCH_ROWS):
                    part = batch.slice(start, BATCH_ROWS)
                    for position, values in enumerate(part.select(given).to_pylist()):
                        number += 1
                        yield Row(number, BatchValues(values, part, position))
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.name} is damaged after row {number}: {error}",
                hint="Copy or download it again.",
            ) from error


class BatchValues(NestedValues):
    """Some columns of a row, with its batch and position, for all of its columns."""

    def __init__(self, values: Mapping[str, Any], batch: pa.RecordBatch, position: int) -> None:
        super().__init__(values)
        self.batch = batch
        self.position = position


def _given_columns(schema: pa.Schema, wanted: Collection[str] | None) -> list[str]:
    """Return the columns whose values rows have: the wanted ones, by default the text columns."""
    return [
        field.name
        for field in schema
        if (_holds_text(field.type) if wanted is None else _is_wanted(field.name, wanted))
        and schema.names.count(field.name) == 1
    ]


def _inner_names(schema: pa.Schema) -> Iterator[str]:
    """Yield the names of values inside objects: `object.value`."""
    for field in schema:
        inner = {field.name: _fields(field.type)}
        yield from (name for name in nested_names(inner) if name != field.name)


def _fields(kind: pa.DataType) -> Any:
    import pyarrow as pa

    if not pa.types.is_struct(kind):
        return None
    return {kind[number].name: _fields(kind[number].type) for number in range(kind.num_fields)}


def _is_wanted(name: str, wanted: Collection[str]) -> bool:
    """Whether a column or a value inside it is wanted."""
    return name in wanted or any(each.startswith(f"{name}.") for each in wanted)


def _holds_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(_holds_text(kind[number].type) for number in range(kind.num_fields))
    return _is_text(kind)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


_MAGIC = b"ARROW1"
_BUFFER = 2**20
"""Buffer of each column in bytes; by default it is a whole row group, of any size."""


_Read = Callable[[Path], "tuple[pa.Schema, Iterable[pa.RecordBatch]]"]


def _opened(source: Source, title: str, read: _Read) -> ColumnarReader:
    """Return a reader of the file. Raises DataError where it is not in this format."""
    import pyarrow as pa

    try:
        schema, batches = read(source.path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{source.name} cannot be read as {title}: {error}",
            hint="Leave --format out if it is typed; otherwise write the file again.",
        ) from error
    return ColumnarReader(source.name, schema, batches, source.wanted)


def _arrow_batches(path: Path) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    """Return the schema and the batches of an Arrow file or stream."""
    import pyarrow as pa

    with path.open("rb") as file:
        is_file = file.read(len(_MAGIC)) == _MAGIC
    mapped = pa.memory_map(str(path))
    if not is_file:
        stream = pa.ipc.open_stream(mapped)
        return stream.schema, stream
    opened = pa.ipc.open_file(mapped)
    return opened.schema, map(opened.get_batch, range(opened.num_record_batches))


def _parquet_batches(path: Path) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
    return file.schema_arrow, file.iter_batches(BATCH_ROWS)


class ParquetWriter:
    """Writes rows of a ColumnarReader with all of their columns and types, then the new columns."""

    def __init__(self, path: Path, schema: pa.Schema, sample: Mapping[str, Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._new = pa.Table.from_pylist([sample]).schema
        self._writer = pq.ParquetWriter(path, pa.schema([*schema, *self._new], schema.metadata))
        self._batch: pa.RecordBatch | None = None
        self._positions: list[int] = []
        self._more: list[Mapping[str, Any]] = []

    def write(self, row: Row, more: Mapping[str, Any]) -> None:
        """Buffer one row; write the buffered rows when the next batch starts."""
        values = row.values
        assert isinstance(values, BatchValues), "Parquet is written from Parquet"
        if values.batch is not self._batch:
            self._flush()
            self._batch = values.batch
        self._positions.append(values.position)
        self._more.append(more)

    def close(self) -> None:
        """Write the buffered rows and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._batch is None:
            return
        table = pa.Table.from_batches([self._batch]).take(self._positions)
        new = pa.Table.from_pylist(self._more, schema=self._new)
        for name in new.column_names:
            table = table.append_column(name, new[name])
        self._writer.write_table(table)
        self._positions.clear()
        self._more.clear()


# The formats --------------------------------------------------------------------------------------


def _write_parquet(target: Target) -> ParquetWriter:
    assert isinstance(target.reader, ColumnarReader), "Parquet is written from columns with types"
    return ParquetWriter(target.path, target.reader.schema, target.sample)


PARQUET = Format(
    "parquet",
    (".parquet",),
    lambda source: _opened(source, "Parquet", _parquet_batches),
    _write_parquet,
    title="Parquet, by its content",
    recognise=lambda path, head: head.startswith(b"PAR1"),
    certainty=3,
    needs_file=True,
    holds_lists=True,
)
ARROW = Format(
    "arrow",
    (".arrow",),
    lambda source: _opened(source, "Arrow", _arrow_batches),
    written_as="parquet",  # one writer of columns with types is enough
    title="Arrow, by its content",
    recognise=lambda path, head: head.startswith(_MAGIC),
    certainty=3,
    needs_file=True,
)
