"""The jobs of a suite or a cross-validation: their state, as its record has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from gluetune.core.errors import RunError
from gluetune.core.records import RecordPart, Status
from gluetune.core.runs import Run
from gluetune.core.tables import Table


class JobState(RecordPart):
    """A run that is one of several, and how far it is."""

    after: str | None = None
    """Name of the job whose model it starts from."""
    state: Status = Status.WAITING
    error: str | None = None
    hint: str = ""
    notes: list[str] = Field(default_factory=list)

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the job and of its run folder."""


def finished_run(path: Path) -> Run | None:
    """Return the run at `path`, None unless there is one and it is finished."""
    try:
        run = Run(path)
    except RunError:
        return None
    return run if run.record.status is Status.FINISHED else None


def counts(jobs: Sequence[JobState]) -> str:
    """Return how many jobs are in which state: `4 of 18 finished, 1 failed`."""
    finished = sum(job.state is Status.FINISHED for job in jobs)
    failed = sum(job.state in (Status.FAILED, Status.BLOCKED) for job in jobs)
    return f"{finished} of {len(jobs)} finished" + (f", {failed} failed" if failed else "")


def jobs_table(jobs: Sequence[JobState]) -> Table:
    """Return how each job that is not finished ended, and what to do."""
    rows = [
        (job.name, job.state.value, job.error or "", job.hint)
        for job in jobs
        if job.state is not Status.FINISHED
    ]
    return Table.of("Jobs that are not finished.", ("job", "state", "why", "what to do"), rows)
