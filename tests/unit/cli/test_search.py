"""`gluetune search`: every mistake of a command at once, and what is printed at the end."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from tests.support.run_folders import write_run
from tests.support.tiny_runs import Bench
from tests.support.trials import TRIALS

from gluetune.cli.app import main
from gluetune.cli.search import render_search
from gluetune.core.runs import Run
from gluetune.core.terminal import Console
from gluetune.experiments.search.result import SearchResult


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


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
        "--sampler tpee: Optuna has no such sampler",
        "Did you mean 'tpe'?",
        "--pruner 'none(1)' cannot be read",
        "--tune-on validation and --holdout contradict",
        "there is no parameter 'learning_rat'",
        "epochs: 0: must be greater than 0.",
        "--set lr_schedular",
        "--objective f1: cola has no such metric",
    )
    for part in expected:
        assert part in err
    assert err.count("error:") == len(expected) - 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trials", "0"], "--trials 0: must be at least 1."),
        (["--objective", "f1"], "--objective f1: cola has no such metric"),
        (["--direction", "minimize"], "score is better when greater"),
        (["--objective", "loss", "--direction", "maximize"], "loss is better when less"),
        (["--metric", "loss", "--objective", "score"], "--metric loss and --objective contradict"),
        (["--space", "nowhere.yaml"], "There is no file nowhere.yaml"),
        (["--output", "{data}"], "is not a search"),
        (EVERYTHING, "there is nothing to search"),
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


def _best(folder: Path, *seeds: int) -> SearchResult:
    return SearchResult(
        value=0.1,
        parameters=TRIALS[1].parameters,
        number=1,
        run=Run(write_run(folder / "trial")),
        objective="score",
        direction="maximize",
        tuned_on="validation",
        folder=folder,
        trials=TRIALS,
        finals=tuple(
            Run(write_run(folder / f"s{seed}", seed=seed, score=0.5 + seed / 10)) for seed in seeds
        ),
    )


def _printed(best: SearchResult) -> str:
    console = Console(file=io.StringIO(), width=120)
    render_search(console, best)
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
