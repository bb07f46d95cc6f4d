"""Metrics of decisions, from how often each class or label is true, is predicted, and is both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from gluetune.metrics.metric import (
    MULTI_LABEL,
    ORDINAL,
    SINGLE_LABEL,
    Formula,
    Inputs,
    Measure,
    Metric,
    OfCounts,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gluetune.metrics.metric import Floats, Numbers


@dataclass(frozen=True)
class ClassCounts:
    """Counts of classes, shape (samples, classes), and sums over the examples, (samples,)."""

    smooths: ClassVar[bool] = True
    """Whether examples of any label and prediction can be added to samples that do not vary."""

    labels: Floats
    predicted: Floats
    both: Floats
    """Correct predictions."""
    distance: Floats
    """Sum of the distances between the ids of label and prediction."""
    squares: Floats
    """Sum of their squares."""
    positive: int
    """The class that a metric of one class is of."""

    @staticmethod
    def width(num_labels: int) -> int:
        """Return how many sums there are."""
        return 3 * num_labels + 2

    @staticmethod
    def terms(labels: Numbers, predicted: Numbers, num_labels: int) -> Any:
        """Return what is summed, a sparse matrix of shape (examples, width)."""
        import numpy as np
        from scipy.sparse import csr_array

        rows, same = np.arange(len(labels)), np.flatnonzero(labels == predicted)
        distance = np.abs(labels.astype(np.float64) - predicted)
        parts = (
            (rows, labels, np.ones(len(rows))),
            (rows, num_labels + predicted, np.ones(len(rows))),
            (same, 2 * num_labels + labels[same], np.ones(len(same))),
            (rows, np.full(len(rows), 3 * num_labels), distance),
            (rows, np.full(len(rows), 3 * num_labels + 1), distance**2),
        )
        row, column, value = (np.concatenate(one) for one in zip(*parts, strict=True))
        return csr_array((value, (row, column)), shape=(len(rows), ClassCounts.width(num_labels)))

    @classmethod
    def of(cls, sums: Floats, positive: int) -> ClassCounts:
        """Return sums, shape (samples, width), by what they are of."""
        import numpy as np

        labels, predicted, both = np.split(sums[:, :-2], 3, axis=1)
        return cls(labels, predicted, both, sums[:, -2], sums[:, -1], positive)


@dataclass(frozen=True)
class SetCounts:
    """Counts of labels of which an example may have several: shape (samples, labels)."""

    smooths: ClassVar[bool] = False

    both: Floats
    """Labels that are true and predicted."""
    extra: Floats
    """Predicted alone."""
    missed: Floats
    """True alone."""
    exact: Floats
    """Examples whose set is right to the last label, (samples,)."""
    total: Floats
    """Examples, (samples,)."""

    @staticmethod
    def width(num_labels: int) -> int:
        """Return how many sums there are."""
        return 3 * num_labels + 2

    @staticmethod
    def terms(labels: Numbers, predicted: Numbers, num_labels: int) -> Any:
        """Return what is summed, a sparse matrix of shape (examples, width)."""
        import numpy as np
        from scipy.sparse import csr_array, hstack

        given, true = csr_array(predicted.astype(np.float64)), csr_array(labels.astype(np.float64))
        both = given * true
        extra, missed = given - both, true - both
        wrong = extra.sum(axis=1) + missed.sum(axis=1)
        whole = np.stack([wrong == 0, np.ones(len(labels), dtype=bool)], axis=1)
        return csr_array(hstack([both, extra, missed, csr_array(whole.astype(np.float64))]))

    @classmethod
    def of(cls, sums: Floats, positive: int) -> SetCounts:
        """Return sums, shape (samples, width), by what they are of."""
        import numpy as np

        both, extra, missed = np.split(sums[:, :-2], 3, axis=1)
        return cls(both, extra, missed, sums[:, -2], sums[:, -1])


def counts_of(labels: Numbers) -> type[ClassCounts] | type[SetCounts]:
    """Return what labels are counted as."""
    return ClassCounts if labels.ndim == 1 else SetCounts


def _quotient(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient; NaN where both are 0."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        return numerator / denominator


def _accuracy(inputs: Inputs) -> Measure:
    from sklearn.metrics import accuracy_score

    return Measure(float(accuracy_score(inputs.labels, inputs.predicted)))


def _accuracy_of(counts: ClassCounts) -> Floats:
    return _quotient(counts.both.sum(axis=1), counts.labels.sum(axis=1))


def _balanced_accuracy(inputs: Inputs) -> Measure:
    from sklearn.metrics import recall_score

    # scikit-learn's balanced_accuracy_score warns of classes that are predicted alone.
    labels, predicted = inputs.labels, inputs.predicted
    return Measure(float(recall_score(labels, predicted, labels=_unique(labels), average="macro")))


def _unique(labels: Numbers) -> Numbers:
    import numpy as np

    return np.unique(labels)


def _balanced_accuracy_of(counts: ClassCounts) -> Floats:
    occurs = counts.labels > 0
    recalls = _where(counts.both, counts.labels, occurs)
    return _quotient(recalls.sum(axis=1), occurs.sum(axis=1))


def _where(numerator: Floats, denominator: Floats, defined: Numbers) -> Floats:
    """Return the quotient where it is defined, and 0 elsewhere."""
    import numpy as np

    result: Floats = np.divide(
        numerator, denominator, out=np.zeros_like(denominator), where=defined
    )
    return result


def _f1(inputs: Inputs) -> Measure:
    from sklearn.metrics import f1_score

    labels, predicted, positive = inputs.labels, inputs.predicted, inputs.positive
    if not (predicted == positive).any() and not (labels == positive).any():
        return Measure(None, f"neither labels nor predictions hold the positive class ({positive})")
    return Measure(float(f1_score(labels, predicted, pos_label=positive)))


def _f1_of(counts: ClassCounts) -> Floats:
    one = counts.positive
    return _quotient(2 * counts.both[:, one], counts.labels[:, one] + counts.predicted[:, one])


def _f1_macro(inputs: Inputs) -> Measure:
    from sklearn.metrics import f1_score

    return Measure(float(f1_score(inputs.labels, inputs.predicted, average="macro")))


def _f1_macro_of(counts: ClassCounts) -> Floats:
    return _mean_f1(counts.both, counts.labels + counts.predicted)


def _mean_f1(both: Floats, total: Floats) -> Floats:
    """Return the mean F1 of the classes or labels that occur."""
    occurs = total > 0
    return _quotient(_where(2 * both, total, occurs).sum(axis=1), occurs.sum(axis=1))


def _matthews_correlation(inputs: Inputs) -> Measure:
    from sklearn.metrics import matthews_corrcoef

    if (inputs.labels == inputs.labels[0]).all():
        return Measure(None, f"labels hold one class only ({inputs.labels[0]})")
    return Measure(float(matthews_corrcoef(inputs.labels, inputs.predicted)))


def _matthews_correlation_of(counts: ClassCounts) -> Floats:
    """Gorodkin 2004, for several classes.

    It is 0 where all predictions are one class, as the official scorer has it, and NaN where all
    labels are.
    """
    import numpy as np

    labels, predicted = counts.labels, counts.predicted
    both, total = counts.both.sum(axis=1), labels.sum(axis=1)
    products = (labels * predicted).sum(axis=1)
    of_labels = total**2 - (labels**2).sum(axis=1)
    of_predicted = total**2 - (predicted**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        result = (both * total - products) / np.sqrt(of_labels * of_predicted)
    result = np.where(of_predicted == 0, 0.0, result)
    return np.where(of_labels == 0, np.nan, result)


def _quadratic_weighted_kappa(inputs: Inputs) -> Measure:
    from sklearn.metrics import cohen_kappa_score

    labels, predicted = inputs.labels, inputs.predicted
    if (labels == labels[0]).all() and (predicted == labels[0]).all():
        return Measure(None, f"labels and predictions hold one class only ({labels[0]})")
    ids = list(range(inputs.num_labels))
    return Measure(float(cohen_kappa_score(labels, predicted, labels=ids, weights="quadratic")))


def _quadratic_weighted_kappa_of(counts: ClassCounts) -> Floats:
    """One less the squared distances, as a part of those that independent predictions have."""
    import numpy as np

    ids = np.arange(counts.labels.shape[1], dtype=np.float64)
    total = counts.labels.sum(axis=1)
    squares = (counts.labels + counts.predicted) @ ids**2
    expected = squares - _quotient(2 * (counts.labels @ ids) * (counts.predicted @ ids), total)
    return np.where(expected > 0, 1 - _where(counts.squares, expected, expected > 0), np.nan)


def distance_of_classes(counts: ClassCounts) -> Floats:
    """Return the mean distance between the ids of label and prediction."""
    return _quotient(counts.distance, counts.labels.sum(axis=1))


def _of_sets(value: Callable[[SetCounts], Floats]) -> Formula:
    """Return a formula that is computed as its bootstrap is: scikit-learn has no such metric."""

    def compute(inputs: Inputs) -> Measure:
        import numpy as np

        terms = SetCounts.terms(inputs.labels, inputs.predicted, inputs.labels.shape[1])
        found = float(value(SetCounts.of(np.asarray(terms.sum(axis=0))[None], inputs.positive))[0])
        if not np.isfinite(found):
            return Measure(None, "no label occurs, in labels or predictions")
        return Measure(found)

    return Formula(compute, OfCounts(value))


def _f1_micro_of_sets(counts: SetCounts) -> Floats:
    both, extra, missed = (one.sum(axis=1) for one in (counts.both, counts.extra, counts.missed))
    return _quotient(2 * both, 2 * both + extra + missed)


def _f1_macro_of_sets(counts: SetCounts) -> Floats:
    """The mean over the labels that occur in labels or predictions.

    scikit-learn counts the others as 0, which no model could change.
    """
    return _mean_f1(counts.both, 2 * counts.both + counts.extra + counts.missed)


def _exact_match_of_sets(counts: SetCounts) -> Floats:
    return _quotient(counts.exact, counts.total)


def _of_classes(
    compute: Callable[[Inputs], Measure], value: Callable[[ClassCounts], Floats]
) -> dict[str, Formula]:
    """Return the formula of both kinds that have classes."""
    return dict.fromkeys((SINGLE_LABEL, ORDINAL), Formula(compute, OfCounts(value)))


METRICS = (
    Metric(
        name="accuracy",
        title="accuracy",
        label="accuracy",
        formulas=_of_classes(_accuracy, _accuracy_of),
        is_proportion=True,
    ),
    Metric(
        name="balanced_accuracy",
        title="balanced accuracy",
        label="bal. accuracy",
        formulas=_of_classes(_balanced_accuracy, _balanced_accuracy_of),
        balances_classes=True,
    ),
    Metric(
        name="f1",
        title="F1",
        label="F1",
        formulas={SINGLE_LABEL: Formula(_f1, OfCounts(_f1_of))},
        of_one_class=True,
        two_classes_only=True,
    ),
    Metric(
        name="f1_macro",
        title="macro F1",
        label="F1_macro",
        formulas=_of_classes(_f1_macro, _f1_macro_of) | {MULTI_LABEL: _of_sets(_f1_macro_of_sets)},
        balances_classes=True,
        hub_name="f1",
    ),
    Metric(
        name="f1_micro",
        title="micro F1",
        label="F1_micro",
        formulas={MULTI_LABEL: _of_sets(_f1_micro_of_sets)},
        hub_name="f1",
    ),
    Metric(
        name="exact_match",
        title="exact match",
        label="exact_match",
        formulas={MULTI_LABEL: _of_sets(_exact_match_of_sets)},
        is_proportion=True,
    ),
    Metric(
        name="matthews_correlation",
        title="Matthews correlation",
        label="Matthews",
        formulas=_of_classes(_matthews_correlation, _matthews_correlation_of),
    ),
    Metric(
        name="quadratic_weighted_kappa",
        title="quadratic weighted kappa",
        label="QWK",
        formulas={
            ORDINAL: Formula(_quadratic_weighted_kappa, OfCounts(_quadratic_weighted_kappa_of))
        },
    ),
)
