"""Residuals of a regression, and the worst errors of any model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.core.records import Predictions
    from gluetune.core.tasks import TaskSpec


@dataclass(frozen=True)
class Residuals:
    """Residuals (prediction less label) in units of the labels."""

    bias: float
    """Mean: above 0 where the predictions are too high."""
    mean_absolute: float
    deviation: float
    """Standard deviation around the bias."""
    largest: float
    """Of the absolute values."""


def residuals(predictions: Predictions) -> Residuals:
    """Return the residuals of a regression's predictions."""
    import numpy as np

    errors = np.asarray(predictions.predicted, dtype=np.float64) - predictions.labels
    return Residuals(
        bias=float(errors.mean()),
        mean_absolute=float(np.abs(errors).mean()),
        deviation=float(errors.std()),
        largest=float(np.abs(errors).max()),
    )


def hardest(task: TaskSpec, predictions: Predictions, count: int = 10) -> NDArray[np.int64]:
    """Return the rows of the `count` worst predictions, the worst first.

    `Kind.rank_errors` ranks them. There may be fewer than `count`.
    """
    kind = task.kind
    return kind.rank_errors(predictions.labels, predictions.predicted, predictions.logits)[:count]
