"""Calibration: the expected calibration error, temperatures, and thresholds of labels.

A temperature divides logits (Guo et al. 2017, arXiv 1706.04599): probabilities become as high as
predictions are accurate, and no prediction changes.

A threshold of one half is right for a calibrated model and accuracy; F1 of a rare label is mostly
highest at a lower one (Lipton et al. 2014, arXiv 1402.1892). So each label gets the threshold with
the highest F1 on rows that are neither trained on nor scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gluetune.kinds.single_label import softmax

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.core.records import Predictions
    from gluetune.kinds.base import Kind


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
    sure = softmax(predictions.logits).max(axis=1)
    return calibration_of(sure, predictions.predicted == predictions.labels, bins)


def calibration_of(sure: NDArray[Any], right: NDArray[Any], bins: int = 15) -> Calibration:
    """Return the calibration of probabilities `sure` of what is `right` or not; at least one."""
    import numpy as np

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


# Temperatures -------------------------------------------------------------------------------------

_LOWEST, _HIGHEST = 0.05, 20.0
"""Temperatures that are tried."""
_ITERATIONS = 40


@dataclass(frozen=True)
class Reliability:
    """How good probabilities are."""

    ece: float
    """Expected calibration error."""
    brier: float
    log_loss: float
    bins: tuple[CalibrationBin, ...]


def fit_temperatures(kind: Kind, logits: NDArray[Any], labels: NDArray[Any]) -> tuple[float, ...]:
    """Return the temperatures with the highest likelihood: one, or one for each label.

    They are weakly drawn towards 1, by a prior that weighs as much as about one row, so that few
    rows, or rows that are all predicted correctly, give no extreme. A label with fewer than
    `FEWEST` rows with it, or without it, keeps 1. Empty for numbers.
    """
    import numpy as np

    values = np.asarray(logits, dtype=np.float64)
    count = int(kind.log_losses(values[:1], labels[:1]).shape[1])
    if not count or not len(values):
        return (1.0,) * count

    def loss(exponents: NDArray[Any]) -> NDArray[Any]:
        total = kind.log_losses(values / np.exp(exponents), labels).sum(axis=0)
        result: NDArray[Any] = total + exponents**2 / 2
        return result

    # Golden-section search, of all temperatures together: the loss has a single minimum in each.
    low, high = np.full(count, np.log(_LOWEST)), np.full(count, np.log(_HIGHEST))
    ratio = (5**0.5 - 1) / 2
    for _ in range(_ITERATIONS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        is_left = loss(left) < loss(right)
        low, high = np.where(is_left, low, left), np.where(is_left, right, high)
    found = np.exp((low + high) / 2)
    if labels.ndim > 1:
        given = labels.sum(axis=0)
        found[(given < FEWEST) | (given > len(labels) - FEWEST)] = 1.0
    return tuple(float(one) for one in found)


def cross_fitted(
    kind: Kind, logits: NDArray[Any], labels: NDArray[Any], folds: NDArray[Any]
) -> NDArray[np.float64]:
    """Return logits divided by temperatures that were fitted on the other folds than their own."""
    import numpy as np

    scaled = np.asarray(logits, dtype=np.float64).copy()
    for fold in np.unique(folds):
        mine = folds == fold
        scaled[mine] = with_temperatures(
            scaled[mine], fit_temperatures(kind, logits[~mine], labels[~mine])
        )
    return scaled


def with_temperatures(logits: NDArray[Any], temperatures: Sequence[float]) -> NDArray[Any]:
    """Return logits divided by temperatures, in float64; as they are without any."""
    import numpy as np

    if not len(temperatures):
        return logits
    scaled: NDArray[Any] = np.asarray(logits, dtype=np.float64) / np.asarray(temperatures)
    return scaled


def reliability(kind: Kind, logits: NDArray[Any], labels: NDArray[Any]) -> Reliability | None:
    """Return how good the probabilities of logits are; None where a kind has none."""
    sure, right = kind.outcomes(logits, labels)
    if not len(sure):
        return None
    found = calibration_of(sure, right)
    return Reliability(
        ece=found.ece,
        brier=float(kind.brier_scores(logits, labels).mean()),
        log_loss=float(kind.log_losses(logits, labels).mean()),
        bins=found.bins,
    )


# Thresholds ---------------------------------------------------------------------------------------

FEWEST = 5
"""Rows with a label, and without it, that tuning its threshold needs, else it is a logit of 0; and
its temperature, else it is 1."""


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
