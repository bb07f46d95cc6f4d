"""Create a run's record, and rewind it when the run is resumed."""

from __future__ import annotations

from functools import partial

import numpy as np

from gluetune.core.command_lines import command_line
from gluetune.core.errors import RunError
from gluetune.core.records import (
    BestRecord,
    EpochRecord,
    Predictions,
    Record,
    ScoreRecord,
    Status,
    TimingRecord,
    keep_predictions,
    now,
)
from gluetune.core.runs import RunFolder
from gluetune.data.tables import label_array
from gluetune.inference.scoring import score_predictions, score_record
from gluetune.statistics.scores import majority_baseline
from gluetune.training.environment import describe
from gluetune.training.preflight import Prepared
from gluetune.training.text_baseline import kept_baseline, predict_by_words


def new_record(prepared: Prepared, folder: RunFolder) -> Record:
    """Return the record of a new run."""
    task = prepared.task
    baseline = majority_baseline(
        task,
        label_array(prepared.train_table, task),
        {split: found.labels for split, found in prepared.validation.items()},
    )
    return Record(
        task=task.name,
        own_task=task if prepared.config.is_own else None,
        extra_metrics=() if prepared.config.is_own else task.extra_metrics,
        seed=prepared.config.seed,
        started=now(),
        updated=now(),
        command=prepared.config.command_with(config=folder.config),
        model=prepared.model,
        data=prepared.data,
        environment=describe(prepared.precision, prepared.device, prepared.config.processes),
        majority_baseline=score_record(baseline),
    )


def fit_text_baseline(prepared: Prepared, folder: RunFolder) -> ScoreRecord:
    """Fit the bag-of-words baseline on the user's data; return its score.

    Its predictions are saved in the run's folder, for paired tests.
    """
    return score_predictions(prepared.task, _words(prepared, folder))


def _words(prepared: Prepared, folder: RunFolder) -> dict[str, Predictions]:
    task, splits = prepared.task, prepared.validation
    balanced = prepared.config.class_weights == "balanced"
    prints = {name: prepared.data.fingerprints[name] for name in ("train", *splits)}
    fit = partial(
        predict_by_words, task, prepared.train_table, prepared.validation_tables, balanced=balanced
    )
    found = {
        split: Predictions(
            splits[split].index,
            splits[split].labels,
            predicted,
            np.zeros((len(predicted), 0), dtype=np.float32),
        )
        for split, predicted in kept_baseline(task, prints, balanced, fit).items()
    }
    for split, one in found.items():
        keep_predictions(folder.baseline / f"{split}.parquet", one, prints[split])
    return found


def check_same(record: Record, prepared: Prepared, folder: RunFolder) -> None:
    """Refuse changed data; note a changed environment, in which results may differ."""
    if record.data is not None and record.data.fingerprints != prepared.data.fingerprints:
        changed = [
            split
            for split, digest in prepared.data.fingerprints.items()
            if record.data.fingerprints.get(split) != digest
        ]
        raise RunError(
            f"The data of {folder.path} have changed since the run started: {', '.join(changed)}.",
            hint="Start a new run: " + command_line("train", config=folder.config),
        )
    here = describe(prepared.precision, prepared.device, prepared.config.processes)
    if record.environment is not None and record.environment != here:
        differing = [
            name
            for name, value in here.model_dump().items()
            if name != "git_commit" and value != getattr(record.environment, name)
        ]
        if differing:
            record.notes.append(
                f"Resumed in another environment ({', '.join(differing)}): the result may not be "
                "bit-identical to that of an uninterrupted run."
            )


def rewind(record: Record, step: int) -> None:
    """Set the record back to the checkpoint of `step`."""
    record.epochs = [epoch for epoch in record.epochs if epoch.step <= step]
    record.best = _best(record.epochs)
    record.status = Status.RUNNING
    record.error = None
    record.steps = step
    record.resumed_from.append(step)


def _best(epochs: list[EpochRecord]) -> BestRecord | None:
    """Return the best epoch, as the trainer does: the first of equals, undefined last."""
    if not epochs:
        return None
    defined = [epoch for epoch in epochs if epoch.selection is not None]
    best = max(defined, key=_selection, default=epochs[-1])
    return BestRecord(epoch=best.epoch, step=best.step, validation=best.validation)


def _selection(epoch: EpochRecord) -> float:
    return float("-inf") if epoch.selection is None else epoch.selection


def timing(record: Record, prepared: Prepared) -> TimingRecord:
    """Return seconds and throughput over the completed epochs."""
    seconds = sum(epoch.train_seconds for epoch in record.epochs)
    examples = record.epochs[-1].epoch * len(prepared.train.lengths)
    rate = examples / seconds if seconds else None
    return TimingRecord(
        train_seconds=round(seconds, 3),
        evaluation_seconds=round(sum(epoch.evaluation_seconds for epoch in record.epochs), 3),
        examples_per_second=rate,
        tokens_per_second=rate and rate * float(np.mean(prepared.train.lengths)),
    )
