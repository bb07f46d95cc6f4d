"""What a user's labels are: classes, numbers, or sets of labels; told by the data unless stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc

from gluetune.config import TrainConfig
from gluetune.data.findings import nearest
from gluetune.data.own.cells import WHOLE, CellType, as_number
from gluetune.data.own.problems import Problems
from gluetune.data.own.reading import RawRows

if TYPE_CHECKING:
    from gluetune.tasks import MetricName

ResolvedKind = Literal["classes", "number", "labels"]

MOST_WHOLE = 20
"""Different whole numbers up to which they are taken for classes: stars, not prices."""
MOST_CLASSES = 1000
_DEFAULT_METRICS: Mapping[ResolvedKind, tuple[MetricName, ...]] = {
    "classes": ("accuracy", "f1_macro", "matthews_correlation"),
    "number": ("pearson", "spearman"),
    "labels": ("f1_micro", "f1_macro", "exact_match"),
}
"""Metrics of a kind; the first is the score unless another is asked for."""


@dataclass(frozen=True)
class Labels:
    """What the labels of a task are."""

    kind: ResolvedKind
    names: tuple[str, ...]
    """Classes or labels by id; empty for numbers."""
    metric: MetricName
    beside: tuple[MetricName, ...]


def resolve_labels(config: TrainConfig, train: RawRows, problems: Problems) -> Labels | None:
    """Return what the labels of the training rows are; None where `problems` say why not.

    The classes are those of the training rows as the user wrote them: whole numbers in their order,
    anything else in that of the characters; or as the file declares them.
    """
    kind = config.kind if config.kind != "auto" else _told(config, train, problems)
    if not _types_agree(kind, train, problems):
        return None
    names = () if kind == "number" else _names(config, kind, train)
    _check_names(kind, names, train, problems)
    metrics = _metrics(config, kind, names, problems)
    if metrics is None:
        return None
    return Labels(kind, names, metrics[0], metrics[1:])


def values_of(rows: RawRows) -> dict[str, int]:
    """Return the different labels of rows and how often each occurs."""
    counts = pc.value_counts(rows.table["labels"].combine_chunks().flatten())
    return {one["values"]: one["counts"] for one in counts.to_pylist()}


def is_single(rows: RawRows) -> pa.Array:
    """Return which rows have exactly one label."""
    return pc.equal(pc.list_value_length(rows.table["labels"].combine_chunks()), 1)


def _told(config: TrainConfig, train: RawRows, problems: Problems) -> ResolvedKind:
    column = ", ".join(config.label or ("label",))
    if "list" in train.types:
        problems.remark(f"'{column}' holds several labels an example: kind labels.")
        return "labels"
    values = list(values_of(train))
    if train.class_names is not None or any(as_number(value) is None for value in values):
        return "classes"
    if any(
        len(value.lstrip("+-")) > 1
        and value.lstrip("+-").isdecimal()
        and not WHOLE.fullmatch(value)
        for value in values
    ):
        return "classes"  # 007 is a name
    numbers = [number for value in values if (number := as_number(value)) is not None]
    if any(number != int(number) for number in numbers) or len(numbers) > MOST_WHOLE:
        problems.remark(
            f"'{column}' holds {len(values)} different numbers, {min(numbers):g} to "
            f"{max(numbers):g}: kind number (--kind classes for classes)."
        )
        return "number"
    problems.remark(
        f"'{column}' holds {len(values)} different whole numbers: kind classes (--kind number for "
        "regression)."
    )
    return "classes"


def _types_agree(kind: ResolvedKind, train: RawRows, problems: Problems) -> bool:
    """Refuse columns in which 1 and "1" would be one class, and lists where one label belongs."""
    seen = dict(train.types)
    if kind == "number":
        seen = {name: line for name, line in seen.items() if name not in ("whole number", "number")}
        wrong: list[CellType] = [name for name in ("list", "true or false") if name in seen]
        for name in wrong:
            problems.add(f"{train.place(seen[name])}: the label is {name}, no number.")
        return not wrong
    if kind == "classes" and "list" in seen:
        problems.add(
            f"{train.place(seen['list'])}: the label is a list, and --kind is classes.",
            "Type: --kind labels",
        )
        return False
    if len(seen) > 1:
        told = " and ".join(f"{name} ({train.place(line)})" for name, line in seen.items())
        problems.add(
            f"The labels of {train.name} are of several types: {told}.",
            "Write all of them as text, or all as numbers.",
        )
        return False
    return True


def _names(config: TrainConfig, kind: ResolvedKind, train: RawRows) -> tuple[str, ...]:
    if kind == "labels" and config.label is not None and len(config.label) > 1:
        return config.label
    values = values_of(train)
    declared = train.class_names
    if declared is not None and kind == "classes":
        return declared
    return tuple(sorted(values, key=_order(values)))


def _order(values: Mapping[str, int]) -> _Key:
    return _Key(all(WHOLE.fullmatch(value) for value in values))


@dataclass(frozen=True)
class _Key:
    """Orders whole numbers by their value, and other names by their characters."""

    whole: bool

    def __call__(self, name: str) -> tuple[int, str]:
        return (int(name) if self.whole else 0, name)


def _check_names(
    kind: ResolvedKind, names: Sequence[str], train: RawRows, problems: Problems
) -> None:
    rows = len(train.table)
    if kind == "number":
        return
    if len(names) < 2 - (kind == "labels"):
        only = f"only '{names[0]}'" if names else "none"
        problems.add(f"{train.name} has {only} as a label: there is nothing to tell apart.")
    if len(names) > MOST_CLASSES or (rows >= 50 and len(names) > rows / 2):
        problems.add(
            f"{train.name} has {len(names):,} different labels in {rows:,} rows: they look like "
            "text or ids.",
            "Say which column holds the label: --label COLUMN",
        )
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(" ".join(name.lower().split()), []).append(name)
    for group in alike.values():
        if len(group) > 1:
            listed = ", ".join(repr(name) for name in group)
            problems.remark(f"The labels {listed} differ in case or spaces only, and are classes.")


def _metrics(
    config: TrainConfig, kind: ResolvedKind, names: Sequence[str], problems: Problems
) -> tuple[MetricName, ...] | None:
    known = _DEFAULT_METRICS[kind]
    if kind == "classes" and len(names) == 2:
        known = (*known, "f1")
    if config.metric == "score":
        problems.remark(
            f"The score is {known[0]}, the default of kind {kind} (--metric for another: "
            f"{', '.join(known[1:])})."
        )
        return _DEFAULT_METRICS[kind]
    for name in known:
        if name == config.metric:
            return (name, *(other for other in _DEFAULT_METRICS[kind] if other != name))
    problems.add(
        f"--metric {config.metric}: a task of kind {kind} has no such metric.",
        f"{nearest(config.metric, known)}Metrics: {', '.join(known)}"
        + ("." if kind != "classes" or len(names) == 2 else "; f1 is for two classes."),
    )
    return None
