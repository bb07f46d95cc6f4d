"""The scheduler of a suite, with fake workers that write what a run would."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import pytest
from tests.support.suites import record_of, request, write_run

from gluetune.core.errors import Finding
from gluetune.core.events import ignore
from gluetune.core.records import Status
from gluetune.core.suites import SuiteFolder, SuiteRecord, SuiteResult
from gluetune.experiments.suite.scheduler import SuiteScheduler
from gluetune.parallel.pool import Failure, Outcome


class Pretended:
    """Two workers that finish the newest call first, and fail the given ones."""

    def __init__(self, folder: SuiteFolder, failing: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.failing = failing
        self.started: list[str] = []
        self._calls: list[tuple[str, dict[str, Any]]] = []
        self.ended: list[str] = []

    @property
    def free(self) -> int:
        return 2 - len(self._calls)

    @property
    def running(self) -> tuple[Hashable, ...]:
        return tuple(key for key, _ in self._calls)

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        assert self.free > 0
        job = next(job for job in SuiteResult(self.folder.path).record.jobs if job.name == key)
        assert job.state is Status.RUNNING, "what runs is on disk before it runs"
        assert job.after is None or job.after in self.ended
        self.started.append(str(key))
        self._calls.append((str(key), arguments[0]))

    def wait(self, timeout: float | None = None) -> Outcome | None:
        key, training = self._calls.pop()
        if key in self.failing:
            failure = Failure("raised", "DataError", (Finding("A row is odd.", "Mend it."),))
            return Outcome(key, failure=failure)
        self.ended.append(key)
        path = Path(training["output"])
        if not path.exists():
            write_run(path, training["task"], training["seed"], 0.5)
        return Outcome(key, ["a note"])


@pytest.fixture
def folder(tmp_path: Path) -> SuiteFolder:
    return SuiteFolder(tmp_path)


def _run(record: SuiteRecord, folder: SuiteFolder, pool: Pretended) -> None:
    SuiteScheduler(record, folder, ignore, {}).run_jobs(pool)


def begin(folder: SuiteFolder, **changed: Any) -> SuiteRecord:
    record = record_of(request(**changed))
    record.save(folder)
    return record


def test_every_job_runs_once_and_is_recorded(folder: SuiteFolder) -> None:
    record = begin(folder, mnli_init=True)
    workers = Pretended(folder)
    _run(record, folder, workers)
    assert len(workers.started) == len(set(workers.started)) == 18
    assert workers.started[:2] == ["mnli-s42", "mnli-s43"]
    on_disk = SuiteResult(folder.path)
    assert all(job.state is Status.FINISHED for job in on_disk.record.jobs)
    assert on_disk.table.average is not None
    assert "mnli-s42: a note" in on_disk.table.notes


def test_a_failed_job_blocks_only_jobs_that_start_from_it(folder: SuiteFolder) -> None:
    record = begin(folder, mnli_init=True)
    workers = Pretended(folder, failing=("mnli-s42", "cola-s43"))
    _run(record, folder, workers)
    suite = SuiteResult(folder.path)
    states = {job.name: job.state.value for job in suite.failed}
    assert states == {
        "mnli-s42": "failed",
        "cola-s43": "failed",
        "rte-s42": "blocked",
        "mrpc-s42": "blocked",
        "stsb-s42": "blocked",
    }
    assert len(suite.runs) == 13
    odd = next(job for job in suite.failed if job.name == "cola-s43")
    assert (odd.error, odd.hint) == ("A row is odd.", "Mend it.")
    assert "Not in the GLUE average: seed 42" not in suite.table.average_note
    assert suite.table.average_note == "No GLUE average: no seed has a score in all nine tasks."


def test_a_resumed_suite_runs_only_missing_jobs(folder: SuiteFolder) -> None:
    record = begin(folder, mnli_init=True)
    _run(record, folder, Pretended(folder, failing=("mnli-s42",)))
    again = Pretended(folder)
    _run(SuiteResult(folder.path).record, folder, again)
    assert set(again.started) == {"mnli-s42", "rte-s42", "mrpc-s42", "stsb-s42"}
    assert SuiteResult(folder.path).failed == []


def test_a_finished_job_whose_run_is_gone_runs_again(folder: SuiteFolder) -> None:
    record = begin(folder, tasks=("cola",))
    _run(record, folder, Pretended(folder))
    (folder.path / "cola-s43" / "record.json").unlink()
    again = Pretended(folder)
    _run(SuiteResult(folder.path).record, folder, again)
    assert again.started == ["cola-s43"]


def test_closing_resets_running_jobs(folder: SuiteFolder) -> None:
    record = begin(folder, tasks=("cola",))
    record.jobs[0].state = Status.RUNNING
    SuiteScheduler(record, folder, ignore, {}).close(Status.INTERRUPTED)
    content = json.loads(folder.record.read_text())
    assert content["status"] == "interrupted"
    assert [job["state"] for job in content["jobs"]] == ["waiting", "waiting"]


def test_the_traceback_of_an_unexpected_failure_is_kept(folder: SuiteFolder) -> None:
    class Odd(Pretended):
        def wait(self, timeout: float | None = None) -> Outcome | None:
            outcome = super().wait()
            assert outcome is not None
            findings = (Finding("ZeroDivisionError: by nothing"),)
            return Outcome(
                outcome.key, failure=Failure("raised", "ZeroDivisionError", findings, "Traceback …")
            )

    record = begin(folder, tasks=("cola",), seeds=(1,))
    _run(record, folder, Odd(folder))
    (failed,) = SuiteResult(folder.path).failed
    assert failed.error == "ZeroDivisionError: by nothing"
    assert failed.hint == f"See {folder.path / 'cola-s1.traceback.txt'}."
    assert (folder.path / "cola-s1.traceback.txt").read_text() == "Traceback …"
