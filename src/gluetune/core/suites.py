"""A suite on disk: its folder, `suite.json` with the request and the results, and its tables.

```
suites/all-minilm-l6-v2-1a2b3c4d/      named by a hash of what was requested
  suite.json       what was requested, every job's state, the table
  suite.md         the table
  report.html      the table as a page
  cola-s42/ …      a run folder for each job
```
Scores are from 0 to 1 here; tables show points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gluetune.core.config import TrainConfig, make_config
from gluetune.core.errors import RunError
from gluetune.core.files import write_json
from gluetune.core.jobs import JobState, finished_run, jobs_table
from gluetune.core.published import recipe_fields
from gluetune.core.records import RecordPart, Status, absent_folder, now, read_versioned
from gluetune.core.runs import Run
from gluetune.core.tables import Column, Table, tables_html
from gluetune.core.tasks import get_task
from gluetune.core.text import markdown_text
from gluetune.metrics.registry import short_label

if TYPE_CHECKING:
    import pandas as pd


SUITE_VERSION = 1


class SuiteFolder:
    """Names of what is in a suite's folder. Nothing is read or created."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path: Path = Path(path)
        self.record: Path = self.path / "suite.json"
        self.markdown: Path = self.path / "suite.md"
        self.page: Path = self.path / "report.html"

    def run(self, job: JobRecord) -> Path:
        """Return the run folder of a job."""
        return self.path / job.name

    def traceback(self, job: JobRecord) -> Path:
        """Return the file of a job's traceback, where it failed with an unexpected error."""
        return self.path / f"{job.name}.traceback.txt"


def _by_new_names(settings: Any) -> Any:
    """Read settings that a former version has written."""
    former = TrainConfig.former_names
    return {former.get(name, name): value for name, value in settings.items()}


class SuiteRequest(RecordPart):
    """What was requested, as far as it affects scores: the same request is the same suite.

    Seeds may be added to a suite, so they do not distinguish suites.
    """

    model: str
    """As `train` takes it: `minilm`, a Hub id, or a folder's absolute path."""
    data: str
    """The source's name."""
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    fraction: float
    recipe: str | None = None
    mnli_init: bool = False
    settings: Annotated[dict[str, Any], BeforeValidator(_by_new_names)]
    """Further settings of every run."""

    def requested(self) -> dict[str, Any]:
        """Return what is the same in all requests for one suite: all but the seeds, as JSON.

        Settings of an earlier release are returned by their names of today, and defaults that are
        given are left out.
        """
        values = self.model_dump(mode="json", exclude={"seeds", "settings"})
        config = make_config({**self.settings, "task": self.tasks[0]})
        given = config.model_dump(mode="json", exclude={"task"}, exclude_unset=True)
        values["settings"] = {name: given[name] for name in given if self._matters(name, given)}
        return values

    def _matters(self, name: str, given: Mapping[str, Any]) -> bool:
        by_recipe = self.recipe is not None and name in recipe_fields(self.recipe)
        return by_recipe or given[name] != TrainConfig.model_fields[name].get_default(
            call_default_factory=True
        )


class JobRecord(JobState):
    """One task with one seed."""

    task: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the job and of its run folder."""
        return f"{self.task}-s{self.seed}"


class Spread(RecordPart):
    """A value over seeds."""

    mean: float
    sd: float | None
    """Sample standard deviation; None for one seed."""
    by_seed: dict[int, float]

    @property
    def n(self) -> int:
        """How many seeds there are."""
        return len(self.by_seed)


class PublishedCell(RecordPart):
    """A published result of the same checkpoint. In points, as its source writes it."""

    metric: str | None
    subset: str
    value: float
    split: str
    protocol: str
    source: str


class TaskSummary(RecordPart):
    """The results of one task over its finished runs."""

    task: str
    score: Spread | None
    """None while no run has a score that is defined."""
    metrics: dict[str, Spread]
    positive: str | None = None
    """The class that F1 is of; None where no metric is of one class."""
    from_mnli: bool
    """Whether the runs started from MNLI's models instead of the checkpoint itself."""
    majority: float | None
    protocol: str
    """How the epoch that is scored was chosen."""
    collapsed: list[int]
    """Seeds whose best model gives every example the same class. They are in the mean."""
    undefined: list[int]
    """Seeds whose score is undefined. They are in no mean."""
    published: list[PublishedCell]
    seconds: float | None
    """Mean seconds of a run, training and evaluation."""
    examples_per_second: float | None
    """Mean over the runs, in training."""
    tokens_per_second: float | None


class SuiteTable(RecordPart):
    """The suite's result."""

    tasks: list[TaskSummary] = Field(default_factory=list)
    average: Spread | None = None
    """GLUE's macro average, over the seeds that have all nine tasks."""
    average_note: str = ""
    """Why there is no average, or which seeds are not in it."""
    notes: list[str] = Field(default_factory=list)


