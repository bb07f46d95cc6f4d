"""What `gluetune evaluate` prints, of labels and paths that look like markup."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from gluetune.cli.evaluation_tables import measured_tables
from gluetune.predictions import Predictions
from gluetune.records import ScoreRecord
from gluetune.tasks import TaskSpec
from gluetune.terminal import Console

LABELS = ("[neg]", "[/b] \x1b[2J")
TASK = TaskSpec(
    name="own",
    title="own",
    text_columns=("text",),
    labels=LABELS,
    metrics=("accuracy",),
)


def test_labels_and_paths_are_printed_as_they_are_and_drive_nothing() -> None:
    labels = np.array([0, 1, 0, 1])
    logits = np.array([[1, 0]] * 4, dtype=np.float32)
    score = ScoreRecord(score=0.5, metrics={})
    found: Any = SimpleNamespace(
        spec=TASK,
        task="own",
        data="/data/[old]/a[/b].csv",
        rows={"validation": 4},
        score=score,
        majority=score,
        intervals={},
        suspicion="",
        agreement={},
        predictions={"validation": Predictions(np.arange(4), labels, labels * 0, logits)},
        texts={"validation": pa.table({"text": ["one", "two", "three", "four"]})},
    )
    out = StringIO()
    for table in measured_tables(found, hardest=2):
        Console(file=out, width=200).print(table)
    told = out.getvalue()
    assert "own on /data/[old]/a[/b].csv (validation 4)" in told
    assert told.count("[neg]") >= 3, "at the head, at the side, and as an answer"
    assert "[/b] \u241b[2J" in told
    assert "\x1b" not in told
