"""A suite's page in a real browser: quiet, readable by all, on any width, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.support.browser import chromium, needs_chromium, watched
from tests.support.html_pages import HOSTILE
from tests.support.suites import write_suite

from gluetune.core.tasks import GLUE_TASKS
from gluetune.rendering.pages import report

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All nine tasks, three of them from MNLI, one with a run that failed, one that collapsed."""
    folder = tmp_path_factory.mktemp("suite") / "a <b>: c"
    scores: dict[str, Any] = {task: [0.5, 0.6] for task in GLUE_TASKS}
    write_suite(
        folder,
        {**scores, "qnli": [0.9]},
        note=HOSTILE,
        mnli_init=True,
        collapsed=("wnli-s43",),
    )
    return report(folder)


@pytest.mark.parametrize(("width", "dark"), [(320, False), (1200, True)])
def test_the_page_is_quiet_whole_and_accessible(
    browser: Browser, page: Path, width: int, dark: bool
) -> None:
    with watched(browser, page.as_uri(), width=width, dark=dark) as seen:
        assert seen.console == []
        assert seen.requests == []
        assert not seen.overflows()
        assert seen.violations() == []
        assert HOSTILE.split("\x00")[0] in seen.page.inner_text("main")


def test_every_run_can_be_reached(browser: Browser, page: Path) -> None:
    with watched(browser, page.as_uri()) as seen:
        links = seen.page.locator(".runs a")
        assert links.count() == 17
        targets = [str(links.nth(number).evaluate("a => a.href")) for number in range(17)]
    wanted = {path.as_uri() for path in page.parent.glob("*/report.html")}
    assert {target.replace("%3A", ":") for target in targets} == {
        each.replace("%3A", ":") for each in wanted
    }