class SuiteRecord(RecordPart):
    """The whole of `suite.json`."""

    version: int = SUITE_VERSION
    kind: Literal["suite"] = "suite"
    status: Status = Status.RUNNING
    started: str
    updated: str
    command: str
    """The command that starts or resumes this suite."""
    request: SuiteRequest
    checkpoint: str
    """The checkpoint's name: a Hub id, or a folder's absolute path."""
    commit: str | None
    """The Hub's commit, which every job trains."""
    jobs: list[JobRecord]
    table: SuiteTable = Field(default_factory=SuiteTable)

    def save(self, folder: SuiteFolder) -> None:
        """Write the record as JSON, atomically."""
        self.updated = now()
        write_json(folder.record, self.model_dump(mode="json"))


def read_suite(folder: SuiteFolder) -> SuiteRecord:
    """Return the record in a suite's folder. Raises RunError where there is none it can read."""
    printed = "`gluetune suite` printed, e.g. suites/…"
    return read_versioned(
        folder.record,
        SuiteRecord,
        SUITE_VERSION,
        absent=lambda: absent_folder(folder.record, "suite", printed),
    )


class SuiteResult:
    """A suite on disk: its runs, and its scores over seeds.

    Functions that take its folder also take it. Raises RunError when `path` holds none.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path: Path = Path(path)
        self.folder: SuiteFolder = SuiteFolder(self.path)
        self.record: SuiteRecord = read_suite(self.folder)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        done = sum(job.state is Status.FINISHED for job in self.record.jobs)
        average = self.table.average
        score = "" if average is None else f", GLUE average {spread_text(average)}"
        return f"SuiteResult('{self.path}', {done} of {len(self.record.jobs)} jobs finished{score})"

    def _repr_html_(self) -> str:
        return tables_html(self.tables)

    @property
    def tables(self) -> tuple[Table, ...]:
        """The scores over seeds, the scores by seed, and the jobs that are not finished."""
        return suite_table(self.record), seeds_table(self.record), jobs_table(self.record.jobs)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it: the request, the jobs and the scores."""
        record: dict[str, Any] = {"path": str(self.path), **self.record.model_dump(mode="json")}
        return record

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per task: mean, standard deviation and score of each seed, from 0 to 1."""
        import pandas as pd

        return pd.DataFrame(
            {
                "task": one.task,
                "score": None if one.score is None else one.score.mean,
                "sd": None if one.score is None else one.score.sd,
                "n": 0 if one.score is None else one.score.n,
                "majority": one.majority,
                **{
                    f"seed_{seed}": None if one.score is None else one.score.by_seed.get(seed)
                    for seed in self.record.request.seeds
                },
                "seconds": one.seconds,
                "examples_per_second": one.examples_per_second,
            }
            for one in self.table.tasks
        )

    @property
    def table(self) -> SuiteTable:
        """Mean and spread by task, and the average."""
        return self.record.table

    @property
    def failed(self) -> list[JobRecord]:
        """Jobs that failed, and those that could not start because of it."""
        return [job for job in self.record.jobs if job.state in (Status.FAILED, Status.BLOCKED)]

    @property
    def runs(self) -> list[Run]:
        """The finished runs, in the order of the request."""
        return [
            run
            for job in self.record.jobs
            if (run := finished_run(self.folder.run(job))) is not None
        ]

    def runs_of(self, seed: int | None = None) -> list[Run]:
        """Return the finished runs of one seed: the first of the request by default.

        Raises RunError for a seed that the suite does not have.
        """
        seeds = self.record.request.seeds
        chosen = seeds[0] if seed is None else seed
        if chosen not in seeds:
            raise RunError(
                f"{self.path} has no seed {chosen}.",
                hint=f"Its seeds: {', '.join(map(str, seeds))}.",
            )
        return [run for run in self.runs if run.record.seed == chosen]


def is_suite(path: str | PathLike[str]) -> bool:
    """Whether a folder is a suite's."""
    return SuiteFolder(path).record.exists()


_PLUS_MINUS = "\N{PLUS-MINUS SIGN}"


def suite_title(record: SuiteRecord) -> str:
    """Return one line on what was requested."""
    request = record.request
    count = len(request.seeds)
    recipe = f", recipe {request.recipe}" if request.recipe else ""
    part = f", {100 * request.fraction:g}% of train" if request.fraction < 1 else ""
    seeds = f"{count} seed{'s' if count > 1 else ''}"
    return f"{record.checkpoint} on {request.data}, {seeds}{part}{recipe}"


def suite_table(record: SuiteRecord) -> Table:
    """Return mean and spread of each task, with baselines and published results."""
    legend = Legend()
    tasks = record.table.tasks
    has_published = any(one.published for one in tasks)
    rows = [_row(one, legend, has_published) for one in tasks]
    average = record.table.average
    if average is not None:
        empty = [""] * (4 + has_published)
        rows.append(("GLUE average", spread_text(average), str(average.n), *empty))
    return Table.of(
        "Mean and standard deviation over seeds, on validation, in points, 0 to 100.",
        (
            "task",
            *(Column(name, align="right") for name in ("score", "n", "majority")),
            "by metric",
            *(["published"] if has_published else []),
            *(Column(name, align="right") for name in ("s per run", "examples/s")),
        ),
        rows,
        bold=frozenset({len(tasks)} if average is not None else ()),
    )


