"""The labels of a user's text: kind, classes and metrics, inferred unless stated, and values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.core.command_lines import options
from gluetune.core.config import TrainConfig
from gluetune.core.settings_files import typed_names
from gluetune.core.tasks import unfit_metrics
from gluetune.core.text import nearest, normalized
from gluetune.data.own.cells import (
    MOST_CLASSES,
    CellType,
    as_number,
    have_decimal_commas,
    in_lists,
    likely_separator,
    listed,
    numeric_labels,
    whole,
    with_point,
)
from gluetune.data.own.reading import Problems, RawRows
from gluetune.kinds import MULTI_LABEL, ORDINAL, REGRESSION, SINGLE_LABEL, get_kind
from gluetune.kinds.base import Cell, Kind
from gluetune.metrics.registry import get_metric, is_of_one_class, metrics_of

_LISTED = 5
"""How many labels a message lists."""


@dataclass(frozen=True)
class Labels:
    """The labels of a task, and the metrics that they are scored by."""

    kind: Kind
    names: tuple[str, ...]
    """Names of classes or labels by id; empty for regression."""
    metrics: tuple[str, ...]
    extra_metrics: tuple[str, ...]
    positive: str | None = None
    """The class that metrics of one class refer to."""


def resolve_labels(config: TrainConfig, train: RawRows, problems: Problems) -> Labels | None:
    """Return the labels of the training rows; None where they cannot be used (see `problems`).

    Classes are named as in the training rows: whole numbers in numerical order, other names in the
    order of their characters; or as the file declares them.
    """
    return _Resolver(config, train, problems).labels()


@dataclass(frozen=True)
class _Resolver:
    """What is stated and what the training rows show; adds what is wrong to `problems`."""

    config: TrainConfig
    train: RawRows
    problems: Problems

    def labels(self) -> Labels | None:
        kind = self._kind()
        if kind is None or not self._types_agree(kind):
            return None
        names = self._names(kind) if kind.fewest_labels else ()
        if names is None:
            return None
        are_labels = not kind.fewest_labels or self._check_names(kind, names)
        found = self._metrics(kind, names)
        if found is None or not are_labels:
            return None
        return Labels(kind, names, *found, self._positive(kind, names, (*found[0], *found[1])))

    @cached_property
    def _values(self) -> dict[str, int]:
        return values_of(self.train)

    @property
    def _column(self) -> str:
        return ", ".join(self.config.label or ("label",))

    def _kind(self) -> Kind | None:
        """Return the stated or inferred kind; None where the labels do not fit or it is unclear."""
        if self.config.kind == "auto":
            return self._inferred()
        kind = get_kind(self.config.kind)
        return None if kind.cell == "names" and self._note_several("") else kind

    def _inferred(self) -> Kind | None:
        """Infer the kind from the data; None where it is unclear."""
        if "list" in self.train.types:
            self.problems.remark(
                f"'{self._column}' holds several labels an example: kind {MULTI_LABEL}."
            )
            return MULTI_LABEL
        numbers = None
        if self.train.class_names is None:
            batches = self.train.batches("labels")
            numbers = numeric_labels(batch["labels"].flatten() for batch in batches)
        if numbers is None:
            as_classes = f"; or --kind {SINGLE_LABEL} for classes"
            return None if self._note_several(as_classes) else SINGLE_LABEL
        kind, different = numbers.kind(), numbers.different
        between = f"{numbers.lowest:g} to {numbers.highest:g}"
        if kind is None:
            self.problems.add(
                f"'{self._column}' holds {different} different whole numbers, {between}: they may "
                "be ids of classes, or numbers to predict.",
                f"Type: --kind {SINGLE_LABEL}, or --kind {REGRESSION}",
            )
            return None
        what = f"{different} different whole numbers"
        other = f"--kind {REGRESSION} for regression, --kind {ORDINAL} for ordered classes"
        if kind.cell == "number":
            what = f"{different} different numbers, {between}"
            other = f"--kind {SINGLE_LABEL} for classes"
        self.problems.remark(f"'{self._column}' holds {what}: kind {kind} ({other}).")
        return kind

    def _note_several(self, otherwise: str) -> bool:
        """Return whether cells of text have several labels, and add what to type.

        `otherwise` is what else the user may type.
        """
        if set(self.train.types) != {"text"} or self.train.class_names is not None:
            return False
        cells = self._values
        if have_decimal_commas(cells):
            self.problems.add(
                f"'{self._column}' has numbers with a decimal comma, or two labels in a cell, such "
                f"as {next(cell for cell in cells if ',' in cell)!r:.60}.",
                f"Type: --kind {REGRESSION}; or --kind {MULTI_LABEL} --label-separator ,; or "
                f"--kind {SINGLE_LABEL}",
            )
            return True
        if in_lists(cells):
            typed = f"--kind {MULTI_LABEL}"
            example = max(cells, key=lambda cell: len(listed(cell) or ()))
        elif (separator := likely_separator(cells)) is not None:
            typed = options(kind=MULTI_LABEL.name, label_separator=separator)
            example = next(cell for cell in cells if separator in cell.strip())
        else:
            return False
        self.problems.add(
            f"'{self._column}' has several labels in a cell, such as {example!r:.60}: as classes "
            f"they would be {len(cells):,}, one for each different cell.",
            f"Type: {typed}{otherwise}",
        )
        return True

    def _types_agree(self, kind: Kind) -> bool:
        """Reject columns in which 1 and "1" would be one class, and lists for a single label."""
        seen, place = dict(self.train.types), self.train.place
        if kind.cell == "number":
            wrong: list[CellType] = [name for name in ("list", "true or false") if name in seen]
            for name in wrong:
                self.problems.add(f"{place(seen[name])}: the label is {name}, not a number.")
            return not wrong
        if kind.cell == "name" and "list" in seen:
            self.problems.add(
                f"{place(seen['list'])}: the label is a list, and --kind is {kind}.",
                f"Type: --kind {MULTI_LABEL}",
            )
            return False
        are_numbers = set(seen) == {"whole number", "number"}
        if len(seen) < 2 or (are_numbers and all(whole(one) is not None for one in self._values)):
            return True
        types = " and ".join(f"{name} ({place(line)})" for name, line in seen.items())
        self.problems.add(
            f"The labels of {self.train.name} are of several types: {types}.",
            "Write all of them as text, or all as numbers.",
        )
        return False

    def _names(self, kind: Kind) -> tuple[str, ...] | None:
        """Return the names of classes or labels by id; None where their order is not known."""
        if kind.cell == "names" and self.config.label is not None and len(self.config.label) > 1:
            return self.config.label
        if self.train.class_names is not None and kind.cell == "name":
            return self.train.class_names
        values = label_counts(self.train)
        # Python does not parse whole numbers of thousands of digits; as_number rejects them.
        numbers = {one: whole(one) if as_number(one) is not None else None for one in values}
        are_whole = None not in numbers.values()
        if kind.label_order_names_classes and self.config.label_order is not None:
            return self._in_order(self.config.label_order, values)
        if kind.label_order_names_classes and not are_whole:
            self.problems.add(
                f"The labels of {self.train.name} are not all whole numbers, so their order is not "
                f"known: {', '.join(sorted(values)[:_LISTED])}.",
                f"Type: --kind {kind} --label-order LOWEST,…,HIGHEST",
            )
            return None
        return tuple(sorted(values, key=lambda one: (int(numbers[one] or 0) * are_whole, one)))

    def _in_order(self, order: tuple[str, ...], values: Iterable[str]) -> tuple[str, ...] | None:
        """Return the classes in the order of `--label-order`; None where it lacks one."""
        missing = [name for name in values if name not in order]
        if not missing:
            return order
        self.problems.add(
            f"--label-order {typed_names(order)} lacks {len(missing)} of the labels of "
            f"{self.train.name}: {', '.join(missing[:_LISTED])}.",
            "Name every label once, from the lowest to the highest.",
        )
        return None

    def _check_names(self, kind: Kind, names: Sequence[str]) -> bool:
        """Return whether names of classes or labels can be used."""
        rows, file = len(self.train), self.train.name
        if len(names) < kind.fewest_labels:
            only = f"only '{names[0]}'" if names else "none"
            self.problems.add(f"{file} has {only} as a label: there is nothing to learn.")
        are_ids = len(names) > MOST_CLASSES or (rows >= 50 and len(names) > rows / 2)
        if are_ids:
            self.problems.add(
                f"{file} has {len(names):,} different labels in {rows:,} rows: they look like text "
                "or ids.",
                "Name the column of the label: --label COLUMN",
            )
        alike: dict[str, list[str]] = {}
        for name in names:
            alike.setdefault(normalized(name), []).append(name)
        for group in alike.values():
            if len(group) > 1:
                self.problems.remark(
                    f"The labels {', '.join(map(repr, group))} differ only in case, spaces or "
                    "Unicode normalization, and are different classes."
                )
        return bool(names) and not are_ids

    def _metrics(
        self, kind: Kind, names: Sequence[str]
    ) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Return the metrics that the score is the mean of, and the extra metrics.

        By default the score is the first of the kind's default metrics, and the others are extra
        metrics. Returns None where the requested ones are invalid.
        """
        config, default = self.config, kind.default_metrics
        requested = config.metrics or (() if config.metric == "score" else (config.metric,))
        flag = "metrics" if config.metrics else "metric"
        unfit = unfit_metrics(flag, requested, kind, len(names))
        unfit += unfit_metrics("extra_metrics", config.extra_metrics or (), kind, len(names))
        for finding in unfit:
            self.problems.add(finding.message, finding.hint)
        if unfit or not self._agree(requested):
            return None
        scored = requested or default[:1]
        if not requested:
            others = (one for one in metrics_of(kind.name, labels=len(names)) if one not in scored)
            self.problems.remark(
                f"The score is {scored[0]}, the default of kind {kind} (`gluetune train` takes "
                f"--metrics for others: {', '.join(others)})."
            )
        extra = default if config.extra_metrics is None else config.extra_metrics
        return scored, tuple(dict.fromkeys(name for name in extra if name not in scored))

    def _agree(self, names: Sequence[str]) -> bool:
        """Reject a mean of metrics of several better directions or scales, and repeated metrics."""
        sides = {(get_metric(name).greater_is_better, get_metric(name).in_points) for name in names}
        typed = f"--metrics {','.join(names)}"
        if len(sides) > 1:
            self.problems.add(
                f"{typed}: the score is their mean, and they do not have the same better direction "
                "and scale.",
                f"Type: --metrics {names[0]} --extra-metrics {','.join(names[1:])}",
            )
        elif len(set(names)) < len(names):
            self.problems.add(f"{typed}: a metric is named twice.", "Name each once.")
        else:
            return True
        return False

    def _positive(self, kind: Kind, names: Sequence[str], metrics: Sequence[str]) -> str | None:
        """Return the positive class: the requested one, else the rarer one, with a note.

        `metrics` are all reported metrics. None where the task has none, or it is invalid.
        """
        requested = self.config.positive
        of_one = [get_metric(one).title for one in metrics if is_of_one_class(one, len(names))]
        if not of_one:
            if requested is not None:
                self.problems.add(*self._no_positive(kind, names, metrics[0]))
            return None
        if requested is not None and requested not in names:
            quotes = " In YAML write it in quotes." if requested in ("true", "false") else ""
            self.problems.add(
                f"{options(positive=requested)}: there is no such class.",
                f"{nearest(requested, names)}Classes: {', '.join(names)}.{quotes}",
            )
            return None
        what = " and ".join(of_one)
        are = "is" if len(of_one) == 1 else "are"
        return requested or self._rarer(f"{what[0].upper()}{what[1:]} {are}", names)

    def _no_positive(self, kind: Kind, names: Sequence[str], metric: str) -> tuple[str, str]:
        """Return why --positive has no meaning here, and what to type."""
        typed = options(positive=str(self.config.positive))
        of_one = [name for name in metrics_of(kind.name) if is_of_one_class(name, 2)]
        if not of_one or kind.cell == "names":
            return f"{typed}: a task of kind {kind} has no positive class.", "Leave --positive out."
        if len(names) != 2:
            reason = f"there are {len(names)} classes, and a positive class is one of two."
            return f"{typed}: {reason}", "Leave --positive out."
        is_default = not self.config.metrics and self.config.metric == "score"
        default = ", the default score," if is_default else ""
        return (
            f"{typed}: {metric}{default} is of both classes, and {of_one[0]} is of one.",
            f"Type: --metric {of_one[0]} {typed}, or leave --positive out.",
        )

    def _rarer(self, what: str, names: Sequence[str]) -> str:
        """Return the rarer of two classes, the last where they are equally frequent."""
        # A file that declares its classes has their ids.
        keys = list(map(str, range(len(names)))) if self.train.class_names == names else names
        counts = [self._values.get(key, 0) for key in keys]
        rarer = 0 if counts[0] < counts[1] else 1
        is_even = counts[0] == counts[1]
        why = "the last of two equally frequent classes" if is_even else "the rarer class"
        self.problems.remark(
            f"{what} of '{names[rarer]}', {why} ({counts[rarer]:,} of {sum(counts):,} rows). For "
            f"the other: {options(positive=names[1 - rarer])}"
        )
        return names[rarer]


def values_of(rows: RawRows) -> dict[str, int]:
    """Return the different labels of rows and how often each occurs, in order of first use."""
    counts: Counter[str] = Counter()
    for batch in rows.batches("labels"):
        for one in pc.value_counts(batch["labels"].flatten()).to_pylist():
            counts[one["values"]] += one["counts"]
    return dict(counts)


def label_counts(rows: RawRows) -> dict[str, int]:
    """Return the different labels of rows and how often each occurs.

    Where all are whole numbers, 1.0 and 1 are the same label, with the shorter name.
    """
    values = values_of(rows)
    numbers = {value: whole(value) for value in values}
    if None in numbers.values():
        return values
    spellings: dict[str | None, list[str]] = {}
    for value, number in numbers.items():
        spellings.setdefault(number, []).append(value)
    return {min(one, key=len): sum(values[name] for name in one) for one in spellings.values()}


def are_single(labels: pa.Array) -> NDArray[np.bool_]:
    """Return which of a batch's lists hold exactly one label."""
    single: NDArray[np.bool_] = pc.equal(pc.list_value_length(labels), 1).to_numpy(
        zero_copy_only=False
    )
    return single


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
