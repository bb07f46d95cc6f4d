"""What is odd in a user's splits and can be used: duplicates, overlap, labels that leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.data.own.kinds import Labels
from gluetune.data.own.problems import Problems
from gluetune.data.own.reading import RawRows, Wanted

_LEAK = 0.9
"""Share of a class's texts that hold its name from which it is said to leak."""
_ROWS_FOR_A_REMARK = 20
_LOOKED_AT = 100_000
"""Rows in which leaks are looked for."""


def look(splits: dict[str, RawRows], labels: Labels, wanted: Wanted, problems: Problems) -> None:
    """Add remarks on the splits, `train` first."""
    train = splits["train"]
    keys = {split: _keys(rows) for split, rows in splits.items()}
    _duplicates(train, keys["train"], problems)
    for split, rows in splits.items():
        if split != "train":
            _overlap(rows, split, keys[split], keys["train"], problems)
    _text_columns(train, wanted, problems)
    if labels.kind == "classes":
        _leaks(train, labels, problems)


def _keys(rows: RawRows) -> pa.Array:
    """Return the text of each row, its spaces and case left aside, as one value."""
    table = rows.table
    texts = [
        pc.utf8_lower(pc.replace_substring_regex(pc.utf8_trim_whitespace(table[name]), r"\s+", " "))
        for name in table.column_names
        if name.startswith("text_")
    ]
    joined = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "\0")
    return joined.combine_chunks()


def _duplicates(rows: RawRows, keys: pa.Array, problems: Problems) -> None:
    codes = keys.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(codes)))
    if not len(again):
        return
    lines = rows.table["line"].to_numpy()
    said = rows.table["labels"].combine_chunks().to_pylist() if len(codes) <= _LOOKED_AT else None
    where = f"{rows.place(lines[again[0]])}, which repeats line {lines[first[inverse[again[0]]]]}"
    repeat = "row of train repeats" if len(again) == 1 else "rows of train repeat"
    problems.remark(f"{len(again):,} {repeat} an earlier text, first {where}.")
    if said is not None:
        other = [row for row in again if said[row] != said[first[inverse[row]]]]
        if other:
            row = other[0]
            problems.remark(
                f"{len(other):,} of them {'has' if len(other) == 1 else 'have'} another label, "
                f"first {rows.place(lines[row])} "
                f"({_shown(said[row])}; line {lines[first[inverse[row]]]}: "
                f"{_shown(said[first[inverse[row]]])})."
            )


def _shown(label: list[str]) -> str:
    return ", ".join(label) or "none"


def _overlap(
    rows: RawRows, split: str, keys: pa.Array, train: pa.Array, problems: Problems
) -> None:
    hit = np.flatnonzero(pc.is_in(keys, train).to_numpy(zero_copy_only=False))
    if len(hit):
        line = rows.table["line"][int(hit[0])].as_py()
        problems.remark(
            f"{len(hit):,} of {len(keys):,} texts of {split} stand in train too, first "
            f"{rows.place(line)}: the score is too good by that."
        )


def _text_columns(rows: RawRows, wanted: Wanted, problems: Problems) -> None:
    for number, name in enumerate(wanted.texts):
        column = rows.table[f"text_{number}"]
        count = len(column)
        if count < _ROWS_FOR_A_REMARK:
            continue
        different = pc.count_distinct(column).as_py()
        if different == 1:
            problems.remark(f"Every '{name}' of train is the same text.")
        elif different == count and not pc.any(pc.match_substring(column, " ")).as_py():
            problems.remark(f"Every '{name}' of train is one word that occurs once: is it an id?")


def _leaks(rows: RawRows, labels: Labels, problems: Problems) -> None:
    """Remark on classes whose own name stands in nearly all of their texts and in few others."""
    part = rows.table.slice(0, _LOOKED_AT)
    if len(part) < _ROWS_FOR_A_REMARK:
        return
    label = np.array([one[0] for one in part["labels"].to_pylist()])
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
