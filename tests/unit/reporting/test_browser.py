"""The page in a real browser, which says on its console what it refuses or lacks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.run_folders import write_run
from tests.unit.reporting.test_pages import HOSTILE

from gluetune.reporting.pages import report

CHROMIUM = shutil.which("chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_page_opens_with_an_empty_console(tmp_path: Path) -> None:
    path = report(write_run(tmp_path / "a <script>", note=HOSTILE))
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--enable-logging=stderr", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "Majority, matthews_correlation" in done.stdout
    assert "CONSOLE" not in done.stderr
