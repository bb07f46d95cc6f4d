"""Metrics of probabilities: how well they rank the examples, and how likely they make the labels.

Of two classes the ranking is that by the positive class. Of more classes, and of several labels, it
is done for each against the rest, and averaged over those that some examples have and others have
not (scikit-learn refuses the others).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from gluetune.metrics.metric import (
    MULTI_LABEL,
    SINGLE_LABEL,
    Formula,
    Inputs,
    Measure,
    Metric,
    OfWeights,
    mean_of,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.metrics.metric import Floats, Numbers, OfSamples


def _columns(inputs: Inputs) -> Iterator[tuple[NDArray[np.bool_], Floats]]:
    """Yield, for each class or label, which examples have it and its probability for each."""
    probabilities = _probabilities(inputs)
    if inputs.labels.ndim == 2:
        for number in range(inputs.labels.shape[1]):
            yield inputs.labels[:, number] > 0, probabilities[:, number]
        return
    width = probabilities.shape[1]
    for number in [inputs.positive] if width == 2 else range(width):
        yield inputs.labels == number, probabilities[:, number]


def _probabilities(inputs: Inputs) -> Floats:
    assert inputs.probabilities is not None, "what has none is not computed"
    return inputs.probabilities


def _ranking(score: Callable[[Numbers, Numbers], float], inputs: Inputs) -> Measure:
    import numpy as np

    values = [
        float(score(true, probability))
        for true, probability in _columns(inputs)
        if true.any() and not true.all()
    ]
    if not values:
        return Measure(None, "no class or label has both positive and negative examples")
    return Measure(float(np.mean(values)))


def _roc_auc(inputs: Inputs) -> Measure:
    from sklearn.metrics import roc_auc_score

    return _ranking(roc_auc_score, inputs)


def _average_precision(inputs: Inputs) -> Measure:
    from sklearn.metrics import average_precision_score

    return _ranking(average_precision_score, inputs)


class _Ranked:
    """Examples from the lowest score to the highest; those of one score are a group.

    Sums of a sample's weights are kept in arrays that are written again for each sample.
    """

    def __init__(self, true: NDArray[np.bool_], scores: Floats) -> None:
        import numpy as np

        self.rows = np.argsort(scores, kind="stable")
        """Examples, in order."""
        self.true = true
        is_new = np.concatenate([[True], np.diff(scores[self.rows]) != 0])
        self.starts = np.flatnonzero(is_new)
        """Where each group starts, in the order."""
        places = np.flatnonzero(true[self.rows])
        group = (np.cumsum(is_new) - 1)[places]
        bounds = np.append(self.starts, len(true))
        self._positive = self.rows[places]
        self._start, self._end = bounds[group], bounds[group + 1]
        self._first = np.searchsorted(group, group)
        self._drawn = np.empty(len(true))
        self._below = np.zeros(len(true) + 1)
        self._positive_below = np.zeros(len(places) + 1)

    def _weigh(self, weights: Numbers) -> tuple[Numbers, int, int]:
        """Sum up a sample's weights; return those of the positive examples, their sum and all's."""
        import numpy as np

        # All indices are valid; only with "clip" does NumPy write to `out` itself.
        whole = weights.astype(np.float64, copy=False)
        np.cumsum(whole.take(self.rows, out=self._drawn, mode="clip"), out=self._below[1:])
        positive = whole.take(self._positive)
        np.cumsum(positive, out=self._positive_below[1:])
        return positive, int(self._positive_below[-1]), int(self._below[-1])

    def area(self, weights: Numbers) -> float:
        """Return the area under the ROC curve of a sample, from its positive examples' mean ranks.

        NaN where all or none are positive.
        """
        positive, count, total = self._weigh(weights)
        pairs = count * (total - count)
        ranks = (self._below[self._start] + self._below[self._end]) / 2
        return (float(positive @ ranks) - count**2 / 2) / pairs if pairs else float("nan")

    def precision(self, weights: Numbers) -> float:
        """Return the average precision of a sample; NaN where all or none are positive."""
        import numpy as np

        positive, count, total = self._weigh(weights)
        if count in (0, total):
            return float("nan")
        found = np.maximum(total - self._below[self._start], 1)  # 0 where nothing was drawn
        hits = count - self._positive_below[self._first]
        return float(positive @ (hits / found)) / count

    def grouped(self) -> tuple[Floats, Floats]:
        """Return how many positive and how many examples each group has."""
        import numpy as np

        every = np.ones(len(self.rows))
        parts = (self.true[self.rows] * every, every)
        positive, found = (np.add.reduceat(part, self.starts) for part in parts)
        return positive, found

    def by_example(self, values: Floats) -> Floats:
        """Return for each example the value of its group."""
        import numpy as np

        sizes = np.diff(np.append(self.starts, len(self.rows)))
        found = np.empty(len(self.rows))
        found[self.rows] = np.repeat(values, sizes)
        return found


def _area_without_one(ranked: _Ranked) -> Floats:
    import numpy as np

    positive, every = ranked.grouped()
    negative = every - positive
    below = negative.cumsum() - negative / 2
    above = positive.sum() - positive.cumsum() + positive / 2
    count, others = positive.sum(), negative.sum()
    pairs = positive @ below
    true = ranked.true
    fewer = np.where(true, ranked.by_example(below), ranked.by_example(above))
    left = np.where(true, (count - 1) * others, count * (others - 1))
    return _defined(pairs - fewer, left)


def _precision_without_one(ranked: _Ranked) -> Floats:
    """Return the average precision without each example.

    Thresholds above the example's score keep their precision; below it they find one example less.
    """
    import numpy as np

    positive, every = ranked.grouped()
    hits, found = positive[::-1].cumsum()[::-1], every[::-1].cumsum()[::-1]
    kept = positive * hits / found
    above = kept[::-1].cumsum()[::-1] - kept
    parts = []
    for is_true in (0, 1):
        precision = _defined(hits - is_true, found - 1, empty=0.0)
        below = (positive * precision).cumsum() - is_true * precision
        parts.append(ranked.by_example(above + below))
    true = ranked.true
    left = np.where(found[0] - 1 - (hits[0] - true) > 0, hits[0] - true, 0)
    return _defined(np.where(true, parts[1], parts[0]), left)


def _defined(numerator: Floats, denominator: Floats, empty: float = float("nan")) -> Floats:
    """Return the quotient, and `empty` where the denominator is not positive."""
    import numpy as np

    result = np.full(len(numerator), empty)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _mean_of_columns(
    value: Callable[[_Ranked, Numbers], float], without_one: Callable[[_Ranked], Floats]
) -> OfWeights:
    """Return the bootstrap of the mean over the columns in which a ranking is defined."""

    def prepare(inputs: Inputs) -> OfSamples:
        import numpy as np

        columns = [_Ranked(*column) for column in _columns(inputs)]

        def of_samples(weights: Numbers) -> Floats:
            values = [[value(one, row) for one in columns] for row in weights]
            return _mean_of_defined(np.array(values))

        return of_samples

    def leaving_one_out(inputs: Inputs) -> Floats:
        import numpy as np

        found = [without_one(_Ranked(*column)) for column in _columns(inputs)]
        return _mean_of_defined(np.stack(found, axis=1))

    return OfWeights(prepare, leaving_one_out)


def _mean_of_defined(values: Floats) -> Floats:
    """Return the mean of each row, of what is a number in it."""
    import numpy as np

    defined = np.isfinite(values)
    return _defined(np.where(defined, values, 0.0).sum(axis=1), defined.sum(axis=1))


def _surprise(inputs: Inputs) -> Floats:
    """Return each example's log loss, in nats; of several labels the mean over them."""
    import numpy as np

    probabilities = _probabilities(inputs)
    smallest = np.finfo(probabilities.dtype).eps  # as scikit-learn clips them
    given = np.clip(probabilities, smallest, 1 - smallest)
    if inputs.labels.ndim == 2:
        likely = np.where(inputs.labels > 0, given, 1 - given)
        result: Floats = -np.log(likely).mean(axis=1)
        return result
    return -np.log(given[np.arange(len(given)), inputs.labels])


