"""What predictions score: a task's metrics, each a number or the reason why it is undefined.

Scores follow the conventions of GLUE's own scorer, which is scikit-learn and SciPy. Where those
would warn and return NaN or a made-up 0.0, a `Measure` has None and the reason. The one exception
is Matthews correlation of constant predictions: scikit-learn's 0.0 is the official score there.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gluetune.core.errors import ConfigurationError, DataError, Finding
from gluetune.core.tasks import GLUE_TASKS, TASKS, TaskSpec
from gluetune.kinds import KINDS, Kind
from gluetune.metrics.metric import Inputs, Measure, Metric
from gluetune.metrics.registry import get_metric

if TYPE_CHECKING:
    from gluetune.core.records import Predictions
    from gluetune.metrics.metric import Floats, Numbers

HIDDEN_LABEL = -1
"""GLUE's test label, where labels are hidden."""

_HIDDEN_HINT = "Score a validation split: GLUE's test labels are known to its leaderboard only."


@dataclass(frozen=True)
class TaskScore:
    """A task's score, and the metrics by split that it is the mean of."""

    score: Measure
    by_split: Mapping[str, Mapping[str, Measure]]


def compute_metric(
    name: str,
    predictions: Numbers,
    labels: Numbers,
    *,
    positive: int = 1,
    probabilities: Numbers | None = None,
    kind: str | None = None,
) -> Measure:
    """Return the metric `name` of predictions against labels, both of shape (examples,).

    Class ids, or numbers for a metric of numbers. Where an example may have several labels, arrays
    have the shape (examples, labels) and hold 0 and 1. The value is a fraction: 0.5, not 50. It is
    undefined (None, with the reason):

    - always, when there are no examples, or a prediction is NaN or infinite;
    - F1, when neither labels nor predictions hold the positive class, or any label;
    - Matthews, when the labels hold one class only. Constant predictions on labels of several
      classes score 0.0, scikit-learn's convention and so the official one;
    - Pearson and Spearman, of fewer than two examples, and of constant predictions or labels;
    - ROC AUC and average precision, where no class has both positive and negative examples;
    - metrics of probabilities, without any.

    Args:
        name: One of `gluetune.metrics.registry.METRICS`.
        predictions: What was predicted.
        labels: What is true.
        positive: The class that a metric of one class is of.
        probabilities: Shape (examples, classes or labels), for metrics that need them.
        kind: The kind of task, where a metric is of several: by default several labels for arrays
            of two axes, else the first that the metric has.

    Raises DataError for shapes that differ, labels that are hidden (-1) or not class ids, and
    predictions that are not class ids; ConfigurationError for an unknown metric.
    """
    import numpy as np

    try:
        metric = get_metric(name)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if kind is None:
        fitting = [name for name in metric.kinds if KINDS[name].label_axes == labels.ndim]
        kind = next(iter([*fitting, *metric.kinds]), "")
    if kind not in metric.kinds:
        raise ConfigurationError(
            f"{name} is not a metric of kind {kind or 'single_label'}.",
            hint=f"It is of {', '.join(metric.kinds)}.",
        )
    chosen = KINDS[kind]
    findings = _faults(metric, chosen, predictions, labels)
    if chosen.cell == "number":  # no task says that -1 is a number to predict
        findings = findings or _all_hidden(labels)
    if findings:
        raise DataError.of(findings)
    given = None if probabilities is None else np.asarray(probabilities, dtype=np.float64)
    return _measure(metric, chosen, predictions, labels, given, positive=positive)


def _measure(
    metric: Metric,
    kind: Kind,
    predictions: Numbers,
    labels: Numbers,
    probabilities: Numbers | None,
    *,
    positive: int,
) -> Measure:
    """Compute a metric of arrays in which nothing is wrong."""
    import numpy as np

    if not labels.size:
        return Measure(None, "there are no examples")
    broken = np.argwhere(~np.isfinite(predictions))
    if len(broken):
        first = f"{predictions[tuple(broken[0])]} at index {broken[0][0]}"
        return Measure(None, f"{len(broken)} predictions are not finite, the first is {first}")
    if metric.needs_probabilities and probabilities is None:
        return Measure(None, "there are no probabilities")
    dtype = np.float64 if kind.cell == "number" else np.int64
    values = labels.astype(dtype), predictions.astype(dtype)
    width = labels.shape[1] if labels.ndim == 2 else int(max(one.max() for one in values)) + 1
    inputs = Inputs(*values, probabilities, num_labels=max(width, 2), positive=positive)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return metric.formulas[kind.name].compute(inputs)


def score_task(
    task: TaskSpec,
    predictions: Mapping[str, Numbers],
    labels: Mapping[str, Numbers],
    probabilities: Mapping[str, Numbers] | None = None,
) -> TaskScore:
    """Return `task`'s score on the given splits: the mean of its metrics, then of the splits.

    Keys are splits (MNLI: `validation_matched` and `validation_mismatched`); values are as in
    `compute_metric`. The score is undefined when any metric of any split is, or no split is given.

    Raises DataError, listing all, for a split that has predictions but no labels or the reverse,
    and for arrays that `compute_metric` refuses or that hold what `task` cannot: a class id
    without a class, a label outside `label_range`.
    """
    import numpy as np

    findings = _score_faults(task, predictions, labels)
    if findings:
        raise DataError.of(findings)
    kind, likely = task.kind, probabilities or {}
    by_split: dict[str, Mapping[str, Measure]] = {
        split: {
            name: _measure(
                get_metric(name),
                kind,
                np.asarray(predicted),
                np.asarray(labels[split]),
                likely.get(split),
                positive=task.positive_id,
            )
            for name in task.all_metrics
        }
        for split, predicted in predictions.items()
    }
    return TaskScore(_mean_over_splits(task, by_split), by_split)


