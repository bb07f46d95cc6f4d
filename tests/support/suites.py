"""Suites whose runs are written, not trained: any scores, in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gluetune.core.config import make_config
from gluetune.core.records import (
    BestRecord,
    DataRecord,
    EpochRecord,
    Record,
    ScoreRecord,
    Status,
    TimingRecord,
    now,
)
from gluetune.core.suites import SuiteFolder, SuiteRecord, SuiteRequest, SuiteResult
from gluetune.core.tasks import GLUE_TASKS, get_task
from gluetune.experiments.suite.plan import plan
from gluetune.experiments.suite.summary import summarize

SEEDS = (42, 43)


def request(**changed: Any) -> SuiteRequest:
    """Return a request for all nine tasks with two seeds."""
    values: dict[str, Any] = {
        "model": "google-bert/bert-base-cased",
        "data": "nyu-mll/glue",
        "tasks": tuple(GLUE_TASKS),
        "seeds": SEEDS,
        "fraction": 1.0,
        "recipe": None,
        "mnli_init": False,
        "settings": {},
    }
    return SuiteRequest(**(values | changed))


def record_of(asked: SuiteRequest) -> SuiteRecord:
    """Return the record of a suite that has just begun."""
    return SuiteRecord(
        started=now(),
        updated=now(),
        command="gluetune suite",
        request=asked,
        checkpoint=asked.model,
        commit=None,
        jobs=plan(asked),
    )


def write_suite(
    folder: Path,
    scores: Mapping[str, Sequence[float | None]],
    *,
    collapsed: Sequence[str] = (),
    note: str = "",
    **changed: Any,
) -> SuiteResult:
    """Write a suite with runs of these scores, seed by seed; a job beyond them has failed."""
    record = record_of(request(**{"tasks": tuple(scores), **changed}))
    place = SuiteFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for job in record.jobs:
        row = scores[job.task]
        number = record.request.seeds.index(job.seed)
        if number >= len(row):
            job.state, job.error, job.hint = Status.FAILED, f"It broke.{note}", "Mend it."
            continue
        job.state = Status.FINISHED
        if note:
            job.notes = [note]
        write_run(place.run(job), job.task, job.seed, row[number], job.name in collapsed)
    whole = all(job.state is Status.FINISHED for job in record.jobs)
    record.status = Status.FINISHED if whole else Status.FAILED
    record.save(place)
    record.table = summarize(SuiteResult(folder))
    record.save(place)
    return SuiteResult(folder)


def write_run(
    folder: Path, task: str, seed: int, score: float | None, collapsed: bool = False
) -> None:
    """Write a finished run."""
    spec = get_task(task)
    folder.mkdir(parents=True)
    make_config({"task": task, "epochs": 2, "seed": seed}).save(folder / "config.yaml")
    names = [str(name) for name in spec.metrics]
    metrics: dict[str, dict[str, float | None]] = {
        split: dict.fromkeys(names, score) for split in spec.validation_splits
    }
    found = ScoreRecord(score=score, metrics=metrics)
    epochs = [
        EpochRecord(
            epoch=float(number),
            step=number,
            train_loss=1.0,
            learning_rate=1e-3,
            validation=found,
            validation_loss=0.5,
            selection=score,
            collapsed=collapsed,
            train_seconds=1.0,
            evaluation_seconds=1.0,
        )
        for number in (1, 2)
    ]
    Record(
        status=Status.FINISHED,
        task=task,
        seed=seed,
        started=now(),
        updated=now(),
        command="gluetune train",
        epochs=epochs,
        best=BestRecord(epoch=2.0, step=2, validation=found),
        majority_baseline=ScoreRecord(score=0.25, metrics={}),
        data=DataRecord(
            source="nyu-mll/glue",
            rows={},
            fingerprints=dict.fromkeys(spec.validation_splits, "one"),
            truncated={},
        ),
        timing=TimingRecord(train_seconds=60.0, evaluation_seconds=30.0, examples_per_second=100.0),
    ).save(folder / "record.json")
    (folder / "report.html").write_text("<!doctype html>")
