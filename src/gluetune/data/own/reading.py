"""Read a user's file into an Arrow table on disk: line, texts, labels, group; collect problems.

An unusable row is a finding; with `skip` it is left out and counted instead. The first rows of each
kind are shown with their lines. A remark is about something unusual that can be used.

A few thousand rows are in memory at a time, and the table is memory-mapped, so a file may be larger
than memory. Labels are not interpreted here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.core.config import UNSTATED, FileFormat
from gluetune.core.errors import DataError, Finding, GluetuneError, StorageError
from gluetune.data.formats.format import BadRow, Fault, Row, RowReader
from gluetune.data.formats.registry import detect, encoding_hint, open_rows
from gluetune.data.own.cells import CellType, cell, is_yes, listed, whole
from gluetune.data.own.columns import column_findings
from gluetune.data.tables import BATCH, Stored, store

SHOWN = 5
"""How many findings of one kind in one file are shown; the rest are counted."""


SKIP_ROWS = "Fix the file, or leave such rows out: --on-bad-row skip"
"""The hint for unusable rows, where the user has that option."""

_SINGULAR = (
    ("rows that are", "row that is"),
    ("rows", "row"),
    ("empty lines", "empty line"),
)


def counted(kind: str, count: int) -> str:
    """Return `count` rows of a kind in words: "2 rows with an empty text", "1 row with …"."""
    if count == 1:
        many, one = next((pair for pair in _SINGULAR if kind.startswith(pair[0])), ("", ""))
        kind = one + kind.removeprefix(many)
    return f"{count:,} {kind}"


@dataclass
class _Kind:
    shown: list[str] = field(default_factory=list)
    total: int = 0


class Problems:
    """Collects the problems in the files of one task."""

    def __init__(self, row_hint: str = SKIP_ROWS) -> None:
        self._row_hint = row_hint
        self._rows: dict[tuple[str, str], _Kind] = {}
        self._findings: list[Finding] = []
        self._left_out: dict[tuple[str, str], int] = {}
        self.remarks: list[str] = []
        """Notes on what is unusual but can be used."""

    def add_row(self, name: str, place: str, kind: str, problem: str) -> None:
        """Add an unusable row of file `name`; `kind` is what such rows are called in counts."""
        found = self._rows.setdefault((name, kind), _Kind())
        found.total += 1
        if found.total <= SHOWN:
            found.shown.append(f"{place} {problem}.")

    def add(self, message: str, hint: str = "") -> None:
        """Add a mistake that leaving out rows does not fix."""
        self._findings.append(Finding(message, hint))

    def remark(self, text: str) -> None:
        """Add a note on something unusual that can be used."""
        self.remarks.append(text)

    def leave_out(self, name: str, kind: str, count: int) -> None:
        """Count rows of file `name` that the user has chosen to leave out; they are no mistake."""
        self._left_out[name, kind] = count

    @property
    def skipped(self) -> Mapping[str, Mapping[str, int]]:
        """Number of rows that are left out, by file and kind."""
        counts: dict[str, dict[str, int]] = {}
        totals = {place: found.total for place, found in self._rows.items()}
        for (name, kind), total in {**self._left_out, **totals}.items():
            counts.setdefault(name, {})[kind] = total
        return counts

    @property
    def hard(self) -> tuple[Finding, ...]:
        """Mistakes that leaving out rows does not fix."""
        return tuple(self._findings)

    def findings(self) -> tuple[Finding, ...]:
        """Return all findings: unusable rows first, in the order of the files."""
        return (*self._row_findings(), *self._findings)

    def notes(self) -> list[str]:
        """Return the notes for the record: rows left out, and remarks."""
        left_out = [
            f"{name}: {', '.join(counted(kind, count) for kind, count in kinds.items())}; left out."
            for name, kinds in self.skipped.items()
        ]
        return [*left_out, *self.remarks]

    def raise_any(self, *, skip: bool) -> None:
        """Raise DataError with all findings; with `skip`, without those about rows."""
        DataError.raise_any(self.hard if skip else self.findings())

    def _row_findings(self) -> Iterator[Finding]:
        messages: list[str] = []
        for (name, kind), found in self._rows.items():
            messages += found.shown
            if (hidden := found.total - len(found.shown)) > 0:
                messages.append(f"{name}: {hidden:,} more {kind}, {found.total:,} in all.")
        yield from map(Finding, messages[:-1])
        yield from (Finding(last, self._row_hint) for last in messages[-1:])


_LARGE = 2**25
"""Characters of a batch from which it has fewer rows."""


@dataclass(frozen=True)
class Wanted:
    """The columns to read, and how their labels are written."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    group: str | None = None
    separator: str | None = None
    are_sets: bool = False
    """Whether a cell of text may be a list of labels."""
    file_format: FileFormat = UNSTATED
    """The stated format of the files."""
    are_fixed: bool = False
    """Whether a run was trained on these columns, so that others cannot be chosen."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every column, once."""
        group = () if self.group is None else (self.group,)
        return tuple(dict.fromkeys((*self.texts, *self.labels, *group)))


