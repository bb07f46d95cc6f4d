"""How far predictions of the same model differ when they are computed differently.

Another precision, path, thread count or machine changes the last bits of logits, and with them the
predictions that were close to a tie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gluetune.core.records import Predictions
    from gluetune.core.tasks import TaskSpec


@dataclass(frozen=True)
class Agreement:
    """Two computations of one model's predictions on the same examples."""

    examples: int
    flips: int
    """Examples whose predicted class, or set of labels, changed; 0 for regression."""
    largest_difference: float
    """Of the logits."""
    widest_flip: float
    """Largest margin, in the first computation, between the former class and the new one: how far
    from a tie a flip can be. Of several labels the largest distance from its threshold of a
    label that was added or removed. 0 where nothing flipped.
    """


def agreement(task: TaskSpec, first: Predictions, second: Predictions) -> Agreement:
    """Compare `second` with `first`: the same examples of `task` in the same order."""
    import numpy as np

    logits = first.logits.astype(np.float64)
    gap = float(np.abs(logits - second.logits).max(initial=0.0))
    flips, widest = task.kind.changes(first.predicted, second.predicted, logits, task.thresholds)
    return Agreement(len(logits), flips, gap, widest)
