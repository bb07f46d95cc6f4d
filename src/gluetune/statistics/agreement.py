"""How far the same model's answers differ when they are computed in another way.

Another precision, path, thread count or machine changes the last bits of logits, and with them the
answers that were close to a tie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gluetune.core.predictions import Predictions


@dataclass(frozen=True)
class Agreement:
    """Two computations of one model's answers on the same examples."""

    examples: int
    flips: int
    """Examples that got another class, or another set of labels; 0 for regression."""
    largest_difference: float
    """Of the logits."""
    widest_flip: float
    """Largest margin, in the first computation, between the class that was left and the one that
    was taken: how far from a tie a flip can be. Of several labels the largest distance from its
    threshold of a label that was given or taken away. 0 where nothing flipped."""


def decision_margins(
    logits: NDArray[Any], *, multi_label: bool, thresholds: Sequence[float] = ()
) -> NDArray[Any]:
    """Return how far the logit of each label lies from where its prediction would change.

    Shape (rows, labels); above 0 where the label is predicted. `thresholds` are logits, of several
    labels only; 0 where there are none. A single class that is tied with another is predicted where
    it is the first of them, as argmax has it.
    """
    import numpy as np

    values = np.asarray(logits, dtype=np.float64)
    if multi_label:
        limits = np.asarray(thresholds or (0.0,) * values.shape[1], dtype=np.float64)
        beyond: NDArray[Any] = values - limits
        return beyond
    rows, best = np.arange(len(values)), values.argmax(axis=1)
    others = values.copy()
    others[rows, best] = -np.inf
    margins: NDArray[Any] = values - values[rows, best, None]
    margins[rows, best] = np.maximum(values[rows, best] - others.max(axis=1), np.finfo(float).tiny)
    return margins


def agreement(
    first: Predictions, second: Predictions, thresholds: Sequence[float] = ()
) -> Agreement:
    """Compare `second` with `first`: the same examples in the same order.

    `thresholds` are the logits above which both give each of several labels; 0 without any.
    """
    import numpy as np

    logits = first.logits.astype(np.float64)
    gap = float(np.abs(logits - second.logits).max(initial=0.0))
    if first.predicted.ndim == 2:
        changed = first.predicted != second.predicted
        margins = decision_margins(logits, multi_label=True, thresholds=thresholds)
        flips = int(changed.any(axis=1).sum())
        widest = float(np.abs(margins[changed]).max(initial=0.0))
        return Agreement(len(logits), flips, gap, widest)
    if logits.shape[1] == 1:
        return Agreement(len(logits), 0, gap, 0.0)
    flipped = np.flatnonzero(first.predicted != second.predicted)
    left, taken = first.predicted[flipped].astype(int), second.predicted[flipped].astype(int)
    margins = logits[flipped, left] - logits[flipped, taken]
    return Agreement(len(logits), len(flipped), gap, float(margins.max(initial=0.0)))
