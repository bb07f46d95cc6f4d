"""What was requested of a suite and what came of it: `suite.json`, and how its folder is laid out.

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

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gluetune.core.config import TrainConfig
from gluetune.core.config_checks import make_config
from gluetune.core.files import write_json
from gluetune.core.recipes import recipe_fields
from gluetune.core.records import Status, absent_folder, now, read_versioned

SUITE_VERSION = 1
JobState = Status


class SuiteFolder:
    """Names of what is in a suite's folder. Nothing is read or made."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.record = self.path / "suite.json"
        self.markdown = self.path / "suite.md"
        self.page = self.path / "report.html"

    def run(self, job: JobRecord) -> Path:
        """Return the run folder of a job."""
        return self.path / job.name

    def traceback(self, job: JobRecord) -> Path:
        """Return the file of a job's traceback, where it failed with an unexpected error."""
        return self.path / f"{job.name}.traceback.txt"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)


def _by_new_names(settings: Any) -> Any:
    """Read settings that a former version has written."""
    former = TrainConfig.former_names
    return {former.get(name, name): value for name, value in settings.items()}


class SuiteRequest(_Part):
    """What was requested, as far as it decides scores: the same request is the same suite.

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
    """Settings of every run that were given besides."""

    def requested(self) -> dict[str, Any]:
        """Return what is the same in all requests for one suite: all but the seeds, as JSON.

        Settings of an earlier release are returned as this one calls them. One that says what holds
        without it is no other request.
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
