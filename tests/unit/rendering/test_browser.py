"""The page in a real browser, which says on its console what it refuses or lacks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.html_pages import HOSTILE
from tests.support.run_folders import write_run

from gluetune.rendering.pages import report

CHROMIUM = shutil.which("chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")


def console_of(page: Path, profile: Path) -> tuple[str, str]:
    """Open a page in Chromium; return its document, and what was logged."""
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}"]
    done = subprocess.run(
        [*command, "--enable-logging=stderr", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout, done.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_page_opens_with_an_empty_console(tmp_path: Path) -> None:
    path = report(write_run(tmp_path / "a <script>", note=HOSTILE))
    dom, console = console_of(path, tmp_path / "profile")
    assert "majority class" in dom
    assert "CONSOLE" not in console
