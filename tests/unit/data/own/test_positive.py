"""The positive class: as requested, else the rarer one, with a note."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.own_files import write_csv

from gluetune.core.config import make_config
from gluetune.core.errors import ConfigurationError, DataError, GluetuneError
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.data.own.source import OwnSource, read_own
from gluetune.data.tables import notes_of


def file_of(folder: Path, counts: Mapping[str, int]) -> Path:
    rows = [
        {"text": f"{name} text {number}", "label": name}
        for name, count in counts.items()
        for number in range(count)
    ]
    return write_csv(folder / "rows.csv", rows)


def task_of(path: Path, **settings: Any) -> TaskSpec:
    return OwnSource(make_config({"train_file": str(path), "metric": "f1", **settings})).task


def notes(path: Path, **settings: Any) -> str:
    config = make_config({"train_file": str(path), "metric": "f1", **settings})
    return "\n".join(notes_of(read_own(config).tables["train"]))


@pytest.mark.parametrize(
    ("counts", "positive", "said"),
    [
        ({"abusive": 20, "normal": 80}, "abusive", "the rarer class (20 of 100 rows)"),
        ({"normal": 30, "offen": 70}, "normal", "the rarer class (30 of 100 rows)"),
        ({"0": 60, "1": 40}, "1", "the rarer class (40 of 100 rows)"),
        ({"-1": 10, "1": 90}, "-1", "the rarer class (10 of 100 rows)"),
        ({"好": 40, "坏": 60}, "好", "the rarer class (40 of 100 rows)"),
        ({"ham": 50, "spam": 50}, "spam", "the last of two equally frequent classes"),
    ],
)
def test_f1_is_of_the_rarer_class_and_a_note_states_it(
    tmp_path: Path, counts: dict[str, int], positive: str, said: str
) -> None:
    path = file_of(tmp_path, counts)
    task = task_of(path)
    (other,) = set(counts) - {positive}
    assert task.positive == task.positive_label == positive
    assert task.labels[task.positive_id] == positive
    assert task.title.endswith(f"scored by f1 of '{positive}'")
    assert f"F1 is of '{positive}', {said}" in notes(path)
    assert "--positive" in notes(path)
    assert task_of(path, positive=other).positive == other
    assert "F1 is of" not in notes(path, positive=other)


@pytest.mark.parametrize(
    ("counts", "settings", "message", "hint"),
    [
        (
            {"abusive": 20, "normal": 80},
            {"positive": "abusiv"},
            "--positive abusiv: there is no such class.",
            "Did you mean 'abusive'? Classes: abusive, normal.",
        ),
        (
            {"no": 20, "yes": 80},
            {"positive": True},
            "--positive true: there is no such class.",
            "Classes: no, yes. In YAML write it in quotes.",
        ),
        (
            {"not spam": 20, "spam": 80},
            {"positive": "not spam", "metric": "score"},
            "--positive 'not spam': accuracy, the default score, is of both classes",
            "Type: --metric f1 --positive 'not spam', or leave --positive out.",
        ),
        (
            {"a": 20, "b": 80},
            {"positive": "a", "metric": "f1_macro"},
            "--positive a: f1_macro is of both classes, and f1 is of one.",
            "--metric f1 --positive a",
        ),
        (
            {"a": 20, "b": 40, "c": 40},
            {"positive": "a", "metric": "f1_macro"},
            "--positive a: there are 3 classes",
            "Leave --positive out.",
        ),
        (
            {"1.5": 30, "2.5": 30},
            {"positive": 1.5, "kind": "regression", "metric": "pearson"},
            "--positive 1.5: a task of kind regression has no positive class.",
            "Leave --positive out.",
        ),
        (
            {"a": 30, "b": 30},
            {"positive": "a", "kind": "multi_label", "metric": "f1_micro"},
            "--positive a: a task of kind multi_label has no positive class.",
            "Leave --positive out.",
        ),
    ],
)
def test_an_invalid_positive_class_is_refused(
    tmp_path: Path, counts: dict[str, int], settings: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(GluetuneError) as caught:
        task_of(file_of(tmp_path, counts), **settings)
    messages = [finding for finding in caught.value.findings if finding.message.startswith(message)]
    assert len(messages) == 1, str(caught.value)
    assert hint in messages[0].hint


def test_glue_tasks_keep_their_positive_class() -> None:
    with pytest.raises(ConfigurationError, match="this is for your own labelled text"):
        make_config({"task": "mrpc", "positive": "not_equivalent"})
    assert get_task("mrpc").positive_label == "equivalent"
    assert get_task("qqp").positive_id == 1
    assert get_task("mrpc").positive_note == ""
    assert get_task("cola").positive_label is None


def test_a_number_in_yaml_is_the_class_of_that_name(tmp_path: Path) -> None:
    path = file_of(tmp_path, {"0": 30, "1": 60})
    assert task_of(path, positive=1).positive == "1"
    (tmp_path / "true").mkdir()
    path = file_of(tmp_path / "true", {"false": 30, "true": 60})
    assert task_of(path, positive=True).positive == "true"


def test_an_older_run_keeps_the_last_class_with_a_note() -> None:
    old = TaskSpec(
        name="mine", title="", text_columns=("text",), labels=("abusive", "normal"), metrics=("f1",)
    )
    assert (old.positive_id, old.positive_label) == (1, "normal")
    assert "its metrics of one class are of 'normal', the last one" in old.positive_note


def test_a_long_or_odd_name_stays_readable_in_a_title() -> None:
    labels = ("a" * 500, "\x1b[31mred")
    for positive, shown in zip(labels, ("a" * 40 + "…", "␛[31mred"), strict=True):
        task = TaskSpec(
            name="mine",
            title="",
            text_columns=("text",),
            labels=labels,
            metrics=("f1",),
            extra_metrics=("accuracy", "f1_macro"),
            positive=positive,
        )
        assert task.metric_title("f1") == f"f1 of '{shown}'"
        assert [task.metric_title(name) for name in task.extra_metrics] == ["accuracy", "f1_macro"]


def test_a_single_remaining_class_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, {"a": 30, "b": 1})
    with pytest.raises(DataError, match="has 1 classes with more than one row"):
        task_of(path, on_bad_row="skip")
