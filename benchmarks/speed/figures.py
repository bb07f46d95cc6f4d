"""The arithmetic of the report: spreads, ratios, rates and differences."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """What several rounds came to."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the range. Raises StatisticsError without a value."""
    return Spread(statistics.median(values), min(values), max(values))


def speedups(baseline: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    """Return how many times faster `other` was, round by round, from seconds by round.

    A ratio within a round is of two turns that were close in time, so what slows the machine for
    a while slows both. Rounds that only one of them has are left out.
    """
    return [baseline[number] / other[number] for number in sorted(baseline) if number in other]


def geometric_mean(values: Sequence[float]) -> float:
    """Return the mean that is right for ratios. Raises StatisticsError without a value."""
    return statistics.geometric_mean(values)


def share_of_gemm(
    *, parameters: int, tokens: int, seconds: float, training: bool, rate: float
) -> float:
    """Return the useful arithmetic per second as a share of `rate`, in FLOP/s.

    Useful are 2 operations per weight and real token forward, and twice as many backward; products
    of attention, which grow with the square of the length, are left out, and so are embeddings.
    """
    operations = (6 if training else 2) * parameters * tokens
    return operations / seconds / rate


def relative_difference(reference: Sequence[float], other: Sequence[float]) -> float | None:
    """Return the largest |a - b| / |a| over pairs, or None where they do not pair up.

    A reference of 0 counts by the absolute difference.
    """
    if not reference or len(reference) != len(other):
        return None
    return max(
        abs(right - left) / (abs(left) or 1.0) for left, right in zip(reference, other, strict=True)
    )


def absolute_difference(
    reference: Sequence[Sequence[float]], other: Sequence[Sequence[float]]
) -> float | None:
    """Return the largest |a - b| of two tables, or None where they do not pair up."""
    if [len(row) for row in reference] != [len(row) for row in other] or not reference:
        return None
    return max(
        abs(left - right)
        for row, others in zip(reference, other, strict=True)
        for left, right in zip(row, others, strict=True)
    )
