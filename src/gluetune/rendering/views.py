"""The content of the pages about runs and suites, from their records and predictions."""

from __future__ import annotations

import os
from calendar import month_name
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gluetune.analysis.audit import audit
from gluetune.analysis.evaluation import Evaluation, evaluation_of
from gluetune.analysis.scores import between
from gluetune.analysis.split_tables import shorten
from gluetune.analysis.splits import SplitEvaluation
from gluetune.core.command_lines import command_line
from gluetune.core.config import MACHINE_SETTINGS, TrainConfig
from gluetune.core.jobs import counts, jobs_table
from gluetune.core.plots import Ends, Plot, line_plot, seeds_plot, share_bounds
from gluetune.core.records import Status, has_collapsed, shown
from gluetune.core.runs import (
    LocalPaths,
    Run,
    base_name,
    described_data,
    recipe_of,
    without_folders,
)
from gluetune.core.suites import (
    SuiteRecord,
    SuiteResult,
    TaskSummary,
    suite_notes,
    suite_table,
    suite_title,
    suite_warnings,
)
from gluetune.core.suites import seeds_table as suite_seeds_table
from gluetune.core.tables import Column, Table
from gluetune.rendering.plots import Scale, scales
from gluetune.rendering.tables import curve_table, pairs_table, runs_table, seeds_table, time_table

_OWN_COLUMNS = MACHINE_SETTINGS | {"task", "model", "seed"}
"""Settings that the table of runs shows in columns of their own, or not at all."""
_MOST_EXAMPLES = 300
"""Examples of a split on its page."""


@dataclass(frozen=True)
class SplitView:
    """The statistics of one split, ready for the page."""

    split: str
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...]
    examples: ExamplesView


@dataclass(frozen=True)
class ExampleRow:
    """One example, with what the filters know it by."""

    cells: tuple[str, ...]
    classes: tuple[int, ...]
    outcome: str
    """`right` or `wrong`; empty for numbers."""


