from __future__ import annotations

import json
import re
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.html_pages import HOSTILE, Page
from tests.support.predictions import random_classified
from tests.support.run_folders import write_run

from gluetune.analysis.evaluation import evaluation_of
from gluetune.analysis.scores import Scores
from gluetune.analysis.splits import SplitEvaluation
from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.plots import line_plot, plot_letter, round_ticks
from gluetune.core.records import Predictions, Status, keep_predictions, read_record
from gluetune.core.runs import Run
from gluetune.core.tables import Column, Table
from gluetune.core.tasks import get_task
from gluetune.core.text import visible
from gluetune.rendering.pages import report
from gluetune.rendering.plots import place, scales, tick_text
from gluetune.rendering.views import shown_date
from gluetune.statistics.intervals import Interval


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


def test_examples_are_wrong_and_right_ones_by_loss() -> None:
    found = random_classified(300)
    split = SplitEvaluation(get_task("rte"), "validation", found, lambda: "no texts")
    examples = split.examples(60)
    losses = [one.loss for one in examples]
    assert losses == sorted(losses, reverse=True)
    assert [one.is_right for one in examples].count(False) == 40
    for one in examples:
        assert one.is_right == (found.predicted[one.row] == found.labels[one.row])
        assert one.classes == tuple(sorted({found.labels[one.row], found.predicted[one.row]}))
    wrong = found.predicted != found.labels
    assert len(split.examples(1000)) == 300
    assert max(losses) == pytest.approx(
        -np.log(split.task.kind.probabilities(found.logits)[np.arange(300), found.labels])[
            wrong
        ].max()
    )


@pytest.mark.parametrize(
    ("ends", "bounds", "ticks"),
    [
        ((0.508, 0.733), (0.0, 1.0), (0.5, 0.6, 0.7, 0.8)),
        ((83.0, 99.5), (0.0, 100.0), (80.0, 85.0, 90.0, 95.0, 100.0)),
        ((0.9, 1.1), (0.0, 1.0), (0.9, 0.95, 1.0)),
        ((-0.08, 0.31), (-1.0, 1.0), (-0.1, 0.0, 0.1, 0.2, 0.3, 0.4)),
        ((0.0, 2e-5), (0.0, 1.0), (0.0, 5e-6, 1e-5, 1.5e-5, 2e-5)),
    ],
)
def test_an_axis_ends_at_round_numbers_within_its_bounds(
    ends: tuple[float, float], bounds: tuple[float, float], ticks: tuple[float, ...]
) -> None:
    assert round_ticks(ends, bounds) == ticks


@given(
    st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.sampled_from([(-inf, inf), (0.0, inf), (0, 1)])
)
def test_an_axis_has_a_few_marks_around_its_values(
    low: float, width: float, bounds: tuple[float, float]
) -> None:
    low = max(low, bounds[0]) if bounds[1] == inf else 0.4
    high = min(low + width, bounds[1])
    if high - low < 1e-6 * max(abs(low), 1):  # nothing that an axis could tell apart
        return
    ticks = round_ticks((low, high), bounds)
    slack = 1e-6 * (ticks[-1] - ticks[0])
    assert 2 <= len(ticks) <= 7
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert bounds[0] <= ticks[0]
    assert ticks[-1] <= bounds[1]


def test_a_score_is_compared_on_one_axis_and_in_one_sentence(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", score=0.5, model="google-bert/bert-base-cased")
    evaluation = evaluation_of(Run(folder))
    assert evaluation is not None
    assert evaluation.scores.verdict == (
        "matthews_correlation is 0.5000: better than the majority class (0.0000)."
    )
    (scale,) = scales(evaluation.scores)
    assert {mark.name: mark.text for mark in scale.marks} == {
        "this run": "0.5000",
        "majority class": "0.0000",
        "BERT-base-cased": "0.5653",
        "Human": "0.6640",
    }
    assert all(0 <= at <= 100 for mark in scale.marks for at in mark.places)
    below = evaluation_of(Run(write_run(tmp_path / "b", score=-0.1)))
    assert below is not None
    assert below.scores.verdict.endswith("worse than the majority class (0.0000).")


def test_a_score_whose_interval_has_the_baseline_is_not_called_better(tmp_path: Path) -> None:
    scores = Scores.of_record(
        Run(write_run(tmp_path / "a", score=0.1)).record,
        {"score": Interval(-0.1, 0.3, 0.95, "percentile", reliable=True)},
    )
    assert "not shown to differ from the majority class" in scores.verdict


def test_a_page_has_no_local_folders(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", note=f"Cached in {tmp_path}/cache/rows.arrow.", rows=9)
    record = read_record(folder / "record.json")
    record.command = f"gluetune train --config {folder / 'config.yaml'}"
    assert record.data is not None
    record.data.source = f"{tmp_path}/data"
    record.save(folder / "record.json")
    page = Page(report(folder).read_text(encoding="utf-8"))
    assert str(tmp_path) not in page.text
    assert "/config.yaml" in page.text
    assert "rows.arrow" in page.text


def test_settings_that_differ_from_their_defaults_come_first(tmp_path: Path) -> None:
    page = Page(report(write_run(tmp_path / "a")).read_text(encoding="utf-8"))
    changed = page.text.partition("Settings that differ")[2].partition("All settings")[0]
    assert "epochs2.0" in changed
    assert "seed1" in changed
    assert "warmup" not in changed
    assert "warmup" in page.text


def test_times_are_written_as_people_read_them() -> None:
    assert shown_date("2026-11-28T15:46:56+00:00") == "28 November 2026, 15:46 UTC"
    assert shown_date("2026-03-01T01:00:00+02:00") == "28 February 2026, 23:00 UTC"
    assert shown_date("once") == "once"


def test_shares_of_a_row_and_of_one_are_drawn_in_their_cells() -> None:
    counts = (Column(name, "count", shade="heat") for name in "ab")
    matrix = Table.of("m", ("true", *counts), [("a", 3, 1), ("b", 0, 0)]).to_html()
    assert re.findall(r"<bdi>\d</bdi> <small>(\d+%)", matrix) == ["75%", "25%"]
    assert len(set(re.findall(r"rgba\([^)]*\)", matrix))) == 3
    bars = Table.of("f", ("class", Column("F1", "number", shade="bar")), [("a", 0.25), ("b", None)])
    assert re.findall(r"\) (\d+%),", bars.to_html()) == ["25%"]


def test_several_runs_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name, seed=1, score=0.5) for name in ("a", "b")]
    config = folders[1] / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 2", "epochs: 3"))
    page = Page(report(tmp_path).read_text(encoding="utf-8"))
    assert page.text.count("epochs 3.0") == 2, "in the table and at its section"
    assert "seed 1" not in page.text.partition("Mean and standard")[0]
    config.write_text((folders[0] / "config.yaml").read_text())
    assert "differs in" not in Page(report(tmp_path).read_text(encoding="utf-8")).text
