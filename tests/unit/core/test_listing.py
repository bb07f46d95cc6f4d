from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.support.run_folders import write_run

import gluetune
from gluetune.cli.app import main
from gluetune.cli.options import suggest_runs
from gluetune.core.errors import RunError
from gluetune.core.files import locked
from gluetune.core.records import Status
from gluetune.core.settings_files import dump_yaml


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "a", score=0.5, model="some/model")
    write_run(tmp_path / "runs" / "b", scored=False, status=Status.RUNNING)
    write_run(tmp_path / "runs" / "broken")
    (tmp_path / "runs" / "broken" / "record.json").write_text("{")
    search = tmp_path / "searches" / "s"
    write_run(search / "trials" / "0000", score=0.3)
    write_run(search / "trials" / "0001", score=0.4)
    (search / "search.yaml").write_text(
        dump_yaml({"request": {"fixed": {"task": "cola", "model": "some/model"}}})
    )
    return tmp_path


def test_runs_and_searches_are_listed_with_score_model_and_state(folder: Path) -> None:
    found = {str(one.path): one for one in gluetune.list_runs()}
    assert set(found) == {"runs/a", "runs/b", "runs/broken", "searches/s"}, "no trial of its own"
    run = found["runs/a"]
    assert (run.kind, run.task, run.model, run.score, run.state) == (
        *("run", "cola", "some/model", 0.5, "finished"),
    )
    assert run.age == "now"
    assert found["runs/b"].state == "killed"
    assert found["runs/broken"].state == "damaged"
    search = found["searches/s"]
    assert (search.kind, search.score, search.state) == ("search", 0.4, "killed")


def test_the_score_of_a_search_is_the_mean_of_its_final_runs(folder: Path) -> None:
    for seed, score in ((1, 0.6), (2, 0.8)):
        write_run(folder / "searches" / "s" / "final" / f"s{seed}", seed=seed, score=score)
    (search,) = gluetune.list_runs(folder / "searches")
    assert search.score == pytest.approx(0.7)
    assert search.state == "finished"


def test_a_run_that_this_machine_works_on_is_running(folder: Path) -> None:
    with locked(folder / "runs" / "b"):
        found = {one.path.name: one.state for one in gluetune.list_runs("runs")}
    assert found["b"] == "running"


def test_the_command_prints_a_table_or_json(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["list"])
    shown = capsys.readouterr().out
    assert "searches/s" in shown
    assert "killed" in shown
    with pytest.raises(SystemExit):
        main(["list", "runs", "--json"])
    assert {one["path"] for one in json.loads(capsys.readouterr().out)} == {
        *("runs/a", "runs/b", "runs/broken"),
    }
    shutil.rmtree(folder / "runs")
    shutil.rmtree(folder / "searches")
    with pytest.raises(SystemExit):
        main(["list"])
    assert "There are no runs here." in capsys.readouterr().out
    with pytest.raises(RunError, match="no folder"):
        gluetune.list_runs("nowhere")


def test_folders_of_runs_complete_a_path(folder: Path) -> None:
    assert suggest_runs("runs/b") == ["runs/b", "runs/broken"]
    assert suggest_runs("sea")[0] == "searches/s"
