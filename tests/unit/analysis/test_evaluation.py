"""An evaluation holds everything that is shown of predictions, and shows it everywhere alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.cells import cell_len
from tests.support.html_pages import Page
from tests.support.predictions import classified, estimated, random_classified
from tests.support.run_folders import write_run

from gluetune.analysis.evaluation import Evaluation, _suspicion
from gluetune.analysis.scores import Baseline, Scores
from gluetune.analysis.splits import SplitEvaluation, statistic
from gluetune.core.errors import ConfigurationError, RenamedWarning
from gluetune.core.plots import Plot, line_plot
from gluetune.core.records import Predictions, ScoreRecord, keep_predictions
from gluetune.core.runs import Run
from gluetune.core.tables import Column, Table
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.core.terminal import Console
from gluetune.kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from gluetune.rendering.pages import report
from gluetune.statistics.baseline_test import WordTest
from gluetune.statistics.intervals import Interval, score_intervals

LABELS = ("[neg]", "[/b] \x1b[2J")
TASK = TaskSpec(
    name="own", title="own", text_columns=("text",), labels=LABELS, metrics=("accuracy",)
)
COLA = get_task("cola")


def evaluation(task: TaskSpec, found: Predictions, **more: Any) -> Evaluation:
    rows = pa.table({name: [f"text {row}" for row in found.index] for name in task.text_columns})
    score = ScoreRecord(score=0.5, metrics={"validation": dict.fromkeys(task.metrics, 0.5)})
    split = SplitEvaluation(task, "validation", found, lambda: rows)
    given: dict[str, Any] = {
        "model": "a/model",
        "data": "x.csv",
        "scores": Scores(task, score),
        "splits": {"validation": split},
    }
    return Evaluation(**(given | more)).with_worst(2)


def of(task: TaskSpec, labels: Any, logits: Any) -> Evaluation:
    predicted = task.kind.decode(logits)
    return evaluation(task, Predictions(np.arange(len(labels)), labels, predicted, logits))


def printed(found: Evaluation, *, width: int = 80) -> str:
    out = StringIO()
    Console(file=out, width=width).show_result(found)
    return out.getvalue()


@dataclass(frozen=True)
class Streaks:
    """A statistic that the package does not have."""

    longest: int


def test_a_statistic_that_is_added_is_shown_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Python, JSON, data frames, the terminal and the report; nothing else is changed."""

    def planted(split: SplitEvaluation) -> Streaks:
        """Longest streak of correct predictions."""
        right = split.predictions.labels == split.predictions.predicted
        return Streaks(max(map(len, "".join("01"[int(one)] for one in right).split("0"))))

    def tables(split: SplitEvaluation, value: Streaks) -> Iterator[Table]:
        title = "A planted statistic"
        yield Table.of(
            title, ("", Column("longest", "count")), [("x", value.longest)], name="planted"
        )

    def plots(split: SplitEvaluation, value: Streaks) -> Iterator[Plot]:
        plot = line_plot("A planted plot", [1.0, 2.0], {"x": [0.0, value.longest]})
        assert plot is not None
        yield plot

    monkeypatch.setattr(
        SplitEvaluation, "planted", statistic(planted, tables, plots), raising=False
    )
    found = evaluation(COLA, classified([0, 1, 1, 1, 0], [0, 0, 1, 1, 0]))
    assert found.splits["validation"].planted.longest == 3  # type: ignore[attr-defined]
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["splits"]["validation"]["planted"] == {"longest": 3}
    assert found.to_pandas("planted")["longest"].tolist() == [3]
    assert "A planted statistic" in printed(found)
    assert "A planted statistic" in found._repr_html_()
    assert "A planted plot" in [plot.title for plot in found.plots()]
    run = Run(write_run(tmp_path / "run"))
    keep_predictions(run.folder.predictions_on("validation"), random_classified(50), "x")
    page = Page(report(run).read_text(encoding="utf-8")).text
    assert "A planted statistic" in page
    assert "A planted plot" in page


def test_everything_is_there_in_python_and_the_same_in_json() -> None:
    found = evaluation(COLA, random_classified(100))
    split = found.splits["validation"]
    assert split.confusion is not None
    assert split.confusion.sum() == 100
    assert split.calibration is not None
    assert sum(one.count for one in split.calibration.bins) == 100
    assert split.per_class is not None
    assert [row.name for row in split.per_class] == list(COLA.labels)
    assert split.residuals is None
    assert split.by_length is not None
    assert split.by_length.measure == "accuracy"
    assert split.worst_errors is not None
    assert len(split.worst_errors) == 2
    assert split.worst_errors[0].texts["sentence"].startswith("text ")
    plain = json.loads(json.dumps(found.to_dict()))["splits"]["validation"]
    assert plain["confusion"] == split.confusion.tolist()
    assert plain["per_class"][0]["f1"] == split.per_class[0].f1
    assert plain["calibration"]["ece"] == split.calibration.ece
    assert "residuals" not in plain
    numbers = evaluation(get_task("stsb"), estimated([1.0, 2.0, 4.0], [1.5, 2.0, 3.0]))
    residuals = numbers.splits["validation"].residuals
    assert residuals is not None
    assert residuals.mean_absolute == pytest.approx(0.5)


