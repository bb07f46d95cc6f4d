"""Metrics of numbers: errors, and correlations of weighted examples in time linear in them.

A bootstrap sample is a row of weights: how often each example was drawn. What does not depend on
the weights (products, the order of the values) is computed once.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gluetune.metrics.from_counts import distance_of_classes
from gluetune.metrics.metric import (
    ORDINAL,
    REGRESSION,
    Formula,
    Inputs,
    Measure,
    Metric,
    OfCounts,
    OfWeights,
    mean_of,
    sums,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from gluetune.metrics.metric import Floats, Numbers, OfSamples

    Integers = NDArray[np.int64]


_ROUNDING = 1e-13
"""Share of a mean square below which a variance is rounding."""


def _errors(inputs: Inputs) -> Floats:
    import numpy as np

    result: Floats = np.abs(inputs.predicted.astype(np.float64) - inputs.labels)
    return result


def _mae(inputs: Inputs) -> Measure:
    from sklearn.metrics import mean_absolute_error

    return Measure(float(mean_absolute_error(inputs.labels, inputs.predicted)))


def _rmse(inputs: Inputs) -> Measure:
    from sklearn.metrics import root_mean_squared_error

    return Measure(float(root_mean_squared_error(inputs.labels, inputs.predicted)))


def _squares(inputs: Inputs) -> Floats:
    result: Floats = _errors(inputs)[None] ** 2
    return result


def _root_mean(found: Floats, totals: Any) -> Floats:
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.sqrt(np.maximum(found[:, 0], 0) / totals)
    return result


def _correlation(statistic: Callable[[Numbers, Numbers], float], inputs: Inputs) -> Measure:
    if len(inputs.labels) < 2:
        return Measure(None, "a correlation needs two examples, there is one")
    for what, values in (("predictions", inputs.predicted), ("labels", inputs.labels)):
        if (values == values[0]).all():
            return Measure(None, f"{what} are constant ({values[0]})")
    value = float(statistic(inputs.predicted, inputs.labels))
    if not math.isfinite(value):
        return Measure(None, "the values differ too little or too much for double precision")
    return Measure(value)


def _pearson(inputs: Inputs) -> Measure:
    from scipy.stats import pearsonr

    return _correlation(lambda first, second: pearsonr(first, second).statistic, inputs)


def _spearman(inputs: Inputs) -> Measure:
    from scipy.stats import spearmanr

    return _correlation(lambda first, second: spearmanr(first, second).statistic, inputs)


def _fishers(value: float, count: int, random: np.random.Generator, draws: int) -> Floats:
    """Draw correlations about a perfect one, by Fisher's transformation (Fisher 1921)."""
    import numpy as np

    limit = 1 - 1 / count
    center = np.arctanh(np.clip(value, -limit, limit))
    spread = 1 / max(count - 3, 1) ** 0.5
    result: Floats = np.tanh(center + spread * random.standard_normal(draws))
    return result


def _products(inputs: Inputs) -> Floats:
    """Return what sums are needed of: both sides, standardised, and their products."""
    import numpy as np

    first, second = _standardised(inputs.predicted), _standardised(inputs.labels)
    return np.stack([first, second, first * first, second * second, first * second])


def _standardised(values: Floats) -> Floats:
    """Return values about their mean, the largest of them 1: no square overflows or vanishes."""
    import numpy as np

    values = values - values.mean()
    result: Floats = values / (np.abs(values).max() or 1.0)
    return result


def _pearson_of_sums(found: Floats, totals: Any) -> Floats:
    import numpy as np

    with np.errstate(invalid="ignore"):  # no example is left without the only one
        means = found / np.reshape(totals, (-1, 1))
    covariance = means[:, 4] - means[:, 0] * means[:, 1]
    variances = means[:, 2:4] - means[:, :2] ** 2
    # A side that is constant in a sample has a variance of no more than rounding leaves.
    varies = (variances > _ROUNDING * means[:, 2:4]).all(axis=1)
    scale = np.sqrt(np.where(varies, variances.prod(axis=1), 0.0))
    return _quotient(covariance, scale)


