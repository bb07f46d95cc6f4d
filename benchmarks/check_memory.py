"""Peak memory and rows per second of `gluetune check` on files of growing length.

    python -m benchmarks.check_memory --write benchmarks/results/check-memory.md

Every file is checked by a process of its own, whose peak is what the system counted. The same
process then does what `gluetune train` does before it loads a model: it reads the rows, splits them
and takes their fingerprints. Tables for training are mapped from disk, and mapped pages are the
system's to take back, so the figure for that is the memory that is no file's.
"""

from __future__ import annotations

import argparse
import platform
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

_WORDS = ("rain", "kettle", "under", "seven", "blue", "walks", "often", "river", "a", "quietly")
_FORMATS = ("csv", "parquet")
_AT_ONCE = 100_000
_HEADER = (
    "| file | rows | size | check: peak memory | check: rows/s | read, split, fingerprints: memory "
    "that is no file's |"
)
Row = tuple[str, int, float, float, float, float]
"""Format, rows, MB of the file, peak MiB of the check, its rows a second, MiB of a run."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument(
        "--formats", nargs="*", choices=["csv", "parquet"], default=["csv", "parquet"]
    )
    parser.add_argument("--write", type=Path, default=None, help="Rows are added to those it has.")
    parser.add_argument("--child", type=Path, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(*_measure(options.child))
        return
    rows = []
    for kind in options.formats:
        for count in options.rows:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(_row(Path(folder) / f"rows.{kind}", count))
    known = (
        options.write.read_text(encoding="utf-8")
        if options.write and options.write.exists()
        else ""
    )
    table = report(rows, known)
    print(table)
    if options.write:
        options.write.write_text(table, encoding="utf-8")


def report(rows: list[Row], known: str = "") -> str:
    """Return the table as Markdown: the lines of one that is `known`, and `rows` behind them."""
    from gluetune.inference.devices import device, device_name

    before = [line for line in known.splitlines() if line.startswith(("| csv |", "| parquet |"))]
    lines = [
        f"| {kind} | {count:,} | {size:,.1f} MB | {peak:,.0f} MiB | {rate:,.0f} | {held:,.0f} MiB |"
        for kind, count, size, peak, rate, held in rows
    ]
    return "\n".join(
        [
            "# Memory of `gluetune check`",
            "",
            _HEADER,
            "|---|---|---|---|---|---|",
            *before,
            *lines,
            "",
            f"Texts of 5 to 17 words that differ, two classes. {device_name(device())}, one "
            f"thread, Python {platform.python_version()}, pyarrow {version('pyarrow')}, "
            f"numpy {version('numpy')}; "
            "made by `python -m benchmarks.check_memory`.",
            "",
        ]
    )


def _row(path: Path, count: int) -> Row:
    kind = path.suffix.removeprefix(".")
    _write(path, count)
    command = [sys.executable, "-m", "benchmarks.check_memory", "--child", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, seconds, held = map(float, done.stdout.split()[-3:])
    print(
        f"{kind}, {count:,} rows: {peak:,.0f} MiB, {count / seconds:,.0f} rows/s", file=sys.stderr
    )
    return kind, count, path.stat().st_size / 1e6, peak, count / seconds, held


def _measure(path: Path) -> tuple[float, float, float]:
    """Return the MiB and the seconds of a check, and the private MiB of reading to train."""
    from gluetune.core.config import make_config
    from gluetune.data.own.source import OwnSource
    from gluetune.data.tables import fingerprint
    from gluetune.inference.file_checks import check_files

    begun = time.perf_counter()
    found = check_files(path)
    seconds = time.perf_counter() - begun
    assert found.are_good, found.findings
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with _Private() as private:
        own = OwnSource(make_config({"train_file": str(path)})).own
        prints = {split: fingerprint(table) for split, table in own.tables.items()}
    assert set(prints) == {"train", "validation"}
    return peak, seconds, private.most


class _Private:
    """Watches the memory of this process that is no mapped file's. Linux only."""

    most = 0.0
    """The most that there was, in MiB."""

    def __enter__(self) -> _Private:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            told = Path("/proc/self/status").read_text(encoding="ascii")
            found = next(line for line in told.splitlines() if line.startswith("RssAnon:"))
            self.most = max(self.most, int(found.split()[1]) / 1024)


def _write(path: Path, count: int) -> None:
    schema = pa.schema([("id", pa.int64()), ("text", pa.string()), ("label", pa.string())])
    writer = (pa.csv.CSVWriter if path.suffix == ".csv" else pq.ParquetWriter)(path, schema)
    with writer:
        for batch in _batches(count, schema):
            writer.write_batch(batch)


def _batches(count: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    draw = random.Random(count)
    sentences = [" ".join(draw.choices(_WORDS, k=draw.randint(4, 16))) for _ in range(10_000)]
    for start in range(0, count, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, count))
        texts = [f"{draw.choice(sentences)} {number}" for number in numbers]
        labels = draw.choices(("pos", "neg"), k=len(numbers))
        yield pa.record_batch([numbers, texts, labels], schema=schema)


if __name__ == "__main__":
    main()
