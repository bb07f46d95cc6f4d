"""Verify a published model: download it, and compare its bytes and predictions with the run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gluetune.core.command_lines import command_line
from gluetune.core.errors import GluetuneError, HubError
from gluetune.core.tasks import TaskSpec
from gluetune.publishing.model_files import PublishedFile

if TYPE_CHECKING:
    import pyarrow as pa

    from gluetune.core.predictions import Predictions
    from gluetune.core.runs import Run

ROWS = 256
"""Validation rows that are predicted again, at most."""

_TOLERANCES = {"fp32": 1e-4, "bf16": 5e-2, "fp16": 5e-3}
"""Largest difference of a logit, relative to the largest: batches and execution paths differ."""


@dataclass(frozen=True)
class Verification:
    """The result of a verification. Everything else was found equal."""

    rows: int
    """Validation rows whose logits were compared; 0 if that was not possible."""
    largest_difference: float | None
    """Of a logit, from the run's saved one."""
    not_compared: str = ""
    """Why no logits were compared."""


def check_files(files: Sequence[PublishedFile], folder: Path, place: str) -> None:
    """Raise HubError unless `folder` contains each of `files`, byte for byte."""
    for file in files:
        path = folder / file.name
        if not path.is_file() or PublishedFile(file.name, path).sha256 != file.sha256:
            state = "differs from" if path.is_file() else "is missing from"
            raise HubError(
                f"{file.name} {state} what was sent to {place}.",
                hint="Push again. If this persists, a proxy may be changing files.",
            )


def check_predictions(run: Run, folder: Path, place: str) -> Verification:
    """Run the model in `folder` on validation rows, and compare its logits with the run's.

    If the rows or the saved logits are missing, `Verification.not_compared` says so. Raises
    HubError if the logits differ by more than rounding.
    """
    task = run.task
    split = task.validation_splits[0]
    try:
        kept, rows = _kept(run, split), _rows(run, task, split)
    except GluetuneError as error:
        return Verification(0, None, error.findings[0].message)
    if rows is None:
        return Verification(0, None, f"the data of '{split}' have changed since the run.")
    return _compared(run, task, folder, place, kept, rows)


def _kept(run: Run, split: str) -> Predictions:
    from gluetune.core.predictions import Predictions

    return Predictions.of_table(run.predictions(split).slice(0, ROWS))


def _rows(run: Run, task: TaskSpec, split: str) -> pa.Table | None:
    """Return the first validation rows of the run; None if the data have changed."""
    from gluetune.data.sources import source_of
    from gluetune.data.tables import fingerprint

    data = run.record.data
    source = source_of(run.config, recorded=data.source if data else None, task=task)
    table = source.read(task, split)
    if data is not None and data.fingerprints.get(split) != fingerprint(table):
        return None
    return table.slice(0, ROWS)


def _compared(
    run: Run, task: TaskSpec, folder: Path, place: str, kept: Predictions, rows: pa.Table
) -> Verification:
    import numpy as np

    from gluetune.core.inference_settings import InferenceSettings
    from gluetune.inference.loader import open_model

    config = run.config
    settings = InferenceSettings(
        precision=config.precision,
        batch_size=config.eval_batch_size,
        threads=config.threads,
        max_length=config.max_length,
        trust_remote_code=config.trust_remote_code,
    )
    opened = open_model(folder, task, settings)
    found = opened.predict(task, {"validation": rows})["validation"]
    largest = float(np.abs(found.logits - kept.logits).max(initial=0.0))
    scale = max(1.0, float(np.abs(kept.logits).max(initial=0.0)))
    if not largest <= _TOLERANCES[opened.precision] * scale:
        raise HubError(
            f"The model on {place} does not predict as the run does: a logit differs by "
            f"{largest:.3g}.",
            hint=f"Check whether {run.path} itself does: {command_line('evaluate', run.path)}",
        )
    return Verification(len(rows), largest)
