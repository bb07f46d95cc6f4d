"""Sources of data, opened by name or for a run; GLUE as Parquet: a folder, the Hub, the sample.

In the layout of `nyu-mll/glue`, a split has one or more files:
`<folder>/<hub_config>/<split>.parquet`, `<split>-00000-of-0000N.parquet`, or
`<split>/<any>.parquet`.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from gluetune.core.config import ALL_ROWS, UNSTATED, FileFormat, TrainConfig
from gluetune.core.errors import ConfigurationError, DataError, GluetuneError
from gluetune.core.records import DataRecord
from gluetune.core.runs import Run
from gluetune.core.tasks import HELD_OUT, OUT_OF_FOLD, TASKS, TaskSpec
from gluetune.core.text import first_few, nearest
from gluetune.data.exclusions import EXCLUDED, read_exclusions
from gluetune.data.glue_download import EXPECTED as EXPECTED_DOWNLOAD
from gluetune.data.glue_download import GlueDownload
from gluetune.data.own.reading import counted
from gluetune.data.own.source import TRAIN, TUNING, OwnFile, OwnSource
from gluetune.data.sampling import (
    fold_numbers,
    fraction_rows,
    hold_out,
    kept_rows,
    renumbered,
    tuning_rows,
)
from gluetune.data.tables import (
    BATCH,
    canonical_table,
    fingerprint,
    first_rows,
    notes_of,
    require_split,
    text_keys,
    with_notes,
)

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
    groups = source.own.groups if isinstance(source, OwnSource) else _same_texts(train, task)
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
    groups = source.own.groups if isinstance(source, OwnSource) else _same_texts(table, task)
    if groups is None:
        groups = np.arange(len(table), dtype=np.int32)
    if config.fraction < 1:
        taken = fraction_rows(table, task, config.fraction, config.rows_seed)
        table, groups = kept_rows(table, taken), renumbered(groups[taken])
    numbers = fold_numbers(table, task, config.folds, config.fold_seed, groups)
    return Folded(table, numbers, groups)


def _same_texts(train: pa.Table, task: TaskSpec) -> npt.NDArray[np.int32] | None:
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
    layouts: tuple[Source, ...] = (ParquetFolder(folder), GlueDownload(folder))
    for source in layouts:
        if any(source.splits(task) for task in TASKS.values()):
            return source
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    has = first_few(names) if names else "nothing"
    raise DataError(
        f"{folder.resolve()} has no GLUE task. It contains: {has}.",
        hint=f"Expected {EXPECTED};\n  or {EXPECTED_DOWNLOAD}.",
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
        if split == OUT_OF_FOLD:
            return rows.table
        return rows.table.filter(pa.array(rows.numbers == run.config.fold))
    if split != HELD_OUT:
        return source.read(task, split)
    train = read_train(source, task, run.config)
    return without_held_out(source, train, task, run.config)[1]


EXPECTED = "<task>/<split>.parquet (cola/train.parquet), also in shards or in a folder a split"
"""The layout, for the error about a folder of unknown layout."""

_SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")


class ParquetFolder:
    """A folder in the Hub's layout, as a source."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.name: str = str(self._folder)

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return the splits of `task` that have a file here, in the task's order."""
        return tuple(split for split in task.splits if self._shards(task, split))

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split`. Raises DataError with everything wrong in it."""
        place = self._folder / task.hub_config
        require_split(task, split, self.splits(task), place=str(place))
        return read_shards(self._shards(task, split), task, split)

    def _shards(self, task: TaskSpec, split: str) -> list[Path]:
        folder = self._folder / task.hub_config
        single = folder / f"{split}.parquet"
        if single.is_file():
            return [single]
        numbered = sorted(folder.glob(f"{split}-*-of-*.parquet"))
        matching = [path for path in numbered if _SHARD.fullmatch(path.stem)]
        return matching or sorted((folder / split).glob("*.parquet"))


def read_shards(paths: Sequence[Path], task: TaskSpec, split: str) -> pa.Table:
    """Return the canonical table of `split`, with the rows of `paths` in their order.

    Raises DataError when a shard is missing or unreadable, and for everything wrong in the rows.
    """
    _require_every_shard(paths)
    shards = [_read(path) for path in paths]
    ends = list(accumulate(shard.num_rows for shard in shards))

    def locate(row: int) -> str:
        shard = bisect_right(ends, row)
        start = ends[shard - 1] if shard else 0
        return f"{paths[shard]}, row {row - start + 1}"

    place = str(paths[0]) if len(paths) == 1 else str(paths[0].parent)
    return canonical_table(_concatenated(shards, paths), task, split, place=place, locate=locate)


def _require_every_shard(paths: Sequence[Path]) -> None:
    matches = [match for path in paths if (match := _SHARD.fullmatch(path.stem))]
    if not matches:
        return
    count = int(matches[0]["count"])
    missing = sorted(set(range(count)) - {int(match["number"]) for match in matches})
    if len(matches) != count or missing:
        numbers = ", ".join(f"{number:05d}" for number in missing) or "none"
        raise DataError(
            f"{paths[0].parent} has {len(matches)} shards of '{matches[0]['split']}', which are "
            f"numbered -of-{count:05d}. Missing: {numbers}.",
            hint="Download the split again, or remove shards of another version.",
        )


def _read(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {error}", hint="Copy or download it again."
        ) from error


def _concatenated(shards: Sequence[pa.Table], paths: Sequence[Path]) -> pa.Table:
    try:
        table = pa.concat_tables(shards, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(
            f"The shards in {paths[0].parent} have different columns: {error}"
        ) from error
    return table.replace_schema_metadata(shards[0].schema.metadata)


# The Hub ------------------------------------------------------------------------------------------

HUB_REPOSITORY = "nyu-mll/glue"
"""The data set on the Hub. (`glue` can no longer be loaded.)"""


class HubSource:
    """`nyu-mll/glue` on the Hub, as a source; a task is downloaded on first use."""

    def __init__(self) -> None:
        self.name = HUB_REPOSITORY
        self._downloaded: dict[str, dict[str, list[Path]]] = {}

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return the splits of `task` on the Hub. Raises HubError when it cannot be reached."""
        files = self._files(task)
        return tuple(split for split in task.splits if split in files)

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split`. Raises HubError and DataError."""
        require_split(task, split, self.splits(task), place=self.name)
        return read_shards(self._files(task)[split], task, split)

    def _files(self, task: TaskSpec) -> dict[str, list[Path]]:
        from gluetune.hub.downloads import download_data_files

        if task.hub_config not in self._downloaded:
            self._downloaded[task.hub_config] = download_data_files(HUB_REPOSITORY, task.hub_config)
        return self._downloaded[task.hub_config]


VALIDATION_FINGERPRINTS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("cola", "validation"): "8970331cc960466836de3471953f39984a5d83c1204c96f338da98f0e4e98780",
        ("sst2", "validation"): "e91f5f554cd5bd142045ba14e92dfc9a6f5736447ff8aba7069a0364a3c98f5c",
        ("mrpc", "validation"): "e502a338e09b793afdb3c58d0bd926a0186d9aafad95209dda2aa9efed69d3cf",
        ("stsb", "validation"): "11550293cfd4caf08dd307cae4ae2f044c19d47e38b1f41edf233a276ac36248",
        (
            "mnli",
            "validation_matched",
        ): "57d61f477f988142aeb804f6f1d3527c388b5733b7532b4b137e8d30b0a22ed3",
        (
            "mnli",
            "validation_mismatched",
        ): "0a36f868e60e033cc471ae745d4667960910701cb798a6f3c6a8c27ce3b56a8d",
        ("qnli", "validation"): "1998deed912fb912b4232b7f4283d1987a68eb179a075a92e1ab680aace56c5c",
        ("rte", "validation"): "b15c8df10d49a42d10dd543274ae32416d4b1b0837e076f73a23520b7be81f02",
        ("wnli", "validation"): "dfd3715e4ac8e3a81075a3a9bc273208f7382638bf298f2d5c05c5cde3f67c6a",
    }
)
"""SHA-256 of the rows, by configuration of `nyu-mll/glue` and split."""


def is_glue(data: DataRecord, task: TaskSpec) -> bool:
    """Whether a run was validated on GLUE's own rows, known by their source or fingerprints."""
    if data.source == HUB_REPOSITORY:
        return True
    return all(
        VALIDATION_FINGERPRINTS.get((task.hub_config, split)) == data.fingerprints.get(split, "")
        for split in task.validation_splits
    )


