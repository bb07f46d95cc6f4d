"""One job of a suite: a run, and the predictions for tasks that have no training set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gluetune.core.events import OnEvent, Throttle, as_messages
from gluetune.core.records import Status
from gluetune.core.runs import Run, RunFolder
from gluetune.core.tasks import TASKS
from gluetune.data.sources.named import open_source
from gluetune.inference.run_predictions import run_predictions
from gluetune.models.classifiers import quiet_transformers
from gluetune.parallel.calls import emit
from gluetune.parallel.orphans import wait_until_free
from gluetune.training.run import train


def run_job(arguments: Mapping[str, Any]) -> list[str]:
    """Bring one job to its end, whatever was done of it before; return notes on it.

    Args:
        arguments: Those of `train`, whose `output` is the run folder. A finished run is left as it
            is, an unfinished one resumes from its checkpoint. Tasks that a model of this one
            predicts (AX by MNLI's) are predicted, and the predictions kept in the run.
    """
    path = Path(arguments["output"])
    on_event = Throttle(emit)
    with quiet_transformers():
        wait_until_free(path, as_messages(on_event))
        return _predict_others(_load_or_train(path, arguments, on_event))


def _load_or_train(path: Path, arguments: Mapping[str, Any], on_event: OnEvent) -> Run:
    if not RunFolder(path).record.exists():
        return train(**arguments, on_event=on_event, progress=False)
    run = Run(path)
    if run.record.status is Status.FINISHED:
        return run
    return train(resume=path, on_event=on_event, progress=False)


def _predict_others(run: Run) -> list[str]:
    """Predict the tasks that a model of this run's task predicts; note which have no data."""
    notes = []
    for task in TASKS.values():
        if task.trained_as != run.task.name:
            continue
        assert run.record.data is not None, "a finished run has its data"
        source = open_source(run.record.data.source)
        there = [split for split in task.test_splits if split in source.splits(task)]
        if not there:
            notes.append(f"{source.name} has no {task.name}: it is not predicted.")
            continue
        run_predictions(run, task, {split: source.read(task, split) for split in there})
    return notes
