"""How far a model's numbers lie from the labels.

Which examples a model gets most wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gluetune.statistics.calibration import probabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.core.predictions import Predictions
    from gluetune.core.tasks import TaskSpec


@dataclass(frozen=True)
class Residuals:
    """Answers less labels, summed up, in units of the labels."""

    bias: float
    """Mean: above 0 where the model answers too much."""
    mean_absolute: float
    deviation: float
    """Standard deviation around the bias."""
    largest: float
    """Of the absolute values."""


def mean_absolute_error(predictions: Iterable[Predictions]) -> float:
    """Return the mean absolute error over all examples of some splits."""
    import numpy as np

    errors = [
        np.asarray(one.predicted, dtype=np.float64) - np.asarray(one.labels) for one in predictions
    ]
    return float(np.abs(np.concatenate(errors)).mean())


def residuals(predictions: Predictions) -> Residuals:
    """Return the residuals of a regression's answers."""
    import numpy as np

    errors = np.asarray(predictions.predicted, dtype=np.float64) - predictions.labels
    return Residuals(
        bias=float(errors.mean()),
        mean_absolute=float(np.abs(errors).mean()),
        deviation=float(errors.std()),
        largest=float(np.abs(errors).max()),
    )


def hardest(task: TaskSpec, predictions: Predictions, count: int = 10) -> NDArray[np.int64]:
    """Return the rows of the `count` worst answers, the worst first.

    For classes those are the wrong answers, by the probability given to the true class; for numbers
    the largest errors; of several labels the wrong sets, by their loss. There may be fewer than
    `count`.
    """
    import numpy as np

    rows = np.arange(len(predictions.labels))
    if task.is_regression:
        errors = np.abs(predictions.predicted - predictions.labels)
        largest: NDArray[np.int64] = rows[np.argsort(-errors, kind="stable")[:count]]
        return largest
    if task.multi_label:
        signs = np.where(predictions.labels > 0, -1.0, 1.0)
        losses = np.logaddexp(0.0, signs * predictions.logits.astype(np.float64)).mean(axis=1)
        off = rows[(predictions.predicted != predictions.labels).any(axis=1)]
        furthest: NDArray[np.int64] = off[np.argsort(-losses[off], kind="stable")[:count]]
        return furthest
    given = probabilities(predictions.logits)[rows, predictions.labels]
    wrong = rows[predictions.predicted != predictions.labels]
    worst: NDArray[np.int64] = wrong[np.argsort(given[wrong], kind="stable")[:count]]
    return worst
