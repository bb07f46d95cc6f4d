"""Label cells as text with the type of their value, and what their values are.

Nothing is converted: "007", "NA" and "1e5" in a CSV file are text; in files with types, 1 and "1"
are different labels. Also: whether numbers are ids of classes, and several labels in one cell.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.data.tables import digests
from gluetune.kinds import REGRESSION, SINGLE_LABEL
from gluetune.kinds.base import Kind

CellType = Literal["text", "whole number", "number", "true or false", "list"]

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)", re.ASCII)
_WHOLE = re.compile(rf"({WHOLE.pattern})(?:\.0*)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_YES = {"1", "true", "yes", "1.0"}
_NO = {"0", "false", "no", "0.0", ""}


def cell(value: Any) -> tuple[list[str] | None, CellType | None, str]:
    """Return a cell's labels as text and its type, or None, None and the reason it has no label.

    A list has any number of labels; every other value is one label. Null and NaN are none.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None, None, "is null"
    if isinstance(value, list | tuple):
        items = [cell(item) for item in value]
        wrong = next((why for texts, _, why in items if texts is None), "")
        nested = any(kind == "list" for _, kind, _ in items)
        if wrong or nested:
            return None, None, f"is a list in which one {wrong or 'is a list'}"
        return [text for texts, _, _ in items for text in texts or ()], "list", ""
    if isinstance(value, bool):
        return ["true" if value else "false"], "true or false", ""
    if isinstance(value, int):
        return [str(value)], "whole number", ""
    if isinstance(value, float):
        return [repr(value)], "number", ""
    if isinstance(value, str):
        return ([value], "text", "") if value.strip() else (None, None, "is empty")
    return None, None, f"is {type(value).__name__}, no label"


def whole(text: str) -> str | None:
    """Return the usual form of a whole number, "1" for "1.0"; None for other text.

    One file may have 0 where another has 0.0, which pandas writes for a column with missing values.
    """
    found = _WHOLE.fullmatch(text)
    return None if found is None else found[1].lstrip("+") if found[1] != "-0" else "0"


def is_yes(value: Any) -> bool | None:
    """Return whether a cell of an indicator column is a yes; None where it is neither."""
    if value is None:
        return None
    text = str(value).strip().lower()
    return True if text in _YES else False if text in _NO else None


def with_point(text: str) -> str:
    """Replace a decimal comma by a point; 1,234 is unchanged, since it may be in thousands."""
    if _DECIMAL_COMMA.fullmatch(text.strip()) and not _THOUSANDS.fullmatch(text.strip()):
        return text.replace(",", ".")
    return text


def have_decimal_commas(cells: Collection[str]) -> bool:
    """Whether cells are numbers, one of them with a decimal comma and not a set of two ids.

    Ids in a set are different, have neither sign nor leading zeros, and are in ascending order.
    """
    numbers = [cell.strip() for cell in cells]
    if not all(WHOLE.fullmatch(one) or _DECIMAL_COMMA.fullmatch(one) for one in numbers):
        return False
    pairs = [one.split(",") for one in numbers if "," in one]
    return any(
        not (WHOLE.fullmatch(one) and WHOLE.fullmatch(two)) or float(one) >= float(two)
        for one, two in pairs
    )


def as_number(text: str) -> float | None:
    """Parse a finite number; None for other text."""
    stripped = text.strip()
    if not NUMBER.fullmatch(stripped):
        return None
    number = float(stripped)
    return number if math.isfinite(number) and abs(number) < 3e38 else None  # float32 holds it


MOST_CLASSES = 1000
_FEW = 10
"""Up to this many different whole numbers are always classes: stars, -1 to 1."""


@dataclass
class NumericLabels:
    """Statistics of numeric labels, added a batch at a time."""

    lowest: float = math.inf
    highest: float = -math.inf
    are_whole: bool = True
    rows: int = 0
    _counts: dict[float, int] = field(default_factory=dict)
    """How often each number occurs, up to one more than MOST_CLASSES of them."""
    _keys: list[NDArray[np.uint64]] = field(default_factory=list)

    def add(self, labels: pa.Array) -> bool:
        """Add labels; return whether all are numbers, and none is a name such as 007."""
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
        """How many different labels there are, as written."""
        return len(np.unique(np.concatenate(self._keys)))

    def kind(self) -> Kind | None:
        """Return whether the numbers are ids of classes or values to predict; None if unclear.

        Ids of classes start at 0 or 1, have no gaps, and each occurs more than once. Other whole
        numbers can be ids with gaps as well as years, ages or prices.
        """
        different = len(self._counts)
        if not self.are_whole or different > MOST_CLASSES:
            return REGRESSION
        if different <= _FEW:
            return SINGLE_LABEL
        span = self.highest - self.lowest + 1
        if self.lowest in (0, 1) and span == different and min(self._counts.values()) > 1:
            return SINGLE_LABEL
        are_scattered = span >= 2 * different
        mostly_once = different > self.rows / 2
        return REGRESSION if are_scattered and mostly_once else None


