"""What a suite's finished runs say together: means over seeds, the average, and every reservation.

The best of several seeds is nowhere a result. A run that collapsed stays in its task's mean, and is
named; a score that is undefined cannot be in a mean, and is named too.

A suite's tables as text: one set of cells for the screen, for Markdown and for the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from string import ascii_lowercase

from gluetune.core.records import Record, epoch_choice, has_collapsed
from gluetune.core.references import published
from gluetune.core.runs import Run
from gluetune.core.suite_records import (
    JobRecord,
    JobState,
    PublishedCell,
    Spread,
    Suite,
    SuiteRecord,
    SuiteTable,
    TaskSummary,
)
from gluetune.core.tasks import GLUE_TASKS, get_task
from gluetune.core.text import visible
from gluetune.data.sources.glue_parquet import SAMPLES
from gluetune.metrics.scores import glue_average
from gluetune.rendering.tables import Table, points


def summarize(suite: Suite) -> SuiteTable:
    """Return the table of a suite's finished runs, however many there are by now."""
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
    """Return mean and standard deviation of the values that are defined; None without any."""
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
    """Return the majority baseline, a mean where each seed trains on a part of its own."""
    return _mean([record.majority_baseline.score for record in records if record.majority_baseline])


def _seconds(record: Record) -> float:
    return record.timing.train_seconds + record.timing.evaluation_seconds


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None


def _published_scores(task: str, suite: SuiteRecord) -> list[PublishedCell]:
    """Return what was published of the checkpoint; the sample, which is not GLUE, has nothing."""
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
    """Return GLUE's average over the seeds that have a score in each of the nine tasks."""
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
        notes.append("The data are gluetune's own sample: these scores say nothing about GLUE.")
    if request.fraction < 1:
        notes.append(
            f"Trained on {100 * request.fraction:g}% of each training set, drawn anew by each seed."
        )
    for task, runs in by_task.items():
        notes += _data_notes(task, runs)
    for job in record.jobs:
        notes += [f"{job.name}: {note}" for note in job.notes]
    return notes


def _data_notes(task: str, runs: Sequence[Run]) -> list[str]:
    """Say where the data changed between the runs of a task: their scores are of other examples."""
    validation = get_task(task).validation_splits
    prints = {
        tuple(run.record.data.fingerprints.get(split) for split in validation)
        for run in runs
        if run.record.data
    }
    if len(prints) < 2:
        return []
    return [f"{task}: the seeds were scored on different data; the mean is not of one thing."]


_PLUS_MINUS = "\N{PLUS-MINUS SIGN}"


def suite_title(record: SuiteRecord) -> str:
    """Return one line on what was asked."""
    request = record.request
    count = len(request.seeds)
    recipe = f", recipe {request.recipe}" if request.recipe else ""
    part = f", {100 * request.fraction:g}% of train" if request.fraction < 1 else ""
    seeds = f"{count} seed{'s' if count > 1 else ''}"
    return f"{record.checkpoint} on {request.data}, {seeds}{part}{recipe}"


def suite_table(record: SuiteRecord) -> Table:
    """Return mean and spread of each task beside what they are held against."""
    legend = Legend()
    tasks = record.table.tasks
    has_published = any(one.published for one in tasks)
    rows = [_row(one, legend, has_published) for one in tasks]
    average = record.table.average
    if average is not None:
        empty = [""] * (4 + has_published)
        rows.append(("GLUE average", spread_text(average), str(average.n), *empty))
    head = ["task", "score", "n", "majority", "by metric"]
    head += ["published"] if has_published else []
    numeric = {1, 2, 3, len(head), len(head) + 1}
    return Table(
        "Mean and standard deviation over seeds, on validation, in points, 0 to 100.",
        (*head, "s per run", "examples/s"),
        tuple(rows),
        frozenset(numeric),
    )


def suite_warnings(record: SuiteRecord) -> tuple[str, ...]:
    """Return what makes a mean doubtful: runs that collapsed, runs without a defined score."""
    told = []
    for one in record.table.tasks:
        if one.collapsed:
            seeds = ", ".join(map(str, one.collapsed))
            told.append(
                f"{one.task}: collapsed to one class with seed {seeds}; the mean counts this in."
            )
        if one.undefined:
            seeds = ", ".join(map(str, one.undefined))
            told.append(f"{one.task}: undefined with seed {seeds}; the mean leaves this out.")
    return tuple(told)


