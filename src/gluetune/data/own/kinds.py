"""The kind of task and the classes of a user's labels: inferred from the data unless stated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.core.command_lines import options
from gluetune.core.config import TrainConfig
from gluetune.core.settings_files import typed_names
from gluetune.core.text import normalized
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
)
from gluetune.data.own.metrics import resolve_metrics, resolve_positive
from gluetune.data.own.problems import Problems
from gluetune.data.own.reading import RawRows
from gluetune.kinds import MULTI_LABEL, ORDINAL, REGRESSION, SINGLE_LABEL, get_kind
from gluetune.kinds.base import Kind
from gluetune.metrics.registry import get_metric, is_of_one_class

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
