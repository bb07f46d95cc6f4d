"""Everything that training reports about a user's files before it loads a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gluetune.core.config import DEFAULT_COLUMNS, FILE_SETTINGS, TrainConfig, flag_of
from gluetune.core.config_checks import make_config
from gluetune.core.errors import ConfigurationError, DataError, Finding, GluetuneError
from gluetune.data.formats.detection import detect
from gluetune.data.own.columns import FirstRows, find_columns, row_in_place_of_names
from gluetune.data.own.problems import Problems
from gluetune.data.own.source import OwnTask, read_own
from gluetune.data.own.stored import as_file
from gluetune.data.tables import label_array


@dataclass(frozen=True)
class CheckedFiles:
    """What was found in the files of a task."""

    findings: tuple[Finding, ...]
    """What would stop training; empty where nothing would."""
    remarks: tuple[str, ...]
    """What is unusual, and what was decided."""
    left_out: Mapping[str, Mapping[str, int]]
    """Rows that cannot be used, by file and reason: with `skip` they are left out."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Examples by split; empty where there are findings."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Training examples by class or label; empty for numbers."""
    title: str = ""
    """What the task is."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Settings that name the columns which were found; empty where the user names them."""

    @property
    def are_good(self) -> bool:
        """Whether one can train on the files."""
        return not self.findings


def check_files(
    *files: Any,
    further: Callable[[TrainConfig, OwnTask], Iterable[str]] = lambda config, own: (),
    **settings: Any,
) -> CheckedFiles:
    """Check labelled text as `gluetune.check_files` does; `further` adds remarks on good files."""
    if not 1 <= len(files) <= len(FILE_SETTINGS):
        raise ConfigurationError(
            f"{len(files)} files are given: one to train on, and at most one each to validate and "
            "to test on.",
            hint="Type: gluetune check train.csv [validation.csv [test.csv]]",
        )
    named = {
        name: as_file(str(file) if isinstance(file, Path) else file, name)
        for name, file in zip(FILE_SETTINGS, files, strict=False)
    }
    problems = Problems()
    config, found = _with_columns(
        make_config({**named, **settings}, places={name: name for name in settings}), problems
    )
    try:
        own = read_own(config, problems=problems)
    except DataError as error:
        return CheckedFiles(error.findings, tuple(problems.remarks), problems.skipped)
    return CheckedFiles(
        (),
        (*problems.remarks, *further(config, own)),
        problems.skipped,
        {split: len(table) for split, table in own.tables.items()},
        _balance(own),
        own.task.title,
        found,
    )


def _with_columns(config: TrainConfig, problems: Problems) -> tuple[TrainConfig, Mapping[str, Any]]:
    """Name the columns of text and label that the user does not, where they are unambiguous."""
    assert config.train_file is not None, "files are checked"
    if config.text is not None and config.label is not None:
        return config, {}
    path = Path(config.train_file).expanduser().resolve()
    try:
        first = FirstRows.of(path, detect(path, config.file_format))
    except GluetuneError:
        return config, {}  # reading it reports the error again
    if config.file_format.header is None and row_in_place_of_names(first):
        return config, {}
    found = {
        name: column
        for name, column in find_columns(first).settings().items()
        if getattr(config, name) is None and column != DEFAULT_COLUMNS.get(name)
    }
    if config.text is not None:
        found.pop("text_pair", None)
    for name, column in found.items():
        problems.remark(f"{path}: column '{column}' is used as {flag_of(name)}.")
    settings = {name: (each,) if name == "label" else each for name, each in found.items()}
    return make_config({**config.model_dump(exclude_unset=True), **settings}), settings


def _balance(own: OwnTask) -> dict[str, int]:
    if not own.task.labels:
        return {}
    counts = np.zeros(own.task.num_labels, dtype=np.int64)
    for batch in own.tables["train"].select([own.task.label_column]).to_batches():
        labels = label_array(pa.Table.from_batches([batch]), own.task)
        counts += own.task.kind.counts(labels, own.task.num_labels)
    return {name: int(count) for name, count in zip(own.task.labels, counts, strict=True)}
