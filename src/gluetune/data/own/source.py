"""A user's own labelled text as a source: files, or a data set of the Hub as its files.

Its task is a TaskSpec like GLUE's. The configuration determines the rows of each split: the split
depends on its own seed and the file alone. Duplicates, overlap of splits, rare classes and leaking
labels are warned of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gluetune.core.config import DEFAULT_COLUMNS, UNSTATED, FileFormat, TrainConfig
from gluetune.core.errors import ConfigurationError, DataError
from gluetune.core.tasks import TaskSpec
from gluetune.core.text import nearest
from gluetune.data.exclusions import EXCLUDED, read_exclusions
from gluetune.data.formats.format import COMPRESSIONS
from gluetune.data.formats.registry import labelled_endings
from gluetune.data.own.cells import whole
from gluetune.data.own.labels import (
    Labels,
    label_arrays,
    label_column,
    label_counts,
    label_totals,
    resolve_labels,
    usable,
)
from gluetune.data.own.reading import Problems, RawRows, Wanted, from_multi_hot, read_rows
from gluetune.data.sampling import TUNED_SHARE, held_out, joined, other_share
from gluetune.data.tables import (
    canonical_schema,
    contained_in,
    digests,
    first_rows,
    require_split,
    text_keys,
    with_notes,
)
from gluetune.kinds import get_kind
from gluetune.metrics.registry import get_metric

TRAIN, VALIDATION, TEST, TUNING = "train", "validation", "test", "tuning"


@dataclass(frozen=True)
class OwnTask:
    """A task of the user's own, with the canonical tables of its splits."""

    task: TaskSpec
    labels: Labels
    tables: dict[str, pa.Table]
    problems: Problems
    groups: NDArray[np.int32] | None = None
    """For each training row, the first row of its group or with its text; only for `holdout` and
    `folds`."""


class OwnSource:
    """The files, or the data set on the Hub, of a configuration, as a source."""

    def __init__(self, config: TrainConfig, *, task: TaskSpec | None = None) -> None:
        self._config = config
        self._known = task
        self._own: OwnTask | None = None
        self.name: str = _name(config)

    @property
    def own(self) -> OwnTask:
        """The task and its rows, read on first use. Raises DataError."""
        if self._own is None:
            self._own = read_own(self._config, known=self._known)
        return self._own

    @property
    def task(self) -> TaskSpec:
        """The task of the files."""
        return self.own.task

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return the available splits."""
        return tuple(split for split in task.splits if split in self.own.tables)

    def place(self, split: str) -> str:
        """Return the file or data set of `split`."""
        file = self._config.file_of(split)
        return self.name if file is None else str(Path(file).expanduser().resolve())

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split`. Raises DataError with everything wrong in it."""
        require_split(task, split, self.splits(task), place=self.name)
        return self.own.tables[split]


class OwnFile:
    """Another labelled file for a task of the user's own, as a source of a single split."""

    def __init__(
        self,
        config: TrainConfig,
        task: TaskSpec,
        path: Path,
        file_format: FileFormat = UNSTATED,
    ) -> None:
        self._config = config
        self._file_format = format_of_other(config, path, file_format)
        self._path = path
        self._task = task
        self.name: str = str(path.resolve())

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return the split that the file is read as: validation."""
        return task.validation_splits

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the rows of the file for any `split`. Raises DataError."""
        problems = Problems("Fix the file, or remove such rows from it.")
        labels = labels_of(task)
        wanted = replace(_wanted(self._config), file_format=self._file_format, are_fixed=True)
        rows = _read(self._path, wanted, problems)
        kept = None if rows is None else usable(rows, labels, problems, known_from="the model")
        skip = self._config.on_bad_row == "skip"
        problems.raise_any(skip=skip)
        if kept is None or not len(kept):
            raise DataError(f"{self.name} has no usable rows.")
        return with_notes(_canonical(kept, labels, task), problems.notes())


