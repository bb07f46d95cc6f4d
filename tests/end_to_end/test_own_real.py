"""GLUE's own files as anonymous CSVs give the scores of the named tasks, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.support.own_files import write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import outcome

import gluetune
from gluetune.data.sources import open_source

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not os.environ.get("GLUETUNE_DATA"), reason="GLUETUNE_DATA is not set"),
]


@pytest.mark.parametrize(("name", "fraction"), [("cola", 0.05), ("sst2", 0.005)])
def test_an_anonymous_file_gives_the_score_of_the_named_task(
    tmp_path: Path, name: str, fraction: float
) -> None:
    task = gluetune.get_task(name)
    source = open_source(None)
    files = {
        split: write_csv(
            tmp_path / f"{split}.csv",
            [
                {"words": row["sentence"], "answer": row["label"]}
                for row in source.read(task, split).to_pylist()
            ],
        )
        for split in ("train", "validation")
    }
    settings: dict[str, Any] = {
        "model": str(write_tiny_checkpoint(tmp_path / "bert", "bert")),
        "epochs": 2,
        "fraction": fraction,
        "learning_rate": 1e-3,
        "threads": 1,
        "precision": "fp32",
        "progress": False,
    }
    named = gluetune.train(name, output=tmp_path / "named", **settings)
    own = gluetune.train(
        train_file=str(files["train"]),
        validation_file=str(files["validation"]),
        text="words",
        label="answer",
        metric=task.metrics[0],
        output=tmp_path / "own",
        **settings,
    )
    assert own.score == named.score
    found, expected = outcome(own), outcome(named)
    assert (found["final"], found["best"]) == (expected["final"], expected["best"])
    for column in ("label", "prediction", "logits"):
        assert (
            found["predictions"]["validation"][column]
            == expected["predictions"]["validation"][column]
        )
