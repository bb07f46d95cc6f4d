"""Take the screenshots of the documentation: `python -m tools.pictures [--run RUN]`.

Without a run, MiniLM is trained on the sample's CoLA first, which takes a minute or two. Needs
Chromium on the PATH and the extras `offline`, `serve` and `dev`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

import gluetune

PICTURES = Path(__file__).parents[1] / "docs" / "_static"
TEXT = "Tourists praises the purse."
_WIDTH = 1000
_REPORT_HEIGHT = 1160
_MARGIN = 12
_ADDRESS = re.compile(r"http://\S+")


def take(run: Path, folder: Path) -> None:
    """Write report.png and serve.png of a run on the sample's CoLA into `folder`."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is not on the PATH.")
    with sync_playwright() as driver, _serve(run) as address:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": _WIDTH, "height": _REPORT_HEIGHT}, color_scheme="light"
        )
        page.goto((run / "report.html").absolute().as_uri())
        _screenshot(page, folder / "report.png", _end_of_tables(page))
        page.goto(address)
        page.locator("textarea").first.fill(TEXT)
        page.locator("textarea").first.press("Control+Enter")
        page.locator("ol li").first.wait_for()
        page.locator("textarea").first.blur()
        _screenshot(page, folder / "serve.png", _MARGIN + _bottom(page, "section"))
        browser.close()


def train(folder: Path) -> Path:
    """Train MiniLM on the sample's CoLA and return the run's folder."""
    run = gluetune.train(
        "cola",
        model="minilm",
        data="sample",
        epochs=3,
        learning_rate=2e-4,
        output=folder / "cola",
    )
    return run.path


@contextmanager
def _serve(run: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "gluetune", "serve", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = _ADDRESS.search(server.stdout.readline())
        try:
            if address is None:
                raise SystemExit("gluetune serve did not start.")
            yield address[0]
        finally:
            server.terminate()


def _end_of_tables(page: Page) -> float:
    """Return where the last table ends that fits in the picture as a whole."""
    ends: list[float] = page.eval_on_selector_all(
        "table", "tables => tables.map(table => table.getBoundingClientRect().bottom)"
    )
    return _MARGIN + max(end for end in ends if end < _REPORT_HEIGHT - _MARGIN)


def _bottom(page: Page, selector: str) -> float:
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


def _screenshot(page: Page, path: Path, height: float) -> None:
    page.screenshot(path=path, clip={"x": 0, "y": 0, "width": _WIDTH, "height": height})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a finished run on the sample's CoLA")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        take(arguments.run or train(Path(temporary)), PICTURES)
