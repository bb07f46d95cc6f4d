"""The bag of words that a fine-tuned model is held against."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from gluetune.data.tables import canonical_schema
from gluetune.tasks import MetricName, TaskSpec
from gluetune.training import text_baseline as module
from gluetune.training.text_baseline import text_baseline


def task_of(metric: MetricName, labels: tuple[str, ...] = (), **more: Any) -> TaskSpec:
    return TaskSpec(
        name="own", title="", text_columns=("text",), labels=labels, metrics=(metric,), **more
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
            task_of("f1_micro", ("a", "b", "c"), multi_label=True),
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
