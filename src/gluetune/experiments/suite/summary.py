"""The summary of a suite's finished runs: means over seeds, the GLUE average, and notes.

The best of several seeds is never reported as a result. Collapsed runs stay in their task's mean
and are listed; undefined scores cannot be in a mean and are listed too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from gluetune.core.published import published
from gluetune.core.records import Record, epoch_choice, has_collapsed
from gluetune.core.runs import Run
from gluetune.core.suites import (
    PublishedCell,
    Spread,
    SuiteRecord,
    SuiteResult,
    SuiteTable,
    TaskSummary,
)
from gluetune.core.tasks import GLUE_TASKS, get_task
from gluetune.data.sources import SAMPLES
from gluetune.statistics.scores import glue_average


def summarize(suite: SuiteResult) -> SuiteTable:
    """Return the table of a suite's finished runs so far."""
    record, runs = suite.record, suite.runs
    by_task = {
        task: [run for run in runs if run.record.task == task] for task in record.request.tasks
    }
    from_mnli = {job.task for job in record.jobs if job.after is not None}
    tasks = [
        _task(task, members, record, from_mnli=task in from_mnli)
        for task, members in by_task.items()
    ]
    average, note = _average(tasks, record)
    return SuiteTable(
        tasks=tasks, average=average, average_note=note, notes=_notes(record, by_task)
    )


def spread(by_seed: Mapping[int, float | None]) -> Spread | None:
    """Return mean and standard deviation of the defined values; None if there are none."""
    defined = {seed: value for seed, value in by_seed.items() if value is not None}
    if not defined:
        return None
    values = list(defined.values())
    return Spread(
        mean=fmean(values), sd=stdev(values) if len(values) > 1 else None, by_seed=defined
    )


def _task(task: str, runs: Sequence[Run], suite: SuiteRecord, *, from_mnli: bool) -> TaskSummary:
    records = [run.record for run in runs]
    scores = {record.seed: _score(record) for record in records}
    return TaskSummary(
        task=task,
        score=spread(scores),
        metrics=_metrics(records),
        positive=get_task(task).positive_label,
        from_mnli=from_mnli,
        majority=_majority(records),
        protocol="; ".join(dict.fromkeys(epoch_choice(record) for record in records)),
        collapsed=[record.seed for record in records if has_collapsed(record)],
        undefined=[seed for seed, score in scores.items() if score is None],
        published=_published_scores(task, suite),
        seconds=_mean([_seconds(record) for record in records]),
        examples_per_second=_mean([record.timing.examples_per_second for record in records]),
        tokens_per_second=_mean([record.timing.tokens_per_second for record in records]),
    )


def _score(record: Record) -> float | None:
    return record.best.validation.score if record.best else None


def _metrics(records: Sequence[Record]) -> dict[str, Spread]:
    found: dict[str, dict[int, float | None]] = {}
    for record in records:
        if record.best is not None:
            for name, value in record.best.validation.flat().items():
                found.setdefault(name, {})[record.seed] = value
    spreads = {name: spread(values) for name, values in found.items()}
    return {name: value for name, value in spreads.items() if value is not None}


def _majority(records: Sequence[Record]) -> float | None:
    """Return the majority baseline; the mean over seeds, which may train on different parts."""
    return _mean([record.majority_baseline.score for record in records if record.majority_baseline])


def _seconds(record: Record) -> float:
    return record.timing.train_seconds + record.timing.evaluation_seconds


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None


def _published_scores(task: str, suite: SuiteRecord) -> list[PublishedCell]:
    """Return the checkpoint's published scores; none for the sample, which is not GLUE."""
    if suite.request.data in SAMPLES:
        return []
    return [
        PublishedCell(
            metric=one.metric,
            subset=one.subset,
            value=one.value,
            split=one.split,
            protocol=one.protocol,
            source=one.source,
        )
        for one in published(task, suite.checkpoint)
    ]


def _average(tasks: Sequence[TaskSummary], record: SuiteRecord) -> tuple[Spread | None, str]:
    """Return the GLUE average over the seeds that have a score for each of the nine tasks."""
    scores = {one.task: one.score.by_seed if one.score else {} for one in tasks}
    missing = [task for task in GLUE_TASKS if not scores.get(task)]
    if missing:
        return None, f"No GLUE average: {', '.join(missing)} missing."
    seeds = record.request.seeds
    found = spread(
        {
            seed: glue_average({task: each.get(seed) for task, each in scores.items()}).value
            for seed in seeds
        }
    )
    if found is None:
        return None, "No GLUE average: no seed has a score in all nine tasks."
    left_out = [str(seed) for seed in seeds if seed not in found.by_seed]
    note = f"Not in the GLUE average: seed {', '.join(left_out)}." if left_out else ""
    return found, note


def _notes(record: SuiteRecord, by_task: Mapping[str, Sequence[Run]]) -> list[str]:
    request = record.request
    notes = []
    if request.data in SAMPLES:
        notes.append("The data is gluetune's sample: these scores say nothing about GLUE.")
    if request.fraction < 1:
        notes.append(
            f"Trained on {100 * request.fraction:g}% of each training set, different for each seed."
        )
    for task, runs in by_task.items():
        notes += _data_notes(task, runs)
    for job in record.jobs:
        notes += [f"{job.name}: {note}" for note in job.notes]
    return notes


def _data_notes(task: str, runs: Sequence[Run]) -> list[str]:
    """Return a note where the runs of a task were scored on different data."""
    validation = get_task(task).validation_splits
    prints = {
        tuple(run.record.data.fingerprints.get(split) for split in validation)
        for run in runs
        if run.record.data
    }
    if len(prints) < 2:
        return []
    return [f"{task}: the seeds were scored on different data; their mean is not meaningful."]
