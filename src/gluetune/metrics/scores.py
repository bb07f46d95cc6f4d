"""GLUE's official metrics, each a number or the reason why there is none.

Scores follow the conventions of GLUE's own scorer, which is scikit-learn and SciPy. Where those
would warn and return NaN or a made-up 0.0, a `Measure` holds None and says why. The one exception
is Matthews correlation of constant predictions: scikit-learn's 0.0 is the official score there.

NumPy, SciPy and scikit-learn are imported inside the functions: they cost half a second.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from gluetune.core.errors import ConfigurationError, DataError, Finding
from gluetune.core.tasks import GLUE_TASKS, ONE_CLASS, TASKS, MetricName, TaskSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[Any]

HIDDEN_LABEL = -1
"""What GLUE writes in place of a test label."""

_OF_SETS = frozenset({"f1_micro", "f1_macro", "exact_match"})
_CORRELATIONS = frozenset({"pearson", "spearman"})
_HIDDEN_HINT = "Score a validation split: GLUE's test labels are known to its leaderboard only."


@dataclass(frozen=True)
class Measure:
    """A metric's value, or None with the reason why it is undefined.

    `dataclasses.asdict` gives plain JSON.
    """

    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class TaskScore:
    """A task's score, and the metrics by split that it is the mean of."""

    score: Measure
    by_split: Mapping[str, Mapping[str, Measure]]


def compute_metric(
    name: MetricName, predictions: Numbers, labels: Numbers, *, positive: int = 1
) -> Measure:
    """Return the metric `name` of predictions against labels, both of shape (examples,).

    Accuracy, F1 and Matthews correlation take class ids; F1 is binary, of the class `positive`
    (of GLUE's tasks class 1), `f1_macro` the mean over the classes that occur in labels or
    predictions. Pearson and Spearman take numbers.
    Where an example may have several labels, arrays have the shape (examples, labels) and hold 0
    and 1: see `gluetune.metrics.label_sets`. The value is a fraction: 0.5, not 50. It is undefined:

    - always, when there are no examples, or a prediction is NaN or infinite;
    - F1, when neither labels nor predictions hold the positive class;
    - Matthews, when the labels hold one class only. Constant predictions on labels of several
      classes score 0.0, scikit-learn's convention and so the official one;
    - Pearson and Spearman, of fewer than two examples, and of constant predictions or labels.

    Raises DataError for shapes that differ, labels that are hidden (-1) or not class ids, and
    predictions that are not class ids; ConfigurationError for an unknown metric.
    """
    import numpy as np

    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if labels.ndim == 2 and name in _OF_SETS:
        from gluetune.metrics.label_sets import compute_set_metric

        return compute_set_metric(name, predictions, labels)
    if name not in _METRICS:
        raise ConfigurationError(
            f"There is no metric '{name}'.", hint=f"Metrics: {', '.join(_METRICS)}."
        )
    findings = _faults(name, predictions, labels)
    if findings:
        raise DataError.of(findings)
    if not labels.size:
        return Measure(None, "there are no examples")
    broken = np.flatnonzero(~np.isfinite(predictions))
    if broken.size:
        first = f"{predictions[broken[0]]} at index {broken[0]}"
        return Measure(None, f"{broken.size} predictions are not finite, the first is {first}")
    dtype = np.float64 if name in _CORRELATIONS else np.int64
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        values = predictions.astype(dtype), labels.astype(dtype)
        return _f1(*values, positive) if name == ONE_CLASS else _METRICS[name](*values)


def score_task(
    task: TaskSpec, predictions: Mapping[str, Numbers], labels: Mapping[str, Numbers]
) -> TaskScore:
    """Return `task`'s score on the given splits: the mean of its metrics, then of the splits.

    Keys are splits (MNLI: `validation_matched` and `validation_mismatched`); values are as in
    `compute_metric`. The score is undefined when any metric of any split is, or no split is given.

    Raises DataError, listing all, for a split that has predictions but no labels or the reverse,
    and for arrays that `compute_metric` refuses or that hold what `task` cannot: a class id
    without a class, a label outside `label_range`.
    """
    findings = _score_faults(task, predictions, labels)
    if findings:
        raise DataError.of(findings)
    by_split: dict[str, Mapping[str, Measure]] = {
        split: {
            name: compute_metric(name, predictions[split], labels[split], positive=task.positive_id)
            for name in task.all_metrics
        }
        for split in predictions
    }
    return TaskScore(_mean_over_splits(task, by_split), by_split)


