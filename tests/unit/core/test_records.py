from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.support.run_folders import write_run

from gluetune.core.errors import RenamedWarning, RunError
from gluetune.core.records import (
    RECORD_VERSION,
    BestRecord,
    ComputeRecord,
    DataRecord,
    EnvironmentRecord,
    EpochRecord,
    ErrorRecord,
    MethodRecord,
    ModelRecord,
    Record,
    ScoreRecord,
    Status,
    TimingRecord,
    now,
    plural,
    read_record,
)
from gluetune.core.tasks import TaskSpec

SCORE = ScoreRecord(
    score=None,
    metrics={"validation": {"accuracy": 0.75, "f1": None}},
    undefined={"validation/f1": "no positives", "score": "f1 is undefined"},
)
EPOCH = EpochRecord(
    epoch=1.0,
    step=10,
    train_loss=0.5,
    learning_rate=2e-5,
    validation=SCORE,
    validation_loss=0.4,
    selection=None,
    extra={"mine": 1.0},
    collapsed=True,
    train_seconds=1.5,
    evaluation_seconds=0.25,
)


def full_record() -> Record:
    return Record(
        status=Status.FAILED,
        task="mrpc",
        seed=42,
        started=now(),
        updated=now(),
        command="gluetune train --config runs/x/config.yaml",
        model=ModelRecord(
            name="a/b",
            commit="0" * 40,
            architecture="BertForSequenceClassification",
            parameters=10,
            new_weights=["classifier.weight"],
            label_map={"no": 0, "yes": 1},
            max_length=None,
        ),
        data=DataRecord(
            source="sample",
            rows={"train": 3},
            fingerprints={"train": "abc"},
            truncated={"train": 0},
            notes=["a note"],
        ),
        environment=EnvironmentRecord(
            versions={"python": "3.11"},
            platform="Linux",
            device="CPU",
            precision="fp32",
            threads=1,
            git_commit=None,
        ),
        compute=ComputeRecord(path="unpadded", vocabulary_rows=5),
        epochs=[EPOCH],
        best=BestRecord(epoch=1.0, step=10, validation=SCORE, reloaded=SCORE, agrees=True),
        majority_baseline=SCORE,
        text_baseline=SCORE,
        frozen_baseline=SCORE,
        method=MethodRecord(name="probe", trained_parameters=4, regularisation=0.1, peak_memory=9),
        timing=TimingRecord(train_seconds=1.5, examples_per_second=3.0),
        extra_metrics=("accuracy",),
        own_task=TaskSpec(
            name="mine", title="", text_columns=("a",), labels=("x", "y"), metrics=("f1",), rows={}
        ),
        steps=10,
        total_steps=20,
        resumed_from=[5],
        final_weights_sha256="a",
        best_weights_sha256="b",
        notes=["naïve"],
        error=ErrorRecord(type="TrainingError", message="no memory", step=10),
    )


def minimal(**changes: Any) -> dict[str, Any]:
    record = Record(task="cola", seed=1, started=now(), updated=now(), command="x")
    return json.loads(record.model_dump_json()) | changes  # type: ignore[no-any-return]  # of json


def write(folder: Path, content: object) -> Path:
    path = folder / "record.json"
    path.write_text(json.dumps(content))
    return path


def test_a_record_reads_back_equal(tmp_path: Path) -> None:
    record, path = full_record(), tmp_path / "record.json"
    assert set(record.model_dump(exclude_unset=True)) | {"version"} == set(Record.model_fields)
    record.save(path)
    assert read_record(path) == record
    assert json.loads(path.read_text())["version"] == RECORD_VERSION
    assert json.loads(path.read_text())["epochs"][0]["selection"] is None


def _of_regression(**own_task: Any) -> dict[str, Any]:
    score = {"score": 0.5, "metrics": {"validation": {"pearson": 0.5}}}
    return minimal(
        best={"epoch": 1.0, "step": 1, "validation": score},
        majority_baseline=score,
        text_baseline=score,
        mean_absolute_error={"mean": 1.5, "run": 0.25, "words": 0.75},
        **own_task,
    )


def test_the_errors_of_version_one_are_a_metric(tmp_path: Path) -> None:
    read = read_record(write(tmp_path, _of_regression(task="stsb")))
    assert read.spec.extra_metrics == ("mae",)
    scores = (read.best and read.best.validation, read.majority_baseline, read.text_baseline)
    assert [score and score.flat()["mae"] for score in scores] == [0.25, 1.5, 0.75]
    read.save(tmp_path / "record.json")
    assert read_record(tmp_path / "record.json") == read
    with pytest.warns(RenamedWarning, match="the metric mae of each score"):
        assert read.mean_absolute_error == {"run": 0.25, "mean": 1.5, "words": 0.75}


