"""Two models on the same examples, or over seeds: is one better?

McNemar's test and a paired bootstrap compare two models on examples; an exact permutation test
compares two groups of scores over seeds, the corrected resampled t-test scores of the same folds.
Holm's correction covers several comparisons, and `smallest_visible` is the power of a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

from gluetune.metrics.registry import get_metric
from gluetune.statistics.resampling import resample_pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.core.records import Predictions
    from gluetune.core.tasks import TaskSpec


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test (McNemar 1947) of which examples each model predicts correctly."""

    only_first: int
    """Examples that only the first model predicts correctly."""
    only_second: int
    p_value: float


@dataclass(frozen=True)
class Difference:
    """The second model's metric less the first's, with an interval over the examples."""

    value: float
    low: float | None
    high: float | None
    """None where the predictions are so similar that no sample differs from another."""
    level: float
    spread: float
    """Standard deviation of the difference over the samples."""
    p_value: float
    """Twice the proportion of samples beyond 0: an approximate test."""


def mcnemar(first: Predictions, second: Predictions) -> McNemar:
    """Test two models' predictions of the same examples, two-sided and exact.

    Of several labels a prediction is correct where it is so to the last label.
    """
    from scipy.stats import binomtest

    rights = [_correct(first), _correct(second)]
    only_first = int((rights[0] & ~rights[1]).sum())
    only_second = int((rights[1] & ~rights[0]).sum())
    total = only_first + only_second
    p_value = float(binomtest(only_first, total, 0.5).pvalue) if total else 1.0
    return McNemar(only_first, only_second, p_value)


def _correct(found: Predictions) -> NDArray[np.bool_]:
    """Return which predictions are correct."""
    import numpy as np

    same: NDArray[np.bool_] = np.asarray(found.predicted == found.labels)
    whole: NDArray[np.bool_] = np.all(same.reshape(len(same), -1), axis=1)
    return whole


def is_proportion(task: TaskSpec) -> bool:
    """Whether the score is the proportion of correct predictions, as McNemar's test takes it."""
    return len(task.metrics) == 1 and get_metric(task.metrics[0]).is_proportion


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


_EXACT = 20_000
"""Maximum number of rearrangements that are enumerated."""


@dataclass(frozen=True)
class Permutation:
    """The difference of two means, with the probability of one as large by chance."""

    difference: float
    p_value: float
    smallest_p: float
    """The smallest that so few scores can give: two of all rearrangements, one if groups differ."""


def permutation_test(
    first: Sequence[float], second: Sequence[float], *, seed: int = 0
) -> Permutation:
    """Test whether two groups of scores have one mean, two-sided (Fisher 1935; Pitman 1937).

    All rearrangements are enumerated where there are at most 20,000, else as many are drawn.
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


@dataclass(frozen=True)
class ResampledT:
    """The mean difference over folds, by the corrected resampled t-test."""

    difference: float
    low: float
    high: float
    """95% interval."""
    p_value: float
    folds: int
    """Of all repeats."""


def corrected_resampled_t(
    differences: Sequence[float], tested_share: float, *, level: float = 0.95
) -> ResampledT:
    """Test whether the mean difference of two models over the same folds is 0, two-sided.

    Nadeau & Bengio 2003 (Machine Learning 52). Training sets of folds overlap, so differences are
    correlated and the usual t-test finds far too many. The variance of the mean is the sample
    variance times 1/folds + tested/trained rows. `tested_share` is that ratio: 1 / (folds - 1) of
    one repeat. At least two differences are needed.
    """
    import numpy as np
    from scipy.stats import t

    values = np.asarray(differences, dtype=np.float64)
    mean, count = float(values.mean()), len(values)
    spread = float(values.std(ddof=1)) * (1 / count + tested_share) ** 0.5
    if spread == 0:
        return ResampledT(mean, mean, mean, 1.0 if mean == 0 else 0.0, count)
    reach = float(t.ppf((1 + level) / 2, count - 1)) * spread
    p_value = float(2 * t.sf(abs(mean) / spread, count - 1))
    return ResampledT(mean, mean - reach, mean + reach, p_value, count)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values (Holm 1979), in the order given.

    Rejecting those below a level keeps the chance of any false alarm below it.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


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
