"""Metrics of probabilities: how well they rank the examples, and how likely they make the labels.

Of two classes the ranking is that by the positive class. Of more classes, and of several labels, it
is done for each against the rest, and averaged over those that some examples have and others have
not (scikit-learn refuses the others).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    """Give who has each class or label, and the probability that each example has it."""
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
        return Measure(None, "no class or label is had by some examples and not by others")
    return Measure(float(np.mean(values)))


def _roc_auc(inputs: Inputs) -> Measure:
    from sklearn.metrics import roc_auc_score

    return _ranking(roc_auc_score, inputs)


def _average_precision(inputs: Inputs) -> Measure:
    from sklearn.metrics import average_precision_score

    return _ranking(average_precision_score, inputs)


@dataclass(frozen=True)
class _Ranked:
    """Examples in the order of a score; those of one score are a group."""

    rows: NDArray[np.int64]
    """Examples, in order."""
    true: NDArray[np.bool_]
    """Which of them are positive, in order."""
    starts: NDArray[np.int64]
    """Where each group starts."""
    has_ties: bool

    @classmethod
    def of(cls, true: NDArray[np.bool_], scores: Floats) -> _Ranked:
        """Return examples from the lowest score to the highest."""
        import numpy as np

        rows = np.argsort(scores, kind="stable")
        is_new = np.concatenate([[True], np.diff(scores[rows]) != 0])
        starts = np.flatnonzero(is_new)
        return cls(rows, true[rows], starts, len(starts) < len(rows))

    def grouped(self, weights: Numbers) -> tuple[Floats, Floats]:
        """Return the weight of the positive and of all examples of each group."""
        import numpy as np

        every = weights.take(self.rows).astype(np.float64)
        positive = every * self.true
        if self.has_ties:
            return np.add.reduceat(positive, self.starts), np.add.reduceat(every, self.starts)
        return positive, every

    def by_example(self, values: Floats) -> Floats:
        """Return for each example, in the order of the rows, the value of its group."""
        import numpy as np

        sizes = np.diff([*self.starts.tolist(), len(self.rows)])
        found = np.empty(len(self.rows))
        found[self.rows] = np.repeat(values, sizes)
        return found


def _area(positive: Floats, every: Floats) -> float:
    """Return the area under the ROC curve, from the weights of groups in rising order."""
    negative = every - positive
    below = negative.cumsum()
    pairs = positive.sum() * below[-1]
    return float(positive @ (below - negative / 2) / pairs) if pairs else float("nan")


def _area_without_one(ranked: _Ranked) -> Floats:
    import numpy as np

    positive, every = ranked.grouped(np.ones(len(ranked.rows)))
    negative = every - positive
    below = negative.cumsum() - negative / 2
    above = positive.sum() - positive.cumsum() + positive / 2
    count, others = positive.sum(), negative.sum()
    pairs = positive @ below
    true = np.empty(len(ranked.rows), dtype=bool)
    true[ranked.rows] = ranked.true
    fewer = np.where(true, ranked.by_example(below), ranked.by_example(above))
    left = np.where(true, (count - 1) * others, count * (others - 1))
    return _defined(pairs - fewer, left)


def _precision(positive: Floats, every: Floats) -> float:
    """Return the average precision, from the weights of groups in rising order."""
    hits, found = positive[::-1].cumsum(), every[::-1].cumsum()
    total = hits[-1]
    if total in (0, found[-1]):
        return float("nan")
    return float(positive[::-1] @ _defined(hits, found, empty=0.0) / total)


def _precision_without_one(ranked: _Ranked) -> Floats:
    """Return the average precision without each example.

    Thresholds above the example's score keep their precision; below it they find one example less.
    """
    import numpy as np

    positive, every = ranked.grouped(np.ones(len(ranked.rows)))
    hits, found = positive[::-1].cumsum()[::-1], every[::-1].cumsum()[::-1]
    kept = positive * hits / found
    above = kept[::-1].cumsum()[::-1] - kept
    parts = []
    for is_true in (0, 1):
        precision = _defined(hits - is_true, found - 1, empty=0.0)
        below = (positive * precision).cumsum() - is_true * precision
        parts.append(ranked.by_example(above + below))
    true = np.empty(len(ranked.rows), dtype=bool)
    true[ranked.rows] = ranked.true
    left = np.where(found[0] - 1 - (hits[0] - true) > 0, hits[0] - true, 0)
    return _defined(np.where(true, parts[1], parts[0]), left)


def _defined(numerator: Floats, denominator: Floats, empty: float = float("nan")) -> Floats:
    """Return the quotient, and `empty` where the denominator is not positive."""
    import numpy as np

    result = np.full(len(numerator), empty)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _mean_of_columns(
    value: Callable[[Floats, Floats], float], without_one: Callable[[_Ranked], Floats]
) -> OfWeights:
    """Return the bootstrap of the mean over the columns in which a ranking is defined."""

    def prepare(inputs: Inputs) -> OfSamples:
        import numpy as np

        columns = [_Ranked.of(*column) for column in _columns(inputs)]

        def of_samples(weights: Numbers) -> Floats:
            values = [[value(*one.grouped(row)) for one in columns] for row in weights]
            return _mean_of_defined(np.array(values))

        return of_samples

    def leaving_one_out(inputs: Inputs) -> Floats:
        import numpy as np

        found = [without_one(_Ranked.of(*column)) for column in _columns(inputs)]
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
        _both_kinds(_roc_auc, _mean_of_columns(_area, _area_without_one)),
        balances_classes=True,
    ),
    _metric(
        "average_precision",
        "average precision",
        "AP",
        _both_kinds(_average_precision, _mean_of_columns(_precision, _precision_without_one)),
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
