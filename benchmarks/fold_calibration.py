"""Calibration before and after the temperature of a cross-validation, cross-fitted.

    python benchmarks/fold_calibration.py --data DIR --runs FOLDER --write benchmarks/results/…md

CoLA and MRPC, and a made-up file of 20 classes: words of a class among words of others, with one
label in ten wrong. Runs that FOLDER already holds are not repeated.
"""

from __future__ import annotations

import argparse
import csv
import platform
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

import gluetune
from gluetune.core.records import Predictions
from gluetune.core.runs import Run
from gluetune.core.tasks import get_task
from gluetune.data.sources import open_source
from gluetune.statistics.calibration import with_temperatures

CLASSES = 20


def main() -> None:
    """Cross-validate, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="sample")
    parser.add_argument("--names", default="cola,mrpc,20 classes")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args()
    lines = [
        "# Calibration by the temperature of a cross-validation",
        "",
        f"5 folds of all-MiniLM-L6-v2, {options.epochs:g} epochs, learning rate "
        f"{options.learning_rate:g}, batch 16, at most {options.max_length} tokens; out-of-fold "
        "predictions, each fold with the temperature of the others. "
        f"torch {torch.__version__}, transformers {transformers.__version__}, "
        f"{platform.machine()}, {options.threads} thread.",
        "",
        "| data | rows | score | temperature | ECE before | after | Brier before | after "
        "| log loss before | after | changed predictions |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in options.names.split(","):
        lines.append(_line(name, _run(name, options)))
        print(lines[-1], flush=True)
    text = "\n".join([*lines, ""])
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")


def _run(name: str, options: argparse.Namespace) -> Run:
    fixed: dict[str, Any] = {
        "model": "minilm",
        "epochs": options.epochs,
        "learning_rate": options.learning_rate,
        "max_length": options.max_length,
        "threads": options.threads,
        "folds": 5,
        "final": "none",
        "output": options.runs / name.replace(" ", "-"),
    }
    if name in gluetune.GLUE_TASKS:
        task = get_task(name)
        count = len(open_source(options.data).read(task, "train"))
        fraction = min(1.0, options.rows / count)
        return gluetune.train(name, data=options.data, fraction=fraction, **fixed)
    options.runs.mkdir(parents=True, exist_ok=True)
    file = options.runs / "classes.csv"
    _write_classes(file, options.rows)
    return gluetune.train(train_file=file, **fixed)


def _write_classes(path: Path, rows: int) -> None:
    """Write texts of three words of their class among eight of others; a tenth is mislabelled."""
    draw = random.Random(0)
    vowels, consonants = "aeiou", "bdfgklmnprstv"
    words = [
        f"{a}{e}{b}{i}" for a in consonants for e in vowels for b in consonants for i in vowels
    ]
    draw.shuffle(words)
    of_class = [words[12 * number : 12 * number + 12] for number in range(CLASSES)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "label"])
        for row in range(rows):
            true = row % CLASSES
            text = [*draw.choices(of_class[true], k=3), *draw.choices(words[240:400], k=5)]
            draw.shuffle(text)
            label = draw.randrange(CLASSES) if draw.random() < 0.1 else true
            writer.writerow([" ".join(text), f"class {label}"])


def _line(name: str, run: Run) -> str:
    assert run.folds is not None
    found = run.folds.table.calibration
    assert found is not None
    kept = Predictions.of_table(run.folds.out_of_fold())
    scaled = with_temperatures(kept.logits, found.temperatures)
    changed = int((run.task.kind.decode(scaled) != run.task.kind.decode(kept.logits)).sum())
    before, after = found.before, found.after
    pairs = (
        (before.ece, after.ece),
        (before.brier, after.brier),
        (before.log_loss, after.log_loss),
    )
    cells = " | ".join(f"{value:.4f}" for pair in pairs for value in pair)
    return (
        f"| {name} | {len(kept.labels):,} | {run.score or 0:.3f} | "
        f"{np.mean(found.temperatures):.3f} | {cells} | {changed} |"
    )


if __name__ == "__main__":
    main()
