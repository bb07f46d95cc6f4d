"""What `gluetune evaluate` prints: of labels and paths that look like markup, of many classes."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.cells import cell_len

from gluetune.core.predictions import Predictions
from gluetune.core.records import ScoreRecord
from gluetune.core.tasks import TaskSpec
from gluetune.core.terminal import Console
from gluetune.kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from gluetune.rendering.evaluation_tables import _shortened, measured_tables
from gluetune.statistics.baseline_test import WordTest
from gluetune.statistics.confusion import class_table
from gluetune.statistics.intervals import Interval

LABELS = ("[neg]", "[/b] \x1b[2J")
TASK = TaskSpec(
    name="own",
    title="own",
    text_columns=("text",),
    labels=LABELS,
    metrics=("accuracy",),
)


def _measured(task: TaskSpec, labels: Any, logits: Any, **more: Any) -> Any:
    score, rows = ScoreRecord(score=0.5, metrics={}), len(labels)
    predicted = task.kind.decode(logits)
    given: dict[str, Any] = {
        "spec": task,
        "task": "own",
        "data": "x.csv",
        "rows": {"validation": rows},
        "score": score,
        "majority": score,
        "intervals": {},
        "suspicion": "",
        "agreement": {},
        "words": None,
        "word_test": None,
        "mean_absolute_error": {},
        "predictions": {"validation": Predictions(np.arange(rows), labels, predicted, logits)},
        "texts": {"validation": pa.table({"text": [f"text {row}" for row in range(rows)]})},
    }
    return SimpleNamespace(**(given | more))


def _printed(found: Any, *, width: int = 80) -> str:
    out = StringIO()
    console = Console(file=out, width=width)
    for table in measured_tables(found, 2, width):
        console.print(table)
    return out.getvalue()


def test_labels_and_paths_are_printed_as_they_are_and_drive_nothing() -> None:
    labels = np.array([0, 1, 0, 1])
    logits = np.array([[1, 0]] * 4, dtype=np.float32)
    told = _printed(_measured(TASK, labels, logits, data="/data/[old]/a[/b].csv"), width=200)
    assert "own on /data/[old]/a[/b].csv (validation 4)" in told
    assert told.count("[neg]") >= 3, "at the head, at the side, and as an answer"
    assert "[/b] \u241b[2J" in told
    assert "\x1b" not in told


def _of_classes(size: int, name: str, *, multi_label: bool = False) -> Any:
    random = np.random.default_rng(0)
    count = max(200, 3 * size)
    labels = random.integers(0, size, count)
    answers = np.where(random.random(count) < 0.7, labels, random.integers(0, size, count))
    names = tuple(name.format(number) for number in range(size))
    task = replace(TASK, labels=names, kind=MULTI_LABEL if multi_label else SINGLE_LABEL)
    logits = np.full((count, size), -1.0, dtype=np.float32)
    logits[np.arange(count), answers] = 2
    if multi_label:
        labels = (np.arange(size) == labels[:, None]).astype(np.int64)
    return _measured(task, labels, logits)


@pytest.mark.parametrize("multi_label", [False, True], ids=["one label", "several labels"])
@pytest.mark.parametrize("name", ["c{}", "a rather long name of class {}, with words", "类别{}号"])
@pytest.mark.parametrize("size", [2, 3, 9, 12, 30, 500, 1000])
def test_any_number_of_classes_fits_a_terminal(size: int, name: str, multi_label: bool) -> None:
    told = _printed(_of_classes(size, name, multi_label=multi_label))
    assert all(cell_len(line) <= 80 for line in told.splitlines())
    assert len(told) < 12_000
    table = next(part for part in told.split("validation: ") if "precision" in part)
    assert "recall" in table
    assert "F1" in table
    lines = [line for line in table.splitlines() if line.startswith("│")]
    if size <= 30:
        assert len(lines) == size, "one line for each class"
        assert all("0." in line or "1.0" in line for line in lines), "which has its rates"
    else:
        assert len(lines) == 20
        assert f"{size - 20} more are in the JSON" in told


def test_where_the_matrix_does_not_fit_the_confusions_are_listed() -> None:
    labels = np.array([0] * 6 + [1] * 4 + [2] * 40)
    logits = np.eye(30, dtype=np.float32)[[0, 0, 1, 1, 1, 2, 0, 1, 1, 1] + [2] * 40]
    names = tuple(f"class {number}" for number in range(30))
    told = _printed(_measured(replace(TASK, labels=names), labels, logits))
    line = next(line for line in told.splitlines() if line.startswith("│ class 0"))
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == ["class 0", "6", "0.6667", "0.3333", "0.4444", "3 class 1"]
    pairs = told.partition("most confused")[2].splitlines()
    cells = [cell.strip() for cell in pairs[4].strip("│").split("│")]
    assert cells == ["class 0", "3", "50.0%", "class 1"]


def test_of_many_classes_the_worst_are_shown() -> None:
    found = _of_classes(60, "class {}")
    rows = class_table(found.spec, found.predictions["validation"])
    worst = min((row for row in rows if row.f1 is not None), key=lambda row: row.f1 or 0.0)
    assert worst.name in _printed(found).partition("most confused")[0]


def test_a_shortened_name_keeps_both_ends() -> None:
    assert _shortened("the same beginning, number 17", 16) == "the same…mber 17"
    assert cell_len(_shortened("类" * 30, 15)) <= 15
    assert _shortened("short", 16) == "short"


def test_the_bag_of_words_and_the_errors_stand_in_the_scores() -> None:
    labels = np.array([1.0, 2.0, 3.0, 4.0], dtype=np.float32)
    score = ScoreRecord(score=0.5, metrics={"validation": {"pearson": 0.5}})
    found = _measured(
        replace(TASK, labels=(), kind=REGRESSION, metrics=("pearson",)),
        labels,
        labels[:, None],
        score=score,
        majority=ScoreRecord(score=None, metrics={"validation": {"pearson": None}}),
        words=score,
        word_test=WordTest(-0.1, 0.4, "paired bootstrap"),
        mean_absolute_error={"run": 0.25, "mean": 1.125, "words": 0.75},
        predictions={},
    )
    told = _printed(found)
    line = next(line for line in told.splitlines() if "mean absolute error" in line)
    assert all(value in line for value in ("0.2500", "1.1250", "0.7500"))
    assert "bag of words" in told
    assert "No difference from the bag of words is shown (paired bootstrap, p = 0.4)." in told


def test_the_names_of_metrics_are_whole_beside_the_bag_of_words() -> None:
    values: dict[str, float | None] = {"accuracy": 0.5, "matthews_correlation": 0.5}
    score = ScoreRecord(score=0.5, metrics={"validation": values})
    interval = Interval(-0.1, 0.2, 0.95, "bca", reliable=False, reason="only 60 examples")
    found = _of_classes(3, "c{}")
    more = {"score": score, "words": score, "intervals": dict.fromkeys(values, interval)}
    told = _printed(SimpleNamespace(**(vars(found) | more)))
    assert "│ matthews_correlation │ 0.5000 │ -0.1000 to 0.2000 * │" in told
    assert all(cell_len(line) <= 80 for line in told.splitlines())
