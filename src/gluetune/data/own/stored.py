"""Rows stored on disk, in a memory-mapped Arrow file or a Parquet file in the cache; text digests.

Mapped rows are read a batch at a time. The pages that a pass has read are released on the way, so
that memory does not grow with the number of rows.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.core.errors import ConfigurationError
from gluetune.core.files import cache_part, disk_errors, sha256
from gluetune.core.text import normalized

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
