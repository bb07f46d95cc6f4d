"""What the runs of the folds give together: out-of-fold predictions, their score, and a model."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from gluetune.core.config import ALL_ROWS
from gluetune.core.errors import RunError
from gluetune.core.files import weights_digest, write_folder, write_json
from gluetune.core.folds import (
    CalibrationRecord,
    FoldJob,
    FoldScore,
    FoldsFolder,
    FoldsRecord,
    FoldsTable,
    IntervalRecord,
    ReliabilityRecord,
    RiskRecord,
    out_of_fold_name,
)
from gluetune.core.jobs import finished_run
from gluetune.core.records import (
    BestRecord,
    EpochRecord,
    Predictions,
    ScoreRecord,
    Status,
    TimingRecord,
    best_epoch,
    keep_predictions,
)
from gluetune.core.runs import Run
from gluetune.core.tasks import HELD_OUT, OUT_OF_FOLD, TaskSpec
from gluetune.data.sources import Folded, folded, source_of
from gluetune.data.tables import fingerprint, label_array
from gluetune.inference.scoring import score_predictions, score_record
from gluetune.models.classifiers import CALIBRATION, THRESHOLDS
from gluetune.models.ensembles import write_members
from gluetune.statistics.abstention import risk_coverage
from gluetune.statistics.calibration import (
    best_thresholds,
    cross_fitted,
    fit_temperatures,
    reliability,
)
from gluetune.statistics.intervals import Interval, kept_intervals, score_intervals
from gluetune.statistics.scores import collapsed, majority_baseline

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class _Repeat:
    """The folds of one repeat, and their runs."""

    rows: Folded
    runs: Mapping[int, Run]
    """By fold."""

    def joined(self, found: Mapping[int, Predictions]) -> Predictions:
        """Return predictions of the folds, by fold, as those of all rows in the table's order."""
        places = [np.flatnonzero(self.rows.numbers == fold) for fold in found]
        order = np.argsort(np.concatenate(places), kind="stable")
        parts = list(found.values())
        return Predictions(
            *(
                np.concatenate([getattr(part, name) for part in parts])[order]
                for name in ("index", "labels", "predicted", "logits")
            )
        )


def fold_scores(folder: FoldsFolder, record: FoldsRecord) -> list[FoldScore]:
    """Return the score of each fold whose run is finished."""
    found = []
    for job in record.jobs:
        run = finished_run(folder.run(job)) if job.fold != ALL_ROWS else None
        if run is not None and run.record.best is not None and run.record.data is not None:
            rows, best = run.record.data.rows, run.record.best.validation
            found.append(
                FoldScore(
                    repeat=job.repeat,
                    fold=job.fold,
                    rows=rows[HELD_OUT],
                    trained_on=sum(rows.values()) - rows[HELD_OUT],
                    score=best.score,
                    metrics=best.flat(),
                )
            )
    return found


def collect(folder: FoldsFolder, record: FoldsRecord) -> None:
    """Join the predictions of the finished folds, score them, and finish the folder's run.

    Raises RunError where the data have changed since the folds were trained.
    """
    run = Run(folder.path)
    repeats = [
        _repeat(run, folder, record, number) for number in range(1, record.request.fold_repeats + 1)
    ]
    found = []
    for number, repeat in enumerate(repeats, start=1):
        kept = {fold: _held(one) for fold, one in repeat.runs.items()}
        _check_rows(run, repeat, kept)
        predictions = repeat.joined(kept)
        _keep(run, repeat, predictions, number)
        found.append(predictions)
    record.table = _table(run, folder, record, found)
    scaled = cross_fitted(run.task.kind, found[0].logits, found[0].labels, repeats[0].rows.numbers)
    record.table.calibration = _calibration(run, scaled, found)
    record.table.risk = _risk(run, scaled, found[0])
    _finish_record(run, repeats[0], found[0], folder, record)
    record.save(folder)


def _repeat(run: Run, folder: FoldsFolder, record: FoldsRecord, number: int) -> _Repeat:
    runs = {
        job.fold: Run(folder.run(job))
        for job in record.jobs
        if job.repeat == number and job.fold != ALL_ROWS
    }
    config = next(iter(runs.values())).config
    recorded = run.record.data.source if run.record.data else None
    source = source_of(config, recorded=recorded, task=run.record.own_task)
    return _Repeat(folded(source, run.task, config), runs)


def _held(run: Run) -> Predictions:
    return Predictions.of_table(run.predictions(HELD_OUT))


