"""Text of unknown origin and paths, as they are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gluetune.visible_text import from_here


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "my (folder)"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_paths_inside_the_working_folder_are_as_one_types_them(here: Path) -> None:
    assert from_here(f"{here}/a.csv:3 and {here}/b/c.csv") == "a.csv:3 and b/c.csv"


def test_other_paths_stay_whole(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (f"{here}2/a.csv", f"/mnt{here}/a.csv", f"{here}/", str(here), "/etc/a.csv"):
        assert from_here(text) == text
    monkeypatch.chdir("/")
    assert from_here("/etc/a.csv") == "/etc/a.csv"
