"""Which runs can be compared: finished, of one task, scored on the same data, each seed once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.core.command_lines import command_line, options
from gluetune.core.errors import Finding, RunError
from gluetune.core.records import Status
from gluetune.core.runs import Run, open_run
from gluetune.core.suites import SuiteResult, is_suite
from gluetune.core.tasks import TaskSpec

if TYPE_CHECKING:
    from gluetune.analysis.comparison_pairs import Side


def open_runs(runs: Sequence[str | Path | Run | SuiteResult]) -> list[Run]:
    """Open runs, and all runs of suites. Raises RunError with every one that cannot be opened."""
    opened: list[Run] = []
    findings: list[Finding] = []
    for run in runs:
        try:
            is_folder = not isinstance(run, Run) and is_suite(run)
            opened += SuiteResult(run).runs if is_folder else [open_run(run)]
        except RunError as error:
            findings += error.findings
    if findings:
        raise RunError.of(findings)
    return opened


def check_seeds(sides: Sequence[Side]) -> None:
    """Refuse a seed that occurs twice on one side: a repeat says nothing new about the recipe."""
    findings = []
    for side in sides:
        for seed in sorted({seed for seed in side.seeds if side.seeds.count(seed) > 1}):
            paths = [str(p) for p, s in zip(side.runs, side.seeds, strict=True) if s == seed]
            findings.append(
                Finding(
                    f"{', '.join(paths)} are one recipe with one seed ({seed}): a repeat is no "
                    "new seed.",
                    "Give one of them.",
                )
            )
    if findings:
        raise RunError.of(findings)


def check_runs(runs: Sequence[Run]) -> None:
    """Raise RunError, with every fault together, for runs that cannot be compared."""
    findings = []
    if len(runs) < 2:
        findings.append(Finding("One run cannot be compared.", "Type: gluetune compare RUN RUN"))
    paths = [run.path.resolve() for run in runs]
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        findings.append(Finding(f"{path} is given twice.", "Give each run once."))
    for run in runs:
        if run.record.status is not Status.FINISHED or run.score is None:
            hint = "Type: " + command_line("train", resume=run.path)
            findings.append(
                Finding(f"{run.path} is {run.status}: it has no score to compare.", hint)
            )
    tasks = {run.record.task for run in runs}
    if len(tasks) > 1:
        found = ", ".join(sorted(tasks))
        findings.append(Finding(f"The runs are of several tasks: {found}.", "Compare one task."))
    elif any(_shape(run.task) != _shape(runs[0].task) for run in runs):
        findings.append(
            Finding(
                f"The runs are of tasks named {runs[0].task.name}, with other labels or metrics.",
                "Train them with the same --label, --kind and --metric.",
            )
        )
    elif len(classes := list(dict.fromkeys(scored_class(run.task) for run in runs))) > 1:
        of = " and ".join(f"'{name}'" for name in classes)
        findings.append(
            Finding(
                f"The runs are scored by F1 of other classes: {of}.",
                f"Train them with the same one: {options(positive=str(classes[0]))}",
            )
        )
    elif not findings:
        findings += _data_findings(runs)
    if findings:
        raise RunError.of(findings)


def _shape(task: TaskSpec) -> tuple[Any, ...]:
    """Return what runs of one task have alike: thresholds, which each tunes, are not among it."""
    return (task.labels, task.metrics, task.kind.name, task.validation_splits)


def scored_class(task: TaskSpec) -> str | None:
    """Return the class that the score is of, where F1 is a part of it."""
    return task.scored_label


def _data_findings(runs: Sequence[Run]) -> list[Finding]:
    """Refuse runs that were scored on other examples: a difference would be of the data."""
    first = runs[0]
    task = first.task
    findings = [
        finding
        for run in runs
        for split in task.validation_splits
        for finding in _lacks(run, split)
    ]
    for run in runs[1:]:
        other = [
            split
            for split in task.validation_splits
            if data_fingerprint(run, split) != data_fingerprint(first, split)
        ]
        if other:
            findings.append(
                Finding(
                    f"{run.path} was scored on other data than {first.path}: {', '.join(other)}.",
                    "Compare runs on the same --data.",
                )
            )
    return findings


def _lacks(run: Run, split: str) -> list[Finding]:
    """Say what a run does not have that a comparison needs of a split."""
    findings = []
    if data_fingerprint(run, split) is None:
        findings.append(Finding(f"{run.path} does not say which data it was scored on ({split})."))
    if not run.folder.predictions_on(split).exists():
        findings.append(Finding(f"{run.path} has no predictions on '{split}'."))
    return findings


def data_fingerprint(run: Run, split: str) -> str | None:
    """Return the fingerprint of the rows of a split, where the record has it."""
    return run.record.data.fingerprints.get(split) if run.record.data else None
