"""Rows in an Arrow file that is mapped: they are passed through a batch at a time.

What a pass has mapped is let go as it goes, so that neither the rows nor the pages that hold them
gather in memory, however many there are.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gluetune.files import cache_part, disk_errors

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
