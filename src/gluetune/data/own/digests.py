"""Which texts are the same, of any number of texts: by 8 bytes of each.

Two of ten million different texts have one digest with a probability of three in a million; what
hangs on it is a remark, or on which side of a split a row stands.

Rows in an Arrow file that is mapped: they are passed through a batch at a time.

What a pass has mapped is let go as it goes, so that neither the rows nor the pages that hold them
gather in memory, however many there are.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.core.files import cache_part, disk_errors
from gluetune.core.text import normalized

_PARTS = 16
"""Digests are sorted a sixteenth at a time, for the sake of what sorting needs besides."""
_AT_ONCE = 2**16


def digests(texts: Iterable[pa.Array], count: int) -> NDArray[np.uint64]:
    """Return the digest of each of `count` texts, 8 bytes each. They are the same anywhere."""
    found = np.empty(count, dtype=np.uint64)
    start = 0
    for chunk in texts:
        raw = chunk.cast(pa.binary()).to_pylist()
        digested = b"".join([blake2b(text, digest_size=8).digest() for text in raw])
        found[start : start + len(raw)] = np.frombuffer(digested, dtype="<u8")
        start += len(raw)
    return found


def text_keys(batches: Iterable[pa.RecordBatch], count: int) -> NDArray[np.uint64]:
    """Return a key of each of `count` rows' texts, of the two of a pair: equal for the same."""
    return digests(map(_joined, batches), count)


def _joined(batch: pa.RecordBatch) -> pa.Array:
    """Return the texts of a batch, normalized, the two of a pair as one."""
    texts = [pa.array(map(normalized, text.to_pylist()), pa.string()) for text in batch.columns]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "\0")


def first_rows(keys: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Return the first row with the same digest, for each row: its own where there is none."""
    found = np.empty(len(keys), dtype=np.int32)
    part_of = (keys >> np.uint64(60)).astype(np.uint8)
    for part in range(_PARTS):
        rows = np.flatnonzero(part_of == part).astype(np.int32)
        rows = rows[np.argsort(keys[rows], kind="stable")]
        of_row = keys[rows]
        begins = np.flatnonzero(np.append(True, of_row[1:] != of_row[:-1])[: len(rows)])
        found[rows] = np.repeat(rows[begins], np.diff(begins, append=len(rows)))
    return found


def stand_in(keys: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which of `keys` are among `known`, which are sorted."""
    found = np.zeros(len(keys), dtype=bool)
    for start in range(0, len(keys) if len(known) else 0, _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        at = np.minimum(np.searchsorted(known, part), len(known) - 1)
        found[start : start + _AT_ONCE] = known[at] == part
    return found


BATCH = 8192
"""Rows that are in memory at once."""
_KEPT_PAGES = 16
"""Batches after which a pass gives its pages back."""


@dataclass(frozen=True)
class Stored:
    """A table whose batches lie on disk."""

    table: pa.Table
    """All rows, mapped."""
    mapping: mmap.mmap

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, of all columns or of those named."""
        part = self.table if columns is None else self.table.select(columns)
        for number, batch in enumerate(part.to_batches(), start=1):
            yield batch
            if number % _KEPT_PAGES == 0:
                self.let_go()
        self.let_go()

    def keep(self, mask: NDArray[np.bool_]) -> Stored:
        """Return the rows that `mask`, shape (rows,), says, on disk of their own."""
        return store(self._kept(mask), self.table.schema)

    def _kept(self, mask: NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in self.batches():
            kept = mask[start : start + len(batch)]
            start += len(batch)
            if kept.any():
                yield batch.filter(pa.array(kept))

    def let_go(self) -> None:
        """Unmap the pages; whoever still reads them gets them again from the file."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)


def store(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Stored:
    """Write rows into gluetune's cache and map them. Raises StorageError where they cannot lie."""
    folder = cache_part("rows")
    # Without a name where the system can do that: nothing is left behind, however the process ends.
    # The mapping outlives the file.
    with disk_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        with pa.ipc.new_stream(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        file.flush()
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    stored = Stored(pa.ipc.open_stream(pa.py_buffer(mapping)).read_all(), mapping)
    stored.let_go()  # where each batch begins has been read
    return stored
