"""Arrow's IPC files and streams (`Dataset.save_to_disk` writes streams), a batch at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.data.rows.parquet_file import BatchValues, given_columns
from gluetune.data.rows.row import BadRow, Row
from gluetune.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_MAGIC = b"ARROW1"
_ROWS = 4096
"""Rows that are made into Python's values at once."""


class ArrowReader:
    """An Arrow file or stream, opened. Raises DataError when it is none.

    Rows have the values of the columns `wanted`; of the text columns, unless it is given.
    """

    separator = ", row "

    def __init__(self, path: Path, name: str, wanted: Collection[str] | None = None) -> None:
        import pyarrow as pa

        self.name = name
        self._wanted = wanted
        try:
            with path.open("rb") as file:
                is_file = file.read(len(_MAGIC)) == _MAGIC
            mapped = pa.memory_map(str(path))
            opened: Any = (pa.ipc.open_file if is_file else pa.ipc.open_stream)(mapped)
            self.schema = opened.schema
            self._batches: Iterable[Any] = _batches(opened) if is_file else opened
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{name} cannot be read as Arrow: {error}") from error
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

        given = given_columns(self.schema, self._wanted)
        number = 0
        try:
            for batch in self._batches:
                for start in range(0, len(batch), _ROWS):
                    part = batch.slice(start, _ROWS)
                    for position, values in enumerate(part.select(given).to_pylist()):
                        number += 1
                        yield Row(number, BatchValues(values, part, position))
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.name} is damaged behind row {number}: {error}",
                hint="Copy or download it again.",
            ) from error


def _batches(file: Any) -> Iterator[pa.RecordBatch]:
    return (file.get_batch(number) for number in range(file.num_record_batches))
