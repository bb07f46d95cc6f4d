"""JSON lines: one object a line; and JSON: a list of objects, read an object at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from gluetune.data.rows.json_list import JsonList
from gluetune.data.rows.lines import read_lines
from gluetune.data.rows.nested import NestedValues, nested_names
from gluetune.data.rows.row import BadRow, Row


class JsonLinesReader:
    """A file of JSON lines, opened. Its columns are those of its first row that can be read."""

    separator = ":"

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self._rows = self._read(file)
        self._ahead: list[Row | BadRow] = []
        self.columns: tuple[str, ...] = ()
        for row in self._rows:
            self._ahead.append(row)
            if isinstance(row, Row):
                self.columns = tuple(nested_names(row.values))
                break

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row; empty lines at the end of the file are none."""
        yield from self._ahead
        yield from self._rows

    def _read(self, file: BinaryIO) -> Iterator[Row | BadRow]:
        return _rows(file)


class JsonReader(JsonLinesReader):
    """A file that is one list of objects. A row is called by its number: many may share a line.

    Raises DataError, with the line, for a file that holds no list, or whose list cannot be read any
    further.
    """

    separator = ", item "

    def _read(self, file: BinaryIO) -> Iterator[Row | BadRow]:
        for number, text in enumerate(JsonList(file, self.name), start=1):
            yield _row(number, text)


class JsonLinesWriter:
    """Writes rows as JSON lines in UTF-8."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, row: Row, more: Mapping[str, Any]) -> None:
        """Write one object."""
        line = json.dumps({**row.values, **more}, ensure_ascii=False)
        self._file.write(line.encode() + b"\n")


def _rows(file: BinaryIO) -> Iterator[Row | BadRow]:
    empty: list[int] = []
    for line in read_lines(file):
        if line.text is None:
            yield BadRow(line.number, line.problem)
            continue
        if not line.text.strip():
            empty.append(line.number)
            continue
        yield from (BadRow(number, "is empty") for number in empty)
        empty.clear()
        yield _row(line.number, line.text)


def _row(number: int, text: str) -> Row | BadRow:
    try:
        values = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        return BadRow(number, f"is not JSON: {error.msg} at position {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return BadRow(number, f"is not JSON that can be read: {error}")
    if not isinstance(values, dict):
        return BadRow(number, f"holds {_kind(values)}, not an object")
    if "\\ud" in text.lower() and not _is_unicode(values):
        return BadRow(number, "holds half of a surrogate pair, which is no character")
    is_nested = any(type(value) is dict for value in values.values())
    return Row(number, NestedValues(values) if is_nested else values)


def _is_unicode(values: Mapping[str, Any]) -> bool:
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{repeated}' occurs twice")
    return values


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
