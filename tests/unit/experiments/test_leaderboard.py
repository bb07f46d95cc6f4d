"""Several checkpoints on one task: ranked, tested against the best, resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.own_files import write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import Bench

import gluetune
from gluetune.cli.app import main
from gluetune.core.errors import ConfigurationError


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("leaderboard"))
    for name in ("roberta", "distilbert"):
        write_tiny_checkpoint(made.folder / name, name)
    made.settings("rte")
    return made


def _given(bench: Bench, **more: Any) -> dict[str, Any]:
    return {
        "models": [str(bench.folder / name) for name in ("bert", "distilbert")],
        "data": str(bench.data),
        "epochs": 1,
        "threads": 1,
        "precision": "fp32",
        "progress": False,
        "output": bench.folder / "board",
        **more,
    }


def test_checkpoints_are_ranked_with_all_that_chooses_one(bench: Bench) -> None:
    found = gluetune.leaderboard("rte", **_given(bench), seeds=2)
    assert [one.model for one in found.places] == [
        str(one.runs[0].parent.parent / Path(one.model).name) for one in found.places
    ]
    scores = [one.score for one in found.places]
    assert scores == sorted(scores, reverse=True)
    assert found.places[0].p_value is None
    assert found.places[1].p_value is not None
    for one in found.places:
        assert [path.name for path in one.runs] == [
            f"{Path(one.model).name}-s{seed}" for seed in (42, 43)
        ]
        runs = [gluetune.Run(path) for path in one.runs]
        assert one.score == pytest.approx(sum(run.score or 0 for run in runs) / 2)
        assert one.parameters == runs[0].record.model.parameters  # type: ignore[union-attr]
        assert one.predictions_per_second
        assert one.train_seconds > 0
    assert any(one.on_front for one in found.places)
    (table,) = found.tables()
    assert len(table.rows) == 2
    (plot,) = found.plots()
    assert len(plot.dots) == 2
    json.dumps(found.to_dict())


def test_the_same_call_trains_nothing_and_more_extend_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = gluetune.leaderboard("rte", **_given(bench), seeds=2)
    trained = []

    def count(*args: Any, **kwargs: Any) -> Any:
        trained.append(Path(kwargs["output"]).name)
        return gluetune.train(*args, **kwargs)

    monkeypatch.setattr("gluetune.experiments.leaderboard.train", count)
    again = gluetune.leaderboard("rte", **_given(bench), seeds=2)
    assert again.to_dict() == first.to_dict()
    assert trained == []
    models = ",".join(str(bench.folder / name) for name in ("bert", "distilbert", "roberta"))
    more = gluetune.leaderboard("rte", **_given(bench, models=models), seeds="42,43")
    assert trained == ["roberta-s42", "roberta-s43"]
    assert len(more.places) == 3


def test_a_checkpoint_that_fails_is_left_out_and_named(bench: Bench) -> None:
    models = [str(bench.folder / "bert"), str(bench.folder / "nothing-here")]
    found = gluetune.leaderboard("rte", **_given(bench, models=models), seeds=1)
    assert [Path(one.model).name for one in found.places] == ["bert"]
    (warning,) = found.warnings
    assert "nothing-here is left out: There is no checkpoint folder" in warning
    with pytest.raises(ConfigurationError, match="No checkpoint could be trained"):
        gluetune.leaderboard("rte", **_given(bench, models=[models[1]]), seeds=1)


def test_lower_metrics_are_turned_so_that_higher_is_better(bench: Bench, tmp_path: Path) -> None:
    rows = [
        {"text": f"film {number} {number % 5}", "label": number % 5 / 2} for number in range(40)
    ]
    given = _given(bench, output=tmp_path / "board")
    given.pop("data")
    found = gluetune.leaderboard(
        train_file=write_csv(tmp_path / "numbers.csv", rows),
        kind="regression",
        metric="mae",
        **given,
        seeds=1,
    )
    assert all(one.score < 0 for one in found.places)
    assert found.places[0].score >= found.places[1].score
    (table,) = found.tables()
    assert "-mae, higher is better" in table.title


def test_the_command_prints_the_ranking(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.folder)
    words = ["leaderboard", "rte", "--models", "bert,distilbert", "--seeds", "1"]
    words += ["--data", str(bench.data), "--epochs", "1", "--threads", "1"]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--precision", "fp32"])
    assert caught.value.code in (0, None)
    printed = capsys.readouterr().out
    assert "higher is better" in printed
    assert "gluetune compare" in printed
    (folder,) = (bench.folder / "leaderboards").glob("rte-*")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
        "bert-s42",
        "distilbert-s42",
    ]
    with pytest.raises(SystemExit) as caught:
        main(["leaderboard", "rte"])
    assert caught.value.code == 2
    assert "--models" in capsys.readouterr().err
