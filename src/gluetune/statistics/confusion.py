"""Which classes are predicted for which, with precision and recall of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.core.records import Predictions
    from gluetune.core.tasks import TaskSpec


@dataclass(frozen=True)
class ClassRow:
    """The statistics of one class; None where a value is undefined."""

    name: str
    support: int
    precision: float | None
    recall: float | None
    f1: float | None
    confused_with: str | None = None
    """The class that is most often predicted instead; None for none, and of several labels."""
    confused: int = 0
    """How often."""


@dataclass(frozen=True)
class Confusion:
    """A class that is predicted instead of another."""

    label: str
    predicted: str
    count: int
    share: float
    """Of the label's examples."""


def confusion_matrix(
    labels: NDArray[Any], predicted: NDArray[Any], classes: int
) -> NDArray[np.int64]:
    """Return how often each class (row) was predicted as each class (column)."""
    import numpy as np

    pairs = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def confusions(task: TaskSpec, predictions: Predictions) -> list[Confusion]:
    """Return the wrong pairs of classes that occur, the most frequent first."""
    import numpy as np

    wrong = predictions.labels != predictions.predicted
    labels = predictions.labels[wrong].astype(np.int64)
    codes = labels * task.num_labels + predictions.predicted[wrong].astype(np.int64)
    pairs, counts = np.unique(codes, return_counts=True)
    support = np.bincount(predictions.labels.astype(np.int64), minlength=task.num_labels)
    found = []
    for place in np.argsort(-counts, kind="stable"):
        label, predicted = divmod(int(pairs[place]), task.num_labels)
        count = int(counts[place])
        share = count / int(support[label])
        found.append(Confusion(task.labels[label], task.labels[predicted], count, share))
    return found


def class_table(task: TaskSpec, predictions: Predictions) -> list[ClassRow]:
    """Return the statistics of each class, or of each label where an example may have several."""
    most: dict[str, Confusion] = {}
    if "confusion" in task.kind.sections:
        for one in confusions(task, predictions):
            most.setdefault(one.label, one)
    rows = []
    for name, right, support, answered in _counts(task, predictions):
        confusion = most.get(name)
        rows.append(
            ClassRow(
                name=name,
                support=support,
                precision=right / answered if answered else None,
                recall=right / support if support else None,
                f1=2 * right / (answered + support) if answered + support else None,
                confused_with=confusion.predicted if confusion else None,
                confused=confusion.count if confusion else 0,
            )
        )
    return rows


def _counts(task: TaskSpec, predictions: Predictions) -> list[tuple[str, int, int, int]]:
    """Return name, correct predictions, examples and predictions of each class or label."""
    labels, predicted = predictions.labels.astype(int), predictions.predicted.astype(int)
    totals = task.kind.class_counts(labels, predicted, task.num_labels)
    return [
        (name, *(int(total[number]) for total in totals))  # type: ignore[misc]  # three of them
        for number, name in enumerate(task.labels)
    ]
