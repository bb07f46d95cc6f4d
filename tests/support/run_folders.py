"""Run folders on disk, made without training."""

from __future__ import annotations

from pathlib import Path

from gluetune.core.config import make_config
from gluetune.core.records import (
    BestRecord,
    DataRecord,
    EpochRecord,
    ModelRecord,
    Record,
    ScoreRecord,
    Status,
    now,
)


def write_run(
    folder: Path,
    *,
    seed: int = 1,
    score: float = 0.5,
    note: str = "",
    model: str = "",
    scored: bool = True,
    rows: int | None = None,
    status: Status = Status.FINISHED,
) -> Path:
    """Write the settings and the record of a finished run on CoLA, without model or predictions."""
    folder.mkdir(parents=True, exist_ok=True)
    make_config({"task": "cola", "epochs": 2, "seed": seed}).save(folder / "config.yaml")
    found = ScoreRecord(score=score, metrics={"validation": {"matthews_correlation": score}})
    epochs = [
        EpochRecord(
            epoch=float(number),
            step=number,
            train_loss=1 / number,
            learning_rate=1e-3,
            validation=found,
            validation_loss=None if number == 1 else 0.5,
            selection=score,
            train_seconds=1.0,
            evaluation_seconds=1.0,
        )
        for number in (1, 2)
    ]
    Record(
        status=status,
        task="cola",
        seed=seed,
        started=now(),
        updated=now(),
        command="gluetune train --config c.yaml",
        model=_model(model) if model else None,
        epochs=epochs if scored else [],
        best=BestRecord(epoch=2.0, step=2, validation=found) if scored else None,
        majority_baseline=ScoreRecord(
            score=0.0, metrics={"validation": {"matthews_correlation": 0.0}}
        ),
        notes=[note] if note else [],
        data=None if rows is None else _data(rows),
    ).save(folder / "record.json")
    return folder


def _data(rows: int) -> DataRecord:
    return DataRecord(
        source="nowhere", rows={"train": rows}, fingerprints={}, truncated={}, notes=[]
    )


def _model(name: str) -> ModelRecord:
    return ModelRecord(
        name=name,
        commit=None,
        architecture="BertForSequenceClassification",
        parameters=1,
        new_weights=[],
        label_map={"unacceptable": 0, "acceptable": 1},
        max_length=128,
    )
