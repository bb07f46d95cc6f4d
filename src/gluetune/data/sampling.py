"""Takes a fraction of a split that keeps its balance of labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gluetune.errors import ConfigurationError
from gluetune.tasks import TaskSpec

_REGRESSION_BINS = 10


def take_fraction(table: pa.Table, task: TaskSpec, fraction: float, seed: int) -> pa.Table:
    """Return `fraction` of the rows of a canonical table, in their order.

    Each class keeps its share to the nearest row, and at least one row; for regression the label's
    deciles stand in for classes. A row's place in the draw depends on `seed` alone, so a smaller
    fraction is part of a larger one, and the draw is the same with every version of NumPy.

    Raises ConfigurationError unless 0 < fraction <= 1 and `seed` is not negative.
    """
    if not 0 < fraction <= 1:
        raise ConfigurationError(
            f"The fraction of the data must be above 0 and at most 1, not {fraction:g}.",
            hint="Type --fraction 0.1 for a tenth.",
        )
    if seed < 0:
        raise ConfigurationError(f"The seed must not be negative, and is {seed}.")
    strata = _strata(table[task.label_column].to_numpy(), task)
    # The raw stream of PCG64 is fixed by NumPy's policy (NEP 19), the methods of Generator are not.
    draw = np.random.PCG64(seed).random_raw(table.num_rows)
    chosen = [
        _first_drawn(np.flatnonzero(strata == stratum), draw, fraction)
        for stratum in np.unique(strata)
    ]
    return table.take(np.sort(np.concatenate(chosen))) if chosen else table


def _strata(
    labels: npt.NDArray[np.int64 | np.float32], task: TaskSpec
) -> npt.NDArray[np.int64 | np.float32]:
    if not task.is_regression or not len(labels):
        return labels
    edges = np.quantile(labels.astype(np.float64), np.linspace(0, 1, _REGRESSION_BINS + 1)[1:-1])
    return np.searchsorted(edges, labels, side="right")


def _first_drawn(
    rows: npt.NDArray[np.intp], draw: npt.NDArray[np.uint64], fraction: float
) -> npt.NDArray[np.intp]:
    count = max(1, round(fraction * len(rows)))
    return rows[np.argsort(draw[rows], kind="stable")[:count]]