def suite_warnings(record: SuiteRecord) -> tuple[str, ...]:
    """Return what makes a mean unreliable: runs that collapsed, runs without a defined score."""
    warnings = []
    for one in record.table.tasks:
        if one.collapsed:
            seeds = ", ".join(map(str, one.collapsed))
            warnings.append(
                f"{one.task}: collapsed to one class with seed {seeds}; the mean includes it."
            )
        if one.undefined:
            seeds = ", ".join(map(str, one.undefined))
            warnings.append(f"{one.task}: undefined with seed {seeds}; the mean excludes it.")
    return tuple(warnings)


def suite_notes(record: SuiteRecord) -> tuple[str, ...]:
    """Return every other reservation about the table, most important first."""
    table = record.table
    notes = []
    if table.average_note:
        notes.append(table.average_note)
    if started := [one.task for one in table.tasks if one.from_mnli]:
        notes.append(
            f"{', '.join(started)} started from MNLI's model of the same seed, with a new head "
            "(--mnli-init): not comparable with results that started from the checkpoint itself."
        )
    protocols = list(dict.fromkeys(one.protocol for one in table.tasks if one.protocol))
    if protocols:
        notes.append(f"Protocol of each run: {', or '.join(protocols)}, on validation.")
    notes += _legend(table.tasks)
    return (*notes, *table.notes)


def seeds_table(record: SuiteRecord) -> Table:
    """Return the score of each task with each seed."""
    seeds = record.request.seeds
    return Table.of(
        "Scores by seed, in points. The result is the mean, not the best.",
        ("task", *(Column(f"seed {seed}", align="right") for seed in seeds)),
        [
            (_task_name(one), *(_seed_cell(one, seed) for seed in seeds))
            for one in record.table.tasks
        ],
    )


def markdown(record: SuiteRecord) -> str:
    """Return the whole suite as Markdown."""
    lines = [f"# {markdown_text(suite_title(record))}", "", suite_table(record).to_markdown(), ""]
    lines += [
        f"- {markdown_text(note)}" for note in (*suite_warnings(record), *suite_notes(record))
    ]
    unfinished = jobs_table(record.jobs)
    if unfinished.rows:
        lines += ["", unfinished.title, "", unfinished.to_markdown()]
    return "\n".join([*lines, "", f"Made by `{markdown_text(record.command)}`.", ""])


def spread_text(value: Spread | None, *, in_points: bool = True) -> str:
    """Return `mean ± sd`, in points or as the values are."""
    if value is None:
        return "none"
    known = [one for one in (value.mean, value.sd) if one is not None]
    return f" {_PLUS_MINUS} ".join(_points(one) if in_points else f"{one:.3f}" for one in known)


class Legend:
    """Letters for protocols, in the order of their first use."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def letter(self, cell: PublishedCell) -> str:
        """Return the letter of a cell's protocol."""
        text = f"{cell.split}, {cell.protocol}; {cell.source}"
        number = len(self.texts)
        return self.texts.setdefault(text, ascii_lowercase[number % 26] * (1 + number // 26))


def _legend(tasks: Sequence[TaskSummary]) -> list[str]:
    legend = Legend()
    for task in tasks:
        for cell in task.published:
            legend.letter(cell)
    lines = [f"Published ({letter}): {text}." for text, letter in legend.texts.items()]
    return [*lines, "Results of different protocols are not a ranking."] if lines else []


def _row(one: TaskSummary, legend: Legend, has_published: bool) -> tuple[str, ...]:
    several = len(one.metrics) > 1
    task = get_task(one.task)
    metrics = ", ".join(
        task.metric_title(name, short=True)
        + (f" {spread_text(value, in_points=task.in_points(name))}" if several else "")
        for name, value in one.metrics.items()
    )
    published = [_published(cell, legend) for cell in one.published]
    return (
        _task_name(one),
        spread_text(one.score),
        str(one.score.n if one.score else 0),
        _points(one.majority) if one.protocol else "",
        metrics,
        *(["; ".join(published)] if has_published else []),
        "" if one.seconds is None else f"{one.seconds:.0f}",
        "" if one.examples_per_second is None else f"{one.examples_per_second:.0f}",
    )


def _published(cell: PublishedCell, legend: Legend) -> str:
    metric = " ".join(
        part for part in (cell.subset, short_label(cell.metric or "metric unstated")) if part
    )
    return f"{cell.value:.1f} {metric} ({legend.letter(cell)})"


def _task_name(one: TaskSummary) -> str:
    return f"{one.task} (from MNLI)" if one.from_mnli else one.task


def _seed_cell(one: TaskSummary, seed: int) -> str:
    if one.score is None or seed not in one.score.by_seed:
        return "undefined" if seed in one.undefined else "none"
    mark = ", collapsed" if seed in one.collapsed else ""
    return _points(one.score.by_seed[seed]) + mark


def _points(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f}"
