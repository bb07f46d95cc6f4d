"""What `make` installs before it does what it is asked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from tests.support.pages import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder in which nothing is installed yet."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def commands(folder: Path, target: str) -> list[str]:
    """Return what `make TARGET` would run."""
    made = subprocess.run(
        ["make", "--dry-run", target], cwd=folder, capture_output=True, text=True, check=True
    )
    return made.stdout.replace("\\\n", " ").splitlines()


def installed(lines: list[str]) -> list[set[str]]:
    """Return the extras that each installation asks for, in turn."""
    found = [re.search(r"pip install .*'\.\[(.*)\]'", line) for line in lines]
    return [set(each[1].split(",")) for each in found if each]


def extras() -> set[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return set(settings["project"]["optional-dependencies"])


def test_the_quickstart_installs_what_a_training_needs_alone(clone: Path) -> None:
    lines = commands(clone, "quickstart")
    assert installed(lines) == [{"offline"}]
    assert any("gluetune train sst2 --model minilm --data sample" in line for line in lines)


@pytest.mark.parametrize("target", ["setup", "test", "check", "docs", "bench", "format"])
def test_the_other_targets_install_everything_on_top(clone: Path, target: str) -> None:
    # A dry run of `check` goes into the `make docs` within, which would find all of it installed.
    assert installed(commands(clone, target))[:2] == [{"offline"}, extras()]


def test_nothing_is_installed_twice(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / "ready").touch()
    assert installed(commands(clone, "quickstart")) == []
    assert installed(commands(clone, "test")) == [extras()]
    (clone / ".venv" / "installed").touch()
    assert installed(commands(clone, "test")) == []


def test_every_installation_takes_the_pins(clone: Path) -> None:
    lines = [line for line in commands(clone, "test") if " pip install " in line]
    assert len(lines) == 2
    assert all("PIP_CONSTRAINT=constraints.txt" in line for line in lines)


def test_what_is_imported_is_kept_compiled(clone: Path) -> None:
    """Installations do not compile, so the first import must, whatever the environment says."""
    shown = subprocess.run(
        ["make", "--eval", "shown: ; @env", "shown"],
        cwd=clone,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "PATH=" in shown.stdout
    assert "PYTHONDONTWRITEBYTECODE" not in shown.stdout
