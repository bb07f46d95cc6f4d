"""Peak memory and rows per second of `gluetune predict` on CSV files of growing length.

    python -m benchmarks.predict_memory --write benchmarks/results/predict-memory.md

Memory should not grow with the file. Every file is predicted by a process of its own, whose peak is
what the system counted. `tiny` is a random BERT (2 layers of 32), so that a million rows take
minutes: its rate is that of reading, tokenizing, batching and writing. `--model RUN` measures
another, with fewer rows.
"""

from __future__ import annotations

import argparse
import platform
import random
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

_WORDS = ("rain", "kettle", "under", "seven", "blue", "walks", "often", "river", "a", "quietly")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", type=Path, default=None)
    parser.add_argument("--child", nargs=2, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(*_measure(options.model, Path(options.child[0]), options.threads))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = [_row(Path(folder), count, options) for count in options.rows]
    table = report(options.model, options.threads, rows)
    print(table)
    if options.write:
        options.write.write_text(table, encoding="utf-8")


def report(model: str, threads: int, rows: list[tuple[int, float, float, float]]) -> str:
    """Return the table as Markdown. A row: rows, MB of the file, MiB of the peak, rows a second."""
    lines = [
        "# Memory of `gluetune predict`",
        "",
        "| rows | file | peak memory of the process | rows/s |",
        "|---|---|---|---|",
        *(
            f"| {n:,} | {size:.1f} MB | {peak:,.0f} MiB | {rate:,.0f} |"
            for n, size, peak, rate in rows
        ),
    ]
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    chosen = "" if model == "tiny" else f" --model {model}"
    return "\n".join(
        [
            *lines,
            "",
            f"Model {model}, {_processor()}, {threads} threads, fp32, Python "
            f"{platform.python_version()}, {packages}; made by `python -m benchmarks.predict_memory"
            f"{chosen}`.",
            "",
        ]
    )


def _row(folder: Path, count: int, options: argparse.Namespace) -> tuple[int, float, float, float]:
    path = _write_csv(folder / f"{count}.csv", count)
    model = str(_tiny(folder / "tiny")) if options.model == "tiny" else options.model
    command = [sys.executable, "-m", "benchmarks.predict_memory", "--model", model]
    command += ["--threads", str(options.threads), "--child", str(path), "measure"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, rate = map(float, done.stdout.split()[-2:])
    size = path.stat().st_size / 1e6
    print(f"{count:,} rows: {peak:,.0f} MiB, {rate:,.0f} rows/s", file=sys.stderr)
    return count, size, peak, rate


def _measure(model: str, path: Path, threads: int) -> tuple[float, float]:
    """Predict a file in this process; return its peak in MiB and its rows per second."""
    import gluetune

    predictor = gluetune.load(model, precision="fp32", threads=threads)
    found = gluetune.predict(predictor, path, output=path.with_name("answered.csv"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return peak, found.rows_per_second


def _write_csv(path: Path, count: int) -> Path:
    draw = random.Random(count)
    with path.open("w", encoding="utf-8") as file:
        file.write("id,text\n")
        for row in range(count):
            file.write(f"{row:07d},{' '.join(draw.choices(_WORDS, k=draw.randint(4, 16)))}\n")
    return path


def _tiny(folder: Path) -> Path:
    from tests.support.tiny_checkpoints import write_tiny_checkpoint

    if folder.exists():
        return folder
    return write_tiny_checkpoint(folder, "bert", id2label={0: "negative", 1: "positive"})


def _processor() -> str:
    from gluetune.inference.devices import device, device_name

    return device_name(device())


if __name__ == "__main__":
    main()
