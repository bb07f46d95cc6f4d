"""Parquet, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.data.rows.columnar import ROWS_AT_ONCE, BatchValues, ColumnarReader
from gluetune.data.rows.row import Row
from gluetune.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
_BUFFER = 2**20
"""Bytes of a column that are read at once: by default it is a whole row group, of any size."""


class ParquetReader(ColumnarReader):
    """A Parquet file, opened. Raises DataError when it is none."""

    def __init__(self, path: Path, name: str, wanted: Collection[str] | None = None) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{name} cannot be read as Parquet: {error}",
                hint="Leave --format out, where it is typed; else write the file again.",
            ) from error
        super().__init__(name, file.schema_arrow, _batches(file), wanted)


class ParquetWriter:
    """Writes rows of a ParquetReader with every column and type they had, then the new ones."""

    def __init__(self, path: Path, schema: pa.Schema, sample: Mapping[str, Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._new = pa.Table.from_pylist([sample]).schema
        self._writer = pq.ParquetWriter(path, pa.schema([*schema, *self._new], schema.metadata))
        self._batch: pa.RecordBatch | None = None
        self._positions: list[int] = []
        self._more: list[Mapping[str, Any]] = []

    def write(self, row: Row, more: Mapping[str, Any]) -> None:
        """Keep one row, and write those kept when the next batch begins."""
        values = row.values
        assert isinstance(values, BatchValues), "Parquet is written from Parquet"
        if values.batch is not self._batch:
            self._flush()
            self._batch = values.batch
        self._positions.append(values.position)
        self._more.append(more)

    def close(self) -> None:
        """Write the rest and the file's end."""
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


def _batches(file: Any) -> Iterator[pa.RecordBatch]:
    # A generator, so that what is damaged shows where rows are read.
    yield from file.iter_batches(ROWS_AT_ONCE)
