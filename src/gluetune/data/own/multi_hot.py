"""Lists of zeros and ones, one for each label of a task, as the labels that they say.

`[0, 1, 1]` is labels 1 and 2. Read as a set it would be the labels 0 and 1, of nearly every row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.data.own.cells import whole
from gluetune.data.own.digests import store
from gluetune.data.own.problems import Problems
from gluetune.data.own.reading import RawRows


def from_multi_hot(rows: RawRows, column: str, problems: Problems) -> RawRows:
    """Return rows whose multi-hot lists are replaced by the places of their ones; else `rows`."""
    count = _places(rows)
    if count is None:
        return rows
    problems.remark(
        f"'{column}' of {rows.name} holds lists of {count} zeros and ones: they are read as labels "
        f"0 to {count - 1}, a one at the first place is label 0."
    )
    return replace(rows, stored=store(_with_places(rows), rows.table.schema))


def _places(rows: RawRows) -> int | None:
    """Return how long every list is, where all are of zeros and ones and none can be a set.

    A set of ids has none of them twice.
    """
    if set(rows.types) != {"list"}:
        return None
    lengths: set[int] = set()
    is_set = True
    for batch in rows.batches("labels"):
        lengths |= set(pc.unique(pc.list_value_length(batch["labels"])).to_pylist())
        bits = _bits(batch["labels"].flatten())
        if bits is None or len(lengths) > 1 or lengths == {0}:
            return None
        table = bits.reshape(len(batch), -1)
        is_set &= table.shape[1] == 2 and bool((table[:, 0] != table[:, 1]).all())
    (count,) = lengths
    return None if count < 2 or is_set else count


def _bits(values: pa.Array) -> NDArray[np.bool_] | None:
    """Return which values are ones; None where one is neither 0 nor 1."""
    encoded = values.dictionary_encode()
    names = [whole(value) for value in encoded.dictionary.to_pylist()]
    if not {*names} <= {"0", "1"}:
        return None
    are_ones = np.array([name == "1" for name in names], dtype=bool)
    found: NDArray[np.bool_] = are_ones[encoded.indices.to_numpy()]
    return found


def _with_places(rows: RawRows) -> Iterator[pa.RecordBatch]:
    number = rows.table.schema.get_field_index("labels")
    for batch in rows.stored.batches():
        bits = _bits(batch["labels"].flatten())
        assert bits is not None, "all are zeros and ones"
        table = bits.reshape(len(batch), -1)
        offsets = np.concatenate([[0], np.cumsum(table.sum(axis=1))]).astype(np.int32)
        names = pa.array([str(place) for place in np.nonzero(table)[1]], pa.string())
        yield batch.set_column(number, "labels", pa.ListArray.from_arrays(offsets, names))
