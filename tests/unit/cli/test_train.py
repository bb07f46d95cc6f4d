"""What `gluetune train` prints at the end, from the record alone."""

from __future__ import annotations

import ast
import io
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from tests.support.predictions import classified
from tests.unit.test_docs import parse

from gluetune.analysis.scores import Scores
from gluetune.cli.train import render_run
from gluetune.core.config import make_config
from gluetune.core.records import (
    BestRecord,
    DataRecord,
    EpochRecord,
    ModelRecord,
    Record,
    ScoreRecord,
    Status,
    TimingRecord,
    keep_predictions,
    now,
)
from gluetune.core.runs import Run, RunFolder
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.core.terminal import Console

TWO_SPLITS = ("validation_matched", "validation_mismatched")


def _score(*splits: str, **metrics: float | None) -> ScoreRecord:
    defined = [value for value in metrics.values() if value is not None]
    mean = sum(defined) / len(defined) if len(defined) == len(metrics) else None
    return ScoreRecord(
        score=mean, metrics={split: dict(metrics) for split in splits or ("validation",)}
    )


def _epoch(number: int, score: ScoreRecord, **changed: Any) -> EpochRecord:
    given: dict[str, Any] = {
        "epoch": float(number),
        "step": 10 * number,
        "train_loss": 0.5,
        "learning_rate": 1e-5,
        "validation": score,
        "validation_loss": 0.6,
        "selection": score.score,
        "train_seconds": 30.0,
        "evaluation_seconds": 2.0,
    }
    return EpochRecord(**(given | changed))


def _shown(
    folder: Path,
    *epochs: EpochRecord,
    best: int = 1,
    width: int = 100,
    **changed: Any,
) -> str:
    chosen = epochs[best - 1]
    given: dict[str, Any] = {
        "status": Status.FINISHED,
        "task": "mrpc",
        "seed": 42,
        "started": now(),
        "updated": now(),
        "command": "x",
        "epochs": list(epochs),
        "best": BestRecord(epoch=chosen.epoch, step=chosen.step, validation=chosen.validation),
        "majority_baseline": _score(accuracy=0.68, f1=0.81),
        "timing": TimingRecord(train_seconds=60, evaluation_seconds=4, examples_per_second=90),
    }
    record = Record(**(given | changed))
    record.save(folder / "record.json")
    make_config({"task": record.task}).save(folder / "config.yaml")
    console = Console(file=io.StringIO(), width=width)
    render_run(console, Run(folder))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _model(name: str) -> ModelRecord:
    return ModelRecord(
        name=name,
        commit=None,
        architecture="BertForSequenceClassification",
        parameters=1,
        new_weights=[],
        label_map={},
        max_length=None,
    )


def test_the_protocol_is_readable_beside_four_metrics(tmp_path: Path) -> None:
    score = _score(f1=0.5, accuracy=0.7, f1_macro=0.6, matthews_correlation=0.2)
    shown = _shown(tmp_path, _epoch(1, score), width=80, majority_baseline=score)
    table = shown[shown.index("Baselines") :]
    assert "…" not in table
    assert "frequent" in table
    assert "correlation" in table


def test_the_best_epoch_is_marked_and_compared_with_the_majority(tmp_path: Path) -> None:
    shown = _shown(
        tmp_path,
        _epoch(1, _score(accuracy=0.7, f1=0.8)),
        _epoch(2, _score(accuracy=0.8, f1=0.85)),
        best=2,
    )
    lines = shown.splitlines()
    marked = [line for line in lines if "best │" in line]
    assert len(marked) == 1
    assert "0.8000" in marked[0]
    assert "best of 2 epochs, one seed (42)" in shown
    assert any("majority class" in line and "0.6800" in line and "0.8100" in line for line in lines)
    assert "64 s, 90 examples/s" in shown
    assert "does not beat" not in shown


def test_the_names_of_metrics_are_whole_on_a_narrow_terminal(tmp_path: Path) -> None:
    score = _score(accuracy=0.8, f1_macro=0.85, matthews_correlation=0.7)
    baselines = _shown(tmp_path, _epoch(1, score), width=80).partition("Baselines")[2]
    assert "matthews_correlation" in baselines
    assert all(len(line) <= 80 and line[-1] in "┓┃┩│┘" for line in baselines.splitlines()[1:7])