def _quotient(covariance: Floats, scale: Floats) -> Floats:
    """Return their quotient; NaN where the scale is 0."""
    import numpy as np

    result = np.full(len(covariance), np.nan)
    np.divide(covariance, scale, out=result, where=scale > 0)
    return result


class _Order:
    """The order of one side's values, by which a sample's ranks are running sums of weights.

    Its arrays are written again for each sample: new ones would cost more than the sums.
    """

    def __init__(self, values: Floats) -> None:
        import numpy as np

        self._rows = np.argsort(values, kind="stable")
        is_new = np.concatenate([[True], np.diff(values[self._rows]) != 0])
        self._starts = np.flatnonzero(is_new)
        self.kind = np.empty(len(values), dtype=np.int64)
        """For each example, the number of its value among the different ones, in order."""
        self.kind[self._rows] = np.cumsum(is_new) - 1
        self._weights = np.empty(len(values))
        self._counts = np.empty(len(self._starts))
        self._sums = np.empty(len(self._starts))
        self._ranks = np.empty(len(self._starts))
        self._products = np.empty(len(self._starts))
        self.ranks = np.empty(len(values))
        """For each example, its value's rank in the last sample."""

    def rank(self, weights: Floats, total: float) -> float:
        """Set the ranks of a sample of `total` examples, and return the sum of their squares.

        Ties share their mean rank. Ranks are doubled, so as to be whole, and less their mean.
        Whole numbers are exact as floats, and need no conversion between the steps.
        """
        import numpy as np

        # All indices are valid; only with "clip" does NumPy write to `out` itself.
        counts = weights.take(self._rows, out=self._weights, mode="clip")
        if len(self._starts) < len(weights):
            counts = np.add.reduceat(counts, self._starts, out=self._counts)
        np.cumsum(counts, out=self._sums)
        np.multiply(self._sums, 2, out=self._sums)
        np.subtract(self._sums, counts, out=self._sums)
        np.subtract(self._sums, total, out=self._ranks)
        np.multiply(counts, self._ranks, out=self._products)
        self._ranks.take(self.kind, out=self.ranks, mode="clip")
        return float(self._products @ self._ranks)


def _spearman_of(inputs: Inputs) -> OfSamples:
    import numpy as np

    one, other = _Order(inputs.predicted), _Order(inputs.labels)
    products = np.empty(len(inputs.labels))

    def correlation(weights: Numbers) -> Floats:
        found = np.empty((2, len(weights)))
        for number, sample in enumerate(weights.astype(np.float64, copy=False)):
            total = float(sample.sum())
            scale = one.rank(sample, total) * other.rank(sample, total)
            np.multiply(sample, one.ranks, out=products)
            found[:, number] = products @ other.ranks, scale
        return _quotient(found[0], np.sqrt(found[1]))

    return correlation


def _spearman_without_one(inputs: Inputs) -> Floats:
    """Return Spearman's correlation without each example, from how its removal shifts the ranks.

    Without example i, the doubled rank of k falls by 2 where k's value is greater, by 1 where it is
    the same: by `shift(k, i)`. All sums of shifts are running sums, but for that of both sides'
    shifts, which counts the examples that are greater on both.
    """
    import numpy as np

    count = len(inputs.labels)
    sides = [_Shifts(values) for values in (inputs.predicted, inputs.labels)]
    squares = [one.squares_without() for one in sides]
    covariance = (
        float(sides[0].ranks @ sides[1].ranks)
        - sides[0].ranks * sides[1].ranks
        - sides[1].shifted(sides[0].ranks)
        - sides[0].shifted(sides[1].ranks)
        + _shifts_of_both(*sides)
    )
    # Doubled ranks of count - 1 examples have the sum (count - 1)^2.
    correction = float(count - 1) ** 3
    scale = np.sqrt(np.maximum((squares[0] - correction) * (squares[1] - correction), 0))
    return _quotient(covariance - correction, scale)


