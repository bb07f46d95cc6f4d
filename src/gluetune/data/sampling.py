"""Seeded, stratified samples of a split: a fraction of it, rows to hold out, or folds.

A group (a user, a document) is never on both sides of a split; without groups, neither is the same
text (`gluetune.core.text.normalized`). Each stratum (a class, or a decile of numbers) is divided to
the nearest group.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gluetune.core.errors import ConfigurationError, Finding
from gluetune.core.tasks import TaskSpec
from gluetune.core.text import visible
from gluetune.data.tables import BATCH, kept_batches, label_array, store, with_notes

_REGRESSION_BINS = 10
TUNED_SHARE = 0.1
"""Share of the training rows that is held out to tune the thresholds of multi-label tasks."""
_SMALL = 2**23
"""Bytes of a table up to which its samples stay in memory."""
_CHUNK_ROWS = 2**18
"""Rows whose draws are in memory together."""
_TOLERANCE = 0.25
"""Relative difference between the held-out and the requested share from which it is reported."""


def take_fraction(table: pa.Table, task: TaskSpec, fraction: float, seed: int) -> pa.Table:
    """Return a stratified sample of the rows of a canonical table, in their order.

    Each class keeps its share to the nearest row, and at least one row; regression is stratified by
    deciles of the label. The draw depends on `seed` alone, so a smaller fraction is a subset of a
    larger one, and it is the same with every version of NumPy.

    Raises ConfigurationError unless 0 < fraction <= 1 and `seed` is not negative.
    """
    chosen = fraction_rows(table, task, fraction, seed)
    return table if chosen.all() else kept_rows(table, chosen)


def fraction_rows(table: pa.Table, task: TaskSpec, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return which rows `take_fraction` takes."""
    if not 0 < fraction <= 1:
        raise ConfigurationError(
            f"The fraction of the data must be above 0 and at most 1, not {fraction:g}.",
            hint="Type --fraction 0.1 for a tenth.",
        )
    if seed < 0:
        raise ConfigurationError(f"The seed must not be negative: {seed}.")
    mask = np.full(table.num_rows, fraction == 1)
    if fraction < 1:
        for rows in _drawn_strata(table, task, seed):
            mask[rows[: max(1, round(fraction * len(rows)))]] = True
    return mask


