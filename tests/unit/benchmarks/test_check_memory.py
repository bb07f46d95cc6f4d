"""Each call of `benchmarks.check_memory` adds its lines to the table."""

from __future__ import annotations

from pathlib import Path

from benchmarks.check_memory import _measure, _write, report


def test_lines_are_added_to_existing_ones() -> None:
    first = report([("csv", 1000, 0.1, 150.2, 9000.4, 100.0)])
    second = report([("parquet", 2000, 0.1, 151.0, 9000.0, 100.0)], first)
    lines = [line for line in second.splitlines() if line.startswith(("| csv", "| parquet"))]
    assert lines == [
        "| csv | 1,000 | 0.1 MB | 150 MiB | 9,000 | 100 MiB |",
        "| parquet | 2,000 | 0.1 MB | 151 MiB | 9,000 | 100 MiB |",
    ]


def test_a_generated_file_is_good_and_measured(tmp_path: Path) -> None:
    for name in ("rows.csv", "rows.parquet"):
        _write(tmp_path / name, 300)
        peak, seconds, _ = _measure(tmp_path / name)
        assert peak > 0
        assert seconds > 0