@pytest.mark.parametrize("label", ["spam", "\u4e0d\u662f\u5783\u573e\u90ae\u4ef6" * 4, "x" * 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_class_of_f1_leaves_room_for_the_protocol(
    label: str, encoding: str, tmp_path: Path
) -> None:
    names: tuple[str, ...] = ("f1", "accuracy", "f1_macro", "matthews_correlation")
    task = replace(
        get_task("sst2"),
        labels=("a", label),
        metrics=names[:1],
        extra_metrics=names[1:],
        submission=(),
    )
    score = _score(**dict.fromkeys(names, 0.5))
    _shown(tmp_path, _epoch(1, score), majority_baseline=score)
    record = Run(tmp_path).record.model_copy(update={"own_task": task})
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=stream, width=80).show(Scores.of_record(record).baseline_table())
    stream.seek(0)
    lines = stream.read().splitlines()
    assert all(cell_len(line) <= 80 for line in lines)
    head = next(number for number, line in enumerate(lines) if "protocol" in line)
    assert all("\u2026" not in line for line in lines[head + 1 :])
    assert any("majority class" in line for line in lines)


def test_a_run_that_learnt_nothing_is_named(tmp_path: Path) -> None:
    worse = _epoch(1, _score(accuracy=0.6, f1=0.7))
    assert "does not beat the majority class" in _shown(tmp_path, worse)
    same = _epoch(1, _score(accuracy=0.68, f1=0.81), collapsed=True)
    assert "This run collapsed" in _shown(tmp_path, same)


def test_a_run_that_words_alone_beat_is_named(tmp_path: Path) -> None:
    epoch = _epoch(1, _score(accuracy=0.8, f1=0.85))
    words = _score(accuracy=0.9, f1=0.9)
    told = _shown(tmp_path, epoch, text_baseline=words)
    assert "scores less than the bag of words" in told
    assert "--learning-rate" in " ".join(told.split())
    assert "scores less" not in _shown(tmp_path, epoch, text_baseline=epoch.validation)


@pytest.mark.parametrize(
    ("wrong", "words_wrong", "said", "unsaid"),
    [
        (1, 0, "No difference from the bag of words is shown", "scores less"),
        (0, 0, "No difference from the bag of words is shown", "scores less"),
        (20, 2, "This run scores less than the bag of words (McNemar's exact test", "is shown"),
        (2, 20, "", "bag of words ("),
    ],
    ids=["36 of 37", "the same", "shown to be worse", "shown to be better"],
)
def test_words_are_better_only_where_a_paired_test_shows_it(
    tmp_path: Path, wrong: int, words_wrong: int, said: str, unsaid: str
) -> None:
    labels, folder = np.arange(37) % 2, RunFolder(tmp_path)
    for path, errors in (
        (folder.predictions_on("validation"), wrong),
        (folder.baseline / "validation.parquet", words_wrong),
    ):
        turned = np.where(np.arange(37) < errors, 1 - labels, labels)
        keep_predictions(path, classified(labels, turned), "print")
    shown = _shown(
        tmp_path,
        _epoch(1, _score(accuracy=1 - wrong / 37)),
        own_task=TaskSpec(
            name="own",
            title="",
            text_columns=("text",),
            labels=("a", "b"),
            metrics=("accuracy",),
            rows={},
        ),
        majority_baseline=_score(accuracy=0.1),
        text_baseline=_score(accuracy=1 - words_wrong / 37),
    )
    told = " ".join(shown.split())
    assert said in told
    assert unsaid not in told


def test_a_regression_is_compared_with_the_mean_by_its_errors(tmp_path: Path) -> None:
    shown = _shown(
        tmp_path,
        _epoch(1, _score(pearson=0.8, spearman=0.7, mae=0.5123)),
        width=80,
        task="stsb",
        majority_baseline=_score(pearson=None, spearman=None, mae=1.25),
    )
    lines = shown.splitlines()
    assert any("this run" in line and "0.5123" in line for line in lines)
    assert any("mean of train" in line and "1.2500" in line for line in lines)


def test_an_undefined_metric_is_called_so(tmp_path: Path) -> None:
    shown = _shown(
        tmp_path,
        _epoch(1, _score(pearson=None, spearman=None)),
        task="stsb",
        majority_baseline=_score(pearson=None, spearman=None),
    )
    assert shown.count(" undefined │") == 6
    assert "does not beat" not in shown


def test_two_validation_sets_have_a_column_each(tmp_path: Path) -> None:
    shown = _shown(
        tmp_path,
        _epoch(1, _score(*TWO_SPLITS, accuracy=0.8), extra={"mine": 0.25}),
        task="mnli",
        majority_baseline=_score(*TWO_SPLITS, accuracy=0.3),
        best=1,
    )
    for part in ("matched accuracy", "mismatched accuracy", "mine", "0.2500", "one epoch"):
        assert part in shown
    published = _shown(
        tmp_path,
        _epoch(1, _score(*TWO_SPLITS, accuracy=0.8)),
        task="mnli",
        majority_baseline=None,
        model=_model("google-bert/bert-base-cased"),
        width=200,
    )
    row = next(line for line in published.splitlines() if "BERT-base-cased" in line)
    assert row.count("0.83") == 1  # the matched set's, and not under the mismatched one


def test_published_results_of_the_checkpoint_stand_under_their_own_metric(tmp_path: Path) -> None:
    epoch = _epoch(1, _score(accuracy=0.8, f1=0.85))
    shown = _shown(tmp_path, epoch, model=_model("google-bert/bert-base-cased"), width=180)
    assert "BERT-base-cased" in shown
    row = next(line for line in shown.splitlines() if "BERT-base-cased" in line)
    assert "0.8407" in row
    assert "0.8885" in row
    assert "single seeded run" in row
    assert "BERT-base-cased" not in _shown(tmp_path, epoch, model=_model("someone/else"))
    sample = DataRecord(source="sample", rows={"train": 4}, fingerprints={}, truncated={})
    on_sample = _shown(tmp_path, epoch, model=_model("google-bert/bert-base-cased"), data=sample)
    assert "BERT-base-cased" not in on_sample


@pytest.mark.parametrize("width", [40, 80, 200])
def test_names_are_shown_as_they_are_and_commands_stay_whole(tmp_path: Path, width: int) -> None:
    folder = tmp_path / "[red]runs[/red]"
    folder.mkdir(parents=True)
    data = DataRecord(
        source="/data/[bold]my glue", rows={"train": 4}, fingerprints={}, truncated={}
    )
    shown = _shown(
        folder, _epoch(1, _score(accuracy=0.8, f1=0.85)), data=data, notes=["[red]"], width=width
    )
    assert f"run      {folder}\n" in shown
    assert f"  gluetune serve {shlex.quote(str(folder))}\n" in shown
    assert "gluetune show mrpc --data '/data/[bold]my glue'\n" in shown
    assert "note: [red]" in shown


def test_the_commands_that_follow_are_quoted_and_parse(tmp_path: Path) -> None:
    folder = tmp_path / "my runs" / "it's"
    folder.mkdir(parents=True)
    data = DataRecord(source="/my data", rows={"train": 4}, fingerprints={}, truncated={})
    shown = _shown(folder, _epoch(1, _score(accuracy=0.8, f1=0.85)), data=data)
    lines = shown.partition("Next:\n")[2].splitlines()
    commands = [shlex.split(line) for line in lines if line.strip()]
    read = {words[1]: parse(words[1:]) for words in commands if words[0] == "gluetune"}
    assert set(read) == {"evaluate", "predict", "serve", "show", "train"}
    assert read["predict"]["model"] == read["serve"]["model"] == str(folder)
    assert read["predict"]["texts"] == ["Some text.", "Some other text."]
    assert read["show"]["data"] == "/my data"
    assert read["train"]["config"] == folder / "config.yaml"
    (python,) = [words for words in commands if words[0] == "python"]
    assert python[1] == "-c"
    constants = [
        each.value for each in ast.walk(ast.parse(python[2])) if isinstance(each, ast.Constant)
    ]
    assert f"{folder}/model" in constants
