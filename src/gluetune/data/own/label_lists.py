"""Several labels in one cell of text: lists as Python, JSON or NumPy write them, separators."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence

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
"""Separators that stand in names too: "yes/no" beside "yes" and "no" is a third answer."""
_LOOKED_AT = 100_000
"""Different cells that are looked at."""


def listed(text: str) -> list[str] | None:
    """Return the items of a list that is written in a cell; None where it is no list."""
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
    """Whether cells are lists throughout, and no names in brackets such as [UNK]."""
    read = [listed(cell) for cell in list(cells)[:_LOOKED_AT]]
    if any(items is None for items in read):
        return False
    return any(len(items or ()) != 1 for items in read) or _are_quoted(cells)


def _are_quoted(cells: Collection[str]) -> bool:
    return all(cell.strip()[1:-1].strip()[:1] in ("'", '"') for cell in cells)


def likely_separator(cells: Collection[str]) -> str | None:
    """Return what stands between the labels of different cells, None where each is one label.

    Labels occur again: in several of the cells, alone or in other company, and not always at the
    same place. The parts of a name that has such a sign in it do not.
    """
    looked_at = list(cells)[:_LOOKED_AT]
    for separator in _SEPARATORS:
        parts = {cell: _parts(cell, separator) for cell in looked_at}
        if _are_sets(parts, at_least=2 if separator in _IN_NAMES else 1):
            return separator
    numbers = {cell: cell.split() for cell in looked_at}
    are_numbers = all(part.isdecimal() for parts in numbers.values() for part in parts)
    return " " if are_numbers and _are_sets(numbers, at_least=1) else None


def _parts(cell: str, separator: str) -> list[str]:
    return [part.strip() for part in cell.split(separator) if part.strip()]


def _are_sets(parts: Mapping[str, Sequence[str]], *, at_least: int) -> bool:
    """Whether cells are sets of labels, `at_least` so many of them of several."""
    several = [cell for cell in parts.values() if len(cell) > 1]
    cells: dict[str, int] = {}
    places: dict[str, set[int]] = {}
    for cell in parts.values():
        for place, part in enumerate(cell):
            cells[part] = cells.get(part, 0) + 1
            places.setdefault(part, set()).add(place)
    inside = {part for cell in several for part in cell}
    again = [part for part in inside if cells[part] > 1]
    vary = len({len(cell) for cell in parts.values()}) > 1
    vary = vary or any(len(places[part]) > 1 for part in inside)
    return len(several) >= at_least and 2 * len(again) > len(inside) and vary
