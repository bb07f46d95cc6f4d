"""A cross-validation on disk: a run folder that also holds the runs of its folds.

```
runs/reviews-all-minilm-l6-v2-5-folds-1a2b3c4d/      named by a hash of what was requested
  folds.json               what was requested, every run's state, the score of each fold
  fold-1/ … fold-5/        a run folder for each fold; repeat-2-fold-1/ … of further repeats
  final/                   the run on all rows
  config.yaml record.json  as of any run: its score is that of the out-of-fold predictions
  model/                   the model that was trained on all rows
  predictions/oof.parquet  for every row the prediction of the model that was not trained on it
  report.html
```
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from gluetune.core.command_lines import command_line
from gluetune.core.config import ALL_ROWS
from gluetune.core.errors import RunError
from gluetune.core.files import write_json
from gluetune.core.jobs import JobState, counts, finished_run, jobs_table
from gluetune.core.plots import Line, Plot, line_plot
from gluetune.core.records import (
    RecordPart,
    ScoreRecord,
    Status,
    absent_folder,
    now,
    read_versioned,
)
from gluetune.core.runs import Run, RunFolder
from gluetune.core.settings import Settings
from gluetune.core.tables import Between, Column, Table, plain, tables_html, to_frames
from gluetune.core.tasks import OUT_OF_FOLD, TaskSpec

if TYPE_CHECKING:
    import pyarrow as pa

FOLDS_VERSION = 1

_MOST_LABELS = 20
"""Labels whose temperature is shown."""

_PRECISIONS = (0.8, 0.9, 0.95, 0.99)
"""Precisions whose threshold is shown."""

Final = Literal["all", "ensemble", "none"]


class FoldsSettings(Settings):
    """How a cross-validation is run; `folds` itself is a setting of its runs."""

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Cross-validation": ("fold_repeats", "final", "jobs")
    }

    fold_repeats: int = Field(1, ge=1)
    """How often to repeat the cross-validation with other folds."""
    final: Final = "all"
    """The model at the end: all (trained on all rows), ensemble (the mean of the folds'
    models, as many times slower), or none."""
    jobs: int | None = Field(None, ge=1)
    """Parallel runs of the folds; they divide the cores, or share the GPU. Default of the command:
    1 on a GPU, 2 on a CPU of several cores."""


class FoldsFolder:
    """Names of what is in the folder of a cross-validation, apart from what every run has."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path: Path = Path(path)
        self.record: Path = RunFolder(self.path).folds

    def run(self, job: FoldJob) -> Path:
        """Return the run folder of a fold, or of the run on all rows."""
        return self.path / job.name

    def traceback(self, job: FoldJob) -> Path:
        """Return the file of a run's traceback, where it failed with an unexpected error."""
        return self.path / f"{job.name}.traceback.txt"


class FoldsRequest(RecordPart):
    """What was requested, as far as it affects predictions: the same request is resumed."""

    settings: dict[str, Any]
    """Settings of every run that differ from their defaults, `folds` among them."""
    fold_repeats: int
    final: Final

    def requested(self) -> dict[str, Any]:
        """Return the request as JSON."""
        return self.model_dump(mode="json")


class FoldJob(JobState):
    """The run that predicts one fold, or the one on all rows."""

    repeat: int
    """From 1 on."""
    fold: int
    """From 1 on; 0 of the run on all rows."""

    @property
    def name(self) -> str:
        """Name of the run and of its folder."""
        if self.fold == ALL_ROWS:
            return "final"
        return f"repeat-{self.repeat}-fold-{self.fold}" if self.repeat > 1 else f"fold-{self.fold}"


class FoldScore(RecordPart):
    """What the model of one fold scores on the rows of that fold."""

    repeat: int
    fold: int
    rows: int
    trained_on: int
    """Rows that it was trained on."""
    score: float | None
    metrics: dict[str, float | None]


class IntervalRecord(RecordPart):
    """A 95% interval over the rows."""

    low: float
    high: float
    reliable: bool = True
    reason: str = ""