def suite_notes(record: SuiteRecord) -> tuple[str, ...]:
    """Return every other reservation about the table, most important first."""
    table = record.table
    notes = []
    if table.average_note:
        notes.append(table.average_note)
    if started := [one.task for one in table.tasks if one.from_mnli]:
        notes.append(
            f"{', '.join(started)} started from MNLI's model of the same seed, with a new head "
            "(--mnli-init): not to be held against results that started from the checkpoint itself."
        )
    protocols = list(dict.fromkeys(one.protocol for one in table.tasks if one.protocol))
    if protocols:
        notes.append(f"Protocol of each run: {', or '.join(protocols)}, on validation.")
    notes += _legend(table.tasks)
    return (*notes, *table.notes)


def jobs_table(record: SuiteRecord) -> Table:
    """Return how each job that is not finished ended, and what to do."""
    rows = [
        (job.name, job.state.value, job.error or "", job.hint)
        for job in record.jobs
        if job.state is not JobState.FINISHED
    ]
    return Table("Jobs that are not finished.", ("job", "state", "why", "what to do"), tuple(rows))


def markdown(record: SuiteRecord) -> str:
    """Return the whole suite as Markdown."""
    lines = [f"# {_plain(suite_title(record))}", "", *_markdown_table(suite_table(record)), ""]
    told = (*suite_warnings(record), *suite_notes(record))
    lines += [f"- {_plain(note)}" for note in told]
    unfinished = jobs_table(record)
    if unfinished.rows:
        lines += ["", unfinished.caption, "", *_markdown_table(unfinished)]
    return "\n".join([*lines, "", f"Made by `{_plain(record.command)}`.", ""])


def spread_text(value: Spread | None) -> str:
    """Return `mean ± sd` in points."""
    if value is None:
        return "none"
    return points(value.mean) + (
        f" {_PLUS_MINUS} {points(value.sd)}" if value.sd is not None else ""
    )


def counts(jobs: Sequence[JobRecord]) -> str:
    """Return how many jobs stand where: `4 of 18 finished, 1 failed`."""
    finished = sum(job.state is JobState.FINISHED for job in jobs)
    failed = sum(job.state in (JobState.FAILED, JobState.BLOCKED) for job in jobs)
    return f"{finished} of {len(jobs)} finished" + (f", {failed} failed" if failed else "")


class Legend:
    """Letters for protocols, in the order of their first use."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def letter(self, cell: PublishedCell) -> str:
        """Return the letter of a cell's protocol."""
        text = f"{cell.split}, {cell.protocol}; {cell.source}"
        number = len(self.texts)
        return self.texts.setdefault(text, ascii_lowercase[number % 26] * (1 + number // 26))


def _legend(tasks: Sequence[TaskSummary]) -> list[str]:
    legend = Legend()
    for task in tasks:
        for cell in task.published:
            legend.letter(cell)
    lines = [f"Published ({letter}): {text}." for text, letter in legend.texts.items()]
    return [*lines, "Unlike protocols are not ranked against each other."] if lines else []


def _row(one: TaskSummary, legend: Legend, has_published: bool) -> tuple[str, ...]:
    several = len(one.metrics) > 1
    metrics = ", ".join(
        _title(get_task(one.task).metric_title(name))
        + (f" {spread_text(value)}" if several else "")
        for name, value in one.metrics.items()
    )
    published = [_published(cell, legend) for cell in one.published]
    return (
        f"{one.task} (from MNLI)" if one.from_mnli else one.task,
        spread_text(one.score),
        str(one.score.n if one.score else 0),
        points(one.majority) if one.protocol else "",
        metrics,
        *(["; ".join(published)] if has_published else []),
        "" if one.seconds is None else f"{one.seconds:.0f}",
        "" if one.examples_per_second is None else f"{one.examples_per_second:.0f}",
    )


def _published(cell: PublishedCell, legend: Legend) -> str:
    metric = " ".join(
        part for part in (cell.subset, _title(cell.metric or "metric unstated")) if part
    )
    return f"{cell.value:.1f} {metric} ({legend.letter(cell)})"


def _title(metric: str) -> str:
    """Return a metric's name as a narrow column shows it."""
    return metric.replace("matthews_correlation", "Matthews").replace("f1", "F1")


def _markdown_table(table: Table) -> list[str]:
    rule = ["---:" if column in table.numeric else "---" for column in range(len(table.head))]
    rows = [table.head, tuple(rule), *table.rows]
    return ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Return text on one line, in which Markdown and HTML find nothing of theirs."""
    flat = visible(" ".join(text.split()))
    for sign in ("\\", "`", "<", "[", "*"):
        flat = flat.replace(sign, f"\\{sign}")
    return flat
