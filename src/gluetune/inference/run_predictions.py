"""A run's predictions on tables: saved ones of the same data, or computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gluetune.core.config import Precision
from gluetune.core.files import UnwritableError
from gluetune.core.records import Predictions, keep_predictions, kept_name
from gluetune.core.runs import Run
from gluetune.core.tasks import TaskSpec
from gluetune.data.tables import fingerprint

if TYPE_CHECKING:
    import pyarrow as pa


def run_predictions(
    run: Run,
    task: TaskSpec,
    tables: Mapping[str, pa.Table],
    *,
    precision: Precision = "auto",
    say: Callable[[str], object] = lambda line: None,
) -> dict[str, Predictions]:
    """Return the predictions of `run` on canonical tables of `task`, by split.

    torch is imported only to compute missing ones, which are then saved in the run, unless
    `precision` differs from its own. `say` is called with a line before that.

    Raises:
        RunError: if saved predictions cannot be read.
    """
    prints = {split: fingerprint(table) for split, table in tables.items()}
    kept = {
        split: found
        for split, print_ in prints.items()
        if (found := run.kept(kept_name(task, split), print_)) is not None
    }
    missing = {split: table for split, table in tables.items() if split not in kept}
    if not missing:
        return kept
    from gluetune.core.inference_settings import InferenceSettings
    from gluetune.inference.loader import open_model

    rows = sum(len(table) for table in missing.values())
    say(f"{run.path} predicts {rows:,} rows of {task.name} ({', '.join(missing)})")
    opened = open_model(run.path, task, InferenceSettings(precision=precision))
    made = opened.predict(task, missing)
    if opened.settings.are_default:
        try:
            keep_run_predictions(run, task, made, prints)
        except UnwritableError as error:
            say(f"The predictions are not saved. {error.findings[0].message}")
    return kept | made


def keep_run_predictions(
    run: Run, task: TaskSpec, made: Mapping[str, Predictions], prints: Mapping[str, str]
) -> None:
    """Save predictions in the run, by split, with the fingerprints of the data."""
    for split, predictions in made.items():
        path = run.folder.predictions_on(kept_name(task, split))
        keep_predictions(path, predictions, prints[split])