def test_a_statistic_is_computed_once_and_only_when_it_is_used() -> None:
    calls = []

    def rows() -> str:
        calls.append(1)
        return "The texts are not shown: they are gone."

    found = SplitEvaluation(COLA, "validation", random_classified(20), rows)
    assert found.per_class is found.per_class
    assert calls == [], "the texts were not needed"
    assert found.by_length is None
    (table,) = [table for table in found.tables() if table.name == "worst_errors"]
    assert table.notes == ("The texts are not shown: they are gone.",)
    assert calls == [1]


def test_tables_are_data_frames_with_their_split() -> None:
    found = evaluation(COLA, random_classified(30))
    frames = found.to_pandas()
    assert {"scores", "per_class", "confusion", "calibration", "worst_errors"} <= set(frames)
    assert list(frames["per_class"].columns[:3]) == ["class", "examples", "precision"]
    split = found.splits["validation"]
    two = replace(found, splits={"one": split, "two": split})
    assert two.to_pandas("per_class")["split"].tolist() == ["one", "one", "two", "two"]
    with pytest.raises(ConfigurationError, match="There is no table 'x'"):
        found.to_pandas("x")


def test_its_repr_is_one_line() -> None:
    found = evaluation(COLA, random_classified(30))
    assert repr(found) == (
        "Evaluation('a/model' on cola on x.csv (validation 30): matthews_correlation=0.5000)"
    )


def test_labels_and_paths_are_printed_as_they_are_and_drive_nothing() -> None:
    labels = np.array([0, 1, 0, 1])
    logits = np.array([[1, 0]] * 4, dtype=np.float32)
    shown = printed(replace(of(TASK, labels, logits), data="/data/[old]/a[/b].csv"), width=200)
    assert "own on /data/[old]/a[/b].csv (validation 4)" in shown
    assert shown.count("[neg]") >= 3, "at the head, at the side, and as a prediction"
    assert "[/b] \u241b[2J" in shown
    assert "\x1b" not in shown


def _of_classes(size: int, name: str, *, multi_label: bool = False) -> Evaluation:
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
    return of(task, labels, logits)


@pytest.mark.parametrize("multi_label", [False, True], ids=["one label", "several labels"])
@pytest.mark.parametrize("name", ["c{}", "a rather long name of class {}, with words", "类别{}号"])
@pytest.mark.parametrize("size", [2, 3, 9, 12, 30, 500, 1000])
def test_any_number_of_classes_fits_a_terminal(size: int, name: str, multi_label: bool) -> None:
    shown = printed(_of_classes(size, name, multi_label=multi_label))
    assert all(cell_len(line) <= 80 for line in shown.splitlines())
    assert len(shown) < 12_000
    table = next(part for part in shown.split("validation: ") if "precision" in part)
    assert "recall" in table
    assert "F1" in table
    lines = [line for line in table.splitlines() if line.startswith("│")]
    if size <= 30:
        assert len(lines) == size, "one line for each class"
        assert all("0." in line or "1.0" in line for line in lines), "which has its rates"
    else:
        assert len(lines) == 20
        assert f"{size - 20} more are in the JSON" in shown.replace(",", "")


def test_where_the_matrix_does_not_fit_the_confusions_are_listed() -> None:
    labels = np.array([0] * 6 + [1] * 4 + [2] * 40)
    logits = np.eye(30, dtype=np.float32)[[0, 0, 1, 1, 1, 2, 0, 1, 1, 1] + [2] * 40]
    names = tuple(f"class {number}" for number in range(30))
    shown = printed(of(replace(TASK, labels=names), labels, logits))
    per_class = shown.partition("per class")[2]
    line = next(line for line in per_class.splitlines() if line.startswith("│ class 0"))
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == ["class 0", "6", "0.6667", "0.3333", "0.4444", "class 1", "3"]
    pairs = shown.partition("most confused")[2].splitlines()
    cells = [cell.strip() for cell in pairs[4].strip("│").split("│")]
    assert cells == ["class 0", "3", "50.0%", "class 1"]


def test_few_classes_have_their_matrix() -> None:
    found = evaluation(COLA, random_classified(200))
    table = next(found.splits["validation"].tables())
    assert [column.title for column in table.columns] == ["true class", *COLA.labels]
    assert len(table.rows) == 2


def test_of_many_classes_the_worst_are_shown() -> None:
    found = _of_classes(60, "class {}")
    rows = found.splits["validation"].per_class
    assert rows is not None
    worst = min((row for row in rows if row.f1 is not None), key=lambda row: row.f1 or 0.0)
    assert worst.name in printed(found).partition("per class")[2].partition("calibration")[0]


def test_lengths_of_one_number_are_one_number() -> None:
    labels = np.zeros(40, dtype=int)
    texts = pa.table({"sentence": [" ".join(["x"] * n) for n in np.repeat([5, 6, 7, 8], 10)]})
    found = SplitEvaluation(COLA, "validation", classified(labels, labels), lambda: texts)
    (table,) = [table for table in found.tables() if table.name == "by_length"]
    assert [row[0] for row in table.rows] == ["5", "6", "7 to 8"]


