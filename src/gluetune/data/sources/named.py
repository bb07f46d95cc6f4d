"""Where a task's splits come from: what every source offers, and the choice of one by name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gluetune.core.config import TrainConfig
from gluetune.core.errors import ConfigurationError, DataError, GluetuneError
from gluetune.core.file_formats import UNSTATED, FileFormat
from gluetune.core.runs import Run
from gluetune.core.tasks import HELD_OUT, TaskSpec
from gluetune.core.text import first_few, nearest
from gluetune.data.own.source import OwnFile, OwnSource
from gluetune.data.own.stored import BATCH, first_rows, text_keys
from gluetune.data.sampling import hold_out
from gluetune.data.sources import glue_download, glue_parquet
from gluetune.data.sources.glue_parquet import (
    HUB_REPOSITORY,
    SAMPLE,
    SAMPLES,
    HubSource,
    SampleSource,
)
from gluetune.data.tables import fingerprint

DATA_VARIABLE = "GLUETUNE_DATA"
"""Environment variable that names the source when `--data` does not."""


class Source(Protocol):
    """A place that holds splits of the tasks."""

    name: str
    """What is shown and recorded: "sample", "nyu-mll/glue", or a folder's absolute path."""

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return the splits of `task` that can be read here, in the task's order."""

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split` (see `gluetune.data.tables`).

        Raises DataError when the split is not there, or with all that is wrong in it.
        """


def open_source(data: str | None) -> Source:
    """Return the source that `data` names: "sample", a folder, or "nyu-mll/glue" on the Hub.

    "sample:official" is the sample with the leaderboard's number of test rows.

    None means the source that the environment variable GLUETUNE_DATA names, or else the Hub.
    A source's own `name` opens it again. Nothing is read yet, except the names in a folder.

    Raises ConfigurationError when there is no such source, and DataError when a folder is in
    neither the Hub's layout nor that of GLUE's own download.
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
    """Return the source of a configuration: GLUE's, or the user's own files.

    `recorded` is its name in a run's record, `task` the task in that record.
    """
    if config.is_own:
        return OwnSource(config, task=task)
    return open_source(recorded if recorded is not None else config.data)


def place_of(source: Source, splits: Iterable[str]) -> str:
    """Return what is shown as the place of the rows of some splits: a file, or the source."""
    if not isinstance(source, OwnSource):
        return source.name
    return ", ".join(dict.fromkeys(map(source.place, splits)))


def without_held_out(
    source: Source, train: pa.Table, task: TaskSpec, config: TrainConfig
) -> tuple[pa.Table, pa.Table]:
    """Return the training rows of a source that stay, and the part that `config.holdout` takes.

    Rows of one text stay on one side; of the user's own text, where there are groups, those of one.
    """
    groups = source.own.groups if isinstance(source, OwnSource) else _repeated(train, task)
    return hold_out(train, task, config.holdout, config.rows_seed, groups)


def _repeated(train: pa.Table, task: TaskSpec) -> npt.NDArray[np.int32] | None:
    """Return the first row with each row's text; None where no text occurs twice."""
    texts = train.select(task.text_columns).to_batches(max_chunksize=BATCH)
    first = first_rows(text_keys(texts, len(train)))
    return first if (first != np.arange(len(first))).any() else None


def other_source(
    config: TrainConfig, task: TaskSpec, data: str, file_format: FileFormat = UNSTATED
) -> Source:
    """Return another source for the task of a run: for a task of the user's own, a file."""
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
            "The format of a file is given, and no file of your own text is evaluated.",
            hint="Leave out --format, --delimiter, --quoting, --header and --columns; or for a "
            "run on your own text type: --data FILE",
        )


def evaluation_source(
    run: Run | None, task: TaskSpec, data: str | None, file_format: FileFormat = UNSTATED
) -> Source:
    """Return the data to run a model on: a run's own, unless others or another task are named.

    `file_format` is the stated format of a file that `data` names.
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
            f"{given}: this is a file, and a folder of GLUE tasks is needed.",
            hint="For your own labelled text: --train-file FILE --text COLUMN --label COLUMN",
        )
    raise ConfigurationError(
        f"{given}: there is no such folder, and no data of that name.",
        hint=f"{nearest(data, _candidates(folder))}"
        f"Type '{SAMPLE}', '{HUB_REPOSITORY}', or the path of a folder.",
    )


def _candidates(folder: Path) -> list[str]:
    """Return what could have been meant: the named sources, and the folders next to `folder`."""
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
        f"{folder.resolve()} holds no GLUE task. It has: {has}.",
        hint=f"Expected {glue_parquet.EXPECTED};\n  or {glue_download.EXPECTED}.",
    )


def scored_rows(run: Run, task: TaskSpec, split: str) -> pa.Table | str:
    """Return the rows that the run was scored on, or the reason why they cannot be shown."""
    data = run.record.data
    if data is None:
        return "The texts are not shown: the record does not say where they are."
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
    if split != HELD_OUT:
        return source.read(task, split)
    train = source.read(task, task.train_split or "train")
    return without_held_out(source, train, task, run.config)[1]
