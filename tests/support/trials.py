"""Trials of a search that was never run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gluetune.core.events import Trial


def trial(number: int, **changed: Any) -> Trial:
    """Return a finished trial, changed."""
    row = Trial(
        number=number,
        state="finished",
        value=number / 10,
        evaluation=1,
        evaluations=2,
        parameters={"learning_rate": 2e-5, "set.lr_scheduler_type": "linear"},
        seconds=75.0,
        error="",
        run=Path(f"trials/{number:04d}"),
    )
    return replace(row, **changed)


TRIALS = (
    trial(0),
    trial(1),
    trial(2, state="pruned", value=0.05),
    trial(3, state="failed", value=None, evaluation=None, error="ValueError: no [bold]such"),
)
