"""How far the same model's answers differ when they are computed in another way.

Another precision, path, thread count or machine changes the last bits of logits, and with them the
answers that were close to a tie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gluetune.core.predictions import Predictions
    from gluetune.core.tasks import TaskSpec


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


def agreement(task: TaskSpec, first: Predictions, second: Predictions) -> Agreement:
    """Compare `second` with `first`: the same examples of `task` in the same order."""
    import numpy as np

    logits = first.logits.astype(np.float64)
    gap = float(np.abs(logits - second.logits).max(initial=0.0))
    flips, widest = task.kind.changes(first.predicted, second.predicted, logits, task.thresholds)
    return Agreement(len(logits), flips, gap, widest)
