"""`gluetune.check_files`: check a user's files, and their text lengths for a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pyarrow as pa

from gluetune.core.config import DEFAULT_COLUMNS, FILE_SETTINGS, TrainConfig, flag_of, make_config
from gluetune.core.errors import ConfigurationError, DataError, Finding, GluetuneError
from gluetune.core.keywords import CheckKeywords
from gluetune.core.long_texts import FIELD, LongTexts
from gluetune.core.tables import FieldsInHtml
from gluetune.data.formats.registry import detect
from gluetune.data.own.columns import FirstRows, find_columns, row_in_place_of_names
from gluetune.data.own.reading import Problems
from gluetune.data.own.source import OwnTask, read_own
from gluetune.data.tables import as_file, label_array

if TYPE_CHECKING:
    from datasets import Dataset
    from pandas import DataFrame
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class CheckedFiles(FieldsInHtml):
    """The result of checking the files of a task."""

    findings: tuple[Finding, ...]
    """Problems that would stop training."""
    remarks: tuple[str, ...]
    """Anomalies, and what was inferred from the data."""
    left_out: Mapping[str, Mapping[str, int]]
    """Invalid rows by file and reason; `skip` leaves them out."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Examples by split; empty if there are findings."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Training examples by class or label; empty for numbers."""
    title: str = ""
    """Description of the task."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Settings for the columns that were found; empty if the user names them."""

    @property
    def are_good(self) -> bool:
        """Whether training on the files is possible."""
        return not self.findings


def check_files(
    *files: str | PathLike[str] | DataFrame | Dataset | pa.Table, **settings: Unpack[CheckKeywords]
) -> CheckedFiles:
    """Check labelled text as `train` does, without loading a model.

    Args:
        files: The training file, optionally followed by the validation and the test file: paths,
            pandas DataFrames, datasets.Dataset or pyarrow.Table.
        settings: The fields of TrainConfig on reading files: `text`, `text_pair`, `label`,
            `format`, `delimiter`, `quoting`, `header`, `columns`, `kind`, `label_separator`,
            `group`, `validation_fraction`, `on_bad_row`, … Text and label columns that are not
            named are inferred if they are unambiguous.
            With `model` (and `revision`, `max_length`) its tokenizer counts texts that are too
            long, and unknown tokens, which `train` reports too.

    Raises:
        ConfigurationError: for settings that contradict each other, a number of files other than
            one to three, or a `max_length` above the model's.
        CheckpointError, HubError: for a `model` whose tokenizer cannot be read.

    Problems in the files are returned, not raised.
    """
    if not 1 <= len(files) <= len(FILE_SETTINGS):
        raise ConfigurationError(
            f"{len(files)} files are given: a training file, and at most one validation and one "
            "test file, are needed.",
            hint="Type: gluetune check train.csv [validation.csv [test.csv]]",
        )
    named = {name: as_file(file, name) for name, file in zip(FILE_SETTINGS, files, strict=False)}
    problems = Problems()
    config, found = _with_columns(
        make_config({**named, **settings}, places={name: name for name in settings}), problems
    )
    try:
        own = read_own(config, problems=problems)
    except DataError as error:
        return CheckedFiles(error.findings, tuple(problems.remarks), problems.skipped)
    notes = () if settings.get("model") is None else tuple(_of_model(config, own))
    return CheckedFiles(
        (),
        (*problems.remarks, *notes),
        problems.skipped,
        {split: len(table) for split, table in own.tables.items()},
        _balance(own),
        own.task.title,
        found,
    )


def _with_columns(config: TrainConfig, problems: Problems) -> tuple[TrainConfig, Mapping[str, Any]]:
    """Infer the text and label columns that the user does not name, if they are unambiguous."""
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


def _of_model(config: TrainConfig, own: OwnTask) -> Iterator[str]:
    """Yield remarks on texts that are too long for the model, and on unknown tokens."""
    import torch

    from gluetune.data.encoding import encode, tokenizer_processes, unknown_note
    from gluetune.models.checkpoints import find_checkpoint
    from gluetune.models.tokenizers import check_length, input_limit, load_config, load_tokenizer

    checkpoint = find_checkpoint(
        config.model, revision=config.revision, trust_remote_code=config.trust_remote_code
    )
    described = load_config(checkpoint)
    tokenizer = load_tokenizer(checkpoint, described)
    trusted = checkpoint.trust_remote_code
    limit = input_limit(described, tokenizer, trust_remote_code=trusted)
    check_length(config.max_length, limit, checkpoint.name)
    length = config.max_length or limit
    setattr(tokenizer, FIELD, config.reading if length else None)
    for split, table in own.tables.items():
        found = encode(
            table,
            own.task,
            tokenizer,
            max_length=length,
            outputs=tuple(range(own.task.num_labels)),
            processes=tokenizer_processes(len(table), torch.get_num_threads()),
        )
        if found.truncated:
            yield (
                f"{found.truncated:,} of {len(table):,} texts of {split} "
                f"({found.truncated / len(table):.1%}) are longer than {length} tokens of "
                f"{checkpoint.name}, and are {_READ[config.long_texts]}."
                + ("" if config.reading else _whole(config, own, table, tokenizer, length))
            )
        if note := unknown_note(found, split, checkpoint.name):
            yield note


_READ = {
    "cut": "cut",
    "head-tail": "read at their head and tail",
    "windows": "cut to the windows of --most-windows",
}


def _whole(
    config: TrainConfig,
    own: OwnTask,
    table: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    length: int | None,
) -> str:
    """Return what `--long-texts windows` would read, and at what cost; "" for pairs."""
    from gluetune.data.encoding import encode, special_places

    if len(own.task.text_columns) == 2 or length is None:
        return ""
    found = encode(
        table, own.task, tokenizer, max_length=None, outputs=tuple(range(own.task.num_labels))
    )
    special = special_places(tokenizer)
    reading = LongTexts("windows", config.window_overlap, config.most_windows)
    if reading.overlap >= length - sum(special):
        return ""
    needed = [reading.count(int(size), length, special) for size in found.lengths]
    windows = sum(min(count, reading.most) for count in needed) / len(needed)
    left = sum(count > reading.most for count in needed)
    return (
        f" --long-texts windows reads all but {left:,} of them, in {windows:.1f} windows per text; "
        "--long-texts head-tail their beginning and end at no more cost."
    )
