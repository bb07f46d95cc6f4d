"""A user's file as an Arrow table on disk: line, texts, labels, group; bad rows noted.

Rows pass through memory a few thousand at a time, and the table is mapped, so that a file may be
larger than memory. Nothing is decided here about what the labels mean.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from gluetune.data.findings import nearest, nearest_of
from gluetune.data.own.cells import CellType, cell, is_yes
from gluetune.data.own.encodings import looks_like
from gluetune.data.own.problems import Problems
from gluetune.data.rows.files import format_of, open_rows
from gluetune.data.rows.row import BadRow, Row, RowReader
from gluetune.errors import GluetuneError
from gluetune.files import cache_folder, disk_errors

_BATCH = 8192


@dataclass(frozen=True)
class Wanted:
    """Which columns hold what."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    group: str | None = None
    separator: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        """Every column, once."""
        group = () if self.group is None else (self.group,)
        return tuple(dict.fromkeys((*self.texts, *self.labels, *group)))


@dataclass
class RawRows:
    """What stood in a file."""

    name: str
    """What the file is called in messages."""
    separator: str
    table: pa.Table
    """Columns: `line`, `text_0`, `text_1`, `labels` (a list of text), `group`."""
    types: Mapping[CellType, int]
    """Types of the labels' cells, each with the first line that has it."""
    class_names: tuple[str, ...] | None = None
    """Names of classes that the file declares for its whole numbers, by number."""

    def place(self, line: int) -> str:
        """Return where a row stands."""
        return f"{self.name}{self.separator}{line}"

    def keep(self, rows: pa.Array) -> RawRows:
        """Return some of the rows."""
        part = self.table.take(rows)
        return RawRows(self.name, self.separator, part, self.types, self.class_names)


@dataclass
class _Batch:
    """Rows on their way to the disk."""

    schema: pa.Schema
    columns: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.columns = {name: [] for name in self.schema.names}

    def record(self) -> pa.RecordBatch:
        return pa.record_batch(
            [pa.array(self.columns[name.name], name.type) for name in self.schema],
            schema=self.schema,
        )


def read_rows(path: Path, wanted: Wanted, problems: Problems) -> RawRows | None:
    """Read a file. What is wrong is added to `problems`; None where no row could be read."""
    found: RawRows | None = None
    try:
        with open_rows(path, format_of(path), wanted=wanted.all) as reader:
            if _check_columns(reader, wanted, problems):
                found = _read(reader, wanted, problems)
    except GluetuneError as error:
        guess = looks_like(path)
        for finding in error.findings:
            problems.add(finding.message, guess or finding.hint)
        return None
    if found is not None and any(
        "not UTF-8" in kind for kind in problems.skipped.get(str(path), ())
    ):
        problems.add(f"{path} is not all UTF-8.", looks_like(path))
    if found is not None and not len(found.table):
        problems.add(f"{path} holds no row that can be used.")
        return None
    return found


def _check_columns(reader: RowReader, wanted: Wanted, problems: Problems) -> bool:
    missing = [name for name in wanted.all if name not in reader.columns]
    listed = ", ".join(reader.columns) or "none"
    for name in missing:
        flag = (
            "--text" if name in wanted.texts else "--label" if name in wanted.labels else "--group"
        )
        near = nearest_of(name, reader.columns)
        typed = "COLUMN" if near is None or len(wanted.labels) > 1 else shlex.quote(near)
        problems.add(
            f"{reader.name} has no column '{name}'. Its columns: {listed}.",
            f"{nearest(name, reader.columns)}Type: {flag} {typed}",
        )
    return not missing


def _read(reader: RowReader, wanted: Wanted, problems: Problems) -> RawRows:
    schema = pa.schema(
        [("line", pa.int32())]
        + [(f"text_{number}", pa.string()) for number in range(len(wanted.texts))]
        + [("labels", pa.list_(pa.string()))]
        + ([("group", pa.string())] if wanted.group is not None else [])
    )
    types: dict[CellType, int] = {}
    folder = cache_folder() / "rows"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".arrow") as file:
            with pa.ipc.new_stream(file, schema) as writer:
                for batch in _batches(reader, wanted, schema, types, problems):
                    writer.write_batch(batch)
            file.flush()
            # The mapping outlives the name: nothing is left behind, however the process ends.
            table = pa.ipc.open_stream(pa.memory_map(file.name)).read_all()
    return RawRows(reader.name, reader.separator, table, types, _class_names(reader, wanted))


