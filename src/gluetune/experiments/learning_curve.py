"""`gluetune.learning_curve`: would more data help? The same recipe on parts of the training set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluetune.core.command_lines import command_line
from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.records import Status
from gluetune.core.runs import Run, RunFolder, open_run
from gluetune.rendering.pages import report
from gluetune.training.run import train

SHARES = (0.1, 0.25, 0.5)
"""Of the training set; the run itself is the last point."""


@dataclass(frozen=True)
class CurvePoint:
    """What one part of the training set gave."""

    share: float
    rows: int
    score: float | None
    run: Path


def learning_curve(
    run: str | Path | Run, *, shares: Sequence[float] = SHARES, progress: bool = False
) -> tuple[CurvePoint, ...]:
    """Train a finished run's recipe on parts of its training set, and return the scores by size.

    A smaller part is inside a larger one, and all are scored on the run's own validation rows.
    The runs are in `RUN/curve/`; one that is finished is not trained again, one that was stopped
    is resumed. The number of epochs stays, so smaller parts take fewer steps. The run's
    `report.html` is written again and shows the curve.

    Raises:
        RunError: where the run is not finished.
        ConfigurationError: for a share that is not above 0 and below 1, and for a run in several
            processes.
    """
    opened = open_run(run)
    if opened.record.status is not Status.FINISHED:
        raise RunError(
            f"{opened.path} is {opened.status}: a learning curve begins with a finished run.",
            hint="Type: " + command_line("train", resume=opened.path),
        )
    wrong = [share for share in shares if not 0 < share < 1]
    if wrong:
        raise ConfigurationError(
            f"A share of {wrong[0]:g}: each must be between 0 and 1.", hint="Take 0.1, 0.25, 0.5."
        )
    if (opened.config.processes or 1) > 1:
        raise ConfigurationError(
            "A learning curve is trained in one process.", hint="Train without --processes."
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