def format_of_other(config: TrainConfig, path: Path, stated: FileFormat) -> FileFormat:
    """Return the format of another file than the run's: what is `stated`, else the run's.

    The run's format applies to files with the same ending as its training file.
    """
    named = config.train_file is not None and Path(config.train_file).suffix == path.suffix
    return stated.over(config.file_format if named else UNSTATED)


def labels_of(task: TaskSpec) -> Labels:
    """Return the labels of a known task."""
    return Labels(task.kind, task.labels, task.metrics, task.extra_metrics, task.positive)


def read_own(
    config: TrainConfig, *, known: TaskSpec | None = None, problems: Problems | None = None
) -> OwnTask:
    """Read and check the files of a configuration.

    Args:
        config: Names the files and their columns.
        known: The task, where its labels are known; inferred from the files otherwise.
        problems: Receives findings and remarks, also where this raises.

    Raises:
        DataError: with every finding in every file.
        ConfigurationError: where a column is given twice.
    """
    problems = problems if problems is not None else Problems()
    wanted = _wanted(config)
    files = _files(config, problems)
    raw = {split: _read(paths, wanted, problems) for split, paths in files.items()}
    raw[TRAIN] = train = _without_excluded(config, raw.get(TRAIN), wanted, problems)
    labels = labels_of(known) if known else None
    if labels is None and train is not None:
        labels = resolve_labels(config, train, problems)
    if labels is not None and train is not None and known is None:
        labels = _without_single(config, labels, train, problems)
    found = {}
    if labels is not None:
        found = _usable_splits(config, labels, raw, problems)
        if TRAIN in found:
            are_weighted = config.class_weights == "balanced"
            add_warnings(found, labels, wanted, problems, are_weighted=are_weighted)
    problems.raise_any(skip=config.on_bad_row == "skip")
    if labels is None or TRAIN not in found:
        raise DataError(f"{_name(config)} has no usable rows.")
    task = known or _task(config, labels, tuple(found))
    tables = {split: _canonical(rows, labels, task) for split, rows in found.items()}
    tables[TRAIN] = with_notes(tables[TRAIN], problems.notes())
    groups = None
    if config.holdout or config.folds:
        groups = _groups(found[TRAIN], with_texts=config.folds is not None)
    return OwnTask(task, labels, tables, problems, groups)


def _read(paths: Path | Sequence[Path], wanted: Wanted, problems: Problems) -> RawRows | None:
    rows = read_rows(paths, wanted, problems)
    if rows is None or len(wanted.labels) > 1:
        return rows
    return from_multi_hot(rows, wanted.labels[0], problems)


def _without_excluded(
    config: TrainConfig, rows: RawRows | None, wanted: Wanted, problems: Problems
) -> RawRows | None:
    """Leave out the training rows that `--exclude` names."""
    exclusions = read_exclusions(config)
    if rows is None or exclusions is None:
        return rows
    texts = {name: rows.table[f"text_{number}"] for number, name in enumerate(wanted.texts)}
    mask = exclusions.mask(rows.table["line"].to_numpy(), texts, rows.name)
    problems.leave_out(rows.name, EXCLUDED, int(mask.sum()))
    return rows.keep(~mask)


def _without_single(
    config: TrainConfig, labels: Labels, train: RawRows, problems: Problems
) -> Labels:
    """Leave out classes with a single row, where the user skips unusable rows."""
    if labels.kind.cell != "name" or config.on_bad_row != "skip" or train.class_names is not None:
        return labels
    counts = label_counts(train)
    names = tuple(name for name in labels.names if counts[name] > 1)
    if len(names) < 2:
        problems.add(
            f"{train.name} has {len(names)} classes with more than one row: there is nothing to "
            "learn."
        )
        return labels
    return replace(labels, names=names)


def _name(config: TrainConfig) -> str:
    if config.train_file is not None:
        return str(Path(config.train_file).expanduser().resolve())
    return str(config.data_set)


