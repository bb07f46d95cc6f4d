"""`gluetune.compare`: which of several runs is better, and how sure that is.

Runs that differ in nothing but their seed are one side. Two runs are compared on the same examples;
sides of several seeds by their scores, which is what a claim about a recipe needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from gluetune.analysis.comparison_pairs import (
    FoldPair,
    Pair,
    Side,
    SideRuns,
    compare_folds,
    compare_pairs,
    predictions_of,
)
from gluetune.core.command_lines import command_line, options
from gluetune.core.errors import Finding, RunError
from gluetune.core.records import Status
from gluetune.core.runs import Run, open_run, recipe_of, scored_splits
from gluetune.core.suites import SuiteResult, is_suite
from gluetune.core.tables import Column, Table, plain, tables_html, to_frames
from gluetune.core.tasks import TaskSpec

_BY_FOLD = (
    "This test is of the recipes, over training rows too; the pairs above compare the models that "
    "were trained, row by row."
)


@dataclass(frozen=True, repr=False)
class Comparison:
    """The result of comparing runs."""

    task: str
    score: str
    """The metrics that a score is the mean of, with the class that F1 is of."""
    positive: str | None
    """The class that F1 is of; None where no metric is of one class."""
    examples: int
    sides: tuple[Side, ...]
    pairs: tuple[Pair, ...]
    differing: Mapping[str, tuple[Any, ...]]
    """Settings that differ between the sides, in the order of `sides`."""
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    by_fold: tuple[FoldPair, ...] = ()
    """Of runs that were cross-validated on the same folds: their scores, fold by fold."""

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The finding on each pair, in words."""
        return tuple(pair.verdict for pair in self.pairs)

    def tables(self) -> Iterator[Table]:
        """Yield the sides, what differs between them, and the pairs."""
        yield Table.of(
            f"{self.task}: {self.examples:,} validation examples, scored by {self.score}",
            (
                Column("", key="side"),
                Column("score", "number"),
                Column("sd", "number"),
                "seeds",
                "runs",
            ),
            [
                (
                    *(side.name, side.score, side.deviation),
                    ", ".join(map(str, side.seeds)),
                    "\n".join(map(str, side.runs)),
                )
                for side in self.sides
            ],
            name="sides",
        )
        if self.differing:
            yield Table.of(
                "What differs",
                ("setting", *(side.name for side in self.sides)),
                [(name, *map(str, values)) for name, values in self.differing.items()],
                name="differing",
            )
        yield Table.of(
            "Pairs: the second's score less the first's",
            (
                "first",
                "second",
                Column("difference", "number"),
                Column("95% interval", "interval", key="interval"),
                Column("p, corrected", "number", key="adjusted_p"),
                "test",
            ),
            [
                (
                    *(pair.first, pair.second, pair.difference, pair.interval),
                    *(pair.adjusted_p, pair.test),
                )
                for pair in self.pairs
            ],
            notes=self.verdicts,
            name="pairs",
        )
        if self.by_fold:
            yield self._fold_table()

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON has it."""
        return {name: plain(value) for name, value in vars(self).items() if name != "warnings"}

    def to_pandas(self, name: str | None = None) -> Any:
        """Return the tables as data frames by name (`sides`, `differing`, `pairs`), or that one."""
        return to_frames(self.tables(), name)

    def _fold_table(self) -> Table:
        """Return the tests over the folds."""
        return Table.of(
            "The same folds: corrected resampled t-test of the scores",
            (
                "first",
                "second",
                Column("difference", "number"),
                Column("95% interval", "interval", key="interval"),
                Column("p", "number", key="p_value"),
                Column("folds", "count"),
            ),
            [
                (
                    *(one.first, one.second, one.result.difference, one.interval),
                    *(one.result.p_value, one.result.folds),
                )
                for one in self.by_fold
            ],
            notes=[_BY_FOLD],
            name="by_fold",
        )

    def __repr__(self) -> str:
        sides = ", ".join(f"{side.name}={side.score:.4f}" for side in self.sides)
        return f"Comparison({self.task}: {sides}; {' '.join(self.verdicts)})"

    def _repr_html_(self) -> str:
        return tables_html(self.tables())


def compare(*runs: str | Path | Run | SuiteResult) -> Comparison:
    """Compare finished runs of one task on the same validation data; of a suite, all its runs.

    Suites of several tasks are compared by `compare_suites`.

    Each is a Run, a SuiteResult, or its folder.

    Raises:
        RunError: with every fault together: a folder that is not a run, fewer than two runs,
            unfinished ones, other tasks, other validation data, a run given twice, a seed twice on
            one side.
    """
    opened = open_runs(runs)
    check_runs(opened)
    task = opened[0].task
    sides = _sides(opened)
    check_seeds([side for side, _ in sides])
    examples = sum(len(found.labels) for found in predictions_of(task, opened[0]).values())
    return Comparison(
        task=task.name,
        score=", ".join(map(task.metric_title, task.metrics)),
        positive=scored_class(task),
        examples=examples,
        sides=tuple(side for side, _ in sides),
        pairs=compare_pairs(task, sides, examples),
        differing=_differing(sides),
        by_fold=compare_folds(sides),
        notes=tuple(_notes(opened, sides)),
    )


def compare_suites(*suites: str | Path | SuiteResult) -> dict[str, Comparison | RunError]:
    """Compare suites task by task: on each, the runs of all of them, seed by seed.

    A task that cannot be compared has its reason instead; one that not all suites have finished is
    left out. Raises RunError where no task is left.
    """
    opened = [SuiteResult(suite) for suite in suites]
    shared = [
        task
        for task in opened[0].record.request.tasks
        if all(any(run.record.task == task for run in each.runs) for each in opened)
    ]
    if not shared:
        raise RunError("The suites have no task with finished runs in common.")
    found: dict[str, Comparison | RunError] = {}
    for task in shared:
        runs = [run for each in opened for run in each.runs if run.record.task == task]
        try:
            found[task] = compare(*runs)
        except RunError as error:
            found[task] = error
    return found


def _sides(runs: Sequence[Run]) -> list[SideRuns]:
    """Group runs by their configuration, in the order given."""
    groups: list[tuple[dict[str, Any], list[Run]]] = []
    for run in runs:
        recipe = recipe_of(run)
        for known, members in groups:
            if known == recipe:
                members.append(run)
                break
        else:
            groups.append((recipe, [run]))
    if len(groups) == 1:  # nothing differs but the seed: each run is a side
        groups = [(groups[0][0], [run]) for run in runs]
    return [(_side(_name(n), members), members) for n, (_, members) in enumerate(groups)]


def _name(number: int) -> str:
    return ascii_uppercase[number] if number < len(ascii_uppercase) else f"Z{number + 1}"


def _side(name: str, runs: Sequence[Run]) -> Side:
    return Side(
        name=name,
        runs=tuple(run.path for run in runs),
        seeds=tuple(run.record.seed for run in runs),
        scores=tuple(float(run.score or 0.0) for run in runs),
    )


def _differing(sides: Sequence[SideRuns]) -> dict[str, tuple[Any, ...]]:
    """Return the settings in which the sides differ."""
    several = any(len(runs) > 1 for _, runs in sides)
    settings = [
        recipe_of(runs[0], machine=True) | ({} if several else {"seed": runs[0].config.seed})
        for _, runs in sides
    ]
    # Where a run started from another's model, its recipe says how that was trained: too much here.
    shown = [
        one | {"model": runs[0].config.model}
        for one, (_, runs) in zip(settings, sides, strict=True)
    ]
    return {
        name: tuple(one[name] for one in shown)
        for name in settings[0]
        if any(one[name] != settings[0][name] for one in settings)
    }


def _notes(runs: Sequence[Run], sides: Sequence[SideRuns]) -> list[str]:
    notes = list(dict.fromkeys(run.task.positive_note for run in runs if run.task.positive_note))
    prints = {data_fingerprint(run, run.task.train_split or "") for run in runs}
    if len(prints) > 1:
        notes.append("The runs were trained on different training data.")
    places = {
        (run.record.environment.precision, run.record.environment.device)
        for run in runs
        if run.record.environment
    }
    if len(places) > 1:
        notes.append("The runs were computed in another precision or on another device.")
    if all(len(members) == 1 for _, members in sides):
        notes.append(
            "One seed a side: the intervals are over examples, and seeds move scores too. "
            "For a claim about a recipe, train several seeds of each."
        )
    return notes


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
    splits = scored_splits(first)
    findings = [finding for run in runs for split in splits for finding in _lacks(run, split)]
    for run in runs[1:]:
        other = [
            split
            for split in splits
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
        findings.append(
            Finding(f"{run.path} does not record which data it was scored on ({split}).")
        )
    if not run.folder.predictions_on(split).exists():
        findings.append(Finding(f"{run.path} has no predictions on '{split}'."))
    return findings


def data_fingerprint(run: Run, split: str) -> str | None:
    """Return the fingerprint of the rows of a split, where the record has it."""
    return run.record.data.fingerprints.get(split) if run.record.data else None
