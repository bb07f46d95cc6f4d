"""Warnings about a user's splits: duplicates, overlap, rare classes, labels that leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.data.own.cells import whole
from gluetune.data.own.kinds import Labels
from gluetune.data.own.labelling import label_totals
from gluetune.data.own.problems import Problems
from gluetune.data.own.reading import RawRows, Wanted
from gluetune.data.own.stored import contained_in, digests, first_rows, text_keys
from gluetune.metrics.registry import get_metric

_LEAK = 0.9
"""Share of a class's texts that contain its name from which it is reported as a leak."""
_FEWEST_ROWS = 20
_FEW_ROWS = 10
_FEW_OF_EVEN = 0.1
"""A class is rare with fewer than _FEW_ROWS rows and less than half of an even share of all rows,
or with less than this part of an even share."""
_LISTED = 5
_MOST_ROWS = 100_000
"""Rows that are searched for leaks, and up to which the labels of duplicates are compared."""


def add_warnings(
    splits: dict[str, RawRows],
    labels: Labels,
    wanted: Wanted,
    problems: Problems,
    *,
    are_weighted: bool = False,
) -> None:
    """Add warnings about the splits to `problems`. `are_weighted`: the loss weights classes."""
    train = splits["train"]
    known = text_keys(train.texts(), len(train))
    _duplicates(train, known, problems)
    known.sort()
    for split, rows in splits.items():
        if split != "train":
            _overlap(rows, split, known, problems)
    _text_columns(train, wanted, problems)
    if labels.kind.cell == "name":
        _leaks(train, labels, problems)
    if labels.names:
        _rare_classes(label_totals(train, labels), labels, are_weighted, problems)


def _duplicates(rows: RawRows, keys: NDArray[np.uint64], problems: Problems) -> None:
    first = first_rows(keys)
    again = np.flatnonzero(first != np.arange(len(first), dtype=np.int32))
    if not len(again):
        return
    where = f"{_place(rows, int(again[0]))}, which repeats {_short_place(rows, first[again[0]])}"
    repeat = "row of train repeats" if len(again) == 1 else "rows of train repeat"
    problems.remark(f"{len(again):,} {repeat} an earlier text, first {where}.")
    if len(first) > _MOST_ROWS:
        return
    labels = rows.table["labels"].to_pylist()
    other = [row for row in again if _plain(labels[row]) != _plain(labels[first[row]])]
    if other:
        row = int(other[0])
        line = _short_place(rows, first[row])
        problems.remark(
            f"{len(other):,} of them {'has' if len(other) == 1 else 'have'} another label, "
            f"first {_place(rows, row)} "
            f"({_shown(labels[row])}; {line}: {_shown(labels[first[row]])})."
        )


def _rare_classes(
    counts: NDArray[np.int64], labels: Labels, are_weighted: bool, problems: Problems
) -> None:
    """Warn of classes with few training rows, which the score hardly reflects."""
    even = counts.sum() / max(len(counts), 1)
    few = (counts < _FEW_ROWS) & (counts < even / 2)
    rare = np.flatnonzero(few | (counts < _FEW_OF_EVEN * even))
    if not len(rare):
        return
    rarest = rare[np.argsort(counts[rare], kind="stable")]
    listed = ", ".join(
        f"{labels.names[row]!r:.40} ({counts[row]:,} {'row' if counts[row] == 1 else 'rows'})"
        for row in rarest[:_LISTED]
    )
    more = f" and {len(rare) - _LISTED:,} more" if len(rare) > _LISTED else ""
    remedies = []
    if not are_weighted:
        remedies.append("--class-weights balanced weights all equally in training")
    if not any(get_metric(name).balances_classes for name in labels.metrics):
        remedies.append("--metric f1_macro in the score")
    are, them = ("is", "it") if len(rare) == 1 else ("are", "them")
    problems.remark(
        f"{len(rare):,} of {len(counts):,} {labels.kind.units} {are} rare in train: {listed}{more}."
        f" A model may never predict {them}{': ' if remedies else ''}{', '.join(remedies)}."
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
    hit = np.flatnonzero(contained_in(text_keys(rows.texts(), len(rows)), known))
    if len(hit):
        problems.remark(
            f"{len(hit):,} of {len(rows):,} texts of {split} are also in train, first "
            f"{_place(rows, int(hit[0]))}: the score is too high because of it."
        )


def _text_columns(rows: RawRows, wanted: Wanted, problems: Problems) -> None:
    if len(rows) < _FEWEST_ROWS:
        return
    for number, name in enumerate(wanted.texts):
        column = f"text_{number}"
        first = rows.table[column][0]
        if all(pc.all(pc.equal(batch[column], first)).as_py() for batch in rows.batches(column)):
            problems.remark(f"Every '{name}' of train is the same text.")
        elif _are_ids(rows, column):
            problems.remark(f"Every '{name}' of train is one word that occurs once: is it an id?")


def _are_ids(rows: RawRows, column: str) -> bool:
    """Whether every text is one ASCII word and unique. Many scripts write text without spaces."""
    for batch in rows.batches(column):
        if not pc.all(pc.match_substring_regex(batch[column], r"^[!-~]+$")).as_py():
            return False
    keys = digests((batch[column] for batch in rows.batches(column)), len(rows))
    return bool((first_rows(keys) == np.arange(len(keys), dtype=np.int32)).all())


def _leaks(rows: RawRows, labels: Labels, problems: Problems) -> None:
    """Warn of classes whose name is in nearly all of their texts and in few others."""
    part = rows.table.slice(0, _MOST_ROWS)
    if len(part) < _FEWEST_ROWS:
        return
    # Objects: an array of text would use the size of the longest label for every row.
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
                f"The label '{name}' is in {inside[own].mean():.0%} of its own texts and in "
                f"{inside[~own].mean() if (~own).any() else 0:.0%} of the others: it may leak."
            )


def _holds(texts: list[Any], name: str) -> NDArray[np.bool_]:
    found = [
        pc.match_substring(column, name, ignore_case=True).to_numpy().astype(bool)
        for column in texts
    ]
    result: NDArray[np.bool_] = np.any(found, axis=0)
    return result
