"""How far the same model's answers differ when they are computed in another way.

Another precision, path, thread count or machine changes the last bits of logits, and with them the
answers that were close to a tie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gluetune.predictions import Predictions


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
    was taken: how far from a tie a flip can be. Of several labels the largest logit of a label that
    was given or taken away. 0 where nothing flipped."""


def agreement(first: Predictions, second: Predictions) -> Agreement:
    """Hold `second` against `first`: the same examples in the same order."""
    import numpy as np

    logits = first.logits.astype(np.float64)
    gap = float(np.abs(logits - second.logits).max(initial=0.0))
    if logits.shape[1] == 1:
        return Agreement(len(logits), 0, gap, 0.0)
    if first.predicted.ndim == 2:
        changed = first.predicted != second.predicted
        flips = int(changed.any(axis=1).sum())
        widest = float(np.abs(logits[changed]).max(initial=0.0))
        return Agreement(len(logits), flips, gap, widest)
    flipped = np.flatnonzero(first.predicted != second.predicted)
    left, taken = first.predicted[flipped].astype(int), second.predicted[flipped].astype(int)
    margins = logits[flipped, left] - logits[flipped, taken]
    return Agreement(len(logits), len(flipped), gap, float(margins.max(initial=0.0)))
