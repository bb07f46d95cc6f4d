"""`gluetune.compare`: which of several runs is better, and how sure that is.

Runs that differ in nothing but their seed are one side. Two runs are compared on the same examples;
sides of several seeds by their scores, which is what a claim about a recipe needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from gluetune.core.command_lines import command_line, options
from gluetune.core.errors import Finding, RunError
from gluetune.core.predictions import Predictions
from gluetune.core.records import Status
from gluetune.core.runs import Run, recipe_of
from gluetune.core.suites import SuiteResult, is_suite
from gluetune.statistics.paired_tests import (
    holm,
    is_proportion,
    mcnemar,
    paired_difference,
    permutation_test,
    smallest_visible,
)

if TYPE_CHECKING:
    from gluetune.core.tasks import TaskSpec

_ALPHA = 0.05


@dataclass(frozen=True)
class Side:
    """Runs of one configuration."""

    name: str
    runs: tuple[Path, ...]
    seeds: tuple[int, ...]
    scores: tuple[float, ...]

    @property
    def score(self) -> float:
        """Mean score over the seeds."""
        return mean(self.scores)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds; None for a single one."""
        return stdev(self.scores) if len(self.scores) > 1 else None


@dataclass(frozen=True)
class Pair:
    """One side against another. Differences are the second's score less the first's."""

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    """95% interval: over examples for two runs, over seeds otherwise; None for too few seeds."""
    test: str
    p_value: float
    adjusted_p: float
    """Holm's, over all pairs of the comparison."""
    smallest_p: float | None
    """The smallest that so few seeds can give."""
    visible: float | None
    """The difference that would have been seen four times in five."""
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """What came of comparing runs."""

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


def compare(*runs: str | Path | Run | SuiteResult) -> Comparison:
    """Compare finished runs of one task on the same validation data; of a suite, all its runs.

    Suites of several tasks are compared by `compare_suites`.

    Raises RunError, with every fault at once: what is no run, fewer than two runs, unfinished ones,
    other tasks, other validation data, a run given twice, a seed twice on one side.
    """
    opened = _open(runs)
    _check(opened)
    task = opened[0].task
    sides = _sides(opened)
    _check_seeds(sides)
    pairs = [_compare_pair(task, first, second) for first, second in combinations(sides, 2)]
    adjusted = holm([pair["p_value"] for pair in pairs])
    answers = _answers(task, opened[0])
    examples = sum(len(found.labels) for found in answers.values())
    return Comparison(
        task=task.name,
        score=", ".join(map(task.metric_title, task.metrics)),
        positive=_scored_class(task),
        examples=examples,
        sides=tuple(side for side, _ in sides),
        pairs=tuple(
            Pair(
                **pair,
                adjusted_p=p_value,
                verdict=_verdict(task, pair, p_value, examples, len(pairs)),
            )
            for pair, p_value in zip(pairs, adjusted, strict=True)
        ),
        differing=_differing(sides),
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


_Side = tuple[Side, list[Run]]


def _open(runs: Sequence[str | Path | Run | SuiteResult]) -> list[Run]:
    opened: list[Run] = []
    findings: list[Finding] = []
    for run in runs:
        try:
            if isinstance(run, Run):
                opened.append(run)
            else:
                opened += SuiteResult(run).runs if is_suite(run) else [Run(run)]
        except RunError as error:
            findings += error.findings
    if findings:
        raise RunError.of(findings)
    return opened


def _check_seeds(sides: Sequence[_Side]) -> None:
    """Refuse a seed that stands twice on one side: a repeat says nothing new about the recipe."""
    findings = []
    for side, _ in sides:
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


def _check(runs: Sequence[Run]) -> None:
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
                f"The runs call their task {runs[0].task.name}, and have other labels or metrics.",
                "Train them with the same --label, --kind and --metric.",
            )
        )
    elif len(classes := list(dict.fromkeys(_scored_class(run.task) for run in runs))) > 1:
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


def _scored_class(task: TaskSpec) -> str | None:
    """Return the class that the score is of, where F1 is a part of it."""
    return task.scored_label


def _data_findings(runs: Sequence[Run]) -> list[Finding]:
    """Refuse runs that answered other examples: a difference would be of the data."""
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
            if _fingerprint(run, split) != _fingerprint(first, split)
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
    if _fingerprint(run, split) is None:
        findings.append(Finding(f"{run.path} does not say which data it was scored on ({split})."))
    if not run.folder.predictions_on(split).exists():
        findings.append(Finding(f"{run.path} has no predictions on '{split}'."))
    return findings


def _fingerprint(run: Run, split: str) -> str | None:
    return run.record.data.fingerprints.get(split) if run.record.data else None


def _sides(runs: Sequence[Run]) -> list[_Side]:
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
    if len(groups) == 1:  # nothing differs but the seed: each run stands for itself
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


def _compare_pair(task: TaskSpec, first: _Side, second: _Side) -> dict[str, Any]:
    names = {"first": first[0].name, "second": second[0].name}
    if len(first[1]) == len(second[1]) == 1:
        answers = _paired_answers(task, first[1][0], second[1][0])
        return {**names, **_by_examples(task, *answers)}
    return {**names, **_by_seeds(first[0], second[0])}


