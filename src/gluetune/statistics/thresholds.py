"""From which logit on each label is given, where an example may have several.

One half is right for a calibrated model and accuracy; F1 of a rare label is mostly highest at less
(Lipton et al. 2014, arXiv 1402.1892). So each label gets the threshold with the highest F1 on rows
that were kept out of the training and that no score is told of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 5
"""Rows with a label, and without it, below which its threshold stays at one half (a logit of 0)."""


def best_thresholds(labels: NDArray[Any], logits: NDArray[Any]) -> tuple[float, ...]:
    """Return the logit above which each label is given; both arrays have the shape (rows, labels).

    Of thresholds with the same F1 the one nearest to 0 is taken, and 0 unless another is better.
    """
    return tuple(_best(labels[:, label] > 0, logits[:, label]) for label in range(labels.shape[1]))


def _best(given: NDArray[Any], logits: NDArray[Any]) -> float:
    import numpy as np

    if not FEWEST <= given.sum() <= len(given) - FEWEST:
        return 0.0
    values = np.unique(logits.astype(np.float32))
    middles = (values[:-1] + (values[1:] - values[:-1]) / 2).astype(np.float32)
    # Between neighbours of float32 there is no middle: the lower then stands for it.
    middles = np.where(middles < values[1:], middles, values[:-1])
    candidates = np.concatenate([np.zeros(1, dtype=np.float32), middles])
    order = np.argsort(logits, kind="stable")
    below = np.searchsorted(logits[order], candidates, side="right")
    given_below = np.concatenate([[0], np.cumsum(given[order])])[below]
    right, said = given.sum() - given_below, len(given) - below
    f1 = 2 * right / (said + given.sum())
    tied = candidates[f1 >= f1.max()]
    return 0.0 if f1[0] >= f1.max() else float(tied[np.abs(tied).argmin()])
