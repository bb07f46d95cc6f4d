"""Thresholds of confidence below which a prediction is uncertain.

A threshold is one of `LEVELS` shares of the rows, the most confident first. The precision of the
rows above it has a lower bound (Clopper & Pearson 1934). Where the threshold is chosen for its
bound, all levels are tested, so each bound has the confidence of a Bonferroni correction; they then
hold together, whichever is chosen. Confidence has to come from models, and temperatures, that have
not seen the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = 20
"""Shares of the rows that are tested: 5%, 10%, …, 100%."""
LEVEL = 0.95
"""Confidence of a bound."""


@dataclass(frozen=True)
class Threshold:
    """A threshold of confidence, and what is known of the predictions at or above it."""

    confidence: float
    coverage: float
    """Share of the rows that are at or above it."""
    precision: float
    """Share of correct predictions among them."""
    low: float
    """Lower bound of the precision, with probability `LEVEL`."""
    rows: int
    """At or above it."""
    levels: int
    """How many thresholds were tested together."""

    @property
    def sentence(self) -> str:
        """What the threshold means, with its bound."""
        together = f", {self.levels} thresholds tested together" if self.levels > 1 else ""
        return (
            f"Uncertain below a probability of {self.confidence:.4f}: {self.coverage:.1%} of the "
            f"out-of-fold predictions are at or above it, {self.precision:.1%} of them correct, at "
            f"least {self.low:.1%} (Clopper-Pearson, {LEVEL:.0%}{together})."
        )


def risk_coverage(sure: NDArray[Any], right: NDArray[Any]) -> list[Threshold]:
    """Return the threshold of each level, from the highest confidence down.

    Args:
        sure: The confidence of each prediction.
        right: Whether it is correct.
    """
    import numpy as np

    ranked = np.sort(sure)[::-1]
    counts = np.unique(np.ceil(len(sure) * np.arange(1, LEVELS + 1) / LEVELS).astype(int))
    thresholds = dict.fromkeys(float(ranked[count - 1]) for count in counts)
    return [_threshold(sure, right, value, len(thresholds)) for value in thresholds]


def for_precision(points: list[Threshold], wanted: float) -> Threshold | None:
    """Return the threshold that leaves the fewest uncertain, of a precision of at least `wanted`.

    `points` are those of `risk_coverage`. None where no bound reaches it.
    """
    good = [one for one in points if one.low >= wanted]
    return max(good, key=lambda one: one.coverage, default=None)


def for_coverage(sure: NDArray[Any], right: NDArray[Any], coverage: float) -> Threshold:
    """Return the threshold that a share `coverage` of the rows is at or above."""
    import numpy as np

    count = max(1, round(coverage * len(sure)))
    return _threshold(sure, right, float(np.sort(sure)[::-1][count - 1]), 1)


def lower_bound(correct: int, count: int, level: float) -> float:
    """Return the one-sided lower bound of a proportion (Clopper & Pearson 1934)."""
    from scipy.stats import beta

    return float(beta.ppf(1 - level, correct, count - correct + 1)) if correct else 0.0


def _threshold(sure: NDArray[Any], right: NDArray[Any], value: float, levels: int) -> Threshold:
    above = sure >= value
    count, correct = int(above.sum()), int(right[above].sum())
    return Threshold(
        confidence=value,
        coverage=count / len(sure),
        precision=correct / count,
        low=lower_bound(correct, count, 1 - (1 - LEVEL) / levels),
        rows=count,
        levels=levels,
    )
