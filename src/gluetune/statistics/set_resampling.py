"""Bootstrap samples of examples that may have several labels.

Metrics of sets depend on sums over the examples, so examples that are alike (the same labels, the
same answers) are one kind, a sample is one multinomial draw of how often each kind occurs, and its
sums are one product of matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gluetune.label_sets import SET_METRICS, set_counts
from gluetune.statistics.resampling import Resampled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.predictions import Predictions
    from gluetune.tasks import TaskSpec

    Floats = NDArray[np.float64]

_CELLS_AT_ONCE = 4_000_000


def resample_sets(
    task: TaskSpec, found: Predictions, random: np.random.Generator, draws: int, split: str
) -> dict[str, Resampled]:
    """Return each metric on `draws` samples of the examples of a split."""
    import numpy as np

    kinds, weights = _kinds(set_counts(found.predicted, found.labels))
    count = len(found.labels)
    total = (weights @ kinds)[None]
    drawn = _drawn(random, weights, count, draws, lambda sample: sample @ kinds)
    without = total - kinds
    one_less = np.full(len(kinds), count - 1)
    results: dict[str, Resampled] = {}
    for name in task.all_metrics:
        metric = SET_METRICS[name]
        values = np.concatenate([metric(part, np.full(len(part), count)) for part in drawn])
        known = values[np.isfinite(values)]
        results[name] = Resampled(
            split=split,
            metric=name,
            value=float(metric(total, np.array([count]))[0]),
            count=count,
            drawn=values,
            left_out=np.nan_to_num(metric(without, one_less), nan=0.0),
            weights=weights,
            smoothed=not (len(known) and float(np.ptp(known)) > 1e-9),
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

    parts = _drawn(random, weights, count, draws, lambda sample: difference(sample @ kinds))
    return float(difference((weights @ kinds)[None])[0]), np.concatenate(parts)


def _kinds(rows: Floats) -> tuple[Floats, Floats]:
    """Return the different rows, and how often each occurs."""
    import numpy as np

    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    return kinds, counts.astype(np.float64)


def _drawn(
    random: np.random.Generator,
    weights: Floats,
    count: int,
    draws: int,
    use: Callable[[Floats], Any],
) -> list[Any]:
    """Give blocks of samples, shape (samples, kinds), to `use`."""
    import numpy as np

    block = max(1, _CELLS_AT_ONCE // len(weights))
    parts = []
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        sample = random.multinomial(count, weights / count, size=rows).astype(np.float64)
        parts.append(use(sample))
    return parts
