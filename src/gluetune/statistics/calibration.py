"""Calibration: the expected calibration error and its bins, and thresholds of labels.

A threshold of one half is right for a calibrated model and accuracy; F1 of a rare label is mostly
highest at a lower one (Lipton et al. 2014, arXiv 1402.1892). So each label gets the threshold with
the highest F1 on rows that are neither trained on nor scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gluetune.kinds.single_label import softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gluetune.core.records import Predictions


@dataclass(frozen=True)
class CalibrationBin:
    """Predictions whose probability is above `low` (or is 0) and at most `high`."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean probability of the predictions."""
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error, and the bins that contain predictions."""

    ece: float
    bins: tuple[CalibrationBin, ...]


def calibration(predictions: Predictions, bins: int = 15) -> Calibration:
    """Return the calibration of a classifier's predictions, in equally wide bins.

    The error is the mean over predictions of |confidence - accuracy| of their bin (Naeini et al.
    2015; Guo et al. 2017, arXiv 1706.04599, whose 15 bins are the default).
    """
    import numpy as np

    sure = softmax(predictions.logits).max(axis=1)
    right = predictions.predicted == predictions.labels
    edges = np.linspace(0, 1, bins + 1)
    numbers = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    found = []
    for number in np.unique(numbers):
        inside = numbers == number
        found.append(
            CalibrationBin(
                low=float(edges[number]),
                high=float(edges[number + 1]),
                count=int(inside.sum()),
                confidence=float(sure[inside].mean()),
                accuracy=float(right[inside].mean()),
            )
        )
    gaps = sum(one.count * abs(one.confidence - one.accuracy) for one in found)
    return Calibration(ece=gaps / len(sure), bins=tuple(found))


FEWEST = 5
"""Rows with a label, and without it, that tuning its threshold needs; else it is a logit of 0."""


def best_thresholds(labels: NDArray[Any], logits: NDArray[Any]) -> tuple[float, ...]:
    """Return the logit above which each label is predicted; both arrays have shape (rows, labels).

    Of thresholds with the same F1 the one nearest to 0 is taken, and 0 unless another is better.
    """
    return tuple(_best(labels[:, label] > 0, logits[:, label]) for label in range(labels.shape[1]))


def _best(given: NDArray[Any], logits: NDArray[Any]) -> float:
    import numpy as np

    if not FEWEST <= given.sum() <= len(given) - FEWEST:
        return 0.0
    values = np.unique(logits.astype(np.float32))
    middles = (values[:-1] + (values[1:] - values[:-1]) / 2).astype(np.float32)
    # Neighbours in float32 have no middle: the threshold is the lower one.
    middles = np.where(middles < values[1:], middles, values[:-1])
    candidates = np.concatenate([np.zeros(1, dtype=np.float32), middles])
    order = np.argsort(logits, kind="stable")
    below = np.searchsorted(logits[order], candidates, side="right")
    given_below = np.concatenate([[0], np.cumsum(given[order])])[below]
    right, predicted = given.sum() - given_below, len(given) - below
    f1 = 2 * right / (predicted + given.sum())
    tied = candidates[f1 >= f1.max()]
    return 0.0 if f1[0] >= f1.max() else float(tied[np.abs(tied).argmin()])
