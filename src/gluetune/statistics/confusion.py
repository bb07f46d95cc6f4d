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


def class_table(task: TaskSpec, predictions: Predictions) -> list[ClassRow]:
    """Return a row for each class of a classification task."""
    matrix = confusion_matrix(predictions.labels, predictions.predicted, task.num_labels)
    rows = []
    for number, name in enumerate(task.labels):
        right, support = int(matrix[number, number]), int(matrix[number].sum())
        answered = int(matrix[:, number].sum())
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
