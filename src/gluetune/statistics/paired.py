"""Two models on the same examples: is one better?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gluetune.statistics.resampling import resample_pair

if TYPE_CHECKING:
    from gluetune.predictions import Predictions
    from gluetune.tasks import TaskSpec


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test (McNemar 1947): do the models differ on whom they get right?"""

    only_first: int
    """Examples that the first model alone gets right."""
    only_second: int
    p_value: float


@dataclass(frozen=True)
class Difference:
    """The second model's metric less the first's, with an interval over the examples."""

    value: float
    low: float | None
    high: float | None
    """None where the models answer so alike that no sample differs from another."""
    level: float
    spread: float
    """Standard deviation of the difference over the samples."""
    p_value: float
    """How often the samples lie on the other side of 0, doubled: an approximate test."""


def mcnemar(first: Predictions, second: Predictions) -> McNemar:
    """Test two classifiers' answers to the same examples, two-sided and exact."""
    from scipy.stats import binomtest

    rights = first.predicted == first.labels, second.predicted == second.labels
    only_first = int((rights[0] & ~rights[1]).sum())
    only_second = int((rights[1] & ~rights[0]).sum())
    total = only_first + only_second
    p_value = float(binomtest(only_first, total, 0.5).pvalue) if total else 1.0
    return McNemar(only_first, only_second, p_value)


def paired_difference(
    task: TaskSpec,
    first: dict[str, Predictions],
    second: dict[str, Predictions],
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Return the difference of the task's scores, by a paired percentile bootstrap.

    Every sample takes the same examples for both models; splits are drawn independently. Where a
    score is undefined the difference is NaN.
    """
    import numpy as np

    values, samples = [], []
    for number, split in enumerate(first):
        value, drawn = resample_pair(
            task, first[split], second[split], draws=draws, seed=seed + number
        )
        values.append(value)
        samples.append(drawn)
    drawn = np.mean(samples, axis=0)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Difference(float(np.mean(values)), None, None, level, spread=0.0, p_value=1.0)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    varies = float(np.ptp(drawn)) > 1e-9
    tail = min(np.mean(drawn <= 0), np.mean(drawn >= 0))
    return Difference(
        value=float(np.mean(values)),
        low=float(low) if varies else None,
        high=float(high) if varies else None,
        level=level,
        spread=float(np.std(drawn)),
        p_value=float(min(1.0, 2 * max(tail, 1 / len(drawn)))),
    )
