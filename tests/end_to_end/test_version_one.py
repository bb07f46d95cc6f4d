"""Folders of version 1 are opened, evaluated, compared, reported, found and continued."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support.version_one import copy_version_one

import gluetune
from gluetune.core.events import Event, FinalRunStarted, JobStarted, TrialStarted
from gluetune.core.runs import Run
from gluetune.experiments.search import scheduler
from gluetune.experiments.search.objective import TrialCall, TrialResult

SEARCH: dict[str, Any] = {"data": "sample", "epochs": 1, "trials": 3}
SUITE: dict[str, Any] = {
    "data": "sample",
    "tasks": ["cola", "rte"],
    "seeds": [42, 43],
    "epochs": 1,
}


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return copy_version_one(tmp_path)


def _records(folder: Path) -> dict[str, bytes]:
    """Return every run's record, which any training rewrites."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("record.json"))}


@pytest.mark.parametrize("name", ["rte", "stsb", "several"])
def test_a_run_is_evaluated_and_reported(there: Path, name: str) -> None:
    run = Run(there / name)
    assert run.status == "finished"
    before = _records(run.path)
    again = gluetune.evaluate(run)
    # In bf16 other products round differently, and the barely trained model of STS-B answers
    # nearly the same for all pairs: its correlation moves with the last digit.
    assert again.score.score == pytest.approx(run.score, abs=5e-3 if name == "stsb" else 1e-6)
    assert gluetune.report(run).exists()
    assert _records(run.path) == before


def test_runs_are_compared(there: Path) -> None:
    suite = there / "suites" / "tiny-4384a5a8"
    comparison = gluetune.compare(suite / "cola-s42", suite / "cola-s43")
    assert comparison is not None


def test_a_suite_is_opened_and_compared(there: Path) -> None:
    path = there / "suites" / "tiny-4384a5a8"
    suite = gluetune.SuiteResult(path)
    assert repr(suite) == f"SuiteResult('{path}', 4 of 4 jobs finished)"
    table = suite.to_pandas().set_index("task")
    assert table.loc["rte", "score"] == pytest.approx(0.557, abs=1e-3)
    assert table.loc["rte", "n"] == 2
    assert suite.to_dict()["request"]["tasks"] == ["cola", "rte"]
    assert "55.7" in suite._repr_html_()
    assert gluetune.report(suite).exists()
    assert gluetune.compare_suites(suite, suite) is not None


def test_a_suite_is_found_again_and_nothing_is_trained(there: Path) -> None:
    before = _records(there / "suites")
    events: list[Event] = []
    suite = gluetune.suite(there / "tiny", **SUITE, on_event=events.append, progress=False)
    assert suite.path == Path("suites/tiny-4384a5a8")
    assert [path.name for path in Path("suites").iterdir()] == ["tiny-4384a5a8"]
    assert not [event for event in events if isinstance(event, JobStarted)]
    assert _records(there / "suites") == before
    assert suite.record.status.value == "finished"


def test_an_unfinished_suite_trains_missing_jobs(there: Path) -> None:
    path = there / "suites" / "tiny-4384a5a8"
    record = json.loads((path / "suite.json").read_text(encoding="utf-8"))
    record["status"], record["jobs"][0]["state"] = "interrupted", "waiting"
    (path / "suite.json").write_text(json.dumps(record), encoding="utf-8")
    before = _records(path)
    shutil.rmtree(path / "cola-s42")
    events: list[Event] = []
    suite = gluetune.suite(there / "tiny", **SUITE, on_event=events.append, progress=False)
    assert [event.name for event in events if isinstance(event, JobStarted)] == ["cola-s42"]
    assert suite.record.status.value == "finished"
    after = _records(path)
    assert [name for name in before if after[name] != before[name]] == [next(iter(before))]


def test_a_search_is_opened(there: Path) -> None:
    result = gluetune.SearchResult.load(there / "searches" / "cola-tiny-529b25c3")
    assert (result.number, result.value, result.direction) == (0, 0.0, "maximize")
    assert result.tuned_on == "holdout"
    assert [run.path.name for run in result.finals] == ["s42"]
    frame = result.trials_dataframe()
    assert frame["state"].tolist() == ["finished"] * 3
    assert frame["params_batch_size"].tolist() == [16, 32, 16]
    assert len(result.study.trials) == 3
    assert result.to_dict()["parameters"] == dict(result.parameters)
    assert "learning_rate" in result._repr_html_()
    assert gluetune.evaluate(result.run).score is not None


def test_a_search_is_found_again_and_continued(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("searches/cola-tiny-529b25c3")
    before = _records(folder)
    events: list[Event] = []
    given: dict[str, Any] = {**SEARCH, "model": str(there / "tiny")}
    given |= {"on_event": events.append, "progress": False}
    result = gluetune.search("cola", **given)
    assert result.folder == folder
    assert [path.name for path in Path("searches").iterdir()] == [folder.name]
    assert not [event for event in events if isinstance(event, TrialStarted)]
    assert [event.seed for event in events if isinstance(event, FinalRunStarted)] == [42]
    assert _records(folder) == before, "nothing is trained anew"
    assert len(result.trials) == 3
    # A fourth trial is proposed by the same study; training it would take a minute.
    proposed: list[TrialCall] = []

    def run_trial(call: TrialCall) -> TrialResult:
        proposed.append(call)
        return TrialResult(call.number, "failed", None, "It was not trained.")

    monkeypatch.setattr(scheduler, "run_trial", run_trial)
    further = gluetune.search("cola", **{**given, "trials": 4, "final": False})
    assert [(call.number, call.study) for call in proposed] == [(3, "cola-tiny-529b25c3")]
    assert [trial.state for trial in further.trials] == ["finished"] * 3 + ["failed"]
    assert _records(folder) == before
