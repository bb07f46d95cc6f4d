"""A label's cell as text, with what kind of value it was: nothing is converted, all is told apart.

"007", "NA" and "1e5" in a CSV file are text and stay so. In files with types, 1 and "1" are two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Any, Literal

CellType = Literal["text", "whole number", "number", "true or false", "list"]

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)", re.ASCII)
_WHOLE = re.compile(rf"({WHOLE.pattern})(?:\.0*)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_YES = {"1", "true", "yes", "1.0"}
_NO = {"0", "false", "no", "0.0", ""}


def cell(value: Any) -> tuple[list[str] | None, CellType | None, str]:
    """Return a cell's labels as text, the type that it had, and why it is none (then None).

    A list has several labels, or none; every other value is one. Null and NaN are no label.
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
    """Return a whole number as it is usually written, "1" for "1.0"; None for other text.

    One file may have 0 where another has 0.0: pandas writes so a column with a gap.
    """
    found = _WHOLE.fullmatch(text)
    return None if found is None else found[1].lstrip("+") if found[1] != "-0" else "0"


def is_yes(value: Any) -> bool | None:
    """Return what a cell of a column for one label says; None where it is neither yes nor no."""
    if value is None:
        return None
    text = str(value).strip().lower()
    return True if text in _YES else False if text in _NO else None


def with_point(text: str) -> str:
    """Return a number with a decimal comma with a point; 1,234 may be a thousand, and stays."""
    if _DECIMAL_COMMA.fullmatch(text.strip()) and not _THOUSANDS.fullmatch(text.strip()):
        return text.replace(",", ".")
    return text


def have_decimal_commas(cells: Collection[str]) -> bool:
    """Whether cells are numbers of which one has a decimal comma, and cannot be two ids in order.

    Ids in a set are not twice in it, have no sign and no zero before them, and go up.
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
    """Return the finite number that a text is, None where it is none."""
    stripped = text.strip()
    if not NUMBER.fullmatch(stripped):
        return None
    number = float(stripped)
    return number if math.isfinite(number) and abs(number) < 3e38 else None  # float32 holds it
