"""`gluetune.learning_curve`: scores of the same recipe by the size of the training set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluetune.core.command_lines import command_line
from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.records import Status
from gluetune.core.runs import Run, RunFolder, open_run
from gluetune.core.tables import FieldsInHtml
from gluetune.rendering.pages import report
from gluetune.training.run import train

SHARES = (0.1, 0.25, 0.5)
"""Shares of the training set; the run itself is the last point."""


@dataclass(frozen=True)
class CurvePoint(FieldsInHtml):
    """The score of a run on a part of the training set."""

    share: float
    rows: int
    score: float | None
    run: Path


def learning_curve(
    run: str | Path | Run, *, shares: Sequence[float] = SHARES, progress: bool = False
) -> tuple[CurvePoint, ...]:
    """Train a finished run's recipe on parts of its training set, and return the scores by size.

    Each part is a subset of the next larger one, and all are scored on the run's validation rows.
    The runs are in `RUN/curve/`; finished ones are not trained again, interrupted ones are resumed.
    The number of epochs is the same, so smaller parts take fewer steps. The curve is added to the
    run's `report.html`.

    Raises:
        RunError: where the run is not finished.
        ConfigurationError: for a share that is not between 0 and 1, and for a run of several
            processes.
    """
    opened = open_run(run)
    if opened.record.status is not Status.FINISHED:
        raise RunError(
            f"{opened.path} is {opened.status}: a learning curve needs a finished run.",
            hint="Type: " + command_line("train", resume=opened.path),
        )
    wrong = [share for share in shares if not 0 < share < 1]
    if wrong:
        raise ConfigurationError(
            f"Share {wrong[0]:g} is not between 0 and 1.", hint="For example: 0.1, 0.25, 0.5."
        )
    if (opened.config.processes or 1) > 1:
        raise ConfigurationError(
            "A learning curve needs a run of one process.", hint="Train without --processes."
        )
    parts = [_part(opened, share, progress) for share in sorted(shares)]
    report(opened.path)
    return (*(_point(part, share) for part, share in parts), _point(opened, 1.0))


def _part(run: Run, share: float, progress: bool) -> tuple[Run, float]:
    path = run.folder.curve / f"{share:g}"
    if not RunFolder(path).record.exists():
        fraction = run.config.fraction * share
        settings: dict[str, Any] = {"fraction": fraction, "output": path}
        return train(config=run.config, progress=progress, **settings), share
    part = Run(path)
    if part.record.status is not Status.FINISHED:
        part = train(resume=path, progress=progress)
    return part, share


def _point(run: Run, share: float) -> CurvePoint:
    rows = run.record.data.rows["train"] if run.record.data else 0
    return CurvePoint(share, rows, run.score, run.path)
