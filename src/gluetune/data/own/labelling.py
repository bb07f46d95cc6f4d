"""Convert labels from text to the values of a canonical table; find rows with invalid labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.data.own.cells import as_number, whole, with_point
from gluetune.data.own.kinds import Labels, are_single
from gluetune.data.own.problems import Problems
from gluetune.data.own.reading import RawRows
from gluetune.kinds.base import Cell


def usable(rows: RawRows, labels: Labels, problems: Problems, *, known_from: str = "") -> RawRows:
    """Return the rows with a valid label; add the others to `problems`.

    `known_from` names where the labels come from, for rows other than the training rows: a label
    that is not among them is a mistake. Where it is empty, so is a class with a single row.
    """
    finder = _FINDERS[labels.kind.cell]
    find = finder(rows, labels, known_from)
    fits = np.ones(len(rows), dtype=bool)
    start = 0
    for batch in rows.batches("line", "labels"):
        for row, (kind, problem) in sorted(find(batch["labels"]).items()):
            problems.add_row(rows.name, rows.place(batch["line"][row].as_py()), kind, problem)
            fits[start + row] = False
        start += len(batch)
    return rows if fits.all() else rows.keep(fits)


def label_column(rows: RawRows, labels: Labels) -> pa.ChunkedArray:
    """Return the label column of a canonical table."""
    chunks = _COLUMNS[labels.kind.cell](rows, labels)
    return pa.chunked_array(chunks, labels.kind.column_type(len(labels.names)))


def label_arrays(rows: RawRows, labels: Labels) -> Iterator[NDArray[Any]]:
    """Yield the labels of rows, a batch at a time, as arrays like those of `Kind.array`."""
    return _ARRAYS[labels.kind.cell](rows, labels)


def class_ids(rows: RawRows, labels: Labels) -> Iterator[NDArray[np.int32]]:
    """Yield the class id of each row, a batch at a time; -1 for a label that is not a class."""
    known = _class_numbers(rows, labels)
    return (_ids(batch["labels"].flatten(), known) for batch in rows.batches("labels"))


def label_matrices(rows: RawRows, labels: Labels) -> Iterator[NDArray[np.int8]]:
    """Yield which labels each row has, a batch at a time: 0 and 1, shape (rows, labels)."""
    known = _numbered(labels.names)
    for batch in rows.batches("labels"):
        lengths = pc.list_value_length(batch["labels"]).to_numpy()
        matrix = np.zeros((len(batch), len(labels.names)), dtype=np.int8)
        ids = _ids(batch["labels"].flatten(), known)
        matrix[np.repeat(np.arange(len(lengths)), lengths), ids] = 1
        yield matrix


def label_totals(rows: RawRows, labels: Labels) -> NDArray[np.int64]:
    """Return how many rows have each class or label."""
    totals = np.zeros(len(labels.names), dtype=np.int64)
    for part in label_arrays(rows, labels):
        known = part[part >= 0] if part.ndim == 1 else part
        totals += labels.kind.counts(known, len(totals))
    return totals


def _class_numbers(rows: RawRows, labels: Labels) -> Mapping[str, int]:
    names = labels.names
    if rows.class_names == names:  # the file has their ids
        names = tuple(str(number) for number in range(len(names)))
    return _numbered(names)


def _numbered(names: tuple[str, ...]) -> Mapping[str, int]:
    """Return the id of each name, and of the usual form of each whole number (1 for 1.0)."""
    known = {name: number for number, name in enumerate(names)}
    return {**{whole(name) or name: number for name, number in known.items()}, **known}


def _ids(column: pa.Array, known: Mapping[str, int]) -> NDArray[np.int32]:
    """Return the id of each value, -1 for an unknown one."""
    encoded = column.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    ids = [known.get(value, known.get(whole(value) or value, -1)) for value in values]
    found: NDArray[np.int32] = np.array(ids, dtype=np.int32)[encoded.indices.to_numpy()]
    return found


def _numbers(labels: pa.Array) -> pa.Array:
    encoded = labels.flatten().dictionary_encode()
    plain = pa.array(
        [with_point(text).strip() for text in encoded.dictionary.to_pylist()], pa.string()
    )
    return pc.cast(plain, pa.float32()).take(encoded.indices)


_Faults = dict[int, tuple[str, str]]
_Find = Callable[[Any], _Faults]
"""Returns the unusable rows of a batch of labels, each with its kind of fault and the problem."""
_ALONE = "rows alone in their class"


def _several(labels: pa.Array) -> _Faults:
    return {
        int(row): ("rows with several labels", "has several labels, or none")
        for row in np.flatnonzero(~are_single(labels))
    }


def _not_numbers(rows: RawRows, labels: Labels, known_from: str) -> _Find:
    def find(column: pa.Array) -> _Faults:
        found = _several(column)
        single = np.flatnonzero(are_single(column))
        texts = column.take(pa.array(single)).flatten().dictionary_encode()
        wrong = [
            code
            for code, text in enumerate(texts.dictionary.to_pylist())
            if as_number(with_point(text)) is None
        ]
        for row in single[np.isin(texts.indices.to_numpy(), wrong)]:
            found[int(row)] = (
                "rows whose label is not a number",
                f"has the label {_first(column, row)!r:.40}, not a finite number",
            )
        return found

    return find


def _not_classes(rows: RawRows, labels: Labels, known_from: str) -> _Find:
    if not all(are_single(batch["labels"]).all() for batch in rows.batches("labels")):
        return _several
    whose = known_from or ("the schema" if rows.class_names == labels.names else "")
    known = _class_numbers(rows, labels)
    counts = label_totals(rows, labels)
    alone = np.flatnonzero(counts == 1) if not known_from else np.zeros(0, dtype=np.int64)

    def find(column: pa.Array) -> _Faults:
        found: _Faults = {}
        ids = _ids(column.flatten(), known)
        for row in np.flatnonzero(ids < 0):
            label = _first(column, row)
            found[int(row)] = (
                (
                    f"rows whose label {whose} lacks",
                    f"has the label {label!r:.40}, which {whose} lacks",
                )
                if whose
                else (_ALONE, f"is the only one of class {label!r:.40}")  # the class was left out
            )
        for row in np.flatnonzero(np.isin(ids, alone)):
            name = labels.names[int(ids[row])]
            found[int(row)] = (_ALONE, f"is the only one of class {name!r:.40}")
        return found

    return find


def _not_labels(rows: RawRows, labels: Labels, known_from: str) -> _Find:
    known = _numbered(labels.names)
    whose = known_from or "the file"

    def find(column: pa.Array) -> _Faults:
        values = column.flatten()
        missing = np.flatnonzero(_ids(values, known) < 0)
        lengths = pc.list_value_length(column).to_numpy()
        owner = np.repeat(np.arange(len(lengths)), lengths)
        return {
            int(owner[position]): (
                f"rows whose label {whose} lacks",
                f"has the label {values[int(position)].as_py()!r:.40}, which {whose} lacks",
            )
            for position in missing
        }

    return find


def _first(column: pa.Array, row: Any) -> str:
    label: str = column[int(row)][0].as_py()
    return label


_FINDERS: Mapping[Cell, Callable[[RawRows, Labels, str], _Find]] = {
    "number": _not_numbers,
    "name": _not_classes,
    "names": _not_labels,
}
_COLUMNS: Mapping[Cell, Callable[[RawRows, Labels], Iterator[pa.Array]]] = {
    "number": lambda rows, labels: (_numbers(batch["labels"]) for batch in rows.batches("labels")),
    "name": lambda rows, labels: (
        pa.array(ids.astype(np.int64)) for ids in class_ids(rows, labels)
    ),
    "names": lambda rows, labels: (
        pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), len(labels.names))
        for matrix in label_matrices(rows, labels)
    ),
}
_ARRAYS: Mapping[Cell, Callable[[RawRows, Labels], Iterator[NDArray[Any]]]] = {
    "number": lambda rows, labels: iter((label_column(rows, labels).to_numpy(),)),
    "name": class_ids,
    "names": label_matrices,
}
