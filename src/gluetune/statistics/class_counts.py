"""Metrics of classes, from how often each class is the label, is predicted, and is both.

Each metric is a function of sums over the classes. So its cost grows with the classes, not with the
pairs of classes, and leaving an example out changes the terms of at most two classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gluetune.core.tasks import ONE_CLASS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.core.tasks import TaskSpec

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassCounts:
    """How often each class occurs, arrays of one shape: the last axis is over `classes`."""

    labels: Floats
    predicted: Floats
    both: Floats
    """Correct predictions."""
    classes: NDArray[np.int64]
    """Class ids, one for each position of the last axis."""


@dataclass(frozen=True)
class ClassMetric:
    """A metric: `combine` of the sums of `terms` over the classes."""

    terms: Callable[[ClassCounts], tuple[Any, ...]]
    """For each class; terms of zero counts are zero."""
    combine: Callable[..., Any]

    def __call__(self, counts: ClassCounts) -> Floats:
        """Return the metric of counts of shape (samples, classes)."""
        result: Floats = self.combine(*(term.sum(axis=-1) for term in self.terms(counts)))
        return result

    def leaving_one_out(
        self, counts: ClassCounts, labels: NDArray[np.int64], predicted: NDArray[np.int64]
    ) -> Floats:
        """Return the metric without one example, for each pair of its label and prediction.

        `counts` are of all examples, shape (classes,), for every class in order.
        """
        same = labels == predicted
        sums = [term.sum() for term in self.terms(counts)]
        changes = [
            self._change(counts, labels, labels=1, predicted=same, both=same),
            # The class of a correct prediction has changed already.
            self._change(counts, predicted, labels=0, predicted=~same, both=0),
        ]
        left = [whole + sum(parts) for whole, *parts in zip(sums, *changes, strict=True)]
        result: Floats = self.combine(*left)
        return result

    def _change(
        self, counts: ClassCounts, classes: NDArray[np.int64], **fewer: Any
    ) -> list[Floats]:
        """Return by how much the terms of `classes` change when their counts fall by `fewer`."""
        before = ClassCounts(
            counts.labels[classes], counts.predicted[classes], counts.both[classes], classes
        )
        after = ClassCounts(
            before.labels - fewer["labels"],
            before.predicted - fewer["predicted"],
            before.both - fewer["both"],
            classes,
        )
        pairs = zip(self.terms(after), self.terms(before), strict=True)
        return [new - old for new, old in pairs]


def _accuracy(both: Any, labels: Any) -> Any:
    return both / labels


def _f1_terms(positive_id: int, counts: ClassCounts) -> tuple[Any, ...]:
    positive = counts.classes == positive_id
    return 2 * counts.both * positive, (counts.labels + counts.predicted) * positive


def _f1(both: Any, total: Any) -> Any:
    import numpy as np

    with np.errstate(invalid="ignore"):
        return both / total


def _f1_macro_terms(counts: ClassCounts) -> tuple[Any, ...]:
    import numpy as np

    total = counts.labels + counts.predicted
    occurs = total > 0
    values = np.divide(2 * counts.both, total, out=np.zeros_like(total), where=occurs)
    return values, occurs.astype(np.float64)


def _matthews_terms(counts: ClassCounts) -> tuple[Any, ...]:
    labels, predicted = counts.labels, counts.predicted
    return counts.both, labels, labels * predicted, labels**2, predicted**2


def _matthews(both: Any, total: Any, products: Any, labels: Any, predicted: Any) -> Any:
    """Gorodkin 2004, for several classes; see `class_metrics`."""
    import numpy as np

    of_labels, of_predicted = total**2 - labels, total**2 - predicted
    with np.errstate(invalid="ignore", divide="ignore"):
        result = (both * total - products) / np.sqrt(of_labels * of_predicted)
    result = np.where(of_predicted == 0, 0.0, result)
    return np.where(of_labels == 0, np.nan, result)


_METRICS: Mapping[str, ClassMetric] = {
    "accuracy": ClassMetric(lambda counts: (counts.both, counts.labels), _accuracy),
    "f1_macro": ClassMetric(_f1_macro_terms, lambda values, occurring: values / occurring),
    "matthews_correlation": ClassMetric(_matthews_terms, _matthews),
}


def class_metrics(task: TaskSpec, names: Iterable[str]) -> dict[str, ClassMetric]:
    """Return metrics of a task of classes by name.

    F1 is of the task's positive class, and NaN where neither labels nor predictions hold it; macro
    F1 is the mean over the classes that occur in either. Matthews' correlation is 0 where all
    predictions are one class, as the official scorer has it, and NaN where all labels are.
    """
    f1 = ClassMetric(partial(_f1_terms, task.positive_id), _f1)
    return {name: f1 if name == ONE_CLASS else _METRICS[name] for name in names}
