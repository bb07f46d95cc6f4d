"""The threshold of confidence that `--min-precision` or `--coverage` chooses for a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gluetune.core.command_lines import options
from gluetune.core.errors import ConfigurationError
from gluetune.core.folds import folds_of
from gluetune.core.inference_settings import LoadSettings
from gluetune.core.records import Predictions
from gluetune.core.runs import Run, find_run
from gluetune.statistics.abstention import Threshold, for_coverage, for_precision, risk_coverage
from gluetune.statistics.calibration import cross_fitted


def chosen_threshold(model: str | Path | Run, how: LoadSettings) -> Threshold | None:
    """Return the threshold that the settings ask for; None where they ask for none.

    It is chosen on the out-of-fold predictions of a cross-validation, calibrated as the model's
    are, each fold with temperatures of the others.

    Raises:
        RunError: for a run without folds.
        ConfigurationError: for a model that is not a run, for a task without one class for each
            text, and for a precision that no threshold reaches.
    """
    wanted = {"min_precision": how.min_precision, "coverage": how.coverage}
    given = options(**wanted)
    if not given:
        return None
    run = find_run(model)
    if run is None:
        raise ConfigurationError(
            f"{given}: {model} is not a run, so it has no out-of-fold predictions.",
            hint="Give the folder of a run that was trained with --folds.",
        )
    folds, kind = folds_of(run), run.task.kind
    table = folds.out_of_fold()
    found = Predictions.of_table(table)
    logits = found.logits.astype(np.float64)
    if not how.uncalibrated:
        logits = cross_fitted(kind, logits, found.labels, table["fold"].to_numpy())
    sure = kind.confidence(logits)
    if sure is None:
        raise ConfigurationError(
            f"{given}: {run.task.name} is of kind {kind}, which has no single confidence for each "
            "text.",
            hint="Leave it out.",
        )
    right = found.predicted == found.labels
    if how.coverage is not None:
        return for_coverage(sure, right, how.coverage)
    assert how.min_precision is not None, "one of them is given"
    points = risk_coverage(sure, right)
    threshold = for_precision(points, how.min_precision)
    if threshold is None:
        raise _unreached(how.min_precision, points)
    return threshold


def _unreached(wanted: float, points: list[Threshold]) -> ConfigurationError:
    best = max(points, key=lambda one: one.low)
    reached = int(1000 * best.low) / 1000
    return ConfigurationError(
        f"--min-precision {wanted:g}: no threshold reaches it. The highest bound is "
        f"{best.low:.1%}, above a probability of {best.confidence:.4f} ({best.coverage:.0%} of the "
        "out-of-fold predictions).",
        hint=f"Type: {options(min_precision=reached)}, or label more rows.",
    )