def _wanted(config: TrainConfig) -> Wanted:
    texts: tuple[str, ...] = (config.text or DEFAULT_COLUMNS["text"],)
    if config.text_pair is not None:
        texts = (*texts, config.text_pair)
    labels = config.label or (DEFAULT_COLUMNS["label"],)
    twice = [name for name in (*texts, *labels) if (*texts, *labels).count(name) > 1]
    if twice:
        raise ConfigurationError(
            f"The column '{twice[0]}' is given twice.", hint="Give --text and --label one each."
        )
    is_stated = config.kind != "auto"
    are_sets = is_stated and get_kind(config.kind).cell == "names"
    are_sets = are_sets or config.label_separator is not None
    return Wanted(texts, labels, config.group, config.label_separator, are_sets, config.file_format)


def _files(config: TrainConfig, problems: Problems) -> Mapping[str, Sequence[Path]]:
    """Return the files of each split: one, or all shards of a data set on the Hub."""
    if config.data_set is not None:
        return hub_files(config)
    given = {TRAIN: config.train_file, VALIDATION: config.validation_file, TEST: config.test_file}
    files = {
        split: Path(name).expanduser().resolve()
        for split, name in given.items()
        if name is not None
    }
    for split, path in files.items():
        same = [other for other, their in files.items() if their == path and other != split]
        if same and split == TRAIN:
            problems.add(
                f"{path} is given as the {split} file and as the {same[0]} file.",
                "Leave the second out: a part of the training file is then held out.",
            )
    return {split: [path] for split, path in files.items()}


def _usable_splits(
    config: TrainConfig, labels: Labels, raw: dict[str, RawRows | None], problems: Problems
) -> dict[str, RawRows]:
    found = {}
    is_divided = config.folds is not None  # by the canonical table, into folds
    splits_itself = VALIDATION not in raw and not is_divided
    for split, rows in raw.items():
        if rows is not None:
            whose = "" if split == TRAIN else "train"
            found[split] = usable(rows, labels, problems, known_from=whose)
    if splits_itself and TRAIN in found and len(found[TRAIN]):
        parts = _split(config, labels, found[TRAIN], problems)
        found = {
            TRAIN: parts[0],
            VALIDATION: parts[1],
            **{k: v for k, v in found.items() if k != TRAIN},
        }
    if labels.kind.has_thresholds and not is_divided and TRAIN in found and len(found[TRAIN]):
        found |= _tuning_part(config, labels, found[TRAIN])
    for split, rows in found.items():
        if not len(rows):
            problems.add(f"{rows.name}: no rows are left for '{split}'.")
    return {split: rows for split, rows in found.items() if len(rows)}


def _tuning_part(config: TrainConfig, labels: Labels, rows: RawRows) -> dict[str, RawRows]:
    """Split off the rows to tune thresholds on, where there are enough."""
    seed = config.split_seed + 1
    held = held_out(_strata(labels, rows, TUNED_SHARE), _groups(rows), TUNED_SHARE, seed)
    if not held.any():
        return {}
    return {TRAIN: rows.keep(~held), TUNING: rows.keep(held)}


def _split(
    config: TrainConfig, labels: Labels, rows: RawRows, problems: Problems
) -> tuple[RawRows, RawRows]:
    fraction = config.validation_fraction
    strata = _strata(labels, rows, fraction)
    are_bins = labels.kind.strata_are_bins
    groups = _groups(rows)
    held = held_out(strata, groups, fraction, config.split_seed, are_bins=are_bins)
    if not held.any():
        problems.add(
            f"{rows.name}: no rows can be held out for validation: every class has a single "
            f"{'group' if config.group else 'text'}.",
            "Give --validation-file FILE.",
        )
    elif note := other_share(held, fraction, groups, "for validation"):
        problems.remark(note)
    return rows.keep(~held), rows.keep(held)


