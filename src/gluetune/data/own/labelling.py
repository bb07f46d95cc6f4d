"""From the labels' text to what a canonical table holds; rows whose label is none of the task's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gluetune.data.own.cells import as_number
from gluetune.data.own.kinds import Labels, is_single
from gluetune.data.own.problems import Problems
from gluetune.data.own.reading import RawRows


def usable(rows: RawRows, labels: Labels, problems: Problems, *, known_from: str = "") -> RawRows:
    """Return the rows whose label fits; the others are noted.

    `known_from` says whose labels count where these rows are not the ones that they come from: a
    label that only they have is a mistake, and so is a class with one member where it is empty.
    """
    faults = {
        "number": _not_numbers,
        "classes": _not_classes,
        "labels": _not_labels,
    }[labels.kind](rows, labels, known_from)
    lines = rows.table["line"]
    for row, (kind, problem) in sorted(faults.items()):
        problems.add_row(rows.name, rows.place(lines[row].as_py()), kind, problem)
    if not faults:
        return rows
    mask = np.ones(len(rows.table), dtype=bool)
    mask[list(faults)] = False
    return rows.keep(pa.array(np.flatnonzero(mask)))


def label_column(rows: RawRows, labels: Labels) -> pa.Array:
    """Return the labels as a canonical table has them."""
    if labels.kind == "classes":
        return class_ids(rows, labels)
    flat = rows.table["labels"].combine_chunks().flatten()
    if labels.kind == "number":
        return pc.cast(pc.utf8_trim_whitespace(flat), pa.float32())
    ids = pc.index_in(flat, pa.array(labels.names)).to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(rows.table["labels"].combine_chunks()).to_numpy()
    matrix = np.zeros((len(rows.table), len(labels.names)), dtype=np.int8)
    matrix[np.repeat(np.arange(len(lengths)), lengths), ids] = 1
    flattened = pa.array(matrix.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flattened, len(labels.names))


def class_ids(rows: RawRows, labels: Labels) -> pa.Array:
    """Return the class of each row; -1 for a label that is no class."""
    flat = rows.table["labels"].combine_chunks().flatten()
    if rows.class_names == labels.names:
        numbers = [str(number) for number in range(len(labels.names))]
        ids = pc.index_in(flat, pa.array(numbers, pa.string()))
    else:
        ids = pc.index_in(flat, pa.array(labels.names, pa.string()))
    return pc.fill_null(ids, -1).cast(pa.int64())


_Faults = dict[int, tuple[str, str]]
_ALONE = "rows alone in their class"


def _not_numbers(rows: RawRows, labels: Labels, known_from: str) -> _Faults:
    found: _Faults = {}
    column = rows.table["labels"].combine_chunks()
    flat = column.flatten().dictionary_encode()
    wrong = [
        code for code, text in enumerate(flat.dictionary.to_pylist()) if as_number(text) is None
    ]
    if not wrong:
        return found
    hit = np.flatnonzero(np.isin(flat.indices.to_numpy(), wrong))
    for row in hit:
        found[int(row)] = (
            "rows whose label is no number",
            f"has the label {column[int(row)][0].as_py()!r:.40}, no finite number",
        )
    return found


def _not_classes(rows: RawRows, labels: Labels, known_from: str) -> _Faults:
    single = is_single(rows).to_numpy(zero_copy_only=False)
    found: _Faults = {
        int(row): ("rows with several labels", "has several labels, or none")
        for row in np.flatnonzero(~single)
    }
    if found:
        return found
    ids = class_ids(rows, labels).to_numpy(zero_copy_only=False)
    column = rows.table["labels"]
    for row in np.flatnonzero(ids < 0):
        label = column[int(row)][0].as_py()
        found[int(row)] = (
            (
                f"rows whose label {known_from} lacks",
                f"has the label {label!r:.40}, which {known_from} lacks",
            )
            if known_from
            else (_ALONE, f"is the only one of class {label!r:.40}")  # the class was left out
        )
    if not known_from:
        counts = np.bincount(ids[ids >= 0], minlength=len(labels.names))
        for row in np.flatnonzero(np.isin(ids, np.flatnonzero(counts == 1))):
            name = labels.names[int(ids[row])]
            found[int(row)] = (_ALONE, f"is the only one of class {name!r:.40}")
    return found


def _not_labels(rows: RawRows, labels: Labels, known_from: str) -> _Faults:
    found: _Faults = {}
    column = rows.table["labels"].combine_chunks()
    ids = pc.index_in(column.flatten(), pa.array(labels.names, pa.string()))
    missing = np.flatnonzero(ids.is_null().to_numpy(zero_copy_only=False))
    if not len(missing):
        return found
    lengths = pc.list_value_length(column).to_numpy()
    owner = np.repeat(np.arange(len(lengths)), lengths)
    values = column.flatten()
    for place in missing:
        label = values[int(place)].as_py()
        found[int(owner[place])] = (
            f"rows whose label {known_from or 'the file'} lacks",
            f"has the label {label!r:.40}, which {known_from or 'the file'} lacks",
        )
    return found
