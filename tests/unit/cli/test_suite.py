"""`gluetune suite`: what is typed, and how the result is printed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.suites import write_suite
from typer.testing import CliRunner

from gluetune.cli.app import app, main
from gluetune.core.settings import make_settings
from gluetune.core.suites import SuiteResult
from gluetune.experiments.settings import SuiteSettings

WIDE = {"COLUMNS": "200"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What the function behind the command is called with; it returns a written suite."""
    from gluetune.experiments.suite import suite as run_suite

    calls: list[dict[str, Any]] = []

    def pretended(model: str, **settings: Any) -> SuiteResult:
        calls.append({"model": model, **settings})
        suite = write_suite(
            tmp_path / f"s{len(calls)}",
            {"cola": [0.5, 0.6], "rte": [0.55]},
            collapsed=("cola-s42",),
        )
        suite.folder.markdown.write_text("# A suite\n")
        return suite

    monkeypatch.setattr(run_suite, "suite", pretended)
    return calls


def test_what_is_typed_is_asked(asked: list[dict[str, Any]]) -> None:
    words = ["suite", "--model", "m", "--seeds", "3", "--tasks", "cola, rte", "--jobs", "2"]
    words += ["--fraction", "0.1", "--recipe", "stable", "--mnli-init", "--epochs", "2"]
    CliRunner().invoke(app, words)
    assert asked == [
        {
            "model": "m",
            "seeds": "3",
            "tasks": "cola, rte",
            "jobs": "2",
            "fraction": "0.1",
            "recipe": "stable",
            "mnli_init": True,
            "output": None,
            "epochs": "2",
        }
    ]


@pytest.mark.parametrize(
    ("typed", "meant"), [("5", 5), ("1,2,3", (1, 2, 3)), ("7,", (7,)), ("0", 0), (",", ())]
)
def test_seeds_are_a_number_or_a_list(typed: str, meant: int | tuple[int, ...]) -> None:
    assert make_settings(SuiteSettings, {"seeds": typed}).seeds == meant


def test_seeds_that_are_neither_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["suite", "--seeds", "many"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "--seeds many: this is neither a number of seeds nor a list of seeds" in said
    assert "with commas: 1,2,3" in said
    assert "Type: --seeds 5" in said


def test_the_table_names_what_is_doubtful_and_what_failed(asked: list[dict[str, Any]]) -> None:
    told = CliRunner().invoke(app, ["suite"], env=WIDE)
    assert told.exit_code == 1, "a job failed"
    for words in (
        "55.0 ± 7.1",
        "cola: collapsed to one class with seed 42",
        "No GLUE average: sst2, mrpc, stsb, qqp, mnli, qnli, wnli missing.",
        "rte-s43",
        "It broke.",
        "gluetune report",
    ):
        assert words in told.output, words


def test_json_and_markdown_are_the_folders(asked: list[dict[str, Any]]) -> None:
    told = CliRunner().invoke(app, ["suite", "--json"])
    assert json.loads(told.output)["table"]["tasks"][0]["score"]["mean"] == pytest.approx(0.55)
    told = CliRunner().invoke(app, ["suite", "--markdown"])
    assert told.output == "# A suite\n"


def test_ctrl_c_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from gluetune.experiments.suite import suite as run_suite

    def stopped(model: str, **settings: Any) -> SuiteResult:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_suite, "suite", stopped)
    told = CliRunner().invoke(app, ["suite"])
    assert told.exit_code == 130


@pytest.mark.parametrize(("kind", "cores", "jobs"), [("cuda", 8, 1), ("cpu", 8, 2), ("cpu", 1, 1)])
def test_two_at_a_time_on_a_cpu_and_one_on_a_gpu(
    asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, kind: str, cores: int, jobs: int
) -> None:
    from gluetune.experiments import jobs as run_jobs

    monkeypatch.setattr(run_jobs, "device", lambda: SimpleNamespace(type=kind))
    monkeypatch.setattr(run_jobs, "cores", lambda: cores)
    CliRunner().invoke(app, ["suite"])
    CliRunner().invoke(app, ["suite", "--ray", "auto"])
    first, on_cluster = asked
    assert first["jobs"] == jobs
    assert "jobs" not in on_cluster, "as many as it has room for"
