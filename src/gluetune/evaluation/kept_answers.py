"""A run's answers to tables: kept ones where they are of these data, new ones elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gluetune.config import Precision
from gluetune.data.tables import fingerprint
from gluetune.files import UnwritableError
from gluetune.predictions import Predictions, keep_predictions, kept_name
from gluetune.runs import Run
from gluetune.tasks import TaskSpec

if TYPE_CHECKING:
    import pyarrow as pa


def answers(
    run: Run,
    task: TaskSpec,
    tables: Mapping[str, pa.Table],
    *,
    precision: Precision = "auto",
    tell: Callable[[str], object] = lambda line: None,
) -> dict[str, Predictions]:
    """Return the answers of `run` to canonical tables of `task`, by split.

    torch is imported only to make those that are missing, which are then kept in the run, unless
    `precision` is another than its own. `tell` is called with a line before that.
    Raises RunError where kept ones cannot be read.
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
    from gluetune.evaluation.opening import Settings, open_model

    rows = sum(len(table) for table in missing.values())
    tell(f"{run.path} answers {rows:,} rows of {task.name} ({', '.join(missing)})")
    opened = open_model(run.path, task, Settings(precision=precision))
    made = opened.predict(task, missing)
    if opened.settings.are_default:
        try:
            keep_answers(run, task, made, prints)
        except UnwritableError as error:
            tell(f"They are not kept. {error.findings[0].message}")
    return kept | made


def keep_answers(
    run: Run, task: TaskSpec, made: Mapping[str, Predictions], prints: Mapping[str, str]
) -> None:
    """Keep answers in the run, by split, with the fingerprints of the data that they answer."""
    for split, predictions in made.items():
        path = run.folder.predictions_on(kept_name(task, split))
        keep_predictions(path, predictions, prints[split])