def test_the_bag_of_words_and_the_errors_are_in_the_scores() -> None:
    metrics: dict[str, Any] = {"metrics": ("pearson",), "extra_metrics": ("mae",)}
    task = replace(TASK, labels=(), kind=REGRESSION, **metrics)

    def score(pearson: float | None, mae: float) -> ScoreRecord:
        return ScoreRecord(score=pearson, metrics={"validation": {"pearson": pearson, "mae": mae}})

    scores = Scores(
        task,
        score(0.5, 0.25),
        baselines={
            "majority": Baseline("mean", "", score(None, 1.125)),
            "bag_of_words": Baseline("bag of words", "", score(0.5, 0.75)),
        },
    )
    test = WordTest(-0.1, 0.4, "paired bootstrap")
    labels = np.array([1.0, 2.0, 3.0, 4.0], dtype=np.float32)
    shown = printed(evaluation(task, estimated(labels, labels), scores=scores, baseline_test=test))
    line = next(line for line in shown.splitlines() if "│ mae" in line)
    assert all(value in line for value in ("0.2500", "1.1250", "0.7500"))
    assert "bag of words" in shown
    assert "No difference from the bag of words is shown (paired bootstrap, p = 0.4)." in shown


@pytest.mark.parametrize(
    ("former", "new"),
    [
        ("majority", lambda one: one.baselines["majority"].score),
        ("words", lambda one: None),
        ("word_test", lambda one: one.baseline_test),
        ("suspicion", lambda one: one.warnings[0]),
    ],
)
def test_former_fields_are_found_with_a_warning(former: str, new: Any) -> None:
    found = random_classified(20)
    majority = Baseline("majority class", "", ScoreRecord(score=0.4, metrics={}))
    scores = Scores(TASK, ScoreRecord(score=0.5, metrics={}), baselines={"majority": majority})
    measured = evaluation(TASK, found, scores=scores, warnings=("The labels may be swapped.",))
    with pytest.warns(RenamedWarning, match=rf"Evaluation\.{former} is now called"):
        assert getattr(measured, former) == new(measured)
    with pytest.raises(AttributeError, match="no_such"):
        _ = measured.no_such


def test_the_names_of_metrics_are_whole_beside_the_bag_of_words() -> None:
    values: dict[str, float | None] = {"accuracy": 0.5, "matthews_correlation": 0.5}
    score = ScoreRecord(score=0.5, metrics={"validation": values})
    interval = Interval(-0.1, 0.2, 0.95, "bca", reliable=False, reason="only 60 examples")
    scores = Scores(
        TASK,
        score,
        intervals=dict.fromkeys(values, interval),
        baselines={
            name: Baseline(name.replace("_", " "), "", score)
            for name in ("majority", "bag_of_words")
        },
    )
    shown = printed(replace(_of_classes(3, "c{}"), scores=scores))
    line = next(line for line in shown.splitlines() if "matthews_correlation" in line)
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells[:3] == ["matthews_correlation", "0.5000", "-0.1000 to 0.2000 *"]
    assert "* unreliable: only 60 examples." in shown
    assert all(cell_len(line) <= 80 for line in shown.splitlines())


def test_a_note_says_why_the_bag_of_words_has_no_metric_of_probabilities() -> None:
    words = {"bag_of_words": Baseline("bag of words", "", ScoreRecord(score=0.5, metrics={}))}
    note = "The bag of words keeps no probabilities: it has no log_loss, roc_auc."
    task = replace(TASK, extra_metrics=("log_loss", "f1_macro", "roc_auc"))
    score = ScoreRecord(score=0.5, metrics={})
    assert Scores(task, score, baselines=words).table("").notes == (note,)
    assert Scores(TASK, score, baselines=words).table("").notes == ()
    assert Scores(task, score).table("").notes == ()


@pytest.mark.parametrize(("task", "majority"), [("rte", 0.5), ("cola", 0.0)])
def test_turned_labels_are_pointed_out(task: str, majority: float) -> None:
    """A score that chance does not explain: labels may be in another order than the model's."""
    spec = get_task(task)
    right = random_classified(277, right=0.8)
    turned = classified(right.labels, 1 - right.predicted)
    found = [
        _suspicion(spec, score_intervals(spec, {"validation": one})["score"], majority)
        for one in (right, turned)
    ]
    assert found[0] == ""
    assert "below the majority class" in found[1]
    assert f"--label-order with another order of {', '.join(spec.labels)}" in found[1]


def test_a_little_below_the_majority_is_no_suspicion() -> None:
    spec = get_task("rte")
    found = random_classified(277, right=0.5, seed=3)
    assert _suspicion(spec, score_intervals(spec, {"validation": found})["score"], 0.527) == ""


def test_numbers_have_no_order_of_labels() -> None:
    assert _suspicion(get_task("stsb"), None, None) == ""
