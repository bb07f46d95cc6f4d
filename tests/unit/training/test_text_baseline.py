"""The bag of words that a fine-tuned model is held against."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gluetune.core.tasks import TaskSpec
from gluetune.data.tables import canonical_schema
from gluetune.kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from gluetune.training import text_baseline as module
from gluetune.training.text_baseline import kept_baseline, text_baseline, tokens


def task_of(metric: str, labels: tuple[str, ...] = (), **more: Any) -> TaskSpec:
    kind = SINGLE_LABEL if labels else REGRESSION
    return TaskSpec(
        name="own",
        title="",
        text_columns=("text",),
        labels=labels,
        metrics=(metric,),
        **{"kind": kind, **more},
    )


def table(task: TaskSpec, labels: list[Any], texts: list[str] | None = None) -> pa.Table:
    texts = texts or [f"word{number % 7} mark{label}" for number, label in enumerate(labels)]
    return pa.table([texts, labels, range(len(labels))], schema=canonical_schema(task))


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        (task_of("accuracy", ("a", "b", "c")), [0, 1, 2] * 8),
        (task_of("pearson"), [float(n % 5) for n in range(24)]),
        (
            task_of("f1_micro", ("a", "b", "c"), kind=MULTI_LABEL),
            [[1, 0, 0], [0, 1, 0], [1, 1, 0]] * 8,
        ),
    ],
    ids=["classes", "number", "labels"],
)
@pytest.mark.parametrize("balanced", [False, True])
def test_it_learns_what_words_say(task: TaskSpec, labels: list[Any], balanced: bool) -> None:
    rows = table(task, labels)
    score = text_baseline(task, rows, {"validation": rows}, balanced=balanced).score
    assert score.value is not None
    assert score.value > 0.95


def test_a_text_of_signs_alone_has_features() -> None:
    task = task_of("accuracy", ("a", "b"))
    rows = table(task, [0, 1] * 6, ["😀 !", "? ☹"] * 6)
    assert text_baseline(task, rows, {"validation": rows}).score.value == 1


def test_of_many_rows_a_part_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 10)
    task = task_of("accuracy", ("a", "b"))
    rows = table(task, [0, 1] * 20)
    first = text_baseline(task, rows, {"validation": rows})
    assert first == text_baseline(task, rows, {"validation": rows})


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (
            [
                "这部电影非常好看我很喜欢",
                "这部电影非常难看我很讨厌",
                "那家餐厅非常好看",
                "餐厅难看极了",
            ],
            [0, 1, 0, 1],
        ),
        (
            [
                "とても面白い映画でした",
                "とても退屈な映画でした",
                "面白い本を読んだ",
                "退屈な本を読んだ",
            ],
            [0, 1, 0, 1],
        ),
        (["หนังเรื่องนี้สนุกมาก", "หนังเรื่องนี้น่าเบื่อมาก", "วันนี้สนุกดี", "วันนี้น่าเบื่อ"], [0, 1, 0, 1]),
    ],
    ids=["Chinese", "Japanese", "Thai"],
)
def test_scripts_without_spaces_have_words(texts: list[str], labels: list[int]) -> None:
    """Sentences that share no run between signs, but characters."""
    task = task_of("accuracy", ("good", "bad"))
    train = table(task, labels[:2] * 4, texts[:2] * 4)
    validation = table(task, labels[2:], texts[2:])
    assert text_baseline(task, train, {"validation": validation}).score.value == 1


def test_words_keep_their_spaces_and_mixed_texts_have_both() -> None:
    assert list(tokens("I like it!")) == ["i", "like", "it", "!", "i like", "like it", "it !"]
    mixed = set(tokens("iPhone很好用"))
    assert {"iphone", "很", "好 用", "很好用", "iphone 很"} <= mixed


@pytest.mark.parametrize("multi_label", [False, True])
def test_many_classes_are_learnt_in_bounded_memory(multi_label: bool) -> None:
    """Logistic regression of 600 classes and 6,000 words would hold hundreds of bytes for each."""
    size = 600
    names = tuple(f"class {number}" for number in range(size))
    metric: str = "f1_micro" if multi_label else "accuracy"
    task = task_of(metric, names, kind=MULTI_LABEL if multi_label else SINGLE_LABEL)
    numbers = [number % size for number in range(6 * size)]
    texts = [f"mark{label} noise{row} more{row % 977}" for row, label in enumerate(numbers)]
    labels: list[Any] = (
        [[int(label == column) for column in range(size)] for label in numbers]
        if multi_label
        else numbers
    )
    rows = table(task, labels, texts)
    tracemalloc.start()
    try:
        score = text_baseline(task, rows, {"validation": rows}).score
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert score.value is not None
    assert score.value > 0.9
    assert most < 300e6


def test_of_long_texts_fewer_are_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of("accuracy", ("a", "b"))
    rows = table(task, [0, 1] * 50)
    monkeypatch.setattr(module, "_CHARACTERS", 300)
    assert len(module._part(task, rows)) < 40
    assert text_baseline(task, rows, {"validation": rows}).score.value == 1


def test_the_same_data_are_fitted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLUETUNE_CACHE", str(tmp_path))
    task, prints = task_of("accuracy", ("a", "b")), {"train": "1", "validation": "2"}
    fitted: list[int] = []

    def fit() -> dict[str, Any]:
        fitted.append(1)
        return {"validation": np.array([0, 1, 1])}

    for _ in range(2):
        found = kept_baseline(task, prints, False, fit)
        assert found["validation"].tolist() == [0, 1, 1]
    assert len(fitted) == 1
    kept_baseline(task, {**prints, "train": "3"}, False, fit)
    kept_baseline(task, prints, True, fit)
    assert len(fitted) == 3
    (tmp_path / "baselines" / next((tmp_path / "baselines").iterdir()).name).write_bytes(b"torn")
    for balanced in (False, True):
        kept_baseline(task, prints, balanced, fit)
        kept_baseline(task, {**prints, "train": "3"}, balanced, fit)
    assert 4 <= len(fitted) <= 5
