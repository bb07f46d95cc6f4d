"""The scheduler of a suite: runs its jobs in a pool and records their outcomes; and one job."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from gluetune.core.events import (
    Event,
    JobEnded,
    JobEvent,
    JobStarted,
    OnEvent,
    SuiteStarted,
    Throttle,
    as_messages,
)
from gluetune.core.files import write_text
from gluetune.core.records import Status
from gluetune.core.runs import Run, RunFolder
from gluetune.core.suites import (
    JobRecord,
    SuiteFolder,
    SuiteRecord,
    SuiteResult,
    counts,
    finished_run,
)
from gluetune.core.tasks import TASKS
from gluetune.data.sources import open_source
from gluetune.experiments.suite.plan import block, costs, next_job, train_arguments
from gluetune.experiments.suite.summary import summarize
from gluetune.inference.run_predictions import run_predictions
from gluetune.models.classifiers import quiet_transformers
from gluetune.parallel.orphans import wait_until_free
from gluetune.parallel.pool import Failure, Outcome, Pool, emit, run_all
from gluetune.training.run import train


@dataclass
class SuiteScheduler:
    """Runs the jobs of a suite whose folder this process has locked.

    `record` and its file are always up to date. A failed job blocks only those that start from its
    model.
    """

    record: SuiteRecord
    folder: SuiteFolder
    on_event: OnEvent
    machine: Mapping[str, Any]
    """Settings that do not affect scores (threads, …), for each run that is started."""
    _started: dict[str, float] = field(default_factory=dict)

    def run_jobs(self, pool: Pool) -> None:
        """Run every job that is not finished."""
        for job in self.record.jobs:
            is_finished = job.state is Status.FINISHED
            if not (is_finished and finished_run(self.folder.run(job)) is not None):
                job.state, job.error, job.hint, job.notes = Status.WAITING, None, "", []
        by_name = {job.name: job for job in self.record.jobs}
        cost_of = costs(self.record.request)
        ended = frozenset(n for n, job in by_name.items() if job.state is Status.FINISHED)
        self.on_event(SuiteStarted({name: cost_of[name] for name in by_name}, ended))

        def start_next() -> bool:
            job = next_job(self.record.jobs, cost_of)
            if job is not None:
                self._start(pool, job)
            return job is not None

        run_all(pool, start_next, lambda outcome: self._end(by_name[str(outcome.key)], outcome))

    def close(self, status: Status) -> None:
        """Write the table of the finished runs, and the status of the suite."""
        self.record.status = status
        for job in self.record.jobs:
            if job.state is Status.RUNNING:
                job.state = Status.WAITING
        self._save_table()

    def forward(self, key: Hashable, event: Event) -> None:
        """Forward an event of a worker, under the name of its job."""
        self.on_event(JobEvent(str(key), event))

    def _start(self, pool: Pool, job: JobRecord) -> None:
        job.state = Status.RUNNING
        self.record.save(self.folder)
        self._started[job.name] = time.monotonic()
        self.on_event(JobStarted(job.name))
        pool.submit(job.name, run_job, train_arguments(self.record, job, self.folder, self.machine))

    def _end(self, job: JobRecord, outcome: Outcome) -> None:
        if outcome.failure is None:
            job.state, job.notes = Status.FINISHED, list(outcome.value)
            self._emit_end(job)
        else:
            self._fail(job, outcome.failure)
            for failed in (job, *block(self.record.jobs)):
                self._emit_end(failed)
        self._save_table()

    def _fail(self, job: JobRecord, failure: Failure) -> None:
        job.state, job.error = Status.FAILED, failure.message
        job.hint = " ".join(finding.hint for finding in failure.findings if finding.hint)
        if failure.traceback:
            write_text(self.folder.traceback(job), failure.traceback)
            job.hint = f"See {self.folder.traceback(job)}."

    def _emit_end(self, job: JobRecord) -> None:
        run = finished_run(self.folder.run(job)) if job.state is Status.FINISHED else None
        since = self._started.get(job.name)
        self.on_event(
            JobEnded(
                job.name,
                cast(Literal["finished", "failed", "blocked"], job.state.value),
                counts(self.record.jobs),
                score=None if run is None else run.score,
                error=job.error or "",
                seconds=None if since is None else time.monotonic() - since,
            )
        )

    def _save_table(self) -> None:
        self.record.save(self.folder)
        self.record.table = summarize(SuiteResult(self.folder.path))
        self.record.save(self.folder)


def run_job(arguments: Mapping[str, Any]) -> list[str]:
    """Run or resume one job, and return notes on it.

    A finished run is left as it is, an unfinished one is resumed. Tasks without a training set that
    the model can predict (AX by MNLI's) are predicted, and the predictions are kept in the run.

    Args:
        arguments: Those of `train`; `output` is the run folder.
    """
    path = Path(arguments["output"])
    on_event = Throttle(emit)
    with quiet_transformers():
        wait_until_free(path, as_messages(on_event))
        return _predict_others(_load_or_train(path, arguments, on_event))


def _load_or_train(path: Path, arguments: Mapping[str, Any], on_event: OnEvent) -> Run:
    if not RunFolder(path).record.exists():
        return train(**arguments, on_event=on_event, progress=False)
    run = Run(path)
    if run.record.status is Status.FINISHED:
        return run
    return train(resume=path, on_event=on_event, progress=False)


def _predict_others(run: Run) -> list[str]:
    """Predict the tasks that use a model of this run's task; return notes on those without data."""
    notes = []
    for task in TASKS.values():
        if task.trained_as != run.task.name:
            continue
        assert run.record.data is not None, "a finished run has its data"
        source = open_source(run.record.data.source)
        there = [split for split in task.test_splits if split in source.splits(task)]
        if not there:
            notes.append(f"{source.name} has no {task.name}: it is not predicted.")
            continue
        run_predictions(run, task, {split: source.read(task, split) for split in there})
    return notes