@dataclass(frozen=True)
class Part:
    """One of the files that rows were read from."""

    name: str
    separator: str
    before: int
    """Lines of the files before it, which are added to its own line numbers."""

    def place(self, line: int) -> str:
        """Return the place of a row, for messages."""
        return f"{self.name}{self.separator}{line - self.before}"


@dataclass(frozen=True)
class RawRows:
    """The rows of a file, or of several that are read as one."""

    name: str
    """The name of the file or files in messages."""
    parts: tuple[Part, ...]
    stored: Stored
    """Columns: `line`, `text_0`, `text_1`, `labels` (a list of text), `group`."""
    types: Mapping[CellType, int]
    """Types of the label cells, each with the first line that has it."""
    class_names: tuple[str, ...] | None = None
    """Names of classes that the file declares, by id."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.table)

    @property
    def table(self) -> pa.Table:
        """All rows, memory-mapped."""
        return self.stored.table

    def batches(self, *columns: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, with the given columns."""
        return self.stored.batches(columns)

    def texts(self) -> Iterator[pa.RecordBatch]:
        """Yield the texts of the rows in order."""
        names = self.table.column_names
        return self.batches(*[name for name in names if name.startswith("text_")])

    def line(self, row: int) -> int:
        """Return the line on which a row starts."""
        line: int = self.table["line"][int(row)].as_py()
        return line

    def place(self, line: int) -> str:
        """Return the place of a row, for messages."""
        after = bisect_left([part.before for part in self.parts], line)
        return self.parts[after - 1].place(line)

    def short_place(self, line: int) -> str:
        """Return the place of a row after another has been named: "line 7", "row 7"."""
        if len(self.parts) > 1:
            return self.place(line)
        return f"{self.parts[0].separator.strip(', ').replace(':', 'line')} {line}"

    def keep(self, mask: NDArray[np.bool_]) -> RawRows:
        """Return the rows that `mask`, shape (rows,), selects."""
        return replace(self, stored=self.stored.keep(mask))


def read_rows(paths: Path | Sequence[Path], wanted: Wanted, problems: Problems) -> RawRows | None:
    """Read a file, or several as one, and add what is wrong to `problems`.

    Returns None where a file could not be read or there are no usable rows. Raises StorageError
    where the cache cannot be written.
    """
    paths = [paths] if isinstance(paths, Path) else paths
    name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    reading = _Reading(wanted, problems)
    try:
        stored = store(reading.batches(paths), reading.schema)
    except _MissingColumnsError:
        return None
    except StorageError:
        raise  # nothing is wrong with the file
    except GluetuneError as error:
        guess = encoding_hint(reading.path)
        for finding in error.findings:
            problems.add(finding.message, guess or finding.hint)
        return None
    for path in paths:
        if Fault.NOT_UTF8 in problems.skipped.get(str(path), ()):
            problems.add(f"{path} is not all UTF-8.", encoding_hint(path))
    found = RawRows(name, tuple(reading.parts), stored, reading.types, reading.class_names)
    if not len(found):
        problems.add(f"{name} has no usable rows.")
        return None
    return found


class _MissingColumnsError(Exception):
    """A file lacks columns, which has been added to the problems."""


