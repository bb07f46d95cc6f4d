"""Run the jobs of a suite or a cross-validation in a pool, and record their outcomes."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, cast

from gluetune.core.events import (
    Event,
    ExperimentEnded,
    JobEnded,
    JobEvent,
    JobStarted,
    OnEvent,
    SuiteStarted,
    Throttle,
    as_messages,
)
from gluetune.core.files import write_text
from gluetune.core.jobs import JobState, counts, finished_run
from gluetune.core.records import Status
from gluetune.core.runs import Run, RunFolder
from gluetune.inference.devices import device, visible_devices
from gluetune.models.classifiers import quiet_transformers
from gluetune.parallel.orphans import wait_until_free
from gluetune.parallel.pool import (
    Failure,
    Outcome,
    Pool,
    cores,
    emit,
    open_pool,
    run_all,
    threads_each,
)
from gluetune.parallel.ray import Cluster
from gluetune.training.run import train

Job = TypeVar("Job", bound=JobState)

_RESTARTS = 2
"""How often to restart a job whose worker on a cluster died."""


class JobsRecord(Protocol[Job]):
    """The record of an experiment, on disk."""

    status: Status
    command: str
    jobs: list[Job]


class JobsFolder(Protocol):
    """The folder of an experiment."""

    path: Path

    def run(self, job: Any) -> Path:
        """Return the run folder of a job."""

    def traceback(self, job: Any) -> Path:
        """Return the file of a job's traceback, where it failed with an unexpected error."""


class JobScheduler(ABC, Generic[Job]):
    """Runs the jobs of an experiment whose folder this process has locked.

    `record` and its file are always up to date. A failed job blocks only those that start from its
    model.
    """

    run_job: staticmethod[[Mapping[str, Any]], list[str]]
    """Runs one job, in a worker: takes `arguments(job)`, returns notes on it."""

    def __init__(self, record: JobsRecord[Job], folder: JobsFolder, on_event: OnEvent) -> None:
        self.record = record
        self.folder = folder
        self.on_event = on_event
        self._started: dict[str, float] = {}

    @abstractmethod
    def costs(self) -> dict[str, float]:
        """Return the relative cost of each job, by name."""

    @abstractmethod
    def arguments(self, job: Job) -> dict[str, Any]:
        """Return the argument of `run_job`."""

    @abstractmethod
    def save(self) -> None:
        """Write the record."""

    @abstractmethod
    def save_table(self) -> None:
        """Write the record with the results of the finished runs."""

    def run(
        self,
        jobs: int,
        threads: int | None,
        *,
        cluster: Cluster | None = None,
        complete: Callable[[], None] = lambda: None,
    ) -> None:
        """Run every job, at most `jobs` together, then `complete` if all are finished."""
        try:
            with open_pool(
                jobs,
                threads=threads,
                devices=visible_devices(),
                on_event=self.forward,
                cluster=cluster,
                restarts=_RESTARTS,
                folder=self.folder.path.absolute(),
            ) as pool:
                self.run_jobs(pool)
            done = all(job.state is Status.FINISHED for job in self.record.jobs)
            if done:
                complete()
        except (KeyboardInterrupt, SystemExit):
            self.close(Status.INTERRUPTED)
            as_messages(self.on_event)(
                f"Stopped, {counts(self.record.jobs)}. To resume: {self.record.command}"
            )
            self.on_event(ExperimentEnded(completed=False))
            raise
        self.close(Status.FINISHED if done else Status.FAILED)
        self.on_event(ExperimentEnded(completed=True))

    def run_jobs(self, pool: Pool) -> None:
        """Run every job that is not finished."""
        for job in self.record.jobs:
            is_finished = job.state is Status.FINISHED
            if not (is_finished and finished_run(self.folder.run(job)) is not None):
                job.state, job.error, job.hint, job.notes = Status.WAITING, None, "", []
        by_name = {job.name: job for job in self.record.jobs}
        cost_of = self.costs()
        ended = frozenset(n for n, job in by_name.items() if job.state is Status.FINISHED)
        self.on_event(SuiteStarted({name: cost_of[name] for name in by_name}, ended))

        def start_next() -> bool:
            job = next_job(self.record.jobs, cost_of)
            if job is not None:
                self._start(pool, job)
            return job is not None

        run_all(pool, start_next, lambda outcome: self._end(by_name[str(outcome.key)], outcome))

    def close(self, status: Status) -> None:
        """Write the table of the finished runs, and the status."""
        self.record.status = status
        for job in self.record.jobs:
            if job.state is Status.RUNNING:
                job.state = Status.WAITING
        self.save_table()

    def forward(self, key: Hashable, event: Event) -> None:
        """Forward an event of a worker, under the name of its job."""
        self.on_event(JobEvent(str(key), event))

    def _start(self, pool: Pool, job: Job) -> None:
        job.state = Status.RUNNING
        self.save()
        self._started[job.name] = time.monotonic()
        self.on_event(JobStarted(job.name))
        pool.submit(job.name, self.run_job, self.arguments(job))

    def _end(self, job: Job, outcome: Outcome) -> None:
        if outcome.failure is None:
            job.state, job.notes = Status.FINISHED, list(outcome.value)
            self._emit_end(job)
        else:
            self._fail(job, outcome.failure)
            for failed in (job, *block(self.record.jobs)):
                self._emit_end(failed)
        self.save_table()

    def _fail(self, job: Job, failure: Failure) -> None:
        job.state, job.error = Status.FAILED, failure.message
        job.hint = " ".join(finding.hint for finding in failure.findings if finding.hint)
        if failure.traceback:
            write_text(self.folder.traceback(job), failure.traceback)
            job.hint = f"See {self.folder.traceback(job)}."

    def _emit_end(self, job: Job) -> None:
        run = finished_run(self.folder.run(job)) if job.state is Status.FINISHED else None
        best = None if run is None else run.record.best
        since = self._started.get(job.name)
        self.on_event(
            JobEnded(
                job.name,
                cast(Literal["finished", "failed", "blocked"], job.state.value),
                counts(self.record.jobs),
                score=None if run is None else run.score,
                error=job.error or "",
                seconds=None if since is None else time.monotonic() - since,
                is_scored=best is None or bool(best.validation.metrics),
            )
        )


