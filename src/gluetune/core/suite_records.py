"""What a suite was asked to do and what came of it: `suite.json`, and how its folder is laid out.

```
suites/all-minilm-l6-v2-1a2b3c4d/      named by a hash of what was asked
  suite.json       what was asked, every job's state, the table
  suite.md         the table
  report.html      the table as a page
  cola-s42/ …      a run folder for each job
```
Scores are from 0 to 1 here; tables show points.
"""

from __future__ import annotations

import hashlib
import json
import re
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gluetune.core.config import TrainConfig
from gluetune.core.errors import RunError
from gluetune.core.files import write_json
from gluetune.core.recipes import recipe_fields
from gluetune.core.records import Status, absent_folder, now, read_versioned
from gluetune.core.runs import Run

SUITE_VERSION = 1
JobState = Status


class SuiteFolder:
    """Names of what lies in a suite's folder. Nothing is read or made."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.record = self.path / "suite.json"
        self.markdown = self.path / "suite.md"
        self.page = self.path / "report.html"

    def run(self, job: JobRecord) -> Path:
        """Return the run folder of a job."""
        return self.path / job.name

    def traceback(self, job: JobRecord) -> Path:
        """Return where the traceback of a job stands that failed in a way nobody foresaw."""
        return self.path / f"{job.name}.traceback.txt"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)


def _by_new_names(settings: Any) -> Any:
    """Read settings that a former version has written."""
    former = TrainConfig.former_names
    return {former.get(name, name): value for name, value in settings.items()}


class SuiteRequest(_Part):
    """What was asked, as far as it decides scores: the same request is the same suite.

    Seeds may be added to a suite, so they do not tell one from another.
    """

    model: str
    """As `train` takes it: `minilm`, a Hub id, or a folder's absolute path."""
    data: str
    """The source's name."""
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    fraction: float
    recipe: str | None
    mnli_init: bool
    settings: Annotated[dict[str, Any], BeforeValidator(_by_new_names)]
    """Settings of every training that were given besides."""

    def identity(self) -> dict[str, Any]:
        """Return what is the same in all requests for one suite: all but the seeds, as JSON.

        A setting that says what holds without it is no other request: a command line cannot say it.
        """
        values = self.model_dump(mode="json", exclude={"seeds"})
        settings = values["settings"]
        former = {new: old for old, new in TrainConfig.former_names.items()}  # the hash has them
        values["settings"] = {
            former.get(name, name): settings[name] for name in settings if self._matters(name)
        }
        return values

    def _matters(self, name: str) -> bool:
        value, default = self.settings[name], TrainConfig.model_fields[name].default
        by_recipe = self.recipe is not None and name in recipe_fields(self.recipe)
        return by_recipe or not (value == default and value in (None, False))

    def digest(self) -> str:
        """Return eight hexadecimal digits that only this suite has."""
        text = json.dumps(self.identity(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def default_folder(self, checkpoint: str) -> Path:
        """Return `suites/CHECKPOINT-HASH`."""
        name = re.sub(r"[^a-z0-9.]+", "-", Path(checkpoint).name.lower()).strip("-.") or "model"
        return Path("suites") / f"{name}-{self.digest()}"


class JobRecord(_Part):
    """One task with one seed."""

    task: str
    seed: int
    after: str | None = None
    """Name of the job whose model it starts from."""
    state: JobState = JobState.WAITING
    error: str | None = None
    hint: str = ""
    notes: list[str] = Field(default_factory=list)

    @property
    def name(self) -> str:
        """What the job and its run folder are called."""
        return f"{self.task}-s{self.seed}"


class Spread(_Part):
    """A value over seeds."""

    mean: float
    sd: float | None
    """Sample standard deviation; None for one seed."""
    by_seed: dict[int, float]

    @property
    def n(self) -> int:
        """How many seeds there are."""
        return len(self.by_seed)


class PublishedCell(_Part):
    """A published result of the same checkpoint. In points, as its source writes it."""

    metric: str | None
    subset: str
    value: float
    split: str
    protocol: str
    source: str


class TaskSummary(_Part):
    """What the finished runs of one task say together."""

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


class SuiteTable(_Part):
    """The suite's result."""

    tasks: list[TaskSummary] = Field(default_factory=list)
    average: Spread | None = None
    """GLUE's macro average, over the seeds that have all nine tasks."""
    average_note: str = ""
    """Why there is no average, or which seeds are not in it."""
    notes: list[str] = Field(default_factory=list)


class SuiteRecord(_Part):
    """The whole of `suite.json`."""

    version: int = SUITE_VERSION
    kind: Literal["suite"] = "suite"
    status: Status = Status.RUNNING
    started: str
    updated: str
    command: str
    """What begins or takes up this suite."""
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


class Suite:
    """A suite on disk. Whatever takes a suite's folder takes a Suite too.

    Raises RunError when `path` holds none.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.folder = SuiteFolder(self.path)
        self.record = _read(self.folder)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        done = sum(job.state is JobState.FINISHED for job in self.record.jobs)
        return f"Suite('{self.path}', {done} of {len(self.record.jobs)} jobs finished)"

    @property
    def table(self) -> SuiteTable:
        """Mean and spread by task, and the average."""
        return self.record.table

    @property
    def failed(self) -> list[JobRecord]:
        """Jobs that failed, and those that could not start because of it."""
        return [job for job in self.record.jobs if job.state in (JobState.FAILED, JobState.BLOCKED)]

    @property
    def runs(self) -> list[Run]:
        """The finished runs, in the order of the request."""
        return [
            run
            for job in self.record.jobs
            if (run := finished_run(self.folder.run(job))) is not None
        ]

    def runs_of(self, seed: int | None = None) -> list[Run]:
        """Return the finished runs of one seed: the first of the request where none is said.

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


def finished_run(path: Path) -> Run | None:
    """Return the run at `path`, None unless there is one and it is finished."""
    try:
        run = Run(path)
    except RunError:
        return None
    return run if run.record.status is Status.FINISHED else None


def _read(folder: SuiteFolder) -> SuiteRecord:
    printed = "`gluetune suite` printed, e.g. suites/…"
    return read_versioned(
        folder.record,
        SuiteRecord,
        SUITE_VERSION,
        absent=lambda: absent_folder(folder.record, "suite", printed),
    )
