"""A suite's table says all that its runs say together, and no more: as text, JSON and page."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.html_pages import HOSTILE, Page
from tests.support.suites import write_suite

import gluetune
from gluetune.core.errors import RunError
from gluetune.core.suites import SuiteResult, markdown, suite_notes, suite_table, suite_warnings
from gluetune.core.tasks import GLUE_TASKS
from gluetune.rendering.pages import report

ALL: dict[str, list[float | None]] = {
    task: [0.5 + number / 100, 0.52 + number / 100] for number, task in enumerate(GLUE_TASKS)
}


def text_of(suite: SuiteResult) -> str:
    return markdown(suite.record)


def test_a_task_is_its_mean_and_sd_with_n(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, {"cola": [0.5, 0.6, 0.55]}, seeds=(1, 2, 3))
    (one,) = suite.table.tasks
    assert one.score is not None
    assert one.score.mean == pytest.approx(fmean([0.5, 0.6, 0.55]))
    assert one.score.sd == pytest.approx(stdev([0.5, 0.6, 0.55]))
    assert one.score.n == 3
    assert suite_table(suite.record).rows[0][:4] == ("cola", "55.0 ± 5.0", "3", "25.0")
    assert suite_table(suite.record).rows[0][-2:] == ("90", "100")
    single = write_suite(tmp_path / "one", {"cola": [0.5]}, seeds=(1,))
    assert suite_table(single.record).rows[0][1:3] == ("50.0", "1")


def test_the_average_is_over_seeds_with_all_nine(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "whole", ALL)
    average = suite.table.average
    assert average is not None
    wanted = [fmean(float(row[seed] or 0) for row in ALL.values()) for seed in (0, 1)]
    assert list(average.by_seed.values()) == pytest.approx(wanted)
    assert average.sd == pytest.approx(stdev(wanted))
    assert suite.table.average_note == ""
    assert "| GLUE average | 55.0 ± 1.4 | 2 |" in text_of(suite)

    part = write_suite(tmp_path / "part", ALL | {"rte": [0.7]})
    assert part.table.average is not None
    assert list(part.table.average.by_seed) == [42]
    assert "Not in the GLUE average: seed 43." in text_of(part)

    lacking = write_suite(tmp_path / "lacking", {**ALL, "rte": [], "wnli": [None, None]})
    assert lacking.table.average is None
    assert "No GLUE average: rte, wnli missing." in text_of(lacking)
    assert "GLUE average |" not in text_of(lacking)

    crossed = write_suite(tmp_path / "crossed", ALL | {"rte": [None, 0.7], "cola": [0.5]})
    assert crossed.table.average is None
    assert "no seed has a score in all nine" in text_of(crossed)


def test_collapsed_and_undefined_runs_are_named(tmp_path: Path) -> None:
    suite = write_suite(
        tmp_path, {"rte": [0.53, 0.66], "stsb": [None, 0.8]}, collapsed=("rte-s42",)
    )
    warnings = suite_warnings(suite.record)
    assert any("rte: collapsed to one class with seed 42" in text for text in warnings)
    assert any("stsb: undefined with seed 42" in text for text in warnings)
    rte, stsb = suite.table.tasks
    assert rte.score is not None
    assert rte.score.n == 2
    assert stsb.score is not None
    assert (stsb.score.n, stsb.score.sd) == (1, None)
    page = Page(report(tmp_path).read_text(encoding="utf-8"))
    assert "53.0, collapsed" in page.text
    assert "collapsed to one class with seed 42" in page.text


def test_published_results_stand_with_their_protocol(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "a", {"mrpc": [0.85, 0.86], "mnli": [0.83, 0.84]})
    rows = {row[0]: row for row in suite_table(suite.record).rows}
    assert rows["mrpc"][5] == "84.1 accuracy (a); 88.8 F1 (a)"
    notes = suite_notes(suite.record)
    assert any(text.startswith("Published (a): dev, single seeded run") for text in notes)
    two = write_suite(tmp_path / "m", {"rte": [0.8], "cola": [0.6]}, seeds=(1,), model="ModernBERT")
    assert "published" not in [one.title for one in suite_table(two.record).columns]
    two = write_suite(
        tmp_path / "n", {"rte": [0.8], "cola": [0.6]}, model="answerdotai/ModernBERT-base"
    )
    published = [row[5] for row in suite_table(two.record).rows]
    assert published == ["87.4 accuracy (a)", "65.1 Matthews (b)"]
    assert any("from MNLI" in text for text in suite_notes(two.record))
    sample = write_suite(tmp_path / "s", {"mrpc": [0.85]}, data="sample")
    assert "published" not in [one.title for one in suite_table(sample.record).columns]
    assert any("say nothing about GLUE" in text for text in suite_notes(sample.record))


def test_what_started_from_mnli_is_marked_wherever_its_score_is(tmp_path: Path) -> None:
    scores: Any = {"mnli": [0.8, 0.8], "rte": [0.7, 0.72], "cola": [0.5, 0.5]}
    suite = write_suite(tmp_path, scores, mnli_init=True)
    text = text_of(suite)
    assert "| rte (from MNLI) | 71.0 ± 1.4 |" in text
    assert "| cola | 50.0" in text
    assert "rte started from MNLI's model of the same seed" in text
    content = json.loads(suite.folder.record.read_text())
    assert [one["from_mnli"] for one in content["table"]["tasks"]] == [False, True, False]
    page = Page(report(tmp_path).read_text(encoding="utf-8"))
    assert page.text.count("rte (from MNLI)") == 2


def test_failed_jobs_are_named_with_what_to_do(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, {"cola": [0.5]})
    assert [job.name for job in suite.failed] == ["cola-s43"]
    assert "| cola-s43 | failed | It broke. | Mend it. |" in text_of(suite)
    page = Page(report(tmp_path).read_text(encoding="utf-8"))
    assert "This suite is incomplete: 1 of 2 finished, 1 failed." in page.text
    assert "cola-s43" in page.text


def test_seeds_scored_on_other_data_are_told(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, {"cola": [0.5, 0.6]})
    path = tmp_path / "cola-s43" / "record.json"
    path.write_text(path.read_text().replace('"one"', '"other"'))
    from gluetune.experiments.suite.summary import summarize

    notes = summarize(SuiteResult(suite.path)).notes
    assert any("scored on different data" in text for text in notes)


def test_the_page_is_the_suites_with_links_to_its_runs(tmp_path: Path) -> None:
    write_suite(tmp_path / "s", ALL)
    path = report(tmp_path / "s")
    assert path == tmp_path / "s" / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert page.tags.count("svg") == 2
    assert page.tags.count("circle") == 36
    assert page.tags.count("a") == 18
    elsewhere = report(tmp_path / "s", output=tmp_path / "out" / "page.html")
    assert 'href="./../s/cola-s42/report.html"' in elsewhere.read_text(encoding="utf-8")


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(HOSTILE.__add__))
def test_any_text_stays_text(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("suite")
    scores: Any = {"cola": [0.5], "rte": [0.6, 0.6]}
    plain = write_suite(folder / "plain", scores, model="m", note="x")
    odd = write_suite(folder / "odd", scores, model=name, data=name, note=name)
    tags = [Page(report(each.path).read_text(encoding="utf-8")).tags for each in (plain, odd)]
    assert tags[0] == tags[1]
    lines = text_of(odd).splitlines()
    assert len(lines) == len(text_of(plain).splitlines())
    assert not any("\x1b" in line or "\x00" in line for line in lines)
    assert "\n<" not in text_of(odd)


def test_a_suite_is_taken_for_its_runs(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "a", {"cola": [0.5, 0.6], "rte": [0.6, 0.7]}, seeds=(7, 8))
    assert [run.path.name for run in suite.runs_of()] == ["cola-s7", "rte-s7"]
    assert [run.path.name for run in suite.runs_of(8)] == ["cola-s8", "rte-s8"]
    with pytest.raises(RunError, match="Its seeds: 7, 8"):
        suite.runs_of(42)
    with pytest.raises(RunError, match="several tasks: cola, rte"):
        gluetune.compare(suite.path)
    with pytest.raises(RunError, match="is not a suite"):
        SuiteResult(tmp_path)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, {"cola": [0.5]})
    text = suite.folder.record.read_text()
    suite.folder.record.write_text(text.replace('"fraction": 1.0', '"fraction": "all"'))
    with pytest.raises(RunError, match=r"damaged at 'request\.fraction'"):
        SuiteResult(tmp_path)
    suite.folder.record.write_text(text.replace('"version": 1', '"version": 9'))
    with pytest.raises(RunError, match="newer gluetune"):
        SuiteResult(tmp_path)
