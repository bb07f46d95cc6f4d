"""Takes a fraction of a split, or holds one out, so that the balance of labels is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gluetune.core.errors import ConfigurationError
from gluetune.core.tasks import TaskSpec
from gluetune.data.own.splitting import held_out, other_share
from gluetune.data.own.stored import BATCH, kept_batches, store
from gluetune.data.tables import label_array, with_notes

_REGRESSION_BINS = 10
_SMALL = 2**23
"""Bytes of a table whose parts are not worth a file."""


def take_fraction(table: pa.Table, task: TaskSpec, fraction: float, seed: int) -> pa.Table:
    """Return `fraction` of the rows of a canonical table, in their order.

    Each class keeps its share to the nearest row, and at least one row; for regression the label's
    deciles replace classes. A row's place in the draw depends on `seed` alone, so a smaller
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
    if fraction == 1:
        return table
    chosen = [
        rows[: max(1, round(fraction * len(rows)))] for rows in _drawn_strata(table, task, seed)
    ]
    mask = np.zeros(table.num_rows, dtype=bool)
    for rows in chosen:
        mask[rows] = True
    return _kept(table, mask)


def hold_out(
    table: pa.Table,
    task: TaskSpec,
    share: float,
    seed: int,
    groups: npt.NDArray[np.int32] | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Return the rows of a canonical table that stay, and the `share` of them that is held out.

    Both keep the table's order. Strata and draw are those of `take_fraction`, and a stratum always
    keeps a row: one that has a single row holds nothing out. With `groups`, the first row of each
    row's group, a group stays whole, as in `gluetune.data.own.splitting`.

    Raises ConfigurationError unless 0 < share < 1, and where nothing would be held out.
    """
    if not 0 < share < 1:
        raise ConfigurationError(
            f"The share that is held out must be above 0 and below 1, not {share:g}.",
            hint="Type --holdout 0.2 for a fifth.",
        )
    if groups is None:
        held = np.zeros(table.num_rows, dtype=bool)
        for rows in _drawn_strata(table, task, seed):
            held[rows[: min(max(1, round(share * len(rows))), len(rows) - 1)]] = True
    else:
        strata = _strata(table, task).astype(np.int32)
        held = held_out(strata, groups, share, seed, are_bins=task.kind.strata_are_bins)
    if not held.any():
        few = "" if groups is None else f" in {len(np.unique(groups))} groups"
        raise ConfigurationError(
            f"The training set has {table.num_rows} examples{few}: too few to hold any out.",
            hint="Leave --holdout out.",
        )
    note = other_share(held, share, groups, "of train")
    return _kept(table, ~held), with_notes(_kept(table, held), [note] if note else [])


def _kept(table: pa.Table, mask: npt.NDArray[np.bool_]) -> pa.Table:
    """Return the rows that `mask` selects, on disk and mapped, of a table that is not small.

    A user's table may be larger than memory.
    """
    if table.nbytes < _SMALL:
        return table.filter(pa.array(mask))
    return store(kept_batches(table.to_batches(max_chunksize=BATCH), mask), table.schema).table


def _drawn_strata(table: pa.Table, task: TaskSpec, seed: int) -> list[npt.NDArray[np.intp]]:
    """Return the rows of each stratum, in the order in which they are drawn."""
    strata = _strata(table, task)
    # The raw stream of PCG64 is fixed by NumPy's policy (NEP 19), the methods of Generator are not.
    draw = np.random.PCG64(seed).random_raw(table.num_rows)
    members = (np.flatnonzero(strata == stratum) for stratum in np.unique(strata))
    return [rows[np.argsort(draw[rows], kind="stable")] for rows in members]


def _strata(table: pa.Table, task: TaskSpec) -> npt.NDArray[np.generic]:
    return task.kind.strata(lambda: _label_batches(table, task), _REGRESSION_BINS)


def _label_batches(table: pa.Table, task: TaskSpec) -> Iterator[npt.NDArray[Any]]:
    labels = table.select([task.label_column])
    for start in range(0, max(len(labels), 1), BATCH):
        yield label_array(labels.slice(start, BATCH), task)