class BinRecord(RecordPart):
    """Predictions of similar probability; see `gluetune.statistics.calibration`."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


class ReliabilityRecord(RecordPart):
    """How good the out-of-fold probabilities are."""

    ece: float
    """Expected calibration error."""
    brier: float
    log_loss: float
    bins: list[BinRecord]


class CalibrationRecord(RecordPart):
    """The temperatures of the model trained on all rows, and what they change."""

    temperatures: list[float]
    """One, or one for each label."""
    before: ReliabilityRecord
    after: ReliabilityRecord
    """Of each fold with temperatures that were fitted on the others."""


class RiskRecord(RecordPart):
    """Out-of-fold predictions at or above a confidence; see `gluetune.statistics.abstention`."""

    confidence: float
    coverage: float
    precision: float
    low: float
    rows: int
    levels: int


class FoldsTable(RecordPart):
    """The results of a cross-validation."""

    score: float | None = None
    """Of the predictions of all rows; with repeats, the mean over them."""
    interval: IntervalRecord | None = None
    """With repeats the ends are the means of theirs: they predict the same rows."""
    repeats: list[float | None] = Field(default_factory=list)
    """The score of all rows, of each repeat."""
    folds: list[FoldScore] = Field(default_factory=list)
    final: ScoreRecord | None = None
    """What the model trained on all rows scores on validation rows, where there are any."""
    calibration: CalibrationRecord | None = None
    """None for numbers, which have no probabilities."""
    risk: list[RiskRecord] = Field(default_factory=list)
    """Precision by coverage, from the most confident predictions on; of one class for each row."""


class FoldsRecord(RecordPart):
    """The whole of `folds.json`."""

    version: int = FOLDS_VERSION
    kind: Literal["folds"] = "folds"
    status: Status = Status.RUNNING
    started: str
    updated: str
    command: str
    """The command that resumes it."""
    request: FoldsRequest
    jobs: list[FoldJob]
    table: FoldsTable = Field(default_factory=FoldsTable)

    def save(self, folder: FoldsFolder) -> None:
        """Write the record as JSON, atomically."""
        self.updated = now()
        write_json(folder.record, self.model_dump(mode="json"))


def read_folds(folder: FoldsFolder) -> FoldsRecord:
    """Return the record in the folder of a cross-validation. Raises RunError without one."""
    return read_versioned(
        folder.record,
        FoldsRecord,
        FOLDS_VERSION,
        absent=lambda: absent_folder(
            folder.record, "cross-validation", "`gluetune train … --folds 5` printed, e.g. runs/…"
        ),
    )


def has_folds(path: str | PathLike[str]) -> bool:
    """Whether a run's folder holds a cross-validation."""
    return FoldsFolder(path).record.exists()


def folds_of(run: Run) -> FoldsResult:
    """Return the cross-validation of a run. Raises RunError, with what to type, without one."""
    if has_folds(run.path):
        return FoldsResult(run.path)
    again = command_line("train", config=run.folder.config, folds=5)
    raise RunError(
        f"{run.path} has no predictions of rows by models that were not trained on them.",
        hint=f"Make them: {again}",
    )


class FoldsResult:
    """The cross-validation in a run's folder: the score of each fold, and the predictions.

    Raises RunError when `path` holds none.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path: Path = Path(path)
        self.folder: FoldsFolder = FoldsFolder(self.path)
        self.record: FoldsRecord = read_folds(self.folder)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        table = self.table
        interval = table.interval and f" [{table.interval.low:.4f}, {table.interval.high:.4f}]"
        score = "" if table.score is None else f", score {table.score:.4f}{interval or ''}"
        return f"FoldsResult('{self.path}', {counts(self.record.jobs)}{score})"

    def _repr_html_(self) -> str:
        return tables_html(self.tables())

    @property
    def table(self) -> FoldsTable:
        """The scores: over all rows, and by fold."""
        return self.record.table

    @property
    def count(self) -> int:
        """How many folds there are."""
        return int(self.record.request.settings["folds"])

    @property
    def score(self) -> float | None:
        """The score of the predictions of all rows."""
        return self.table.score

    @property
    def runs(self) -> list[Run]:
        """The finished runs of the folds, by repeat and fold."""
        return [
            run
            for job in self.record.jobs
            if job.fold != ALL_ROWS and (run := finished_run(self.folder.run(job))) is not None
        ]

    @property
    def failed(self) -> list[FoldJob]:
        """The runs that failed."""
        return [job for job in self.record.jobs if job.state is Status.FAILED]

    def out_of_fold(self, repeat: int = 1) -> pa.Table:
        """Return every row's prediction by the model that was not trained on it.

        Columns: idx, label, prediction, logits, row, fold, and line for text of the user's own.
        Raises RunError while not every fold is finished.
        """
        return Run(self.path).predictions(out_of_fold_name(repeat))

    def tables(self) -> Iterator[Table]:
        """Yield the scores by fold, and the runs that are not finished."""
        task = Run(self.path).task
        yield folds_table(self.record, task)
        yield from calibration_tables(self.record, task)
        yield from risk_tables(self.record)
        yield jobs_table(self.record.jobs)

    def plots(self) -> Iterator[Plot]:
        """Yield the reliability of the probabilities, and the errors by coverage."""
        found = self.table.calibration
        if found is not None:
            yield reliability_plot({"before": found.before, "after": found.after})
        places = [one.coverage for one in self.table.risk]
        errors = {
            "errors": [1 - one.precision for one in self.table.risk],
            "upper bound": [1 - one.low for one in self.table.risk],
        }
        drawn = line_plot("Errors by coverage", places, errors, across="share of the rows")
        if drawn is not None:
            yield drawn.named("risk")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it: the request, the runs and the scores."""
        record: dict[str, Any] = {"path": str(self.path), **self.record.model_dump(mode="json")}
        return plain(record) if record else record

    def to_pandas(self, name: str | None = None) -> Any:
        """Return the tables as data frames by name (`folds`, …), or the one of that name."""
        return to_frames(self.tables(), name)


