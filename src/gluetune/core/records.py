"""What happened in a run: `record.json`, versioned and typed, and its predictions on each split.

Everything after training (reports, comparisons, cards) reads this record and never needs the
process that wrote it. A score that is undefined is null, and its reason is recorded. Scores,
intervals, comparisons and reports are computed from `predictions/SPLIT.parquet`, and need neither
the model nor the text.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from gluetune.core.errors import RunError, warn_renamed
from gluetune.core.files import hint_of_runs, is_unused, write_atomically, write_json
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.kinds import kind_of_record

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

RECORD_VERSION = 2

_ERRORS, _MAE = "mean_absolute_error", "mae"
"""The field of version 1, and the metric in its place."""


class Status(StrEnum):
    """The state of a run, of a suite or one of its jobs, of a search or one of its trials.

    One whose process was killed still has `running`, but its folder is not locked.
    """

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    PRUNED = "pruned"
    """Ended early by a search, since others did better."""
    BLOCKED = "blocked"
    """The job that it starts from failed."""


class RecordPart(BaseModel):
    """Base of records and their parts."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        validate_assignment=True,
        defer_build=True,  # most commands read no record
    )


def metric_title(split: str, name: str, *, several: bool) -> str:
    """Return what a split's metric is called, with the split before it where there are several."""
    return f"{split.removeprefix('validation_')} {name}" if several else name


def shown(value: float | None) -> str:
    """Return a recorded value as it is printed in a line or a table."""
    return "undefined" if value is None else f"{value:.4f}"


class ScoreRecord(RecordPart):
    """A task's score with the metrics that it is the mean of, by validation split."""

    score: float | None
    metrics: dict[str, dict[str, float | None]]
    undefined: dict[str, str] = Field(default_factory=dict)
    """Why a value is null, by `score` or `split/metric`."""

    def flat(self) -> dict[str, float | None]:
        """Return the metrics by name, with the split before it where there are several."""
        several = len(self.metrics) > 1
        return {
            metric_title(split, name, several=several): value
            for split, values in self.metrics.items()
            for name, value in values.items()
        }


class EpochRecord(RecordPart):
    """One evaluation, at the end of an epoch."""

    epoch: float
    step: int
    train_loss: float | None
    learning_rate: float | None
    validation: ScoreRecord
    validation_loss: float | None
    selection: float | None
    """The value that chooses the best epoch."""
    extra: Mapping[str, float | None] = Field(default_factory=dict)
    """What the user's own compute_metrics returned; null where that was not finite."""
    collapsed: bool = False
    """Whether every validation example got the same class, or set of labels."""
    train_seconds: float
    evaluation_seconds: float

    @field_validator("extra")
    @classmethod
    def _finite(cls, extra: Mapping[str, float | None]) -> Mapping[str, float | None]:
        return {
            name: value if value is not None and isfinite(value) else None
            for name, value in extra.items()
        }


class BestRecord(RecordPart):
    """The best epoch, and the score of the saved model after reloading it."""

    epoch: float
    step: int
    validation: ScoreRecord
    reloaded: ScoreRecord | None = None
    agrees: bool | None = None
    """Whether both scores are the same, metric by metric."""


class ModelRecord(RecordPart):
    """Which checkpoint was trained, and how its head was initialised."""

    name: str
    commit: str | None
    architecture: str
    parameters: int
    new_weights: list[str]
    label_map: dict[str, int]
    """The model's output for each class name of the task."""
    max_length: int | None


class DataRecord(RecordPart):
    """Which examples were used. A fingerprint is of the rows' content, not of the file."""

    source: str
    rows: dict[str, int]
    fingerprints: dict[str, str]
    truncated: dict[str, int]
    """Examples that were cut to the model's length, by split."""
    left_out: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Rows of the user's own files that could not be used, by file and reason."""
    notes: list[str] = Field(default_factory=list)


class EnvironmentRecord(RecordPart):
    """The software and hardware that a bit-identical repeat needs."""

    versions: dict[str, str]
    platform: str
    device: str
    precision: str
    threads: int
    processes: int = 1
    """How many processes shared every step, each with so many threads."""
    git_commit: str | None


class TimingRecord(RecordPart):
    """Seconds and rates, summed over resumptions."""

    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    examples_per_second: float | None = None
    tokens_per_second: float | None = None
    """Real tokens, padding not counted."""


class ComputeRecord(RecordPart):
    """How computation was saved."""

    path: str
    """`unpadded`, `grouped` or `padded`."""
    vocabulary_rows: int | None
    """Rows of the word embeddings that were trained, where not all were."""


class MethodRecord(RecordPart):
    """How the checkpoint was fitted to the task."""

    name: str
    trained_parameters: int
    regularisation: float | None = None
    """Strength of the regularisation of a linear head, as cross-validation chose it."""
    peak_memory: int | None = None
    """Bytes that the process (on a GPU: the device) used at most; None where unknown."""


class ErrorRecord(RecordPart):
    """Why a run failed."""

    type: str
    message: str
    step: int | None = None


