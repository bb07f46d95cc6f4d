"""Every architecture trains, saves, and gives the same predictions in plain transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.tiny_checkpoints import ARCHITECTURES, write_tiny_checkpoint
from tests.support.tiny_runs import Bench
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)

import gluetune
from gluetune.core.runs import Run
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.data.sources import open_source
from gluetune.models.fast.paths import disagreement


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), train=20)


def test_there_are_architectures_of_every_kind() -> None:
    assert len(ARCHITECTURES) >= 10
    assert {"bert", "roberta", "deberta-v2", "modernbert", "xlnet", "gpt2"} <= set(ARCHITECTURES)


def _train(bench: Bench, task: str, architecture: str) -> Run:
    model = bench.folder / architecture
    if not model.exists():
        write_tiny_checkpoint(model, architecture, dropout=0.1)
    return bench.train(task, model=str(model), epochs=1, max_length=64)


def _texts(run: Run, task: TaskSpec) -> list[list[str]]:
    assert run.config.data is not None
    table = open_source(run.config.data).read(task, task.validation_splits[0])
    return [table.column(name).to_pylist() for name in task.text_columns]


def _logits_by_transformers(run: Run, task: TaskSpec) -> np.ndarray:
    """One example at a time, with nothing of gluetune's."""
    model = AutoModelForSequenceClassification.from_pretrained(run.model_path)
    tokenizer = AutoTokenizer.from_pretrained(run.model_path)
    rows = []
    with torch.inference_mode():
        for texts in zip(*_texts(run, task), strict=True):
            encoded = tokenizer(*texts, truncation=True, max_length=64, return_tensors="pt")
            rows.append(model(**encoded).logits[0].float().numpy())
    return np.stack(rows)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_plain_transformers_gives_the_same_predictions(bench: Bench, architecture: str) -> None:
    task = get_task("rte")
    run = _train(bench, "rte", architecture)

    predictions = run.predictions()
    saved = np.array(predictions.column("logits").to_pylist(), dtype=np.float32)
    np.testing.assert_allclose(_logits_by_transformers(run, task), saved, atol=2e-5, rtol=1e-4)
    assert run.record.best is not None
    assert run.record.best.agrees

    config = json.loads((run.model_path / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == {str(index): name for index, name in enumerate(task.labels)}
    assert config["label2id"] == {name: index for index, name in enumerate(task.labels)}
    _assert_no_pickles(run.path)


@pytest.mark.parametrize("architecture", ["opt", "falcon"])
def test_the_record_names_the_path(bench: Bench, architecture: str) -> None:
    run = _train(bench, "rte", architecture)
    assert run.record.compute is not None
    assert run.record.compute.path == ("unpadded" if architecture == "opt" else "grouped")
    assert run.record.notes == []


def test_a_fast_path_that_fails_is_recorded_and_reported(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise IndexError("index out of range in self")

    monkeypatch.setattr("gluetune.models.fast.packed.attend_packed", fail)
    output = bench.new_output()
    gluetune.train(**bench.settings("rte", epochs=1, output=output), progress=True)
    run = Run(output)
    assert run.record.compute is not None
    assert run.record.compute.path == run.config.compute == "grouped"
    (note,) = run.record.notes
    assert "not computed unpadded but grouped: it fails with IndexError (index out" in note
    assert "note: BertForSequenceClassification is not computed" in " ".join(
        "".join(capsys.readouterr()).split()
    )


@pytest.mark.parametrize("architecture", ["bert", "bart", "xlnet", "gpt2"])
def test_a_path_is_checked_also_where_all_texts_have_the_same_length(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    """What is predicted later may be."""
    paths = []

    def noted(model: Any, batch: Any, path: Any) -> str:
        paths.append((path, bool(batch["attention_mask"].all())))
        return disagreement(model, batch, path)

    monkeypatch.setattr("gluetune.training.trainer.disagreement", noted)
    model = bench.folder / architecture
    if not model.exists():
        write_tiny_checkpoint(model, architecture, dropout=0.1)
    run = bench.train("rte", model=str(model), epochs=1, max_length=8)
    assert paths == [("unpadded" if architecture in ("bert", "gpt2") else "grouped", False)]
    assert run.record.notes == []


def _assert_no_pickles(folder: Path) -> None:
    files = [path.name for path in folder.rglob("*") if path.is_file()]
    assert "model.safetensors" in files
    assert [name for name in files if name.endswith((".bin", ".pt", ".pth", ".pkl"))] == []


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlnet", "gpt2"])
def test_a_pipeline_predicts_the_tasks_labels(bench: Bench, architecture: str) -> None:
    task = get_task("cola")
    run = _train(bench, "cola", architecture)
    classify = pipeline("text-classification", model=str(run.model_path))
    (sentences,) = _texts(run, task)
    predictions = run.predictions().to_pylist()
    assert len(sentences) == len(predictions) == 12
    for sentence, row in zip(sentences, predictions, strict=True):
        (answer,) = classify(sentence)
        assert answer["label"] == task.labels[row["prediction"]]
        scores = torch.tensor(row["logits"]).softmax(0)
        assert answer["score"] == pytest.approx(float(scores.max()), abs=1e-5)


def test_a_regression_model_predicts_a_number(bench: Bench) -> None:
    task = get_task("stsb")
    run = _train(bench, "stsb", "distilbert")
    saved = run.predictions()
    logits = np.array(saved.column("logits").to_pylist(), dtype=np.float32)
    assert logits.shape == (12, 1)
    np.testing.assert_array_equal(logits[:, 0], saved.column("prediction").to_numpy())
    np.testing.assert_allclose(_logits_by_transformers(run, task), logits, atol=2e-5, rtol=1e-4)
    config = json.loads((run.model_path / "config.json").read_text(encoding="utf-8"))
    assert config["problem_type"] == "regression"


def test_a_finished_run_is_a_checkpoint_for_the_next(bench: Bench) -> None:
    first = _train(bench, "rte", "bert")
    second = bench.train("rte", model=str(first.path), epochs=1)
    assert second.record.model is not None
    assert second.record.model.new_weights == []
    assert second.config.model == str(first.model_path)