def _check_rows(run: Run, repeat: _Repeat, kept: Mapping[int, Predictions]) -> None:
    """Raise RunError unless each fold's run has predicted the rows of its fold, as they are now."""
    index = repeat.rows.table[run.task.index_column].to_numpy()
    labels = label_array(repeat.rows.table, run.task)
    for fold, found in kept.items():
        rows = repeat.rows.numbers == fold
        same = np.array_equal(found.index, index[rows])
        if not (same and np.array_equal(found.labels, labels[rows])):
            raise RunError(
                f"The data of {run.path} have changed since fold {fold} was trained.",
                hint="Train again in another folder: give another --output.",
            )


def _keep(run: Run, repeat: _Repeat, predictions: Predictions, number: int) -> None:
    columns: dict[str, NDArray[Any]] = {
        "row": np.arange(len(predictions.labels), dtype=np.int32),
        "fold": repeat.rows.numbers,
    }
    if run.config.is_own:
        columns["line"] = predictions.index
    path = run.folder.predictions_on(out_of_fold_name(number))
    keep_predictions(path, predictions, fingerprint(repeat.rows.table), **columns)


def _finish_record(
    run: Run, repeat: _Repeat, predictions: Predictions, folder: FoldsFolder, record: FoldsRecord
) -> None:
    """Complete the record of the folder's own run, and put its model into place."""
    task, made, labels = run.task, run.record, predictions.labels
    score = score_predictions(task, {OUT_OF_FOLD: predictions})
    epoch = _epoch(task, list(repeat.runs.values()), predictions, score)
    made.epochs, made.steps = [epoch], epoch.step
    made.best = BestRecord(epoch=epoch.epoch, step=epoch.step, validation=score)
    assert made.data is not None, "the preflight has recorded the data"
    print_ = fingerprint(repeat.rows.table)
    made.data.rows = {"train": len(labels), OUT_OF_FOLD: len(labels)}
    made.data.fingerprints = {"train": print_, OUT_OF_FOLD: print_}
    runs = [run.record for run in repeat.runs.values()]
    cut = sum(one.data.truncated.get(HELD_OUT, 0) for one in runs if one.data)
    made.data.truncated = {"train": cut}
    baseline = majority_baseline(task, labels, {OUT_OF_FOLD: labels})
    made.majority_baseline = score_record(baseline)
    _keep_words(run, repeat, predictions, print_)
    made.timing = _timing(folder, record)
    made.compute = runs[0].compute
    if task.kind.has_thresholds:
        thresholds = best_thresholds(labels, predictions.logits)
        made.own_task = made.own_task and replace(made.own_task, thresholds=thresholds)
    _place_model(run, folder, record)
    if run.folder.model.is_dir():
        _write_model_settings(run, record.table.calibration)
        made.best_weights_sha256 = weights_digest(run.folder.model)
    made.status = Status.FINISHED
    made.save(run.folder.record)


def _epoch(
    task: TaskSpec, runs: Sequence[Run], predictions: Predictions, score: ScoreRecord
) -> EpochRecord:
    epochs = [best_epoch(run.record) for run in runs]
    losses = [one.train_loss for one in epochs if one.train_loss is not None]
    own = task.kind.losses(predictions.logits.astype(np.float64), predictions.labels)
    return EpochRecord(
        epoch=epochs[0].epoch,
        step=sum(one.step for one in epochs),
        train_loss=fmean(losses) if losses else None,
        learning_rate=epochs[0].learning_rate,
        validation=score,
        validation_loss=float(own.mean()),
        selection=None,
        collapsed=collapsed(predictions.predicted) and task.kind.can_collapse,
        train_seconds=sum(one.train_seconds for one in epochs),
        evaluation_seconds=sum(one.evaluation_seconds for one in epochs),
    )


def _keep_words(run: Run, repeat: _Repeat, predictions: Predictions, print_: str) -> None:
    """Join what the bags of words of the folds predict, where each run has one."""
    found = {
        fold: words
        for fold, one in repeat.runs.items()
        if (words := one.baseline_predictions(HELD_OUT, _held(one))) is not None
    }
    if len(found) < len(repeat.runs):
        return
    words = repeat.joined(found)
    keep_predictions(run.folder.baseline / f"{OUT_OF_FOLD}.parquet", words, print_)
    run.record.text_baseline = score_predictions(run.task, {OUT_OF_FOLD: words})


