"""Published results are printed with metric, protocol and source, unlike protocols marked apart."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from gluetune.cli.app import app, main


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
    assert "Nothing published" in told("--model", "nobody/nothing")


def test_a_task_that_does_not_exist_is_the_users_mistake(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["references", "--task", "rtee"])
    assert caught.value.code == 2
    assert "Did you mean 'rte'?" in capsys.readouterr().err
