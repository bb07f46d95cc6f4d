"""The content of the pages about runs and suites, from their records and predictions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gluetune.analysis.audit import audit
from gluetune.analysis.evaluation import Evaluation, evaluation_of
from gluetune.core.command_lines import command_line
from gluetune.core.jobs import counts, jobs_table
from gluetune.core.plots import Plot, line_plot, seeds_plot
from gluetune.core.records import EpochRecord, Status, has_collapsed
from gluetune.core.runs import Run, described_data, recipe_of
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
from gluetune.core.tables import Table
from gluetune.rendering.tables import curve_table, pairs_table, runs_table, seeds_table, time_table


@dataclass(frozen=True)
class SplitView:
    """The statistics of one split, ready for the page."""

    split: str
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...]


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
    anchor: str
    title: str
    summary: str
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    evaluation: Evaluation | None
    scores: tuple[Table, ...]
    curve: Table
    """Scores by size of the training set; without rows where no learning curve was trained."""
    plots: tuple[Plot, ...]
    folds: FoldsView | None
    splits: tuple[SplitView, ...]
    time: Table
    details: tuple[Table, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.run.path.resolve().name


@dataclass(frozen=True)
class Overview:
    """Several runs together."""

    runs: Table
    seeds: Table
    plot: Plot | None


def view(run: Run, number: int) -> RunView:
    """Return the content about `run`, the `number`th on the page."""
    record, config = run.record, run.config
    evaluation = evaluation_of(run)
    curve = _curve(run)
    settings = config.model_dump(mode="json", exclude_none=True)
    versions = record.environment.versions if record.environment else {}
    best = record.best.epoch if record.best else None
    return RunView(
        run=run,
        anchor=f"run-{number}",
        title=run.task.title,
        summary=_summary(run),
        warnings=_warnings(run, evaluation),
        notes=evaluation.notes if evaluation else (),
        evaluation=evaluation,
        scores=tuple(evaluation.score_tables()) if evaluation else (),
        curve=curve_table(curve),
        plots=(*_plots(record.epochs, best), *_curve_plots(curve)),
        folds=_folds(run),
        splits=tuple(
            SplitView(name, tuple(split.tables()), tuple(split.plots()))
            for name, split in (evaluation.splits.items() if evaluation else ())
        ),
        time=time_table(record),
        details=(
            pairs_table("Configuration.", ("setting", "value"), settings),
            pairs_table("Versions.", ("package", "version"), versions),
        ),
    )


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
        command=command_line("audit", run.path, output="suspects.csv"),
    )


def overview(views: Sequence[RunView]) -> Overview:
    """Return the runs side by side, and taken together by configuration without the seed."""
    groups: dict[str, list[RunView]] = {}
    for each in views:
        groups.setdefault(repr(recipe_of(each.run)), []).append(each)
    scored = [
        (
            members[0].run.record.task,
            members[0].run.config.model,
            [one.run.score for one in members if one.run.score is not None],
        )
        for members in groups.values()
        if any(one.run.score is not None for one in members)
    ]
    return Overview(
        runs=runs_table([(each.name, each.run, each.evaluation) for each in views]),
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
    return f"Data: {data}. Device: {device}. Seed {record.seed}, started {record.started}."


def _plots(epochs: Sequence[EpochRecord], best: float | None) -> tuple[Plot, ...]:
    if len(epochs) < 2:
        return ()
    at = [each.epoch for each in epochs]
    losses = {
        "training": [each.train_loss for each in epochs],
        "validation": [each.validation_loss for each in epochs],
    }
    scores = {"score": [each.validation.score for each in epochs]}
    rates = {"learning rate": [each.learning_rate for each in epochs]}
    made = (
        line_plot("Loss by epoch", at, losses, best),
        line_plot("Score by epoch", at, scores, best),
        line_plot("Learning rate at the end of each epoch", at, rates),
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


def _curve_plots(curve: Sequence[tuple[int, float | None]]) -> tuple[Plot, ...]:
    sizes, scores = [rows for rows, _ in curve], [score for _, score in curve]
    made = line_plot(
        "Score by size of the training set", sizes, {"score": scores}, across="examples"
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
    settings = record.request.model_dump(mode="json", exclude_none=True)
    return SuiteView(
        title=suite_title(record),
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
        command=record.command,
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
        made.append(seeds_plot(title, distances, names=names, across_name="task"))
    return tuple(plot for plot in made if plot is not None)