def _by_examples(
    task: TaskSpec, first: dict[str, Predictions], second: dict[str, Predictions]
) -> dict[str, Any]:
    """Compare two runs example by example."""
    difference = paired_difference(task, first, second)
    found = {
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "smallest_p": None,
    }
    if not is_proportion(task):
        # 1.96 + 0.84 standard deviations: seen at 5% four times in five.
        visible = 2.8 * difference.spread
        return {
            **found,
            "test": "paired bootstrap",
            "p_value": difference.p_value,
            "visible": visible,
        }
    test = mcnemar(_joined(first), _joined(second))
    count = sum(len(one.labels) for one in first.values())
    visible = smallest_visible(count, (test.only_first + test.only_second) / count)
    return {**found, "test": "McNemar's exact test", "p_value": test.p_value, "visible": visible}


def _by_seeds(first: Side, second: Side) -> dict[str, Any]:
    """Compare two groups of seeds by their scores."""
    test = permutation_test(first.scores, second.scores)
    low, high = _welch(first.scores, second.scores)
    return {
        "difference": test.difference,
        "low": low,
        "high": high,
        "test": f"permutation test, {len(first.scores)} seeds against {len(second.scores)}",
        "p_value": test.p_value,
        "smallest_p": test.smallest_p,
        "visible": None,
    }


def _welch(first: Sequence[float], second: Sequence[float]) -> tuple[float | None, float | None]:
    """Return Welch's 95% interval of the difference of two means; none for a single score."""
    if min(len(first), len(second)) < 2 or stdev(first) + stdev(second) == 0:
        return None, None
    from scipy.stats import ttest_ind

    interval = ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    return float(interval.low), float(interval.high)


def _answers(task: TaskSpec, run: Run) -> dict[str, Predictions]:
    """Return a run's answers by split, in the order of the examples' index."""
    return {
        split: Predictions.of_table(run.predictions(split).sort_by("idx"))
        for split in task.validation_splits
    }


def _paired_answers(
    task: TaskSpec, first: Run, second: Run
) -> tuple[dict[str, Predictions], dict[str, Predictions]]:
    """Return two runs' answers to the same examples, side by side.

    Raises RunError where the examples or their labels are not the same.
    """
    import numpy as np

    ours, theirs = _answers(task, first), _answers(task, second)
    for split, one in ours.items():
        other = theirs[split]
        same = np.array_equal(one.index, other.index) and np.array_equal(one.labels, other.labels)
        if not same:
            raise RunError(
                f"{first.path} and {second.path} answer other examples of '{split}', though their "
                "records name the same data.",
                hint="One of the files in predictions/ was changed: train that run again.",
            )
    return ours, theirs


def _joined(answers: Mapping[str, Predictions]) -> Predictions:
    import numpy as np

    parts = list(answers.values())
    return Predictions(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("index", "labels", "predicted", "logits")
        )
    )


def _verdict(
    task: TaskSpec, pair: dict[str, Any], p_value: float, examples: int, pairs: int
) -> str:
    better, worse = pair["second"], pair["first"]
    difference, low, high = pair["difference"], pair["low"], pair["high"]
    if task.sign * difference < 0:
        better, worse = worse, better
    if difference < 0 or (difference == 0 and not task.greater_is_better):
        difference = abs(difference)
        low, high = (None, None) if low is None else (-high, -low)
    more = "more" if task.greater_is_better else "less"
    interval = "" if low is None else f" [{_amount(task, low)}, {_amount(task, high)}]"
    size = f"{_amount(task, difference)}{_unit(task)}{interval}"
    corrected = f", corrected for {pairs} comparisons" if pairs > 1 else ""
    proof = f"p = {p_value:.2g}{corrected}, {pair['test']}"
    if p_value < _ALPHA:
        return f"{better} is better than {worse} by {size} ({proof})."
    if difference == 0:
        return f"{better} and {worse} score the same ({proof})."
    return (
        f"No difference is shown: {better} scores {size} {more} than {worse} ({proof})."
        + _limits(task, pair, examples)
    )


def _amount(task: TaskSpec, value: float) -> str:
    """Return a difference of scores as people read it: in points, or as it is."""
    return f"{100 * value:.1f}" if task.in_points() else f"{value:.3f}"


def _unit(task: TaskSpec) -> str:
    return " points" if task.in_points() else ""


def _limits(task: TaskSpec, pair: dict[str, Any], examples: int) -> str:
    """Say what the comparison could not have shown anyway."""
    if pair["smallest_p"] is not None and pair["smallest_p"] >= _ALPHA:
        return f" So few seeds cannot give a p below {pair['smallest_p']:.2g}: train more of them."
    if pair["visible"]:
        return (
            f" With {examples:,} examples a difference below "
            f"{_amount(task, pair['visible'])}{_unit(task)} would mostly go unseen."
        )
    return ""


def _differing(sides: Sequence[_Side]) -> dict[str, tuple[Any, ...]]:
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


def _notes(runs: Sequence[Run], sides: Sequence[_Side]) -> list[str]:
    notes = list(dict.fromkeys(run.task.positive_note for run in runs if run.task.positive_note))
    prints = {_fingerprint(run, run.task.train_split or "") for run in runs}
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
