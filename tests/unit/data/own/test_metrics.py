"""Metrics of tasks of the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.own_files import write_csv

from gluetune.core.config import make_config
from gluetune.core.errors import DataError
from gluetune.core.records import Record
from gluetune.core.tasks import TaskSpec
from gluetune.data.own.source import OwnSource


def task_of(path: Path, labels: list[str], **settings: Any) -> TaskSpec:
    rows = [{"text": f"text number {n}", "label": label} for n, label in enumerate(labels)]
    config = make_config({"train_file": str(write_csv(path / "a.csv", rows)), **settings})
    return OwnSource(config).task


TWO, THREE = ["yes", "no", "no"] * 9, ["a", "b", "c"] * 9


def test_several_metrics_make_the_score_and_others_are_reported(tmp_path: Path) -> None:
    task = task_of(
        tmp_path, TWO, metrics=["balanced_accuracy", "roc_auc"], extra_metrics="log_loss,f1"
    )
    assert task.metrics == ("balanced_accuracy", "roc_auc")
    assert task.extra_metrics == ("log_loss", "f1")
    assert task.positive == "yes", "the rarer class, which F1 is of"
    assert task.scored_label is None
    assert task.title.endswith("scored by balanced_accuracy and roc_auc")


def test_the_default_metrics_do_not_change(tmp_path: Path) -> None:
    task = task_of(tmp_path, TWO)
    assert task.metrics == ("accuracy",)
    assert task.extra_metrics == ("f1_macro", "matthews_correlation")
    assert task_of(tmp_path, TWO, extra_metrics="roc_auc").extra_metrics == ("roc_auc",)


def test_average_precision_of_two_classes_is_of_the_positive_one(tmp_path: Path) -> None:
    task = task_of(tmp_path, TWO, metric="average_precision", positive="no")
    assert task.metric_title("average_precision") == "average_precision of 'no'"
    three = task_of(tmp_path, THREE, metric="average_precision")
    assert three.metric_title("average_precision") == "average_precision"
    assert three.positive_label is None


@pytest.mark.parametrize(
    ("labels", "settings", "message", "hint"),
    [
        (TWO, {"metrics": "roc_acu"}, "--metrics roc_acu: a task of kind", "'roc_auc'?"),
        (TWO, {"extra_metrics": "mae"}, "--extra-metrics mae: a task of kind", "Metrics: accuracy"),
        (THREE, {"metrics": "f1"}, "--metrics f1: a task of kind", "f1 is for two classes"),
        (
            TWO,
            {"metrics": "accuracy,log_loss"},
            "--metrics accuracy,log_loss: the score is their mean",
            "Type: --metrics accuracy --extra-metrics log_loss",
        ),
        (TWO, {"metrics": "f1_macro,f1_macro"}, "named twice", "Name each once."),
    ],
)
def test_invalid_metrics_are_refused(
    tmp_path: Path, labels: list[str], settings: dict[str, str], message: str, hint: str
) -> None:
    with pytest.raises(DataError) as caught:
        task_of(tmp_path, labels, **settings)
    (finding,) = [one for one in caught.value.findings if message in one.message]
    assert hint in finding.hint


def test_a_record_with_former_names_is_read(tmp_path: Path) -> None:
    """Earlier records have `beside` for the extra metrics, and `multi_label` for the kind."""
    task = {
        "name": "mine",
        "title": "",
        "text_columns": ["text"],
        "labels": ["a", "b"],
        "metrics": ["f1"],
        "beside": ["accuracy"],
        "multi_label": False,
    }
    record = {"task": "mine", "own_task": task, "seed": 1, "command": ""}
    content = json.dumps({**record, "started": "2026-01-01", "updated": "2026-01-01"})
    spec = Record.model_validate_json(content).spec
    assert (spec.metrics, spec.extra_metrics) == (("f1",), ("accuracy",))
    assert spec.positive_label == "b"
