"""The interface of a source of data, and functions that open one by name or for a run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gluetune.core.config import ALL_ROWS, TrainConfig
from gluetune.core.errors import ConfigurationError, DataError, GluetuneError
from gluetune.core.file_formats import UNSTATED, FileFormat
from gluetune.core.runs import Run
from gluetune.core.tasks import HELD_OUT, OUT_OF_FOLD, TaskSpec
from gluetune.core.text import first_few, nearest
from gluetune.data.exclusions import EXCLUDED, read_exclusions
from gluetune.data.own.problems import counted
from gluetune.data.own.source import TRAIN, TUNING, OwnFile, OwnSource
from gluetune.data.own.stored import BATCH, first_rows, text_keys
from gluetune.data.sampling import (
    fold_numbers,
    fraction_rows,
    hold_out,
    kept_rows,
    renumbered,
    tuning_rows,
)
from gluetune.data.sources import glue_download, glue_parquet
from gluetune.data.sources.glue_parquet import (
    HUB_REPOSITORY,
    SAMPLE,
    SAMPLES,
    HubSource,
    SampleSource,
)
from gluetune.data.tables import fingerprint, notes_of, with_notes

DATA_VARIABLE = "GLUETUNE_DATA"
"""Environment variable that names the source when `--data` does not."""


class Source(Protocol):
    """A source of splits of tasks."""

    name: str
    """The name that is shown and recorded: "sample", "nyu-mll/glue", a folder's absolute path."""

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return the available splits of `task`, in the task's order."""

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split` (see `gluetune.data.tables`).

        Raises DataError when the split does not exist, or with everything wrong in it.
        """


def open_source(data: str | None) -> Source:
    """Return the source that `data` names. Nothing is read yet, except the names in a folder.

    Args:
        data: "sample", "sample:official" (the sample with the leaderboard's number of test rows), a
            folder, "nyu-mll/glue" on the Hub, or the `name` of a source. Default: the value of the
            environment variable GLUETUNE_DATA, else the Hub.

    Raises:
        ConfigurationError: when there is no such source.
        DataError: for a folder in neither the Hub's layout nor that of GLUE's own download.
    """
    if data is not None:
        return _named(data, f"--data {data}")
    from_environment = os.environ.get(DATA_VARIABLE)
    if from_environment:
        return _named(from_environment, f"{DATA_VARIABLE}={from_environment}")
    return HubSource()


def source_of(
    config: TrainConfig, *, recorded: str | None = None, task: TaskSpec | None = None
) -> Source:
    """Return the source of a configuration: GLUE, or the user's own files.

    `recorded` is the source's name in a run's record, `task` the task in that record.
    """
    if config.is_own:
        return OwnSource(config, task=task)
    return open_source(recorded if recorded is not None else config.data)


def place_of(source: Source, splits: Iterable[str]) -> str:
    """Return the place of the rows of some splits for display: files, or the source's name."""
    if not isinstance(source, OwnSource):
        return source.name
    return ", ".join(dict.fromkeys(map(source.place, splits)))


def read_train(source: Source, task: TaskSpec, config: TrainConfig) -> pa.Table:
    """Read the training rows of a source, without those that `config.exclude` names.

    A file of the user's own leaves them out itself, before its rows are divided.
    """
    table = source.read(task, task.train_split or TRAIN)
    exclusions = None if isinstance(source, OwnSource) else read_exclusions(config)
    if exclusions is None:
        return table
    texts = {name: table[name] for name in task.text_columns}
    mask = exclusions.mask(table[task.index_column].to_numpy(), texts, source.name)
    note = f"{source.name}: {counted(EXCLUDED, int(mask.sum()))}; left out."
    return with_notes(kept_rows(table, ~mask), [*notes_of(table), note])


def without_held_out(
    source: Source, train: pa.Table, task: TaskSpec, config: TrainConfig
) -> tuple[pa.Table, pa.Table]:
    """Split the training rows of a source into those that remain and the `config.holdout` part.

    Rows with the same text are not divided; nor are the groups of the user's own text.
    """
    groups = source.own.groups if isinstance(source, OwnSource) else _repeated(train, task)
    return hold_out(train, task, config.holdout, config.rows_seed, groups)


@dataclass(frozen=True)
class Folded:
    """The training rows that a cross-validation uses, with the fold of each."""

    table: pa.Table
    numbers: npt.NDArray[np.int32]
    """From 1 on; the same in every run of the folds."""
    groups: npt.NDArray[np.int32]
    """For each row, the first row of its group or with its text."""

    def parts(self, task: TaskSpec, config: TrainConfig) -> dict[str, npt.NDArray[np.intp]]:
        """Return the rows of each split of the run on one fold, or on all rows.

        Thresholds of several labels are tuned on a part of what is not in the fold. The run on all
        rows needs none: its thresholds are tuned on the predictions of the folds.
        """
        train = self.numbers != config.fold
        parts = {HELD_OUT: ~train} if config.fold != ALL_ROWS else {}
        if parts and task.kind.has_thresholds:
            tuned = np.zeros(len(train), dtype=bool)
            tuned[train] = tuning_rows(
                kept_rows(self.table, train),
                task,
                config.split_seed + 1,
                renumbered(self.groups[train]),
            )
            parts |= {TUNING: tuned} if tuned.any() else {}
            train &= ~tuned
        return {name: np.flatnonzero(mask) for name, mask in {TRAIN: train, **parts}.items()}


def folded(source: Source, task: TaskSpec, config: TrainConfig) -> Folded:
    """Read the training rows of a source, and divide them into the folds of a configuration.

    Raises ConfigurationError where that is impossible, and DataError.
    """
    assert config.folds is not None, "only a cross-validation has folds"
    table = read_train(source, task, config)
    groups = source.own.groups if isinstance(source, OwnSource) else _repeated(table, task)
    if groups is None:
        groups = np.arange(len(table), dtype=np.int32)
    if config.fraction < 1:
        taken = fraction_rows(table, task, config.fraction, config.rows_seed)
        table, groups = kept_rows(table, taken), renumbered(groups[taken])
    numbers = fold_numbers(table, task, config.folds, config.fold_seed, groups)
    return Folded(table, numbers, groups)


def _repeated(train: pa.Table, task: TaskSpec) -> npt.NDArray[np.int32] | None:
    """Return for each row the first row with the same text; None where no text is repeated."""
    texts = train.select(task.text_columns).to_batches(max_chunksize=BATCH)
    first = first_rows(text_keys(texts, len(train)))
    return first if (first != np.arange(len(first))).any() else None


def other_source(
    config: TrainConfig, task: TaskSpec, data: str, file_format: FileFormat = UNSTATED
) -> Source:
    """Return another source for the task of a run; for a task of the user's own, a file."""
    if not config.is_own:
        _refuse_format(file_format)
        return open_source(data)
    path = Path(data).expanduser()
    if not path.is_file() and not path.is_dir():
        raise ConfigurationError(
            f"--data {data}: there is no such file, and '{task.name}' is your own text.",
            hint="Give a file with the same columns.",
        )
    return OwnFile(config, task, path, file_format)


def _refuse_format(file_format: FileFormat) -> None:
    if file_format != UNSTATED:
        raise ConfigurationError(
            "The format of a file is given, but no file of your own text is evaluated.",
            hint="Leave out --format, --delimiter, --quoting, --header and --columns; or for a "
            "run on your own text type: --data FILE",
        )


def evaluation_source(
    run: Run | None, task: TaskSpec, data: str | None, file_format: FileFormat = UNSTATED
) -> Source:
    """Return the source to evaluate a model on: `data`, else that of the run.

    Args:
        run: The run of the model, if it has one.
        task: The task to evaluate.
        data: As in `open_source`, or a file for a task of the user's own.
        file_format: The stated format of that file.
    """
    own = run is not None and run.task == task
    if data is not None and run and own:
        return other_source(run.config, task, data, file_format)
    _refuse_format(file_format)
    if data is not None:
        return open_source(data)
    if run is None or run.record.data is None:
        return open_source(None)
    if not own:
        return open_source(None if run.config.is_own else run.record.data.source)
    return source_of(run.config, recorded=run.record.data.source, task=task)


def _named(data: str, given: str) -> Source:
    if data in SAMPLES:
        return SampleSource(data)
    folder = Path(data).expanduser()
    if folder.is_dir():
        return _folder_source(folder)
    if data == HUB_REPOSITORY:
        return HubSource()
    if folder.is_file():
        raise ConfigurationError(
            f"{given} is a file; a folder of GLUE tasks is needed.",
            hint="For your own labelled text: --train-file FILE --text COLUMN --label COLUMN",
        )
    raise ConfigurationError(
        f"{given}: there is no such folder or data set.",
        hint=f"{nearest(data, _candidates(folder))}"
        f"Type '{SAMPLE}', '{HUB_REPOSITORY}', or the path of a folder.",
    )


def _candidates(folder: Path) -> list[str]:
    """Return the names that may be meant: the named sources, and the folders next to `folder`."""
    try:
        folders = [str(path) for path in folder.parent.iterdir() if path.is_dir()]
    except OSError:
        folders = []
    return [*SAMPLES, HUB_REPOSITORY, *folders]


def _folder_source(folder: Path) -> Source:
    if glue_parquet.is_parquet_folder(folder):
        return glue_parquet.ParquetFolder(folder)
    if glue_download.is_glue_download(folder):
        return glue_download.GlueDownload(folder)
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    has = first_few(names) if names else "nothing"
    raise DataError(
        f"{folder.resolve()} has no GLUE task. It contains: {has}.",
        hint=f"Expected {glue_parquet.EXPECTED};\n  or {glue_download.EXPECTED}.",
    )


def scored_rows(run: Run, task: TaskSpec, split: str) -> pa.Table | str:
    """Return the rows that the run was scored on, or a note why they cannot be shown."""
    data = run.record.data
    if data is None:
        return "The texts are not shown: their source is not in the record."
    try:
        table = _read_scored(run, data.source, task, split)
    except GluetuneError as error:
        return f"The texts are not shown: {error.findings[0].message}"
    if fingerprint(table) != data.fingerprints.get(split):
        place = run.config.file_of(split) or data.source
        return f"The texts are not shown: {place} has changed since the run."
    return table


def _read_scored(run: Run, name: str, task: TaskSpec, split: str) -> pa.Table:
    source = source_of(run.config, recorded=name, task=task)
    if split in (HELD_OUT, OUT_OF_FOLD) and run.config.folds is not None:
        rows = folded(source, task, run.config)
        return (
            rows.table
            if split == OUT_OF_FOLD
            else rows.table.filter(pa.array(rows.numbers == run.config.fold))
        )
    if split != HELD_OUT:
        return source.read(task, split)
    train = read_train(source, task, run.config)
    return without_held_out(source, train, task, run.config)[1]
