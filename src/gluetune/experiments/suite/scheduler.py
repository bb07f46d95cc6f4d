"""The scheduler of a suite; and one of its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gluetune.core.events import OnEvent
from gluetune.core.runs import Run
from gluetune.core.suites import JobRecord, SuiteFolder, SuiteRecord, SuiteResult
from gluetune.core.tasks import TASKS
from gluetune.data.sources import open_source
from gluetune.experiments.jobs import JobScheduler, train_or_resume
from gluetune.experiments.suite.plan import costs, train_arguments
from gluetune.experiments.suite.summary import summarize
from gluetune.inference.run_predictions import run_predictions
from gluetune.models.classifiers import quiet_transformers


def run_job(arguments: Mapping[str, Any]) -> list[str]:
    """Run or resume one job, and return notes on it.

    Tasks without a training set that the model can predict (AX by MNLI's) are predicted, and the
    predictions are kept in the run.
    """
    run = train_or_resume(arguments)
    with quiet_transformers():
        return _predict_others(run)


class SuiteScheduler(JobScheduler[JobRecord]):
    """Runs the jobs of a suite."""

    record: SuiteRecord
    folder: SuiteFolder
    run_job = staticmethod(run_job)

    def __init__(
        self,
        record: SuiteRecord,
        folder: SuiteFolder,
        on_event: OnEvent,
        machine: Mapping[str, Any],
    ) -> None:
        super().__init__(record, folder, on_event)
        self.machine = machine
        """Settings that do not affect scores (threads, …), for each run that is started."""

    def costs(self) -> dict[str, float]:
        """Estimate each job's cost."""
        return costs(self.record.request)

    def arguments(self, job: JobRecord) -> dict[str, Any]:
        """Return the arguments of `train`."""
        return train_arguments(self.record, job, self.folder, self.machine)

    def save(self) -> None:
        """Write suite.json."""
        self.record.save(self.folder)

    def save_table(self) -> None:
        """Write suite.json with the table of the finished runs."""
        self.record.save(self.folder)
        self.record.table = summarize(SuiteResult(self.folder.path))
        self.record.save(self.folder)


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
