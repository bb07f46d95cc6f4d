"""Reports of small real runs on hostile text, opened in a real browser."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.support.browser import chromium, needs_chromium, watched
from tests.support.glue_folders import make_table, write_parquet
from tests.support.tiny_runs import Bench

from gluetune.core.runs import Run
from gluetune.core.tasks import get_task
from gluetune.rendering.pages import report

pytestmark = needs_chromium

HOSTILE = (
    "<script>document.title = 'taken'</script>",
    "</svg></td></table><h1>loose</h1>",
    "<img src=x onerror=\"document.title='taken'\">",
    "<link rel=stylesheet href=https://example.org/x.css>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202eright to left\u202c \x1b[31m",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One run of classes, one of numbers, and both with a second seed on one page."""
    bench = Bench(tmp_path_factory.mktemp("bench"))
    runs = []
    for name in ("mnli", "stsb"):
        task = get_task(name)
        tables = {}
        for split in ("train", *task.validation_splits):
            table = make_table(task, split, rows=40 if split == "train" else 24)
            texts = [f"{HOSTILE[row % len(HOSTILE)]} {row}" for row in range(len(table))]
            place = table.schema.get_field_index(task.text_columns[0])
            tables[split] = table.set_column(place, task.text_columns[0], [texts])
        write_parquet(bench.data, task, tables)
        runs.append(bench.train(name, epochs=2, output=bench.folder / f"<script> {name}"))
    runs.append(bench.train("stsb", epochs=2, seed=7))
    together = report(*(run.path for run in runs), output=bench.folder / "all.html")
    return {
        "classes": runs[0].path / "report.html",
        "numbers": runs[1].path / "report.html",
        "together": together,
    }


@pytest.mark.parametrize("name", ["classes", "numbers", "together"])
@pytest.mark.parametrize(("width", "dark"), [(1000, False), (320, True)])
def test_a_report_has_no_console_errors_fits_and_is_accessible(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    with watched(browser, pages[name].as_uri(), width=width, dark=dark) as seen:
        for summary in seen.page.query_selector_all("summary"):
            summary.click()
        assert seen.violations() == []
        assert not seen.overflows()
        assert seen.console == []
        assert seen.requests == []


@pytest.mark.parametrize("name", ["classes", "numbers"])
def test_hostile_text_is_escaped(browser: Browser, pages: dict[str, Path], name: str) -> None:
    with watched(browser, pages[name].as_uri()) as seen:
        page = seen.page
        assert page.title().startswith("<script>")
        assert page.locator("h1").count() == 1
        assert page.locator("script").count() == 1, "the page's own"
        assert page.locator("img, link:not([rel=icon])").count() == 0
        body = page.inner_text("body")
        assert sum(text in body for text in HOSTILE[:5]) >= 3, "the worst errors have texts"
        assert "\x1b" not in page.content()
        assert "\u202e" not in page.content()


def test_hostile_class_names_are_escaped(
    browser: Browser, pages: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = dataclasses.replace(get_task("mnli"), labels=HOSTILE[:3])
    monkeypatch.setattr(Run, "task", property(lambda run: task))
    path = report(pages["classes"].parent, output=tmp_path / "page.html")
    with watched(browser, path.as_uri()) as seen:
        assert seen.page.locator("h1").count() == 1
        assert seen.page.locator("script").count() == 1, "the page's own"
        assert seen.page.locator("img").count() == 0
        body = seen.page.inner_text("body")
        assert all(body.count(name) >= 2 for name in HOSTILE[:3]), "at the head and at the side"
        assert seen.console == []


def test_a_page_of_classes_has_its_tables_and_plots(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with watched(browser, pages["classes"].as_uri()) as seen:
        text = seen.page.inner_text("main")
        for words in (
            "Loss by epoch",
            "Score by epoch",
            "Learning rate",
            "majority class",
            "Human",
            "confusion matrix",
            "per class",
            "Calibration: accuracy by probability",
            "Examples by length",
            "accuracy and loss by length",
            "worst errors",
            "examples per second",
            "What repeats it",
        ):
            assert words in text, words


def test_folded_sections_are_printed(browser: Browser, pages: dict[str, Path]) -> None:
    with watched(browser, pages["classes"].as_uri()) as seen:
        settings = seen.page.locator("details table").first
        assert not settings.is_visible()
        seen.page.emulate_media(media="print")
        assert settings.is_visible()
        assert settings.bounding_box()["height"] > 50  # type: ignore[index]


def test_examples_are_filtered_by_class_outcome_and_words(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with watched(browser, pages["classes"].as_uri()) as seen:
        examples = seen.page.locator(".examples").first
        rows, shown = examples.locator("tbody tr"), examples.locator("tbody tr:visible")
        total = rows.count()
        losses = [float(cell) for cell in examples.locator("td:nth-child(5)").all_inner_texts()]
        assert losses == sorted(losses, reverse=True)
        examples.locator("select[name=outcome]").select_option("wrong")
        wrong = shown.count()
        assert 0 < wrong < total
        assert all(
            row.locator("td").nth(0).inner_text() != row.locator("td").nth(1).inner_text()
            for row in shown.all()
        )
        examples.locator("select[name=outcome]").select_option("right")
        assert shown.count() == total - wrong
        examples.locator("select[name=outcome]").select_option("")
        examples.locator("select[name=chosen]").select_option(label="neutral")
        assert all("neutral" in row.inner_text() for row in shown.all())
        examples.locator("select[name=chosen]").select_option("")
        examples.locator("input").fill("SCRIPT taken")
        assert 0 < shown.count() < total
        assert all("<script>" in row.inner_text() for row in shown.all())
        assert f"{shown.count()} of {total} shown" in examples.locator("output").inner_text()
        assert seen.console == []


def test_without_script_every_example_is_shown(browser: Browser, pages: dict[str, Path]) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(pages["classes"].as_uri())
    examples = page.locator(".examples").first
    assert not examples.locator("form").is_visible()
    assert examples.locator("tbody tr:visible").count() == 24
    page.close()