class _Shifts:
    """What the removal of each example does to the doubled ranks of one side's others."""

    def __init__(self, values: Floats) -> None:
        import numpy as np

        self.kind = _Order(values).kind
        self.sizes = np.bincount(self.kind).astype(np.float64)
        self.ranks: Floats = (2 * self.sizes.cumsum() - self.sizes)[self.kind]

    def shifted(self, values: Floats) -> Floats:
        """Return, for each example, the sum over the others of `values` times their shifts."""
        import numpy as np

        sums = np.bincount(self.kind, weights=values)
        greater = sums[::-1].cumsum()[::-1] - sums
        return (2 * greater + sums)[self.kind] - values

    def squares_without(self) -> Floats:
        """Return the sum of the squared doubled ranks that are left without each example."""
        import numpy as np

        ranks = self.ranks
        greater = self.sizes[::-1].cumsum()[::-1] - self.sizes
        shifts = (4 * greater + self.sizes)[self.kind] - 1  # squares of 2 and of 1
        result: Floats = np.square(ranks).sum() - ranks**2 - 2 * self.shifted(ranks) + shifts
        return result


def _shifts_of_both(first: _Shifts, second: _Shifts) -> Floats:
    """Return, for each example, the sum over the others of the product of both sides' shifts.

    A shift is 1 for a greater value, and 1 for one that is not smaller. So the product counts each
    other example once for every way of being greater, or not smaller, on both sides.
    """
    import numpy as np

    order = np.argsort(-first.kind, kind="stable")
    ends = np.cumsum(np.bincount(first.kind)[::-1])[::-1]  # of the examples not smaller, in order
    greater, not_smaller = ends - np.bincount(first.kind), ends
    pairs = [
        _count_above(second.kind[order], prefix[first.kind], second.kind - strictness)
        for prefix in (greater, not_smaller)
        for strictness in (0, 1)
    ]
    # Not smaller on both sides is the example itself, too.
    result: Floats = np.stack(pairs).sum(axis=0).astype(np.float64) - 1
    return result


def _count_above(values: Integers, lengths: Integers, limits: Integers) -> Integers:
    """Return, for each limit, how many of the first `length` values are above it.

    Values are whole and not negative, limits not below -1. By a wavelet matrix (Claude, Navarro &
    Ordóñez 2015): the values are split by their bits, the highest first.
    """
    import numpy as np

    lows, highs = np.zeros_like(lengths), lengths
    values, limits = values + 1, limits + 1
    above = np.zeros(len(limits), dtype=np.int64)
    for bit in reversed(range(int(values.max()).bit_length())):
        is_set = (values >> bit) & 1 == 1
        before = np.concatenate([[0], np.cumsum(is_set)])
        low_set, high_set = before[lows], before[highs]
        goes_up = (limits >> bit) & 1 == 1
        above += np.where(goes_up, 0, high_set - low_set)
        zeros = len(values) - before[-1]
        lows = np.where(goes_up, zeros + low_set, lows - low_set)
        highs = np.where(goes_up, zeros + high_set, highs - high_set)
        values = np.concatenate([values[~is_set], values[is_set]])
    return above


METRICS = (
    Metric(
        name="pearson",
        title="Pearson correlation",
        label="Pearson",
        formulas={
            REGRESSION: Formula(
                _pearson, replace(sums(_products, _pearson_of_sums), smoothed=_fishers)
            )
        },
        hub_name="pearsonr",
    ),
    Metric(
        name="spearman",
        title="Spearman correlation",
        label="Spearman",
        formulas={
            REGRESSION: Formula(_spearman, OfWeights(_spearman_of, _spearman_without_one, _fishers))
        },
        hub_name="spearmanr",
    ),
    Metric(
        name="mae",
        title="mean absolute error",
        label="MAE",
        formulas={
            REGRESSION: Formula(_mae, mean_of(_errors)),
            ORDINAL: Formula(_mae, OfCounts(distance_of_classes)),
        },
        greater_is_better=False,
        in_points=False,
    ),
    Metric(
        name="rmse",
        title="root mean squared error",
        label="RMSE",
        formulas={REGRESSION: Formula(_rmse, sums(_squares, _root_mean))},
        greater_is_better=False,
        in_points=False,
    ),
)