def _timing(folder: FoldsFolder, record: FoldsRecord) -> TimingRecord:
    timings = [Run(folder.run(job)).record.timing for job in record.jobs]
    rates = [one.examples_per_second for one in timings if one.examples_per_second]
    tokens = [one.tokens_per_second for one in timings if one.tokens_per_second]
    return TimingRecord(
        train_seconds=round(sum(one.train_seconds for one in timings), 3),
        evaluation_seconds=round(sum(one.evaluation_seconds for one in timings), 3),
        examples_per_second=fmean(rates) if rates else None,
        tokens_per_second=fmean(tokens) if tokens else None,
    )


def _place_model(run: Run, folder: FoldsFolder, record: FoldsRecord) -> None:
    """Move the model that was trained on all rows into the folder; remove those of the folds.

    Where the folds are all that is wanted, they keep their models.
    """
    if record.request.final == "none":
        return
    if record.request.final == "ensemble" and not run.folder.model.exists():
        jobs = (job for job in record.jobs if job.repeat == 1)
        with write_folder(run.folder.model) as staging:
            write_members(staging, [folder.run(job) / "model" for job in jobs])
    made = folder.run(FoldJob(repeat=1, fold=ALL_ROWS)) / "model"
    if made.is_dir() and not run.folder.model.exists():
        made.rename(run.folder.model)
    for job in record.jobs:
        shutil.rmtree(folder.run(job) / "model", ignore_errors=True)


def _write_model_settings(run: Run, calibration: CalibrationRecord | None) -> None:
    """Write what was fitted on the out-of-fold predictions into the model's config.json."""
    path, task = run.folder.model / "config.json", run.record.spec
    config = json.loads(path.read_text(encoding="utf-8"))
    if task.thresholds:
        config[THRESHOLDS] = dict(zip(task.labels, task.thresholds, strict=True))
    if calibration is not None:
        found = calibration.temperatures
        by_label = dict(zip(task.labels, found, strict=True)) if task.kind.label_axes > 1 else {}
        config[CALIBRATION] = {"temperature": by_label or found[0]}
    write_json(path, config)


def _calibration(
    run: Run, scaled: NDArray[np.float64], found: Sequence[Predictions]
) -> CalibrationRecord | None:
    """Fit the temperatures on the predictions of all repeats, and measure them on the first.

    `scaled` are the logits of the first, divided by cross-fitted temperatures.
    """
    kind, first = run.task.kind, found[0]
    logits, labels = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("logits", "labels")
    )
    before = reliability(kind, first.logits.astype(np.float64), first.labels)
    after = reliability(kind, scaled, first.labels)
    if before is None or after is None:
        return None
    return CalibrationRecord(
        temperatures=list(fit_temperatures(kind, logits, labels)),
        before=ReliabilityRecord.model_validate(dataclasses.asdict(before)),
        after=ReliabilityRecord.model_validate(dataclasses.asdict(after)),
    )


def _risk(run: Run, scaled: NDArray[np.float64], found: Predictions) -> list[RiskRecord]:
    """Return the precision by coverage, where each row has a class with a confidence."""
    sure = run.task.kind.confidence(scaled)
    if sure is None:
        return []
    points = risk_coverage(sure, found.predicted == found.labels)
    return [RiskRecord.model_validate(dataclasses.asdict(one)) for one in points]


def _table(
    run: Run, folder: FoldsFolder, record: FoldsRecord, found: Sequence[Predictions]
) -> FoldsTable:
    scores = [score_predictions(run.task, {OUT_OF_FOLD: one}).score for one in found]
    first, *others = ({OUT_OF_FOLD: one} for one in found)
    intervals = [
        kept_intervals(run.folder.intervals, run.task, first)["score"],
        *(score_intervals(run.task, one)["score"] for one in others),
    ]
    defined = [score for score in scores if score is not None]
    final = finished_run(folder.run(FoldJob(repeat=1, fold=ALL_ROWS)))
    scored = final and final.record.best and final.record.best.validation
    return FoldsTable(
        score=fmean(defined) if len(defined) == len(scores) else None,
        interval=_mean_interval([one for one in intervals if one is not None]),
        repeats=scores,
        folds=fold_scores(folder, record),
        final=scored if scored and scored.metrics else None,
    )


def _mean_interval(intervals: Sequence[Interval]) -> IntervalRecord | None:
    """Return the interval with the mean ends: repeats predict the same rows, so it is no wider."""
    if not intervals:
        return None
    return IntervalRecord(
        low=fmean(one.low for one in intervals),
        high=fmean(one.high for one in intervals),
        reliable=all(one.reliable for one in intervals),
        reason="; ".join(sorted({one.reason for one in intervals if one.reason})),
    )
