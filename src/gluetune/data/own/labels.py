"""The labels of a user's text: kind, classes and metrics, inferred unless stated, and values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    kind = _kind(config, train, problems)
    if kind is None or not _types_agree(kind, train, problems):
        return None
    names = _names(config, kind, train, problems) if kind.fewest_labels else ()
    if names is None:
        return None
    are_labels = not kind.fewest_labels or _check_names(kind, names, train, problems)
    found = resolve_metrics(config, kind, names, problems)
    if found is None or not are_labels:
        return None
    metrics, extra = found
    positive = _positive(config, kind, names, (*metrics, *extra), train, problems)
    return Labels(kind, names, metrics, extra, positive)


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


def _kind(config: TrainConfig, train: RawRows, problems: Problems) -> Kind | None:
    """Return the stated or inferred kind; None where the labels do not fit or it is unclear."""
    if config.kind == "auto":
        return _inferred(config, train, problems)
    kind = get_kind(config.kind)
    column = ", ".join(config.label or ("label",))
    if kind.cell == "names" and _note_several(column, "", train, problems):
        return None
    return kind


def _inferred(config: TrainConfig, train: RawRows, problems: Problems) -> Kind | None:
    """Infer the kind from the data; None where it is unclear (see `problems`)."""
    column = ", ".join(config.label or ("label",))
    if "list" in train.types:
        problems.remark(f"'{column}' holds several labels an example: kind {MULTI_LABEL}.")
        return MULTI_LABEL
    numbers = None
    if train.class_names is None:
        numbers = numeric_labels(batch["labels"].flatten() for batch in train.batches("labels"))
    if numbers is None:
        as_classes = f"; or --kind {SINGLE_LABEL} for classes"
        return None if _note_several(column, as_classes, train, problems) else SINGLE_LABEL
    kind, different = numbers.kind(), numbers.different
    between = f"{numbers.lowest:g} to {numbers.highest:g}"
    if kind is None:
        problems.add(
            f"'{column}' holds {different} different whole numbers, {between}: they may be ids of "
            "classes, or numbers to predict.",
            f"Type: --kind {SINGLE_LABEL}, or --kind {REGRESSION}",
        )
        return None
    what = f"{different} different whole numbers"
    other = f"--kind {REGRESSION} for regression, --kind {ORDINAL} for ordered classes"
    if kind.cell == "number":
        what = f"{different} different numbers, {between}"
        other = f"--kind {SINGLE_LABEL} for classes"
    problems.remark(f"'{column}' holds {what}: kind {kind} ({other}).")
    return kind


def _note_several(column: str, otherwise: str, train: RawRows, problems: Problems) -> bool:
    """Return whether cells of text have several labels, and add what to type to `problems`.

    `otherwise` is what else the user may type.
    """
    if set(train.types) != {"text"} or train.class_names is not None:
        return False
    cells = values_of(train)
    if have_decimal_commas(cells):
        problems.add(
            f"'{column}' has numbers with a decimal comma, or two labels in a cell, such as "
            f"{next(cell for cell in cells if ',' in cell)!r:.60}.",
            f"Type: --kind {REGRESSION}; or --kind {MULTI_LABEL} --label-separator ,; or --kind "
            f"{SINGLE_LABEL}",
        )
        return True
    if in_lists(cells):
        typed = f"--kind {MULTI_LABEL}"
        example = max(cells, key=lambda cell: len(listed(cell) or ()))
    elif (separator := likely_separator(cells)) is not None:
        typed = f"{options(kind=MULTI_LABEL.name, label_separator=separator)}"
        example = next(cell for cell in cells if separator in cell.strip())
    else:
        return False
    problems.add(
        f"'{column}' has several labels in a cell, such as {example!r:.60}: as classes they would "
        f"be {len(cells):,}, one for each different cell.",
        f"Type: {typed}{otherwise}",
    )
    return True


def _types_agree(kind: Kind, train: RawRows, problems: Problems) -> bool:
    """Reject columns in which 1 and "1" would be one class, and lists where one label is needed."""
    seen = dict(train.types)
    if kind.cell == "number":
        seen = {name: line for name, line in seen.items() if name not in ("whole number", "number")}
        wrong: list[CellType] = [name for name in ("list", "true or false") if name in seen]
        for name in wrong:
            problems.add(f"{train.place(seen[name])}: the label is {name}, not a number.")
        return not wrong
    if kind.cell == "name" and "list" in seen:
        problems.add(
            f"{train.place(seen['list'])}: the label is a list, and --kind is {kind}.",
            f"Type: --kind {MULTI_LABEL}",
        )
        return False
    both_numbers = set(seen) == {"whole number", "number"}
    if both_numbers and all(whole(value) is not None for value in values_of(train)):
        return True
    if len(seen) > 1:
        types = " and ".join(f"{name} ({train.place(line)})" for name, line in seen.items())
        problems.add(
            f"The labels of {train.name} are of several types: {types}.",
            "Write all of them as text, or all as numbers.",
        )
        return False
    return True


def _names(
    config: TrainConfig, kind: Kind, train: RawRows, problems: Problems
) -> tuple[str, ...] | None:
    """Return the names of classes or labels by id; None where their order is not known."""
    if kind.cell == "names" and config.label is not None and len(config.label) > 1:
        return config.label
    values = label_counts(train)
    declared = train.class_names
    if declared is not None and kind.cell == "name":
        return declared
    # Python does not parse whole numbers of thousands of digits; as_number rejects them.
    numbers = {one: whole(one) if as_number(one) is not None else None for one in values}
    are_whole = None not in numbers.values()
    if kind.label_order_names_classes:
        if config.label_order is not None:
            return _in_order(config.label_order, values, train, problems)
        if not are_whole:
            problems.add(
                f"The labels of {train.name} are not all whole numbers, so their order is not "
                f"known: {', '.join(sorted(values)[:_LISTED])}.",
                f"Type: --kind {kind} --label-order LOWEST,…,HIGHEST",
            )
            return None
    return tuple(sorted(values, key=lambda one: (int(numbers[one] or 0) if are_whole else 0, one)))


def _in_order(
    order: tuple[str, ...], values: Mapping[str, int], train: RawRows, problems: Problems
) -> tuple[str, ...] | None:
    """Return the classes in the order of `--label-order`; None where it lacks one."""
    missing = [name for name in values if name not in order]
    if not missing:
        return order
    problems.add(
        f"--label-order {typed_names(order)} lacks {len(missing)} of the labels of {train.name}: "
        f"{', '.join(missing[:_LISTED])}.",
        "Name every label once, from the lowest to the highest.",
    )
    return None


def _check_names(kind: Kind, names: Sequence[str], train: RawRows, problems: Problems) -> bool:
    """Return whether names of classes or labels can be used; add problems with them."""
    rows = len(train)
    if len(names) < kind.fewest_labels:
        only = f"only '{names[0]}'" if names else "none"
        problems.add(f"{train.name} has {only} as a label: there is nothing to learn.")
    are_ids = len(names) > MOST_CLASSES or (rows >= 50 and len(names) > rows / 2)
    if are_ids:
        problems.add(
            f"{train.name} has {len(names):,} different labels in {rows:,} rows: they look like "
            "text or ids.",
            "Name the column of the label: --label COLUMN",
        )
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(normalized(name), []).append(name)
    for group in alike.values():
        if len(group) > 1:
            listed = ", ".join(repr(name) for name in group)
            problems.remark(
                f"The labels {listed} differ only in case, spaces or Unicode normalization, and "
                "are different classes."
            )
    return bool(names) and not are_ids


def _positive(
    config: TrainConfig,
    kind: Kind,
    names: Sequence[str],
    metrics: Sequence[str],
    train: RawRows,
    problems: Problems,
) -> str | None:
    """Return the positive class: the requested one, else the rarer one, with a note."""
    if not resolve_positive(config, kind, names, metrics, problems):
        return None
    of_one = [get_metric(name) for name in metrics if is_of_one_class(name, len(names))]
    what = " and ".join(metric.title for metric in of_one)
    what = f"{what[0].upper()}{what[1:]} {'is' if len(of_one) == 1 else 'are'}"
    return config.positive or _rarer(what, names, train, problems)


def _rarer(what: str, names: Sequence[str], train: RawRows, problems: Problems) -> str:
    """Return the rarer of two classes, the last where they are equally frequent."""
    found = values_of(train)
    # A file that declares its classes has their ids.
    keys = list(map(str, range(len(names)))) if train.class_names == names else names
    counts = [found.get(key, 0) for key in keys]
    rarer = 0 if counts[0] < counts[1] else 1
    why = (
        "the rarer class" if counts[0] != counts[1] else "the last of two equally frequent classes"
    )
    problems.remark(
        f"{what} of '{names[rarer]}', {why} ({counts[rarer]:,} of {sum(counts):,} rows). For the "
        f"other: {options(positive=names[1 - rarer])}"
    )
    return names[rarer]


def resolve_metrics(
    config: TrainConfig, kind: Kind, names: Sequence[str], problems: Problems
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the metrics that the score is the mean of, and the extra metrics.

    By default the score is the first of the kind's default metrics, and the others are extra
    metrics. Returns None where the requested ones are invalid (see `problems`).
    """
    known, default = metrics_of(kind.name, labels=len(names)), kind.default_metrics
    requested = config.metrics or (() if config.metric == "score" else (config.metric,))
    flag = "metrics" if config.metrics else "metric"
    unfit = unfit_metrics(flag, requested, kind, len(names))
    unfit += unfit_metrics("extra_metrics", config.extra_metrics or (), kind, len(names))
    for finding in unfit:
        problems.add(finding.message, finding.hint)
    if unfit or not _agree(requested, problems):
        return None
    scored = requested or default[:1]
    if not requested:
        problems.remark(
            f"The score is {scored[0]}, the default of kind {kind} (`gluetune train` takes "
            f"--metrics for others: {', '.join(name for name in known if name not in scored)})."
        )
    extra = default if config.extra_metrics is None else config.extra_metrics
    return scored, tuple(dict.fromkeys(name for name in extra if name not in scored))