def _with_new_names(own_task: Any) -> Any:
    """Update the kind and the extra metrics of a task in a record that has former names."""
    if not isinstance(own_task, dict):
        return own_task
    known = {**own_task}
    if "beside" in known:
        known.setdefault("extra_metrics", known.pop("beside"))
    if "kind" not in known:
        known["kind"] = kind_of_record(own_task)
        known.pop("multi_label", None)
    return known


OwnTask = Annotated[TaskSpec, BeforeValidator(_with_new_names)]
"""A task of the user's own, as records have it."""


class Record(RecordPart):
    """The whole of `record.json`."""

    version: int = RECORD_VERSION
    status: Status = Status.RUNNING
    task: str
    own_task: OwnTask | None = None
    """A task of the user's own, whole; None for one of GLUE's, which its name says."""
    extra_metrics: tuple[str, ...] = ()
    """Metrics of one of GLUE's tasks that are also reported."""
    seed: int
    started: str
    updated: str
    command: str
    """Settings that repeat the run."""
    model: ModelRecord | None = None
    data: DataRecord | None = None
    environment: EnvironmentRecord | None = None
    compute: ComputeRecord | None = None
    method: MethodRecord | None = None
    """None in records before there were methods: all weights were trained."""
    epochs: list[EpochRecord] = Field(default_factory=list)
    best: BestRecord | None = None
    majority_baseline: ScoreRecord | None = None
    text_baseline: ScoreRecord | None = None
    """TF-IDF with a linear model, for text of the user's own."""
    frozen_baseline: ScoreRecord | None = None
    """A linear head on the frozen encoder, for text of the user's own."""
    timing: TimingRecord = Field(default_factory=TimingRecord)
    steps: int = 0
    """Optimiser steps done."""
    total_steps: int | None = None
    resumed_from: list[int] = Field(default_factory=list)
    """Steps at which the run was resumed."""
    final_weights_sha256: str | None = None
    """SHA-256 of the weights after the last step (not the best epoch's), to compare repeats."""
    best_weights_sha256: str | None = None
    notes: list[str] = Field(default_factory=list)
    """Decisions made during the run that a reader should know."""
    error: ErrorRecord | None = None

    @field_validator("version")
    @classmethod
    def _written_as_it_is_now(cls, value: int) -> int:
        """A record that is read is written again in today's form."""
        return RECORD_VERSION

    @model_validator(mode="before")
    @classmethod
    def _read_version_one(cls, values: Any) -> Any:
        """Read a regression's errors, once a field of their own, as the metric that they are."""
        if not isinstance(values, dict) or _ERRORS not in values:
            return values
        known = deepcopy(values)
        errors = known.pop(_ERRORS)
        best = known.get("best") or {}
        scores = {
            "run": (best.get("validation"), best.get("reloaded")),
            "mean": (known.get("majority_baseline"),),
            "words": (known.get("text_baseline"),),
        }
        for name, error in errors.items():
            for score in filter(None, scores[name]):
                (metrics,) = score["metrics"].values()  # a regression has one validation split
                metrics.setdefault(_MAE, error)
        if errors:
            task = known.get("own_task") or known
            name = "beside" if "beside" in task else "extra_metrics"
            metrics = [*task.get("metrics", ()), *task.get(name, ())]
            task[name] = [*task.get(name, ()), *([] if _MAE in metrics else [_MAE])]
        return known

    @property
    def mean_absolute_error(self) -> dict[str, float]:
        """Mean absolute errors of the model (`run`) and of the baselines (`mean`, `words`)."""
        warn_renamed("Record.mean_absolute_error", f"the metric {_MAE} of each score")
        scores = {
            "run": self.best and self.best.validation,
            "mean": self.majority_baseline,
            "words": self.text_baseline,
        }
        return {
            name: error
            for name, score in scores.items()
            for error in (score.flat().get(_MAE) if score else None,)
            if error is not None
        }

    @property
    def spec(self) -> TaskSpec:
        """What the task is."""
        return self.own_task or replace(get_task(self.task), extra_metrics=self.extra_metrics)

    def save(self, path: Path) -> None:
        """Write the record as JSON, atomically."""
        self.updated = now()
        write_json(path, self.model_dump(mode="json"))


def best_epoch(record: Record) -> EpochRecord:
    """Return the epoch whose model the run keeps. The run must have scored."""
    assert record.best is not None, "a run that has scored has a best epoch"
    return next(epoch for epoch in record.epochs if epoch.step == record.best.step)


def epoch_choice(record: Record) -> str:
    """Return the rule that chose the epoch that is scored."""
    count = len(record.epochs)
    if count == 1 and record.epochs[0].epoch > 1:
        return f"last of {record.epochs[0].epoch:g} epochs"
    return "one epoch" if count == 1 else f"best of {count} epochs"


def has_collapsed(record: Record) -> bool:
    """Return whether the model that a run keeps gives every validation row the same class."""
    best = record.best
    return best is not None and any(
        epoch.collapsed for epoch in record.epochs if epoch.step == best.step
    )


RecordT = TypeVar("RecordT", bound=BaseModel)


