"""How small a difference a comparison could have seen."""

from __future__ import annotations


def smallest_visible(
    count: int, disagreement: float, *, level: float = 0.95, power: float = 0.8
) -> float:
    """Return the difference in accuracy that a paired test of `count` examples sees.

    `disagreement` is the share of examples on which one model is right and the other wrong. The
    difference is seen with probability `power` at significance 1 - `level`, by the normal
    approximation of McNemar's test (Connor 1987). Where models disagree so seldom that no
    difference within that would be seen, it is the one that would if they disagreed on more.
    """
    from scipy.stats import norm

    strict, likely = norm.ppf((1 + level) / 2), norm.ppf(power)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        within = max(disagreement, middle)
        needed = strict * within**0.5 + likely * (within - middle**2) ** 0.5
        if middle * count**0.5 >= needed:
            high = middle
        else:
            low = middle
    return high
