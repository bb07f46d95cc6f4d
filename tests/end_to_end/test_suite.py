"""Suites of real runs: killed, stopped, resumed, failed in part, submitted and compared."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.support.leaderboard import is_taken
from tests.support.processes import fork, wait_until
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import Bench, outcome
from typer.testing import CliRunner

import gluetune
from gluetune.cli.app import app, main
from gluetune.core.events import Event, JobEvent, StepCompleted, Throttle
from gluetune.core.records import Status
from gluetune.core.runs import Run
from gluetune.core.suites import SuiteResult
from gluetune.core.tasks import GLUE_TASKS

SETTINGS: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-3, "threads": 1, "precision": "fp32"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("bench"), dropout=0.2)
    for task in ("cola", "rte", "mnli"):
        bench.settings(task)
    return bench


def suite_of(bench: Bench, output: Path, **changed: Any) -> SuiteResult:
    settings: dict[str, Any] = {"data": str(bench.data), "seeds": 2, "output": output}
    return gluetune.suite(str(bench.model), progress=False, **(settings | SETTINGS | changed))


def _marks(suite: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in suite.glob("*/record.json")}


def _status(run: Path) -> str:
    return Run(run).status if (run / "record.json").exists() else "absent"


def _holder(run: Path) -> int:
    return int((run / ".lock").read_text().split()[-1])


def _has_checkpoint(run: Path) -> bool:
    return any((run / "checkpoints").glob("step-*"))


def test_a_killed_suite_is_resumed_without_repeating_finished_jobs(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once a job is finished and another has begun, the process dies."""
    suite = tmp_path / "suite"
    words = ["suite", "--model", str(bench.model), "--data", str(bench.data), "--tasks", "cola,rte"]
    words += ["--seeds", "2", "--epochs", "4"]
    words += ["--learning-rate", "1e-3", "--threads", "1", "--precision", "fp32"]
    words += ["--jobs", "1", "--output", str(suite)]

    def running() -> list[Path]:
        found = [path.parent for path in suite.glob("*/record.json")]
        return [run for run in found if _status(run) == "running" and _has_checkpoint(run)]

    def in_the_middle() -> bool:
        statuses = [_status(path.parent) for path in suite.glob("*/record.json")]
        return "finished" in statuses and bool(running())

    process = fork(words)
    wait_until(process, in_the_middle)
    process.kill()
    process.communicate()

    finished = {run.path.name for run in SuiteResult(suite).runs}
    before = _marks(suite)
    cut = [name for name in before if name not in finished]
    assert finished
    assert cut
    assert SuiteResult(suite).record.status.value == "running"

    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 0
    assert "rte" in capsys.readouterr().out
    after = _marks(suite)
    assert {name: after[name] for name in finished} == {name: before[name] for name in finished}
    done = SuiteResult(suite)
    assert {run.path.name for run in done.runs} == {
        f"{task}-s{seed}" for task in ("cola", "rte") for seed in (42, 43)
    }
    assert done.record.status.value == "finished"
    assert any(Run(suite / name).record.resumed_from for name in cut)
    assert all(not Run(suite / name).record.resumed_from for name in finished)

    # A job is the training that its config.yaml alone would do.
    one = Run(suite / cut[0])
    again = gluetune.train(config=one.folder.config, output=tmp_path / "again", progress=False)
    assert outcome(again) == outcome(one)

    with pytest.raises(SystemExit) as caught:
        main([*words, "--json"])
    assert _marks(suite) == after
    result = json.loads(capsys.readouterr().out)
    assert [one["score"]["mean"] for one in result["table"]["tasks"]] == [
        one.score.mean for one in done.table.tasks if one.score
    ]


