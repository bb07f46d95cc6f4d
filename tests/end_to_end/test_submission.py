"""From runs to the leaderboard's zip, with test sets of the official size."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.support.leaderboard import is_taken
from tests.support.tiny_runs import Bench
from typer.testing import CliRunner

import gluetune
from gluetune.cli.app import app
from gluetune.core.errors import ConfigurationError, DataError
from gluetune.core.runs import Run

TASKS = ("cola", "stsb", "wnli", "rte")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def runs(bench: Bench) -> dict[str, Run]:
    return {
        task: bench.train(task, data="sample:official", fraction=0.05, epochs=1, max_length=64)
        for task in TASKS
    }


def _column(path: Path, name: str) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        lines = archive.read(name).decode().splitlines()[1:]
    return [line.split("\t")[1] for line in lines]


def test_runs_become_a_zip_that_the_leaderboard_accepts(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    path = tmp_path / "submission.zip"
    found = gluetune.submit(*runs.values(), output=path, fill_missing=True)
    assert is_taken(path), "by rules that were written from the leaderboard's sources"
    filled = {file.name for file in found.filled}
    assert filled == {
        "SST-2.tsv",
        "MRPC.tsv",
        "QQP.tsv",
        "MNLI-m.tsv",
        "MNLI-mm.tsv",
        "QNLI.tsv",
        "AX.tsv",
    }
    assert len(set(_column(path, "QQP.tsv"))) == 1

    for task, name in (("cola", "CoLA.tsv"), ("wnli", "WNLI.tsv")):
        kept = runs[task].predictions("test")
        assert _column(path, name) == [str(value) for value in kept["prediction"].to_pylist()]
        logits = np.array(kept["logits"].to_pylist())
        assert (logits.argmax(axis=1) == kept["prediction"].to_numpy()).all()
    numbers = runs["stsb"].predictions("test")["prediction"].to_numpy()
    assert _column(path, "STS-B.tsv") == [f"{value:.3f}" for value in np.clip(numbers, 0, 5)]
    names = {0: "entailment", 1: "not_entailment"}
    answers = runs["rte"].predictions("test")["prediction"].to_pylist()
    assert _column(path, "RTE.tsv") == [names[value] for value in answers]


def test_kept_predictions_need_no_torch_and_give_the_same_bytes(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    first, again = tmp_path / "first.zip", tmp_path / "again.zip"
    gluetune.submit(*runs.values(), output=first, fill_missing=True)
    code = (
        "import sys, gluetune\n"
        f"gluetune.submit(*{[str(run.path) for run in runs.values()]!r}, "
        f"output={str(again)!r}, fill_missing=True)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert first.read_bytes() == again.read_bytes()


def test_predictions_on_other_data_are_recomputed(bench: Bench, tmp_path: Path) -> None:
    run = bench.train("wnli", data="sample:official", fraction=0.2, epochs=1, max_length=64)
    gluetune.submit(run, output=tmp_path / "a.zip", fill_missing=True)
    kept = run.folder.predictions / "test.parquet"
    before = kept.read_bytes()
    kept.write_bytes((run.folder.predictions / "validation.parquet").read_bytes())
    gluetune.submit(run, output=tmp_path / "b.zip", fill_missing=True)
    assert kept.read_bytes() == before


def test_a_missing_task_is_refused_with_the_command_to_type(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        gluetune.submit(*runs.values(), output=tmp_path / "x.zip")
    text = str(caught.value)
    assert "No run is on sst2, mrpc, qqp, mnli, qnli" in text
    assert "--fill-missing" in text
    with pytest.raises(ConfigurationError, match="are both runs on wnli"):
        gluetune.submit(runs["wnli"], runs["wnli"], output=tmp_path / "x.zip", fill_missing=True)
    with pytest.raises(ConfigurationError, match="No run and no data"):
        gluetune.submit(output=tmp_path / "x.zip", fill_missing=True)
    assert not list(tmp_path.iterdir())


def test_test_sets_of_another_size_are_refused(runs: dict[str, Run], tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        gluetune.submit(runs["cola"], output=tmp_path / "x.zip", fill_missing=True, data="sample")
    assert "CoLA.tsv needs 1,063 rows" in str(caught.value)
    assert "sample:official" in str(caught.value)


def test_the_command_lists_tasks_without_predictions(runs: dict[str, Run], tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    paths = [str(run.path) for run in runs.values()]
    result = CliRunner().invoke(
        app, ["submit", *paths, "--output", str(path), "--fill-missing"], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0, result.output
    assert "No model predicted SST-2.tsv, MRPC.tsv, QQP.tsv" in result.output
    assert "most frequent label of train" in result.output
    assert is_taken(path)
