"""Bootstrap samples of examples that may have several labels.

Metrics of sets depend on sums over the examples, so examples that are alike (the same labels, the
same predictions) are one kind, a sample is one draw of how often each kind occurs, and its sums are
one product of matrices: a sparse one, since most examples have few of the labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gluetune.label_sets import SET_METRICS, set_counts
from gluetune.statistics.resampling import Resampled, on_samples, varies

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.predictions import Predictions
    from gluetune.tasks import TaskSpec

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_ROWS_AT_ONCE = 1_000
"""Rows of counts that are held as dense numbers."""


def resample_sets(
    task: TaskSpec, found: Predictions, random: np.random.Generator, draws: int, split: str
) -> dict[str, Resampled]:
    """Return each metric on `draws` samples of the examples of a split."""
    import numpy as np

    (kinds,), weights = _kinds(found)
    count, width = len(found.labels), kinds.shape[1]
    total = weights[None] @ kinds
    names = task.all_metrics

    def measure(sample: Integers) -> Floats:
        sums, sizes = sample @ kinds, np.full(len(sample), count)
        return np.stack([SET_METRICS[name](sums, sizes) for name in names])

    drawn = on_samples(lambda: measure, random, weights, draws, width=width)
    results: dict[str, Resampled] = {}
    for name, values in zip(names, drawn, strict=True):
        results[name] = Resampled(
            split=split,
            metric=name,
            value=float(SET_METRICS[name](total, np.array([count]))[0]),
            count=count,
            drawn=values,
            left_out=_without_one(name, kinds, total, count),
            weights=weights.astype(np.float64),
            smoothed=not varies(values),
        )
    return results


def _without_one(name: str, kinds: Any, total: Floats, count: int) -> Floats:
    """Return the metric without one example of each kind, a block of kinds at a time."""
    import numpy as np

    parts = []
    for start in range(0, kinds.shape[0], _ROWS_AT_ONCE):
        without = total - kinds[start : start + _ROWS_AT_ONCE].toarray()
        with np.errstate(invalid="ignore"):  # without the only example there is none
            parts.append(SET_METRICS[name](without, np.full(len(without), count - 1)))
    result: Floats = np.nan_to_num(np.concatenate(parts), nan=0.0)
    return result


def resample_pair_of_sets(
    task: TaskSpec,
    first: Predictions,
    second: Predictions,
    random: np.random.Generator,
    draws: int,
) -> tuple[float, Floats]:
    """Return the second model's score less the first's, on the examples and on samples of them."""
    import numpy as np

    sides, weights = _kinds(first, second)
    count, width = len(first.labels), 2 * sides[0].shape[1]

    def difference(sample: Integers) -> Floats:
        sizes = np.full(len(sample), count)
        scores = [
            np.mean([SET_METRICS[name](sample @ kinds, sizes) for name in task.metrics], axis=0)
            for kinds in sides
        ]
        result: Floats = scores[1] - scores[0]
        return result

    drawn = on_samples(lambda: difference, random, weights, draws, width=width)
    return float(difference(weights[None])[0]), drawn


def _kinds(*sides: Predictions) -> tuple[list[Any], Integers]:
    """Return each side's counts of the different kinds of examples, and how often each occurs.

    An example's kind is its labels with the predictions of all sides. Counts are `set_counts`, as
    sparse matrices.
    """
    import numpy as np
    from scipy.sparse import csr_array, vstack

    given = [sides[0].labels, *(side.predicted for side in sides)]
    bits = np.concatenate([np.packbits(one.astype(bool), axis=1) for one in given], axis=1)
    _, rows, counts = np.unique(bits, axis=0, return_index=True, return_counts=True)
    starts = range(0, len(rows), _ROWS_AT_ONCE)
    blocks = [rows[start : start + _ROWS_AT_ONCE] for start in starts]
    matrices = [
        vstack([csr_array(set_counts(side.predicted[b], side.labels[b])) for b in blocks])
        for side in sides
    ]
    return [csr_array(one) for one in matrices], counts
