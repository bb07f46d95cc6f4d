"""Parquet, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.data.rows.row import BadRow, Row
from gluetune.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 4096
"""Rows that are held in memory at once."""


class ParquetReader:
    """A Parquet file, opened. Raises DataError when it is none, or a column has no own name.

    Rows have the values of the columns `wanted`; of the text columns, unless it is given.
    """

    separator = ", row "

    def __init__(self, path: Path, name: str, wanted: Collection[str] | None = None) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.name = name
        self._wanted = wanted
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{name} cannot be read as Parquet: {error}") from error
        self.schema = self._file.schema_arrow
        self.columns = tuple(self.schema.names)
        repeated = sorted({column for column in self.columns if self.columns.count(column) > 1})
        if repeated:
            raise DataError(
                f"{name} has {self.columns.count(repeated[0])} columns called '{repeated[0]}'.",
                hint="Give every column a name of its own.",
            )

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row. Raises DataError where the file is damaged."""
        import pyarrow as pa

        number = 0
        given = given_columns(self.schema, self._wanted)
        try:
            for batch in self._file.iter_batches(_BATCH):
                for position, values in enumerate(batch.select(given).to_pylist()):
                    number += 1
                    yield Row(number, BatchValues(values, batch, position))
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.name} is damaged behind row {number}: {error}",
                hint="Copy or download it again.",
            ) from error


class BatchValues(dict[str, Any]):
    """The text columns of a row, and where in which batch the row stands with all its columns."""

    def __init__(self, values: Mapping[str, Any], batch: pa.RecordBatch, position: int) -> None:
        super().__init__(values)
        self.batch = batch
        self.position = position


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


def given_columns(schema: pa.Schema, wanted: Collection[str] | None) -> list[str]:
    """Return the columns whose values rows have: those wanted that are there, else the texts."""
    return [
        field.name
        for field in schema
        if (_is_text(field.type) if wanted is None else field.name in wanted)
    ]


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))
