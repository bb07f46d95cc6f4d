"""How many planted label errors `gluetune audit` finds, compared with one held-out split.

    python benchmarks/label_errors.py --data DIR --runs FOLDER --write benchmarks/results/…md

Labels of a file are flipped to another class at random. The audit ranks all rows by out-of-fold
predictions; its list is as long as there are flipped rows. The baseline is one run that holds out a
tenth, whose rows are ranked by their loss: it can find only what it holds out. Runs that FOLDER
already holds are not repeated.
"""

from __future__ import annotations

import argparse
import csv
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
import transformers
from numpy.typing import NDArray

import gluetune
from gluetune.core.records import Predictions
from gluetune.core.runs import Run
from gluetune.core.tasks import get_task
from gluetune.data.sampling import take_fraction
from gluetune.data.sources import open_source


class Found(NamedTuple):
    """What was found of the flipped rows of one file."""

    flipped: int
    precision: float
    """Of a list as long as there are flipped rows."""
    audit: float
    """Average precision of the ranking of all rows."""
    held_out: float
    """Of the held-out rows by loss, over the flipped rows of the whole file."""
    among_held_out: float
    """The same over the flipped rows that were held out."""
    suspects: int
    suspect_precision: float
    """Of the list as long as the audit makes it."""
    score: float
    """Of the models of the folds, on the labels with errors."""


def main() -> None:
    """Flip, train, audit, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="sample")
    parser.add_argument("--tasks", default="sst2")
    parser.add_argument("--rates", default="0.02,0.05,0.1")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args()
    lines = []
    for task in options.tasks.split(","):
        for rate in map(float, options.rates.split(",")):
            found = measure(task, rate, options)
            lines.append(_line(task, rate, options.rows, found))
            print(lines[-1], flush=True)
    text = "\n".join([*_heading(options), *lines, ""])
    print(text)
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")


def measure(task: str, rate: float, options: argparse.Namespace) -> Found:
    """Return what is found of the labels of one task that are flipped at a rate."""
    folder = options.runs / f"{task}-{rate:g}"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "data.csv"
    columns, flipped = write_file(file, task, rate, options)
    fixed: dict[str, Any] = {
        "train_file": file,
        "text": columns[0],
        "text_pair": columns[1] if len(columns) > 1 else None,
        "model": "minilm",
        "epochs": options.epochs,
        "learning_rate": options.learning_rate,
        "threads": options.threads,
        "kind": "single_label",
    }
    whole = gluetune.train(**fixed, folds=options.folds, final="none", output=folder / "folds")
    assert whole.folds is not None
    lines = whole.folds.out_of_fold()["line"].to_numpy()
    planted = np.isin(lines, flipped)
    audit = gluetune.audit(whole)
    ranked = planted[np.argsort(audit.scores, kind="stable")]
    suspects = np.isin([one.line for one in audit.suspects], flipped)
    alone = _trained(folder / "alone", fixed)
    held = Predictions.of_table(alone.predictions())
    losses = alone.task.kind.losses(held.logits.astype(np.float64), held.labels)
    by_loss = np.isin(held.index, flipped)[np.argsort(-losses, kind="stable")]
    return Found(
        flipped=int(planted.sum()),
        precision=float(ranked[: planted.sum()].mean()),
        audit=average_precision(ranked, int(planted.sum())),
        held_out=average_precision(by_loss, int(planted.sum())),
        among_held_out=average_precision(by_loss, int(by_loss.sum())),
        suspects=len(suspects),
        suspect_precision=float(suspects.mean()) if len(suspects) else 0.0,
        score=whole.score or 0.0,
    )


def write_file(
    path: Path, name: str, rate: float, options: argparse.Namespace
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Write a stratified part of a task's training set as CSV with flipped labels.

    Returns the columns of text, and the lines whose label is flipped.
    """
    task = get_task(name)
    table = open_source(options.data).read(task, task.train_split or "train")
    if len(table) > options.rows:
        table = take_fraction(table, task, options.rows / len(table), 0)
    draw = np.random.default_rng(round(1000 * rate))
    rows = draw.choice(len(table), round(rate * len(table)), replace=False)
    labels = table[task.label_column].to_numpy().copy()
    labels[rows] = (labels[rows] + draw.integers(1, task.num_labels, len(rows))) % task.num_labels
    _write(path, table, task.text_columns, [task.labels[label] for label in labels])
    return task.text_columns, rows + 2


def _write(path: Path, table: pa.Table, columns: Sequence[str], labels: Sequence[str]) -> None:
    texts = [[" ".join(text.split()) for text in table[name].to_pylist()] for name in columns]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns, "label"])
        writer.writerows(zip(*texts, labels, strict=True))


def _trained(path: Path, settings: dict[str, Any]) -> Run:
    return Run(path) if path.exists() else gluetune.train(**settings, output=path)


def average_precision(hits: NDArray[np.bool_], total: int) -> float:
    """Return the average precision of a ranking of `hits`, of `total` that there are."""
    if not total:
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / total)


def _heading(options: argparse.Namespace) -> list[str]:
    return [
        "# Planted label errors",
        "",
        f"{options.folds} folds of all-MiniLM-L6-v2, {options.epochs:g} epochs, learning rate "
        f"{options.learning_rate:g}, batch 16; data: {Path(options.data).name}. "
        f"torch {torch.__version__}, transformers {transformers.__version__}, "
        f"{platform.machine()}, {options.threads} thread. Average precision is over all flipped "
        "rows of the file; of the held-out tenth also over those that it holds.",
        "",
        "| task | rows | flipped | score | precision at as many | average precision | one held-out "
        "tenth by loss | among its own rows | suspects | of them flipped |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]


def _line(task: str, rate: float, rows: int, found: Found) -> str:
    return (
        f"| {task} | {rows:,} | {found.flipped} ({rate:.0%}) | {found.score:.3f} | "
        f"{found.precision:.2f} | {found.audit:.2f} | {found.held_out:.2f} | "
        f"{found.among_held_out:.2f} | {found.suspects} | {found.suspect_precision:.2f} |"
    )


if __name__ == "__main__":
    main()