def test_a_killed_worker_fails_its_job_which_is_resumed_next_time(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: set[int] = set()

    def kill(event: Event) -> None:
        run = tmp_path / "cola-s42"
        if (
            isinstance(event, JobEvent)
            and event.job == run.name
            and not killed
            and _has_checkpoint(run)
        ):
            killed.add(_holder(run))
            os.kill(_holder(run), signal.SIGKILL)

    suite = suite_of(bench, tmp_path, tasks=["cola"], epochs=6, jobs=2, on_event=kill)
    assert killed
    assert os.getpid() not in killed
    (failed,) = suite.failed
    assert failed.name == "cola-s42"
    assert "killed by SIGKILL" in (failed.error or "")
    assert [run.path.name for run in suite.runs] == ["cola-s43"]
    assert suite.record.status.value == "failed"

    before = _marks(tmp_path)
    again = suite_of(bench, tmp_path, tasks=["cola"], epochs=6)
    assert again.failed == []
    assert _marks(tmp_path)["cola-s43"] == before["cola-s43"]
    one = Run(tmp_path / "cola-s42")
    assert one.record.resumed_from
    assert one.record.resumed_from[0] > 0


def test_after_ctrl_c_the_same_command_resumes_the_suite(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def interrupted(self: Throttle, event: Event) -> None:
        nonlocal steps
        is_step = isinstance(event, StepCompleted)
        steps += is_step
        if is_step and steps == 4:  # of three for each job
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Throttle, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            suite_of(bench, tmp_path, tasks=["cola"])
    stopped = SuiteResult(tmp_path)
    assert stopped.record.status.value == "interrupted"
    assert [job.state.value for job in stopped.record.jobs] == ["finished", "waiting"]
    assert _status(tmp_path / "cola-s43") == "interrupted"
    before = _marks(tmp_path)
    done = suite_of(bench, tmp_path, tasks=["cola"])
    assert _marks(tmp_path)["cola-s42"] == before["cola-s42"]
    (resumed,) = Run(tmp_path / "cola-s43").record.resumed_from
    assert 0 < resumed < 3
    assert done.record.status.value == "finished"

    with pytest.raises(gluetune.RunError, match="holds another suite: tasks was cola and is rte"):
        suite_of(bench, tmp_path, tasks=["rte"])


def test_seeds_are_added_to_a_suite(bench: Bench, tmp_path: Path) -> None:
    suite_of(bench, tmp_path, tasks=["cola"], seeds=1)
    before = _marks(tmp_path)
    grown = suite_of(bench, tmp_path, tasks=["cola"], seeds=[44, 42])
    assert [job.name for job in grown.record.jobs] == ["cola-s42", "cola-s44"]
    assert _marks(tmp_path)["cola-s42"] == before["cola-s42"]
    assert grown.table.tasks[0].score is not None
    assert grown.table.tasks[0].score.n == 2
    assert "--seeds 42,44" in grown.record.command
    assert suite_of(bench, tmp_path, tasks=["cola"], seeds=1).table == grown.table


def test_files_of_a_process_killed_before_its_record_are_removed(
    bench: Bench, tmp_path: Path
) -> None:
    left = tmp_path / "cola-s42"
    suite = suite_of(bench, tmp_path, tasks=["cola"], seeds=1)
    shutil.rmtree(left)
    left.mkdir()
    (left / "config.yaml").write_text("task: col")
    again = suite_of(bench, tmp_path, tasks=["cola"], seeds=1)
    assert again.table.tasks[0].score == suite.table.tasks[0].score


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> SuiteResult:
    """All nine tasks on a trace of the sample, three of them from MNLI's model."""
    folder = tmp_path_factory.mktemp("nine")
    model = write_tiny_checkpoint(folder / "tiny", "bert")
    return gluetune.suite(
        str(model),
        data="sample",
        seeds=[5],
        mnli_init=True,
        output=folder / "suite",
        progress=False,
        **SETTINGS | {"fraction": 0.02, "max_length": 32},
    )


def test_nine_tasks_give_one_table(nine: SuiteResult) -> None:
    assert nine.failed == []
    assert [one.task for one in nine.table.tasks] == list(GLUE_TASKS)
    assert all(run.path.joinpath("report.html").exists() for run in nine.runs)
    average = nine.table.average
    assert average is not None
    assert average.n == 1
    assert nine.folder.page.exists()
    assert "(from MNLI)" in nine.folder.markdown.read_text(encoding="utf-8")


def test_jobs_from_mnli_come_after_it_and_have_a_new_head(nine: SuiteResult) -> None:
    source = Run(nine.path / "mnli-s5")
    for task in ("rte", "mrpc", "stsb"):
        run = Run(nine.path / f"{task}-s5")
        assert run.config.model == str(source.model_path.resolve())
        assert run.record.started >= source.record.updated
        assert run.record.model is not None
        assert set(run.record.model.new_weights) == {"classifier.bias", "classifier.weight"}
    assert Run(nine.path / "cola-s5").config.model == str(nine.path.parent / "tiny")


def test_ax_is_predicted_by_the_mnli_run(nine: SuiteResult) -> None:
    table = pq.read_table(nine.path / "mnli-s5" / "predictions" / "ax.parquet")
    assert len(table) == 256
    assert set(np.unique(table["prediction"].to_numpy())) <= {0, 1, 2}
    assert not list(nine.path.glob("cola-s5/predictions/ax.parquet"))


@pytest.fixture(scope="module")
def pair(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> tuple[SuiteResult, SuiteResult]:
    """Two suites of two seeds that differ in the learning rate."""
    folder = tmp_path_factory.mktemp("pair")
    settings = {"data": "sample:official", "fraction": 0.05, "tasks": ["wnli"], "seeds": [5, 6]}
    first = suite_of(bench, folder / "a", **settings)
    return first, suite_of(bench, folder / "b", **settings, learning_rate=5e-3)


def test_a_suite_is_submitted_with_one_seed_which_is_printed(
    pair: tuple[SuiteResult, SuiteResult], tmp_path: Path
) -> None:
    suite, said = pair[0].path, list[str]()
    settings: dict[str, Any] = {"fill_missing": True, "on_message": said.append}
    found = gluetune.submit(suite, output=tmp_path / "s.zip", **settings)
    assert is_taken(tmp_path / "s.zip")
    assert said[0] == f"{suite}: seed 5 of 5, 6"
    assert {file.origin for file in found.files if not file.filled} == {str(suite / "wnli-s5")}
    other = gluetune.submit(suite, output=tmp_path / "t.zip", seed=6, **settings)
    assert {file.origin for file in other.files if not file.filled} == {str(suite / "wnli-s6")}
    with pytest.raises(gluetune.ConfigurationError, match="no suite is given"):
        gluetune.submit(suite / "wnli-s5", output=tmp_path / "u.zip", seed=6)


def test_suites_are_compared_task_by_task(pair: tuple[SuiteResult, SuiteResult]) -> None:
    first, second = pair
    found = gluetune.compare_suites(first.path, second.path)
    assert list(found) == ["wnli"]
    one = found["wnli"]
    assert not isinstance(one, gluetune.RunError)
    assert [side.seeds for side in one.sides] == [(5, 6), (5, 6)]
    assert list(one.differing) == ["learning_rate"]
    result = CliRunner().invoke(app, ["compare", str(first.path), str(second.path)])
    assert result.exit_code == 0, result.output
    assert "wnli: 128 validation examples" in result.output
    assert gluetune.compare(first.path, second.path).task == "wnli"


def test_a_failed_job_is_named_and_the_rest_is_done(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "glue"
    shutil.copytree(bench.data, data)
    (broken,) = (data / "rte").glob("train*.parquet")
    broken.write_bytes(b"PAR1 cut off")
    words = ["suite", "--model", str(bench.model), "--data", str(data), "--tasks", "rte,cola"]
    words += ["--seeds", "7,", "--epochs", "1", "--threads", "1", "--jobs", "1"]
    words += ["--output", str(tmp_path / "s")]
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 1
    said = capsys.readouterr()
    assert "failed  rte-s7" in said.err
    assert "Jobs that are not finished." in said.out
    suite = SuiteResult(tmp_path / "s")
    assert [job.state for job in suite.record.jobs] == [Status.FAILED, Status.FINISHED]
    assert "cannot be read as Parquet" in (suite.failed[0].error or "")
    assert suite.failed[0].hint
    assert suite.record.request.seeds == (7,)

    shutil.copy(bench.data / "rte" / broken.name, broken)
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 0
    assert SuiteResult(tmp_path / "s").failed == []


def test_the_printed_command_is_the_suite_again(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {
        "training_args": {"lr_scheduler_type": "cosine", "adam_beta2": 0.98},
        "new_head": True,
    }
    suite = suite_of(bench, tmp_path / "s", tasks=["cola"], seeds=[3], fraction=0.5, **settings)
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(suite.record.command)[1:])
    assert caught.value.code == 0
    said = capsys.readouterr()
    assert "(1 of 1 finished)" in said.err
    assert "start" not in said.err
    assert "cola" in said.out