def glue_average(scores: Mapping[str, float | None]) -> Measure:
    """Return GLUE's macro average: the mean score of its nine tasks (arXiv 1804.07461).

    `scores` are by task; None is an undefined one. `mnli-mm` and `ax` may be among them and do not
    count. The average is undefined while any of the nine is missing or undefined.

    Raises ConfigurationError for tasks that do not exist.
    """
    unknown = [name for name in scores if name not in TASKS]
    if unknown:
        hint = f"Tasks: {', '.join(TASKS)}."
        raise ConfigurationError.of(
            [Finding(f"There is no task '{name}'.", hint) for name in unknown]
        )
    missing = [name for name in GLUE_TASKS if name not in scores]
    known = {name: scores[name] for name in GLUE_TASKS if name in scores}
    undefined = [n for n, value in known.items() if value is None or not math.isfinite(value)]
    reasons = [
        f"{what}: {', '.join(names)}"
        for what, names in (("missing", missing), ("undefined", undefined))
        if names
    ]
    if reasons:
        return Measure(None, "; ".join(reasons))
    return Measure(_mean(known.values()))


def majority_baseline(
    task: TaskSpec, train_labels: Numbers, validation_labels: Mapping[str, Numbers]
) -> TaskScore:
    """Return the score of one constant answer: the most frequent class of `train_labels`.

    The lowest class id wins a tie; a regression task answers with the mean label, whose
    correlation is undefined; where an example may have several labels, with those that more than
    half of the examples have. Labels have shape (examples,), or (examples, labels).

    Raises DataError for train labels that are absent, hidden or outside the task's, and as
    `score_task` does.
    """
    import numpy as np

    train_labels = np.asarray(train_labels)
    if task.multi_label:
        usual = (train_labels.mean(axis=0) > 0.5).astype(np.int64)
        constant = {
            split: np.tile(usual, (len(held), 1)) for split, held in validation_labels.items()
        }
        return score_task(task, constant, validation_labels)
    findings = _array_faults("labels", train_labels) or _task_faults(task, "labels", train_labels)
    if not train_labels.size:
        findings = [Finding("there are no labels to find the most frequent of")]
    if findings:
        raise DataError.of(_placed(f"{task.name}, {task.train_split}", findings))
    answer = (
        float(train_labels.mean(dtype=np.float64))
        if task.is_regression
        else int(np.bincount(train_labels.astype(np.int64)).argmax())
    )
    predictions = {split: np.full(len(held), answer) for split, held in validation_labels.items()}
    return score_task(task, predictions, validation_labels)


def collapsed(predictions: Numbers) -> bool:
    """Whether class predictions, one a row, are all the same, as of a run that failed.

    Fewer than two predictions cannot show it: False.
    """
    import numpy as np

    values = np.asarray(predictions)
    return len(values) > 1 and bool((values == values[0]).all())


def _accuracy(predictions: Numbers, labels: Numbers) -> Measure:
    from sklearn.metrics import accuracy_score

    return Measure(float(accuracy_score(labels, predictions)))


def _f1(predictions: Numbers, labels: Numbers, positive: int = 1) -> Measure:
    from sklearn.metrics import f1_score

    if not (predictions == positive).any() and not (labels == positive).any():
        return Measure(None, f"neither labels nor predictions hold the positive class ({positive})")
    return Measure(float(f1_score(labels, predictions, pos_label=positive)))


def _f1_macro(predictions: Numbers, labels: Numbers) -> Measure:
    from sklearn.metrics import f1_score

    return Measure(float(f1_score(labels, predictions, average="macro")))


def _matthews_correlation(predictions: Numbers, labels: Numbers) -> Measure:
    from sklearn.metrics import matthews_corrcoef

    if _is_constant(labels):
        return Measure(None, f"labels hold one class only ({labels[0]})")
    return Measure(float(matthews_corrcoef(labels, predictions)))


def _pearson(predictions: Numbers, labels: Numbers) -> Measure:
    from scipy.stats import pearsonr

    return _correlation(lambda a, b: pearsonr(a, b).statistic, predictions, labels)


def _spearman(predictions: Numbers, labels: Numbers) -> Measure:
    from scipy.stats import spearmanr

    return _correlation(lambda a, b: spearmanr(a, b).statistic, predictions, labels)


def _correlation(
    statistic: Callable[[Numbers, Numbers], float], predictions: Numbers, labels: Numbers
) -> Measure:
    if labels.size < 2:
        return Measure(None, "a correlation needs two examples, there is one")
    for what, values in (("predictions", predictions), ("labels", labels)):
        if _is_constant(values):
            return Measure(None, f"{what} are constant ({values[0]})")
    value = float(statistic(predictions, labels))
    if not math.isfinite(value):
        return Measure(None, "the values differ too little or too much for double precision")
    return Measure(value)


_METRICS: Mapping[str, Callable[[Numbers, Numbers], Measure]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "f1_macro": _f1_macro,
    "matthews_correlation": _matthews_correlation,
    "pearson": _pearson,
    "spearman": _spearman,
}


def _is_constant(values: Numbers) -> bool:
    return bool((values == values[0]).all())


def _mean(values: Iterable[float | None]) -> float:
    """The mean of values of which none is None any more."""
    defined = [value for value in values if value is not None]
    return math.fsum(defined) / len(defined)


