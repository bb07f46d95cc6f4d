"""Metrics of examples that may have several labels, or none: F1 over all labels, and exact sets.

Arrays have the shape (examples, labels) and hold 0 and 1. F1 is computed from counts: of label i,
2 TP / (2 TP + FP + FN). `f1_micro` adds the counts of all labels; `f1_macro` is the mean over the
labels that occur in labels or answers (scikit-learn counts the others as 0, which no model could
mend); `exact_match` is the share of examples whose set is right to the last label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gluetune.core.errors import ConfigurationError, DataError, Finding
from gluetune.metrics.scores import Measure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[Any]
    Floats = NDArray[np.float64]


def compute_set_metric(name: str, predictions: Numbers, labels: Numbers) -> Measure:
    """Return the metric `name`; undefined without examples, and F1 where no label occurs at all.

    Raises DataError for shapes that differ or values that are not 0 and 1; ConfigurationError for a
    metric that is not of sets.
    """
    import numpy as np

    if name not in SET_METRICS:
        raise ConfigurationError(
            f"There is no metric '{name}' of several labels.",
            hint=f"Metrics: {', '.join(SET_METRICS)}.",
        )
    if findings := set_faults(predictions, labels, labels.shape[1]):
        raise DataError.of(findings)
    if not len(labels):
        return Measure(None, "there are no examples")
    counts = set_counts(predictions, labels).sum(axis=0)
    value = float(SET_METRICS[name](counts[None], np.array([len(labels)]))[0])
    if not np.isfinite(value):
        return Measure(None, "no label occurs, in labels or predictions")
    return Measure(value)


def set_faults(predictions: Numbers, labels: Numbers, width: int) -> list[Finding]:
    """Return what makes the arrays unfit for these metrics."""
    import numpy as np

    if predictions.shape != labels.shape or labels.ndim != 2 or labels.shape[1] != width:
        return [
            Finding(
                f"predictions have the shape {predictions.shape}, labels {labels.shape}: both must "
                f"be (examples, {width})."
            )
        ]
    return [
        Finding(f"{what} are not all 0 or 1.")
        for what, values in (("predictions", predictions), ("labels", labels))
        if not np.isin(values, (0, 1)).all()
    ]


def set_counts(predictions: Numbers, labels: Numbers) -> Floats:
    """Return, for each example, TP, FP and FN of every label, and whether its set is right.

    Shape (examples, 3 * labels + 1); sums of rows are what `SET_METRICS` take.
    """
    import numpy as np

    said, true = predictions.astype(bool), labels.astype(bool)
    exact = (said == true).all(axis=1, keepdims=True)
    parts = (said & true, said & ~true, ~said & true, exact)
    result: Floats = np.concatenate(parts, axis=1).astype(np.float64)
    return result


def _f1_micro(counts: Floats, sizes: Floats) -> Floats:
    import numpy as np

    both, extra, missed = (part.sum(axis=1) for part in np.split(counts[:, :-1], 3, axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = 2 * both / (2 * both + extra + missed)
    return result


def _f1_macro(counts: Floats, sizes: Floats) -> Floats:
    import numpy as np

    both, extra, missed = np.split(counts[:, :-1], 3, axis=1)
    total = 2 * both + extra + missed
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.where(total > 0, 2 * both / total, 0.0)
        result: Floats = each.sum(axis=1) / (total > 0).sum(axis=1)
    return result


def _exact_match(counts: Floats, sizes: Floats) -> Floats:
    result: Floats = counts[:, -1] / sizes
    return result


SET_METRICS: Mapping[str, Callable[[Any, Any], Any]] = {
    "f1_micro": _f1_micro,
    "f1_macro": _f1_macro,
    "exact_match": _exact_match,
}
"""From summed counts, (samples, 3 * labels + 1), and numbers of examples, (samples,), to values."""
