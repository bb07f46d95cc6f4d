"""Two sides of a comparison: their difference, a test of it, and the verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from gluetune.core.errors import RunError
from gluetune.core.records import Predictions
from gluetune.core.runs import Run, scored_splits
from gluetune.core.tables import Between
from gluetune.statistics.paired_tests import (
    ResampledT,
    corrected_resampled_t,
    holm,
    is_proportion,
    mcnemar,
    paired_difference,
    permutation_test,
    smallest_visible,
)

if TYPE_CHECKING:
    import pyarrow as pa

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

    @property
    def interval(self) -> Between | None:
        """The interval as a cell of a table."""
        if self.low is None or self.high is None:
            return None
        return Between(self.low, self.high)


@dataclass(frozen=True)
class FoldPair:
    """Two recipes on the same folds: the second's scores less the first's, fold by fold."""

    first: str
    second: str
    differences: tuple[float, ...]
    """Of each fold, by repeat."""
    result: ResampledT

    @property
    def interval(self) -> Between:
        """The 95% interval as a cell of a table."""
        return Between(self.result.low, self.result.high)


SideRuns = tuple[Side, list[Run]]
"""A side with its runs opened."""


def compare_pairs(task: TaskSpec, sides: Sequence[SideRuns], examples: int) -> tuple[Pair, ...]:
    """Compare each side with each; p-values are corrected for the number of comparisons."""
    pairs = [_compare_pair(task, first, second) for first, second in combinations(sides, 2)]
    adjusted = holm([pair["p_value"] for pair in pairs])
    return tuple(
        Pair(
            **pair, adjusted_p=p_value, verdict=_verdict(task, pair, p_value, examples, len(pairs))
        )
        for pair, p_value in zip(pairs, adjusted, strict=True)
    )


def compare_folds(sides: Sequence[SideRuns]) -> tuple[FoldPair, ...]:
    """Compare the scores of each two runs that were cross-validated on the same folds."""
    found = []
    for (first, ours), (second, theirs) in combinations(sides, 2):
        if len(ours) == len(theirs) == 1 and _have_same_folds(ours[0], theirs[0]):
            before, after = (_fold_scores(run) for run in (ours[0], theirs[0]))
            differences = [
                b - a for a, b in zip(before, after, strict=True) if a is not None and b is not None
            ]
            if len(differences) == len(before):
                share = 1 / (_count(ours[0]) - 1)
                result = corrected_resampled_t(differences, share)
                found.append(FoldPair(first.name, second.name, tuple(differences), result))
    return tuple(found)


def _have_same_folds(first: Run, second: Run) -> bool:
    """Whether two runs are cross-validations with the same rows in every fold."""
    sides = (first.folds, second.folds)
    if None in sides:
        return False
    ours, theirs = (
        [side.out_of_fold(repeat)["fold"] for repeat in range(1, len(side.table.repeats) + 1)]
        for side in sides
        if side is not None
    )
    return len(ours) == len(theirs) and all(map(_equal, ours, theirs))


def _equal(first: pa.ChunkedArray, second: pa.ChunkedArray) -> bool:
    return bool(first.equals(second))


def _fold_scores(run: Run) -> list[float | None]:
    assert run.folds is not None, "only a cross-validation has folds"
    return [one.score for one in run.folds.table.folds]


def _count(run: Run) -> int:
    assert run.folds is not None, "only a cross-validation has folds"
    return run.folds.count


def _compare_pair(task: TaskSpec, first: SideRuns, second: SideRuns) -> dict[str, Any]:
    names = {"first": first[0].name, "second": second[0].name}
    if len(first[1]) == len(second[1]) == 1:
        found = _paired_predictions(task, first[1][0], second[1][0])
        return {**names, **_by_examples(task, *found)}
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


def predictions_of(task: TaskSpec, run: Run) -> dict[str, Predictions]:
    """Return a run's predictions by split, in the order of the examples' index."""
    return {
        split: Predictions.of_table(run.predictions(split).sort_by("idx"))
        for split in scored_splits(run)
    }


def _paired_predictions(
    task: TaskSpec, first: Run, second: Run
) -> tuple[dict[str, Predictions], dict[str, Predictions]]:
    """Return two runs' predictions of the same examples.

    Raises RunError where the examples or their labels are not the same.
    """
    import numpy as np

    ours, theirs = predictions_of(task, first), predictions_of(task, second)
    for split, one in ours.items():
        other = theirs[split]
        same = np.array_equal(one.index, other.index) and np.array_equal(one.labels, other.labels)
        if not same:
            raise RunError(
                f"{first.path} and {second.path} predict other examples of '{split}', though their "
                "records name the same data.",
                hint="One of the files in predictions/ was changed: train that run again.",
            )
    return ours, theirs


def _joined(found: Mapping[str, Predictions]) -> Predictions:
    import numpy as np

    parts = list(found.values())
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
    interval = "" if low is None else f" [{task.amount(low)}, {task.amount(high)}]"
    size = f"{task.amount(difference)}{_unit(task)}{interval}"
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


def _unit(task: TaskSpec) -> str:
    return " points" if task.in_points() else ""


def _limits(task: TaskSpec, pair: dict[str, Any], examples: int) -> str:
    """Say what the comparison could not have shown anyway."""
    if pair["smallest_p"] is not None and pair["smallest_p"] >= _ALPHA:
        return f" So few seeds cannot give a p below {pair['smallest_p']:.2g}: train more of them."
    if pair["visible"]:
        return (
            f" With {examples:,} examples a difference below "
            f"{task.amount(pair['visible'])}{_unit(task)} would mostly go unseen."
        )
    return ""
