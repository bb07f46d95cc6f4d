"""`gluetune compare` on real runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.tiny_runs import Bench
from typer.testing import CliRunner

import gluetune
from gluetune.cli.app import app, main
from gluetune.core.runs import Run


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def runs(bench: Bench) -> list[Run]:
    """Two seeds of each of two learning rates; padded, so that torch draws their dropout."""
    return [
        bench.train("cola", epochs=1, seed=seed, learning_rate=rate, compute="padded")
        for rate in (1e-3, 1e-5)
        for seed in (1, 2)
    ]


def test_runs_of_one_recipe_are_one_group(runs: list[Run]) -> None:
    found = gluetune.compare(*(run.path for run in runs))
    assert [side.seeds for side in found.sides] == [(1, 2), (1, 2)]
    assert found.examples == 12
    assert dict(found.differing) == {"learning_rate": (1e-3, 1e-5)}
    assert [side.score for side in found.sides] == [
        pytest.approx(sum(run.score or 0.0 for run in pair) / 2) for pair in (runs[:2], runs[2:])
    ]


def test_the_command_gives_a_verdict_in_text_and_json(runs: list[Run]) -> None:
    paths = [str(runs[0].path), str(runs[2].path)]
    result = CliRunner().invoke(app, ["compare", *paths], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    for words in ("12 validation examples", "learning_rate", "With 12 examples"):
        assert words in result.output, words
    parsed = json.loads(CliRunner().invoke(app, ["compare", *paths, "--json"]).output)
    assert parsed["task"] == "cola"
    assert len(parsed["pairs"]) == 1


def test_runs_on_different_data_are_refused(
    runs: list[Run], bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Bench(tmp_path, train=20).train("rte", epochs=1)
    for paths in ([runs[0].path, other.path], [runs[0].path], [runs[0].path, tmp_path / "gone"]):
        with pytest.raises(SystemExit) as caught:
            main(["compare", *map(str, paths)])
        assert caught.value.code == 2
        printed = capsys.readouterr().err
        assert "error: " in printed
        assert "Traceback" not in printed