def _squared(inputs: Inputs) -> Floats:
    """Return each example's squared distance between its probabilities and its label.

    Of two classes it is that of one of them; of several labels the mean over them.
    """
    import numpy as np

    probabilities = _probabilities(inputs)
    if inputs.labels.ndim == 2:
        result: Floats = ((probabilities - inputs.labels) ** 2).mean(axis=1)
        return result
    true = np.zeros_like(probabilities)
    true[np.arange(len(true)), inputs.labels] = 1
    halves = 0.5 if probabilities.shape[1] == 2 else 1.0
    squared: Floats = ((probabilities - true) ** 2).sum(axis=1) * halves
    return squared


def _mean(values: Callable[[Inputs], Floats], inputs: Inputs) -> Measure:
    return Measure(float(values(inputs).mean()))


def _both_kinds(compute: Callable[[Inputs], Measure], bootstrap: OfWeights) -> dict[str, Formula]:
    return dict.fromkeys((SINGLE_LABEL, MULTI_LABEL), Formula(compute, bootstrap))


def _metric(name: str, title: str, label: str, formulas: dict[str, Formula], **more: Any) -> Metric:
    return Metric(
        name=name, title=title, label=label, formulas=formulas, needs_probabilities=True, **more
    )


METRICS = (
    _metric(
        "roc_auc",
        "ROC AUC",
        "ROC AUC",
        _both_kinds(_roc_auc, _mean_of_columns(_Ranked.area, _area_without_one)),
        balances_classes=True,
    ),
    _metric(
        "average_precision",
        "average precision",
        "AP",
        _both_kinds(
            _average_precision, _mean_of_columns(_Ranked.precision, _precision_without_one)
        ),
        of_one_class=True,
        balances_classes=True,
    ),
    _metric(
        "log_loss",
        "log loss",
        "log loss",
        _both_kinds(partial(_mean, _surprise), mean_of(_surprise)),
        greater_is_better=False,
        in_points=False,
    ),
    _metric(
        "brier_score",
        "Brier score",
        "Brier",
        _both_kinds(partial(_mean, _squared), mean_of(_squared)),
        greater_is_better=False,
        in_points=False,
    ),
)