class _Reading:
    """Reads files in batches, and collects what is found out about them."""

    def __init__(self, wanted: Wanted, problems: Problems) -> None:
        self.wanted = wanted
        self.problems = problems
        self.schema = pa.schema(
            [("line", pa.int32())]
            + [(f"text_{number}", pa.string()) for number in range(len(wanted.texts))]
            + [("labels", pa.list_(pa.string()))]
            + ([("group", pa.string())] if wanted.group is not None else [])
        )
        self.path = Path()
        """The file that is being read."""
        self.parts: list[Part] = []
        self.types: dict[CellType, int] = {}
        self.class_names: tuple[str, ...] | None = None
        self._lines = 0

    def batches(self, paths: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Yield the usable rows. Raises GluetuneError and _MissingColumnsError."""
        rows: list[tuple[Any, ...]] = []
        characters = 0
        for path in paths:
            for row in self._read(path):
                rows.append(row)
                characters += sum(len(value) for value in row if isinstance(value, str))
                if len(rows) == BATCH or characters > _LARGE:
                    yield self._batch(rows)
                    rows, characters = [], 0
        if rows:
            yield self._batch(rows)

    def _batch(self, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
        columns = zip(zip(*rows, strict=True), self.schema.types, strict=True)
        return pa.record_batch([pa.array(*column) for column in columns], schema=self.schema)

    def _read(self, path: Path) -> Iterator[tuple[Any, ...]]:
        """Yield the usable rows of a file."""
        self.path = path
        found = detect(path, self.wanted.file_format)
        for note in found.notes:
            self.problems.remark(note)
        with open_rows(path, found.format, wanted=self.wanted.all, dialect=found.dialect) as reader:
            if wrong := column_findings(path, found, reader, self.wanted):
                for finding in wrong:
                    self.problems.add(finding.message, finding.hint)
                raise _MissingColumnsError
            self._add_class_names(reader)
            part = Part(reader.name, reader.separator, self._lines)
            self.parts.append(part)
            yield from self._rows(reader, part)

    def _rows(self, reader: RowReader, part: Part) -> Iterator[tuple[Any, ...]]:
        has_wrong_quotes = False
        for row in reader:
            self._lines = part.before + row.line
            values = _checked(row._replace(line=self._lines), self.wanted, self.types)
            if isinstance(values, BadRow):
                place = part.place(values.line)
                self.problems.add_row(reader.name, place, values.fault, values.problem)
                has_wrong_quotes |= values.fault is Fault.QUOTE
            else:
                yield values
        if has_wrong_quotes and self.wanted.file_format.quoting == "auto":
            self.problems.remark(
                f"{reader.name}: if quotes are plain characters and do not enclose fields, type: "
                "--quoting none"
            )

    def _add_class_names(self, reader: RowReader) -> None:
        names = _class_names(reader, self.wanted)
        if self.parts and names != self.class_names:
            self.problems.add(
                f"{reader.name} declares different classes than {self.parts[0].name}.",
                "Write both with the same classes in the same order.",
            )
        self.class_names = names


def _checked(
    row: Row | BadRow, wanted: Wanted, types: dict[CellType, int]
) -> tuple[Any, ...] | BadRow:
    """Return line, texts, labels and group of a row, or a BadRow where one is invalid."""
    if isinstance(row, BadRow):
        return row
    wrong = [found for name in wanted.texts if (found := _text_fault(row.values, name))]
    labels, kind, found = _labels(row.values, wanted)
    if found is not None:
        wrong.append(found)
    group: tuple[str, ...] = ()
    if wanted.group is not None:
        value = row.values.get(wanted.group)
        if value is None or not str(value).strip():
            wrong.append((Fault.NO_VALUE, f"has no '{wanted.group}'"))
        group = (str(value),)
    if wrong:
        return BadRow(row.line, " and ".join(problem for _, problem in wrong), wrong[0][0])
    assert kind is not None, "a label has a type"
    types.setdefault(kind, row.line)
    return (row.line, *(row.values[name] for name in wanted.texts), labels, *group)


_Wrong = tuple[Fault, str]


def _text_fault(values: Mapping[str, Any], name: str) -> _Wrong | None:
    value = values.get(name)
    if value is None:
        return Fault.NO_VALUE, f"has no '{name}'"
    if not isinstance(value, str):
        return Fault.NO_TEXT, f"has no text in '{name}', but {value!r:.40}"
    if not value.strip():
        return Fault.EMPTY_TEXT, f"has an empty '{name}'"
    return (Fault.NUL, f"has a NUL in '{name}'") if "\0" in value else None


def _labels(
    values: Mapping[str, Any], wanted: Wanted
) -> tuple[list[str], CellType | None, _Wrong | None]:
    """Return a row's labels and the type of their cell, or what is wrong with them."""
    if len(wanted.labels) > 1:
        return _from_columns(values, wanted.labels)
    (name,) = wanted.labels
    value = values.get(name)
    if wanted.are_sets and isinstance(value, str) and (items := listed(value)) is not None:
        return items, "list", None
    if wanted.separator is not None and isinstance(value, str):
        parts = [part.strip() for part in value.split(wanted.separator)]
        return [part for part in parts if part], "list", None
    texts, kind, why = cell(value)
    if texts is None:
        return [], None, (Fault.NO_LABEL, f"has no label: '{name}' {why}")
    return texts, kind, None


def _from_columns(
    values: Mapping[str, Any], columns: Sequence[str]
) -> tuple[list[str], CellType | None, _Wrong | None]:
    given = []
    for name in columns:
        has_label = is_yes(values.get(name))
        if has_label is None:
            problem = f"has {values.get(name)!r:.40} in '{name}', neither 0 nor 1"
            return [], None, (Fault.NO_LABEL, problem)
        if has_label:
            given.append(name)
    return given, "list", None


def _class_names(reader: RowReader, wanted: Wanted) -> tuple[str, ...] | None:
    """Return the class names that `datasets` wrote into the schema for the label column."""
    from gluetune.data.tables import declared_label_names

    schema = getattr(reader, "schema", None)
    if schema is None or len(wanted.labels) != 1:
        return None
    return declared_label_names(schema, wanted.labels[0])


# Multi-hot lists: a zero or a one for each label of a task ----------------------------------------


def from_multi_hot(rows: RawRows, column: str, problems: Problems) -> RawRows:
    """Replace multi-hot lists by the positions of their ones; return other rows unchanged."""
    count = _multi_hot_length(rows)
    if count is None:
        return rows
    problems.remark(
        f"'{column}' of {rows.name} has lists of {count} zeros and ones: they are read as labels 0 "
        f"to {count - 1}; a one at the first position is label 0."
    )
    return replace(rows, stored=store(_with_positions(rows), rows.table.schema))


def _multi_hot_length(rows: RawRows) -> int | None:
    """Return the length of multi-hot lists; None where the labels are not multi-hot.

    Lists of two that are always different may be sets of the ids 0 and 1.
    """
    if set(rows.types) != {"list"}:
        return None
    lengths: set[int] = set()
    is_set = True
    for batch in rows.batches("labels"):
        lengths |= set(pc.unique(pc.list_value_length(batch["labels"])).to_pylist())
        bits = _bits(batch["labels"].flatten())
        if bits is None or len(lengths) > 1 or lengths == {0}:
            return None
        table = bits.reshape(len(batch), -1)
        is_set &= table.shape[1] == 2 and bool((table[:, 0] != table[:, 1]).all())
    (count,) = lengths
    return None if count < 2 or is_set else count


def _bits(values: pa.Array) -> NDArray[np.bool_] | None:
    """Return which values are 1; None where one is neither 0 nor 1."""
    encoded = values.dictionary_encode()
    names = [whole(value) for value in encoded.dictionary.to_pylist()]
    if not {*names} <= {"0", "1"}:
        return None
    are_ones = np.array([name == "1" for name in names], dtype=bool)
    found: NDArray[np.bool_] = are_ones[encoded.indices.to_numpy()]
    return found


def _with_positions(rows: RawRows) -> Iterator[pa.RecordBatch]:
    number = rows.table.schema.get_field_index("labels")
    for batch in rows.stored.batches():
        bits = _bits(batch["labels"].flatten())
        assert bits is not None, "all are zeros and ones"
        table = bits.reshape(len(batch), -1)
        offsets = np.concatenate([[0], np.cumsum(table.sum(axis=1))]).astype(np.int32)
        names = pa.array([str(position) for position in np.nonzero(table)[1]], pa.string())
        yield batch.set_column(number, "labels", pa.ListArray.from_arrays(offsets, names))
