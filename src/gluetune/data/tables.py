"""The canonical table of a split, its checks, and its fingerprint.

A canonical table has the task's text columns (string), its label column (int64 class ids in the
task's order, or float32 for regression; -1 is a hidden label), and its index column (int32,
unique). Nothing is null. Notes on unusual but valid rows are in the schema's metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gluetune.core.command_lines import command_line
from gluetune.core.errors import DataError, Findings
from gluetune.core.tasks import TaskSpec
from gluetune.core.text import nearest

HIDDEN_LABEL = -1
"""The value of a label that is hidden, in class ids and in regression alike."""

TOLERATED_EMPTY_SHARE = 0.01
"""Share of rows that may have an empty text: QQP as published has a few, a wrong column many."""

Locate = Callable[[int], str]
"""Returns the place of a row, given by its position in the table: `file:line`."""

_HASHED_ROWS = 2**16
_NOTES_KEY = b"gluetune.notes"


def canonical_schema(task: TaskSpec) -> pa.Schema:
    """Return the columns and types of a canonical table of `task`."""
    texts = [(column, pa.string()) for column in task.text_columns]
    label = task.kind.column_type(task.num_labels)
    return pa.schema([*texts, (task.label_column, label), (task.index_column, pa.int32())])


SHOWN = 10
"""How many findings in a table are shown; the rest are counted, since every row may be wrong."""


def table_findings() -> Findings:
    """Return a collector of findings in a table."""
    return Findings(DataError, most=SHOWN)


def canonical_table(
    table: pa.Table,
    task: TaskSpec,
    split: str,
    *,
    place: str,
    locate: Locate,
    findings: Findings | None = None,
    notes: Sequence[str] = (),
) -> pa.Table:
    """Check `table` as the `split` of `task` and return it in canonical form.

    Args:
        table: Rows with the task's columns, in any order.
        task: The task.
        split: Name of the split; only test splits may hide labels.
        place: The file or folder, for messages.
        locate: Returns the place of a row, for messages.
        findings: The caller's findings, to be reported together with those here.
        notes: The caller's notes.

    Raises:
        DataError: with every finding: missing columns, wrong types, null or empty text, unknown or
            hidden labels, label names in another order than the task's, repeated indices, no rows.
    """
    findings = findings if findings is not None else table_findings()
    present = _check_columns(table, task, place, findings)
    if not table.num_rows and not findings.total:
        findings.add(f"{place} has no rows.")
    _check_label_names(table, task, place, findings)
    empty_notes: list[str] = []
    for column in present & set(task.text_columns):
        empty_notes += _check_text(table[column], column, place, locate, findings)
    if task.label_column in present:
        _check_labels(table[task.label_column], task, split, place, locate, findings)
    if task.index_column in present:
        _check_index(table[task.index_column], task, place, locate, findings)
    findings.raise_any()
    schema = canonical_schema(task)
    plain = table.select(schema.names).replace_schema_metadata(None).cast(schema)
    return with_notes(plain, [*notes, *sorted(empty_notes)])


def with_notes(table: pa.Table, notes: Sequence[str]) -> pa.Table:
    """Return `table` with its notes replaced."""
    metadata = {_NOTES_KEY: json.dumps(list(notes)).encode()} if notes else None
    return table.replace_schema_metadata(metadata)


def notes_of(table: pa.Table) -> tuple[str, ...]:
    """Return the notes of a table: rows left out, empty texts."""
    return tuple(json.loads((table.schema.metadata or {}).get(_NOTES_KEY, b"[]")))


def hidden_labels(task: TaskSpec, labels: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Return which of `labels` are hidden: those of -1, unless -1 is a valid label of the task."""
    low, high = task.kind.bounds(task.num_labels, task.label_range)
    mask: npt.NDArray[np.bool_] = labels == HIDDEN_LABEL
    return mask & (not low <= HIDDEN_LABEL <= high)


def label_array(table: pa.Table, task: TaskSpec) -> npt.NDArray[Any]:
    """Return the labels of a canonical table: shape (rows,), or (rows, labels) for multi-label."""
    return task.kind.array(table.column(task.label_column), task.num_labels)