# The sample: a small synthetic data set in GLUE's schema, written by `tools/sample` ---------------

SAMPLE = "sample"
"""Name of the sample."""

OFFICIAL_SAMPLE = "sample:official"
"""Name of the sample with the leaderboard's number of test rows, which a submission needs."""
SAMPLES = (SAMPLE, OFFICIAL_SAMPLE)

SAMPLE_FOLDER = Path(__file__).parent / "sample_data"
"""The sample's files in the package: `<hub_config>/<split>.parquet`."""

OFFICIAL_FOLDER = SAMPLE_FOLDER / "official"
"""Test splits of OFFICIAL_SAMPLE, without repeated rows."""


class SampleSource:
    """The sample, as a source: every split of every task.

    Test splits of OFFICIAL_SAMPLE have the leaderboard's number of rows, some of them repeated if
    necessary; they start with the rows of SAMPLE. All other splits are the same.
    """

    def __init__(self, name: str = SAMPLE) -> None:
        self.name = name

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return every split of `task`."""
        return task.splits

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split`. Raises DataError for an unknown split."""
        require_split(task, split, task.splits, place=self.name)
        if self.name == OFFICIAL_SAMPLE and split in task.test_splits:
            distinct = ParquetFolder(OFFICIAL_FOLDER).read(task, split)
            return _repeated(distinct, task, task.rows[split])
        return ParquetFolder(SAMPLE_FOLDER).read(task, split)


def sample_rows(task: TaskSpec, split: str) -> int:
    """Return the number of rows of `split` in the sample."""
    return int(pq.read_metadata(SAMPLE_FOLDER / task.hub_config / f"{split}.parquet").num_rows)


def _repeated(table: pa.Table, task: TaskSpec, rows: int) -> pa.Table:
    """Return a canonical table of `rows` rows, those of `table` repeated."""
    copies = pa.concat_tables([table] * -(-rows // table.num_rows)).slice(0, rows)
    place = copies.schema.get_field_index(task.index_column)
    return copies.set_column(
        place, copies.schema.field(place), pa.array(range(rows), copies.schema.field(place).type)
    )
