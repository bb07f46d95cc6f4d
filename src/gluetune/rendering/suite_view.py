"""The content of a suite's page, from its record and its runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gluetune.core.plots import Plot, seeds_plot
from gluetune.core.records import Status
from gluetune.core.suites import (
    SuiteRecord,
    SuiteResult,
    TaskSummary,
    counts,
    jobs_table,
    seeds_table,
    suite_notes,
    suite_table,
    suite_title,
    suite_warnings,
)
from gluetune.core.tables import Table


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
    return SuiteView(
        title=suite_title(record),
        warnings=_warnings(record),
        scores=suite_table(record),
        notes=suite_notes(record),
        plots=_plots(record.table.tasks),
        unfinished=jobs_table(record),
        seeds=seeds_table(record),
        runs=tuple(
            RunLink(run.path.name, _link(run.path / "report.html", target))
            for run in suite.runs
            if (run.path / "report.html").exists()
        ),
        command=record.command,
        settings=Table.of(
            "Settings.",
            ("setting", "value"),
            [
                (name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
                for name, value in record.request.model_dump(mode="json").items()
                if value not in (None, {}, [])
            ],
        ),
    )


def _link(page: Path, target: Path) -> str:
    relative = os.path.relpath(page.resolve(), target.resolve().parent)
    # A colon in the first part would be read as a scheme.
    return "./" + quote(relative)


def _warnings(record: SuiteRecord) -> tuple[str, ...]:
    doubts = suite_warnings(record)
    if record.status is Status.FINISHED:
        return doubts
    return (f"This suite is incomplete: {counts(record.jobs)}.", *doubts)


def _plots(tasks: list[TaskSummary]) -> tuple[Plot, ...]:
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
