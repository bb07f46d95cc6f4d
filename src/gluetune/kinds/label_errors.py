"""Labels that are probably wrong, by predictions of models that were not trained on their rows.

Confident learning (Northcutt, Jiang & Chuang 2021, arXiv 1911.00068): the mean probability of a
class on the rows with its label is the confidence that a row of it has. A row whose probability of
another class is above that class's confidence counts as a row of it; the counts, scaled to the
number of rows of each label, estimate how many labels of each class are really of each other. As
many rows are suspect, those with the largest margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAD = 1.4826
"""Standard deviations in a median absolute deviation, of a normal distribution."""
_FAR = 3.0
"""Standard deviations from which a residual is suspect."""


@dataclass(frozen=True)
class LabelErrors:
    """Which labels are suspect, of every row."""

    suspect: NDArray[np.bool_]
    scores: NDArray[np.float64]
    """How well each label agrees with the predictions, from 0 to 1: the lowest are suspect."""
    suggested: NDArray[Any]
    """What the predictions suggest, in the form of labels."""


def confident_learning(labels: NDArray[Any], probabilities: NDArray[np.float64]) -> LabelErrors:
    """Find wrong labels of classes. `labels`: shape (rows,); `probabilities`: (rows, classes).

    The score is the probability of the label less the largest of another class, from 0 to 1.
    """
    import numpy as np

    count = len(labels)
    rows = np.arange(count)
    own = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    best = others.argmax(axis=1)
    margins = own - others[rows, best]
    wrong = _estimated(labels, probabilities, own)
    suspect = np.zeros(count, dtype=bool)
    for given, other in zip(*np.nonzero(wrong), strict=True):
        members = np.flatnonzero((labels == given) & (best == other) & (margins < 0))
        order = np.argsort(margins[members], kind="stable")
        suspect[members[order[: wrong[given, other]]]] = True
    return LabelErrors(suspect, (margins + 1) / 2, np.where(margins < 0, best, labels))


def _estimated(
    labels: NDArray[Any], probabilities: NDArray[np.float64], own: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return how many rows with each label (row) are estimated to be of each other (column)."""
    import numpy as np

    size = probabilities.shape[1]
    members = np.bincount(labels, minlength=size)
    # A class without rows has no confidence that a row could reach.
    totals = np.bincount(labels, weights=own, minlength=size)
    confidence = np.divide(totals, members, out=np.full(size, np.inf), where=members > 0)
    reached = np.where(probabilities >= confidence, probabilities, -np.inf)
    likely = reached.argmax(axis=1)
    is_counted = np.isfinite(reached.max(axis=1))
    joint = np.zeros((size, size))
    np.add.at(joint, (labels[is_counted], likely[is_counted]), 1)
    sums = joint.sum(axis=1)
    scale = np.divide(members, sums, out=np.zeros(size), where=sums > 0)
    estimated: NDArray[np.int64] = np.rint(joint * scale[:, None]).astype(np.int64)
    np.fill_diagonal(estimated, 0)
    return estimated


def wrong_labels(labels: NDArray[Any], probabilities: NDArray[np.float64]) -> LabelErrors:
    """Find wrong sets of labels: confident learning of each label; shapes (rows, labels).

    A row is suspect where one of its labels is. Its score is the lowest of its labels.
    """
    import numpy as np

    found = [
        confident_learning(given, np.stack([1 - chances, chances], axis=1))
        for given, chances in zip(labels.T.astype(int), probabilities.T, strict=True)
    ]
    suspect = np.stack([one.suspect for one in found], axis=1)
    scores = np.stack([one.scores for one in found], axis=1).min(axis=1)
    of_row = np.asarray(suspect.any(axis=1))
    return LabelErrors(of_row, scores, np.where(suspect, 1 - labels, labels))


def far_numbers(labels: NDArray[Any], predicted: NDArray[Any]) -> LabelErrors:
    """Find wrong numbers: residuals over three robust standard deviations from their median.

    The score is the probability of a residual that large, of a normal distribution.
    """
    import numpy as np
    from scipy.stats import norm

    residuals = np.asarray(labels, dtype=np.float64) - predicted
    centred = residuals - np.median(residuals)
    deviation = _MAD * float(np.median(np.abs(centred))) or float(centred.std()) or 1.0
    far = np.abs(centred) / deviation
    return LabelErrors(far > _FAR, 2 * norm.sf(far), predicted)
