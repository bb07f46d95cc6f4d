"""What a reader of rows hands on: rows, and the lines that are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol


class Row(NamedTuple):
    """One row: the line (or, in Parquet, the row) that it begins on, and its values by column."""

    line: int
    values: Mapping[str, Any]


class BadRow(NamedTuple):
    """A row that cannot be used: the line that it begins on, and what is wrong with it."""

    line: int
    problem: str


class RowReader(Protocol):
    """A file of rows, opened."""

    name: str
    """What to call it in messages."""
    columns: tuple[str, ...]
    """Names of the columns, in order. JSON lines have those of their first row."""
    separator: str
    """What stands between name and line in a message: `file.csv:7`, `file.parquet, row 7`."""

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row in order, once."""


class RowWriter(Protocol):
    """A file of rows, being written: those of a reader, each with more columns."""

    def write(self, row: Row, more: Mapping[str, Any]) -> None:
        """Write one row as it was read, then the values of new columns by name."""
