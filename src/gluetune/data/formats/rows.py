"""What a reader of rows hands on: rows, and the lines that are none.

Values inside objects: `review.body` is the value `body` of the object `review`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from gluetune.core.errors import Finding


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
    """Names of the columns, in order. JSON lines have those of their first row.

    Several may have one name: a row's value is then that of one of them (`repeated_columns`).
    """
    separator: str
    """What stands between name and line in a message: `file.csv:7`, `file.parquet, row 7`."""

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row in order, once."""


class RowWriter(Protocol):
    """A file of rows, being written: those of a reader, each with more columns."""

    def write(self, row: Row, more: Mapping[str, Any]) -> None:
        """Write one row as it was read, then the values of new columns by name."""


def repeated_columns(reader: RowReader, wanted: Collection[str]) -> list[Finding]:
    """Return a finding for each column of `wanted` whose name others have too."""
    place = f"{reader.name}:1" if reader.separator == ":" else reader.name
    return [
        Finding(
            f"{place} has {count} columns called '{name}'.",
            "Give every column a name of its own.",
        )
        for name in dict.fromkeys(wanted)
        if (count := reader.columns.count(name)) > 1
    ]


class NestedValues(dict[str, Any]):
    """The values of a row, those inside objects by their path. They are no keys of their own."""

    def __missing__(self, name: str) -> Any:
        """Return the value inside an object; only a key by that very name goes before it."""
        outer, _, inner = name.partition(".")
        value = dict.get(self, outer)
        if not inner or not isinstance(value, dict):
            raise KeyError(name)
        return NestedValues(value)[inner]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, also inside an object."""
        try:
            return self[name]
        except KeyError:
            return default


def nested_names(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Yield the names of the values, and of those inside an object after it."""
    for name, value in values.items():
        yield before + name
        if isinstance(value, Mapping):
            yield from nested_names(value, f"{before}{name}.")