@dataclass(frozen=True)
class ExamplesView:
    """Examples by loss, and the classes that they can be filtered by."""

    title: str
    heads: tuple[str, ...]
    numbers: tuple[int, ...]
    """Columns of numbers."""
    rows: tuple[ExampleRow, ...]
    classes: tuple[tuple[int, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Headline:
    """The score in large type."""

    value: str
    metric: str
    interval: str


@dataclass(frozen=True)
class FoldsView:
    """A cross-validation, ready for the page."""

    tables: tuple[Table, ...]
    plots: tuple[Plot, ...]
    audit: tuple[Table, ...]
    """Labels that are probably wrong."""
    command: str
    """Writes them to a file."""


@dataclass(frozen=True)
class RunView:
    """One run, ready for the page."""

    run: Run
    name: str
    """The folder's name."""
    anchor: str
    differs: str
    """The settings in which it differs from the other runs of the page."""
    title: str
    model: str
    summary: str
    verdict: str
    headline: Headline | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    evaluation: Evaluation | None
    scales: tuple[Scale, ...]
    scores: Table | None
    curve: Table
    """Scores by size of the training set; without rows where no learning curve was trained."""
    plots: tuple[Plot, ...]
    folds: FoldsView | None
    splits: tuple[SplitView, ...]
    decisions: tuple[str, ...]
    """What was decided during the run."""
    command: str
    time: Table
    changed: Table
    """The settings that differ from their defaults."""
    details: tuple[Table, ...]


@dataclass(frozen=True)
class Overview:
    """Several runs together."""

    runs: Table
    seeds: Table
    plot: Plot | None


def views_of(runs: Sequence[Run]) -> list[RunView]:
    """Return the content of a page of `runs`, each with what sets it apart from the others."""
    labels = _differences([_settings(run.config, LocalPaths(run)) for run in runs])
    return [view(run, n, label) for n, (run, label) in enumerate(zip(runs, labels, strict=True), 1)]


def _differences(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each the settings that are not the same in all, as one types them."""
    names = dict.fromkeys(name for each in settings for name in each if name not in _OWN_COLUMNS)
    differing = [name for name in names if len({repr(each.get(name)) for each in settings}) > 1]
    return [
        ", ".join(f"{name} {each.get(name, 'none')}" for name in differing) for each in settings
    ]


def view(run: Run, number: int, differs: str = "") -> RunView:
    """Return the content about `run`, the `number`th on the page."""
    record, config, paths = run.record, run.config, LocalPaths(run)
    evaluation = evaluation_of(run)
    curve = _curve(run)
    everything, changed = _settings(config, paths), _settings(config, paths, only_changed=True)
    versions = record.environment.versions if record.environment else {}
    best = record.best.epoch if record.best else None
    return RunView(
        run=run,
        name=run.path.resolve().name,
        anchor=f"run-{number}",
        differs=differs,
        title=run.task.title,
        model=base_name(record.model.name if record.model else config.model),
        summary=paths.hide(_summary(run)),
        verdict=evaluation.scores.verdict if evaluation else "",
        headline=_headline(evaluation) if evaluation else None,
        warnings=tuple(map(paths.hide, _warnings(run, evaluation))),
        notes=evaluation.notes if evaluation else (),
        evaluation=evaluation,
        scales=scales(evaluation.scores) if evaluation else (),
        scores=evaluation.scores.matrix() if evaluation else None,
        curve=curve_table(curve),
        plots=(*_plots(run, best), *_curve_plots(run, curve)),
        folds=_folds(run),
        splits=tuple(
            _split_view(name, split, paths)
            for name, split in (evaluation.splits.items() if evaluation else ())
        ),
        decisions=tuple(map(paths.hide, record.notes)),
        command=paths.hide(record.command),
        time=time_table(record),
        changed=pairs_table(
            "Settings that differ from their defaults", ("setting", "value"), changed
        ),
        details=(
            pairs_table("All settings.", ("setting", "value"), everything),
            pairs_table("Versions.", ("package", "version"), versions),
        ),
    )


def _split_view(name: str, split: SplitEvaluation, paths: LocalPaths) -> SplitView:
    return SplitView(
        name,
        # The worst errors are among the examples.
        tuple(table for table in split.tables() if table.name != "worst_errors"),
        tuple(split.plots()),
        _examples_view(split, paths),
    )


def _examples_view(split: SplitEvaluation, paths: LocalPaths) -> ExamplesView:
    found, columns = split.examples(_MOST_EXAMPLES), tuple(split.texts)
    has_probability = any(one.probability is not None for one in found)
    measures = ("probability", "loss") if has_probability else ("loss",)
    heads = (split.task.index_column, "label", "prediction", *measures)
    named = dict(enumerate(split.task.labels))
    present = sorted({number for one in found for number in one.classes})
    left = len(split.predictions.labels) - len(found)
    notes = [split.rows] if isinstance(split.rows, str) else []
    notes += [f"{left:,} more examples, of lower loss, are not on this page."] if left else []
    return ExamplesView(
        title=f"{split.split}: examples, worst errors first",
        heads=(*heads, *columns),
        numbers=tuple(range(len(heads) - len(measures), len(heads))),
        rows=tuple(
            ExampleRow(
                cells=(
                    *(str(one.index), one.label, one.prediction),
                    *(() if one.probability is None else (f"{one.probability:.4f}",)),
                    f"{one.loss:.4f}",
                    *(shorten(one.texts[column]) for column in columns),
                ),
                classes=one.classes,
                outcome={True: "right", False: "wrong", None: ""}[one.is_right],
            )
            for one in found
        ),
        classes=tuple((number, named[number]) for number in present),
        notes=tuple(map(paths.hide, notes)),
    )


def _settings(
    config: TrainConfig, paths: LocalPaths, *, only_changed: bool = False
) -> dict[str, Any]:
    """Return the settings, or those that differ from their defaults, without local folders."""
    values = config.model_dump(
        mode="json", exclude_none=True, exclude={"output"}, exclude_defaults=only_changed
    )
    names = {"model": base_name(config.model)} if "model" in values else {}
    return {name: paths.hide_within(value) for name, value in values.items()} | names


def _folds(run: Run) -> FoldsView | None:
    """Return the cross-validation of a run, once it is finished; None for any other run."""
    folds = run.folds
    if folds is None or run.record.status is not Status.FINISHED:
        return None
    scores = [one.score for one in folds.table.folds if one.score is not None]
    by_fold = seeds_plot(
        "Score of each fold",
        [scores],
        names=["folds"],
        across_name="",
        in_points=run.task.in_points(),
    )
    return FoldsView(
        tables=tuple(folds.tables()),
        plots=(*([by_fold] if by_fold is not None else []), *folds.plots()),
        audit=tuple(audit(run).tables()),
        command=without_folders(command_line("audit", run.path, output="suspects.csv")),
    )


def overview(views: Sequence[RunView]) -> Overview:
    """Return the runs side by side, and taken together by configuration without the seed."""
    groups: dict[str, list[RunView]] = {}
    for each in views:
        groups.setdefault(repr(recipe_of(each.run)), []).append(each)
    scored = [
        (
            members[0].run.record.task,
            base_name(members[0].run.config.model),
            [one.run.score for one in members if one.run.score is not None],
        )
        for members in groups.values()
        if any(one.run.score is not None for one in members)
    ]
    return Overview(
        runs=runs_table([(each.name, each.differs, each.run, each.evaluation) for each in views]),
        seeds=seeds_table(scored),
        plot=seeds_plot(
            "Scores of the seeds, by configuration",
            [one[2] for one in scored],
            in_points=all(one.run.task.in_points() for one in views),
        ),
    )


def run_folders(path: Path) -> list[Path]:
    """Return `path` where it is a run, else the runs inside it, one or two levels down."""
    if (path / "record.json").exists():
        return [path]
    found = {
        record.parent for depth in ("*", "*/*") for record in path.glob(f"{depth}/record.json")
    }
    return sorted(found) or [path]


def _summary(run: Run) -> str:
    record = run.record
    data = described_data(run.config, record.data) if record.data else "unknown"
    device = (
        f"{record.environment.device}, {record.environment.precision}"
        if record.environment
        else "unknown"
    )
    return f"Data: {data}. Device: {device}. Seed {record.seed}, {shown_date(record.started)}."


def shown_date(moment: str) -> str:
    """Return a recorded time as people read it: 28 November 2026, 15:46 UTC."""
    try:
        at = datetime.fromisoformat(moment).astimezone(UTC)
    except ValueError:
        return moment
    return f"{at.day} {month_name[at.month]} {at:%Y, %H:%M} UTC"


def _headline(evaluation: Evaluation) -> Headline:
    name, *parts = evaluation.scores.scored_names
    interval = between(evaluation.intervals.get("score"))
    column = Column("", "interval")
    metric = f"mean of {' and '.join(parts)}" if parts else evaluation.spec.metric_title(name)
    return Headline(
        value=shown(evaluation.score.score),
        metric=metric,
        interval=f"95% interval {column.text(interval)}" if interval else "",
    )


def _plots(run: Run, best: float | None) -> tuple[Plot, ...]:
    epochs = run.record.epochs
    if len(epochs) < 2:
        return ()
    at = [each.epoch for each in epochs]
    losses = {
        "training": [each.train_loss for each in epochs],
        "validation": [each.validation_loss for each in epochs],
    }
    scores = {"score": [each.validation.score for each in epochs]}
    measure, bounds = _measure(run, scores["score"])
    rates = {"learning rate": [each.learning_rate for each in epochs]}
    made = (
        line_plot("Loss by epoch", at, losses, best, down="loss", bounds=(0.0, inf)),
        line_plot("Score by epoch", at, scores, best, down=measure, bounds=bounds),
        line_plot(
            "Learning rate at the end of each epoch",
            at,
            rates,
            down="learning rate",
            bounds=(0.0, inf),
        ),
    )
    return tuple(plot for plot in made if plot is not None)


def _curve(run: Run) -> list[tuple[int, float | None]]:
    """Return rows and score of each finished part of a learning curve, then the run's own."""
    parts = [Run(found.parent) for found in run.folder.curve.glob("*/record.json")]
    finished = [part for part in parts if part.record.status is Status.FINISHED]
    points = [
        (one.record.data.rows["train"], one.score)
        for one in [*finished, run]
        if finished and one.record.data is not None
    ]
    return sorted(points, key=lambda point: point[0])


def _measure(run: Run, scores: Sequence[float | None]) -> tuple[str, Ends]:
    """Return what the score measures, and what it cannot exceed."""
    names = run.task.metrics
    title = run.task.metric_title(names[0]) if len(names) == 1 else "score"
    return title, share_bounds(scores) if run.task.in_points() else (-inf, inf)


def _curve_plots(run: Run, curve: Sequence[tuple[int, float | None]]) -> tuple[Plot, ...]:
    sizes, scores = [rows for rows, _ in curve], [score for _, score in curve]
    measure, bounds = _measure(run, scores)
    made = line_plot(
        "Score by size of the training set",
        sizes,
        {"score": scores},
        across="training examples",
        down=measure,
        bounds=bounds,
    )
    return () if made is None else (made,)


def _warnings(run: Run, evaluation: Evaluation | None) -> tuple[str, ...]:
    record = run.record
    found = []
    if record.status.value != "finished":
        found.append(f"This run is not finished: its record says '{record.status.value}'.")
    if record.error is not None:
        found.append(f"It ended with {record.error.type}: {record.error.message}")
    if has_collapsed(record):
        same = run.task.kind.unit_of_example
        found.append(f"The model gives every validation example the same {same}.")
    baseline = record.majority_baseline.score if record.majority_baseline else None
    if run.score is not None and baseline is not None and run.task.is_better(baseline, run.score):
        found.append("The score is below that of the majority baseline.")
    return (*found, *(evaluation.warnings if evaluation else ()))


@dataclass(frozen=True)
class RunLink:
    """A run, and the link to its own page."""

    name: str
    href: str


@dataclass(frozen=True)
class SuiteView:
    """One suite, ready for the page."""

    title: str
    warnings: tuple[str, ...]
    scores: Table
    notes: tuple[str, ...]
    plots: tuple[Plot, ...]
    unfinished: Table
    seeds: Table
    runs: tuple[RunLink, ...]
    command: str
    settings: Table


def suite_view(suite: SuiteResult, target: Path) -> SuiteView:
    """Return the content of the page of `suite`; its links are relative to `target`, its file."""
    record = suite.record
    model = record.request.model
    settings = record.request.model_dump(mode="json", exclude_none=True) | {
        "model": base_name(model)
    }
    return SuiteView(
        title=suite_title(record).replace(model, base_name(model)),
        warnings=_suite_warnings(record),
        scores=suite_table(record),
        notes=suite_notes(record),
        plots=_suite_plots(record.table.tasks),
        unfinished=jobs_table(record.jobs),
        seeds=suite_seeds_table(record),
        runs=tuple(
            RunLink(run.path.name, _link(run.path / "report.html", target))
            for run in suite.runs
            if (run.path / "report.html").exists()
        ),
        command=without_folders(record.command),
        settings=pairs_table("Settings.", ("setting", "value"), settings),
    )


def _link(page: Path, target: Path) -> str:
    relative = os.path.relpath(page.resolve(), target.resolve().parent)
    # A colon in the first part would be read as a scheme.
    return "./" + quote(relative)


def _suite_warnings(record: SuiteRecord) -> tuple[str, ...]:
    doubts = suite_warnings(record)
    if record.status is Status.FINISHED:
        return doubts
    return (f"This suite is incomplete: {counts(record.jobs)}.", *doubts)


def _suite_plots(tasks: list[TaskSummary]) -> tuple[Plot, ...]:
    scored = [(one.task, one.score) for one in tasks if one.score is not None]
    names = [task for task, _ in scored]
    scores = [list(score.by_seed.values()) for _, score in scored]
    distances = [[value - score.mean for value in score.by_seed.values()] for _, score in scored]
    made = [
        seeds_plot(
            "Score of each seed, by task, in points", scores, names=names, across_name="task"
        )
    ]
    if any(len(group) > 1 for group in scores):
        title = "Each seed's distance from its task's mean, in points"
        made.append(
            seeds_plot(
                title,
                distances,
                names=names,
                across_name="task",
                down="points above the mean",
                bounded=False,
            )
        )
    return tuple(plot for plot in made if plot is not None)
