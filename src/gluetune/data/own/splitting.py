"""One part of a user's rows to train on and one to validate on: seeded, stratified, without leaks.

Rows of one group (a user, a document) are never on both sides; without a group, neither is the same
text. Every stratum (class, or tenth of the numbers) gives its share to the nearest group.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def held_out(
    strata: NDArray[np.int64], groups: NDArray[np.int64], fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Return which rows are held out, by the stratum and the group of each.

    A group belongs to the stratum of its first row. A stratum of one group is trained on. The draw
    depends on `seed` alone, with every version of NumPy (see `gluetune.data.sampling`).
    """
    _, first, member, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    of_group = strata[first]
    draw = np.random.PCG64(seed).random_raw(len(first))
    # By first occurrence, so that the draw does not depend on how groups are numbered.
    draw = draw[np.argsort(np.argsort(first, kind="stable"), kind="stable")]
    held = np.zeros(len(first), dtype=bool)
    for stratum in np.unique(of_group):
        members = np.flatnonzero(of_group == stratum)
        if len(members) < 2:
            continue
        order = members[np.argsort(draw[members], kind="stable")]
        held[_taken(order, sizes, fraction)] = True
    rows: NDArray[np.bool_] = held[member]
    return rows


def _taken(order: NDArray[np.intp], sizes: NDArray[np.intp], fraction: float) -> NDArray[np.intp]:
    """Return the first groups that hold `fraction` of the rows, at least one and never all."""
    reached = np.cumsum(sizes[order])
    wanted = fraction * reached[-1]
    count = 1 + int(np.abs(reached[:-1] - wanted).argmin())
    return order[:count]


def rarest_labels(matrix: NDArray[Any]) -> NDArray[np.int64]:
    """Return the rarest label that each row has; one more than the last for none.

    `matrix` is 0 and 1, shape (rows, labels). Where rare labels keep their shares, common ones do
    by themselves.
    """
    rarity = np.where(matrix > 0, matrix.sum(axis=0), len(matrix) + 1)
    found: NDArray[np.int64] = np.where(matrix.any(axis=1), rarity.argmin(axis=1), matrix.shape[1])
    return found


def strata_of_numbers(values: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Return which of so many equally large parts each number lies in."""
    edges = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    found: NDArray[np.int64] = np.searchsorted(edges, values, side="right")
    return found
