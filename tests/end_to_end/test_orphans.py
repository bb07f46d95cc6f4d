"""Searches and suites resumed while workers of their killed process are still running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.processes import finish, fork, start, wait_until
from tests.support.tiny_runs import Bench

import gluetune
from gluetune.cli.app import main
from gluetune.core.config import make_config
from gluetune.core.files import locked
from gluetune.core.runs import Run
from gluetune.core.suites import SuiteResult
from gluetune.experiments.search.objective import objective
from gluetune.experiments.search.study import open_storage, open_study, trials_of
from gluetune.parallel import orphans


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def _words(bench: Bench, verb: str, folder: Path) -> list[str]:
    bench.settings("cola")
    words = ["--data", str(bench.data), "--model", str(bench.model), "--threads", "1"]
    words += ["--jobs", "2", "--output", str(folder), "--precision", "fp32", "--epochs", "2"]
    if verb == "suite":
        return ["suite", "--tasks", "cola", "--seeds", "2", *words]
    space = folder.with_suffix(".yaml")
    space.write_text(yaml.safe_dump({"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}))
    words += ["--space", str(space), "--pruner", "none", "--no-final"]
    return ["search", "cola", "--trials", "2", *words]


def _alone(words: list[str]) -> list[str]:
    """Return the command with one job at a time, which its own process does."""
    return ["1" if before == "--jobs" else word for before, word in pairwise(["", *words])]


def _workers(folder: Path) -> list[int]:
    return [orphan.pid for orphan in orphans._orphans(folder)]


def _runs(folder: Path) -> list[Path]:
    # Folders vanish while they are listed, which os.walk passes over.
    return [Path(where) for where, _, files in os.walk(folder) if "record.json" in files]


def _both_train(folder: Path) -> bool:
    begun = [run for run in _runs(folder) if any((run / "checkpoints").glob("step-*"))]
    return len(begun) == 2


SLOW = """
import sys, time
from pathlib import Path

if not any("resource_tracker" in word for word in sys.orig_argv):
    from gluetune.training.run_trainer import RunTrainer

    plain = RunTrainer.training_step

    def slow(self, *args, **kwargs):
        result = plain(self, *args, **kwargs)
        while self.state.global_step >= 3 and Path({flag!r}).exists():
            time.sleep(0.05)
        return result

    RunTrainer.training_step = slow
"""
"""What a process runs at its start whose later steps take as long as a file exists."""


@dataclass
class Left:
    """What a killed command has left: its workers, in the middle of a step."""

    words: list[str]
    workers: list[int]
    flag: Path

    def let_go(self) -> None:
        self.flag.unlink()


@pytest.fixture
def leave(bench: Bench, tmp_path: Path) -> Iterator[Callable[[str], Left]]:
    """Start a command, and kill its process while both of its workers train."""
    left: list[Left] = []

    def start_and_kill(verb: str) -> Left:
        folder, flag, site = tmp_path / verb, tmp_path / "flag", tmp_path / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(SLOW.format(flag=str(flag)))
        path = os.pathsep.join([str(site), *sys.path])
        flag.touch()
        words = _words(bench, verb, folder)
        process = start(words, environment={"PYTHONPATH": path})
        wait_until(process, lambda: _both_train(folder))
        process.kill()
        process.wait()  # its workers have its output open, and continue
        left.append(Left(words, _workers(folder), flag))
        assert len(left[0].workers) == 2
        return left[0]

    yield start_and_kill
    for one in left:
        for pid in one.workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_search_waits_until_they_have_saved_their_state(
    leave: Callable[[str], Left], tmp_path: Path
) -> None:
    left = leave("search")
    again = fork(_alone(left.words))
    seen = ""
    while "Workers of a killed command" not in seen:
        assert again.poll() is None
        seen = again.stderr.readline()
    assert all(f"process {pid}" in seen for pid in left.workers)
    left.let_go()
    code, _, err = finish(again)
    assert code == 0, err
    assert "is killed" not in err
    folder = tmp_path / "search"
    assert [Run(run).status for run in _runs(folder)] == ["finished"] * 2
    (study,) = open_storage(folder).get_all_studies()
    trials = trials_of(open_study(folder, study.study_name, "maximize"))
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2
    assert list(folder.glob(".worker-*")) == []


def test_a_suite_kills_those_that_do_not_end(
    leave: Callable[[str], Left],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    left = leave("suite")
    monkeypatch.setattr(orphans, "PATIENCE", 0.5)
    with pytest.raises(SystemExit) as ended:
        main(_alone(left.words))
    assert ended.value.code == 0
    messages = capfd.readouterr().err
    assert all(f"Process {pid} has not exited and is killed." in messages for pid in left.workers)
    folder = tmp_path / "suite"
    assert SuiteResult(folder).failed == []
    assert SuiteResult(folder).record.status.value == "finished"
    assert all(Run(run).record.resumed_from for run in _runs(folder))


def test_a_process_that_only_has_a_workers_number_is_not_touched(tmp_path: Path) -> None:
    """Numbers are given out again; only who holds the lock is a worker."""
    other = subprocess.Popen(["sleep", "60"])
    try:
        name = f".worker-{socket.gethostname()}-{other.pid}.lock"
        (tmp_path / name).write_text(f"process {other.pid}")
        messages: list[str] = []
        orphans.end_orphans(tmp_path, messages.append)
        assert messages == []
        assert other.poll() is None
        assert list(tmp_path.iterdir()) == []
    finally:
        other.kill()
        other.wait()


def test_a_worker_of_another_machine_is_named_and_not_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "PATIENCE", 0.1)
    monkeypatch.setattr(orphans, "_KILLED_SECONDS", 0.1)
    monkeypatch.setattr("socket.gethostname", lambda: "node-7")
    with orphans.registered(tmp_path):
        monkeypatch.setattr("socket.gethostname", lambda: "node-8")
        with pytest.raises(gluetune.RunError, match=f"process {os.getpid()} on node-7"):
            orphans.end_orphans(tmp_path, lambda line: None)


def test_a_trial_whose_folder_is_in_use_waits_for_it(bench: Bench, tmp_path: Path) -> None:
    """Whoever works there: somebody may have resumed a trial by hand."""
    settings: dict[str, Any] = bench.settings(epochs=1)
    settings.pop("learning_rate")
    folder = tmp_path / "search"
    trial = folder / "trials" / "0000"
    trial.mkdir(parents=True)
    code = """
import sys, time
from pathlib import Path
from gluetune.core.config import make_config
from gluetune.core.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(3)
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(trial)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    run = objective(make_config(settings), trial, lambda epoch: None)
    assert run.status == "finished"
    assert holder.wait() == 0
    with locked(trial):
        pass
