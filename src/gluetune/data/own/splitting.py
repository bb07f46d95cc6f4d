"""One part of a user's rows to train on and one to validate on: seeded, stratified, without leaks.

Rows of one group (a user, a document) are never on both sides; without a group, neither is the same
text (`gluetune.core.text.normalized`). Every stratum (class, or tenth of the numbers) gives
its share to the nearest group.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 2**18
"""Rows whose draws are in memory at once."""
_OTHER_SHARE = 0.25
"""Part by which what is held out may be more or less than what was requested."""


def held_out(
    strata: NDArray[np.int32],
    groups: NDArray[np.int32],
    fraction: float,
    seed: int,
    *,
    are_bins: bool = False,
) -> NDArray[np.bool_]:
    """Return which rows are held out, by the stratum of each and the first row of its group.

    A group belongs to the stratum of its first row. A stratum of one group is trained on. Bins of
    numbers, of which none need be in the training set, are one where each has one group. The draw
    depends on `seed` alone, with every version of NumPy (see `gluetune.data.sampling`).
    """
    held = _held_groups(strata, groups, fraction, seed)
    if are_bins and not held.any():
        held = _held_groups(np.zeros_like(strata), groups, fraction, seed)
    rows: NDArray[np.bool_] = held[groups]
    return rows


def _held_groups(
    strata: NDArray[np.int32], groups: NDArray[np.int32], fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Return which groups, each at its first row, are held out."""
    sizes = np.zeros(len(groups), dtype=np.int32)
    np.add.at(sizes, groups, np.int32(1))
    held = np.zeros(len(groups), dtype=bool)
    waiting = np.unique(strata)
    for share in (2 * fraction, 1.0):  # those that are drawn first are enough, but of small strata
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
    """Return the sentence that another share than `fraction` is held out, nothing where it is not.

    `held` is which rows are, `groups` the first row of each row's group, `what` the split.
    """
    count, wanted = int(held.sum()), fraction * len(held)
    if abs(count - wanted) < 1 or abs(count - wanted) <= _OTHER_SHARE * wanted:
        return ""
    why = "every class that is split gives at least one row"
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
    """Return about a `share` of the groups, those with the smallest draws, and their draws.

    A group is its first row, of the strata `wanted`. After them come the number of all groups and
    of all rows in each of these strata. Some rows are looked at at a time: of ten million, arrays
    of all draws and of their order would be most of the memory.
    """
    generator = np.random.PCG64(seed)
    limit = np.uint64(min(int(share * 2.0**64), 2**64 - 1))
    rows, draws = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.uint64)]
    counts, totals = (np.zeros(len(wanted), dtype=np.int64) for _ in range(2))
    for start in range(0, len(groups), _AT_ONCE):
        part = groups[start : start + _AT_ONCE]
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
    """Return how many groups hold `wanted` rows most nearly: at least one, never all of `count`.

    `reached` is how many rows the first ones hold, up to one that reaches `wanted` or to the last.
    """
    taken = max(1, min(int(np.searchsorted(reached, wanted)), count - 1))
    short = wanted - reached[taken - 1]
    return taken + int(short > 0 and taken < count - 1 and reached[taken] - wanted < short)
