"""Whether a model is right as often as it says: expected calibration error and its bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from gluetune.predictions import Predictions


@dataclass(frozen=True)
class CalibrationBin:
    """Answers whose probability lies from `low` (not itself, but for 0) to `high`."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean probability of the answers."""
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error, and the bins that hold any answer."""

    ece: float
    bins: tuple[CalibrationBin, ...]


def probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return the softmax over the last axis, in float64."""
    import numpy as np

    shifted = np.asarray(logits, dtype=np.float64)
    powers = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return result


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """Return the probability of each label alone, in float64."""
    import numpy as np

    result: NDArray[np.float64] = 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))
    return result


def calibration(predictions: Predictions, bins: int = 15) -> Calibration:
    """Return the calibration of a classifier's answers, in equally wide bins.

    The error is the mean over answers of |confidence - accuracy| of their bin (Naeini et al. 2015;
    Guo et al. 2017, arXiv 1706.04599, whose 15 bins are the default).
    """
    import numpy as np

    sure = probabilities(predictions.logits).max(axis=1)
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
