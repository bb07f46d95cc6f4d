"""The canonical table of a split, its checks and fingerprint; rows stored on disk; text digests.

A canonical table has the task's text columns (string), its label column (int64 class ids in the
task's order, or float32 for regression; -1 is a hidden label), and its index column (int32,
unique). Nothing is null. Notes on unusual but valid rows are in the schema's metadata.

Stored rows are in a memory-mapped Arrow file in the cache. They are read a batch
at a time, and a pass releases the pages that it has read: memory does not grow with the rows.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.core.command_lines import command_line
from gluetune.core.errors import ConfigurationError, DataError, Findings
from gluetune.core.files import cache_part, disk_errors, sha256
from gluetune.core.tasks import TaskSpec
from gluetune.core.text import nearest, normalized

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


def hidden_labels(task: TaskSpec, labels: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return which of `labels` are hidden: those of -1, unless -1 is a valid label of the task."""
    low, high = task.kind.bounds(task.num_labels, task.label_range)
    mask: NDArray[np.bool_] = labels == HIDDEN_LABEL
    return mask & (not low <= HIDDEN_LABEL <= high)


def label_array(table: pa.Table, task: TaskSpec) -> NDArray[Any]:
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


def _where(mask: pa.ChunkedArray | NDArray[np.bool_]) -> list[int]:
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


BATCH = 8192
"""Rows of a batch."""
_KEPT_PAGES = 16
"""Batches after which a pass releases its pages."""


@dataclass(frozen=True)
class Stored:
    """A table whose batches are on disk."""

    table: pa.Table
    """All rows, memory-mapped."""
    mapping: mmap.mmap

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, with all or the given columns."""
        part = self.table if columns is None else self.table.select(columns)
        for number, batch in enumerate(part.to_batches(), start=1):
            yield batch
            if number % _KEPT_PAGES == 0:
                self.release()
        self.release()

    def keep(self, mask: NDArray[np.bool_]) -> Stored:
        """Write the rows that `mask`, shape (rows,), selects to disk again and return them."""
        return store(kept_batches(self.batches(), mask), self.table.schema)

    def release(self) -> None:
        """Release the pages; later reads load them from the file again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)


def kept_batches(
    batches: Iterable[pa.RecordBatch], mask: NDArray[np.bool_]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of batches that `mask`, shape (rows,), selects."""
    start = 0
    for batch in batches:
        kept = mask[start : start + len(batch)]
        start += len(batch)
        if kept.any():
            yield batch.filter(pa.array(kept))


def store(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Stored:
    """Write rows into gluetune's cache and map them. Raises StorageError where that fails."""
    folder = cache_part("rows")
    # A file without a name, where the system supports it, is removed however the process ends.
    # The mapping stays valid after the file is closed.
    with disk_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        with pa.ipc.new_stream(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        file.flush()
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    stored = Stored(pa.ipc.open_stream(pa.py_buffer(mapping)).read_all(), mapping)
    stored.release()  # opening the stream has read the offsets of each batch
    return stored


# Rows given as Python objects (pandas, datasets, Arrow), as a file, so that a run can be repeated -

_DIGITS = 12


def as_file(rows: Any, setting: str) -> str:
    """Return the path of a file with `rows`.

    Args:
        rows: A path, which is returned; or a pandas DataFrame, a datasets.Dataset or a
            pyarrow.Table, which is written to the cache.
        setting: Name of the setting, for messages.

    Raises:
        ConfigurationError: for anything else.
    """
    if isinstance(rows, str | os.PathLike):
        return os.fspath(rows)
    import pyarrow.parquet as pq

    table = _table(rows, setting)
    folder = cache_part("frames")
    with disk_errors(folder):
        handle, name = tempfile.mkstemp(dir=folder, suffix=".parquet")
        os.close(handle)
        written = Path(name)
        pq.write_table(table, written)
        path = folder / f"frame-{sha256(written)[:_DIGITS]}.parquet"
        written.replace(path)
    return str(path)


def _table(rows: Any, setting: str) -> Any:
    import pyarrow as pa

    kind = f"{type(rows).__module__}.{type(rows).__name__}"
    if isinstance(rows, pa.Table):
        return rows
    if kind.startswith("pandas.") and kind.endswith(".DataFrame"):
        try:
            return pa.Table.from_pandas(rows, preserve_index=False)
        except pa.ArrowException as error:
            raise ConfigurationError(
                f"{setting}: the data frame cannot be written: {error}",
                hint="Give every column values of one type.",
            ) from error
    if kind.startswith("datasets.") and kind.endswith(".Dataset"):
        table = rows.with_format("arrow")[:]
        return table.replace_schema_metadata(rows.features.arrow_schema.metadata)
    raise ConfigurationError(
        f"{setting}: rows cannot be read from a {kind}.",
        hint="Give the path of a file, a pandas DataFrame, a datasets.Dataset or a pyarrow.Table.",
    )


# Digests of texts ---------------------------------------------------------------------------------

# 8 bytes each: two of ten million different texts have the same digest with a probability of three
# in a million, and only a note, or the side of a split that a row is on, depends on it.
_PARTS = 16
"""Digests are sorted a sixteenth at a time, to limit the memory that sorting needs."""
_CHUNK = 2**16


def digests(texts: Iterable[pa.Array], count: int) -> NDArray[np.uint64]:
    """Return the digest of each of `count` texts, 8 bytes each; the same on every machine."""
    found = np.empty(count, dtype=np.uint64)
    start = 0
    for chunk in texts:
        raw = chunk.cast(pa.binary()).to_pylist()
        digested = b"".join([blake2b(text, digest_size=8).digest() for text in raw])
        found[start : start + len(raw)] = np.frombuffer(digested, dtype="<u8")
        start += len(raw)
    return found


def text_keys(batches: Iterable[pa.RecordBatch], count: int) -> NDArray[np.uint64]:
    """Return a key for each of `count` rows, equal for the same text or pair of texts."""
    return digests(map(_joined, batches), count)


def _joined(batch: pa.RecordBatch) -> pa.Array:
    """Return the normalized texts of a batch, those of a pair joined."""
    texts = [pa.array(map(normalized, text.to_pylist()), pa.string()) for text in batch.columns]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "\0")


def first_rows(keys: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Return for each row the first row with the same digest."""
    found = np.empty(len(keys), dtype=np.int32)
    part_of = (keys >> np.uint64(60)).astype(np.uint8)
    for part in range(_PARTS):
        rows = np.flatnonzero(part_of == part).astype(np.int32)
        rows = rows[np.argsort(keys[rows], kind="stable")]
        of_row = keys[rows]
        begins = np.flatnonzero(np.append(True, of_row[1:] != of_row[:-1])[: len(rows)])
        found[rows] = np.repeat(rows[begins], np.diff(begins, append=len(rows)))
    return found


def contained_in(keys: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which of `keys` are among `known`, which must be sorted."""
    found = np.zeros(len(keys), dtype=bool)
    for start in range(0, len(keys) if len(known) else 0, _CHUNK):
        part = keys[start : start + _CHUNK]
        at = np.minimum(np.searchsorted(known, part), len(known) - 1)
        found[start : start + _CHUNK] = known[at] == part
    return found
