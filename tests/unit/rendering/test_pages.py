from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.html_pages import HOSTILE, Page
from tests.support.predictions import random_classified
from tests.support.run_folders import write_run

from gluetune.analysis.splits import SplitEvaluation
from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.plots import line_plot, plot_letter
from gluetune.core.records import Predictions, Status, keep_predictions, read_record
from gluetune.core.runs import Run
from gluetune.core.tasks import get_task
from gluetune.core.text import visible
from gluetune.rendering.pages import report
from gluetune.rendering.plots import place, tick_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.508, "0.508"),
        (0.000133, "1.3e-4"),
        (6.67e-05, "6.7e-5"),
        (0.0, "0"),
        (-123456.0, "-1.2e5"),
    ],
)
def test_numbers_at_an_axis_have_room(value: float, text: str) -> None:
    assert tick_text(value) == text


def test_one_run_is_reported_into_its_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", note="A thing was decided.")
    path = report(folder)
    page = Page(path.read_text(encoding="utf-8"))
    assert path == folder / "report.html"
    assert page.tags.count("svg") == 3
    for words in (
        "0.5000",
        "majority class",
        "matthews_correlation",
        "A thing was decided.",
        "--config c.yaml",
    ):
        assert words in page.text


def test_seeds_of_one_configuration_are_taken_together(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=1, score=0.5)
    write_run(tmp_path / "b", seed=2, score=0.7)
    page = Page(report(tmp_path).read_text(encoding="utf-8"))
    assert page.tags.count("h2") == 2
    assert "0.6000" in page.text
    assert "0.1414" in page.text


@pytest.mark.parametrize(("metric", "expected"), [("accuracy", "70"), ("log_loss", "0.7")])
def test_scores_that_are_no_shares_are_not_plotted_in_points(
    tmp_path: Path, metric: str, expected: str
) -> None:
    task = {"name": "own", "title": "own", "text_columns": ["text"], "labels": ["a", "b"]}
    for name, seed, score in (("a", 1, 0.5), ("b", 2, 0.7)):
        path = write_run(tmp_path / name, seed=seed, score=score) / "record.json"
        record = json.loads(path.read_text()) | {"own_task": {**task, "metrics": [metric]}}
        path.write_text(json.dumps(record))
    page = report(tmp_path).read_text(encoding="utf-8")
    plot = page.partition("Scores of the seeds")[2].partition("</svg>")[0]
    assert f">{expected}<" in plot


