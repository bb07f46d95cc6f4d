"""What is odd in a user's splits and can be used: duplicates, overlap, labels that leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.data.own.cells import whole
from gluetune.data.own.digests import digests, first_rows, stand_in, text_keys
from gluetune.data.own.kinds import Labels
from gluetune.data.own.problems import Problems
from gluetune.data.own.reading import RawRows, Wanted

_LEAK = 0.9
"""Share of a class's texts that hold its name from which it is said to leak."""
_ROWS_FOR_A_REMARK = 20
_LOOKED_AT = 100_000
"""Rows in which leaks are looked for, and at most which repeats are held against each other."""


def look(splits: dict[str, RawRows], labels: Labels, wanted: Wanted, problems: Problems) -> None:
    """Add remarks on the splits, `train` first."""
    train = splits["train"]
    known = text_keys(train.texts(), len(train))
    _duplicates(train, known, problems)
    known.sort()
    for split, rows in splits.items():
        if split != "train":
            _overlap(rows, split, known, problems)
    _text_columns(train, wanted, problems)
    if labels.kind == "classes":
        _leaks(train, labels, problems)


def _duplicates(rows: RawRows, keys: NDArray[np.uint64], problems: Problems) -> None:
    first = first_rows(keys)
    again = np.flatnonzero(first != np.arange(len(first), dtype=np.int32))
    if not len(again):
        return
    where = f"{_place(rows, int(again[0]))}, which repeats {_short_place(rows, first[again[0]])}"
    repeat = "row of train repeats" if len(again) == 1 else "rows of train repeat"
    problems.remark(f"{len(again):,} {repeat} an earlier text, first {where}.")
    if len(first) > _LOOKED_AT:
        return
    said = rows.table["labels"].to_pylist()
    other = [row for row in again if _plain(said[row]) != _plain(said[first[row]])]
    if other:
        row = int(other[0])
        line = _short_place(rows, first[row])
        problems.remark(
            f"{len(other):,} of them {'has' if len(other) == 1 else 'have'} another label, "
            f"first {_place(rows, row)} "
            f"({_shown(said[row])}; {line}: {_shown(said[first[row]])})."
        )


def _plain(labels: list[str]) -> list[str]:
    return [whole(label) or label for label in labels]


def _place(rows: RawRows, row: int) -> str:
    return rows.place(rows.line(row))


def _short_place(rows: RawRows, row: int) -> str:
    return rows.short_place(rows.line(row))


def _shown(label: list[str]) -> str:
    return ", ".join(label) or "none"


def _overlap(rows: RawRows, split: str, known: NDArray[np.uint64], problems: Problems) -> None:
    hit = np.flatnonzero(stand_in(text_keys(rows.texts(), len(rows)), known))
    if len(hit):
        problems.remark(
            f"{len(hit):,} of {len(rows):,} texts of {split} stand in train too, first "
            f"{_place(rows, int(hit[0]))}: the score is too good by that."
        )


def _text_columns(rows: RawRows, wanted: Wanted, problems: Problems) -> None:
    if len(rows) < _ROWS_FOR_A_REMARK:
        return
    for number, name in enumerate(wanted.texts):
        column = f"text_{number}"
        first = rows.table[column][0]
        if all(pc.all(pc.equal(batch[column], first)).as_py() for batch in rows.batches(column)):
            problems.remark(f"Every '{name}' of train is the same text.")
        elif _are_ids(rows, column):
            problems.remark(f"Every '{name}' of train is one word that occurs once: is it an id?")


def _are_ids(rows: RawRows, column: str) -> bool:
    """Whether each is one word of ASCII, as ids are: many scripts write texts without spaces."""
    for batch in rows.batches(column):
        if not pc.all(pc.match_substring_regex(batch[column], r"^[!-~]+$")).as_py():
            return False
    keys = digests((batch[column] for batch in rows.batches(column)), len(rows))
    return bool((first_rows(keys) == np.arange(len(keys), dtype=np.int32)).all())


def _leaks(rows: RawRows, labels: Labels, problems: Problems) -> None:
    """Remark on classes whose own name stands in nearly all of their texts and in few others."""
    part = rows.table.slice(0, _LOOKED_AT)
    if len(part) < _ROWS_FOR_A_REMARK:
        return
    # Objects: an array of text has room for the longest label in every row.
    label = np.array([one[0] for one in part["labels"].to_pylist()], dtype=object)
    texts = [part[name] for name in part.column_names if name.startswith("text_")]
    for name in labels.names:
        if len(name) < 3 or name.isdecimal():
            continue
        inside = _holds(texts, name)
        own = label == name
        if own.sum() < 5 or not inside[own].mean() >= _LEAK:
            continue
        if not (~own).any() or inside[~own].mean() <= 1 - _LEAK:
            problems.remark(
                f"The label '{name}' stands in {inside[own].mean():.0%} of its own texts and in "
                f"{inside[~own].mean() if (~own).any() else 0:.0%} of the others: it may leak."
            )


def _holds(texts: list[Any], name: str) -> NDArray[np.bool_]:
    found = [
        pc.match_substring(column, name, ignore_case=True).to_numpy().astype(bool)
        for column in texts
    ]
    result: NDArray[np.bool_] = np.any(found, axis=0)
    return result
