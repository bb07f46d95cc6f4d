"""Rows stored on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from gluetune.data.tables import store

SCHEMA = pa.schema([("line", pa.int32())])


def test_rows_that_are_written_leave_no_file_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for a process that is killed: the file has no name."""
    monkeypatch.setenv("GLUETUNE_CACHE", str(tmp_path))
    seen: list[list[Path]] = []

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array([1, 2], pa.int32())], schema=SCHEMA)
        seen.append(list((tmp_path / "rows").iterdir()))

    stored = store(batches(), SCHEMA)
    assert seen == [[]]
    assert stored.table["line"].to_pylist() == [1, 2]