def test_a_learning_curve_is_shown_where_there_is_one(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", score=0.7, rows=2000)
    assert "more data" not in Page(report(folder).read_text(encoding="utf-8")).text
    write_run(folder / "curve" / "0.1", score=0.321, rows=200)
    write_run(folder / "curve" / "0.5", score=0.654, rows=1000)
    write_run(folder / "curve" / "0.25", score=0.432, rows=500, status=Status.RUNNING)
    page = Page(report(folder).read_text(encoding="utf-8"))
    assert page.tags.count("svg") == 4
    curve = "".join(page.text.partition("Would more data help?")[2].split())
    assert "score20010.0%0.32101,00050.0%0.65402,000100.0%0.7000" in curve


def test_a_failed_run_and_a_score_below_majority_are_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", score=-0.1)
    text = (folder / "record.json").read_text().replace('"finished"', '"failed"')
    (folder / "record.json").write_text(text)
    page = Page(report(folder).read_text(encoding="utf-8"))
    assert "record says 'failed'" in page.text
    assert "below that of the majority" in page.text


def test_the_plots_letters_are_the_tables(tmp_path: Path) -> None:
    """A configuration without a score has none."""
    failed = write_run(tmp_path / "a", seed=1)
    record = json.loads((failed / "record.json").read_text())
    (failed / "record.json").write_text(json.dumps({**record, "best": None, "status": "failed"}))
    for seed, score in ((2, 0.5), (3, 0.7)):
        folder = write_run(tmp_path / f"b{seed}", seed=seed, score=score)
        config = (folder / "config.yaml").read_text().replace("epochs: 2", "epochs: 3")
        (folder / "config.yaml").write_text(config)
    text = report(tmp_path).read_text(encoding="utf-8")
    assert text.count(">A<") == 2, "in the table and under its dots"
    assert ">B<" not in text
    assert plot_letter(0) == "A"
    assert [plot_letter(25), plot_letter(26), plot_letter(53)] == ["Z", "A2", "B3"]


def test_a_damaged_predictions_file_costs_its_part_only(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    (folder / "predictions").mkdir()
    (folder / "predictions" / "validation.parquet").write_bytes(b"PAR1 cut off")
    assert "0.5000" in Page(report(folder).read_text(encoding="utf-8")).text
    with pytest.raises(RunError, match="cannot be read"):
        Run(folder).predictions()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        report(tmp_path)
    with pytest.raises(ConfigurationError, match="no run to report"):
        report()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(HOSTILE.__add__))
def test_any_text_stays_text(tmp_path: Path, note: str) -> None:
    plain = Page(report(write_run(tmp_path / "a", note="x")).read_text(encoding="utf-8"))
    page = Page(report(write_run(tmp_path / "a", note=note)).read_text(encoding="utf-8"))
    assert page.tags == plain.tags
    assert visible(note) in page.text


def test_an_undefined_value_cuts_its_line() -> None:
    plot = line_plot("x", [1.0, 2.0, 3.0], {"a": [1.0, None, 2.0]})
    assert plot is not None
    assert [len(segment) for segment in place(plot).lines[0]] == [1, 1]
    assert line_plot("x", [1.0], {"a": [None]}) is None


def test_the_mark_of_a_first_epoch_keeps_off_the_axis(tmp_path: Path) -> None:
    """Around its line, as later ones have it, it would lie over the highest value of the axis."""
    folder = write_run(tmp_path / "a")
    last = report(folder).read_text(encoding="utf-8")
    record = json.loads((folder / "record.json").read_text())
    record["best"] |= {"epoch": 1.0, "step": 1}
    (folder / "record.json").write_text(json.dumps(record))
    first = report(folder).read_text(encoding="utf-8")
    assert set(re.findall(r'text-anchor="(\w+)">best', last)) == {"middle"}
    assert set(re.findall(r'text-anchor="(\w+)">best', first)) == {"start"}


def test_a_title_that_is_no_question_ends_before_the_model(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", model="owner/name")
    record = read_record(folder / "record.json")
    own = replace(record.spec, name="own", title="own: own labelled text, 2 classes", rows={})
    record.model_copy(update={"own_task": own}).save(folder / "record.json")
    page = Page(report(folder).read_text(encoding="utf-8"))
    assert "2 classes. Model owner/name." in " ".join(page.text.split())
    asked = Page(report(write_run(tmp_path / "b", model="owner/name")).read_text(encoding="utf-8"))
    assert "English? Model owner/name." in " ".join(asked.text.split())


def test_the_texts_that_cannot_be_shown_are_a_note(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", rows=100)
    keep_predictions(Run(folder).folder.predictions_on("validation"), random_classified(200), "x")
    page = Page(report(folder).read_text(encoding="utf-8"))
    assert "worst errors" in page.text
    assert "The texts are not shown: " in page.text


def test_a_page_of_many_classes_stays_small() -> None:
    """A matrix of 500 classes was nine megabytes."""
    size = 500
    labels = np.arange(3 * size) % size
    answers = np.where(np.arange(3 * size) % 7 == 0, (labels + 1) % size, labels)
    names = tuple(f"kind {number} of many" for number in range(size))
    task = replace(get_task("rte"), labels=names, metrics=("accuracy",))
    logits = np.zeros((len(labels), size), dtype=np.float32)
    found = Predictions(np.arange(len(labels)), labels, answers, logits)
    split = SplitEvaluation(task, "validation", found, lambda: "no texts")
    page = "".join(table.to_html() for table in split.tables())
    assert len(page) < 40_000
    assert "the 50 with the lowest F1 of 500" in page
