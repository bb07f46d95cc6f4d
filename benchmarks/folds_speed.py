"""How long five folds of a small file take, compared with one run on it, in turn.

    python benchmarks/folds_speed.py --rounds 3 --write benchmarks/results/folds-speed.md

Both are commands in processes of their own, with their start. The run holds out a tenth and
evaluates every epoch; the folds train on four fifths each and evaluate the last epoch. No model is
trained on all rows.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
import transformers

WORDS = (
    *("the", "film", "was", "a", "long", "and", "quiet", "story", "of", "two"),
    *("people", "who", "never", "met", "but", "wrote", "letters"),
)


def main() -> None:
    """Time each in turn, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args()
    rounds = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(_round(Path(folder), options))
        print(number, rounds[-1], flush=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines = [
        "# Five folds compared with one run",
        "",
        f"all-MiniLM-L6-v2, {options.rows:,} rows of 8 to 20 words, {options.epochs} epochs, batch "
        f"16; {cores} cores, {platform.machine()}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}. Seconds of each command, in turn.",
        "",
        "| round | one run | 5 folds, one at a time | ratio | 5 folds, two at a time | ratio |",
        "|---|---|---|---|---|---|",
        *(
            f"| {number} | {one:.0f} | {single:.0f} | {single / one:.2f} | {pair:.0f} | "
            f"{pair / one:.2f} |"
            for number, (one, single, pair) in enumerate(rounds, start=1)
        ),
        "",
        f"Median ratios: {median(single / one for one, single, _ in rounds):.2f} one at a time, "
        f"{median(pair / one for one, _, pair in rounds):.2f} two at a time.",
        "",
    ]
    text = "\n".join(lines)
    print(text)
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")


def _round(folder: Path, options: argparse.Namespace) -> tuple[float, float, float]:
    file = folder / "reviews.csv"
    draw = random.Random(0)
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["text", "label"])
        for row in range(options.rows):
            words = draw.choices(WORDS, k=draw.randint(8, 20))
            writer.writerow([f"{' '.join(words)} {row}", ("bad", "good")[row % 2]])
    given = ["--train-file", str(file), "--model", "minilm", "--epochs", str(options.epochs)]
    folds = ["--folds", "5", "--final", "none"]
    return (
        _seconds([*given, "--output", str(folder / "one")]),
        _seconds([*given, *folds, "--jobs", "1", "--output", str(folder / "single")]),
        _seconds([*given, *folds, "--jobs", "2", "--output", str(folder / "pair")]),
    )


def _seconds(words: list[str]) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "gluetune", "train", *words]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