def _strata(labels: Labels, rows: RawRows, fraction: float) -> NDArray[np.int32]:
    # No more strata than rows to hold out; otherwise none would have a row to hold out.
    bins = max(1, min(10, round(len(rows) * fraction)))
    return labels.kind.strata(lambda: label_arrays(rows, labels), bins)


def _groups(rows: RawRows, *, with_texts: bool = False) -> NDArray[np.int32]:
    """Return for each row the first row of its group, or with the same text.

    `with_texts`: groups that have a text in common are one.
    """
    if "group" not in rows.table.column_names:
        return first_rows(text_keys(rows.texts(), len(rows)))
    found = first_rows(digests((batch["group"] for batch in rows.batches("group")), len(rows)))
    return joined(found, first_rows(text_keys(rows.texts(), len(rows)))) if with_texts else found


def _task(config: TrainConfig, labels: Labels, splits: tuple[str, ...]) -> TaskSpec:
    wanted = _wanted(config)
    label = wanted.labels[0] if len(wanted.labels) == 1 else "labels"
    taken = {*wanted.texts}
    while label in taken:
        label += "_"
    index = "idx"
    while index in {*taken, label}:
        index += "_"
    task = TaskSpec(
        name=config.task,
        title="",
        text_columns=wanted.texts,
        labels=labels.names,
        metrics=labels.metrics,
        extra_metrics=labels.extra_metrics,
        positive=labels.positive,
        kind=labels.kind,
        validation_splits=(VALIDATION,),
        test_splits=(TEST,) if TEST in splits else (),
        label_column=label,
        index_column=index,
        rows={},
    )
    what = labels.kind.described(labels.names)
    scored = f"scored by {' and '.join(map(task.metric_title, labels.metrics))}"
    return replace(task, title=f"{config.task}: own labelled text, {what}, {scored}")


def _canonical(rows: RawRows, labels: Labels, task: TaskSpec) -> pa.Table:
    texts = [rows.table[f"text_{number}"] for number in range(len(task.text_columns))]
    schema = canonical_schema(task)
    columns = [*texts, label_column(rows, labels), rows.table["line"]]
    table = pa.table(
        [
            column if column.type == kind.type else column.cast(kind.type)
            for column, kind in zip(columns, schema, strict=True)
        ],
        schema=schema,
    )
    rows.stored.release()  # creating the table has read the offsets of each batch
    return table


_FOLDERS = ("data", "")
"""Folders of the files of a data set with a single configuration."""
_VALIDATION_NAMES = ("validation", "valid", "dev")


def hub_files(config: TrainConfig) -> Mapping[str, Sequence[Path]]:
    """Download the files of each split of the configuration's data set, in their order.

    Raises DataError for a split that does not exist; and as
    `gluetune.hub.downloads.download_data_files` does.
    """
    from gluetune.hub.downloads import download_data_files

    assert config.data_set is not None, "only a configuration with a data set has such files"
    repository, _, name = config.data_set.partition(":")
    if repository.count("/") != 1:
        raise ConfigurationError(
            f"--data-set {config.data_set}: a data set of the Hub is user/name or user/name:config."
        )
    files = download_data_files(
        repository,
        *([name] if name else _FOLDERS),
        endings=labelled_endings(),
        compressions=tuple(COMPRESSIONS),
        fallback="download it, and type: --train-file FILE",
    )
    wanted = {"train": _hub_split(files, config.train_split or "train", config)}
    validation = config.validation_split or next(
        (split for split in _VALIDATION_NAMES if split in files), None
    )
    if validation is not None:
        wanted["validation"] = _hub_split(files, validation, config)
    return wanted


def _hub_split(
    files: Mapping[str, Sequence[Path]], split: str, config: TrainConfig
) -> Sequence[Path]:
    if split not in files:
        raise DataError(
            f"{config.data_set} has no split '{split}'. Its splits: {', '.join(files)}.",
            hint=nearest(split, files) + "Type: --train-split or --validation-split NAME",
        )
    return files[split]


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
