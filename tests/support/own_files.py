"""Files of labelled text as users have them, written in a line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gluetune.core.config import TrainConfig, make_config

WORDS = ("good", "bad", "dull", "fine", "long", "odd", "grand", "plain")


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as CSV, with the columns of the first."""
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def reviews(count: int = 40, labels: Sequence[Any] = ("neg", "pos")) -> list[dict[str, Any]]:
    """Return rows of text and label in which a word determines the label."""
    return [
        {
            "text": f"film {number} is {WORDS[number % len(labels)]}, they say",
            "label": labels[number % len(labels)],
        }
        for number in range(count)
    ]


def own_config(path: Path, **settings: Any) -> TrainConfig:
    """Return the configuration of a run on a file."""
    return make_config({"train_file": str(path), **settings})
