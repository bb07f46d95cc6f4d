"""Bootstrap samples of examples that may have several labels.

Metrics of sets depend on sums over the examples, so examples that are alike (the same labels, the
same answers) are one kind, a sample is one multinomial draw of how often each kind occurs, and its
sums are one product of matrices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gluetune.label_sets import SET_METRICS, set_counts
from gluetune.statistics.resampling import Resampled, drawn_counts, varies

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.predictions import Predictions
    from gluetune.tasks import TaskSpec

    Floats = NDArray[np.float64]


def resample_sets(
    task: TaskSpec, found: Predictions, random: np.random.Generator, draws: int, split: str
) -> dict[str, Resampled]:
    """Return each metric on `draws` samples of the examples of a split."""
    import numpy as np

    kinds, weights = _kinds(set_counts(found.predicted, found.labels))
    count = len(found.labels)
    total = (weights @ kinds)[None]
    samples = drawn_counts(random, weights / count, count, draws, len(weights))
    drawn = [sample @ kinds for sample in samples]
    without = total - kinds
    one_less = np.full(len(kinds), count - 1)
    results: dict[str, Resampled] = {}
    for name in task.all_metrics:
        metric = SET_METRICS[name]
        values = np.concatenate([metric(part, np.full(len(part), count)) for part in drawn])
        results[name] = Resampled(
            split=split,
            metric=name,
            value=float(metric(total, np.array([count]))[0]),
            count=count,
            drawn=values,
            left_out=np.nan_to_num(metric(without, one_less), nan=0.0),
            weights=weights,
            smoothed=not varies(values),
        )
    return results


def resample_pair_of_sets(
    task: TaskSpec,
    first: Predictions,
    second: Predictions,
    random: np.random.Generator,
    draws: int,
) -> tuple[float, Floats]:
    """Return the second model's score less the first's, on the examples and on samples of them."""
    import numpy as np

    both = [set_counts(side.predicted, side.labels) for side in (first, second)]
    width, count = both[0].shape[1], len(first.labels)
    kinds, weights = _kinds(np.concatenate(both, axis=1))

    def difference(sums: Floats) -> Floats:
        sizes = np.full(len(sums), count)
        scores = [
            np.mean([SET_METRICS[name](side, sizes) for name in task.metrics], axis=0)
            for side in (sums[:, :width], sums[:, width:])
        ]
        result: Floats = scores[1] - scores[0]
        return result

    samples = drawn_counts(random, weights / count, count, draws, len(weights))
    parts = [difference(sample @ kinds) for sample in samples]
    return float(difference((weights @ kinds)[None])[0]), np.concatenate(parts)


def _kinds(rows: Floats) -> tuple[Floats, Floats]:
    """Return the different rows, and how often each occurs."""
    import numpy as np

    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    return kinds, counts.astype(np.float64)
