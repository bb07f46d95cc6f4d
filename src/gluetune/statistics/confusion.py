"""Which classes are taken for which, and how well each is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.predictions import Predictions
    from gluetune.tasks import TaskSpec


@dataclass(frozen=True)
class ClassRow:
    """One class: how often it is there, and how well it is found; None where nothing says."""

    name: str
    support: int
    precision: float | None
    recall: float | None
    f1: float | None


def confusion_matrix(
    labels: NDArray[Any], predicted: NDArray[Any], classes: int
) -> NDArray[np.int64]:
    """Return how often each class (row) was answered by each class (column)."""
    import numpy as np

    pairs = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _counts(task: TaskSpec, predictions: Predictions) -> list[tuple[str, int, int, int]]:
    """Return name, right answers, examples and answers of each class or label."""
    if task.multi_label:
        labels, said = predictions.labels.astype(int), predictions.predicted.astype(int)
        totals = (labels & said).sum(axis=0), labels.sum(axis=0), said.sum(axis=0)
        return [
            (name, int(totals[0][number]), int(totals[1][number]), int(totals[2][number]))
            for number, name in enumerate(task.labels)
        ]
    matrix = confusion_matrix(predictions.labels, predictions.predicted, task.num_labels)
    return [
        (name, int(matrix[i, i]), int(matrix[i].sum()), int(matrix[:, i].sum()))
        for i, name in enumerate(task.labels)
    ]


def class_table(task: TaskSpec, predictions: Predictions) -> list[ClassRow]:
    """Return a row for each class, or for each label where an example may have several."""
    rows = []
    for name, right, support, answered in _counts(task, predictions):
        rows.append(
            ClassRow(
                name=name,
                support=support,
                precision=right / answered if answered else None,
                recall=right / support if support else None,
                f1=2 * right / (answered + support) if answered + support else None,
            )
        )
    return rows