def needs_probabilities(task: TaskSpec) -> bool:
    """Whether a metric of the task is computed from probabilities."""
    return any(get_metric(name).needs_probabilities for name in task.all_metrics)


def task_probabilities(task: TaskSpec, found: Predictions) -> Floats | None:
    """Return predictions' probabilities; None where no metric of the task needs them."""
    if not needs_probabilities(task):
        return None
    if found.logits.shape[1] != task.num_labels:
        return None
    return task.kind.probabilities(found.logits)


def score_predictions(task: TaskSpec, predictions: Mapping[str, Predictions]) -> TaskScore:
    """Return the task's score on the given splits. Raises DataError for hidden labels."""
    likely = {split: task_probabilities(task, found) for split, found in predictions.items()}
    return score_task(
        task,
        {split: found.predicted for split, found in predictions.items()},
        {split: found.labels for split, found in predictions.items()},
        {split: found for split, found in likely.items() if found is not None},
    )


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
    """Return the score of one constant prediction: the most frequent class of `train_labels`.

    The lowest class id wins a tie; of a regression it is the mean label, whose correlation is
    undefined; where an example may have several labels, those that more than half of the examples
    have. Probabilities are the frequencies in train. Labels have shape (examples,), or (examples,
    labels).

    Raises DataError for train labels that are absent, hidden or outside the task's, and as
    `score_task` does.
    """
    import numpy as np

    train_labels = np.asarray(train_labels)
    findings = _train_faults(task, train_labels)
    if not train_labels.size:
        findings = [Finding("there are no labels to find the most frequent of")]
    if findings:
        raise DataError.of(_placed(f"{task.name}, {task.train_split}", findings))
    constant = np.asarray(task.kind.constant(train_labels, task.num_labels))
    frequencies = task.kind.frequencies(train_labels, task.num_labels)

    def repeated(value: Numbers) -> dict[str, Numbers]:
        return {
            split: np.tile(value, (len(given), *(1,) * value.ndim))
            if value.ndim
            else np.full(len(given), value)
            for split, given in validation_labels.items()
        }

    return score_task(task, repeated(constant), validation_labels, repeated(frequencies))


def collapsed(predictions: Numbers) -> bool:
    """Whether class predictions, one a row, are all the same, as of a run that failed.

    Fewer than two predictions cannot show it: False.
    """
    import numpy as np

    values = np.asarray(predictions)
    return len(values) > 1 and bool((values == values[0]).all())


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
        metric = get_metric(task.metrics[0])
        found = _faults(metric, task.kind, predicted, true) or [
            *_task_faults(task, "predictions", predicted),
            *_task_faults(task, "labels", true),
        ]
        findings += _placed(place, found)
    return findings


def _placed(place: str, findings: list[Finding]) -> list[Finding]:
    return [Finding(f"{place}: {finding.message}", finding.hint) for finding in findings]


def _faults(metric: Metric, kind: Kind, predictions: Numbers, labels: Numbers) -> list[Finding]:
    """What makes the arrays unfit for the metric, for any task."""
    import numpy as np

    shape = ("(examples,)", "(examples, labels)")[kind.label_axes - 1]
    if predictions.shape != labels.shape or labels.ndim != kind.label_axes:
        shapes = f"predictions have the shape {predictions.shape}, labels {labels.shape}"
        return [Finding(f"{shapes}: both must be {shape}.")]
    findings = [*_array_faults("predictions", predictions), *_array_faults("labels", labels)]
    if findings:
        return findings
    if kind.cell == "names":
        return [*_set_faults("predictions", predictions), *_set_faults("labels", labels)]
    if not np.isfinite(labels).all():
        return [_outlier("labels", labels, ~np.isfinite(labels), "not a finite number")]
    if kind.cell == "number":
        return []
    classes = (0, 1) if metric.two_classes_only else None
    return [
        *_class_faults("labels", labels, classes),
        *_class_faults("predictions", predictions, classes),
    ]


def _set_faults(what: str, values: Numbers) -> list[Finding]:
    import numpy as np

    if np.isin(values, (0, 1)).all():
        return []
    if what == "labels" and (values == HIDDEN_LABEL).all():
        return [Finding(f"all {len(values)} rows of labels are hidden (-1).", _HIDDEN_HINT)]
    return [Finding(f"{what} are not all 0 or 1.")]


def _array_faults(what: str, values: Numbers) -> list[Finding]:
    if values.dtype.kind not in "biuf":
        return [Finding(f"{what} are of type {values.dtype}, not numbers.")]
    return []


def _train_faults(task: TaskSpec, labels: Numbers) -> list[Finding]:
    """What makes labels unfit to be a task's."""
    if labels.ndim != task.kind.label_axes:
        return [Finding(f"labels have the shape {labels.shape}.")]
    return _array_faults("labels", labels) or _task_faults(task, "labels", labels)


def _all_hidden(labels: Numbers) -> list[Finding]:
    if labels.size and (labels == HIDDEN_LABEL).all():
        return [Finding(f"all {labels.size} labels are hidden (-1).", _HIDDEN_HINT)]
    return []


def _class_faults(what: str, values: Numbers, classes: tuple[int, int] | None) -> list[Finding]:
    """Which values are not class ids; `classes` are the lowest and the highest, where known."""
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
    """Which values `task` cannot hold; predictions of a regression task are free.

    -1 is a hidden label only where `label_range` does not hold it.
    """
    if task.kind.cell == "names":
        if values.shape[1] == task.num_labels:
            return _set_faults(what, values)
        return [Finding(f"{what} have {values.shape[1]} columns, not {task.num_labels}.")]
    if task.kind.cell == "name":
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