def read_versioned(
    path: Path,
    model: type[RecordT],
    version: int,
    *,
    absent: Callable[[], RunError],
    remedy: str = "",
) -> RecordT:
    """Read a record that gluetune wrote as JSON, of any version up to `version`.

    Raises `absent()` where there is no file, and RunError where it is damaged (`remedy` is the
    hint) or of a newer version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise absent() from error
    written = _version(content)
    if isinstance(written, int) and written > version:
        raise RunError(
            f"{path} was written by a newer gluetune (record version {written}).",
            hint="Update gluetune: pip install --upgrade gluetune",
        )
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        place = f" at '{where}'" if where else ""
        raise RunError(f"{path} is damaged{place}: {first['msg']}.", hint=remedy) from error


def absent_folder(path: Path, noun: str, printed: str) -> RunError:
    """Return the error for a folder without the record `path`, or that is not there."""
    return RunError(
        f"{path.parent} is not a {noun}: it has no {path.name}."
        if path.parent.is_dir()
        else f"There is no {noun} {path.parent}.",
        hint=hint_of_runs(path.parent, [path.name]) or f"Give the folder that {printed}",
    )


def read_record(path: Path) -> Record:
    """Read a record. Raises RunError when it is missing, damaged, or of a newer version."""

    def absent() -> RunError:
        _check_start(path.parent)
        return absent_folder(path, "run", "`gluetune train` printed, e.g. runs/cola-…")

    return read_versioned(path, Record, RECORD_VERSION, absent=absent)


def _check_start(folder: Path) -> None:
    """Raise RunError where a process was killed between the settings and the record of its run."""
    settings = folder / "config.yaml"
    if not settings.exists() or not is_unused(folder, settings.name, "record.json"):
        return
    again = shlex.join(["gluetune", "train", "--config", str(settings), "--output", str(folder)])
    raise RunError(
        f"{folder} is not a run: it was killed before it had a record.", hint=f"Type: {again}"
    )


def plural(count: int | None, noun: str) -> str:
    """Return a count in words: "1 thread", "2 threads"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names with commas between them; of more than `most`, the first and how many follow."""
    more = f", … and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def now() -> str:
    """Return the time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(content: bytes) -> Any:
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value.get("version") if isinstance(value, dict) else None


_FINGERPRINT_KEY = b"gluetune.data"


@dataclass(frozen=True)
class Predictions:
    """A model's predictions on one split, in the order of its rows."""

    index: NDArray[Any]
    labels: NDArray[Any]
    """Class ids of the task, or numbers; -1 where they are hidden. Where an example may have
    several labels: shape (rows, labels), 0 or 1."""
    predicted: NDArray[Any]
    """The same, as predicted."""
    logits: NDArray[np.float32]
    """Shape (rows, classes) in the order of the task's classes, or (rows, 1)."""

    def rows(self, chosen: NDArray[Any]) -> Predictions:
        """Return the predictions on some of the rows, by number."""
        return Predictions(
            self.index[chosen], self.labels[chosen], self.predicted[chosen], self.logits[chosen]
        )

    def table(self) -> pa.Table:
        """Return the rows of `predictions/SPLIT.parquet`: idx, label, prediction, logits."""
        import pyarrow as pa

        return pa.table(
            {
                "idx": pa.array(self.index),
                "label": _column(self.labels),
                "prediction": _column(self.predicted),
                "logits": pa.array(list(self.logits), pa.list_(pa.float32())),
            }
        )

    @classmethod
    def of_table(cls, table: pa.Table) -> Predictions:
        """Return what `table` wrote, read back."""
        import numpy as np

        width = len(table["logits"][0]) if len(table) else 0
        flat = table["logits"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return cls(
            index=table["idx"].to_numpy(),
            labels=_values(table["label"]),
            predicted=_values(table["prediction"]),
            logits=np.asarray(flat, dtype=np.float32).reshape(len(table), width),
        )


def _column(values: NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values) if values.ndim == 1 else pa.array(list(values))


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_list(column.type):
        values: NDArray[Any] = column.to_numpy()
        return values
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    width = len(flat) // len(column) if len(column) else 0
    rows: NDArray[Any] = np.reshape(flat, (len(column), width))
    return rows


def kept_name(task: TaskSpec, split: str) -> str:
    """Return the name of a split's predictions in a run: AX's are `ax`, in an MNLI run."""
    return task.name if task.trained_as else split


def keep_predictions(
    path: Path, predictions: Predictions, fingerprint: str, **columns: NDArray[Any]
) -> None:
    """Write predictions atomically, with the fingerprint of the data, and further `columns`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = predictions.table()
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    table = table.replace_schema_metadata({_FINGERPRINT_KEY: fingerprint})
    write_atomically(path, partial(pq.write_table, table))


def kept_fingerprint(table: pa.Table) -> str | None:
    """Return the fingerprint of the data of a stored table; None where it has none."""
    raw = (table.schema.metadata or {}).get(_FINGERPRINT_KEY)
    return None if raw is None else raw.decode()