def _batches(
    reader: RowReader,
    wanted: Wanted,
    schema: pa.Schema,
    types: dict[CellType, int],
    problems: Problems,
) -> Iterator[pa.RecordBatch]:
    batch = _Batch(schema)
    for row in reader:
        values = _checked(row, wanted, types)
        if isinstance(values, BadRow):
            place = f"{reader.name}{reader.separator}{values.line}"
            problems.add_row(reader.name, place, _kind(values.problem), values.problem)
            continue
        for name, value in zip(batch.columns, values, strict=True):
            batch.columns[name].append(value)
        if len(batch.columns["line"]) == _BATCH:
            yield batch.record()
            batch.clear()
    if batch.columns["line"]:
        yield batch.record()


def _checked(
    row: Row | BadRow, wanted: Wanted, types: dict[CellType, int]
) -> tuple[Any, ...] | BadRow:
    """Return line, texts, labels and group of a row, or why it has not all of them."""
    if isinstance(row, BadRow):
        return row
    wrong = [why for name in wanted.texts if (why := _text_problem(row.values, name))]
    labels, kind, why = _labels(row.values, wanted)
    if labels is None:
        wrong.append(why)
    group: tuple[str, ...] = ()
    if wanted.group is not None:
        value = row.values.get(wanted.group)
        if value is None or not str(value).strip():
            wrong.append(f"has no '{wanted.group}'")
        group = (str(value),)
    if wrong:
        return BadRow(row.line, " and ".join(wrong))
    assert kind is not None, "a label has a type"
    types.setdefault(kind, row.line)
    return (row.line, *(row.values[name] for name in wanted.texts), labels, *group)


def _text_problem(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is None:
        return f"has no '{name}'"
    if not isinstance(value, str):
        return f"has no text in '{name}', but {value!r:.40}"
    if not value.strip():
        return f"has an empty '{name}'"
    if "\0" in value:
        return f"holds a NUL in '{name}'"
    return ""


def _labels(
    values: Mapping[str, Any], wanted: Wanted
) -> tuple[list[str] | None, CellType | None, str]:
    if len(wanted.labels) > 1:
        return _from_columns(values, wanted.labels)
    (name,) = wanted.labels
    value = values.get(name)
    if wanted.separator is not None and isinstance(value, str):
        parts = [part.strip() for part in value.split(wanted.separator)]
        return [part for part in parts if part], "list", ""
    texts, kind, why = cell(value)
    return texts, kind, why and f"has no label: '{name}' {why}"


def _from_columns(
    values: Mapping[str, Any], columns: Sequence[str]
) -> tuple[list[str] | None, CellType | None, str]:
    given = []
    for name in columns:
        said = is_yes(values.get(name))
        if said is None:
            return None, None, f"has {values.get(name)!r:.40} in '{name}', neither 0 nor 1"
        if said:
            given.append(name)
    return given, "list", ""


_KINDS = (
    ("not UTF-8", "rows that are not UTF-8"),
    ("NUL", "rows that hold a NUL"),
    ("field", "rows with too few or too many fields, or a wrong quote"),
    ("quote", "rows with a wrong quote"),
    ("no label", "rows without a label"),
    ("neither 0 nor 1", "rows without a label"),
    ("is empty", "empty lines"),
    ("has an empty", "rows with an empty text"),
    ("no text", "rows without a text"),
    ("has no '", "rows without a value"),
    ("JSON", "rows that are not JSON"),
)


def _kind(problem: str) -> str:
    """Return what rows with such a problem have alike, as they are counted."""
    return next((kind for part, kind in _KINDS if part in problem), "rows that cannot be read")


def _class_names(reader: RowReader, wanted: Wanted) -> tuple[str, ...] | None:
    """Return the names that `datasets` wrote into the schema for a column of whole numbers."""
    from gluetune.data.tables import declared_label_names

    schema = getattr(reader, "schema", None)
    if schema is None or len(wanted.labels) != 1:
        return None
    return declared_label_names(schema, wanted.labels[0])
