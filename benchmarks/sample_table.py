"""What the default checkpoint learns from `sample`, with the default recipe: all nine tasks.

    python benchmarks/sample_table.py --runs FOLDER --write benchmarks/results/sample.md

Runs that FOLDER already holds are not repeated. A score on `sample` says that training works; it
says nothing about GLUE.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gluetune
from gluetune.core.records import Record


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/sample"))
    parser.add_argument("--tasks", nargs="*", default=list(gluetune.GLUE_TASKS))
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args()
    records = [_record(task, options.runs / task, options.threads) for task in options.tasks]
    table = report(records)
    print(table)
    if options.write:
        options.write.write_text(table, encoding="utf-8")


def report(records: list[Record]) -> str:
    """Return the table as Markdown."""
    lines = [
        "# What MiniLM learns from `sample`",
        "",
        "`--model minilm --data sample`, all else by default; one seed (42). Scores are of the "
        "best epoch on validation. They say that training works, and nothing about GLUE.",
        "",
        "| task | rows | majority | score | by metric | best epoch |",
        "|---|---|---|---|---|---|",
        *(_row(record) for record in records),
    ]
    environment = records[0].environment
    assert environment is not None, "every run records its environment"
    versions = ", ".join(
        f"{name} {environment.versions[name]}" for name in ("torch", "transformers")
    )
    where = f"{environment.device}, {environment.precision}, {environment.threads} threads"
    return "\n".join(
        [*lines, "", f"{where}, {versions}. Made by `python benchmarks/sample_table.py`.", ""]
    )


def _record(task: str, folder: Path, threads: int | None) -> Record:
    if (folder / "record.json").exists():
        run = gluetune.Run(folder)
        return (run if run.status == "finished" else gluetune.train(resume=folder)).record
    return gluetune.train(
        task, model="minilm", data="sample", threads=threads, output=folder
    ).record


def _row(record: Record) -> str:
    assert record.best is not None, "a finished run has a best epoch"
    best, baseline = record.best.validation, record.majority_baseline
    majority = baseline.score if baseline else None
    metrics = ", ".join(f"{name} {_shown(value)}" for name, value in best.flat().items())
    rows = record.data.rows["train"] if record.data else 0
    return (
        f"| {record.task} | {rows:,} | {_shown(majority)} | {_shown(best.score)} | {metrics} "
        f"| {record.best.epoch:g} of {len(record.epochs)} |"
    )


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
