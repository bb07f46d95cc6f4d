"""Jobs handed to workers in order, and what comes of each written down as it comes.

Who the workers are (this process, others, a cluster) is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gluetune.core.files import write_text
from gluetune.core.records import Status
from gluetune.core.suite_records import (
    JobRecord,
    JobState,
    Suite,
    SuiteFolder,
    SuiteRecord,
    finished_run,
)
from gluetune.experiments.suite.jobs import run_job
from gluetune.experiments.suite.planning import block, costs, next_job, training_of
from gluetune.experiments.suite.progress import SuiteProgress
from gluetune.parallel.calls import Outcome
from gluetune.parallel.pool import Workers
from gluetune.rendering.suite_tables import summarize


def run_jobs(
    record: SuiteRecord,
    folder: SuiteFolder,
    workers: Workers,
    progress: SuiteProgress,
    machine: Mapping[str, Any],
) -> None:
    """Run every job that is not finished; `record` and its file say at any time how far it is.

    `machine` holds settings that decide no score (threads, …), for each training that begins now.
    A failed job stops only those that start from it.
    """
    by_name = {job.name: job for job in record.jobs}
    _take_up(record, folder)
    guessed = costs(record.request)
    while True:
        while workers.free and (job := next_job(record.jobs, guessed)) is not None:
            job.state = JobState.RUNNING
            record.save(folder)
            progress.started(job)
            workers.start(job.name, run_job, training_of(record, job, folder, machine))
        if not workers.running:
            return
        outcome = workers.wait()
        if outcome is not None:
            _end(by_name[str(outcome.key)], outcome, record, folder, progress)


def close(record: SuiteRecord, folder: SuiteFolder, status: Status) -> None:
    """Write the table of what is finished, and how the suite as a whole ended."""
    record.status = status
    for job in record.jobs:
        if job.state is JobState.RUNNING:
            job.state = JobState.WAITING
    _save_table(record, folder)


def _take_up(record: SuiteRecord, folder: SuiteFolder) -> None:
    """Keep what is finished, and try all else again."""
    for job in record.jobs:
        if job.state is JobState.FINISHED and finished_run(folder.run(job)) is not None:
            continue
        job.state, job.error, job.hint, job.notes = JobState.WAITING, None, "", []


def _end(
    job: JobRecord,
    outcome: Outcome,
    record: SuiteRecord,
    folder: SuiteFolder,
    progress: SuiteProgress,
) -> None:
    failure = outcome.failure
    if failure is None:
        job.state, job.notes = JobState.FINISHED, list(outcome.value)
        run = finished_run(folder.run(job))
        progress.finished(job, run)
    else:
        job.state, job.error = JobState.FAILED, failure.message
        job.hint = " ".join(finding.hint for finding in failure.findings if finding.hint)
        if failure.traceback:
            write_text(folder.traceback(job), failure.traceback)
            job.hint = f"See {folder.traceback(job)}."
        progress.failed(job)
        for other in block(record.jobs):
            progress.failed(other)
    _save_table(record, folder)


def _save_table(record: SuiteRecord, folder: SuiteFolder) -> None:
    record.save(folder)
    record.table = summarize(Suite(folder.path))
    record.save(folder)