def out_of_fold_name(repeat: int) -> str:
    """Return the name of the out-of-fold predictions of a repeat."""
    return OUT_OF_FOLD if repeat == 1 else f"{OUT_OF_FOLD}_{repeat}"


def folds_table(record: FoldsRecord, task: TaskSpec) -> Table:
    """Return the score of each fold, and that of all rows."""
    table = record.table
    several = record.request.fold_repeats > 1
    rows: list[tuple[Any, ...]] = [
        (
            f"{one.repeat}.{one.fold}" if several else str(one.fold),
            *(one.rows, one.trained_on, one.score, None),
        )
        for one in table.folds
    ]
    if table.score is not None:
        found = table.interval
        interval = found and Between(found.low, found.high, found.reliable)
        total = sum(one.rows for one in table.folds if one.repeat == 1)
        what = f"all, mean of {len(table.repeats)} repeats" if several else "all"
        rows.append((what, total, None, table.score, interval))
    return Table.of(
        "Score of each fold, predicted by a model trained on the others",
        (
            "fold",
            Column("rows", "count"),
            Column("trained on", "count"),
            Column("score", "number", missing="undefined"),
            Column("95% interval", "interval", key="interval"),
        ),
        rows,
        notes=folds_notes(record, task),
        name="folds",
        bold=frozenset({len(rows) - 1} if table.score is not None else ()),
    )


def calibration_tables(record: FoldsRecord, task: TaskSpec) -> Iterator[Table]:
    """Yield what the temperatures change, and the temperature of each label where it has one."""
    found = record.table.calibration
    if found is None:
        return
    names = {"expected calibration error": "ece", "Brier score": "brier", "log loss": "log_loss"}
    several = len(found.temperatures) > 1
    one = "" if several else f", temperature {found.temperatures[0]:.3f}"
    yield Table.of(
        f"Calibration, cross-fitted{one}",
        ("", Column("before", "number"), Column("after", "number")),
        [
            (title, getattr(found.before, name), getattr(found.after, name))
            for title, name in names.items()
        ],
        name="calibration",
    )
    if several:
        yield Table.of(
            "Temperature of each label",
            (Column(task.kind.unit, shorten=True), Column("temperature", "number")),
            list(zip(task.labels, found.temperatures, strict=True)),
            name="temperatures",
            most=_MOST_LABELS,
        )


def risk_tables(record: FoldsRecord) -> Iterator[Table]:
    """Yield how many predictions are certain enough, for usual precisions."""
    points = record.table.risk
    if not points:
        return
    rows: list[tuple[Any, ...]] = []
    for wanted in _PRECISIONS:
        good = [one for one in points if one.low >= wanted]
        best = max(good, key=lambda one: one.coverage, default=None)
        cells = (None,) * 4 if best is None else _risk_cells(best)
        rows.append((f"{wanted:.0%}", *cells))
    yield Table.of(
        "Abstention: the threshold of confidence for a precision",
        (
            "at least",
            Column("threshold", "number", missing="not reached"),
            Column("coverage", "percent"),
            Column("precision", "percent"),
            Column("lower bound", "percent"),
        ),
        rows,
        notes=[
            "Bounds are Clopper-Pearson's, 95% for all thresholds together, of cross-fitted "
            "predictions. --min-precision and --coverage of `predict` and `serve` choose one."
        ],
        name="abstention",
    )


def _risk_cells(one: RiskRecord) -> tuple[float, ...]:
    return one.confidence, one.coverage, one.precision, one.low


def reliability_plot(series: Mapping[str, ReliabilityRecord]) -> Plot:
    """Return accuracy by probability, a line for each of `series`."""
    lines = tuple(
        Line(name, tuple((one.confidence, one.accuracy) for one in found.bins))
        for name, found in series.items()
    )
    return Plot(
        title="Calibration: accuracy by probability",
        across="mean probability",
        lines=lines,
        diagonal=True,
        x_ends=(0.0, 1.0),
        y_ends=(0.0, 1.0),
        name="reliability",
    )


def folds_notes(record: FoldsRecord, task: TaskSpec) -> list[str]:
    """Return what a reader should know of the scores."""
    table = record.table
    notes = []
    if table.interval and not table.interval.reliable:
        notes.append(f"* unreliable: {table.interval.reason}.")
    if table.score is not None:
        notes.append(
            "The score is of models trained on the rows of the other folds; the interval is over "
            "rows, and does not include seeds."
        )
    if table.final is not None and table.final.score is not None:
        notes.append(f"The model trained on all rows scores {table.final.score:.4f} on validation.")
    return notes
