"""`gluetune search`: every mistake of a command at once, and what is printed at the end."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gluetune.experiments.search.board import LineBoard, LiveBoard, described, trials_table
from gluetune.experiments.search.events import Evaluated, Stepped
from gluetune.experiments.search.outcomes import BestRun, TrialRow
from tests.support.run_folders import write_run
from tests.support.trainings import Bench

from gluetune.cli.app import main
from gluetune.cli.search import render_best
from gluetune.core.runs import Run
from gluetune.core.terminal import Console


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def _row(number: int, **changed: Any) -> TrialRow:
    row = TrialRow(
        number=number,
        state="finished",
        value=number / 10,
        evaluation=1,
        evaluations=2,
        parameters={"learning_rate": 2e-5, "set.lr_scheduler_type": "linear"},
        seconds=75.0,
        error="",
        run=Path(f"trials/{number:04d}"),
    )
    return replace(row, **changed)


ROWS = (
    _row(0),
    _row(1),
    _row(2, state="pruned", value=0.05),
    _row(3, state="failed", value=None, evaluation=None, error="ValueError: no [bold]such"),
)


EVERYTHING = [
    *("--batch-size", "8", "--epochs", "1", "--warmup", "0", "--weight-decay", "0"),
    *("--learning-rate", "1e-3"),
]


def _fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["search", *words])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


def test_all_that_is_wrong_is_told_at_once(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = bench.settings()
    (tmp_path / "space.yaml").write_text("learning_rat: [1]\nbatch_size: [8]\nepochs: [0]\n")
    given = ["cola", "--model", settings["model"], "--data", settings["data"]]
    err = _fails(
        capsys,
        *given,
        *("--space", str(tmp_path / "space.yaml"), "--trials", "0", "--jobs", "x"),
        *("--sampler", "tpee", "--pruner", "none(1)", "--objective", "f1"),
        *("--tune-on", "validation", "--holdout", "0.1", "--set", "lr_schedular=x"),
    )
    expected = (
        "--trials 0:",
        "--jobs x:",
        "--sampler tpee: Optuna has no such thing",
        "Did you mean 'tpe'?",
        "--pruner 'none(1)' cannot be read",
        "--tune-on validation and --holdout contradict",
        "there is no parameter 'learning_rat'",
        "epochs = 0",
        "--set lr_schedular",
        "--objective f1: cola has no such metric",
    )
    for part in expected:
        assert part in err
    assert err.count("error:") == len(expected) - 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trials", "0"], "--trials 0: input should be greater"),
        (["--objective", "f1"], "--objective f1: cola has no such metric"),
        (["--direction", "minimize"], "score is better when greater"),
        (["--objective", "loss", "--direction", "maximize"], "loss is better when less"),
        (["--metric", "loss", "--objective", "score"], "two answers to one question"),
        (["--space", "nowhere.yaml"], "There is no file nowhere.yaml"),
        (["--output", "{data}"], "holds no search"),
        (EVERYTHING, "nothing is left to search"),
    ],
)
def test_a_mistake_is_named(
    bench: Bench, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    settings = bench.settings()
    given = ["cola", "--model", settings["model"], "--data", settings["data"]]
    err = _fails(capsys, *given, *(word.format(**settings) for word in words))
    assert said in err
    assert err.count("error:") == 1


def test_a_parameter_is_in_the_space_or_a_flag(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = bench.settings()
    (tmp_path / "space.yaml").write_text("batch_size: [8]\nset.optim: [adamw_torch]\n")
    given = ["cola", "--model", settings["model"], "--data", settings["data"]]
    words = ["--space", str(tmp_path / "space.yaml"), "--batch-size", "4", "--set", "optim=sgd"]
    err = _fails(capsys, *given, *words)
    assert "batch_size is in the space, and given" in err
    assert "set.optim is in the space, and given" in err


def _best(folder: Path, *seeds: int) -> BestRun:
    return BestRun(
        value=0.1,
        parameters=ROWS[1].parameters,
        number=1,
        run=Run(write_run(folder / "trial")),
        objective="score",
        direction="maximize",
        tuned_on="validation",
        folder=folder,
        trials=ROWS,
        finals=tuple(
            Run(write_run(folder / f"s{seed}", seed=seed, score=0.5 + seed / 10)) for seed in seeds
        ),
    )


def _printed(best: BestRun) -> str:
    console = Console(file=io.StringIO(), width=120)
    render_best(console, best)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_end_tells_trials_apart_and_what_to_type_next(tmp_path: Path) -> None:
    said = _printed(_best(tmp_path, 1, 3))
    assert "2 finished, 1 pruned, 1 failed" in said
    assert any(line.startswith("     1  best ") for line in said.splitlines())
    assert "no [bold]such" in said
    assert "seed 1: validation 0.6000" in said
    assert "mean 0.7000 ± 0.1414 over 2 seeds" in said
    assert "flatters" in said
    assert f"gluetune train --config {tmp_path}/trial/config.yaml" in said
    assert f"gluetune evaluate {tmp_path}/s1" in said
    alone = _printed(_best(tmp_path / "b"))
    assert "mean" not in alone
    assert f"gluetune evaluate {tmp_path}/b/trial" in alone


def test_trials_of_the_default_space_fit_a_terminal() -> None:
    tried = {
        "learning_rate": 2.71e-05,
        "batch_size": 16,
        "epochs": 3,
        "warmup": 0.06,
        "weight_decay": 0.01,
    }
    rows = [_row(number, parameters=tried) for number in (0, 1)]
    console = Console(file=io.StringIO(), width=80)
    console.print(trials_table(rows, rows[1]))
    assert isinstance(console.file, io.StringIO)
    head, *cells = console.file.getvalue().split("─")[0], *console.file.getvalue().split("─")[-1:]
    assert "learning" in head
    assert "weight" in head
    assert all("2.71e-05" in line for line in cells[0].splitlines() if line.strip())


def test_a_board_of_lines_tells_each_thing_once(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=io.StringIO(), width=60)
    board = LineBoard(console, "maximize")
    board.begin(1, _row(1, evaluations=0))
    board.told(1, Stepped(3, 9))
    board.told(1, Evaluated(1, 1.0, 0.1))
    board.end(ROWS, 1)
    board.end(ROWS, 3)
    board.begin_final(42)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "trial 1: learning_rate 2e-05, set.lr_scheduler_type linear",
        "trial 1, epoch 1: 0.1000",
        "trial 1 finished: 0.1000, best so far",
        "trial 3 failed (ValueError: no [bold]such)",
        "best setting on all of train, seed 42",
    ]


def test_a_live_board_follows_the_trials() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    board = LiveBoard(console, "maximize", "cola", 4)
    try:
        board.begin(0, _row(0, state="running", value=None, evaluation=None, evaluations=0))
        board.told(0, Stepped(1, 4))
        assert _cells(board)[0][:3] == ["0", "25%", ""]
        board.told(0, Evaluated(1, 1.0, 0.3))
        board.told(0, Evaluated(2, 2.0, 0.2))
        assert _cells(board)[0][2:4] == ["0.3000", "1"], "the best epoch, and not the last"
        board.end(ROWS, 0)
        board.begin_final(42)
        board.told("seed 42", Evaluated(1, 1.0, 0.7))
        cells = _cells(board)
        assert [row[0] for row in cells] == ["0", "1", "2", "3", "seed 42"]
        assert cells[1][1] == "best"
        assert cells[4][2] == "0.7000"
        assert board.table().title == "cola: 4 of 4 trials"
    finally:
        board.close(keep=False)


def _cells(board: LiveBoard) -> list[list[str]]:
    table = board.table()
    columns = [[str(cell) for cell in column._cells] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def test_parameters_are_one_line() -> None:
    assert described({"a": 0.00012345, "b": None}) == "a 0.000123, b None"
