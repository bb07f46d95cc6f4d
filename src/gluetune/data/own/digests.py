"""Which texts are the same, of any number of texts: by 8 bytes of each.

Two of ten million different texts have one digest with a probability of three in a million; what
depends on it is a note, or on which side of a split a row is.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.core.text import normalized

_PARTS = 16
"""Digests are sorted a sixteenth at a time, for the sake of what sorting needs besides."""
_AT_ONCE = 2**16


def digests(texts: Iterable[pa.Array], count: int) -> NDArray[np.uint64]:
    """Return the digest of each of `count` texts, 8 bytes each. They are the same anywhere."""
    found = np.empty(count, dtype=np.uint64)
    start = 0
    for chunk in texts:
        raw = chunk.cast(pa.binary()).to_pylist()
        digested = b"".join([blake2b(text, digest_size=8).digest() for text in raw])
        found[start : start + len(raw)] = np.frombuffer(digested, dtype="<u8")
        start += len(raw)
    return found


def text_keys(batches: Iterable[pa.RecordBatch], count: int) -> NDArray[np.uint64]:
    """Return a key of each of `count` rows' texts, of the two of a pair: equal for the same."""
    return digests(map(_joined, batches), count)


def _joined(batch: pa.RecordBatch) -> pa.Array:
    """Return the texts of a batch, normalized, the two of a pair as one."""
    texts = [pa.array(map(normalized, text.to_pylist()), pa.string()) for text in batch.columns]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "\0")


def first_rows(keys: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Return the first row with the same digest, for each row: its own where there is none."""
    found = np.empty(len(keys), dtype=np.int32)
    part_of = (keys >> np.uint64(60)).astype(np.uint8)
    for part in range(_PARTS):
        rows = np.flatnonzero(part_of == part).astype(np.int32)
        rows = rows[np.argsort(keys[rows], kind="stable")]
        of_row = keys[rows]
        begins = np.flatnonzero(np.append(True, of_row[1:] != of_row[:-1])[: len(rows)])
        found[rows] = np.repeat(rows[begins], np.diff(begins, append=len(rows)))
    return found


def stand_in(keys: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which of `keys` are among `known`, which are sorted."""
    found = np.zeros(len(keys), dtype=bool)
    for start in range(0, len(keys) if len(known) else 0, _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        at = np.minimum(np.searchsorted(known, part), len(known) - 1)
        found[start : start + _AT_ONCE] = known[at] == part
    return found
