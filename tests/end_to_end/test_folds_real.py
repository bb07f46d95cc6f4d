"""A cross-validation of real data with a real checkpoint, killed twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.support.killed_runs import train_and_die

import gluetune

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not os.environ.get("GLUETUNE_DATA"), reason="GLUETUNE_DATA is not set"),
    pytest.mark.timeout(1800),
]


def test_a_tenth_of_rte_ends_with_the_same_predictions(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "task": "rte",
        "model": "minilm",
        "fraction": 0.1,
        "folds": 5,
        "epochs": 1,
        "max_length": 64,
        "final": "none",
        "threads": 1,
        "checkpoint_minutes": 0.1,
    }
    whole = gluetune.train(**settings, output=tmp_path / "whole", progress=False)
    killed = {**settings, "output": tmp_path / "killed"}
    assert train_and_die("step", 15, killed) == -9
    assert train_and_die("step", 20, killed) == -9
    again = gluetune.train(**killed, progress=False)
    name = "predictions/oof.parquet"
    assert (again.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert len(again.predictions("oof")) == 249