def numeric_labels(batches: Iterable[pa.Array]) -> NumericLabels | None:
    """Return the statistics of numeric labels; None where one is not a number."""
    found = NumericLabels()
    return found if all(found.add(labels) for labels in batches) else None


# Several labels in one cell of text: lists as Python, JSON or NumPy write them, separators --------

_BRACKETS = ("[]", "()", "{}")
_ITEM = re.compile(
    r"""\s*(?:
        '(?P<single>(?:[^'\\]|\\.)*)'
      | "(?P<double>(?:[^"\\]|\\.)*)"
      | (?P<bare>[^\s,'"\[\](){}](?:[^,'"\[\](){}]*[^\s,'"\[\](){}])?)
    )\s*(?:,\s*|(?=['"])|$)""",
    re.VERBOSE | re.DOTALL,
)
"""An item of a list, to its comma or, as NumPy writes lists, to the next quote."""
_NUMBERS = re.compile(r"[+-]?\d+(\s+[+-]?\d+)+", re.ASCII)
_SEPARATORS = (",", ";", "|", "\t", "/", "+", "&")
_IN_NAMES = "/+&"
"""Separators that names may contain: "yes/no" next to "yes" and "no" is a third class."""
_MOST_CELLS = 100_000
"""How many different cells are inspected."""


def listed(text: str) -> list[str] | None:
    """Return the items of a list written in a cell; None where it is not a list."""
    text = text.strip()
    if text[:1] + text[-1:] not in _BRACKETS:
        return None
    if (items := _json_items(text)) is not None:
        return items
    inside, found, at = text[1:-1].strip(), [], 0
    while at < len(inside):
        item = _ITEM.match(inside, at)
        if item is None:
            return None
        quoted = next((one for one in item.group("single", "double") if one is not None), None)
        bare = item["bare"] or ""
        if quoted is not None:
            found.append(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        else:
            found += bare.split() if _NUMBERS.fullmatch(bare) else [bare]
        at = item.end()
    return found


def _json_items(text: str) -> list[str] | None:
    try:
        items = json.loads(text)
    except ValueError:
        return None
    plain = isinstance(items, list) and all(isinstance(item, str) for item in items)
    return items if plain else None


def in_lists(cells: Collection[str]) -> bool:
    """Whether all cells are lists, and not names in brackets such as [UNK]."""
    read = [listed(cell) for cell in list(cells)[:_MOST_CELLS]]
    if any(items is None for items in read):
        return False
    return any(len(items or ()) != 1 for items in read) or _are_quoted(cells)


def _are_quoted(cells: Collection[str]) -> bool:
    return all(cell.strip()[1:-1].strip()[:1] in ("'", '"') for cell in cells)


def likely_separator(cells: Collection[str]) -> str | None:
    """Return the separator of several labels in a cell, None where each cell is one label.

    Labels recur in other cells, alone or with others, and not always at the same position. Parts
    of a name that contains the separator do not.
    """
    inspected = list(cells)[:_MOST_CELLS]
    for separator in _SEPARATORS:
        parts = {cell: _parts(cell, separator) for cell in inspected}
        if _are_sets(parts, at_least=2 if separator in _IN_NAMES else 1):
            return separator
    numbers = {cell: cell.split() for cell in inspected}
    are_numbers = all(part.isdecimal() for parts in numbers.values() for part in parts)
    return " " if are_numbers and _are_sets(numbers, at_least=1) else None


def _parts(cell: str, separator: str) -> list[str]:
    return [part.strip() for part in cell.split(separator) if part.strip()]


def _are_sets(parts: Mapping[str, Sequence[str]], *, at_least: int) -> bool:
    """Whether cells are sets of labels, at least `at_least` of them with several labels."""
    several = [cell for cell in parts.values() if len(cell) > 1]
    cells: dict[str, int] = {}
    positions: dict[str, set[int]] = {}
    for cell in parts.values():
        for position, part in enumerate(cell):
            cells[part] = cells.get(part, 0) + 1
            positions.setdefault(part, set()).add(position)
    inside = {part for cell in several for part in cell}
    again = [part for part in inside if cells[part] > 1]
    vary = len({len(cell) for cell in parts.values()}) > 1
    vary = vary or any(len(positions[part]) > 1 for part in inside)
    return len(several) >= at_least and 2 * len(again) > len(inside) and vary
