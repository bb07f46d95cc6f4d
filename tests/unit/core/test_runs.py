from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gluetune
from gluetune.core.config import make_config
from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.records import BestRecord, EpochRecord, Record, ScoreRecord, Status, now
from gluetune.core.runs import Run, default_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run of two predicted rows."""
    make_config({"task": "cola", "epochs": 3, "output": tmp_path}).save(tmp_path / "config.yaml")
    score = ScoreRecord(score=0.5, metrics={"validation": {"matthews_correlation": 0.5}})
    Record(
        status=Status.FINISHED,
        task="cola",
        seed=42,
        started=now(),
        updated=now(),
        command="x",
        best=BestRecord(epoch=2.0, step=4, validation=score),
    ).save(tmp_path / "record.json")
    (tmp_path / "model").mkdir()
    (tmp_path / "predictions").mkdir()
    table = pa.table({"idx": [0, 1], "label": [0, 1]})
    pq.write_table(table, tmp_path / "predictions" / "validation.parquet")
    return tmp_path


def test_a_run_tells_what_its_folder_holds(folder: Path) -> None:
    run = Run(str(folder))
    assert (run.status, run.score) == ("finished", 0.5)
    assert run.model_path == folder / "model"
    assert run.config.epochs == 3
    assert run.config.output is None
    assert run.record.task == "cola"
    assert run.predictions().num_rows == 2
    assert repr(run) == f"Run('{folder}', finished, score=0.5)"


def test_the_history_is_one_flat_row_an_epoch(folder: Path) -> None:
    record = Run(folder).record
    score = ScoreRecord(
        score=0.5,
        metrics={"validation_matched": {"accuracy": 0.25}, "validation_mismatched": {"f1": None}},
    )
    record.epochs = [
        EpochRecord(
            epoch=1.0,
            step=2,
            train_loss=0.7,
            learning_rate=None,
            validation=score,
            validation_loss=0.6,
            selection=0.5,
            extra={"mine": 1.0},
            train_seconds=1.0,
            evaluation_seconds=1.0,
        )
    ]
    record.save(folder / "record.json")
    assert Run(folder).history == [
        {
            "epoch": 1.0,
            "training loss": 0.7,
            "validation loss": 0.6,
            "score": 0.5,
            "matched accuracy": 0.25,
            "mismatched f1": None,
            "mine": 1.0,
        }
    ]


def test_a_split_that_was_not_predicted_is_told_with_those_that_were(folder: Path) -> None:
    with pytest.raises(RunError, match=r"'test'.\n  There are: validation\."):
        Run(folder).predictions("test")
    (folder / "predictions" / "validation.parquet").unlink()
    with pytest.raises(RunError, match=r"There are: none\."):
        Run(folder).predictions()


def test_an_unfinished_run_has_no_score_and_no_model(folder: Path) -> None:
    record = Run(folder).record
    record.best, record.status = None, Status.INTERRUPTED
    record.save(folder / "record.json")
    (folder / "model").rmdir()
    run = Run(folder)
    assert run.score is None
    with pytest.raises(RunError, match=f"interrupted.\n  Type: gluetune train --resume {folder}"):
        _ = run.model_path


@pytest.mark.parametrize(
    ("place", "told"), [("nowhere", "There is no run .*nowhere"), (".", "is not a run")]
)
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, place: str, told: str) -> None:
    with pytest.raises(RunError, match=told):
        Run(tmp_path / place)


def test_a_run_whose_config_is_gone_says_so_when_it_is_asked(folder: Path) -> None:
    (folder / "config.yaml").unlink()
    run = Run(folder)
    with pytest.raises(ConfigurationError, match=r"config\.yaml"):
        _ = run.config


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("sentence-transformers/all-MiniLM-L6-v2", "all-minilm-l6-v2"),
        ("./models/My Model_1.5/", "my-model-1.5"),
        ("..", "model"),
        ("東京", "model"),
    ],
)
def test_a_default_folder_is_named_after_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "20260101-120000")
    first = default_folder("cola", model, 7)
    assert first == Path(f"runs/cola-{name}-s7-20260101-120000")
    assert not first.exists()
    first.mkdir(parents=True)
    second = default_folder("cola", model, 7)
    assert second.name == f"{first.name}-2"


def test_every_verb_that_takes_a_run_is_a_method(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []
    run = Run(folder)
    for name in ("load", "evaluate", "predict", "report", "compare", "export", "push", "serve"):
        monkeypatch.setattr(
            gluetune,
            name,
            lambda *given, verb=name, **options: calls.append((verb, given, options)),
            raising=False,
        )
    run.load(backend="onnx")
    run.evaluate(split="train")
    run.predict("rows.csv", output="out.csv", text="a")
    run.report("page.html")
    run.compare("other")
    run.export(int8=True)
    run.push("me/model", private=True)
    run.serve(port=1)
    assert calls == [
        ("load", (run,), {"backend": "onnx"}),
        ("evaluate", (run,), {"split": "train"}),
        ("predict", (run, "rows.csv"), {"output": "out.csv", "text": "a"}),
        ("report", (run,), {"output": "page.html"}),
        ("compare", (run, "other"), {}),
        ("export", (run,), {"int8": True}),
        ("push", (run, "me/model"), {"private": True}),
        ("serve", (run,), {"port": 1}),
    ]


def test_a_run_shows_itself_in_a_notebook(folder: Path) -> None:
    shown = Run(folder)._repr_html_()
    assert "0.5000" in shown
    assert "finished" in shown


def test_a_model_on_the_hub_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("me/model", "me/model@main"):
        with pytest.raises(RunError, match=f"There is no run {name}") as caught:
            gluetune.report(name)
        assert f"gluetune evaluate {name}" in str(caught.value)
    with pytest.raises(RunError) as caught:
        Run("runs/cola-1")
    assert "Hub" not in str(caught.value)
