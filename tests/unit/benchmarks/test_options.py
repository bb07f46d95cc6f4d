from __future__ import annotations

import pytest
from benchmarks.speed.contestants import NAMES
from benchmarks.speed.options import parse, shown_command, switches

from gluetune.core.tasks import GLUE_TASKS


@pytest.fixture(autouse=True)
def _no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLUETUNE_DATA", raising=False)


def test_the_defaults() -> None:
    options = parse([])
    assert options.tasks == ["cola", "sst2", "mrpc", "stsb", "rte"]
    assert options.contestants == list(NAMES)
    assert (options.rounds, options.steps, options.batch_size) == (3, 30, 16)
    assert options.data == "sample"
    assert switches(options) == {}


def test_data_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLUETUNE_DATA", "/glue")
    assert parse([]).data == "/glue"
    assert parse(["--data", "sample"]).data == "sample"


def test_architectures_are_timed_on_one_task_with_two_contestants() -> None:
    options = parse(["--architectures"])
    assert options.architectures == []
    assert options.tasks == ["cola"]
    assert options.contestants == ["notebook", "gluetune"]
    assert parse(["--architectures", "bert", "--tasks", "rte"]).tasks == ["rte"]


def test_all_tasks_are_the_nine() -> None:
    assert sorted(parse(["--tasks", "all"]).tasks) == sorted(GLUE_TASKS)


def test_switches_are_only_those_requested() -> None:
    options = parse(["--compute", "grouped", "--no-compact-vocabulary"])
    assert switches(options) == {"compute": "grouped", "compact_vocabulary": False}


@pytest.mark.parametrize(
    "words",
    [
        ["--rounds", "0"],
        ["--warmup", "0"],
        ["--steps", "many"],
        ["--contestants", "nobody"],
        ["--architectures", "--model", "x"],
    ],
)
def test_mistakes_exit_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2


def test_the_command_of_the_report_has_no_path() -> None:
    words = ["--data", "/home/me/glue", "--tasks", "cola", "--write", "out/speed.md"]
    assert shown_command(words) == (
        "python -m benchmarks.speed --data GLUE --tasks cola --write FILE"
    )
    assert shown_command(["--data", "sample"]).endswith("--data sample")
