"""How far a model's numbers lie from the labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gluetune.predictions import Predictions


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
