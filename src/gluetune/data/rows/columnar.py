"""What Parquet and Arrow have in common: columns with types, and rows in batches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gluetune.data.rows.nested import NestedValues, nested_names
from gluetune.data.rows.row import BadRow, Row
from gluetune.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 4096
"""Rows that are made into Python's values at once."""


class ColumnarReader:
    """The rows of a file whose schema and batches are at hand.

    They have the values of the columns `wanted`; of the text columns, unless it is given. Columns
    that share a name have none.
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
                for start in range(0, len(batch), ROWS_AT_ONCE):
                    part = batch.slice(start, ROWS_AT_ONCE)
                    for position, values in enumerate(part.select(given).to_pylist()):
                        number += 1
                        yield Row(number, BatchValues(values, part, position))
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.name} is damaged behind row {number}: {error}",
                hint="Copy or download it again.",
            ) from error


class BatchValues(NestedValues):
    """Some columns of a row, and where in which batch the row stands with all its columns."""

    def __init__(self, values: Mapping[str, Any], batch: pa.RecordBatch, position: int) -> None:
        super().__init__(values)
        self.batch = batch
        self.position = position


def _given_columns(schema: pa.Schema, wanted: Collection[str] | None) -> list[str]:
    """Return the columns whose values rows have: those wanted that are there, else the texts."""
    return [
        field.name
        for field in schema
        if (_holds_text(field.type) if wanted is None else _is_wanted(field.name, wanted))
        and schema.names.count(field.name) == 1
    ]


def _inner_names(schema: pa.Schema) -> Iterator[str]:
    """Yield the names of values inside objects, by their path."""
    for field in schema:
        inner = {field.name: _fields(field.type)}
        yield from (name for name in nested_names(inner) if name != field.name)


def _fields(kind: pa.DataType) -> Any:
    import pyarrow as pa

    if not pa.types.is_struct(kind):
        return None
    return {kind[number].name: _fields(kind[number].type) for number in range(kind.num_fields)}


def _is_wanted(name: str, wanted: Collection[str]) -> bool:
    """Whether a column is wanted, or a value inside it."""
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