def _mean_over_splits(task: TaskSpec, all_by_split: Mapping[str, Mapping[str, Measure]]) -> Measure:
    if not all_by_split:
        return Measure(None, "no split was given")
    by_split = {
        split: {name: measures[name] for name in task.metrics}
        for split, measures in all_by_split.items()
    }
    reasons = [
        f"{split}: {name}: {measure.reason}"
        for split, measures in by_split.items()
        for name, measure in measures.items()
        if measure.value is None
    ]
    if reasons:
        return Measure(None, "; ".join(reasons))
    return Measure(
        _mean(
            _mean(measure.value for measure in measures.values()) for measures in by_split.values()
        )
    )


def _score_faults(
    task: TaskSpec, predictions: Mapping[str, Numbers], labels: Mapping[str, Numbers]
) -> list[Finding]:
    import numpy as np

    findings = []
    for split in dict.fromkeys((*predictions, *labels)):
        place = f"{task.name}, {split}"
        if split not in predictions or split not in labels:
            absent = "labels" if split in predictions else "predictions"
            findings.append(Finding(f"{place}: there are no {absent}."))
            continue
        predicted, true = np.asarray(predictions[split]), np.asarray(labels[split])
        if task.multi_label:
            from gluetune.metrics.label_sets import set_faults

            findings += _placed(place, set_faults(predicted, true, task.num_labels))
            continue
        found = _faults(task.metrics[0], predicted, true) or [
            *_task_faults(task, "predictions", predicted),
            *_task_faults(task, "labels", true),
        ]
        findings += _placed(place, found)
    return findings


def _placed(place: str, findings: list[Finding]) -> list[Finding]:
    return [Finding(f"{place}: {finding.message}", finding.hint) for finding in findings]


def _faults(name: str, predictions: Numbers, labels: Numbers) -> list[Finding]:
    """What makes the arrays unfit for the metric `name`, whatever the task."""
    import numpy as np

    if predictions.shape != labels.shape or labels.ndim != 1:
        shapes = f"predictions have the shape {predictions.shape}, labels {labels.shape}"
        return [Finding(f"{shapes}: both must be (examples,).")]
    findings = [*_array_faults("predictions", predictions), *_array_faults("labels", labels)]
    if findings:
        return findings
    if not np.isfinite(labels).all():
        return [_outlier("labels", labels, ~np.isfinite(labels), "not a finite number")]
    if name in _CORRELATIONS:
        return _all_hidden(labels)
    positive = (0, 1) if name == ONE_CLASS else None
    return [
        *_class_faults("labels", labels, positive),
        *_class_faults("predictions", predictions, positive),
    ]


def _array_faults(what: str, values: Numbers) -> list[Finding]:
    if values.ndim != 1:
        return [Finding(f"{what} have the shape {values.shape}, not (examples,).")]
    if values.dtype.kind not in "biuf":
        return [Finding(f"{what} are of type {values.dtype}, not numbers.")]
    return []


def _all_hidden(labels: Numbers) -> list[Finding]:
    if labels.size and (labels == HIDDEN_LABEL).all():
        return [Finding(f"all {labels.size} labels are hidden (-1).", _HIDDEN_HINT)]
    return []


def _class_faults(what: str, values: Numbers, classes: tuple[int, int] | None) -> list[Finding]:
    """Which values are no class ids; `classes` are the lowest and the highest, where known."""
    import numpy as np

    if what == "labels" and (hidden := int((values == HIDDEN_LABEL).sum())):
        first = int(np.flatnonzero(values == HIDDEN_LABEL)[0])
        message = f"{hidden} of {values.size} labels are hidden (-1), the first at index {first}."
        return [Finding(message, _HIDDEN_HINT)]
    lowest, highest = classes or (0, math.inf)
    wrong = ~((values >= lowest) & (values <= highest) & (values == np.floor(values)))
    if what == "predictions":
        wrong &= np.isfinite(values)  # a model that broke down has no score, its data no mistake
    expected = f"not a class id from {lowest} to {highest}" if classes else "not a class id"
    return [_outlier(what, values, wrong, expected)] if wrong.any() else []


def _task_faults(task: TaskSpec, what: str, values: Numbers) -> list[Finding]:
    """Which values `task` cannot hold; predictions of a regression task are free."""
    if not task.is_regression:
        return _class_faults(what, values, (0, task.num_labels - 1))
    if what != "labels" or task.label_range is None:
        return []
    lowest, highest = task.label_range
    wrong = ~((values >= lowest) & (values <= highest))
    if not wrong.any():
        return []
    return _all_hidden(values) or [
        _outlier(what, values, wrong, f"outside {lowest:g} to {highest:g}")
    ]


def _outlier(what: str, values: Numbers, wrong: Numbers, why: str) -> Finding:
    first = int(wrong.argmax())
    count = int(wrong.sum())
    return Finding(f"{count} of {values.size} {what} are {why}: {values[first]} at index {first}.")