def fingerprint(table: pa.Table) -> str:
    """Return the SHA-256 (hex) of the rows of a canonical table, in their order.

    It does not depend on source, chunks, column order, notes, or string and integer widths. Columns
    are hashed by name, each with all its lengths and values.
    """
    digest = hashlib.sha256(str(table.num_rows).encode())
    for name in sorted(table.column_names):
        digest.update(b"\0column\0" + name.encode() + b"\0")
        for part in _canonical_bytes(table[name]):
            digest.update(part)
    return digest.hexdigest()


def _canonical_bytes(column: pa.ChunkedArray) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a column to hash, some rows at a time: of text all lengths first."""
    if pa.types.is_floating(column.type):
        for part in _parts(column.cast(pa.float32())):
            values = part.to_numpy(zero_copy_only=False)
            yield (values + np.float32(0)).astype("<f4").tobytes()  # + 0 turns -0.0 into 0.0
    elif pa.types.is_integer(column.type):
        for part in _parts(column):
            yield _integer_bytes(part)
    elif pa.types.is_fixed_size_list(column.type):
        for part in _parts(column):
            yield _integer_bytes(part.flatten())
    else:
        for part in _parts(column):
            lengths = pc.binary_length(_large(part)).to_numpy(zero_copy_only=False)
            yield lengths.astype("<i8").tobytes()
        for part in _parts(column):
            yield _string_bytes(_large(part))


def _parts(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    for chunk in column.chunks:
        for start in range(0, len(chunk), _HASHED_ROWS):
            yield chunk.slice(start, _HASHED_ROWS)


def _integer_bytes(values: pa.Array) -> bytes:
    integers: bytes = values.cast(pa.int64()).to_numpy().astype("<i8").tobytes()
    return integers


def _large(texts: pa.Array) -> pa.LargeBinaryArray:
    return texts.cast(pa.large_string()).cast(pa.large_binary())


def _string_bytes(column: pa.LargeBinaryArray) -> memoryview:
    """Return the concatenated bytes of all strings, without a copy."""
    _, offsets_buffer, data = column.buffers()
    if not len(column) or data is None:
        return memoryview(b"")
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)
    return memoryview(data)[offsets[column.offset] : offsets[column.offset + len(column)]]


def _check_columns(table: pa.Table, task: TaskSpec, place: str, findings: Findings) -> set[str]:
    present = set()
    for column in canonical_schema(task).names:
        count = table.column_names.count(column)
        if count == 1:
            present.add(column)
        elif count:
            findings.add(f"{place} has {count} columns called '{column}'.")
        else:
            findings.add(
                f"{place} has no column '{column}'.",
                hint=f"{nearest(column, table.column_names)}"
                f"Its columns: {', '.join(table.column_names) or 'none'}.",
            )
    return present


def _check_label_names(table: pa.Table, task: TaskSpec, place: str, findings: Findings) -> None:
    names = declared_label_names(table.schema, task.label_column)
    if names is not None and names != task.labels:
        findings.add(
            f"{place} declares the labels {_quoted(names)}, in this order; "
            f"'{task.name}' has {_quoted(task.labels) if task.labels else 'numbers, no classes'}.",
            hint="The ids would mean other classes: write the file again in the task's order.",
        )


def declared_label_names(schema: pa.Schema, label_column: str) -> tuple[str, ...] | None:
    """Return the class names that `datasets` wrote into the schema, None where it wrote none."""
    raw = (schema.metadata or {}).get(b"huggingface")
    if raw is None:
        return None
    try:
        names = json.loads(raw)["info"]["features"][label_column]["names"]
    except (ValueError, KeyError, TypeError):
        return None  # the label is not a ClassLabel, or another tool used this key
    if isinstance(names, dict):  # datasets before 2.0 wrote {"0": name, ...}
        names = [names[key] for key in sorted(names, key=int)]
    return tuple(names)


def _check_text(
    column: pa.ChunkedArray, name: str, place: str, locate: Locate, findings: Findings
) -> list[str]:
    if not _is_string(column.type):
        findings.add(f"{place}: column '{name}' holds {column.type}, not text.")
        return []
    findings.add_rows(_where(column.is_null()), lambda row: f"{locate(row)}: '{name}' is null.")
    blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(column.cast(pa.large_string()))), 0)
    rows = _where(pc.fill_null(blank, False))
    if len(rows) > TOLERATED_EMPTY_SHARE * len(column):
        findings.add_rows(rows, lambda row: f"{locate(row)}: '{name}' is empty.")
        return []
    return [f"{len(rows)} with an empty '{name}', first {locate(rows[0])}."] if rows else []


def _check_labels(
    column: pa.ChunkedArray,
    task: TaskSpec,
    split: str,
    place: str,
    locate: Locate,
    findings: Findings,
) -> None:
    expected = task.kind.expected(task.labels, task.label_range)
    if not task.kind.accepts(column.type):
        findings.add(
            f"{place}: column '{task.label_column}' holds {column.type}; expected {expected}."
        )
        return
    findings.add_rows(
        _where(column.is_null()), lambda row: f"{locate(row)}: '{task.label_column}' is null."
    )
    labels = column.cast(pa.float64()).to_numpy()
    hidden = hidden_labels(task, labels)
    low, high = task.kind.bounds(task.num_labels, task.label_range)
    known = hidden | (np.isfinite(labels) & (labels >= low) & (labels <= high))
    unknown = ~known & ~column.is_null().to_numpy()
    findings.add_rows(
        _where(unknown),
        lambda row: f"{locate(row)}: label {column[row]}; expected {expected}.",
    )
    if hidden.any() and split not in task.test_splits:
        first = int(hidden.argmax())
        findings.add(
            f"{hidden.sum()} labels of '{split}' are hidden (-1), first {locate(first)}.",
            hint="Only test splits may hide labels.",
        )


def _check_index(
    column: pa.ChunkedArray, task: TaskSpec, place: str, locate: Locate, findings: Findings
) -> None:
    if not pa.types.is_integer(column.type):
        findings.add(f"{place}: '{task.index_column}' holds {column.type}, not integers.")
    elif column.null_count:
        first = _where(column.is_null())[0]
        findings.add(
            f"{column.null_count} of '{task.index_column}' are null, first {locate(first)}."
        )
    elif len(column) and not 0 <= pc.min(column).as_py() <= pc.max(column).as_py() < 2**31:
        findings.add(f"{place}: '{task.index_column}' must be between 0 and 2147483647.")
    elif pc.count_distinct(column).as_py() != len(column):
        repeated = len(column) - pc.count_distinct(column).as_py()
        findings.add(f"{place}: {repeated} values of '{task.index_column}' are repeated.")


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _where(mask: pa.ChunkedArray | npt.NDArray[np.bool_]) -> list[int]:
    flags = mask if isinstance(mask, np.ndarray) else mask.to_numpy()
    return [int(row) for row in np.flatnonzero(flags)]


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


# Splits that a source does not have ---------------------------------------------------------------


def require_split(task: TaskSpec, split: str, available: Sequence[str], *, place: str) -> None:
    """Raise DataError unless `split` is among the `available` ones of `place`."""
    if split not in available:
        raise missing_split(task, split, available, place=place)


def missing_split(task: TaskSpec, split: str, available: Sequence[str], *, place: str) -> DataError:
    """Return the error for a missing split, with the available ones and what to type."""
    listed = ", ".join(available) or "none"
    if split == "train" and task.train_split is None:
        return DataError(
            f"'{task.name}' has no training split. Its splits in {place}: {listed}.",
            hint=f"A model of '{task.trained_as}' predicts it. Type: "
            + command_line("train", task.trained_as),
        )
    return DataError(
        f"'{task.name}' has no split '{split}' in {place}. Splits there: {listed}.",
        hint=nearest(split, available).rstrip() or _elsewhere(task, split, available),
    )


def _elsewhere(task: TaskSpec, split: str, available: Sequence[str]) -> str:
    if split in task.splits:
        return "Use other data: --data sample, or --data DIR."
    if not available:
        return f"Splits: {', '.join(task.splits)}."
    # Train can be evaluated too, but is unlikely to be meant.
    likely = [name for name in available if name in task.validation_splits] or available
    return f"Type: --split {likely[0]}"
