"""Published results are printed with metric, protocol and source, unlike protocols marked apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.run_folders import write_run
from typer.testing import CliRunner

from gluetune.cli.app import app, main
from gluetune.core.errors import ConfigurationError, RunError


def told(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["references", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_protocols_are_told_apart_by_a_mark() -> None:
    output = told("--task", "rte")
    marks = [line for line in output.splitlines() if line.startswith("(")]
    assert len(marks) >= 4
    assert len({line.split("  ", 1)[1] for line in marks}) == len(marks)
    assert any("test" in line for line in marks)
    assert any("48" in line for line in marks), "the best of 48 settings says so"


def test_a_metric_that_is_not_stated_is_not_invented() -> None:
    rows = json.loads(told("--task", "mrpc", "--json"))
    assert {row["metric"] for row in rows} >= {None, "f1", "accuracy"}
    assert "unstated" in told("--task", "mrpc")


def test_one_checkpoint_can_be_asked_for() -> None:
    rows = json.loads(told("--model", "distilbert-base-uncased", "--json"))
    assert rows
    assert {row["task"] for row in rows} >= {"cola", "rte"}
    assert "No published results" in told("--model", "nobody/nothing")


def test_a_task_that_does_not_exist_is_the_users_mistake(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["references", "--task", "rtee"])
    assert caught.value.code == 2
    assert "Did you mean 'rte'?" in capsys.readouterr().err


def test_a_run_stands_above_people_and_what_was_published_for_its_checkpoint(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path / "run", model="google-bert/bert-base-cased")
    output = told("--run", str(run))
    assert "this run" in output
    assert "majority class" in output
    assert "BERT-base-cased" in output
    assert "Human" in output
    rows = json.loads(told("--run", str(run), "--json"))
    assert {row["model"] for row in rows} == {"BERT-base-cased", "Human"}
    assert {row["task"] for row in rows} == {"cola"}


def test_a_run_brings_its_own_task_and_must_have_scored(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    with pytest.raises(ConfigurationError, match="own task"):
        CliRunner().invoke(
            app, ["references", "--run", str(run), "--task", "rte"], catch_exceptions=False
        )
    unscored = write_run(tmp_path / "new", scored=False)
    with pytest.raises(RunError, match="no score yet"):
        CliRunner().invoke(app, ["references", "--run", str(unscored)], catch_exceptions=False)