def next_job(jobs: Sequence[Job], costs: Mapping[str, float]) -> Job | None:
    """Return the waiting job that should start now; None where none can.

    The longest is first, including jobs that can only start after it, so that no long job is left
    to the end, when other workers are idle.
    """
    by_name = {job.name: job for job in jobs}
    ready = [job for job in jobs if job.state is Status.WAITING and _may_start(job, by_name)]
    return max(ready, key=lambda job: _chain(job, jobs, costs), default=None)


def block(jobs: Sequence[Job]) -> list[Job]:
    """Mark the waiting jobs that start from the model of a failed job, and return them."""
    by_name = {job.name: job for job in jobs}
    blocked = [
        job
        for job in jobs
        if job.state is Status.WAITING
        and job.after is not None
        and by_name[job.after].state in (Status.FAILED, Status.BLOCKED)
    ]
    for job in blocked:
        job.state = Status.BLOCKED
        job.error = f"It starts from the model of {job.after}, which failed."
        job.hint = "The same command tries both again."
    return blocked


def _may_start(job: JobState, by_name: Mapping[str, JobState]) -> bool:
    return job.after is None or by_name[job.after].state is Status.FINISHED


def _chain(job: JobState, jobs: Sequence[JobState], costs: Mapping[str, float]) -> float:
    """Return the cost of a job plus that of the longest job that waits for it."""
    later = [costs[other.name] for other in jobs if other.after == job.name]
    return costs[job.name] + max(later, default=0.0)


def train_or_resume(arguments: Mapping[str, Any]) -> Run:
    """Train one job's run, or resume it; a finished run is returned as it is.

    Args:
        arguments: Those of `train`; `output` is the run folder.
    """
    path = Path(arguments["output"])
    on_event = Throttle(emit)
    with quiet_transformers():
        wait_until_free(path, as_messages(on_event))
        if not RunFolder(path).record.exists():
            return train(**arguments, on_event=on_event, progress=False)
        run = Run(path)
        if run.record.status is Status.FINISHED:
            return run
        return train(resume=path, on_event=on_event, progress=False)


def default_jobs() -> int:
    """Return the command's default of parallel runs: one on a GPU, two on several cores.

    From Python it is one, since more need a script that can be imported again.
    """
    return 1 if device().type != "cpu" else min(2, cores())


def threads_of(jobs: int, stated: int | None, cluster: Cluster | None = None) -> int | None:
    """Return the threads of each of so many parallel runs: as stated, else a share of the cores."""
    share = threads_each(jobs) if jobs > 1 else None
    return stated or (cluster.threads if cluster is not None else share)