def _agree(names: Sequence[str], problems: Problems) -> bool:
    """Reject a mean of metrics with different better directions or scales, and repeated metrics."""
    sides = {(get_metric(name).greater_is_better, get_metric(name).in_points) for name in names}
    if len(sides) < 2 and len(set(names)) == len(names):
        return True
    if len(sides) < 2:
        problems.add(f"--metrics {','.join(names)}: a metric is named twice.", "Name each once.")
        return False
    problems.add(
        f"--metrics {','.join(names)}: the score is their mean, and they do not have the same "
        "better direction and scale.",
        f"Type: --metrics {names[0]} --extra-metrics {','.join(names[1:])}",
    )
    return False


def resolve_positive(
    config: TrainConfig,
    kind: Kind,
    names: Sequence[str],
    metrics: Sequence[str],
    problems: Problems,
) -> bool | None:
    """Return whether the task has a positive class; None where the requested one is invalid.

    `metrics` are all reported metrics.
    """
    requested = config.positive
    if not any(is_of_one_class(name, len(names)) for name in metrics):
        if requested is None:
            return False
        problems.add(*_no_positive(config, kind, names, metrics[0]))
        return None
    if requested is None or requested in names:
        return True
    quotes = " In YAML write it in quotes." if requested in ("true", "false") else ""
    problems.add(
        f"{options(positive=requested)}: there is no such class.",
        f"{nearest(requested, names)}Classes: {', '.join(names)}.{quotes}",
    )
    return None


def _no_positive(
    config: TrainConfig, kind: Kind, names: Sequence[str], metric: str
) -> tuple[str, str]:
    """Return why --positive has no meaning here, and what to type."""
    typed = f"{options(positive=str(config.positive))}"
    of_one = [name for name in metrics_of(kind.name) if is_of_one_class(name, 2)]
    if not of_one or kind.cell == "names":
        return f"{typed}: a task of kind {kind} has no positive class.", "Leave --positive out."
    if len(names) != 2:
        reason = f"there are {len(names)} classes, and a positive class is one of two."
        return f"{typed}: {reason}", "Leave --positive out."
    default = ", the default score," if not config.metrics and config.metric == "score" else ""
    return (
        f"{typed}: {metric}{default} is of both classes, and {of_one[0]} is of one.",
        f"Type: --metric {of_one[0]} {typed}, or leave --positive out.",
    )


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
