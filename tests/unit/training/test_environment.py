"""What the record says of the software and hardware."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from gluetune.training import environment
from gluetune.training.environment import describe, versions

_CPU = torch.device("cpu")


def test_the_record_names_versions_device_and_threads() -> None:
    record = describe("fp32", _CPU)
    assert record.versions == versions()
    assert {"python", "torch", "transformers", "gluetune"} <= set(record.versions)
    assert "not installed" not in record.versions.values()
    assert record.device
    assert record.threads == torch.get_num_threads()
    assert record.precision == "fp32"


def test_outside_a_git_repository_there_is_no_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert describe("fp32", _CPU).git_commit is None

    def missing(*args: Any, **kwargs: Any) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert environment.describe("fp32", _CPU).git_commit is None