@pytest.mark.parametrize(
    ("metrics", "extra"),
    [
        ({"metrics": ["pearson"], "beside": ["spearman"]}, ("spearman", "mae")),
        ({"metrics": ["pearson"], "extra_metrics": ["mae"]}, ("mae",)),
        ({"metrics": ["mae"]}, ()),
    ],
)
def test_the_errors_of_version_one_are_a_metric_of_an_own_task(
    tmp_path: Path, metrics: dict[str, Any], extra: tuple[str, ...]
) -> None:
    task = {"name": "own", "title": "", "text_columns": ["text"], "labels": [], **metrics}
    read = read_record(write(tmp_path, _of_regression(own_task=task)))
    assert read.spec.extra_metrics == extra


def test_saving_notes_the_time(tmp_path: Path) -> None:
    record = full_record()
    record.updated = "2026-01-01T00:00:00+00:00"
    record.save(tmp_path / "record.json")
    assert record.updated > "2026-01-01T00:00:00+00:00"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record.updated)


def test_a_users_metric_that_is_not_finite_is_null(tmp_path: Path) -> None:
    extra = {"a": math.nan, "b": -math.inf, "c": 0.5, "d": None}
    record = full_record()
    record.epochs = [EpochRecord(**{**EPOCH.model_dump(), "extra": extra})]
    record.save(tmp_path / "record.json")
    read = read_record(tmp_path / "record.json")
    assert read.epochs[0].extra == {"a": None, "b": None, "c": 0.5, "d": None}


def test_a_field_takes_no_value_of_another_kind() -> None:
    record = full_record()
    with pytest.raises(ValidationError):
        record.status = "done"  # type: ignore[assignment]  # that it is refused is the point
    with pytest.raises(ValidationError):
        record.stauts = Status.FAILED  # type: ignore[attr-defined]  # likewise


def test_a_record_of_version_1_is_written_again_in_the_form_of_today(tmp_path: Path) -> None:
    record = read_record(write(tmp_path, minimal(version=1)))
    assert (RECORD_VERSION, record.version) == (2, 2)


@pytest.mark.parametrize("extra", [{}, {"field_of_the_future": 1}])
def test_a_newer_version_is_refused_whether_or_not_it_looks_familiar(
    tmp_path: Path, extra: dict[str, int]
) -> None:
    path = write(tmp_path, minimal(version=RECORD_VERSION + 1, **extra))
    with pytest.raises(RunError, match="newer gluetune") as caught:
        read_record(path)
    assert "pip install --upgrade gluetune" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"status": "done"}, "is damaged at 'status': "),
        ({"epochs": [{"epoch": 1}]}, r"is damaged at 'epochs\.0\.step': "),
        ({"unknown": 1}, "is damaged at 'unknown': "),
    ],
)
def test_a_damaged_field_is_named(tmp_path: Path, content: dict[str, Any], said: str) -> None:
    path = write(tmp_path, minimal(**content))
    with pytest.raises(RunError, match=said) as caught:
        read_record(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b'{"task": "co', b"\xff\xfe\x00", b"[1]", b"null"])
def test_a_file_that_is_no_record_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"is damaged: \w"):
        read_record(path)


def test_a_folder_without_a_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run: it has no record\.json"):
        read_record(tmp_path / "record.json")
    with pytest.raises(RunError, match=r"There is no run .*/gone"):
        read_record(tmp_path / "gone" / "record.json")


def test_a_models_folder_is_not_taken_for_a_run(tmp_path: Path) -> None:
    model = write_run(tmp_path / "run") / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text("{}")
    with pytest.raises(RunError) as caught:
        read_record(tmp_path / "run" / "record.json" / "record.json")
    assert str(model) not in caught.value.findings[0].hint


def test_a_run_that_may_be_meant_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "reviews")
    for folder in ("runs", "runs/revews"):
        with pytest.raises(RunError, match=f"Did you mean {run}\\?"):
            read_record(tmp_path / folder / "record.json")


def test_one_of_a_thing_is_no_plural() -> None:
    assert plural(1, "thread") == "1 thread"
    assert [plural(count, "thread") for count in (0, 2)] == ["0 threads", "2 threads"]
