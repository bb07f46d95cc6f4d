"""What numbers a column of labels holds, and whether they are ids of classes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.data.own.cells import WHOLE, as_number
from gluetune.data.own.digests import digests

MOST_CLASSES = 1000
_FEW = 10
"""Different whole numbers up to which they are classes whatever they are: stars, -1 to 1."""


@dataclass
class NumericLabels:
    """What numbers there are, of labels that come a batch at a time."""

    lowest: float = math.inf
    highest: float = -math.inf
    are_whole: bool = True
    rows: int = 0
    _counts: dict[float, int] = field(default_factory=dict)
    """How often each number occurs, while there are no more of them than classes may be."""
    _keys: list[NDArray[np.uint64]] = field(default_factory=list)

    def take(self, labels: pa.Array) -> bool:
        """Take in labels; whether all are numbers, and no names such as 007."""
        found = pc.value_counts(labels)
        values, counts = found.field("values"), found.field("counts").to_pylist()
        for value, count in zip(values.to_pylist(), counts, strict=True):
            number = as_number(value)
            digits = value.lstrip("+-")
            is_name = len(digits) > 1 and digits.isdecimal() and not WHOLE.fullmatch(value)
            if number is None or is_name:
                return False
            self._add(number, count)
        self._keys.append(digests([values], len(values)))
        return True

    def _add(self, number: float, count: int) -> None:
        self.lowest, self.highest = min(self.lowest, number), max(self.highest, number)
        self.are_whole &= number == int(number)
        self.rows += count
        if len(self._counts) <= MOST_CLASSES:
            self._counts[number] = self._counts.get(number, 0) + count

    @property
    def different(self) -> int:
        """How many different labels there are, as they are written."""
        return len(np.unique(np.concatenate(self._keys)))

    def kind(self) -> Literal["classes", "number"] | None:
        """Return what the numbers are; None where they may be either.

        Ids of classes begin at 0 or 1, leave none out, and occur again. What is not so, and not a
        number beyond doubt, can be ids with gaps as well as years, ages or prices.
        """
        different = len(self._counts)
        if not self.are_whole or different > MOST_CLASSES:
            return "number"
        if different <= _FEW:
            return "classes"
        span = self.highest - self.lowest + 1
        if self.lowest in (0, 1) and span == different and min(self._counts.values()) > 1:
            return "classes"
        are_scattered = span >= 2 * different
        mostly_once = different > self.rows / 2
        return "number" if are_scattered and mostly_once else None


def numeric_labels(batches: Iterable[pa.Array]) -> NumericLabels | None:
    """Return what numbers the labels are, some at a time; None where one is no number."""
    found = NumericLabels()
    return found if all(found.take(labels) for labels in batches) else None
