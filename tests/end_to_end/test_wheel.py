"""The wheel has all that the package needs, and works without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.support.pages import ROOT
from tests.support.tiny_checkpoints import write_tiny_checkpoint

SOURCES = ROOT / "src" / "gluetune"

pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the tree, with no network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*build, "--directory", str(folder)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    (built,) = folder.glob("gluetune-*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def outside(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder` with the unpacked wheel, which comes before any other gluetune."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    there = {
        f"gluetune/{path.relative_to(SOURCES).as_posix()}"
        for path in SOURCES.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    kinds = {Path(name).suffix for name in there}
    assert {".html", ".css", ".js", ".svg", ".md", ".typed"} <= kinds
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == there


def test_the_wheel_names_the_command_and_every_extra(unpacked: Path) -> None:
    (about,) = unpacked.glob("gluetune-*.dist-info")
    assert "gluetune = gluetune.cli.app:main" in (about / "entry_points.txt").read_text("utf-8")
    metadata = (about / "METADATA").read_text("utf-8")
    for extra in ("offline", "serve", "onnx", "ray"):
        assert f"Provides-Extra: {extra}" in metadata


def test_it_trains_outside_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    """The quickstart's job on a tiny model: sample data, training, record and report."""
    model = write_tiny_checkpoint(tmp_path / "tiny", "bert")
    where = "import gluetune; print(gluetune.__file__)"
    found = outside(unpacked, tmp_path, "-c", where)
    assert Path(found.stdout.strip()) == unpacked / "gluetune" / "__init__.py", found.stderr
    words = ["train", "sst2", "--model", str(model), "--data", "sample", "--epochs", "0.1"]
    done = outside(unpacked, tmp_path, "-m", "gluetune", *words, "--output", "run")
    assert done.returncode == 0, done.stderr
    assert {"record.json", "report.html", "model"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