def hold_out(
    table: pa.Table,
    task: TaskSpec,
    share: float,
    seed: int,
    groups: NDArray[np.int32] | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Split a canonical table into the rows that remain and the `share` that is held out.

    Both keep the table's order. Strata and draw are those of `take_fraction`; nothing is held out
    of a stratum with a single row. `groups` is the first row of each row's group; groups are not
    divided, as in `held_out`.

    Raises ConfigurationError unless 0 < share < 1, and where nothing would be held out.
    """
    if not 0 < share < 1:
        raise ConfigurationError(
            f"The held-out share must be above 0 and below 1, not {share:g}.",
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
    return kept_rows(table, ~held), with_notes(kept_rows(table, held), [note] if note else [])


def tuning_rows(
    table: pa.Table, task: TaskSpec, seed: int, groups: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Return which training rows the thresholds of several labels are tuned on; maybe none."""
    return held_out(_strata(table, task).astype(np.int32), groups, TUNED_SHARE, seed)


def renumbered(groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return for each row the first row of its group, after other rows have been removed."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    return first[group].astype(np.int32)


def joined(first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return for each row the first row of its group, where the groups of either belong together.

    Each argument is the first row of each row's group.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(len(first))
    ends = np.concatenate([first, second])
    edges = coo_array((np.ones(len(ends), bool), (np.tile(rows, 2), ends)), shape=(len(rows),) * 2)
    return renumbered(connected_components(edges, directed=False)[1])


def kept_rows(table: pa.Table, mask: NDArray[np.bool_]) -> pa.Table:
    """Return the rows that `mask` selects; of a large table memory-mapped from disk."""
    if table.nbytes < _SMALL:
        return table.filter(pa.array(mask))
    return store(kept_batches(table.to_batches(max_chunksize=BATCH), mask), table.schema).table


def _drawn_strata(table: pa.Table, task: TaskSpec, seed: int) -> list[NDArray[np.intp]]:
    """Return the rows of each stratum, in the order in which they are drawn."""
    strata = _strata(table, task)
    # NumPy's policy (NEP 19) fixes the raw stream of PCG64, but not the methods of Generator.
    draw = np.random.PCG64(seed).random_raw(table.num_rows)
    members = (np.flatnonzero(strata == stratum) for stratum in np.unique(strata))
    return [rows[np.argsort(draw[rows], kind="stable")] for rows in members]


def _strata(table: pa.Table, task: TaskSpec) -> NDArray[np.generic]:
    return task.kind.strata(lambda: _label_batches(table, task), _REGRESSION_BINS)


def _label_batches(table: pa.Table, task: TaskSpec) -> Iterator[NDArray[Any]]:
    labels = table.select([task.label_column])
    for start in range(0, max(len(labels), 1), BATCH):
        yield label_array(labels.slice(start, BATCH), task)


# Held out, by stratum and group -------------------------------------------------------------------


def held_out(
    strata: NDArray[np.int32],
    groups: NDArray[np.int32],
    fraction: float,
    seed: int,
    *,
    are_bins: bool = False,
) -> NDArray[np.bool_]:
    """Return which rows are held out, by each row's stratum and the first row of its group.

    A group belongs to the stratum of its first row. Nothing is held out of a stratum with one
    group. Where `are_bins` (of numbers) and each bin has one group, all bins are one stratum. The
    draw depends on `seed` alone, and is the same with every version of NumPy.
    """
    held = _held_groups(strata, groups, fraction, seed)
    if are_bins and not held.any():
        held = _held_groups(np.zeros_like(strata), groups, fraction, seed)
    rows: NDArray[np.bool_] = held[groups]
    return rows


def _held_groups(
    strata: NDArray[np.int32], groups: NDArray[np.int32], fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Return which groups are held out, marked at the first row of each."""
    sizes = np.zeros(len(groups), dtype=np.int32)
    np.add.at(sizes, groups, np.int32(1))
    held = np.zeros(len(groups), dtype=bool)
    waiting = np.unique(strata)
    for share in (2 * fraction, 1.0):  # the first draws are enough, except for small strata
        rows, draws, counts, totals = _drawn(strata, groups, sizes, waiting, share, seed)
        left = []
        for stratum, count, total in zip(waiting, counts, totals, strict=True):
            mine = np.flatnonzero(strata[rows] == stratum)
            order = rows[mine[np.argsort(draws[mine], kind="stable")]]
            reached = np.cumsum(sizes[order], dtype=np.int64)
            if len(order) < count and not (len(order) and reached[-1] >= fraction * total):
                left.append(stratum)
            elif count > 1:
                held[order[: _taken(reached, fraction * total, count)]] = True
        waiting = np.array(left, dtype=strata.dtype)
        if not left:
            break
    return held


def other_share(
    held: NDArray[np.bool_],
    fraction: float,
    groups: NDArray[np.int32] | None,
    what: str,
) -> str:
    """Return a note where the held-out share differs much from `fraction`, or "".

    `held`: which rows are held out; `groups`: the first row of each row's group; `what`: the split.
    """
    count, wanted = int(held.sum()), fraction * len(held)
    if abs(count - wanted) < 1 or abs(count - wanted) <= _TOLERANCE * wanted:
        return ""
    why = "every class with several rows gives at least one"
    if groups is not None and len(np.unique(groups)) < len(groups):
        why = "rows with the same text or --group stay together"
    return (
        f"{count:,} of {len(held):,} rows ({count / len(held):.1%}) are held out {what}, not "
        f"the {fraction:.1%} requested: {why}."
    )


def _drawn(
    strata: NDArray[np.int32],
    groups: NDArray[np.int32],
    sizes: NDArray[np.int32],
    wanted: NDArray[np.int32],
    share: float,
    seed: int,
) -> tuple[NDArray[np.int32], NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the groups with the smallest draws, about a `share` of those in the strata `wanted`.

    Processes some rows at a time: for ten million rows, arrays of all draws and of their order
    would take most of the memory.

    Returns:
        The first row of each group, its draw, and for each of the strata its number of groups and
        of rows.
    """
    generator = np.random.PCG64(seed)
    limit = np.uint64(min(int(share * 2.0**64), 2**64 - 1))
    rows, draws = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.uint64)]
    counts, totals = (np.zeros(len(wanted), dtype=np.int64) for _ in range(2))
    for start in range(0, len(groups), _CHUNK_ROWS):
        part = groups[start : start + _CHUNK_ROWS]
        first = np.flatnonzero(part == np.arange(start, start + len(part))) + start
        drawn = generator.random_raw(len(first))
        mine = np.isin(strata[first], wanted)
        at = np.searchsorted(wanted, strata[first[mine]])
        np.add.at(counts, at, 1)
        np.add.at(totals, at, sizes[first[mine]])
        early = mine & (drawn <= limit)
        rows.append(first[early].astype(np.int32))
        draws.append(drawn[early])
    return np.concatenate(rows), np.concatenate(draws), counts, totals


def _taken(reached: NDArray[np.int64], wanted: float, count: int) -> int:
    """Return how many groups have the number of rows nearest to `wanted`, from 1 to `count` - 1.

    `reached` is the cumulative number of rows, at least up to the group that reaches `wanted`.
    """
    taken = max(1, min(int(np.searchsorted(reached, wanted)), count - 1))
    short = wanted - reached[taken - 1]
    return taken + int(short > 0 and taken < count - 1 and reached[taken] - wanted < short)


# Folds --------------------------------------------------------------------------------------------


def fold_numbers(
    table: pa.Table,
    task: TaskSpec,
    count: int,
    seed: int,
    groups: NDArray[np.int32] | None = None,
) -> NDArray[np.int32]:
    """Return the fold of each row of a canonical table, from 1 to `count`.

    Each stratum (a class, the rarest label of a row, or a bin of numbers) is dealt to the folds as
    evenly as groups allow, the largest groups first, then in the order of the draw. `groups` is the
    first row of each row's group, by default the row itself; a group belongs to the rarest stratum
    of its rows. The folds depend on `seed` and the rows alone.

    Raises ConfigurationError, with every reason, where a group is larger than a fold, or a class
    has fewer groups than there are folds.
    """
    groups = np.arange(len(table), dtype=np.int32) if groups is None else groups
    bins = max(1, min(_REGRESSION_BINS, len(table) // count))
    strata = task.kind.strata(lambda: _label_batches(table, task), bins).astype(np.int32)
    _check_folds(table, task, count, groups, strata)
    sizes = np.bincount(groups, minlength=len(table))
    strata = _rarest(strata, groups)
    draw = np.random.PCG64(seed).random_raw(len(table))
    numbers = np.zeros(len(table), dtype=np.int32)
    totals = [0] * count
    for stratum in np.unique(strata):
        first = np.flatnonzero((strata == stratum) & (sizes > 0))
        of_stratum = [0] * count
        for row in first[np.lexsort((draw[first], -sizes[first]))].tolist():
            _, _, fold = min(zip(of_stratum, totals, range(count), strict=True))
            numbers[row] = fold + 1
            of_stratum[fold] += int(sizes[row])
            totals[fold] += int(sizes[row])
    return numbers[groups]


def _rarest(strata: NDArray[np.int32], groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return, at the first row of each group, the rarest stratum of its rows."""
    by_rarity = np.argsort(np.bincount(strata), kind="stable").astype(np.int32)
    found = np.full(len(strata), len(by_rarity) - 1, dtype=np.int32)
    np.minimum.at(found, groups, np.argsort(by_rarity).astype(np.int32)[strata])
    return by_rarity[found]


def _check_folds(
    table: pa.Table,
    task: TaskSpec,
    count: int,
    groups: NDArray[np.int32],
    strata: NDArray[np.int32],
) -> None:
    """Raise ConfigurationError where there cannot be so many folds."""
    sizes = np.bincount(groups, minlength=len(table))
    findings = []
    largest, room = int(sizes.max(initial=0)), -(-len(table) // count)
    if largest > room:
        line = table[task.index_column][int(sizes.argmax())].as_py()
        most = len(table) // largest
        findings.append(
            Finding(
                f"--folds {count}: a fold has {room:,} of the {len(table):,} rows, and {largest:,} "
                "rows stay together, which have the same text or --group as the one with the "
                f"{task.index_column} {line}.",
                f"Type: --folds {most}" if most > 1 else "They are more than half of the rows.",
            )
        )
    pairs = np.unique(np.stack([strata, groups]), axis=1)
    of_each = np.bincount(pairs[0], minlength=task.num_labels)
    if task.kind.cell == "name" and (rarest := int(of_each.min())) < count:
        name = task.labels[int(of_each.argmin())]
        findings.append(
            Finding(
                f"--folds {count}: the rarest class, '{visible(name)}', has {rarest} "
                f"{'row' if rarest == 1 else 'rows'} with different texts or groups, and every "
                "fold needs one.",
                f"Type: --folds {rarest}" if rarest > 1 else "Add rows of it, or leave it out.",
            )
        )
    if findings:
        raise ConfigurationError.of(findings)
