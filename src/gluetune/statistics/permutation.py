"""Seeds against seeds: an exact permutation test of two groups of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

_EXACT = 20_000
"""Rearrangements up to which all are looked at."""


@dataclass(frozen=True)
class Permutation:
    """The difference of two means, and how often chance gives one as large."""

    difference: float
    p_value: float
    smallest_p: float
    """The smallest that so few scores can give: two of all rearrangements, one if groups differ."""


def permutation_test(
    first: Sequence[float], second: Sequence[float], *, seed: int = 0
) -> Permutation:
    """Test whether two groups of scores have one mean, two-sided (Fisher 1935; Pitman 1937).

    All rearrangements are looked at where there are at most 20,000, else as many are drawn.
    """
    import numpy as np

    scores = np.array([*first, *second], dtype=np.float64)
    size, total = len(first), len(scores)
    difference = float(np.mean(second) - np.mean(first))
    ways = comb(total, size)
    if ways <= _EXACT:
        chosen = np.array(list(combinations(range(total), size)))
    else:
        random = np.random.default_rng(seed)
        chosen = random.permuted(np.tile(np.arange(total), (_EXACT, 1)), axis=1)[:, :size]
    sums = scores[chosen].sum(axis=1)
    differences = (scores.sum() - sums) / (total - size) - sums / size
    tolerance = 1e-12 * max(1.0, float(np.abs(scores).max()))
    extreme = int((np.abs(differences) >= abs(difference) - tolerance).sum())
    p_value = extreme / ways if ways <= _EXACT else (extreme + 1) / (_EXACT + 1)
    smallest = (2 if 2 * size == total else 1) / ways
    return Permutation(difference, p_value, smallest)
